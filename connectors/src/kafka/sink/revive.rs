//! A sink that was fenced by nobody: the broker had waited for its transaction for longer than the timeout.

use super::progress::{self, Progress};
use super::writer::Writer;
use super::{KafkaSink, KafkaSinkConfig};
use crate::kafka::KafkaError;
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

/// A number that no other opening of a sink has, here or elsewhere.
pub(super) fn incarnation() -> u64 {
    // Keyed at random, and in two processes with the same key still of another time or process.
    RandomState::new().hash_one((SystemTime::now(), std::process::id()))
}

/// Writes down that a sink was opened, with the progress that it found. From then on a former process that looks knows that it
/// was superseded.
pub(super) fn claim(
    config: &KafkaSinkConfig,
    writer: &mut Writer,
    topic: &str,
    incarnation: u64,
    found: &Progress,
) -> Result<(), KafkaError> {
    let claim = Progress {
        transactional_id: config.transactional_id.clone(),
        run: config.run.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        incarnation,
        sequence: 0,
        ..found.clone()
    };
    writer.commit_with(topic, &claim.to_json())
}

impl KafkaSink {
    /// In place of an error that says that the sink is fenced: that the transaction was aborted, where no other process is the
    /// reason. The sink then has a new producer.
    pub(super) fn revive(&mut self, error: KafkaError) -> KafkaError {
        let KafkaError::Fenced { action, .. } = error else { return error };
        match self.reopen() {
            Ok(true) => KafkaError::Aborted {
                action,
                transactional_id: self.config.transactional_id.clone(),
                detail: "it was open for longer than the transaction timeout, and no other process has taken over"
                    .to_owned(),
            },
            Ok(false) => error,
            Err(why) => {
                tracing::warn!(%why, "could not find out who fenced this process");
                error
            }
        }
    }

    /// Opens a new producer if the last progress record is still that of this sink. False if it is not.
    fn reopen(&mut self) -> Result<bool, KafkaError> {
        if !self.is_last()? {
            return Ok(false);
        }
        let writer = Writer::open(&self.config)?;
        // Another may have come meanwhile. It is fenced now, and will find its own record and open once more.
        if !self.is_last()? {
            return Ok(false);
        }
        self.writer = writer;
        Ok(true)
    }

    /// Whether the last commit of the transactional id is the last one of this sink.
    fn is_last(&self) -> Result<bool, KafkaError> {
        let last = progress::read(&self.config, &self.topics.progress.name)?;
        Ok((last.incarnation, last.sequence) == (self.incarnation, self.sequence))
    }
}
