//! Quotes, books, marks, funding and liquidations: held over the correction horizon, and made into leaves by minute.
//!
//! ```text
//!   records ==exchange by instrument== market -- leaves of minutes -- features
//!   headers --------------------------/      \-- accepted, rejects, gaps, counts
//! ```
//!
//! What is told apart, and in which order it counts:
//!
//! | record | identity | order |
//! | --- | --- | --- |
//! | quote | event time and the venue's number; its source where there is none | the same |
//! | book | sequence, and whether it is a snapshot | sequence; a snapshot after the change of its number |
//! | mark | event time; parts that do not contradict each other are one | event time |
//! | settled funding | event time | event time |
//! | liquidation | its source | event time, source |
//!
//! The same record again is a duplicate, another of the same identity is rejected as a conflict, and the first is kept. A leaf
//! is given when its minute has ended by the watermark, since no bar is final before, and again when it changes.
//!
//! **State** is bounded by the correction horizon: its records, the levels of each book at the frozen frontier and at the end,
//! and at checkpoints no more levels than there are updates. See [`MarketLedger::sizes`].

mod book;
mod history;
mod instrument;
mod leaf;
mod operator;
mod saved;
#[cfg(test)]
mod tests;
mod told;

pub use leaf::{BookClose, BookFlow, BookState, DEPTHS, LastMark, LiquidationFlow, MarketLeaf, Touch, TouchFlow};
pub use operator::{MarketStreams, market};
pub use saved::SavedMarket;

use crate::TickHeader;
use crate::hash::FixedMap;
use crate::risk::MarketChange;
use history::{Change, Put};
use instrument::{HeldRecord, InstrumentMarket};
use serde::{Deserialize, Serialize};
use tidewheel_schemas::{Counters, Instrument, Interval, MarketRecord, RejectReason};
use told::Watched;

/// What is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct MarketConfig {
    /// Whether accepted records are handed on for the archive.
    pub archive: bool,
    /// Whether snapshots will be asked for, so that changes are kept track of.
    pub is_saved: bool,
    /// Whether leaves are made.
    pub has_leaves: bool,
    /// Whether risk is told of marks, prices and funding.
    pub tells: bool,
}

/// The leaf of a minute is another than it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeafChange {
    /// What it speaks of.
    pub instrument: Instrument,
    /// Start of the minute, nanoseconds.
    pub open_time_ns: i64,
    /// The leaf; none where nothing is left of it.
    pub leaf: Option<MarketLeaf>,
}

/// A record that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The record.
    pub record: MarketRecord,
    /// Why.
    pub reason: RejectReason,
    /// What exactly, for a person.
    pub detail: &'static str,
}

/// What happened to the sequence of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GapKind {
    /// A change is missing: what the book says counts no more.
    Lost,
    /// A snapshot came after it.
    Found,
    /// What was missing came late.
    Mended,
}

/// A gap in a book, or its end, at the tick at which it was noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapChange {
    /// The instrument.
    pub instrument: Instrument,
    /// What happened.
    pub kind: GapKind,
    /// The sequence of the change that did not follow.
    pub sequence: u64,
    /// The book's time, nanoseconds: of that change, or of the snapshot that ended it.
    pub time_ns: i64,
    /// The last update that the book had.
    pub last_id: u64,
    /// The first of the change that did not follow.
    pub first_id: u64,
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarketSizes {
    /// Instruments that had a record.
    pub instruments: usize,
    /// Quotes, marks, settled funding and liquidations.
    pub records: usize,
    /// Updates of books.
    pub updates: usize,
    /// Levels of books, checkpoints included.
    pub levels: usize,
}

impl MarketSizes {
    /// Adds those of another worker.
    pub const fn add(&mut self, other: &Self) {
        self.instruments += other.instruments;
        self.records += other.records;
        self.updates += other.updates;
        self.levels += other.levels;
    }
}

/// What became of the records of a tick on one worker.
#[derive(Clone, Debug, Default)]
pub struct MarketOutcome {
    /// Those taken in, if asked for, by source.
    pub accepted: Vec<MarketRecord>,
    /// Those that were not, but for duplicates.
    pub refused: Vec<Refused>,
    /// Gaps, by instrument and sequence.
    pub gaps: Vec<GapChange>,
    /// Leaves that changed, by instrument and time.
    pub leaves: Vec<LeafChange>,
    /// All counts of this worker since it began; `read` is counted at the source.
    pub counters: Counters,
    /// How much is held after the tick.
    pub sizes: MarketSizes,
    /// For a snapshot, where the tick asks for one.
    pub saved: Vec<SavedMarket>,
    /// What risk is told, where it is asked for. The operator gives it by itself.
    pub told: Vec<MarketChange>,
}

/// The markets of the instruments that one worker owns. Pure state: ticks in, changes out.
#[derive(Debug, Default)]
pub struct MarketLedger {
    config: MarketConfig,
    numbers: FixedMap<Instrument, u32>,
    markets: Vec<(Instrument, InstrumentMarket)>,
    counters: Counters,
    /// On a whole minute.
    frozen_ns: i64,
    /// What came in the tick, where risk is told of it.
    watched: Watched,
}

impl MarketLedger {
    /// An empty one.
    pub fn new(config: MarketConfig) -> Self {
        Self { config, frozen_ns: i64::MIN, ..Self::default() }
    }

    /// How much is held.
    pub fn sizes(&self) -> MarketSizes {
        let mut sizes = MarketSizes { instruments: self.markets.len(), ..MarketSizes::default() };
        for (_, market) in &self.markets {
            let (records, updates, levels) = market.sizes();
            sizes.add(&MarketSizes { instruments: 0, records, updates, levels });
        }
        sizes
    }

    /// Applies the records of a tick, which may come in any order: they are sorted by source. At the tick of a restore nothing
    /// happens.
    pub fn apply(&mut self, header: &TickHeader, mut records: Vec<MarketRecord>) -> MarketOutcome {
        let mut outcome = MarketOutcome::default();
        if !header.is_restore {
            self.freeze(header.frozen_ns);
            records.sort_by_key(MarketRecord::source);
            let mut changed: Vec<u32> = Vec::new();
            for record in records {
                self.take(record, header.frozen_ns, &mut changed, &mut outcome);
            }
            self.settle(changed, header.watermark_ns, &mut outcome);
            if self.config.tells {
                outcome.told = self.tell();
            }
        }
        outcome.counters = self.counters.clone();
        outcome.sizes = self.sizes();
        outcome.saved = header.save.map(|saving| self.save(saving)).unwrap_or_default();
        outcome
    }

    fn take(&mut self, record: MarketRecord, frozen_ns: i64, changed: &mut Vec<u32>, outcome: &mut MarketOutcome) {
        let number = self.number_of(&record.instrument);
        let market = &mut self.markets[number as usize].1;
        let put = if record.event_time_ns < frozen_ns {
            Put::TooOld
        } else {
            market.put(record.event_time_ns, record.source(), &record.content)
        };
        let (reason, detail) = match put {
            Put::Taken => {
                self.counters.accepted += 1;
                if changed.last() != Some(&number) {
                    changed.push(number);
                }
                if self.config.tells {
                    self.watched.take(number, &record);
                }
                if self.config.is_saved {
                    let (event_time_ns, source) = (record.event_time_ns, record.source());
                    market.unsaved.push(HeldRecord { event_time_ns, source, content: record.content.clone() });
                }
                if self.config.archive {
                    outcome.accepted.push(record);
                }
                return;
            }
            Put::Duplicate => {
                self.counters.duplicate += 1;
                return;
            }
            Put::Conflict => {
                (RejectReason::Conflict, "another record of the same identity was seen before; the first is kept")
            }
            Put::TooOld => (RejectReason::TooOld, "its place is before the correction horizon"),
        };
        self.counters.reject(reason);
        outcome.refused.push(Refused { record, reason, detail });
    }

    fn settle(&mut self, mut changed: Vec<u32>, watermark_ns: i64, outcome: &mut MarketOutcome) {
        changed.sort_unstable();
        changed.dedup();
        let frozen_ns = self.frozen_ns;
        for number in changed {
            let (instrument, market) = &mut self.markets[number as usize];
            outcome.gaps.extend(market.settle(frozen_ns).into_iter().map(|change| GapChange::of(instrument, change)));
        }
        outcome.gaps.sort_by(|left, right| left.key().cmp(&right.key()));
        if !self.config.has_leaves {
            return;
        }
        let leaves = &mut outcome.leaves;
        for (instrument, market) in &mut self.markets {
            market.take_leaves(watermark_ns, |open_time_ns, leaf| {
                leaves.push(LeafChange { instrument: instrument.clone(), open_time_ns, leaf });
            });
        }
        leaves
            .sort_by(|left, right| (&left.instrument, left.open_time_ns).cmp(&(&right.instrument, right.open_time_ns)));
    }

    fn freeze(&mut self, frozen_ns: i64) {
        if frozen_ns == i64::MIN {
            return;
        }
        let (before, now) = (self.frozen_ns, Interval::M1.open_of(frozen_ns));
        self.frozen_ns = now;
        if now > before {
            self.markets.iter_mut().for_each(|(_, market)| market.freeze(now));
        }
    }

    fn number_of(&mut self, instrument: &Instrument) -> u32 {
        if let Some(&number) = self.numbers.get(instrument) {
            return number;
        }
        let number = u32::try_from(self.markets.len()).expect("fewer than 2^32 instruments");
        self.numbers.insert(instrument.clone(), number);
        self.markets.push((instrument.clone(), InstrumentMarket::default()));
        number
    }
}

impl GapChange {
    fn of(instrument: &Instrument, change: Change) -> Self {
        let (kind, gap) = match change {
            Change::Lost(gap) => (GapKind::Lost, gap),
            Change::Found(gap) => (GapKind::Found, gap),
            Change::Mended(gap) => (GapKind::Mended, gap),
        };
        let found_ns = gap.found.map(|(_, time_ns)| time_ns).filter(|_| kind == GapKind::Found);
        Self {
            instrument: instrument.clone(),
            kind,
            sequence: gap.key.0,
            time_ns: found_ns.unwrap_or(gap.time_ns),
            last_id: gap.last_id,
            first_id: gap.first_id,
        }
    }

    const fn key(&self) -> (&Instrument, u64, GapKind) {
        (&self.instrument, self.sequence, self.kind)
    }
}
