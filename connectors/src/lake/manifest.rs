//! Manifests: what the lake holds. A commit is the creation of the next one; a file that no manifest lists does not exist.
//!
//! Each names the files that its commit added and removed. Every [`CHECKPOINT_EVERY`]th also lists all live files, so that
//! reading the state takes few of them. The body carries a checksum; a damaged manifest is an error that names it.

use super::error::LakeError;
use super::layout::{Layout, STAGING, Table};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use tidewheel_schemas::Counters;

/// How many commits share one list of all live files.
pub(super) const CHECKPOINT_EVERY: u64 = if cfg!(test) { 8 } else { 64 };

/// Format 1 had no name of the staging folder and no compactions.
const FORMAT: u32 = 2;

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
    /// In `bars`, rows that were not final when their run ended.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub open_rows: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// One commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub format: u32,
    pub seq: u64,
    pub progress: CommitProgress,
    /// The n-th of them is staged as [`staged_name`]`(n)`.
    pub added: Vec<LakeFile>,
    pub removed: Vec<String>,
    /// The folder in the lake's house where the added files wait to be moved into place.
    #[serde(default)]
    pub staging: String,
    /// Whether it only joins files: the rows and the progress are those of the commit before.
    #[serde(default)]
    pub is_compaction: bool,
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
    /// The commit that follows `state`; all else of `self` stays.
    pub(super) fn after(mut self, state: &LakeState) -> Self {
        let mut manifest = Self { format: FORMAT, seq: state.seq + 1, live: None, ..std::mem::take(&mut self) };
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

/// The name of the folder in which the commit that may become number `seq` waits.
pub(super) fn staging_name(of: &str, seq: u64) -> String {
    format!("{of}/{seq:012}")
}

/// Writes a manifest into staging, to be linked into its place.
pub(super) fn write_staged(path: &Path, manifest: &Manifest) -> Result<(), LakeError> {
    let write = || -> io::Result<()> {
        let body = serde_json::value::to_raw_value(manifest)?;
        let crc32 = format!("{:08x}", crc32fast::hash(body.get().as_bytes()));
        // Never into a file that is there: it may have become a manifest under its other name.
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = File::create_new(path)?;
        serde_json::to_writer(&mut file, &Envelope { crc32, manifest: &body })?;
        file.write_all(b"\n")?;
        file.sync_all()
    };
    write().map_err(LakeError::io("write manifest", path))
}

/// Reads what the lake holds. Nothing where there is no manifest.
pub(super) fn read_state(layout: &Layout) -> Result<Option<LakeState>, LakeError> {
    let newest = |seqs: Vec<u64>| seqs.last().copied();
    let Some(mut newest_seq) = newest(list(layout)?) else { return Ok(None) };
    loop {
        match read_state_at(layout, newest_seq) {
            Ok(state) => return Ok(Some(state)),
            // While we read, others may have gone on so far that what we wanted was deleted.
            Err(error) => match newest(list(layout)?) {
                Some(newer) if newer > newest_seq => newest_seq = newer,
                _ => return Err(error),
            },
        }
    }
}

fn read_state_at(layout: &Layout, newest_seq: u64) -> Result<LakeState, LakeError> {
    // Backwards to the last list of all files, then forwards again.
    let mut deltas = vec![read(layout, newest_seq)?];
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
    Ok(state)
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

/// The manifest of a number, which must be there.
fn read(layout: &Layout, seq: u64) -> Result<Manifest, LakeError> {
    let missing = || LakeError::Manifest { path: layout.manifest(seq), detail: "is missing".into() };
    find(layout, seq)?.ok_or_else(missing)
}

/// The manifest of a number, if there is one.
pub(super) fn find(layout: &Layout, seq: u64) -> Result<Option<Manifest>, LakeError> {
    let path = layout.manifest(seq);
    let damaged = |detail: String| LakeError::Manifest { path: path.clone(), detail };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(damaged("is not text".into())),
        Err(error) => return Err(LakeError::io("read manifest", &path)(error)),
    };
    let envelope: Envelope =
        serde_json::from_str(&text).map_err(|error| damaged(format!("cannot be understood ({error})")))?;
    if envelope.crc32 != format!("{:08x}", crc32fast::hash(envelope.manifest.get().as_bytes())) {
        return Err(damaged("has a wrong checksum".into()));
    }
    let mut manifest: Manifest = serde_json::from_str(envelope.manifest.get())
        .map_err(|error| damaged(format!("cannot be understood ({error})")))?;
    if !(1..=FORMAT).contains(&manifest.format) {
        return Err(damaged(format!("is of format {}, this program knows 1 to {FORMAT}", manifest.format)));
    }
    if manifest.format == 1 {
        manifest.staging = staging_name(STAGING, seq);
    }
    if manifest.seq != seq {
        return Err(damaged(format!("says it is number {}", manifest.seq)));
    }
    Ok(Some(manifest))
}

/// The first manifest that a reader may need when the newest is `seq`: all from the last list of live files but one.
fn keep_from(seq: u64) -> u64 {
    let last_checkpoint = seq - (seq - 1) % CHECKPOINT_EVERY;
    last_checkpoint.saturating_sub(CHECKPOINT_EVERY)
}

/// The numbers of the manifests that readers may need, ascending.
pub(super) fn kept(layout: &Layout) -> Result<Vec<u64>, LakeError> {
    let mut seqs = list(layout)?;
    let from = seqs.last().map_or(0, |&newest| keep_from(newest));
    seqs.retain(|&seq| seq >= from);
    Ok(seqs)
}

/// Deletes manifests that no reader needs.
pub(super) fn prune(layout: &Layout, seq: u64) -> Result<(), LakeError> {
    let keep_from = keep_from(seq);
    for old in list(layout)?.into_iter().take_while(|&old| old < keep_from) {
        // In ascending order: whoever still sees one knows that no later one was deleted.
        let path = layout.manifest(old);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(LakeError::io("delete old manifest", &path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}
