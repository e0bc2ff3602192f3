//! One partition's queue of fetched messages, and what has been taken from it.
//!
//! Each partition has a queue of its own: then the end-of-partition mark names its partition, and a message needs no look-up
//! by topic name. Memory is bounded by librdkafka's prefetch cap for each queue.

use super::KafkaError;
use super::client::{Context, consumer, partition_name};
use super::partitions::{Found, find};
use super::source::{Isolation, KafkaSourceConfig};
use crate::source::MessageBlock;
use rdkafka::Message;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode;
use std::sync::Arc;
use std::time::Duration;
use tidewheel_schemas::{Reject, RejectReason};

/// What a message costs beyond its bytes, for the byte budget.
const MESSAGE_OVERHEAD_BYTES: usize = 40;

/// How much of an oversized message goes to the rejects.
const OVERSIZED_KEPT_BYTES: usize = 64 << 10;

/// A partition being read.
pub(super) struct Lane {
    /// `topic[3]`.
    pub(super) name: String,
    pub(super) topic: String,
    pub(super) partition: i32,
    /// Its number among the partitions of the source.
    pub(super) index: u32,
    /// The next offset to take.
    pub(super) position: u64,
    /// The greatest end known, exclusive.
    pub(super) end: u64,
    /// Whether the broker said that nothing follows what was taken.
    pub(super) caught_up: bool,
    /// Messages without a value seen since they were last counted.
    pub(super) tombstones: u64,
    pub(super) max_message_bytes: usize,
    queue: PartitionQueue<Context>,
}

/// Why [`Lane::take`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing is queued now.
    Empty,
    /// The budget of bytes is spent; more may be queued.
    BudgetSpent,
    /// The offset to stop at is reached.
    Stopped,
}

impl Lane {
    /// Moves queued messages into a block until the queue is empty, the budget is spent, or `stop` is reached. Waits at most
    /// `timeout` for the first.
    pub(super) fn take(
        &mut self,
        block: &mut MessageBlock,
        budget: &mut usize,
        stop: u64,
        timeout: Duration,
    ) -> Result<Taken, KafkaError> {
        let mut timeout = timeout;
        while *budget > 0 {
            if self.position >= stop {
                return Ok(Taken::Stopped);
            }
            let Some(polled) = self.queue.poll(timeout) else { return Ok(Taken::Empty) };
            timeout = Duration::ZERO;
            match polled {
                Ok(message) if message.offset() >= 0 && message.offset().unsigned_abs() >= stop => {
                    self.position = stop;
                    return Ok(Taken::Stopped);
                }
                Ok(message) => {
                    let spent =
                        accept(&message, &mut self.position, &mut self.tombstones, self.max_message_bytes, block);
                    *budget = budget.saturating_sub(spent);
                    self.caught_up = false;
                }
                Err(ClientError::PartitionEOF(_)) => self.caught_up = true,
                Err(error) => classify(error, &self.name, self.position)?,
            }
        }
        Ok(Taken::BudgetSpent)
    }

    /// An empty block of this partition.
    pub(super) fn block(&self) -> MessageBlock {
        MessageBlock { partition: self.index, end_position: self.position, ..MessageBlock::default() }
    }

    pub(super) fn queue_mut(&mut self) -> &mut PartitionQueue<Context> {
        &mut self.queue
    }
}

/// Appends a message to a block and returns what it takes of the budget.
fn accept(
    message: &BorrowedMessage<'_>,
    position: &mut u64,
    tombstones: &mut u64,
    max_message_bytes: usize,
    block: &mut MessageBlock,
) -> usize {
    // librdkafka promises ascending offsets; what lies before the position was taken already.
    let Ok(offset) = u64::try_from(message.offset()) else { return 0 };
    if offset < *position {
        return 0;
    }
    *position = offset + 1;
    let receive_time_ns =
        message.timestamp().to_millis().filter(|ms| *ms >= 0).and_then(|ms| ms.checked_mul(1_000_000));
    match message.payload() {
        Some(payload) if payload.len() <= max_message_bytes => {
            block.push(payload, offset, receive_time_ns);
            return payload.len() + MESSAGE_OVERHEAD_BYTES;
        }
        Some(payload) => block.rejects.push(Reject {
            partition: block.partition,
            position: offset,
            reason: RejectReason::Oversized,
            detail: format!("message of {} bytes, more than {max_message_bytes}", payload.len()),
            raw: payload[..payload.len().min(OVERSIZED_KEPT_BYTES)].into(),
            receive_time_ns,
        }),
        None => *tombstones += 1,
    }
    block.end_position = offset + 1;
    MESSAGE_OVERHEAD_BYTES
}

/// Whether reading can go on: most errors librdkafka mends by itself, and they are only logged.
pub(super) fn classify(error: ClientError, partition: &str, offset: u64) -> Result<(), KafkaError> {
    use RDKafkaErrorCode as Code;
    let fail = |detail: String| Err(KafkaError::Consume { partition: partition.to_owned(), offset, detail });
    match error {
        ClientError::MessageConsumption(Code::AutoOffsetReset | Code::OffsetOutOfRange) => fail(
            "the broker no longer has this offset: retention removed records before they were read; start a new run from \
             the earliest offset"
                .to_owned(),
        ),
        ClientError::MessageConsumption(
            code @ (Code::TopicAuthorizationFailed
            | Code::UnknownTopicOrPartition
            | Code::UnknownTopic
            | Code::UnknownPartition
            | Code::BadMessage
            | Code::InvalidMessage
            | Code::BadCompression
            | Code::UnsupportedCompressionType
            | Code::NotImplemented),
        ) => fail(code.to_string()),
        ClientError::MessageConsumption(code) => {
            tracing::warn!(partition, offset, error = %code, "kafka is in trouble, waiting for it");
            Ok(())
        }
        other => fail(other.to_string()),
    }
}

/// Finds the partitions of the topics, assigns them all from where `start` says, and gives each its queue.
///
/// The consumer must outlive the lanes: keep it in a field after them.
pub(super) fn open(
    config: &KafkaSourceConfig,
    start: impl Fn(&Found) -> Result<u64, KafkaError>,
) -> Result<(Vec<Lane>, Arc<BaseConsumer<Context>>), KafkaError> {
    let isolation = match config.isolation {
        Isolation::ReadCommitted => "read_committed",
        Isolation::ReadUncommitted => "read_uncommitted",
    };
    let finder = consumer(&config.brokers, &config.properties, &[], isolation)?;
    let found = find(&finder, &config.brokers, &config.topics, config.connect_timeout)?;
    let caps = FetchCaps::of(config, found.len());
    let defaults = caps.properties();
    let defaults: Vec<(&str, &str)> = defaults.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let consumer = Arc::new(consumer(&config.brokers, &config.properties, &defaults, isolation)?);
    let unusable =
        |error: ClientError| KafkaError::Client { brokers: config.brokers.clone(), detail: error.to_string() };

    let mut assignment = TopicPartitionList::with_capacity(found.len());
    let mut lanes = Vec::with_capacity(found.len());
    for (index, found) in (0..).zip(found) {
        let position = start(&found)?;
        let offset = i64::try_from(position).map_or(Offset::Beginning, Offset::Offset);
        assignment.add_partition_offset(&found.topic, found.partition, offset).map_err(unusable)?;
        // Before the assignment: a queue that is split off afterwards may have lost its first messages to the common one.
        let queue = consumer.split_partition_queue(&found.topic, found.partition).ok_or_else(|| {
            KafkaError::Client { brokers: config.brokers.clone(), detail: format!("{} has no queue", found.name) }
        })?;
        lanes.push(Lane {
            index,
            position,
            end: found.end,
            caught_up: false,
            tombstones: 0,
            max_message_bytes: config.max_message_bytes,
            queue,
            name: found.name,
            topic: found.topic,
            partition: found.partition,
        });
    }
    consumer.assign(&assignment).map_err(unusable)?;
    Ok((lanes, consumer))
}

/// How much librdkafka fetches ahead.
struct FetchCaps {
    queued_kilobytes: usize,
    partition_fetch_bytes: usize,
    fetch_bytes: usize,
}

impl FetchCaps {
    /// The total shared out among the partitions, with room for a message in each.
    fn of(config: &KafkaSourceConfig, partitions: usize) -> Self {
        const LEAST_QUEUED_KILOBYTES: usize = 256;
        // librdkafka's own limits: 1 GB for a message, 2 GB for a queue.
        const MOST_BYTES: usize = 1_000_000_000;
        let each = config.prefetch_bytes / partitions.max(1) / 1024;
        let partition_fetch_bytes = config.max_message_bytes.clamp(1 << 20, MOST_BYTES);
        Self {
            queued_kilobytes: each.clamp(LEAST_QUEUED_KILOBYTES, 2_000_000),
            partition_fetch_bytes,
            fetch_bytes: config.fetch_bytes.clamp(partition_fetch_bytes, MOST_BYTES),
        }
    }

    fn properties(&self) -> [(&'static str, String); 6] {
        [
            ("queued.max.messages.kbytes", self.queued_kilobytes.to_string()),
            ("queued.min.messages", "1000000".to_owned()),
            // How long a full queue waits before it fetches again; a second, the default, would starve the reader.
            ("fetch.queue.backoff.ms", "5".to_owned()),
            ("max.partition.fetch.bytes", self.partition_fetch_bytes.to_string()),
            ("fetch.max.bytes", self.fetch_bytes.to_string()),
            ("receive.message.max.bytes", (self.fetch_bytes + (1 << 20)).to_string()),
        ]
    }
}

/// Serves the client's own events: logs, errors of the whole client. To be called now and then.
pub(super) fn serve(consumer: &BaseConsumer<Context>, brokers: &str) -> Result<(), KafkaError> {
    while let Some(polled) = consumer.poll(Duration::ZERO) {
        match polled {
            // Cannot be: every partition has its own queue since before it was assigned.
            Ok(message) => {
                let partition = partition_name(message.topic(), message.partition());
                let detail = "a message came outside the partition's queue".to_owned();
                return Err(KafkaError::Consume { partition, offset: message.offset().unsigned_abs(), detail });
            }
            Err(ClientError::PartitionEOF(_)) => {}
            Err(error) => classify(error, brokers, 0)?,
        }
    }
    Ok(())
}
