//! A crash as it is asked for: `BTCUSDT@30s:5%`.

use super::fraction::Fraction;
use crate::config::TimeSpan;
use std::fmt;
use std::str::FromStr;
use tidewheel_connectors::generate::Crash;

/// Which symbol falls, how long after the opening, and by which share of its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashText(pub Crash);

/// A text that is no crash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashError;

impl fmt::Display for CrashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write a crash as SYMBOL@TIME:SHARE, like BTCUSDT@30s:5%")
    }
}

impl std::error::Error for CrashError {}

impl FromStr for CrashText {
    type Err = CrashError;

    fn from_str(text: &str) -> Result<Self, CrashError> {
        // Symbols may have an @ in them.
        let (symbol, rest) = text.rsplit_once('@').ok_or(CrashError)?;
        let (after, fall) = rest.split_once(':').ok_or(CrashError)?;
        let after: TimeSpan = after.parse().map_err(|_| CrashError)?;
        let fall: Fraction = fall.parse().map_err(|_| CrashError)?;
        if symbol.is_empty() {
            return Err(CrashError);
        }
        Ok(Self(Crash { symbol: symbol.to_owned(), after_ns: after.as_ns(), fall_ppm: fall.ppm() }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crashes_are_read() {
        let crash = |symbol: &str, after_ns| CrashText(Crash { symbol: symbol.to_owned(), after_ns, fall_ppm: 50_000 });
        assert_eq!("BTCUSDT@30s:5%".parse(), Ok(crash("BTCUSDT", 30_000_000_000)));
        assert_eq!("A@B@1m:0.05".parse(), Ok(crash("A@B", 60_000_000_000)));
        for text in ["", "BTCUSDT", "BTCUSDT@30s", "BTCUSDT:5%", "@30s:5%", "BTCUSDT@30:5%", "BTCUSDT@30s:a"] {
            assert_eq!(text.parse::<CrashText>(), Err(CrashError), "{text}");
        }
    }
}
