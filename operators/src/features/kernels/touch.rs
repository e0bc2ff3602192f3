//! The best bid and ask at the close: of the bar's last quote, else of the book where that is valid, else of the last quote before.

use super::at_close;
use crate::features::{Family, FeatureBar, MarketBar, Scope};
use tidewheel_schemas::SECOND_NS;

/// Between them.
pub const MID: Family = Family {
    unit: "price",
    inputs: "quotes, book",
    formula: "(bid + ask) / 2 of the last touch; null where a side is missing or the two cross",
    source: "by definition",
    scope: Scope::Market,
};

/// How far apart they are.
pub const SPREAD: Family = Family {
    unit: "basis points",
    inputs: "quotes, book",
    formula: "10,000 (ask - bid) / mid of the last touch",
    source: "by definition",
    scope: Scope::Market,
};

/// Where the mid is once each side is weighted by the other's quantity. Not Stoikov's micro-price, which is fitted.
pub const WEIGHTED_MID: Family = Family {
    unit: "basis points",
    inputs: "quotes, book",
    formula: "10,000 (W / mid - 1), W = (bid qa + ask qb) / (qa + qb), q the quantities of the last touch",
    source: "Gatheral and Oomen 2010, weighted mid",
    scope: Scope::Market,
};

/// How old they are.
pub const AGE: Family = Family {
    unit: "seconds",
    inputs: "quotes, book",
    formula: "bar's close less event time of the last touch",
    source: "by definition",
    scope: Scope::Market,
};

/// How often there is a quote.
pub const INTENSITY: Family = Family {
    unit: "quotes per second",
    inputs: "quotes",
    formula: "quotes of the bar over its seconds; zero only once there has been one",
    source: "by definition",
    scope: Scope::Market,
};

/// NaN where a side is missing or the two cross.
fn mid_of(market: &MarketBar) -> f64 {
    if market.bid < market.ask { f64::midpoint(market.bid, market.ask) } else { f64::NAN }
}

/// At the close.
pub fn mid(bars: &[FeatureBar]) -> f64 {
    at_close(bars, mid_of)
}

/// At the close.
pub fn spread_bps(bars: &[FeatureBar]) -> f64 {
    at_close(bars, |market| 1e4 * (market.ask - market.bid) / mid_of(market))
}

/// At the close.
pub fn weighted_mid_deviation_bps(bars: &[FeatureBar]) -> f64 {
    at_close(bars, |market| {
        let MarketBar { bid, ask, bid_quantity, ask_quantity, .. } = market;
        let weighted = (bid * ask_quantity + ask * bid_quantity) / (bid_quantity + ask_quantity);
        1e4 * (weighted / mid_of(market) - 1.0)
    })
}

/// At the close.
pub fn age(bars: &[FeatureBar]) -> f64 {
    at_close(bars, |market| market.touch_age_seconds)
}

/// Over the last bar.
pub fn intensity(bars: &[FeatureBar]) -> f64 {
    let seconds = bars.last().map_or(f64::NAN, |bar| (bar.close_time_ns - bar.open_time_ns) as f64 / SECOND_NS as f64);
    at_close(bars, |market| market.quotes) / seconds
}
