//! `tidewheel run` while a market with every trouble arrives: the same bars as from a file, in the topics and in the lake.

use super::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, WITHOUT_CONFLICTS, counts_of, market};
use super::program::Setup;
use super::readers::{Bars, Record, bars_of_lake, key_of, records, same, values_of, versions_of_lake};
use crate::harness::kafka::{PATIENCE, broker, unique};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tidewheel_schemas::{Counters, Interval};

/// Runs over a market of which a third is there before (all of a lopsided one: how far a partition lags is then up to the
/// reader alone, not to the producer's pauses), and holds everything that came out against the file's replay.
fn check(recorded: &Recorded, spread: Spread, adjust: impl FnOnce(&mut Setup), replay_arguments: &[&str]) -> Setup {
    let brokers = broker().address();
    let topic = broker().topic("trades", PARTITIONS);
    let mut setup = Setup::new(brokers, &topic, recorded.folder());
    adjust(&mut setup);
    let all = recorded.messages.len();
    let before = if spread == Spread::Lopsided { all } else { all / 3 };
    recorded.send(brokers, &topic, 0..before, spread);
    let mut run = setup.start();
    recorded.send(brokers, &topic, before..(all * 2 / 3).max(before), spread);
    recorded.send(brokers, &topic, (all * 2 / 3).max(before)..all, spread);
    let counters = run.wait_until_read(all as u64);
    let printed = run.stop();
    recorded.check_counters(&counters);
    let (expected, counts) = recorded.replayed_with(replay_arguments);
    assert_eq!(counts_of(&printed), counts);
    same(&bars_of_lake(&setup.lake), &expected);
    topics_hold_the_lake(&setup.brokers, &setup.prefix, &setup.lake);
    letters_are_complete(&setup, &counters);
    setup
}

/// Every final bar of the lake is the last word of its topic, and what is open is absent or provisional there.
pub fn topics_hold_the_lake(brokers: &str, prefix: &str, lake: &Path) {
    let mut last: BTreeMap<String, Record> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for interval in Interval::ALL {
        for record in records(brokers, &format!("{prefix}.bars.{interval}")) {
            let version = (record.key.clone(), record.headers["tick"].clone(), record.revision().to_owned());
            assert!(seen.insert(version), "written twice: {record:?}");
            last.insert(record.key.clone(), record);
        }
    }
    let (mut of_lake, mut of_topics) = (Bars::new(), Bars::new());
    for version in versions_of_lake(lake) {
        let key = key_of(&version);
        match version.is_final {
            true => drop(of_lake.insert(key, format!("{} {}", version.revision, values_of(&version).expect("a bar")))),
            false => assert!(last.remove(&key).is_none_or(|record| !record.is_final()), "{key} is open"),
        }
    }
    for (key, record) in last {
        if let Some(values) = record.values() {
            assert!(record.is_final(), "{key} is final in the lake or open there: {record:?}");
            of_topics.insert(key, format!("{} {values}", record.revision()));
        }
    }
    same(&of_topics, &of_lake);
}

/// As many dead letters and late records as counted, each with another source position.
pub fn letters_are_complete(setup: &Setup, counters: &Counters) {
    for (suffix, count) in [("rejects", counters.rejected), ("late", counters.late)] {
        let letters = records(&setup.brokers, &format!("{}.{suffix}", setup.prefix));
        let keys: BTreeSet<&String> = letters.iter().map(|letter| &letter.key).collect();
        assert_eq!((letters.len() as u64, keys.len() as u64), (count, count), "{suffix}");
    }
}

#[test]
fn keyed_messages_give_the_bars_of_the_file_and_other_groups_notice_nothing() {
    let recorded = Recorded::new(market(1, 6_000, ALL_FAULTS));
    let mut others = None;
    check(&recorded, Spread::Keyed, |setup| others = Some(OtherGroup::of(&setup.topic)), &[]);
    others.expect("made before the run").noticed_nothing();
}

#[test]
fn messages_without_keys_and_provisional_bars_every_second_give_the_same() {
    let recorded = Recorded::new(market(2, 6_000, WITHOUT_CONFLICTS));
    let provisional = |setup: &mut Setup| setup.bars = "provisional_every = \"1s\"\n".to_owned();
    let setup = check(&recorded, Spread::InTurn, provisional, &[]);
    let days = records(&setup.brokers, &format!("{}.bars.1d", setup.prefix));
    assert!(!days.is_empty() && days.iter().all(|record| !record.is_final()), "the day is open and was shown");
}

#[test]
fn a_partition_that_lags_loses_nothing_though_the_horizon_is_short() {
    let mut config = market(3, 12_000, WITHOUT_CONFLICTS);
    config.horizon_ns = 60_000_000_000;
    let recorded = Recorded::new(config);
    let short = |setup: &mut Setup| {
        setup.workers = 1;
        setup.bars = "provisional_every = \"none\"\nhorizon = \"1m\"\ntick = \"10ms\"\n".to_owned();
    };
    check(&recorded, Spread::Lopsided, short, &["--horizon", "1m"]);
}

#[test]
fn without_transactions_the_bars_are_the_same() {
    let recorded = Recorded::new(market(4, 3_000, ALL_FAULTS));
    check(&recorded, Spread::Keyed, |setup| setup.kafka += "transactions = false\n", &[]);
}

/// Another reader of a topic, in a group of its own, which has read seven messages of each partition.
struct OtherGroup {
    consumer: BaseConsumer,
    offsets: TopicPartitionList,
}

impl OtherGroup {
    fn of(topic: &str) -> Self {
        let mut config = broker().client();
        config.set("group.id", unique("others")).set("enable.auto.commit", "false");
        let consumer: BaseConsumer = config.create().expect("the configuration is valid");
        let mut offsets = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            offsets.add_partition_offset(topic, partition, Offset::Offset(7)).expect("a valid offset");
        }
        consumer.commit(&offsets, CommitMode::Sync).expect("the broker keeps offsets");
        Self { consumer, offsets }
    }

    fn noticed_nothing(&self) {
        let committed = self.consumer.committed_offsets(self.offsets.clone(), PATIENCE);
        assert_eq!(committed.expect("the broker tells offsets"), self.offsets);
        let groups = self.consumer.fetch_group_list(None, PATIENCE).expect("the broker tells its groups");
        assert!(groups.groups().iter().all(|group| group.name() != "tidewheel"), "no group of ours appears");
    }
}
