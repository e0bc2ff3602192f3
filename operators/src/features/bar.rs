//! What features see of a bar: floats, made of its exact integers at the last moment.

use super::MarketBar;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidewheel_schemas::{Bar, Interval};

/// A final bar as floats. Nothing of it ever flows back into a bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureBar {
    /// Start, inclusive, nanoseconds since the epoch.
    pub open_time_ns: i64,
    /// End, exclusive.
    pub close_time_ns: i64,
    /// Price of the first trade.
    pub open: f64,
    /// Greatest price.
    pub high: f64,
    /// Least price.
    pub low: f64,
    /// Price of the last trade.
    pub close: f64,
    /// Base volume.
    pub volume: f64,
    /// Price times quantity, summed.
    pub quote_volume: f64,
    /// Base volume in which the taker bought, less the rest: where the venue does not name the side, that counts as sold.
    pub signed_volume: f64,
    /// Number of fills.
    pub trade_count: f64,
    /// `ln(H / L)`. This and the next two are what volatilities are made of, taken once and not for each window.
    pub log_range: f64,
    /// `ln(C / O)`.
    pub log_body: f64,
    /// `ln(H / C) ln(H / O) + ln(L / C) ln(L / O)`: a variance that no drift shows in.
    pub driftless_variance: f64,
    /// What the market said beside its trades; none where nothing is known of it, or no feature asks.
    pub market: Option<Arc<MarketBar>>,
}

impl FeatureBar {
    /// The bar of an interval that opens at a time. Differences are taken of integers, so that they are exact.
    pub fn of(bar: &Bar, interval: Interval, open_time_ns: i64) -> Self {
        let [open, high, low, close] =
            [bar.open_e8, bar.high_e8, bar.low_e8, bar.close_e8].map(|price_e8| price_e8 as f64 / 1e8);
        let (above, below) = ((high / close).ln() * (high / open).ln(), (low / close).ln() * (low / open).ln());
        Self {
            open_time_ns,
            close_time_ns: open_time_ns + interval.duration_ns(),
            open,
            high,
            low,
            close,
            volume: bar.volume_e8 as f64 / 1e8,
            quote_volume: bar.quote_volume_e16 as f64 / 1e16,
            signed_volume: (2 * bar.taker_buy_volume_e8 - bar.volume_e8) as f64 / 1e8,
            trade_count: bar.trade_count as f64,
            log_range: (high / low).ln(),
            log_body: (close / open).ln(),
            driftless_variance: above + below,
            market: None,
        }
    }

    /// Whether all bits are those of another bar. Logarithms are of the prices, and so the same if these are.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_same_market = match (&self.market, &other.market) {
            (Some(market), Some(other)) => market.is_same(other),
            (market, other) => market.is_none() && other.is_none(),
        };
        is_same_market && self.bits() == other.bits()
    }

    fn bits(&self) -> ([i64; 2], [u64; 8]) {
        let floats = [self.open, self.high, self.low, self.close, self.volume, self.quote_volume, self.signed_volume];
        let [open, high, low, close, volume, quote, signed] = floats.map(f64::to_bits);
        let count = self.trade_count.to_bits();
        ([self.open_time_ns, self.close_time_ns], [open, high, low, close, volume, quote, signed, count])
    }
}
