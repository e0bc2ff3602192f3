//! What a run shows of itself while it goes on: counts, frontiers, sizes, sinks, the latest bars.
//!
//! Written by the threads of the run, each the part it knows, about once a tick; read by the terminal, the HTTP server and
//! the metrics. Nothing is decided from it but when a tick is made though nothing came.

mod latencies;
mod partitions;

pub use latencies::{Latencies, quantile};
pub use partitions::{PartitionStatus, partitions};

use crate::engine::MergedTick;
use crate::risk_counts::RiskCounts;
use crate::snapshot::SnapshotReport;
use crate::tables::{Tables, event_text, signal_text};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tidewheel_connectors::lake::CommitReport;
use tidewheel_operators::features::FeatureSizes;
use tidewheel_operators::intake::tick_time_ns;
use tidewheel_operators::market::MarketSizes;
use tidewheel_operators::risk::RiskSizes;
use tidewheel_operators::tape::TapeSizes;
use tidewheel_schemas::{BarVersion, Counters, Instrument, Interval, Row, TickOutput};

/// How many pairs of a model and the name of a refusal are counted apart.
const MEMBER_REFUSALS_MAX: usize = 1_024;

/// How often the state of the source partitions is taken down.
const PARTITIONS_EVERY: Duration = Duration::from_millis(500);

/// The state of a run after its last tick.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The last tick that reached the sinks, milliseconds since the epoch.
    pub tick: u64,
    /// When that was.
    pub ticked_at: Option<Instant>,
    /// Ticks so far.
    pub ticks: u64,
    /// Ticks handed to the graph so far; those not in [`ticks`](Self::ticks) are in flight.
    pub ticks_sent: u64,
    /// The watermark, nanoseconds.
    pub watermark_ns: i64,
    /// The source partitions of a live run, by number.
    pub partitions: Vec<PartitionStatus>,
    /// What the source's client last complained of, while a partition cannot be reached.
    pub source_error: Option<String>,
    /// Where every record went.
    pub counters: Counters,
    /// How much the tapes hold.
    pub sizes: TapeSizes,
    /// Versions of bars published, by interval.
    pub versions: BTreeMap<Interval, u64>,
    /// Of these, revisions of final bars.
    pub revisions: u64,
    /// How much the features hold.
    pub feature_sizes: FeatureSizes,
    /// How much the markets hold.
    pub market_sizes: MarketSizes,
    /// How much risk holds.
    pub risk_sizes: RiskSizes,
    /// What risk did.
    pub risk_counts: RiskCounts,
    /// Gaps in books that were noticed.
    pub book_gaps: u64,
    /// Rows that the scoring remembers.
    pub scoring_rows: usize,
    /// Rows that ensembles refused to score, by the name of the refusal.
    pub refused: BTreeMap<&'static str, u64>,
    /// Rows that a model of an ensemble gave no number for, by model and name of the refusal; of at most
    /// [`MEMBER_REFUSALS_MAX`] pairs, the others together as of model `other`.
    pub refused_members: BTreeMap<(Arc<str>, &'static str), u64>,
    /// The last events, as text.
    pub events: VecDeque<String>,
    /// The last signals to act, as text.
    pub signals: VecDeque<String>,
    /// Rows published of the tables beside the bars, by the number of the table.
    pub rows: Vec<u64>,
    /// Whether a lake is written.
    pub lake_on: bool,
    /// Commits to the lake, with what they wrote.
    pub lake_commits: u64,
    /// Rows written to the lake.
    pub lake_rows: u64,
    /// Bytes written to the lake.
    pub lake_bytes: u64,
    /// Time spent in lake commits.
    pub lake_time: Duration,
    /// The first tick, milliseconds, whose output is not yet in the lake; none where nothing was ever committed.
    pub lake_frontier: Option<u64>,
    /// Why the lake waits, while it cannot be written.
    pub lake_paused: Option<String>,
    /// Whether topics are written.
    pub kafka_on: bool,
    /// Transactions committed to Kafka.
    pub kafka_commits: u64,
    /// Records in them, progress records left out.
    pub kafka_records: u64,
    /// Transactions that were rolled back and written again.
    pub kafka_aborted: u64,
    /// When the transaction was begun that is not yet committed; none between transactions.
    pub kafka_writing_since: Option<Instant>,
    /// The tick, milliseconds, through which the topics are complete and say so; none where nothing was ever committed.
    pub kafka_tick: Option<u64>,
    /// What the run went on from, if it did.
    pub recovered: Option<Recovered>,
    /// The last snapshot written.
    pub snapshot: Option<SnapshotReport>,
    /// When that was complete.
    pub snapshot_at: Option<Instant>,
    /// Snapshots written.
    pub snapshots: u64,
    /// The latest version of the newest bar of each instrument, of the shortest interval published but seconds.
    pub latest: BTreeMap<Instrument, BarVersion>,
}

/// What a run went on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The tick of the snapshot; none where everything was made again from the first tick.
    pub snapshot_tick: Option<u64>,
    /// Its size.
    pub snapshot_bytes: u64,
    /// Logged ticks that were made again.
    pub ticks: u64,
    /// Records in them.
    pub records: u64,
    /// Of the ticks, those that the topics held already.
    pub skipped_in_topics: u64,
    /// Of the ticks, those that the lake held already.
    pub skipped_in_lake: u64,
    /// From the start of the process until the first new tick could begin.
    pub elapsed: Duration,
}

impl Recovered {
    /// Tells those who watch the log.
    pub fn tell(&self) {
        let Self { snapshot_tick, snapshot_bytes, ticks, records, skipped_in_topics, skipped_in_lake, elapsed } = *self;
        let elapsed_ms = elapsed.as_millis() as u64;
        tracing::info!(
            target: "tidewheel::recovery",
            snapshot_tick,
            snapshot_bytes,
            ticks,
            records,
            skipped_in_topics,
            skipped_in_lake,
            elapsed_ms,
            "recovered"
        );
    }
}

impl Snapshot {
    /// Takes note of a snapshot of the state on disk.
    pub fn note_snapshot(&mut self, report: &SnapshotReport) {
        self.snapshot = Some(*report);
        self.snapshot_at = Some(Instant::now());
        self.snapshots += 1;
    }

    /// Takes note of a row of a table by its name.
    fn note_row(&mut self, table: &str, row: &Row) {
        /// So many are shown: two promotions of some members each.
        const EVENTS: usize = 16;
        const SIGNALS: usize = 4;
        match table {
            "events" => keep_last(&mut self.events, event_text(row), EVENTS),
            "signals" => keep_last(&mut self.signals, signal_text(row), SIGNALS),
            _ => {}
        }
    }

    /// Ticks between the source and the sinks.
    pub const fn ticks_in_flight(&self) -> u64 {
        self.ticks_sent.saturating_sub(self.ticks)
    }

    /// The tick, milliseconds, through which the lake is complete.
    pub fn lake_complete_through(&self) -> Option<u64> {
        self.lake_frontier.and_then(|frontier| frontier.checked_sub(1))
    }

    /// The tick, milliseconds, through which every output that is on is complete.
    pub fn complete_through(&self) -> Option<u64> {
        match (self.kafka_on, self.lake_on) {
            (true, true) => self.kafka_tick.zip(self.lake_complete_through()).map(|(topic, lake)| topic.min(lake)),
            (true, false) => self.kafka_tick,
            (false, true) => self.lake_complete_through(),
            (false, false) => None,
        }
    }
}

/// Adds one, and forgets the first where there are more than so many.
fn keep_last(lines: &mut VecDeque<String>, line: Option<String>, most: usize) {
    lines.extend(line);
    while lines.len() > most {
        lines.pop_front();
    }
}

/// A snapshot that several threads share.
#[derive(Debug)]
pub struct Status {
    run: String,
    started: Instant,
    started_ms: u64,
    shown: Interval,
    intervals: Vec<Interval>,
    tables: Vec<String>,
    latencies: Latencies,
    partitions_at: Mutex<Option<Instant>>,
    snapshot: Mutex<Snapshot>,
}

impl Status {
    /// The status of a run that starts now and publishes these intervals.
    pub fn new(intervals: &[Interval]) -> Self {
        let minutes = intervals.iter().copied().filter(|interval| *interval > Interval::S1).min();
        let shown = minutes.or(intervals.first().copied()).unwrap_or(Interval::M1);
        let now = jiff::Timestamp::now().as_millisecond();
        Self {
            run: String::new(),
            started: Instant::now(),
            started_ms: u64::try_from(now).unwrap_or(0),
            shown,
            intervals: intervals.to_vec(),
            tables: Vec::new(),
            latencies: Latencies::default(),
            partitions_at: Mutex::default(),
            snapshot: Mutex::default(),
        }
    }

    /// Names the tables beside the bars that are published, by number.
    pub fn set_tables(&mut self, tables: &Tables) {
        self.tables = tables.specs().iter().map(|table| table.name()).collect();
    }

    /// The tables beside the bars, by number.
    pub fn tables(&self) -> &[String] {
        &self.tables
    }

    /// Names the run.
    pub fn set_run(&mut self, run: &str) {
        run.clone_into(&mut self.run);
    }

    /// The run's name, as in progress records and manifests; empty where it has none.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// How long the run has gone on.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// When the run started.
    pub const fn started(&self) -> Instant {
        self.started
    }

    /// When the run started, milliseconds since the epoch.
    pub const fn started_ms(&self) -> u64 {
        self.started_ms
    }

    /// The interval whose latest bars are kept.
    pub const fn shown(&self) -> Interval {
        self.shown
    }

    /// The intervals published.
    pub fn intervals(&self) -> &[Interval] {
        &self.intervals
    }

    /// How long commits took.
    pub const fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// A copy of the state.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// Looks at the state without copying it. It stands still meanwhile: be quick.
    pub fn look<T>(&self, at: impl FnOnce(&Snapshot) -> T) -> T {
        at(&self.lock())
    }

    /// Changes the state.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.lock());
    }

    /// Takes note of the source, now and then: `look` is called only if the last time was a while ago.
    pub fn note_source(&self, look: impl FnOnce() -> (Vec<PartitionStatus>, Option<String>)) {
        let mut noted_at = self.partitions_at.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if noted_at.is_some_and(|noted_at| noted_at.elapsed() < PARTITIONS_EVERY) {
            return;
        }
        *noted_at = Some(Instant::now());
        let (mut partitions, error) = look();
        let is_lost = partitions.iter().any(|partition| !partition.connected);
        self.update(|snapshot| {
            partitions::mark_idle(&mut partitions, &snapshot.partitions);
            snapshot.partitions = partitions;
            snapshot.source_error =
                is_lost.then(|| error.unwrap_or_else(|| "the broker of a partition cannot be reached".to_owned()));
        });
    }

    /// Takes note of a tick that was handed to the graph.
    pub fn note_sent(&self) {
        self.update(|snapshot| snapshot.ticks_sent += 1);
    }

    /// Whether something of risk is due by a tick that was not at the one before it, as far as the ticks that came out of the graph say.
    pub fn is_due(&self, tick: u64, last_tick: Option<u64>) -> bool {
        let due_ns = self.look(|snapshot| snapshot.risk_sizes.due_ns);
        let is_by = |tick: u64, due_ns: i64| due_ns <= tick_time_ns(tick);
        due_ns.is_some_and(|due_ns| is_by(tick, due_ns) && last_tick.is_none_or(|last| !is_by(last, due_ns)))
    }

    /// Takes note of a tick that came out of the graph.
    pub fn note_tick(&self, tick: &MergedTick) {
        let TickOutput { bars, rows, counters, .. } = &tick.output;
        self.note_bars(bars);
        self.update(|snapshot| {
            (snapshot.tick, snapshot.watermark_ns) = (tick.output.tick, tick.output.watermark_ns);
            snapshot.ticked_at = Some(Instant::now());
            snapshot.ticks += 1;
            snapshot.counters = counters.clone();
            snapshot.sizes = tick.sizes;
            snapshot.feature_sizes = tick.feature_sizes;
            snapshot.market_sizes = tick.market_sizes;
            snapshot.risk_sizes = tick.risk_sizes;
            snapshot.risk_counts.add(&tick.risk_counts);
            snapshot.book_gaps += tick.book_gaps;
            snapshot.scoring_rows = tick.scoring_rows;
            for (name, count) in &tick.refused {
                *snapshot.refused.entry(name).or_default() += count;
            }
            for ((model, name), count) in &tick.refused_members {
                let of = &mut snapshot.refused_members;
                let mut key = (Arc::clone(model), *name);
                if of.len() >= MEMBER_REFUSALS_MAX && !of.contains_key(&key) {
                    key.0 = "other".into();
                }
                *of.entry(key).or_default() += count;
            }
            for row in rows {
                let number = usize::from(row.table);
                if snapshot.rows.len() <= number {
                    snapshot.rows.resize(number + 1, 0);
                }
                snapshot.rows[number] += 1;
                if let Some(table) = self.tables.get(number) {
                    snapshot.note_row(table, row);
                }
            }
        });
    }

    /// Takes note of published versions.
    pub fn note_bars(&self, bars: &[BarVersion]) {
        let mut snapshot = self.lock();
        for run in bars.chunk_by(|left, right| left.interval == right.interval) {
            *snapshot.versions.entry(run[0].interval).or_default() += run.len() as u64;
            if run[0].interval == self.shown {
                for version in run {
                    let known = snapshot.latest.get(&version.instrument);
                    if known.is_none_or(|known| known.open_time_ns <= version.open_time_ns) {
                        snapshot.latest.insert(version.instrument.clone(), version.clone());
                    }
                }
            }
        }
        snapshot.revisions += bars.iter().filter(|version| version.revision > 0).count() as u64;
    }

    /// Takes note that a transaction begins, or that the last has ended.
    pub fn note_kafka_writing(&self, since: Option<Instant>) {
        self.update(|snapshot| snapshot.kafka_writing_since = since);
    }

    /// Takes note of a commit to Kafka, through this tick, of so many records.
    pub fn note_kafka_commit(&self, tick: Option<u64>, records: u64, elapsed: Duration) {
        self.latencies.kafka_transaction.observe(elapsed.as_secs_f64());
        self.update(|snapshot| {
            snapshot.kafka_commits += 1;
            snapshot.kafka_records += records;
            snapshot.kafka_tick = tick;
        });
    }

    /// Takes note of a commit to the lake, up to this tick.
    pub fn note_lake_commit(&self, tick_frontier: u64, report: &CommitReport) {
        self.latencies.lake_commit.observe(report.elapsed.as_secs_f64());
        self.update(|snapshot| {
            snapshot.lake_commits += 1;
            snapshot.lake_rows += report.rows;
            snapshot.lake_bytes += report.bytes;
            snapshot.lake_time += report.elapsed;
            snapshot.lake_frontier = Some(tick_frontier);
            snapshot.lake_paused = None;
        });
    }

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
