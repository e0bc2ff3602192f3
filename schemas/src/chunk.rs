//! Trades in columns: the form in which they travel from the decoder to the tape and into the lake.

use crate::{AggressorSide, Instrument, Trade, TradeId, TradeKind};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Trades of one source partition, in its order, column by column. All columns are of one length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TradeColumns {
    /// The source partition all rows came from.
    pub partition: u32,
    /// The instruments named by `instrument`.
    pub instruments: Vec<Instrument>,
    /// Index into `instruments`.
    pub instrument: Vec<u32>,
    /// Venue's trade time, nanoseconds.
    pub event_time_ns: Vec<i64>,
    /// Identity within the instrument.
    pub id: Vec<TradeId>,
    /// Price, eight decimals.
    pub price_e8: Vec<i64>,
    /// Quantity, eight decimals.
    pub quantity_e8: Vec<i64>,
    /// Fills it stands for.
    pub count: Vec<u32>,
    /// Who crossed the spread.
    pub side: Vec<AggressorSide>,
    /// What made it.
    pub kind: Vec<TradeKind>,
    /// Offset, line or row in the partition; several trades of one message share it.
    pub position: Vec<u64>,
    /// Receive time, nanoseconds; empty where the source has none, else one a row, `i64::MIN` for rows without.
    pub receive_time_ns: Vec<i64>,
}

impl TradeColumns {
    /// Number of rows.
    #[inline]
    pub fn len(&self) -> usize {
        self.event_time_ns.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.event_time_ns.is_empty()
    }

    /// One row.
    ///
    /// # Panics
    /// If there is no such row.
    #[inline]
    pub fn trade(&self, row: usize) -> Trade {
        Trade {
            event_time_ns: self.event_time_ns[row],
            id: self.id[row],
            price_e8: self.price_e8[row],
            quantity_e8: self.quantity_e8[row],
            count: self.count[row],
            side: self.side[row],
            kind: self.kind[row],
        }
    }

    /// The instrument of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn instrument_of(&self, row: usize) -> &Instrument {
        &self.instruments[self.instrument[row] as usize]
    }

    /// The receive time of a row, where the source had one.
    pub fn receive_time_of(&self, row: usize) -> Option<i64> {
        self.receive_time_ns.get(row).copied().filter(|&time| time != i64::MIN)
    }

    /// Appends a row. `instrument` is an index into `instruments`.
    pub fn push(&mut self, instrument: u32, trade: &Trade, position: u64) {
        self.instrument.push(instrument);
        self.event_time_ns.push(trade.event_time_ns);
        self.id.push(trade.id);
        self.price_e8.push(trade.price_e8);
        self.quantity_e8.push(trade.quantity_e8);
        self.count.push(trade.count);
        self.side.push(trade.side);
        self.kind.push(trade.kind);
        self.position.push(position);
    }

    /// Keeps room for `rows` more.
    pub fn reserve(&mut self, rows: usize) {
        self.instrument.reserve(rows);
        self.event_time_ns.reserve(rows);
        self.id.reserve(rows);
        self.price_e8.reserve(rows);
        self.quantity_e8.reserve(rows);
        self.count.reserve(rows);
        self.side.reserve(rows);
        self.kind.reserve(rows);
        self.position.reserve(rows);
    }

    /// Heap bytes a row takes, without the receive time.
    pub const ROW_BYTES: usize = 4 + 8 + 16 + 8 + 8 + 4 + 1 + 1 + 8;
}

/// Rows of one chunk that the tape took in, for the archive.
#[derive(Clone, Debug)]
pub struct AcceptedRows {
    /// The chunk.
    pub columns: Arc<TradeColumns>,
    /// Row numbers, ascending.
    pub rows: Vec<u32>,
}
