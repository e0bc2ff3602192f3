//! What topics a cluster has, with their partitions and offsets: for a person who wants to know before starting a run.

use super::KafkaError;
use super::client::{Properties, consumer, metadata, offsets};
use rdkafka::metadata::MetadataPartition;
use std::time::Duration;

/// A topic of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicListing {
    /// Its name.
    pub topic: String,
    /// Its partitions, by number.
    pub partitions: Vec<PartitionListing>,
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionListing {
    /// Its number.
    pub partition: i32,
    /// The broker that leads it; none while there is no leader.
    pub leader: Option<i32>,
    /// The least offset there is, and one past the greatest; or why they are not known.
    pub offsets: Result<(u64, u64), String>,
}

impl TopicListing {
    /// Offsets between the ends of all partitions: the messages there are at most.
    pub fn messages(&self) -> u64 {
        self.partitions.iter().filter_map(|partition| partition.offsets.as_ref().ok()).map(|(low, end)| end - low).sum()
    }
}

/// How many partitions a topic has; none where the cluster shows no such topic.
///
/// # Errors
/// If no broker answers in time, or a property is not usable.
pub fn partitions_of(
    brokers: &str,
    topic: &str,
    properties: &Properties,
    timeout: Duration,
) -> Result<Option<usize>, KafkaError> {
    let client = consumer(brokers, properties, &[], "read_committed")?;
    let cluster = metadata(&client, brokers, timeout)?;
    let found = cluster.topics().iter().find(|found| found.name() == topic);
    Ok(found.map(|found| found.partitions().len()).filter(|partitions| *partitions > 0))
}

/// All topics that the client may see, Kafka's own left out, by name.
///
/// # Errors
/// If no broker answers in time, or a property is not usable. A partition that cannot be asked is part of the listing.
pub fn list_topics(brokers: &str, properties: &Properties, timeout: Duration) -> Result<Vec<TopicListing>, KafkaError> {
    let client = consumer(brokers, properties, &[], "read_committed")?;
    let cluster = metadata(&client, brokers, timeout)?;
    let partition_of = |topic: &str, partition: &MetadataPartition| PartitionListing {
        partition: partition.id(),
        leader: Some(partition.leader()).filter(|leader| *leader >= 0),
        offsets: match partition.leader() {
            leader if leader < 0 => Err("no leader".to_owned()),
            _ => offsets(&client, topic, partition.id(), timeout).map_err(|error| error.to_string()),
        },
    };
    let mut topics: Vec<TopicListing> = cluster
        .topics()
        .iter()
        .filter(|topic| !topic.name().starts_with("__"))
        .map(|topic| TopicListing {
            topic: topic.name().to_owned(),
            partitions: topic.partitions().iter().map(|partition| partition_of(topic.name(), partition)).collect(),
        })
        .collect();
    topics.sort_by(|left, right| left.topic.cmp(&right.topic));
    topics.iter_mut().for_each(|topic| topic.partitions.sort_by_key(|partition| partition.partition));
    Ok(topics)
}
