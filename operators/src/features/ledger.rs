//! The series and the rows of all instruments, tick by tick.

use super::leaves::Leaves;
use super::plan::Plan;
use super::quality::{QualityBounds, QualityChange, QualityState, SilenceChange};
use super::row::{row_of, tombstone_of};
use super::series::Series;
use super::{FeatureBar, View};
use crate::TickHeader;
use crate::hash::FixedMap;
use crate::market::{LeafChange, MarketLeaf};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::iter::Peekable;
use tidewheel_schemas::{BarVersion, FeatureRow, Instrument, Interval};

/// What is computed.
#[derive(Clone, Debug)]
pub struct FeaturesConfig {
    /// The views; a row names its view by the place here.
    pub views: Vec<View>,
    /// Whether snapshots will be asked for, so that changes are kept track of.
    pub is_saved: bool,
    /// What events tell of, if of anything.
    pub min_quality: Option<QualityBounds>,
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureSizes {
    /// Instruments that had a final bar, or a leaf of their market.
    pub instruments: usize,
    /// Bars, of all intervals, that can still change or that a feature looks back at.
    pub bars: usize,
    /// Rows that can still change.
    pub rows: usize,
    /// Leaves of markets that bars which can still change may need.
    pub leaves: usize,
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
    /// What its market said beside its trades.
    pub leaves: Leaves,
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
    /// By the start of the minute; none for one of which nothing is left.
    pub leaves: BTreeMap<i64, Option<MarketLeaf>>,
}

/// The features of all instruments of a worker. Feed it the ticks in their order.
#[derive(Debug)]
pub struct FeatureLedger {
    pub(super) plan: Plan,
    pub(super) is_saved: bool,
    min_quality: Option<QualityBounds>,
    quality: Vec<QualityChange>,
    silence: Vec<SilenceChange>,
    /// Up to which watermark silence was looked for.
    heard_ns: i64,
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
            silence: Vec::new(),
            heard_ns: i64::MIN,
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
            leaves: self.books.iter().map(|book| book.leaves.len()).sum(),
        }
    }

    /// Whether a version is one that features are made of.
    pub fn wants(&self, version: &BarVersion) -> bool {
        version.is_final && self.plan.series_of(version.interval).is_some()
    }

    /// Applies the versions of a tick where nothing is known of markets but trades; see [`apply`](Self::apply).
    ///
    /// # Panics
    /// If a frozen bar changed.
    pub fn apply_bars(&mut self, header: &TickHeader, versions: &[BarVersion]) -> Vec<FeatureRow> {
        self.apply(header, versions, &[])
    }

    /// Applies the versions of a tick, of any intervals, and the leaves that changed, both in any order, and gives the rows that
    /// came out with other bits, by view, instrument and open time. Versions that are not final are ignored, and so is all at the
    /// tick of a restore.
    ///
    /// # Panics
    /// If a frozen bar changed.
    pub fn apply(&mut self, header: &TickHeader, versions: &[BarVersion], leaves: &[LeafChange]) -> Vec<FeatureRow> {
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
        let mut leaves: Vec<&LeafChange> = leaves.iter().filter(|_| self.plan.market_interval().is_some()).collect();
        leaves.sort_by_key(|change| (&change.instrument, change.open_time_ns));
        let (mut changes, mut leaves) = (&changes[..], &leaves[..]);
        let mut rows = Vec::new();
        while let Some(instrument) = first_of(changes, leaves) {
            let bars = changes.partition_point(|change| change.version.instrument == *instrument);
            let minutes = leaves.partition_point(|change| change.instrument == *instrument);
            let (of_bars, of_minutes);
            (of_bars, changes) = changes.split_at(bars);
            (of_minutes, leaves) = leaves.split_at(minutes);
            let number = match self.numbers.get(instrument) {
                Some(number) => *number as usize,
                None => self.add(instrument),
            };
            let book = &mut self.books[number];
            let published = rows.len();
            book.apply(&self.plan, self.is_saved, of_bars, of_minutes, &mut rows);
            if let Some(bounds) = self.min_quality {
                let (quality, silence) = (&mut self.quality, &mut self.silence);
                book.judge(&rows[published..], &bounds, self.is_saved, quality, silence);
            }
        }
        self.listen(header);
        // Instruments come in their order; a stable sort by view keeps it.
        rows.sort_by_key(|row: &FeatureRow| row.view);
        self.quality.sort_by_key(|change| change.view);
        self.silence.sort_by(|left, right| (left.view, &left.instrument).cmp(&(right.view, &right.instrument)));
        rows.iter_mut().for_each(|row| row.tick = header.tick);
        rows
    }

    /// What fell below the bound or is back since the last call, by view and instrument where that was each tick.
    pub fn take_quality(&mut self) -> Vec<QualityChange> {
        std::mem::take(&mut self.quality)
    }

    /// Which instruments fell silent since the last call, or have a row again, by view and instrument where that was each tick.
    pub fn take_silence(&mut self) -> Vec<SilenceChange> {
        std::mem::take(&mut self.silence)
    }

    /// Looks for instruments that have no rows any more. The end of the input makes none silent.
    fn listen(&mut self, header: &TickHeader) {
        let until_ns = header.watermark_ns;
        let Some(after_ns) = self.min_quality.and_then(|bounds| bounds.silent_after_ns) else { return };
        if until_ns <= self.heard_ns || header.is_last {
            return;
        }
        self.heard_ns = until_ns;
        for book in &mut self.books {
            for (view, (state, plan)) in (0..).zip(book.quality.iter_mut().zip(&self.plan.views)) {
                let due_after_ns = after_ns.saturating_add(plan.base_interval(&self.plan).duration_ns());
                let Some(since_ns) = state.falls_silent(until_ns, due_after_ns) else { continue };
                let instrument = book.instrument.clone();
                self.silence.push(SilenceChange { view, instrument, is_silent: true, since_ns, until_ns });
                if self.is_saved {
                    book.unsaved.quality.insert(view, *state);
                }
            }
        }
    }

    pub(super) fn add(&mut self, instrument: &Instrument) -> usize {
        self.numbers.insert(instrument.clone(), self.books.len() as u32);
        self.books.push(Book {
            instrument: instrument.clone(),
            series: self.plan.series.iter().map(Series::new).collect(),
            rows: vec![VecDeque::new(); self.plan.views.len()],
            quality: vec![QualityState::default(); self.plan.views.len()],
            leaves: Leaves::default(),
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

/// The least instrument that has a change; both lists ascend by instrument.
fn first_of<'a>(changes: &[Change<'a>], leaves: &[&'a LeafChange]) -> Option<&'a Instrument> {
    let of_bars = changes.first().map(|change| &change.version.instrument);
    let of_leaves = leaves.first().map(|change| &change.instrument);
    of_bars.into_iter().chain(of_leaves).min()
}

/// A bar that changed: the place of its series, its open time, and the bar if there is one.
type BarChange = (usize, i64, Option<FeatureBar>);

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
    fn apply(
        &mut self,
        plan: &Plan,
        is_saved: bool,
        changes: &[Change<'_>],
        leaves: &[&LeafChange],
        out: &mut Vec<FeatureRow>,
    ) {
        let first = self.leaves.set(leaves.iter().map(|change| (change.open_time_ns, change.leaf)));
        if is_saved {
            self.unsaved.leaves.extend(leaves.iter().map(|change| (change.open_time_ns, change.leaf)));
        }
        let mut bars: Vec<BarChange> = changes.iter().map(|change| self.bar_of(plan, change)).collect();
        if let Some(first) = first {
            self.join_again(plan, first, &mut bars);
        }
        // Whatever changes, rows that closed before it do not.
        let close_of = |(series, open, _): &BarChange| open + plan.series[*series].interval.duration_ns();
        let Some(since) = bars.iter().map(close_of).min() else { return };
        let before: Vec<Vec<FeatureRow>> =
            (0..plan.views.len()).map(|view| self.rows_since(plan, view, since)).collect();
        if is_saved {
            self.unsaved.bars.extend(bars.iter().map(|(series, open, bar)| ((*series as u8, *open), bar.clone())));
        }
        for changes in bars.chunk_by_mut(|left, right| left.0 == right.0) {
            let series = changes[0].0;
            let bars = changes.iter_mut().map(|(_, open, bar)| (*open, bar.take()));
            self.series[series].apply(&plan.series[series], bars);
        }
        for (view, before) in before.into_iter().enumerate() {
            let after = self.rows_since(plan, view, since);
            self.publish(view, before.into_iter().peekable(), after, is_saved, out);
        }
    }

    /// What a version makes of its bar, with the market as it is known now.
    fn bar_of(&self, plan: &Plan, change: &Change<'_>) -> BarChange {
        let (series, open_time_ns) = (change.series, change.version.open_time_ns);
        let bar = change.bar().map(|bar| match &plan.series[series] {
            of if of.has_market => FeatureBar { market: self.leaves.market_of(of.interval, open_time_ns), ..bar },
            _ => bar,
        });
        (series, open_time_ns, bar)
    }

    /// Adds the held bars whose market is another since the leaf of a minute changed.
    fn join_again(&self, plan: &Plan, minute_ns: i64, bars: &mut Vec<BarChange>) {
        let known = bars.len();
        for (place, of) in plan.series.iter().enumerate().filter(|(_, of)| of.has_market) {
            for held in self.series[place].held_since(minute_ns + Interval::M1.duration_ns()) {
                let open_time_ns = held.bar.open_time_ns;
                if bars[..known].iter().any(|(series, open, _)| (*series, *open) == (place, open_time_ns)) {
                    continue;
                }
                let bar = FeatureBar { market: self.leaves.market_of(of.interval, open_time_ns), ..held.bar.clone() };
                if !bar.is_same(held.bar) {
                    bars.push((place, open_time_ns, Some(bar)));
                }
            }
        }
        // A stable sort: of several changes of a bar the last stands.
        bars.sort_by_key(|(series, open, _)| (*series, *open));
    }

    /// Judges the newest of the rows that a tick published, of each view.
    fn judge(
        &mut self,
        published: &[FeatureRow],
        bounds: &QualityBounds,
        is_saved: bool,
        quality: &mut Vec<QualityChange>,
        silence: &mut Vec<SilenceChange>,
    ) {
        // Those of a view lie together, ascending by time.
        for rows in published.chunk_by(|left, right| left.view == right.view) {
            let Some(newest) = rows.iter().rfind(|row| row.values.is_some()) else { continue };
            let state = &mut self.quality[usize::from(newest.view)];
            silence.extend(state.take(newest));
            quality.extend(bounds.least.and_then(|bound| state.judge(newest, bound)));
            if is_saved {
                self.unsaved.quality.insert(newest.view, *state);
            }
        }
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
        if let Some(interval) = plan.market_interval().filter(|_| frozen_ns > i64::MIN) {
            // Longer bars that can still change need minutes that cannot.
            self.leaves.drop_before(interval.open_of(frozen_ns));
        }
        for (rows, view) in self.rows.iter_mut().zip(&plan.views) {
            let length_ns = view.base_interval(plan).duration_ns();
            while rows.front().is_some_and(|row| row.open_time_ns + length_ns <= frozen_ns) {
                rows.pop_front();
            }
        }
    }
}
