//! What orders did to the best bid and ask.

use super::over_bars;
use crate::features::{Family, FeatureBar, Scope};

/// Order flow imbalance.
pub const OFI: Family = Family {
    unit: "base",
    inputs: "quotes, book",
    formula: "sum over the touches of n bars of [b >= b'] qb - [b <= b'] qb' - [a <= a'] qa + [a >= a'] qa', ' the touch before; of \
              quotes where a bar has some, else of its book; null where that was not known all through a bar, or is not valid at its close",
    source: "Cont, Kukanov and Stoikov 2014",
    scope: Scope::Market,
};

/// The same by what rests there.
pub const PER_DEPTH: Family = Family {
    unit: "ratio",
    inputs: "quotes, book",
    formula: "order flow imbalance of n bars over the mean of their mean quantities of a side at the touch; bars without touches \
              are left out of that mean",
    source: "Cont, Kukanov and Stoikov 2014, scaled by depth",
    scope: Scope::Market,
};

/// Over the bars.
pub fn ofi(bars: &[FeatureBar]) -> f64 {
    over_bars(bars, |market| market.order_flow)
}

/// Over the bars.
pub fn per_depth(bars: &[FeatureBar]) -> f64 {
    let depths = || {
        let markets = bars.iter().filter_map(|bar| bar.market.as_deref());
        markets.map(|market| market.touch_depth).filter(|depth| depth.is_finite())
    };
    ofi(bars) / (depths().sum::<f64>() / depths().count() as f64)
}
