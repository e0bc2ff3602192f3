//! The records of a minute but those of the book, and what they come to.

use super::Source;
use super::history::Put;
use super::instrument::HeldRecord;
use super::leaf::{LastMark, LiquidationFlow, MarketLeaf, Touch, TouchFlow};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tidewheel_schemas::{Funding, Liquidation, Mark, MarketContent, Quote};

/// Tells quotes apart: event time, the venue's number, and where there is none the source.
type QuoteKey = (i64, Option<u64>, Source);

/// Tells liquidations apart: event time and all that they say.
type LiquidationKey = (i64, i64, i64, Option<&'static str>, u16);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct HeldQuote {
    quote: Quote,
    is_timeless: bool,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Minute {
    quotes: BTreeMap<QuoteKey, HeldQuote>,
    /// Quotes with a number and without a time.
    timeless: usize,
    marks: BTreeMap<i64, (Mark, bool)>,
    funding: BTreeMap<i64, (Funding, bool)>,
    liquidations: BTreeMap<LiquidationKey, (Liquidation, bool)>,
}

impl Minute {
    /// Takes a record of the minute.
    pub fn put(&mut self, record: &HeldRecord) -> Put {
        let HeldRecord { event_time_ns, is_timeless, source, content } = record;
        match content {
            MarketContent::Quote(quote) => {
                let source = if quote.update_id.is_some() { Source::default() } else { *source };
                let next = HeldQuote { quote: *quote, is_timeless: *is_timeless };
                let put = match self.quotes.entry((*event_time_ns, quote.update_id, source)) {
                    Entry::Vacant(place) => drop_in(place, next),
                    Entry::Occupied(held) if held.get().quote == *quote => Put::Duplicate,
                    Entry::Occupied(_) => Put::Conflict,
                };
                self.timeless += usize::from(put == Put::Taken && *is_timeless && quote.update_id.is_some());
                put
            }
            MarketContent::Mark(mark) => match self.marks.entry(*event_time_ns) {
                Entry::Vacant(place) => drop_in(place, (*mark, *is_timeless)),
                Entry::Occupied(mut held) => match joined(&held.get().0, mark) {
                    Some(both) if both == held.get().0 => Put::Duplicate,
                    Some(both) => {
                        held.get_mut().0 = both;
                        Put::Taken
                    }
                    None => Put::Conflict,
                },
            },
            MarketContent::Funding(funding) => match self.funding.entry(*event_time_ns) {
                Entry::Vacant(place) => drop_in(place, (*funding, *is_timeless)),
                Entry::Occupied(held) if held.get().0 == *funding => Put::Duplicate,
                Entry::Occupied(_) => Put::Conflict,
            },
            MarketContent::Liquidation(liquidation) => {
                let Liquidation { side, price_e8, quantity_e8, occurrence } = liquidation;
                match self.liquidations.entry((*event_time_ns, *price_e8, *quantity_e8, side.name(), *occurrence)) {
                    Entry::Vacant(place) => drop_in(place, (*liquidation, *is_timeless)),
                    Entry::Occupied(_) => Put::Duplicate,
                }
            }
            MarketContent::Book(_) => unreachable!("books have a history of their own"),
        }
    }

    /// Whether it holds a quote of a number and content at a time; if so, whether that is without a time of the venue.
    pub fn has_quote(&self, time_ns: i64, number: u64, content: &MarketContent) -> Option<bool> {
        let held = self.quotes.get(&(time_ns, Some(number), Source::default()))?;
        matches!(content, MarketContent::Quote(quote) if *quote == held.quote).then_some(held.is_timeless)
    }

    /// Whether any quote of a number is at a time.
    pub fn has_number_at(&self, time_ns: i64, number: u64) -> bool {
        self.quotes.contains_key(&(time_ns, Some(number), Source::default()))
    }

    /// Takes a quote away.
    pub fn remove_quote(&mut self, time_ns: i64, number: u64) {
        let removed = self.quotes.remove(&(time_ns, Some(number), Source::default()));
        self.timeless -= usize::from(removed.is_some_and(|quote| quote.is_timeless));
    }

    /// What it comes to.
    pub fn leaf(&self) -> MarketLeaf {
        let mut mark = LastMark::default();
        self.marks.iter().for_each(|(time_ns, (next, _))| mark.push(*time_ns, next));
        let mut liquidations = LiquidationFlow::default();
        self.liquidations.values().for_each(|(liquidation, _)| liquidations.push(liquidation));
        MarketLeaf {
            quotes: if self.timeless == 0 { flow(self.touches()) } else { flow(self.touches_by_number()) },
            book: None,
            mark,
            settled_rate_e8: self.funding.values().next_back().map(|(funding, _)| funding.rate_e8),
            liquidations: (liquidations.count > 0).then_some(liquidations),
        }
    }

    fn touches(&self) -> impl Iterator<Item = Touch> {
        self.quotes.iter().map(|((time_ns, _, _), held)| touch(*time_ns, &held.quote))
    }

    /// Where quotes have no time of the venue, its numbers tell their order, and receipts only where they lie among those without
    /// a number. Each has the latest time so far.
    fn touches_by_number(&self) -> impl Iterator<Item = Touch> {
        let is_numbered = |(key, _): &(&QuoteKey, &HeldQuote)| key.1.is_some();
        let (mut numbered, others): (Vec<_>, Vec<_>) = self.quotes.iter().partition(is_numbered);
        numbered.sort_by_key(|((time_ns, number, _), _)| (*number, *time_ns));
        let mut latest_ns = i64::MIN;
        let mut touches: Vec<Touch> = others.into_iter().map(|(key, held)| touch(key.0, &held.quote)).collect();
        touches.extend(numbered.into_iter().map(|(key, held)| {
            latest_ns = latest_ns.max(key.0);
            touch(latest_ns, &held.quote)
        }));
        touches.sort_by_key(|touch| touch.time_ns);
        touches.into_iter()
    }

    /// Records held.
    pub fn len(&self) -> usize {
        self.quotes.len() + self.marks.len() + self.funding.len() + self.liquidations.len()
    }

    /// Numbers and times of the quotes that have a number.
    pub fn numbered(&self) -> impl Iterator<Item = (u64, i64)> {
        self.quotes.keys().filter_map(|(time_ns, number, _)| number.map(|number| (number, *time_ns)))
    }

    /// All that is held.
    pub fn records(&self) -> impl Iterator<Item = HeldRecord> {
        let record =
            |event_time_ns, is_timeless, source, content| HeldRecord { event_time_ns, is_timeless, source, content };
        let none = Source::default();
        let quotes = self.quotes.iter().map(move |((time_ns, _, source), held)| {
            record(*time_ns, held.is_timeless, *source, MarketContent::Quote(held.quote))
        });
        let marks = self.marks.iter();
        let marks =
            marks.map(move |(time_ns, (mark, timeless))| record(*time_ns, *timeless, none, MarketContent::Mark(*mark)));
        let funding = self.funding.iter().map(move |(time_ns, (funding, timeless))| {
            record(*time_ns, *timeless, none, MarketContent::Funding(*funding))
        });
        let liquidations = self.liquidations.iter().map(move |(key, (liquidation, timeless))| {
            record(key.0, *timeless, none, MarketContent::Liquidation(*liquidation))
        });
        quotes.chain(marks).chain(funding).chain(liquidations)
    }
}

fn drop_in<K: Ord, V>(place: std::collections::btree_map::VacantEntry<'_, K, V>, value: V) -> Put {
    place.insert(value);
    Put::Taken
}

const fn touch(time_ns: i64, quote: &Quote) -> Touch {
    Touch { time_ns, bid: quote.bid, ask: quote.ask }
}

fn flow(touches: impl Iterator<Item = Touch>) -> Option<TouchFlow> {
    touches.map(TouchFlow::of).reduce(|flow, next| flow.merge(&next))
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
