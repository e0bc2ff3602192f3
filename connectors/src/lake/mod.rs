//! The Parquet lake: tables in Hive partitions that DuckDB, Polars, pandas and Spark read by a plain glob, written in
//! exactly-once, atomic commits.
//!
//! ```text
//! LAKE/bars/interval=1m/date=2026-11-20/000000000007-000.parquet      the right bars now, one row a key
//! LAKE/bars_changelog/interval=1m/date=2026-11-20/...                 every version ever published
//! LAKE/trades/date=2026-11-20/...                                     what was taken in, by day of the trade
//! LAKE/late/date=2026-11-20/...  LAKE/rejects/date=2026-11-20/...     what was not, by day of the tick
//! LAKE/_tidewheel/manifests/000000000007.json                         commits
//! LAKE/_tidewheel/staging/  LAKE/_tidewheel/lock
//! ```
//!
//! A commit writes and syncs its files in staging, then creates its manifest under a new name: that is the moment at which it
//! happens. Then it moves the files into place and deletes those they replace, and opening the lake does this again, so
//! that a crash at any moment is mended. Files never change under their name. While a commit that rewrites bars moves its
//! files, a plain glob may for a moment see both a bar and its successor; who must not, reads the list in the manifest.
//!
//! The lake computes no bar and knows no clock but for the time that its report says a commit took. It does not join small files.

pub mod archive;
mod bars_file;
mod bars_plan;
mod bars_read;
mod columns;
mod commit;
mod error;
mod layout;
mod manifest;
mod parquet_file;
pub mod read;
mod recovery;
mod rejects_file;
#[cfg(test)]
mod tests;
mod trades_file;
pub mod versions;

pub use bars_read::Derived;
pub use error::LakeError;
pub use layout::Table;
pub use manifest::{CommitProgress, LakeFile, LakeState};
pub use rejects_file::StoredReject;

use crate::fault::Faults;
use commit::Buffered;
use layout::Layout;
use manifest::Manifest;
use parquet::basic::ZstdLevel;
use parquet_file::{create_folder, sync_folder};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidewheel_schemas::{BarVersion, Interval, TickOutput, TradeColumns};

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
    /// Whether to keep the trades and amendments that were taken in.
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

/// The name of a manifest in the staging folder of its commit.
const STAGED_MANIFEST: &str = "manifest.json";

/// The one writer of a lake. Dropping it drops what was not committed.
#[derive(Debug)]
pub struct Lake {
    config: LakeConfig,
    layout: Layout,
    zstd_level: ZstdLevel,
    state: LakeState,
    /// Files of the run before, which the first commit removes.
    replaced: Vec<String>,
    /// A commit whose files are not all in place.
    unpublished: Option<Manifest>,
    /// Whether the next commit may have happened although it failed.
    is_unknown: bool,
    ticks: Vec<TickOutput>,
    closing: Vec<BarVersion>,
    rows: usize,
    bytes: usize,
    /// Locked as long as it is open.
    _lock: File,
}

impl Lake {
    /// Opens a lake for writing, makes it if need be, and mends what a crash left.
    ///
    /// # Errors
    /// If it has a writer, if it holds data that it must not touch, if a manifest is damaged or a file is missing, or if
    /// the file system refuses.
    pub fn open(config: LakeConfig) -> Result<Self, LakeError> {
        let layout = Layout { root: config.root.clone() };
        recovery::refuse_foreign_files(&layout)?;
        create_folder(&layout.manifests())?;
        create_folder(&layout.staging())?;
        let lock = recovery::lock(&layout)?;
        let mut state = LakeState::default();
        if let Some((found, newest)) = manifest::read_state(&layout)? {
            if config.on_existing == OnExisting::Refuse && !found.files.is_empty() {
                return Err(LakeError::Exists { root: layout.root });
            }
            commit::publish(&layout, &newest, || Ok(()))?;
            recovery::check_files(&layout, &found)?;
            state = found;
        }
        commit::remove_folder(&layout.staging())?;
        create_folder(&layout.staging())?;
        recovery::delete_orphans(&layout, &state)?;
        let mut replaced = Vec::new();
        if config.on_existing != OnExisting::Resume {
            replaced = std::mem::take(&mut state.files).into_keys().collect();
            state.progress = CommitProgress::default();
        }
        let zstd_level = ZstdLevel::try_new(config.zstd_level).map_err(LakeError::parquet("encode", &layout.root))?;
        Ok(Self {
            config,
            layout,
            zstd_level,
            state,
            replaced,
            unpublished: None,
            is_unknown: false,
            ticks: Vec::new(),
            closing: Vec::new(),
            rows: 0,
            bytes: 0,
            _lock: lock,
        })
    }

    /// Names the source partitions by number, for the ticks that follow; a live source may find more of them.
    pub fn name_sources(&mut self, names: &[String]) {
        if self.config.sources != names {
            self.config.sources = names.to_vec();
        }
    }

    /// What is committed.
    pub fn state(&self) -> &LakeState {
        &self.state
    }

    /// Takes in what a tick published, for the next commit. Ticks in their order, each once.
    ///
    /// False, and nothing taken, for a tick before the committed frontier: its output is in the lake.
    pub fn append(&mut self, mut output: TickOutput) -> bool {
        if output.tick < self.state.progress.tick_frontier {
            return false;
        }
        if !self.config.archive {
            output.accepted = Vec::new();
            output.amendments = Vec::new();
        }
        let (rows, bytes) = weigh(&output);
        self.rows += rows;
        self.bytes += bytes;
        if rows > 0 {
            self.ticks.push(output);
        }
        true
    }

    /// Takes in the bars that are still open at the end of a run: the next commit writes them into `bars`, not as final,
    /// until a later run supersedes them. Their versions are in the changelog already.
    pub fn close_open_bars(&mut self, versions: Vec<BarVersion>) {
        self.rows += versions.len();
        self.bytes += versions.len() * size_of::<BarVersion>();
        self.closing.extend(versions);
    }

    /// Rows waiting for the next commit.
    pub fn buffered_rows(&self) -> usize {
        self.rows
    }

    /// About the memory that they take, in bytes.
    pub fn buffered_bytes(&self) -> usize {
        self.bytes
    }

    /// Commits all that was appended, atomically, and says that the lake is complete up to a frontier.
    ///
    /// # Errors
    /// If the file system refuses. Where the manifest was not created yet, nothing has changed, and the buffer is as it was:
    /// mend the cause and commit again. Where it was, the commit has happened; the next call or the next opening moves
    /// the files into place.
    pub fn commit(&mut self, progress: &CommitProgress) -> Result<CommitReport, LakeError> {
        let started = Instant::now();
        let seq = self.state.seq + 1;
        if self.is_unknown {
            return Err(LakeError::Unknown { root: self.layout.root.clone(), seq });
        }
        self.publish()?;
        let (manifest, superseded_rows) = self.stage(progress).inspect_err(|_| {
            // What cannot be deleted now is deleted when the lake is opened; the error that matters is the first.
            let _ = commit::remove_folder(&self.layout.staging_of(seq));
        })?;
        self.create_manifest(&manifest)?;
        let report = CommitReport {
            seq,
            rows: manifest.added.iter().map(|file| file.rows).sum(),
            files: manifest.added.len() as u64,
            bytes: manifest.added.iter().map(|file| file.bytes).sum(),
            superseded_rows,
            elapsed: Duration::ZERO,
        };
        self.state.apply(&manifest);
        self.replaced.clear();
        self.ticks.clear();
        self.closing.clear();
        (self.rows, self.bytes) = (0, 0);
        self.unpublished = Some(manifest);
        self.publish()?;
        if seq % manifest::CHECKPOINT_EVERY == 1 {
            manifest::prune(&self.layout, seq)?;
        }
        Ok(CommitReport { elapsed: started.elapsed(), ..report })
    }

    /// Writes the files and the manifest of the next commit into staging.
    fn stage(&self, progress: &CommitProgress) -> Result<(Manifest, u64), LakeError> {
        let staging = self.layout.staging_of(self.state.seq + 1);
        commit::remove_folder(&staging)?;
        let buffered = Buffered { ticks: &self.ticks, closing: &self.closing };
        let mut staged = commit::stage(&self.layout, &self.config, self.zstd_level, &self.state, &buffered)?;
        self.reached("lake.staged", &staging)?;
        staged.removed.extend(self.replaced.iter().cloned());
        let manifest = Manifest::next(&self.state, progress, staged.added, staged.removed);
        manifest::write_staged(&staging.join(STAGED_MANIFEST), &manifest)?;
        sync_folder(&staging)?;
        Ok((manifest, staged.superseded_rows))
    }

    /// The commit point: the staged manifest gets its name, which must be new.
    fn create_manifest(&mut self, manifest: &Manifest) -> Result<(), LakeError> {
        let staging = self.layout.staging_of(manifest.seq);
        let (from, to) = (staging.join(STAGED_MANIFEST), self.layout.manifest(manifest.seq));
        self.reached("lake.manifest_staged", &from)?;
        if let Err(error) = commit::link_or_rename(&from, &to) {
            let _ = commit::remove_folder(&staging);
            return Err(LakeError::io("commit manifest", &to)(error));
        }
        let synced = self.reached("lake.committed", &to).and_then(|()| sync_folder(&self.layout.manifests()));
        synced.inspect_err(|_| self.is_unknown = true)
    }

    /// Moves the files of the last commit into place, if they are not.
    fn publish(&mut self) -> Result<(), LakeError> {
        if let Some(manifest) = &self.unpublished {
            commit::publish(&self.layout, manifest, || self.config.faults.reached("lake.publishing"))?;
            self.unpublished = None;
        }
        Ok(())
    }

    fn reached(&self, point: &str, path: &Path) -> Result<(), LakeError> {
        self.config.faults.reached(point).map_err(LakeError::io("write", path))
    }
}

/// Rows of an output that the lake keeps, and about the bytes that they take.
fn weigh(output: &TickOutput) -> (usize, usize) {
    let accepted: usize = output.accepted.iter().map(|accepted| accepted.rows.len()).sum();
    let raw = output.rejects.iter().map(|reject| reject.raw.len() + reject.detail.len()).sum::<usize>()
        + output.amendments.iter().map(|amendment| amendment.raw.len()).sum::<usize>();
    let bytes = size_of_val(&output.bars[..])
        + size_of_val(&output.late[..])
        + size_of_val(&output.rejects[..])
        + size_of_val(&output.amendments[..])
        + accepted * (TradeColumns::ROW_BYTES + size_of::<u32>())
        + raw;
    let rows = output.bars.len() + output.late.len() + output.rejects.len() + output.amendments.len() + accepted;
    (rows, bytes)
}
