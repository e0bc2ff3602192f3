//! The registry of models: a folder of versions that never change, and a history that says which are in force.
//!
//! ```text
//!   models/<id>/<version>/          manifest.json, the files it names, card.md, SHA256
//!   aliases.json                    every change of an alias, in order; only ever appended to
//!   .staging/                       what is not yet there
//!   .lock                           held by who writes
//! ```
//!
//! A version is written aside, synced, and renamed to its place, so that it is there whole or not at all, and nothing is
//! ever renamed over it. The history is written anew and renamed over the old one. `SHA256` is as `sha256sum` writes it, and
//! each load holds the files against it. What is in the files is not known here: this keeps bytes.
//!
//! A file system that has rename and locks is needed, as local ones and NFS do.

mod history;
mod versions;

pub use versions::{Stamp, Version};

use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// A file larger than this is neither taken nor read, bytes.
pub const FILE_BYTES_MAX: u64 = 128 << 20;

/// Why the registry cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// A file or folder cannot be read or written.
    #[error("could not {attempt} {}: {source}", path.display())]
    Io {
        /// What was tried.
        attempt: &'static str,
        /// Which.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is no registry.
    #[error("could not find a registry of models in {}; registering a model makes one", .0.display())]
    Absent(PathBuf),
    /// There is no such version.
    #[error("could not find version {version} of model {id}; there is {}", there_is(there))]
    NoSuchVersion {
        /// Which model.
        id: String,
        /// Which version.
        version: u32,
        /// The versions there are.
        there: Vec<u32>,
    },
    /// The version is there already.
    #[error(
        "could not register version {version} of model {id}: it is there, and a version never changes; \
             give the next number, {next}"
    )]
    Exists {
        /// Which model.
        id: String,
        /// Which version.
        version: u32,
        /// The first number after all there are.
        next: u32,
    },
    /// A file is not what it was when it was registered.
    #[error("could not trust {}: {detail}; restore it from a copy, or register the model again as a new version", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The history of aliases cannot be understood.
    #[error("could not read the history of aliases {}: {detail}; restore it from a copy", path.display())]
    History {
        /// Which file.
        path: PathBuf,
        /// Why not.
        detail: String,
    },
}

fn there_is(versions: &[u32]) -> String {
    if versions.is_empty() {
        return "none".to_owned();
    }
    versions.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}

impl RegistryError {
    fn io(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { attempt, path: path.to_owned(), source }
    }
}

/// A registry.
#[derive(Clone, Debug)]
pub struct Registry {
    root: PathBuf,
}

/// The right to write, until dropped.
struct WriteLock(#[allow(dead_code, reason = "the lock is held as long as the file is open")] File);

impl Registry {
    /// One that is there.
    ///
    /// # Errors
    /// If there is none.
    pub fn open(root: &Path) -> Result<Self, RegistryError> {
        if root.join("models").is_dir() {
            Ok(Self { root: root.to_owned() })
        } else {
            Err(RegistryError::Absent(root.to_owned()))
        }
    }

    /// One that is there, or a new one.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(root: &Path) -> Result<Self, RegistryError> {
        let models = root.join("models");
        fs::create_dir_all(&models).map_err(RegistryError::io("create folder", &models))?;
        sync_folder(root)?;
        Ok(Self { root: root.to_owned() })
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Waits until nobody else writes, and empties the staging folder of what a writer that died left there.
    fn lock(&self) -> Result<WriteLock, RegistryError> {
        let path = self.root.join(".lock");
        let opened = File::options().create(true).truncate(false).write(true).open(&path);
        let file = opened.map_err(RegistryError::io("open", &path))?;
        file.lock().map_err(RegistryError::io("lock", &path))?;
        let staging = self.staging();
        match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(RegistryError::io("empty", &staging)(error));
            }
            _ => {}
        }
        fs::create_dir(&staging).map_err(RegistryError::io("create folder", &staging))?;
        Ok(WriteLock(file))
    }

    fn staging(&self) -> PathBuf {
        self.root.join(".staging")
    }
}

/// SHA-256 of bytes, in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a new file and makes it durable.
fn write_synced(path: &Path, bytes: &[u8]) -> Result<(), RegistryError> {
    let mut file = File::create_new(path).map_err(RegistryError::io("create", path))?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(RegistryError::io("write", path))
}

/// Makes the names in a folder durable.
fn sync_folder(path: &Path) -> Result<(), RegistryError> {
    #[cfg(unix)]
    File::open(path).and_then(|folder| folder.sync_all()).map_err(RegistryError::io("sync folder", path))?;
    Ok(())
}

/// Reads a file that may be part of a version: a regular one, no larger than [`FILE_BYTES_MAX`], and no link to one. What is
/// neither, such as a pipe, is not opened: it would be waited for.
///
/// # Errors
/// If it cannot be read; of kind `InvalidData` if it is something else or larger.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let refused = |detail: String| io::Error::new(io::ErrorKind::InvalidData, detail);
    if !fs::symlink_metadata(path)?.is_file() {
        return Err(refused("it is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    // It may grow while it is read.
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(refused(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// Reads a file of the registry.
fn read_bounded(path: &Path) -> Result<Vec<u8>, RegistryError> {
    read_file(path).map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData => RegistryError::Changed { path: path.to_owned(), detail: error.to_string() },
        _ => RegistryError::io("read", path)(error),
    })
}

#[cfg(test)]
mod tests;
