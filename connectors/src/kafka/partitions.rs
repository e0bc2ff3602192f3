//! Which partitions a set of topics has, in the order that numbers them.

use super::KafkaError;
use super::client::{Context, metadata, offsets, partition_name};
use rdkafka::consumer::BaseConsumer;
use rdkafka::metadata::Metadata;
use std::collections::BTreeSet;
use std::time::Duration;

/// A partition to read, and what it held when it was looked up.
pub(super) struct Found {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// `topic[3]`.
    pub(super) name: String,
    /// The least offset there is.
    pub(super) low: u64,
    /// One past the greatest offset that may be read.
    pub(super) end: u64,
}

/// All partitions of the topics, by topic and partition: their place in the list is their number.
///
/// # Errors
/// If the cluster does not answer, or a topic is missing.
pub(super) fn find(
    consumer: &BaseConsumer<Context>,
    brokers: &str,
    topics: &[String],
    timeout: Duration,
) -> Result<Vec<Found>, KafkaError> {
    let topics: BTreeSet<&str> = topics.iter().map(String::as_str).collect();
    if topics.is_empty() {
        return Err(KafkaError::NoTopics);
    }
    let cluster = metadata(consumer, brokers, timeout)?;
    let mut found = Vec::new();
    for topic in topics {
        for partition in partitions_of(&cluster, brokers, topic)? {
            let (low, end) = offsets(consumer, topic, partition, timeout)?;
            found.push(Found { topic: topic.to_owned(), partition, name: partition_name(topic, partition), low, end });
        }
    }
    Ok(found)
}

/// What a number stands for.
pub(super) enum Slot {
    /// A partition to read.
    Found(Found),
    /// A partition that a former run read, of a topic that is not read now.
    Unread { name: String, topic: String, partition: i32 },
}

/// Numbers the partitions: those that a former run knew keep their numbers, the others follow in their order.
///
/// # Errors
/// If a partition that the former run read has disappeared from a topic that is still read, or a name is none.
pub(super) fn number(found: Vec<Found>, known: &[String], topics: &[String]) -> Result<Vec<Slot>, KafkaError> {
    let mut found: Vec<Option<Found>> = found.into_iter().map(Some).collect();
    let mut slots = Vec::with_capacity(found.len().max(known.len()));
    for name in known {
        let here = found.iter_mut().find(|slot| slot.as_ref().is_some_and(|found| found.name == *name));
        slots.push(match here.and_then(Option::take) {
            Some(found) => Slot::Found(found),
            None => absent(name, topics)?,
        });
    }
    slots.extend(found.into_iter().flatten().map(Slot::Found));
    Ok(slots)
}

fn absent(name: &str, topics: &[String]) -> Result<Slot, KafkaError> {
    let (topic, partition) = parse_name(name).ok_or_else(|| KafkaError::PartitionName { name: name.to_owned() })?;
    if topics.iter().any(|read| read == topic) {
        return Err(KafkaError::PartitionGone { topic: topic.to_owned(), partition });
    }
    Ok(Slot::Unread { name: name.to_owned(), topic: topic.to_owned(), partition })
}

/// Topic and partition of `topic[3]`.
fn parse_name(name: &str) -> Option<(&str, i32)> {
    let (topic, number) = name.strip_suffix(']')?.rsplit_once('[')?;
    Some((topic, number.parse().ok().filter(|number| *number >= 0)?))
}

pub(super) fn partitions_of(cluster: &Metadata, brokers: &str, topic: &str) -> Result<BTreeSet<i32>, KafkaError> {
    let known = cluster.topics().iter().find(|known| known.name() == topic && !known.partitions().is_empty());
    match known {
        Some(known) => Ok(known.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect()),
        None => Err(KafkaError::MissingTopic {
            topic: topic.to_owned(),
            brokers: brokers.to_owned(),
            hint: hint(topic, cluster.topics().iter().map(rdkafka::metadata::MetadataTopic::name)),
        }),
    }
}

/// What the user may have meant: topics of a similar name, else those there are.
fn hint<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> String {
    const LISTED: usize = 10;
    let mut names: Vec<&str> = names.filter(|name| !name.starts_with("__")).collect();
    names.sort_unstable();
    let mut similar: Vec<(usize, &str)> =
        names.iter().map(|name| (distance(wanted, name), *name)).filter(|(distance, _)| *distance <= 3).collect();
    similar.sort_unstable();
    if let Some((_, nearest)) = similar.first() {
        return format!("did you mean {nearest:?}?");
    }
    match names.len() {
        0 => "the cluster shows no topics to this client".to_owned(),
        count if count <= LISTED => format!("there are: {}", names.join(", ")),
        count => format!("there are: {} and {} more", names[..LISTED].join(", "), count - LISTED),
    }
}

/// How many letters must be changed, added or removed to make one text of the other, upper and lower case alike.
fn distance(left: &str, right: &str) -> usize {
    let (left, right) = (left.to_lowercase(), right.to_lowercase());
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (at, letter) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in right.chars().enumerate() {
            let changed = diagonal + usize::from(letter != other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[row.len() - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_partitions_keep_their_numbers_and_new_ones_follow() {
        let found = |name: &str| {
            let (topic, partition) = parse_name(name).expect("a partition's name");
            Found { topic: topic.to_owned(), partition, name: name.to_owned(), low: 0, end: 9 }
        };
        let check = |there: &[&str], known: &[&str]| -> String {
            let there = there.iter().map(|name| found(name)).collect();
            let known: Vec<String> = known.iter().map(|name| (*name).to_owned()).collect();
            match number(there, &known, &["a".to_owned(), "b[1]".to_owned()]) {
                Err(error) => error.to_string().split(';').next().unwrap_or_default().to_owned(),
                Ok(slots) => slots
                    .iter()
                    .map(|slot| match slot {
                        Slot::Found(found) => found.name.clone(),
                        Slot::Unread { name, .. } => format!("({name})"),
                    })
                    .collect::<Vec<_>>()
                    .join(" "),
            }
        };
        assert_eq!(check(&["a[0]", "a[1]", "a[2]"], &[]), "a[0] a[1] a[2]");
        assert_eq!(check(&["a[0]", "a[1]", "b[1][0]"], &["b[1][0]", "a[0]"]), "b[1][0] a[0] a[1]");
        assert_eq!(check(&["a[0]", "a[1]"], &["gone[0]", "a[1]", "gone[7]"]), "(gone[0]) a[1] (gone[7]) a[0]");
        assert_eq!(
            check(&["a[0]"], &["a[0]", "a[1]"]),
            "could not find partition 1 of topic \"a\", which a former run has read"
        );
        for name in ["a", "a[", "a[]", "a[-1]", "a[x]", "[0]]x"] {
            assert_eq!(
                check(&["a[0]"], &[name]),
                format!("could not understand the partition name {name:?} of a former run")
            );
        }
    }

    #[test]
    fn a_missing_topic_suggests_what_was_meant() {
        let many: Vec<String> = (0..12).map(|n| format!("t{n:02}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let cases: &[(&str, &[&str], &str)] = &[
            ("trade", &["bars", "trades", "__consumer_offsets"], r#"did you mean "trades"?"#),
            ("TRADES", &["trades"], r#"did you mean "trades"?"#),
            ("orders", &["bars", "trades.binance"], "there are: bars, trades.binance"),
            ("orders", &["__consumer_offsets"], "the cluster shows no topics to this client"),
            ("wanted", &many, "there are: t00, t01, t02, t03, t04, t05, t06, t07, t08, t09 and 2 more"),
        ];
        for (wanted, names, expected) in cases {
            assert_eq!(hint(wanted, names.iter().copied()), *expected);
        }
    }
}
