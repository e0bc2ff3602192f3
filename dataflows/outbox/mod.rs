//! The way out: merged ticks to the sinks, in order, and the commits.
//!
//! Kafka commits every tick that has something to say, in a transaction with its progress record. The lake gathers ticks
//! into fewer, larger commits. Before either, the bindings of the ticks are made durable. A sink that is slow holds the
//! workers back, they hold back the source, and nothing piles up.

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
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tidewheel_connectors::kafka::KafkaError;
use tidewheel_connectors::kafka::sink::KafkaSink;
use tidewheel_connectors::lake::LakeError;
use tidewheel_schemas::{Counters, TickOutput};

/// How long Kafka's progress record may stand still while nothing is published.
const QUIET_PROGRESS: Duration = Duration::from_secs(5);
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
    /// Writes every tick until the engine has none left, then commits what remains.
    ///
    /// # Errors
    /// If a sink fails. The engine then finds nobody reading and stops.
    pub fn run(mut self, outputs: impl Iterator<Item = MergedTick>) -> Result<Counters, OutboxError> {
        let lake = self.lake.take();
        // What is not written holds nothing back.
        let begin = |is_written: bool| AtomicU64::new(if is_written { 0 } else { u64::MAX });
        let progress = Arc::new(Progress { kafka: begin(self.kafka.is_some()), lake: begin(lake.is_some()) });
        let status = || Arc::clone(&self.status);
        let start = |output| LakeWriter::start(output, self.bindings.clone(), Arc::clone(&progress), status());
        let lake = lake.map(start).transpose().map_err(OutboxError::Thread)?;
        let start = |output| SnapshotWriter::start(output, self.bindings.clone(), Arc::clone(&progress), status());
        let snapshots = self.snapshots.take().map(start).transpose().map_err(OutboxError::Thread)?;
        let written = self.write_all(outputs, lake.as_ref(), snapshots.as_ref(), &progress);
        if let Some(snapshots) = snapshots {
            snapshots.finish();
        }
        // Whatever became of the topics, the lake keeps the ticks it was given, and says so if it cannot.
        let kept = lake.map_or(Ok(()), LakeWriter::finish);
        let (tick, counters) = written?;
        kept?;
        self.close_kafka(tick, &counters)?;
        Ok(counters)
    }

    /// Writes ticks until there are no more, or the lake takes none. Returns the last tick and its counts.
    fn write_all(
        &mut self,
        outputs: impl Iterator<Item = MergedTick>,
        lake: Option<&LakeWriter>,
        snapshots: Option<&SnapshotWriter>,
        progress: &Progress,
    ) -> Result<(u64, Counters), OutboxError> {
        let mut last = (0, Counters::default());
        let mut published_at = Instant::now();
        for mut tick in outputs {
            last = (tick.output.tick, tick.output.counters.clone());
            self.note(&tick);
            if let (Some(names), Some(kafka)) = (&tick.partitions, &mut self.kafka) {
                kafka.name_sources(names);
            }
            if self.publish(&tick.output, published_at.elapsed() >= QUIET_PROGRESS)? {
                published_at = Instant::now();
                progress.kafka.fetch_max(tick.output.tick, Ordering::AcqRel);
            }
            if let (Some(snapshots), Some(saved)) = (snapshots, tick.saved.take()) {
                snapshots.write(tick.output.tick, saved);
            }
            if lake.is_some_and(|lake| !lake.write(tick)) {
                break;
            }
        }
        Ok(last)
    }

    /// Writes a tick to Kafka and commits it; without anything to write, only when progress has stood still for long.
    fn publish(&mut self, output: &TickOutput, is_quiet: bool) -> Result<bool, OutboxError> {
        let has_records = !output.bars.is_empty() || !output.late.is_empty() || !output.rejects.is_empty();
        if self.kafka.is_none() || !(has_records || is_quiet) {
            return Ok(false);
        }
        let Some(kafka) = &mut self.kafka else { return Ok(false) };
        if kafka.committed_tick().is_some_and(|committed| output.tick <= committed) {
            return Ok(false);
        }
        sync(self.bindings.as_ref())?;
        let mut attempt = 1;
        loop {
            let committed = kafka.write(output).and_then(|()| kafka.advance(output.tick, &output.counters));
            match committed {
                Ok(()) => break,
                Err(error @ KafkaError::Aborted { .. }) if attempt < ATTEMPTS => {
                    tracing::warn!(tick = output.tick, attempt, %error, "transaction aborted, written again");
                    attempt += 1;
                }
                Err(error) => return Err(error.into()),
            }
        }
        self.status.update(|snapshot| snapshot.kafka_commits += 1);
        Ok(true)
    }

    /// The last word to Kafka: complete through the last tick, whether it had records or not.
    fn close_kafka(&mut self, tick: u64, counters: &Counters) -> Result<(), OutboxError> {
        if let Some(kafka) = &mut self.kafka {
            kafka.advance(tick, counters)?;
        }
        Ok(())
    }

    fn note(&self, tick: &MergedTick) {
        let TickOutput { bars, counters, .. } = &tick.output;
        self.status.note_bars(bars);
        self.status.update(|snapshot| {
            (snapshot.tick, snapshot.watermark_ns) = (tick.output.tick, tick.output.watermark_ns);
            snapshot.ticks += 1;
            snapshot.counters = counters.clone();
            snapshot.sizes = tick.sizes;
        });
    }
}

/// Makes the bindings of the ticks so far durable: before any output of theirs is committed.
fn sync(bindings: Option<&SharedBindings>) -> Result<(), OutboxError> {
    let Some(bindings) = bindings else { return Ok(()) };
    bindings.sync().map_err(|source| OutboxError::Bindings { path: bindings.path(), source })
}
