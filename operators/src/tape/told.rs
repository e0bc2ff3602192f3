//! What risk is told of trades: the last of each minute that changed, and the prices of the tick.
//!
//! A minute is told by its bar, so that cancels and corrections are in it and no order of arrival matters. Prices are those of trades
//! that were taken in at the tick, as they stand at its end: a trade that comes twice is one, since two trades confirm what one does not.

use super::Tape;
use crate::Upsert;
use crate::risk::{FeedCounts, MarketChange, thin};
use tidewheel_risk::engine::MarketPrint;
use tidewheel_risk::flash_crash::Print;
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{Counters, Interval, Trade};

/// What is kept for it.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Trades of the tick with the numbers of their instruments.
    pub(super) trades: Vec<(u32, Trade)>,
    /// What was counted by the tick before.
    before: FeedCounts,
}

impl Watched {
    /// One that begins with these counts.
    pub(super) fn after(counters: &Counters) -> Self {
        Self { before: FeedCounts::of(counters), ..Self::default() }
    }
}

impl Tape {
    /// What risk is told of a tick whose changed minutes these are.
    pub(super) fn tell(&mut self, minutes: &[Upsert]) -> Vec<MarketChange> {
        let mut told: Vec<MarketChange> = minutes.iter().map(|minute| self.mark(minute)).collect();
        let mut trades = std::mem::take(&mut self.watched.trades);
        trades.sort_by_key(|(number, _)| *number);
        for of_one in trades.chunk_by(|(number, _), (next, _)| number == next) {
            let number = of_one[0].0 as usize;
            let as_they_stand = of_one.iter().filter_map(|(_, trade)| self.tapes[number].as_amended(*trade));
            let prints = as_they_stand.map(|trade| Print {
                time_ns: trade.event_time_ns,
                key: trade.id.to_bits(),
                value: trade.price_e8.into(),
            });
            let instrument = &self.names[number];
            told.extend(thin(prints.collect()).into_iter().map(|print| {
                MarketChange::Print(MarketPrint { instrument: instrument.clone(), source: MarkSource::Trade, print })
            }));
        }
        trades.clear();
        self.watched.trades = trades;
        let now = FeedCounts::of(&self.counters);
        let counts = now.since(std::mem::replace(&mut self.watched.before, now));
        told.extend((counts.all > 0).then_some(MarketChange::Counts(counts)));
        told
    }

    fn mark(&self, minute: &Upsert) -> MarketChange {
        MarketChange::Mark {
            instrument: self.names[minute.instrument as usize].clone(),
            source: MarkSource::Trade,
            minute_end_ns: minute.open_time_ns + Interval::M1.duration_ns(),
            // Its bar has found the last trade already: there is nothing left to order.
            mark: minute.bar.map(|bar| Mark {
                event_time_ns: bar.last.event_time_ns,
                sequence: 0,
                price_e8: bar.close_e8,
            }),
        }
    }
}
