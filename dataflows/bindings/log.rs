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
    /// The folder or the topic.
    place: String,
    is_in_topic: bool,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug)]
struct Log {
    /// What the next file begins with.
    opening: Opening,
    /// None where the log is a topic: what waits is taken and written by the sink.
    file: Option<(PathBuf, File)>,
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
        if let Some(last) = &opening.follows {
            // A crash may have left its lines with the system and not on the disk, and what follows builds on them.
            File::open(folder.join(&last.file))?.sync_all()?;
        }
        let log = Log::open(folder, opening)?;
        Ok(Self { place: folder.display().to_string(), is_in_topic: false, log: Arc::new(Mutex::new(log)) })
    }

    /// Goes on with a log in a topic. Its lines are to be taken and written by whoever writes to the topic.
    pub fn in_topic(topic: &str, opening: Opening) -> Self {
        let (name, line, crc32) = first_line(&opening);
        let at = LastLine { file: name, lines: 1, crc32 };
        let log = Log { opening, file: None, at, bytes: 0, waiting: line.into_bytes(), is_dirty: false };
        Self { place: topic.to_owned(), is_in_topic: true, log: Arc::new(Mutex::new(log)) }
    }

    /// Whether the log is a topic.
    pub const fn is_in_topic(&self) -> bool {
        self.is_in_topic
    }

    /// The lines that wait for the topic; nothing where the log lies in a folder.
    pub fn take_lines(&self) -> Vec<Vec<u8>> {
        let mut log = self.lock();
        if log.file.is_some() {
            return Vec::new();
        }
        let waiting = std::mem::take(&mut log.waiting);
        waiting.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }

    /// Where it lies.
    pub fn path(&self) -> String {
        self.place.clone()
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
        let (name, line, crc32) = first_line(&opening);
        let mut file = File::create_new(folder.join(&name))?;
        let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
        let written = written.and_then(|()| File::open(folder)?.sync_all());
        // A file that does not count would be in the way of the next attempt.
        written.inspect_err(|_| drop(std::fs::remove_file(folder.join(&name))))?;
        Ok(Self {
            opening,
            file: Some((folder.to_owned(), file)),
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
        let Some((folder, file)) = &mut self.file else { return Ok(()) };
        while !self.waiting.is_empty() {
            let written = file.write(&self.waiting)?;
            self.waiting.drain(..written);
        }
        if self.is_dirty {
            file.sync_data()?;
            self.is_dirty = false;
        }
        if self.bytes >= BYTES_PER_FILE {
            let opening = Opening { follows: Some(self.at.clone()), ..self.opening.clone() };
            *self = Self::open(&folder.clone(), opening)?;
        }
        Ok(())
    }
}

/// The name of the file that an opening begins, its first line, and that line's checksum.
fn first_line(opening: &Opening) -> (String, String, u32) {
    let name = opening.file_name();
    let (line, crc32) = encode(&Line::Opening(Box::new(opening.clone())), 0);
    (name, line, crc32)
}

fn create_folder(folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}
