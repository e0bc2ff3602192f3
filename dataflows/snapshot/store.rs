//! Writing snapshots, and deleting those that no restart needs.

use super::{Part, Section, Snapshot, SnapshotError, file_name, tick_of};
use crate::engine::SavedState;
use crate::recovery::Settings;
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidewheel_connectors::fault::Faults;
use tidewheel_operators::saved::SHARDS;
use tidewheel_schemas::Interval;

/// What a snapshot came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotReport {
    /// Its tick.
    pub tick: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Bytes that it consists of, those written before included.
    pub total_bytes: u64,
    /// How long writing took, encoding included.
    pub elapsed: Duration,
}

/// The snapshots of a run, as they follow one another.
#[derive(Debug)]
pub struct SnapshotStore {
    folder: PathBuf,
    run: String,
    settings: Settings,
    /// What the last one consists of.
    sections: Vec<Section>,
    faults: Faults,
}

impl SnapshotStore {
    /// Goes on after a snapshot, or begins with nothing. What else lies in the folder (later snapshots, files of a write that a
    /// crash cut off) is deleted: the state of this run does not follow from it.
    ///
    /// # Errors
    /// If the folder cannot be made or written to.
    pub fn open(folder: &Path, run: &str, settings: Settings, after: Option<&Snapshot>) -> Result<Self, SnapshotError> {
        fs::create_dir_all(folder).map_err(SnapshotError::io("make folder", folder))?;
        let sections = after.map(|snapshot| snapshot.sections.clone()).unwrap_or_default();
        let store =
            Self { folder: folder.to_owned(), run: run.to_owned(), settings, sections, faults: Faults::of_process() };
        let kept = after.map(|snapshot| snapshot.tick);
        store.delete_snapshots(|tick| kept.is_none_or(|kept| tick > kept))?;
        store.delete_unneeded_parts()?;
        Ok(store)
    }

    /// Has other things go wrong than the process's environment asks for.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Writes a snapshot. Until it returns without error the one before is the newest, and `saved` can be written again.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn write(&mut self, tick: u64, saved: &SavedState) -> Result<SnapshotReport, SnapshotError> {
        let started = Instant::now();
        let name = file_name(tick, "parts");
        let path = self.folder.join(&name);
        // A part of a file would take the room that others need.
        let (added, bytes) = write_parts(&path, &name, saved).inspect_err(|_| drop(fs::remove_file(&path)))?;
        self.reached("snapshot.parts", &path)?;
        let mut sections = self.sections.clone();
        sections.extend(added);
        let snapshot = Snapshot {
            tick,
            run: self.run.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: self.settings.clone(),
            source: saved.source.clone(),
            tape_counters: saved.tape_counters.clone(),
            sections: needed(sections),
        };
        self.commit(&snapshot)?;
        let total_bytes = snapshot.sections.iter().map(|section| section.bytes).sum();
        self.sections = snapshot.sections;
        Ok(SnapshotReport { tick, bytes, total_bytes, elapsed: started.elapsed() })
    }

    /// Deletes snapshots before `tick`, and the parts that no snapshot needs any more.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn forget_before(&self, tick: u64) -> Result<(), SnapshotError> {
        self.delete_snapshots(|found| found < tick)?;
        self.reached("snapshot.forgotten", &self.folder)?;
        self.delete_unneeded_parts()
    }

    /// The ticks of the snapshots there are, ascending.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn ticks(&self) -> Result<Vec<u64>, SnapshotError> {
        super::ticks(&self.folder)
    }

    fn commit(&self, snapshot: &Snapshot) -> Result<(), SnapshotError> {
        let path = self.folder.join(file_name(snapshot.tick, "json"));
        let staged = path.with_extension("json.new");
        let body = serde_json::to_string(snapshot).expect("numbers, texts, and maps keyed by text always encode");
        let text = format!("{:08x}\n{body}\n", crc32fast::hash(body.as_bytes()));
        let write = || -> std::io::Result<()> {
            let mut file = File::create(&staged)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(SnapshotError::io("write", &staged))?;
        self.reached("snapshot.staged", &staged)?;
        fs::rename(&staged, &path).map_err(SnapshotError::io("create", &path))?;
        self.reached("snapshot.committed", &path)?;
        sync_folder(&self.folder)
    }

    fn reached(&self, point: &'static str, path: &Path) -> Result<(), SnapshotError> {
        self.faults.reached(point).map_err(SnapshotError::io("write", path))
    }

    fn delete_snapshots(&self, is_to_go: impl Fn(u64) -> bool) -> Result<(), SnapshotError> {
        for path in files(&self.folder)? {
            let is_staged = path.to_string_lossy().ends_with(".json.new");
            if is_staged || tick_of(&path, "json").is_some_and(&is_to_go) {
                fs::remove_file(&path).map_err(SnapshotError::io("delete", &path))?;
            }
        }
        Ok(())
    }

    fn delete_unneeded_parts(&self) -> Result<(), SnapshotError> {
        let mut needed: BTreeSet<String> = self.sections.iter().map(|section| section.file.clone()).collect();
        for tick in self.ticks()? {
            // A damaged one needs nothing: it can never be taken up.
            if let Ok(snapshot) = super::load::read(&self.folder, tick) {
                needed.extend(snapshot.sections.into_iter().map(|section| section.file));
            }
        }
        for path in files(&self.folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if tick_of(&path, "parts").is_some() && !needed.contains(&name) {
                fs::remove_file(&path).map_err(SnapshotError::io("delete", &path))?;
            }
        }
        Ok(())
    }
}

/// Writes the sections one after the other, and syncs them.
fn write_parts(path: &Path, name: &str, saved: &SavedState) -> Result<(Vec<Section>, u64), SnapshotError> {
    let file = File::create(path).map_err(SnapshotError::io("create", path))?;
    let mut writer = SectionWriter { file: BufWriter::new(file), name, path, offset: 0, sections: Vec::new() };
    for tape in saved.tapes.iter().flat_map(|part| part.clone().into_shards()) {
        writer.add(&tape, tape.shard, Part::Tape, tape.is_whole)?;
    }
    for bars in &saved.bars {
        writer.add(bars, bars.shard, Part::Bars(bars.interval), bars.is_whole)?;
    }
    for market in &saved.market {
        writer.add(market, market.shard, Part::Market, market.is_whole)?;
    }
    for hours in &saved.hours {
        writer.add(hours, hours.shard, Part::Hours, hours.is_whole)?;
    }
    for features in &saved.features {
        writer.add(features, features.shard, Part::Features, features.is_whole)?;
    }
    for scoring in &saved.scoring {
        writer.add(scoring, scoring.shard, Part::Scoring, scoring.is_whole)?;
    }
    if let Some(risk) = &saved.risk {
        writer.add(risk, 0, Part::Risk, true)?;
    }
    if let Some(facts) = &saved.facts {
        writer.add(facts, 0, Part::Facts, true)?;
    }
    let SectionWriter { file, offset, sections, .. } = writer;
    let synced = file.into_inner().map_err(std::io::IntoInnerError::into_error).and_then(|file| file.sync_all());
    synced.map_err(SnapshotError::io("write", path))?;
    Ok((sections, offset))
}

struct SectionWriter<'a> {
    file: BufWriter<File>,
    name: &'a str,
    path: &'a Path,
    offset: u64,
    sections: Vec<Section>,
}

impl SectionWriter<'_> {
    fn add(&mut self, part: &impl Serialize, shard: u32, of: Part, is_whole: bool) -> Result<(), SnapshotError> {
        let encoded = postcard::to_stdvec(part).expect("plain data always encodes");
        self.file.write_all(&encoded).map_err(SnapshotError::io("write", self.path))?;
        let (bytes, crc32) = (encoded.len() as u64, crc32fast::hash(&encoded));
        let file = self.name.to_owned();
        self.sections.push(Section { file, offset: self.offset, bytes, crc32, shard, of, is_whole });
        self.offset += bytes;
        Ok(())
    }
}

/// Leaves out what lies before the last whole part of its shard and kind.
fn needed(sections: Vec<Section>) -> Vec<Section> {
    let kinds = Interval::ALL.len() + 7;
    let slot = |section: &Section| {
        let kind = match section.of {
            Part::Tape => 0,
            Part::Features => 1,
            Part::Scoring => 2,
            Part::Facts => 3,
            Part::Market => 4,
            Part::Hours => 5,
            Part::Risk => 6,
            Part::Bars(interval) => interval as usize + 7,
        };
        section.shard as usize * kinds + kind
    };
    let mut begins = vec![0; SHARDS as usize * kinds];
    for (at, section) in sections.iter().enumerate().filter(|(_, section)| section.is_whole) {
        begins[slot(section)] = at;
    }
    let kept = sections.into_iter().enumerate().filter(|(at, section)| *at >= begins[slot(section)]);
    kept.map(|(_, section)| section).collect()
}

fn sync_folder(folder: &Path) -> Result<(), SnapshotError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(SnapshotError::io("sync folder", folder))
}

pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(SnapshotError::io("list folder", folder)(error)),
    };
    entries.map(|entry| entry.map(|entry| entry.path()).map_err(SnapshotError::io("list folder", folder))).collect()
}
