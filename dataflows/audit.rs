//! The proof that rows did not know the future: each published version is computed again from the input as it was by its tick.
//!
//! The archive and the log of ticks give the versions of bars, tick by tick; after each tick its rows are taken from the lake and
//! computed from the bars known so far that had ended by the row's time, from the first bar on, in another way than the run did
//! it ([`LookaheadCheck`]). A row must come out bit by bit. A value that needs a later trade, a later correction, or a longer
//! bar that had not ended, cannot.

use crate::engine::{self, EngineError, MergedTick};
use crate::pipeline::PipelineConfig;
use crate::recorded::{Recorded, RecordedError};
use crate::tables::Tables;
use crate::verify::feed;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::PathBuf;
use tidewheel_connectors::lake::LakeError;
use tidewheel_connectors::lake::rows::RowsByTick;
use tidewheel_operators::features::{Finding, LookaheadCheck, View};
use tidewheel_schemas::{FeatureRow, Row};

/// What to check.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// The lake of a live run.
    pub lake: PathBuf,
    /// The folder of the run's log of ticks; `_tidewheel` in the lake if absent.
    pub state: Option<PathBuf>,
    /// The view.
    pub view: String,
    /// About how many versions of rows are checked, spread evenly; all if absent.
    pub sample: Option<u64>,
    /// Worker threads.
    pub workers: usize,
    /// How many leaks are told; all are counted.
    pub limit: usize,
}

/// Why nothing can be checked.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// History cannot be made again.
    #[error(transparent)]
    Recorded(#[from] RecordedError),
    /// The lake cannot be read.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// The graph cannot be started.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The run computed no such view.
    #[error("the run computed no view {view:?}; it computed: {}", known.join(", "))]
    NoView {
        /// The view.
        view: String,
        /// Those of the run.
        known: Vec<String>,
    },
}

/// A version of a row that does not come out of what was known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeakTold {
    /// `venue|symbol|event_time_ms`.
    pub key: String,
    /// The tick that published it; none where the log has no such tick.
    pub tick: Option<u64>,
    /// Its revision.
    pub revision: u32,
    /// The first column that differs; `row` where its bar was not known, or what is said of its quality differs.
    pub column: String,
    /// The value published.
    pub published: String,
    /// The value that comes out.
    pub recomputed: String,
}

impl Display for LeakTold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { key, tick, revision, column, published, recomputed } = self;
        let tick = tick.map_or_else(|| "of no tick of the log".to_owned(), |tick| format!("tick {tick}"));
        write!(f, "{key} {tick} revision {revision}: {column} published {published}, from what was known {recomputed}")
    }
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AuditReport {
    /// The view.
    pub view: String,
    /// Versions of rows that the lake holds.
    pub published: u64,
    /// Of these, those that were computed again.
    pub checked: u64,
    /// Those that came out otherwise.
    pub leaks_total: u64,
    /// The first of them.
    pub leaks: Vec<LeakTold>,
    /// Files that are not what the manifest says.
    pub damages: Vec<String>,
    #[serde(skip)]
    limit: usize,
}

impl AuditReport {
    /// Whether no row knew more than it could, and every file is what it was. Where no row was checked nothing is shown.
    pub const fn is_clean(&self) -> bool {
        self.checked > 0 && self.leaks_total == 0 && self.damages.is_empty()
    }

    fn leak(&mut self, leak: LeakTold) {
        self.leaks_total += 1;
        if self.leaks.len() < self.limit {
            self.leaks.push(leak);
        }
    }

    /// As text.
    pub fn text(&self) -> String {
        use crate::commands::number;
        let (checked, published) = (number(self.checked), number(self.published));
        let of = format!("{checked} of {published} versions of rows of {} computed again", self.view);
        let is_empty = self.checked == 0 && self.damages.is_empty();
        let mut text = match self.is_clean() {
            _ if is_empty => format!("NOTHING SHOWN: {of}; rows come with bars that are final\n"),
            true => format!("no lookahead: {of} from what was known at their ticks, all bits equal\n"),
            false => format!("LOOKAHEAD OR DAMAGE: {of}, {} came out otherwise\n", number(self.leaks_total)),
        };
        self.damages.iter().for_each(|damage| text += &format!("{damage}\n"));
        self.leaks.iter().for_each(|leak| text += &format!("{leak}\n"));
        let untold = self.leaks_total - self.leaks.len() as u64;
        if untold > 0 {
            text += &format!("and {} more\n", number(untold));
        }
        text
    }
}

/// Checks the rows of a view. That some leak is no error, it is in the report.
///
/// # Errors
/// If the history cannot be made again, or something cannot be read.
///
/// # Panics
/// If `workers` is zero.
pub fn lookahead(config: &AuditConfig) -> Result<AuditReport, AuditError> {
    let mut recorded = Recorded::open(&config.lake, config.state.as_deref())?;
    recorded.leave_models_out();
    // Without all that came in, rows come out otherwise for another reason.
    recorded.require_all()?;
    let views = recorded.views();
    let Some(view) = views.iter().find(|view| view.name == config.view).cloned() else {
        let known = views.iter().map(|view| view.name.clone()).collect();
        return Err(AuditError::NoView { view: config.view.clone(), known });
    };
    let tables = Tables::new(std::slice::from_ref(&view), None);
    let spec = &tables.specs()[0];
    let rows = RowsByTick::open(&config.lake, recorded.lake(), spec, 0, recorded.first_tick())?;
    let published = rows.rows();
    let sample = config.sample.map_or(1, |sample| published.div_ceil(sample.max(1)).max(1));
    let report = AuditReport { view: view.name.clone(), published, limit: config.limit, ..AuditReport::default() };
    let mut audit =
        Audit { check: LookaheadCheck::new(std::slice::from_ref(&view)), view, tables, rows, sample, report };
    let end = recorded.lake().progress.tick_frontier;
    let pipeline = PipelineConfig {
        intervals: audit.view.intervals(),
        // What markets say beside trades comes out only where a view asks for it.
        views: if audit.view.has_market() { vec![audit.view.clone()] } else { Vec::new() },
        scoring: None,
        min_quality: None,
        hourly_volume: false,
        risk: None,
        ..recorded.pipeline(false)
    };
    let (engine, outputs) = engine::start(config.workers, &pipeline, None)?;
    let (checked, (recorded, fed)) = std::thread::scope(|scope| {
        let feeder = scope.spawn(|| feed(recorded, engine, end));
        let checked = { outputs }.try_for_each(|tick| audit.check_tick(&tick));
        (checked, feeder.join().expect("a panic in the feeder ends the process"))
    });
    checked?;
    fed?;
    let damages = recorded.damages().iter().map(|damage| format!("{}: {}", damage.path, damage.detail));
    audit.report.damages.extend(damages);
    audit.finish(end)
}

struct Audit {
    view: View,
    tables: Tables,
    rows: RowsByTick,
    check: LookaheadCheck,
    /// One version in so many is checked.
    sample: u64,
    report: AuditReport,
}

impl Audit {
    fn check_tick(&mut self, tick: &MergedTick) -> Result<(), LakeError> {
        tick.leaves.iter().for_each(|change| self.check.learn_leaf(change));
        let tick = &tick.output;
        tick.bars.iter().for_each(|version| self.check.learn(version));
        for row in self.rows.take(tick.tick)? {
            if self.is_in_sample(&row) {
                self.check_row(&row, tick.tick);
            }
        }
        self.tell_strays();
        Ok(())
    }

    /// Of an instrument every so many rows, whichever worker made them.
    fn is_in_sample(&self, row: &Row) -> bool {
        let number = row.event_time_ns / self.view.base.duration_ns();
        let number = row.instrument.id().0.wrapping_add(number.cast_unsigned()).wrapping_add(row.revision.into());
        number.is_multiple_of(self.sample)
    }

    fn check_row(&mut self, row: &Row, tick: u64) {
        self.report.checked += 1;
        let Some(published) = self.tables.feature_of(row, tick) else {
            let told = leak(row, Some(tick), "row", "values of other columns".to_owned(), "none".to_owned());
            return self.report.leak(told);
        };
        match self.check.check(&published) {
            Finding::Same => {}
            Finding::Unanchored => {
                let told =
                    leak(row, Some(tick), "row", "values".to_owned(), "none: its bars were not known".to_owned());
                self.report.leak(told);
            }
            Finding::Leak(found) => {
                let names = self.view.column_names();
                let column = found.column.map_or("row", |column| names[column].as_str());
                let shown = |row: &FeatureRow| match (found.column, &row.values) {
                    (_, None) => "a tombstone".to_owned(),
                    (Some(column), Some(values)) => {
                        values[column].map_or_else(|| "null".to_owned(), |value| format!("{value:?}"))
                    }
                    (None, Some(_)) => format!(
                        "is_ready {}, null_share {:?}, warm_share {:?}, staleness {} ns, anchor {} ns",
                        row.is_ready, row.null_share, row.warm_share, row.staleness_ns, row.anchor_time_ns
                    ),
                };
                let recomputed = found.recomputed.as_ref().map_or_else(|| "none".to_owned(), shown);
                self.report.leak(leak(row, Some(tick), column, shown(&published), recomputed));
            }
        }
    }

    /// Rows of ticks that the log does not have: nothing was known at them.
    fn tell_strays(&mut self) {
        for row in self.rows.strays() {
            self.report.leak(leak(&row, None, "row", "values".to_owned(), "none".to_owned()));
        }
        let damages = self.rows.damages();
        self.report.damages.extend(damages.iter().map(|damage| format!("{}: {}", damage.path, damage.detail)));
    }

    fn finish(mut self, end: u64) -> Result<AuditReport, AuditError> {
        self.rows.take(end)?;
        self.tell_strays();
        let damages: BTreeSet<String> = std::mem::take(&mut self.report.damages).into_iter().collect();
        self.report.damages = damages.into_iter().collect();
        Ok(self.report)
    }
}

fn leak(row: &Row, tick: Option<u64>, column: &str, published: String, recomputed: String) -> LeakTold {
    let key = format!("{}|{}|{}", row.instrument.venue, row.instrument.symbol, row.event_time_ns.div_euclid(1_000_000));
    LeakTold { key, tick, revision: row.revision, column: column.to_owned(), published, recomputed }
}
