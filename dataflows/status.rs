//! What a run shows of itself while it goes on: counts, frontiers, sizes, the latest bars.
//!
//! Written once a tick by the thread that feeds the sinks, read by the terminal.

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
    /// Why the lake is paused, while it is: its disk is full, or the like.
    pub lake_paused: Option<String>,
    /// Transactions committed to Kafka.
    pub kafka_commits: u64,
    /// The latest version of the newest bar of each instrument, of the shortest interval published but seconds.
    pub latest: BTreeMap<Instrument, BarVersion>,
}

/// A snapshot that several threads share.
#[derive(Debug)]
pub struct Status {
    started: Instant,
    shown: Interval,
    snapshot: Mutex<Snapshot>,
}

impl Status {
    /// The status of a run that starts now and publishes these intervals.
    pub fn new(intervals: &[Interval]) -> Self {
        let minutes = intervals.iter().copied().filter(|interval| *interval > Interval::S1).min();
        let shown = minutes.or(intervals.first().copied()).unwrap_or(Interval::M1);
        Self { started: Instant::now(), shown, snapshot: Mutex::default() }
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
