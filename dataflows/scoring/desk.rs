//! Where promotions are decided: what they name is loaded and tried before the tick is cut, and refused if it cannot be used.
//!
//! A refusal changes nothing: what was active goes on. It is a fact of the tick, with its reason.

use super::candidate::Loaded;
use super::{CommandRecord, Wanted};
use crate::models::{self, ModelsError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidewheel_connectors::registry::{Registry, RegistryError, Stamp};
use tidewheel_models::manifest::ANY_SYMBOL;
use tidewheel_models::{Alias, Ensemble, EnsembleDefinition, LoadedModel, ModelId, Promotion, Withdrawal};
use tidewheel_operators::features::View;
use tidewheel_operators::scoring::Activation;

/// Models that are kept loaded though no ensemble has them any more, so that going back to them costs nothing.
const KEPT_MODELS: usize = 256;

/// Versions that could not be used and are remembered, so that they are not built again for each record that names them.
const REMEMBERED_FAULTS: usize = 1_024;
/// Versions that are loaded for the records of a tick, beyond those loaded before: a whole ensemble's. It waits for them.
const LOADS_PER_TICK: usize = tidewheel_models::ensemble::MEMBERS_MAX;
/// Records that are decided in a tick. Those beyond are refused without a look at them, and not in the log: it follows from
/// their number.
const RECORDS_PER_TICK: usize = 1_024;
/// Refused records of a tick that the log says exactly why of; of the others it has the name of the reason.
const DETAILS_PER_TICK: usize = 64;
/// How much is said of why a record was refused, bytes. A line of the log is a Kafka record, whose size a broker bounds.
const DETAIL_BYTES_MAX: usize = 1 << 10;
/// Targets of aliases that may have an ensemble.
const SUBJECTS_MAX: usize = 1_024;
/// How far the number of a promotion may be above all that are in force: one mistyped record must not bar those after it.
const NUMBERS_AHEAD: u64 = 1_000_000;
/// Definitions of ensembles that are remembered, so that none comes again as another.
const REMEMBERED_DEFINITIONS: usize = 4_096;

/// What was decided about a record of the control topic, as the log of ticks has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// The record's offset.
    pub position: u64,
    /// Why it was refused: one of a fixed list, and what exactly; none where it took effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<(String, String)>,
}

impl Verdict {
    /// Of a record that was refused.
    fn refused(position: u64, name: &str, detail: &str) -> Self {
        let detail = &detail[..detail.floor_char_boundary(DETAIL_BYTES_MAX)];
        Self { position, refused: Some((name.to_owned(), detail.to_owned())) }
    }

    /// Of a record beyond those that are decided in a tick.
    fn beyond(position: u64) -> Self {
        Self::refused(position, TOO_MANY, "")
    }

    /// The verdicts of a tick as its line of the log has them.
    pub fn logged(decided: &[Decided]) -> Vec<Self> {
        decided.iter().take(RECORDS_PER_TICK).map(|decided| decided.verdict.clone()).collect()
    }

    /// The verdicts of a tick, of the line of the log and the positions of its records. None where they do not go together.
    pub fn read(logged: &[Self], positions: &[u64]) -> Option<Vec<Self>> {
        let (decided, beyond) = positions.split_at(positions.len().min(RECORDS_PER_TICK));
        let is_same = logged.iter().map(|verdict| &verdict.position).eq(decided);
        is_same.then(|| logged.iter().cloned().chain(beyond.iter().copied().map(Self::beyond)).collect())
    }
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
        "record {number} of {subject} took effect in the ticks that are made again, and cannot be used now: {detail}. \
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

/// Why a promotion was refused whose ensemble has the name and version of another.
const OTHER_DEFINITION: &str = "other_definition";

/// Why a record was refused that came with too many others.
const TOO_MANY: &str = "too_many_in_a_tick";

/// A version that could not be used, and its files then: once they are others it is tried again.
#[derive(Debug)]
struct Fault {
    stamp: Stamp,
    why: Unusable,
}

/// What was said last of an alias of a target.
#[derive(Debug)]
struct Said {
    number: u64,
    /// The record.
    raw: Arc<str>,
    /// Whether it was left without an ensemble. That is remembered, so that no earlier promotion comes back by being sent again.
    is_withdrawn: bool,
}

/// Decides about promotions, and knows what is in force.
#[derive(Debug)]
pub struct Desk {
    registry: PathBuf,
    views: Vec<View>,
    history_rows: usize,
    /// What was said last of each.
    in_force: BTreeMap<Subject, Said>,
    /// The policy of signals in force, where one came: its number and the record that said so.
    policy: Option<(u64, Arc<str>)>,
    /// Models that were loaded and agreed with their golden vectors.
    models: BTreeMap<ModelKey, Arc<LoadedModel>>,
    /// Versions that could not be used.
    faults: BTreeMap<ModelKey, Fault>,
    /// What was in force by name and version.
    definitions: BTreeMap<(String, u32), EnsembleDefinition>,
    /// How many more versions may be loaded in this tick.
    loads_left: usize,
}

/// Why a promotion cannot be used.
#[derive(Clone, Debug)]
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
            ModelsError::Redefined { .. } => OTHER_DEFINITION,
            ModelsError::Members(_) => "members",
            ModelsError::Manifest { .. }
            | ModelsError::Load { .. }
            | ModelsError::Misplaced { .. }
            | ModelsError::NothingInForce(_)
            | ModelsError::Rollback(_) => "model",
        };
        Self::new(name, error)
    }
}

impl Desk {
    /// One at which nothing is in force. The registry is looked at when something is promoted.
    pub fn new(registry: &Path, views: Vec<View>, history_rows: usize) -> Self {
        Self {
            registry: registry.to_owned(),
            views,
            history_rows,
            in_force: BTreeMap::new(),
            policy: None,
            models: BTreeMap::new(),
            faults: BTreeMap::new(),
            definitions: BTreeMap::new(),
            loads_left: usize::MAX,
        }
    }

    /// One that refuses all: nothing is scored in the run.
    pub fn without_models() -> Self {
        Self::new(Path::new(""), Vec::new(), 0)
    }

    /// Where models are loaded from.
    pub fn registry(&self) -> &Path {
        &self.registry
    }

    /// The records that brought what is in force, for a snapshot.
    pub fn in_force(&self) -> Vec<String> {
        let records = self.in_force.values().map(|said| &said.raw).chain(self.policy.iter().map(|(_, raw)| raw));
        records.map(|raw| raw.to_string()).collect()
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
            activations.extend(self.take_up(&record)?);
        }
        Ok(activations)
    }

    /// Decides about the records of a tick, in their order. What it costs is bounded, however many there are.
    pub fn decide_all(&mut self, records: &[CommandRecord]) -> Vec<Decided> {
        self.loads_left = LOADS_PER_TICK;
        let mut details_left = DETAILS_PER_TICK;
        let mut decide = |(at, record): (usize, &CommandRecord)| {
            if at >= RECORDS_PER_TICK {
                return Decided { verdict: Verdict::beyond(record.position), activation: None };
            }
            let mut decided = self.decide(record);
            if let Some((_, detail)) = &mut decided.verdict.refused {
                match details_left.checked_sub(1) {
                    Some(left) => details_left = left,
                    None => detail.clear(),
                }
            }
            decided
        };
        let decided = records.iter().enumerate().map(&mut decide).collect();
        self.loads_left = usize::MAX;
        decided
    }

    /// Decides about a record.
    pub fn decide(&mut self, record: &CommandRecord) -> Decided {
        let position = record.position;
        match self.is_in_order(&record.wanted).and_then(|()| self.effect(&record.wanted)) {
            Ok(activation) => {
                self.put(record);
                Decided { verdict: Verdict { position, refused: None }, activation }
            }
            Err(Unusable { name, detail }) => {
                Decided { verdict: Verdict::refused(position, name, &detail), activation: None }
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
        let found: Vec<u64> = records.iter().map(|record| record.position).collect();
        let Some(verdicts) = Verdict::read(verdicts, &found) else {
            return Err(DeskError::OtherRecords { tick, logged: verdicts.len(), found: found.len() });
        };
        let again = |(record, verdict): (&CommandRecord, Verdict)| {
            let is_refused = verdict.refused.is_some();
            let activation = if is_refused { None } else { self.take_up(record)? };
            Ok(Decided { verdict, activation })
        };
        records.iter().zip(verdicts).map(again).collect()
    }

    /// Puts into force what was found usable before.
    fn take_up(&mut self, record: &CommandRecord) -> Result<Option<Arc<Activation>>, DeskError> {
        let activation = self.effect(&record.wanted).map_err(|Unusable { detail, .. }| {
            let (number, subject) = (record.wanted.number(), record.wanted.subject());
            DeskError::Gone { number, subject, detail, registry: self.registry.clone() }
        })?;
        self.put(record);
        Ok(activation)
    }

    fn put(&mut self, record: &CommandRecord) {
        let (number, raw) = (record.wanted.number(), Arc::clone(&record.raw));
        let Some((alias, symbol, target)) = record.wanted.of() else {
            self.policy = Some((number, raw));
            return;
        };
        let is_withdrawn = record.wanted.promotion().is_none();
        let subject = (alias, symbol.to_owned(), target.to_owned());
        self.in_force.insert(subject, Said { number, raw, is_withdrawn });
        let withdrawn = || self.in_force.iter().filter(|(_, said)| said.is_withdrawn);
        if withdrawn().count() > SUBJECTS_MAX {
            let oldest = withdrawn().min_by_key(|(_, said)| said.number).map(|(subject, _)| subject.clone());
            oldest.into_iter().for_each(|subject| drop(self.in_force.remove(&subject)));
        }
        let Some(Promotion { ensemble, .. }) = record.wanted.promotion() else { return };
        if self.definitions.len() >= REMEMBERED_DEFINITIONS {
            self.definitions.clear();
        }
        let definition = Ensemble::new(ensemble.clone()).map_or_else(|_| ensemble.clone(), Ensemble::into_definition);
        self.definitions.insert((ensemble.name.clone(), ensemble.version), definition);
    }

    /// Whether a record may follow what is in force, whatever it names.
    fn is_in_order(&self, wanted: &Wanted) -> Result<(), Unusable> {
        if let Wanted::Risk(_) = wanted {
            return Ok(());
        }
        let given = wanted.number();
        let Some((alias, symbol, target)) = wanted.of() else {
            let in_force = self.policy.as_ref().map(|(number, _)| *number);
            return is_next(given, in_force, in_force.unwrap_or(0));
        };
        let said = self.in_force.get(&(alias, symbol.to_owned(), target.to_owned()));
        let greatest = self.in_force.values().map(|said| said.number).max().unwrap_or(0);
        is_next(given, said.map(|said| said.number), greatest)?;
        let is_in_force = said.is_some_and(|said| !said.is_withdrawn);
        match wanted {
            Wanted::Promotion(promotion) => {
                let all = self.in_force.values().filter(|said| !said.is_withdrawn).count();
                if !is_in_force && all >= SUBJECTS_MAX {
                    let subject = promotion.subject();
                    let detail = format!("{SUBJECTS_MAX} have an ensemble, and {subject} would be one more");
                    return Err(Unusable::new("too_many_targets", detail));
                }
                self.is_same(promotion)
            }
            _ if is_in_force => Ok(()),
            _ => Err(Unusable::new("nothing_in_force", format!("{} has no ensemble", wanted.subject()))),
        }
    }

    /// What takes effect on the workers: of a policy of signals nothing, they are made at the merge.
    fn effect(&mut self, wanted: &Wanted) -> Result<Option<Arc<Activation>>, Unusable> {
        if self.history_rows == 0 && !matches!(wanted, Wanted::Risk(_)) {
            return Err(Unusable::new("nothing_scored", "the run has no scoring.registry"));
        }
        match wanted {
            Wanted::Risk(_) => Err(Unusable::new("no_risk", "the run has no [risk] section")),
            Wanted::Promotion(promotion) => self.activation(promotion).map(Some),
            Wanted::Withdrawal(Withdrawal { number, alias, symbol, target }) => Ok(Some(Arc::new(Activation {
                number: *number,
                is_shadow: *alias == Alias::Challenger,
                symbol: symbol_of(symbol),
                target: target.as_str().into(),
                view: 0,
                ensemble: "none".into(),
                candidate: None,
            }))),
            Wanted::SignalsPolicy(policy) => {
                let unusable =
                    |(field, detail): (&'static str, String)| Unusable::new("signals", format!("{field} {detail}"));
                policy.check().map(|()| None).map_err(unusable)
            }
        }
    }

    /// Whether an ensemble is what it was, if one of its name and version was in force. As far as is remembered: that does
    /// not outlast the process, and is no matter of ticks that are made again.
    fn is_same(&self, promotion: &Promotion) -> Result<(), Unusable> {
        let ensemble = Ensemble::new(promotion.ensemble.clone()).map_err(|error| Unusable::of(&error.into()))?;
        let definition = ensemble.into_definition();
        match self.definitions.get(&(definition.name.clone(), definition.version)) {
            Some(before) if before.redefines(&definition) => {
                let detail = format!("{before} was in force with another definition; give it the next version");
                Err(Unusable::new(OTHER_DEFINITION, detail))
            }
            _ => Ok(()),
        }
    }

    /// Loads what a promotion names, and tries it.
    fn activation(&mut self, promotion: &Promotion) -> Result<Arc<Activation>, Unusable> {
        let unusable = |error: ModelsError| Unusable::of(&error);
        let ensemble = Ensemble::new(promotion.ensemble.clone()).map_err(|error| unusable(error.into()))?;
        promotion.check_members(&ensemble).map_err(|error| unusable(error.into()))?;
        let mut loaded = Vec::with_capacity(promotion.members.len());
        for member in &promotion.members {
            loaded.push(self.model(&(member.model.clone(), member.version, member.sha256.clone()))?);
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
        let contract = models::contract_sha256(&self.views[view]);
        let is_other = |model: &&Arc<LoadedModel>| {
            model
                .manifest()
                .view_contract
                .as_ref()
                .is_some_and(|trained_on| !trained_on.eq_ignore_ascii_case(&contract))
        };
        if let Some(model) = loaded.iter().find(is_other) {
            let id = &model.manifest().id;
            let detail =
                format!("view {wanted} is not what model {id} was trained on: its contract here is {contract}");
            return Err(Unusable::new("view_contract", detail));
        }
        let columns = self.views[view].column_names();
        let members = Loaded::new(ensemble, loaded, wanted, columns);
        let candidate = members.map_err(|error| unusable(error.into()))?;
        Ok(Arc::new(Activation {
            number: promotion.number,
            is_shadow: promotion.alias == Alias::Challenger,
            symbol: symbol_of(&promotion.symbol),
            target: promotion.target.as_str().into(),
            view: view as u16,
            ensemble: promotion.ensemble.to_string().into(),
            candidate: Some(Arc::new(candidate)),
        }))
    }

    /// A model, loaded once and held against its checksum and its golden vectors.
    fn model(&mut self, key: &ModelKey) -> Result<Arc<LoadedModel>, Unusable> {
        if let Some(model) = self.models.get(key) {
            return Ok(Arc::clone(model));
        }
        let registry = Registry::open(&self.registry).map_err(|error| Unusable::of(&error.into()))?;
        // Taken before the files are read: if they change meanwhile, they are read again.
        let stamp = registry.stamp(&key.0.to_string(), key.1);
        if let Some(fault) = self.faults.get(key).filter(|fault| Some(&fault.stamp) == stamp.as_ref()) {
            return Err(fault.why.clone());
        }
        let Some(left) = self.loads_left.checked_sub(1) else {
            let detail = format!("{LOADS_PER_TICK} versions were loaded in this tick already; send it again");
            return Err(Unusable::new(TOO_MANY, detail));
        };
        self.loads_left = left;
        let loaded = load(&registry, key).map_err(|error| Unusable::of(&error));
        if let (Err(why), Some(stamp)) = (&loaded, stamp) {
            if self.faults.len() >= REMEMBERED_FAULTS {
                self.faults.clear();
            }
            let mut why = why.clone();
            why.detail.truncate(why.detail.floor_char_boundary(DETAIL_BYTES_MAX));
            self.faults.insert(key.clone(), Fault { stamp, why });
        }
        let loaded = loaded?;
        if self.models.len() >= KEPT_MODELS {
            // Those that are active are held by their ensembles.
            self.models.clear();
        }
        let model = Arc::new(loaded);
        self.models.insert(key.clone(), Arc::clone(&model));
        Ok(model)
    }
}

/// Loads a version of a certain checksum and runs its golden vectors.
fn load(registry: &Registry, (id, version, sha256): &ModelKey) -> Result<LoadedModel, ModelsError> {
    let loaded = models::load(registry, id, *version, Some(sha256))?.model;
    loaded.verify().map_err(|difference| {
        let (model, difference) = (models::title(id, *version), Box::new(difference));
        ModelsError::Golden { model, difference }
    })?;
    Ok(loaded)
}

/// Whether a number is above that in force, and not so far above all others that it would bar those after it.
fn is_next(given: u64, in_force: Option<u64>, greatest: u64) -> Result<(), Unusable> {
    if let Some(in_force) = in_force.filter(|in_force| given <= *in_force) {
        return Err(Unusable::new("not_newer", format!("its number is {given}, and {in_force} is in force")));
    }
    if given > greatest.saturating_add(NUMBERS_AHEAD) {
        let detail =
            format!("its number is {given}, and the greatest in force {greatest}: no registry is so far ahead");
        return Err(Unusable::new("number_too_large", detail));
    }
    Ok(())
}

/// The symbol that an activation is for; none for all.
fn symbol_of(symbol: &str) -> Option<Arc<str>> {
    Some(symbol).filter(|symbol| *symbol != ANY_SYMBOL).map(Into::into)
}
