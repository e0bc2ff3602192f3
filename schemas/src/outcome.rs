//! What became of the input at a tick: published bars, late and rejected records, and the counts that reconcile.

use crate::{AcceptedRows, AccountRecord, Amendment, BarVersion, Instrument, MarketRecord, Row, Trade, TradeColumns};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Why a record was rejected. The names are part of the contract: consumers filter on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RejectReason {
    /// Not JSON, not a CSV row of the stated columns, not UTF-8, or a message of no known shape.
    Malformed,
    /// Larger than the largest message allowed.
    Oversized,
    /// The file ended inside a record or a compressed stream.
    Truncated,
    /// A field that the format must have is not there, or of the wrong type.
    Field,
    /// Price or quantity is not a number, not positive, has too many decimals, or is too large, alone or multiplied.
    Number,
    /// A time that cannot be: in an ambiguous unit, before 2009 or after 2200.
    Time,
    /// Venue or symbol missing or with characters a key cannot carry.
    Instrument,
    /// A trade id of no supported form.
    TradeId,
    /// Dated beyond tick time plus the allowed skew.
    Future,
    /// A trade id seen before, with other content; the first is kept.
    Conflict,
    /// A cancel or a correction of a trade that never came within the correction horizon.
    UnknownTrade,
    /// A quote, book, mark, funding rate or liquidation older than the watermark less the correction horizon.
    TooOld,
}

impl RejectReason {
    /// All reasons.
    pub const ALL: [Self; 12] = [
        Self::Malformed,
        Self::Oversized,
        Self::Truncated,
        Self::Field,
        Self::Number,
        Self::Time,
        Self::Instrument,
        Self::TradeId,
        Self::Future,
        Self::Conflict,
        Self::UnknownTrade,
        Self::TooOld,
    ];

    /// As written in the lake and in Kafka.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Oversized => "oversized",
            Self::Truncated => "truncated",
            Self::Field => "field",
            Self::Number => "number",
            Self::Time => "time",
            Self::Instrument => "instrument",
            Self::TradeId => "trade_id",
            Self::Future => "future",
            Self::Conflict => "conflict",
            Self::UnknownTrade => "unknown_trade",
            Self::TooOld => "too_old",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A dead letter: what came, from where, and why it was not taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reject {
    /// The source partition.
    pub partition: u32,
    /// Offset, line (from 1) or row (from 0) there.
    pub position: u64,
    /// The kind of trouble.
    pub reason: RejectReason,
    /// What exactly, for a person: `price: more than 8 decimal places`.
    pub detail: String,
    /// The record as it was received, or canonical JSON where the source has no text (Parquet).
    pub raw: Box<[u8]>,
    /// When it was received, where known.
    pub receive_time_ns: Option<i64>,
}

/// A record that came after its bars were frozen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LateRecord {
    /// A trade older than the watermark less the correction horizon.
    Trade {
        /// What was traded.
        instrument: Instrument,
        /// The trade.
        trade: Trade,
        /// The source partition.
        partition: u32,
        /// Offset, line or row there.
        position: u64,
        /// When it was received, where known.
        receive_time_ns: Option<i64>,
    },
    /// A cancel or a correction of a trade that old.
    Amendment(Amendment),
}

impl LateRecord {
    /// The trade of a row, with where it came from.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn of_row(columns: &TradeColumns, row: usize) -> Self {
        Self::Trade {
            instrument: columns.instrument_of(row).clone(),
            trade: columns.trade(row),
            partition: columns.partition,
            position: columns.position[row],
            receive_time_ns: columns.receive_time_of(row),
        }
    }

    /// The source partition and the position in it.
    pub fn source(&self) -> (u32, u64) {
        match self {
            Self::Trade { partition, position, .. } => (*partition, *position),
            Self::Amendment(amendment) => (amendment.partition, amendment.position),
        }
    }
}

/// Where every record went. `read = accepted + duplicate + late + rejected + pending`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Trades, cancels, corrections, and messages that yielded none of them.
    pub read: u64,
    /// Taken into the bars, or applied to a trade, or of a kind that venues keep out of bars.
    pub accepted: u64,
    /// The same trade, or the same cancel, again.
    pub duplicate: u64,
    /// Beyond the correction horizon.
    pub late: u64,
    /// Dead letters.
    pub rejected: u64,
    /// Cancels and corrections still waiting for their trade.
    pub pending: u64,
    /// Accepted trades of a kind that is kept out of bars.
    pub outside_bars: u64,
    /// Accepted cancels and corrections.
    pub amended: u64,
    /// Messages of types not handled, by type. Not part of `read`.
    pub ignored: BTreeMap<String, u64>,
    /// Dead letters by reason.
    pub rejected_by_reason: BTreeMap<RejectReason, u64>,
}

impl Counters {
    /// Whether every record read has ended somewhere.
    pub fn reconcile(&self) -> bool {
        self.read == self.accepted + self.duplicate + self.late + self.rejected + self.pending
    }

    /// Adds the counts of another part of the input.
    pub fn add(&mut self, other: &Self) {
        self.read += other.read;
        self.accepted += other.accepted;
        self.duplicate += other.duplicate;
        self.late += other.late;
        self.rejected += other.rejected;
        self.pending += other.pending;
        self.outside_bars += other.outside_bars;
        self.amended += other.amended;
        for (kind, count) in &other.ignored {
            *self.ignored.entry(kind.clone()).or_default() += count;
        }
        for (reason, count) in &other.rejected_by_reason {
            *self.rejected_by_reason.entry(*reason).or_default() += count;
        }
    }

    /// Counts a dead letter.
    pub fn reject(&mut self, reason: RejectReason) {
        self.rejected += 1;
        *self.rejected_by_reason.entry(reason).or_default() += 1;
    }
}

/// All that one tick publishes, merged over the workers and in canonical order.
#[derive(Clone, Debug, Default)]
pub struct TickOutput {
    /// The tick, milliseconds since the epoch.
    pub tick: u64,
    /// The watermark after this tick, nanoseconds; `i64::MIN` before the first record.
    pub watermark_ns: i64,
    /// Versions of bars, by interval, instrument, open time, in the order in which they were published.
    pub bars: Vec<BarVersion>,
    /// Rows of the tables beside the bars, by table, instrument, qualifier and event time.
    pub rows: Vec<Row>,
    /// Records beyond the correction horizon, by source position.
    pub late: Vec<LateRecord>,
    /// Dead letters, by source position.
    pub rejects: Vec<Reject>,
    /// Trades taken in, for the archive.
    pub accepted: Vec<AcceptedRows>,
    /// Cancels and corrections taken in, for the archive, by source position.
    pub amendments: Vec<Amendment>,
    /// Quotes, books, marks, funding and liquidations taken in, for the archive, by source position.
    pub market: Vec<MarketRecord>,
    /// Fills and what became of them, cash, order intents and their ends, reference data taken in, for the archive, by source position.
    pub account: Vec<AccountRecord>,
    /// All counts from the start of the run through this tick.
    pub counters: Counters,
}
