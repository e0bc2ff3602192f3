//! One instrument: the records of the correction horizon by minute, its book, and the leaves made of them.

use super::history::{BookHistory, Change, HeldUpdate, Put, SavedBase};
use super::leaf::MarketLeaf;
use super::minute::Minute;
use super::{MarketSizes, Source};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tidewheel_schemas::{Interval, MarketContent, Quote};

/// A record without its instrument, as it is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldRecord {
    pub event_time_ns: i64,
    pub is_timeless: bool,
    pub source: Source,
    pub content: MarketContent,
}

#[derive(Clone, Debug, Default)]
pub(super) struct InstrumentMarket {
    minutes: BTreeMap<i64, Minute>,
    /// The times of quotes by their number: one told again with another time is found by it.
    numbered: BTreeSet<(u64, i64)>,
    book: Option<Box<BookHistory>>,
    /// Minutes whose leaf may be another than was told, since they were taken.
    dirty: BTreeSet<i64>,
    /// As they were told; those that can still change.
    leaves: BTreeMap<i64, MarketLeaf>,
    /// Records held but those of the book.
    records: usize,
    /// As it was counted last.
    pub counted: MarketSizes,
    /// What the last snapshot does not show.
    pub unsaved: Vec<HeldRecord>,
}

impl InstrumentMarket {
    /// Takes a record that is not older than the frozen frontier.
    pub fn put(&mut self, record: &HeldRecord) -> Put {
        let open_time_ns = Interval::M1.open_of(record.event_time_ns);
        let put = match &record.content {
            MarketContent::Book(update) => {
                return self.book.get_or_insert_default().put(record.event_time_ns, record.is_timeless, update);
            }
            MarketContent::Quote(Quote { update_id: Some(number), .. }) => self.put_numbered(*number, record),
            _ => {
                let minute = self.minutes.entry(open_time_ns).or_default();
                let before = minute.len();
                let put = minute.put(record);
                self.records += minute.len() - before;
                put
            }
        };
        if put == Put::Taken {
            self.dirty.insert(open_time_ns);
        }
        put
    }

    /// Takes a quote that the venue numbered. The same number and content is the same quote, whatever its time: the venue's goes
    /// before that of a receipt, and the earlier before the later.
    fn put_numbered(&mut self, number: u64, record: &HeldRecord) -> Put {
        let times = self.numbered.range((number, i64::MIN)..=(number, i64::MAX));
        for time_ns in times.map(|(_, time_ns)| *time_ns).collect::<Vec<i64>>() {
            let open_time_ns = Interval::M1.open_of(time_ns);
            let Some(minute) = self.minutes.get_mut(&open_time_ns) else { continue };
            let Some(was_timeless) = minute.has_quote(time_ns, number, &record.content) else { continue };
            if (record.is_timeless, record.event_time_ns) >= (was_timeless, time_ns) {
                return Put::Duplicate;
            }
            // Where another quote has its place there, which one stands is as undecided as before.
            let at_place = self.minutes.get(&Interval::M1.open_of(record.event_time_ns));
            if time_ns != record.event_time_ns
                && at_place.is_some_and(|minute| minute.has_number_at(record.event_time_ns, number))
            {
                return Put::Conflict;
            }
            if let Some(minute) = self.minutes.get_mut(&open_time_ns) {
                minute.remove_quote(time_ns, number);
            }
            self.numbered.remove(&(number, time_ns));
            self.records -= 1;
            self.dirty.insert(open_time_ns);
        }
        let put = self.minutes.entry(Interval::M1.open_of(record.event_time_ns)).or_default().put(record);
        if put == Put::Taken {
            self.numbered.insert((number, record.event_time_ns));
            self.records += 1;
        }
        put
    }

    /// Folds what came for the book, and tells what became of its gaps.
    pub fn settle(&mut self) -> Vec<Change> {
        let Some(book) = &mut self.book else { return Vec::new() };
        book.settle(&mut self.dirty);
        book.take_changes()
    }

    /// The minutes whose leaf may have changed since the last call.
    pub fn take_dirty(&mut self) -> BTreeSet<i64> {
        std::mem::take(&mut self.dirty)
    }

    /// The leaf of a minute that ended, if it is another than was given before; none in it where nothing is left.
    pub fn take_leaf(&mut self, minute_ns: i64) -> Option<Option<MarketLeaf>> {
        let leaf = self.leaf_of(minute_ns);
        let before = match leaf {
            Some(leaf) => self.leaves.insert(minute_ns, leaf),
            None => self.leaves.remove(&minute_ns),
        };
        (before != leaf).then_some(leaf)
    }

    fn leaf_of(&self, minute_ns: i64) -> Option<MarketLeaf> {
        let leaf = self.minutes.get(&minute_ns).filter(|minute| minute.len() > 0).map(Minute::leaf);
        let book = self.book.as_ref().and_then(|book| book.flow_of(minute_ns));
        if book.is_none() {
            return leaf;
        }
        Some(MarketLeaf { book, ..leaf.unwrap_or_default() })
    }

    /// Drops minutes before one.
    pub fn freeze(&mut self, frozen_minute_ns: i64) {
        let kept = self.minutes.split_off(&frozen_minute_ns);
        for minute in std::mem::replace(&mut self.minutes, kept).into_values() {
            self.records -= minute.len();
            for number in minute.numbered() {
                self.numbered.remove(&number);
            }
        }
        self.leaves = self.leaves.split_off(&frozen_minute_ns);
        self.dirty = self.dirty.split_off(&frozen_minute_ns);
        if let Some(book) = &mut self.book {
            book.freeze(frozen_minute_ns);
        }
    }

    /// What is held of it.
    pub fn sizes(&self) -> MarketSizes {
        let book = self.book.as_ref();
        MarketSizes {
            instruments: 1,
            records: self.records,
            updates: book.map_or(0, |book| book.len()),
            levels: book.map_or(0, |book| book.levels()),
            gaps: book.map_or(0, |book| book.gaps()),
        }
    }

    /// All that is held.
    pub fn save(&self) -> (Option<SavedBase>, Vec<HeldRecord>) {
        let mut records: Vec<HeldRecord> = self.minutes.values().flat_map(Minute::records).collect();
        let update = |held: &HeldUpdate| HeldRecord {
            event_time_ns: held.event_time_ns,
            is_timeless: held.is_timeless,
            source: Source::default(),
            content: MarketContent::Book(held.update.clone()),
        };
        records.extend(self.book.iter().flat_map(|book| book.held()).map(update));
        (self.book.as_ref().map(|book| book.save()), records)
    }

    /// Begins with what was saved of it whole.
    pub fn restore(base: Option<SavedBase>, records: Vec<HeldRecord>) -> Self {
        let mut market = Self::default();
        let mut updates = Vec::new();
        for record in records {
            match record.content {
                MarketContent::Book(update) => updates.push((record.event_time_ns, record.is_timeless, update)),
                _ => {
                    let put = market.put(&record);
                    debug_assert_eq!(put, Put::Taken, "what was saved was taken once");
                }
            }
        }
        market.book = base.map(|base| Box::new(BookHistory::restore(base, updates.into_iter())));
        market
    }
}
