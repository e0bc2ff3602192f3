//! Reading a lake back: its state, its bars and its dead letters. Takes no lock: a reader sees the newest commit.
//!
//! Anyone else reads the folders as they are; these functions are for Tidewheel's own commands and tests.

use super::error::LakeError;
use super::layout::{Layout, Table};
use super::manifest::{self, LakeFile, LakeState};
use super::rejects_file::StoredReject;
use super::{bars_read, recovery, rejects_file};
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;
use tidewheel_schemas::{BarVersion, Interval, TradeKey};

/// How often a reader looks again for files that a commit is moving, and how long it waits between.
const TRIES: usize = 200;
const PAUSE: Duration = Duration::from_millis(10);

/// What the lake holds; an empty state where there is no lake.
///
/// # Errors
/// If a manifest is damaged or cannot be read.
pub fn manifest(root: &Path) -> Result<LakeState, LakeError> {
    let layout = Layout { root: root.to_owned() };
    Ok(manifest::read_state(&layout)?.unwrap_or_default())
}

/// Reads every file of the lake and holds it against its checksum and size. Returns what the lake holds. Takes no lock:
/// for a lake that nobody writes meanwhile.
///
/// # Errors
/// If a manifest or a file is damaged, missing or cannot be read; the message names it.
pub fn check(root: &Path) -> Result<LakeState, LakeError> {
    let layout = Layout { root: root.to_owned() };
    let state = manifest(root)?;
    recovery::check_files(&layout, &state)?;
    for file in state.files.values() {
        bars_read::read_bytes(&layout, file)?;
    }
    Ok(state)
}

/// The right bars now, by venue, symbol and open time. What they hold of trades' times is not stored; see [`stored`].
///
/// # Errors
/// If a manifest or a file cannot be read.
pub fn bars(root: &Path, interval: Interval) -> Result<Vec<BarVersion>, LakeError> {
    let mut versions = versions(root, Table::Bars, interval)?;
    versions.sort_by(|a, b| (&a.instrument, a.open_time_ns).cmp(&(&b.instrument, b.open_time_ns)));
    Ok(versions)
}

/// Every version of each bar, by venue, symbol and open time, and then in the order of publication.
///
/// # Errors
/// If a manifest or a file cannot be read.
pub fn changelog(root: &Path, interval: Interval) -> Result<Vec<BarVersion>, LakeError> {
    let mut versions = versions(root, Table::BarsChangelog, interval)?;
    // Stable: files are named in the order of commits, and hold the versions of a bar in the order of publication.
    versions.sort_by(|a, b| (&a.instrument, a.open_time_ns).cmp(&(&b.instrument, b.open_time_ns)));
    Ok(versions)
}

fn versions(root: &Path, table: Table, interval: Interval) -> Result<Vec<BarVersion>, LakeError> {
    let layout = Layout { root: root.to_owned() };
    let folder = format!("{}/interval={interval}/", table.name());
    let read = |state: &LakeState| {
        let mut versions = Vec::new();
        for file in state.of(table).filter(|file| file.path.starts_with(&folder)) {
            versions.extend(bars_read::read_bars(&layout, file, interval)?);
        }
        Ok(versions)
    };
    let mut tries = 0;
    loop {
        match read(&manifest(root)?) {
            // A commit may not have moved its files yet, or a later one has replaced them while we read.
            Err(LakeError::Io { source, .. }) if source.kind() == ErrorKind::NotFound && tries < TRIES => {
                tries += 1;
                std::thread::sleep(PAUSE);
            }
            done => return done,
        }
    }
}

/// A version as it reads back from the lake, which does not keep the times of the first and the last trade: they become
/// the bar's open time.
pub fn stored(version: &BarVersion) -> BarVersion {
    let mut version = version.clone();
    let event_time_ns = version.open_time_ns;
    if let Some(bar) = &mut version.bar {
        bar.first = TradeKey { event_time_ns, id: bar.first.id };
        bar.last = TradeKey { event_time_ns, id: bar.last.id };
    }
    version
}

/// All dead letters, day by day in the order in which they came. Reads one file at a time.
///
/// # Errors
/// If a manifest cannot be read; the iterator's items if a file cannot.
pub fn rejects(root: &Path) -> Result<impl Iterator<Item = Result<StoredReject, LakeError>>, LakeError> {
    let layout = Layout { root: root.to_owned() };
    let files: Vec<LakeFile> = manifest(root)?.of(Table::Rejects).cloned().collect();
    Ok(files.into_iter().flat_map(move |file| match read_rejects(&layout, &file) {
        Ok(rejects) => rejects.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error)],
    }))
}

fn read_rejects(layout: &Layout, file: &LakeFile) -> Result<Vec<StoredReject>, LakeError> {
    let mut rejects = Vec::new();
    bars_read::for_each_batch(layout, file, None, |batch| {
        rejects.extend(rejects_file::decode(batch)?);
        Ok(())
    })?;
    Ok(rejects)
}
