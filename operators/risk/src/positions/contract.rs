//! What a quantity of an instrument is worth at a price.

use super::OutOfRange;
use crate::exact::{ONE_E8, WORTH_LIMIT_E16, mul_div};
use serde::{Deserialize, Serialize};
use tidewheel_schemas::{ContractKind, InstrumentReference};

/// What profit and loss of an instrument is made of: linear or inverse, and what one contract stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contract {
    /// Linear or inverse.
    pub kind: ContractKind,
    /// What one contract stands for, eight decimals.
    pub multiplier_e8: i64,
}

impl From<&InstrumentReference> for Contract {
    fn from(reference: &InstrumentReference) -> Self {
        Self { kind: reference.kind, multiplier_e8: reference.multiplier_e8 }
    }
}

impl Contract {
    /// The signed worth of a signed quantity at a price above zero, in the settlement currency, sixteen decimals.
    ///
    /// Linear: `quantity * price * multiplier`. Inverse: `-quantity * multiplier / price`, in the base currency. Both are such that the
    /// profit of a quantity is the worth at the exit less the worth at the entry, so that all else need not know the kind. Rounded
    /// once, half to even: a linear contract of multiplier one never needs it. The worth of `-quantity` is exactly the opposite.
    ///
    /// # Errors
    /// If the worth reaches [`WORTH_LIMIT_E16`].
    #[inline]
    pub fn worth_e16(&self, price_e8: i64, quantity_e8: i64) -> Result<i128, OutOfRange> {
        let (price, quantity, multiplier) =
            (i128::from(price_e8), i128::from(quantity_e8), i128::from(self.multiplier_e8));
        let worth = match self.kind {
            ContractKind::Linear if multiplier == ONE_E8 => Some(price * quantity),
            ContractKind::Linear => mul_div(price * quantity, multiplier, ONE_E8),
            ContractKind::Inverse => mul_div(-quantity * multiplier, ONE_E8, price),
        };
        worth.filter(|worth| worth.abs() < WORTH_LIMIT_E16).ok_or(OutOfRange("worth"))
    }

    /// The price at which a signed quantity has a worth, eight decimals, rounded half to even: the average price of a cost basis.
    /// None where nothing is held, or where it does not fit.
    pub fn price_of_e8(&self, worth_e16: i128, quantity_e8: i64) -> Option<i64> {
        let size = i128::from(quantity_e8) * i128::from(self.multiplier_e8);
        let price = match self.kind {
            ContractKind::Linear => mul_div(worth_e16, ONE_E8, size)?,
            ContractKind::Inverse => mul_div(-size, ONE_E8, worth_e16)?,
        };
        i64::try_from(price).ok()
    }
}
