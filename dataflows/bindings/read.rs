//! Reading the log back, and holding it together with its checksums.

use super::{Binding, Line, Opening, decode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// A line that counts, and with it all before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastLine {
    /// The name of the file.
    pub file: String,
    /// Lines up to and with this one.
    pub lines: u64,
    /// Its checksum.
    pub crc32: u32,
}

impl LastLine {
    /// The number that the file's name begins with; files are numbered from 1.
    pub(super) fn number(&self) -> u64 {
        number_of(&self.file).unwrap_or(0)
    }
}

/// A log that cannot be trusted or read. The message names the file and the line.
#[derive(Debug, thiserror::Error)]
pub enum BindingsError {
    /// The file cannot be read.
    #[error("could not read the bindings log {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line was changed or is missing.
    #[error("{} line {line}: {detail}; restore the file from a backup: without it the ticks cannot be made again", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        detail: String,
    },
}

/// What a log says, from a tick on.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// The beginning of each file that was read, with the number of ticks of [`ticks`](Self::ticks) before it.
    pub openings: Vec<(usize, Opening)>,
    /// The ticks, ascending.
    pub ticks: Vec<Binding>,
    /// The last line that counts; none where there is no log.
    pub last: Option<LastLine>,
    /// What follows that line in its file and does not count: cut off by a crash, or damaged.
    pub junk: Option<(PathBuf, u64)>,
}

impl History {
    /// The tick last written down.
    pub fn last_tick(&self) -> Option<u64> {
        self.ticks.last().map(|binding| binding.tick).or_else(|| self.openings.last()?.1.after_tick)
    }

    /// The partitions by number after the last tick.
    pub fn partitions(&self) -> Vec<String> {
        let Some((start, opening)) = self.openings.last() else { return Vec::new() };
        let found = self.ticks[*start..].iter().flat_map(|binding| &binding.found);
        opening.partitions.iter().chain(found).cloned().collect()
    }

    /// Where each partition stood after the last tick.
    pub fn ends(&self) -> BTreeMap<String, u64> {
        let Some((start, opening)) = self.openings.last() else { return BTreeMap::new() };
        let mut ends = opening.ends.clone();
        self.ticks[*start..].iter().for_each(|binding| ends.extend(binding.ends.clone()));
        ends
    }
}

/// Reads a log: all of it, or the files that hold the ticks after `after_tick`. A folder that is missing is an empty log.
///
/// Damage at the end of the last file may be what a crash left of lines that were never made durable. It is told in
/// [`History::junk`]; whoever knows what was committed knows whether anything is missing.
///
/// # Errors
/// If a file cannot be read, or a line that others follow is damaged or missing; the message names it.
pub fn read(folder: &Path, after_tick: Option<u64>) -> Result<History, BindingsError> {
    let files = files(folder)?;
    let mut history = History::default();
    let first = first_needed(&files, after_tick)?;
    for path in &files[first..] {
        read_file(path, &mut history)?;
    }
    Ok(history)
}

/// As [`read`], from the records of a topic: each is a line. A log that begins anew there ends the one before.
///
/// # Errors
/// If a line is damaged or missing; the message names the topic.
pub fn read_lines(topic: &str, lines: &[Vec<u8>]) -> Result<History, BindingsError> {
    let mut history = History::default();
    let lines: Vec<String> = lines.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect();
    let openings = lines.iter().enumerate().filter_map(|(at, line)| Some((at, opening_of(line)?.0)));
    let openings: Vec<(usize, Opening)> = openings.collect();
    if !lines.is_empty() && openings.first().is_none_or(|(at, _)| *at > 0) {
        let detail = "checksum or form is wrong".to_owned();
        return Err(BindingsError::Damaged { path: topic.into(), line: 1, detail });
    }
    for (number, (begin, opening)) in openings.iter().enumerate() {
        let end = openings.get(number + 1).map_or(lines.len(), |(next, _)| *next);
        if opening.follows.is_none() {
            history = History::default();
        }
        let path = Path::new(topic).join(opening.file_name());
        read_text(&path, &lines[*begin..end].concat(), &mut history)?;
        if let Some((path, line)) = history.junk {
            // Nothing that was committed to a topic is half written.
            return Err(BindingsError::Damaged { path, line, detail: "checksum or form is wrong".to_owned() });
        }
    }
    Ok(history)
}

/// The number of the last file that begins at or before a tick.
fn first_needed(files: &[PathBuf], after_tick: Option<u64>) -> Result<usize, BindingsError> {
    let Some(after_tick) = after_tick else { return Ok(0) };
    for (number, path) in files.iter().enumerate().rev() {
        if let Some((opening, _)) = opening_of(&text_of(path)?)
            && opening.after_tick.is_none_or(|first| first <= after_tick)
        {
            return Ok(number);
        }
    }
    Ok(0)
}

pub(super) fn read_file(path: &Path, history: &mut History) -> Result<(), BindingsError> {
    read_text(path, &text_of(path)?, history)
}

fn read_text(path: &Path, text: &str, history: &mut History) -> Result<(), BindingsError> {
    let damaged =
        |line, detail: &str| BindingsError::Damaged { path: path.to_owned(), line, detail: detail.to_owned() };
    let Some((opening, mut crc32)) = opening_of(text) else {
        // A file cut off in its first line holds nothing.
        if text.contains('\n') {
            return Err(damaged(1, "checksum or form is wrong"));
        }
        history.junk = Some((path.to_owned(), 1));
        return Ok(());
    };
    join(path, history, &opening)?;
    history.openings.push((history.ticks.len(), opening));
    history.junk = None;
    let mut lines = 1;
    for text in text.split_inclusive('\n').skip(1) {
        let Some((Line::Tick(binding), next)) = decode(text, crc32) else {
            history.junk = Some((path.to_owned(), lines + 1));
            break;
        };
        if history.last_tick().is_some_and(|last| binding.tick <= last) {
            return Err(damaged(lines + 1, "its tick does not follow the one before"));
        }
        history.ticks.push(binding);
        (lines, crc32) = (lines + 1, next);
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    history.last = Some(LastLine { file, lines, crc32 });
    Ok(())
}

/// Holds the end of the file before against what this one says to follow. Lines of that file which were written after a
/// crash had made this one its successor cannot be: what a crash left there beyond that line does not count.
fn join(path: &Path, history: &mut History, opening: &Opening) -> Result<(), BindingsError> {
    if history.openings.is_empty() || opening.follows == history.last {
        return Ok(());
    }
    let says = opening.follows.as_ref();
    let detail = match (&history.last, says) {
        (Some(last), Some(says)) if last.file == says.file => format!(
            "it follows line {} of {}, of which only {} lines are whole or another line {} is there",
            says.lines, says.file, last.lines, says.lines
        ),
        (_, Some(says)) => format!("it follows {}, which is missing", says.file),
        (_, None) => "it says to be the first, but others lie before it".to_owned(),
    };
    Err(BindingsError::Damaged { path: path.to_owned(), line: 1, detail })
}

fn opening_of(text: &str) -> Option<(Opening, u32)> {
    match decode(text.split_inclusive('\n').next()?, 0)? {
        (Line::Opening(opening), crc32) => Some((*opening, crc32)),
        (Line::Tick(_), _) => None,
    }
}

fn text_of(path: &Path) -> Result<String, BindingsError> {
    let bytes = std::fs::read(path).map_err(|source| BindingsError::Read { path: path.to_owned(), source })?;
    // A damaged byte must be told by its line, not by its place in the file.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(super) fn files(folder: &Path) -> Result<Vec<PathBuf>, BindingsError> {
    let failed = |source| BindingsError::Read { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if let Some(number) = number_of(&name) {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files.into_iter().map(|(_, path)| path).collect())
}

/// The number in `000007-RUN.jsonl`.
fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(".jsonl")?.split_once('-')?.0.parse().ok()
}
