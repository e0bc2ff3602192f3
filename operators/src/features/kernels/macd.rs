//! Moving average convergence and divergence.

use super::Ema;
use crate::features::{Family, Scope};
use serde::{Deserialize, Serialize};

/// The three lines.
pub const MACD: Family = Family {
    unit: "price",
    inputs: "close",
    formula: "line EMA12(C) - EMA26(C), both seeded so that their seeds end at the 26th close; signal EMA9(line) seeded with \
              its first 9 values; histogram line - signal; all three from the 34th bar",
    source: "TA-Lib MACD, default compatibility",
    scope: Scope::Bars,
};

const FAST: u32 = 12;
const SLOW: u32 = 26;
const SIGNAL: u32 = 9;

/// Bars until there is a signal.
pub const NEEDS: usize = (SLOW + SIGNAL - 1) as usize;

/// Which of the three lines is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// The difference of the averages.
    Macd,
    /// Its own average.
    Signal,
    /// The first less the second.
    Histogram,
}

/// The averages behind the lines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Macd {
    line: Line,
    /// Closes that the fast average does not take yet.
    to_skip: u32,
    fast: Ema,
    slow: Ema,
    signal: Ema,
}

impl Macd {
    /// Before the first bar.
    pub const fn new(line: Line) -> Self {
        Self { line, to_skip: SLOW - FAST, fast: Ema::new(FAST), slow: Ema::new(SLOW), signal: Ema::new(SIGNAL) }
    }

    /// Takes the next close. NaN until there is a signal.
    pub fn next(&mut self, close: f64) -> f64 {
        let slow = self.slow.next(close);
        if self.to_skip > 0 {
            self.to_skip -= 1;
            return f64::NAN;
        }
        let macd = self.fast.next(close) - slow;
        if macd.is_nan() {
            return f64::NAN;
        }
        let signal = self.signal.next(macd);
        match self.line {
            Line::Macd if signal.is_nan() => f64::NAN,
            Line::Macd => macd,
            Line::Signal => signal,
            Line::Histogram => macd - signal,
        }
    }
}
