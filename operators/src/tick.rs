//! What every operator is told about a tick, and what the operators tell each other within one.

use crate::saved::Saving;
use serde::{Deserialize, Serialize};
use tidewheel_schemas::{Bar, Interval};

/// The facts of a tick, decided once at the source and the same on every worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickHeader {
    /// The tick: milliseconds since the epoch. Also the dataflow's timestamp.
    pub tick: u64,
    /// The watermark before this tick less the correction horizon, on a whole second. Bars that end at or before it are
    /// frozen; trades before it are late. `i64::MIN` until there is a watermark.
    pub frozen_ns: i64,
    /// The watermark with this tick's records. Bars that end, with the allowed lateness, at or before it are final.
    pub watermark_ns: i64,
    /// Whether changed bars that are not final are published at this tick.
    pub publish_provisional: bool,
    /// Whether the run ends after this tick, so that bars still open are reported as they stand.
    pub is_last: bool,
    /// Whether base state is to be handed out for a snapshot after this tick, and of which shards all.
    pub save: Option<Saving>,
    /// Whether this is the tick of the snapshot that the run began with: nothing happens at it but that the arrangements are
    /// filled.
    pub is_restore: bool,
}

impl TickHeader {
    /// The frozen frontier that a watermark and a horizon give.
    pub fn frozen_at(watermark_ns: i64, horizon_ns: i64) -> i64 {
        if watermark_ns == i64::MIN { i64::MIN } else { Interval::S1.open_of(watermark_ns.saturating_sub(horizon_ns)) }
    }
}

/// The value of a bar after a tick in which it changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Upsert {
    /// The instrument's number on this worker.
    pub instrument: u32,
    /// Start of the bar, nanoseconds.
    pub open_time_ns: i64,
    /// Its value; none if no trade is left in it. Of several in one tick a value beats none: a replacement arrives as
    /// the retraction of the old value and the insertion of the new in any order.
    pub bar: Option<Bar>,
}
