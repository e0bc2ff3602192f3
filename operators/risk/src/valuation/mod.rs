//! What things are worth: marks of instruments, rates between currencies, and sums of exposure.
//!
//! A mark is the price that a policy names (the last trade, the mid, or the venue's own mark price), with its event time. There is one
//! mark for long and short: whoever wants to mark longs at the bid sends bids. Whether a mark is too old is asked when numbers are
//! read, by the event time that has been reached.

mod convert;
mod exposure;
mod marks;

pub use convert::{NoRate, Pairs, Rate, Seen};
pub use exposure::{Cell, Exposure, Group};
pub use marks::{Mark, MarkHistory, MarkSource, minute_end_ns};
