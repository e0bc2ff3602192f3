//! The Parquet lake: tables in Hive partitions that DuckDB, Polars, pandas and Spark read by a plain glob, written in
//! exactly-once, atomic commits.
//!
//! ```text
//! LAKE/bars/interval=1m/date=2026-11-20/000000000007-000.parquet      the right bars now, one row a key
//! LAKE/bars_changelog/interval=1m/date=2026-11-20/...                 every version ever published
//! LAKE/trades/date=2026-11-20/...                                     what was taken in, by day of the trade
//! LAKE/late/date=2026-11-20/...  LAKE/rejects/date=2026-11-20/...     what was not, by day of the tick
//! LAKE/features/view=core_technical/date=2026-11-20/...               every version of each row, by day of the event
//! LAKE/hourly_volume/date=2026-11-20/...                              every version of each hour's volume, likewise
//! LAKE/_tidewheel/manifests/000000000007.json                         commits
//! LAKE/_tidewheel/staging/  LAKE/_tidewheel/lock                      the writer's
//! LAKE/_tidewheel/compaction/  LAKE/_tidewheel/compaction.lock        a compaction's
//! ```
//!
//! A commit writes and syncs its files in staging, then creates its manifest under a new name: that is the moment at which it
//! happens. Then it moves the files into place and deletes those they replace, and opening the lake does this again, so
//! that a crash at any moment is mended. Files never change under their name. While a commit that rewrites bars moves its
//! files, a plain glob may for a moment see both a bar and its successor; who must not, reads the list in the manifest.
//!
//! [`compact`] makes few large files of many small ones, also while a run writes. The lake computes no bar and knows no clock
//! but for the time that its reports say a commit took.

pub(crate) mod account;
pub mod archive;
mod bars_file;
mod bars_plan;
mod bars_read;
pub mod by_tick;
mod columns;
mod commit;
pub mod compact;
mod error;
pub mod export;
mod layout;
mod manifest;
pub(crate) mod market;
mod origin;
mod parquet_file;
mod publish;
pub mod read;
mod recovery;
mod rejects_file;
pub mod rows;
mod rows_file;
#[cfg(test)]
mod tests;
mod trades_file;
mod values;
pub mod versions;
mod writer;

pub use bars_read::Derived;
pub use error::{LakeError, is_passing};
pub use layout::Table;
pub use manifest::{CommitProgress, LakeFile, LakeState};
pub use rejects_file::StoredReject;
pub use writer::Lake;

use crate::fault::Faults;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tidewheel_schemas::{Interval, TableSpec};

/// What to do with a lake that holds data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnExisting {
    /// Refuse to write.
    #[default]
    Refuse,
    /// Put the new run in its place, with the first commit.
    Replace,
    /// Go on where it ends: ticks it holds already are passed over.
    Resume,
}

/// How to write a lake.
#[derive(Clone, Debug)]
pub struct LakeConfig {
    /// The folder of the lake.
    pub root: PathBuf,
    /// The intervals to keep.
    pub intervals: Vec<Interval>,
    /// The tables beside the bars, by number.
    pub tables: Vec<Arc<TableSpec>>,
    /// Whether to keep the trades, amendments, market records and records of accounts that were taken in.
    pub archive: bool,
    /// Whether to keep every version of each bar.
    pub changelog: bool,
    /// Compression, from 1 (fast) to 22 (small).
    pub zstd_level: i32,
    /// Rows of a file at most; a commit cuts a longer partition into files of even length.
    pub max_rows_per_file: usize,
    /// Threads that encode.
    pub threads: usize,
    /// The names of the source partitions, by number.
    pub sources: Vec<String>,
    /// What to do with a lake that holds data.
    pub on_existing: OnExisting,
    /// What happens at its fault points.
    pub faults: Faults,
}

impl LakeConfig {
    /// Defaults for a folder: all intervals, changelog and archive, for two cores.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            intervals: Interval::ALL.to_vec(),
            tables: Vec::new(),
            archive: true,
            changelog: true,
            zstd_level: 1,
            max_rows_per_file: 500_000,
            threads: 2,
            sources: Vec::new(),
            on_existing: OnExisting::Refuse,
            faults: Faults::of_process(),
        }
    }
}

/// What a commit did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitReport {
    /// The commit's number.
    pub seq: u64,
    /// Rows in new files, those carried over from rewritten files included.
    pub rows: u64,
    /// New files.
    pub files: u64,
    /// Their bytes; a file that two tables share counts twice.
    pub bytes: u64,
    /// Committed bars that were replaced or removed.
    pub superseded_rows: u64,
    /// How long it took.
    pub elapsed: Duration,
}
