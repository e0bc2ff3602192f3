//! The `[bars]` section: what is computed, and when it is published.

use super::{Cadence, TimeSpan};
use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};
use tidewheel_schemas::Interval;

/// What is computed, and how long it may change. Times are text: `100ms`, `5s`, `1m`, `1h 30m`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct BarsSection {
    /// The lengths of bars to publish, any of `1s`, `1m`, `5m`, `15m`, `1h`, `4h`, `1d`. Aligned to UTC; a trade on the
    /// boundary belongs to the later bar.
    pub intervals: Vec<Interval>,
    /// How often what came in is turned into bars: whole milliseconds, up to one minute. Shorter ticks publish sooner,
    /// longer ones cost less.
    pub tick: TimeSpan,
    /// How long after its end a bar waits for stragglers before it is published as final. Counted in event time.
    pub lateness: TimeSpan,
    /// How long cancels, corrections and late trades can still revise a bar. What is older goes to the late records, never
    /// into a bar. Memory grows with it: about 75 bytes for each trade of this time.
    pub horizon: TimeSpan,
    /// How far ahead of the tick a trade may be dated. What is further ahead is rejected as `future` and moves no clock.
    pub skew: TimeSpan,
    /// How often bars that are not final yet are published, or `none` for final bars only. At least one tick.
    pub provisional_every: Cadence,
    /// Whether the volume of each hour, and its share of the day's so far, goes to a topic `PREFIX.hourly_volume` and a table
    /// `hourly_volume` of the lake, revised with its bar.
    pub hourly_volume: bool,
}

impl Default for BarsSection {
    fn default() -> Self {
        Self {
            intervals: Interval::ALL.to_vec(),
            tick: TimeSpan::from_ms(100),
            lateness: TimeSpan::from_secs(5),
            horizon: TimeSpan::from_secs(3_600),
            skew: TimeSpan::from_secs(5),
            provisional_every: Cadence::Every(TimeSpan::from_secs(1)),
            hourly_volume: false,
        }
    }
}
