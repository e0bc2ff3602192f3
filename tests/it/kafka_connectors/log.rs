//! The log that a sink keeps for its owner: what is in it after commits, rollbacks and crashes.

use super::comes_to;
use super::sink::{config, minutes, open, output};
use crate::harness::kafka::{broker, unique};
use tidewheel_connectors::kafka::KafkaError;
use tidewheel_connectors::kafka::sink::{KafkaSink, KafkaSinkConfig};
use tidewheel_connectors::kafka::source::Isolation;
use tidewheel_schemas::{Counters, Reject, RejectReason};

fn with_log(prefix: &str) -> KafkaSinkConfig {
    KafkaSinkConfig { log: true, ..config(prefix) }
}

/// The log as texts.
fn read(sink: &KafkaSink) -> Vec<String> {
    let records = sink.read_log().expect("the log can be read");
    records.into_iter().map(|record| String::from_utf8(record).expect("texts were written")).collect()
}

fn append(sink: &mut KafkaSink, records: &[&str]) {
    records.iter().for_each(|record| sink.append_log(record.as_bytes()).expect("the log is on"));
}

#[test]
fn records_are_there_with_the_outputs_they_speak_of_and_with_progress_alone() {
    let prefix = unique("log");
    let mut sink = open(&with_log(&prefix));
    assert_eq!(read(&sink), [""; 0]);
    append(&mut sink, &["one", "two"]);
    sink.write(&output(100, 1..2)).expect("the broker takes the records");
    assert_eq!(read(&sink), [""; 0], "nothing before the commit");
    sink.commit(100, &Counters::default()).expect("the commit succeeds");
    assert_eq!(read(&sink), ["one", "two"]);

    append(&mut sink, &["three"]);
    assert!(!sink.commit(200, &Counters::default()).expect("nothing to do"), "a record of the log can wait");
    sink.advance(200, &Counters::default()).expect("the commit succeeds");
    assert_eq!(read(&sink), ["one", "two", "three"]);
    append(&mut sink, &["four"]);
    sink.advance(200, &Counters::default()).expect("a tick that is committed is no reason to wait");
    append(&mut sink, &["five"]);
    assert!(sink.commit_log().expect("the commit succeeds") && !sink.commit_log().expect("nothing to do"));
    assert_eq!(read(&sink), ["one", "two", "three", "four", "five"]);
    assert_eq!((sink.committed_tick(), sink.progress().records_done), (Some(200), 0));
    let mut offsets = Vec::new();
    sink.scan_log(0, |offset, _| offsets.push(offset)).expect("the log can be read");
    let mut rest = Vec::new();
    sink.scan_log(offsets[3], |_, record| rest.push(record.to_vec())).expect("the log can be read");
    assert_eq!(rest, [b"four".to_vec(), b"five".to_vec()]);

    // Another sink of the prefix has a log of its own.
    let other = KafkaSinkConfig { transactional_id: format!("{prefix}-other"), ..with_log(&prefix) };
    let mut other = open(&other);
    append(&mut other, &["of the other"]);
    other.advance(100, &Counters::default()).expect("the commit succeeds");
    assert_eq!((read(&other), read(&sink).len()), (vec!["of the other".to_owned()], 5));
    let timing = sink.last_commit().expect("it has committed");
    assert!(timing.commit <= timing.transaction && !timing.commit.is_zero(), "{timing:?}");
}

#[test]
fn a_crash_leaves_either_both_or_neither() {
    let prefix = unique("log-crash");
    let mut sink = open(&with_log(&prefix));
    append(&mut sink, &["one"]);
    sink.write(&output(100, 1..2)).expect("the broker takes the records");
    sink.commit(100, &Counters::default()).expect("the commit succeeds");
    append(&mut sink, &["lost"]);
    sink.write(&output(200, 9..10)).expect("the broker takes the records");
    std::mem::forget(sink);

    let mut sink = open(&with_log(&prefix));
    assert_eq!((read(&sink), sink.committed_tick()), (vec!["one".to_owned()], Some(100)));
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [1]);
    // Cut in the middle of a tick: what was appended before it is there with its first half.
    drop(sink);
    let cut = KafkaSinkConfig { max_transaction_records: 2, ..with_log(&prefix) };
    sink = open(&cut);
    append(&mut sink, &["two"]);
    sink.write(&output(200, 2..5)).expect("the broker takes the records");
    std::mem::forget(sink);
    let mut sink = open(&cut);
    assert_eq!((read(&sink), sink.progress().records_done), (vec!["one".to_owned(), "two".to_owned()], 2));
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [1, 2, 3]);
    // A commit of the log alone in the middle of what is passed over forgets nothing.
    sink.write(&output(200, 2..3)).expect("passed over");
    append(&mut sink, &["three"]);
    sink.commit_log().expect("the commit succeeds");
    std::mem::forget(sink);
    let mut sink = open(&cut);
    sink.write(&output(200, 2..5)).expect("the broker takes the records");
    sink.advance(200, &Counters::default()).expect("the commit succeeds");
    assert_eq!(read(&sink), ["one", "two", "three"]);
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [1, 2, 3, 4]);
}

#[test]
fn a_rollback_loses_nothing_of_the_log() {
    let prefix = unique("log-aborted");
    let mut sink = open(&with_log(&prefix));
    broker().configure(&format!("{prefix}.rejects"), &[("max.message.bytes", "300")]);
    let mut refused = output(100, 1..2);
    refused.rejects.push(Reject {
        partition: 0,
        position: 9,
        reason: RejectReason::Malformed,
        records: 1,
        detail: String::new(),
        raw: (0..900u32).flat_map(|number| number.wrapping_mul(2_654_435_761).to_string().into_bytes()).collect(),
        receive_time_ns: None,
    });
    append(&mut sink, &["one", "two"]);
    for attempt in 1..=2 {
        let written = sink.write(&refused).and_then(|()| sink.commit(100, &Counters::default()));
        let error = written.expect_err("the reject is too large for its topic");
        assert!(matches!(error, KafkaError::Aborted { .. }), "attempt {attempt}: {error}");
        assert_eq!(read(&sink), [""; 0]);
    }
    append(&mut sink, &["three"]);
    sink.write(&output(100, 1..2)).expect("the broker takes the records");
    sink.abort().expect("the rollback succeeds");
    sink.write(&output(100, 1..2)).expect("the broker takes the records");
    sink.commit(100, &Counters::default()).expect("the commit succeeds");
    assert_eq!(read(&sink), ["one", "two", "three"]);
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [1]);
}

#[test]
fn without_transactions_the_log_is_written_before_the_outputs() {
    let prefix = unique("log-plain");
    let config = KafkaSinkConfig { transactions: false, ..with_log(&prefix) };
    let mut sink = open(&config);
    append(&mut sink, &["one"]);
    sink.write(&output(100, 1..2)).expect("the broker takes the records");
    assert_eq!(read(&sink), ["one"]);
    sink.commit(100, &Counters::default()).expect("the commit succeeds");
    assert_eq!((read(&sink), minutes(&prefix, Isolation::ReadCommitted)), (vec!["one".to_owned()], vec![1]));
}

#[test]
fn a_topic_that_would_lose_records_is_refused() {
    let prefix = unique("log-unfit");
    drop(open(&with_log(&prefix)));
    let topic = format!("{prefix}.bindings");
    let refusal = || KafkaSink::open(&with_log(&prefix), Vec::new()).err().map(|error| error.to_string());
    assert_eq!(refusal(), None);
    broker().configure(&topic, &[("retention.ms", "3600000"), ("retention.bytes", "-1")]);
    let address = broker().address();
    let expected = format!(
        "could not use topic {topic:?} as a log, since its retention.ms is 3600000 and must be -1; correct it with:\n  \
         kafka-configs.sh --bootstrap-server {address} --entity-type topics --entity-name {topic} --alter --add-config \
         cleanup.policy=delete,retention.ms=-1,retention.bytes=-1"
    );
    assert_eq!(refusal(), Some(expected));

    let mut sink = open(&config(&prefix));
    assert!(matches!(sink.append_log(b"one"), Err(KafkaError::NoLog)));
    assert!(matches!(sink.read_log(), Err(KafkaError::NoLog)));
}
