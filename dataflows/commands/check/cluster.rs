//! What the clusters say: topics to read with their offsets, topics to write and whether they are there.

use super::Findings;
use crate::config::Config;
use std::collections::BTreeMap;
use std::time::Duration;
use tidewheel_connectors::kafka::check::{TopicListing, list_topics};

/// Partitions shown of a topic; of the others the sum.
const PARTITIONS_SHOWN: usize = 12;
/// Topics named where the wanted one is missing.
const TOPICS_NAMED: usize = 10;

/// What was asked for: brokers and properties.
type Asked = (String, BTreeMap<String, String>);

/// Clusters, each asked once: one that does not answer should not be waited for twice.
pub struct Clusters {
    timeout: Duration,
    answers: BTreeMap<Asked, Option<Vec<TopicListing>>>,
}

impl Clusters {
    /// Nobody asked yet; each has so long to answer.
    pub const fn new(timeout: Duration) -> Self {
        Self { timeout, answers: BTreeMap::new() }
    }

    /// Its topics; nothing, and once a problem, where it does not answer.
    fn topics(&mut self, asked: Asked, findings: &mut Findings) -> Option<&[TopicListing]> {
        let timeout = self.timeout;
        let answer = self.answers.entry(asked).or_insert_with_key(|(brokers, properties)| {
            list_topics(brokers, properties, timeout).map_err(|error| findings.problem(error.to_string())).ok()
        });
        answer.as_deref()
    }

    /// Finds the topics to read.
    pub fn source(&mut self, config: &Config, findings: &mut Findings) {
        let (source, settings) = (&config.source, config.kafka_source());
        let plain = |value: toml::Value| value.as_str().map(str::to_owned).unwrap_or_default();
        let word = |value: Result<toml::Value, _>| value.map(plain).unwrap_or_default();
        let (format, start) = (word(toml::Value::try_from(source.format)), word(toml::Value::try_from(source.start)));
        let isolation = word(toml::Value::try_from(source.isolation));
        findings.fact("read", format!("kafka {}, format {format}, from {start}, {isolation}", source.brokers));
        for (name, value) in source.properties.masked() {
            findings.fact("", format!("  {name} = {value}"));
        }
        let topics = self.topics((settings.brokers, settings.properties), findings).map(<[_]>::to_vec);
        for wanted in &source.topics {
            match &topics {
                None => findings.fact("", format!("  {wanted}: not checked")),
                Some(topics) => source_topic("source.topics", wanted, topics, findings),
            }
        }
        if let (Some(wanted), Some(topics)) = (&config.control.topic, &topics) {
            source_topic("control.topic", wanted, topics, findings);
            let partitions = topics.iter().find(|topic| topic.topic == *wanted).map(|topic| topic.partitions.len());
            if partitions.is_some_and(|partitions| partitions != 1) {
                findings
                    .problem(format!("control.topic {wanted:?} must have one partition: its records need an order"));
            }
        }
    }

    /// Finds the topics to write.
    pub fn output(&mut self, config: &Config, findings: &mut Findings) {
        let Some(sink) = config.kafka_sink("") else { return };
        let how = if sink.transactions {
            format!("exactly once, as {:?}", sink.transactional_id)
        } else {
            "at least once".to_owned()
        };
        findings.fact("write", format!("kafka {}, {how}", sink.brokers));
        let masked = config.kafka().map(|kafka| kafka.properties.masked().collect::<Vec<_>>());
        for (name, value) in masked.unwrap_or_default() {
            findings.fact("", format!("  {name} = {value}"));
        }
        let asked = (sink.brokers.clone(), sink.properties.clone());
        let topics = self.topics(asked, findings).map(<[_]>::to_vec);
        let mut missing = Vec::new();
        for name in config.output_topics() {
            let state = match topics.as_deref().map(|topics| topics.iter().find(|topic| topic.topic == name)) {
                None => "not checked".to_owned(),
                Some(Some(found)) => format!("exists, {}", count(found.partitions.len(), "partition")),
                Some(None) if sink.create_topics => {
                    // Progress is one sequence, so one partition.
                    let partitions =
                        if name.ends_with(".progress") { 1 } else { sink.partitions.unsigned_abs() as usize };
                    format!("would be created, {}", count(partitions, "partition"))
                }
                Some(None) => {
                    missing.push(name.clone());
                    "missing".to_owned()
                }
            };
            findings.fact("", format!("  {name}: {state}"));
        }
        if !missing.is_empty() {
            findings.problem(format!(
                "output topics are missing at {}: {}; create them, or set kafka.create_topics to true",
                sink.brokers,
                missing.join(", ")
            ));
        }
    }
}

fn source_topic(field: &str, wanted: &str, topics: &[TopicListing], findings: &mut Findings) {
    let Some(found) = topics.iter().find(|topic| topic.topic == wanted) else {
        findings.fact("", format!("  {wanted}: missing"));
        return findings.problem(format!("could not find {field} {wanted:?}; {}", hint(wanted, topics)));
    };
    let (partitions, messages) = (count(found.partitions.len(), "partition"), found.messages());
    findings.fact("", format!("  {wanted}: {partitions}, up to {messages} messages"));
    for partition in found.partitions.iter().take(PARTITIONS_SHOWN) {
        let name = format!("{wanted}[{}]", partition.partition);
        match &partition.offsets {
            Ok((low, end)) => findings.fact("", format!("    {name}: offsets {low} to {end}")),
            Err(detail) => {
                findings.fact("", format!("    {name}: {detail}"));
                findings.problem(format!("could not ask {name} for its offsets: {detail}; see to its brokers"));
            }
        }
    }
    if let Some(more) = found.partitions.len().checked_sub(PARTITIONS_SHOWN).filter(|more| *more > 0) {
        findings.fact("", format!("    and {more} more"));
    }
}

/// What may have been meant: a name that is near, else those there are.
fn hint(wanted: &str, topics: &[TopicListing]) -> String {
    let distance = |name: &str| strsim::damerau_levenshtein(&wanted.to_lowercase(), &name.to_lowercase());
    let nearest = topics.iter().map(|topic| (distance(&topic.topic), topic.topic.as_str())).min();
    match nearest {
        None => "the cluster shows no topics to this client".to_owned(),
        Some((distance, name)) if distance <= 1 + wanted.len() / 4 => format!("did you mean {name:?}?"),
        Some(_) => {
            let names: Vec<&str> = topics.iter().take(TOPICS_NAMED).map(|topic| topic.topic.as_str()).collect();
            let more = match topics.len().saturating_sub(TOPICS_NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!("there are {}{more}", names.join(", "))
        }
    }
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
