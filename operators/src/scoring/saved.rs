//! The scoring's part of a snapshot: the rows that are remembered, and which was scored last.
//!
//! Which ensembles are active is not in it: that is known where promotions are decided, and comes with the tick of the restore.

use super::KnownRow;
use super::ledger::{ScoringConfig, ScoringLedger};
use crate::saved::{RestoredState, Saving, shard_of, since_whole};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::Instrument;

/// Rows by view and time.
type Rows = BTreeMap<(u16, i64), KnownRow>;

/// The scoring of one shard, as a snapshot holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedScoring {
    /// The shard.
    pub shard: u32,
    /// Whether this is all of it, or what changed since it was saved last.
    pub is_whole: bool,
    books: Vec<(Instrument, SavedBook)>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct SavedBook {
    /// By view and time, none for a row that is gone.
    rows: Vec<(u16, i64, Option<KnownRow>)>,
    /// The newest row that was scored, by what for: all of them each time.
    scored: Vec<(bool, Arc<str>, i64)>,
}

impl SavedScoring {
    /// A part without instruments.
    pub const fn nothing(shard: u32, is_whole: bool) -> Self {
        Self { shard, is_whole, books: Vec::new() }
    }
}

impl ScoringLedger {
    /// Takes what a snapshot must hold. What was taken counts as saved: the next call leaves it out where it saves changes.
    pub fn save(&mut self, saving: Saving) -> Vec<SavedScoring> {
        let mut shards: BTreeMap<u32, SavedScoring> = BTreeMap::new();
        for book in &mut self.books {
            let unsaved = std::mem::take(&mut book.unsaved);
            let shard = shard_of(book.instrument.id());
            let is_whole = saving.is_whole(shard);
            if !is_whole && unsaved.is_empty() {
                continue;
            }
            let rows = if is_whole {
                let of_view = |(view, rows): (u16, &std::collections::VecDeque<KnownRow>)| {
                    rows.iter().map(|row| (view, row.event_time_ns, Some(row.clone()))).collect::<Vec<_>>()
                };
                (0u16..).zip(&book.histories).flat_map(of_view).collect()
            } else {
                unsaved.into_iter().map(|((view, time_ns), row)| (view, time_ns, row)).collect()
            };
            let scored = book.scored.iter().map(|((is_shadow, target), time)| (*is_shadow, Arc::clone(target), *time));
            let saved = SavedBook { rows, scored: scored.collect() };
            let part = shards.entry(shard).or_insert_with(|| SavedScoring::nothing(shard, is_whole));
            part.books.push((book.instrument.clone(), saved));
        }
        shards.into_values().collect()
    }

    /// The ledger that was saved, with no ensemble active.
    ///
    /// # Panics
    /// If it was saved with more views than there are.
    pub fn restore(config: ScoringConfig, state: &mut RestoredState) -> Self {
        let mut ledger = Self::new(config);
        let mut books: BTreeMap<Instrument, (Rows, SavedBook)> = BTreeMap::new();
        let parts = std::mem::take(&mut state.scoring);
        for part in since_whole(parts, |part: &SavedScoring| (part.shard, part.is_whole)) {
            for (instrument, mut saved) in part.books {
                let (rows, newest) = books.entry(instrument).or_default();
                for (view, time_ns, row) in saved.rows.drain(..) {
                    match row {
                        Some(row) => drop(rows.insert((view, time_ns), row)),
                        None => drop(rows.remove(&(view, time_ns))),
                    }
                }
                *newest = saved;
            }
        }
        for (instrument, (rows, saved)) in books {
            let number = ledger.add(&instrument);
            let book = &mut ledger.books[number];
            rows.into_iter().for_each(|((view, _), row)| book.histories[usize::from(view)].push_back(row));
            book.scored =
                saved.scored.into_iter().map(|(is_shadow, target, time)| ((is_shadow, target), time)).collect();
        }
        ledger
    }
}
