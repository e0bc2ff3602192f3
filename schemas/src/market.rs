//! What a market says beside its trades: best quotes, order books, mark prices and funding, liquidations.

use crate::{AggressorSide, Instrument};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A price level of a book.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Level {
    /// Price, eight decimals, above zero.
    pub price_e8: i64,
    /// Quantity resting there, eight decimals; zero where a change takes the level away.
    pub quantity_e8: i64,
}

/// The best prices of a book, as a venue tells them by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Quote {
    /// The venue's number of the book's update, where it has one: orders quotes of one time.
    pub update_id: Option<u64>,
    /// Highest bid; none where that side is empty.
    pub bid: Option<Level>,
    /// Lowest ask; none where that side is empty.
    pub ask: Option<Level>,
}

/// A whole book, or changes of one.
///
/// Updates of a book are ordered by `sequence`, never by arrival. A snapshot holds the book after update `last_id`. A change
/// follows what it follows by the venue's own rule: where it has a `previous_id`, that must be the `last_id` of the update
/// before it; else `first_id` must be at most one more than that and `last_id` at least one more. The first change after a
/// snapshot may begin before it in either case, and changes that end before it are part of it already.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BookUpdate {
    /// Orders the updates of a book; greater is later.
    pub sequence: u64,
    /// The first of the venue's updates that it holds.
    pub first_id: u64,
    /// The last of them.
    pub last_id: u64,
    /// The last of the change before it, where the venue says.
    pub previous_id: Option<u64>,
    /// Whether it is the whole book and not a change.
    pub is_snapshot: bool,
    /// To how many levels a side the snapshot goes, where the venue tells of the best ones only; none where it tells of all. Of a
    /// change, how many of the best levels the venue keeps known by its changes; none where these tell only what they change.
    pub depth: Option<u32>,
    /// Bid levels, as they were sent.
    pub bids: Arc<[Level]>,
    /// Ask levels, as they were sent.
    pub asks: Arc<[Level]>,
}

/// Mark price and running funding of a perpetual contract. What a message leaves out stays as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Mark {
    /// The price that positions are valued by, eight decimals, above zero.
    pub mark_price_e8: Option<i64>,
    /// The price of the index below it, eight decimals, above zero.
    pub index_price_e8: Option<i64>,
    /// The funding rate as estimated for the next payment, a ratio with eight decimals; longs pay where it is positive.
    pub funding_rate_e8: Option<i64>,
    /// When it is paid next, nanoseconds.
    pub next_funding_time_ns: Option<i64>,
}

/// A funding rate that was settled at the record's event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Funding {
    /// A ratio with eight decimals; longs paid where it is positive.
    pub rate_e8: i64,
    /// The mark price it was paid on, eight decimals, where the venue says.
    pub mark_price_e8: Option<i64>,
}

/// A position that the venue closed by force. Venues tell of some only, so that sums of them are lower bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Liquidation {
    /// Side of the order that closed it: `Sell` closes a long.
    pub side: AggressorSide,
    /// The price: what was paid on average where the venue says, else that of the order. Eight decimals, above zero.
    pub price_e8: i64,
    /// The quantity that this record tells of: what was filled since the one before it of the same order. Eight decimals, above zero.
    pub quantity_e8: i64,
    /// Which of the equal ones of its message, from 0: venues number none, and two alike in one message are two, but one told in
    /// two messages is one.
    pub occurrence: u16,
}

/// What a record of a market says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MarketContent {
    /// Best bid and ask.
    Quote(Quote),
    /// A book, or a change of it.
    Book(BookUpdate),
    /// Mark price and running funding.
    Mark(Mark),
    /// A settled funding rate.
    Funding(Funding),
    /// A liquidation.
    Liquidation(Liquidation),
}

impl MarketContent {
    /// What it is, in a word.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Quote(_) => "quote",
            Self::Book(_) => "book",
            Self::Mark(_) => "mark",
            Self::Funding(_) => "funding",
            Self::Liquidation(_) => "liquidation",
        }
    }
}

/// One record of a market beside its trades, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketRecord {
    /// What it speaks of.
    pub instrument: Instrument,
    /// The venue's time, nanoseconds since the epoch, UTC. Where the venue sends none, that of the receipt.
    pub event_time_ns: i64,
    /// Whether the venue sent no time, so that `event_time_ns` is that of the receipt. Such a time says when it was known at the
    /// latest, and not when it was so.
    pub is_timeless: bool,
    /// The source partition.
    pub partition: u32,
    /// Offset, line (from 1) or row (from 0) there.
    pub position: u64,
    /// Which of the message's records, from 0.
    pub index: u16,
    /// When it was received, where known, nanoseconds.
    pub receive_time_ns: Option<i64>,
    /// What it says.
    pub content: MarketContent,
}

impl MarketRecord {
    /// Partition, position, index: unlike for any two records of a run.
    pub const fn source(&self) -> (u32, u64, u16) {
        (self.partition, self.position, self.index)
    }
}
