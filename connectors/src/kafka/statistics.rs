//! What librdkafka says of itself now and then: where each partition ends, and whether its broker can be reached.
//!
//! This costs no round trip: the client learns the ends from the answers to its own fetches.

use serde::Deserialize;
use std::collections::BTreeMap;

/// What the client knows of the partitions that it reads, by topic and number.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    partitions: BTreeMap<(String, i32), Known>,
}

/// What the client knows of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// One past the last offset; none before the first fetch.
    pub(super) end: Option<u64>,
    /// The offset that is fetched next: all before it is queued, or was given out, or is not to be shown. None before the first
    /// fetch.
    pub(super) next: Option<u64>,
    /// Whether there is a connection to its leader.
    pub(super) is_connected: bool,
}

/// The part of librdkafka's statistics that is of use here; see its STATISTICS.md.
#[derive(Deserialize)]
struct Raw {
    brokers: BTreeMap<String, RawBroker>,
    topics: BTreeMap<String, RawTopic>,
}

#[derive(Deserialize)]
struct RawBroker {
    nodeid: i64,
    state: String,
}

#[derive(Deserialize)]
struct RawTopic {
    partitions: BTreeMap<String, RawPartition>,
}

#[derive(Deserialize)]
struct RawPartition {
    partition: i32,
    leader: i64,
    hi_offset: i64,
    next_offset: i64,
}

impl Statistics {
    /// Reads librdkafka's JSON; nothing if it is of another form.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let raw: Raw = serde_json::from_slice(json).ok()?;
        let is_up = |leader: i64| raw.brokers.values().any(|broker| broker.nodeid == leader && broker.state == "UP");
        let mut partitions = BTreeMap::new();
        for (topic, RawTopic { partitions: of_topic }) in raw.topics {
            // Number -1 stands for messages that have no partition yet.
            for partition in of_topic.into_values().filter(|partition| partition.partition >= 0) {
                let known = Known {
                    // Negative where nothing is known.
                    end: u64::try_from(partition.hi_offset).ok(),
                    next: u64::try_from(partition.next_offset).ok(),
                    is_connected: partition.leader >= 0 && is_up(partition.leader),
                };
                partitions.insert((topic.clone(), partition.partition), known);
            }
        }
        Some(Self { partitions })
    }

    /// What is known of a partition.
    pub(super) fn of(&self, topic: &str, partition: i32) -> Option<Known> {
        self.partitions.get(&(topic.to_owned(), partition)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_and_connections_are_read_off() {
        let json = br#"{
            "name": "rdkafka#consumer-1", "ts": 1,
            "brokers": {
                "a:9092/1": {"name": "a:9092/1", "nodeid": 1, "state": "UP", "toppars": {}},
                "b:9092/2": {"name": "b:9092/2", "nodeid": 2, "state": "TRY_CONNECT"},
                "a:9092/bootstrap": {"nodeid": -1, "state": "UP"}
            },
            "topics": {"trades": {"topic": "trades", "partitions": {
                "0": {"partition": 0, "leader": 1, "hi_offset": 17, "next_offset": 16, "ls_offset": 15},
                "1": {"partition": 1, "leader": 2, "hi_offset": -1001, "next_offset": -1001},
                "2": {"partition": 2, "leader": -1, "hi_offset": 4, "next_offset": 4},
                "-1": {"partition": -1, "leader": -1, "hi_offset": -1001, "next_offset": 0}
            }}}
        }"#;
        let statistics = Statistics::parse(json).expect("the form of librdkafka");
        let known = |end, next, is_connected| Some(Known { end, next, is_connected });
        assert_eq!(statistics.of("trades", 0), known(Some(17), Some(16), true));
        assert_eq!(statistics.of("trades", 1), known(None, None, false));
        assert_eq!(statistics.of("trades", 2), known(Some(4), Some(4), false));
        assert_eq!(statistics.of("trades", -1), None);
        assert_eq!(statistics.of("other", 0), None);
        assert!(Statistics::parse(b"{}").is_none() && Statistics::parse(b"no").is_none());
    }
}
