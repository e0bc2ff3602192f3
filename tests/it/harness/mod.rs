//! What tests need of the world: a real Kafka broker that the tests start by themselves.

pub mod distribution;
pub mod kafka;
