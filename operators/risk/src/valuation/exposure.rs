//! Sums of exposure by whatever positions have in common, kept by difference.
//!
//! Gross is the sum of the absolute worth of the positions, net the signed one (long above zero, for inverse contracts too). Positions
//! of two strategies in one instrument are two positions: their gross adds up though their net may be nothing, because each can be
//! closed without the other.
//!
//! What a ratio is of, in the words of this crate: `gross` over **equity** is the gross ratio, and the same number of times is the
//! leverage; so limits of 200 % gross and 5x leverage on one base cannot both bind. Records name no margin by venue; a leverage on
//! margin needs it from the policy, and the exposure by venue is what it is to be divided into. Concentration is gross of a symbol,
//! sector, class, venue or strategy over the **equity of the account**.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidewheel_schemas::Instrument;

/// What a sum is over, within one account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Group {
    /// All of the account.
    Account,
    /// A strategy.
    Strategy(Arc<str>),
    /// An instrument.
    Symbol(Instrument),
    /// A sector.
    Sector(Arc<str>),
    /// An asset class.
    AssetClass(Arc<str>),
    /// A venue.
    Venue(Arc<str>),
}

/// Gross and net, sixteen decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exposure {
    /// The sum of absolute worths.
    pub gross_e16: i128,
    /// The sum of signed worths, long above zero.
    pub net_e16: i128,
}

/// What positions add to each sum they are part of, in their settlement currency; and such a sum.
///
/// All are integers below bounds that `exact` states, so that adding and taking away again leaves no trace and never overflows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cell {
    /// Of the marked positions.
    pub exposure: Exposure,
    /// Worth at marks less cost, of the marked positions.
    pub unrealised_e16: i128,
    /// Made by closing.
    pub realised_e16: i128,
    /// Received as funding.
    pub funding_e16: i128,
    /// Positions that hold something.
    pub open: i64,
    /// Those of them that have no mark.
    pub unmarked: i64,
}

impl Cell {
    /// Takes what a position was out and puts in what it is.
    pub const fn shift(&mut self, from: &Self, to: &Self) {
        self.exposure.gross_e16 += to.exposure.gross_e16 - from.exposure.gross_e16;
        self.exposure.net_e16 += to.exposure.net_e16 - from.exposure.net_e16;
        self.unrealised_e16 += to.unrealised_e16 - from.unrealised_e16;
        self.realised_e16 += to.realised_e16 - from.realised_e16;
        self.funding_e16 += to.funding_e16 - from.funding_e16;
        self.open += to.open - from.open;
        self.unmarked += to.unmarked - from.unmarked;
    }
}
