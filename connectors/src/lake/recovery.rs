//! What opening a lake does before anything is written: lock it, hold it against its manifest, delete what no commit owns.

use super::error::LakeError;
use super::layout::{Layout, NamedBy, named_by};
use super::manifest::{self, LakeState};
use super::publish;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// Refuses a folder whose tables hold Parquet files that are not ours: they would be mixed with the lake's.
pub(super) fn refuse_foreign_files(layout: &Layout) -> Result<(), LakeError> {
    if layout.house().is_dir() {
        return Ok(());
    }
    let is_parquet = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "parquet");
    for table in layout.tables() {
        if files_below(&table)?.iter().any(is_parquet) {
            return Err(LakeError::NotALake { path: table });
        }
    }
    Ok(())
}

/// Takes a lock, which is held as long as the file is open. Nothing if another holds it.
pub(super) fn lock(path: &Path) -> Result<Option<File>, LakeError> {
    let file = File::options().create(true).truncate(false).write(true).open(path);
    let file = file.map_err(LakeError::io("open lock", path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(LakeError::io("lock", path)(error)),
    }
}

/// Reads what the lake holds and holds it against the folders, with the files of every commit in place. A compaction may go
/// on meanwhile, and is followed.
pub(super) fn settle(layout: &Layout) -> Result<Option<LakeState>, LakeError> {
    let mut checked = None;
    loop {
        let Some(state) = manifest::read_state(layout)? else { return Ok(None) };
        // Now all that the state holds is in place, unless a later commit has taken it away.
        publish::finish_all(layout)?;
        match check_files(layout, &state) {
            Ok(()) => return Ok(Some(state)),
            // A commit in between would explain it; twice the same state is damage.
            Err(_) if checked != Some(state.seq) => checked = Some(state.seq),
            Err(error) => return Err(error),
        }
    }
}

/// Holds the files on disk against the manifest, by size.
pub(super) fn check_files(layout: &Layout, state: &LakeState) -> Result<(), LakeError> {
    for file in state.files.values() {
        let path = layout.data(&file.path);
        let detail = match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == file.bytes => continue,
            Ok(metadata) => format!("has {} bytes, not {}", metadata.len(), file.bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => "is missing".to_owned(),
            Err(error) => return Err(LakeError::io("look at", &path)(error)),
        };
        return Err(LakeError::DataFile { path, manifest: state.seq, detail });
    }
    Ok(())
}

/// Deletes files with names of ours that no manifest lists. Files of other names are left alone, and so are those of
/// compactions while one goes on: it may have committed since the state was read.
pub(super) fn delete_orphans(layout: &Layout, state: &LakeState, is_compacting: bool) -> Result<(), LakeError> {
    let live: foldhash::HashSet<PathBuf> = state.files.keys().map(|path| layout.data(path)).collect();
    for table in layout.tables() {
        for path in files_below(&table)? {
            if live.contains(&path) {
                continue;
            }
            match named_by(&path) {
                None => {
                    tracing::warn!(path = %path.display(), "a file that is not the lake's lies in its tables");
                    continue;
                }
                // Also what we take for an orphan may be the input of a compaction that has just deleted it.
                Some(NamedBy::Compaction) if is_compacting => continue,
                Some(_) => {}
            }
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(LakeError::io("delete orphan", &path)(error));
                }
                _ => {}
            }
            tracing::info!(path = %path.display(), "orphan deleted");
        }
    }
    Ok(())
}

/// All files below a folder; none where there is no folder.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, LakeError> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let listing = LakeError::io("list folder", &folder);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => continue,
            Err(error) => return Err(listing(error)),
        };
        for entry in entries {
            let entry = entry.map_err(&listing)?;
            let is_folder = entry.file_type().map_err(&listing)?.is_dir();
            if is_folder { folders.push(entry.path()) } else { files.push(entry.path()) }
        }
    }
    Ok(files)
}
