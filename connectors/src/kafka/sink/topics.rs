//! The topics of a sink: their names, their creation, and which partition an instrument belongs to.

use super::KafkaSinkConfig;
use crate::kafka::KafkaError;
use crate::kafka::client::{Context, configure, consumer, creation_error, metadata, until, wait_for};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::BaseConsumer;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tidewheel_schemas::{InstrumentId, Interval};

/// A topic to write to.
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) partitions: i32,
}

impl Topic {
    /// All records of an instrument go to one partition.
    pub(super) fn partition_of(&self, instrument: InstrumentId) -> i32 {
        // The remainder is below an i32 and not negative.
        (instrument.0 % self.partitions.unsigned_abs().max(1) as u64) as i32
    }

    /// All rejects of a source partition go to one partition.
    pub(super) fn partition_of_source(&self, source: u32) -> i32 {
        (source % self.partitions.unsigned_abs().max(1)) as i32
    }
}

/// All topics of a sink.
pub(super) struct Topics {
    bars: Vec<(Interval, Topic)>,
    pub(super) rejects: Topic,
    pub(super) late: Topic,
    pub(super) progress: Topic,
}

struct Wanted {
    name: String,
    partitions: i32,
    cleanup: &'static str,
}

impl Topics {
    /// Finds the topics and creates those missing where that is allowed.
    pub(super) fn ensure(config: &KafkaSinkConfig) -> Result<Self, KafkaError> {
        let client = consumer(&config.brokers, &config.properties, &[], "read_committed")?;
        let mut existing = existing(&client, config)?;
        let missing: Vec<Wanted> =
            wanted(config).into_iter().filter(|topic| !existing.contains_key(&topic.name)).collect();
        if !missing.is_empty() {
            if !config.create_topics {
                return Err(refusal(config, &missing, "creating topics is off"));
            }
            create(config, &missing)?;
            existing = wait_until_there(&client, config, &missing)?;
        }
        let topic = |suffix: &str| {
            let name = format!("{}.{suffix}", config.prefix);
            let partitions = existing.get(&name).copied().unwrap_or(1);
            Topic { name, partitions }
        };
        Ok(Self {
            bars: config.intervals.iter().map(|interval| (*interval, topic(&format!("bars.{interval}")))).collect(),
            rejects: topic("rejects"),
            late: topic("late"),
            progress: topic("progress"),
        })
    }

    pub(super) fn bars(&self, interval: Interval) -> Result<&Topic, KafkaError> {
        let found = self.bars.iter().find(|(of, _)| *of == interval);
        found.map(|(_, topic)| topic).ok_or_else(|| KafkaError::Produce {
            topic: format!("bars.{interval}"),
            detail: "the sink was not configured for this interval, add it to the sink's intervals".to_owned(),
        })
    }
}

/// Bars are states by key, hence compacted; dead letters are events and expire with the broker's retention.
fn wanted(config: &KafkaSinkConfig) -> Vec<Wanted> {
    let topic =
        |suffix: &str, partitions, cleanup| Wanted { name: format!("{}.{suffix}", config.prefix), partitions, cleanup };
    let bars = config.intervals.iter().map(|interval| topic(&format!("bars.{interval}"), config.partitions, "compact"));
    bars.chain([
        topic("rejects", config.partitions, "delete"),
        topic("late", config.partitions, "delete"),
        topic("progress", 1, "compact"),
    ])
    .collect()
}

/// The number of partitions of every topic that is ready to be written to.
fn existing(client: &BaseConsumer<Context>, config: &KafkaSinkConfig) -> Result<BTreeMap<String, i32>, KafkaError> {
    let cluster = metadata(client, &config.brokers, config.connect_timeout)?;
    let ready = cluster.topics().iter().filter(|topic| {
        !topic.partitions().is_empty() && topic.partitions().iter().all(|partition| partition.leader() >= 0)
    });
    let count = |partitions: usize| i32::try_from(partitions).unwrap_or(i32::MAX);
    Ok(ready.map(|topic| (topic.name().to_owned(), count(topic.partitions().len()))).collect())
}

fn create(config: &KafkaSinkConfig, missing: &[Wanted]) -> Result<(), KafkaError> {
    let admin: AdminClient<Context> = configure(&config.brokers, &config.properties, &[], &[])?
        .create_with_context(Context::default())
        .map_err(|error| creation_error(&config.brokers, error))?;
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .map(|topic| {
            let replication = TopicReplication::Fixed(config.replication);
            NewTopic::new(&topic.name, topic.partitions, replication).set("cleanup.policy", topic.cleanup)
        })
        .collect();
    let options = AdminOptions::new()
        .request_timeout(Some(config.connect_timeout))
        .operation_timeout(Some(config.connect_timeout));
    let created = wait_for(admin.create_topics(&topics, &options))
        .map_err(|error| refusal(config, missing, &format!("the broker did not create them: {error}")))?;
    for result in created {
        match result {
            // Another process was faster.
            Ok(_) | Err((_, Code::TopicAlreadyExists)) => {}
            Err((topic, code)) => {
                return Err(refusal(config, missing, &format!("the broker did not create {topic:?}: {code}")));
            }
        }
    }
    missing.iter().for_each(|topic| tracing::info!(topic = topic.name, partitions = topic.partitions, "topic created"));
    Ok(())
}

/// A created topic takes a moment to reach all brokers.
fn wait_until_there(
    client: &BaseConsumer<Context>,
    config: &KafkaSinkConfig,
    missing: &[Wanted],
) -> Result<BTreeMap<String, i32>, KafkaError> {
    const PAUSE: Duration = Duration::from_millis(50);
    let deadline = Instant::now() + config.connect_timeout;
    loop {
        let existing = existing(client, config)?;
        if missing.iter().all(|topic| existing.contains_key(&topic.name)) {
            return Ok(existing);
        }
        if until(deadline).is_zero() {
            return Err(refusal(config, missing, "they were created but are still without a leader"));
        }
        std::thread::sleep(PAUSE);
    }
}

fn refusal(config: &KafkaSinkConfig, missing: &[Wanted], why: &str) -> KafkaError {
    let replication = match config.replication {
        replicas if replicas > 0 => format!(" --replication-factor {replicas}"),
        _ => String::new(),
    };
    let command = |topic: &Wanted| {
        let Wanted { name, partitions, cleanup } = topic;
        format!(
            "  kafka-topics.sh --bootstrap-server {} --create --topic {name} --partitions {partitions}{replication} \
             --config cleanup.policy={cleanup}",
            config.brokers
        )
    };
    KafkaError::MissingOutputTopics {
        brokers: config.brokers.clone(),
        why: why.to_owned(),
        commands: missing.iter().map(command).collect::<Vec<_>>().join("\n"),
    }
}
