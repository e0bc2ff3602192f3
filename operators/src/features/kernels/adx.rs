//! Average directional movement.

use super::atr::true_range;
use super::is_talib_zero;
use crate::features::{Family, FeatureBar, Scope};
use serde::{Deserialize, Serialize};

/// How strong a trend is, whichever way.
pub const ADX: Family = Family {
    unit: "0 to 100",
    inputs: "high, low, close",
    formula: "A_t = (A_(t-1) (n - 1) + DX_t) / n, DX = 100 |+DI - -DI| / (+DI + -DI), seeded with the mean of the first n DX",
    source: "Wilder 1978; TA-Lib ADX, default compatibility",
    scope: Scope::Bars,
};

/// The two directions.
pub const DI: Family = Family {
    unit: "0 to 100",
    inputs: "high, low, close",
    formula: "100 DM_t / TR_t, both summed by S_t = S_(t-1) - S_(t-1) / n + x_t from the sum of the first n - 1; +DM the rise of \
              the high where it is above the fall of the low, -DM the reverse",
    source: "Wilder 1978; TA-Lib PLUS_DI and MINUS_DI, default compatibility",
    scope: Scope::Bars,
};

/// Which of the lines is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Line {
    /// The average.
    Adx,
    /// +DI.
    Plus,
    /// -DI.
    Minus,
}

/// Smoothed movements and ranges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adx {
    line: Line,
    bars: u32,
    moves: u32,
    plus: f64,
    minus: f64,
    range: f64,
    /// The sum of DX while there are fewer than `bars`, then their average.
    average: f64,
}

impl Adx {
    /// A line over so many bars.
    pub const fn new(line: Line, bars: u32) -> Self {
        Self { line, bars, moves: 0, plus: 0.0, minus: 0.0, range: 0.0, average: 0.0 }
    }

    /// Takes the next bar. NaN until there are `bars` moves, for the average twice as many less one.
    pub fn next(&mut self, previous: Option<&FeatureBar>, bar: &FeatureBar) -> f64 {
        let Some(previous) = previous else { return f64::NAN };
        let bars = f64::from(self.bars);
        self.moves = self.moves.saturating_add(1);
        if self.moves >= self.bars {
            self.plus -= self.plus / bars;
            self.minus -= self.minus / bars;
            self.range -= self.range / bars;
        }
        let (rise, fall) = (bar.high - previous.high, previous.low - bar.low);
        if fall > 0.0 && rise < fall {
            self.minus += fall;
        } else if rise > 0.0 && rise > fall {
            self.plus += rise;
        }
        self.range += true_range(previous, bar);
        if self.moves < self.bars {
            return f64::NAN;
        }
        let is_still = is_talib_zero(self.range);
        let of_range = |moved: f64| if is_still { 0.0 } else { 100.0 * (moved / self.range) };
        let (plus, minus) = (of_range(self.plus), of_range(self.minus));
        match self.line {
            Line::Plus => plus,
            Line::Minus => minus,
            Line::Adx => self.next_average(plus, minus),
        }
    }

    fn next_average(&mut self, plus: f64, minus: f64) -> f64 {
        let bars = f64::from(self.bars);
        let both = plus + minus;
        // Where nothing moves TA-Lib adds nothing to the seed, and later leaves the average as it is.
        let index = (!is_talib_zero(both)).then(|| 100.0 * ((minus - plus).abs() / both));
        let (last_of_seed, is_seeding) = (2 * self.bars - 1, self.moves < 2 * self.bars);
        match index {
            Some(index) if is_seeding => self.average += index,
            Some(index) => self.average = (self.average * (bars - 1.0) + index) / bars,
            None => {}
        }
        if self.moves == last_of_seed {
            self.average /= bars;
        }
        if self.moves < last_of_seed { f64::NAN } else { self.average }
    }
}
