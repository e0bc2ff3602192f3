//! Writing the log: appended by the source, made durable by the sinks.

use super::{Binding, LastLine, Line, Opening, encode};
use std::fs::File;
use std::io::{self, BufWriter, Write};
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
    file: BufWriter<File>,
    at: LastLine,
    bytes: u64,
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
    ///
    /// # Errors
    /// If the disk refuses.
    pub fn append(&self, binding: &Binding) -> io::Result<()> {
        self.lock().append(binding)
    }

    /// Makes everything appended durable.
    ///
    /// # Errors
    /// If the disk refuses.
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
        let mut file = BufWriter::new(File::create_new(folder.join(&name))?);
        let (line, crc32) = encode(&Line::Opening(Box::new(opening.clone())), 0);
        file.write_all(line.as_bytes())?;
        file.flush()?;
        file.get_ref().sync_data()?;
        File::open(folder)?.sync_all()?;
        Ok(Self {
            folder: folder.to_owned(),
            opening,
            file,
            at: LastLine { file: name, lines: 1, crc32 },
            bytes: line.len() as u64,
            is_dirty: false,
        })
    }

    fn append(&mut self, binding: &Binding) -> io::Result<()> {
        if self.bytes >= BYTES_PER_FILE {
            self.sync()?;
            let opening = Opening { follows: Some(self.at.clone()), ..self.opening.clone() };
            *self = Self::open(&self.folder, opening)?;
        }
        let (line, crc32) = encode(&Line::Tick(binding.clone()), self.at.crc32);
        self.file.write_all(line.as_bytes())?;
        self.bytes += line.len() as u64;
        (self.at.lines, self.at.crc32) = (self.at.lines + 1, crc32);
        self.opening.after_tick = Some(binding.tick);
        self.opening.ends.extend(binding.ends.clone());
        self.opening.partitions.extend(binding.found.iter().cloned());
        self.is_dirty = true;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.is_dirty {
            self.file.flush()?;
            self.file.get_ref().sync_data()?;
            self.is_dirty = false;
        }
        Ok(())
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
