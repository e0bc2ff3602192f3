//! Snapshots of base state: taken between two ticks, written beside the running dataflow, taken up by a later run.
//!
//! ```text
//! FOLDER/000001795172400123.parts    what a snapshot added: sections, each a shard of the tapes or of a ledger
//! FOLDER/000001795172400123.json     the snapshot: which sections of which files make it up, with their checksums
//! ```
//!
//! A snapshot is named by its tick. It exists when its `.json` does, which is created under its name in one step after all
//! that it names is durable. Each adds what changed since the one before; a shard in sixteen is written whole, in turn, and
//! what lies before the whole part of every shard is not needed any more. So a restart reads each part of the state at
//! most seventeen times over, and nothing is ever joined or rewritten.

mod load;
mod store;
mod timer;

pub use load::{Loaded, load, ticks};
pub use store::{SnapshotReport, SnapshotStore};
pub use timer::SnapshotTimer;

use crate::engine::SourceState;
use crate::recovery::Settings;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use tidewheel_schemas::{Counters, Interval};

/// Snapshots from one whole part of a shard to its next.
const WHOLE_EVERY: u32 = 16;

/// What a snapshot's `.json` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The tick after which it was taken, milliseconds.
    pub tick: u64,
    /// The run that took it.
    pub run: String,
    /// The program's version.
    pub version: String,
    /// What the answers depend on.
    pub settings: Settings,
    /// Where the source stood.
    pub source: SourceState,
    /// The tapes' counts.
    pub tape_counters: Counters,
    /// What it consists of, for each shard and kind in the order in which it was saved.
    pub sections: Vec<Section>,
}

/// Whose state a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The tapes'.
    Tape,
    /// That of the ledgers of an interval.
    Bars(Interval),
    /// The markets'. The name says the shape, which the bytes do not: a snapshot of another shape is refused, not misread.
    #[serde(rename = "market_2")]
    Market,
    /// The hours'.
    Hours,
    /// The features', which hold leaves of the markets.
    #[serde(rename = "features_2")]
    Features,
    /// The scoring's.
    Scoring,
    /// That of risk: all of it each time, as the first shard's.
    Risk,
    /// That of what is computed once the workers are done: all of it each time, as the first shard's.
    Facts,
}

/// A part of a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Section {
    /// The name of the file.
    pub file: String,
    /// Where it begins.
    pub offset: u64,
    /// How long it is, bytes.
    pub bytes: u64,
    /// Its checksum.
    pub crc32: u32,
    /// The shard.
    pub shard: u32,
    /// Whose state it is.
    pub of: Part,
    /// Whether it is all of its shard.
    pub is_whole: bool,
}

/// A snapshot that cannot be written or taken up. The message names the file and what to do.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file cannot be read or written.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file does not hold what was written.
    #[error("snapshot {}: {detail}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

impl SnapshotError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// The name of a snapshot's file with this extension. Sorts by tick.
fn file_name(tick: u64, extension: &str) -> String {
    format!("{tick:018}.{extension}")
}

/// The tick that a file is named by, if it is one of ours.
fn tick_of(path: &Path, extension: &str) -> Option<u64> {
    let is_ours = path.extension().is_some_and(|found| found == extension);
    is_ours.then(|| path.file_stem()?.to_str()?.parse().ok()).flatten()
}

#[cfg(test)]
mod tests;
