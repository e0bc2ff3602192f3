//! Positions: what is held of an instrument, what it cost, and what was made of it, line by line.
//!
//! A position is a fold of its entries (fills and funding) in the order of event time, then fills before funding, then id. It holds
//! the state behind the correction horizon and the entries inside it, so that a late, corrected or cancelled fill is folded where
//! it belongs. Marks, currencies and sums over positions are not its concern.

mod contract;
mod fill_log;
mod holding;
mod position;

#[cfg(test)]
mod tests;

pub use contract::Contract;
pub use fill_log::{FillLog, FillState, Logged};
pub(crate) use holding::bounded;
pub use holding::{CostMethod, Entry, Holding, Lot, TripTally};
pub use position::{EntryKey, EntryKind, Position, Prepared};

/// A number that does not fit its bounds, by name. The record that would have made it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is out of range")]
pub struct OutOfRange(pub &'static str);
