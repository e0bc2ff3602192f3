//! Funding: payments of perpetual contracts, and the price that each is reckoned with.
//!
//! A payment that names no price is reckoned with the mark of the end of the last minute at or before it: the newest, and of those of one
//! minute the venue's own, else that of trades, else the mid. It is reckoned anew when that mark changes, so that what it comes to depends on the set of records
//! inside the horizon, not on their order. Until there is a mark it is not in the accounts, which is told; if there is none when it leaves
//! the horizon it never will be, which is told too.

use super::apply::funding_entry;
use super::held::shown_or_unmarked;
use super::{AccountBook, Known, Outcome, Refusal};
use crate::positions::OutOfRange;
use crate::valuation::{MarkSource, minute_end_ns};
use serde::{Deserialize, Serialize};
use tidewheel_schemas::{FundingPayment, Instrument, PRICE_LIMIT_E8};

/// Where the price of a payment comes from that names none: of marks of one minute the last of these.
const SOURCES: [MarkSource; MarkSource::COUNT] = [MarkSource::Mid, MarkSource::Trade, MarkSource::Venue];

/// A payment inside the horizon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Funding {
    pub(super) payment: FundingPayment,
    /// What it is reckoned with; none where that is not known.
    pub(super) price_e8: Option<i64>,
}

/// What became of payments since this was asked last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FundingNews {
    /// Those that came and have no price so far, by time and instrument.
    pub unpriced: Vec<FundingPayment>,
    /// Those that left the horizon without one: they are in no account.
    pub lost: Vec<FundingPayment>,
    /// Instruments of which a payment has another price than it had.
    pub repriced: Vec<Instrument>,
}

impl Known {
    /// What a payment of a time is reckoned with that names no price.
    fn funding_price_e8(&self, event_time_ns: i64) -> Option<i64> {
        let minute = AccountBook::minute_at(event_time_ns);
        let marks = SOURCES.iter().filter_map(|source| self.marks[*source as usize].at(minute));
        marks.max_by_key(|mark| minute_end_ns(mark.event_time_ns)).map(|mark| mark.price_e8)
    }
}

impl AccountBook {
    pub(super) fn funding(&mut self, payment: FundingPayment) -> Result<Outcome, Refusal> {
        if payment.mark_price_e8.is_some_and(|price| price <= 0) {
            return Err(Refusal::NotPositive("mark price"));
        }
        if payment.mark_price_e8.is_some_and(|price| price >= PRICE_LIMIT_E8) {
            return Err(OutOfRange("mark price").into());
        }
        // More than everything is no rate.
        if payment.rate_e12.unsigned_abs() > 1_000_000_000_000 {
            return Err(OutOfRange("rate").into());
        }
        let instrument = self.known(&payment.instrument)?;
        let time_ns = payment.event_time_ns;
        if time_ns < self.frozen_ns {
            return Ok(Outcome::Late);
        }
        let known = &self.instruments[instrument];
        match known.fundings.get(&time_ns) {
            Some(known) if known.payment == payment => return Ok(Outcome::Duplicate),
            Some(_) => return Err(Refusal::Conflict("funding payment")),
            None => {}
        }
        let price_e8 = payment.mark_price_e8.or_else(|| known.funding_price_e8(time_ns));
        self.price_funding(instrument, &Funding { payment: payment.clone(), price_e8: None }, price_e8);
        if price_e8.is_none() {
            self.news.unpriced.push(payment.clone());
        }
        self.instruments[instrument].fundings.insert(time_ns, Funding { payment, price_e8 });
        Ok(Outcome::Applied)
    }

    /// Reckons the payments of an instrument anew of which the mark is another one now.
    pub(super) fn reprice_fundings(&mut self, instrument: usize) {
        let known = &self.instruments[instrument];
        let unnamed = known.fundings.values().filter(|funding| funding.payment.mark_price_e8.is_none());
        let priced = unnamed.map(|funding| (funding.clone(), known.funding_price_e8(funding.payment.event_time_ns)));
        let changed: Vec<_> = priced.filter(|(funding, price_e8)| funding.price_e8 != *price_e8).collect();
        for (funding, price_e8) in changed {
            self.price_funding(instrument, &funding, price_e8);
            let known = &mut self.instruments[instrument];
            let held = known.fundings.get_mut(&funding.payment.event_time_ns).expect("it was there just now");
            held.price_e8 = price_e8;
            self.news.repriced.push(known.reference.instrument.clone());
            if price_e8.is_none() {
                self.news.unpriced.push(funding.payment);
            }
        }
    }

    /// Lets every position of an instrument pay at a price, or not at all, in the place of what it paid. One that the payment does not fit
    /// is without it, which is a fault of its account's and stops no other.
    fn price_funding(&mut self, instrument: usize, funding: &Funding, price_e8: Option<i64>) {
        let entry = |price_e8: Option<i64>| price_e8.map(|price_e8| funding_entry(&funding.payment, price_e8));
        let without = entry(funding.price_e8).map(|(key, _)| key);
        let with = entry(price_e8);
        let mark = self.price_e8(instrument);
        let (mut changes, mut unpaid) = (Vec::new(), Vec::new());
        for &number in &self.instruments[instrument].positions {
            let position = &self.positions[number].position;
            let paid = position.prepare(without.as_ref(), with.as_ref().map(|(key, entry)| (key, entry)));
            let (prepared, with) = match paid {
                Ok(prepared) => (prepared, with.clone()),
                Err(_) => {
                    unpaid.push(self.positions[number].account);
                    let Ok(prepared) = position.prepare(without.as_ref(), None) else { continue };
                    (prepared, None)
                }
            };
            let cell = shown_or_unmarked(prepared.holding(), position, mark);
            changes.push((number, prepared, cell, without.clone(), with));
        }
        for account in unpaid {
            self.accounts[account].lose(&funding.payment.instrument);
        }
        self.make(changes, funding.payment.event_time_ns);
    }

    /// Forgets what leaves the horizon.
    pub(super) fn freeze_fundings(&mut self, frozen_ns: i64) {
        for known in &mut self.instruments {
            let kept = known.fundings.split_off(&frozen_ns);
            let frozen = std::mem::replace(&mut known.fundings, kept);
            let lost = frozen.into_values().filter(|funding| funding.price_e8.is_none());
            self.news.lost.extend(lost.map(|funding| funding.payment));
        }
    }

    /// What became of payments since this was asked last. To be asked before the book is saved.
    pub fn take_funding_news(&mut self) -> FundingNews {
        let mut news = std::mem::take(&mut self.news);
        news.unpriced.retain(|payment| {
            let known = self.known(&payment.instrument).ok().map(|number| &self.instruments[number]);
            let held = known.and_then(|known| known.fundings.get(&payment.event_time_ns));
            held.is_some_and(|held| held.price_e8.is_none())
        });
        for payments in [&mut news.unpriced, &mut news.lost] {
            payments.sort_by(|one, other| {
                (one.event_time_ns, &one.instrument).cmp(&(other.event_time_ns, &other.instrument))
            });
            payments.dedup();
        }
        news.repriced.sort_unstable();
        news.repriced.dedup();
        news
    }
}
