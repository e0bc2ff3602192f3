//! Rows to the worker that owns their instrument.

use crate::saved::{shard_of, worker_of};
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::sync::Arc;
use tidewheel_schemas::{InstrumentId, TradeColumns};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::Operator;

/// Rows of a chunk that belong to one tick.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RowSlice {
    /// The chunk.
    pub columns: Arc<TradeColumns>,
    /// Which of its rows, ascending and disjoint.
    pub ranges: Vec<Range<u32>>,
}

/// The rows of a slice that one worker owns. Within a process only the row numbers are new: the columns are shared.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoutedRows {
    /// The worker they go to.
    pub worker: u64,
    /// The chunk.
    pub columns: Arc<TradeColumns>,
    /// Row numbers, ascending.
    pub rows: Vec<u32>,
}

impl RoutedRows {
    /// Where the first row stood in the source: slices sorted by it are in source order.
    pub fn source(&self) -> (u32, u64, u32) {
        let first = self.rows.first().copied().unwrap_or_default();
        (self.columns.partition, self.columns.position.get(first as usize).copied().unwrap_or_default(), first)
    }
}

/// The worker that owns an instrument.
pub fn owner(id: InstrumentId, workers: usize) -> usize {
    worker_of(shard_of(id), workers)
}

/// Splits slices by the owner of each row's instrument.
///
/// **Input** slices, on any worker. **Output** the same rows by owning worker, key `worker`, to be exchanged by it.
/// **Order** rows of a slice stay in order. **State** none. **Late** passes.
pub fn route(slices: StreamVec<'_, u64, RowSlice>, workers: usize) -> StreamVec<'_, u64, RoutedRows> {
    slices.unary(Pipeline, "Route", move |_, _| {
        move |input, output| {
            input.for_each(|time, slices| {
                let mut session = output.session(&time);
                for slice in slices.drain(..) {
                    split(slice, workers).into_iter().for_each(|rows| session.give(rows));
                }
            });
        }
    })
}

/// The rows of a slice by owner; owners without rows are left out.
pub fn split(slice: RowSlice, workers: usize) -> Vec<RoutedRows> {
    let RowSlice { columns, ranges } = slice;
    let mut rows_of: Vec<Vec<u32>> = vec![Vec::new(); workers];
    if let [rows] = &mut rows_of[..] {
        *rows = ranges.into_iter().flatten().collect();
    } else {
        let owners: Vec<u32> =
            columns.instruments.iter().map(|instrument| owner(instrument.id(), workers) as u32).collect();
        for row in ranges.into_iter().flatten() {
            rows_of[owners[columns.instrument[row as usize] as usize] as usize].push(row);
        }
    }
    let parts = rows_of.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty());
    parts.map(|(worker, rows)| RoutedRows { worker: worker as u64, columns: Arc::clone(&columns), rows }).collect()
}
