//! The Kafka connectors on a real broker.
