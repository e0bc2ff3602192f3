//! Whether published rows knew the future: each is computed again from what was known at its tick and had closed at its time.
//!
//! The way is another than that of the ledger: no anchors, no held bars, no freezing; for each row the bars of its cut alone, from
//! the first on. A row must come out with the same bits.

use super::plan::Plan;
use super::row::{row_of, tombstone_of};
use super::series::Held;
use super::{FeatureBar, MarketBar, State, View};
use crate::market::{LeafChange, MarketLeaf};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{BarVersion, FeatureRow, Instrument, Interval};

/// Bars from one kept state to the next, so that a row does not cost all bars before it.
const KEEP_EVERY: usize = 64;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Lookahead {
    /// Rows that were computed again.
    pub checked: u64,
    /// Rows whose history begins before the first bar that was given: nothing can be said of them.
    pub unanchored: u64,
    /// Rows that came out otherwise.
    pub leaks: Vec<Leak>,
}

/// A row that cannot be computed from what was known.
#[derive(Clone, Debug)]
pub struct Leak {
    /// As it was published.
    pub published: FeatureRow,
    /// As it comes out of what was known; none where its bar was not known at all.
    pub recomputed: Option<FeatureRow>,
    /// The first column that differs; none where the values are the same, but not what is said of them.
    pub column: Option<usize>,
}

/// Checks rows of `views`, as they were published, against the final versions of the bars, from the first bar of each instrument
/// on. Both may come in any order. A row may use versions of its tick and earlier, of bars that end at or before its close.
///
/// # Example
/// ```
/// use tidewheel_operators::features::{View, check_lookahead};
///
/// let report = check_lookahead(&View::built_in(), &[], &[]);
/// assert_eq!((report.checked, report.leaks.len()), (0, 0));
/// ```
pub fn check_lookahead(views: &[View], versions: &[BarVersion], rows: &[FeatureRow]) -> Lookahead {
    let mut versions: Vec<&BarVersion> = versions.iter().collect();
    versions.sort_by_key(|version| (version.tick, version.revision));
    let mut rows: Vec<&FeatureRow> = rows.iter().collect();
    rows.sort_by_key(|row| (row.tick, &row.instrument, row.open_time_ns));
    let mut versions = versions.into_iter().peekable();
    let mut check = LookaheadCheck::new(views);
    let mut report = Lookahead::default();
    for row in rows {
        while let Some(version) = versions.next_if(|version| version.tick <= row.tick) {
            check.learn(version);
        }
        match check.check(row) {
            Finding::Unanchored => report.unanchored += 1,
            Finding::Same => report.checked += 1,
            Finding::Leak(leak) => {
                report.checked += 1;
                report.leaks.push(*leak);
            }
        }
    }
    report
}

/// What came of one row.
#[derive(Clone, Debug)]
pub enum Finding {
    /// It came out with the same bits.
    Same,
    /// Its history begins before the first bar that was given: nothing can be said of it.
    Unanchored,
    /// It came out otherwise.
    Leak(Box<Leak>),
}

/// The same as [`check_lookahead`], tick by tick, for histories that do not fit into memory as they are: learn the versions of
/// a tick, then check its rows.
#[derive(Debug)]
pub struct LookaheadCheck {
    plan: Plan,
    known: BTreeMap<Instrument, Known>,
}

/// What is known of an instrument.
#[derive(Debug, Default)]
struct Known {
    /// By the places of the plan.
    cuts: Vec<Cut>,
    minutes: Minutes,
}

impl LookaheadCheck {
    /// One that knows no bars yet.
    pub fn new(views: &[View]) -> Self {
        Self { plan: Plan::of(views), known: BTreeMap::new() }
    }

    /// Takes a version of a bar. Those that are not final, or of an interval that no view needs, are ignored.
    pub fn learn(&mut self, version: &BarVersion) {
        let Some(series) = self.plan.series_of(version.interval).filter(|_| version.is_final) else { return };
        let plan = &self.plan.series[series];
        let known = known_of(&mut self.known, &self.plan, &version.instrument);
        let bar = version.bar.as_ref().map(|bar| {
            let bar = FeatureBar::of(bar, version.interval, version.open_time_ns);
            let market = plan.has_market.then(|| known.minutes.market_of(bar.open_time_ns, bar.close_time_ns));
            FeatureBar { market: market.flatten(), ..bar }
        });
        known.cuts[series].set(version.open_time_ns, bar);
    }

    /// Takes a leaf of a market. Learn those of a tick with its versions, before its rows are checked.
    pub fn learn_leaf(&mut self, change: &LeafChange) {
        let Known { cuts, minutes } = known_of(&mut self.known, &self.plan, &change.instrument);
        minutes.set(change.open_time_ns, change.leaf);
        for (cut, _) in cuts.iter_mut().zip(&self.plan.series).filter(|(_, plan)| plan.has_market) {
            let from = cut.bars.partition_point(|bar| bar.close_time_ns <= change.open_time_ns);
            for at in from..cut.bars.len() {
                let bar = &cut.bars[at];
                let market = minutes.market_of(bar.open_time_ns, bar.close_time_ns);
                let bar = FeatureBar { market, ..bar.clone() };
                if !bar.is_same(&cut.bars[at]) {
                    cut.set(bar.open_time_ns, Some(bar));
                }
            }
        }
    }

    /// Computes a row again from the versions learnt so far, of bars that end at or before its close.
    pub fn check(&mut self, row: &FeatureRow) -> Finding {
        let plan = &self.plan;
        let cuts = self.known.get_mut(&row.instrument).map_or(&mut [][..], |known| &mut known.cuts);
        let base = plan.views[usize::from(row.view)].base;
        let begins = cuts.get(base).and_then(|cut| cut.bars.first()).map(|bar| bar.open_time_ns);
        if row.values.is_some() && begins.is_none_or(|begins| row.anchor_time_ns < begins) {
            return Finding::Unanchored;
        }
        let recomputed = recompute(plan, cuts, row);
        let is_same = match (&row.values, &recomputed) {
            (None, recomputed) => recomputed.is_none() && row.says_the_same(&tombstone_of(row.clone())),
            (Some(_), Some(recomputed)) => recomputed.says_the_same(row),
            (Some(_), None) => false,
        };
        if is_same {
            return Finding::Same;
        }
        let column = recomputed.as_ref().and_then(|recomputed| first_difference(row, recomputed));
        Finding::Leak(Box::new(Leak { published: row.clone(), recomputed, column }))
    }
}

fn known_of<'a>(known: &'a mut BTreeMap<Instrument, Known>, plan: &Plan, of: &Instrument) -> &'a mut Known {
    let empty = || Known { cuts: plan.series.iter().map(|_| Cut::default()).collect(), minutes: Minutes::default() };
    known.entry(of.clone()).or_insert_with(empty)
}

/// The leaves of an instrument's market from the first on.
#[derive(Debug, Default)]
struct Minutes {
    /// Ascending by the start of the minute.
    leaves: Vec<(i64, MarketLeaf)>,
    /// What is known after each so many of them.
    kept: Vec<MarketLeaf>,
}

impl Minutes {
    fn set(&mut self, open_time_ns: i64, leaf: Option<MarketLeaf>) {
        let at = self.leaves.partition_point(|(open, _)| *open < open_time_ns);
        let is_known = self.leaves.get(at).is_some_and(|(open, _)| *open == open_time_ns);
        match leaf {
            Some(leaf) if is_known => self.leaves[at].1 = leaf,
            Some(leaf) => self.leaves.insert(at, (open_time_ns, leaf)),
            None if is_known => drop(self.leaves.remove(at)),
            None => {}
        }
        self.kept.truncate(at / KEEP_EVERY);
        for from in self.kept.len()..self.leaves.len() / KEEP_EVERY {
            let mut known = from.checked_sub(1).map(|last| self.kept[last]).unwrap_or_default();
            for (_, leaf) in &self.leaves[from * KEEP_EVERY..(from + 1) * KEEP_EVERY] {
                known = known.merge(leaf).closing();
            }
            self.kept.push(known);
        }
    }

    /// Of the leaves that ended by a bar's close; none if there is none. Flows of those that ended by its open do not count.
    fn market_of(&self, open_time_ns: i64, close_time_ns: i64) -> Option<Arc<MarketBar>> {
        let ended = |by_ns: i64| self.leaves.partition_point(|(open, _)| open + Interval::M1.duration_ns() <= by_ns);
        let (before, all) = (ended(open_time_ns), ended(close_time_ns));
        if all == 0 {
            return None;
        }
        let kept = before / KEEP_EVERY;
        let mut market = kept.checked_sub(1).map(|last| self.kept[last]).unwrap_or_default();
        for (_, leaf) in &self.leaves[kept * KEEP_EVERY..before] {
            market = market.merge(leaf).closing();
        }
        for (_, leaf) in &self.leaves[before..all] {
            market = market.merge(leaf);
        }
        Some(Arc::new(MarketBar::of(&market, close_time_ns)))
    }
}

/// The row of the same bar, if the bar was known.
fn recompute(plan: &Plan, cuts: &mut [Cut], row: &FeatureRow) -> Option<FeatureRow> {
    let view = &plan.views[usize::from(row.view)];
    let base = cuts.get(view.base)?;
    let at = base.bars.binary_search_by_key(&row.open_time_ns, |bar| bar.open_time_ns).ok()?;
    let close_time_ns = base.bars[at].close_time_ns;
    for series in &view.series {
        let bars = cuts[*series].bars.partition_point(|bar| bar.close_time_ns <= close_time_ns);
        cuts[*series].compute(plan, *series, bars);
    }
    let newest = |series: usize| cuts[series].newest();
    let base = newest(view.base)?;
    let origin = |series: usize| cuts[series].bars.first().map(|bar| bar.open_time_ns);
    Some(row_of(plan, usize::from(row.view), &row.instrument, &base, origin, |series, _| newest(series)))
}

fn first_difference(left: &FeatureRow, right: &FeatureRow) -> Option<usize> {
    let (left, right) = (left.values.as_ref()?, right.values.as_ref()?);
    (0..left.len().max(right.len())).find(|at| {
        let bits = |values: &[Option<f64>]| values.get(*at).map(|value| value.map(f64::to_bits));
        bits(left) != bits(right)
    })
}

/// What is known of an instrument and interval, and the features of the last bar of a cut.
#[derive(Debug, Default)]
struct Cut {
    /// Ascending by open time.
    bars: Vec<FeatureBar>,
    /// Recursions after so many bars; ascending.
    states: Vec<(usize, Vec<State>)>,
    /// The bars of the last cut, and the features of its last bar.
    cut: usize,
    values: Vec<f64>,
}

impl Cut {
    fn set(&mut self, open_time_ns: i64, bar: Option<FeatureBar>) {
        let at = self.bars.partition_point(|bar| bar.open_time_ns < open_time_ns);
        let is_known = self.bars.get(at).is_some_and(|bar| bar.open_time_ns == open_time_ns);
        match bar {
            Some(bar) if is_known => self.bars[at] = bar,
            Some(bar) => self.bars.insert(at, bar),
            None if is_known => drop(self.bars.remove(at)),
            None => return,
        }
        self.states.retain(|(bars, _)| *bars <= at);
        if self.cut > at {
            self.cut = 0;
        }
    }

    /// The features of the last of the first `bars` bars. No later bar is looked at.
    fn compute(&mut self, plan: &Plan, series: usize, bars: usize) {
        if self.cut == bars {
            return;
        }
        let plan = &plan.series[series];
        self.cut = bars;
        self.values.clear();
        let Some(before) = bars.checked_sub(1) else { return };
        let kept = self.states.partition_point(|(after, _)| *after <= before);
        let (from, mut states) = match kept.checked_sub(1) {
            Some(at) => self.states[at].clone(),
            None => (0, plan.start()),
        };
        for at in from..before {
            plan.advance(&mut states, &self.bars[..=at]);
            if (at + 1) % KEEP_EVERY == 0 && self.states.last().is_none_or(|(after, _)| *after < at + 1) {
                self.states.push((at + 1, states.clone()));
            }
        }
        plan.compute(&mut states, &self.bars[..bars], &mut self.values);
    }

    fn newest(&self) -> Option<Held<'_>> {
        let bar = self.cut.checked_sub(1).map(|last| &self.bars[last])?;
        Some(Held { bar, count: self.cut as u64, values: &self.values })
    }
}
