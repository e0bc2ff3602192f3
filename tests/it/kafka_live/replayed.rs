//! `tidewheel replay` from a topic and into topics.

use super::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, WITHOUT_CONFLICTS, counts_of, market};
use super::program::{fails, succeeds, tidewheel};
use super::readers::{bars_of_lake, bars_of_topics, same, versions_of_lake};
use crate::harness::kafka::{broker, unique};
use std::process::Command;

#[test]
fn a_topic_replays_as_the_file_does_and_into_topics_too() {
    for (seed, spread, faults) in [(7, Spread::Keyed, ALL_FAULTS), (8, Spread::InTurn, WITHOUT_CONFLICTS)] {
        let recorded = Recorded::new(market(seed, 5_000, faults));
        let (brokers, prefix) = (broker().address(), unique("replayed"));
        let topic = broker().topic("recorded", PARTITIONS);
        recorded.send_all(brokers, &topic, spread);
        let lake = recorded.folder().join("lake");
        let command = |lake: &std::path::Path| -> Command {
            let mut command = tidewheel(&["replay", "--quiet", "--brokers", brokers, "--topic", &topic]);
            command.args(["--format", "canonical", "--kafka", brokers, "--prefix", &prefix, "--lake"]).arg(lake);
            command
        };
        let printed = succeeds(command(&lake));
        let (expected, counts) = recorded.replayed();
        assert_eq!(counts_of(&printed), counts, "{spread:?}");
        same(&bars_of_lake(&lake), &expected);
        assert!(versions_of_lake(&lake).iter().all(|version| version.is_final), "the end makes every bar final");
        same(&bars_of_topics(brokers, &prefix), &expected);
        super::running::topics_hold_the_lake(brokers, &prefix, &lake);

        let complaint = fails(command(&recorded.folder().join("second")), 2);
        assert!(complaint.contains("choose another --prefix"), "{complaint}");
    }
}
