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
