//! A ledger's part of a snapshot: all hours of the instruments that changed.

use super::{HourlyLedger, Hours};
use crate::saved::{RestoredState, Saving, shard_of, since_whole};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidewheel_schemas::{Instrument, Interval};

/// The hours of one shard, as a snapshot holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedHours {
    /// The shard.
    pub shard: u32,
    /// Whether this is all of it, or what changed since it was saved last.
    pub is_whole: bool,
    /// These replace what was saved of an instrument before.
    books: Vec<(Instrument, Hours)>,
}

impl HourlyLedger {
    /// Takes what a snapshot must hold. What was taken counts as saved: the next call leaves it out where it saves changes.
    pub fn save(&mut self, saving: Saving) -> Vec<SavedHours> {
        let unsaved = std::mem::take(&mut self.unsaved);
        let mut shards: BTreeMap<u32, SavedHours> = BTreeMap::new();
        for (instrument, hours) in &self.books {
            let shard = shard_of(instrument.id());
            let is_whole = saving.is_whole(shard);
            if is_whole || unsaved.contains(instrument) {
                let part = shards.entry(shard).or_insert_with(|| SavedHours { shard, is_whole, books: Vec::new() });
                part.books.push((instrument.clone(), hours.clone()));
            }
        }
        shards.into_values().collect()
    }

    /// The ledger that was saved.
    pub fn restore(is_saved: bool, state: &mut RestoredState) -> Self {
        let mut ledger = Self::new(is_saved);
        let parts = std::mem::take(&mut state.hours);
        for part in since_whole(parts, |part: &SavedHours| (part.shard, part.is_whole)) {
            ledger.books.extend(part.books);
        }
        if state.frozen_ns != i64::MIN {
            ledger.freeze(Interval::D1.open_of(state.frozen_ns));
        }
        ledger
    }
}
