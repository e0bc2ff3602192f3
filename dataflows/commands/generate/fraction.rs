//! Shares of a whole, exact to a millionth: `2%` or `0.02`.

use std::fmt;
use std::str::FromStr;
use tidewheel_schemas::parse_e8;

/// A share from nothing to all, in millionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fraction {
    ppm: u32,
}

/// A text that is no share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FractionError;

impl fmt::Display for FractionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("write a share as 2% or 0.02, from 0 to 100%, in steps of 0.0001%")
    }
}

impl std::error::Error for FractionError {}

impl Fraction {
    /// Parts in a million.
    pub const fn ppm(self) -> u32 {
        self.ppm
    }
}

impl FromStr for Fraction {
    type Err = FractionError;

    fn from_str(text: &str) -> Result<Self, FractionError> {
        let (number, unit_e8) = match text.strip_suffix('%') {
            Some(percent) => (percent, 10_000),
            None => (text, 100),
        };
        let value_e8 = parse_e8(number.as_bytes()).map_err(|_| FractionError)?;
        let ppm = value_e8 / unit_e8;
        if value_e8 % unit_e8 != 0 || !(0..=1_000_000).contains(&ppm) {
            return Err(FractionError);
        }
        Ok(Self { ppm: ppm as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_and_decimals() {
        for (text, ppm) in [("2%", 20_000), ("0.02", 20_000), ("0", 0), ("1", 1_000_000), ("0.0001%", 1), ("1e-6", 1)] {
            assert_eq!(text.parse(), Ok(Fraction { ppm }), "{text}");
        }
        for text in ["", "%", "two", "-1%", "101%", "1.1", "0.00001%", "0.0000001"] {
            assert_eq!(text.parse::<Fraction>(), Err(FractionError), "{text}");
        }
    }
}
