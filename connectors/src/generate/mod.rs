//! A market that never was: seeded trades of many symbols, with the troubles of real feeds in known numbers.
//!
//! The same configuration gives the same events and, rendered, the same bytes on every machine: no clock, no floats, and a
//! random generator whose values are part of its contract. [`Market`] makes events, [`render()`] writes one in a venue's
//! format, [`write_text`] and [`write_parquet`] write files. Nothing matches: prices walk, and
//! where books and quotes are asked for they follow the trades, and so does a paper account.

mod account;
mod config;
mod crash;
mod event;
mod instruments;
mod market;
mod random;
mod render;
mod sink;
mod streams;

pub use account::{ACCOUNT, reference};
pub use config::{Crash, Faults, MarketConfig};
pub use event::{Cause, Damage, Event, Tally};
pub use market::Market;
pub use render::{WireFormat, csv_columns, csv_header, render, render_account_record, render_record};
pub use sink::{GenerateError, TextOptions, Written, write_parquet, write_text};
pub use streams::StreamKinds;

#[cfg(test)]
mod tests;
