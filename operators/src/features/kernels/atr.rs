//! Average true range.

use crate::features::{Family, FeatureBar, Scope};
use serde::{Deserialize, Serialize};

/// The range in the unit of the price.
pub const ATR: Family = Family {
    unit: "price",
    inputs: "high, low, close",
    formula: "A_t = (A_(t-1) (n - 1) + TR_t) / n, TR = max(H - L, |H - C_(t-1)|, |L - C_(t-1)|), seeded with the mean of the \
              first n true ranges",
    source: "Wilder 1978; TA-Lib ATR, default compatibility",
    scope: Scope::Bars,
};

/// The range as a part of the price.
pub const NATR: Family = Family {
    unit: "% of the close",
    inputs: "high, low, close",
    formula: "100 ATR_t / C_t",
    source: "TA-Lib NATR, default compatibility",
    scope: Scope::Bars,
};

/// How far the price went in a bar, the way from the last close included.
pub fn true_range(previous: &FeatureBar, bar: &FeatureBar) -> f64 {
    (bar.high - bar.low).max((bar.high - previous.close).abs()).max((bar.low - previous.close).abs())
}

/// An average of true ranges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Atr {
    bars: u32,
    /// Whether it is told as a part of the close.
    is_normalised: bool,
    ranges: u32,
    /// The sum while `ranges` is below `bars`, then the average.
    value: f64,
}

impl Atr {
    /// One over so many ranges.
    pub const fn new(bars: u32) -> Self {
        Self { bars, is_normalised: false, ranges: 0, value: 0.0 }
    }

    /// Likewise, in percent of the close.
    pub const fn normalised(bars: u32) -> Self {
        Self { is_normalised: true, ..Self::new(bars) }
    }

    /// Takes the next bar. NaN until there are as many ranges as it is over.
    pub fn next(&mut self, previous: Option<&FeatureBar>, bar: &FeatureBar) -> f64 {
        let Some(previous) = previous else { return f64::NAN };
        let range = true_range(previous, bar);
        let bars = f64::from(self.bars);
        if self.ranges < self.bars {
            self.ranges += 1;
            self.value += range;
            if self.ranges < self.bars {
                return f64::NAN;
            }
            self.value /= bars;
        } else {
            self.value = (self.value * (bars - 1.0) + range) / bars;
        }
        if self.is_normalised { 100.0 * (self.value / bar.close) } else { self.value }
    }
}
