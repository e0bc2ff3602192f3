//! Writes what ticks publish to Kafka topics, each record exactly once.
//!
//! Every transaction carries records and one progress record, which says through which tick all is written. Opening a sink
//! fences a former process of the same transactional id, then reads its progress, in this order: what the former process
//! had not committed is never seen, what it had committed is not written again.
//!
//! | topic | key | value |
//! | --- | --- | --- |
//! | `PREFIX.bars.1m` and so on | `venue\|symbol\|interval\|open_time_ms` | the bar, or nothing: all its trades were cancelled |
//! | `PREFIX.features.VIEW` and so on | `venue\|symbol\|qualifier\|event_time_ms` | the row, or nothing: it was taken back |
//! | `PREFIX.rejects` | `source:position` | the dead letter with its reason and raw bytes |
//! | `PREFIX.late` | `source:position` | the trade or amendment that came too late |
//! | `PREFIX.progress` | the transactional id | [`Progress`] |
//! | `PREFIX.bindings`, where the log is enabled | none | what the owner appended to its log |
//!
//! All records of an instrument go to partition `hash(venue|symbol) % partitions`, whatever its interval: the order of an
//! instrument's bars is the order in which they were published. Adding partitions to a topic moves instruments.
//!
//! A broker also fences a process that it has not heard of for longer than the transaction timeout, without any other. Every
//! opening therefore leaves a progress record of its own at once: one that is fenced and still finds its own record last was
//! only cut off, opens a new producer, and reports its transaction as aborted. Else there is another, and it stays out.
//!
//! While no broker answers a sink waits, however long; see [`stop_waiting_when`](KafkaSink::stop_waiting_when).
//!
//! Ticks must come in order and each tick's records in the same order on every run; then a transaction may end anywhere and
//! a later run continues behind it. With `transactions` off records are written at least once.

mod bars;
mod committed;
mod ends;
mod expected;
mod fate;
mod hanging;
mod json;
mod letters;
mod log;
mod patience;
mod progress;
mod revive;
mod rows;
mod topics;
mod view;
mod writer;

pub(super) use ends::Delivered;
pub use ends::{Ends, Span};
pub use expected::{ExpectedRecord, expected, read_progress};
pub use progress::Progress;
pub use writer::CommitTime;

use super::KafkaError;
use super::client::Properties;
use crate::fault;
use bars::{bar_headers, bar_key, bar_value};
use letters::{instrument_of, late_value, reject_value};
use log::Log;
use patience::Patience;
use rows::{row_headers, row_key, row_value};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;
use tidewheel_schemas::{BarVersion, Counters, Interval, LateRecord, Reject, Row, TableSpec, TickOutput};
use topics::Topics;
use writer::Writer;

/// How to write.
#[derive(Clone, Debug)]
pub struct KafkaSinkConfig {
    /// Bootstrap addresses, `host:port` with commas between.
    pub brokers: String,
    /// The topics' prefix.
    pub prefix: String,
    /// Names the sink over restarts; a second process with the same name fences the first.
    pub transactional_id: String,
    /// Further librdkafka properties (security, compression).
    pub properties: Properties,
    /// The intervals that have a topic.
    pub intervals: Vec<Interval>,
    /// The tables beside the bars, by number: each has a topic.
    pub tables: Vec<Arc<TableSpec>>,
    /// Whether missing topics are created.
    pub create_topics: bool,
    /// Partitions of created bar, reject and late topics.
    pub partitions: i32,
    /// Replicas of created topics; -1 for the broker's default.
    pub replication: i32,
    /// Whether records are written in transactions. Off: at least once.
    pub transactions: bool,
    /// How long a transaction may be open before the broker rolls it back: so long do readers of committed records wait
    /// behind one that a dead process left open, unless the process is started again. Brokers look for such transactions every
    /// ten seconds, unless configured otherwise.
    pub transaction_timeout: Duration,
    /// Whether a log is kept beside the outputs.
    pub log: bool,
    /// Records after which a transaction ends even inside a tick.
    pub max_transaction_records: usize,
    /// Stands in the progress records, for people.
    pub run: String,
    /// How long the first contact with the cluster may take.
    pub connect_timeout: Duration,
}

impl KafkaSinkConfig {
    /// A configuration with everything else at its default.
    pub fn new(brokers: &str, prefix: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            prefix: prefix.to_owned(),
            transactional_id: format!("tidewheel-{prefix}"),
            properties: Properties::new(),
            intervals: Interval::ALL.to_vec(),
            tables: Vec::new(),
            create_topics: true,
            partitions: 8,
            replication: -1,
            transactions: true,
            transaction_timeout: Duration::from_secs(10),
            log: false,
            max_transaction_records: 50_000,
            run: String::new(),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// What a sink does with what a former process left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkBegin {
    /// It goes on from there.
    GoOn,
    /// It is to forget it: [`KafkaSink::begin_anew`] comes next.
    Anew,
}

/// A writer of tick outputs, exactly once.
pub struct KafkaSink {
    writer: Writer,
    topics: Topics,
    log: Option<Log>,
    source_names: Vec<String>,
    config: KafkaSinkConfig,
    /// What the last transaction said, of this process or of the one before.
    committed: Progress,
    /// Tells the progress records of this sink from those of others with the same transactional id.
    incarnation: u64,
    /// Commits made.
    sequence: u64,
    /// Records handed to [`write`](Self::write) since the committed tick, those already committed included.
    records: u64,
    /// Records written since the last commit.
    open_records: usize,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl KafkaSink {
    /// Finds or creates the topics, fences a former process, and reads how far it came.
    ///
    /// `source_names` are the source partitions' names by number, for the keys of rejects and late records.
    ///
    /// # Errors
    /// If no broker answers in time, topics are missing and cannot be created, the progress record is not understood, or it cannot
    /// be told what a broker that was killed has forgotten, or mended.
    pub fn open(config: &KafkaSinkConfig, source_names: Vec<String>) -> Result<Self, KafkaError> {
        Self::open_as(config, source_names, SinkBegin::GoOn, None)
    }

    /// As [`open`](Self::open), and gives up as [`stop_waiting_when`](Self::stop_waiting_when) says. One that begins anew does
    /// not mend what a broker forgot to commit, and so opens where that cannot be mended.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_as(
        config: &KafkaSinkConfig,
        source_names: Vec<String>,
        begin: SinkBegin,
        stop: Option<Arc<AtomicBool>>,
    ) -> Result<Self, KafkaError> {
        /// Until the transaction that a killed process left open is rolled back.
        const FENCING_TIMEOUT: Duration = Duration::from_secs(120);
        let topics = Topics::ensure(config)?;
        // Before the progress is read: what a former process commits afterwards would not be seen.
        let patience = Patience::until(stop);
        let mut writer = Writer::open(config, &patience, Some(FENCING_TIMEOUT))?;
        reached("kafka.fenced", &topics.progress.name)?;
        let committed = match config.transactions {
            true => hanging::end(config, &mut writer, &topics, begin, &mut 0)?,
            false => progress::read(config, &topics.progress.name, patience.begin())?,
        };
        tracing::info!(
            transactional_id = config.transactional_id,
            committed_tick = committed.committed_tick,
            records_done = committed.records_done,
            "sink opened"
        );
        let incarnation = revive::incarnation();
        if config.transactions {
            revive::claim(config, &mut writer, &topics.progress.name, incarnation, &committed)?;
        }
        Ok(Self {
            writer,
            log: topics.log.as_ref().map(|topic| Log::new(&topic.name)),
            topics,
            source_names,
            config: config.clone(),
            committed,
            incarnation,
            sequence: 0,
            records: 0,
            open_records: 0,
            key: Vec::with_capacity(128),
            value: Vec::with_capacity(1024),
        })
    }

    /// While no broker answers a sink waits without end. When this is raised it gives up a few seconds later, with
    /// [`KafkaError::Unanswered`].
    pub fn stop_waiting_when(&mut self, stop: Arc<AtomicBool>) {
        self.writer.set_patience(Patience::until(Some(stop)));
    }

    /// Names the source partitions by number, for the keys of rejects and late records; a live source may find more of them.
    pub fn name_sources(&mut self, names: &[String]) {
        if self.source_names != names {
            self.source_names = names.to_vec();
        }
    }

    /// The tick through which everything is written and committed; writing resumes with the one after it.
    pub fn committed_tick(&self) -> Option<u64> {
        self.committed.committed_tick
    }

    /// Forgets how far a former process came: for a run that computes from its own start instead of resuming. Its ticks are
    /// others, and taking them for those of the former process would leave records out.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn begin_anew(&mut self) -> Result<(), KafkaError> {
        self.committed = Progress::default();
        let progress = Progress { committed_tick: None, records_done: 0, ..self.next_progress() };
        self.commit_progress(progress)
    }

    /// The last progress record, of this process or of the one before.
    pub fn progress(&self) -> &Progress {
        &self.committed
    }

    /// How long the last commit of this process took; none before the first.
    pub fn last_commit(&self) -> Option<CommitTime> {
        self.writer.last_commit()
    }

    /// Writes what a tick published into the open transaction, and opens one where there is something to write.
    ///
    /// Ticks that are committed already, and records of a tick that were committed before a restart, are passed over.
    ///
    /// # Errors
    /// If the broker refuses a record or another process took over. After [`KafkaError::Aborted`] everything since the
    /// committed tick must be written again; other errors need a new sink.
    pub fn write(&mut self, output: &TickOutput) -> Result<(), KafkaError> {
        if self.committed.committed_tick.is_some_and(|committed| output.tick <= committed) {
            return Ok(());
        }
        if !self.config.transactions {
            self.commit_log()?;
        }
        for bar in &output.bars {
            if self.admit()? {
                self.write_bar(bar).map_err(|error| self.forget(error))?;
            }
        }
        for row in &output.rows {
            if self.admit()? {
                self.write_row(row, output.tick).map_err(|error| self.forget(error))?;
            }
        }
        for late in &output.late {
            if self.admit()? {
                self.write_late(late, output.tick, output.watermark_ns).map_err(|error| self.forget(error))?;
            }
        }
        for reject in &output.rejects {
            if self.admit()? {
                self.write_reject(reject, output.tick).map_err(|error| self.forget(error))?;
            }
        }
        Ok(())
    }

    /// Commits everything written, with the word that all is written through `tick`. Without records since the last commit
    /// nothing is done and `false` returned.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn commit(&mut self, tick: u64, counters: &Counters) -> Result<bool, KafkaError> {
        if self.records == 0 && self.committed.records_done == 0 {
            return Ok(false);
        }
        self.advance(tick, counters)?;
        Ok(true)
    }

    /// As [`commit`](Self::commit), also without records: for the end of a run, and now and then while nothing happens.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn advance(&mut self, tick: u64, counters: &Counters) -> Result<(), KafkaError> {
        if self.committed.committed_tick.is_some_and(|committed| tick <= committed) {
            return self.commit_log().map(drop);
        }
        self.commit_progress(Progress {
            committed_tick: Some(tick),
            // After a restart records of later ticks may be written already.
            records_done: self.committed.records_done.saturating_sub(self.records),
            counters: counters.clone(),
            ..self.next_progress()
        })?;
        self.records = 0;
        Ok(())
    }

    /// Rolls the open transaction back: nothing since the last commit is ever seen.
    ///
    /// # Errors
    /// If the rollback fails; the sink must be opened again then.
    pub fn abort(&mut self) -> Result<(), KafkaError> {
        (self.records, self.open_records) = (0, 0);
        match self.writer.abort().and_then(|()| self.look_after_rollback()).map_err(|error| self.forget(error)) {
            Err(KafkaError::Aborted { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Counts a record, ends a transaction that is full, opens one where none is. False for a record committed before.
    fn admit(&mut self) -> Result<bool, KafkaError> {
        if self.records < self.committed.records_done {
            self.records += 1;
            return Ok(false);
        }
        if self.open_records >= self.config.max_transaction_records.max(1) {
            self.commit_progress(Progress { records_done: self.records, ..self.next_progress() })?;
        }
        self.writer.begin().map_err(|error| self.forget(error))?;
        reached("kafka.mid_transaction", &self.topics.progress.name)?;
        self.records += 1;
        self.open_records += 1;
        Ok(true)
    }

    fn write_bar(&mut self, version: &BarVersion) -> Result<(), KafkaError> {
        let topic = self.topics.bars(version.interval)?;
        bar_key(&mut self.key, version);
        let value = version.bar.as_ref().map(|bar| {
            bar_value(&mut self.value, version, bar);
            self.value.as_slice()
        });
        let partition = topic.partition_of(version.instrument.id());
        self.writer.send(&topic.name, partition, Some(&self.key), value, Some(bar_headers(version)))
    }

    fn write_row(&mut self, row: &Row, tick: u64) -> Result<(), KafkaError> {
        let table = usize::from(row.table);
        let (spec, topic) = (&self.config.tables[table], &self.topics.tables[table]);
        row_key(&mut self.key, spec, row);
        let value = row.values.as_ref().map(|values| {
            row_value(&mut self.value, spec, row, values, tick);
            self.value.as_slice()
        });
        let partition = topic.partition_of(row.instrument.id());
        self.writer.send(&topic.name, partition, Some(&self.key), value, Some(row_headers(spec, row, tick)))
    }

    fn write_late(&mut self, late: &LateRecord, tick: u64, watermark_ns: i64) -> Result<(), KafkaError> {
        let topic = &self.topics.late;
        let (partition, position) = late.source();
        let source = source_key(&mut self.key, &self.source_names, partition, position);
        late_value(&mut self.value, late, &source, tick, watermark_ns);
        let partition = topic.partition_of(instrument_of(late).id());
        self.writer.send(&topic.name, partition, Some(&self.key), Some(&self.value), None)
    }

    fn write_reject(&mut self, reject: &Reject, tick: u64) -> Result<(), KafkaError> {
        let topic = &self.topics.rejects;
        let source = source_key(&mut self.key, &self.source_names, reject.partition, reject.position);
        reject_value(&mut self.value, reject, &source, tick);
        let partition = topic.partition_of_source(reject.partition);
        self.writer.send(&topic.name, partition, Some(&self.key), Some(&self.value), None)
    }

    /// The committed progress in this run's name.
    fn next_progress(&self) -> Progress {
        Progress {
            transactional_id: self.writer.transactional_id().to_owned(),
            run: self.config.run.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            incarnation: self.incarnation,
            sequence: self.sequence + 1,
            ..self.committed.clone()
        }
    }

    /// Ends the transaction with a progress record, which says where its records lie. Opens one if none is open: progress alone is a transaction too.
    fn commit_progress(&mut self, mut progress: Progress) -> Result<(), KafkaError> {
        let written = self.write_log();
        let (transactions, said) = (self.config.transactions, &mut progress);
        let value = |ends: &Ends| {
            said.ends = transactions.then(|| ends.clone());
            said.to_json()
        };
        let committed = written.and_then(|()| self.writer.commit_with(&self.topics.progress.name, value));
        committed.map_err(|error| self.forget(error))?;
        self.log.iter_mut().for_each(Log::clear);
        self.open_records = 0;
        self.sequence += 1;
        self.committed = progress;
        Ok(())
    }

    fn write_log(&mut self) -> Result<(), KafkaError> {
        let Some(log) = self.log.as_ref().filter(|log| !log.is_empty()) else { return Ok(()) };
        self.writer.begin()?;
        log.send(&mut self.writer)
    }

    /// After a rollback the records since the last commit count as never written.
    fn forget(&mut self, error: KafkaError) -> KafkaError {
        let error = self.revive(error);
        if matches!(error, KafkaError::Aborted { .. }) {
            (self.records, self.open_records) = (0, 0);
        }
        error
    }
}

/// Writes `source:position` and returns the source's name.
fn source_key(key: &mut Vec<u8>, names: &[String], partition: u32, position: u64) -> String {
    let name = names.get(partition as usize).cloned().unwrap_or_else(|| format!("partition {partition}"));
    key.clear();
    key.extend_from_slice(format!("{name}:{position}").as_bytes());
    name
}

fn reached(point: &str, topic: &str) -> Result<(), KafkaError> {
    fault::reached(point).map_err(|error| KafkaError::Produce { topic: topic.to_owned(), detail: error.to_string() })
}
