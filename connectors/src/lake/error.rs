//! What can go wrong with a lake, in words that name the file and say what to do.

use parquet::errors::ParquetError;
use std::io;
use std::path::{Path, PathBuf};

/// A lake that cannot be opened, read or written.
#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The file system refused: full, read-only, a file where a folder should be.
    #[error("could not {attempted} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb: `create folder`.
        attempted: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// A Parquet file that cannot be encoded or understood.
    #[error("could not {attempted} Parquet file {}: {source}", path.display())]
    Parquet {
        /// `encode` or `read`.
        attempted: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why it failed.
        source: ParquetError,
    },
    /// Another process, or another `Lake` in this one, writes here.
    #[error("lake {} has a writer already, which holds {}: stop it or choose another folder", root.display(), lock.display())]
    Locked {
        /// The lake.
        root: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// The lake holds data and the configuration says not to touch it.
    #[error("lake {} holds data already: choose another folder, or let --replace compute it anew", root.display())]
    Exists {
        /// The lake.
        root: PathBuf,
    },
    /// A folder with Parquet files that no manifest of ours lists.
    #[error("{} holds Parquet files but no manifests, so it is not a lake of ours: choose another folder", path.display())]
    NotALake {
        /// Where the files lie.
        path: PathBuf,
    },
    /// A manifest that is damaged or missing. Nothing is guessed from the files on disk.
    #[error("manifest {} {detail}: restore it from a copy, or delete the lake and replay", path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong with it: `has a wrong checksum`.
        detail: String,
    },
    /// A data file that a manifest lists but that is gone or of another size.
    #[error("{} {detail}, though manifest {manifest} lists it: restore it from a copy, or delete the lake and replay", path.display())]
    DataFile {
        /// The file.
        path: PathBuf,
        /// The newest manifest's number.
        manifest: u64,
        /// What is wrong with it: `is missing`.
        detail: String,
    },
    /// A data file whose bytes are not those that were written.
    #[error("{} has checksum {found:08x}, not {expected:08x} as its manifest says: restore it from a copy, or delete the lake and replay", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// CRC-32 of what was read.
        found: u32,
        /// CRC-32 of what was written.
        expected: u32,
    },
    /// A commit that neither this writer nor a compaction made.
    #[error("manifest {} was written by another writer, though the lake is locked: see that only one run writes lake {}", path.display(), root.display())]
    Rival {
        /// The lake.
        root: PathBuf,
        /// The manifest.
        path: PathBuf,
    },
    /// Another compaction goes on.
    #[error("lake {} is being compacted already, by who holds {}: wait for its end", root.display(), lock.display())]
    Compacting {
        /// The lake.
        root: PathBuf,
        /// The lock file.
        lock: PathBuf,
    },
    /// There is no lake to compact.
    #[error("{} is no lake: name the folder that holds {}", root.display(), super::layout::HOUSE)]
    NoLake {
        /// The folder.
        root: PathBuf,
    },
    /// Input that the lake keeps and that cannot be read back as it came.
    #[error("{} {detail}", path.display())]
    Archive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it: `holds rows of tick 7, which the log of ticks does not have`.
        detail: String,
    },
    /// A number too large for its column.
    #[error("{column} {value} of {what} does not fit the lake's column")]
    OutOfRange {
        /// The column.
        column: &'static str,
        /// The number.
        value: String,
        /// Whose number it is.
        what: String,
    },
    /// Whether the last commit came through is not known.
    #[error("whether commit {seq} of lake {} is durable is not known: {source}", root.display())]
    Unknown {
        /// The lake.
        root: PathBuf,
        /// The commit.
        seq: u64,
        /// What failed after it was made.
        source: Box<LakeError>,
    },
}

impl LakeError {
    /// Whether what was attempted may succeed later without anyone changing the lake: the disk is full, read-only for now,
    /// or did not answer in time.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Io { source, .. } => is_passing(source),
            Self::Parquet { source: ParquetError::External(source), .. } => {
                source.downcast_ref::<io::Error>().is_some_and(is_passing)
            }
            Self::Unknown { source, .. } => source.is_passing(),
            _ => false,
        }
    }

    /// Turns an [`io::Error`] into one that names the path, for `map_err`.
    pub(super) fn io<'a>(attempted: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |source| Self::Io { attempted, path: path.to_owned(), source }
    }

    /// The same for Parquet.
    pub(super) fn parquet<'a>(attempted: &'static str, path: &'a Path) -> impl Fn(ParquetError) -> Self + 'a {
        move |source| Self::Parquet { attempted, path: path.to_owned(), source }
    }

    /// Whether a file was not where it should be: a compaction may have taken it away.
    pub(super) fn is_missing_file(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// Whether an error of the file system may pass by itself or by making room.
pub fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{
        Interrupted, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StaleNetworkFileHandle, StorageFull, TimedOut,
        WouldBlock,
    };
    matches!(
        error.kind(),
        StorageFull
            | QuotaExceeded
            | ReadOnlyFilesystem
            | Interrupted
            | TimedOut
            | WouldBlock
            | ResourceBusy
            | StaleNetworkFileHandle
    )
}
