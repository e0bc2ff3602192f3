//! The records of a minute but those of the book, and what they come to.

use super::Source;
use super::history::Put;
use super::instrument::HeldRecord;
use super::leaf::{LastMark, LiquidationFlow, MarketLeaf, Touch, TouchFlow};
use crate::hash::FixedMap;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tidewheel_schemas::{Funding, Level, Liquidation, Mark, MarketContent, Quote};

/// Tells quotes apart: event time, the venue's number, and where there is none the source; whether the time is that of a receipt.
type QuoteKey = (i64, Option<u64>, Source, bool);

/// Tells liquidations apart: event time and all that they say.
type LiquidationKey = (i64, i64, i64, Option<&'static str>, u16);

#[derive(Clone, Debug, Default)]
pub(super) struct Minute {
    quotes: BTreeMap<QuoteKey, Quote>,
    /// Quotes with a number and without a time.
    timeless: usize,
    /// The greatest number of a quote.
    greatest: Option<u64>,
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
                let put = match self.quotes.entry((*event_time_ns, quote.update_id, source, *is_timeless)) {
                    Entry::Vacant(place) => drop_in(place, *quote),
                    Entry::Occupied(held) if held.get() == quote => Put::Duplicate,
                    Entry::Occupied(_) => Put::Conflict,
                };
                self.timeless += usize::from(put == Put::Taken && *is_timeless && quote.update_id.is_some());
                self.greatest = self.greatest.max(quote.update_id);
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

    /// What it comes to, after the minute before it.
    pub fn leaf(&self, before: Option<&Self>) -> MarketLeaf {
        let mut mark = LastMark::default();
        self.marks.iter().for_each(|(time_ns, (next, _))| mark.push(*time_ns, next));
        let mut liquidations = LiquidationFlow::default();
        self.liquidations.values().for_each(|(liquidation, _)| liquidations.push(liquidation));
        MarketLeaf {
            quotes: flow(&self.touches(before)),
            book: None,
            mark,
            settled_rate_e8: self.funding.values().next_back().map(|(funding, _)| funding.rate_e8),
            liquidations: (liquidations.count > 0).then_some(liquidations),
        }
    }

    /// The touches of its quotes in their order, but for those that were told before.
    fn touches(&self, before: Option<&Self>) -> Vec<Touch> {
        if self.timeless == 0 && self.has_only_new(before) {
            return self.quotes.iter().map(|((time_ns, ..), quote)| touch(*time_ns, quote)).collect();
        }
        // The venue's time goes before that of a receipt, and the earlier before the later.
        let (mut numbered, others): (Vec<_>, Vec<_>) = self.quotes.iter().partition(|(key, _)| key.1.is_some());
        numbered.sort_by_key(|(key, _)| (key.3, key.0));
        let mut told: FixedMap<Quote, ()> =
            before.map(Self::numbered).into_iter().flatten().map(|it| (it, ())).collect();
        numbered.retain(|(_, quote)| told.insert(**quote, ()).is_none());
        // Where quotes have no time of the venue, its numbers tell their order, and receipts only where they lie among those without
        // a number. Each has the latest time so far.
        let by_number = numbered.iter().any(|(key, _)| key.3);
        numbered.sort_by_key(|(key, _)| (if by_number { 0 } else { key.0 }, key.1, key.0, key.3));
        let mut latest_ns = i64::MIN;
        let mut touches: Vec<Touch> = others.into_iter().map(|(key, quote)| touch(key.0, quote)).collect();
        touches.extend(numbered.into_iter().map(|(key, quote)| {
            latest_ns = latest_ns.max(key.0);
            touch(latest_ns, quote)
        }));
        touches.sort_by_key(|touch| touch.time_ns);
        touches
    }

    /// Whether it is sure that no quote was told before: numbers ascend, and from beyond those of the minute before.
    fn has_only_new(&self, before: Option<&Self>) -> bool {
        let mut last = before.and_then(|before| before.numbered().filter_map(|quote| quote.update_id).max());
        self.numbered().all(|quote| last.replace(quote.update_id.unwrap_or_default()) < quote.update_id)
    }

    /// Whether a quote with a number is held, with whatever time.
    pub fn holds(&self, quote: &Quote) -> bool {
        quote.update_id.is_some()
            && quote.update_id <= self.greatest
            && self.quotes.values().any(|other| other == quote)
    }

    /// The last middle between bid and ask, with its time: of the last touch that has one.
    pub fn last_mid(&self, before: Option<&Self>) -> Option<(i64, i64)> {
        if self.timeless > 0 {
            let touches = self.touches(before);
            return touches.iter().rev().find_map(|touch| Some((touch.time_ns, mid_e8(touch.bid, touch.ask)?)));
        }
        // The same without a list of them all: risk asks at every tick with a quote.
        self.quotes.iter().rev().find_map(|(key, quote)| {
            let mid_e8 = mid_e8(quote.bid, quote.ask)?;
            let is_of_before = before.is_some_and(|before| before.holds(quote));
            let mut earlier = self.quotes.range(..key).filter(|(key, _)| key.1.is_some());
            let is_told_again = is_of_before || earlier.any(|(_, other)| other == quote);
            (!is_told_again).then_some((key.0, mid_e8))
        })
    }

    /// The last mark price that the venue told by a time, with its own.
    pub fn venue_mark_by(&self, time_ns: i64) -> Option<(i64, i64)> {
        let mut marks = self.marks.range(..=time_ns).rev();
        marks.find_map(|(time_ns, (mark, _))| Some((*time_ns, mark.mark_price_e8?)))
    }

    /// Records held.
    pub fn len(&self) -> usize {
        self.quotes.len() + self.marks.len() + self.funding.len() + self.liquidations.len()
    }

    /// The quotes that have a number, in the order of time.
    fn numbered(&self) -> impl Iterator<Item = Quote> {
        self.quotes.values().filter(|quote| quote.update_id.is_some()).copied()
    }

    /// Whether any quote has a number: only such can be told again.
    pub fn is_numbered(&self) -> bool {
        self.numbered().next().is_some()
    }

    /// All that is held.
    pub fn records(&self) -> impl Iterator<Item = HeldRecord> {
        let record =
            |event_time_ns, is_timeless, source, content| HeldRecord { event_time_ns, is_timeless, source, content };
        let none = Source::default();
        let quotes = self.quotes.iter().map(move |((time_ns, _, source, is_timeless), quote)| {
            record(*time_ns, *is_timeless, *source, MarketContent::Quote(*quote))
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

/// The middle between bid and ask, eight decimals, rounded down; none where they cross or one is missing.
pub(super) fn mid_e8(bid: Option<Level>, ask: Option<Level>) -> Option<i64> {
    let (bid, ask) = (bid?.price_e8, ask?.price_e8);
    // Prices are far below the greatest number.
    (bid < ask).then(|| bid + (ask - bid) / 2)
}

fn drop_in<K: Ord, V>(place: std::collections::btree_map::VacantEntry<'_, K, V>, value: V) -> Put {
    place.insert(value);
    Put::Taken
}

const fn touch(time_ns: i64, quote: &Quote) -> Touch {
    Touch { time_ns, bid: quote.bid, ask: quote.ask }
}

fn flow(touches: &[Touch]) -> Option<TouchFlow> {
    touches.iter().copied().map(TouchFlow::of).reduce(|flow, next| flow.merge(&next))
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
