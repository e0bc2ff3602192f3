//! The thread that writes snapshots, beside the running pipeline.

use super::Progress;
use crate::bindings::SharedBindings;
use crate::engine::SavedState;
use crate::snapshot::{SnapshotError, SnapshotStore};
use crate::status::Status;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Snapshots that are kept though a newer one can be taken up: should that be damaged, this is the way back.
const SPARE: usize = 1;

/// Where snapshots go.
pub struct SnapshotOutput {
    /// Where they are written.
    pub store: SnapshotStore,
    /// Lowered when one is written.
    pub is_busy: Arc<AtomicBool>,
}

/// Snapshots being written on a thread of their own.
pub(super) struct SnapshotWriter {
    saved: Sender<(u64, Box<SavedState>)>,
    is_ending: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl SnapshotWriter {
    pub fn start(
        output: SnapshotOutput,
        bindings: Option<SharedBindings>,
        progress: Arc<Progress>,
        status: Arc<Status>,
    ) -> std::io::Result<Self> {
        // At most two are on their way: one in time, and the one of the last tick.
        let (saved, waiting) = unbounded();
        let is_ending = Arc::new(AtomicBool::new(false));
        let writer = Writer { output, bindings, progress, status, is_ending: Arc::clone(&is_ending) };
        let thread = std::thread::Builder::new().name("snapshots".to_owned()).spawn(move || writer.run(&waiting))?;
        Ok(Self { saved, is_ending, thread })
    }

    /// Hands over what a snapshot after this tick consists of.
    pub fn write(&self, tick: u64, state: Box<SavedState>) {
        // The thread ends only when this sender does.
        let _ = self.saved.send((tick, state));
    }

    /// Waits for the last one; what cannot be written now is given up.
    pub fn finish(self) {
        self.is_ending.store(true, Ordering::Release);
        self.thread.thread().unpark();
        drop(self.saved);
        self.thread.join().expect("a panic in the snapshots' thread ends the process");
    }
}

struct Writer {
    output: SnapshotOutput,
    bindings: Option<SharedBindings>,
    progress: Arc<Progress>,
    status: Arc<Status>,
    is_ending: Arc<AtomicBool>,
}

impl Writer {
    fn run(mut self, waiting: &Receiver<(u64, Box<SavedState>)>) {
        while let Ok((tick, state)) = waiting.recv() {
            if !self.write_at_last(tick, &state) {
                // What comes after adds to what was given up, and would be a state with a hole.
                return;
            }
            drop(state);
            self.output.is_busy.store(false, Ordering::Release);
        }
    }

    /// Writes a snapshot, however often that must be tried: what it holds has left the workers and will not come again. Only
    /// the end of the run ends the trying: then the next run reads more again. Whether it was written.
    fn write_at_last(&mut self, tick: u64, state: &SavedState) -> bool {
        const PAUSE: Duration = Duration::from_secs(1);
        let mut has_told = false;
        while let Err(error) = self.write(tick, state) {
            if !std::mem::replace(&mut has_told, true) {
                tracing::warn!(tick, %error, "snapshot not written, it is tried again until it is");
            }
            if self.is_ending.load(Ordering::Acquire) {
                tracing::warn!(tick, "the run ends without its snapshot; the next one reads more again");
                return false;
            }
            std::thread::park_timeout(PAUSE);
        }
        if let Err(error) = self.forget() {
            tracing::warn!(tick, %error, "older snapshots not deleted");
        }
        true
    }

    fn write(&mut self, tick: u64, state: &SavedState) -> Result<(), SnapshotError> {
        // A snapshot must not be ahead of the log: the ticks up to it could be cut in another way.
        if let Some(bindings) = &self.bindings {
            bindings.sync().map_err(|source| SnapshotError::Io {
                action: "sync",
                path: bindings.path().into(),
                source,
            })?;
        }
        let report = self.output.store.write(tick, state)?;
        tracing::debug!(tick, bytes = report.bytes, elapsed_ms = report.elapsed.as_millis() as u64, "snapshot written");
        self.status.update(|snapshot| snapshot.note_snapshot(&report));
        Ok(())
    }

    /// Keeps what a restart may need: the newest snapshot that no sink is behind of, one to spare, and all that follow.
    fn forget(&self) -> Result<(), SnapshotError> {
        let through = self.progress.by_all();
        let ticks = self.output.store.ticks()?;
        let usable: Vec<u64> = ticks.into_iter().filter(|tick| *tick <= through).collect();
        match usable.len().checked_sub(1 + SPARE) {
            Some(oldest) if oldest > 0 => self.output.store.forget_before(usable[oldest]),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::engine::SourceState;
    use crate::recovery::Settings;
    use crate::snapshot;
    use std::path::Path;
    use std::sync::atomic::AtomicU64;
    use tidewheel_connectors::fault::Faults;
    use tidewheel_operators::lifecycle::SavedBars;
    use tidewheel_schemas::{Counters, Interval};

    /// Writes the snapshots of these ticks, of which the first is whole, at the end of a run that has such faults.
    fn write(folder: &Path, faults: &str, ticks: std::ops::RangeInclusive<u64>) -> Arc<Status> {
        let store = SnapshotStore::open(folder, "run", Settings::of(&Config::default()), None).expect("a folder");
        let store = store.with_faults(Faults::parse(faults).expect("rules"));
        let status = Arc::new(Status::new(&[Interval::M1]));
        let writer = Writer {
            output: SnapshotOutput { store, is_busy: Arc::default() },
            bindings: None,
            progress: Arc::new(Progress { kafka: AtomicU64::new(u64::MAX), lake: AtomicU64::new(u64::MAX) }),
            status: Arc::clone(&status),
            is_ending: Arc::new(AtomicBool::new(true)),
        };
        let (saved, waiting) = unbounded();
        let first = *ticks.start();
        for tick in ticks {
            let state = SavedState {
                source: SourceState::default(),
                tapes: Vec::new(),
                bars: vec![SavedBars::nothing(Interval::M1, 0, tick == first)],
                market: Vec::new(),
                hours: Vec::new(),
                features: Vec::new(),
                scoring: Vec::new(),
                risk: None,
                facts: None,
                tape_counters: Counters::default(),
            };
            saved.send((tick, Box::new(state))).expect("the receiver is here");
        }
        drop(saved);
        writer.run(&waiting);
        status
    }

    #[test]
    fn nothing_is_added_to_a_snapshot_that_was_given_up() {
        let folder = tempfile::tempdir().expect("a folder");
        let status = write(folder.path(), "snapshot.staged:2=full", 1..=4);
        assert_eq!(snapshot::ticks(folder.path()).expect("a folder"), [1], "later ones would have a hole");
        assert_eq!(status.snapshot().snapshots, 1);
    }

    #[test]
    fn older_snapshots_that_cannot_be_deleted_do_not_have_a_newer_one_written_twice() {
        let folder = tempfile::tempdir().expect("a folder");
        let status = write(folder.path(), "snapshot.forgotten=full", 1..=5);
        assert_eq!(status.snapshot().snapshots, 5);
        let newest = snapshot::load(folder.path(), 5).expect("a sound snapshot").snapshot;
        let files: Vec<&str> = newest.sections.iter().map(|section| section.file.as_str()).collect();
        assert_eq!(files, [1, 2, 3, 4, 5].map(|tick| format!("{tick:018}.parts")), "each part once");
    }
}
