//! The `[control]`, `[scoring]` and `[signals]` sections: who decides which models score, and what is made of what they say.

use super::TimeSpan;
use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a run is told while it goes on: records of a topic that take effect at one tick, and so in every replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct ControlSection {
    /// The topic with promotions of models and orders to risk, at the brokers of the source; it has one partition and is read from its
    /// beginning wherever the source starts. Nothing is scored without it, and no policy changed and nothing killed or reset.
    /// `tidewheel model promote` and `rollback` send to it what they did, given this file with --config.
    /// Example: `"control"`
    pub topic: Option<String>,
}

/// Models that score rows of features.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct ScoringSection {
    /// The registry of models: the folder that `tidewheel model` was given.
    /// Example: `"registry"`
    pub registry: Option<PathBuf>,
    /// Rows that are remembered of each instrument and view, 1 to 4096: the longest sequence that a model may want. Each takes
    /// 16 bytes a column.
    pub history_rows: u32,
}

impl Default for ScoringSection {
    fn default() -> Self {
        Self { registry: None, history_rows: 256 }
    }
}

/// Which predictions are worth acting on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct SignalsSection {
    /// The confidence from which on a prediction is worth considering, 0.5 to 1.
    pub consider: f64,
    /// The confidence from which on it is worth acting on, not below `consider`.
    pub act: f64,
    /// How long after a signal to act the same instrument and target give no other, of event time.
    pub cool_down: TimeSpan,
    /// How many instruments give signals: those of the most quote volume in 24 hours of final bars of 1h.
    pub universe: u32,
}

impl Default for SignalsSection {
    fn default() -> Self {
        Self { consider: 0.55, act: 0.65, cool_down: TimeSpan::from_secs(180), universe: 50 }
    }
}
