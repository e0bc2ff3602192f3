//! Why history cannot be made again, in words that say what is missing.

use crate::bindings::BindingsError;
use crate::recovery::ANSWERS;
use crate::scoring::DeskError;
use std::path::PathBuf;
use tidewheel_connectors::lake::LakeError;
use tidewheel_connectors::lake::archive::Damage;

/// Why history cannot be made again. The message says what is missing.
#[derive(Debug, thiserror::Error)]
pub enum RecordedError {
    /// No commit.
    #[error("{} holds no commit of a lake: give the folder that lake.path names", lake.display())]
    NoLake {
        /// The folder.
        lake: PathBuf,
    },
    /// Nothing to compute from.
    #[error(
        "lake {} does not hold the trades that its bars were made of, since lake.archive was off: history cannot be made again",
        lake.display()
    )]
    NoArchive {
        /// The lake.
        lake: PathBuf,
    },
    /// Part of the input is missing.
    #[error(
        "the archive of lake {} holds {archived} of the {accepted} records that were taken in: lake.archive was off for a \
         while, or rows were removed; history cannot be made again from it", lake.display()
    )]
    Incomplete {
        /// The lake.
        lake: PathBuf,
        /// Rows of the archive.
        archived: u64,
        /// What the run counted.
        accepted: u64,
    },
    /// A file of the archive is not what was written.
    #[error("{} {}: restore it from a copy, or delete the lake and replay", damage.path, damage.detail)]
    Damaged {
        /// The file.
        damage: Damage,
    },
    /// No log of ticks.
    #[error(
        "there is no log of ticks in {}: a lake that `tidewheel replay` wrote has none, and a run with recovery.folder keeps \
         it there; name that folder with --state",
        folder.display()
    )]
    NoLog {
        /// Where it was looked for.
        folder: PathBuf,
    },
    /// The first files of the log are missing.
    #[error(
        "the log of ticks in {} begins after tick {}: the files before it are missing, restore them from a backup",
        folder.display(), first.map_or_else(|| "0".to_owned(), |first| first.to_string())
    )]
    Cut {
        /// The folder of the log.
        folder: PathBuf,
        /// The last tick that is missing.
        first: Option<u64>,
    },
    /// The views were others.
    #[error("the log of ticks in {} is of a run whose features cannot be computed: {detail}", folder.display())]
    Views {
        /// The folder of the log.
        folder: PathBuf,
        /// What is other.
        detail: String,
    },
    /// The log ends before the lake.
    #[error(
        "the lake holds tick {}, but the log of ticks in {} ends at {}{}: it was cut or is another run's, restore it from a \
         backup",
        committed.unwrap_or_default(), folder.display(),
        last.map_or_else(|| "its beginning".to_owned(), |last| format!("tick {last}")),
        junk.as_ref().map_or_else(String::new, |junk| format!(" ({junk})"))
    )]
    LogBehind {
        /// The folder of the log.
        folder: PathBuf,
        /// Its last tick.
        last: Option<u64>,
        /// The last tick in the lake.
        committed: Option<u64>,
        /// The line that does not count, where there is one.
        junk: Option<String>,
    },
    /// The log was written by a program that gives other answers.
    #[error(
        "run {run} of version {version}, whose log is in {}, gave answers of form {answers}; this program gives those of form \
         {ANSWERS}: use the version that the run had",
        folder.display()
    )]
    Answers {
        /// The folder of the log.
        folder: PathBuf,
        /// The run.
        run: String,
        /// Its version.
        version: String,
        /// Its form of answers.
        answers: u32,
    },
    /// The log's files were written under different settings, which no run does.
    #[error("the log of ticks in {} changes its settings with run {run}: {}", folder.display(), differences.join("; "))]
    Settings {
        /// The folder of the log.
        folder: PathBuf,
        /// The run.
        run: String,
        /// What was and is.
        differences: Vec<String>,
    },
    /// A record of the control topic that is not understood.
    #[error(
        "the lake's table control holds a record of tick {tick} that is not what was understood then: restore it from a copy"
    )]
    Control {
        /// The tick.
        tick: u64,
    },
    /// What was promoted cannot be taken up again.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The log of ticks.
    #[error(transparent)]
    Bindings(#[from] BindingsError),
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
}
