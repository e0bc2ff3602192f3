//! What others ask of a book one by one: a mark, a rate, what is held, what a fill is by now, what equity was at the ends of minutes.

use super::AccountBook;
use super::numbers::converted;
use super::samples::Rates;
use crate::equity::Curve;
use crate::valuation::{Exposure, Group, Mark, NoRate, Rate};
use std::sync::Arc;
use tidewheel_schemas::{Fill, Holder, Instrument, InstrumentReference};

impl AccountBook {
    /// What is known of an instrument.
    pub fn reference_of(&self, instrument: &Instrument) -> Option<&InstrumentReference> {
        Some(&self.instruments[*self.instrument_numbers.get(instrument)?].reference)
    }

    /// What an instrument is valued at.
    pub fn mark_of(&self, instrument: &Instrument) -> Option<&Mark> {
        self.instruments[*self.instrument_numbers.get(instrument)?].mark(self.config.mark_source)
    }

    /// The rate of a currency into the base currency of an account, known or not.
    ///
    /// # Errors
    /// If no way between them has marks.
    pub fn rate(&self, account: &str, currency: &Arc<str>) -> Result<Rate, NoRate> {
        let number = self.account_numbers.get(account).copied();
        let base = number.map_or_else(
            || self.config.base_currencies.get(account).unwrap_or(&self.config.base_currency),
            |number| &self.accounts[number].base_currency,
        );
        Rates::new(self, base, None).rate(currency).clone()
    }

    /// What is held, eight decimals; below zero where it is short.
    pub fn quantity_e8(&self, holder: &Holder, instrument: &Instrument) -> i64 {
        let number = self.instrument_numbers.get(instrument);
        let number = number.and_then(|number| self.position_numbers.get(&(holder.clone(), *number)));
        number.map_or(0, |number| self.positions[*number].position.current().quantity_e8)
    }

    /// Who ever held an instrument.
    pub fn holders(&self, instrument: &Instrument) -> impl Iterator<Item = &Holder> {
        let known = self.instrument_numbers.get(instrument).map(|number| &self.instruments[*number]);
        known.into_iter().flat_map(|known| &known.positions).map(|number| &self.positions[*number].holder)
    }

    /// A fill as it is right by now; none if it was cancelled, never came, or is behind the horizon.
    pub fn effective_fill(&self, account: &str, instrument: &Instrument, fill_id: &str) -> Option<&Fill> {
        let key = (*self.account_numbers.get(account)?, *self.instrument_numbers.get(instrument)?);
        self.logs.get(&key)?.get(fill_id)?.effective()
    }

    /// What an account holds of each instrument, in its base currency. None if something has no mark or no rate.
    ///
    /// Costs the account's instruments.
    pub fn symbols(&self, account: &str) -> Option<Vec<(Instrument, Exposure)>> {
        let account = &self.accounts[*self.account_numbers.get(account)?];
        let mut rates = Rates::new(self, &account.base_currency, None);
        let mut symbols = Vec::new();
        for ((group, currency), cell) in &account.cells {
            let (Group::Symbol(instrument), cell) = (group, &self.cells[*cell]) else { continue };
            if cell.unmarked > 0 {
                return None;
            }
            if cell.open > 0 {
                let exposure = converted(&cell.exposure, rates.rate(currency).as_ref().ok()?)?;
                symbols.push((instrument.clone(), exposure));
            }
        }
        Some(symbols)
    }

    /// The last end of a minute at which equity was sampled.
    pub fn last_sample_ns(&self) -> Option<i64> {
        self.sample_times.last().copied()
    }

    /// The curve of an account at the end of each minute inside the horizon, as it is known by now.
    pub fn curves(&self, account: &str) -> Vec<(i64, Curve)> {
        let Some(&number) = self.account_numbers.get(account) else { return Vec::new() };
        let mut folded = self.accounts[number].folded.clone();
        let samples = self.accounts[number].samples.keys();
        samples
            .map(|time_ns| {
                folded = self.stepped(number, std::mem::take(&mut folded), *time_ns);
                (*time_ns, folded.curve)
            })
            .collect()
    }

    /// Lets days begin at another time. Days inside the horizon are counted anew; the one that the horizon begins in is not ended by
    /// that, or another hour would be a way to lose what a day has lost so far.
    pub fn set_day_offset(&mut self, day_offset_ns: i64) {
        if self.config.day_offset_ns == day_offset_ns {
            return;
        }
        self.config.day_offset_ns = day_offset_ns;
        for account in &mut self.accounts {
            account.folded.curve.move_days(self.frozen_ns, day_offset_ns);
            account.last = None;
        }
        self.touch_all();
    }
}
