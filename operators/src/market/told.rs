//! What risk is told of markets beside their trades: mids and venue marks of the minutes that changed, their prices, settled funding.

use super::MarketLedger;
use super::minute::mid_e8;
use crate::risk::{FeedCounts, MarketChange, SettledFunding, thin};
use std::collections::{BTreeMap, BTreeSet};
use tidewheel_risk::engine::MarketPrint;
use tidewheel_risk::flash_crash::Print;
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{Interval, MarketContent, MarketRecord};

/// What came in a tick, by the numbers of instruments.
#[derive(Clone, Debug, Default)]
pub(super) struct Watched {
    minutes: BTreeSet<(u32, i64)>,
    prints: BTreeMap<(u32, MarkSource), Vec<Print>>,
    funding: Vec<SettledFunding>,
    before: FeedCounts,
}

impl Watched {
    /// Takes a record that was taken in. Of a quote that was told before, with another time, and of another part of a mark, no
    /// price is told again: two prices confirm a fall, and one that came on two ways is one.
    pub(super) fn take(&mut self, number: u32, record: &MarketRecord, is_known: bool) {
        let event_time_ns = record.event_time_ns;
        let (source, price_e8, key) = match &record.content {
            // A quote without a number is told apart by its place, as it is held.
            MarketContent::Quote(quote) => {
                let (partition, position, index) = record.source();
                let place = u128::from(partition) << 80 | u128::from(position) << 16 | u128::from(index);
                (MarkSource::Mid, mid_e8(quote.bid, quote.ask), quote.update_id.map_or(place, u128::from))
            }
            MarketContent::Mark(mark) => (MarkSource::Venue, mark.mark_price_e8, 0),
            MarketContent::Funding(funding) => {
                let (instrument, rate_e8) = (record.instrument.clone(), funding.rate_e8);
                let mark_price_e8 = funding.mark_price_e8;
                self.funding.push(SettledFunding { instrument, event_time_ns, rate_e8, mark_price_e8 });
                return;
            }
            MarketContent::Book(_) | MarketContent::Liquidation(_) => return,
        };
        self.minutes.insert((number, Interval::M1.open_of(event_time_ns)));
        if let Some(price_e8) = price_e8.filter(|_| !is_known) {
            let print = Print { time_ns: event_time_ns, key, value: price_e8.into() };
            self.prints.entry((number, source)).or_default().push(print);
        }
    }
}

impl MarketLedger {
    /// What risk is told of the tick.
    pub(super) fn tell(&mut self) -> Vec<MarketChange> {
        let Watched { minutes, prints, funding, before } = std::mem::take(&mut self.watched);
        let mut told = Vec::new();
        // What was told in a minute does not count again in the next.
        let next = minutes.iter().map(|(number, minute_ns)| (*number, minute_ns + Interval::M1.duration_ns()));
        let next = next.filter(|(number, minute_ns)| self.markets[*number as usize].1.is_numbered(*minute_ns));
        let minutes: BTreeSet<(u32, i64)> = next.chain(minutes.iter().copied()).collect();
        for (number, minute_ns) in minutes {
            let (instrument, market) = &self.markets[number as usize];
            let marks = market.marks_of(minute_ns);
            told.extend([MarkSource::Mid, MarkSource::Venue].into_iter().zip(marks).map(|(source, mark)| {
                MarketChange::Mark {
                    instrument: instrument.clone(),
                    source,
                    minute_end_ns: minute_ns + Interval::M1.duration_ns(),
                    mark: mark.map(|(event_time_ns, price_e8)| Mark { event_time_ns, sequence: 0, price_e8 }),
                }
            }));
        }
        for ((number, source), prints) in prints {
            let instrument = &self.markets[number as usize].0;
            told.extend(
                thin(prints)
                    .into_iter()
                    .map(|print| MarketChange::Print(MarketPrint { instrument: instrument.clone(), source, print })),
            );
        }
        told.extend(funding.into_iter().map(MarketChange::Funding));
        let now = FeedCounts::of(&self.counters);
        let counts = now.since(before);
        told.extend((counts.all > 0).then_some(MarketChange::Counts(counts)));
        self.watched.before = now;
        told
    }
}
