//! The lake's own thread: encoding files takes as long as computing what is in them, and goes on beside it.
//!
//! A full disk, and other trouble that may pass, pauses it: the commit is tried again until it succeeds. Meanwhile nothing is taken
//! from the channel, which fills, holds the outbox, and through it the workers and the source: what waits is bounded by
//! [`TICKS_WAITING`] ticks and what a commit holds.

use super::{OutboxError, Progress, may_pass};
use crate::bindings::SharedBindings;
use crate::engine::MergedTick;
use crate::status::Status;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidewheel_connectors::lake::{CommitProgress, CommitReport, Lake};

/// Rows in memory after which the lake commits, whatever the clock says.
const ROWS_PER_COMMIT: usize = 500_000;
/// Bytes in memory after which the lake commits.
const BYTES_PER_COMMIT: usize = 512 << 20;
/// Ticks that may wait while a commit goes on.
const TICKS_WAITING: usize = 32;
/// How long a paused lake waits before it tries again: first, and at most.
const FIRST_WAIT: Duration = Duration::from_millis(200);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How often a paused lake says so.
const REMINDER: Duration = Duration::from_secs(60);
/// How often it looks whether the run is to stop.
const STOP_POLL: Duration = Duration::from_millis(50);

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
    stop: Option<Arc<AtomicBool>>,
}

impl LakeWriter {
    pub fn start(
        output: LakeOutput,
        bindings: Option<SharedBindings>,
        stop: Option<Arc<AtomicBool>>,
        progress: Arc<Progress>,
        status: Arc<Status>,
    ) -> std::io::Result<Self> {
        let (ticks, waiting) = bounded(TICKS_WAITING);
        let wish = stop.clone();
        let committer = Committer { output, bindings, stop, progress, status, committed_at: Instant::now() };
        let thread = std::thread::Builder::new().name("lake".to_owned()).spawn(move || committer.run(&waiting))?;
        Ok(Self { ticks, thread, stop: wish })
    }

    /// Hands a tick over. Blocks while too many wait; false once writing has failed, and [`finish`](Self::finish) tells why.
    pub fn write(&self, tick: MergedTick) -> bool {
        self.ticks.send(tick).is_ok()
    }

    /// Commits what is left. A run that has failed elsewhere does not wait for room on the disk.
    pub fn finish(self, has_failed: bool) -> Result<(), OutboxError> {
        if let (true, Some(stop)) = (has_failed, &self.stop) {
            stop.store(true, Ordering::Relaxed);
        }
        drop(self.ticks);
        self.thread.join().expect("a panic in the lake's thread ends the process")
    }
}

struct Committer {
    output: LakeOutput,
    bindings: Option<SharedBindings>,
    stop: Option<Arc<AtomicBool>>,
    progress: Arc<Progress>,
    status: Arc<Status>,
    committed_at: Instant,
}

/// A commit that failed and is tried again.
struct Pause {
    since: Instant,
    reminded_at: Instant,
    wait: Duration,
}

impl Committer {
    fn run(mut self, ticks: &Receiver<MergedTick>) -> Result<(), OutboxError> {
        let mut progress = None;
        loop {
            let MergedTick { output, open_bars, partitions, .. } = match self.receive(ticks, progress.is_some()) {
                Ok(tick) => tick,
                // In a quiet market the next tick may be a second away.
                Err(RecvTimeoutError::Timeout) => {
                    self.commit(progress.take())?;
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            if let Some(names) = partitions {
                self.output.lake.name_sources(&names);
            }
            let reached = CommitProgress {
                tick_frontier: output.tick + 1,
                run: self.output.run.clone(),
                counters: output.counters.clone(),
                watermark_ns: output.watermark_ns,
            };
            // What follows open bars may supersede them: it must not be in their commit.
            let closes = !open_bars.is_empty();
            if !self.output.lake.append(output) {
                // A tick made again that the lake has: its frontier is behind that of the lake, which must not go back.
                continue;
            }
            progress = Some(reached);
            self.output.lake.close_open_bars(open_bars);
            if closes || self.is_due() {
                self.commit(progress.take())?;
            }
        }
        self.commit(progress)
    }

    /// The next tick; where something waits to be committed, until that is due.
    fn receive(&self, ticks: &Receiver<MergedTick>, has_news: bool) -> Result<MergedTick, RecvTimeoutError> {
        match self.output.every.filter(|_| has_news) {
            Some(every) => ticks.recv_timeout(every.saturating_sub(self.committed_at.elapsed())),
            None => ticks.recv().map_err(|_| RecvTimeoutError::Disconnected),
        }
    }

    fn is_due(&self) -> bool {
        let LakeOutput { lake, every, .. } = &self.output;
        lake.buffered_rows() >= ROWS_PER_COMMIT
            || lake.buffered_bytes() >= BYTES_PER_COMMIT
            || every.is_some_and(|every| self.committed_at.elapsed() >= every)
    }

    /// Commits; where something fails that may pass, until it succeeds or the run is to stop.
    fn commit(&mut self, progress: Option<CommitProgress>) -> Result<(), OutboxError> {
        let Some(progress) = progress else { return Ok(()) };
        let mut pause = None;
        let report = loop {
            // Asked before the attempt, so that one is made after the wish to stop: there may be room by then.
            let is_last = self.stop.as_ref().is_none_or(|stop| stop.load(Ordering::Relaxed));
            match self.try_commit(&progress) {
                Ok(report) => break report,
                Err(error) if is_last || !may_pass(&error) => return Err(error),
                Err(error) => self.wait(&mut pause, &error),
            }
        };
        if let Some(Pause { since, .. }) = pause {
            self.status.update(|snapshot| snapshot.lake_paused = None);
            tracing::warn!(paused_ms = since.elapsed().as_millis() as u64, "lake goes on");
        }
        self.committed_at = Instant::now();
        let elapsed_ms = report.elapsed.as_millis() as u64;
        let (seq, rows, files, bytes) = (report.seq, report.rows, report.files, report.bytes);
        let tick = progress.tick_frontier.saturating_sub(1);
        tracing::debug!(tick, seq, rows, files, bytes, elapsed_ms, "lake committed");
        self.progress.lake.fetch_max(tick, Ordering::AcqRel);
        self.status.note_lake_commit(progress.tick_frontier, &report);
        Ok(())
    }

    fn try_commit(&mut self, progress: &CommitProgress) -> Result<CommitReport, OutboxError> {
        super::sync(self.bindings.as_ref())?;
        Ok(self.output.lake.commit(progress)?)
    }

    /// Says that the lake is paused, once and then now and then, and waits; shorter where the run is to stop.
    fn wait(&self, pause: &mut Option<Pause>, error: &OutboxError) {
        let now = Instant::now();
        let is_first = pause.is_none();
        let pause = pause.get_or_insert(Pause { since: now, reminded_at: now, wait: FIRST_WAIT });
        if is_first || pause.reminded_at.elapsed() >= REMINDER {
            let paused_s = pause.since.elapsed().as_secs();
            tracing::warn!(%error, paused_s, "lake paused: the commit is tried again, and no records are taken meanwhile");
            pause.reminded_at = now;
        }
        self.status.update(|snapshot| snapshot.lake_paused = Some(error.to_string()));
        let is_stopping = || self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
        while now.elapsed() < pause.wait && !is_stopping() {
            std::thread::sleep(STOP_POLL.min(pause.wait));
        }
        pause.wait = (pause.wait * 2).min(LONGEST_WAIT);
    }
}
