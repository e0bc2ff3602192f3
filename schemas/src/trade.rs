//! One trade, and what can happen to it afterwards.

use crate::{Instrument, TradeId, TradeKey};
use serde::{Deserialize, Serialize};

/// Who crossed the spread. `Unknown` counts to neither side's volume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum AggressorSide {
    /// The venue does not say.
    #[default]
    Unknown,
    /// The taker bought.
    Buy,
    /// The taker sold.
    Sell,
}

impl AggressorSide {
    /// As written in the canonical form; nothing for `Unknown`.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::Unknown => None,
            Self::Buy => Some("buy"),
            Self::Sell => Some("sell"),
        }
    }
}

/// What made the trade. Venues leave all but `Market` out of their bars, and so do we.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum TradeKind {
    /// An ordinary trade in the book.
    #[default]
    Market,
    /// A liquidation taken over by the insurance fund.
    InsuranceFund,
    /// An automatic deleveraging.
    Adl,
    /// A block trade, agreed away from the book.
    Block,
    /// Something the venue names otherwise (settlement, `NA`).
    Other,
}

impl TradeKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Market, Self::InsuranceFund, Self::Adl, Self::Block, Self::Other];

    /// As written in the lake.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Market => "market",
            Self::InsuranceFund => "insurance_fund",
            Self::Adl => "adl",
            Self::Block => "block",
            Self::Other => "other",
        }
    }

    /// Whether it belongs into bars.
    pub const fn is_in_bars(self) -> bool {
        matches!(self, Self::Market)
    }
}

/// One trade as a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Trade {
    /// The venue's trade time, nanoseconds since the epoch, UTC.
    pub event_time_ns: i64,
    /// Its identity within the instrument.
    pub id: TradeId,
    /// Price in the quote asset, eight decimals, above zero.
    pub price_e8: i64,
    /// Quantity in the base asset (or contracts), eight decimals, above zero.
    pub quantity_e8: i64,
    /// How many fills it stands for: more than one for aggregated trades.
    pub count: u32,
    /// Who crossed the spread.
    pub side: AggressorSide,
    /// What made it.
    pub kind: TradeKind,
}

impl Trade {
    /// Where the trade stands in its bar: open is the least key, close the greatest.
    #[inline]
    pub const fn key(&self) -> TradeKey {
        TradeKey { event_time_ns: self.event_time_ns, id: self.id }
    }
}

/// What a correction puts in place of the trade's own values. Absent: stays as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Correction {
    /// The right price.
    pub price_e8: Option<i64>,
    /// The right quantity.
    pub quantity_e8: Option<i64>,
    /// The right trade time.
    pub event_time_ns: Option<i64>,
    /// The right aggressor.
    pub side: Option<AggressorSide>,
}

/// What an amendment does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Change {
    /// The trade never was.
    Cancel,
    /// The trade was otherwise.
    Correct(Correction),
}

/// A cancel or a correction of a trade, which may arrive before or after it.
///
/// A cancel is the last word. Among corrections of one trade the greatest `sequence` wins, then the last to arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amendment {
    /// The trade's instrument.
    pub instrument: Instrument,
    /// The trade's id.
    pub id: TradeId,
    /// What it does.
    pub change: Change,
    /// The original trade's time where the record tells it: then lateness is known without the trade.
    pub original_time_ns: Option<i64>,
    /// Orders corrections of the same trade; zero where the venue has none.
    pub sequence: i64,
    /// The source partition it came from.
    pub partition: u32,
    /// Its offset, line or row there.
    pub position: u64,
    /// When it was received, where known.
    pub receive_time_ns: Option<i64>,
    /// The record as received, for the rejects.
    pub raw: std::sync::Arc<[u8]>,
}
