//! What a version of a model says of itself: what it wants, what it gives, which files it is made of, what it is for.
//!
//! A manifest is JSON and never changes once registered. It holds no path outside the folder of its version.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// More than this, and it is not a manifest.
pub const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// The most columns a model may want.
pub const FEATURES_MAX: usize = 4_096;

/// The most rows a sequence model may want.
pub const SEQUENCE_LENGTH_MAX: u32 = 4_096;

/// The symbol of a model that serves every symbol.
pub const ANY_SYMBOL: &str = "any";

/// Which model, without its version: `symbol-target-kind`, as in `BTCUSDT-return_15m-gbt`.
///
/// The symbol may hold `-` itself (`BTC-USD-return_15m-gbt`); target and kind may not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelId {
    /// The symbol it serves, as the venue writes it, or `any`.
    pub symbol: String,
    /// What it tells: a name such as `return_15m`.
    pub target: String,
    /// What sort of model it is: a name such as `gbt`, `mlp`, `lstm`.
    pub kind: String,
}

impl ModelId {
    /// Whether it may score rows of `symbol`.
    pub fn serves(&self, symbol: &str) -> bool {
        self.symbol == ANY_SYMBOL || self.symbol == symbol
    }
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.symbol, self.target, self.kind)
    }
}

impl FromStr for ModelId {
    type Err = ManifestError;

    fn from_str(text: &str) -> Result<Self, ManifestError> {
        let error = |detail: &str| ManifestError::Field {
            field: "id",
            detail: format!("\"{text}\" {detail}; write symbol-target-kind, as in BTCUSDT-return_15m-gbt"),
        };
        let mut parts = text.rsplitn(3, '-');
        let (Some(kind), Some(target), Some(symbol)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(error("has fewer than three parts"));
        };
        if !is_symbol(symbol) {
            return Err(error("begins with what is no symbol"));
        }
        if !is_word(target) || !is_word(kind) {
            return Err(error("has a target or kind that is not made of a-z, 0-9 and _"));
        }
        Ok(Self { symbol: symbol.to_owned(), target: target.to_owned(), kind: kind.to_owned() })
    }
}

impl Serialize for ModelId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ModelId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Whether a text may be a symbol: as venues write them, and never a path.
pub fn is_symbol(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    (1..=64).contains(&text.len()) && text.bytes().all(is_fine) && !text.starts_with('.')
}

/// Whether a text may be a target, a kind, or the name of an ensemble.
pub fn is_word(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(is_fine)
}

/// Whether a text may be the name of a file of a version: no path, nothing hidden.
fn is_file_name(text: &str) -> bool {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=128).contains(&text.len()) && text.bytes().all(is_fine) && !text.starts_with('.')
}

/// A feature view, as a model was trained on it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureView {
    /// Its name, as in `core_technical`.
    pub name: String,
    /// Its version; a view of another version has other meanings under the same names.
    pub version: u32,
}

impl fmt::Display for FeatureView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// How the artifact is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ArtifactFormat {
    /// An ONNX graph of the operators this crate knows, or one ONNX-ML tree ensemble.
    Onnx,
    /// The text that LightGBM saves.
    Lightgbm,
    /// The JSON that XGBoost saves.
    Xgboost,
    /// Weights and an intercept: a weighted sum.
    Linear,
    /// Weights and an intercept: the logistic function of a weighted sum.
    Logistic,
}

impl fmt::Display for ArtifactFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Onnx => "onnx",
            Self::Lightgbm => "lightgbm",
            Self::Xgboost => "xgboost",
            Self::Linear => "linear",
            Self::Logistic => "logistic",
        })
    }
}

/// What the number of a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// The expected return over the target's horizon, as a fraction: 0.01 is one per cent.
    ExpectedReturn,
    /// The probability that the return is positive, 0 to 1.
    Probability,
}

impl fmt::Display for OutputKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ExpectedReturn => "expected_return",
            Self::Probability => "probability",
        })
    }
}

/// What a model does with a feature that is null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NullPolicy {
    /// The row is refused.
    #[default]
    Refuse,
    /// The model was trained to take nulls, as NaN. Trees only.
    Missing,
}

/// What a person should know before using a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// Who made it.
    pub author: String,
    /// What it may be used for, and what not.
    pub intended_use: String,
    /// The first event time of the training rows, RFC 3339.
    pub trained_from: String,
    /// The end of the training rows, RFC 3339.
    pub trained_to: String,
    /// How well it did, by name; each name says on what.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// Anything else worth knowing.
    #[serde(default)]
    pub notes: String,
}

impl Card {
    /// The card as Markdown, headed by what it is the card of.
    pub fn markdown(&self, manifest: &Manifest) -> String {
        let mut text = format!("# {} version {}\n\n", manifest.id, manifest.version);
        text += &format!("- Author: {}\n- Intended use: {}\n", self.author, self.intended_use);
        text += &format!("- Trained on: {} to {} (excluded)\n", self.trained_from, self.trained_to);
        text += &format!("- Features: {} of view {}, ", manifest.features.len(), manifest.view);
        text += &format!("{} row(s) a score\n- Output: {}\n", manifest.sequence_length, manifest.output);
        if !self.metrics.is_empty() {
            text += "\n| metric | value |\n| --- | --- |\n";
            text.extend(self.metrics.iter().map(|(name, value)| format!("| {name} | {value} |\n")));
        }
        if !self.notes.is_empty() {
            text += &format!("\n{}\n", self.notes);
        }
        text
    }
}

/// What a version of a model says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// Which model.
    pub id: ModelId,
    /// Which version of it, from 1; what a version is never changes.
    pub version: u32,
    /// How the artifact is written.
    pub format: ArtifactFormat,
    /// The feature view it was trained on.
    pub view: FeatureView,
    /// SHA-256 of what the values of the view depend on, as `tidewheel features export` writes it into the metadata of its
    /// files: a run in which that is another refuses the model, whatever the view is called. Nothing is compared where it is
    /// not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_contract: Option<String>,
    /// The columns of the view it wants, in its own order.
    pub features: Vec<String>,
    /// How many rows make one score, the newest last; 1 for a tabular model.
    #[serde(default = "one")]
    pub sequence_length: u32,
    /// How far apart the rows of a sequence are, milliseconds; 0 where it does not matter.
    #[serde(default)]
    pub step_ms: u64,
    /// How many steps may lie between two rows of a sequence: 1 means that none may be missing.
    #[serde(default = "one")]
    pub max_gap_steps: u32,
    /// How long before the newest row the one before it may lie, milliseconds of event time; 0 means any time. Features go back
    /// by bars, so that after a silence they speak of another time than they did in training. It is measured between rows, not
    /// against a clock, so that a row is scored alike live and in replay: whether the whole feed is behind is a matter of health.
    #[serde(default)]
    pub max_age_ms: u64,
    /// How far behind the oldest of the bars that a row joins may be, milliseconds, in each row that is read: the row's
    /// `staleness_ms`. 0 means any.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_staleness_ms: u64,
    /// The least `warm_share` of each row that is read, 0 to 1: which share of its columns no longer shows where history began.
    #[serde(default, skip_serializing_if = "is_default")]
    pub min_warm_share: f64,
    /// What it does with a feature that is null.
    #[serde(default)]
    pub nulls: NullPolicy,
    /// What its number is.
    pub output: OutputKind,
    /// Which output of an ONNX graph has the number; the first where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_name: Option<String>,
    /// Which element of that output it is, from 0: of two class probabilities the second is 1.
    #[serde(default)]
    pub output_element: u32,
    /// The file of the model itself.
    pub artifact: String,
    /// The file of the scalers; nothing where features are taken as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scalers: Option<String>,
    /// The file of the golden vectors.
    pub golden: String,
    /// What a person should know.
    pub card: Card,
    /// SHA-256 of each file, in hexadecimal. Registration fills in what is not said and checks what is.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
}

const fn one() -> u32 {
    1
}

/// Whether nothing was said; what is new in a manifest must not change the checksums of those before it.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Why a manifest cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ManifestError {
    /// It is not JSON of this shape.
    #[error("could not read the manifest: {0}")]
    Shape(String),
    /// A field says what cannot be.
    #[error("could not take field {field} of the manifest: {detail}")]
    Field {
        /// Which.
        field: &'static str,
        /// Why not, and what to write.
        detail: String,
    },
}

impl Manifest {
    /// Reads and checks one.
    ///
    /// # Errors
    /// If it is not JSON of this shape, or a field says what cannot be.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ManifestError> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            return Err(ManifestError::Shape(format!("{} bytes, more than {MANIFEST_BYTES_MAX}", bytes.len())));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| ManifestError::Shape(error.to_string()))?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The manifest as it is kept: JSON that is the same for the same manifest.
    ///
    /// # Panics
    /// Never: all its keys are text.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("all keys of a manifest are text");
        json.push(b'\n');
        json
    }

    /// The files it is made of, without itself.
    pub fn file_names(&self) -> Vec<&str> {
        let names = [Some(&self.artifact), self.scalers.as_ref(), Some(&self.golden)];
        names.into_iter().flatten().map(String::as_str).collect()
    }

    /// Numbers that one score reads: rows times columns.
    pub fn input_len(&self) -> usize {
        self.sequence_length as usize * self.features.len()
    }

    fn check(&self) -> Result<(), ManifestError> {
        let fail = |field, detail: String| Err(ManifestError::Field { field, detail });
        if self.version == 0 {
            return fail("version", "0 is none; versions begin at 1".to_owned());
        }
        if !is_word(&self.view.name) {
            return fail("view", format!("\"{}\" is not a name of a-z, 0-9 and _", self.view.name));
        }
        if self.features.is_empty() || self.features.len() > FEATURES_MAX {
            return fail("features", format!("{} columns; give 1 to {FEATURES_MAX}", self.features.len()));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.features.iter().find(|name| !seen.insert(name.as_str())) {
            return fail("features", format!("\"{twice}\" stands there twice; name each column once"));
        }
        if !(1..=SEQUENCE_LENGTH_MAX).contains(&self.sequence_length) {
            return fail("sequence_length", format!("{}; give 1 to {SEQUENCE_LENGTH_MAX}", self.sequence_length));
        }
        if self.max_gap_steps == 0 {
            return fail("max_gap_steps", "0 would refuse every sequence; 1 means no row may be missing".to_owned());
        }
        if !(0.0..=1.0).contains(&self.min_warm_share) {
            return fail("min_warm_share", format!("{}; give a share, 0 to 1", self.min_warm_share));
        }
        let takes_missing = matches!(self.format, ArtifactFormat::Lightgbm | ArtifactFormat::Xgboost);
        if self.nulls == NullPolicy::Missing && !takes_missing {
            return fail(
                "nulls",
                format!("a model in format {} cannot take missing values; write refuse", self.format),
            );
        }
        if self.sequence_length > 1 && self.format != ArtifactFormat::Onnx {
            return fail("sequence_length", format!("a model in format {} takes one row; write 1", self.format));
        }
        let mut names = BTreeSet::new();
        for name in self.file_names() {
            if !is_file_name(name) || ["manifest.json", "card.md", "SHA256"].contains(&name) {
                return fail("artifact, scalers or golden", format!("\"{name}\" is not a name a file may have here"));
            }
            if !names.insert(name) {
                return fail("artifact, scalers or golden", format!("\"{name}\" is named twice"));
            }
        }
        if let Some(stray) = self.files.keys().find(|name| !names.contains(name.as_str())) {
            return fail("files", format!("\"{stray}\" is neither artifact, scalers nor golden; leave it out"));
        }
        Ok(())
    }
}
