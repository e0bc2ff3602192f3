//! A look at the partitions of a sink, through the eyes of readers of all records or of committed ones.

use super::KafkaSinkConfig;
use super::fate::Place;
use super::topics::Topics;
use crate::kafka::KafkaError;
use crate::kafka::client::{Context, consumer, is_between_leaders, partition_name, until};
use crate::kafka::known_end::{KnownEnd, passed};
use crate::kafka::lane::classify;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::BorrowedMessage;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What readers of an isolation see.
pub(super) struct View<'a> {
    config: &'a KafkaSinkConfig,
    isolation: &'static str,
    /// A client that has read no records. One that has read some is not used again: the end of a partition that it was told of
    /// would be taken for the next reading's.
    unused: RefCell<Option<BaseConsumer<Context>>>,
}

impl<'a> View<'a> {
    /// Of the isolation `read_committed` or `read_uncommitted`.
    pub(super) const fn new(config: &'a KafkaSinkConfig, isolation: &'static str) -> Self {
        Self { config, isolation, unused: RefCell::new(None) }
    }

    /// The least offset of every partition, or one past the greatest that can be read: [`Offset::Beginning`], [`Offset::End`].
    pub(super) fn bounds(&self, topics: &Topics, at: Offset) -> Result<BTreeMap<Place, u64>, KafkaError> {
        const RETRY_PAUSE: Duration = Duration::from_millis(20);
        let client = self.client()?;
        let mut wanted = TopicPartitionList::new();
        for topic in topics.all() {
            for partition in 0..topic.partitions {
                // In place of a time.
                let added = wanted.add_partition_offset(&topic.name, partition, at);
                added.map_err(|error| self.unreadable(&error.to_string()))?;
            }
        }
        let deadline = Instant::now() + self.config.connect_timeout;
        let found = loop {
            let answer = client.offsets_for_times(wanted.clone(), until(deadline)).and_then(|found| {
                let failed = found.elements().iter().find_map(|found| found.error().err());
                failed.map_or(Ok(found), Err)
            });
            match answer {
                Ok(found) => {
                    self.unused.replace(Some(client));
                    break found;
                }
                // As just after a topic was created.
                Err(error) if is_between_leaders(&error) && !until(deadline).is_zero() => {
                    drop(client.poll(until(deadline).min(RETRY_PAUSE)));
                }
                Err(error) => return Err(self.unreadable(&error.to_string())),
            }
        };
        let bound = |offset: Offset, name: &str| match offset {
            Offset::Offset(offset) => Ok(offset.unsigned_abs()),
            other => Err(self.unreadable(&format!("the broker answered {other:?} for {name}"))),
        };
        let elements = found.elements();
        let place = |topic: &str, partition| (topic.to_owned(), partition);
        elements
            .iter()
            .map(|found| Ok((place(found.topic(), found.partition()), bound(found.offset(), found.topic())?)))
            .collect()
    }

    /// Shows the records of a partition from an offset to before another, or until it is enough.
    pub(super) fn scan(
        &self,
        place: &Place,
        from: u64,
        to: u64,
        mut each: impl FnMut(&BorrowedMessage<'_>) -> ControlFlow<()>,
    ) -> Result<(), KafkaError> {
        if from >= to {
            return Ok(());
        }
        self.read(&BTreeMap::from([(place.clone(), from..to)]), |_, message| {
            let offset = message.offset().unsigned_abs();
            let is_enough = offset < to && each(message).is_break();
            is_enough || offset + 1 >= to
        })
    }

    /// The partitions, of those asked for, that have a record at the offset asked for, with its key.
    pub(super) fn keys_at(&self, offsets: &BTreeMap<Place, u64>) -> Result<BTreeMap<Place, Vec<u8>>, KafkaError> {
        let mut found = BTreeMap::new();
        let ranges = offsets.iter().map(|(place, offset)| (place.clone(), *offset..offset + 1)).collect();
        self.read(&ranges, |place, message| {
            if offsets.get(place) == Some(&message.offset().unsigned_abs()) {
                found.insert(place.clone(), message.key().unwrap_or_default().to_vec());
            }
            true
        })?;
        Ok(found)
    }

    /// Reads ranges of partitions, each until it is enough, or until its end is passed. That nothing follows, a broker may say
    /// that is behind: what it does not know yet would look as if it were not there.
    fn read(
        &self,
        ranges: &BTreeMap<Place, Range<u64>>,
        mut is_enough: impl FnMut(&Place, &BorrowedMessage<'_>) -> bool,
    ) -> Result<(), KafkaError> {
        if ranges.is_empty() {
            return Ok(());
        }
        let unreadable = |error: ClientError| self.unreadable(&error.to_string());
        let client = Arc::new(self.client()?);
        let (mut assignment, mut queues) = (TopicPartitionList::new(), Vec::with_capacity(ranges.len()));
        for (place, range) in ranges {
            let (topic, partition) = place;
            // Before it is assigned: a queue that is split off afterwards may have lost its first messages.
            let queue = client.split_partition_queue(topic, *partition);
            queues.push((place, range, queue.ok_or_else(|| self.unreadable("a partition has no queue"))?));
            let offset = i64::try_from(range.start).map_or(Offset::Beginning, Offset::Offset);
            assignment.add_partition_offset(topic, *partition, offset).map_err(unreadable)?;
        }
        client.assign(&assignment).map_err(unreadable)?;
        let mut deadline = Instant::now() + self.config.connect_timeout;
        for (place, range, queue) in &queues {
            let partition = (place.0.as_str(), place.1);
            let (mut known_end, mut has_begun) = (KnownEnd::default(), false);
            loop {
                // The client's own events; messages come through the queues.
                drop(client.poll(Duration::ZERO));
                let polled = queue.poll(Duration::from_millis(20));
                let is_drained = has_begun && polled.is_none();
                match polled {
                    None if until(deadline).is_zero() => return Err(self.unreadable("the broker sends no records")),
                    None => {}
                    Some(polled) => {
                        deadline = Instant::now() + self.config.connect_timeout;
                        match polled {
                            Ok(message) if is_enough(place, &message) => break,
                            Ok(_) | Err(ClientError::PartitionEOF(_)) => has_begun = true,
                            Err(error) => classify(error, &partition_name(&place.0, place.1), range.start)?,
                        }
                    }
                }
                let position = passed(&client, &place.0, place.1).unwrap_or(range.start);
                if has_begun && known_end.is_reached(&client, partition, position, range.end, is_drained)? {
                    break;
                }
            }
        }
        Ok(())
    }

    fn client(&self) -> Result<BaseConsumer<Context>, KafkaError> {
        if let Some(client) = self.unused.take() {
            return Ok(client);
        }
        // It reads little, up to ends where nothing follows; how far it has come may stand in its statistics alone.
        let defaults =
            [("fetch.wait.max.ms", "10"), ("fetch.message.max.bytes", "65536"), ("statistics.interval.ms", "100")];
        consumer(&self.config.brokers, &self.config.properties, &defaults, self.isolation)
    }

    fn unreadable(&self, detail: &str) -> KafkaError {
        KafkaError::Offsets { partition: format!("{}.*", self.config.prefix), detail: detail.to_owned() }
    }
}
