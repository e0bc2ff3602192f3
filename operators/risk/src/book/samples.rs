//! Event time: samples of equity at the ends of minutes, and what leaves the correction horizon.

use super::account::{Amounts, Sample, add};
use super::touched::Last;
use super::{AccountBook, ExpiredChange, MINUTE_NS};
use crate::equity::{Curve, Point};
use crate::exact::ONE_E8;
use crate::valuation::{NoRate, Rate, Seen};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The curve of an account after some of its samples, and what it could not take yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Folded {
    pub(super) curve: Curve,
    /// Deposits less withdrawals in currencies that had no rate so far: they wait for the next sample that has one.
    pub(super) waiting: Amounts,
    /// Whether a sample inside the horizon did not fit, so that the curve does not know of it.
    pub(super) is_broken: bool,
}

/// Rates into the base currency of one account, each looked for once.
pub(super) struct Rates<'a> {
    book: &'a AccountBook,
    to: Arc<str>,
    /// The end of a minute, or none for now.
    at_ns: Option<i64>,
    known: BTreeMap<Arc<str>, Result<Rate, NoRate>>,
}

impl<'a> Rates<'a> {
    pub(super) fn new(book: &'a AccountBook, to: &Arc<str>, at_ns: Option<i64>) -> Self {
        Self { book, to: to.clone(), at_ns, known: BTreeMap::new() }
    }

    /// The rate of a currency.
    pub(super) fn rate(&mut self, from: &Arc<str>) -> &Result<Rate, NoRate> {
        let Self { book, to, at_ns, known } = self;
        if !known.contains_key(from) {
            let time_ns = at_ns.unwrap_or(book.now_ns);
            let oldest = time_ns.saturating_sub(book.config.mark_stale_after_ns);
            let rate = book.pairs.rate(from, to, &book.config.hops, |instrument| {
                let known = &book.instruments[*book.instrument_numbers.get(instrument)?];
                let marks = &known.marks[book.config.mark_source as usize];
                let mark = at_ns.map_or_else(|| marks.current(), |time| marks.at(time))?;
                let is_stale = mark.event_time_ns < oldest;
                Some(Seen { price_e8: mark.price_e8, event_time_ns: mark.event_time_ns, is_stale })
            });
            known.insert(from.clone(), rate);
        }
        &known[from]
    }

    /// The sum of amounts. None if there is no rate of one, or if it does not fit. Nothing needs no rate.
    pub(super) fn sum(&mut self, amounts: &Amounts) -> Option<i128> {
        amounts.iter().filter(|(_, amount)| **amount != 0).try_fold(0i128, |sum, (currency, amount)| {
            sum.checked_add(self.rate(currency).as_ref().ok()?.convert(*amount)?)
        })
    }

    /// Takes out of amounts all that has a rate, and gives its sum. None if it does not fit.
    fn take(&mut self, amounts: &mut Amounts) -> Option<i128> {
        let mut sum = Some(0i128);
        amounts.retain(|currency, amount| {
            let value = self.rate(currency).as_ref().ok().and_then(|rate| rate.convert(*amount));
            if let Some(value) = value {
                sum = sum.and_then(|sum| sum.checked_add(value));
            }
            value.is_none()
        });
        sum
    }

    /// All rates that were looked for.
    pub(super) fn into_known(self) -> BTreeMap<Arc<str>, Result<Rate, NoRate>> {
        self.known
    }
}

impl AccountBook {
    /// Moves event time on, never back. At each minute that ends, equity is sampled, and what leaves the horizon is frozen.
    ///
    /// Records older than the whole horizon are late from then on. Of a time that jumps by more than the horizon only the minutes
    /// inside it are sampled. Gives the changes that waited for their fills in vain.
    pub fn advance(&mut self, now_ns: i64) -> Vec<ExpiredChange> {
        if now_ns <= self.now_ns {
            return Vec::new();
        }
        let is_first = self.now_ns == i64::MIN;
        let minute = Self::minute_at(now_ns);
        let last = if is_first { minute - MINUTE_NS } else { Self::minute_at(self.now_ns) };
        let before_ns = std::mem::replace(&mut self.now_ns, now_ns);
        self.touch_by_time(before_ns, now_ns);
        if minute == last {
            return Vec::new();
        }
        self.touch_all();
        let first = (last + MINUTE_NS).max(minute - self.config.horizon_ns + MINUTE_NS);
        for time in (first..=minute).step_by(MINUTE_NS as usize) {
            self.sample(time);
            self.fold_last(time);
        }
        self.freeze(minute.saturating_sub(self.config.horizon_ns))
    }

    fn sample(&mut self, time_ns: i64) {
        let since = self.sample_times.last().copied().unwrap_or(i64::MIN);
        self.sample_times.insert(time_ns);
        for account in &mut self.accounts {
            let mut sample = Sample { sums: account.deposits.clone(), ..Sample::default() };
            for movement in account.movements.values() {
                let amount = i128::from(movement.amount_e8) * ONE_E8;
                if movement.event_time_ns >= time_ns {
                    add(&mut sample.sums, &movement.currency, -amount);
                } else if movement.event_time_ns >= since {
                    add(&mut sample.flows, &movement.currency, amount);
                }
            }
            account.samples.insert(time_ns, sample);
        }
        for number in 0..self.positions.len() {
            self.add_to_samples(number, &[time_ns], 1);
        }
    }

    fn freeze(&mut self, frozen_ns: i64) -> Vec<ExpiredChange> {
        let mut expired = Vec::new();
        if frozen_ns <= self.frozen_ns {
            return expired;
        }
        for number in 0..self.accounts.len() {
            let mut folded = self.folded_until(number, frozen_ns);
            // A fault for as long as the sample could still be corrected.
            folded.is_broken = false;
            let account = &mut self.accounts[number];
            account.folded = folded;
            if account.last.as_ref().is_some_and(Last::is_broken) {
                account.last = None;
            }
            account.samples = account.samples.split_off(&(frozen_ns + 1));
            account.freeze_movements(frozen_ns);
        }
        self.frozen_ns = frozen_ns;
        self.sample_times = self.sample_times.split_off(&(frozen_ns + 1));
        for held in &mut self.positions {
            held.position.freeze(frozen_ns);
        }
        for ((account, instrument), log) in &mut self.logs {
            expired.extend(log.freeze(frozen_ns).into_iter().map(|fill_id| ExpiredChange {
                account: self.accounts[*account].name.clone(),
                instrument: self.instruments[*instrument].reference.instrument.clone(),
                fill_id,
            }));
        }
        for account in &mut self.accounts {
            for (instrument, log) in &mut account.waiting {
                expired.extend(log.freeze_waiting(frozen_ns).into_iter().map(|fill_id| ExpiredChange {
                    account: account.name.clone(),
                    instrument: instrument.clone(),
                    fill_id,
                }));
            }
            account.waiting.retain(|_, log| !log.is_empty());
        }
        self.logs.retain(|_, log| !log.is_empty());
        for known in &mut self.instruments {
            known.marks.iter_mut().for_each(|marks| marks.freeze(frozen_ns));
        }
        self.freeze_fundings(frozen_ns);
        expired
    }

    /// The curve of an account through its samples up to a time.
    pub(super) fn folded_until(&self, account: usize, until_ns: i64) -> Folded {
        let samples = self.accounts[account].samples.range(..=until_ns);
        let folded = self.accounts[account].folded.clone();
        samples.fold(folded, |folded, (time_ns, _)| self.stepped(account, folded, *time_ns))
    }

    /// A curve after the sample of an account at the end of a minute.
    pub(super) fn stepped(&self, account: usize, mut folded: Folded, time_ns: i64) -> Folded {
        let account = &self.accounts[account];
        let Some(sample) = account.samples.get(&time_ns) else { return folded };
        let mut rates = Rates::new(self, &account.base_currency, Some(time_ns));
        for (currency, amount) in &sample.flows {
            add(&mut folded.waiting, currency, *amount);
        }
        let before = folded.waiting.clone();
        let flow = rates.take(&mut folded.waiting);
        // A flow without a rate leaves no equity either, since it is part of it.
        let is_valued = sample.unmarked == 0 && folded.waiting.is_empty();
        let equity = if is_valued { rates.sum(&sample.sums) } else { None };
        let stepped = flow.and_then(|flow_e16| {
            let point = Point { time_ns, equity_e16: equity, flow_e16 };
            folded.curve.step(&point, self.config.day_offset_ns)
        });
        match stepped {
            Some(curve) => folded.curve = curve,
            None => (folded.waiting, folded.is_broken) = (before, true),
        }
        folded
    }
}
