//! The progress record: how far a sink came, committed in the same transaction as the records it speaks of.

use super::KafkaSinkConfig;
use crate::kafka::KafkaError;
use crate::kafka::client::{Context, consumer, offsets, partition_name};
use crate::kafka::lane::classify;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use tidewheel_schemas::Counters;

/// How far a sink came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The sink.
    pub transactional_id: String,
    /// All ticks through this one are written, milliseconds since the epoch; none before the first.
    pub committed_tick: Option<u64>,
    /// Records after that tick that are written too: a tick larger than a transaction is cut.
    pub records_done: u64,
    /// Which run wrote it, for people.
    pub run: String,
    /// The program's version.
    pub version: String,
    /// All counts from the start of the run through the committed tick.
    pub counters: Counters,
}

impl Progress {
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers, texts, and maps keyed by text always encode")
    }
}

/// The last committed progress of the sink; the default where there is none.
///
/// The end to read to is asked for without regard to transactions and then waited for: a transaction of another sink may
/// hold back what can be read, and a record of ours may lie behind it.
pub(super) fn read(config: &KafkaSinkConfig, topic: &str) -> Result<Progress, KafkaError> {
    const FIRST_SUFFIX: u64 = 256;
    const GROWTH: u64 = 16;
    let seeing_all = consumer(&config.brokers, &config.properties, &[], "read_uncommitted")?;
    let (low, end) = offsets(&seeing_all, topic, 0, config.connect_timeout)?;
    let reader = consumer(&config.brokers, &config.properties, &[], "read_committed")?;
    wait_for_end(&reader, config, topic, end)?;
    let mut suffix = FIRST_SUFFIX;
    loop {
        let from = low.max(end.saturating_sub(suffix));
        if let Some(found) = scan(&reader, config, topic, from)? {
            return Ok(found);
        }
        if from == low {
            return Ok(Progress::default());
        }
        suffix = suffix.saturating_mul(GROWTH);
    }
}

/// Waits until all transactions that began before `end` are finished. The broker's transaction timeout bounds it.
fn wait_for_end(
    reader: &BaseConsumer<Context>,
    config: &KafkaSinkConfig,
    topic: &str,
    end: u64,
) -> Result<(), KafkaError> {
    const PAUSE: Duration = Duration::from_millis(50);
    const SAY_SO_AFTER: Duration = Duration::from_secs(5);
    let mut said = Instant::now();
    loop {
        let (_, readable) = offsets(reader, topic, 0, config.connect_timeout)?;
        if readable >= end {
            return Ok(());
        }
        if said.elapsed() >= SAY_SO_AFTER {
            tracing::warn!(topic, readable, end, "waiting for another sink's open transaction");
            said = Instant::now();
        }
        std::thread::sleep(PAUSE);
    }
}

/// The sink's last record from an offset to the end, where there is one. A record without a value sets the progress back.
fn scan(
    reader: &BaseConsumer<Context>,
    config: &KafkaSinkConfig,
    topic: &str,
    from: u64,
) -> Result<Option<Progress>, KafkaError> {
    let name = partition_name(topic, 0);
    let mut assignment = TopicPartitionList::new();
    assignment
        .add_partition_offset(topic, 0, i64::try_from(from).map_or(Offset::Beginning, Offset::Offset))
        .and_then(|()| reader.assign(&assignment))
        .map_err(|error| KafkaError::Offsets { partition: name.clone(), detail: error.to_string() })?;
    let mut last = None;
    loop {
        match reader.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) if message.key() == Some(config.transactional_id.as_bytes()) => {
                last = Some(match message.payload() {
                    None => Progress::default(),
                    Some(payload) => parse(payload, config, topic, message.offset())?,
                });
            }
            Some(Ok(_)) => {}
            Some(Err(ClientError::PartitionEOF(_))) => return Ok(last),
            Some(Err(error)) => classify(error, &name, from)?,
        }
    }
}

fn parse(payload: &[u8], config: &KafkaSinkConfig, topic: &str, offset: i64) -> Result<Progress, KafkaError> {
    serde_json::from_slice(payload).map_err(|error| KafkaError::Progress {
        topic: topic.to_owned(),
        transactional_id: config.transactional_id.clone(),
        offset,
        detail: error.to_string(),
    })
}
