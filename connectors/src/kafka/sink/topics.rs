//! The topics of a sink: their names, their creation, and which partition an instrument belongs to.

use super::KafkaSinkConfig;
use crate::kafka::KafkaError;
use crate::kafka::client::{Context, configure, consumer, creation_error, metadata, until, wait_for};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::consumer::BaseConsumer;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tidewheel_schemas::{InstrumentId, Interval, TableKind};

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
    /// Of the tables beside the bars, by number.
    pub(super) tables: Vec<Topic>,
    pub(super) rejects: Topic,
    pub(super) late: Topic,
    pub(super) progress: Topic,
    pub(super) log: Option<Topic>,
}

struct Wanted {
    name: String,
    partitions: i32,
    settings: Settings,
}

/// Configuration of a topic, by name.
type Settings = &'static [(&'static str, &'static str)];

/// States by key: the last of each is kept.
const COMPACTED: Settings = &[("cleanup.policy", "compact")];

/// Events: they expire with the broker's retention.
const EXPIRING: Settings = &[("cleanup.policy", "delete")];

/// Nothing is ever removed.
const KEPT: Settings = &[("cleanup.policy", "delete"), ("retention.ms", "-1"), ("retention.bytes", "-1")];

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
            tables: config.tables.iter().map(|table| topic(&table.name())).collect(),
            rejects: topic("rejects"),
            late: topic("late"),
            progress: topic("progress"),
            log: if config.log { Some(log_topic(config, topic("bindings"))?) } else { None },
        })
    }

    /// Every topic once.
    pub(super) fn all(&self) -> impl Iterator<Item = &Topic> {
        let bars = self.bars.iter().map(|(_, topic)| topic);
        bars.chain(&self.tables).chain([&self.rejects, &self.late, &self.progress]).chain(&self.log)
    }

    pub(super) fn bars(&self, interval: Interval) -> Result<&Topic, KafkaError> {
        let found = self.bars.iter().find(|(of, _)| *of == interval);
        found.map(|(_, topic)| topic).ok_or_else(|| KafkaError::Produce {
            topic: format!("bars.{interval}"),
            detail: "the sink was not configured for this interval, add it to the sink's intervals".to_owned(),
        })
    }
}

/// Bars and rows of views are states by key, facts and dead letters are events, and a log is kept.
fn wanted(config: &KafkaSinkConfig) -> Vec<Wanted> {
    let topic = |suffix: &str, partitions, settings| Wanted {
        name: format!("{}.{suffix}", config.prefix),
        partitions,
        settings,
    };
    let bars = config.intervals.iter().map(|interval| topic(&format!("bars.{interval}"), config.partitions, COMPACTED));
    let tables = config.tables.iter().map(|table| {
        let settings = if table.kind == TableKind::View { COMPACTED } else { EXPIRING };
        topic(&table.name(), config.partitions, settings)
    });
    let letters = ["rejects", "late"].map(|suffix| topic(suffix, config.partitions, EXPIRING));
    let log = config.log.then(|| topic("bindings", 1, KEPT));
    bars.chain(tables).chain(letters).chain([topic("progress", 1, COMPACTED)]).chain(log).collect()
}

/// The topic of the log, if it is one that keeps all its records in one order.
fn log_topic(config: &KafkaSinkConfig, topic: Topic) -> Result<Topic, KafkaError> {
    let unfit = |detail: String, way_out: String| KafkaError::LogTopic { topic: topic.name.clone(), detail, way_out };
    if topic.partitions != 1 {
        let detail = format!("it has {} partitions and a log has one", topic.partitions);
        return Err(unfit(detail, "delete it and start again, or choose another topic prefix".to_owned()));
    }
    let options = AdminOptions::new().request_timeout(Some(config.connect_timeout));
    let described = wait_for(admin(config)?.describe_configs(&[ResourceSpecifier::Topic(&topic.name)], &options));
    let described = match described.map(|mut described| described.pop()) {
        Ok(Some(Ok(described))) => described,
        other => {
            let why = other.map(|described| described.and_then(Result::err)).map_or_else(
                |error| error.to_string(),
                |code| code.map_or("no answer".to_owned(), |code| code.to_string()),
            );
            tracing::warn!(topic = topic.name, why, "could not see whether the log keeps its records");
            return Ok(topic);
        }
    };
    for (name, wanted) in KEPT {
        let found = described.get(name).and_then(|entry| entry.value.as_deref());
        if found.is_some_and(|found| found != *wanted) {
            let settings: Vec<String> = KEPT.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let way_out = format!(
                "correct it with:\n  kafka-configs.sh --bootstrap-server {} --entity-type topics --entity-name {} --alter \
                 --add-config {}",
                config.brokers,
                topic.name,
                settings.join(",")
            );
            return Err(unfit(format!("its {name} is {} and must be {wanted}", found.unwrap_or_default()), way_out));
        }
    }
    Ok(topic)
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

fn admin(config: &KafkaSinkConfig) -> Result<AdminClient<Context>, KafkaError> {
    configure(&config.brokers, &config.properties, &[], &[])?
        .create_with_context(Context::default())
        .map_err(|error| creation_error(&config.brokers, error))
}

fn create(config: &KafkaSinkConfig, missing: &[Wanted]) -> Result<(), KafkaError> {
    let admin = admin(config)?;
    let topics: Vec<NewTopic<'_>> = missing
        .iter()
        .map(|topic| {
            let replication = TopicReplication::Fixed(config.replication);
            let topic_of_settings = NewTopic::new(&topic.name, topic.partitions, replication);
            topic.settings.iter().fold(topic_of_settings, |new, (name, value)| new.set(name, value))
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
        let Wanted { name, partitions, settings } = topic;
        let settings: Vec<String> = settings.iter().map(|(name, value)| format!(" --config {name}={value}")).collect();
        format!(
            "  kafka-topics.sh --bootstrap-server {} --create --topic {name} --partitions {partitions}{replication}{}",
            config.brokers,
            settings.concat()
        )
    };
    KafkaError::MissingOutputTopics {
        brokers: config.brokers.clone(),
        why: why.to_owned(),
        commands: missing.iter().map(command).collect::<Vec<_>>().join("\n"),
    }
}
