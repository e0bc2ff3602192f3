//! Whole-pipeline tests, in one binary: what comes out, not which function did it. Those that need Kafka share one broker.

mod accounts;
mod books;
mod campaign;
mod commands;
mod config;
mod features;
mod fuzz_config;
mod harness;
mod hostile;
mod kafka_connectors;
mod kafka_live;
mod kafka_security;
mod lake;
mod law_one;
mod market;
mod models;
mod observe;
mod readers;
mod recorded;
mod replay;
mod restart;
mod scoring;
mod simulation;
mod streams;
mod tidy;
mod truth;
