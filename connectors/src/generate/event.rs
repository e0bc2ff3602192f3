//! What a market sends, and how much of what.

use crate::file::Op;
use tidewheel_schemas::Trade;

/// One record as it arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// Why it was made, and so what should become of it.
    pub cause: Cause,
    /// What it does.
    pub op: Op,
    /// Index into [`super::Market::instruments`].
    pub instrument: u32,
    /// The trade; of a cancel the one cancelled, of a correction the trade as it should have been.
    pub trade: Trade,
    /// When it arrives, nanoseconds; never before the event in front of it.
    pub receive_time_ns: i64,
}

/// Why an event was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An ordinary trade in its time.
    Fresh,
    /// An ordinary trade that arrives up to the disorder late, behind younger ones.
    OutOfOrder,
    /// A trade sent before, unchanged.
    Duplicate,
    /// A trade sent before, with another price and quantity.
    Conflict,
    /// A trade of its own, dated back more than two correction horizons.
    Late,
    /// A trade of its own, dated more than a day ahead.
    Future,
    /// A trade of its own that no decoder may accept.
    Malformed(Damage),
    /// The cancel of a trade sent before.
    Cancel,
    /// The correction of a trade sent before.
    Correct,
}

/// What is wrong with a malformed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The record stops in the middle.
    Cut,
    /// Something that was never a record.
    Noise,
    /// A word for a price.
    PriceText,
    /// A price below zero.
    NegativePrice,
    /// A quantity of zero.
    ZeroQuantity,
    /// A quantity with nine decimals.
    TooManyDecimals,
    /// No quantity at all.
    MissingQuantity,
    /// A symbol that is not UTF-8.
    BadUtf8,
}

impl Damage {
    /// All kinds; each is as likely as the others.
    pub const ALL: [Self; 8] = [
        Self::Cut,
        Self::Noise,
        Self::PriceText,
        Self::NegativePrice,
        Self::ZeroQuantity,
        Self::TooManyDecimals,
        Self::MissingQuantity,
        Self::BadUtf8,
    ];
}

/// How many events of each cause there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Of [`Cause::Fresh`].
    pub fresh: u64,
    /// Of [`Cause::OutOfOrder`].
    pub out_of_order: u64,
    /// Of [`Cause::Duplicate`].
    pub duplicate: u64,
    /// Of [`Cause::Conflict`].
    pub conflict: u64,
    /// Of [`Cause::Late`].
    pub late: u64,
    /// Of [`Cause::Future`].
    pub future: u64,
    /// Of [`Cause::Malformed`].
    pub malformed: u64,
    /// Of [`Cause::Cancel`].
    pub cancel: u64,
    /// Of [`Cause::Correct`].
    pub correct: u64,
}

impl Tally {
    /// Counts an event.
    pub fn add(&mut self, cause: Cause) {
        let count = match cause {
            Cause::Fresh => &mut self.fresh,
            Cause::OutOfOrder => &mut self.out_of_order,
            Cause::Duplicate => &mut self.duplicate,
            Cause::Conflict => &mut self.conflict,
            Cause::Late => &mut self.late,
            Cause::Future => &mut self.future,
            Cause::Malformed(_) => &mut self.malformed,
            Cause::Cancel => &mut self.cancel,
            Cause::Correct => &mut self.correct,
        };
        *count += 1;
    }

    /// All events.
    pub fn events(&self) -> u64 {
        self.trades() + self.duplicate + self.conflict + self.late + self.future + self.malformed + self.amendments()
    }

    /// Trades that belong into bars, cancelled and corrected ones included.
    pub fn trades(&self) -> u64 {
        self.fresh + self.out_of_order
    }

    /// Cancels and corrections.
    pub fn amendments(&self) -> u64 {
        self.cancel + self.correct
    }
}
