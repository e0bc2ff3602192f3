//! What one unit of an account is worth, as of a fund: equity without what was put in or taken out, for the watch on falls of equity.
//!
//! A withdrawal is no crash and a deposit hides none. From tick to tick `unit * (equity - flow) / equity before`, rounded half to even,
//! beginning with one; where equity is not above zero on either side, the unit stays.

use crate::exact::mul_div;
use serde::{Deserialize, Serialize};

/// One with sixteen decimals.
const ONE_E16: i128 = 10_000_000_000_000_000;

/// A unit of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Unit {
    /// Sixteen decimals, above zero.
    pub(super) value_e16: i128,
    /// Equity when it was so.
    equity_e16: i128,
    /// Put in since then, less what was taken out.
    flow_e16: i128,
    /// Whether equity is to be taken as it is when it is next looked at.
    #[serde(default)]
    is_rebase_due: bool,
}

impl Default for Unit {
    fn default() -> Self {
        Self { value_e16: ONE_E16, equity_e16: 0, flow_e16: 0, is_rebase_due: false }
    }
}

impl Unit {
    /// Money came in or went out.
    pub(super) const fn flow(&mut self, flow_e16: i128) {
        self.flow_e16 = self.flow_e16.saturating_add(flow_e16);
    }

    /// What equity is by other fills, or valued otherwise, is neither a fall nor a rise, also where it is looked at only later.
    pub(super) const fn rebase(&mut self) {
        self.is_rebase_due = true;
    }

    /// Takes the equity of a tick; gives the unit's value.
    pub(super) fn step(&mut self, equity_e16: i128) -> i128 {
        let without = equity_e16.saturating_sub(self.flow_e16);
        if !std::mem::take(&mut self.is_rebase_due) && self.equity_e16 > 0 && without > 0 {
            let value = mul_div(self.value_e16, without, self.equity_e16);
            self.value_e16 = value.filter(|value| *value > 0).unwrap_or(self.value_e16);
        }
        (self.equity_e16, self.flow_e16) = (equity_e16, 0);
        self.value_e16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flows_are_no_falls() {
        let mut unit = Unit::default();
        let mut after = |flow, equity| {
            unit.flow(flow);
            unit.step(equity)
        };
        assert_eq!(after(1_000, 1_000), ONE_E16);
        assert_eq!(after(0, 900), ONE_E16 / 10 * 9);
        assert_eq!(after(-450, 450), ONE_E16 / 10 * 9);
        assert_eq!(after(9_000, 9_405), ONE_E16 / 100 * 81);
        // All is taken out, and put in again: nothing was won or lost.
        assert_eq!(after(-9_405, 0), ONE_E16 / 100 * 81);
        assert_eq!(after(70, 70), ONE_E16 / 100 * 81);
        assert_eq!(after(0, 35), ONE_E16 / 1_000 * 405);
    }

    #[test]
    fn what_is_corrected_is_no_fall_however_long_nobody_looks() {
        let mut unit = Unit::default();
        unit.flow(1_000);
        assert_eq!(unit.step(1_000), ONE_E16);
        unit.rebase();
        unit.flow(-100);
        assert_eq!(unit.step(700), ONE_E16, "a correction of 200, and 100 taken out");
        assert_eq!(unit.step(630), ONE_E16 / 10 * 9, "and then a loss");
    }
}
