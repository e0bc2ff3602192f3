//! Equity by event time: running peak, drawdown and the day's profit, from samples at the ends of minutes.
//!
//! Samples inside the correction horizon can change: a fill that is cancelled can lower a past peak. So the peak is not ratcheted but
//! folded anew over the horizon's samples, from the state behind it; what ratchets are breakers, which are facts.

mod curve;

pub use curve::{Curve, DAY_NS, Point};
