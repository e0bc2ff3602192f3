//! Golden vectors: inputs and the outputs that the training side's runtime gave for them.
//!
//! They are raw features, before the scalers, so that they hold the whole way from a row to a number.

use crate::refusal::Refusal;
use crate::score::LoadedModel;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A file of golden vectors larger than this is refused, bytes.
pub const GOLDEN_BYTES_MAX: usize = 16 << 20;

/// The most golden vectors a version may have.
pub const VECTORS_MAX: usize = 4_096;

/// What all golden vectors together may take: multiplications, nodes visited and numbers read. Some tenths of a second, which
/// a run spends between two ticks where the version is promoted.
pub const WORK_MAX: u64 = 2_000_000_000;

/// One input and its output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenVector {
    /// Whose scaler is applied.
    pub symbol: String,
    /// The rows, oldest first, each in the order of the manifest's features; null where a feature is.
    pub rows: Vec<Vec<Option<f64>>>,
    /// What the model gives; the name of a refusal where it gives none.
    pub expected: Expected,
}

/// What a golden vector expects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Expected {
    /// A number.
    Value(f64),
    /// The name of a refusal.
    Refusal(String),
}

/// The golden vectors of a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GoldenVectors {
    /// Which runtime gave the outputs, for people.
    pub made_by: String,
    /// The features in the order of the rows; the manifest's.
    pub features: Vec<String>,
    /// How far an output may be off, absolutely.
    pub absolute_tolerance: f64,
    /// How far an output may be off beyond that, as a share of what is expected.
    pub relative_tolerance: f64,
    /// The vectors.
    pub vectors: Vec<GoldenVector>,
}

/// The first thing in which a model differs from its golden vectors.
#[derive(Clone, Debug, PartialEq)]
pub enum Difference {
    /// The file itself does not fit the manifest.
    File(String),
    /// A vector gave something else.
    Vector {
        /// Which, from 0.
        number: usize,
        /// What was expected.
        expected: Expected,
        /// What was given.
        given: Result<f64, Refusal>,
        /// How far it may be off.
        tolerance: f64,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(detail) => f.write_str(detail),
            Self::Vector { number, expected, given, tolerance } => {
                write!(f, "golden vector {number}: expected ")?;
                match expected {
                    Expected::Value(value) => write!(f, "{value} within {tolerance:e}")?,
                    Expected::Refusal(name) => write!(f, "the refusal {name}")?,
                }
                match given {
                    Ok(value) => write!(f, ", got {value}"),
                    Err(refusal) => write!(f, ", got the refusal {} ({refusal})", refusal.name()),
                }
            }
        }
    }
}

/// What running golden vectors found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// How many vectors were run.
    pub vectors: usize,
    /// The largest absolute difference among them.
    pub difference_max: f64,
}

impl GoldenVectors {
    /// Reads a file of them.
    ///
    /// # Errors
    /// If it is not JSON of this shape.
    pub fn from_json(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > GOLDEN_BYTES_MAX {
            return Err(format!("{} bytes, more than {GOLDEN_BYTES_MAX}", bytes.len()));
        }
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }

    /// Runs them all.
    ///
    /// # Errors
    /// The first difference: of features, of shape, of an output.
    pub fn run(&self, model: &LoadedModel) -> Result<Agreement, Difference> {
        self.check(model)?;
        let mut difference_max = 0.0_f64;
        for (number, vector) in self.vectors.iter().enumerate() {
            let given = model.score_golden(&vector.symbol, &vector.rows);
            let tolerance = match &vector.expected {
                Expected::Value(value) => self.absolute_tolerance + self.relative_tolerance * value.abs(),
                Expected::Refusal(_) => 0.0,
            };
            let agrees = match (&vector.expected, &given) {
                (Expected::Value(expected), Ok(value)) => {
                    difference_max = difference_max.max((value - expected).abs());
                    (value - expected).abs() <= tolerance
                }
                (Expected::Refusal(name), Err(refusal)) => refusal.name() == name,
                _ => false,
            };
            if !agrees {
                return Err(Difference::Vector { number, expected: vector.expected.clone(), given, tolerance });
            }
        }
        Ok(Agreement { vectors: self.vectors.len(), difference_max })
    }

    fn check(&self, model: &LoadedModel) -> Result<(), Difference> {
        let manifest = model.manifest();
        let pairs = self.features.iter().zip(&manifest.features).enumerate();
        for (at, (golden, wanted)) in pairs {
            if golden != wanted {
                let told =
                    format!("feature number {at} is \"{golden}\" in the golden vectors, \"{wanted}\" in the manifest");
                return Err(Difference::File(told));
            }
        }
        if self.features.len() != manifest.features.len() {
            let (golden, wanted) = (self.features.len(), manifest.features.len());
            let told = format!("the golden vectors are of {golden} features, the manifest names {wanted}");
            return Err(Difference::File(told));
        }
        let tolerances = [self.absolute_tolerance, self.relative_tolerance];
        if !tolerances.iter().all(|tolerance| (0.0..=0.01).contains(tolerance)) {
            return Err(Difference::File(format!("tolerances of {tolerances:?} hold nothing; give 0 to 0.01")));
        }
        if !self.vectors.iter().any(|vector| matches!(vector.expected, Expected::Value(_))) {
            return Err(Difference::File("no golden vector expects a value; give at least one".to_owned()));
        }
        if self.vectors.len() > VECTORS_MAX {
            let told = format!("there are {} golden vectors; give at most {VECTORS_MAX}", self.vectors.len());
            return Err(Difference::File(told));
        }
        let each = model.work().saturating_add(manifest.input_len() as u64);
        let work = each.saturating_mul(self.vectors.len() as u64);
        if work > WORK_MAX {
            let told = format!("its golden vectors take {work} steps, the most is {WORK_MAX}; give fewer of them");
            return Err(Difference::File(told));
        }
        for (number, vector) in self.vectors.iter().enumerate() {
            let rows = manifest.sequence_length as usize;
            if matches!(vector.expected, Expected::Value(_)) && vector.rows.len() != rows {
                let told = format!("golden vector {number} has {} rows, the manifest wants {rows}", vector.rows.len());
                return Err(Difference::File(told));
            }
            if let Some(row) = vector.rows.iter().find(|row| row.len() != self.features.len()) {
                let (given, wanted) = (row.len(), self.features.len());
                let told = format!("golden vector {number} has a row of {given} values for {wanted} features");
                return Err(Difference::File(told));
            }
        }
        Ok(())
    }
}
