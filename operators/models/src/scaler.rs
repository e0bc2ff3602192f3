//! Scalers: what was done to the features before training, done again before inference.
//!
//! One for each symbol, and where a file has one for `any`, for all symbols that have none of their own. Computed in
//! `f64`, operation by operation as scikit-learn does.

use crate::manifest::{ANY_SYMBOL, is_symbol};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A file of scalers larger than this is refused, bytes.
pub const SCALERS_BYTES_MAX: usize = 16 << 20;

/// What is done to a row, one number for each feature in the order of the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Scaler {
    /// `(x - mean) / deviation`.
    Standard {
        /// The mean of each feature.
        mean: Vec<f64>,
        /// The standard deviation of each feature; above 0.
        deviation: Vec<f64>,
    },
    /// `(x - min) / (max - min)`: 0 to 1 on what it was trained on, and not cut off beyond.
    MinMax {
        /// The least of each feature.
        min: Vec<f64>,
        /// The greatest of each feature; above the least.
        max: Vec<f64>,
    },
    /// `(x - median) / range`.
    Robust {
        /// The median of each feature.
        median: Vec<f64>,
        /// The distance between two quantiles of each feature; above 0.
        range: Vec<f64>,
    },
}

impl Scaler {
    /// Scales the value of feature number `feature`.
    pub fn apply(&self, feature: usize, value: f64) -> f64 {
        match self {
            Self::Standard { mean, deviation } => (value - mean[feature]) / deviation[feature],
            Self::MinMax { min, max } => (value - min[feature]) / (max[feature] - min[feature]),
            Self::Robust { median, range } => (value - median[feature]) / range[feature],
        }
    }

    /// What is wrong with it for a model of so many features.
    fn fault(&self, features: usize) -> Option<String> {
        let (name, offsets, divisors) = match self {
            Self::Standard { mean, deviation } => ("deviation", mean, deviation.clone()),
            Self::MinMax { min, max } => ("max - min", min, max.iter().zip(min).map(|(max, min)| max - min).collect()),
            Self::Robust { median, range } => ("range", median, range.clone()),
        };
        let lengths = match self {
            Self::MinMax { min, max } => [min.len(), max.len()],
            _ => [offsets.len(), divisors.len()],
        };
        if lengths != [features; 2] {
            return Some(format!("{lengths:?} numbers for {features} features"));
        }
        if let Some(at) = offsets.iter().position(|offset| !offset.is_finite()) {
            return Some(format!("feature number {at} has an offset of {}", offsets[at]));
        }
        let at = divisors.iter().position(|divisor| !(divisor.is_finite() && *divisor > 0.0))?;
        Some(format!("feature number {at} has a {name} of {}, which nothing can be divided by", divisors[at]))
    }
}

/// The scalers of a model, by symbol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scalers {
    /// By symbol; `any` is for all that are not named.
    pub symbols: BTreeMap<String, Scaler>,
}

impl Scalers {
    /// Reads and checks a file of them, for a model of so many features.
    ///
    /// # Errors
    /// If it is not JSON of this shape, or a scaler does not fit.
    pub fn from_json(bytes: &[u8], features: usize) -> Result<Self, String> {
        if bytes.len() > SCALERS_BYTES_MAX {
            return Err(format!("{} bytes, more than {SCALERS_BYTES_MAX}", bytes.len()));
        }
        let scalers: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        for (symbol, scaler) in &scalers.symbols {
            if !is_symbol(symbol) {
                return Err(format!("\"{symbol}\" is no symbol"));
            }
            if let Some(fault) = scaler.fault(features) {
                return Err(format!("symbol \"{symbol}\": {fault}"));
            }
        }
        Ok(scalers)
    }

    /// The scaler of a symbol.
    pub fn of(&self, symbol: &str) -> Option<&Scaler> {
        self.symbols.get(symbol).or_else(|| self.symbols.get(ANY_SYMBOL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_does_what_its_formula_says() {
        let standard = Scaler::Standard { mean: vec![10.0], deviation: vec![4.0] };
        let min_max = Scaler::MinMax { min: vec![10.0], max: vec![30.0] };
        let robust = Scaler::Robust { median: vec![2.0], range: vec![8.0] };
        assert_eq!(standard.apply(0, 16.0), 1.5);
        assert_eq!([10.0, 20.0, 35.0].map(|value| min_max.apply(0, value)), [0.0, 0.5, 1.25]);
        assert_eq!(robust.apply(0, -2.0), -0.5);
    }

    #[test]
    fn a_symbol_has_its_own_or_that_of_any_or_none() {
        let one = |mean| Scaler::Standard { mean: vec![mean], deviation: vec![1.0] };
        let mut scalers = Scalers::default();
        scalers.symbols.insert("BTCUSDT".to_owned(), one(1.0));
        assert_eq!((scalers.of("BTCUSDT"), scalers.of("ETHUSDT")), (Some(&one(1.0)), None));
        scalers.symbols.insert("any".to_owned(), one(2.0));
        assert_eq!((scalers.of("BTCUSDT"), scalers.of("ETHUSDT")), (Some(&one(1.0)), Some(&one(2.0))));
    }

    #[test]
    fn a_scaler_that_cannot_be_applied_is_refused() {
        for (json, told) in [
            (r#"{"symbols":{"any":{"kind":"standard","mean":[1,2],"deviation":[1]}}}"#, "[2, 1] numbers for 2"),
            (
                r#"{"symbols":{"any":{"kind":"standard","mean":[1,2],"deviation":[1,0]}}}"#,
                "number 1 has a deviation of 0",
            ),
            (r#"{"symbols":{"any":{"kind":"min_max","min":[1,2],"max":[3,2]}}}"#, "number 1 has a max - min of 0"),
            (r#"{"symbols":{"any":{"kind":"min_max","min":[1,2],"max":[3]}}}"#, "[2, 1] numbers for 2"),
            (r#"{"symbols":{"any":{"kind":"robust","median":[1,2],"range":[3,-1]}}}"#, "number 1 has a range of -1"),
            (r#"{"symbols":{"any":{"kind":"cubic"}}}"#, "unknown variant `cubic`"),
            (r#"{"symbols":{"../x":{"kind":"robust","median":[1,2],"range":[3,1]}}}"#, "\"../x\" is no symbol"),
        ] {
            let error = Scalers::from_json(json.as_bytes(), 2).expect_err(json);
            assert!(error.contains(told), "{error}");
        }
    }
}
