//! One partition's queue of fetched messages, and what has been taken from it.
//!
//! Each partition has a queue of its own: then the end-of-partition mark names its partition, and a message needs no look-up
//! by topic name. Memory is bounded by librdkafka's prefetch cap for each queue.

use super::KafkaError;
use super::client::{Context, consumer, offsets, partition_name};
use super::fingerprint::Fingerprint;
use super::known_end::{KnownEnd, passed};
use super::partitions::{Found, Slot, find, number};
use super::source::{Isolation, KafkaSourceConfig, Start};
use super::watch::{Known, persistent, verify};
use crate::source::MessageBlock;
use rdkafka::Message;
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;
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
    /// The last message taken by this run.
    pub(super) last: Option<Fingerprint>,
    /// A message taken, of which it is known that the topic was still the same afterwards.
    pub(super) anchor: Option<Fingerprint>,
    /// The last message taken when the anchor was last asked for: the next anchor.
    pub(super) candidate: Option<Fingerprint>,
    pub(super) max_message_bytes: usize,
    /// Whether it stands before an offset that it is to be read to.
    known_end: KnownEnd,
    /// Fetched but not taken: it lies behind the offset that was asked for.
    held: Option<Held>,
    /// None where the topic is no longer read: only the number is kept.
    queue: Option<PartitionQueue<Context>>,
    /// After the queue: it must be dropped last.
    consumer: Arc<BaseConsumer<Context>>,
}

/// A message kept for the next call.
struct Held {
    fingerprint: Fingerprint,
    payload: Option<Vec<u8>>,
}

/// Why [`Lane::take`] stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// Nothing is queued now.
    Empty,
    /// The budget of bytes is spent; more may be queued.
    BudgetSpent,
    /// The offset to stop at is reached; more may be queued.
    Stopped,
}

impl Lane {
    /// Moves queued messages into a block until the queue is empty, the budget is spent, or `stop` is reached. Waits at most
    /// `timeout` for the first. A message at `stop` or behind it is kept for the next call.
    pub(super) fn take(
        &mut self,
        block: &mut MessageBlock,
        budget: &mut usize,
        stop: u64,
        timeout: Duration,
    ) -> Result<Taken, KafkaError> {
        if self.position < stop {
            self.take_held(block, budget, stop);
        }
        let Some(queue) = &self.queue else { return Ok(Taken::Empty) };
        let mut timeout = timeout;
        // The fingerprint of the last one alone is needed: it is made when the call ends.
        let mut last: Option<BorrowedMessage<'_>> = None;
        let taken = loop {
            if self.position >= stop {
                break Taken::Stopped;
            }
            if *budget == 0 {
                break Taken::BudgetSpent;
            }
            let Some(polled) = queue.poll(timeout) else { break Taken::Empty };
            timeout = Duration::ZERO;
            let message = match polled {
                Ok(message) => message,
                Err(ClientError::PartitionEOF(_)) => {
                    self.caught_up = true;
                    continue;
                }
                Err(error) => {
                    self.classify(error)?;
                    continue;
                }
            };
            let Ok(offset) = u64::try_from(message.offset()) else { continue };
            if offset < self.position {
                // librdkafka promises ascending offsets; what lies before the position was taken already.
                continue;
            }
            self.caught_up = false;
            if offset >= stop {
                self.held = Some(Held {
                    fingerprint: Fingerprint::of(&message),
                    payload: message.payload().map(<[u8]>::to_vec),
                });
                self.position = stop;
                break Taken::Stopped;
            }
            let receive_time_ns = receive_time_ns(message.timestamp().to_millis());
            let accepted = accept(block, offset, receive_time_ns, message.payload(), self.max_message_bytes);
            self.tombstones += u64::from(accepted == Accepted::Tombstone);
            *budget = budget.saturating_sub(accepted.cost());
            self.position = offset + 1;
            last = Some(message);
        };
        if let Some(last) = &last {
            self.last = Some(Fingerprint::of(last));
        }
        Ok(taken)
    }

    /// Takes the message that was kept, or moves up to `stop` where it lies behind that.
    fn take_held(&mut self, block: &mut MessageBlock, budget: &mut usize, stop: u64) {
        let Some(held) = self.held.take_if(|held| held.fingerprint.offset < stop) else {
            if self.held.is_some() {
                self.position = stop;
            }
            return;
        };
        let Fingerprint { offset, timestamp_ms, .. } = held.fingerprint;
        let payload = held.payload.as_deref();
        let accepted = accept(block, offset, receive_time_ns(timestamp_ms), payload, self.max_message_bytes);
        self.tombstones += u64::from(accepted == Accepted::Tombstone);
        *budget = budget.saturating_sub(accepted.cost());
        self.position = offset + 1;
        self.last = Some(held.fingerprint);
    }

    /// An empty block of this partition.
    pub(super) fn block(&self) -> MessageBlock {
        MessageBlock { partition: self.index, end_position: self.position, ..MessageBlock::default() }
    }

    /// What is to be asked of the brokers: whether the anchor is still there.
    pub(super) fn question(&mut self) -> Known {
        self.candidate = self.last;
        let (topic, partition, position) = (self.topic.clone(), self.partition, self.position);
        Known { topic, partition, position, anchor: self.anchor }
    }

    /// The anchor is still there.
    pub(super) fn confirm(&mut self) {
        self.anchor = self.candidate.take().or(self.anchor);
    }

    /// Whether its topic is read: else only its number is kept.
    pub(super) fn is_read(&self) -> bool {
        self.queue.is_some()
    }

    /// Calls back whenever the queue is no longer empty.
    pub(super) fn on_message(&mut self, callback: impl Fn() + Send + Sync + 'static) {
        if let Some(queue) = &mut self.queue {
            queue.set_nonempty_callback(callback);
        }
    }

    /// Asks the broker for the end.
    pub(super) fn refresh_end(&mut self, timeout: Duration) -> Result<(), KafkaError> {
        if self.is_read() {
            (_, self.end) = offsets(&self.consumer, &self.topic, self.partition, timeout)?;
        }
        Ok(())
    }

    /// Whether all messages before `stop` were seen though none came there: they were removed, or the offsets belong to marks
    /// of transactions. To be asked when nothing is queued.
    ///
    /// # Errors
    /// If nothing has come for long, and `stop` is not reached.
    pub(super) fn has_passed(&mut self, stop: u64) -> Result<bool, KafkaError> {
        if !self.caught_up {
            return Ok(false);
        }
        let passed = passed(&self.consumer, &self.topic, self.partition).unwrap_or(0).max(self.position);
        self.known_end.is_reached(&self.consumer, (&self.topic, self.partition), passed, stop, true)
    }

    /// As the function of this name, with what the broker has in place of an offset that is gone.
    fn classify(&self, error: ClientError) -> Result<(), KafkaError> {
        const TIMEOUT: Duration = Duration::from_secs(5);
        match error {
            ClientError::MessageConsumption(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
                let (low, end) = offsets(&self.consumer, &self.topic, self.partition, TIMEOUT)?;
                Err(KafkaError::OffsetGone { partition: self.name.clone(), offset: self.position, low, end })
            }
            error => classify(error, &self.name, self.position),
        }
    }
}

/// What became of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Accepted {
    /// It is in the block, with so many bytes.
    Message(usize),
    Oversized,
    Tombstone,
}

impl Accepted {
    /// What it takes of the budget.
    fn cost(self) -> usize {
        match self {
            Self::Message(bytes) => bytes + MESSAGE_OVERHEAD_BYTES,
            Self::Oversized | Self::Tombstone => MESSAGE_OVERHEAD_BYTES,
        }
    }
}

/// Appends a message to a block.
fn accept(
    block: &mut MessageBlock,
    offset: u64,
    receive_time_ns: Option<i64>,
    payload: Option<&[u8]>,
    max_message_bytes: usize,
) -> Accepted {
    block.end_position = offset + 1;
    match payload {
        Some(payload) if payload.len() <= max_message_bytes => {
            block.push(payload, offset, receive_time_ns);
            Accepted::Message(payload.len())
        }
        Some(payload) => {
            block.rejects.push(Reject {
                partition: block.partition,
                position: offset,
                reason: RejectReason::Oversized,
                records: 1,
                detail: format!("message of {} bytes, more than {max_message_bytes}", payload.len()),
                raw: payload[..payload.len().min(OVERSIZED_KEPT_BYTES)].into(),
                receive_time_ns,
            });
            Accepted::Oversized
        }
        None => Accepted::Tombstone,
    }
}

/// The broker's time of a message, where it has one.
fn receive_time_ns(timestamp_ms: Option<i64>) -> Option<i64> {
    timestamp_ms.filter(|ms| *ms >= 0).and_then(|ms| ms.checked_mul(1_000_000))
}

/// Whether reading can go on: most errors librdkafka mends by itself, and they are only logged.
pub(super) fn classify(error: ClientError, partition: &str, offset: u64) -> Result<(), KafkaError> {
    let fail = |detail: String| Err(KafkaError::Consume { partition: partition.to_owned(), offset, detail });
    match error {
        ClientError::MessageConsumption(Code::AutoOffsetReset | Code::OffsetOutOfRange) => {
            fail("the broker no longer has this offset".to_owned())
        }
        ClientError::MessageConsumption(
            Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition,
        ) => Err(KafkaError::TopicDeleted { what: partition.to_owned() }),
        ClientError::MessageConsumption(
            code @ (Code::TopicAuthorizationFailed
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
) -> Result<Opened, KafkaError> {
    let isolation = match config.isolation {
        Isolation::ReadCommitted => "read_committed",
        Isolation::ReadUncommitted => "read_uncommitted",
    };
    // It fetches a message now and then and should not bring more along.
    let one = [("queued.min.messages", "1"), ("max.partition.fetch.bytes", "1024")];
    let finder = consumer(&config.brokers, &config.properties, &one, isolation)?;
    let found = find(&finder, &config.brokers, &config.topics, config.connect_timeout)?;
    let caps = FetchCaps::of(config, found.len());
    let defaults = caps.properties();
    let defaults: Vec<(&str, &str)> = defaults.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let consumer = Arc::new(consumer(&config.brokers, &config.properties, &defaults, isolation)?);
    let mut lanes = Vec::with_capacity(found.len());
    for (index, slot) in (0..).zip(number(found, &config.known, &config.topics)?) {
        lanes.push(match slot {
            Slot::Found(found) => {
                let position = start(&found)?;
                let anchor = config.fingerprints.get(&found.name).copied();
                if anchor.is_some() {
                    let known = Known { topic: found.topic.clone(), partition: found.partition, position, anchor };
                    persistent(|| verify(&finder, &known))?;
                }
                Lane::new(config, &consumer, found, index, position)?
            }
            Slot::Unread { name, topic, partition } => Lane::unread(config, &consumer, name, topic, partition, index),
        });
    }
    let assignment = assignment(&config.brokers, &lanes)?;
    consumer.assign(&assignment).map_err(|error| unusable(&config.brokers, &error))?;
    Ok(Opened { lanes, consumer, finder })
}

/// What [`open`] gives.
pub(super) struct Opened {
    pub(super) lanes: Vec<Lane>,
    /// Reads all lanes.
    pub(super) consumer: Arc<BaseConsumer<Context>>,
    /// Reads nothing and can ask.
    pub(super) finder: BaseConsumer<Context>,
}

impl Lane {
    /// A lane with a queue of its own. To be made before the partition is assigned: a queue that is split off afterwards may
    /// have lost its first messages to the common one.
    pub(super) fn new(
        config: &KafkaSourceConfig,
        consumer: &Arc<BaseConsumer<Context>>,
        found: Found,
        index: u32,
        position: u64,
    ) -> Result<Self, KafkaError> {
        let queue = consumer.split_partition_queue(&found.topic, found.partition).ok_or_else(|| {
            KafkaError::Client { brokers: config.brokers.clone(), detail: format!("{} has no queue", found.name) }
        })?;
        Ok(Self {
            index,
            position,
            end: found.end,
            known_end: KnownEnd::default(),
            caught_up: false,
            tombstones: 0,
            last: None,
            anchor: config.fingerprints.get(&found.name).copied(),
            candidate: None,
            held: None,
            max_message_bytes: config.max_message_bytes,
            queue: Some(queue),
            consumer: Arc::clone(consumer),
            name: found.name,
            topic: found.topic,
            partition: found.partition,
        })
    }

    /// A number that a former run gave to a partition of a topic that is not read now. It keeps its position, so that the
    /// topic can be taken up again.
    fn unread(
        config: &KafkaSourceConfig,
        consumer: &Arc<BaseConsumer<Context>>,
        name: String,
        topic: String,
        partition: i32,
        index: u32,
    ) -> Self {
        let position = match &config.start {
            Start::Offsets(offsets) => offsets.get(&name).copied().unwrap_or(0),
            Start::Earliest | Start::Latest => 0,
        };
        Self {
            index,
            position,
            end: position,
            known_end: KnownEnd::default(),
            caught_up: true,
            tombstones: 0,
            last: None,
            anchor: config.fingerprints.get(&name).copied(),
            candidate: None,
            held: None,
            max_message_bytes: config.max_message_bytes,
            queue: None,
            consumer: Arc::clone(consumer),
            name,
            topic,
            partition,
        }
    }
}

/// The lanes that are read, from their positions.
pub(super) fn assignment(brokers: &str, lanes: &[Lane]) -> Result<TopicPartitionList, KafkaError> {
    let mut assignment = TopicPartitionList::with_capacity(lanes.len());
    for lane in lanes.iter().filter(|lane| lane.is_read()) {
        let offset = i64::try_from(lane.position).map_or(Offset::Beginning, Offset::Offset);
        let added = assignment.add_partition_offset(&lane.topic, lane.partition, offset);
        added.map_err(|error| unusable(brokers, &error))?;
    }
    Ok(assignment)
}

/// The error of a client that does not take an assignment.
pub(super) fn unusable(brokers: &str, error: &ClientError) -> KafkaError {
    KafkaError::Client { brokers: brokers.to_owned(), detail: error.to_string() }
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
