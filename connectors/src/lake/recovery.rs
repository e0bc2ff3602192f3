//! What opening a lake does before anything is written: lock it, hold it against its manifest, delete what no commit owns.

use super::error::LakeError;
use super::layout::{Layout, is_our_file_name};
use super::manifest::LakeState;
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

/// Takes the lock, which is held as long as the file is open.
pub(super) fn lock(layout: &Layout) -> Result<File, LakeError> {
    let path = layout.lock();
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(LakeError::io("open lock", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(LakeError::Locked { root: layout.root.clone(), lock: path }),
        Err(TryLockError::Error(error)) => Err(LakeError::io("lock", &path)(error)),
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

/// Deletes files with names of ours that no manifest lists. Files of other names are left alone.
pub(super) fn delete_orphans(layout: &Layout, state: &LakeState) -> Result<(), LakeError> {
    let live: foldhash::HashSet<PathBuf> = state.files.keys().map(|path| layout.data(path)).collect();
    for table in layout.tables() {
        for path in files_below(&table)? {
            if live.contains(&path) {
                continue;
            }
            if !is_our_file_name(&path) {
                tracing::warn!(path = %path.display(), "a file that is not the lake's lies in its tables");
                continue;
            }
            fs::remove_file(&path).map_err(LakeError::io("delete orphan", &path))?;
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
