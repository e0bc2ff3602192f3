//! Where the close lies between the extremes: the stochastic and Williams %R.

use super::mean;
use crate::features::{Family, FeatureBar, Scope};

/// The slow stochastic.
pub const STOCHASTIC: Family = Family {
    unit: "0 to 100",
    inputs: "high, low, close",
    formula: "fast 100 (C - LL5) / (HH5 - LL5), 0 where HH5 = LL5; slow %K its mean over 3, slow %D the mean of %K over 3; both \
              from the 9th bar",
    source: "Lane; TA-Lib STOCH 5, 3, 3 with simple averages",
    scope: Scope::Bars,
};

/// Williams %R.
pub const WILLIAMS_R: Family = Family {
    unit: "-100 to 0",
    inputs: "high, low, close",
    formula: "-100 (HH - C) / (HH - LL) over n bars; 0 where HH = LL",
    source: "TA-Lib WILLR",
    scope: Scope::Bars,
};

const FAST: usize = 5;
const SLOW: usize = 3;

/// Bars until TA-Lib tells either line.
pub const NEEDS: usize = FAST + 2 * (SLOW - 1);

/// Slow %K.
pub fn slow_k(bars: &[FeatureBar]) -> f64 {
    let fast = bars[bars.len() - (FAST + SLOW - 1)..].windows(FAST).map(fast_k);
    mean(fast)
}

/// Slow %D.
pub fn slow_d(bars: &[FeatureBar]) -> f64 {
    mean((0..SLOW).map(|back| slow_k(&bars[..=bars.len() - SLOW + back])))
}

fn fast_k(bars: &[FeatureBar]) -> f64 {
    let (lowest, highest) = extremes(bars);
    let close = bars.last().map_or(f64::NAN, |bar| bar.close);
    if highest == lowest { 0.0 } else { (close - lowest) / ((highest - lowest) / 100.0) }
}

/// Williams %R over all the bars.
pub fn williams_r(bars: &[FeatureBar]) -> f64 {
    let (lowest, highest) = extremes(bars);
    let close = bars.last().map_or(f64::NAN, |bar| bar.close);
    if highest == lowest { 0.0 } else { (highest - close) / ((highest - lowest) / -100.0) }
}

fn extremes(bars: &[FeatureBar]) -> (f64, f64) {
    bars.iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lowest, highest), bar| (lowest.min(bar.low), highest.max(bar.high)))
}
