//! Reads what was committed to the one partition of a topic: of a sink's progress, and of its log.

use super::KafkaSinkConfig;
use super::patience::Wait;
use crate::kafka::client::{Context, consumer, offsets, partition_name};
use crate::kafka::known_end::{KnownEnd, passed};
use crate::kafka::lane::classify;
use crate::kafka::{KafkaError, Stuck, StuckPartitions};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// How long any transaction may hold readers back before it counts as one that nobody will end: twice its timeout, and the time
/// that brokers take, which look for such transactions every ten seconds.
pub(super) fn longest_open(config: &KafkaSinkConfig) -> Duration {
    const CLEAN_UP: Duration = Duration::from_secs(30);
    config.transaction_timeout * 2 + CLEAN_UP
}

/// A reader that does not wait for long where nothing follows.
fn reader(config: &KafkaSinkConfig, isolation: &str) -> Result<BaseConsumer<Context>, KafkaError> {
    let defaults = [("fetch.wait.max.ms", "20"), ("statistics.interval.ms", "100")];
    consumer(&config.brokers, &config.properties, &defaults, isolation)
}

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
    /// unless the broker forgot a transaction; the wait is bounded then too.
    pub(super) fn open(config: &KafkaSinkConfig, topic: &'a str, mut wait: Wait<'_>) -> Result<Self, KafkaError> {
        let mut go_on = || wait.go_on("read what was committed before", &config.transactional_id).map(|()| true);
        loop {
            if let Some(committed) = Self::open_while(config, topic, &mut go_on)? {
                return Ok(committed);
            }
        }
    }

    /// As [`open`](Self::open), but none after so long a wait.
    pub(super) fn open_within(
        config: &KafkaSinkConfig,
        topic: &'a str,
        limit: Duration,
    ) -> Result<Option<Self>, KafkaError> {
        let begun = Instant::now();
        Self::open_while(config, topic, &mut || Ok(begun.elapsed() < limit))
    }

    /// Of what can be read already.
    pub(super) fn open_as_is(config: &KafkaSinkConfig, topic: &'a str) -> Result<Self, KafkaError> {
        let reader = reader(config, "read_committed")?;
        let (low, end) = offsets(&reader, topic, 0, config.connect_timeout)?;
        Ok(Self { reader, topic, low, end })
    }

    fn open_while(
        config: &KafkaSinkConfig,
        topic: &'a str,
        go_on: &mut dyn FnMut() -> Result<bool, KafkaError>,
    ) -> Result<Option<Self>, KafkaError> {
        const PAUSE: Duration = Duration::from_millis(50);
        const SAY_SO_AFTER: Duration = Duration::from_secs(5);
        let seeing_all = reader(config, "read_uncommitted")?;
        let (low, end) = offsets(&seeing_all, topic, 0, config.connect_timeout)?;
        let reader = reader(config, "read_committed")?;
        let begun = Instant::now();
        let mut said = begun;
        loop {
            let (_, readable) = offsets(&reader, topic, 0, config.connect_timeout)?;
            if readable >= end {
                return Ok(Some(Self { reader, topic, low, end }));
            }
            if !go_on()? {
                return Ok(None);
            }
            if begun.elapsed() >= longest_open(config) {
                let stuck = Stuck { topic: topic.to_owned(), partition: 0, readable, end };
                return Err(KafkaError::Hanging { stuck: StuckPartitions(vec![stuck]) });
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
            let (had_begun, mut is_drained) = (has_begun, false);
            match self.reader.poll(Duration::from_millis(100)) {
                None => is_drained = has_begun,
                Some(Ok(message)) if message.offset().unsigned_abs() >= self.end => return Ok(()),
                Some(Ok(message)) => {
                    each(&message)?;
                    has_begun = true;
                    continue;
                }
                Some(Err(ClientError::PartitionEOF(_))) => has_begun = true,
                Some(Err(error)) => classify(error, &name, from)?,
            }
            if has_begun && !had_begun {
                known_end = KnownEnd::default();
            }
            let passed = has_begun.then(|| passed(&self.reader, self.topic, 0)).flatten();
            let position = passed.unwrap_or(from);
            if known_end.is_reached(&self.reader, (self.topic, 0), position, self.end, is_drained)? {
                return Ok(());
            }
        }
    }
}
