//! The `[recovery]` section: what a run keeps to go on after a stop or a crash.

use super::{Cadence, TimeSpan};
use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What a run keeps to go on after a stop or a crash: the log that says which records made each tick, and snapshots of its
/// state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct RecoverySection {
    /// The folder. Without it `_tidewheel` in the lake, or `tidewheel-state` where there is no lake.
    /// Example: `"/var/lib/tidewheel"`
    pub folder: Option<PathBuf>,
    /// How often a snapshot is written beside the running pipeline, or `none`. What came in after the last one is read again
    /// when a run goes on, so that the topics must hold it.
    pub snapshot_every: Cadence,
    /// Where the log of ticks lies: `file` (in the folder) or `kafka` (the topic `PREFIX.bindings`, in the transactions of what
    /// the ticks gave; for machines whose disks do not last).
    pub log: LogPlace,
}

/// Where the log of ticks lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogPlace {
    /// In the folder of the state.
    #[default]
    File,
    /// In a topic of the output.
    Kafka,
}

impl Default for RecoverySection {
    fn default() -> Self {
        Self { folder: None, snapshot_every: Cadence::Every(TimeSpan::from_secs(30)), log: LogPlace::File }
    }
}
