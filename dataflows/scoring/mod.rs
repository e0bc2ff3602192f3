//! Scoring in a run: promotions come on the control topic, are decided once, and take effect at one tick on all workers.
//!
//! ```text
//!   control topic -- decode -- Desk: loads what is promoted, or refuses ---- verdict, into the tick's line of the log
//!                                 | activation                                  |
//!        every worker: rows of views -- scoring -- predictions                  |
//!                                 \_______________________|_____________________/
//!                                                     FactMaker: events, predictions, signals, the archive of the topic
//! ```
//!
//! A record of the control topic belongs to a tick like any other, but it is no trade: it moves no watermark, and a partition
//! that is silent holds nothing back. What was decided about it is written down with the tick, because it depends on what lay
//! in the registry at that moment. When the tick is made again the decision is taken from there, and only the models are
//! loaded again, which are known by their checksums.

mod candidate;
mod decode;
mod desk;
mod facts;
mod orders;
mod standing;
mod wanted;

#[cfg(test)]
mod tests;

pub use decode::{CommandRecord, decode};
pub use desk::{Decided, Desk, DeskError, Verdict};
pub use facts::FactMaker;
pub use orders::{order_of, take_orders};
pub use standing::{REGISTRY, Standing, StandingError};
pub use wanted::{SignalsPolicy, Wanted};

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tidewheel_operators::signals::SignalsConfig;

/// What scoring computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScoringRules {
    /// The control topic.
    pub topic: String,
    /// How many rows are remembered of each instrument and view.
    pub history_rows: usize,
    /// What makes a signal.
    pub signals: SignalsConfig,
}

impl ControlFact {
    /// An order to risk, about which nothing is decided before the graph has it.
    pub const fn of_order(source: Arc<str>, record: CommandRecord) -> Self {
        let verdict = Verdict { position: record.position, refused: None };
        Self { source, record, verdict }
    }
}

/// A record of the control topic and what was decided about it.
#[derive(Clone, Debug)]
pub struct ControlFact {
    /// The name of its partition.
    pub source: Arc<str>,
    /// What it says.
    pub record: CommandRecord,
    /// What was decided.
    pub verdict: Verdict,
}
