//! The lake's own thread: encoding files takes as long as computing what is in them, and goes on beside it.
//!
//! A full disk, and other trouble that may pass, pauses it: the commit is tried again until it succeeds. Meanwhile ticks wait in
//! memory and the topics go on. Once as many rows wait as may, nothing more is taken, which holds the outbox, and through it the
//! workers and the source.

use super::{OutboxError, Progress, may_pass};
use crate::bindings::SharedBindings;
use crate::engine::MergedTick;
use crate::status::Status;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tidewheel_connectors::lake::{CommitProgress, CommitReport, Lake};
use tidewheel_schemas::{MarketContent, MarketRecord, TickOutput};

/// Rows in memory after which the lake commits, whatever the clock says.
const ROWS_PER_COMMIT: usize = 500_000;
/// Bytes in memory after which the lake commits.
const BYTES_PER_COMMIT: usize = 512 << 20;
/// Levels of a book, sixteen bytes each, that take as much memory as a row.
const LEVELS_OF_A_ROW: usize = 8;
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
    /// Rows that may wait for the lake before the run is held. The tick that passes it is the last.
    pub max_waiting_rows: usize,
}

/// What waits for the lake.
#[derive(Debug, Default)]
struct Waiting {
    rows: Mutex<usize>,
    has_changed: Condvar,
}

impl Waiting {
    fn rows(&self) -> MutexGuard<'_, usize> {
        self.rows.lock().expect("nothing panics while it counts")
    }

    /// Waits until no more rows wait than may, and counts further ones.
    fn add(&self, rows: usize, most: usize) {
        let is_held = |waiting: &mut usize| *waiting > most;
        let waiting = self.has_changed.wait_while(self.rows(), is_held);
        *waiting.expect("nothing panics while it counts") += rows;
    }

    fn remove(&self, rows: usize) {
        *self.rows() -= rows;
        self.has_changed.notify_one();
    }

    /// Lets everything through, because nothing is taken any more.
    fn close(&self) {
        *self.rows() = 0;
        self.has_changed.notify_one();
    }
}

/// What a tick weighs while it waits: its rows in the lake, and one for itself.
fn rows_of(output: &TickOutput) -> usize {
    let accepted: usize = output.accepted.iter().map(|accepted| accepted.rows.len()).sum();
    let rows = output.bars.len() + output.rows.len() + output.late.len() + output.rejects.len();
    let market: usize = output.market.iter().map(rows_of_record).sum();
    1 + accepted + rows + output.amendments.len() + market + output.account.len()
}

/// A book weighs by its levels: those of a deep snapshot take what a thousand trades do.
fn rows_of_record(record: &MarketRecord) -> usize {
    match &record.content {
        MarketContent::Book(book) => 1 + (book.bids.len() + book.asks.len()) / LEVELS_OF_A_ROW,
        _ => 1,
    }
}

/// A lake being written on a thread of its own.
pub(super) struct LakeWriter {
    ticks: Sender<MergedTick>,
    waiting: Arc<Waiting>,
    max_waiting_rows: usize,
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
        let (ticks, taken) = unbounded();
        let wish = stop.clone();
        let (waiting, max_waiting_rows) = (Arc::new(Waiting::default()), output.max_waiting_rows);
        let committer = Committer { output, bindings, stop, progress, status, committed_at: Instant::now() };
        let counted = Arc::clone(&waiting);
        let work = move || {
            let written = committer.run(&taken, &counted);
            drop(taken);
            counted.close();
            written
        };
        let thread = std::thread::Builder::new().name("lake".to_owned()).spawn(work)?;
        Ok(Self { ticks, waiting, max_waiting_rows, thread, stop: wish })
    }

    /// Hands a tick over. Blocks while too many rows wait; false once writing has failed, and [`finish`](Self::finish) tells why.
    pub fn write(&self, tick: MergedTick) -> bool {
        self.waiting.add(rows_of(&tick.output), self.max_waiting_rows);
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
    fn run(mut self, ticks: &Receiver<MergedTick>, waiting: &Waiting) -> Result<(), OutboxError> {
        let mut progress = None;
        for MergedTick { output, open_bars, partitions, .. } in ticks {
            waiting.remove(rows_of(&output));
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
            tracing::warn!(%error, paused_s, "lake paused: the commit is tried again; what comes meanwhile waits in memory");
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

#[cfg(test)]
mod tests {
    use super::*;
    use tidewheel_schemas::{BookUpdate, Instrument, Level, Mark};

    #[test]
    fn a_waiting_book_weighs_by_its_levels() {
        let record = |content| MarketRecord {
            instrument: Instrument::new("v", "S").expect("a name"),
            event_time_ns: 0,
            is_timeless: false,
            partition: 0,
            position: 0,
            index: 0,
            receive_time_ns: None,
            content,
        };
        let levels = |count| vec![Level { price_e8: 1, quantity_e8: 1 }; count].into();
        let (bids, asks) = (levels(5_000), levels(3_000));
        let book = BookUpdate {
            sequence: 1,
            first_id: 1,
            last_id: 1,
            previous_id: None,
            is_snapshot: true,
            depth: None,
            bids,
            asks,
        };
        let market = vec![record(MarketContent::Book(book)), record(MarketContent::Mark(Mark::default()))];
        // One for the tick, one for each record, and the levels.
        assert_eq!(rows_of(&TickOutput { market, ..TickOutput::default() }), 3 + 8_000 / LEVELS_OF_A_ROW);
    }
}
