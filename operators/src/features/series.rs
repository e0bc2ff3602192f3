//! The final bars of an instrument and interval, with the features of each.
//!
//! Bars that can still change are *held*, with their values. Before them lies the *anchor*: the recursions after the last frozen
//! bar, and as many frozen bars as a feature looks back at. A change goes to the nearest checkpoint before it, or to the anchor,
//! and everything after is computed again. So the values are those of a computation from the first bar on, bit by bit.

use super::plan::SeriesPlan;
use super::{FeatureBar, State};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// Bars from one checkpoint to the next.
const CHECKPOINT_EVERY: u64 = 32;

/// Frozen bars that may pile up before they are dropped, so that dropping costs little a bar.
const SLACK: usize = 64;

#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    /// Frozen bars a feature looks back at, some more, then the held ones.
    bars: Vec<FeatureBar>,
    /// Where the held ones begin.
    held: usize,
    /// Open time of the first bar of all, once that is frozen.
    origin_ns: Option<i64>,
    /// Bars frozen so far.
    frozen: u64,
    /// Values of the bars from `valued` on, a row each: of the last frozen one and the held ones at least.
    values: Vec<f64>,
    valued: usize,
    /// Recursions after the last frozen bar.
    anchor: Vec<State>,
    /// Recursions after the last bar.
    newest: Vec<State>,
    /// Recursions after held bars, by their number from the first bar of all.
    checkpoints: VecDeque<(u64, Vec<State>)>,
}

/// The anchor and what is held, as a snapshot has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct SavedSeries {
    origin_ns: Option<i64>,
    frozen: u64,
    /// Frozen bars a feature looks back at.
    before: Vec<FeatureBar>,
    /// Values of the last frozen bar.
    values: Vec<f64>,
    anchor: Vec<State>,
    /// Bars that could still change.
    pub held: Vec<FeatureBar>,
}

impl Series {
    pub fn new(plan: &SeriesPlan) -> Self {
        Self { anchor: plan.start(), newest: plan.start(), ..Self::default() }
    }

    /// Sets bars, or removes those that are none; ascending by open time.
    ///
    /// # Panics
    /// If one is frozen.
    pub fn apply(&mut self, plan: &SeriesPlan, changes: impl Iterator<Item = (i64, Option<FeatureBar>)>) {
        let known = self.bars.len();
        let mut first = None;
        for (open_time_ns, bar) in changes {
            let at = match self.bars.last() {
                Some(last) if last.open_time_ns >= open_time_ns => self.place_of(open_time_ns),
                _ => self.bars.len(),
            };
            assert!(at >= self.held, "the {} bar at {open_time_ns} ns changed after it was frozen", plan.interval);
            let is_known = self.bars.get(at).is_some_and(|held| held.open_time_ns == open_time_ns);
            match bar {
                Some(bar) if is_known && self.bars[at].is_same(&bar) => continue,
                Some(bar) if is_known => self.bars[at] = bar,
                Some(bar) => self.bars.insert(at, bar),
                None if is_known => drop(self.bars.remove(at)),
                None => continue,
            }
            first = first.or(Some(at));
        }
        if let Some(first) = first {
            self.recompute(plan, first, known);
        }
    }

    /// Computes the bars from `first` on; `known` were there before the change.
    fn recompute(&mut self, plan: &SeriesPlan, first: usize, known: usize) {
        let mut at = first;
        let mut states = std::mem::take(&mut self.newest);
        if first < known {
            let number = self.number(first);
            self.checkpoints.truncate(self.checkpoints.partition_point(|(after, _)| *after < number));
            (at, states) = match self.checkpoints.back() {
                Some((after, states)) => (self.held + (after - self.frozen) as usize + 1, states.clone()),
                None => (self.held, self.anchor.clone()),
            };
            self.values.truncate((first - self.valued) * plan.features.len());
        }
        for at in at..self.bars.len() {
            let bars = &self.bars[..=at];
            if at < first {
                plan.advance(&mut states, bars);
                continue;
            }
            plan.compute(&mut states, bars, &mut self.values);
            let number = self.number(at);
            if number % CHECKPOINT_EVERY == CHECKPOINT_EVERY - 1 {
                self.checkpoints.push_back((number, states.clone()));
            }
        }
        self.newest = states;
    }

    /// Freezes the bars that end at or before a time.
    pub fn freeze(&mut self, plan: &SeriesPlan, frozen_ns: i64) {
        let freezing = self.bars[self.held..].iter().take_while(|bar| bar.close_time_ns <= frozen_ns).count();
        if freezing == 0 {
            return;
        }
        self.origin_ns = self.origin_ns.or_else(|| self.bars.first().map(|bar| bar.open_time_ns));
        let end = self.held + freezing;
        if end == self.bars.len() {
            self.anchor.clone_from(&self.newest);
        } else {
            for at in self.held..end {
                plan.advance(&mut self.anchor, &self.bars[..=at]);
            }
        }
        self.held = end;
        self.frozen += freezing as u64;
        while self.checkpoints.front().is_some_and(|(after, _)| *after < self.frozen) {
            self.checkpoints.pop_front();
        }
        self.drop_old(plan);
    }

    fn drop_old(&mut self, plan: &SeriesPlan) {
        let to_drop = self.held.saturating_sub(plan.window);
        if to_drop > SLACK + (self.bars.len() - self.held) / 2 {
            let values = (self.held - 1 - self.valued) * plan.features.len();
            self.values.drain(..values);
            self.bars.drain(..to_drop);
            self.held -= to_drop;
            self.valued = self.held - 1;
        }
    }

    /// Where a bar is or would be.
    fn place_of(&self, open_time_ns: i64) -> usize {
        self.bars.partition_point(|bar| bar.open_time_ns < open_time_ns)
    }

    /// A bar's number from the first of all, 0. Only of held bars and the last frozen one.
    const fn number(&self, at: usize) -> u64 {
        self.frozen + at as u64 - self.held as u64
    }

    /// Open time of the first bar of all.
    pub fn origin_ns(&self) -> Option<i64> {
        self.origin_ns.or_else(|| self.bars.first().map(|bar| bar.open_time_ns))
    }

    /// The newest bar that ended at or before a time at which no held bar, but perhaps the first, was still open.
    pub fn newest_at(&self, time_ns: i64) -> Option<Held<'_>> {
        let at = self.bars.partition_point(|bar| bar.close_time_ns <= time_ns).checked_sub(1)?;
        debug_assert!(at + 1 >= self.held, "only the last frozen bar and the held ones have values");
        Some(self.at(at))
    }

    fn at(&self, at: usize) -> Held<'_> {
        let width = self.width();
        let from = (at - self.valued) * width;
        Held { bar: &self.bars[at], count: self.number(at) + 1, values: &self.values[from..from + width] }
    }

    fn width(&self) -> usize {
        let valued = self.bars.len() - self.valued;
        self.values.len().checked_div(valued).unwrap_or(0)
    }

    /// The held bars that end at or after a time, ascending.
    pub fn held_since(&self, close_time_ns: i64) -> impl Iterator<Item = Held<'_>> {
        let from = self.held + self.bars[self.held..].partition_point(|bar| bar.close_time_ns < close_time_ns);
        (from..self.bars.len()).map(|at| self.at(at))
    }

    /// Bars held, and those before the anchor.
    pub fn len(&self) -> usize {
        self.bars.len()
    }

    pub fn save(&self, plan: &SeriesPlan) -> SavedSeries {
        let before = &self.bars[self.held.saturating_sub(plan.window)..self.held];
        let values = self.held.checked_sub(1).map_or(&[][..], |last| self.at(last).values);
        SavedSeries {
            origin_ns: self.origin_ns,
            frozen: self.frozen,
            before: before.to_vec(),
            values: values.to_vec(),
            anchor: self.anchor.clone(),
            held: self.bars[self.held..].to_vec(),
        }
    }

    /// The series that was saved. Bars to hold are `held` and what else is known of them by now.
    pub fn restore(plan: &SeriesPlan, saved: SavedSeries, held: impl Iterator<Item = FeatureBar>) -> Self {
        if saved.frozen == 0 {
            let mut series = Self::new(plan);
            series.apply(plan, held.map(|bar| (bar.open_time_ns, Some(bar))));
            return series;
        }
        let is_ours = saved.values.len() == plan.features.len() && saved.anchor.len() == plan.start().len();
        assert!(is_ours, "the snapshot is of other {} features than those of the configuration", plan.interval);
        let frozen_bars = saved.before.len();
        let mut series = Self {
            bars: saved.before,
            held: frozen_bars,
            origin_ns: saved.origin_ns,
            frozen: saved.frozen,
            values: saved.values,
            valued: frozen_bars - 1,
            newest: saved.anchor.clone(),
            anchor: saved.anchor,
            checkpoints: VecDeque::new(),
        };
        series.apply(plan, held.map(|bar| (bar.open_time_ns, Some(bar))));
        series
    }
}

/// A bar with its features.
#[derive(Clone, Copy, Debug)]
pub(super) struct Held<'a> {
    pub bar: &'a FeatureBar,
    /// Bars from the first of all through this one.
    pub count: u64,
    pub values: &'a [f64],
}
