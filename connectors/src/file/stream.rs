//! The bytes of a text file, unpacked, with the number of stored bytes consumed.

use std::fs::File;
use std::io::{BufReader, Read, Result, Seek};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

/// Bytes asked of the file system at a time.
const READ_BYTES: usize = 256 << 10;

/// Unpacked bytes. A failing read is either the disk's fault or that of the data: [`ByteStream::disk_failed`] tells.
pub struct ByteStream {
    reader: Box<dyn Read + Send>,
    file: Arc<FileState>,
}

#[derive(Default)]
struct FileState {
    consumed: AtomicU64,
    failed: AtomicBool,
}

/// The file below the decompressor: counts what is consumed and remembers whether the disk failed.
struct Counted {
    file: File,
    state: Arc<FileState>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let read = self.file.read(buffer).inspect_err(|_| self.state.failed.store(true, Relaxed))?;
        self.state.consumed.fetch_add(read as u64, Relaxed);
        Ok(read)
    }
}

impl ByteStream {
    /// Unpacks by the name's ending, else by the first bytes, which no text starts with.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path)?;
        let magic = first_bytes(&mut file)?;
        let state = Arc::new(FileState::default());
        let counted = Counted { file, state: Arc::clone(&state) };
        let named = |ending: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(ending));
        let buffered = |file| BufReader::with_capacity(READ_BYTES, file);
        let reader: Box<dyn Read + Send> = if named("gz") || magic.starts_with(&[0x1f, 0x8b]) {
            Box::new(flate2::bufread::MultiGzDecoder::new(buffered(counted)))
        } else if named("zst") || magic.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
            Box::new(zstd::stream::read::Decoder::with_buffer(buffered(counted))?)
        } else {
            Box::new(counted)
        };
        Ok(Self { reader, file: state })
    }

    /// Appends up to `limit` bytes. Fewer mean the end. What was unpacked before an error is appended all the same.
    pub fn read_into(&mut self, buffer: &mut Vec<u8>, limit: usize) -> Result<usize> {
        self.reader.by_ref().take(limit as u64).read_to_end(buffer)
    }

    /// Whether the last error came from the disk rather than from damaged data.
    pub fn disk_failed(&self) -> bool {
        self.file.failed.load(Relaxed)
    }

    /// Stored bytes consumed so far.
    pub fn consumed(&self) -> u64 {
        self.file.consumed.load(Relaxed)
    }
}

/// The first four bytes of a file, or as many as it has; the file stays at its start.
pub fn first_bytes(file: &mut File) -> Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(4);
    file.by_ref().take(4).read_to_end(&mut bytes)?;
    file.rewind()?;
    Ok(bytes)
}
