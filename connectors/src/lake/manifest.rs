//! Manifests: what the lake holds. A commit is the creation of the next one; a file that no manifest lists does not exist.
//!
//! Each names the files that its commit added and removed. Every [`CHECKPOINT_EVERY`]th also lists all live files, so that
//! reading the state takes few of them. The body carries a checksum; a damaged manifest is an error that names it.

use super::error::LakeError;
use super::layout::{Layout, Table};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use tidewheel_schemas::Counters;

/// How many commits share one list of all live files.
pub(super) const CHECKPOINT_EVERY: u64 = if cfg!(test) { 8 } else { 64 };

const FORMAT: u32 = 1;

/// How far a run has come, as the one who commits knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitProgress {
    /// The first tick, milliseconds, whose output is not yet in the lake: all before it are complete.
    pub tick_frontier: u64,
    /// Which run wrote it.
    pub run: String,
    /// All counts from the start of the run up to the frontier.
    pub counters: Counters,
    /// The watermark at the frontier, nanoseconds.
    pub watermark_ns: i64,
}

/// One live data file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LakeFile {
    /// Its table.
    pub table: Table,
    /// Its path relative to the lake, with `/` between folders.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// CRC-32 of its bytes.
    pub crc32: u32,
    /// Least time in it, nanoseconds: open time of bars, event time of trades, tick of late records and rejects.
    pub min_time_ns: i64,
    /// Greatest time in it.
    pub max_time_ns: i64,
}

/// One commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub format: u32,
    pub seq: u64,
    pub progress: CommitProgress,
    /// The n-th of them is staged as [`staged_name`]`(n)`.
    pub added: Vec<LakeFile>,
    pub removed: Vec<String>,
    /// All live files after this commit, now and then.
    pub live: Option<Vec<LakeFile>>,
}

/// A manifest as it lies on disk.
#[derive(Serialize, Deserialize)]
struct Envelope<'a> {
    /// CRC-32 of the text of `manifest`, in hexadecimal.
    crc32: String,
    #[serde(borrow)]
    manifest: &'a RawValue,
}

/// What the lake holds after its newest commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LakeState {
    /// The number of that commit; 0 where there is none.
    pub seq: u64,
    /// How far it came.
    pub progress: CommitProgress,
    /// All live files, by path.
    pub files: BTreeMap<String, LakeFile>,
}

impl LakeState {
    /// The live files of a table, in order of path.
    pub fn of(&self, table: Table) -> impl Iterator<Item = &LakeFile> {
        self.files.values().filter(move |file| file.table == table)
    }

    pub(super) fn apply(&mut self, manifest: &Manifest) {
        self.seq = manifest.seq;
        self.progress = manifest.progress.clone();
        for path in &manifest.removed {
            self.files.remove(path);
        }
        self.files.extend(manifest.added.iter().map(|file| (file.path.clone(), file.clone())));
    }
}

impl Manifest {
    /// The commit that follows `state`.
    pub(super) fn next(
        state: &LakeState,
        progress: &CommitProgress,
        added: Vec<LakeFile>,
        removed: Vec<String>,
    ) -> Self {
        let mut manifest =
            Self { format: FORMAT, seq: state.seq + 1, progress: progress.clone(), added, removed, live: None };
        if manifest.seq % CHECKPOINT_EVERY == 1 {
            let mut after = state.clone();
            after.apply(&manifest);
            manifest.live = Some(after.files.into_values().collect());
        }
        manifest
    }
}

/// The name under which the n-th added file waits in the staging folder of its commit.
pub(super) fn staged_name(number: usize) -> String {
    format!("{number:05}.parquet")
}

/// Writes a manifest into staging, to be linked into its place.
pub(super) fn write_staged(path: &Path, manifest: &Manifest) -> Result<(), LakeError> {
    let write = || -> io::Result<()> {
        let body = serde_json::value::to_raw_value(manifest)?;
        let crc32 = format!("{:08x}", crc32fast::hash(body.get().as_bytes()));
        let mut file = File::create(path)?;
        serde_json::to_writer(&mut file, &Envelope { crc32, manifest: &body })?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(LakeError::io("write manifest", path))
}

/// Reads what the lake holds, and the newest manifest. Nothing where there is no manifest.
pub(super) fn read_state(layout: &Layout) -> Result<Option<(LakeState, Manifest)>, LakeError> {
    let mut seqs = list(layout)?;
    let Some(newest_seq) = seqs.pop() else { return Ok(None) };
    let newest = read(layout, newest_seq)?;
    // Backwards to the last list of all files, then forwards again.
    let mut deltas = vec![newest.clone()];
    while deltas.last().is_some_and(|manifest| manifest.live.is_none()) {
        deltas.push(read(layout, newest_seq - deltas.len() as u64)?);
    }
    let mut state = LakeState::default();
    for manifest in deltas.iter().rev() {
        match &manifest.live {
            Some(live) => {
                state.seq = manifest.seq;
                state.progress = manifest.progress.clone();
                state.files = live.iter().map(|file| (file.path.clone(), file.clone())).collect();
            }
            None => state.apply(manifest),
        }
    }
    Ok(Some((state, newest)))
}

/// The numbers of all manifests, ascending.
pub(super) fn list(layout: &Layout) -> Result<Vec<u64>, LakeError> {
    let folder = layout.manifests();
    let entries = match fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LakeError::io("list folder", &folder)(error)),
    };
    let mut seqs = Vec::new();
    for entry in entries {
        let name = entry.map_err(LakeError::io("list folder", &folder))?.file_name();
        let seq: Option<u64> =
            name.to_str().and_then(|name| name.strip_suffix(".json")).and_then(|stem| stem.parse().ok());
        seqs.extend(seq);
    }
    seqs.sort_unstable();
    Ok(seqs)
}

fn read(layout: &Layout, seq: u64) -> Result<Manifest, LakeError> {
    let path = layout.manifest(seq);
    let damaged = |detail: String| LakeError::Manifest { path: path.clone(), detail };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(damaged("is missing".into())),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged("is not text".into())),
        Err(error) => return Err(LakeError::io("read manifest", &path)(error)),
    };
    let envelope: Envelope =
        serde_json::from_str(&text).map_err(|error| damaged(format!("cannot be understood ({error})")))?;
    if envelope.crc32 != format!("{:08x}", crc32fast::hash(envelope.manifest.get().as_bytes())) {
        return Err(damaged("has a wrong checksum".into()));
    }
    let manifest: Manifest = serde_json::from_str(envelope.manifest.get())
        .map_err(|error| damaged(format!("cannot be understood ({error})")))?;
    if manifest.format != FORMAT {
        return Err(damaged(format!("is of format {}, this program knows {FORMAT}", manifest.format)));
    }
    if manifest.seq != seq {
        return Err(damaged(format!("says it is number {}", manifest.seq)));
    }
    Ok(manifest)
}

/// Deletes manifests that no reader needs: all before the last list of live files but one.
pub(super) fn prune(layout: &Layout, seq: u64) -> Result<(), LakeError> {
    let last_checkpoint = seq - (seq - 1) % CHECKPOINT_EVERY;
    let keep_from = last_checkpoint.saturating_sub(CHECKPOINT_EVERY);
    for old in list(layout)?.into_iter().take_while(|&old| old < keep_from) {
        let path = layout.manifest(old);
        fs::remove_file(&path).map_err(LakeError::io("delete old manifest", &path))?;
    }
    Ok(())
}
