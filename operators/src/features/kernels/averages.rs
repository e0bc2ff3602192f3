//! Simple and exponential moving averages.

use super::mean;
use crate::features::{Family, FeatureBar, Scope};
use serde::{Deserialize, Serialize};

/// Simple moving averages.
pub const SMA: Family = Family {
    unit: "price",
    inputs: "close",
    formula: "mean of C over n bars",
    source: "TA-Lib SMA",
    scope: Scope::Bars,
};

/// Exponential moving averages.
pub const EMA: Family = Family {
    unit: "price",
    inputs: "close",
    formula: "E_t = E_(t-1) + k (C_t - E_(t-1)), k = 2 / (n + 1), seeded with the mean of the first n closes",
    source: "TA-Lib EMA, default compatibility",
    scope: Scope::Bars,
};

/// The mean close.
pub fn sma(bars: &[FeatureBar]) -> f64 {
    mean(bars.iter().map(|bar| bar.close))
}

/// The part of its value that an average over `bars` keeps at each step.
pub const fn kept(bars: usize) -> f64 {
    1.0 - 2.0 / (bars as f64 + 1.0)
}

/// An exponential moving average that begins with a simple one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ema {
    bars: u32,
    seen: u32,
    /// The sum while `seen` is below `bars`, then the average.
    value: f64,
}

impl Ema {
    /// One over so many values.
    pub const fn new(bars: u32) -> Self {
        Self { bars, seen: 0, value: 0.0 }
    }

    /// Takes the next value. NaN until the seed is whole.
    pub fn next(&mut self, value: f64) -> f64 {
        if self.seen < self.bars {
            self.seen += 1;
            self.value += value;
            if self.seen < self.bars {
                return f64::NAN;
            }
            self.value /= f64::from(self.bars);
        } else {
            self.value += (value - self.value) * (2.0 / (f64::from(self.bars) + 1.0));
        }
        self.value
    }
}
