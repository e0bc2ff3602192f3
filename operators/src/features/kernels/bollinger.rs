//! Bollinger bands.

use super::{mean, squared_distances};
use crate::features::{Family, FeatureBar, Scope};

/// The bands.
pub const BANDS: Family = Family {
    unit: "price",
    inputs: "close",
    formula: "mean of C over n bars, plus or minus 2 standard deviations of the population (n, not n - 1)",
    source: "TA-Lib BBANDS, default compatibility",
    scope: Scope::Bars,
};

/// Where the close lies between the bands.
pub const PERCENT_B: Family = Family {
    unit: "ratio",
    inputs: "close",
    formula: "(C - lower) / (upper - lower); null where the bands meet",
    source: "Bollinger 2001, over TA-Lib BBANDS",
    scope: Scope::Bars,
};

/// How far apart the bands are.
pub const WIDTH: Family = Family {
    unit: "ratio",
    inputs: "close",
    formula: "(upper - lower) / mean",
    source: "Bollinger 2001, over TA-Lib BBANDS",
    scope: Scope::Bars,
};

/// The upper band.
pub fn upper(bars: &[FeatureBar]) -> f64 {
    let (middle, reach) = bands(bars);
    middle + reach
}

/// The lower band.
pub fn lower(bars: &[FeatureBar]) -> f64 {
    let (middle, reach) = bands(bars);
    middle - reach
}

/// Where the close lies: 0 on the lower band, 1 on the upper.
pub fn percent_b(bars: &[FeatureBar]) -> f64 {
    let close = bars.last().map_or(f64::NAN, |bar| bar.close);
    let (lower, upper) = (lower(bars), upper(bars));
    (close - lower) / (upper - lower)
}

/// The distance of the bands over their middle.
pub fn width(bars: &[FeatureBar]) -> f64 {
    let (middle, reach) = bands(bars);
    ((middle + reach) - (middle - reach)) / middle
}

/// The middle, and how far the bands are from it.
fn bands(bars: &[FeatureBar]) -> (f64, f64) {
    let closes = bars.iter().map(|bar| bar.close);
    // The mean of equal numbers can differ from them in the last bit: the bands would be a hair apart.
    let is_flat = bars.iter().all(|bar| bar.close == bars[0].close);
    let variance = if is_flat { 0.0 } else { squared_distances(closes.clone()) / bars.len() as f64 };
    (mean(closes), 2.0 * variance.sqrt())
}
