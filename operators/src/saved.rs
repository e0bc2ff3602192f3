//! Base state on its way out of the workers and back: what a snapshot holds, by fixed logical shards.
//!
//! An instrument belongs to a shard by its id alone, and a shard to a worker by its number: so that a snapshot of one
//! worker count can be taken up by another. A shard is saved whole now and then, and otherwise as what changed since it was
//! saved last; its state is the last whole part with all that follow. Only base state is saved: trades, ids and amendments
//! of the tape, records of the markets, and the bars with what was published of them. The arrangements are filled from the bars
//! again.

use crate::features::SavedFeatures;
use crate::hourly::SavedHours;
use crate::lifecycle::SavedBars;
use crate::market::SavedMarket;
use crate::risk::SavedRisk;
use crate::scoring::SavedScoring;
use crate::signals::SavedSignals;
use crate::tape::SavedTape;
use serde::{Deserialize, Serialize};
use tidewheel_schemas::{Counters, InstrumentId};

/// Logical shards. Never changed: snapshots depend on it.
pub const SHARDS: u32 = 64;

/// The shard of an instrument.
pub const fn shard_of(id: InstrumentId) -> u32 {
    (id.0 % SHARDS as u64) as u32
}

/// The worker that owns a shard.
pub const fn worker_of(shard: u32, workers: usize) -> usize {
    shard as usize % workers
}

/// Which shards a snapshot saves whole: one in `every`, in turn. The others save what changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saving {
    /// Snapshots from one whole part of a shard to its next.
    pub every: u32,
    /// Whose turn it is, below `every`.
    pub turn: u32,
}

impl Saving {
    /// Every shard whole.
    pub const ALL: Self = Self { every: 1, turn: 0 };

    /// Whether a shard is saved whole.
    pub const fn is_whole(self, shard: u32) -> bool {
        shard % self.every == self.turn
    }
}

/// What a worker begins with in the place of nothing.
#[derive(Debug, Default)]
pub struct RestoredState {
    /// The frozen frontier of the snapshot's tick, nanoseconds.
    pub frozen_ns: i64,
    /// The watermark after that tick, nanoseconds.
    pub watermark_ns: i64,
    /// The tapes' counts, of all workers together; `pending` is counted again. One worker takes them.
    pub counters: Counters,
    /// Parts of tapes, for each shard in the order in which they were saved.
    pub tapes: Vec<SavedTape>,
    /// Parts of ledgers, likewise for each shard and interval.
    pub bars: Vec<SavedBars>,
    /// Parts of the markets, likewise for each shard.
    pub market: Vec<SavedMarket>,
    /// Parts of the hours, likewise for each shard.
    pub hours: Vec<SavedHours>,
    /// Parts of the features, likewise for each shard.
    pub features: Vec<SavedFeatures>,
    /// Parts of the scoring, likewise.
    pub scoring: Vec<SavedScoring>,
    /// That of risk, which lives on the first worker.
    pub risk: Option<Box<SavedRisk>>,
    /// What is computed once the workers are done with a tick. Taken out before the parts go to the workers.
    pub facts: Option<SavedFacts>,
}

/// What the facts of a run depend on beside its ticks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SavedFacts {
    /// Events so far.
    pub events: u64,
    /// What signals depend on.
    pub signals: SavedSignals,
}

impl RestoredState {
    /// The parts of each worker.
    pub fn split(self, workers: usize) -> Vec<Self> {
        let Self {
            frozen_ns,
            watermark_ns,
            mut counters,
            tapes,
            bars,
            market,
            hours,
            features,
            scoring,
            risk,
            facts: _,
        } = self;
        let mut states: Vec<Self> = (0..workers)
            .map(|_| Self { frozen_ns, watermark_ns, counters: std::mem::take(&mut counters), ..Self::default() })
            .collect();
        if let Some(first) = states.first_mut() {
            first.risk = risk;
        }
        for tape in tapes {
            states[worker_of(tape.shard, workers)].tapes.push(tape);
        }
        for part in bars {
            states[worker_of(part.shard, workers)].bars.push(part);
        }
        for part in market {
            states[worker_of(part.shard, workers)].market.push(part);
        }
        for part in hours {
            states[worker_of(part.shard, workers)].hours.push(part);
        }
        for part in features {
            states[worker_of(part.shard, workers)].features.push(part);
        }
        for part in scoring {
            states[worker_of(part.shard, workers)].scoring.push(part);
        }
        states
    }
}

/// Leaves out, of each shard, the parts before its last whole one. `about` tells a part's shard and whether it is whole.
pub(crate) fn since_whole<T>(parts: Vec<T>, about: impl Fn(&T) -> (u32, bool)) -> impl Iterator<Item = T> {
    let mut begins = [0; SHARDS as usize];
    for (at, part) in parts.iter().enumerate() {
        if let (shard, true) = about(part) {
            begins[shard as usize] = at;
        }
    }
    let needed: Vec<bool> = parts.iter().enumerate().map(|(at, part)| at >= begins[about(part).0 as usize]).collect();
    parts.into_iter().zip(needed).filter(|(_, is_needed)| *is_needed).map(|(part, _)| part)
}
