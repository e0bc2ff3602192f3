//! Quotes, books, marks, funding and liquidations: held over the correction horizon, and made into leaves by minute.
//!
//! ```text
//!   records ==exchange by instrument== market -- leaves of minutes -- features
//!   headers --------------------------/      \-- accepted, rejects, gaps, counts
//! ```
//!
//! What leaves is a function of what is held, and of what is frozen: of the set of records, and not of the order in which they
//! came. What is told apart, and in which order it counts:
//!
//! | record | identity | order |
//! | --- | --- | --- |
//! | quote | event time, the venue's number; its source where there is no number | event time, then number; in a minute that has quotes without a time of the venue, number |
//! | book | event time, sequence, whether it is a snapshot, how deep | numbering (`numbering.rs`), sequence, snapshots after changes, the deeper ones last |
//! | mark | event time; parts that do not contradict each other are one | event time |
//! | settled funding | event time | event time |
//! | liquidation | event time, what it says, and which of the equal ones of its message it is | none needed |
//!
//! To the event time belongs whether it is that of the venue or of a receipt. The same record again, with the same time, is a
//! duplicate. Another of the same identity is rejected as a conflict, and the first is kept: that alone depends on the order.
//! What is told again with another time is accepted, and counts once: an update of a book in its numbering, a quote with a
//! number in its minute and the one after it, each with its least time, and the venue's before that of a receipt. Two contents of
//! one place in a book's sequence make the book unknown until a snapshot, since nobody knows which is right. An update whose place
//! in the sequence is frozen is too old, though its own time is not.
//!
//! A liquidation has no number: two equal ones of one message are two, but one told by two messages is one, so that the
//! sum stays the lower bound it is. A leaf is given when its minute has ended by the watermark, since no bar is final before, and
//! again when it changes.
//!
//! **State** is bounded by the correction horizon and a minute: its records and the gaps of books, the levels of each book at the
//! frozen frontier and at the end, and at checkpoints no more levels than there are updates; a book has a bounded number of
//! levels, and ten minutes of seconds tell when its numbers fall. See [`MarketLedger::sizes`].

mod book;
mod history;
mod instrument;
mod leaf;
mod levels;
mod minute;
mod numbering;
mod operator;
mod saved;
#[cfg(test)]
mod tests;
mod told;
mod updates;

pub use leaf::{BookClose, BookFlow, BookState, DEPTHS, LastMark, LiquidationFlow, MarketLeaf, Touch, TouchFlow};
pub use operator::{MarketStreams, market};
pub use saved::SavedMarket;

use crate::TickHeader;
use crate::hash::FixedMap;
use crate::risk::MarketChange;
use history::{Change, Put};
use instrument::{HeldRecord, InstrumentMarket};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use tidewheel_schemas::{Counters, Instrument, Interval, MarketContent, MarketRecord, RejectReason};
use told::Watched;
use updates::UpdateKey;

/// Partition, position, index.
type Source = (u32, u64, u16);

const PLACE_IS_FROZEN: &str = "its place is before the correction horizon";

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
    /// It is none any more: what was missing came late.
    Mended,
    /// A change is missing, or two updates contradict each other: what the book says counts no more.
    Lost,
    /// Its numbers began again: what it said before counts no more.
    Restarted,
    /// It has more levels than are held of one: what it says counts no more.
    Overfull,
    /// A snapshot came after it.
    Found,
}

/// A gap in a book, or its end, at the tick at which it was noticed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapChange {
    /// The instrument.
    pub instrument: Instrument,
    /// What happened.
    pub kind: GapKind,
    /// When the numbering began that the sequence is of: the event time of its first update, nanoseconds; the least of all for the
    /// first one.
    pub epoch_ns: i64,
    /// The sequence of the update that did not follow.
    pub sequence: u64,
    /// Whether that is a snapshot.
    pub is_snapshot: bool,
    /// How deep that goes; none for a whole book, and for changes.
    pub depth: Option<u32>,
    /// Why the book was not known: lost, restarted or overfull.
    pub cause: GapKind,
    /// The book's time, nanoseconds: of that update, or of the snapshot that ended it.
    pub time_ns: i64,
    /// The last update that the book had.
    pub last_id: u64,
    /// The first of the update that did not follow.
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
    /// Levels of books and of their updates, checkpoints included.
    pub levels: usize,
    /// Gaps of books.
    pub gaps: usize,
}

impl MarketSizes {
    /// Adds those of another worker.
    pub const fn add(&mut self, other: &Self) {
        self.instruments += other.instruments;
        self.records += other.records;
        self.updates += other.updates;
        self.levels += other.levels;
        self.gaps += other.gaps;
    }

    const fn subtract(&mut self, other: &Self) {
        self.instruments -= other.instruments;
        self.records -= other.records;
        self.updates -= other.updates;
        self.levels -= other.levels;
        self.gaps -= other.gaps;
    }
}

/// What became of the records of a tick on one worker.
#[derive(Clone, Debug, Default)]
pub struct MarketOutcome {
    /// Those taken in, if asked for, by source.
    pub accepted: Vec<MarketRecord>,
    /// Those that were not, but for duplicates.
    pub refused: Vec<Refused>,
    /// Gaps, by instrument: first those that are mended, then by sequence.
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
    /// Minutes whose leaf may be another than was told, with the number of the market.
    due: BTreeSet<(i64, u32)>,
    /// Over all markets, of those as they were after the last tick that changed them.
    sizes: MarketSizes,
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
    pub const fn sizes(&self) -> MarketSizes {
        self.sizes
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
            if !self.config.archive {
                outcome.accepted.clear();
            }
        }
        outcome.counters = self.counters.clone();
        outcome.sizes = self.sizes;
        outcome.saved = header.save.map(|saving| self.save(saving)).unwrap_or_default();
        outcome
    }

    fn take(&mut self, record: MarketRecord, frozen_ns: i64, changed: &mut Vec<u32>, outcome: &mut MarketOutcome) {
        let number = self.number_of(&record.instrument);
        let held = HeldRecord {
            event_time_ns: record.event_time_ns,
            is_timeless: record.is_timeless,
            source: record.source(),
            content: record.content.clone(),
        };
        if changed.last() != Some(&number) {
            changed.push(number);
        }
        let market = &mut self.markets[number as usize].1;
        // One price is not two.
        let is_known = self.config.tells && market.holds_price(record.event_time_ns, &record.content);
        let put = if record.event_time_ns < frozen_ns { Put::TooOld } else { market.put(&held) };
        let (reason, detail) = match put {
            Put::Taken => {
                self.counters.accepted += 1;
                if self.config.tells {
                    self.watched.take(number, &record, is_known);
                }
                if self.config.is_saved {
                    market.keep_unsaved(self.frozen_ns, held);
                }
                // One of a book may be too old after all.
                if self.config.archive || matches!(record.content, MarketContent::Book(_)) {
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
            Put::TooOld => (RejectReason::TooOld, PLACE_IS_FROZEN),
        };
        self.counters.reject(reason);
        outcome.refused.push(Refused { record, reason, detail });
    }

    fn settle(&mut self, mut changed: Vec<u32>, watermark_ns: i64, outcome: &mut MarketOutcome) {
        changed.sort_unstable();
        changed.dedup();
        let mut too_old = BTreeSet::new();
        for number in changed {
            let (gaps, of_market) = self.settle_one(number);
            too_old.extend(of_market);
            let instrument = &self.markets[number as usize].0;
            outcome.gaps.extend(gaps.into_iter().map(|change| GapChange::of(instrument, &change)));
        }
        if !too_old.is_empty() {
            self.refuse(&too_old, outcome);
        }
        outcome.gaps.sort_by_cached_key(GapChange::key);
        let leaves = &mut outcome.leaves;
        self.take_leaves(watermark_ns, |instrument, open_time_ns, leaf| {
            leaves.push(LeafChange { instrument: instrument.clone(), open_time_ns, leaf });
        });
        leaves
            .sort_by(|left, right| (&left.instrument, left.open_time_ns).cmp(&(&right.instrument, right.open_time_ns)));
    }

    /// Refuses records of this tick that were taken.
    fn refuse(&mut self, too_old: &BTreeSet<Source>, outcome: &mut MarketOutcome) {
        for record in outcome.accepted.extract_if(.., |record| too_old.contains(&record.source())) {
            self.counters.accepted -= 1;
            self.counters.reject(RejectReason::TooOld);
            outcome.refused.push(Refused { record, reason: RejectReason::TooOld, detail: PLACE_IS_FROZEN });
        }
    }

    /// Folds what came for the book of a market, and notes the minutes that may have changed.
    fn settle_one(&mut self, number: u32) -> (Vec<Change>, BTreeSet<Source>) {
        let market = &mut self.markets[number as usize].1;
        let (changes, too_old) = market.settle();
        let too_old: BTreeSet<Source> = too_old.into_iter().collect();
        if !too_old.is_empty() {
            market.drop_unsaved(&too_old);
        }
        // The book may have stood since a minute that is frozen.
        let minutes = market.take_dirty();
        let may_change = minutes.range(self.frozen_ns..);
        if self.config.has_leaves {
            self.due.extend(may_change.map(|minute_ns| (*minute_ns, number)));
        }
        count_again(&mut self.sizes, market);
        (changes, too_old)
    }

    /// Gives the leaves of minutes that ended by a time, where they are others than were given before; none where nothing is
    /// left of one.
    fn take_leaves(&mut self, end_ns: i64, mut give: impl FnMut(&Instrument, i64, Option<MarketLeaf>)) {
        while let Some(&(minute_ns, number)) = self.due.first()
            && minute_ns + Interval::M1.duration_ns() <= end_ns
        {
            self.due.pop_first();
            let (instrument, market) = &mut self.markets[number as usize];
            if let Some(leaf) = market.take_leaf(minute_ns) {
                give(instrument, minute_ns, leaf);
            }
        }
    }

    fn freeze(&mut self, frozen_ns: i64) {
        if frozen_ns == i64::MIN {
            return;
        }
        let (before, now) = (self.frozen_ns, Interval::M1.open_of(frozen_ns));
        self.frozen_ns = now;
        if now > before {
            self.freeze_minutes();
        }
    }

    fn freeze_minutes(&mut self) {
        for (_, market) in &mut self.markets {
            market.freeze(self.frozen_ns);
            count_again(&mut self.sizes, market);
        }
        self.due = self.due.split_off(&(self.frozen_ns, 0));
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

/// Takes a market's sizes into the sum, in place of those it was counted with before.
fn count_again(sizes: &mut MarketSizes, market: &mut InstrumentMarket) {
    sizes.subtract(&market.counted);
    market.counted = market.sizes();
    sizes.add(&market.counted);
}

impl GapChange {
    fn of(instrument: &Instrument, change: &Change) -> Self {
        let Change { key: ((epoch_ns, sequence, is_snapshot, depth), cause), kind, gap } = *change;
        let found_ns = gap.end.map(|end| end.time_ns).filter(|_| kind == GapKind::Found);
        Self {
            instrument: instrument.clone(),
            kind,
            epoch_ns,
            sequence,
            is_snapshot,
            depth: Some(depth).filter(|depth| is_snapshot && *depth != u32::MAX),
            cause,
            time_ns: found_ns.unwrap_or(gap.time_ns),
            last_id: gap.last_id,
            first_id: gap.first_id,
        }
    }

    /// A gap that is none any more goes before those that took its place.
    fn key(&self) -> (Instrument, bool, UpdateKey, GapKind, GapKind) {
        let depth = self.depth.unwrap_or(u32::MAX);
        let update = (self.epoch_ns, self.sequence, self.is_snapshot, depth);
        (self.instrument.clone(), self.kind != GapKind::Mended, update, self.cause, self.kind)
    }
}
