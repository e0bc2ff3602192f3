//! One instrument: the records of the correction horizon by minute, its book, and the leaves made of them.

use super::history::{BookHistory, Change, Put, SavedBase};
use super::leaf::MarketLeaf;
use super::minute::Minute;
use super::{MarketSizes, Source};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tidewheel_schemas::{BookUpdate, Interval, MarketContent, Quote};

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
    /// Those that are not frozen, and the one before them: quotes that are told again are known by it.
    minutes: BTreeMap<i64, Minute>,
    book: Option<Box<BookHistory>>,
    /// Minutes whose leaf may be another than was told, since they were taken.
    dirty: BTreeSet<i64>,
    /// As they were told; those that can still change.
    leaves: BTreeMap<i64, MarketLeaf>,
    /// Records held but those of the book.
    records: usize,
    /// As it was counted last.
    pub counted: MarketSizes,
    /// What the last snapshot does not show, each with the frozen minute at which it came.
    pub unsaved: Vec<(i64, Vec<HeldRecord>)>,
}

impl InstrumentMarket {
    /// Takes a record that is not older than the frozen frontier.
    pub fn put(&mut self, record: &HeldRecord) -> Put {
        let HeldRecord { event_time_ns, is_timeless, source, content } = record;
        if let MarketContent::Book(update) = content {
            return self.book.get_or_insert_default().put(*event_time_ns, *is_timeless, *source, update);
        }
        let open_time_ns = Interval::M1.open_of(*event_time_ns);
        let minute = self.minutes.entry(open_time_ns).or_default();
        let before = minute.len();
        let put = minute.put(record);
        self.records += minute.len() - before;
        if put == Put::Taken {
            self.dirty.insert(open_time_ns);
            // It may be told again in the next.
            let next_ns = open_time_ns + Interval::M1.duration_ns();
            let is_numbered = matches!(content, MarketContent::Quote(Quote { update_id: Some(_), .. }));
            if is_numbered && self.is_numbered(next_ns) {
                self.dirty.insert(next_ns);
            }
        }
        put
    }

    /// Folds what came for the book, and tells what became of its gaps, and which of the records are too old after all.
    pub fn settle(&mut self) -> (Vec<Change>, Vec<Source>) {
        let Some(book) = &mut self.book else { return Default::default() };
        let too_old = book.settle(&mut self.dirty);
        (book.take_changes(), too_old)
    }

    /// Keeps a record that was taken for the next snapshot.
    pub fn keep_unsaved(&mut self, frozen_minute_ns: i64, record: HeldRecord) {
        match self.unsaved.last_mut().filter(|(since_ns, _)| *since_ns == frozen_minute_ns) {
            Some((_, records)) => records.push(record),
            None => self.unsaved.push((frozen_minute_ns, vec![record])),
        }
    }

    /// Takes back those that are too old after all.
    pub fn drop_unsaved(&mut self, too_old: &BTreeSet<Source>) {
        if let Some((_, records)) = self.unsaved.last_mut() {
            records.retain(|record| !too_old.contains(&record.source));
        }
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
        let before = self.minutes.get(&(minute_ns - Interval::M1.duration_ns()));
        let of_minute = self.minutes.get(&minute_ns).map(|minute| minute.leaf(before));
        let leaf = of_minute.filter(|leaf| *leaf != MarketLeaf::default());
        let book = self.book.as_ref().and_then(|book| book.flow_of(minute_ns));
        if book.is_none() {
            return leaf;
        }
        Some(MarketLeaf { book, ..leaf.unwrap_or_default() })
    }

    /// The last middle between bid and ask of a minute, and the last mark price that the venue told in it, each with its time.
    pub fn marks_of(&self, minute_ns: i64) -> [Option<(i64, i64)>; 2] {
        let before = self.minutes.get(&(minute_ns - Interval::M1.duration_ns()));
        let minute = self.minutes.get(&minute_ns);
        minute.map_or([None; 2], |minute| [minute.last_mid(before), minute.venue_mark_by(i64::MAX)])
    }

    /// Whether the price of a quote is held, with its time or another, or that of a mark, which venues tell in parts.
    pub fn holds_price(&self, event_time_ns: i64, content: &MarketContent) -> bool {
        let (open_time_ns, minute_ns) = (Interval::M1.open_of(event_time_ns), Interval::M1.duration_ns());
        let quote = match content {
            MarketContent::Quote(quote) => quote,
            MarketContent::Mark(_) => {
                let minute = self.minutes.get(&open_time_ns);
                let last = minute.and_then(|minute| minute.venue_mark_by(event_time_ns));
                return last.is_some_and(|(time_ns, _)| time_ns == event_time_ns);
            }
            _ => return false,
        };
        let beside = open_time_ns.saturating_sub(minute_ns)..=open_time_ns.saturating_add(minute_ns);
        self.minutes.range(beside).any(|(_, minute)| minute.holds(quote))
    }

    /// Whether a minute has quotes that may have been told in the one before it.
    pub fn is_numbered(&self, minute_ns: i64) -> bool {
        self.minutes.get(&minute_ns).is_some_and(Minute::is_numbered)
    }

    /// Freezes minutes before one.
    pub fn freeze(&mut self, frozen_minute_ns: i64) {
        let kept = self.minutes.split_off(&frozen_minute_ns.saturating_sub(Interval::M1.duration_ns()));
        let dropped = std::mem::replace(&mut self.minutes, kept);
        self.records -= dropped.values().map(Minute::len).sum::<usize>();
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
        let update = |(event_time_ns, is_timeless, update): (i64, bool, &BookUpdate)| HeldRecord {
            event_time_ns,
            is_timeless,
            source: Source::default(),
            content: MarketContent::Book(update.clone()),
        };
        records.extend(self.book.iter().flat_map(|book| book.updates()).map(update));
        (self.book.as_ref().map(|book| book.save()), records)
    }

    /// Begins with what was saved of it whole.
    pub fn restore(base: Option<SavedBase>) -> Self {
        Self { book: base.map(|base| Box::new(BookHistory::restore(base))), ..Self::default() }
    }

    /// Takes what was taken before.
    pub fn put_again(&mut self, records: &[HeldRecord]) {
        for record in records {
            let put = self.put(record);
            debug_assert_eq!(put, Put::Taken, "what was saved was taken once");
        }
        if let Some(book) = &mut self.book {
            book.forget_fresh();
        }
    }
}
