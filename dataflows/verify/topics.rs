//! What ticks publish against the records of the topics, as a `read_committed` consumer sees them.
//!
//! The records of a partition lie in the order of ticks, so that both sides are read side by side. The broker may have removed
//! records: those before a partition's first offset count as expired, and of a compacted topic those whose key has a later
//! record as superseded.

use super::report::{Difference, Report};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use tidewheel_connectors::kafka::KafkaError;
use tidewheel_connectors::kafka::published::{Published, PublishedRecord};
use tidewheel_connectors::kafka::sink::{ExpectedRecord, KafkaSinkConfig, Progress, expected, read_progress};
use tidewheel_schemas::TickOutput;

/// How much of a value is shown.
const SHOWN_BYTES: usize = 400;

/// The topics being compared.
pub(super) struct Topics {
    config: KafkaSinkConfig,
    published: Published,
    progress: Progress,
    sources: Vec<String>,
    ticks: Range<u64>,
    /// Records that a compacted topic does not hold, by topic and key: a later record of the key must be there.
    absent: HashMap<(usize, Vec<u8>), Absent>,
    /// Records with another of an earlier tick behind them, by partition and tick.
    held: BTreeMap<(usize, u64), VecDeque<PublishedRecord>>,
}

struct Absent {
    partition: usize,
    tick: u64,
    record: ExpectedRecord,
}

impl Topics {
    /// Finds the topics, and how far their sink came.
    pub fn open(config: &KafkaSinkConfig, sources: &[String], ticks: Range<u64>) -> Result<Self, KafkaError> {
        // The topics first: their ends then lie behind all that the progress speaks of.
        let progress = read_progress(config)?;
        let published = Published::open(config)?;
        let (config, sources) = (config.clone(), sources.to_vec());
        Ok(Self { config, published, progress, sources, ticks, absent: HashMap::new(), held: BTreeMap::new() })
    }

    /// Whether all records of a tick are in the topics.
    fn covers(&self, tick: u64) -> bool {
        self.progress.committed_tick.is_some_and(|committed| tick <= committed)
    }

    pub fn compare(&mut self, output: &TickOutput, report: &mut Report) -> Result<(), KafkaError> {
        if !self.covers(output.tick) {
            return Ok(());
        }
        report.topics_through = Some(output.tick);
        let mut records: HashMap<usize, Vec<ExpectedRecord>> = HashMap::new();
        for record in expected(output, &self.sources, &self.config.tables) {
            let place = self.place_of(&record);
            records.entry(place).or_default().push(record);
        }
        for partition in 0..self.published.partitions.len() {
            let records = records.remove(&partition).unwrap_or_default();
            self.compare_partition(partition, output.tick, records, report)?;
        }
        Ok(())
    }

    /// The partition that a record belongs to.
    fn place_of(&self, record: &ExpectedRecord) -> usize {
        let topics = &self.published.topics;
        let topic = topics.iter().position(|topic| topic.suffix == record.suffix);
        let topic = topic.expect("the intervals of the log are those of the topics that were opened");
        let partition = record.partition(topics[topic].partitions);
        let mut partitions = self.published.partitions.iter();
        let place = partitions.position(|lane| (lane.topic, lane.partition) == (topic, partition));
        place.expect("partitions are numbered without gaps")
    }

    fn compare_partition(
        &mut self,
        partition: usize,
        tick: u64,
        records: Vec<ExpectedRecord>,
        report: &mut Report,
    ) -> Result<(), KafkaError> {
        let first = self.published.peek(partition, 0)?.and_then(|record| record.tick);
        let lane = &self.published.partitions[partition];
        // The broker removes whole segments, which may begin inside a tick.
        let is_cut = lane.low > 0 && lane.is_at_start() && first.is_none_or(|first| tick <= first);
        let mut waiting: HashMap<Vec<u8>, VecDeque<ExpectedRecord>> = HashMap::new();
        for record in records {
            waiting.entry(record.key.clone()).or_default().push_back(record);
        }
        while let Some(found) = self.next_through(partition, tick, report)? {
            let name = &self.published.partitions[partition].name;
            let topic = self.published.partitions[partition].topic;
            report.superseded_records += u64::from(self.absent.remove(&(topic, found.key.clone())).is_some());
            match waiting.get_mut(&found.key).and_then(VecDeque::pop_front) {
                Some(record) => report.records += u64::from(same(name, tick, &found, &record, report)),
                None => report.differ(surplus(name, &found)),
            }
        }
        let mut missing: Vec<ExpectedRecord> = waiting.into_values().flatten().collect();
        missing.sort_by(|left, right| left.key.cmp(&right.key));
        missing.into_iter().for_each(|record| self.miss(partition, tick, is_cut, record, report));
        Ok(())
    }

    /// Takes the next record of a tick; those of ticks that are over are told on the way.
    fn next_through(
        &mut self,
        partition: usize,
        tick: u64,
        report: &mut Report,
    ) -> Result<Option<PublishedRecord>, KafkaError> {
        loop {
            if let Some(record) = self.held.get_mut(&(partition, tick)).and_then(VecDeque::pop_front) {
                return Ok(Some(record));
            }
            let Some(of) = self.published.peek(partition, 0)?.map(|record| record.tick) else { return Ok(None) };
            match of {
                Some(of) if of == tick => return Ok(self.published.take(partition)),
                Some(of) if of > tick => {
                    let behind = self.published.peek(partition, 1)?.and_then(|record| record.tick);
                    if behind.is_none_or(|behind| behind >= of) {
                        return Ok(None);
                    }
                    // One of the two is not in its place. Which of them shows when their ticks come.
                    self.held.entry((partition, of)).or_default().extend(self.published.take(partition));
                }
                // Before the range everything passes.
                Some(of) if of < self.ticks.start => {
                    report.records_before += u64::from(self.published.take(partition).is_some());
                }
                _ => {
                    let record = self.published.take(partition);
                    let name = &self.published.partitions[partition].name;
                    record.iter().for_each(|record| report.differ(surplus(name, record)));
                }
            }
        }
    }

    /// A record is not there: removed by the broker, or never written.
    fn miss(&mut self, partition: usize, tick: u64, is_cut: bool, record: ExpectedRecord, report: &mut Report) {
        let lane = &self.published.partitions[partition];
        if is_cut {
            report.expired_records += 1;
        } else if self.published.topics[lane.topic].is_compacted {
            let key = (lane.topic, record.key.clone());
            let before = self.absent.insert(key, Absent { partition, tick, record });
            report.superseded_records += u64::from(before.is_some());
        } else {
            report.differ(missing(&lane.name, tick, &record));
        }
    }

    /// What was not compared, and what is still missing.
    pub fn finish(mut self, report: &mut Report) -> Result<(), KafkaError> {
        let mut beyond = Vec::new();
        for partition in 0..self.published.partitions.len() {
            let mut held: VecDeque<PublishedRecord> = VecDeque::new();
            for (_, records) in self.held.extract_if((partition, 0)..=(partition, u64::MAX), |_, _| true) {
                held.extend(records);
            }
            loop {
                self.published.peek(partition, 0)?;
                let Some(record) = held.pop_front().or_else(|| self.published.take(partition)) else { break };
                let lane = &self.published.partitions[partition];
                let is_superseding = self.absent.remove(&(lane.topic, record.key.clone())).is_some();
                report.superseded_records += u64::from(is_superseding);
                match record.tick {
                    Some(tick) if tick < self.ticks.start => report.records_before += 1,
                    Some(tick) if tick >= self.ticks.end || !self.covers(tick) => {
                        report.records_beyond += 1;
                        beyond.push((partition, tick, record.offset));
                    }
                    _ => report.differ(surplus(&lane.name, &record)),
                }
            }
        }
        self.check_beyond(&beyond, report)?;
        let mut absent: Vec<Absent> = std::mem::take(&mut self.absent).into_values().collect();
        absent.sort_by(|left, right| (left.tick, &left.record.key).cmp(&(right.tick, &right.record.key)));
        for Absent { partition, tick, record } in absent {
            // Compaction takes tombstones away altogether in the end.
            match &record.value {
                None => report.superseded_records += 1,
                Some(_) => report.differ(missing(&self.published.partitions[partition].name, tick, &record)),
            }
        }
        self.tell(report);
        Ok(())
    }

    /// Records of ticks that the sink has not come to are not its own.
    fn check_beyond(&self, beyond: &[(usize, u64, u64)], report: &mut Report) -> Result<(), KafkaError> {
        if beyond.is_empty() || !self.config.transactions {
            return Ok(());
        }
        // Read after the records: each came in one transaction with the progress that speaks of it.
        let now = read_progress(&self.config)?;
        for (partition, tick, offset) in beyond {
            if now.records_done == 0 && now.committed_tick.is_none_or(|committed| *tick > committed) {
                report.records_beyond -= 1;
                let name = &self.published.partitions[*partition].name;
                let (key, field) = (format!("offset {offset}"), "a record of a tick that the sink has not come to");
                report.differ(Difference::of::<String>(name, key, Some(*tick), field, None, None));
            }
        }
        Ok(())
    }

    fn tell(&self, report: &mut Report) {
        let through = self.progress.committed_tick;
        if through.is_none_or(|through| through + 1 < self.ticks.end) {
            let through = through.map_or_else(|| "no tick".to_owned(), |through| format!("tick {through}"));
            report
                .notes
                .push(format!("the topics are complete through {through}, what follows was compared in the lake only"));
        }
        let notes = &mut report.notes;
        let mut note = |count: u64, text: &str| {
            if count > 0 {
                notes.push(format!("{count} {text}"));
            }
        };
        note(
            report.records_before,
            "records of the topics are of ticks before those compared, or of a run that was replaced",
        );
        note(report.records_beyond, "records of the topics are of ticks beyond those compared");
        note(report.expired_records, "records are no longer in the topics: the broker's retention has removed them");
        note(
            report.superseded_records,
            "records are not in compacted topics, which need not keep them: their keys have later ones, or are gone",
        );
    }
}

/// Whether a record is what was to be written; tells of each part that is not.
fn same(name: &str, tick: u64, found: &PublishedRecord, record: &ExpectedRecord, report: &mut Report) -> bool {
    let key = String::from_utf8_lossy(&record.key).into_owned();
    if found.revision != record.revision {
        let shown = |revision: Option<u32>| revision.map(|revision| revision.to_string());
        let (published, recomputed) = (shown(found.revision), shown(record.revision));
        report.differ(Difference::of(name, key.clone(), Some(tick), "header revision", published, recomputed));
    }
    if found.value != record.value {
        let (published, recomputed) = (shown(found.value.as_deref()), shown(record.value.as_deref()));
        report.differ(Difference::of(name, key, Some(tick), "value", published, recomputed));
    }
    found.revision == record.revision && found.value == record.value
}

fn surplus(name: &str, found: &PublishedRecord) -> Difference {
    let key = format!("{} offset {}", String::from_utf8_lossy(&found.key), found.offset);
    Difference::of(name, key, found.tick, "record", shown(found.value.as_deref()), None)
}

fn missing(name: &str, tick: u64, record: &ExpectedRecord) -> Difference {
    let key = String::from_utf8_lossy(&record.key).into_owned();
    Difference::of(name, key, Some(tick), "record", None, shown(record.value.as_deref()))
}

fn shown(value: Option<&[u8]>) -> Option<String> {
    let Some(value) = value else { return Some("a tombstone".to_owned()) };
    let text = String::from_utf8_lossy(&value[..value.len().min(SHOWN_BYTES)]).into_owned();
    Some(if value.len() > SHOWN_BYTES { format!("{text}...") } else { text })
}
