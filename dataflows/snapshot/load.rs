//! Reading snapshots back.

use super::store::files;
use super::{Part, Section, Snapshot, SnapshotError, file_name, tick_of};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tidewheel_operators::saved::RestoredState;

/// A snapshot with all that it consists of.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub snapshot: Snapshot,
    /// What the workers begin with.
    pub state: RestoredState,
    /// Bytes read.
    pub bytes: u64,
}

/// The ticks of the snapshots in a folder, ascending.
///
/// # Errors
/// If the folder cannot be listed.
pub fn ticks(folder: &Path) -> Result<Vec<u64>, SnapshotError> {
    let mut ticks: Vec<u64> = files(folder)?.iter().filter_map(|path| tick_of(path, "json")).collect();
    ticks.sort_unstable();
    Ok(ticks)
}

/// Reads what a snapshot says.
pub(super) fn read(folder: &Path, tick: u64) -> Result<Snapshot, SnapshotError> {
    let path = folder.join(file_name(tick, "json"));
    let bytes = fs::read(&path).map_err(SnapshotError::io("read", &path))?;
    let damaged = |detail: &str| SnapshotError::Damaged { path: path.clone(), detail: detail.to_owned() };
    let text = String::from_utf8(bytes).map_err(|_| damaged("its checksum is wrong"))?;
    let (checksum, body) = text.split_once('\n').ok_or_else(|| damaged("it is cut off"))?;
    let body = body.strip_suffix('\n').ok_or_else(|| damaged("it is cut off"))?;
    if checksum.len() != 8 || u32::from_str_radix(checksum, 16) != Ok(crc32fast::hash(body.as_bytes())) {
        return Err(damaged("its checksum is wrong"));
    }
    serde_json::from_str(body).map_err(|error| damaged(&format!("it is of another form ({error})")))
}

/// Reads a snapshot with all its parts and holds each against its checksum.
///
/// # Errors
/// If a file is missing, cannot be read or is not as it was written; the message names it.
///
/// # Panics
/// If decoding panics, which it does not.
pub fn load(folder: &Path, tick: u64) -> Result<Loaded, SnapshotError> {
    let snapshot = read(folder, tick)?;
    let names: BTreeMap<&str, usize> = snapshot.sections.iter().map(|section| (section.file.as_str(), 0)).collect();
    let mut contents = BTreeMap::new();
    for name in names.into_keys() {
        let path = folder.join(name);
        contents.insert(name, fs::read(&path).map_err(SnapshotError::io("read", &path))?);
    }
    let section = |section: &Section| part_of(folder, &contents, section);
    let of = |is_wanted: fn(Part) -> bool| {
        snapshot.sections.iter().filter(move |section| is_wanted(section.of)).collect::<Vec<_>>()
    };
    let tapes = of(|part| part == Part::Tape);
    let bars = of(|part| matches!(part, Part::Bars(_)));
    let hours = of(|part| part == Part::Hours);
    let market = of(|part| part == Part::Market);
    let (features, scoring) = (of(|part| part == Part::Features), of(|part| part == Part::Scoring));
    let facts = of(|part| part == Part::Facts);
    let risk = of(|part| part == Part::Risk);
    // About half of the time each, on two cores.
    let (tapes, bars, features) = std::thread::scope(|scope| {
        let tapes = scope.spawn(|| tapes.into_iter().map(section).collect::<Result<Vec<_>, _>>());
        let bars = bars.into_iter().map(|at| part_of(folder, &contents, at)).collect::<Result<Vec<_>, _>>();
        let features = features.into_iter().map(|at| part_of(folder, &contents, at)).collect::<Result<Vec<_>, _>>();
        (tapes.join().expect("decoding does not panic"), bars, features)
    });
    let state = RestoredState {
        frozen_ns: snapshot.source.frozen_ns,
        watermark_ns: snapshot.source.watermark_ns,
        counters: snapshot.tape_counters.clone(),
        tapes: tapes?,
        bars: bars?,
        market: market.into_iter().map(|at| part_of(folder, &contents, at)).collect::<Result<Vec<_>, _>>()?,
        hours: hours.into_iter().map(|at| part_of(folder, &contents, at)).collect::<Result<Vec<_>, _>>()?,
        features: features?,
        scoring: scoring.into_iter().map(|at| part_of(folder, &contents, at)).collect::<Result<Vec<_>, _>>()?,
        risk: risk.last().map(|at| part_of(folder, &contents, at)).transpose()?,
        facts: facts.last().map(|at| part_of(folder, &contents, at)).transpose()?,
    };
    let bytes = snapshot.sections.iter().map(|section| section.bytes).sum();
    Ok(Loaded { snapshot, state, bytes })
}

fn part_of<T: DeserializeOwned>(
    folder: &Path,
    contents: &BTreeMap<&str, Vec<u8>>,
    section: &Section,
) -> Result<T, SnapshotError> {
    let Section { file, offset, bytes, crc32, .. } = section;
    let damaged = |detail: String| SnapshotError::Damaged { path: folder.join(file), detail };
    let end = offset.saturating_add(*bytes);
    let part = contents[file.as_str()].get(*offset as usize..end as usize);
    let part = part.ok_or_else(|| damaged(format!("it ends before byte {end}")))?;
    if crc32fast::hash(part) != *crc32 {
        return Err(damaged(format!("the checksum of bytes {offset} to {end} is wrong")));
    }
    postcard::from_bytes(part)
        .map_err(|error| damaged(format!("bytes {offset} to {end} are of another form ({error})")))
}
