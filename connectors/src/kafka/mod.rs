//! Kafka: trades in, bars and dead letters out, exactly once; and a broker inside the process for demonstrations.
//!
//! | module | for |
//! | --- | --- |
//! | [`source`] | reading topics live, with positions that a log can name again |
//! | [`replay`] | reading topics from their start to the end as it was when the replay began |
//! | [`sink`] | writing what a tick publishes in transactions, each with its progress |
//! | [`publish`] | writing plain messages to a topic |
//! | [`published`] | reading back what a sink wrote |
//! | [`check`] | what topics a cluster has and how much is in them |
//! | [`embedded`] | a mock cluster in this process |
//! | [`fingerprint`] | knowing a topic again after a restart |
//!
//! Nothing is decoded here and no consumer group is joined or moved: where a run stands is written by the run itself.

mod catch_up;
pub mod check;
mod client;
pub mod embedded;
mod error;
pub mod fingerprint;
mod known_end;
mod lane;
mod partitions;
pub mod publish;
pub mod published;
pub mod replay;
pub mod sink;
pub mod source;
mod statistics;
mod stuck;
mod watch;

pub use error::KafkaError;
pub use fingerprint::Fingerprint;
pub use stuck::{Stuck, StuckPartitions};
