//! Rows of features through the whole pipeline: files and topics in, lake and topics out, on any number of workers.

use super::oracle::{Key, check, versions};
use crate::harness::kafka::broker;
use crate::kafka_live::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, WITHOUT_CONFLICTS, market};
use crate::kafka_live::program::{Setup, succeeds, tidewheel};
use crate::kafka_live::readers::{payloads, records};
use crate::recorded::verified::identical;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tidewheel_connectors::generate::{Faults, MarketConfig};
use tidewheel_operators::features::View;
use tidewheel_schemas::{Row, Value};

/// A market of so many symbols and a trade a second, so that most columns have values: stragglers of minutes, many cancels and
/// corrections.
pub fn long_market(seed: u64, symbols: u32, faults: Faults) -> Recorded {
    let faults = Faults { out_of_order_ppm: 150_000, cancelled_ppm: 30_000, corrected_ppm: 30_000, ..faults };
    let disorder_ns = 240_000_000_000;
    Recorded::new(MarketConfig { symbols, trades_per_second: 1, disorder_ns, ..market(seed, 6_000, faults) })
}

/// A lake of a market's file, replayed with features.
pub fn replayed(recorded: &Recorded, name: &str, arguments: &[&str]) -> PathBuf {
    let lake = recorded.folder().join(name);
    let mut command = tidewheel(&["replay", "--quiet", "--views", "core_technical", "--format", "canonical", "--lake"]);
    succeeds_with(command.arg(&lake).arg("--input").arg(recorded.file()).args(arguments));
    lake
}

fn succeeds_with(command: &mut std::process::Command) {
    let output = command.output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The values of the rows that stand in a lake.
fn standing(lake: &Path) -> BTreeMap<Key, Option<Box<[Value]>>> {
    check(lake).into_iter().map(|(key, (_, row))| (key, row.values)).collect()
}

#[test]
fn a_replay_gives_the_rows_that_its_bars_come_to_on_any_workers_and_ticks() {
    let recorded = long_market(41, 4, ALL_FAULTS);
    let mut first = None;
    for tick in ["10s", "60s", "7m"] {
        let mut of_tick: Option<Vec<(u64, Row)>> = None;
        for workers in ["1", "2", "4"] {
            let lake = replayed(&recorded, &format!("{tick}-{workers}"), &["--workers", workers, "--tick", tick]);
            let found = versions(&lake);
            println!("ticks of {tick}, {workers} workers: {} versions", found.len());
            // The same ticks: the same versions, each with its tick and revision.
            let expected = of_tick.get_or_insert_with(|| found.clone());
            assert!(found == *expected, "ticks of {tick}, {workers} workers");
            let standing = standing(&lake);
            assert!(standing == *first.get_or_insert_with(|| standing.clone()), "ticks of {tick}, {workers} workers");
        }
        let versions = of_tick.expect("three runs");
        let revised = versions.iter().filter(|(_, row)| row.revision > 0).count();
        assert!(revised > 100 || tick == "7m", "{revised} revised rows");
    }
}

/// A row of a topic: tick, revision, and the text of each column, as it was written.
type TopicRow = (u64, u32, BTreeMap<String, String>);

/// The rows of a topic that have a value, by key and tick.
fn rows_of_topic(brokers: &str, topic: &str) -> BTreeMap<(String, u64), TopicRow> {
    let mut rows = BTreeMap::new();
    for payload in payloads(brokers, topic) {
        let fields: BTreeMap<String, &RawValue> = serde_json::from_slice(&payload).expect("JSON");
        let texts: BTreeMap<String, String> =
            fields.into_iter().map(|(name, value)| (name, value.get().trim_matches('"').to_owned())).collect();
        let number = |name: &str| texts[name].parse::<u64>().expect("a number");
        let key = format!("{}|{}|{}", texts["venue"], texts["symbol"], number("event_time"));
        let (tick, revision) = (number("tick"), number("revision") as u32);
        assert!(rows.insert((key, tick), (tick, revision, texts)).is_none(), "a row stands there twice");
    }
    rows
}

/// Holds every version of the lake against the topic, bit by bit, and the other way round.
fn topic_holds_the_lake(brokers: &str, topic: &str, versions: &[(u64, Row)]) {
    let mut in_topic = rows_of_topic(brokers, topic);
    let columns = View::core_technical().column_names();
    let mut gone = 0;
    for (tick, row) in versions {
        let (instrument, event_time_ms) = (&row.instrument, row.event_time_ns / 1_000_000);
        let key = format!("{}|{}|{event_time_ms}", instrument.venue, instrument.symbol);
        let Some(values) = &row.values else {
            gone += 1;
            continue;
        };
        let found = in_topic.remove(&(key.clone(), *tick)).unwrap_or_else(|| panic!("{key} of tick {tick} is missing"));
        assert_eq!(found.1, row.revision, "{key}");
        for (column, value) in columns.iter().zip(&values[1..]) {
            let text = &found.2[column];
            let number = (text != "null").then(|| text.parse::<f64>().expect("a number"));
            assert_eq!(&Value::number(number), value, "{key} {column}: {text}");
        }
    }
    assert!(in_topic.is_empty(), "{} rows of the topic are not in the lake", in_topic.len());
    let tombstones = records(brokers, topic).iter().filter(|record| record.value.is_none()).count();
    assert_eq!(tombstones, gone);
    println!("{} versions in lake and topic, {gone} of them tombstones", versions.len());
}

#[test]
fn a_live_run_publishes_the_same_rows_in_topic_and_lake_and_verify_agrees() {
    let recorded = long_market(42, 4, WITHOUT_CONFLICTS);
    let brokers = broker().address();
    let topic = broker().topic("features", PARTITIONS);
    let setup = Setup::new(brokers, &topic, recorded.folder());
    let all = recorded.messages.len();
    // Two lives: the second goes on from what the first left. What arrives in parts is revised from one to the next.
    let end = |part: usize| part * all / 12;
    for (parts, workers) in [(0..6, 2), (6..12, 3)] {
        let mut run = Setup { workers, ..setup.clone() }.start();
        for part in parts {
            recorded.send(brokers, &topic, end(part)..end(part + 1), Spread::InTurn);
            run.wait_until_read(end(part + 1) as u64);
        }
        run.stop();
    }
    let in_lake = versions(&setup.lake);
    let standing = check(&setup.lake);
    let revised = in_lake.iter().filter(|(_, row)| row.revision > 0).count();
    println!("{} versions, {revised} revised, {} rows stand", in_lake.len(), standing.len());
    assert!(revised > 0, "of {}", in_lake.len());
    topic_holds_the_lake(brokers, &format!("{}.features.core_technical", setup.prefix), &in_lake);

    let report = identical(&setup.lake, &["--kafka", brokers, "--prefix", &setup.prefix]);
    assert_eq!(report["rows"], in_lake.len(), "{report:#}");

    let again = recorded.folder().join("again");
    let mut command = tidewheel(&["replay", "--as-recorded", "--quiet", "--workers", "1", "--input"]);
    command.arg(&setup.lake).arg("--lake").arg(&again);
    succeeds(command);
    assert!(versions(&again) == in_lake, "as recorded");

    // The file's replay knows each row at another tick, and comes to the same values, but for the end: it makes all bars final.
    let from_file = self::standing(&replayed(&recorded, "file", &[]));
    for (key, (_, row)) in &standing {
        assert_eq!(from_file.get(key), Some(&row.values), "{key:?}");
    }
}
