//! Which accounts may have other numbers than when this was last asked, and the folds of their samples, kept until samples change.
//!
//! What moves the numbers of an account: its own records, marks and scenarios of what it holds, marks of rates where it has money in other
//! currencies, the end of a minute, and time where it makes a mark stale or begins a day. To say too many is only slow.

use super::AccountBook;
use super::account::Account;
use super::samples::Folded;
use crate::equity::Curve;
use std::collections::BTreeSet;
use std::sync::Arc;
use tidewheel_schemas::Instrument;

/// What was touched since it was last asked. Not kept between runs: a book that was restored has touched everything.
#[derive(Debug, Default)]
pub(super) struct Touched {
    accounts: BTreeSet<usize>,
    /// All of them.
    is_all: bool,
    /// Those that have money in other currencies than their own.
    is_rate: bool,
    /// Counts the changes of past rates: folds of accounts that need rates are of one of these.
    past_rates: u64,
}

/// The fold of an account through its last sample, and the past rates that it is of.
#[derive(Debug)]
pub(super) struct Last(u64, Folded);

impl Last {
    /// Whether it is without a sample that did not fit; that one may leave the horizon.
    pub(super) const fn is_broken(&self) -> bool {
        self.1.is_broken
    }
}

impl Account {
    /// Whether its numbers need a rate, or did inside the horizon.
    fn needs_rates(&self) -> bool {
        let other = |currency: &Arc<str>| *currency != self.base_currency;
        self.tops.keys().any(other)
            || self.deposits.keys().any(other)
            || self.fees.keys().any(|(_, currency)| other(currency))
            || self.folded.waiting.keys().any(other)
            || self.movements.values().any(|movement| other(&movement.currency))
    }
}

impl AccountBook {
    /// The accounts whose numbers may be others than when this was last asked, by name; in a book that was restored all.
    pub fn take_touched(&mut self) -> BTreeSet<Arc<str>> {
        let Touched { accounts, is_all, is_rate, past_rates } = std::mem::take(&mut self.touched);
        self.touched.past_rates = past_rates;
        let all = 0..self.accounts.len();
        let touched: Vec<usize> = if is_all {
            all.collect()
        } else if is_rate {
            all.filter(|number| accounts.contains(number) || self.accounts[*number].needs_rates()).collect()
        } else {
            accounts.into_iter().collect()
        };
        for &number in &touched {
            if self.last(number).is_none() {
                let folded = self.folded_until(number, i64::MAX);
                self.accounts[number].last = Some(Last(past_rates, folded));
            }
        }
        touched.into_iter().map(|number| self.accounts[number].name.clone()).collect()
    }

    pub(super) fn touch(&mut self, account: usize) {
        self.touched.accounts.insert(account);
    }

    pub(super) const fn touch_all(&mut self) {
        self.touched.is_all = true;
    }

    /// Touches who holds an instrument.
    pub(super) fn touch_holders(&mut self, instrument: usize) {
        for number in &self.instruments[instrument].positions {
            let held = &self.positions[*number];
            if held.shown.open > 0 {
                self.touched.accounts.insert(held.account);
            }
        }
    }

    /// The accounts whose equity a price of an instrument moves: of those who hold it, and, where it is a rate, of those who need any.
    pub fn moved_by(&self, instrument: &Instrument) -> impl Iterator<Item = &Arc<str>> {
        let known = self.instrument_numbers.get(instrument).map(|number| &self.instruments[*number]);
        let held = known.into_iter().flat_map(|known| &known.positions).map(|number| &self.positions[*number]);
        let holders = held.filter(|held| held.shown.open > 0).map(|held| &self.accounts[held.account]);
        let is_rate = known.is_some_and(|known| known.is_rate);
        let others = self.accounts.iter().filter(move |account| is_rate && account.needs_rates());
        holders.chain(others).map(|account| &account.name)
    }

    /// Touches who needs rates, now and, where they moved in the past, then.
    pub(super) fn touch_rates(&mut self, is_past: bool) {
        self.touched.is_rate = true;
        self.touched.past_rates += u64::from(is_past);
    }

    /// Touches whom time alone gives other numbers: marks that are stale now, another day.
    pub(super) fn touch_by_time(&mut self, before_ns: i64, now_ns: i64) {
        let offset_ns = self.config.day_offset_ns;
        if Curve::day_of(before_ns, offset_ns) != Curve::day_of(now_ns, offset_ns) {
            self.touch_all();
        }
        let oldest = |time_ns: i64| time_ns.saturating_sub(self.config.mark_stale_after_ns);
        let grown_old = oldest(before_ns)..oldest(now_ns);
        let held: Vec<usize> =
            self.ages.range((grown_old.start, 0)..(grown_old.end, 0)).map(|(_, instrument)| *instrument).collect();
        held.into_iter().for_each(|instrument| self.touch_holders(instrument));
        let source = self.config.mark_source;
        let mut rates = self.instruments.iter().filter(|known| known.is_rate).filter_map(|known| known.mark(source));
        if rates.any(|mark| grown_old.contains(&mark.event_time_ns)) {
            self.touch_rates(false);
        }
    }

    /// The fold of an account through its last sample, if it is kept.
    pub(super) fn last(&self, account: usize) -> Option<&Folded> {
        let account = &self.accounts[account];
        let Last(past_rates, folded) = account.last.as_ref()?;
        (*past_rates == self.touched.past_rates || !account.needs_rates()).then_some(folded)
    }

    /// Takes a sample that was just made into the folds that are kept.
    pub(super) fn fold_last(&mut self, time_ns: i64) {
        for number in 0..self.accounts.len() {
            let next = self.last(number).map(|folded| self.stepped(number, folded.clone(), time_ns));
            self.accounts[number].last = next.map(|folded| Last(self.touched.past_rates, folded));
        }
    }
}
