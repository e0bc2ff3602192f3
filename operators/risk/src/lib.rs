//! Risk arithmetic: what accounts hold and what that is worth, how much they can lose, what they may do.
//!
//! No dataflow here: records and marks in, numbers and decisions out, the same for the same set of records whatever their order of
//! arrival. Money is exact, in integers with sixteen decimals; floats begin where a ratio or a root does.

pub mod book;
pub mod breakers;
pub mod decisions;
pub mod desk;
pub mod engine;
pub mod equity;
pub mod exact;
pub mod flash_crash;
pub mod levels;
pub mod metrics;
mod pairs;
pub mod policy;
pub mod positions;
pub mod regimes;
pub mod scenarios;
mod spelling;
pub mod switches;
pub mod valuation;
