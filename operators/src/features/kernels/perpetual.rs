//! What only perpetual contracts have: funding, a mark price, liquidations.

use super::{at_close, over_bars};
use crate::features::{Family, FeatureBar, Scope};

/// What is expected to be paid.
pub const FUNDING: Family = Family {
    unit: "ratio",
    inputs: "marks",
    formula: "the rate of the next payment as last estimated; longs pay where it is positive",
    source: "venue",
    scope: Scope::Market,
};

/// What was paid.
pub const SETTLED: Family = Family {
    unit: "ratio",
    inputs: "settled funding",
    formula: "the rate last settled; longs paid where it is positive",
    source: "venue",
    scope: Scope::Market,
};

/// When it is paid next.
pub const TO_FUNDING: Family = Family {
    unit: "minutes",
    inputs: "marks",
    formula: "time of the next payment as last told less bar's close; null once that has passed",
    source: "venue",
    scope: Scope::Market,
};

/// How far the mark is from its index.
pub const BASIS: Family = Family {
    unit: "basis points",
    inputs: "marks",
    formula: "10,000 (mark / index - 1), each as last told",
    source: "by definition",
    scope: Scope::Market,
};

/// What was closed by force. Venues tell of some liquidations only.
pub const LIQUIDATED: Family = Family {
    unit: "base",
    inputs: "liquidations",
    formula: "sum over n bars of what liquidations that the venue told of bought and sold, a lower bound; zero only once there has \
              been one",
    source: "by definition",
    scope: Scope::Market,
};

/// Likewise, by side.
pub const NET_LIQUIDATED: Family = Family {
    unit: "base",
    inputs: "liquidations",
    formula: "sum over n bars of what such liquidations bought less what they sold; zero only once there has been one",
    source: "by definition",
    scope: Scope::Market,
};

/// At the close.
pub fn funding(bars: &[FeatureBar]) -> f64 {
    at_close(bars, |market| market.funding_rate)
}

/// At the close.
pub fn settled(bars: &[FeatureBar]) -> f64 {
    at_close(bars, |market| market.settled_rate)
}

/// At the close.
pub fn minutes_to_funding(bars: &[FeatureBar]) -> f64 {
    at_close(bars, |market| market.minutes_to_funding)
}

/// At the close.
pub fn basis_bps(bars: &[FeatureBar]) -> f64 {
    at_close(bars, |market| 1e4 * (market.mark / market.index - 1.0))
}

/// Over the bars.
pub fn liquidated(bars: &[FeatureBar]) -> f64 {
    over_bars(bars, |market| market.liquidated_bought + market.liquidated_sold)
}

/// Over the bars.
pub fn net_liquidated(bars: &[FeatureBar]) -> f64 {
    over_bars(bars, |market| market.liquidated_bought - market.liquidated_sold)
}
