//! Models: an artifact that was loaded, and one number for one input.

mod linear;
mod onnx;
mod trees;

use crate::manifest::{ArtifactFormat, Manifest};
use crate::refusal::Refusal;
pub use linear::Linear;
pub use onnx::Network;
pub use trees::Trees;

/// Why an artifact cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ModelError {
    /// It is not what its format says.
    #[error("could not read the artifact as {format}: {detail}")]
    Malformed {
        /// The format.
        format: ArtifactFormat,
        /// Why not.
        detail: String,
    },
    /// It is larger, in some way, than a model may be.
    #[error("could not take the artifact: {what} is {given}, the most is {limit}")]
    TooLarge {
        /// What is.
        what: String,
        /// How large it is.
        given: u64,
        /// How large it may be.
        limit: u64,
    },
    /// It uses what is not done here.
    #[error("could not take the artifact: {0}")]
    Unsupported(String),
    /// It wants or gives other numbers than its manifest says.
    #[error("could not match the artifact with its manifest: {0}")]
    Mismatch(String),
}

/// A model that can score.
#[derive(Clone, Debug)]
pub enum Model {
    /// A weighted sum, or its logistic function.
    Linear(Linear),
    /// Decision trees, from LightGBM, XGBoost or ONNX-ML.
    Trees(Trees),
    /// Any other ONNX graph.
    Network(Network),
}

impl Model {
    /// Reads an artifact and checks it against its manifest.
    ///
    /// # Errors
    /// If it is malformed, too large, uses what is not done here, or does not match.
    pub fn load(manifest: &Manifest, artifact: &[u8]) -> Result<Self, ModelError> {
        match manifest.format {
            ArtifactFormat::Linear | ArtifactFormat::Logistic => Linear::load(manifest, artifact).map(Self::Linear),
            ArtifactFormat::Lightgbm => trees::lightgbm::load(manifest, artifact).map(Self::Trees),
            ArtifactFormat::Xgboost => trees::xgboost::load(manifest, artifact).map(Self::Trees),
            ArtifactFormat::Onnx => onnx::load(manifest, artifact).map(|loaded| match loaded {
                onnx::Loaded::Trees(trees) => Self::Trees(trees),
                onnx::Loaded::Network(network) => Self::Network(network),
            }),
        }
    }

    /// Scores one input: the rows one after the other, oldest first, each in the order of the model's features, scaled.
    ///
    /// # Errors
    /// If the model fails or gives what is no number.
    pub fn score(&self, input: &[f64]) -> Result<f64, Refusal> {
        let value = match self {
            Self::Linear(model) => model.score(input),
            Self::Trees(model) => model.score(input),
            Self::Network(model) => model.score(input)?,
        };
        if value.is_finite() { Ok(value) } else { Err(Refusal::OutputNotFinite) }
    }

    /// What one score takes at most: multiplications, or nodes visited. It was bounded when the model was loaded.
    pub fn work(&self) -> u64 {
        match self {
            Self::Linear(model) => model.work(),
            Self::Trees(model) => model.steps,
            Self::Network(model) => model.work,
        }
    }
}

#[cfg(test)]
mod tests;
