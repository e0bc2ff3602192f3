//! The state of a position after some of its entries: quantity, cost, and the lines of what was made of it.

use super::{Contract, OutOfRange};
use crate::exact::{TOTAL_LIMIT_E16, mul_div};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// Which cost leaves a position that becomes smaller.
///
/// The total of realised and unrealised is the same for both, to the last digit; they differ in what counts as realised while
/// something is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostMethod {
    /// A share of the whole cost in proportion to the quantity, rounded half to even; the last of it takes all that is left.
    #[default]
    Average,
    /// The cost of the oldest lots; of a lot cut in two a share in proportion, rounded half to even.
    Fifo,
}

/// What happens to a position at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// A fill.
    Fill {
        /// Eight decimals, below zero for a sale.
        quantity_e8: i64,
        /// Its worth at its price, settlement currency, of the quantity's sign where linear.
        worth_e16: i128,
        /// What was paid for it.
        fee_e16: i128,
        /// What the fee was paid in.
        fee_currency: Arc<str>,
    },
    /// A payment that longs make to shorts where the rate is above zero.
    Funding {
        /// Part of the notional value, twelve decimals.
        rate_e12: i64,
        /// The mark price it is reckoned with, eight decimals.
        mark_price_e8: i64,
    },
}

/// A quantity bought (or sold) at once, as far as it is still held. Only kept where the oldest lots leave first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lot {
    /// Signed, eight decimals.
    pub quantity_e8: i64,
    /// Signed worth at its entry.
    pub basis_e16: i128,
}

/// How the round trips ended that went from flat to flat (a flip ends one and begins one), in the settlement currency.
///
/// A trip's result is what it realised, with its funding, less its fees paid in the settlement currency. Fees in other
/// currencies are in the fee lines only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TripTally {
    /// How many ended above zero.
    pub won: u64,
    /// How many ended below zero.
    pub lost: u64,
    /// How many ended at zero exactly.
    pub even: u64,
    /// The sum of those above zero.
    pub profit_e16: i128,
    /// The sum of those below zero, as a positive number.
    pub loss_e16: i128,
    /// The result of the last one, none before the first.
    pub last_e16: Option<i128>,
    /// What the open one has come to so far.
    pub open_e16: i128,
}

impl TripTally {
    fn end(&mut self) -> Result<(), OutOfRange> {
        let result = std::mem::take(&mut self.open_e16);
        match result.signum() {
            1 => (self.won, self.profit_e16) = (self.won + 1, bounded(self.profit_e16 + result, "trip profit")?),
            -1 => (self.lost, self.loss_e16) = (self.lost + 1, bounded(self.loss_e16 - result, "trip loss")?),
            _ => self.even += 1,
        }
        self.last_e16 = Some(result);
        Ok(())
    }
}

/// What a position is after its entries up to some time. Amounts are in the settlement currency, sixteen decimals.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Above zero long, below zero short, eight decimals.
    pub quantity_e8: i64,
    /// The signed worth at entry of what is held: unrealised is the worth at the mark less this.
    pub basis_e16: i128,
    /// What it consists of, oldest first; empty where cost is averaged.
    pub lots: VecDeque<Lot>,
    /// Made by closing, before fees and funding.
    pub realised_e16: i128,
    /// Received as funding; below zero if paid.
    pub funding_e16: i128,
    /// Paid in fees, by currency; below zero where rebates were more.
    pub fees_e16: BTreeMap<Arc<str>, i128>,
    /// Its round trips.
    pub trips: TripTally,
}

impl Holding {
    /// Takes one more entry, the next in order.
    ///
    /// A fill against the position closes first and opens with what is left; its worth is split in proportion, rounded half to even,
    /// the rest going to the opening part, and so is its fee between the round trip that ends and the one that begins.
    ///
    /// # Errors
    /// If a number leaves its bounds; the holding is then of no use.
    pub fn apply(
        &mut self,
        entry: &Entry,
        contract: &Contract,
        settlement: &str,
        method: CostMethod,
    ) -> Result<(), OutOfRange> {
        match entry {
            Entry::Fill { quantity_e8, worth_e16, fee_e16, fee_currency } => {
                let is_settled = **fee_currency == *settlement;
                self.fill(*quantity_e8, *worth_e16, if is_settled { *fee_e16 } else { 0 }, method)?;
                let line = self.fees_e16.entry(fee_currency.clone()).or_default();
                *line = bounded(*line + fee_e16, "fees")?;
            }
            Entry::Funding { rate_e12, mark_price_e8 } => {
                // The worth of an inverse contract has the opposite sign of its side; what is paid goes by the side.
                let notional = contract.worth_e16(*mark_price_e8, self.quantity_e8)?.abs();
                let paid = mul_div(notional, i128::from(*rate_e12), 1_000_000_000_000).ok_or(OutOfRange("funding"))?;
                let received = -paid * i128::from(self.quantity_e8.signum());
                self.funding_e16 = bounded(self.funding_e16 + received, "funding")?;
                self.trips.open_e16 = bounded(self.trips.open_e16 + received, "trip result")?;
            }
        }
        Ok(())
    }

    fn fill(&mut self, quantity_e8: i64, worth: i128, fee: i128, method: CostMethod) -> Result<(), OutOfRange> {
        let is_against = self.quantity_e8.signum() == -quantity_e8.signum();
        if !is_against {
            self.open(quantity_e8, worth, fee, method)?;
            return self.check();
        }
        let (held, filled) = (self.quantity_e8.unsigned_abs(), quantity_e8.unsigned_abs());
        let closing = held.min(filled);
        let share = |of: i128| mul_div(of, closing.into(), filled.into()).ok_or(OutOfRange("worth"));
        let (worth_closing, fee_closing) = (share(worth)?, share(fee)?);
        let released = self.release(closing, method)?;
        let realised = -worth_closing - released;
        self.realised_e16 = bounded(self.realised_e16 + realised, "realised")?;
        self.trips.open_e16 = bounded(self.trips.open_e16 + realised - fee_closing, "trip result")?;
        let closed = i64::try_from(closing).map_err(|_| OutOfRange("quantity"))? * quantity_e8.signum();
        self.quantity_e8 += closed;
        if self.quantity_e8 == 0 {
            self.trips.end()?;
        }
        if filled > closing {
            self.open(quantity_e8 - closed, worth - worth_closing, fee - fee_closing, method)?;
        }
        self.check()
    }

    fn open(&mut self, quantity_e8: i64, worth: i128, fee: i128, method: CostMethod) -> Result<(), OutOfRange> {
        self.quantity_e8 = self.quantity_e8.checked_add(quantity_e8).ok_or(OutOfRange("quantity"))?;
        self.basis_e16 = bounded(self.basis_e16 + worth, "cost basis")?;
        self.trips.open_e16 = bounded(self.trips.open_e16 - fee, "trip result")?;
        if method == CostMethod::Fifo {
            self.lots.push_back(Lot { quantity_e8, basis_e16: worth });
        }
        Ok(())
    }

    /// Takes the cost of a quantity out of the basis.
    fn release(&mut self, quantity: u64, method: CostMethod) -> Result<i128, OutOfRange> {
        let released = match method {
            _ if quantity == self.quantity_e8.unsigned_abs() => {
                self.lots.clear();
                self.basis_e16
            }
            CostMethod::Average => share(self.basis_e16, quantity, self.quantity_e8.unsigned_abs())?,
            CostMethod::Fifo => self.release_oldest(quantity)?,
        };
        self.basis_e16 -= released;
        Ok(released)
    }

    fn release_oldest(&mut self, mut quantity: u64) -> Result<i128, OutOfRange> {
        let mut released = 0;
        while quantity > 0 {
            let lot = self.lots.front_mut().expect("less than all is released, and the lots are all of it");
            let size = lot.quantity_e8.unsigned_abs();
            if size <= quantity {
                released += lot.basis_e16;
                quantity -= size;
                self.lots.pop_front();
            } else {
                let part = share(lot.basis_e16, quantity, size)?;
                released += part;
                lot.basis_e16 -= part;
                let left = i64::try_from(size - quantity).expect("a part of a quantity that fits, fits");
                lot.quantity_e8 = left * lot.quantity_e8.signum();
                quantity = 0;
            }
        }
        Ok(released)
    }

    /// The smallest 64-bit number has no opposite, and a position must be closable.
    fn check(&self) -> Result<(), OutOfRange> {
        if self.quantity_e8 == i64::MIN { Err(OutOfRange("quantity")) } else { Ok(()) }
    }

    /// Worth at the mark less the cost.
    ///
    /// # Errors
    /// If the worth is out of range.
    pub fn unrealised_e16(&self, contract: &Contract, mark_price_e8: i64) -> Result<i128, OutOfRange> {
        Ok(contract.worth_e16(mark_price_e8, self.quantity_e8)? - self.basis_e16)
    }
}

fn share(of: i128, part: u64, whole: u64) -> Result<i128, OutOfRange> {
    mul_div(of, part.into(), whole.into()).ok_or(OutOfRange("cost basis"))
}

/// Both summands were below the limit, so that their sum is exact; whether it may stand is asked here.
pub(crate) fn bounded(value: i128, name: &'static str) -> Result<i128, OutOfRange> {
    if value.abs() < TOTAL_LIMIT_E16 { Ok(value) } else { Err(OutOfRange(name)) }
}
