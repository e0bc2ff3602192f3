//! What the trades behind the bars say: who was in a hurry, how much, and what it cost.

use super::mean;
use crate::features::{Family, FeatureBar, Scope};
use tidewheel_schemas::SECOND_NS;

/// Whether buyers or sellers took.
pub const IMBALANCE: Family = Family {
    unit: "-1 to 1",
    inputs: "volume, taker buy volume",
    formula: "sum of signed volume over sum of volume, n bars; volume of unknown side counts as sold",
    source: "Cont, Kukanov and Stoikov 2014, trade imbalance",
    scope: Scope::Bars,
};

/// How often there is a trade.
pub const INTENSITY: Family = Family {
    unit: "trades per second",
    inputs: "trade count",
    formula: "sum of trades over the seconds from the first bar's open to the last one's close, n bars",
    source: "by definition",
    scope: Scope::Bars,
};

/// How large a trade is.
pub const TRADE_SIZE: Family = Family {
    unit: "base",
    inputs: "volume, trade count",
    formula: "sum of volume over sum of trades, n bars",
    source: "by definition",
    scope: Scope::Bars,
};

/// How far the close is from what was paid.
pub const VWAP_DEVIATION: Family = Family {
    unit: "ratio",
    inputs: "close, volume, quote volume",
    formula: "C / VWAP - 1, VWAP = sum of quote volume over sum of volume, n bars",
    source: "by definition",
    scope: Scope::Bars,
};

/// What a unit of turnover moves.
pub const AMIHUD: Family = Family {
    unit: "ratio per quote",
    inputs: "close, quote volume",
    formula: "mean of |C_i / C_(i-1) - 1| / quote volume_i over n bars",
    source: "Amihud 2002",
    scope: Scope::Bars,
};

/// What a unit of signed volume moves. Of closes, not of mids: the name says so.
pub const KYLE_LAMBDA: Family = Family {
    unit: "price per base",
    inputs: "close, taker buy volume, volume",
    formula: "sum (dC x) / sum x^2 over n bars, dC = C_i - C_(i-1), x signed volume: least squares without intercept, of closes \
              instead of mids; null where no signed volume",
    source: "Kyle 1985, estimated by regression",
    scope: Scope::Bars,
};

/// Over the bars.
pub fn imbalance(bars: &[FeatureBar]) -> f64 {
    sum(bars, |bar| bar.signed_volume) / sum(bars, |bar| bar.volume)
}

/// Over the bars.
pub fn intensity(bars: &[FeatureBar]) -> f64 {
    let (Some(first), Some(last)) = (bars.first(), bars.last()) else { return f64::NAN };
    let seconds = (last.close_time_ns - first.open_time_ns) as f64 / SECOND_NS as f64;
    sum(bars, |bar| bar.trade_count) / seconds
}

/// Over the bars.
pub fn trade_size(bars: &[FeatureBar]) -> f64 {
    sum(bars, |bar| bar.volume) / sum(bars, |bar| bar.trade_count)
}

/// Of the last bar's close from the price paid over the bars.
pub fn vwap_deviation(bars: &[FeatureBar]) -> f64 {
    let vwap = sum(bars, |bar| bar.quote_volume) / sum(bars, |bar| bar.volume);
    bars.last().map_or(f64::NAN, |bar| bar.close) / vwap - 1.0
}

/// Over all bars but the first, of which only the close counts.
pub fn amihud(bars: &[FeatureBar]) -> f64 {
    mean(bars.windows(2).map(|pair| (pair[1].close / pair[0].close - 1.0).abs() / pair[1].quote_volume))
}

/// Over all bars but the first, of which only the close counts.
pub fn kyle_lambda(bars: &[FeatureBar]) -> f64 {
    let moved = bars.windows(2).map(|pair| (pair[1].close - pair[0].close) * pair[1].signed_volume).sum::<f64>();
    moved / sum(&bars[1..], |bar| bar.signed_volume * bar.signed_volume)
}

fn sum(bars: &[FeatureBar], of: fn(&FeatureBar) -> f64) -> f64 {
    bars.iter().map(of).sum()
}
