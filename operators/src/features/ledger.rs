//! The series and the rows of all instruments, tick by tick.

use super::plan::Plan;
use super::quality::{QualityChange, QualityState};
use super::row::{row_of, tombstone_of};
use super::series::Series;
use super::{FeatureBar, View};
use crate::TickHeader;
use crate::hash::FixedMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::iter::Peekable;
use tidewheel_schemas::{BarVersion, FeatureRow, Instrument};

/// What is computed.
#[derive(Clone, Debug)]
pub struct FeaturesConfig {
    /// The views; a row names its view by the place here.
    pub views: Vec<View>,
    /// Whether snapshots will be asked for, so that changes are kept track of.
    pub is_saved: bool,
    /// The quality below which the newest row of an instrument is told of, 0 to 1; see [`quality_of`](super::quality_of).
    pub min_quality: Option<f64>,
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureSizes {
    /// Instruments that had a final bar.
    pub instruments: usize,
    /// Bars, of all intervals, that can still change or that a feature looks back at.
    pub bars: usize,
    /// Rows that can still change.
    pub rows: usize,
}

/// What was published of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RowState {
    pub open_time_ns: i64,
    pub revision: u32,
    /// Whether the last version had values.
    pub is_there: bool,
}

/// One instrument.
#[derive(Debug)]
pub(super) struct Book {
    pub instrument: Instrument,
    /// By the places of the plan.
    pub series: Vec<Series>,
    /// For each view the rows of held base bars, and of those that are gone, ascending by open time.
    pub rows: Vec<VecDeque<RowState>>,
    /// By view.
    pub quality: Vec<QualityState>,
    pub unsaved: Unsaved,
}

/// What the last snapshot does not show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Unsaved {
    /// By the place of the series and open time; none for a bar that is gone.
    pub bars: BTreeMap<(u8, i64), Option<FeatureBar>>,
    /// By view and open time.
    pub rows: BTreeMap<(u16, i64), RowState>,
    /// By view.
    pub quality: BTreeMap<u16, QualityState>,
}

/// The features of all instruments of a worker. Feed it the ticks in their order.
#[derive(Debug)]
pub struct FeatureLedger {
    pub(super) plan: Plan,
    pub(super) is_saved: bool,
    min_quality: Option<f64>,
    quality: Vec<QualityChange>,
    pub(super) books: Vec<Book>,
    pub(super) numbers: FixedMap<Instrument, u32>,
    pub(super) frozen_ns: i64,
}

impl FeatureLedger {
    /// An empty one.
    pub fn new(config: &FeaturesConfig) -> Self {
        Self {
            plan: Plan::of(&config.views),
            is_saved: config.is_saved,
            min_quality: config.min_quality,
            quality: Vec::new(),
            books: Vec::new(),
            numbers: FixedMap::default(),
            frozen_ns: i64::MIN,
        }
    }

    /// How much is held.
    pub fn sizes(&self) -> FeatureSizes {
        FeatureSizes {
            instruments: self.books.len(),
            bars: self.books.iter().flat_map(|book| &book.series).map(Series::len).sum(),
            rows: self.books.iter().flat_map(|book| &book.rows).map(VecDeque::len).sum(),
        }
    }

    /// Whether a version is one that features are made of.
    pub fn wants(&self, version: &BarVersion) -> bool {
        version.is_final && self.plan.series_of(version.interval).is_some()
    }

    /// Applies the versions of a tick, of any intervals in any order, and gives the rows that came out with other bits, by view,
    /// instrument and open time. Versions that are not final are ignored, and so is all at the tick of a restore.
    ///
    /// # Panics
    /// If a frozen bar changed.
    pub fn apply(&mut self, header: &TickHeader, versions: &[BarVersion]) -> Vec<FeatureRow> {
        if header.is_restore {
            return Vec::new();
        }
        self.freeze(header.frozen_ns);
        let mut changes: Vec<Change<'_>> = versions
            .iter()
            .filter(|version| version.is_final)
            .filter_map(|version| Some(Change { series: self.plan.series_of(version.interval)?, version }))
            .collect();
        changes.sort_by_key(Change::key);
        let mut rows = Vec::new();
        for changes in changes.chunk_by(|left, right| left.version.instrument == right.version.instrument) {
            let instrument = &changes[0].version.instrument;
            let number = match self.numbers.get(instrument) {
                Some(number) => *number as usize,
                None => self.add(instrument),
            };
            let book = &mut self.books[number];
            let published = rows.len();
            book.apply(&self.plan, self.is_saved, changes, &mut rows);
            if let Some(bound) = self.min_quality {
                self.quality.extend(book.judge(&rows[published..], bound, self.is_saved));
            }
        }
        // Instruments come in their order; a stable sort by view keeps it.
        rows.sort_by_key(|row: &FeatureRow| row.view);
        self.quality.sort_by_key(|change| change.view);
        rows.iter_mut().for_each(|row| row.tick = header.tick);
        rows
    }

    /// What fell below the bound or is back since the last call, by view and instrument where that was each tick.
    pub fn take_quality(&mut self) -> Vec<QualityChange> {
        std::mem::take(&mut self.quality)
    }

    pub(super) fn add(&mut self, instrument: &Instrument) -> usize {
        self.numbers.insert(instrument.clone(), self.books.len() as u32);
        self.books.push(Book {
            instrument: instrument.clone(),
            series: self.plan.series.iter().map(Series::new).collect(),
            rows: vec![VecDeque::new(); self.plan.views.len()],
            quality: vec![QualityState::default(); self.plan.views.len()],
            unsaved: Unsaved::default(),
        });
        self.books.len() - 1
    }

    /// Moves the anchors past the bars that end at or before a time.
    pub(super) fn freeze(&mut self, frozen_ns: i64) {
        if frozen_ns <= self.frozen_ns {
            return;
        }
        self.frozen_ns = frozen_ns;
        for book in &mut self.books {
            book.freeze(&self.plan, frozen_ns);
        }
    }
}

/// A final version, and where it goes.
struct Change<'a> {
    series: usize,
    version: &'a BarVersion,
}

impl<'a> Change<'a> {
    const fn key(&self) -> (&'a Instrument, usize, i64) {
        (&self.version.instrument, self.series, self.version.open_time_ns)
    }

    fn bar(&self) -> Option<FeatureBar> {
        let version = self.version;
        version.bar.as_ref().map(|bar| FeatureBar::of(bar, version.interval, version.open_time_ns))
    }
}

impl Book {
    fn apply(&mut self, plan: &Plan, is_saved: bool, changes: &[Change<'_>], out: &mut Vec<FeatureRow>) {
        // Whatever changes, rows that closed before it do not.
        let since = changes.iter().map(|change| change.version.close_time_ns()).min().expect("a change");
        let before: Vec<Vec<FeatureRow>> =
            (0..plan.views.len()).map(|view| self.rows_since(plan, view, since)).collect();
        for changes in changes.chunk_by(|left, right| left.series == right.series) {
            let series = changes[0].series;
            let unsaved = &mut self.unsaved.bars;
            let bars =
                changes.iter().map(|change| (change.version.open_time_ns, change.bar())).inspect(|(open, bar)| {
                    if is_saved {
                        unsaved.insert((series as u8, *open), *bar);
                    }
                });
            self.series[series].apply(&plan.series[series], bars);
        }
        for (view, before) in before.into_iter().enumerate() {
            let after = self.rows_since(plan, view, since);
            self.publish(view, before.into_iter().peekable(), after, is_saved, out);
        }
    }

    /// Judges the newest of the rows that a tick published, of each view.
    fn judge(&mut self, published: &[FeatureRow], bound: f64, is_saved: bool) -> Vec<QualityChange> {
        let mut changes = Vec::new();
        // Those of a view lie together, ascending by time.
        for rows in published.chunk_by(|left, right| left.view == right.view) {
            let Some(newest) = rows.iter().rfind(|row| row.values.is_some()) else { continue };
            let state = &mut self.quality[usize::from(newest.view)];
            changes.extend(state.judge(newest, bound));
            if is_saved {
                self.unsaved.quality.insert(newest.view, *state);
            }
        }
        changes
    }

    /// The rows of a view that close at or after a time, as they stand.
    fn rows_since(&self, plan: &Plan, view: usize, close_time_ns: i64) -> Vec<FeatureRow> {
        let base = &self.series[plan.views[view].base];
        let origin = |series: usize| self.series[series].origin_ns();
        let at = |series: usize, time_ns: i64| self.series[series].newest_at(time_ns);
        let bars = base.held_since(close_time_ns);
        bars.map(|bar| row_of(plan, view, &self.instrument, &bar, origin, at)).collect()
    }

    /// Tells what differs.
    fn publish(
        &mut self,
        view: usize,
        mut before: Peekable<impl Iterator<Item = FeatureRow>>,
        after: Vec<FeatureRow>,
        is_saved: bool,
        out: &mut Vec<FeatureRow>,
    ) {
        for row in after {
            while let Some(gone) = before.next_if(|old| old.open_time_ns < row.open_time_ns) {
                out.push(self.count(view, tombstone_of(gone), is_saved));
            }
            let old = before.next_if(|old| old.open_time_ns == row.open_time_ns);
            if old.is_none_or(|old| !old.says_the_same(&row)) {
                out.push(self.count(view, row, is_saved));
            }
        }
        for gone in before {
            out.push(self.count(view, tombstone_of(gone), is_saved));
        }
    }

    /// Gives a row its revision.
    fn count(&mut self, view: usize, mut row: FeatureRow, is_saved: bool) -> FeatureRow {
        let states = &mut self.rows[view];
        let at = match states.back() {
            Some(last) if last.open_time_ns >= row.open_time_ns => {
                states.partition_point(|state| state.open_time_ns < row.open_time_ns)
            }
            _ => states.len(),
        };
        let is_there = row.values.is_some();
        match states.get_mut(at).filter(|state| state.open_time_ns == row.open_time_ns) {
            Some(state) => {
                state.revision += 1;
                state.is_there = is_there;
            }
            None => states.insert(at, RowState { open_time_ns: row.open_time_ns, revision: 0, is_there }),
        }
        row.revision = states[at].revision;
        if is_saved {
            self.unsaved.rows.insert((view as u16, row.open_time_ns), states[at]);
        }
        row
    }

    pub(super) fn freeze(&mut self, plan: &Plan, frozen_ns: i64) {
        for (series, plan) in self.series.iter_mut().zip(&plan.series) {
            series.freeze(plan, frozen_ns);
        }
        for (rows, view) in self.rows.iter_mut().zip(&plan.views) {
            let length_ns = view.base_interval(plan).duration_ns();
            while rows.front().is_some_and(|row| row.open_time_ns + length_ns <= frozen_ns) {
                rows.pop_front();
            }
        }
    }
}
