//! From rows of features to a number: what is checked before inference, and the members of an ensemble together.

use crate::ensemble::{Decision, Ensemble};
use crate::golden::{Agreement, Difference, GoldenVectors};
use crate::manifest::{FeatureView, Manifest, ManifestError, NullPolicy, OutputKind};
use crate::model::{Model, ModelError};
use crate::refusal::Refusal;
use crate::scaler::Scalers;
use std::cell::RefCell;
use std::sync::Arc;

/// One row of a view.
#[derive(Clone, Copy, Debug)]
pub struct FeatureRow<'a> {
    /// When what it says was so: the close of its bar, nanoseconds since the epoch.
    pub event_time_ns: i64,
    /// How far behind the oldest of the bars that it joins is, nanoseconds; 0 where none is missing.
    pub staleness_ns: i64,
    /// The share of its columns whose bars are so many that where history began no longer shows, 0 to 1.
    pub warm_share: f64,
    /// Its values, in the order of the view's columns.
    pub values: &'a [Option<f64>],
}

/// What is scored: the rows of a symbol up to the newest.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Whose rows.
    pub symbol: &'a str,
    /// The rows, oldest first. There may be more than a model wants; it takes the newest.
    pub rows: &'a [FeatureRow<'a>],
}

/// Why a version of a model cannot be loaded.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LoadError {
    /// Its manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A file it is made of has no checksum in it.
    #[error("manifest has no SHA-256 of file \"{0}\"; register the model again as a new version")]
    Unsealed(String),
    /// A file it names was not given.
    #[error("could not find file \"{0}\", which the manifest names")]
    FileMissing(String),
    /// A file cannot be used.
    #[error("could not take file \"{file}\": {detail}")]
    File {
        /// Which.
        file: String,
        /// Why not.
        detail: String,
    },
    /// The artifact cannot be used.
    #[error("could not take file \"{file}\": {source}")]
    Artifact {
        /// Which.
        file: String,
        /// Why not.
        source: ModelError,
    },
}

/// A version of a model with all its files, whatever columns it will be given.
#[derive(Debug)]
pub struct LoadedModel {
    manifest: Manifest,
    model: Model,
    scalers: Option<Scalers>,
    golden: GoldenVectors,
}

impl LoadedModel {
    /// Reads a version: its manifest, and the files it names by `file`.
    ///
    /// # Errors
    /// If a file is missing or cannot be used.
    pub fn load<'a>(manifest: &[u8], file: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Self, LoadError> {
        let manifest = Manifest::from_json(manifest)?;
        let bytes = |name: &str| file(name).ok_or_else(|| LoadError::FileMissing(name.to_owned()));
        let refused = |file: &str, detail| LoadError::File { file: file.to_owned(), detail };
        let scalers = match &manifest.scalers {
            Some(name) => {
                let read = Scalers::from_json(bytes(name)?, manifest.features.len());
                Some(read.map_err(|detail| refused(name, detail))?)
            }
            None => None,
        };
        let golden = GoldenVectors::from_json(bytes(&manifest.golden)?);
        let golden = golden.map_err(|detail| refused(&manifest.golden, detail))?;
        let model = Model::load(&manifest, bytes(&manifest.artifact)?);
        let model = model.map_err(|source| LoadError::Artifact { file: manifest.artifact.clone(), source })?;
        Ok(Self { manifest, model, scalers, golden })
    }

    /// What the version says of itself.
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// What one score takes at most, as [`Model::work`] counts it.
    pub fn work(&self) -> u64 {
        self.model.work()
    }

    /// Runs the golden vectors that came with it.
    ///
    /// # Errors
    /// The first difference.
    pub fn verify(&self) -> Result<Agreement, Difference> {
        self.golden.run(self)
    }

    /// Finds the columns it wants among those of a view.
    ///
    /// # Errors
    /// If the view is another, or has not all the columns.
    pub fn bind(self: &Arc<Self>, view: &FeatureView, columns: &[String]) -> Result<Scorer, Refusal> {
        if *view != self.manifest.view {
            let (expected, given) = (self.manifest.view.to_string(), view.to_string());
            return Err(Refusal::ViewMismatch { expected, given });
        }
        let find = |feature: &String| {
            let at = columns.iter().position(|column| column == feature);
            at.ok_or_else(|| Refusal::FeatureMissing { feature: feature.clone() })
        };
        let positions = self.manifest.features.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        Ok(Scorer { model: Arc::clone(self), positions, width: columns.len(), input: RefCell::default() })
    }

    /// Scores a golden vector: rows that hold exactly the features, and whose times do not matter.
    pub(crate) fn score_golden(&self, symbol: &str, rows: &[Vec<Option<f64>>]) -> Result<f64, Refusal> {
        let rows: Vec<&[Option<f64>]> = rows.iter().map(Vec::as_slice).collect();
        let positions: Vec<usize> = (0..self.manifest.features.len()).collect();
        let rows = self.newest(&rows)?;
        self.infer(symbol, rows.iter().copied(), &positions, &mut Vec::new())
    }

    /// The rows it takes of those there are.
    fn newest<'r, T>(&self, rows: &'r [T]) -> Result<&'r [T], Refusal> {
        let (needed, given) = (self.manifest.sequence_length as usize, rows.len());
        let first = given.checked_sub(needed).ok_or(Refusal::SequenceShort { needed, given })?;
        Ok(&rows[first..])
    }

    /// Selects, scales and scores rows, as many as it wants.
    fn infer<'r>(
        &self,
        symbol: &str,
        rows: impl Iterator<Item = &'r [Option<f64>]>,
        positions: &[usize],
        input: &mut Vec<f64>,
    ) -> Result<f64, Refusal> {
        let manifest = &self.manifest;
        if !manifest.id.serves(symbol) {
            let (symbol, model) = (symbol.to_owned(), manifest.id.to_string());
            return Err(Refusal::SymbolNotServed { symbol, model });
        }
        let no_scaler = || Refusal::ScalerMissing { symbol: symbol.to_owned() };
        let scaler = match &self.scalers {
            Some(scalers) => Some(scalers.of(symbol).ok_or_else(no_scaler)?),
            None => None,
        };
        input.clear();
        for (row_number, row) in rows.enumerate() {
            let feature_of = |feature: usize| manifest.features[feature].clone();
            let rows_back = manifest.sequence_length as usize - 1 - row_number;
            for (feature, position) in positions.iter().enumerate() {
                let Some(value) = row[*position] else {
                    if manifest.nulls == NullPolicy::Missing {
                        input.push(f64::NAN);
                        continue;
                    }
                    return Err(Refusal::FeatureNull { feature: feature_of(feature), rows_back });
                };
                let scaled = scaler.map_or(value, |scaler| scaler.apply(feature, value));
                // What is beyond `f32` would be infinite to most models.
                let fits = (scaled as f32).is_finite();
                if !fits {
                    return Err(Refusal::FeatureNotFinite { feature: feature_of(feature), rows_back });
                }
                input.push(scaled);
            }
        }
        let value = self.model.score(input)?;
        // Sums of `f32` may leave the bounds by their last bits.
        let slack = 1e-6;
        match manifest.output {
            OutputKind::Probability if !(-slack..=1.0 + slack).contains(&value) => {
                Err(Refusal::OutputOutOfRange { value })
            }
            OutputKind::Probability => Ok(value.clamp(0.0, 1.0)),
            OutputKind::ExpectedReturn => Ok(value),
        }
    }
}

/// A model that knows where its features stand in the rows of a view. One for each worker.
#[derive(Debug)]
pub struct Scorer {
    model: Arc<LoadedModel>,
    /// Where each of the model's features stands among the view's columns.
    positions: Vec<usize>,
    /// Columns of the view.
    width: usize,
    /// The input as it is put together, kept so that a score allocates little.
    input: RefCell<Vec<f64>>,
}

impl Scorer {
    /// The model.
    pub const fn model(&self) -> &Arc<LoadedModel> {
        &self.model
    }

    /// Scores a window: checks it, selects and scales the features, runs the model.
    ///
    /// # Errors
    /// The first reason why there is no number.
    pub fn score(&self, window: &Window<'_>) -> Result<f64, Refusal> {
        let manifest = &self.model.manifest;
        let rows = self.model.newest(window.rows)?;
        if let Some(row) = rows.iter().find(|row| row.values.len() != self.width) {
            return Err(Refusal::RowShape { expected: self.width, given: row.values.len() });
        }
        let allowed_ms = manifest.step_ms.saturating_mul(manifest.max_gap_steps.into());
        for pair in rows.windows(2) {
            let gap_ns = pair[1].event_time_ns.saturating_sub(pair[0].event_time_ns);
            if gap_ns <= 0 || (manifest.step_ms > 0 && exceeds(gap_ns, allowed_ms)) {
                return Err(Refusal::SequenceGap { gap_ms: gap_ns / 1_000_000, allowed_ms });
            }
        }
        // By the rows alone: a clock, or the tick, would make of the same rows one thing live and another in replay.
        if let ([.., before, newest], 1..) = (window.rows, manifest.max_age_ms) {
            let age_ns = newest.event_time_ns.saturating_sub(before.event_time_ns);
            if exceeds(age_ns, manifest.max_age_ms) {
                return Err(Refusal::Stale { age_ms: age_ns / 1_000_000, allowed_ms: manifest.max_age_ms });
            }
        }
        for (rows_back, row) in rows.iter().rev().enumerate() {
            let allowed_ms = manifest.max_staleness_ms;
            if allowed_ms > 0 && exceeds(row.staleness_ns, allowed_ms) {
                return Err(Refusal::StaleRow { staleness_ms: row.staleness_ns / 1_000_000, allowed_ms, rows_back });
            }
            if row.warm_share < manifest.min_warm_share {
                let (warm_share, wanted) = (row.warm_share, manifest.min_warm_share);
                return Err(Refusal::RowNotWarm { warm_share, wanted, rows_back });
            }
        }
        let values = rows.iter().map(|row| row.values);
        self.model.infer(window.symbol, values, &self.positions, &mut self.input.borrow_mut())
    }
}

/// Whether a span in nanoseconds is longer than one in milliseconds.
fn exceeds(span_ns: i64, span_ms: u64) -> bool {
    i128::from(span_ns) > i128::from(span_ms) * 1_000_000
}

/// What an ensemble gave for a window.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// What each member gave, in the order of the ensemble's members.
    pub members: Vec<Result<f64, Refusal>>,
    /// What the ensemble made of it.
    pub decision: Result<Decision, Refusal>,
}

/// An ensemble with the models of its members, bound to one view: everything a score depends on, changed as one.
#[derive(Debug)]
pub struct ActiveEnsemble {
    ensemble: Ensemble,
    scorers: Vec<Scorer>,
}

impl ActiveEnsemble {
    /// Puts an ensemble and the models of its members, in the order of the members, together.
    ///
    /// # Errors
    /// If a model is not that of its member or gives another output than the ensemble, or does not fit the view.
    pub fn new(
        ensemble: Ensemble,
        models: &[Arc<LoadedModel>],
        view: &FeatureView,
        columns: &[String],
    ) -> Result<Self, ActiveError> {
        check_members(&ensemble, models.iter().map(|model| model.manifest()))?;
        let bind = |model: &Arc<LoadedModel>| {
            let refused = |refusal| ActiveError { model: model.manifest.id.to_string(), detail: told(&refusal) };
            model.bind(view, columns).map_err(refused)
        };
        let scorers = models.iter().map(bind).collect::<Result<Vec<_>, _>>()?;
        Ok(Self { ensemble, scorers })
    }

    /// The ensemble.
    pub const fn ensemble(&self) -> &Ensemble {
        &self.ensemble
    }

    /// How many rows the longest of its members reads, and the one before them, which tells how old they are.
    pub fn rows_needed(&self) -> usize {
        let needed = self.scorers.iter().map(|scorer| scorer.model.manifest.sequence_length as usize);
        needed.max().unwrap_or(1) + 1
    }

    /// Scores a window with every member, and combines them.
    pub fn score(&self, window: &Window<'_>) -> Scored {
        let members: Vec<_> = self.scorers.iter().map(|scorer| scorer.score(window)).collect();
        let decision = self.ensemble.combine(&members);
        Scored { members, decision }
    }
}

fn told(refusal: &Refusal) -> String {
    refusal.to_string()
}

/// Why models do not make up an ensemble.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("could not take model {model} into the ensemble: {detail}")]
pub struct ActiveError {
    /// Which model.
    pub model: String,
    /// Why not.
    pub detail: String,
}

/// Whether these versions, in the order of the members, are those of an ensemble and can be scored together.
///
/// # Errors
/// The first that is not, or cannot.
pub fn check_members<'a>(
    ensemble: &Ensemble,
    manifests: impl IntoIterator<Item = &'a Manifest>,
) -> Result<(), ActiveError> {
    let definition = ensemble.definition();
    let is_stacking = matches!(definition.method, crate::ensemble::Method::Stacking { .. });
    let mut manifests = manifests.into_iter();
    let mut view = None;
    for member in &definition.members {
        let error = |detail: String| ActiveError { model: member.model.to_string(), detail };
        let Some(manifest) = manifests.next() else { return Err(error("it was not given".to_owned())) };
        if (&manifest.id, manifest.version) != (&member.model, member.version) {
            let given =
                format!("{} version {} was given for version {}", manifest.id, manifest.version, member.version);
            return Err(error(given));
        }
        if !is_stacking && manifest.output != definition.output {
            let told = format!("it gives {}, the ensemble is of {}", manifest.output, definition.output);
            return Err(error(told));
        }
        let first = view.get_or_insert(&manifest.view);
        if **first != manifest.view {
            return Err(error(format!("it was trained on view {}, others on {first}", manifest.view)));
        }
    }
    match manifests.next() {
        Some(more) => {
            let detail = format!("the ensemble has {} members, and it is one more", definition.members.len());
            Err(ActiveError { model: more.id.to_string(), detail })
        }
        None => Ok(()),
    }
}
