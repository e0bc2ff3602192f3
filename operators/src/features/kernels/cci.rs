//! Commodity channel index.

use super::mean;
use crate::features::{Family, FeatureBar, Scope};

/// The index.
pub const CCI: Family = Family {
    unit: "1",
    inputs: "high, low, close",
    formula: "(P_t - M) / (0.015 D), P = (H + L + C) / 3, M its mean and D its mean distance from M over n bars; 0 where all P \
              are equal",
    source: "Lambert 1980; TA-Lib CCI",
    scope: Scope::Bars,
};

/// The index over all the bars.
pub fn cci(bars: &[FeatureBar]) -> f64 {
    let typical = bars.iter().map(|bar| (bar.high + bar.low + bar.close) / 3.0);
    let last = typical.clone().next_back().unwrap_or(f64::NAN);
    // Tested on the prices themselves: their mean can differ from them in the last bit.
    if typical.clone().all(|price| price == last) {
        return 0.0;
    }
    let middle = mean(typical.clone());
    let distance = mean(typical.map(|price| (price - middle).abs()));
    (last - middle) / (0.015 * distance)
}
