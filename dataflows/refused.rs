//! Dead letters of records that were decoded, but not taken: from the future, too old, in conflict with what is known.
//!
//! A letter holds the message that its record came in, and a message may hold thousands: its bytes are copied once, and the
//! letters of a tick share them. [`Reject::gather`] leaves few of a message. What it leaves depends on the letters of a tick
//! alone, not on workers; where a replay gives the records of one message to several ticks, each of them has its letters.

use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_connectors::decode::{render_account, render_market, render_trade};
use tidewheel_connectors::source::MessageBlock;
use tidewheel_operators::market::Refused;
use tidewheel_operators::risk::RefusedAccount;
use tidewheel_schemas::{
    AccountRecord, Amendment, Change, LateRecord, MarketRecord, Reject, RejectReason, TradeColumns,
};

/// The bytes of messages that are still at hand.
pub(crate) struct Received<'a> {
    blocks: &'a [Arc<MessageBlock>],
    shared: BTreeMap<(u32, u64), Arc<[u8]>>,
}

impl<'a> Received<'a> {
    /// Of the messages of these blocks.
    pub const fn of(blocks: &'a [Arc<MessageBlock>]) -> Self {
        Self { blocks, shared: BTreeMap::new() }
    }

    /// Those of the message at a position of a partition.
    fn bytes(&mut self, partition: u32, position: u64) -> Option<Arc<[u8]>> {
        if let Some(bytes) = self.shared.get(&(partition, position)) {
            return Some(Arc::clone(bytes));
        }
        let mut of_partition = self.blocks.iter().filter(|block| block.partition == partition);
        let bytes: Arc<[u8]> = of_partition.find_map(|block| block.payload_at(position))?.into();
        self.shared.insert((partition, position), Arc::clone(&bytes));
        Some(bytes)
    }
}

/// A trade dated beyond the tick.
pub(crate) fn future_trade(columns: &TradeColumns, row: usize, tick: u64, received: &mut Received<'_>) -> Reject {
    let trade = columns.trade(row);
    let (partition, position) = (columns.partition, columns.position[row]);
    let as_json = || render_trade(columns.instrument_of(row), &trade, None).into();
    Reject {
        partition,
        position,
        reason: RejectReason::Future,
        records: 1,
        detail: future_detail(trade.event_time_ns, tick),
        raw: received.bytes(partition, position).unwrap_or_else(as_json),
        receive_time_ns: columns.receive_time_of(row),
    }
}

/// A correction to a time beyond the tick.
pub(crate) fn future_amendment(amendment: Amendment, tick: u64) -> Reject {
    Reject {
        partition: amendment.partition,
        position: amendment.position,
        reason: RejectReason::Future,
        records: 1,
        detail: future_detail(corrected_time_ns(&amendment).unwrap_or_default(), tick),
        raw: amendment.raw,
        receive_time_ns: amendment.receive_time_ns,
    }
}

/// The time that a correction gives to its trade, nanoseconds.
pub(crate) const fn corrected_time_ns(amendment: &Amendment) -> Option<i64> {
    match amendment.change {
        Change::Correct(correction) => correction.event_time_ns,
        Change::Cancel => None,
    }
}

/// A market record that the gate did not let pass.
pub(crate) fn market_record(
    record: &MarketRecord,
    reason: RejectReason,
    detail: String,
    received: &mut Received<'_>,
) -> Reject {
    let MarketRecord { partition, position, receive_time_ns, .. } = *record;
    let raw = received.bytes(partition, position).unwrap_or_else(|| render_market(record).into());
    Reject { partition, position, reason, records: 1, detail, raw, receive_time_ns }
}

/// A market record that contradicts what is held, or whose place is gone.
pub(crate) fn refused(refused: Refused, received: &mut Received<'_>) -> Reject {
    let Refused { record, reason, detail } = refused;
    let detail = format!("{} of {:?}: {detail}", record.content.name(), record.instrument);
    market_record(&record, reason, detail, received)
}

/// A record of an account that the gate did not let pass.
pub(crate) fn account(
    record: &AccountRecord,
    reason: RejectReason,
    detail: String,
    received: &mut Received<'_>,
) -> Reject {
    let AccountRecord { partition, position, receive_time_ns, .. } = *record;
    let raw = received.bytes(partition, position).unwrap_or_else(|| render_account(record).into());
    Reject { partition, position, reason, records: 1, detail, raw, receive_time_ns }
}

/// A record of an account that risk did not take.
pub(crate) fn refused_account(refused: RefusedAccount, received: &mut Received<'_>) -> Reject {
    let RefusedAccount { record, reason, detail } = refused;
    account(&record, reason, detail, received)
}

/// A trade whose id was seen with other content.
///
/// # Panics
/// If it is no trade.
pub(crate) fn conflict(record: LateRecord, received: &mut Received<'_>) -> Reject {
    let (partition, position) = record.source();
    let LateRecord::Trade { instrument, trade, receive_time_ns, .. } = record else {
        unreachable!("only trades are in conflict");
    };
    let bytes = received.bytes(partition, position);
    Reject {
        partition,
        position,
        reason: RejectReason::Conflict,
        records: 1,
        detail: format!("trade {} of {instrument:?} was seen before with other content; the first is kept", trade.id),
        raw: bytes.unwrap_or_else(|| render_trade(&instrument, &trade, None).into()),
        receive_time_ns,
    }
}

/// How far beyond its tick a record is dated.
pub(crate) fn future_detail(time_ns: i64, tick: u64) -> String {
    let ahead_ms = time_ns / 1_000_000 - i64::try_from(tick).unwrap_or(i64::MAX);
    format!("event time {time_ns} ns is {ahead_ms} ms beyond the tick that received it")
}
