//! The program on a real broker, end to end: a generated market into a topic, `tidewheel run` and `tidewheel replay` over
//! it, and what a `read_committed` consumer and the lake then hold, against a replay of the same records from a file.
//!
//! The yardstick of every bar is the file replay, which other tests hold against a slow oracle and against exchanges' own
//! bars. Markets open an hour or two ago, because a live run tells the future by the wall clock; apart from that hour they
//! are the same each time.

mod changes;
mod embedded;
mod faults;
pub mod markets;
mod paused;
pub mod program;
pub mod readers;
mod refusals;
mod replayed;
mod resumed;
pub mod running;
mod tools;
