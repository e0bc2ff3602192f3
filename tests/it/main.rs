//! Whole pipelines against the real world, in one binary: they share one Kafka broker.

mod harness;
mod kafka_connectors;
