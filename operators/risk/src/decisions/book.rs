//! What decisions ask of the book that positions and marks are kept in.

use crate::breakers::Fault;
use crate::valuation::Mark;
use serde::{Deserialize, Serialize};
use tidewheel_schemas::{ContractKind, Holder, Instrument};

/// An account's money, in its own currency with sixteen decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    /// Cash and unrealised profit.
    pub equity_e16: i128,
    /// The running peak of it.
    pub peak_e16: i128,
    /// What the day began with, scaled by what was taken out and put in since: less the equity it is what the day lost.
    pub day_start_e16: i128,
    /// How many positions are not zero, by strategy and instrument.
    pub positions: u32,
}

/// Of which positions an exposure is the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupRef<'a> {
    /// All.
    Account,
    /// Those of one strategy.
    Strategy(&'a str),
    /// Those in one instrument.
    Symbol(&'a Instrument),
    /// Those in one sector.
    Sector(&'a str),
    /// Those in one asset class.
    AssetClass(&'a str),
    /// Those at one venue.
    Venue(&'a str),
}

/// An instrument as an account sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Market<'a> {
    /// Linear or inverse.
    pub kind: ContractKind,
    /// What one contract stands for, eight decimals.
    pub multiplier_e8: i64,
    /// Its sector.
    pub sector: &'a str,
    /// Its asset class.
    pub asset_class: &'a str,
    /// Its mark, eight decimals, by the policy's source.
    pub mark_e8: i64,
    /// When the mark was so, nanoseconds of event time; of what it is converted with too, where that is older.
    pub mark_ns: i64,
    /// What one unit of the quote asset is in the account's currency, eighteen decimals.
    pub quote_rate_e18: i128,
}

/// The book as decisions see it. All exposures are gross: the sum of the positions' absolute values at their marks, in the account's
/// currency with sixteen decimals, each rounded up. What is missing or cannot be trusted is a fault, and nothing is opened on it.
pub trait Book {
    /// An account's money.
    ///
    /// # Errors
    /// If there is no such account, or some of its money cannot be valued.
    fn account(&self, account: &str) -> Result<Money, Fault>;

    /// An account's exposure. Zero where it has none.
    ///
    /// # Errors
    /// If a position of the group cannot be valued.
    fn exposure_e16(&self, account: &str, group: GroupRef<'_>) -> Result<i128, Fault>;

    /// The equity that stands for an account's positions at a venue, which is the base of its leverage there.
    ///
    /// # Errors
    /// If it is not known.
    fn margin_equity_e16(&self, account: &str, venue: &str) -> Result<i128, Fault>;

    /// What is held, in the base asset or contracts, eight decimals; negative where it is short.
    fn quantity_e8(&self, holder: &Holder, instrument: &Instrument) -> i64;

    /// The instrument's own mark by the policy's source: all that is asked for an order that only reduces.
    ///
    /// # Errors
    /// If there is none.
    fn mark(&self, instrument: &Instrument) -> Result<Mark, Fault>;

    /// The instrument, with its mark.
    ///
    /// # Errors
    /// If there is no reference data, no mark, or nothing to convert with.
    fn market(&self, account: &str, instrument: &Instrument) -> Result<Market<'_>, Fault>;
}

use super::exact::multiply_divide_up;

const E18: u64 = 1_000_000_000_000_000_000;
const E8: u64 = 100_000_000;

impl Market<'_> {
    /// What a quantity is worth at a price, in the account's currency with sixteen decimals, rounded up at each step. An inverse
    /// contract is worth the more of its base asset the lower the price, and that is converted at the mark. None where it does not fit or
    /// is not positive.
    pub fn value_e16(&self, quantity_e8: u128, price_e8: i64) -> Option<i128> {
        let price_e8 = u64::try_from(price_e8).ok().filter(|price| *price > 0)?;
        let quote_e16 = match self.kind {
            ContractKind::Linear => {
                multiply_divide_up(quantity_e8.checked_mul(price_e8.into())?, self.multiplier()?, E8)?
            }
            ContractKind::Inverse => {
                multiply_divide_up(quantity_e8.checked_mul(self.multiplier()?)?, self.mark()?.into(), price_e8)?
            }
        };
        self.converted(quote_e16)
    }

    /// What is lost by trading a quantity at a price that is worse than another one by some distance.
    pub(super) fn loss_e16(&self, quantity_e8: u128, price_e8: i64, from_e8: i64) -> Option<i128> {
        let distance = u128::from(price_e8.abs_diff(from_e8));
        let quote_e16 = match self.kind {
            ContractKind::Linear => multiply_divide_up(quantity_e8.checked_mul(distance)?, self.multiplier()?, E8)?,
            // In the base asset quantity * multiplier * distance / (price * other), converted at the mark.
            ContractKind::Inverse => {
                let [price, from] = [price_e8, from_e8].map(|price| u64::try_from(price).ok());
                let part = multiply_divide_up(quantity_e8.checked_mul(self.multiplier()?)?, distance, price?)?;
                multiply_divide_up(part, self.mark()?.into(), from?)?
            }
        };
        self.converted(quote_e16)
    }

    /// Of two prices the one at which a position is worth more.
    pub(super) fn dearer_e8(&self, one_e8: i64, other_e8: i64) -> i64 {
        if self.kind == ContractKind::Linear { one_e8.max(other_e8) } else { one_e8.min(other_e8) }
    }

    /// By how much what is worth so much at a price is worth more at a dearer one, rounded up.
    pub(super) fn rise_e16(&self, value_e16: i128, from_e8: i64, to_e8: i64) -> Option<i128> {
        let divisor = if self.kind == ContractKind::Linear { from_e8 } else { to_e8 };
        let distance = u128::from(to_e8.abs_diff(from_e8));
        let rise = multiply_divide_up(u128::try_from(value_e16).ok()?, distance, u64::try_from(divisor).ok()?)?;
        i128::try_from(rise).ok()
    }

    fn mark(&self) -> Option<u64> {
        u64::try_from(self.mark_e8).ok()
    }

    fn multiplier(&self) -> Option<u128> {
        u128::try_from(self.multiplier_e8).ok().filter(|multiplier| *multiplier > 0)
    }

    fn converted(&self, quote_e16: u128) -> Option<i128> {
        let rate = u128::try_from(self.quote_rate_e18).ok().filter(|rate| *rate > 0)?;
        i128::try_from(multiply_divide_up(quote_e16, rate, E18)?).ok()
    }
}
