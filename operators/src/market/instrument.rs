//! One instrument: the records of the correction horizon by minute, its book, and the leaves made of them.

use super::history::{BookHistory, Change, HeldUpdate, Put, SavedBase};
use super::leaf::{LastMark, LiquidationFlow, MarketLeaf, Touch, TouchFlow};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use tidewheel_schemas::{Funding, Interval, Liquidation, Mark, MarketContent, Quote};

/// Partition, position, index.
pub(super) type Source = (u32, u64, u16);

/// Orders quotes and tells them apart: event time, the venue's number, and where there is none the source.
type QuoteKey = (i64, Option<u64>, Source);

/// A record without its instrument, as it is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldRecord {
    pub event_time_ns: i64,
    pub source: Source,
    pub content: MarketContent,
}

/// The records of a minute but those of the book, each list ascending.
#[derive(Clone, Debug, Default)]
struct Minute {
    quotes: Vec<(QuoteKey, Quote)>,
    marks: Vec<(i64, Mark)>,
    funding: Vec<(i64, Funding)>,
    liquidations: Vec<((i64, Source), Liquidation)>,
}

impl Minute {
    fn put(&mut self, event_time_ns: i64, source: Source, content: &MarketContent) -> Put {
        match content {
            MarketContent::Quote(quote) => {
                let source = if quote.update_id.is_some() { Source::default() } else { source };
                put(&mut self.quotes, (event_time_ns, quote.update_id, source), *quote, |_, _| None)
            }
            MarketContent::Mark(mark) => put(&mut self.marks, event_time_ns, *mark, joined),
            MarketContent::Funding(funding) => put(&mut self.funding, event_time_ns, *funding, |_, _| None),
            MarketContent::Liquidation(liquidation) => {
                put(&mut self.liquidations, (event_time_ns, source), *liquidation, |_, _| None)
            }
            MarketContent::Book(_) => unreachable!("books have a history of their own"),
        }
    }

    fn leaf(&self) -> MarketLeaf {
        let touch = |((time_ns, _, _), quote): &(QuoteKey, Quote)| {
            TouchFlow::of(Touch { time_ns: *time_ns, bid: quote.bid, ask: quote.ask })
        };
        let mut mark = LastMark::default();
        self.marks.iter().for_each(|(time_ns, next)| mark.push(*time_ns, next));
        let mut liquidations = LiquidationFlow::default();
        self.liquidations.iter().for_each(|(_, liquidation)| liquidations.push(liquidation));
        MarketLeaf {
            quotes: self.quotes.iter().map(touch).reduce(|flow, next| flow.merge(&next)),
            book: None,
            mark,
            settled_rate_e8: self.funding.last().map(|(_, funding)| funding.rate_e8),
            liquidations: (liquidations.count > 0).then_some(liquidations),
        }
    }

    const fn len(&self) -> usize {
        self.quotes.len() + self.marks.len() + self.funding.len() + self.liquidations.len()
    }

    fn records(&self) -> impl Iterator<Item = HeldRecord> {
        let record =
            |event_time_ns: i64, source: Source, content: MarketContent| HeldRecord { event_time_ns, source, content };
        let quotes = self
            .quotes
            .iter()
            .map(move |((time, _, source), quote)| record(*time, *source, MarketContent::Quote(*quote)));
        let marks =
            self.marks.iter().map(move |(time, mark)| record(*time, Source::default(), MarketContent::Mark(*mark)));
        let funding = self.funding.iter();
        let funding =
            funding.map(move |(time, funding)| record(*time, Source::default(), MarketContent::Funding(*funding)));
        let liquidations = self
            .liquidations
            .iter()
            .map(move |((time, source), liquidation)| record(*time, *source, MarketContent::Liquidation(*liquidation)));
        quotes.chain(marks).chain(funding).chain(liquidations)
    }
}

/// Puts a value into its place. Where one is there, `join` may make one of both.
fn put<K: Ord, V: PartialEq>(list: &mut Vec<(K, V)>, key: K, value: V, join: fn(&V, &V) -> Option<V>) -> Put {
    let at = match list.last() {
        Some((last, _)) if *last >= key => list.partition_point(|(other, _)| *other < key),
        _ => list.len(),
    };
    let Some((_, held)) = list.get_mut(at).filter(|(other, _)| *other == key) else {
        list.insert(at, (key, value));
        return Put::Taken;
    };
    if *held == value {
        return Put::Duplicate;
    }
    match join(held, &value) {
        Some(both) if both == *held => Put::Duplicate,
        Some(both) => {
            *held = both;
            Put::Taken
        }
        None => Put::Conflict,
    }
}

/// Two marks of one time are one where they do not contradict each other: venues tell parts by themselves.
fn joined(held: &Mark, next: &Mark) -> Option<Mark> {
    fn part(held: Option<i64>, next: Option<i64>) -> Option<Option<i64>> {
        match (held, next) {
            (Some(held), Some(next)) if held != next => None,
            (held, next) => Some(held.or(next)),
        }
    }
    Some(Mark {
        mark_price_e8: part(held.mark_price_e8, next.mark_price_e8)?,
        index_price_e8: part(held.index_price_e8, next.index_price_e8)?,
        funding_rate_e8: part(held.funding_rate_e8, next.funding_rate_e8)?,
        next_funding_time_ns: part(held.next_funding_time_ns, next.next_funding_time_ns)?,
    })
}

/// The middle between bid and ask, eight decimals, rounded down; none where they cross or one is missing.
pub(super) fn mid_e8(quote: &Quote) -> Option<i64> {
    let (bid, ask) = (quote.bid?.price_e8, quote.ask?.price_e8);
    // Prices are far below the greatest number.
    (bid < ask).then(|| bid + (ask - bid) / 2)
}

#[derive(Clone, Debug, Default)]
pub(super) struct InstrumentMarket {
    minutes: BTreeMap<i64, Minute>,
    book: Option<Box<BookHistory>>,
    /// Minutes whose leaf may be another than was told.
    dirty: BTreeSet<i64>,
    /// As they were told; those that can still change.
    leaves: BTreeMap<i64, MarketLeaf>,
    /// What the last snapshot does not show.
    pub unsaved: Vec<HeldRecord>,
}

impl InstrumentMarket {
    /// Takes a record that is not older than the frozen frontier.
    pub fn put(&mut self, event_time_ns: i64, source: Source, content: &MarketContent) -> Put {
        if let MarketContent::Book(update) = content {
            return self.book.get_or_insert_default().put(event_time_ns, update.clone());
        }
        let open_time_ns = Interval::M1.open_of(event_time_ns);
        let put = self.minutes.entry(open_time_ns).or_default().put(event_time_ns, source, content);
        if put == Put::Taken {
            self.dirty.insert(open_time_ns);
        }
        put
    }

    /// Folds what came for the book, and tells what became of its gaps.
    pub fn settle(&mut self, frozen_minute_ns: i64) -> Vec<Change> {
        let Some(book) = &mut self.book else { return Vec::new() };
        book.settle(&mut self.dirty);
        // The book may have stood since a minute that is frozen.
        self.dirty = self.dirty.split_off(&frozen_minute_ns);
        book.take_changes()
    }

    /// Gives the leaves of minutes that ended by a time, where they are others than were given before; none where nothing is
    /// left of one.
    pub fn take_leaves(&mut self, end_ns: i64, mut give: impl FnMut(i64, Option<MarketLeaf>)) {
        while let Some(&minute_ns) = self.dirty.first()
            && minute_ns + Interval::M1.duration_ns() <= end_ns
        {
            self.dirty.pop_first();
            let leaf = self.leaf_of(minute_ns);
            let before = match leaf {
                Some(leaf) => self.leaves.insert(minute_ns, leaf),
                None => self.leaves.remove(&minute_ns),
            };
            if before != leaf {
                give(minute_ns, leaf);
            }
        }
    }

    fn leaf_of(&self, minute_ns: i64) -> Option<MarketLeaf> {
        let leaf = self.minutes.get(&minute_ns).map(Minute::leaf);
        let book = self.book.as_ref().and_then(|book| book.flow_of(minute_ns));
        if book.is_none() {
            return leaf;
        }
        Some(MarketLeaf { book, ..leaf.unwrap_or_default() })
    }

    /// The last middle between bid and ask of a minute, and the last mark price that the venue told in it, each with its time.
    pub fn marks_of(&self, minute_ns: i64) -> [Option<(i64, i64)>; 2] {
        let Some(minute) = self.minutes.get(&minute_ns) else { return [None; 2] };
        let mid = minute.quotes.iter().rev().find_map(|((time_ns, ..), quote)| Some((*time_ns, mid_e8(quote)?)));
        let marks = minute.marks.iter().rev();
        let venue = marks.clone().find_map(|(time_ns, mark)| Some((*time_ns, mark.mark_price_e8?)));
        [mid, venue]
    }

    /// The mark price that the venue had told last by a time, as far as is held.
    pub fn venue_mark_at(&self, time_ns: i64) -> Option<i64> {
        let marks = self
            .minutes
            .range(..=Interval::M1.open_of(time_ns))
            .rev()
            .flat_map(|(_, minute)| minute.marks.iter().rev().filter(|(at_ns, _)| *at_ns <= time_ns));
        marks.filter_map(|(_, mark)| mark.mark_price_e8).next()
    }

    /// Drops minutes before one.
    pub fn freeze(&mut self, frozen_minute_ns: i64) {
        self.minutes = self.minutes.split_off(&frozen_minute_ns);
        self.leaves = self.leaves.split_off(&frozen_minute_ns);
        self.dirty = self.dirty.split_off(&frozen_minute_ns);
        if let Some(book) = &mut self.book {
            book.freeze(frozen_minute_ns);
        }
    }

    /// Records held but those of the book, updates of the book, levels.
    pub fn sizes(&self) -> (usize, usize, usize) {
        let records = self.minutes.values().map(Minute::len).sum();
        let book = self.book.as_ref();
        (records, book.map_or(0, |book| book.len()), book.map_or(0, |book| book.levels()))
    }

    /// All that is held.
    pub fn save(&self) -> (Option<SavedBase>, Vec<HeldRecord>) {
        let mut records: Vec<HeldRecord> = self.minutes.values().flat_map(Minute::records).collect();
        let update = |held: &HeldUpdate| HeldRecord {
            event_time_ns: held.event_time_ns,
            source: Source::default(),
            content: MarketContent::Book(held.update.clone()),
        };
        records.extend(self.book.iter().flat_map(|book| book.held()).map(update));
        (self.book.as_ref().map(|book| book.save()), records)
    }

    /// Begins with a saved base.
    pub fn restore(base: Option<SavedBase>) -> Self {
        Self { book: base.map(|base| Box::new(BookHistory::restore(base))), ..Self::default() }
    }
}
