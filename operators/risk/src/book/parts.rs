//! What the positions of an account have in common: exposure by sector, class, venue and instrument; and positions by number.

use super::AccountBook;
use super::numbers::converted;
use super::samples::Rates;
use crate::valuation::{Exposure, Group};
use std::collections::BTreeMap;
use tidewheel_schemas::{Holder, Instrument};

impl AccountBook {
    /// The sectors, asset classes, venues and instruments in which an account holds something, in the account's base currency. None
    /// where something is unmarked, or there is no rate.
    ///
    /// Costs the instruments that the account ever held: for a report, not for every tick.
    pub fn parts(&self, account: &str) -> BTreeMap<Group, Option<Exposure>> {
        let Some(number) = self.account_numbers.get(account) else { return BTreeMap::new() };
        let account = &self.accounts[*number];
        let mut rates = Rates::new(self, &account.base_currency, None);
        let mut parts: BTreeMap<Group, Option<Exposure>> = BTreeMap::new();
        for ((group, currency), cell) in &account.cells {
            let cell = &self.cells[*cell];
            if cell.open == 0 || matches!(group, Group::Account | Group::Strategy(_)) {
                continue;
            }
            let own = match rates.rate(currency) {
                _ if cell.unmarked > 0 => None,
                // Nothing needs no rate.
                _ if cell.exposure == Exposure::default() => Some(Exposure::default()),
                Ok(rate) => converted(&cell.exposure, rate),
                Err(_) => None,
            };
            let sum = parts.entry(group.clone()).or_insert(Some(Exposure::default()));
            *sum = sum.zip(own).and_then(|(sum, own)| {
                let gross_e16 = sum.gross_e16.checked_add(own.gross_e16)?;
                Some(Exposure { gross_e16, net_e16: sum.net_e16.checked_add(own.net_e16)? })
            });
        }
        parts
    }

    /// The number of a position: that of its place among those that the book ever had, the same for its life and over restarts.
    pub fn position_number(&self, holder: &Holder, instrument: &Instrument) -> Option<usize> {
        let instrument = *self.instrument_numbers.get(instrument)?;
        self.position_numbers.get(&(holder.clone(), instrument)).copied()
    }

    /// Of each position that holds something its number, and the price that it is valued at with the event time of it; by number.
    pub fn open_marks(&self) -> impl Iterator<Item = (usize, Option<(i64, i64)>)> {
        let open = self.positions.iter().enumerate().filter(|(_, held)| held.shown.open > 0);
        open.map(|(number, held)| {
            let mark = self.instruments[held.instrument].mark(self.config.mark_source);
            (number, mark.map(|mark| (mark.price_e8, mark.event_time_ns)))
        })
    }

    /// A position by its number; none if there is none of it.
    pub fn position_at(&self, number: usize) -> Option<super::PositionNumbers> {
        (number < self.positions.len()).then(|| self.position_numbers_of(number))
    }
}
