//! The computing half of tidewheel: what a tick's records do to bars.
//!
//! ```text
//!   rows ---- route ---+
//!   amendments --------+--- tape ---- 1 s bars ---- lifecycle ------------------------- versions
//!   tick headers ------+        \---- 1 m bars ---- lifecycle ---+--------------------- versions
//!                                                                rollup -- lifecycle -- versions
//!                                                                          ... up to 1 d
//!   quotes, books, marks, funding, liquidations ---- market ---- leaves of minutes ---- features
//!   accounts, orders of people; prices of tape and market, final bars ---- risk, on one worker
//! ```
//!
//! Nothing here reads a clock, a file, a socket, the environment or a random source: each tick's output is a function of
//! the ticks so far. Time arrives in [`TickHeader`]s.

pub mod features;
mod hash;
pub mod hourly;
pub mod intake;
pub mod lifecycle;
pub mod market;
mod open_ticks;
pub mod risk;
pub mod rollup;
pub mod saved;
pub mod scoring;
pub mod signals;
pub mod tape;
mod tick;
pub mod watermark;

pub use tick::{TickHeader, Upsert};
