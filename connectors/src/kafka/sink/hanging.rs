//! Transactions that a broker forgot to end.
//!
//! A coordinator ends a transaction in every partition that it touched, and passes over those that have no leader at that
//! moment as if they were deleted. So does a broker that starts after it was killed and finds a transaction that was just
//! committed, or has timed out meanwhile (seen with Kafka 4.3). To the coordinator the transaction has ended; in the partitions
//! its records stay open for ever. Readers of committed records wait behind them, and worse: whatever ends the next transaction
//! of the same producer there ends this one too, with a commit or a rollback as it comes.
//!
//! So before a sink writes anything, it looks where committed records end before all records do, and ends a transaction of its
//! own there. The progress record says how: it is sent when all other records of its transaction are there, and the commit is
//! asked for after it. Where it is among what is open, all is there, and may have been reported as committed: it is committed.
//! Else nobody was told so, and it is rolled back.

use super::KafkaSinkConfig;
use super::committed::Committed;
use super::topics::Topics;
use super::writer::Writer;
use crate::kafka::KafkaError;
use crate::kafka::client::{Context, consumer, is_between_leaders, until};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::time::{Duration, Instant};

/// The key of the records that end a transaction in a partition. They have no value: no bar has ever had this key. Readers see
/// them where a commit was forgotten, and where they read what was rolled back.
const KEY: &[u8] = b"tidewheel|nothing|1s|0";

/// How what was left open ends.
enum Fate {
    Committed(Vec<u8>),
    RolledBack,
    /// Others write to the progress topic too, and it cannot be told.
    Unknown,
}

/// Ends what a former producer of the same transactional id left open although its transactions have ended.
pub(super) fn end(config: &KafkaSinkConfig, writer: &mut Writer, topics: &Topics) -> Result<(), KafkaError> {
    let ends = |isolation: &str| -> Result<TopicPartitionList, KafkaError> {
        let client = consumer(&config.brokers, &config.properties, &[], isolation)?;
        ends(&client, config, topics)
    };
    // In this order: what is committed meanwhile does not look open.
    let (all, committed) = (ends("read_uncommitted")?, ends("read_committed")?);
    let readable = |topic: &str, partition: i32| match committed.find_partition(topic, partition)?.offset() {
        Offset::Offset(readable) => Some(readable),
        _ => None,
    };
    let is_open = |topic: &str, partition: i32, end: Offset| match (readable(topic, partition), end) {
        (Some(readable), Offset::Offset(end)) => readable < end,
        _ => false,
    };
    let elements = all.elements();
    let open = elements.iter().filter(|found| is_open(found.topic(), found.partition(), found.offset()));
    let open: Vec<(&str, i32)> = open.map(|found| (found.topic(), found.partition())).collect();
    if open.is_empty() {
        return Ok(());
    }
    let progress = topics.progress.name.as_str();
    let fate = match open.iter().any(|(topic, _)| *topic == progress) {
        true => fate(config, progress, readable(progress, 0).unwrap_or_default().unsigned_abs())?,
        false => Fate::RolledBack,
    };
    let last = match &fate {
        Fate::Unknown => {
            tracing::warn!(partitions = ?open, "records are open, and it cannot be told whose: nothing is done about them");
            return Ok(());
        }
        Fate::Committed(last) => Some(last),
        Fate::RolledBack => None,
    };
    let is_committed = last.is_some();
    tracing::warn!(partitions = ?open, is_committed, "records were left open by a broker that did not end their transaction");
    writer.begin()?;
    for (topic, partition) in open.into_iter().filter(|(topic, _)| !is_committed || *topic != progress) {
        let headers = [("tick", "0"), ("revision", "0"), ("schema", "tidewheel.nothing")];
        let headers = headers
            .into_iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        writer.send(topic, partition, Some(KEY), None, Some(headers))?;
    }
    match last {
        Some(last) => writer.commit_with(progress, last),
        None => {
            // A partition takes part in the transaction once a record is there.
            writer.settle()?;
            writer.abort()
        }
    }
}

/// Whether this sink's progress is among what is open in the progress topic.
fn fate(config: &KafkaSinkConfig, topic: &str, readable: u64) -> Result<Fate, KafkaError> {
    let open = Committed::open_with_all(config, topic)?;
    let (mut found, mut next) = (Fate::RolledBack, readable);
    open.scan(readable, |message| {
        let offset = message.offset().unsigned_abs();
        // What ends a transaction takes an offset and is not shown: this one may have ended, and only another is open.
        if offset != next && matches!(found, Fate::Committed(_)) {
            found = Fate::Unknown;
        }
        next = offset + 1;
        if message.key() == Some(config.transactional_id.as_bytes()) {
            found = message.payload().map_or(Fate::Unknown, |value| Fate::Committed(value.to_vec()));
        }
        Ok(())
    })?;
    match found {
        Fate::Committed(_) if next != open.end => Ok(Fate::Unknown),
        found => Ok(found),
    }
}

/// Where the partitions of all topics end, for readers of the client's isolation.
fn ends(
    client: &BaseConsumer<Context>,
    config: &KafkaSinkConfig,
    topics: &Topics,
) -> Result<TopicPartitionList, KafkaError> {
    const RETRY_PAUSE: Duration = Duration::from_millis(20);
    let mut wanted = TopicPartitionList::new();
    for topic in topics.all() {
        for partition in 0..topic.partitions {
            // In place of a time: the end.
            let added = wanted.add_partition_offset(&topic.name, partition, Offset::End);
            added.map_err(|error| unreadable(config, &error))?;
        }
    }
    let deadline = Instant::now() + config.connect_timeout;
    loop {
        let answer = client.offsets_for_times(wanted.clone(), until(deadline)).and_then(|ends| {
            let failed = ends.elements().iter().find_map(|found| found.error().err());
            failed.map_or(Ok(ends), Err)
        });
        match answer {
            Ok(ends) => return Ok(ends),
            // As just after a topic was created.
            Err(error) if is_between_leaders(&error) && !until(deadline).is_zero() => {
                drop(client.poll(until(deadline).min(RETRY_PAUSE)));
            }
            Err(error) => return Err(unreadable(config, &error)),
        }
    }
}

fn unreadable(config: &KafkaSinkConfig, error: &rdkafka::error::KafkaError) -> KafkaError {
    KafkaError::Offsets { partition: format!("{}.*", config.prefix), detail: error.to_string() }
}
