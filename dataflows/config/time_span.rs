//! Lengths of time as people write them: `100ms`, `5s`, `1m`, `1h 30m`.

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A length of time, zero or more, exact to the nanosecond. Reads and prints as `1m 30s`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TimeSpan {
    ns: i64,
}

/// A text that is no length of time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeSpanError {
    /// Not a number with a unit.
    #[error("{0:?} is not a length of time: write it like \"100ms\", \"5s\", \"1m\", \"1h 30m\"")]
    Unreadable(String),
    /// Below zero.
    #[error("{0:?} is below zero")]
    Negative(String),
    /// Does not fit 64 bits of nanoseconds.
    #[error("{0:?} is longer than 292 years")]
    TooLong(String),
}

impl TimeSpan {
    /// So many milliseconds.
    pub const fn from_ms(ms: u32) -> Self {
        Self { ns: ms as i64 * 1_000_000 }
    }

    /// So many seconds.
    pub const fn from_secs(seconds: u32) -> Self {
        Self { ns: seconds as i64 * tidewheel_schemas::SECOND_NS }
    }

    /// Nanoseconds; never below zero.
    pub const fn as_ns(self) -> i64 {
        self.ns
    }

    /// Whole milliseconds; what is below one is cut off.
    pub const fn as_ms(self) -> u64 {
        self.ns.unsigned_abs() / 1_000_000
    }

    /// Whether it is a whole number of milliseconds.
    pub const fn is_whole_ms(self) -> bool {
        self.ns % 1_000_000 == 0
    }

    /// For `std`'s clocks.
    pub const fn as_duration(self) -> Duration {
        Duration::from_nanos(self.ns.unsigned_abs())
    }
}

impl FromStr for TimeSpan {
    type Err = TimeSpanError;

    fn from_str(text: &str) -> Result<Self, TimeSpanError> {
        let parsed: SignedDuration = text.trim().parse().map_err(|_| TimeSpanError::Unreadable(text.to_owned()))?;
        if parsed.is_negative() {
            return Err(TimeSpanError::Negative(text.to_owned()));
        }
        let ns = i64::try_from(parsed.as_nanos()).map_err(|_| TimeSpanError::TooLong(text.to_owned()))?;
        Ok(Self { ns })
    }
}

impl TryFrom<String> for TimeSpan {
    type Error = TimeSpanError;

    fn try_from(text: String) -> Result<Self, TimeSpanError> {
        text.parse()
    }
}

impl From<TimeSpan> for String {
    fn from(span: TimeSpan) -> Self {
        span.to_string()
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", SignedDuration::from_nanos(self.ns))
    }
}

/// How often something is done: after every so much time, or never. Reads and prints as a [`TimeSpan`] or `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Cadence {
    /// `none`.
    Never,
    /// After every such time.
    Every(TimeSpan),
}

impl FromStr for Cadence {
    type Err = TimeSpanError;

    fn from_str(text: &str) -> Result<Self, TimeSpanError> {
        if text.trim() == "none" { Ok(Self::Never) } else { text.parse().map(Self::Every) }
    }
}

impl TryFrom<String> for Cadence {
    type Error = TimeSpanError;

    fn try_from(text: String) -> Result<Self, TimeSpanError> {
        text.parse()
    }
}

impl From<Cadence> for String {
    fn from(cadence: Cadence) -> Self {
        cadence.to_string()
    }
}

impl fmt::Display for Cadence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("none"),
            Self::Every(span) => span.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_read_and_print_back() {
        for (text, printed, ns) in [
            ("100ms", "100ms", 100_000_000),
            ("5s", "5s", 5_000_000_000),
            ("90s", "1m 30s", 90_000_000_000),
            ("1h", "1h", 3_600_000_000_000),
            (" 1h30m ", "1h 30m", 5_400_000_000_000),
            ("0.5s", "500ms", 500_000_000),
            ("2 hours", "2h", 7_200_000_000_000),
            ("0s", "0s", 0),
            ("1us", "1µs", 1_000),
        ] {
            let span: TimeSpan = text.parse().expect("a length of time");
            assert_eq!((span.as_ns(), span.to_string().as_str()), (ns, printed), "{text}");
            assert_eq!(span.to_string().parse(), Ok(span));
        }
    }

    #[test]
    fn other_texts_say_what_is_wrong() {
        for (text, part) in [
            ("", "is not a length of time"),
            ("5", "is not a length of time"),
            ("five", "is not a length of time"),
            ("1d", "is not a length of time"),
            ("-5s", "is below zero"),
            ("9000000h", "is longer than 292 years"),
        ] {
            let error = text.parse::<TimeSpan>().expect_err("not a length of time").to_string();
            assert!(error.contains(part), "{error}");
        }
        assert_eq!("none".parse(), Ok(Cadence::Never));
        assert_eq!("1s".parse(), Ok(Cadence::Every(TimeSpan::from_secs(1))));
    }
}
