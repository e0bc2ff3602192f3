//! What the aliases of a registry stand for, taken as in force from the first tick of a replay: history has no control topic, and
//! a model that is to be tried has no past.

use super::desk::{Decided, Desk};
use super::{CommandRecord, ControlFact};
use crate::engine::TickInput;
use crate::models::ModelsError;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_connectors::registry::Registry;
use tidewheel_models::{Change, Promotion};
use tidewheel_operators::scoring::Activation;

/// Who says so, in the rows of events and of the control records.
pub const REGISTRY: &str = "registry";

/// The ensembles of a registry, loaded and tried.
#[derive(Debug)]
pub struct Standing {
    activations: Vec<Arc<Activation>>,
    facts: Vec<ControlFact>,
}

/// A registry that nothing can be scored by.
#[derive(Debug, thiserror::Error)]
pub enum StandingError {
    /// It cannot be read.
    #[error(transparent)]
    Registry(#[from] ModelsError),
    /// Nothing was ever promoted in it.
    #[error("nothing was ever promoted in the registry {0}: `tidewheel model promote` gives an alias its ensemble")]
    Nothing(String),
    /// What an alias stands for cannot be used.
    #[error("{ensemble} ({subject}, promotion {number}) cannot score this replay: {reason}: {detail}")]
    Refused {
        /// The ensemble.
        ensemble: String,
        /// The alias, symbol and target.
        subject: String,
        /// The promotion.
        number: u64,
        /// Why, as events name it.
        reason: String,
        /// What exactly.
        detail: String,
    },
}

impl Standing {
    /// Loads what each alias of the desk's registry stands for, and tries it.
    ///
    /// # Errors
    /// If nothing was ever promoted, or something that was cannot be used: nobody wants a replay without what was to be tried.
    pub fn of(mut desk: Desk) -> Result<Self, StandingError> {
        let registry = Registry::open(desk.registry()).map_err(ModelsError::from)?;
        let history: Vec<Change> = registry.history().map_err(ModelsError::from)?;
        let newest: BTreeMap<_, &Change> = history.iter().map(|change| (change.of(), change)).collect();
        let mut promotions: Vec<Promotion> = newest.into_values().filter_map(Change::promotion).cloned().collect();
        promotions.sort_by_key(|promotion| promotion.number);
        if promotions.is_empty() {
            return Err(StandingError::Nothing(desk.registry().display().to_string()));
        }
        let mut standing = Self { activations: Vec::new(), facts: Vec::new() };
        for promotion in promotions {
            standing.add(&mut desk, promotion)?;
        }
        Ok(standing)
    }

    fn add(&mut self, desk: &mut Desk, promotion: Promotion) -> Result<(), StandingError> {
        let (ensemble, subject, number) = (promotion.ensemble.to_string(), promotion.subject(), promotion.number);
        let record = CommandRecord::of(promotion, self.facts.len() as u64);
        let Decided { verdict, activation } = desk.decide(&record);
        if let Some((reason, detail)) = verdict.refused {
            return Err(StandingError::Refused { ensemble, subject, number, reason, detail });
        }
        self.activations.extend(activation);
        self.facts.push(ControlFact { source: REGISTRY.into(), record, verdict });
        Ok(())
    }

    /// Puts them into a tick, which must be the first.
    pub fn put(self, input: &mut TickInput) {
        input.activations.extend(self.activations);
        input.source.control.extend(self.facts);
    }
}
