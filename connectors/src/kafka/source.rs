//! Reads the partitions of Kafka topics as they are written, in blocks with the offset of every message.
//!
//! All partitions are assigned by hand, from offsets that the caller names: no consumer group is joined, no offset is
//! committed, and other readers of the topics notice nothing. Which offsets make a tick, and where they are remembered, is
//! not decided here.

use super::KafkaError;
use super::client::{Context, Properties, until};
use super::fingerprint::Fingerprint;
use super::lane::{Lane, Opened, Taken, open, serve};
use super::partitions::Found;
use super::watch::Watch;
use crate::source::MessageBlock;
use crossbeam_channel::{Receiver, Sender};
use rdkafka::consumer::{BaseConsumer, Consumer};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What is counted for a message without a value.
pub const TOMBSTONE: &str = "kafka:tombstone";

/// How to read topics.
#[derive(Clone, Debug)]
pub struct KafkaSourceConfig {
    /// Bootstrap addresses, `host:port` with commas between.
    pub brokers: String,
    /// The topics; all their partitions are read.
    pub topics: Vec<String>,
    /// Where to begin.
    pub start: Start,
    /// Topics that begin at their oldest record though others begin after the newest.
    pub from_oldest: Vec<String>,
    /// Partitions, as `topic[3]`, in the order of the numbers that a former run gave them: they keep these, others follow.
    /// One whose topic is no longer read keeps its number too, and has nothing.
    pub known: Vec<String>,
    /// The last message that a former run took of each partition: it must still be the same where it is still there.
    pub fingerprints: BTreeMap<String, Fingerprint>,
    /// Whether records of open and aborted transactions are seen.
    pub isolation: Isolation,
    /// Further librdkafka properties (security, buffers).
    pub properties: Properties,
    /// Longer messages are rejected as oversized.
    pub max_message_bytes: usize,
    /// Bytes fetched ahead of the reader, all partitions together.
    pub prefetch_bytes: usize,
    /// Bytes in one answer of a broker, at most.
    pub fetch_bytes: usize,
    /// How long the first contact with the cluster may take.
    pub connect_timeout: Duration,
    /// How often [`discover`](KafkaSource::discover) asks the brokers, at most.
    pub discover_every: Duration,
}

impl KafkaSourceConfig {
    /// A configuration with everything else at its default.
    pub fn new(brokers: &str, topics: &[&str]) -> Self {
        Self {
            brokers: brokers.to_owned(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            start: Start::Earliest,
            from_oldest: Vec::new(),
            known: Vec::new(),
            fingerprints: BTreeMap::new(),
            isolation: Isolation::ReadCommitted,
            properties: Properties::new(),
            max_message_bytes: 8 << 20,
            prefetch_bytes: 64 << 20,
            fetch_bytes: 32 << 20,
            connect_timeout: Duration::from_secs(10),
            discover_every: Duration::from_secs(10),
        }
    }
}

/// Where reading begins. Resolved once, to offsets, when the source connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record there is.
    Earliest,
    /// After the newest record there is.
    Latest,
    /// At these offsets, by partition name (`topic[3]`); partitions not named, such as new ones, from the oldest record.
    Offsets(BTreeMap<String, u64>),
}

/// Which records of transactions are seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isolation {
    /// Those that were committed.
    #[default]
    ReadCommitted,
    /// All, as they are written.
    ReadUncommitted,
}

/// What one poll brought.
#[derive(Debug, Default)]
pub struct Polled {
    /// One block for each partition touched, by partition.
    pub blocks: Vec<MessageBlock>,
    /// Messages without a value, under [`TOMBSTONE`].
    pub ignored: BTreeMap<String, u64>,
}

/// A live reader of topics.
pub struct KafkaSource {
    pub(super) lanes: Vec<Lane>,
    /// Whether a partition stands in `ready` or `woken`.
    signals: Vec<Arc<AtomicBool>>,
    /// Partitions that may have messages queued, in turn.
    pub(super) ready: VecDeque<u32>,
    pub(super) woken: Receiver<u32>,
    wake: Sender<u32>,
    /// Taken by a call that did not come to its end.
    pub(super) partial: BTreeMap<u32, MessageBlock>,
    pub(super) watch: Watch,
    pub(super) config: KafkaSourceConfig,
    /// After the lanes: it must be dropped last.
    pub(super) consumer: Arc<BaseConsumer<Context>>,
}

impl KafkaSource {
    /// Finds the topics and starts to fetch all their partitions.
    ///
    /// # Errors
    /// If no broker answers in time, a topic is missing, an offset to resume from is gone, a partition that a former run knew
    /// is missing, or a property is not usable.
    pub fn connect(config: &KafkaSourceConfig) -> Result<Self, KafkaError> {
        let Opened { lanes, consumer, finder } = open(config, |found| start_offset(config, found))?;
        let (wake, woken) = crossbeam_channel::unbounded();
        let mut source = Self {
            lanes: Vec::with_capacity(lanes.len()),
            signals: Vec::with_capacity(lanes.len()),
            ready: VecDeque::new(),
            woken,
            wake,
            partial: BTreeMap::new(),
            watch: Watch::start(finder, &config.brokers, &config.topics, config.discover_every)?,
            config: config.clone(),
            consumer,
        };
        lanes.into_iter().for_each(|lane| source.add(lane));
        Ok(source)
    }

    /// Takes a lane up, as the next number.
    pub(super) fn add(&mut self, mut lane: Lane) {
        let (signal, wake, index) = (Arc::new(AtomicBool::new(true)), self.wake.clone(), lane.index);
        self.signals.push(Arc::clone(&signal));
        lane.on_message(move || {
            if !signal.swap(true, Ordering::AcqRel) {
                // The receiver is gone only when the source is, and then nobody waits.
                let _ = wake.send(index);
            }
        });
        tracing::info!(partition = %lane.name, offset = lane.position, end = lane.end, "source connected");
        // It is looked at once: messages may have come before the callback stood.
        self.ready.push_back(index);
        self.lanes.push(lane);
    }

    /// Gathers what arrives until the deadline or until about `max_bytes` are taken, whichever is first.
    ///
    /// A lost broker is waited for; the partitions then have nothing new.
    ///
    /// # Errors
    /// If a partition cannot be read any more: its topic or its next offset is gone, or access was refused.
    pub fn poll_until(&mut self, deadline: Instant, max_bytes: usize) -> Result<Polled, KafkaError> {
        const SERVE_EVERY: Duration = Duration::from_millis(100);
        // A block is addressed with 32 bits; a gigabyte leaves room for the one message that goes beyond.
        let mut budget = max_bytes.min(1 << 30);
        let mut blocks = std::mem::take(&mut self.partial);
        loop {
            serve(&self.consumer, &self.config.brokers)?;
            self.drain_ready(&mut blocks, &mut budget)?;
            let left = until(deadline);
            if budget == 0 || left.is_zero() {
                break;
            }
            if let Ok(index) = self.woken.recv_timeout(left.min(SERVE_EVERY)) {
                self.ready.push_back(index);
            }
        }
        Ok(self.polled(blocks))
    }

    /// Takes from the partitions that have something, a share from each in turn.
    fn drain_ready(&mut self, blocks: &mut BTreeMap<u32, MessageBlock>, budget: &mut usize) -> Result<(), KafkaError> {
        const SHARE_BYTES: usize = 256 << 10;
        self.ready.extend(self.woken.try_iter());
        while *budget > 0 {
            let Some(index) = self.ready.pop_front() else { break };
            let granted = (*budget).min(SHARE_BYTES);
            let mut share = granted;
            self.take(index, blocks, &mut share, u64::MAX)?;
            *budget -= granted - share;
        }
        Ok(())
    }

    /// Takes what is queued of a partition, which goes back in line if there may be more.
    pub(super) fn take(
        &mut self,
        index: u32,
        blocks: &mut BTreeMap<u32, MessageBlock>,
        budget: &mut usize,
        stop: u64,
    ) -> Result<Taken, KafkaError> {
        let (lane, signal) = (&mut self.lanes[index as usize], &self.signals[index as usize]);
        // Lowered before the queue is looked at: what comes later raises it again.
        signal.store(false, Ordering::Release);
        let block = blocks.entry(index).or_insert_with(|| lane.block());
        let taken = lane.take(block, budget, stop, Duration::ZERO)?;
        if taken != Taken::Empty && !signal.swap(true, Ordering::AcqRel) {
            self.ready.push_back(index);
        }
        Ok(taken)
    }

    pub(super) fn polled(&mut self, blocks: BTreeMap<u32, MessageBlock>) -> Polled {
        let mut polled = Polled::default();
        for (index, block) in blocks {
            let lane = &mut self.lanes[index as usize];
            if lane.tombstones > 0 {
                *polled.ignored.entry(TOMBSTONE.to_owned()).or_default() += std::mem::take(&mut lane.tombstones);
                polled.blocks.push(block);
            } else if !block.messages.is_empty() || !block.rejects.is_empty() {
                polled.blocks.push(block);
            }
        }
        polled
    }

    /// The partitions' names, `topic[3]`, in the order of their numbers.
    pub fn partition_names(&self) -> Vec<String> {
        self.lanes.iter().map(|lane| lane.name.clone()).collect()
    }

    /// Whether the broker said that nothing follows what was returned from this partition.
    ///
    /// # Panics
    /// If there is no such partition.
    pub fn caught_up(&self, partition: u32) -> bool {
        self.lanes[partition as usize].caught_up
    }

    /// The offset after the last message returned from this partition.
    ///
    /// # Panics
    /// If there is no such partition.
    pub fn position(&self, partition: u32) -> u64 {
        self.lanes[partition as usize].position
    }

    /// A message taken of each partition, by this run or by a former one, for a run to come: the last of which it is known
    /// that the topic was still the same afterwards.
    pub fn fingerprints(&self) -> BTreeMap<String, Fingerprint> {
        self.lanes.iter().filter_map(|lane| Some((lane.name.clone(), lane.anchor.or(lane.last)?))).collect()
    }

    /// One past the partition's last offset, as last asked for by [`refresh_end_offsets`](Self::refresh_end_offsets) or told
    /// by fetches, about once a second. In a transactional topic the last offsets are marks, not messages: compare with care,
    /// or ask [`caught_up`](Self::caught_up).
    ///
    /// # Panics
    /// If there is no such partition.
    pub fn end_offset(&self, partition: u32) -> u64 {
        let lane = &self.lanes[partition as usize];
        let told = self.consumer.context().known(&lane.topic, lane.partition).and_then(|known| known.end);
        lane.end.max(lane.position).max(told.unwrap_or(0))
    }

    /// Whether the partition's leader could be reached when the client last looked, about once a second. One that cannot is
    /// waited for.
    ///
    /// # Panics
    /// If there is no such partition.
    pub fn is_connected(&self, partition: u32) -> bool {
        let lane = &self.lanes[partition as usize];
        self.consumer.context().known(&lane.topic, lane.partition).is_none_or(|known| known.is_connected)
    }

    /// What the client last complained of, whether it matters still or not.
    pub fn last_error(&self) -> Option<String> {
        self.consumer.context().last_error()
    }

    /// Asks the brokers for the end offset of every partition: one round trip each.
    ///
    /// # Errors
    /// If a broker does not answer in time.
    pub fn refresh_end_offsets(&mut self, timeout: Duration) -> Result<(), KafkaError> {
        self.lanes.iter_mut().try_for_each(|lane| lane.refresh_end(timeout))
    }
}

fn start_offset(config: &KafkaSourceConfig, found: &Found) -> Result<u64, KafkaError> {
    match &config.start {
        Start::Earliest => Ok(found.low),
        Start::Latest if config.from_oldest.contains(&found.topic) => Ok(found.low),
        Start::Latest => Ok(found.end),
        Start::Offsets(offsets) => match offsets.get(&found.name) {
            None => Ok(found.low),
            Some(offset) if (found.low..=found.end).contains(offset) => Ok(*offset),
            Some(offset) => Err(KafkaError::OffsetGone {
                partition: found.name.clone(),
                offset: *offset,
                low: found.low,
                end: found.end,
            }),
        },
    }
}
