//! Reading the log file by file: that of a long run does not fit into memory.

use super::read::{files, read_file};
use super::{Binding, BindingsError, History, Opening};
use std::path::{Path, PathBuf};

/// The files of a log, one after the other, each held against the one before.
#[derive(Debug)]
pub struct LogFiles {
    files: std::vec::IntoIter<PathBuf>,
    /// Of what was read, what the next file is held against.
    history: History,
}

impl LogFiles {
    /// The files in a folder; none where it is missing.
    ///
    /// # Errors
    /// If the folder cannot be listed.
    pub fn open(folder: &Path) -> Result<Self, BindingsError> {
        Ok(Self { files: files(folder)?.into_iter(), history: History::default() })
    }

    /// The next file: its beginning and its ticks; none after the last. A file that a crash cut off in its first line is
    /// passed over.
    ///
    /// # Errors
    /// If a file cannot be read, or a line that others follow is damaged or missing; the message names it.
    pub fn next_file(&mut self) -> Result<Option<(Opening, Vec<Binding>)>, BindingsError> {
        for path in self.files.by_ref() {
            let known = self.history.openings.len();
            read_file(&path, &mut self.history)?;
            if self.history.openings.len() == known {
                continue;
            }
            let after_tick = self.history.last_tick();
            let ticks = std::mem::take(&mut self.history.ticks);
            let Some((_, opening)) = self.history.openings.pop() else { continue };
            self.history.openings = vec![(0, Opening { after_tick, ..opening.clone() })];
            return Ok(Some((opening, ticks)));
        }
        Ok(None)
    }

    /// What follows the last line that counts, where something does: the file and the line.
    pub fn junk(&self) -> Option<&(PathBuf, u64)> {
        self.history.junk.as_ref()
    }
}
