//! The book at the close: which side is deeper, and whether it can be used at all.

use super::at_close;
use crate::features::{Family, FeatureBar, Scope};

/// Whether the book can be used.
pub const VALID: Family = Family {
    unit: "0 or 1",
    inputs: "book",
    formula: "1 where the book at the close is whole, has two sides and does not cross; 0 after a gap until the next snapshot; \
              null before the first update",
    source: "by definition",
    scope: Scope::Market,
};

/// Which side is deeper.
pub const IMBALANCE: Family = Family {
    unit: "-1 to 1",
    inputs: "book",
    formula: "(B - A) / (B + A), B and A the quantities of the n best levels of bids and asks at the close; null where the book \
              is not valid, or is known to fewer levels",
    source: "Cao, Hansch and Wang 2009",
    scope: Scope::Market,
};

/// At the close.
pub fn valid(bars: &[FeatureBar]) -> f64 {
    at_close(bars, |market| market.book_valid)
}

/// Over the levels of a place in [`DEPTHS`](crate::market::DEPTHS).
pub fn imbalance<const PLACE: usize>(bars: &[FeatureBar]) -> f64 {
    at_close(bars, |market| {
        let (bids, asks) = (market.bid_depth[PLACE], market.ask_depth[PLACE]);
        (bids - asks) / (bids + asks)
    })
}
