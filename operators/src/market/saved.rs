//! A ledger's part of a snapshot: the records held, and the books at the frozen frontier.
//!
//! Whole parts have all; the others the records that came since, each with the frozen minute at which it came. Leaves and books
//! are made of them again: what froze before a record came is frozen before it is taken again, so that it meets what it met.

use super::history::SavedBase;
use super::instrument::{HeldRecord, InstrumentMarket};
use super::{MarketConfig, MarketLedger};
use crate::saved::{RestoredState, Saving, shard_of, since_whole};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidewheel_schemas::{Instrument, Interval};

/// The markets of one shard, as a snapshot holds them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedMarket {
    /// The shard.
    pub shard: u32,
    /// Whether this is all of it, or what came since it was saved last.
    pub is_whole: bool,
    markets: Vec<SavedInstrument>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedInstrument {
    instrument: Instrument,
    /// Only in whole parts, and where there is a book.
    base: Option<SavedBase>,
    /// By the frozen minute at which they came, ascending; of whole parts all at the least of all times.
    records: Vec<(i64, Vec<HeldRecord>)>,
}

impl SavedMarket {
    /// A part without instruments.
    pub const fn nothing(shard: u32, is_whole: bool) -> Self {
        Self { shard, is_whole, markets: Vec::new() }
    }
}

impl MarketLedger {
    /// Takes what a snapshot must hold. What was taken counts as saved: the next call leaves it out where it saves changes.
    pub fn save(&mut self, saving: Saving) -> Vec<SavedMarket> {
        let mut shards: BTreeMap<u32, SavedMarket> = BTreeMap::new();
        for (instrument, market) in &mut self.markets {
            let unsaved = std::mem::take(&mut market.unsaved);
            let shard = shard_of(instrument.id());
            let is_whole = saving.is_whole(shard);
            if !is_whole && unsaved.is_empty() {
                continue;
            }
            let whole = is_whole.then(|| market.save());
            let (base, records) = whole.map_or((None, unsaved), |(base, records)| (base, vec![(i64::MIN, records)]));
            let part = shards.entry(shard).or_insert_with(|| SavedMarket::nothing(shard, is_whole));
            part.markets.push(SavedInstrument { instrument: instrument.clone(), base, records });
        }
        shards.into_values().collect()
    }

    /// The ledger that was saved. Its counts begin at nothing: those of all workers are with the tape's.
    pub fn restore(config: MarketConfig, state: &mut RestoredState) -> Self {
        let mut ledger = Self::new(config);
        let frozen_ns = state.frozen_ns;
        let frozen_minute_ns = if frozen_ns == i64::MIN { i64::MIN } else { Interval::M1.open_of(frozen_ns) };
        let parts = std::mem::take(&mut state.market);
        for part in since_whole(parts, |part: &SavedMarket| (part.shard, part.is_whole)) {
            for saved in part.markets {
                let number = ledger.number_of(&saved.instrument);
                let market = &mut ledger.markets[number as usize].1;
                if part.is_whole {
                    *market = InstrumentMarket::restore(saved.base);
                }
                for (frozen_minute_ns, records) in saved.records {
                    if frozen_minute_ns > i64::MIN {
                        let _ = market.settle();
                        market.freeze(frozen_minute_ns);
                    }
                    market.put_again(&records);
                }
            }
        }
        let markets = ledger.markets.len();
        for number in (0..).take(markets) {
            let _ = ledger.settle_one(number);
        }
        ledger.frozen_ns = frozen_minute_ns;
        ledger.freeze_minutes();
        ledger.take_leaves(state.watermark_ns, |_, _, _| {});
        ledger
    }
}
