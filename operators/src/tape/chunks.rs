//! The trades behind the open bars: whole chunks as they came from the decoder, held while a bar still needs a row of them.

use crate::hash::FixedMap;
use std::sync::Arc;
use tidewheel_schemas::{Trade, TradeColumns};

/// A row of a held chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowRef {
    pub chunk: u32,
    pub row: u32,
}

#[derive(Debug)]
struct Held {
    columns: Arc<TradeColumns>,
    rows_in_use: u32,
}

/// Chunks by number. Keeping the rows where they are, in columns, costs 66 bytes a trade and no copy; a correction reads
/// the few rows it needs.
///
/// **State** A chunk lives until the bars of all its rows are frozen.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    held: FixedMap<u32, Held>,
    next: u32,
    rows: usize,
}

impl Chunks {
    /// Takes a chunk in and gives it a number; nothing of it is in use yet.
    pub fn admit(&mut self, columns: Arc<TradeColumns>) -> u32 {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.rows += columns.len();
        self.held.insert(number, Held { columns, rows_in_use: 0 });
        number
    }

    /// Counts rows of a chunk as in use; a chunk none of whose rows are, is let go.
    pub fn retain(&mut self, chunk: u32, rows: u32) {
        let held = self.held.get_mut(&chunk).expect("a chunk is retained right after it was admitted");
        held.rows_in_use += rows;
        if held.rows_in_use == 0 {
            self.let_go(chunk);
        }
    }

    /// Gives up rows; the last one frees the chunk.
    pub fn release(&mut self, rows: &[RowRef]) {
        for run in rows.chunk_by(|left, right| left.chunk == right.chunk) {
            let chunk = run[0].chunk;
            let held = self.held.get_mut(&chunk).expect("a row in use keeps its chunk");
            held.rows_in_use -= run.len() as u32;
            if held.rows_in_use == 0 {
                self.let_go(chunk);
            }
        }
    }

    fn let_go(&mut self, chunk: u32) {
        if let Some(held) = self.held.remove(&chunk) {
            self.rows -= held.columns.len();
        }
    }

    /// The trade a reference stands for.
    pub fn trade(&self, at: RowRef) -> Trade {
        self.held[&at.chunk].columns.trade(at.row as usize)
    }

    /// All chunks held, by number.
    pub fn shared(&self) -> FixedMap<u32, Arc<TradeColumns>> {
        self.held.iter().map(|(number, held)| (*number, Arc::clone(&held.columns))).collect()
    }

    /// Rows held, in use or not.
    pub fn rows(&self) -> usize {
        self.rows
    }
}
