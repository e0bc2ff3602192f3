//! Whole-pipeline tests: what comes out, not which function did it.

mod commands;
mod config;
mod fuzz_config;
mod law_one;
mod market;
