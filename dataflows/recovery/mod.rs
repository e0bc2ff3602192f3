//! Going on after a stop or a crash: what there is to go on from, and whether it may be used.

mod plan;
mod settings;

pub use plan::{Committed, RecoveryError, Resumption, bindings_folder, plan, snapshots_folder};
pub use settings::{ANSWERS, Settings};

use std::fs::{self, File, TryLockError};
use std::path::Path;

/// The folder of a run's state, locked as long as this lives. A killed process holds no lock.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Makes the folder where it is missing, and locks it.
    ///
    /// # Errors
    /// If another process has it, or the file system refuses.
    pub fn take(folder: &Path) -> Result<Self, RecoveryError> {
        let failed = |source| RecoveryError::Folder { folder: folder.to_owned(), source };
        fs::create_dir_all(folder).map_err(failed)?;
        let path = folder.join("state.lock");
        let file = File::options().create(true).truncate(false).write(true).open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(RecoveryError::Locked { folder: folder.to_owned() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// Deletes the log and the snapshots of the runs before: what is computed from now on does not follow from them.
///
/// # Errors
/// If the file system refuses.
pub fn forget(folder: &Path) -> Result<(), RecoveryError> {
    for part in [snapshots_folder(folder), bindings_folder(folder)] {
        let failed = |source| RecoveryError::Folder { folder: part.clone(), source };
        // All at once, by another name: half a log would be a log that lacks something.
        let forgotten = part.with_extension("forgotten");
        remove(&forgotten).map_err(failed)?;
        match fs::rename(&part, &forgotten) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => return Err(failed(source)),
            _ => {}
        }
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
        remove(&forgotten).map_err(failed)?;
    }
    Ok(())
}

fn remove(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a run left a log of ticks in a folder of state.
pub fn has_log(folder: &Path) -> bool {
    fs::read_dir(bindings_folder(folder)).is_ok_and(|mut entries| entries.next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_forgotten_goes_at_once_also_where_a_crash_cut_the_forgetting_off() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let log = bindings_folder(folder);
        let left = log.with_extension("forgotten");
        for round in ["first", "second"] {
            fs::create_dir_all(&log).expect("space");
            fs::write(log.join("000001-a.jsonl"), round).expect("space");
            // As a crash leaves it: renamed, and not yet all deleted.
            fs::create_dir_all(&left).expect("space");
            fs::write(left.join("000002-a.jsonl"), "old").expect("space");
            assert!(has_log(folder));
            forget(folder).expect("files can be deleted");
            assert!(!has_log(folder) && !log.exists() && !left.exists(), "{round}");
        }
    }
}
