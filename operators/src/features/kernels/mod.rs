//! The formulas: a file for each family, with its text and source beside the code.

pub mod adx;
pub mod atr;
pub mod averages;
pub mod bollinger;
pub mod cci;
pub mod clock;
pub mod cvd;
pub mod depth;
pub mod flow;
pub mod macd;
pub mod obv;
pub mod order_flow;
pub mod perpetual;
pub mod returns;
pub mod rsi;
pub mod stochastic;
pub mod touch;
pub mod volatility;
pub mod vpin;

pub use adx::Adx;
pub use atr::Atr;
pub use averages::Ema;
pub use cvd::Cvd;
pub use macd::Macd;
pub use obv::Obv;
pub use rsi::Rsi;
pub use volatility::EwmaVariance;

use super::{FeatureBar, MarketBar};

/// What TA-Lib takes for zero: magnitudes below this.
const TALIB_ZERO: f64 = 1e-14;

/// Whether TA-Lib would not divide by it.
fn is_talib_zero(value: f64) -> bool {
    value.abs() < TALIB_ZERO
}

/// A number of the market at the last bar. NaN where nothing is known of it.
fn at_close(bars: &[FeatureBar], of: impl Fn(&MarketBar) -> f64) -> f64 {
    bars.last().and_then(|bar| bar.market.as_deref()).map_or(f64::NAN, of)
}

/// A number of the market, summed over the bars. NaN where it is not known of one.
fn over_bars(bars: &[FeatureBar], of: impl Fn(&MarketBar) -> f64) -> f64 {
    bars.iter().map(|bar| bar.market.as_deref().map_or(f64::NAN, &of)).sum()
}

/// The mean of numbers, summed in their order. NaN of none.
fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len();
    values.sum::<f64>() / count as f64
}

/// The sum of squared distances from the mean.
fn squared_distances(values: impl ExactSizeIterator<Item = f64> + Clone) -> f64 {
    let mean = mean(values.clone());
    values.map(|value| (value - mean) * (value - mean)).sum()
}
