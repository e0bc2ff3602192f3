//! Reads topics from their start to the end as it was when the replay began, a reader for each partition.
//!
//! The end is told by position: a topic written in transactions ends in marks that are no messages, so that the message
//! before the end offset may never come. A reader is done when it has passed the end offset, which the client tells for marks
//! too. What is written meanwhile is left out.

use super::KafkaError;
use super::client::Context;
use super::lane::{Lane, Opened, Taken, open, serve};
use super::source::{KafkaSourceConfig, TOMBSTONE};
use crate::source::{DecodedChunk, PartitionReader, Progress, SourceError, Work};
use rdkafka::consumer::BaseConsumer;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a block, about.
const BLOCK_BYTES: usize = 1 << 20;

/// Readers of all partitions of the topics, by topic and partition. The configured start is not looked at.
///
/// # Errors
/// If no broker answers in time, a topic is missing, or a property is not usable.
pub fn to_end(config: &KafkaSourceConfig) -> Result<Vec<Box<dyn PartitionReader>>, KafkaError> {
    let Opened { lanes, consumer, .. } = open(config, |found| Ok(found.low))?;
    let reader = |lane: Lane| -> Box<dyn PartitionReader> {
        let (begin, brokers, consumer) = (lane.position, config.brokers.clone(), Arc::clone(&consumer));
        Box::new(TopicReader { begin, stop: lane.end, finished: false, brokers, lane, consumer })
    };
    Ok(lanes.into_iter().filter(Lane::is_read).map(reader).collect())
}

struct TopicReader {
    /// The first offset.
    begin: u64,
    /// One past the last.
    stop: u64,
    finished: bool,
    brokers: String,
    lane: Lane,
    /// After the lane: it must be dropped last.
    consumer: Arc<BaseConsumer<Context>>,
}

impl PartitionReader for TopicReader {
    fn name(&self) -> &str {
        &self.lane.name
    }

    fn read(&mut self) -> Result<Option<Work>, SourceError> {
        if self.lane.tombstones > 0 {
            return Ok(Some(self.ignored()));
        }
        let mut block = self.lane.block();
        let mut budget = BLOCK_BYTES;
        while !self.finished && budget > 0 {
            // A block that has something is worth a short wait for more, not a long one.
            let timeout = Duration::from_millis(if block.messages.is_empty() { 100 } else { 5 });
            let taken = self.lane.take(&mut block, &mut budget, self.stop, timeout)?;
            self.finished = taken == Taken::Stopped || taken == Taken::Empty && self.lane.has_passed(self.stop)?;
            if taken == Taken::Empty && !block.messages.is_empty() {
                break;
            }
            serve(&self.consumer, &self.brokers)?;
        }
        if !block.messages.is_empty() || !block.rejects.is_empty() {
            return Ok(Some(Work::Messages(block)));
        }
        Ok((self.lane.tombstones > 0).then(|| self.ignored()))
    }

    fn progress(&self) -> Progress {
        let total = self.stop - self.begin;
        let done = if self.finished { total } else { self.lane.position.min(self.stop) - self.begin };
        Progress { done, total }
    }
}

impl TopicReader {
    /// The count of messages without a value, as a piece of its own: a block has no place for it.
    fn ignored(&mut self) -> Work {
        let chunk = DecodedChunk {
            ignored: BTreeMap::from([(TOMBSTONE.to_owned(), std::mem::take(&mut self.lane.tombstones))]),
            end_position: self.lane.position,
            ..DecodedChunk::default()
        };
        Work::Rows(Box::new(move || chunk))
    }
}
