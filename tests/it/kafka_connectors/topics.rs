//! Topics that change under their reader: more partitions, deleted, created anew, cut by retention, a broker that dies.

use super::lines;
use crate::harness::kafka::{Broker, PATIENCE, broker, queue};
use rdkafka::producer::Producer;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tidewheel_connectors::kafka::KafkaError;
use tidewheel_connectors::kafka::source::{KafkaSource, KafkaSourceConfig, Start};

fn config(broker: &Broker, topic: &str) -> KafkaSourceConfig {
    let discover_every = Duration::from_millis(200);
    KafkaSourceConfig { discover_every, ..KafkaSourceConfig::new(broker.address(), &[topic]) }
}

fn connect(config: &KafkaSourceConfig) -> KafkaSource {
    KafkaSource::connect(config).expect("the source connects")
}

/// A live loop: what comes, until `is_done` says so of it and of the partitions added so far.
fn read_until(
    source: &mut KafkaSource,
    mut is_done: impl FnMut(&KafkaSource, &[String], &[String]) -> bool,
) -> Result<(Vec<String>, Vec<String>), KafkaError> {
    let deadline = Instant::now() + PATIENCE;
    let (mut read, mut added) = (Vec::new(), Vec::new());
    while !is_done(source, &read, &added) {
        assert!(Instant::now() < deadline, "nothing happens; read {}, added {added:?}", read.len());
        read.extend(lines(&source.poll_until(Instant::now() + Duration::from_millis(20), usize::MAX)?.blocks));
        added.extend(source.discover()?);
    }
    Ok((read, added))
}

/// The error that a live loop ends with, and how long that took.
fn failure(source: &mut KafkaSource) -> (KafkaError, Duration) {
    let begun = Instant::now();
    (read_until(source, |_, _, _| false).expect_err("it never ends otherwise"), begun.elapsed())
}

/// Numbered values for partitions in turn.
fn write(broker: &Broker, topic: &str, partitions: i32, numbers: std::ops::Range<usize>) {
    let values: Vec<String> = numbers.clone().map(|number| format!("v{number}")).collect();
    let records: Vec<_> =
        numbers.zip(&values).map(|(number, value)| (number as i32 % partitions, None, Some(value.as_str()))).collect();
    broker.write(topic, &records);
}

#[test]
fn partitions_added_while_reading_are_read_from_their_beginning() {
    let topic = broker().topic("grows", 2);
    write(broker(), &topic, 2, 0..500);
    let mut source = connect(&KafkaSourceConfig { start: Start::Earliest, ..config(broker(), &topic) });
    let names = source.partition_names();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..20 {
                write(broker(), &topic, 2, round * 500..(round + 1) * 500);
            }
        });
        scope.spawn(|| {
            broker().add_partitions(&topic, 5);
            write(broker(), &topic, 5, 10_000..12_000);
        });
        let (read, added) = read_until(&mut source, |_, read, _| read.len() >= 12_000).expect("readable");
        assert_eq!(added, [2, 3, 4].map(|partition| format!("{topic}[{partition}]")));
        assert_eq!(source.partition_names(), [names, added].concat());
        let mut values: Vec<&str> = read.iter().map(|line| line.split_once(' ').expect("a value").1).collect();
        values.sort_unstable_by_key(|value| value[1..].parse::<usize>().expect("a number"));
        let expected: Vec<String> = (0..12_000).map(|number| format!("v{number}")).collect();
        assert!(values == expected, "{} messages, not those written", values.len());
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        for line in &read {
            let (place, _) = line.split_once(' ').expect("a value");
            let (partition, offset) = place.split_once('@').expect("an offset");
            let offset = offset.parse().expect("a number");
            assert!(last.insert(partition, offset).is_none_or(|last| last < offset), "{line} comes after {last:?}");
        }
    });
    // A run to come knows them under the same numbers, and one that did not know them reads them from their beginning.
    let known = source.partition_names();
    let offsets = (0..5).map(|number| (known[number as usize].clone(), source.position(number))).collect();
    let start = Start::Offsets(offsets);
    let again = connect(&KafkaSourceConfig { known: known.clone(), start, ..config(broker(), &topic) });
    assert_eq!(again.partition_names(), known);
}

#[test]
fn a_deleted_topic_is_an_error_and_no_silence() {
    let topic = broker().topic("deleted", 1);
    write(broker(), &topic, 1, 0..10);
    let mut source = connect(&config(broker(), &topic));
    read_until(&mut source, |_, read, _| read.len() == 10).expect("readable");
    broker().delete_topic(&topic);
    let (error, after) = failure(&mut source);
    assert!(matches!(error, KafkaError::TopicDeleted { .. }), "{error}");
    let message = error.to_string();
    assert!(message.contains(&topic) && message.contains("the topic was deleted; "), "{message}");
    assert!(message.ends_with("or start anew with `tidewheel run --replace`"), "{message}");
    assert!(after < Duration::from_secs(30), "{after:?}");
}

#[test]
fn a_topic_created_anew_under_its_reader_is_an_error() {
    // With more messages than were read, so that the offsets to come exist, and with fewer.
    for after in [40, 3] {
        let topic = broker().topic("anew", 1);
        write(broker(), &topic, 1, 0..10);
        let mut source = connect(&config(broker(), &topic));
        read_until(&mut source, |source, read, _| read.len() == 10 && source.fingerprints().len() == 1)
            .expect("readable");
        let before = source.fingerprints();
        broker().delete_topic(&topic);
        broker().create_topic(&topic, 1);
        write(broker(), &topic, 1, 100..100 + after);
        let (error, _) = failure(&mut source);
        match &error {
            KafkaError::TopicRecreated { partition: 0, .. } => {}
            KafkaError::OffsetGone { offset: 10, low: 0, end: 0..=3, .. } if after == 3 => {}
            other => panic!("{other}"),
        }
        assert!(error.to_string().contains(&topic), "{error}");
        // What is kept for a run to come is of the old topic, or else that run would not notice.
        assert_eq!(source.fingerprints(), before);
    }
}

#[test]
fn a_topic_created_anew_between_two_runs_is_known_by_its_last_message() {
    let topic = broker().topic("between", 2);
    write(broker(), &topic, 2, 0..20);
    let mut source = connect(&config(broker(), &topic));
    read_until(&mut source, |_, read, _| read.len() == 20).expect("readable");
    let (names, fingerprints) = (source.partition_names(), source.fingerprints());
    assert_eq!(fingerprints.len(), 2);
    let kept = serde_json::to_string(&fingerprints).expect("they can be kept");
    let resumed = KafkaSourceConfig {
        start: Start::Offsets(names.iter().map(|name| (name.clone(), 10)).collect()),
        known: names,
        fingerprints: serde_json::from_str(&kept).expect("they can be read"),
        ..config(broker(), &topic)
    };
    write(broker(), &topic, 2, 20..24);
    let (read, _) = read_until(&mut connect(&resumed), |_, read, _| read.len() == 4).expect("readable");
    assert_eq!(read.len(), 4);
    // Retention may remove the message itself.
    broker().delete_records(&topic, 0, 10);
    drop(connect(&resumed));

    broker().delete_topic(&topic);
    broker().create_topic(&topic, 2);
    write(broker(), &topic, 2, 0..30);
    let error = KafkaSource::connect(&resumed).err().expect("another topic of the name");
    let expected = format!(
        "could not go on with topic {topic:?}: partition 0 has another message at offset 9 than was read there, so the topic \
         was deleted and created anew; compute the bars again from what the lake archived"
    );
    assert!(error.to_string().starts_with(&expected), "{error}");
}

#[test]
fn retention_that_passes_a_slow_reader_is_an_error() {
    let topic = broker().topic("passed", 1);
    let value = "x".repeat(100_000);
    let records: Vec<_> = (0..300).map(|_| (0, None, Some(value.as_str()))).collect();
    broker().write(&topic, &records);
    let slow =
        KafkaSourceConfig { prefetch_bytes: 1, fetch_bytes: 1, max_message_bytes: 200_000, ..config(broker(), &topic) };
    let mut source = connect(&slow);
    let first = source.poll_until(Instant::now() + PATIENCE, 1_000).expect("readable");
    assert_eq!(lines(&first.blocks).len(), 1);
    broker().delete_records(&topic, 0, 290);
    let deadline = Instant::now() + PATIENCE;
    let error = loop {
        assert!(Instant::now() < deadline, "read up to {}", source.position(0));
        if let Err(error) = source.poll_until(Instant::now() + Duration::from_millis(100), usize::MAX) {
            break error;
        }
    };
    assert!(matches!(error, KafkaError::OffsetGone { offset: 1..290, low: 290, end: 300, .. }), "{error}");
    assert!(
        error.to_string().contains("retention removed records before they were read; compute the bars again "),
        "{error}"
    );
}

#[test]
fn a_broker_that_dies_while_a_transactional_topic_is_read_is_waited_for() {
    let mut broker = Broker::start();
    let topic = broker.topic("outlived", 2);
    let transactions = |broker: &Broker, id: &str, numbers: std::ops::Range<usize>| {
        let producer = broker.transactional_producer(id);
        for number in numbers {
            producer.begin_transaction().expect("transactions work");
            let value = format!("v{number}");
            queue(&producer, &topic, &[(number as i32 % 2, None, Some(&value)), (0, None, None)]);
            producer.flush(PATIENCE).expect("the broker takes the records");
            let ended = match number % 3 {
                0 => producer.abort_transaction(PATIENCE),
                _ => producer.commit_transaction(PATIENCE),
            };
            ended.expect("transactions work");
        }
    };
    transactions(&broker, "before", 0..30);
    let mut source = connect(&config(&broker, &topic));
    let (mut read, _) = read_until(&mut source, |_, read, _| read.len() >= 5).expect("readable");
    broker.kill();
    let (down, _) = read_until(&mut source, {
        let until = Instant::now() + Duration::from_secs(3);
        move |_, _, _| Instant::now() > until
    })
    .expect("a broker that is down is no error");
    read.extend(down);
    broker.resume();
    transactions(&broker, "after", 30..60);
    let missing = 40 - read.len();
    let (rest, added) = read_until(&mut source, |_, read, _| read.len() >= missing).expect("readable");
    read.extend(rest);
    assert!(added.is_empty(), "{added:?}");
    let mut values: Vec<&str> = read.iter().map(|line| line.split_once(' ').expect("a value").1).collect();
    values.sort_unstable_by_key(|value| value[1..].parse::<usize>().expect("a number"));
    let expected: Vec<String> = (0..60).filter(|number| number % 3 != 0).map(|number| format!("v{number}")).collect();
    assert_eq!(values, expected);
}
