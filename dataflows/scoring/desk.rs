//! Where promotions are decided: what they name is loaded and tried before the tick is cut, and refused if it cannot be used.
//!
//! A refusal changes nothing: what was active goes on. It is a fact of the tick, with its reason.

use super::CommandRecord;
use super::candidate::Loaded;
use crate::models::{self, ModelsError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidewheel_connectors::registry::{Registry, RegistryError};
use tidewheel_models::manifest::ANY_SYMBOL;
use tidewheel_models::{Alias, Ensemble, LoadedModel, ModelId, Promotion};
use tidewheel_operators::features::View;
use tidewheel_operators::scoring::Activation;

/// Models that are kept loaded though no ensemble has them any more, so that going back to them costs nothing.
const KEPT_MODELS: usize = 256;

/// What was decided about a record of the control topic, as the log of ticks has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The record's offset.
    pub position: u64,
    /// Why it was refused: one of a fixed list, and what exactly; none where it took effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<(String, String)>,
}

/// A record, decided.
#[derive(Clone, Debug)]
pub struct Decided {
    /// What was decided.
    pub verdict: Verdict,
    /// What takes effect with the tick.
    pub activation: Option<Arc<Activation>>,
}

/// What was promoted when the log was written cannot be used now, so that its ticks cannot be made again.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// A model is not what it was.
    #[error(
        "promotion {number} of {subject} took effect in the ticks that are made again, and cannot be used now: {detail}. \
         Restore the registry {} from a copy, or name the one that the run had", registry.display()
    )]
    Gone {
        /// The promotion.
        number: u64,
        /// What it is for.
        subject: String,
        /// Why not.
        detail: String,
        /// The registry.
        registry: PathBuf,
    },
    /// The log knows other records than the topic has.
    #[error(
        "tick {tick} decided about {logged} control records, and {found} are there now: the control topic was changed behind \
         the offsets already read. Begin anew with --replace"
    )]
    OtherRecords {
        /// The tick.
        tick: u64,
        /// Records in the log.
        logged: usize,
        /// Records there are.
        found: usize,
    },
    /// A snapshot says what was active in words that are not understood.
    #[error("could not understand what was active at the snapshot: {0}")]
    Saved(String),
}

/// What an alias stands for.
type Subject = (Alias, String, String);
type ModelKey = (ModelId, u32, String);

/// Decides about promotions, and knows what is in force.
#[derive(Debug)]
pub struct Desk {
    registry: PathBuf,
    views: Vec<View>,
    history_rows: usize,
    /// The number in force and the record that said so.
    in_force: BTreeMap<Subject, (u64, Arc<str>)>,
    /// Models that were loaded and agreed with their golden vectors.
    models: BTreeMap<ModelKey, Arc<LoadedModel>>,
}

/// Why a promotion cannot be used.
struct Unusable {
    name: &'static str,
    detail: String,
}

impl Unusable {
    fn new(name: &'static str, detail: impl ToString) -> Self {
        Self { name, detail: detail.to_string() }
    }

    fn of(error: &ModelsError) -> Self {
        let name = match error {
            ModelsError::Registry(RegistryError::NoSuchVersion { .. }) => "unknown_version",
            ModelsError::Registry(RegistryError::Changed { .. })
            | ModelsError::Checksum { .. }
            | ModelsError::Promoted { .. } => "other_checksum",
            ModelsError::Registry(_) | ModelsError::File { .. } => "registry",
            ModelsError::Golden { .. } => "golden_vectors",
            ModelsError::Ensemble(_) => "ensemble",
            ModelsError::Members(_) => "members",
            ModelsError::Manifest { .. }
            | ModelsError::Load { .. }
            | ModelsError::Misplaced { .. }
            | ModelsError::Rollback(_) => "model",
        };
        Self::new(name, error)
    }
}

impl Desk {
    /// One at which nothing is in force. The registry is looked at when something is promoted.
    pub fn new(registry: &Path, views: Vec<View>, history_rows: usize) -> Self {
        let (in_force, models) = (BTreeMap::new(), BTreeMap::new());
        Self { registry: registry.to_owned(), views, history_rows, in_force, models }
    }

    /// Where models are loaded from.
    pub fn registry(&self) -> &Path {
        &self.registry
    }

    /// The records that brought what is in force, for a snapshot.
    pub fn in_force(&self) -> Vec<String> {
        self.in_force.values().map(|(_, raw)| raw.to_string()).collect()
    }

    /// Takes up what was in force at a snapshot.
    ///
    /// # Errors
    /// If it cannot be loaded any more.
    pub fn restore(&mut self, in_force: &[String]) -> Result<Vec<Arc<Activation>>, DeskError> {
        let mut activations = Vec::with_capacity(in_force.len());
        for raw in in_force {
            let record = CommandRecord::parse(raw.as_bytes(), 0, None);
            let record = record.map_err(|(_, detail)| DeskError::Saved(detail))?;
            activations.push(self.take_up(&record)?);
        }
        Ok(activations)
    }

    /// Decides about a record.
    pub fn decide(&mut self, record: &CommandRecord) -> Decided {
        let position = record.position;
        let usable = self.newer(&record.promotion).and_then(|()| self.activation(&record.promotion));
        match usable {
            Ok(activation) => {
                self.put(record);
                Decided { verdict: Verdict { position, refused: None }, activation: Some(activation) }
            }
            Err(Unusable { name, detail }) => {
                Decided { verdict: Verdict { position, refused: Some((name.to_owned(), detail)) }, activation: None }
            }
        }
    }

    /// Does again what was decided about the records of a tick.
    ///
    /// # Errors
    /// If the records are others, or what took effect cannot be loaded any more.
    pub fn repeat(
        &mut self,
        tick: u64,
        records: &[CommandRecord],
        verdicts: &[Verdict],
    ) -> Result<Vec<Decided>, DeskError> {
        let logged: Vec<u64> = verdicts.iter().map(|verdict| verdict.position).collect();
        let found: Vec<u64> = records.iter().map(|record| record.position).collect();
        if logged != found {
            return Err(DeskError::OtherRecords { tick, logged: logged.len(), found: found.len() });
        }
        let again = |(record, verdict): (&CommandRecord, &Verdict)| {
            let is_refused = verdict.refused.is_some();
            let activation = if is_refused { None } else { Some(self.take_up(record)?) };
            Ok(Decided { verdict: verdict.clone(), activation })
        };
        records.iter().zip(verdicts).map(again).collect()
    }

    /// Puts into force what was found usable before.
    fn take_up(&mut self, record: &CommandRecord) -> Result<Arc<Activation>, DeskError> {
        let activation = self.activation(&record.promotion).map_err(|Unusable { detail, .. }| {
            let (number, subject) = (record.promotion.number, record.promotion.subject());
            DeskError::Gone { number, subject, detail, registry: self.registry.clone() }
        })?;
        self.put(record);
        Ok(activation)
    }

    fn put(&mut self, record: &CommandRecord) {
        let number = record.promotion.number;
        self.in_force.insert(subject_of(&record.promotion), (number, Arc::clone(&record.raw)));
    }

    fn newer(&self, promotion: &Promotion) -> Result<(), Unusable> {
        let Some((in_force, _)) = self.in_force.get(&subject_of(promotion)) else { return Ok(()) };
        let (given, in_force) = (promotion.number, *in_force);
        if given > in_force {
            return Ok(());
        }
        Err(Unusable::new("not_newer", format!("its number is {given}, and {in_force} is in force")))
    }

    /// Loads what a promotion names, and tries it.
    fn activation(&mut self, promotion: &Promotion) -> Result<Arc<Activation>, Unusable> {
        let unusable = |error: ModelsError| Unusable::of(&error);
        let ensemble = Ensemble::new(promotion.ensemble.clone()).map_err(|error| unusable(error.into()))?;
        let mut loaded = Vec::with_capacity(promotion.members.len());
        for member in &promotion.members {
            let model = self.model(&(member.model.clone(), member.version, member.sha256.clone()));
            loaded.push(model.map_err(|error| Unusable::of(&error))?);
        }
        for model in &loaded {
            let id = &model.manifest().id;
            if id.target != promotion.target || (id.symbol != ANY_SYMBOL && id.symbol != promotion.symbol) {
                let detail = format!("model {id} is not for {}", promotion.subject());
                return Err(Unusable::new("members", detail));
            }
            let rows = model.manifest().sequence_length as usize;
            if rows > self.history_rows {
                let detail = format!("model {id} wants {rows} rows, scoring.history_rows is {}", self.history_rows);
                return Err(Unusable::new("history_too_short", detail));
            }
        }
        let Some(first) = loaded.first() else { return Err(Unusable::new("members", "there are none")) };
        let wanted = first.manifest().view.clone();
        let is_it = |view: &View| (view.name.as_str(), view.version) == (wanted.name.as_str(), wanted.version);
        let Some(view) = self.views.iter().position(is_it) else {
            return Err(Unusable::new("view_not_computed", format!("view {wanted} is not among features.views")));
        };
        let columns = self.views[view].column_names();
        let members = Loaded::new(ensemble, loaded, wanted, columns);
        let candidate = members.map_err(|error| unusable(error.into()))?;
        Ok(Arc::new(Activation {
            number: promotion.number,
            is_shadow: promotion.alias == Alias::Challenger,
            symbol: Some(promotion.symbol.as_str()).filter(|symbol| *symbol != ANY_SYMBOL).map(Into::into),
            target: promotion.target.as_str().into(),
            view: view as u16,
            ensemble: promotion.ensemble.to_string().into(),
            candidate: Arc::new(candidate),
        }))
    }

    /// A model, loaded once and held against its checksum and its golden vectors.
    fn model(&mut self, key: &ModelKey) -> Result<Arc<LoadedModel>, ModelsError> {
        if let Some(model) = self.models.get(key) {
            return Ok(Arc::clone(model));
        }
        let (id, version, sha256) = key;
        let title = || models::title(id, *version);
        let loaded = models::load(&Registry::open(&self.registry)?, id, *version)?;
        if loaded.sha256 != *sha256 {
            return Err(ModelsError::Promoted { model: title(), given: loaded.sha256, wanted: sha256.clone() });
        }
        loaded.model.verify().map_err(|difference| {
            let (model, difference) = (title(), Box::new(difference));
            ModelsError::Golden { model, difference }
        })?;
        if self.models.len() >= KEPT_MODELS {
            // Those that are active are held by their ensembles.
            self.models.clear();
        }
        let model = Arc::new(loaded.model);
        self.models.insert(key.clone(), Arc::clone(&model));
        Ok(model)
    }
}

fn subject_of(promotion: &Promotion) -> Subject {
    (promotion.alias, promotion.symbol.clone(), promotion.target.clone())
}
