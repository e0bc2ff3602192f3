//! Whole-pipeline tests: what comes out, not which function did it.

mod law_one;
mod market;
mod readers;
