//! The way out: merged ticks to the sinks, in order, and the commits.
//!
//! Kafka commits every tick that has something to say, in a transaction with its progress record; ticks that were computed while
//! the transaction before was under way share one, since else they would wait for one another. The lake gathers ticks into
//! fewer, larger commits. Before either, the bindings of the ticks are made durable. A sink that is slow holds the workers
//! back, they hold back the source, and nothing piles up.

mod lake_writer;
mod snapshots;

pub use lake_writer::LakeOutput;
pub use snapshots::SnapshotOutput;

use crate::bindings::SharedBindings;
use crate::engine::MergedTick;
use crate::status::Status;
use lake_writer::LakeWriter;
use snapshots::SnapshotWriter;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidewheel_connectors::fault::Faults;
use tidewheel_connectors::kafka::KafkaError;
use tidewheel_connectors::kafka::sink::KafkaSink;
use tidewheel_connectors::lake::{LakeError, is_passing};
use tidewheel_schemas::{Counters, TickOutput};

/// How long Kafka's progress record may stand still while nothing is published.
const QUIET_PROGRESS: Duration = Duration::from_secs(5);
/// Ticks that share a transaction at most: what they published is held until it is committed.
const TICKS_A_COMMIT: usize = 8;
/// Records of ticks that share one at most, so that only a tick that is larger by itself is ever cut.
const RECORDS_A_COMMIT: u64 = 10_000;
/// How often a transaction that was aborted is written again before the run gives up.
const ATTEMPTS: usize = 5;

/// Where ticks go.
pub struct Outbox {
    /// The topics, if they are written.
    pub kafka: Option<KafkaSink>,
    /// The lake, if one is written.
    pub lake: Option<LakeOutput>,
    /// The log of ticks, for live runs.
    pub bindings: Option<SharedBindings>,
    /// Snapshots, if they are taken.
    pub snapshots: Option<SnapshotOutput>,
    /// Raised when the run is to stop. With it, trouble that may pass, such as a full disk, pauses the sinks until then;
    /// without it, any error ends the run.
    pub stop: Option<Arc<AtomicBool>>,
    /// What tests and drills have go wrong between the steps of a commit.
    pub faults: Faults,
    /// Where the run shows itself.
    pub status: Arc<Status>,
}

/// How far the sinks have committed, for those who delete what only a restart behind that would need.
#[derive(Debug)]
struct Progress {
    kafka: AtomicU64,
    lake: AtomicU64,
}

impl Progress {
    /// The last tick that is in all sinks; 0 before the first.
    fn by_all(&self) -> u64 {
        self.kafka.load(Ordering::Acquire).min(self.lake.load(Ordering::Acquire))
    }
}

/// A sink failed; what it had not committed is not published.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Kafka.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The system has no thread left.
    #[error("could not start the thread that writes the lake: {0}")]
    Thread(std::io::Error),
    /// What a test or a drill asked for.
    #[error(transparent)]
    Fault(#[from] std::io::Error),
    /// The log of ticks.
    #[error("could not write the bindings log {path}: {source}")]
    Bindings {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Outbox {
    /// The way out of a replay: nothing to go on from is kept, and any trouble ends it.
    pub fn of_replay(kafka: Option<KafkaSink>, lake: Option<LakeOutput>, status: Arc<Status>) -> Self {
        let faults = Faults::of_process();
        Self { kafka, lake, bindings: None, snapshots: None, stop: None, faults, status }
    }

    /// Writes every tick until the engine has none left, then commits what remains.
    ///
    /// # Errors
    /// If a sink fails. The engine then finds nobody reading and stops.
    pub fn run(mut self, outputs: impl Iterator<Item = MergedTick>) -> Result<Counters, OutboxError> {
        self.note_outputs();
        if let (Some(kafka), Some(stop)) = (&mut self.kafka, &self.stop) {
            kafka.stop_waiting_when(Arc::clone(stop));
        }
        let lake = self.lake.take();
        // What is not written holds nothing back.
        let begin = |is_written: bool| AtomicU64::new(if is_written { 0 } else { u64::MAX });
        let progress = Arc::new(Progress { kafka: begin(self.kafka.is_some()), lake: begin(lake.is_some()) });
        let status = || Arc::clone(&self.status);
        let start = |output| {
            let stop = self.stop.clone();
            LakeWriter::start(output, self.bindings.clone(), stop, Arc::clone(&progress), status())
        };
        let lake = lake.map(start).transpose().map_err(OutboxError::Thread)?;
        let start = |output| SnapshotWriter::start(output, self.bindings.clone(), Arc::clone(&progress), status());
        let snapshots = self.snapshots.take().map(start).transpose().map_err(OutboxError::Thread)?;
        let written = self.write_all(outputs, lake.as_ref(), snapshots.as_ref(), &progress);
        if let Some(snapshots) = snapshots {
            snapshots.finish();
        }
        // Whatever became of the topics, the lake keeps the ticks it was given, and says so if it cannot.
        let kept = lake.map_or(Ok(()), |lake| lake.finish(written.is_err()));
        let last = written?;
        kept?;
        let Some((tick, counters)) = last else { return Ok(Counters::default()) };
        self.close_kafka(tick, &counters)?;
        Ok(counters)
    }

    /// Writes ticks until there are no more, or the lake takes none. Returns the last tick and its counts, if there was one.
    fn write_all(
        &mut self,
        outputs: impl Iterator<Item = MergedTick>,
        lake: Option<&LakeWriter>,
        snapshots: Option<&SnapshotWriter>,
        progress: &Progress,
    ) -> Result<Option<(u64, Counters)>, OutboxError> {
        let (mut last, mut published_at) = (None, Instant::now());
        let mut outputs = outputs.fuse().peekable();
        while let Some(first) = outputs.next() {
            let mut computed = vec![first];
            let mut records = records_of(&computed[0].output);
            // The next one is only looked at where it is there: nobody waits for it here.
            while self.kafka.is_some() && computed.len() < TICKS_A_COMMIT && computed[computed.len() - 1].is_followed {
                let fits = |next: &MergedTick| records + records_of(&next.output) <= RECORDS_A_COMMIT;
                let Some(next) = outputs.next_if(fits) else { break };
                records += records_of(&next.output);
                computed.push(next);
            }
            for tick in &computed {
                last = Some((tick.output.tick, tick.output.counters.clone()));
                self.status.note_tick(tick);
                if let (Some(names), Some(kafka)) = (&tick.partitions, &mut self.kafka) {
                    kafka.name_sources(names);
                }
            }
            let newest = computed[computed.len() - 1].output.tick;
            if self.publish(&computed, published_at.elapsed() >= QUIET_PROGRESS)? {
                published_at = Instant::now();
                progress.kafka.fetch_max(newest, Ordering::AcqRel);
            }
            for mut tick in computed {
                if let (Some(snapshots), Some(saved)) = (snapshots, tick.saved.take()) {
                    snapshots.write(tick.output.tick, saved);
                }
                if lake.is_some_and(|lake| !lake.write(tick)) {
                    return Ok(last);
                }
            }
        }
        Ok(last)
    }

    /// Writes ticks to Kafka and commits them together; without anything to write, only when progress has stood still for long.
    fn publish(&mut self, ticks: &[MergedTick], is_quiet: bool) -> Result<bool, OutboxError> {
        let Some(kafka) = &mut self.kafka else { return Ok(false) };
        let committed = kafka.committed_tick();
        let ticks =
            &ticks[ticks.partition_point(|tick| committed.is_some_and(|committed| tick.output.tick <= committed))..];
        let Some(newest) = ticks.last().map(|tick| &tick.output) else { return Ok(false) };
        let records = ticks.iter().map(|tick| records_of(&tick.output)).sum::<u64>();
        // A log in Kafka is durable with its transaction, and the lake waits for that.
        let is_logged = self.bindings.as_ref().is_some_and(SharedBindings::is_in_topic);
        if !(records > 0 || is_quiet || is_logged) {
            return Ok(false);
        }
        sync_at_last(self.bindings.as_ref(), self.stop.as_deref())?;
        if let Some(bindings) = &self.bindings {
            bindings.take_lines().iter().try_for_each(|line| kafka.append_log(line))?;
        }
        self.faults.reached("bindings.synced")?;
        let begun_at = Instant::now();
        self.status.note_kafka_writing(Some(begun_at));
        let (faults, status) = (&self.faults, &self.status);
        again_if_aborted(status, newest.tick, || {
            let written = ticks.iter().try_for_each(|tick| kafka.write(&tick.output));
            faults.reached("kafka.written")?;
            Ok(written.and_then(|()| kafka.advance(newest.tick, &newest.counters))?)
        })?;
        self.faults.reached("kafka.committed")?;
        self.status.note_kafka_writing(None);
        let elapsed = begun_at.elapsed();
        self.status.note_kafka_commit(kafka.committed_tick(), records, elapsed);
        let (tick, ticks, elapsed_ms) = (newest.tick, ticks.len(), elapsed.as_millis() as u64);
        tracing::debug!(tick, ticks, records, elapsed_ms, "kafka committed");
        Ok(true)
    }

    /// The last word to Kafka: complete through the last tick, whether it had records or not.
    fn close_kafka(&mut self, tick: u64, counters: &Counters) -> Result<(), OutboxError> {
        if let Some(kafka) = &mut self.kafka {
            if let Some(bindings) = &self.bindings {
                bindings.take_lines().iter().try_for_each(|line| kafka.append_log(line))?;
            }
            again_if_aborted(&self.status, tick, || Ok(kafka.advance(tick, counters)?))?;
            self.status.update(|snapshot| snapshot.kafka_tick = kafka.committed_tick());
        }
        Ok(())
    }

    /// Shows which outputs there are, and how far a former run came.
    fn note_outputs(&self) {
        let kafka_tick = self.kafka.as_ref().and_then(KafkaSink::committed_tick);
        let lake_frontier = self.lake.as_ref().map(|output| output.lake.state().progress.tick_frontier);
        // Zero where nothing was committed, or what was is to be replaced.
        let lake_frontier = lake_frontier.filter(|frontier| *frontier > 0);
        self.status.update(|snapshot| {
            (snapshot.kafka_on, snapshot.lake_on) = (self.kafka.is_some(), self.lake.is_some());
            (snapshot.kafka_tick, snapshot.lake_frontier) = (kafka_tick, lake_frontier);
        });
    }
}

/// Records that a tick publishes in topics.
fn records_of(output: &TickOutput) -> u64 {
    (output.bars.len() + output.rows.len() + output.late.len() + output.rejects.len()) as u64
}

/// Makes the bindings of the ticks so far durable: before any output of theirs is committed.
fn sync(bindings: Option<&SharedBindings>) -> Result<(), OutboxError> {
    let Some(bindings) = bindings else { return Ok(()) };
    bindings.sync().map_err(|source| OutboxError::Bindings { path: bindings.path(), source })
}

/// Writes and commits, once more where the transaction was rolled back, up to [`ATTEMPTS`] times.
fn again_if_aborted(
    status: &Status,
    tick: u64,
    mut commit: impl FnMut() -> Result<(), OutboxError>,
) -> Result<(), OutboxError> {
    for attempt in 1.. {
        match commit() {
            Err(OutboxError::Kafka(error @ KafkaError::Aborted { .. })) if attempt < ATTEMPTS => {
                tracing::warn!(tick, attempt, %error, "transaction aborted, written again");
                status.update(|snapshot| snapshot.kafka_aborted += 1);
            }
            result => return result,
        }
    }
    unreachable!("the last attempt returns")
}

/// As [`sync`], again and again while the trouble may pass and the run is not to stop. Nothing else goes on meanwhile.
fn sync_at_last(bindings: Option<&SharedBindings>, stop: Option<&AtomicBool>) -> Result<(), OutboxError> {
    const PAUSE: Duration = Duration::from_millis(200);
    let mut has_told = false;
    loop {
        // Asked before the attempt, so that one is made after the wish to stop.
        let is_last = stop.is_none_or(|stop| stop.load(Ordering::Relaxed));
        match sync(bindings) {
            Err(error) if !is_last && may_pass(&error) => {
                if !std::mem::replace(&mut has_told, true) {
                    tracing::warn!(%error, "the log of ticks waits, and with it the topics");
                }
                std::thread::sleep(PAUSE);
            }
            other => return other,
        }
    }
}

/// Whether what failed may succeed later, all else being equal: a disk may have room again.
fn may_pass(error: &OutboxError) -> bool {
    match error {
        OutboxError::Lake(error) => error.is_passing(),
        OutboxError::Bindings { source, .. } => is_passing(source),
        _ => false,
    }
}
