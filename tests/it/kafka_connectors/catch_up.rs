//! Reading again up to the ends that a log names: the same messages in every tick, whatever lies between them.

use super::{drain, lines};
use crate::harness::kafka::{PATIENCE, broker, queue};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rdkafka::producer::{BaseProducer, Producer};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tidewheel_connectors::kafka::source::{KafkaSource, KafkaSourceConfig, Polled, TOMBSTONE};
use tidewheel_connectors::source::MessageBlock;

/// Partitions of the topics here.
const PARTITIONS: u32 = 2;

/// Writes transactions of records, some without a value, some transactions rolled back.
fn write(producer: &BaseProducer, topic: &str, random: &mut ChaCha8Rng, transactions: usize) {
    for transaction in 0..transactions {
        producer.begin_transaction().expect("transactions work");
        let values: Vec<(i32, Option<String>)> = (0..random.random_range(0..7))
            .map(|record| {
                let value = format!("{transaction}.{record} {}", "x".repeat(random.random_range(0..40)));
                (random.random_range(0..PARTITIONS as i32), random.random_bool(0.8).then_some(value))
            })
            .collect();
        let records: Vec<_> =
            values.iter().map(|(partition, value)| (*partition, Some("k"), value.as_deref())).collect();
        queue(producer, topic, &records);
        producer.flush(PATIENCE).expect("the broker takes the records");
        let ended = match random.random_bool(0.6) {
            true => producer.commit_transaction(PATIENCE),
            false => producer.abort_transaction(PATIENCE),
        };
        ended.expect("transactions work");
    }
}

/// Takes a tick with deadlines that are mostly too short.
fn tick(source: &mut KafkaSource, ends: &BTreeMap<u32, u64>, random: &mut ChaCha8Rng) -> Polled {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let deadline = Instant::now() + Duration::from_micros(random.random_range(0..3_000));
        if let Some(polled) = source.poll_to(ends, deadline).expect("the topic can be read") {
            return polled;
        }
        assert!(Instant::now() < give_up, "{ends:?} are not reached");
    }
}

fn position_of(line: &str) -> (u32, u64) {
    let (partition, rest) = line.split_once('@').expect("a partition");
    let (position, _) = rest.split_once(' ').expect("a position");
    (partition.parse().expect("a number"), position.parse().expect("a number"))
}

#[test]
fn ticks_cut_anywhere_hold_what_one_reading_finds_there() {
    for seed in [1, 2, 3] {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let topic = broker().topic("cuts", PARTITIONS as i32);
        let producer = broker().transactional_producer(&topic);
        write(&producer, &topic, &mut random, 60);
        let config = KafkaSourceConfig::new(broker().address(), &[&topic]);
        let mut whole = KafkaSource::connect(&config).expect("the source connects");
        let (blocks, tombstones) = drain(&mut whole);
        let all = lines(&blocks);
        assert!(all.len() > 50 && tombstones > 5, "seed {seed}: {} messages, {tombstones} without value", all.len());
        let ends: Vec<u64> = (0..PARTITIONS).map(|partition| whole.end_offset(partition)).collect();

        let mut source = KafkaSource::connect(&config).expect("the source connects");
        let (mut from, mut seen, mut ignored) = (vec![0; PARTITIONS as usize], 0, 0);
        while from != ends {
            let mut to = BTreeMap::new();
            for partition in 0..PARTITIONS {
                let (begin, end) = (from[partition as usize], ends[partition as usize]);
                if random.random_bool(0.7) {
                    to.insert(partition, random.random_range(begin..=end.min(begin + 12)));
                }
            }
            let polled = tick(&mut source, &to, &mut random);
            to.iter().for_each(|(partition, end)| assert_eq!(source.position(*partition), *end, "seed {seed}"));
            let expected: Vec<&String> = all
                .iter()
                .filter(|line| {
                    let (partition, position) = position_of(line);
                    to.get(&partition).is_some_and(|end| (from[partition as usize]..*end).contains(&position))
                })
                .collect();
            assert_eq!(lines(&polled.blocks).iter().collect::<Vec<_>>(), expected, "seed {seed}, {from:?} to {to:?}");
            let ends_of_blocks = |block: &MessageBlock| Some(&block.end_position) == to.get(&block.partition);
            assert!(polled.blocks.iter().all(ends_of_blocks), "seed {seed}, {from:?} to {to:?}");
            seen += expected.len();
            ignored += polled.ignored.get(TOMBSTONE).copied().unwrap_or(0);
            to.into_iter().for_each(|(partition, end)| from[partition as usize] = end);
        }
        assert_eq!((seen, ignored), (all.len(), tombstones), "seed {seed}");

        // And then it is read live, from where the log ends.
        assert_eq!(source.fingerprints(), whole.fingerprints(), "seed {seed}");
        write(&producer, &topic, &mut random, 10);
        let (live, expected) = (drain_all(&mut source), drain_all(&mut whole));
        assert!(!expected.is_empty() && live == expected, "seed {seed}: {live:?}, expected {expected:?}");
    }
}

/// What a source finds until its positions are the ends that the broker tells.
fn drain_all(source: &mut KafkaSource) -> Vec<String> {
    source.refresh_end_offsets(PATIENCE).expect("the broker answers");
    let ends = (0..PARTITIONS).map(|partition| (partition, source.end_offset(partition))).collect();
    let polled = source.poll_to(&ends, Instant::now() + PATIENCE).expect("the topic can be read");
    lines(&polled.expect("the ends are reached").blocks)
}

#[test]
fn what_a_call_left_behind_comes_with_the_next_of_either_kind() {
    let topic = broker().topic("left", 1);
    broker().write(&topic, &[(0, None, Some("a")), (0, None, Some("b")), (0, None, Some("c"))]);
    let mut source = KafkaSource::connect(&KafkaSourceConfig::new(broker().address(), &[&topic])).expect("it connects");
    let to = |end: u64| BTreeMap::from([(0, end)]);
    let deadline = Instant::now() + PATIENCE;
    let polled = source.poll_to(&to(1), deadline).expect("readable").expect("in time");
    assert_eq!(lines(&polled.blocks), ["0@0 a"]);
    let again = source.poll_to(&to(1), deadline).expect("readable").expect("at once");
    assert!(again.blocks.is_empty());
    assert_eq!(lines(&drain(&mut source).0), ["0@1 b", "0@2 c"]);

    let beyond = source.poll_to(&to(9), deadline).expect_err("no log can name this");
    let message = beyond.to_string();
    assert!(
        message.starts_with(&format!(
            "could not read {topic}[0] from offset 9: the broker has 0 up to 3; the topic was created anew"
        )),
        "{message}"
    );
}
