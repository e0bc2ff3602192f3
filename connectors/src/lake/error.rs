//! What can go wrong with a lake, in words that name the file and say what to do.

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
        source: parquet::errors::ParquetError,
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
    #[error("whether commit {seq} of lake {} is durable is not known: open the lake again to find out", root.display())]
    Unknown {
        /// The lake.
        root: PathBuf,
        /// The commit.
        seq: u64,
    },
}

impl LakeError {
    /// Turns an [`io::Error`] into one that names the path, for `map_err`.
    pub(super) fn io<'a>(attempted: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Self + 'a {
        move |source| Self::Io { attempted, path: path.to_owned(), source }
    }

    /// The same for Parquet.
    pub(super) fn parquet<'a>(
        attempted: &'static str,
        path: &'a Path,
    ) -> impl Fn(parquet::errors::ParquetError) -> Self + 'a {
        move |source| Self::Parquet { attempted, path: path.to_owned(), source }
    }
}
