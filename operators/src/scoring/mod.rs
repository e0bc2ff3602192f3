//! Scoring: rows of features as they become known, judged by the ensembles that are active at that tick.
//!
//! An ensemble is known here only as a [`Candidate`], which each worker makes a [`Judge`] of its own: what a model is and how it
//! runs is not this crate's business. All that a score changes with comes in one [`Activation`], so that a worker has the whole
//! of an ensemble or the whole of the one before.
//!
//! A prediction is a fact: it says what was thought at a tick of what was known then, and nothing that comes later takes it
//! back. So a row is scored once, in its first version that is ready; its revisions only change what later sequences look
//! back at.

mod ledger;
mod operator;
mod saved;

#[cfg(test)]
mod tests;

pub use ledger::{ScoringConfig, ScoringLedger};
pub use operator::{ScoringTick, scoring};
pub use saved::SavedScoring;

use std::fmt;
use std::sync::Arc;
use tidewheel_schemas::Instrument;

/// From a tick on, an alias of a target means this ensemble, or none.
#[derive(Clone, Debug)]
pub struct Activation {
    /// The number of the promotion.
    pub number: u64,
    /// Whether it only scores beside the one that decides.
    pub is_shadow: bool,
    /// The symbol it is for; every symbol that has none of its own, if absent.
    pub symbol: Option<Arc<str>>,
    /// What it predicts.
    pub target: Arc<str>,
    /// The place of the view whose rows it scores.
    pub view: u16,
    /// Its name and version, as in `blend@2`.
    pub ensemble: Arc<str>,
    /// What scores; nothing where the alias is left without an ensemble.
    pub candidate: Option<Arc<dyn Candidate>>,
}

/// An ensemble with all that it needs, shared by the workers.
pub trait Candidate: fmt::Debug + Send + Sync {
    /// What scores on one worker.
    fn judge(&self) -> Box<dyn Judge>;
}

/// An ensemble as one worker has it.
pub trait Judge {
    /// Judges the newest of these rows, which are ordered by time and go back as far as is remembered.
    fn judge(&self, window: &Window<'_>) -> Judgement;
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// The symbol.
    pub symbol: &'a str,
    /// The rows as known, oldest first.
    pub rows: &'a [KnownRow],
}

/// A row of a view as it is known.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct KnownRow {
    /// Its event time, nanoseconds.
    pub event_time_ns: i64,
    /// Whether no column waits for more bars.
    pub is_ready: bool,
    /// The share of columns whose bars are so many that where history began no longer shows, 0 to 1.
    pub warm_share: f64,
    /// How long before the newest possible bar the oldest of the joined bars closed, nanoseconds.
    pub staleness_ns: i64,
    /// By the columns of the view.
    pub values: Box<[Option<f64>]>,
}

/// What an ensemble said of a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// What it decided, or why it did not.
    pub decision: Result<Decision, Refused>,
    /// What each member gave, as JSON.
    pub members: Arc<str>,
    /// The members that gave no number, to be counted: which model, and the name of its refusal.
    pub refused_members: Vec<(Arc<str>, &'static str)>,
}

/// What an ensemble decided.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Decision {
    /// Expected return or probability.
    pub value: f64,
    /// Where the price is expected to go.
    pub direction: Direction,
    /// How probable the direction is held to be, 0.5 to 1.
    pub confidence: f64,
    /// How far the members are apart, in their unit.
    pub disagreement: f64,
    /// The share of the members, by weight, that gave a number.
    pub present: f64,
}

/// Where a price is expected to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Down.
    Down,
    /// Exactly neither.
    Flat,
    /// Up.
    Up,
}

impl Direction {
    /// As written in topics and in the lake.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Flat => "flat",
            Self::Up => "up",
        }
    }
}

/// Why there is no decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// One of a fixed list, to be counted.
    pub name: &'static str,
    /// What exactly, for a person.
    pub detail: String,
}

/// What an ensemble said of a row, at a tick.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// What is traded.
    pub instrument: Instrument,
    /// The event time of the row, nanoseconds.
    pub event_time_ns: i64,
    /// The version of the row.
    pub revision: u32,
    /// Whose it is.
    pub activation: Arc<Activation>,
    /// What was said.
    pub judgement: Judgement,
}

impl Prediction {
    /// Sorts predictions of a tick; no two have the same.
    pub fn key(&self) -> (&Instrument, bool, &str, i64) {
        (&self.instrument, self.activation.is_shadow, &self.activation.target, self.event_time_ns)
    }
}
