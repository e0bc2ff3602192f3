//! What the lake's folder holds, and whether it can be written.

use super::Findings;
use crate::commands::time_text;
use crate::config::Config;
use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use tidewheel_connectors::lake::{self, Table};

/// Looks at the folder of the lake, where there is to be one.
pub fn check(config: &Config, findings: &mut Findings) {
    let Some(settings) = config.lake() else { return };
    let root = settings.path.as_path();
    let kept = match (settings.archive, settings.changelog) {
        (true, true) => "with archive and changelog",
        (true, false) => "with archive",
        (false, true) => "with changelog",
        (false, false) => "bars only",
    };
    findings.fact("write", format!("lake {}, {kept}, a commit every {}", root.display(), settings.commit_every));
    match state(root) {
        Ok(state) => findings.fact("", format!("  {state}")),
        Err(problem) => findings.problem(problem),
    }
    if let Err(error) = try_writing(root) {
        findings.problem(format!(
            "could not write to lake.path {}: {error}; see to its owner and its disk, or choose another folder",
            root.display()
        ));
    }
}

/// What is there, for people; or why it cannot be used.
fn state(root: &Path) -> Result<String, String> {
    if !root.exists() {
        return Ok("would be made".into());
    }
    if !root.join("_tidewheel").is_dir() {
        let foreign = Table::ALL.into_iter().map(|table| root.join(table.name())).find(|folder| folder.exists());
        return match foreign {
            Some(folder) => Err(format!(
                "{} exists, but {} is no lake of ours: choose another lake.path",
                folder.display(),
                root.display()
            )),
            None => Ok("the folder exists and holds no lake yet".into()),
        };
    }
    if is_locked(root) {
        return Err(format!("lake {} has a writer already: stop it, or choose another lake.path", root.display()));
    }
    let state = lake::read::manifest(root).map_err(|error| error.to_string())?;
    if state.seq == 0 {
        return Ok("holds no commit yet".into());
    }
    let rows: u64 = state.of(Table::Bars).map(|file| file.rows).sum();
    let frontier = time_text(state.progress.tick_frontier);
    Ok(format!("holds commit {}, {rows} bars, complete up to {frontier}", state.seq))
}

fn is_locked(root: &Path) -> bool {
    // No lock file, no writer; one that cannot be opened is told by the attempt to write.
    let lock = File::options().read(true).open(root.join("_tidewheel/lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

/// Makes a file in the folder, or in the nearest one above that there is, and removes it again.
fn try_writing(root: &Path) -> io::Result<()> {
    let absolute = std::path::absolute(root)?;
    let folder = absolute.ancestors().find(|folder| folder.exists()).unwrap_or(&absolute);
    let probe = folder.join(format!(".tidewheel-check-{}", std::process::id()));
    File::create_new(&probe).and_then(|file| file.sync_all())?;
    std::fs::remove_file(&probe)
}
