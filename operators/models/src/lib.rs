//! Models and ensembles: bytes and rows of features in, numbers or refusals out.
//!
//! ```text
//!   manifest, artifact, scalers, golden vectors (bytes) ---- LoadedModel::load
//!                                                                 |  bind to the columns of a view
//!   rows of features, oldest first (Window) ----------------- Scorer::score ---- number | Refusal
//!                                                                 |  one for each member
//!                                                           Ensemble::combine --- Decision | Refusal
//! ```
//!
//! Nothing here reads a clock, a file, a socket, the environment or a random source: a score is a function of the files
//! of the model and the rows it is given. What a registry keeps and where is not known here.

pub mod ensemble;
pub mod golden;
pub mod guard;
pub mod manifest;
pub mod model;
pub mod promotion;
pub mod refusal;
pub mod scaler;
pub mod score;

pub use ensemble::{Decision, Direction, Ensemble, EnsembleDefinition, EnsembleError};
pub use golden::{Difference, GoldenVectors};
pub use manifest::{ArtifactFormat, FeatureView, Manifest, ManifestError, ModelId, OutputKind};
pub use model::{Model, ModelError};
pub use promotion::{Alias, Change, PromotedMember, Promotion, Withdrawal};
pub use refusal::Refusal;
pub use scaler::{Scaler, Scalers};
pub use score::{ActiveEnsemble, FeatureRow, LoadError, LoadedModel, Scored, Scorer, Window};
