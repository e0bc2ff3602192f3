//! From a commit to the folders: manifests get their names, files move into place, and whoever comes later finishes what a
//! crash left.
//!
//! Two may commit to a lake: its one writer, and one compaction. The next number belongs to whoever creates the manifest of
//! that name first; the other reads it, follows ([`after`]), and takes the number that comes then. Nobody builds on a commit whose
//! files are not in place: before that they are put there ([`finish`]), whoever made it. Several may do so at once, since a
//! file has one name for ever, and moving or deleting it again does nothing.

use super::error::LakeError;
use super::layout::{COMPACTION, Layout, STAGING};
use super::manifest::{self, LakeFile, LakeState, Manifest, staged_name};
use super::parquet_file::{create_folder, sync_folder};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// The name of a manifest in the staging folder of its commit.
const STAGED_MANIFEST: &str = "manifest.json";

/// How often a file is moved again because its folder went away.
const MOVES: usize = 10;

/// What became of the attempt to take a number.
#[derive(Debug)]
pub(super) enum Attempt {
    /// The manifest has its name.
    Made,
    /// The number was taken, or passed long ago. Follow, and try the next.
    Outrun,
    /// Naming it failed, and then looking for it too: it may have its name.
    Unclear(LakeError),
}

/// What others committed meanwhile.
pub(super) enum News {
    /// The commit that follows.
    Next(Box<Manifest>),
    /// So many that the next is not kept any more: what the lake holds now.
    Far(Box<LakeState>),
}

/// Creates the manifest of a staged commit: the moment at which it happens. Its number must follow a commit whose manifest
/// was there when the caller looked.
pub(super) fn create_manifest(
    layout: &Layout,
    manifest: &Manifest,
    reached: impl Fn() -> io::Result<()>,
) -> Result<Attempt, LakeError> {
    let staging = layout.staged(&manifest.staging);
    let (from, to) = (staging.join(STAGED_MANIFEST), layout.manifest(manifest.seq));
    create_folder(&staging)?;
    manifest::write_staged(&from, manifest)?;
    sync_folder(&staging)?;
    reached().map_err(LakeError::io("write", &from))?;
    if let Err(error) = link_or_rename(&from, &to) {
        // An error does not say that nothing happened: on a network the answer may be lost.
        return match manifest::find(layout, manifest.seq) {
            Ok(Some(found)) if found == *manifest => Ok(Attempt::Made),
            Ok(Some(_)) => Ok(Attempt::Outrun),
            Ok(None) => Err(LakeError::io("commit manifest", &to)(error)),
            Err(error) => Ok(Attempt::Unclear(error)),
        };
    }
    // Old manifests are deleted in ascending order. If the one before is gone, ours has taken a number that others had and
    // left behind, where nobody reads it.
    if manifest.seq > 1 && !layout.manifest(manifest.seq - 1).exists() {
        let _ = fs::remove_file(&to);
        return Ok(Attempt::Outrun);
    }
    Ok(Attempt::Made)
}

/// What was committed after number `seq`, if anything.
pub(super) fn after(layout: &Layout, seq: u64) -> Result<Option<News>, LakeError> {
    if let Some(next) = manifest::find(layout, seq + 1)? {
        return Ok(Some(News::Next(Box::new(next))));
    }
    if seq == 0 || layout.manifest(seq).exists() {
        return Ok(None);
    }
    Ok(manifest::read_state(layout)?.filter(|state| state.seq > seq).map(|state| News::Far(Box::new(state))))
}

/// Puts the files of all commits in place of which some may not be. Reads no manifest where nothing waits in staging.
pub(super) fn finish_all(layout: &Layout) -> Result<(), LakeError> {
    let mut waiting = BTreeSet::new();
    for kind in [STAGING, COMPACTION] {
        let folder = layout.staged(kind);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(LakeError::io("list folder", &folder)(error)),
        };
        for entry in entries {
            let name = entry.map_err(LakeError::io("list folder", &folder))?.file_name();
            waiting.insert(format!("{kind}/{}", name.to_string_lossy()));
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    for seq in manifest::kept(layout)? {
        // One that was deleted since is of a commit long done.
        let Some(manifest) = manifest::find(layout, seq)? else { continue };
        if waiting.contains(&manifest.staging) {
            publish(layout, &manifest, || Ok(()))?;
        }
    }
    Ok(())
}

/// Puts the files of a commit in place if they may not be.
pub(super) fn finish(layout: &Layout, manifest: &Manifest) -> Result<(), LakeError> {
    if layout.staged(&manifest.staging).exists() { publish(layout, manifest, || Ok(())) } else { Ok(()) }
}

/// Moves the files of a commit into place and deletes those it removed. May be done again, also by several at once.
pub(super) fn publish(
    layout: &Layout,
    manifest: &Manifest,
    reached: impl Fn() -> io::Result<()>,
) -> Result<(), LakeError> {
    let staging = layout.staged(&manifest.staging);
    let mut folders = BTreeSet::new();
    let mut missing = Vec::new();
    for (number, file) in manifest.added.iter().enumerate() {
        let (from, to) = (staging.join(staged_name(number)), layout.data(&file.path));
        reached().map_err(LakeError::io("publish", &to))?;
        if !move_into_place(&from, &to)? && !to.exists() {
            missing.push(file);
        }
        folders.extend(to.parent().map(Path::to_owned));
    }
    refuse_missing(layout, &missing)?;
    for path in &manifest.removed {
        let path = layout.data(path);
        reached().map_err(LakeError::io("delete", &path))?;
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(LakeError::io("delete", &path)(error)),
            _ => {}
        }
        folders.extend(path.parent().map(Path::to_owned));
    }
    reached().map_err(LakeError::io("finish publishing", &layout.root))?;
    for folder in folders {
        match sync_folder(&folder) {
            Err(error) if !error.is_missing_file() => return Err(error),
            _ => {}
        }
        // Succeeds only where the last file of a day has gone.
        let _ = fs::remove_dir(folder);
    }
    remove_folder(&staging)
}

/// Renames a staged file. False if it is not there: then it was moved before.
fn move_into_place(from: &Path, to: &Path) -> Result<bool, LakeError> {
    for _ in 0..MOVES {
        match fs::rename(from, to) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(LakeError::io("publish", to)(error)),
            Err(_) if !from.exists() => return Ok(false),
            // The folder was made when the file was staged; another commit may have emptied it, and taken it away.
            Err(_) => to.parent().map_or(Ok(()), create_folder)?,
        }
    }
    Err(LakeError::io("publish", to)(io::ErrorKind::NotFound.into()))
}

/// A file that is neither in staging nor in its place is an error, unless a later commit has removed it already.
fn refuse_missing(layout: &Layout, missing: &[&LakeFile]) -> Result<(), LakeError> {
    if missing.is_empty() {
        return Ok(());
    }
    let state = manifest::read_state(layout)?.unwrap_or_default();
    match missing.iter().find(|file| state.files.contains_key(&file.path)) {
        None => Ok(()),
        Some(file) => {
            let path = layout.data(&file.path);
            // It may have been moved between our two looks.
            if path.exists() {
                return Ok(());
            }
            Err(LakeError::DataFile { path, manifest: state.seq, detail: "is missing".to_owned() })
        }
    }
}

/// Deletes a folder with all in it, if it is there.
pub(super) fn remove_folder(path: &Path) -> Result<(), LakeError> {
    match fs::remove_dir_all(path) {
        // Another may be deleting it too.
        Err(error) if path.exists() => Err(LakeError::io("delete folder", path)(error)),
        _ => Ok(()),
    }
}

/// Gives the staged manifest its name, unless one of that name is there.
fn link_or_rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        // A file system without links: between the question and the renaming a lock keeps the other one out.
        Err(error) if matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied) => {
            let path = to.with_file_name("lock");
            let lock = fs::File::options().create(true).truncate(false).write(true).open(path)?;
            lock.lock()?;
            if to.try_exists()? { Err(io::ErrorKind::AlreadyExists.into()) } else { fs::rename(from, to) }
        }
        done => done,
    }
}
