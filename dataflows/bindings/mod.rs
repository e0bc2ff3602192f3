//! The bindings log: which records belong to which tick, written down before an output of the tick is committed.
//!
//! One JSON line a tick, in files that follow one another. Reading the source again with this log gives the same ticks for
//! ever; everything downstream is a function of them. Each file begins with an [`Opening`], which says under which settings
//! the ticks were made, how the partitions are numbered, and which file it follows. Each line begins with a checksum over
//! itself and the line before, so that neither a changed nor a missing line goes unnoticed.
//!
//! The log lies in a folder, or as the shared form in a topic, whose records are the same lines: they are then part of the
//! transactions of what they speak of, and need no disk that outlives the machine.

mod log;
mod read;
mod stream;

pub use log::SharedBindings;
pub use read::{BindingsError, History, LastLine, read, read_lines};
pub use stream::LogFiles;

use crate::recovery::Settings;
use crate::scoring::Verdict;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a tick holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The tick, milliseconds since the epoch.
    pub tick: u64,
    /// The end offset of each source partition that moved, by name: the first offset that is not in the tick.
    pub ends: BTreeMap<String, u64>,
    /// Partitions that held more than the tick took.
    pub behind: Vec<String>,
    /// The watermark after the tick, nanoseconds.
    pub watermark_ns: i64,
    /// The watermark of records after the tick, nanoseconds, by which the markets forget: over trades and market records. None
    /// before the first of either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_watermark_ns: Option<i64>,
    /// Whether the run was stopped after it: bars that were open then were written into the lake as they stood.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_last: bool,
    /// Partitions that were found before it, in the order of their numbers, which follow those known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub found: Vec<String>,
    /// Where these began, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub begins: BTreeMap<String, u64>,
    /// What was decided about the records of the control topic, by their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub control: Vec<Verdict>,
}

/// The beginning of a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opening {
    /// Which run wrote the file.
    pub run: String,
    /// The program's version.
    pub version: String,
    /// What the answers depend on.
    pub settings: Settings,
    /// The source partitions by number.
    pub partitions: Vec<String>,
    /// Where each partition stood, by name.
    pub ends: BTreeMap<String, u64>,
    /// The tick before the first of the file; none at the beginning of everything.
    pub after_tick: Option<u64>,
    /// The file before, up to the line that counts; none at the beginning of everything.
    pub follows: Option<LastLine>,
    /// The registry that models were loaded from, where rows are scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<PathBuf>,
}

impl Opening {
    /// The name of the file that begins with it.
    fn file_name(&self) -> String {
        let number = self.follows.as_ref().map_or(1, |last| last.number() + 1);
        format!("{number:06}-{}.jsonl", self.run)
    }
}

/// A line of the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Opening(Box<Opening>),
    Tick(Binding),
}

/// The text of a line, with the checksum that follows `previous`; and that checksum.
fn encode(line: &Line, previous: u32) -> (String, u32) {
    let body = serde_json::to_string(line).expect("numbers, texts, and maps keyed by text always encode");
    let checksum = chain(previous, body.as_bytes());
    (format!("{checksum:08x} {body}\n"), checksum)
}

/// The line of a text, if it is whole and follows `previous`; and its checksum.
fn decode(text: &str, previous: u32) -> Option<(Line, u32)> {
    let (checksum, body) = text.strip_suffix('\n')?.split_once(' ')?;
    let expected = chain(previous, body.as_bytes());
    let is_whole = checksum.len() == 8 && u32::from_str_radix(checksum, 16) == Ok(expected);
    if is_whole { Some((serde_json::from_str(body).ok()?, expected)) } else { None }
}

fn chain(previous: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(previous);
    hasher.update(body);
    hasher.finalize()
}

#[cfg(test)]
mod tests;
