//! Whole-pipeline tests: what comes out, not which function did it.

mod config;
mod law_one;
mod market;
