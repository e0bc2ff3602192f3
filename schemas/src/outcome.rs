//! What became of the input at a tick: published bars, late and rejected records, and the counts that reconcile.

use crate::{AcceptedRows, AccountRecord, Amendment, BarVersion, Instrument, MarketRecord, Row, Trade, TradeColumns};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Refused records of a message that each have a dead letter of their own, see [`Reject::gather`].
pub const OWN_LETTERS: usize = 7;

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
///
/// A message may hold thousands of records, and each letter holds the whole message. So only [`OWN_LETTERS`] of those
/// refused have one of their own, and the others share one for each reason. The sum of `records` over all letters of a
/// reason is what [`Counters`] counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// The source partition.
    pub partition: u32,
    /// Offset, line (from 1) or row (from 0) there.
    pub position: u64,
    /// The kind of trouble.
    pub reason: RejectReason,
    /// How many records of the message it speaks of, from 1. A message that could not be taken apart is one.
    pub records: u64,
    /// What exactly, for a person: `price: more than 8 decimal places`. Of several records, that of the first.
    pub detail: String,
    /// The message as it was received, shared by its letters, or canonical JSON where the source has no text (Parquet).
    pub raw: Arc<[u8]>,
    /// When it was received, where known.
    pub receive_time_ns: Option<i64>,
}

/// By source, reason and detail.
impl Ord for Reject {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |letter: &Self| (letter.partition, letter.position, letter.reason);
        key(self)
            .cmp(&key(other))
            .then_with(|| self.detail.cmp(&other.detail))
            .then_with(|| self.records.cmp(&other.records))
            .then_with(|| self.receive_time_ns.cmp(&other.receive_time_ns))
            // Letters of one message share their bytes, and to compare a large one as often as a sort asks takes minutes.
            .then_with(|| if Arc::ptr_eq(&self.raw, &other.raw) { Ordering::Equal } else { self.raw.cmp(&other.raw) })
    }
}

impl PartialOrd for Reject {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Reject {
    /// Has this letter speak of what another of the same message and reason speaks of, too.
    pub fn absorb(&mut self, records: u64) {
        if self.records == 1 {
            self.detail = format!("several records of the message, the first: {}", self.detail);
        }
        self.records += records;
    }

    /// Sorts letters and has those of a message share: the first [`OWN_LETTERS`] of single records stand, what else was
    /// refused has one letter a reason. To gather again changes nothing.
    pub fn gather(mut letters: Vec<Self>) -> Vec<Self> {
        letters.sort();
        let mut gathered: Vec<Self> = Vec::with_capacity(letters.len());
        // Where the letters of the message at hand begin, its own ones, and those that are shared.
        let (mut first, mut own, mut shared) = (0, 0, Vec::<usize>::new());
        for letter in letters {
            let is_same = gathered.get(first).is_some_and(|first| first.source() == letter.source());
            if !is_same {
                (first, own) = (gathered.len(), 0);
                shared.clear();
            }
            if letter.records == 1 && own < OWN_LETTERS {
                own += 1;
                gathered.push(letter);
                continue;
            }
            match shared.iter().find(|&&at| gathered[at].reason == letter.reason) {
                Some(&at) => gathered[at].absorb(letter.records),
                None => {
                    shared.push(gathered.len());
                    gathered.push(letter);
                }
            }
        }
        // A shared letter may have another detail now than it was sorted by.
        gathered.sort();
        gathered
    }

    const fn source(&self) -> (u32, u64) {
        (self.partition, self.position)
    }
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
    /// Refused with a reason; the dead letters say of how many records each speaks.
    pub rejected: u64,
    /// Cancels and corrections still waiting for their trade.
    pub pending: u64,
    /// Accepted trades of a kind that is kept out of bars.
    pub outside_bars: u64,
    /// Accepted cancels and corrections.
    pub amended: u64,
    /// Messages of types not handled, by type. Not part of `read`.
    pub ignored: BTreeMap<String, u64>,
    /// Refused, by reason.
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

    /// Counts a refused record.
    pub fn reject(&mut self, reason: RejectReason) {
        self.reject_all(reason, 1);
    }

    /// Counts refused records.
    pub fn reject_all(&mut self, reason: RejectReason, records: u64) {
        self.rejected += records;
        *self.rejected_by_reason.entry(reason).or_default() += records;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(position: u64, reason: RejectReason, detail: &str, records: u64) -> Reject {
        let raw = Arc::from(&b"[]"[..]);
        Reject { partition: 0, position, reason, records, detail: detail.to_owned(), raw, receive_time_ns: None }
    }

    fn counts(letters: &[Reject]) -> BTreeMap<(u64, RejectReason), u64> {
        letters.iter().fold(BTreeMap::new(), |mut counts, letter| {
            *counts.entry((letter.position, letter.reason)).or_default() += letter.records;
            counts
        })
    }

    #[test]
    fn a_message_has_few_letters_that_speak_of_all_its_records_in_any_order() {
        use RejectReason::{Number, TooOld};
        let mut letters: Vec<Reject> = (0..500).map(|n| letter(5, Number, &format!("record {n}"), 1)).collect();
        letters.extend((0..300).map(|n| letter(5, TooOld, &format!("at {n}"), 1)));
        letters.push(letter(5, Number, "several records of the message, the first: record 6", 40));
        letters.extend((0..OWN_LETTERS as u64).map(|n| letter(6, Number, &format!("record {n}"), 1)));
        letters.push(letter(7, Number, "alone", 1));
        let expected = Reject::gather(letters.clone());
        assert_eq!(counts(&expected), counts(&letters));
        let of = |position| expected.iter().filter(|letter| letter.position == position).count();
        assert_eq!((of(5), of(6), of(7)), (OWN_LETTERS + 2, OWN_LETTERS, 1));
        let shared: Vec<_> = expected.iter().filter(|letter| letter.records > 1).collect();
        let told: Vec<_> =
            shared.iter().map(|letter| (letter.reason, letter.records, letter.detail.as_str())).collect();
        assert_eq!(
            told,
            [
                (Number, 533, "several records of the message, the first: record 104"),
                (TooOld, 300, "several records of the message, the first: at 0"),
            ]
        );
        assert_eq!(Reject::gather(expected.clone()), expected, "once more");
        letters.reverse();
        assert_eq!(Reject::gather(letters), expected);
    }
}
