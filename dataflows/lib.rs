//! Tidewheel turns streams of trades into exact, self-repairing bars.
//!
//! This crate wires the graph of `tidewheel-operators` to the sources and sinks of `tidewheel-connectors` and runs it: live
//! from Kafka, or in replay from files and topics. The command line is `main.rs`.

pub mod audit;
pub mod bindings;
pub mod commands;
pub mod config;
mod current;
pub mod engine;
pub mod export;
pub mod http;
pub mod live;
pub mod log;
pub mod metrics;
pub mod models;
pub mod outbox;
pub mod pipeline;
pub mod quiet;
pub mod recorded;
pub mod recovery;
mod refused;
pub mod replay;
pub mod risk_counts;
pub mod risk_view;
pub mod scoring;
pub mod snapshot;
pub mod status;
pub mod tables;
pub mod ticks;
pub mod verify;
