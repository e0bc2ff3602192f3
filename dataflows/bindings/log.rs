//! Writing the log: appended by the source, made durable by the sinks.

use super::{Binding, LastLine, Line, Opening, encode};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A file larger than this is followed by a new one, so that a restart has little to read.
const BYTES_PER_FILE: u64 = if cfg!(test) { 2_000 } else { 16 << 20 };

/// A log that the source appends to and the sinks make durable.
#[derive(Clone, Debug)]
pub struct SharedBindings {
    folder: PathBuf,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug)]
struct Log {
    folder: PathBuf,
    /// What the next file begins with.
    opening: Opening,
    file: File,
    at: LastLine,
    bytes: u64,
    /// Lines that are not in the file yet, wholly or in part. They wait here so that a full disk keeps nobody from appending.
    waiting: Vec<u8>,
    is_dirty: bool,
}

impl SharedBindings {
    /// Goes on with a log in a new file; the folder is created where missing.
    ///
    /// # Errors
    /// If the file cannot be made, or is there already.
    pub fn open(folder: &Path, opening: Opening) -> io::Result<Self> {
        create_folder(folder)?;
        let log = Log::open(folder, opening)?;
        Ok(Self { folder: folder.to_owned(), log: Arc::new(Mutex::new(log)) })
    }

    /// Where it lies.
    pub fn path(&self) -> String {
        self.folder.display().to_string()
    }

    /// Appends a tick. It is durable only after [`sync`](Self::sync).
    pub fn append(&self, binding: &Binding) {
        self.lock().append(binding);
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// If the disk refuses. Nothing is lost by it: the next call goes on where this one failed.
    pub fn sync(&self) -> io::Result<()> {
        self.lock().sync()
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log {
    fn open(folder: &Path, opening: Opening) -> io::Result<Self> {
        let number = opening.follows.as_ref().map_or(1, |last| last.number() + 1);
        let name = format!("{number:06}-{}.jsonl", opening.run);
        let mut file = File::create_new(folder.join(&name))?;
        let (line, crc32) = encode(&Line::Opening(Box::new(opening.clone())), 0);
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        // A file that holds nothing would be in the way of the next attempt.
        written.inspect_err(|_| drop(std::fs::remove_file(folder.join(&name))))?;
        File::open(folder)?.sync_all()?;
        Ok(Self {
            folder: folder.to_owned(),
            opening,
            file,
            at: LastLine { file: name, lines: 1, crc32 },
            bytes: line.len() as u64,
            waiting: Vec::new(),
            is_dirty: false,
        })
    }

    fn append(&mut self, binding: &Binding) {
        let (line, crc32) = encode(&Line::Tick(binding.clone()), self.at.crc32);
        self.waiting.extend_from_slice(line.as_bytes());
        self.bytes += line.len() as u64;
        (self.at.lines, self.at.crc32) = (self.at.lines + 1, crc32);
        self.opening.after_tick = Some(binding.tick);
        self.opening.ends.extend(binding.ends.clone());
        self.opening.partitions.extend(binding.found.iter().cloned());
        self.is_dirty = true;
    }

    fn sync(&mut self) -> io::Result<()> {
        while !self.waiting.is_empty() {
            let written = self.file.write(&self.waiting)?;
            self.waiting.drain(..written);
        }
        if self.is_dirty {
            self.file.sync_data()?;
            self.is_dirty = false;
        }
        if self.bytes >= BYTES_PER_FILE {
            let opening = Opening { follows: Some(self.at.clone()), ..self.opening.clone() };
            *self = Self::open(&self.folder, opening)?;
        }
        Ok(())
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
