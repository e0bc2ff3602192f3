//! Relative strength index.

use super::is_talib_zero;
use crate::features::{Family, FeatureBar, Scope};
use serde::{Deserialize, Serialize};

/// The index.
pub const RSI: Family = Family {
    unit: "0 to 100",
    inputs: "close",
    formula: "100 G / (G + L); G and L the mean rise and fall of the close, seeded with the mean of the first n changes, then \
              G_t = (G_(t-1) (n - 1) + g_t) / n; 0 where nothing moved",
    source: "Wilder 1978; TA-Lib RSI, default compatibility",
    scope: Scope::Bars,
};

/// Mean rises and falls.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rsi {
    bars: u32,
    changes: u32,
    /// Sums while `changes` is below `bars`, then averages.
    rise: f64,
    fall: f64,
}

impl Rsi {
    /// One over so many changes.
    pub const fn new(bars: u32) -> Self {
        Self { bars, changes: 0, rise: 0.0, fall: 0.0 }
    }

    /// Takes the next bar. NaN until there are as many changes as it is over.
    pub fn next(&mut self, previous: Option<&FeatureBar>, bar: &FeatureBar) -> f64 {
        let Some(previous) = previous else { return f64::NAN };
        let change = bar.close - previous.close;
        let (rise, fall) = if change < 0.0 { (0.0, -change) } else { (change, 0.0) };
        let bars = f64::from(self.bars);
        if self.changes < self.bars {
            self.changes += 1;
            self.rise += rise;
            self.fall += fall;
            if self.changes < self.bars {
                return f64::NAN;
            }
            self.rise /= bars;
            self.fall /= bars;
        } else {
            self.rise = (self.rise * (bars - 1.0) + rise) / bars;
            self.fall = (self.fall * (bars - 1.0) + fall) / bars;
        }
        let both = self.rise + self.fall;
        if is_talib_zero(both) { 0.0 } else { 100.0 * (self.rise / both) }
    }
}
