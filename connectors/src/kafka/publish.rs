//! Writes plain messages to one topic: generated markets, and dead letters that are to be read again.
//!
//! Each message is delivered once and in order as long as the process lives; nothing is transactional and no progress is
//! kept, so that a second run writes everything again.

use super::KafkaError;
use super::client::{Context, Properties, configure, consumer, creation_error, metadata};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::time::Duration;

/// A writer to one topic. Dropping it drops what [`finish`](Self::finish) was not called for.
pub struct Publisher {
    producer: BaseProducer<Context>,
    topic: String,
    since_poll: u32,
}

/// One message.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outgoing<'a> {
    /// Messages of one key keep their order; without a key they go to any partition.
    pub key: Option<&'a [u8]>,
    /// The bytes.
    pub payload: &'a [u8],
    /// The message's timestamp, milliseconds since the epoch; now, if there is none.
    pub timestamp_ms: Option<i64>,
}

impl Publisher {
    /// Connects to a cluster. A topic that is missing is left to the broker to create, or to refuse.
    ///
    /// # Errors
    /// If no broker answers in time, or a property is not usable.
    pub fn connect(brokers: &str, topic: &str, properties: &Properties, timeout: Duration) -> Result<Self, KafkaError> {
        metadata(&consumer(brokers, properties, &[], "read_committed")?, brokers, timeout)?;
        let defaults = [
            ("compression.type", "lz4"),
            ("linger.ms", "5"),
            ("batch.size", "1000000"),
            ("queue.buffering.max.messages", "500000"),
            ("delivery.report.only.error", "true"),
            // That of Kafka's own clients, so that a key finds the same partition from everywhere.
            ("partitioner", "murmur2_random"),
        ];
        let producer = configure(brokers, properties, &defaults, &[("enable.idempotence", "true")])?
            .create_with_context(Context::default())
            .map_err(|error| creation_error(brokers, error))?;
        Ok(Self { producer, topic: topic.to_owned(), since_poll: 0 })
    }

    /// Hands a message over; waits while too many are on their way.
    ///
    /// # Errors
    /// If a message, this one or one before it, cannot be delivered.
    pub fn send(&mut self, message: &Outgoing<'_>) -> Result<(), KafkaError> {
        const POLL_EVERY: u32 = 1_000;
        let mut record: BaseRecord<'_, [u8], [u8], ()> = BaseRecord::to(&self.topic).payload(message.payload);
        record.key = message.key;
        record.timestamp = message.timestamp_ms;
        loop {
            match self.producer.send(record) {
                Ok(()) => break,
                Err((ClientError::MessageProduction(Code::QueueFull), returned)) => {
                    record = returned;
                    self.producer.poll(Duration::from_millis(5));
                    self.complain()?;
                }
                Err((error, _)) => {
                    return Err(KafkaError::Produce { topic: self.topic.clone(), detail: error.to_string() });
                }
            }
        }
        self.since_poll += 1;
        if self.since_poll >= POLL_EVERY {
            self.since_poll = 0;
            self.producer.poll(Duration::ZERO);
            self.complain()?;
        }
        Ok(())
    }

    /// Waits until everything is delivered. librdkafka gives a message up after `message.timeout.ms`, so this ends.
    ///
    /// # Errors
    /// If a message could not be delivered.
    pub fn finish(self) -> Result<(), KafkaError> {
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::from_millis(10));
            self.complain()?;
        }
        self.producer.poll(Duration::ZERO);
        self.complain()
    }

    fn complain(&self) -> Result<(), KafkaError> {
        match self.producer.context().take_failed_delivery() {
            None => Ok(()),
            Some((topic, detail)) => Err(KafkaError::Produce { topic, detail }),
        }
    }
}
