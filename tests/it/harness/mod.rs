//! What tests need of the world: the built program, and a real Kafka broker that the tests start by themselves.

pub mod distribution;
pub mod kafka;
pub mod program;
