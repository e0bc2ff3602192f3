//! A broker that dies with transactions open, is away for longer than they may be open, and does not end all of them.

use super::sink::{config, open, output};
use super::{comes_to, held};
use crate::harness::kafka::{Broker, PATIENCE};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidewheel_connectors::kafka::KafkaError;
use tidewheel_connectors::kafka::sink::{KafkaSink, KafkaSinkConfig, SinkBegin};
use tidewheel_connectors::kafka::source::Isolation;
use tidewheel_schemas::{Counters, TickOutput};

fn config_of(broker: &Broker, prefix: &str) -> KafkaSinkConfig {
    let transaction_timeout = Duration::from_secs(2);
    KafkaSinkConfig { brokers: broker.address().to_owned(), transaction_timeout, ..config(prefix) }
}

/// The open times, in minutes, of all bars that a reader sees, in order of time: an instrument has one partition.
fn minutes(brokers: &str, prefix: &str, isolation: Isolation) -> Vec<u64> {
    let lines = held(brokers, &format!("{prefix}.bars.1m"), isolation);
    let bars = lines.iter().filter_map(|line| serde_json::from_str::<serde_json::Value>(line.split_once(' ')?.1).ok());
    bars.map(|bar| bar["open_time"].as_u64().expect("a time") / 60_000).collect()
}

/// Logs of the broker's partitions, by a part of the names of their topics, with their content.
fn logs(broker: &Broker, topics: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let partitions = std::fs::read_dir(broker.folder().join("data")).expect("the broker has a folder");
    let partitions = partitions.map(|entry| entry.expect("it can be read").path());
    let is_asked = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().contains(topics));
    let log = |path: PathBuf| path.join("00000000000000000000.log");
    partitions.filter(is_asked).map(log).map(|log| (log.clone(), std::fs::read(&log).expect("a log"))).collect()
}

/// As [`logs`], when nothing is added any more: a commit is answered before the coordinator has written down its end.
fn settled_logs(broker: &Broker, topics: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let begun = Instant::now();
    let mut before = logs(broker, topics);
    loop {
        assert!(begun.elapsed() < PATIENCE, "the logs do not settle");
        std::thread::sleep(Duration::from_secs(1));
        let now = logs(broker, topics);
        if now == before {
            return now;
        }
        before = now;
    }
}

/// What a partition's log says of the end of its last transaction, which was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Committed,
    Forgotten,
    RolledBack,
}

/// A partition's log with another end of its last transaction.
fn ended(mut log: Vec<u8>, end: End) -> Vec<u8> {
    const LENGTH: usize = 8;
    const CHECKSUM: usize = 17;
    const CHECKED: usize = 21;
    const IS_CONTROL: u8 = 0x20;
    /// The low byte of the type, behind five fields of a byte each and the version.
    const TYPE: usize = 61 + 5 + 3;
    let (mut at, mut last) = (0, 0);
    while let Some(length) = log.get(at + LENGTH..).and_then(|rest| rest.first_chunk::<4>()) {
        last = at;
        at += LENGTH + 4 + u32::from_be_bytes(*length) as usize;
    }
    if log.is_empty() {
        return log;
    }
    let batch = &mut log[last..at];
    assert!(batch[CHECKED + 1] & IS_CONTROL != 0, "the log ends with a transaction");
    assert_eq!(batch[TYPE], 1, "that was committed");
    match end {
        End::Committed => {}
        End::Forgotten => log.truncate(last),
        End::RolledBack => {
            batch[TYPE] = 0;
            let checksum = crc32c(&batch[CHECKED..]);
            batch[CHECKSUM..CHECKED].copy_from_slice(&checksum.to_be_bytes());
        }
    }
    log
}

fn crc32c(bytes: &[u8]) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |rest: u32, _| (rest >> 1) ^ (POLYNOMIAL * (rest & 1));
    !bytes.iter().fold(u32::MAX, |rest, byte| (0..8).fold(rest ^ u32::from(*byte), step))
}

#[test]
fn however_a_transaction_was_ended_in_part_its_records_end_as_it_was_to_end() {
    /// The end in the progress topic, and in that of the bars; whether it was committed.
    const CASES: [(End, End, bool); 9] = [
        (End::Committed, End::Committed, true),
        (End::Committed, End::Forgotten, true),
        (End::Committed, End::RolledBack, true),
        (End::Forgotten, End::Committed, true),
        // Anywhere it may have been reported, and all is there.
        (End::Forgotten, End::Forgotten, true),
        (End::Forgotten, End::RolledBack, false),
        (End::RolledBack, End::Committed, true),
        (End::RolledBack, End::Forgotten, true),
        (End::RolledBack, End::RolledBack, false),
    ];
    let mut broker = Broker::start();
    for case in 0..CASES.len() {
        let mut sink = open(&config_of(&broker, &format!("case{case}")));
        for (tick, bars) in [(100, 1..2), (200, 2..4)] {
            sink.write(&output(tick, bars)).expect("the broker takes the records");
            sink.advance(tick, &Counters::default()).expect("the commit succeeds");
        }
        std::mem::forget(sink);
    }
    settled_logs(&broker, "__transaction_state");
    broker.kill();
    for (case, (in_progress, in_bars, _)) in CASES.into_iter().enumerate() {
        for (suffix, end) in [("progress", in_progress), ("bars.1m", in_bars)] {
            for (log, content) in logs(&broker, &format!("case{case}.{suffix}")) {
                std::fs::write(log, ended(content, end)).expect("the broker's folder can be written to");
            }
        }
    }
    broker.resume();

    for (case, (in_progress, in_bars, was_committed)) in CASES.into_iter().enumerate() {
        let told = format!("{in_progress:?} in the progress, {in_bars:?} in the bars");
        let seen = |isolation| minutes(broker.address(), &format!("case{case}"), isolation);
        let before: &[u64] = if in_bars == End::Committed { &[1, 2, 3] } else { &[1] };
        assert_eq!(seen(Isolation::ReadCommitted), before, "{told}");
        assert_eq!(seen(Isolation::ReadUncommitted), [1, 2, 3], "{told}");
        let begun = Instant::now();
        let mut next = open(&config_of(&broker, &format!("case{case}")));
        println!("{told}: opened in {:?}, through {:?}", begun.elapsed(), next.committed_tick());
        assert_eq!(next.committed_tick(), Some(if was_committed { 200 } else { 100 }), "{told}");
        let through: &[u64] = if was_committed { &[1, 2, 3] } else { &[1] };
        assert_eq!(seen(Isolation::ReadCommitted), through, "{told}");
        for (tick, bars) in [(200, 2..4), (300, 4..5)] {
            next.write(&output(tick, bars)).expect("the broker takes the records");
            next.advance(tick, &Counters::default()).expect("the commit succeeds");
        }
        assert_eq!(seen(Isolation::ReadCommitted), [1, 2, 3, 4], "{told}");
    }
}

#[test]
fn records_that_a_broker_forgot_to_roll_back_are_rolled_back_before_anything_is_written() {
    let mut broker = Broker::start();
    let config = config_of(&broker, "forgotten");
    let mut sink = open(&config);
    sink.write(&output(100, 1..2)).expect("the broker takes the records");
    sink.advance(100, &Counters::default()).expect("the commit succeeds");
    // What the coordinator knows from here on it will not know after the crash, and so not end: Kafka 4.3 does the same to
    // itself when it starts, but not always.
    let before = settled_logs(&broker, "__transaction_state");
    sink.write(&output(200, 2..4)).expect("the broker takes the records");
    let begun = Instant::now();
    while minutes(broker.address(), "forgotten", Isolation::ReadUncommitted) != [1, 2, 3] {
        assert!(begun.elapsed() < PATIENCE, "the records do not arrive");
    }
    std::mem::forget(sink);
    broker.kill();
    for (log, content) in before {
        std::fs::write(log, content).expect("the broker's folder can be written to");
    }
    broker.resume();

    let mut next = open(&config);
    assert_eq!(next.committed_tick(), Some(100));
    next.write(&output(200, 2..4)).expect("the broker takes the records");
    next.advance(200, &Counters::default()).expect("the commit succeeds");
    assert_eq!(minutes(broker.address(), "forgotten", Isolation::ReadUncommitted), [1, 2, 3, 2, 3]);
    comes_to(|| minutes(broker.address(), "forgotten", Isolation::ReadCommitted), [1, 2, 3]);
}

/// Has the last transaction of the bars of a prefix look rolled back, which was committed.
fn roll_back_bars(broker: &mut Broker, prefix: &str) {
    settled_logs(broker, "__transaction_state");
    broker.kill();
    for (log, content) in logs(broker, &format!("{prefix}.bars.1m")) {
        std::fs::write(log, ended(content, End::RolledBack)).expect("the broker's folder can be written to");
    }
    broker.resume();
}

#[test]
fn of_committed_records_that_were_rolled_back_those_are_written_again_that_the_broker_still_has() {
    let mut broker = Broker::start();
    let config = KafkaSinkConfig { partitions: 1, ..config_of(&broker, "cut") };
    let mut sink = open(&config);
    for (tick, bars) in [(100, 1..2), (200, 2..5)] {
        sink.write(&output(tick, bars)).expect("the broker takes the records");
        sink.advance(tick, &Counters::default()).expect("the commit succeeds");
    }
    std::mem::forget(sink);
    broker.configure("cut.bars.1m", &[("cleanup.policy", "compact,delete")]);
    roll_back_bars(&mut broker, "cut");
    comes_to(|| minutes(broker.address(), "cut", Isolation::ReadCommitted), [1]);
    // The first bar, its mark, and the first of the three.
    broker.delete_records("cut.bars.1m", 0, 3);
    assert_eq!(open(&config).committed_tick(), Some(200));
    comes_to(|| minutes(broker.address(), "cut", Isolation::ReadCommitted), [3, 4]);
}

#[test]
fn where_another_sinks_records_lie_between_one_that_begins_anew_opens_and_others_are_told_so() {
    let mut broker = Broker::start();
    let config = KafkaSinkConfig { partitions: 1, ..config_of(&broker, "shared") };
    let mut sink = open(&config);
    let mut other = open(&KafkaSinkConfig { transactional_id: "other".to_owned(), ..config.clone() });
    let arrives = |seen: &[u64]| {
        let begun = Instant::now();
        while minutes(broker.address(), "shared", Isolation::ReadUncommitted) != seen {
            assert!(begun.elapsed() < PATIENCE, "the records do not arrive");
        }
    };
    sink.write(&output(100, 1..2)).expect("the broker takes the records");
    arrives(&[1]);
    other.write(&output(100, 7..8)).expect("the broker takes the records");
    other.advance(100, &Counters::default()).expect("the commit succeeds");
    sink.write(&output(100, 2..3)).expect("the broker takes the records");
    arrives(&[1, 7, 2]);
    sink.advance(100, &Counters::default()).expect("the commit succeeds");
    std::mem::forget((sink, other));
    roll_back_bars(&mut broker, "shared");

    for _ in 0..2 {
        let error = KafkaSink::open(&config, Vec::new()).err().expect("it cannot be mended").to_string();
        assert!(error.contains("shared.bars.1m[0]") && error.contains("--replace"), "{error}");
    }
    let mut anew = KafkaSink::open_as(&config, Vec::new(), SinkBegin::Anew, None).expect("it need not be mended");
    anew.begin_anew().expect("the broker answers");
    anew.write(&output(100, 1..3)).expect("the broker takes the records");
    anew.advance(100, &Counters::default()).expect("the commit succeeds");
    comes_to(|| minutes(broker.address(), "shared", Isolation::ReadCommitted), [7, 1, 2]);
    drop(anew);
    assert_eq!(open(&config).committed_tick(), Some(100));
}

/// Writes tick after tick, as a run does, until told to stop. Returns how many, and how many transactions were aborted.
fn write_on(mut sink: KafkaSink, ticks: impl Fn(u64) -> TickOutput, stop: &AtomicBool, done: &AtomicU64) -> (u64, u64) {
    let (mut tick, mut aborted) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        tick += 1;
        let output = ticks(tick);
        while let Err(error) = sink.write(&output).and_then(|()| sink.advance(tick, &Counters::default())) {
            assert!(matches!(error, KafkaError::Aborted { .. }), "{error}");
            aborted += 1;
        }
        done.store(tick, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(20));
    }
    (tick, aborted)
}

fn wait_for(done: &[Arc<AtomicU64>; 2], ticks: u64) {
    let goals = done.each_ref().map(|done| done.load(Ordering::Relaxed) + ticks);
    let begun = Instant::now();
    while done.iter().zip(goals).any(|(done, goal)| done.load(Ordering::Relaxed) < goal) {
        assert!(begun.elapsed() < PATIENCE, "a sink stands still at {done:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_busy_and_an_idle_sink_outlive_an_outage_of_half_a_minute() {
    let mut broker = Broker::start();
    let stop = Arc::new(AtomicBool::new(false));
    let done = [Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0))];
    let start = |prefix: &str, ticks: fn(u64) -> TickOutput, done: &Arc<AtomicU64>| {
        let sink = open(&config_of(&broker, prefix));
        let (stop, done) = (Arc::clone(&stop), Arc::clone(done));
        std::thread::spawn(move || write_on(sink, ticks, &stop, &done))
    };
    let busy = start("busy", |tick| output(tick, tick as i64..tick as i64 + 1), &done[0]);
    let idle = start("idle", |tick| output(tick, 0..0), &done[1]);
    wait_for(&done, 5);
    broker.kill();
    std::thread::sleep(Duration::from_secs(30));
    broker.resume();
    wait_for(&done, 5);
    stop.store(true, Ordering::Relaxed);
    let (ticks, aborted) = busy.join().expect("nothing but aborted transactions");
    let (_, aborted_idle) = idle.join().expect("nothing but aborted transactions");
    assert!(aborted + aborted_idle < 5, "{aborted} and {aborted_idle} for one outage");
    let expected: Vec<u64> = (1..=ticks).collect();
    comes_to(|| minutes(broker.address(), "busy", Isolation::ReadCommitted), expected);
}

#[test]
fn a_sink_that_is_to_stop_does_not_wait_for_its_broker_to_come_back() {
    let mut broker = Broker::start();
    let config = config_of(&broker, "stopped");
    let mut sink = open(&config);
    sink.write(&output(100, 1..2)).expect("the broker takes the records");
    sink.advance(100, &Counters::default()).expect("the commit succeeds");
    let stop = Arc::new(AtomicBool::new(false));
    sink.stop_waiting_when(Arc::clone(&stop));
    broker.kill();
    let waiting = std::thread::spawn(move || {
        let error = sink.write(&output(200, 2..3)).and_then(|()| sink.advance(200, &Counters::default()));
        error.expect_err("there is no broker")
    });
    // Longer than the transaction's timeout, so that it waits to open a new producer.
    std::thread::sleep(Duration::from_secs(4));
    assert!(!waiting.is_finished(), "it waits as long as nobody wants it to stop");
    stop.store(true, Ordering::Relaxed);
    let told = Instant::now();
    let error = waiting.join().expect("the sink does not panic");
    assert!(matches!(error, KafkaError::Unanswered { .. }), "{error}");
    assert!(told.elapsed() < Duration::from_secs(13), "{:?}", told.elapsed());
    broker.resume();
    let mut next = open(&config);
    assert_eq!(next.committed_tick(), Some(100));
    next.write(&output(200, 2..3)).expect("the broker takes the records");
    next.advance(200, &Counters::default()).expect("the commit succeeds");
    comes_to(|| minutes(broker.address(), "stopped", Isolation::ReadCommitted), [1, 2]);
}
