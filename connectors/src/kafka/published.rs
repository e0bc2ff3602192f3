//! Reads what a sink published, record by record, as a `read_committed` consumer sees it: each partition from its start to the
//! end as it was when reading began.

use super::KafkaError;
use super::client::{Context, configure, consumer, creation_error, metadata, offsets, partition_name, wait_for};
use super::known_end::{KnownEnd, passed};
use super::lane::{classify, unusable};
use super::partitions::partitions_of;
use super::sink::KafkaSinkConfig;
use rdkafka::Message;
use rdkafka::admin::{AdminClient, AdminOptions, ConfigResource, OwnedResourceSpecifier, ResourceSpecifier};
use rdkafka::consumer::base_consumer::PartitionQueue;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A topic that a sink writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedTopic {
    /// Its name after the prefix and its point.
    pub suffix: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// Whether the broker keeps only the last record of a key.
    pub is_compacted: bool,
}

/// A record as it lies in a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedRecord {
    /// Its offset.
    pub offset: u64,
    /// Its key; empty where it has none.
    pub key: Vec<u8>,
    /// Its value; none for a tombstone.
    pub value: Option<Vec<u8>>,
    /// The tick that it says it is of: in the header `tick`, else in the value.
    pub tick: Option<u64>,
    /// The header `revision`.
    pub revision: Option<u32>,
}

/// A partition being read.
pub struct PublishedPartition {
    /// `topic[3]`.
    pub name: String,
    /// The number of its topic in [`Published::topics`].
    pub topic: usize,
    /// Its number in the topic.
    pub partition: i32,
    /// The first offset that the broker still has.
    pub low: u64,
    topic_name: String,
    end: u64,
    position: u64,
    known_end: KnownEnd,
    has_ended: bool,
    has_given: bool,
    ahead: VecDeque<PublishedRecord>,
    queue: PartitionQueue<Context>,
}

/// The topics of a sink, being read.
pub struct Published {
    /// The topics.
    pub topics: Vec<PublishedTopic>,
    /// Their partitions.
    pub partitions: Vec<PublishedPartition>,
    brokers: String,
    /// After the queues: it must be dropped last.
    consumer: Arc<BaseConsumer<Context>>,
}

impl Published {
    /// Finds the topics of a sink but for that of its progress, and begins to read them.
    ///
    /// # Errors
    /// If no broker answers in time, or a topic is missing.
    pub fn open(config: &KafkaSinkConfig) -> Result<Self, KafkaError> {
        let suffixes = config.intervals.iter().map(|interval| format!("bars.{interval}"));
        let suffixes = suffixes.chain(config.tables.iter().map(|table| table.name()));
        let suffixes: Vec<String> = suffixes.chain(["late".to_owned(), "rejects".to_owned()]).collect();
        let defaults = [
            ("queued.max.messages.kbytes", "2048"),
            ("fetch.queue.backoff.ms", "5"),
            ("max.partition.fetch.bytes", "1048576"),
        ];
        let reader = Arc::new(consumer(&config.brokers, &config.properties, &defaults, "read_committed")?);
        let cluster = metadata(&reader, &config.brokers, config.connect_timeout)?;
        let compacted = compacted(config, &suffixes)?;
        let (mut topics, mut partitions) = (Vec::new(), Vec::new());
        let mut assignment = TopicPartitionList::new();
        for (suffix, is_compacted) in suffixes.into_iter().zip(compacted) {
            let topic = format!("{}.{suffix}", config.prefix);
            let found = partitions_of(&cluster, &config.brokers, &topic)?;
            for &partition in &found {
                let name = partition_name(&topic, partition);
                let (low, end) = offsets(&reader, &topic, partition, config.connect_timeout)?;
                // Before it is assigned: a queue that is split off afterwards may have lost its first messages.
                let queue = reader.split_partition_queue(&topic, partition).ok_or_else(|| KafkaError::Client {
                    brokers: config.brokers.clone(),
                    detail: format!("{name} has no queue"),
                })?;
                let offset = i64::try_from(low).map_or(Offset::Beginning, Offset::Offset);
                let added = assignment.add_partition_offset(&topic, partition, offset);
                added.map_err(|error| unusable(&config.brokers, &error))?;
                partitions.push(PublishedPartition {
                    name,
                    topic: topics.len(),
                    partition,
                    low,
                    topic_name: topic.clone(),
                    end,
                    position: low,
                    known_end: KnownEnd::default(),
                    has_ended: low >= end,
                    has_given: false,
                    ahead: VecDeque::new(),
                    queue,
                });
            }
            let count = i32::try_from(found.len()).unwrap_or(i32::MAX);
            topics.push(PublishedTopic { suffix, partitions: count, is_compacted });
        }
        reader.assign(&assignment).map_err(|error| unusable(&config.brokers, &error))?;
        Ok(Self { topics, partitions, brokers: config.brokers.clone(), consumer: reader })
    }

    /// The record of a partition that comes `ahead` records after those taken; none behind its end.
    ///
    /// # Errors
    /// If the partition cannot be read.
    pub fn peek(&mut self, partition: usize, ahead: usize) -> Result<Option<&PublishedRecord>, KafkaError> {
        /// Without any message for so long the broker counts as gone.
        const PATIENCE: Duration = Duration::from_secs(120);
        let deadline = Instant::now() + PATIENCE;
        let lane = &mut self.partitions[partition];
        while lane.ahead.len() <= ahead && !lane.has_ended {
            lane.poll(&self.consumer)?;
            // The client's own events; messages come through the queues.
            while let Some(event) = self.consumer.poll(Duration::ZERO) {
                if let Err(error) = event
                    && !matches!(error, ClientError::PartitionEOF(_))
                {
                    classify(error, &self.brokers, 0)?;
                }
            }
            if Instant::now() > deadline {
                let detail = format!("nothing came for {} s", PATIENCE.as_secs());
                return Err(KafkaError::Consume { partition: lane.name.clone(), offset: lane.position, detail });
            }
        }
        Ok(lane.ahead.get(ahead))
    }

    /// Takes the next record of a partition, if it was looked at.
    pub fn take(&mut self, partition: usize) -> Option<PublishedRecord> {
        let lane = &mut self.partitions[partition];
        let record = lane.ahead.pop_front();
        lane.has_given |= record.is_some();
        record
    }
}

impl PublishedPartition {
    /// Whether no record was taken of it yet.
    pub const fn is_at_start(&self) -> bool {
        !self.has_given
    }

    /// Waits a little for a record, or until the end is passed.
    fn poll(&mut self, consumer: &BaseConsumer<Context>) -> Result<(), KafkaError> {
        match self.queue.poll(Duration::from_millis(100)) {
            // The last offsets before the end may be marks of transactions, which are no messages.
            nothing @ (None | Some(Err(ClientError::PartitionEOF(_)))) => {
                let passed = passed(consumer, &self.topic_name, self.partition).unwrap_or(0).max(self.position);
                let partition = (self.topic_name.as_str(), self.partition);
                let is_drained = nothing.is_none();
                self.has_ended = self.known_end.is_reached(consumer, partition, passed, self.end, is_drained)?;
            }
            Some(Ok(message)) => {
                let offset = message.offset().unsigned_abs();
                if offset >= self.end {
                    self.has_ended = true;
                } else if offset >= self.position {
                    self.ahead.push_back(record(&message, offset));
                    self.position = offset + 1;
                    self.has_ended = self.position >= self.end;
                }
            }
            Some(Err(error)) => classify(error, &self.name, self.position)?,
        }
        Ok(())
    }
}

fn record(message: &BorrowedMessage<'_>, offset: u64) -> PublishedRecord {
    let header = |name: &str| {
        let headers = message.headers()?;
        let value = headers.iter().find(|header| header.key == name)?.value?;
        std::str::from_utf8(value).ok()
    };
    let value = message.payload().map(<[u8]>::to_vec);
    PublishedRecord {
        offset,
        key: message.key().unwrap_or_default().to_vec(),
        tick: header("tick").map_or_else(|| tick_of(value.as_deref()?), |tick| tick.parse().ok()),
        revision: header("revision").and_then(|revision| revision.parse().ok()),
        value,
    }
}

/// The tick in a value: letters have no headers.
fn tick_of(value: &[u8]) -> Option<u64> {
    #[derive(serde::Deserialize)]
    struct Letter {
        tick: u64,
    }
    serde_json::from_slice::<Letter>(value).ok().map(|letter| letter.tick)
}

/// Which of the topics keep only the last record of a key.
fn compacted(config: &KafkaSinkConfig, suffixes: &[String]) -> Result<Vec<bool>, KafkaError> {
    let admin: AdminClient<Context> = configure(&config.brokers, &config.properties, &[], &[])?
        .create_with_context(Context::default())
        .map_err(|error| creation_error(&config.brokers, error))?;
    let names: Vec<String> = suffixes.iter().map(|suffix| format!("{}.{suffix}", config.prefix)).collect();
    let topics: Vec<ResourceSpecifier<'_>> = names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(config.connect_timeout));
    let described = wait_for(admin.describe_configs(&topics, &options));
    let described = described.map_err(|error| unusable(&config.brokers, &error))?;
    let is_compacted = |resource: &ConfigResource| {
        let policy = resource.get("cleanup.policy").and_then(|entry| entry.value.as_deref());
        policy.is_some_and(|policy| policy.contains("compact"))
    };
    // A topic that is missing is told of by name elsewhere.
    let resources: Vec<ConfigResource> = described.into_iter().filter_map(Result::ok).collect();
    let of_name = |name: &String| {
        resources.iter().find(|resource| matches!(&resource.specifier, OwnedResourceSpecifier::Topic(of) if of == name))
    };
    Ok(names.iter().map(|name| of_name(name).is_some_and(is_compacted)).collect())
}
