//! The lake's own thread: encoding files takes as long as computing what is in them, and goes on beside it.

use super::{OutboxError, Progress};
use crate::bindings::SharedBindings;
use crate::engine::MergedTick;
use crate::status::Status;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidewheel_connectors::lake::{CommitProgress, Lake};

/// Rows in memory after which the lake commits, whatever the clock says.
const ROWS_PER_COMMIT: usize = 500_000;
/// Bytes in memory after which the lake commits.
const BYTES_PER_COMMIT: usize = 512 << 20;
/// Ticks that may wait while a commit goes on.
const TICKS_WAITING: usize = 32;

/// How the lake is written.
pub struct LakeOutput {
    /// The lake.
    pub lake: Lake,
    /// How often it commits; only by size if absent.
    pub every: Option<Duration>,
    /// Names the run in the manifests.
    pub run: String,
}

/// A lake being written on a thread of its own.
pub(super) struct LakeWriter {
    ticks: Sender<MergedTick>,
    thread: JoinHandle<Result<(), OutboxError>>,
}

impl LakeWriter {
    pub fn start(
        output: LakeOutput,
        bindings: Option<SharedBindings>,
        progress: Arc<Progress>,
        status: Arc<Status>,
    ) -> std::io::Result<Self> {
        let (ticks, waiting) = bounded(TICKS_WAITING);
        let committer = Committer { output, bindings, progress, status, committed_at: Instant::now() };
        let thread = std::thread::Builder::new().name("lake".to_owned()).spawn(move || committer.run(&waiting))?;
        Ok(Self { ticks, thread })
    }

    /// Hands a tick over. Blocks while too many wait; false once writing has failed, and [`finish`](Self::finish) tells why.
    pub fn write(&self, tick: MergedTick) -> bool {
        self.ticks.send(tick).is_ok()
    }

    /// Commits what is left.
    pub fn finish(self) -> Result<(), OutboxError> {
        drop(self.ticks);
        self.thread.join().expect("a panic in the lake's thread ends the process")
    }
}

struct Committer {
    output: LakeOutput,
    bindings: Option<SharedBindings>,
    progress: Arc<Progress>,
    status: Arc<Status>,
    committed_at: Instant,
}

impl Committer {
    fn run(mut self, ticks: &Receiver<MergedTick>) -> Result<(), OutboxError> {
        let mut progress = None;
        for MergedTick { output, open_bars, partitions, .. } in ticks {
            if let Some(names) = partitions {
                self.output.lake.name_sources(&names);
            }
            progress = Some(CommitProgress {
                tick_frontier: output.tick + 1,
                run: self.output.run.clone(),
                counters: output.counters.clone(),
                watermark_ns: output.watermark_ns,
            });
            // What follows open bars may supersede them: it must not be in their commit.
            let closes = !open_bars.is_empty();
            if self.output.lake.append(output) {
                self.output.lake.close_open_bars(open_bars);
            }
            if closes || self.is_due() {
                self.commit(progress.take())?;
            }
        }
        self.commit(progress)
    }

    fn is_due(&self) -> bool {
        let LakeOutput { lake, every, .. } = &self.output;
        lake.buffered_rows() >= ROWS_PER_COMMIT
            || lake.buffered_bytes() >= BYTES_PER_COMMIT
            || every.is_some_and(|every| self.committed_at.elapsed() >= every)
    }

    fn commit(&mut self, progress: Option<CommitProgress>) -> Result<(), OutboxError> {
        let Some(progress) = progress else { return Ok(()) };
        super::sync(self.bindings.as_ref())?;
        let report = self.output.lake.commit(&progress)?;
        self.committed_at = Instant::now();
        self.progress.lake.fetch_max(progress.tick_frontier.saturating_sub(1), Ordering::AcqRel);
        let elapsed_ms = report.elapsed.as_millis() as u64;
        let (seq, rows, files, bytes) = (report.seq, report.rows, report.files, report.bytes);
        tracing::debug!(seq, rows, files, bytes, elapsed_ms, "lake committed");
        self.status.update(|snapshot| {
            snapshot.lake_commits += 1;
            snapshot.lake_rows += report.rows;
            snapshot.lake_bytes += report.bytes;
            snapshot.lake_time += report.elapsed;
        });
        Ok(())
    }
}
