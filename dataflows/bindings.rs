//! The bindings log: which records belong to which tick, written down before an output of the tick is committed.
//!
//! One JSON line a tick, with a checksum. Reading the source again with this log gives the same ticks for ever; everything
//! downstream is a function of them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// What a tick holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The tick, milliseconds since the epoch.
    pub tick: u64,
    /// The end offset of each source partition that moved, by name: the first offset that is not in the tick.
    pub ends: BTreeMap<String, u64>,
    /// Partitions that held more than the tick took.
    pub behind: Vec<String>,
    /// The watermark after the tick, nanoseconds.
    pub watermark_ns: i64,
}

/// A log that the source appends to and the sinks make durable.
#[derive(Clone, Debug)]
pub struct SharedBindings {
    path: PathBuf,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug)]
struct Log {
    file: BufWriter<File>,
    is_dirty: bool,
}

impl SharedBindings {
    /// Makes a new log; its folder is created where missing.
    ///
    /// # Errors
    /// If the file cannot be made, or is there already.
    pub fn create(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let file = BufWriter::new(File::create_new(path)?);
        Ok(Self { path: path.to_owned(), log: Arc::new(Mutex::new(Log { file, is_dirty: false })) })
    }

    /// Where it lies.
    pub fn path(&self) -> String {
        self.path.display().to_string()
    }

    /// Appends a tick. It is durable only after [`sync`](Self::sync).
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn append(&self, binding: &Binding) -> io::Result<()> {
        let body = serde_json::to_string(binding)?;
        let mut log = self.lock();
        writeln!(log.file, "{:08x} {body}", crc32fast::hash(body.as_bytes()))?;
        log.is_dirty = true;
        Ok(())
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn sync(&self) -> io::Result<()> {
        let mut log = self.lock();
        if std::mem::take(&mut log.is_dirty) {
            log.file.flush()?;
            log.file.get_ref().sync_data()?;
        }
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// Reads a log. A last line that was cut off by a crash is left out: no output of its tick was committed.
///
/// # Errors
/// If the file cannot be read, or a line other than the last is damaged; the message names the line.
pub fn read(path: &Path) -> io::Result<Vec<Binding>> {
    let text = std::fs::read_to_string(path)?;
    let mut bindings = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        match parse(line) {
            Some(binding) => bindings.push(binding),
            None if !line.ends_with('\n') => break,
            None => {
                let message = format!("{} line {}: checksum or form is wrong", path.display(), number + 1);
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
        }
    }
    Ok(bindings)
}

fn parse(line: &str) -> Option<Binding> {
    let (checksum, body) = line.strip_suffix('\n')?.split_once(' ')?;
    let is_whole = u32::from_str_radix(checksum, 16) == Ok(crc32fast::hash(body.as_bytes()));
    if is_whole { serde_json::from_str(body).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_reads_back_and_a_damaged_line_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bindings/run.jsonl");
        let log = SharedBindings::create(&path).expect("a new log");
        let binding = |tick: u64| Binding {
            tick,
            ends: BTreeMap::from([("trades[0]".to_owned(), tick * 7)]),
            behind: vec!["trades[1]".to_owned()],
            watermark_ns: i64::MIN,
        };
        (0..3).for_each(|tick| log.append(&binding(tick)).expect("space"));
        log.sync().expect("space");
        assert_eq!(read(&path).expect("a whole log"), (0..3).map(binding).collect::<Vec<_>>());

        let text = std::fs::read_to_string(&path).expect("text");
        std::fs::write(&path, &text[..text.len() - 5]).expect("space");
        assert_eq!(read(&path).expect("a torn last line is no error").len(), 2);
        std::fs::write(&path, text.replacen("\"tick\":1", "\"tick\":9", 1)).expect("space");
        assert!(read(&path).expect_err("damage").to_string().ends_with("line 2: checksum or form is wrong"));
    }
}
