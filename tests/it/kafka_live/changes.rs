//! Changes that arrive after a bar is final: revisions and tombstones on the topic, and only where something changed.

use super::markets::opening_ns;
use super::program::{Setup, fails};
use super::readers::{Record, records, wait_for_record};
use crate::harness::kafka::broker;
use tidewheel_connectors::kafka::sink::{KafkaSink, KafkaSinkConfig};
use tidewheel_schemas::{Counters, Reject, RejectReason, SECOND_NS, TickOutput};

/// Partitions of these tests' topics.
const PARTITIONS: i32 = 3;

/// A trade of quantity one, so many seconds after the opening.
fn trade(id: u32, second: i64, price: &str) -> String {
    format!(
        r#"{{"type":"trade","op":"insert","venue":"test","symbol":"A/B","trade_id":"{id}","event_time":{},"price":"{price}","quantity":"1","aggressor_side":"buy"}}"#,
        opening_ns() + second * SECOND_NS
    )
}

fn amendment(op: &str, id: u32, change: &str) -> String {
    format!(r#"{{"type":"trade","op":"{op}","venue":"test","symbol":"A/B","trade_id":"{id}"{change}}}"#)
}

/// The key of the bar that opens so many seconds after the opening.
fn key(interval: &str, second: i64) -> String {
    format!("test|A/B|{interval}|{}", opening_ns() / 1_000_000 + second * 1_000)
}

/// Writes to a partition.
fn write(topic: &str, partition: i32, messages: &[String]) {
    let records: Vec<_> = messages.iter().map(|message| (partition, None, Some(message.as_str()))).collect();
    broker().write(topic, &records);
}

/// What a topic says of a bar, in order: revision and close, or a dash for a tombstone.
fn history(setup: &Setup, interval: &str, key: &str) -> Vec<String> {
    let line = |record: Record| {
        let close = record.value.as_ref().map_or("-".to_owned(), |value| value["close"].as_str().unwrap_or("?").into());
        format!("{} {close}", record.revision())
    };
    let all = records(&setup.brokers, &format!("{}.bars.{interval}", setup.prefix));
    all.into_iter().filter(|record| record.key == key).map(line).collect()
}

fn wait_for(setup: &Setup, interval: &str, key: &str, revision: &str) -> Record {
    let topic = format!("{}.bars.{interval}", setup.prefix);
    wait_for_record(&setup.brokers, &topic, |record| record.key == key && record.revision() == revision)
}

#[test]
fn corrections_revise_the_bars_they_touch_and_a_cancel_of_all_leaves_a_tombstone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topic = broker().topic("changes", 1);
    let setup = Setup::new(broker().address(), &topic, folder.path());
    let mut run = setup.start();
    write(&topic, 0, &[trade(1, 0, "10"), trade(2, 30, "20"), trade(3, 60, "30"), trade(4, 180, "40")]);
    assert!(wait_for(&setup, "1m", &key("1m", 60), "0").is_final());

    write(&topic, 0, &[amendment("correct", 1, r#","price":"11""#), amendment("correct", 2, r#","price":"21""#)]);
    let revised = wait_for(&setup, "1m", &key("1m", 0), "1");
    assert_eq!(revised.value.expect("a bar")["close"], "21");
    write(&topic, 0, &[amendment("cancel", 3, "")]);
    let tombstone = wait_for(&setup, "1m", &key("1m", 60), "1");
    assert_eq!((tombstone.value, tombstone.headers["schema"].as_str()), (None, "tidewheel.bar.v1"));
    run.wait_until_read(7);
    let printed = run.stop();
    assert!(printed.contains("read 7 = accepted 7 + duplicate 0 + late 0 + rejected 0  (reconciles)"), "{printed}");

    for (interval, second, expected) in [
        ("1s", 0, &["0 10", "1 11"][..]),
        ("1s", 30, &["0 20", "1 21"]),
        ("1s", 60, &["0 30", "1 -"]),
        ("1m", 0, &["0 20", "1 21"]),
        ("1m", 60, &["0 30", "1 -"]),
    ] {
        assert_eq!(history(&setup, interval, &key(interval, second)), expected, "{interval} at {second} s");
    }
    assert_eq!(records(&setup.brokers, &format!("{}.bars.1m", setup.prefix)).len(), 4, "no other bar is revised");
}

#[test]
fn an_idle_partition_holds_nothing_back_and_what_it_brings_later_is_not_lost() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topic = broker().topic("idle", PARTITIONS);
    let setup = Setup::new(broker().address(), &topic, folder.path());
    let mut run = setup.start();
    // Partition 1 brings one trade and falls silent, partition 2 is silent from the start.
    write(&topic, 1, &[trade(1, 0, "10")]);
    write(&topic, 0, &[trade(2, 10, "20")]);
    run.wait_until_read(2);
    write(&topic, 0, &[trade(3, 180, "30")]);
    assert!(wait_for(&setup, "1m", &key("1m", 0), "0").is_final());
    write(&topic, 1, &[trade(4, 50, "40")]);
    wait_for(&setup, "1m", &key("1m", 0), "1");
    write(&topic, 2, &[trade(5, 59, "50")]);
    let last = wait_for(&setup, "1m", &key("1m", 0), "2").value.expect("a bar");
    assert_eq!((&last["close"], &last["trade_count"]), (&"50".into(), &4.into()));
    let counters = run.wait_until_read(5);
    assert_eq!((counters.accepted, counters.late), (5, 0));
    run.stop();
}

#[test]
fn progress_of_a_former_run_leaves_nothing_out_of_a_new_one() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topic = broker().topic("anew", 1);
    let setup = Setup::new(broker().address(), &topic, folder.path());
    // A former process, whose clock went far ahead, got as far as the middle of a tick.
    let config = KafkaSinkConfig { max_transaction_records: 1, ..KafkaSinkConfig::new(&setup.brokers, &setup.prefix) };
    let mut former = KafkaSink::open(&config, Vec::new()).expect("the sink opens");
    let reject = |position| Reject {
        partition: 0,
        position,
        reason: RejectReason::Malformed,
        records: 1,
        detail: "from a former run".to_owned(),
        raw: std::sync::Arc::from(&b"x"[..]),
        receive_time_ns: None,
    };
    let output =
        |tick, rejects: u64| TickOutput { tick, rejects: (0..rejects).map(reject).collect(), ..TickOutput::default() };
    let far_ms = u64::try_from(opening_ns() / 1_000_000).expect("after 1970") + 86_400_000;
    former.write(&output(far_ms, 1)).expect("the broker takes the record");
    former.commit(far_ms, &Counters::default()).expect("the commit succeeds");
    former.write(&output(far_ms + 1, 4)).expect("the broker takes the records");
    drop(former);

    write(&topic, 0, &[trade(1, 0, "10"), trade(2, 180, "20")]);
    // Its state is nowhere: going on would publish again what it published.
    let told = fails(setup.command(), 1);
    assert!(told.contains(&format!("through tick {far_ms} by a run that left no log of ticks")), "{told}");
    assert!(told.contains("--replace"), "{told}");
    let run = setup.start_with(&["--replace"]);
    assert!(wait_for(&setup, "1s", &key("1s", 0), "0").is_final());
    assert!(wait_for(&setup, "1m", &key("1m", 0), "0").is_final());
    run.stop();
}
