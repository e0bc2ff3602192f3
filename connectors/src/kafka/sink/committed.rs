//! Reads what was committed to the one partition of a topic: of a sink's progress, and of its log.

use super::KafkaSinkConfig;
use crate::kafka::KafkaError;
use crate::kafka::client::{Context, consumer, offsets, partition_name};
use crate::kafka::known_end::{KnownEnd, passed};
use crate::kafka::lane::classify;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// A reader of a topic whose end stands still: its writer was fenced before.
pub(super) struct Committed<'a> {
    reader: BaseConsumer<Context>,
    topic: &'a str,
    /// The least offset there is.
    pub(super) low: u64,
    /// One past the greatest there was when the reader was made.
    pub(super) end: u64,
}

impl<'a> Committed<'a> {
    /// The end to read to is asked for without regard to transactions and then waited for: a transaction of another sink may
    /// hold back what can be read, and a record of ours may lie behind it. The broker's transaction timeout bounds the wait,
    /// unless the broker forgot a transaction: one that is killed while it ends one, and is away until that times out, may leave it
    /// open in a partition for ever.
    pub(super) fn open(config: &KafkaSinkConfig, topic: &'a str) -> Result<Self, KafkaError> {
        const PAUSE: Duration = Duration::from_millis(50);
        const SAY_SO_AFTER: Duration = Duration::from_secs(5);
        /// Brokers look for transactions to roll back every ten seconds.
        const CLEAN_UP: Duration = Duration::from_secs(30);
        let seeing_all = consumer(&config.brokers, &config.properties, &[], "read_uncommitted")?;
        let (low, end) = offsets(&seeing_all, topic, 0, config.connect_timeout)?;
        let reader = consumer(&config.brokers, &config.properties, &[], "read_committed")?;
        let begun = Instant::now();
        let mut said = begun;
        loop {
            let (_, readable) = offsets(&reader, topic, 0, config.connect_timeout)?;
            if readable >= end {
                return Ok(Self { reader, topic, low, end });
            }
            if begun.elapsed() >= config.transaction_timeout * 2 + CLEAN_UP {
                return Err(KafkaError::Hanging { topic: topic.to_owned(), readable, end });
            }
            if said.elapsed() >= SAY_SO_AFTER {
                tracing::warn!(topic, readable, end, "waiting for another sink's open transaction");
                said = Instant::now();
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Shows all records from an offset to the end, in their order.
    ///
    /// The end is told by position: a broker that is behind may say too early that nothing follows, and the last offsets are marks
    /// of transactions, which are not shown.
    pub(super) fn scan(
        &self,
        from: u64,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> Result<(), KafkaError>,
    ) -> Result<(), KafkaError> {
        if from >= self.end {
            return Ok(());
        }
        let name = partition_name(self.topic, 0);
        let mut assignment = TopicPartitionList::new();
        assignment
            .add_partition_offset(self.topic, 0, i64::try_from(from).map_or(Offset::Beginning, Offset::Offset))
            .and_then(|()| self.reader.assign(&assignment))
            .map_err(|error| KafkaError::Offsets { partition: name.clone(), detail: error.to_string() })?;
        // Until something came, the client may still tell where a scan before this one ended.
        let (mut known_end, mut has_begun) = (KnownEnd::default(), false);
        loop {
            match self.reader.poll(Duration::from_millis(100)) {
                None => {}
                Some(Ok(message)) if message.offset().unsigned_abs() >= self.end => return Ok(()),
                Some(Ok(message)) => {
                    each(&message)?;
                    has_begun = true;
                    continue;
                }
                Some(Err(ClientError::PartitionEOF(_))) => has_begun = true,
                Some(Err(error)) => classify(error, &name, from)?,
            }
            let passed = has_begun.then(|| passed(&self.reader, self.topic, 0)).flatten();
            if known_end.is_reached(&self.reader, (self.topic, 0), passed.unwrap_or(from), self.end)? {
                return Ok(());
            }
        }
    }
}
