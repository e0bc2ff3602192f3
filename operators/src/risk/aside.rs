//! What markets said of instruments whose reference data has not come: the book takes it when it knows what they are.

use super::MarketChange;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidewheel_risk::book::{BookConfig, BookEvent};
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{FundingPayment, Instrument};

/// Of one instrument: what the book would keep of it, or a little more.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    /// By source and the end of a minute, as far back from the newest as corrections reach, and the last before that: one that is
    /// cancelled leaves the one before it.
    marks: BTreeMap<MarkSource, BTreeMap<i64, Mark>>,
    /// By time, as far back.
    fundings: BTreeMap<i64, FundingPayment>,
    closes: BTreeMap<i64, i64>,
}

/// All that waits. State by instrument that has no reference data: a mark a source and minute of the horizon, the payments of the
/// horizon, and as many closes as there are scenarios.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Aside {
    /// In the form of pairs, since the keys are no texts.
    waiting: Vec<(Instrument, Waiting)>,
}

impl Aside {
    fn of(&mut self, instrument: &Instrument) -> &mut Waiting {
        let at = match self.waiting.binary_search_by(|(held, _)| held.cmp(instrument)) {
            Ok(at) => at,
            Err(at) => {
                self.waiting.insert(at, (instrument.clone(), Waiting::default()));
                at
            }
        };
        &mut self.waiting[at].1
    }

    /// Keeps a mark.
    pub(super) fn keep_mark(&mut self, change: &MarketChange, config: &BookConfig) {
        let MarketChange::Mark { instrument, source, minute_end_ns, mark } = change else { return };
        let minutes = self.of(instrument).marks.entry(*source).or_default();
        match mark {
            Some(mark) => drop(minutes.insert(*minute_end_ns, *mark)),
            None => drop(minutes.remove(minute_end_ns)),
        }
        let Some((newest_ns, _)) = minutes.last_key_value() else { return };
        let frozen_ns = newest_ns.saturating_sub(config.horizon_ns);
        if let Some((&carried_ns, _)) = minutes.range(..=frozen_ns).next_back() {
            *minutes = minutes.split_off(&carried_ns);
        }
    }

    /// Keeps a payment.
    pub(super) fn keep_funding(&mut self, payment: FundingPayment, config: &BookConfig) {
        let fundings = &mut self.of(&payment.instrument).fundings;
        // Of two the first counts, as in the book.
        fundings.entry(payment.event_time_ns).or_insert(payment);
        let Some((newest_ns, _)) = fundings.last_key_value() else { return };
        let frozen_ns = newest_ns.saturating_sub(config.horizon_ns);
        *fundings = fundings.split_off(&frozen_ns);
    }

    /// Keeps a close; drops the oldest of more than there are scenarios of.
    pub(super) fn keep_close(
        &mut self,
        instrument: &Instrument,
        bar_time_ns: i64,
        close_e8: Option<i64>,
        config: &BookConfig,
    ) {
        let closes = &mut self.of(instrument).closes;
        match close_e8 {
            Some(close_e8) => drop(closes.insert(bar_time_ns, close_e8)),
            None => drop(closes.remove(&bar_time_ns)),
        }
        if closes.len() > config.scenarios + 1 {
            closes.pop_first();
        }
    }

    /// What waited for an instrument's reference data.
    pub(super) fn take(&mut self, instrument: &Instrument) -> Vec<BookEvent> {
        let Ok(at) = self.waiting.binary_search_by(|(held, _)| held.cmp(instrument)) else { return Vec::new() };
        let (instrument, waiting) = self.waiting.remove(at);
        let mark = |source: MarkSource, (minute_end_ns, mark): (i64, Mark)| BookEvent::MinuteMark {
            instrument: instrument.clone(),
            source,
            minute_end_ns,
            mark: Some(mark),
        };
        let marks = waiting.marks.into_iter();
        let marks = marks.flat_map(|(source, minutes)| minutes.into_iter().map(move |minute| (source, minute)));
        let marks = marks.map(|(source, minute)| mark(source, minute));
        let fundings = waiting.fundings.into_values().map(BookEvent::Funding);
        let closes = waiting.closes.into_iter().map(|(bar_time_ns, close_e8)| BookEvent::Close {
            instrument: instrument.clone(),
            bar_time_ns,
            close_e8: Some(close_e8),
        });
        marks.chain(fundings).chain(closes).collect()
    }

    /// Instruments that wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE_NS: i64 = 60_000_000_000;

    fn bitcoin() -> Instrument {
        Instrument::new("venue", "BTCUSDT").expect("a name")
    }

    fn mark(minute: i64, is_there: bool) -> MarketChange {
        let mark = Mark { event_time_ns: minute * MINUTE_NS - 1, sequence: 0, price_e8: minute };
        let (instrument, source) = (bitcoin(), MarkSource::Trade);
        let mark = is_there.then_some(mark);
        MarketChange::Mark { instrument, source, minute_end_ns: minute * MINUTE_NS, mark }
    }

    fn minutes(aside: &mut Aside) -> Vec<i64> {
        let marks = aside.take(&bitcoin()).into_iter().filter_map(|event| match event {
            BookEvent::MinuteMark { minute_end_ns, .. } => Some(minute_end_ns / MINUTE_NS),
            _ => None,
        });
        marks.collect()
    }

    #[test]
    fn a_mark_that_is_cancelled_leaves_the_one_before_it() {
        let config = BookConfig::default();
        let mut aside = Aside::default();
        [mark(1, true), mark(2, true), mark(3, true), mark(3, false)]
            .iter()
            .for_each(|change| aside.keep_mark(change, &config));
        assert_eq!(minutes(&mut aside), [1, 2]);
    }

    #[test]
    fn only_the_horizon_waits() {
        let config = BookConfig { horizon_ns: 10 * MINUTE_NS, ..BookConfig::default() };
        let mut aside = Aside::default();
        for minute in 1..=1_000 {
            aside.keep_mark(&mark(minute, true), &config);
            let event_time_ns = minute * MINUTE_NS;
            let payment = FundingPayment { instrument: bitcoin(), rate_e12: 1, mark_price_e8: None, event_time_ns };
            aside.keep_funding(payment, &config);
        }
        assert_eq!(aside.of(&bitcoin()).fundings.len(), 11);
        assert_eq!(minutes(&mut aside), (990..=1_000).collect::<Vec<_>>());
    }
}
