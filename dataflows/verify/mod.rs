//! The proof that what was published is what the graph says: a lake's history is made again from its archive and its log of
//! ticks, and held, row by row, against its tables and against the topics.
//!
//! Both sides are read in the order of ticks, side by side, so that neither has to fit into memory. What the lake, its
//! archive and the topics all cover is compared; what one of them does not hold yet, or no longer, is told and not counted.
//! The run may go on meanwhile: what it commits after the manifest was read is left alone.

mod bars;
mod changelog;
mod report;
mod rows;
mod topics;

pub use report::{Difference, Report};

use crate::engine::{self, Engine, EngineError, MergedTick, Outputs};
use crate::recorded::{Recorded, RecordedError};
use bars::Bars;
use changelog::Changelog;
use rows::Rows;
use std::ops::Range;
use std::path::PathBuf;
use tidewheel_connectors::kafka::KafkaError;
use tidewheel_connectors::kafka::sink::KafkaSinkConfig;
use tidewheel_connectors::lake::{LakeError, Table};
use tidewheel_schemas::Counters;
use topics::Topics;

/// What to compare.
#[derive(Clone, Debug)]
pub struct VerifyConfig {
    /// The lake.
    pub lake: PathBuf,
    /// The folder of the run's log of ticks; `_tidewheel` in the lake if absent.
    pub state: Option<PathBuf>,
    /// The registry of models; that of the run if absent.
    pub registry: Option<PathBuf>,
    /// The topics to compare too, as the sink that writes them is configured. Its intervals are taken from the log.
    pub kafka: Option<KafkaSinkConfig>,
    /// The ticks to compare, milliseconds. Those before them are computed all the same.
    pub ticks: Range<u64>,
    /// Worker threads.
    pub workers: usize,
    /// How many differences are told; all are counted.
    pub limit: usize,
}

impl VerifyConfig {
    /// All ticks of a lake without topics, on two workers.
    pub fn new(lake: impl Into<PathBuf>) -> Self {
        Self { lake: lake.into(), state: None, registry: None, kafka: None, ticks: 0..u64::MAX, workers: 2, limit: 20 }
    }
}

/// Why nothing can be compared.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// History cannot be made again.
    #[error(transparent)]
    Recorded(#[from] RecordedError),
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The topics cannot be read.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// The graph cannot be started.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is nothing in the range.
    #[error("no tick from {} and before {} is in the lake, which holds those before {frontier}", ticks.start, ticks.end)]
    Nothing {
        /// What was asked for.
        ticks: Range<u64>,
        /// The first tick that is not in the lake.
        frontier: u64,
    },
}

/// Makes a lake's history again and compares. That something differs is no error, it is in the report.
///
/// # Errors
/// If the history cannot be made again, or something cannot be read.
///
/// # Panics
/// If `workers` is zero.
pub fn verify(config: &VerifyConfig) -> Result<Report, VerifyError> {
    let mut recorded = Recorded::open(&config.lake, config.state.as_deref())?;
    config.registry.iter().for_each(|registry| recorded.load_models_from(registry));
    let frontier = recorded.lake().progress.tick_frontier;
    let ticks = config.ticks.start.max(recorded.first_tick())..config.ticks.end.min(frontier);
    if ticks.is_empty() {
        return Err(VerifyError::Nothing { ticks: config.ticks.clone(), frontier });
    }
    let mut report = Report::new(config.limit);
    let (archived, accepted) = (recorded.archived(), recorded.lake().progress.counters.accepted);
    if archived != accepted {
        report.differ(Difference::whole("trades", "rows", archived, accepted));
    }
    let topics = config.kafka.as_ref().map(|kafka| {
        let intervals = recorded.settings().intervals.clone();
        let tables = recorded.tables().specs().to_vec();
        Topics::open(&KafkaSinkConfig { intervals, tables, ..kafka.clone() }, recorded.sources(), ticks.clone())
    });
    let mut sweep = Sweep {
        changelog: Changelog::open(&config.lake, recorded.lake(), &ticks)?,
        bars: Bars::open(&config.lake, recorded.lake(), &ticks, recorded.settings().horizon.as_ns())?,
        rows: Rows::open(&config.lake, recorded.lake(), &recorded.tables(), &ticks)?,
        topics: topics.transpose()?,
        counters: Counters::default(),
        report,
        ticks: ticks.clone(),
    };
    let (engine, outputs) = engine::start(config.workers, &recorded.pipeline(false), None)?;
    let (compared, fed) = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(recorded, engine, ticks.end));
        let compared = sweep.compare_all(outputs);
        (compared, feeder.join().expect("a panic in the feeder ends the process"))
    });
    compared?;
    let (recorded, fed) = fed;
    sweep.finish(&recorded, fed, frontier)
}

/// Hands out the ticks before `end`.
pub(crate) fn feed(mut recorded: Recorded, mut engine: Engine, end: u64) -> (Recorded, Result<(), RecordedError>) {
    let fed = loop {
        match recorded.next_tick() {
            Ok(Some(tick)) if tick.header.tick < end => {
                if engine.send(tick).is_break() {
                    break Ok(());
                }
            }
            Ok(_) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    engine.finish();
    (recorded, fed)
}

/// Both sides, tick by tick.
struct Sweep {
    changelog: Option<Changelog>,
    bars: Bars,
    rows: Rows,
    topics: Option<Topics>,
    counters: Counters,
    report: Report,
    ticks: Range<u64>,
}

impl Sweep {
    fn compare_all(&mut self, outputs: Outputs) -> Result<(), VerifyError> {
        for tick in outputs {
            if self.ticks.contains(&tick.output.tick) {
                self.compare(&tick)?;
            }
            self.counters = tick.output.counters;
        }
        Ok(())
    }

    fn compare(&mut self, tick: &MergedTick) -> Result<(), VerifyError> {
        self.report.reach(tick.output.tick);
        if let Some(changelog) = &mut self.changelog {
            changelog.compare(&tick.output, &mut self.report)?;
        }
        self.bars.compare(tick, &mut self.report)?;
        self.rows.compare(&tick.output, &mut self.report)?;
        self.report.late += tick.output.late.len() as u64;
        self.report.rejects += tick.output.rejects.len() as u64;
        match &mut self.topics {
            Some(topics) => Ok(topics.compare(&tick.output, &mut self.report)?),
            None => Ok(()),
        }
    }

    /// What can only be said at the end.
    fn finish(
        mut self,
        recorded: &Recorded,
        fed: Result<(), RecordedError>,
        frontier: u64,
    ) -> Result<Report, VerifyError> {
        let mut report = self.report;
        recorded.damages().iter().for_each(|damage| report.damaged(damage));
        for (position, filed, of_tick) in recorded.misdated() {
            let key = format!("position {position}");
            report.differ(Difference::of("late", key, None, "watermark_ns", Some(filed), Some(of_tick)));
        }
        match fed {
            Ok(()) => {}
            // What cannot be read of the input is a finding; what was compared before it stands.
            Err(RecordedError::Lake(error @ (LakeError::Archive { .. } | LakeError::Parquet { .. }))) => {
                report.differ(Difference::of::<String>("input", error.to_string(), None, "file", None, None));
                report.notes.push(format!(
                    "what follows tick {} could not be computed",
                    report.last_tick.map_or_else(|| "0".to_owned(), |tick| tick.to_string())
                ));
                return Ok(report);
            }
            Err(error) => return Err(error.into()),
        }
        self.rows.finish(&mut report)?;
        if let Some(changelog) = &mut self.changelog {
            changelog.finish(&mut report)?;
        } else if recorded.lake().of(Table::Bars).next().is_some() {
            report.notes.push("lake.bars_changelog is off: only the bars as they stand were compared".to_owned());
        }
        self.bars.finish(&mut report)?;
        if self.ticks.end == frontier {
            compare_counters(&self.counters, &recorded.lake().progress.counters, &mut report);
        }
        if let Some(topics) = self.topics {
            topics.finish(&mut report)?;
        }
        if let Some(junk) = recorded.junk() {
            report
                .notes
                .push(format!("the log of ticks ends at {junk}, behind the last commit: a crash cut it off there"));
        }
        Ok(report)
    }
}

/// Holds the counts against those of the last commit. Duplicates and waiting amendments are not in the lake.
fn compare_counters(found: &Counters, committed: &Counters, report: &mut Report) {
    let counts = |counters: &Counters| {
        let Counters { accepted, late, rejected, amended, outside_bars, .. } = *counters;
        let reasons =
            counters.rejected_by_reason.iter().map(|(reason, count)| (format!("rejected as {reason}"), *count));
        let named = [
            ("accepted", accepted),
            ("late", late),
            ("rejected", rejected),
            ("amended", amended),
            ("outside bars", outside_bars),
        ];
        named.map(|(name, count)| (name.to_owned(), count)).into_iter().chain(reasons).collect::<Vec<_>>()
    };
    let (found_counts, committed_counts) = (counts(found), counts(committed));
    let of =
        |counts: &[(String, u64)], name: &str| counts.iter().find(|(of, _)| of == name).map_or(0, |(_, count)| *count);
    let mut names: Vec<&String> = found_counts.iter().chain(&committed_counts).map(|(name, _)| name).collect();
    names.sort();
    names.dedup();
    for name in names {
        let (published, recomputed) = (of(&committed_counts, name), of(&found_counts, name));
        if published != recomputed {
            report.differ(Difference::whole("counters", name, published, recomputed));
        }
    }
    if found.duplicate + found.pending > 0 {
        let again = found.duplicate + found.pending;
        report.differ(Difference::whole("trades", "records that were not taken in again", 0, again));
    }
}
