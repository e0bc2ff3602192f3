//! Writing: what is visible when, what a restart finds, and who is kept out.

use super::{comes_to, held};
use crate::harness::kafka::{broker, unique};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Headers;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tidewheel_connectors::kafka::KafkaError;
use tidewheel_connectors::kafka::sink::{KafkaSink, KafkaSinkConfig};
use tidewheel_connectors::kafka::source::Isolation;
use tidewheel_schemas::{
    AggressorSide, Bar, BarVersion, Counters, Instrument, Interval, LateRecord, Reject, RejectReason, TickOutput,
    Trade, TradeId, TradeKind,
};

pub fn config(prefix: &str) -> KafkaSinkConfig {
    KafkaSinkConfig {
        intervals: vec![Interval::S1, Interval::M1],
        partitions: 2,
        run: "test".to_owned(),
        ..KafkaSinkConfig::new(broker().address(), prefix)
    }
}

pub fn open(config: &KafkaSinkConfig) -> KafkaSink {
    KafkaSink::open(config, vec!["trades[0]".to_owned()]).expect("the sink opens")
}

fn trade(id: u64) -> Trade {
    Trade {
        event_time_ns: 60_000_000_000,
        id: TradeId::number(id),
        price_e8: 150_000_000,
        quantity_e8: 100_000_000,
        count: 1,
        side: AggressorSide::Buy,
        kind: TradeKind::Market,
    }
}

/// Bars of one instrument, a minute each, told apart by their open time.
pub fn output(tick: u64, bars: std::ops::Range<i64>) -> TickOutput {
    let bar = |number: i64| BarVersion {
        instrument: Instrument::new("binance", "BTCUSDT").expect("a name"),
        interval: Interval::M1,
        open_time_ns: number * 60_000_000_000,
        tick,
        revision: 0,
        is_final: true,
        bar: Some(Bar::of(&trade(1))),
    };
    TickOutput { tick, bars: bars.map(bar).collect(), ..TickOutput::default() }
}

/// The open times, in minutes, of the bars a reader sees, in their order.
pub fn minutes(prefix: &str, isolation: Isolation) -> Vec<u64> {
    let lines = held(broker().address(), &format!("{prefix}.bars.1m"), isolation);
    let minute = |line: String| {
        let (_, value) = line.split_once(' ').expect("a value behind the position");
        let value: serde_json::Value = serde_json::from_str(value).expect("a bar is JSON");
        value["open_time"].as_u64().expect("a time") / 60_000
    };
    lines.into_iter().map(minute).collect()
}

#[test]
fn records_are_visible_when_committed_and_never_when_aborted() {
    let prefix = unique("visible");
    let mut sink = open(&config(&prefix));
    let counters = Counters { read: 3, accepted: 3, ..Counters::default() };
    sink.write(&output(100, 1..3)).expect("the broker takes the records");
    assert_eq!(minutes(&prefix, Isolation::ReadCommitted), [0; 0]);
    assert!(sink.commit(100, &counters).expect("the commit succeeds"));
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [1, 2]);
    assert_eq!(sink.committed_tick(), Some(100));

    sink.write(&output(200, 5..6)).expect("the broker takes the records");
    sink.abort().expect("the rollback succeeds");
    assert_eq!(sink.committed_tick(), Some(100));
    sink.write(&output(200, 3..4)).expect("the broker takes the records");
    sink.commit(200, &counters).expect("the commit succeeds");
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [1, 2, 3]);

    // What is committed is not written again, and nothing to write is no transaction.
    sink.write(&output(200, 7..8)).expect("a tick of the past is passed over");
    assert!(!sink.commit(300, &counters).expect("nothing to do"));
    assert_eq!(sink.committed_tick(), Some(200));
    sink.advance(300, &counters).expect("the commit succeeds");
    assert_eq!(sink.committed_tick(), Some(300));
    assert_eq!(minutes(&prefix, Isolation::ReadUncommitted).iter().filter(|minute| **minute == 7).count(), 0);
}

#[test]
fn a_restart_finds_the_progress_and_rolls_back_what_was_open() {
    let prefix = unique("restart");
    let mut sink = open(&config(&prefix));
    assert_eq!(sink.committed_tick(), None);
    let mut counters = Counters { read: 2, accepted: 1, ..Counters::default() };
    counters.reject(RejectReason::Number);
    sink.write(&output(100, 1..2)).expect("the broker takes the records");
    sink.commit(100, &counters).expect("the commit succeeds");
    sink.write(&output(200, 2..3)).expect("the broker takes the records");
    // As a killed process: the transaction stays open and nobody says goodbye.
    std::mem::forget(sink);

    let mut sink = open(&config(&prefix));
    assert_eq!(sink.committed_tick(), Some(100));
    assert_eq!(sink.progress().counters, counters);
    assert_eq!((sink.progress().run.as_str(), sink.progress().records_done), ("test", 0));
    for (tick, bars) in [(100, 1..2), (200, 2..3)] {
        sink.write(&output(tick, bars)).expect("the broker takes the records");
    }
    sink.commit(200, &counters).expect("the commit succeeds");
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [1, 2]);
}

#[test]
fn a_tick_larger_than_a_transaction_is_resumed_where_it_was_cut() {
    let prefix = unique("cut");
    let config = KafkaSinkConfig { max_transaction_records: 4, ..config(&prefix) };
    let ticks = [(100, 0..6), (200, 6..7), (300, 7..11)];
    let counters = Counters::default();
    let mut sink = open(&config);
    for (tick, bars) in ticks.clone() {
        sink.write(&output(tick, bars)).expect("the broker takes the records");
    }
    // Eleven records: two transactions of four are committed, three records are not.
    drop(sink);
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), (0..8).collect::<Vec<u64>>());

    // This time a commit after each tick: the first says that two records of later ticks are there already.
    let mut sink = open(&config);
    assert_eq!((sink.committed_tick(), sink.progress().records_done), (None, 8));
    let mut done = Vec::new();
    for (tick, bars) in ticks {
        sink.write(&output(tick, bars)).expect("the broker takes the records");
        sink.commit(tick, &counters).expect("the commit succeeds");
        done.push((sink.committed_tick(), sink.progress().records_done));
    }
    assert_eq!(done, [(Some(100), 2), (Some(200), 1), (Some(300), 0)]);
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), (0..11).collect::<Vec<u64>>());
}

#[test]
fn a_second_process_fences_the_first() {
    let prefix = unique("zombie");
    let mut zombie = open(&config(&prefix));
    zombie.write(&output(100, 1..2)).expect("the broker takes the records");
    let mut sink = open(&config(&prefix));
    sink.write(&output(100, 3..4)).expect("the broker takes the records");
    sink.commit(100, &Counters::default()).expect("the commit succeeds");

    let fenced = zombie.commit(100, &Counters::default()).expect_err("the first process is kept out");
    assert!(matches!(fenced, KafkaError::Fenced { .. }), "{fenced}");
    assert!(fenced.to_string().contains("another process has taken over this id"), "{fenced}");
    assert!(!fenced.is_transient());
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [3]);
}

#[test]
fn every_kind_of_record_has_its_topic_key_and_headers() {
    let prefix = unique("kinds");
    let mut sink = open(&config(&prefix));
    let mut output = output(100, 1..2);
    output.bars.push(BarVersion { revision: 1, bar: None, ..output.bars[0].clone() });
    output.rejects.push(Reject {
        partition: 0,
        position: 9,
        reason: RejectReason::Malformed,
        records: 1,
        detail: "not JSON".to_owned(),
        raw: b"{".as_slice().into(),
        receive_time_ns: Some(5),
    });
    output.late.push(LateRecord::Trade {
        instrument: Instrument::new("binance", "BTCUSDT").expect("a name"),
        trade: trade(7),
        partition: 0,
        position: 8,
        receive_time_ns: None,
    });
    sink.write(&output).expect("the broker takes the records");
    sink.commit(100, &Counters::default()).expect("the commit succeeds");

    let key = "binance|BTCUSDT|1m|60000";
    let bars = records(&format!("{prefix}.bars.1m"), 2);
    assert!(
        bars[0].starts_with(&format!("{key} tick=100 revision=0 schema=tidewheel.bar.v1 {{\"venue\":\"binance\"")),
        "{bars:?}"
    );
    assert_eq!(bars[1], format!("{key} tick=100 revision=1 schema=tidewheel.bar.v1 nothing"));
    let reject = r#"{"source":"trades[0]","position":9,"reason":"malformed","records":1,"detail":"not JSON","raw":"{","raw_bytes_total":1,"tick":100,"receive_time_ns":5}"#;
    assert_eq!(records(&format!("{prefix}.rejects"), 1), [format!("trades[0]:9 {reject}")]);
    let late = records(&format!("{prefix}.late"), 1);
    assert!(late[0].starts_with(r#"trades[0]:8 {"type":"trade","op":"insert","venue":"binance""#), "{late:?}");
    // The first says that the sink was opened.
    let progress = records(&format!("{prefix}.progress"), 2);
    assert!(progress[0].contains(r#""committed_tick":null"#), "{progress:?}");
    assert!(progress[1].contains(r#""committed_tick":100"#), "{progress:?}");
}

#[test]
fn missing_output_topics_are_named_with_the_commands_that_make_them() {
    let prefix = unique("missing");
    let refused = KafkaSink::open(&KafkaSinkConfig { create_topics: false, ..config(&prefix) }, Vec::new());
    let message = refused.err().expect("an error").to_string();
    let address = broker().address();
    let command = |suffix: &str, partitions: i32, cleanup: &str| {
        format!(
            "\n  kafka-topics.sh --bootstrap-server {address} --create --topic {prefix}.{suffix} --partitions {partitions} \
             --config cleanup.policy={cleanup}"
        )
    };
    let expected = [
        format!("could not find the output topics at {address} (creating topics is off); create them with:"),
        command("bars.1s", 2, "compact"),
        command("bars.1m", 2, "compact"),
        command("rejects", 2, "delete"),
        command("late", 2, "delete"),
        command("progress", 1, "compact"),
    ];
    assert_eq!(message, expected.concat());
}

#[test]
fn without_transactions_progress_is_kept_all_the_same() {
    let prefix = unique("plain");
    let config = KafkaSinkConfig { transactions: false, ..config(&prefix) };
    let mut sink = open(&config);
    sink.write(&output(100, 1..3)).expect("the broker takes the records");
    sink.commit(100, &Counters::default()).expect("the commit succeeds");
    drop(sink);
    assert_eq!(open(&config).committed_tick(), Some(100));
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [1, 2]);
}

/// `key header=value... value` of the first records of a topic.
fn records(topic: &str, count: usize) -> Vec<String> {
    let consumer: BaseConsumer =
        broker().client().set("group.id", "reader").create().expect("the configuration is valid");
    let mut all = TopicPartitionList::new();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).expect("the broker answers");
    for partition in metadata.topics()[0].partitions() {
        all.add_partition_offset(topic, partition.id(), Offset::Beginning).expect("the offset is valid");
    }
    consumer.assign(&all).expect("the topic can be read");
    let deadline = Instant::now() + Duration::from_secs(60);
    let text = |bytes: Option<&[u8]>| bytes.map_or("nothing".to_owned(), |bytes| String::from_utf8_lossy(bytes).into());
    let mut records = Vec::new();
    while records.len() < count && Instant::now() < deadline {
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let mut parts = vec![text(message.key())];
            parts.extend(
                message
                    .headers()
                    .into_iter()
                    .flat_map(|headers| headers.iter().map(|header| format!("{}={}", header.key, text(header.value)))),
            );
            parts.push(text(message.payload()));
            records.push(parts.join(" "));
        }
    }
    records
}

#[test]
fn properties_that_exactly_once_rests_upon_cannot_be_set() {
    let prefix = unique("reserved");
    for (key, value) in [("delivery.report.only.error", "true"), ("transaction.timeout.ms", "60000")] {
        let properties = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let refused = KafkaSink::open(&KafkaSinkConfig { properties, ..config(&prefix) }, Vec::new());
        let message = refused.err().expect("an error").to_string();
        assert_eq!(message, format!("could not use kafka property {key:?}: it is set by tidewheel itself, remove it"));
    }
}
