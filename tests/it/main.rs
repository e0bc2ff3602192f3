//! Whole-pipeline tests.

mod readers;
