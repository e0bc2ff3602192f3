//! Shares and multiples of a policy, exact: a limit that is compared with money must not be a float.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

const ONE_E9: i64 = 1_000_000_000;

/// A number with nine decimals: `0.1` is ten percent, `5` five times. Written as a number in text, as an integer in snapshots.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio(i64);

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The whole.
    pub const ONE: Self = Self(ONE_E9);

    /// From its thousand-millionths.
    pub const fn from_e9(e9: i64) -> Self {
        Self(e9)
    }

    /// From thousandths, which is how constants are written.
    pub const fn thousandths(thousandths: i64) -> Self {
        Self(thousandths * (ONE_E9 / 1_000))
    }

    /// Its thousand-millionths.
    pub const fn e9(self) -> i64 {
        self.0
    }

    /// As a float, for what is measured in floats.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / ONE_E9 as f64
    }

    /// The nearest with nine decimals; none for what is not finite or does not fit.
    pub fn from_f64(value: f64) -> Option<Self> {
        let scaled = (value * ONE_E9 as f64).round();
        (scaled.is_finite() && scaled.abs() < 9.2e18).then_some(Self(scaled as i64))
    }

    /// This share of an amount, rounded down; none where it does not fit.
    pub fn of(self, amount: i128) -> Option<i128> {
        Some(amount.checked_mul(i128::from(self.0))?.div_euclid(i128::from(ONE_E9)))
    }

    /// The product, rounded down; the greatest there is where it does not fit.
    pub fn times(self, other: Self) -> Self {
        let product = i128::from(self.0) * i128::from(other.0) / i128::from(ONE_E9);
        Self(i64::try_from(product).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.as_f64())
    }
}

impl fmt::Debug for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_f64(self.as_f64())
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            deserializer.deserialize_any(NumberVisitor)
        } else {
            i64::deserialize(deserializer).map(Self)
        }
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Ratio;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a finite number below 9,200,000,000")
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Ratio, E> {
        Ratio::from_f64(value).ok_or_else(|| E::custom(format!("{value} is no ratio: it must be finite and fit")))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Ratio, E> {
        let scaled = value.checked_mul(ONE_E9).ok_or_else(|| E::custom(format!("{value} is too large a ratio")))?;
        Ok(Ratio(scaled))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Ratio, E> {
        let value = i64::try_from(value).map_err(|_| E::custom(format!("{value} is too large a ratio")))?;
        self.visit_i64(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_snapshots_say_the_same() {
        for (text, e9) in [("0.1", 100_000_000), ("5", 5_000_000_000), ("0.000000001", 1), ("-0.5", -500_000_000)] {
            let ratio: Ratio = serde_json::from_str(text).expect("a number");
            assert_eq!(ratio.e9(), e9, "{text}");
            let again: Ratio = serde_json::from_str(&serde_json::to_string(&ratio).expect("text")).expect("a number");
            assert_eq!(again, ratio, "{text}");
            let bytes = postcard::to_allocvec(&ratio).expect("bytes");
            assert_eq!(postcard::from_bytes::<Ratio>(&bytes).expect("a ratio"), ratio, "{text}");
        }
        for text in ["1e300", "9300000000", "99999999999999999999", "\"0.1\"", "null"] {
            assert!(serde_json::from_str::<Ratio>(text).is_err(), "{text}");
        }
        assert!(toml::from_str::<std::collections::BTreeMap<String, Ratio>>("x = nan").is_err());
    }

    #[test]
    fn shares_of_money_are_rounded_down() {
        assert_eq!(Ratio::thousandths(100).of(1_005), Some(100));
        assert_eq!(Ratio::thousandths(100).of(-1_005), Some(-101));
        assert_eq!(Ratio::ONE.of(i128::MAX), None);
    }
}
