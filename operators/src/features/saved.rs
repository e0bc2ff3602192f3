//! A ledger's part of a snapshot.
//!
//! A whole part has anchors and held bars; the others have only bars and revisions that changed since. Anchors need no record of
//! their own after that: taking up the parts, the bars that were frozen by then are frozen again, and give the same anchors.

use super::leaves::Leaves;
use super::ledger::{RowState, Unsaved};
use super::quality::QualityState;
use super::series::{SavedSeries, Series};
use super::{FeatureBar, FeatureLedger, FeaturesConfig};
use crate::market::MarketLeaf;
use crate::saved::{RestoredState, Saving, shard_of, since_whole};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidewheel_schemas::Instrument;

/// The features of one shard, as a snapshot holds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedFeatures {
    /// The shard.
    pub shard: u32,
    /// Whether this is all of it, or what changed since it was saved last.
    pub is_whole: bool,
    /// All of an instrument; only in whole parts.
    whole: Vec<(Instrument, SavedBook)>,
    /// What changed of an instrument; only in the others.
    changed: Vec<(Instrument, Unsaved)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct SavedBook {
    /// By the places of the plan.
    series: Vec<SavedSeries>,
    /// By view.
    rows: Vec<Vec<RowState>>,
    /// By view.
    quality: Vec<QualityState>,
    leaves: Leaves,
}

impl SavedFeatures {
    /// A part without instruments.
    pub const fn nothing(shard: u32, is_whole: bool) -> Self {
        Self { shard, is_whole, whole: Vec::new(), changed: Vec::new() }
    }
}

impl FeatureLedger {
    /// Takes what a snapshot must hold. What was taken counts as saved: the next call leaves it out where it saves changes.
    pub fn save(&mut self, saving: Saving) -> Vec<SavedFeatures> {
        let mut shards: BTreeMap<u32, SavedFeatures> = BTreeMap::new();
        for book in &mut self.books {
            let unsaved = std::mem::take(&mut book.unsaved);
            let shard = shard_of(book.instrument.id());
            let is_whole = saving.is_whole(shard);
            let is_empty = unsaved.bars.is_empty() && unsaved.leaves.is_empty() && unsaved.quality.is_empty();
            if !is_whole && is_empty {
                continue;
            }
            let part = shards.entry(shard).or_insert_with(|| SavedFeatures::nothing(shard, is_whole));
            if is_whole {
                let series =
                    book.series.iter().zip(&self.plan.series).map(|(series, plan)| series.save(plan)).collect();
                let rows = book.rows.iter().map(|rows| rows.iter().copied().collect()).collect();
                let quality = book.quality.clone();
                let leaves = book.leaves.clone();
                part.whole.push((book.instrument.clone(), SavedBook { series, rows, quality, leaves }));
            } else {
                part.changed.push((book.instrument.clone(), unsaved));
            }
        }
        shards.into_values().collect()
    }

    /// The ledger that was saved.
    ///
    /// # Panics
    /// If it was saved with other features than those of the configuration.
    pub fn restore(config: &FeaturesConfig, state: &mut RestoredState) -> Self {
        let mut ledger = Self::new(config);
        ledger.frozen_ns = state.frozen_ns;
        let mut books: BTreeMap<Instrument, Restoring> = BTreeMap::new();
        let parts = std::mem::take(&mut state.features);
        for part in since_whole(parts, |part: &SavedFeatures| (part.shard, part.is_whole)) {
            for (instrument, book) in part.whole {
                books.insert(instrument, Restoring::begin(book));
            }
            for (instrument, changes) in part.changed {
                books.entry(instrument).or_default().add(changes);
            }
        }
        for (instrument, restoring) in books {
            let number = ledger.add(&instrument);
            let Restoring { mut anchors, mut bars, rows, quality, leaves, changed_leaves } = restoring;
            let book = &mut ledger.books[number];
            book.leaves = leaves;
            book.leaves.set(changed_leaves.into_iter());
            for (place, (series, plan)) in book.series.iter_mut().zip(&ledger.plan.series).enumerate() {
                let anchor = anchors.get_mut(place).map(std::mem::take).unwrap_or_default();
                let held = bars.remove(&(place as u8)).unwrap_or_default();
                *series = Series::restore(plan, anchor, held.into_values());
            }
            for ((view, _), row) in rows {
                book.rows[view as usize].push_back(row);
            }
            for (view, quality) in quality {
                book.quality[view as usize] = quality;
            }
            book.freeze(&ledger.plan, state.frozen_ns);
        }
        ledger
    }
}

/// An instrument put together of its parts.
#[derive(Debug, Default)]
struct Restoring {
    anchors: Vec<SavedSeries>,
    /// Bars after the anchors, by the place of the series.
    bars: BTreeMap<u8, BTreeMap<i64, FeatureBar>>,
    rows: BTreeMap<(u16, i64), RowState>,
    quality: BTreeMap<u16, QualityState>,
    leaves: Leaves,
    changed_leaves: BTreeMap<i64, Option<MarketLeaf>>,
}

impl Restoring {
    fn begin(book: SavedBook) -> Self {
        let mut restoring = Self { anchors: book.series, leaves: book.leaves, ..Self::default() };
        for (place, series) in restoring.anchors.iter_mut().enumerate() {
            let held = std::mem::take(&mut series.held);
            restoring.bars.entry(place as u8).or_default().extend(held.into_iter().map(|bar| (bar.open_time_ns, bar)));
        }
        for (view, rows) in book.rows.into_iter().enumerate() {
            restoring.rows.extend(rows.into_iter().map(|row| ((view as u16, row.open_time_ns), row)));
        }
        restoring.quality = (0..).zip(book.quality).collect();
        restoring
    }

    fn add(&mut self, changes: Unsaved) {
        for ((place, open_time_ns), bar) in changes.bars {
            let bars = self.bars.entry(place).or_default();
            match bar {
                Some(bar) => drop(bars.insert(open_time_ns, bar)),
                None => drop(bars.remove(&open_time_ns)),
            }
        }
        self.rows.extend(changes.rows);
        self.quality.extend(changes.quality);
        self.changed_leaves.extend(changes.leaves);
    }
}
