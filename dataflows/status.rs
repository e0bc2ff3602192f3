//! What a run shows of itself while it goes on: counts, frontiers, sizes, the latest bars.
//!
//! Written once a tick by the thread that feeds the sinks, read by the terminal.

use crate::snapshot::SnapshotReport;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use tidewheel_operators::tape::TapeSizes;
use tidewheel_schemas::{BarVersion, Counters, Instrument, Interval};

/// The state of a run after its last tick.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// The last tick that reached the sinks, milliseconds since the epoch.
    pub tick: u64,
    /// Ticks so far.
    pub ticks: u64,
    /// The watermark, nanoseconds.
    pub watermark_ns: i64,
    /// Where every record went.
    pub counters: Counters,
    /// How much the tapes hold.
    pub sizes: TapeSizes,
    /// Versions of bars published, by interval.
    pub versions: BTreeMap<Interval, u64>,
    /// Of these, revisions of final bars.
    pub revisions: u64,
    /// Commits to the lake, with what they wrote.
    pub lake_commits: u64,
    /// Rows written to the lake.
    pub lake_rows: u64,
    /// Bytes written to the lake.
    pub lake_bytes: u64,
    /// Time spent in lake commits.
    pub lake_time: Duration,
    /// Transactions committed to Kafka.
    pub kafka_commits: u64,
    /// What the run went on from, if it did.
    pub recovered: Option<Recovered>,
    /// The last snapshot written.
    pub snapshot: Option<SnapshotReport>,
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
        self.snapshots += 1;
    }
}

/// A snapshot that several threads share.
#[derive(Debug)]
pub struct Status {
    run: String,
    started: Instant,
    shown: Interval,
    snapshot: Mutex<Snapshot>,
}

impl Status {
    /// The status of a run that starts now and publishes these intervals.
    pub fn new(intervals: &[Interval]) -> Self {
        let minutes = intervals.iter().copied().filter(|interval| *interval > Interval::S1).min();
        let shown = minutes.or(intervals.first().copied()).unwrap_or(Interval::M1);
        Self { run: String::new(), started: Instant::now(), shown, snapshot: Mutex::default() }
    }

    /// Names the run.
    pub fn set_run(&mut self, run: &str) {
        run.clone_into(&mut self.run);
    }

    /// The run's name.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// How long the run has gone on.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The interval whose latest bars are kept.
    pub const fn shown(&self) -> Interval {
        self.shown
    }

    /// A copy of the state.
    pub fn snapshot(&self) -> Snapshot {
        self.lock().clone()
    }

    /// Changes the state.
    pub fn update(&self, change: impl FnOnce(&mut Snapshot)) {
        change(&mut self.lock());
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

    fn lock(&self) -> MutexGuard<'_, Snapshot> {
        self.snapshot.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
