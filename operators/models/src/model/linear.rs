//! Linear and logistic models, in JSON: `{"intercept": 0.1, "weights": {"rsi_14@talib": 0.02}}`.

use super::ModelError;
use crate::ensemble::logistic;
use crate::manifest::{ArtifactFormat, Manifest};
use serde::Deserialize;
use std::collections::BTreeMap;

/// An artifact larger than this is refused, bytes.
const ARTIFACT_BYTES_MAX: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Artifact {
    intercept: f64,
    weights: BTreeMap<String, f64>,
}

/// A weighted sum, or its logistic function.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    intercept: f64,
    /// In the order of the manifest's features, which is also that of the sum.
    weights: Vec<f64>,
    is_logistic: bool,
}

impl Linear {
    pub(super) fn load(manifest: &Manifest, bytes: &[u8]) -> Result<Self, ModelError> {
        if bytes.len() > ARTIFACT_BYTES_MAX {
            let (given, limit) = (bytes.len() as u64, ARTIFACT_BYTES_MAX as u64);
            return Err(ModelError::TooLarge { what: "its size in bytes".to_owned(), given, limit });
        }
        let malformed = |detail: String| ModelError::Malformed { format: manifest.format, detail };
        let Artifact { intercept, weights } =
            serde_json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if let Some(stray) = weights.keys().find(|name| !manifest.features.contains(name)) {
            return Err(ModelError::Mismatch(format!("weight of \"{stray}\", which is not among the features")));
        }
        let of_feature = |name: &String| {
            weights.get(name).copied().ok_or_else(|| ModelError::Mismatch(format!("feature \"{name}\" has no weight")))
        };
        let weights = manifest.features.iter().map(of_feature).collect::<Result<Vec<f64>, _>>()?;
        Ok(Self { intercept, weights, is_logistic: manifest.format == ArtifactFormat::Logistic })
    }

    pub(super) const fn work(&self) -> u64 {
        self.weights.len() as u64
    }

    pub(super) fn score(&self, input: &[f64]) -> f64 {
        let sum = self.weights.iter().zip(input).fold(self.intercept, |sum, (weight, value)| sum + weight * value);
        if self.is_logistic { logistic(sum) } else { sum }
    }
}
