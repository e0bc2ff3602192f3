//! Whether the topics are still what they were: partitions added, a topic deleted, or another one under its name.
//!
//! Brokers are asked on a thread of their own with a client of its own, since the reader must not wait for an answer. A broker
//! that does not answer is no news. Bad news is asked for again before it is told: a broker that has just started may not
//! know all yet.
//!
//! librdkafka follows a topic that was created anew without a word. It is found out by a message read before, the *anchor*,
//! which is read again and compared. Only when it is still there may a later message take its place: that one was then of
//! the same topic.

use super::KafkaError;
use super::client::{Context, offsets, partition_name};
use super::fingerprint::Fingerprint;
use super::lane::{Lane, assignment, unusable};
use super::partitions::{Found, partitions_of};
use super::source::KafkaSource;
use crossbeam_channel::{Receiver, Sender, bounded};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

impl KafkaSource {
    /// Looks for partitions that were added to the topics, which are read from their beginning under the next numbers, and
    /// returns their names. Whether the topics are still the same is looked at too. Does not wait: the brokers are asked on
    /// another thread, now and then, and their answer comes with a later call. To be called often.
    ///
    /// # Errors
    /// If a topic was deleted, or deleted and created anew, or no longer has what comes next. A broker that does not answer is
    /// waited for.
    pub fn discover(&mut self) -> Result<Vec<String>, KafkaError> {
        let mut added = Vec::new();
        if let Some(news) = self.watch.answer() {
            let news = news?;
            for found in news.new {
                added.push(found.name.clone());
                self.extend(found)?;
            }
            if news.is_complete {
                self.lanes.iter_mut().for_each(Lane::confirm);
            }
        }
        if self.watch.is_due() {
            let known = self.lanes.iter_mut().filter(|lane| lane.is_read()).map(Lane::question).collect();
            self.watch.ask(known);
        }
        Ok(added)
    }

    /// Reads one more partition, from its beginning.
    fn extend(&mut self, found: Found) -> Result<(), KafkaError> {
        let (index, low) = (self.lanes.len() as u32, found.low);
        let lane = Lane::new(&self.config, &self.consumer, found, index, low)?;
        let assignment = assignment(&self.config.brokers, std::slice::from_ref(&lane))?;
        let assigned = self.consumer.incremental_assign(&assignment);
        assigned.map_err(|error| unusable(&self.config.brokers, &error))?;
        self.add(lane);
        Ok(())
    }
}

/// How long a broker may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A partition as the reader knows it.
pub(super) struct Known {
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The next offset.
    pub(super) position: u64,
    /// A message that was read.
    pub(super) anchor: Option<Fingerprint>,
}

/// What the brokers said.
#[derive(Default)]
pub(super) struct News {
    /// Partitions that were not known.
    new: Vec<Found>,
    /// Whether all anchors were looked for.
    is_complete: bool,
}

/// The thread that asks.
pub(super) struct Watch {
    questions: Sender<Vec<Known>>,
    answers: Receiver<Result<News, KafkaError>>,
    every: Duration,
    asked_at: Option<Instant>,
    is_waiting: bool,
}

impl Watch {
    /// Starts the thread; it ends when the watch is dropped and the last question is answered.
    pub(super) fn start(
        finder: BaseConsumer<Context>,
        brokers: &str,
        topics: &[String],
        every: Duration,
    ) -> Result<Self, KafkaError> {
        let (questions, asked) = bounded::<Vec<Known>>(1);
        let (answer, answers) = bounded(1);
        let (owned, topics) = (brokers.to_owned(), topics.iter().cloned().collect::<BTreeSet<String>>());
        std::thread::Builder::new()
            .name("kafka watch".to_owned())
            .spawn(move || {
                for known in asked {
                    if answer.send(persistent(|| look(&finder, &owned, &topics, &known))).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| KafkaError::Client { brokers: brokers.to_owned(), detail: error.to_string() })?;
        Ok(Self { questions, answers, every, asked_at: None, is_waiting: false })
    }

    /// The answer to the last question, once.
    pub(super) fn answer(&mut self) -> Option<Result<News, KafkaError>> {
        let answer = self.answers.try_recv().ok()?;
        self.is_waiting = false;
        Some(answer)
    }

    /// Whether it is time to ask.
    pub(super) fn is_due(&self) -> bool {
        !self.is_waiting && self.asked_at.is_none_or(|asked_at| asked_at.elapsed() >= self.every)
    }

    /// Asks.
    pub(super) fn ask(&mut self, known: Vec<Known>) {
        // Never full: one question at a time. The thread lives as long as this.
        self.is_waiting = self.questions.try_send(known).is_ok();
        self.asked_at = Some(Instant::now());
    }
}

/// The bad news that does not go away.
pub(super) fn persistent<T>(mut ask: impl FnMut() -> Result<T, KafkaError>) -> Result<T, KafkaError> {
    const ATTEMPTS: usize = 4;
    const PAUSE: Duration = Duration::from_millis(500);
    for _ in 1..ATTEMPTS {
        match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) => tracing::debug!(%error, "asked again"),
        }
        std::thread::sleep(PAUSE);
    }
    ask()
}

/// Asks for everything once.
fn look(
    finder: &BaseConsumer<Context>,
    brokers: &str,
    topics: &BTreeSet<String>,
    known: &[Known],
) -> Result<News, KafkaError> {
    let Ok(cluster) = finder.fetch_metadata(None, TIMEOUT) else { return Ok(News::default()) };
    let mut news = News { new: Vec::new(), is_complete: true };
    for topic in topics {
        let there =
            partitions_of(&cluster, brokers, topic).map_err(|_| KafkaError::TopicDeleted { what: topic.clone() })?;
        let read: BTreeSet<i32> =
            known.iter().filter(|known| known.topic == *topic).map(|known| known.partition).collect();
        if let Some(partition) = read.difference(&there).next() {
            return Err(KafkaError::PartitionGone { topic: topic.clone(), partition: *partition });
        }
        for &partition in there.difference(&read) {
            // One that cannot be asked yet will be there the next time.
            if let Ok((low, end)) = offsets(finder, topic, partition, TIMEOUT) {
                let name = partition_name(topic, partition);
                news.new.push(Found { topic: topic.clone(), partition, name, low, end });
            }
        }
    }
    for known in known {
        news.is_complete &= verify(finder, known)?;
    }
    Ok(news)
}

/// Fails if a partition does not hold what was read of it. False if the brokers did not answer.
pub(super) fn verify(finder: &BaseConsumer<Context>, known: &Known) -> Result<bool, KafkaError> {
    let Known { topic, partition, position, anchor } = known;
    let Ok((low, end)) = offsets(finder, topic, *partition, TIMEOUT) else { return Ok(false) };
    if *position > end {
        let partition = partition_name(topic, *partition);
        return Err(KafkaError::OffsetGone { partition, offset: *position, low, end });
    }
    let Some(anchor) = anchor else { return Ok(true) };
    let recreated =
        || KafkaError::TopicRecreated { topic: topic.clone(), partition: *partition, offset: anchor.offset };
    match anchor.offset {
        offset if offset < low => Ok(true),
        offset if offset >= end => Err(recreated()),
        offset => match message_at(finder, topic, *partition, offset) {
            None => Ok(false),
            Some(Some(found)) if found.offset == offset && found != *anchor => Err(recreated()),
            // The same, or compaction has removed it.
            Some(_) => Ok(true),
        },
    }
}

/// The first message from an offset on, if there is one. None if it cannot be read now.
fn message_at(finder: &BaseConsumer<Context>, topic: &str, partition: i32, offset: u64) -> Option<Option<Fingerprint>> {
    let deadline = Instant::now() + TIMEOUT;
    let mut assignment = TopicPartitionList::new();
    assignment.add_partition_offset(topic, partition, Offset::Offset(i64::try_from(offset).ok()?)).ok()?;
    finder.assign(&assignment).ok()?;
    let mut found = None;
    while found.is_none() && Instant::now() < deadline {
        match finder.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => found = Some(Some(Fingerprint::of(&message))),
            Some(Err(ClientError::PartitionEOF(_))) => found = Some(None),
            // An offset that has just gone, a broker that is lost: no news.
            Some(Err(_)) | None => {}
        }
    }
    // Or it would go on to fetch.
    let _ = finder.unassign();
    found
}
