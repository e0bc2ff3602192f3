//! A ledger's part of a snapshot.

use super::{Entry, Ledger, LedgerTick, LifecycleConfig};
use crate::hash::FixedMap;
use crate::saved::{RestoredState, Saving, shard_of, since_whole};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use tidewheel_schemas::{Instrument, Interval};

/// Bars of one interval and shard, as a snapshot holds them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedBars {
    /// The interval.
    pub interval: Interval,
    /// The shard.
    pub shard: u32,
    /// Whether these are all of it, or those that changed since it was saved last.
    pub is_whole: bool,
    /// By instrument, ascending by open time; each replaces what was saved of the same bar before.
    bars: Vec<(Instrument, Vec<Entry>)>,
}

impl SavedBars {
    /// A part without bars.
    pub const fn nothing(interval: Interval, shard: u32, is_whole: bool) -> Self {
        Self { interval, shard, is_whole, bars: Vec::new() }
    }
}

impl Ledger {
    /// Takes what a snapshot must hold. What was taken counts as saved: the next call leaves it out where it saves changes.
    pub(super) fn save(&mut self, saving: Saving, names: &[Instrument]) -> Vec<SavedBars> {
        let mut shards: BTreeMap<u32, SavedBars> = BTreeMap::new();
        let interval = self.config.interval;
        let mut add = |number: usize, bars: Vec<Entry>| {
            let shard = shard_of(names[number].id());
            let is_whole = saving.is_whole(shard);
            let part = shards.entry(shard).or_insert_with(|| SavedBars::nothing(interval, shard, is_whole));
            part.bars.push((names[number].clone(), bars));
        };
        let mut unsaved = std::mem::take(&mut self.unsaved);
        unsaved.sort_unstable();
        for changed in unsaved.chunk_by(|left, right| left.0 == right.0) {
            let number = changed[0].0 as usize;
            if saving.is_whole(shard_of(names[number].id())) {
                continue;
            }
            let book = &mut self.books[number];
            let mut bars = Vec::with_capacity(changed.len());
            for (_, open_time_ns) in changed {
                let at = book.partition_point(|entry| entry.open_time_ns < *open_time_ns);
                // A bar may have been forgotten since.
                if let Some(entry) = book.get_mut(at).filter(|entry| entry.open_time_ns == *open_time_ns) {
                    entry.is_unsaved = false;
                    bars.push(*entry);
                }
            }
            add(number, bars);
        }
        for (number, book) in self.books.iter_mut().enumerate() {
            if saving.is_whole(shard_of(names[number].id())) {
                book.iter_mut().for_each(|entry| entry.is_unsaved = false);
                add(number, book.iter().copied().collect());
            }
        }
        shards.into_values().collect()
    }

    /// The ledger that was saved. Bars that were forgotten by the snapshot's tick are left out, as they had been.
    pub(super) fn restore(config: LifecycleConfig, state: &mut RestoredState, names: &[Instrument]) -> Self {
        let mut ledger = Self::new(config);
        ledger.final_before_ns = ledger.final_before(state.watermark_ns);
        let numbers: FixedMap<&Instrument, u32> =
            names.iter().enumerate().map(|(number, name)| (name, number as u32)).collect();
        let mut books: Vec<BTreeMap<i64, Entry>> = vec![BTreeMap::new(); names.len()];
        let parts = state.bars.extract_if(.., |part| part.interval == config.interval).collect();
        for part in since_whole(parts, |part: &SavedBars| (part.shard, part.is_whole)) {
            for (name, bars) in part.bars {
                let book = &mut books[numbers[&name] as usize];
                book.extend(bars.into_iter().map(|entry| (entry.open_time_ns, entry)));
            }
        }
        for (number, book) in books.into_iter().enumerate() {
            let open = book.into_values().filter(|entry| !ledger.is_forgotten(entry.open_time_ns, state.frozen_ns));
            let mut book: VecDeque<Entry> = open.collect();
            for entry in &mut book {
                entry.is_unsaved = !config.is_saved;
                if entry.is_dirty {
                    ledger.dirty.push((number as u32, entry.open_time_ns));
                }
            }
            ledger.entries += book.len();
            ledger.books.push(book);
        }
        ledger
    }

    /// What the collection of the parent interval held: after a restart it is empty.
    pub(super) fn refill(&self, out: &mut LedgerTick) {
        let Some(parent) = self.config.parent else { return };
        for (instrument, book) in self.books.iter().enumerate() {
            let held = book.iter().filter_map(|entry| Some((entry.open_time_ns, entry.bar?)));
            let changes = held.map(|(open, bar)| ((instrument as u32, parent.open_of(open)), bar, 1));
            out.children.extend(changes);
        }
    }
}
