//! Single positions and instruments of a book, contributions to value at risk, and the size of its state.

use super::AccountBook;
use super::numbers::converted;
use super::samples::Rates;
use crate::exact::mul_div;
use crate::positions::{FillLog, TripTally};
use crate::scenarios::{Confidence, component_var};
use crate::valuation::{Exposure, Group, MarkHistory};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{Holder, Instrument};

/// One position, in its settlement currency, sixteen decimals.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PositionNumbers {
    /// Whose.
    pub holder: Holder,
    /// Of what.
    pub instrument: Instrument,
    /// What amounts are in.
    pub currency: Arc<str>,
    /// Above zero long, below zero short, eight decimals.
    pub quantity_e8: i64,
    /// The average price at entry of what is held, eight decimals.
    pub average_price_e8: Option<i64>,
    /// The price it is valued at, and the event time of it.
    pub mark: Option<(i64, i64)>,
    /// Made by closing.
    pub realised_e16: i128,
    /// Worth at the mark less cost; none without a mark.
    pub unrealised_e16: Option<i128>,
    /// Received as funding.
    pub funding_e16: i128,
    /// Paid in fees, by currency.
    pub fees_e16: BTreeMap<Arc<str>, i128>,
    /// Gross and net worth; none without a mark.
    pub exposure: Option<Exposure>,
    /// Its round trips.
    pub trips: TripTally,
}

/// What an instrument contributes to the value at risk of its account, in the account's base currency. Below zero for a hedge.
#[derive(Clone, Debug, PartialEq)]
pub struct Component {
    /// Which.
    pub instrument: Instrument,
    /// To `parametric_var_95`; the contributions add up to it.
    pub parametric_var_95: f64,
    /// To `parametric_var_99`.
    pub parametric_var_99: f64,
    /// To `historical_var_95`, sixteen decimals: its loss in that scenario. The contributions add up to it but for the rounding of each.
    /// Of several scenarios with the same loss the oldest is taken.
    pub historical_var_95_e16: i128,
}

/// How much a book keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookSize {
    /// Accounts.
    pub accounts: usize,
    /// Instruments.
    pub instruments: usize,
    /// Positions, those that hold nothing included.
    pub positions: usize,
    /// Positions that hold something.
    pub open_positions: usize,
    /// Fills and funding payments inside the horizon, one for each position.
    pub entries: usize,
    /// Fill ids inside the horizon.
    pub fill_ids: usize,
    /// Marks of minutes.
    pub marks: usize,
    /// Equity samples.
    pub samples: usize,
    /// Sums.
    pub cells: usize,
    /// Vectors of scenarios.
    pub vectors: usize,
}

impl AccountBook {
    /// The positions of an account that hold or ever held something, in the order they were opened.
    pub fn positions(&self, account: &str) -> impl Iterator<Item = PositionNumbers> {
        let account = self.account_numbers.get(account).map(|number| &self.accounts[*number]);
        let numbers = account.into_iter().flat_map(|account| &account.positions);
        numbers.map(|number| self.position_numbers_of(*number))
    }

    /// One position; none if there never was one.
    pub fn position(&self, holder: &Holder, instrument: &Instrument) -> Option<PositionNumbers> {
        let instrument = *self.instrument_numbers.get(instrument)?;
        let number = self.position_numbers.get(&(holder.clone(), instrument))?;
        Some(self.position_numbers_of(*number))
    }

    pub(super) fn position_numbers_of(&self, number: usize) -> PositionNumbers {
        let held = &self.positions[number];
        let (known, holding) = (&self.instruments[held.instrument], held.position.current());
        let is_valued = held.shown.unmarked == 0;
        let average_price_e8 = held.position.contract().price_of_e8(holding.basis_e16, holding.quantity_e8);
        PositionNumbers {
            holder: held.holder.clone(),
            instrument: known.reference.instrument.clone(),
            currency: known.reference.settlement_currency().clone(),
            quantity_e8: holding.quantity_e8,
            average_price_e8,
            mark: known.mark(self.config.mark_source).map(|mark| (mark.price_e8, mark.event_time_ns)),
            realised_e16: holding.realised_e16,
            unrealised_e16: is_valued.then_some(held.shown.unrealised_e16),
            funding_e16: holding.funding_e16,
            fees_e16: holding.fees_e16.clone(),
            exposure: is_valued.then_some(held.shown.exposure),
            trips: holding.trips.clone(),
        }
    }

    /// The exposure of an account to one instrument, in the account's base currency. Zero where nothing is held; none where there is no
    /// mark or no rate.
    pub fn symbol(&self, account: &str, instrument: &Instrument) -> Option<Exposure> {
        let known = &self.instruments[*self.instrument_numbers.get(instrument)?];
        let Some(number) = self.account_numbers.get(account) else { return Some(Exposure::default()) };
        let account = &self.accounts[*number];
        let currency = known.reference.settlement_currency();
        let Some(cell) = account.cells.get(&(Group::Symbol(instrument.clone()), currency.clone())) else {
            return Some(Exposure::default());
        };
        let cell = &self.cells[*cell];
        if cell.unmarked > 0 {
            return None;
        }
        let mut rates = Rates::new(self, &account.base_currency, None);
        converted(&cell.exposure, rates.rate(currency).as_ref().ok()?)
    }

    /// What each instrument contributes to the value at risk of its account. None with too few scenarios or without a rate.
    ///
    /// Costs the account's positions times the scenarios: for a report, not for every tick.
    pub fn components(&self, account: &str) -> Option<Vec<Component>> {
        let account = &self.accounts[*self.account_numbers.get(account)?];
        let mut rates = Rates::new(self, &account.base_currency, None);
        let profits = self.profits(&self.vectors_of(account, None, &mut rates)?)?;
        if profits.len() < self.config.scenarios_min {
            return None;
        }
        let mut worst: Vec<usize> = (0..profits.len()).collect();
        worst.sort_by_key(|at| profits[*at].1);
        let at = profits[worst[Confidence::P95.worst(worst.len()) - 1]].1;
        let (slot_95, _) = *profits.iter().find(|(_, profit)| *profit == at)?;

        // By name, since sums of floats go by their order, and numbers by that in which references came.
        let mut exposures: BTreeMap<&Instrument, (usize, i128)> = BTreeMap::new();
        for number in &account.positions {
            let held = &self.positions[*number];
            let name = &self.instruments[held.instrument].reference.instrument;
            exposures.entry(name).or_insert((held.instrument, 0)).1 += held.exposure_e8;
        }
        exposures.retain(|_, (_, exposure)| *exposure != 0);
        let (mut parts, mut historical) = (Vec::new(), Vec::new());
        for (instrument, exposure) in exposures.values() {
            let currency = self.instruments[*instrument].reference.settlement_currency();
            let rate = rates.rate(currency).as_ref().ok()?;
            let factors = self.grid.factors_e9(*instrument);
            let profit = |slot: usize| rate.convert(exposure * i128::from(factors[slot]));
            let part = profits.iter().map(|(slot, _)| profit(*slot).map(|profit| profit as f64 / 1e17));
            parts.push(part.collect::<Option<Vec<f64>>>()?);
            historical.push(-mul_div(profit(slot_95)?, 1, 10)?);
        }
        let (at_95, at_99) = (component_var(&parts, Confidence::P95), component_var(&parts, Confidence::P99));
        let components = exposures.keys().zip(historical).zip(at_95.into_iter().zip(at_99));
        Some(
            components
                .map(|((instrument, historical_var_95_e16), (parametric_var_95, parametric_var_99))| Component {
                    instrument: (*instrument).clone(),
                    parametric_var_95,
                    parametric_var_99,
                    historical_var_95_e16,
                })
                .collect(),
        )
    }

    /// The size of the state.
    pub fn size(&self) -> BookSize {
        BookSize {
            accounts: self.accounts.len(),
            instruments: self.instruments.len(),
            positions: self.positions.len(),
            open_positions: self.instruments.iter().map(|known| known.open).sum(),
            entries: self.positions.iter().map(|held| held.position.entries()).sum(),
            fill_ids: self.logs.values().map(FillLog::len).sum(),
            marks: self.instruments.iter().flat_map(|known| &known.marks).map(MarkHistory::len).sum(),
            samples: self.accounts.iter().map(|account| account.samples.len()).sum(),
            cells: self.cells.len(),
            vectors: self.vectors.len(),
        }
    }
}
