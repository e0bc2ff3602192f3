//! The lengths of bars.

use crate::SECOND_NS;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The length of a bar. Half-open, aligned to the Unix epoch in UTC: a trade on the boundary belongs to the later bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[repr(u8)]
pub enum Interval {
    /// One second, the leaf that all others are made of.
    S1,
    /// One minute.
    M1,
    /// Five minutes.
    M5,
    /// A quarter of an hour.
    M15,
    /// One hour.
    H1,
    /// Four hours.
    H4,
    /// One day.
    D1,
}

impl Interval {
    /// All intervals, each a whole multiple of the one before.
    pub const ALL: [Self; 7] = [Self::S1, Self::M1, Self::M5, Self::M15, Self::H1, Self::H4, Self::D1];

    /// Its length.
    pub const fn duration_ns(self) -> i64 {
        SECOND_NS
            * match self {
                Self::S1 => 1,
                Self::M1 => 60,
                Self::M5 => 300,
                Self::M15 => 900,
                Self::H1 => 3_600,
                Self::H4 => 14_400,
                Self::D1 => 86_400,
            }
    }

    /// As written in configuration, topics and paths: `1m`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S1 => "1s",
            Self::M1 => "1m",
            Self::M5 => "5m",
            Self::M15 => "15m",
            Self::H1 => "1h",
            Self::H4 => "4h",
            Self::D1 => "1d",
        }
    }

    /// The open time of the bar that `time_ns` falls into.
    #[inline]
    pub const fn open_of(self, time_ns: i64) -> i64 {
        time_ns - time_ns.rem_euclid(self.duration_ns())
    }

    /// The next longer interval.
    pub fn coarser(self) -> Option<Self> {
        Self::ALL.get(self as usize + 1).copied()
    }
}

/// A text that names no interval.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown interval {0:?}, expected one of 1s, 1m, 5m, 15m, 1h, 4h, 1d")]
pub struct UnknownInterval(String);

impl FromStr for Interval {
    type Err = UnknownInterval;

    fn from_str(text: &str) -> Result<Self, UnknownInterval> {
        Self::ALL.into_iter().find(|interval| interval.name() == text).ok_or_else(|| UnknownInterval(text.to_owned()))
    }
}

impl TryFrom<String> for Interval {
    type Error = UnknownInterval;

    fn try_from(text: String) -> Result<Self, UnknownInterval> {
        text.parse()
    }
}

impl From<Interval> for String {
    fn from(interval: Interval) -> Self {
        interval.name().to_owned()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interval_is_a_multiple_of_the_one_before_and_reads_back() {
        for pair in Interval::ALL.windows(2) {
            assert_eq!(pair[1].duration_ns() % pair[0].duration_ns(), 0);
            assert_eq!(pair[0].coarser(), Some(pair[1]));
        }
        for interval in Interval::ALL {
            assert_eq!(interval.name().parse(), Ok(interval));
        }
    }

    #[test]
    fn a_trade_on_the_boundary_belongs_to_the_later_bar_also_before_the_epoch() {
        let minute = Interval::M1.duration_ns();
        assert_eq!(Interval::M1.open_of(minute), minute);
        assert_eq!(Interval::M1.open_of(minute - 1), 0);
        assert_eq!(Interval::M1.open_of(-1), -minute);
    }
}
