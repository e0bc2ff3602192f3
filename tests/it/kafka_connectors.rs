//! The Kafka connectors on a real broker: what is read, what is visible when, and what survives a restart.

mod anew;
mod catch_up;
mod log;
mod outage;
mod sink;
mod source;
mod topics;
mod transactions;

use crate::harness::kafka::PATIENCE;
use std::time::Instant;
use tidewheel_connectors::kafka::replay::to_end;
use tidewheel_connectors::kafka::source::{Isolation, KafkaSource, KafkaSourceConfig};
use tidewheel_connectors::source::{MessageBlock, Work};

/// `partition@offset value` for every message of the blocks.
fn lines(blocks: &[MessageBlock]) -> Vec<String> {
    let line = |block: &MessageBlock, at: usize| {
        let message = &block.messages[at];
        format!("{}@{} {}", block.partition, message.position, String::from_utf8_lossy(block.payload(message)))
    };
    blocks.iter().flat_map(|block| (0..block.messages.len()).map(move |at| line(block, at))).collect()
}

/// Waits until readers of what is committed see so much: a commit is answered before its end stands in every partition.
fn comes_to(seen: impl Fn() -> Vec<u64>, expected: impl Into<Vec<u64>>) {
    let (begun, expected) = (Instant::now(), expected.into());
    loop {
        let seen = seen();
        if seen == expected {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{seen:?} instead of {expected:?}");
    }
}

/// All that a topic holds, by partition and offset.
fn held(brokers: &str, topic: &str, isolation: Isolation) -> Vec<String> {
    let config = KafkaSourceConfig { isolation, ..KafkaSourceConfig::new(brokers, &[topic]) };
    let mut blocks = Vec::new();
    for mut reader in to_end(&config).expect("the topic can be read") {
        while let Some(work) = reader.read().expect("the topic can be read") {
            if let Work::Messages(block) = work {
                blocks.push(block);
            }
        }
        assert_eq!(reader.progress().done, reader.progress().total, "{} is done", reader.name());
    }
    lines(&blocks)
}

/// Polls a source until all its partitions are caught up. By partition, in order of offset; and what was ignored.
fn drain(source: &mut KafkaSource) -> (Vec<MessageBlock>, u64) {
    let deadline = Instant::now() + PATIENCE;
    let partitions = u32::try_from(source.partition_names().len()).expect("few partitions");
    let (mut blocks, mut ignored) = (Vec::new(), 0);
    while !(0..partitions).all(|partition| source.caught_up(partition)) {
        assert!(Instant::now() < deadline, "the source does not catch up");
        let polled = source.poll_until(Instant::now() + PATIENCE / 1_000, usize::MAX).expect("the source can be read");
        blocks.extend(polled.blocks);
        ignored += polled.ignored.values().sum::<u64>();
    }
    blocks.sort_by_key(|block| (block.partition, block.end_position));
    (blocks, ignored)
}
