//! A position in the book: what it shows, and the sums that this is part of.

use super::AccountBook;
use super::account::add;
use crate::exact::{ONE_E8, mul_div};
use crate::positions::{Holding, OutOfRange, Position};
use crate::valuation::{Cell, Exposure, Group};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::Holder;

/// The sums that a position is part of: account, strategy, symbol, sector, asset class, venue.
const SCOPES: usize = 6;

/// Which of them is the symbol's.
const SYMBOL: usize = 2;

#[derive(Debug)]
pub(super) struct Held {
    pub(super) holder: Holder,
    pub(super) account: usize,
    pub(super) instrument: usize,
    pub(super) position: Position,
    /// What it has added to its sums.
    pub(super) shown: Cell,
    /// Fees that it has added to those of its account and strategy.
    fees: BTreeMap<Arc<str>, i128>,
    /// Its signed exposure in scenarios, eight decimals.
    pub(super) exposure_e8: i128,
    cells: [usize; SCOPES],
    top: usize,
    /// Its strategy's vector.
    pub(super) vector: usize,
}

/// What a holding shows at a mark.
///
/// # Errors
/// If its worth is out of range.
pub(super) fn shown(holding: &Holding, position: &Position, mark_price_e8: Option<i64>) -> Result<Cell, OutOfRange> {
    let mut cell = Cell {
        realised_e16: holding.realised_e16,
        funding_e16: holding.funding_e16,
        open: i64::from(holding.quantity_e8 != 0),
        ..Cell::default()
    };
    match mark_price_e8 {
        _ if cell.open == 0 => {}
        None => cell.unmarked = 1,
        Some(price) => {
            let worth = position.contract().worth_e16(price, holding.quantity_e8)?;
            let gross_e16 = worth.abs();
            let net_e16 = gross_e16 * i128::from(holding.quantity_e8.signum());
            cell.exposure = Exposure { gross_e16, net_e16 };
            cell.unrealised_e16 = worth - holding.basis_e16;
        }
    }
    Ok(cell)
}

/// What a holding shows at a mark; one whose worth is out of range there is as good as unmarked, so that it stops no other.
pub(super) fn shown_or_unmarked(holding: &Holding, position: &Position, mark_price_e8: Option<i64>) -> Cell {
    let cell = shown(holding, position, mark_price_e8).or_else(|_| shown(holding, position, None));
    cell.expect("without a price nothing can be out of range")
}

impl AccountBook {
    /// The price at which an instrument is valued now.
    pub(super) fn price_e8(&self, instrument: usize) -> Option<i64> {
        self.instruments[instrument].mark(self.config.mark_source).map(|mark| mark.price_e8)
    }

    /// Takes up a position that shows nothing yet.
    pub(super) fn add_position(&mut self, holder: Holder, instrument: usize, position: Position) -> usize {
        let account = self.account(&holder.account);
        let currency = self.instruments[instrument].reference.settlement_currency().clone();
        let cells = self.scopes(account, &holder, instrument);
        let top = self.top(account, &currency);
        let vector = self.vector(account, &holder.strategy, &currency);
        let number = self.positions.len();
        self.positions.push(Held {
            holder: holder.clone(),
            account,
            instrument,
            position,
            shown: Cell::default(),
            fees: BTreeMap::new(),
            exposure_e8: 0,
            cells,
            top,
            vector,
        });
        self.position_numbers.insert((holder, instrument), number);
        self.accounts[account].positions.push(number);
        self.instruments[instrument].positions.push(number);
        number
    }

    fn scopes(&mut self, account: usize, holder: &Holder, instrument: usize) -> [usize; SCOPES] {
        let reference = self.instruments[instrument].reference.clone();
        let currency = reference.settlement_currency();
        [
            Group::Account,
            Group::Strategy(holder.strategy.clone()),
            Group::Symbol(reference.instrument.clone()),
            Group::Sector(reference.sector.clone()),
            Group::AssetClass(reference.asset_class.clone()),
            Group::Venue(reference.instrument.venue.clone()),
        ]
        .map(|scope| self.cell(account, scope, currency))
    }

    /// Takes a position out of the sums of its old sector and class, and puts it into those of the new.
    pub(super) fn move_scopes(&mut self, number: usize) {
        let Held { account, instrument, ref holder, shown, .. } = self.positions[number];
        let cells = self.scopes(account, &holder.clone(), instrument);
        self.touch(account);
        let old = std::mem::replace(&mut self.positions[number].cells, cells);
        for (old, new) in old.into_iter().zip(cells).filter(|(old, new)| old != new) {
            self.cells[old].shift(&shown, &Cell::default());
            self.cells[new].shift(&Cell::default(), &shown);
        }
    }

    /// Lets a position show something else: the difference goes into every sum and vector that it is part of.
    pub(super) fn show(&mut self, number: usize, next: Cell) {
        self.touch(self.positions[number].account);
        let held = &mut self.positions[number];
        let old = std::mem::replace(&mut held.shown, next);
        if old == next {
            return;
        }
        let (instrument, top) = (held.instrument, held.top);
        let symbol = &self.cells[held.cells[SYMBOL]];
        let before = (symbol.exposure.gross_e16, symbol.open);
        for cell in held.cells {
            self.cells[cell].shift(&old, &next);
        }
        let symbol = &self.cells[held.cells[SYMBOL]];
        let after = (symbol.exposure.gross_e16, symbol.open);
        if before != after {
            if before.1 > 0 {
                self.tops[top].remove(&(before.0, instrument));
            }
            if after.1 > 0 {
                self.tops[top].insert((after.0, instrument));
            }
        }
        let exposure = mul_div(next.exposure.net_e16, 1, ONE_E8).expect("a quotient by more than one fits");
        let change = exposure - std::mem::replace(&mut held.exposure_e8, exposure);
        if change != 0 {
            self.vectors[held.vector].add_exposure(change, self.grid.factors_e9(instrument));
        }
        if next.open != old.open {
            let opened = if next.open > old.open { 1 } else { -1 };
            self.vectors[held.vector].add_positions(opened, self.grid.is_missing(instrument));
            self.count_open(instrument, opened);
        }
    }

    fn count_open(&mut self, instrument: usize, opened: i32) {
        let known = &mut self.instruments[instrument];
        let was_open = known.open > 0;
        known.open = if opened > 0 { known.open + 1 } else { known.open - 1 };
        let is_open = known.open > 0;
        if let Some(mark) = known.mark(self.config.mark_source)
            && was_open != is_open
        {
            let age = (mark.event_time_ns, instrument);
            if is_open {
                self.ages.insert(age)
            } else {
                self.ages.remove(&age)
            };
        }
    }

    /// Lets the fees of a position be those of its holding.
    pub(super) fn show_fees(&mut self, number: usize) {
        let held = &mut self.positions[number];
        let now = &held.position.current().fees_e16;
        if held.fees == *now {
            return;
        }
        let fees = now.clone();
        let old = std::mem::replace(&mut held.fees, fees.clone());
        let strategy = held.holder.strategy.clone();
        let lines = &mut self.accounts[held.account].fees;
        for (amounts, sign) in [(&old, -1), (&fees, 1)] {
            for (currency, amount) in amounts {
                for owner in [None, Some(strategy.clone())] {
                    *lines.entry((owner, currency.clone())).or_default() += sign * amount;
                }
            }
        }
    }

    /// Adds (or takes away) what a position had come to at the ends of some minutes to the samples of its account.
    pub(super) fn sample_position(&mut self, number: usize, times: &[i64], sign: i128) {
        if !times.is_empty() {
            let account = self.positions[number].account;
            self.accounts[account].last = None;
            self.touch(account);
        }
        self.add_to_samples(number, times, sign);
    }

    /// The same where the samples are new: no fold knows them yet.
    pub(super) fn add_to_samples(&mut self, number: usize, times: &[i64], sign: i128) {
        let source = self.config.mark_source as usize;
        let held = &self.positions[number];
        let known = &self.instruments[held.instrument];
        let currency = known.reference.settlement_currency();
        let samples = &mut self.accounts[held.account].samples;
        for time in times {
            let sample = samples.get_mut(time).expect("accounts are sampled at the book's times");
            let holding = held.position.before(*time);
            let price = known.marks[source].at(*time).map(|mark| mark.price_e8);
            // A worth out of range is no worth: the sample has no equity.
            let cell = shown_or_unmarked(&holding, &held.position, price);
            add(&mut sample.sums, currency, sign * (cell.realised_e16 + cell.funding_e16 + cell.unrealised_e16));
            for (currency, fee) in &holding.fees_e16 {
                add(&mut sample.sums, currency, -sign * fee);
            }
            sample.unmarked += i64::try_from(sign).expect("one or minus one") * cell.unmarked;
        }
    }
}
