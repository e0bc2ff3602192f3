//! A log of the sink's owner, kept in Kafka: records appended in order, each in the transaction of the outputs it speaks of.
//!
//! It is the one partition of `PREFIX.bindings`. Nothing is ever removed from it, which its settings must say. Records have
//! no key: a topic that is compacted by mistake refuses them instead of losing them. Several sinks of one prefix are told apart
//! by the header `sink`.

use super::committed::Committed;
use super::patience::Patience;
use super::writer::Writer;
use super::{KafkaSink, KafkaSinkConfig};
use crate::kafka::KafkaError;
use rdkafka::Message;
use rdkafka::message::{Header, Headers, OwnedHeaders};

/// The header that names the sink.
const SINK: &str = "sink";

/// The end of a log.
pub(super) struct Log {
    topic: String,
    /// Not yet committed, in order.
    queued: Vec<Vec<u8>>,
}

impl Log {
    pub(super) fn new(topic: &str) -> Self {
        Self { topic: topic.to_owned(), queued: Vec::new() }
    }

    /// Hands all that is queued to the open transaction. It stays queued until that is committed.
    pub(super) fn send(&self, writer: &mut Writer) -> Result<(), KafkaError> {
        for record in &self.queued {
            let name = Header { key: SINK, value: Some(writer.transactional_id()) };
            let headers = OwnedHeaders::new_with_capacity(1).insert(name);
            writer.send(&self.topic, 0, None, Some(record), Some(headers))?;
        }
        Ok(())
    }

    /// All that was queued is committed.
    pub(super) fn clear(&mut self) {
        self.queued.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queued.is_empty()
    }

    fn scan(
        &self,
        config: &KafkaSinkConfig,
        patience: &Patience,
        from: u64,
        mut each: impl FnMut(u64, &[u8]),
    ) -> Result<(), KafkaError> {
        let committed = Committed::open(config, &self.topic, patience.begin())?;
        committed.scan(from.max(committed.low), |message| {
            if is_of(message, &config.transactional_id) {
                each(message.offset().unsigned_abs(), message.payload().unwrap_or_default());
            }
            Ok(())
        })
    }
}

/// Whether a record is of this sink.
fn is_of(message: &impl Message, transactional_id: &str) -> bool {
    let mut headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    headers.any(|header| header.key == SINK && header.value == Some(transactional_id.as_bytes()))
}

impl KafkaSink {
    /// Appends a record to the log, to be committed with the next transaction, whatever else that carries: so it is there
    /// whenever an output that was written after it is. A rollback does not lose it. Records wait in memory until then;
    /// [`commit_log`](Self::commit_log) does not let them wait.
    ///
    /// # Errors
    /// If the log is not enabled.
    pub fn append_log(&mut self, record: &[u8]) -> Result<(), KafkaError> {
        let log = self.log.as_mut().ok_or(KafkaError::NoLog)?;
        log.queued.push(record.to_vec());
        Ok(())
    }

    /// Commits what was appended to the log, and what was written with it. Without anything appended nothing is done and
    /// `false` returned.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn commit_log(&mut self) -> Result<bool, KafkaError> {
        if self.log.as_ref().is_none_or(Log::is_empty) {
            return Ok(false);
        }
        let records_done = self.records.max(self.committed.records_done);
        self.commit_progress(super::Progress { records_done, ..self.next_progress() })?;
        Ok(true)
    }

    /// All committed records of the log, in their order. Their writer before this one is fenced: none will follow but ours.
    ///
    /// # Errors
    /// If the log is not enabled, or the broker does not answer.
    pub fn read_log(&self) -> Result<Vec<Vec<u8>>, KafkaError> {
        let mut records = Vec::new();
        self.scan_log(0, |_, record| records.push(record.to_vec()))?;
        Ok(records)
    }

    /// As [`read_log`](Self::read_log), record by record with its offset in the topic, from such an offset on.
    ///
    /// # Errors
    /// As [`read_log`](Self::read_log).
    pub fn scan_log(&self, from: u64, each: impl FnMut(u64, &[u8])) -> Result<(), KafkaError> {
        self.log.as_ref().ok_or(KafkaError::NoLog)?.scan(&self.config, self.writer.patience(), from, each)
    }
}
