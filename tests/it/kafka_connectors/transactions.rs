//! Transactions that their process does not end: killed, paused beyond the timeout, superseded, cut short at every place.

use super::sink::{config, minutes, open, output};
use super::{comes_to, held};
use crate::harness::kafka::{Broker, PATIENCE, broker, queue, unique};
use rdkafka::producer::Producer;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};
use tidewheel_connectors::kafka::KafkaError;
use tidewheel_connectors::kafka::sink::{KafkaSink, KafkaSinkConfig, SinkBegin};
use tidewheel_connectors::kafka::source::Isolation;
use tidewheel_schemas::{Counters, Reject, RejectReason, TickOutput};

/// Longer than a timeout of two seconds and the second in which the test's broker notices.
const PAUSE: Duration = Duration::from_secs(5);

/// Waits until readers of all records, or of committed ones, see what is expected.
fn wait_until_seen(prefix: &str, isolation: Isolation, expected: &[u64]) -> Duration {
    let begun = Instant::now();
    loop {
        let seen = minutes(prefix, isolation);
        if seen == expected {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < PATIENCE, "{seen:?} instead of {expected:?}");
    }
}

/// A sink that has written minute 1 to the broker and not committed it, and died.
fn killed_in_a_transaction(config: &KafkaSinkConfig) {
    let mut sink = open(config);
    sink.write(&output(100, 1..2)).expect("the broker takes the records");
    wait_until_seen(&config.prefix, Isolation::ReadUncommitted, &[1]);
    // Nobody says goodbye.
    std::mem::forget(sink);
}

/// Another writer to the same topics.
fn other(config: &KafkaSinkConfig) -> KafkaSink {
    open(&KafkaSinkConfig { transactional_id: format!("{}-other", config.transactional_id), ..config.clone() })
}

#[test]
fn readers_wait_behind_a_dead_run_no_longer_than_the_timeout() {
    let prefix = unique("dead");
    let config = KafkaSinkConfig { transaction_timeout: Duration::from_secs(6), ..config(&prefix) };
    let mut other = other(&config);
    killed_in_a_transaction(&config);
    other.write(&output(100, 2..3)).expect("the broker takes the records");
    other.commit(100, &Counters::default()).expect("the commit succeeds");
    assert_eq!(minutes(&prefix, Isolation::ReadCommitted), [0; 0], "the open transaction lies before it");
    let waited = wait_until_seen(&prefix, Isolation::ReadCommitted, &[2]);
    assert!(waited < Duration::from_secs(20), "{waited:?}");
}

#[test]
fn a_restart_frees_the_readers_at_once() {
    let prefix = unique("freed");
    let config = KafkaSinkConfig { transaction_timeout: Duration::from_secs(300), ..config(&prefix) };
    let mut other = other(&config);
    killed_in_a_transaction(&config);
    other.write(&output(100, 2..3)).expect("the broker takes the records");
    other.commit(100, &Counters::default()).expect("the commit succeeds");
    assert_eq!(minutes(&prefix, Isolation::ReadCommitted), [0; 0], "the open transaction lies before it");
    let restarted = open(&config);
    let waited = wait_until_seen(&prefix, Isolation::ReadCommitted, &[2]);
    assert!(waited < Duration::from_secs(30), "{waited:?}");
    drop(restarted);
}

#[test]
fn one_that_was_paused_and_superseded_publishes_nothing_more() {
    let prefix = unique("superseded");
    let config = KafkaSinkConfig { transaction_timeout: Duration::from_secs(2), log: true, ..config(&prefix) };
    let mut zombie = open(&config);
    zombie.append_log(b"zombie").expect("the log is on");
    zombie.write(&output(100, 1..2)).expect("the broker takes the records");
    std::thread::sleep(PAUSE);
    let mut successor = open(&config);
    successor.append_log(b"successor").expect("the log is on");
    successor.write(&output(100, 2..3)).expect("the broker takes the records");
    successor.commit(100, &Counters::default()).expect("the commit succeeds");

    let attempts = [
        zombie.write(&output(100, 3..4)).and_then(|()| zombie.commit(100, &Counters::default())).map(drop),
        zombie.write(&output(100, 4..5)).and_then(|()| zombie.commit(100, &Counters::default())).map(drop),
        zombie.commit_log().map(drop),
    ];
    for attempt in attempts {
        let error = attempt.expect_err("the paused process is kept out");
        assert!(matches!(error, KafkaError::Fenced { .. }), "{error}");
    }
    drop(zombie);
    successor.write(&output(200, 5..6)).expect("the broker takes the records");
    successor.commit(200, &Counters::default()).expect("the successor is not disturbed");
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [2, 5]);
    assert_eq!(successor.read_log().expect("the log can be read"), [b"successor"]);
}

#[test]
fn one_that_was_paused_alone_loses_the_transaction_and_never_half_of_it() {
    let prefix = unique("paused");
    let config = KafkaSinkConfig { transaction_timeout: Duration::from_secs(2), ..config(&prefix) };
    let mut sink = open(&config);
    sink.write(&output(100, 1..2)).expect("the broker takes the records");
    sink.commit(100, &Counters::default()).expect("the commit succeeds");
    sink.write(&output(200, 2..4)).expect("the broker takes the records");
    wait_until_seen(&prefix, Isolation::ReadUncommitted, &[1, 2, 3]);
    std::thread::sleep(PAUSE);
    let error = sink.write(&output(200, 4..5)).and_then(|()| sink.commit(200, &Counters::default()));
    let error = error.expect_err("the broker has rolled back");
    assert!(matches!(error, KafkaError::Aborted { .. }), "{error}");
    assert_eq!((minutes(&prefix, Isolation::ReadCommitted), sink.committed_tick()), (vec![1], Some(100)));
    sink.write(&output(200, 2..5)).expect("the broker takes the records");
    sink.commit(200, &Counters::default()).expect("the commit succeeds");
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [1, 2, 3, 4]);

    // The same once more, and this time it finds out when it rolls back by itself.
    sink.write(&output(300, 5..6)).expect("the broker takes the records");
    wait_until_seen(&prefix, Isolation::ReadUncommitted, &[1, 2, 3, 2, 3, 4, 5]);
    std::thread::sleep(PAUSE);
    sink.abort().expect("there is nothing left to roll back");
    sink.write(&output(300, 6..7)).expect("the broker takes the records");
    sink.commit(300, &Counters::default()).expect("the commit succeeds");
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [1, 2, 3, 4, 6]);
}

#[test]
fn a_broker_that_is_away_for_longer_than_the_timeout_costs_a_second_writing() {
    let mut broker = Broker::start();
    let config = KafkaSinkConfig {
        brokers: broker.address().to_owned(),
        transaction_timeout: Duration::from_secs(2),
        log: true,
        ..config("outage")
    };
    let mut sink = open(&config);
    sink.append_log(b"one").expect("the log is on");
    sink.write(&output(100, 1..3)).expect("the producer takes the records");
    broker.kill();
    std::thread::sleep(PAUSE);
    broker.resume();
    let mut attempts = 0;
    // As a run does.
    while let Err(error) = sink.write(&output(100, 1..3)).and_then(|()| sink.advance(100, &Counters::default())) {
        assert!(matches!(error, KafkaError::Aborted { .. }), "{error}");
        attempts += 1;
        assert!(attempts < 5, "{error}");
    }
    sink.write(&output(200, 3..4)).expect("the broker takes the records");
    sink.advance(200, &Counters::default()).expect("the commit succeeds");
    let lines = held(broker.address(), "outage.bars.1m", Isolation::ReadCommitted);
    assert_eq!(sink.read_log().expect("the log can be read"), [b"one"]);
    assert!(attempts > 0 && lines.len() == 3, "{attempts} attempts: {lines:?}");
}

#[test]
fn one_that_finds_another_does_not_come_back_though_the_other_has_written_nothing() {
    let prefix = unique("claimed");
    let config = config(&prefix);
    let mut first = open(&config);
    first.write(&output(100, 1..2)).expect("the broker takes the records");
    let mut second = open(&config);
    for _ in 0..2 {
        let fenced = first.write(&output(100, 1..2)).and_then(|()| first.commit(100, &Counters::default()));
        let fenced = fenced.expect_err("the first is kept out");
        assert!(matches!(fenced, KafkaError::Fenced { .. }), "{fenced}");
    }
    second.write(&output(100, 2..3)).expect("the broker takes the records");
    second.commit(100, &Counters::default()).expect("the second is not disturbed");
    comes_to(|| minutes(&prefix, Isolation::ReadCommitted), [2]);
}

/// Ticks with bars, late records and rejects, of which every record is told apart.
fn ticks() -> Vec<TickOutput> {
    [(100, 0..5), (200, 5..6), (300, 6..13)]
        .into_iter()
        .map(|(tick, bars)| {
            let position = tick;
            let reject = |position| Reject {
                partition: 0,
                position,
                reason: RejectReason::Malformed,
                records: 1,
                detail: format!("tick {tick}"),
                raw: b"{".as_slice().into(),
                receive_time_ns: None,
            };
            TickOutput { rejects: vec![reject(position), reject(position + 1)], ..output(tick, bars) }
        })
        .collect()
}

/// The ticks up to so many records, bars before rejects as they are written.
fn first_records(count: usize) -> Vec<TickOutput> {
    let mut left = count;
    let mut take = |length: usize| {
        let taken = length.min(left);
        left -= taken;
        taken
    };
    let cut = |mut tick: TickOutput| {
        tick.bars.truncate(take(tick.bars.len()));
        tick.rejects.truncate(take(tick.rejects.len()));
        tick
    };
    ticks().into_iter().map(cut).collect()
}

/// All that readers of committed records see, with the offsets' gaps left out.
fn seen(prefix: &str) -> Vec<Vec<String>> {
    let topics = ["bars.1m", "rejects", "late"].map(|suffix| format!("{prefix}.{suffix}"));
    let of = |topic: &String| {
        let lines = held(broker().address(), topic, Isolation::ReadCommitted);
        let without_offset = |line: String| {
            let (place, value) = line.split_once(' ').expect("a value behind the position");
            format!("{} {value}", place.split('@').next().expect("a partition"))
        };
        lines.into_iter().map(without_offset).collect()
    };
    topics.iter().map(of).collect()
}

#[test]
fn a_crash_after_any_record_of_any_cut_is_written_on_byte_by_byte() {
    let (whole, crashed) = (unique("whole"), unique("crashed"));
    let counters = Counters::default();
    let mut sink = open(&config(&whole));
    for tick in ticks() {
        sink.write(&tick).expect("the broker takes the records");
        sink.commit(tick.tick, &counters).expect("the commit succeeds");
    }
    let expected = seen(&whole);
    let records: usize = expected.iter().map(Vec::len).sum();
    assert_eq!(records, 19);

    // Each time it comes a record further, and each time it is killed there.
    let cut = KafkaSinkConfig { max_transaction_records: 3, ..config(&crashed) };
    for survived in 1..=records {
        let mut sink = open(&cut);
        for tick in first_records(survived) {
            sink.write(&tick).expect("the broker takes the records");
        }
        std::mem::forget(sink);
    }
    let mut sink = open(&cut);
    assert_eq!((sink.committed_tick(), sink.progress().records_done), (None, 18));
    for tick in ticks() {
        sink.write(&tick).expect("the broker takes the records");
        sink.commit(tick.tick, &counters).expect("the commit succeeds");
    }
    assert_eq!(seen(&crashed), expected);
}

#[test]
fn a_restart_waits_for_another_sinks_open_transaction_before_much_of_its_own_progress() {
    const COMMITS: u64 = 300;
    let prefix = unique("behind");
    let config = config(&prefix);
    let mut sink = open(&config);
    let other = broker().transactional_producer(&format!("{prefix}-other"));
    other.begin_transaction().expect("a transaction begins");
    queue(&other, &format!("{prefix}.progress"), &[(0, Some("another"), Some("{}"))]);
    other.flush(PATIENCE).expect("the broker takes the record");
    for tick in 1..=COMMITS {
        sink.advance(tick, &Counters::default()).expect("the commit succeeds");
    }
    std::mem::forget(sink);
    let told_to_stop = Arc::new(AtomicBool::new(true));
    let refused = KafkaSink::open_as(&config, Vec::new(), SinkBegin::GoOn, Some(told_to_stop));
    let error = refused.err().expect("it does not wait when it is to stop");
    assert!(matches!(error, KafkaError::Unanswered { .. }), "{error}");
    let restarted = std::thread::spawn(move || (open(&config), Instant::now()));
    std::thread::sleep(PAUSE);
    assert!(!restarted.is_finished(), "what is committed cannot be told from what is not");
    let ended_at = Instant::now();
    other.commit_transaction(PATIENCE).expect("the commit succeeds");
    let (sink, opened_at) = restarted.join().expect("the sink opens");
    assert_eq!(sink.committed_tick(), Some(COMMITS));
    assert!(opened_at - ended_at < Duration::from_secs(10), "{:?}", opened_at - ended_at);
}
