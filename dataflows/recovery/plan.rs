//! What a run goes on from: the newest snapshot that no sink is behind of, and the logged ticks after it.

use super::Settings;
use crate::bindings::{Binding, BindingsError, History, LastLine};
use crate::snapshot::{self, Loaded, SnapshotError};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// How far the sinks came: of each that is on, the last tick that is wholly in it; none before the first.
#[derive(Clone, Copy, Debug, Default)]
pub struct Committed {
    /// The topics.
    pub kafka: Option<Option<u64>>,
    /// The lake.
    pub lake: Option<Option<u64>>,
}

impl Committed {
    /// The last tick that is in all of them.
    fn by_all(self) -> Option<u64> {
        [self.kafka, self.lake].into_iter().flatten().min().flatten()
    }

    /// The last tick that is in any.
    fn by_any(self) -> Option<(&'static str, u64)> {
        let named = [("the topics", self.kafka), ("the lake", self.lake)];
        named.into_iter().filter_map(|(name, tick)| Some((name, tick??))).max_by_key(|(_, tick)| *tick)
    }
}

/// What a run begins with.
#[derive(Debug, Default)]
pub struct Resumption {
    /// The state; none where everything is made again from the first tick.
    pub loaded: Option<Loaded>,
    /// Ticks to make again.
    pub logged: Vec<Binding>,
    /// The source partitions by number, those of the logged ticks included.
    pub partitions: Vec<String>,
    /// Where each is to be read from, by name.
    pub starts: BTreeMap<String, u64>,
    /// Where each stands after the last logged tick.
    pub ends: BTreeMap<String, u64>,
    /// The tick last written down.
    pub last_tick: Option<u64>,
    /// Where the log ends.
    pub last: Option<LastLine>,
}

/// Why a run cannot go on. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    /// The log of ticks.
    #[error(transparent)]
    Bindings(#[from] BindingsError),
    /// The topic of the log.
    #[error(transparent)]
    Kafka(#[from] tidewheel_connectors::kafka::KafkaError),
    /// A snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// State computed under other settings would give answers that no run gives.
    #[error(
        "cannot go on with the state in {}: {}. Set it back, or compute anew: with `tidewheel run --replace` from what the \
         topics still hold, or with `tidewheel replay` from the trades that the lake archived",
        folder.display(), differences.join("; ")
    )]
    Settings {
        /// The folder of the state.
        folder: PathBuf,
        /// What was and is.
        differences: Vec<String>,
    },
    /// The log ends before what was published.
    #[error(
        "{sink} hold tick {committed}, but the log of ticks in {} ends at {}: it was cut or is another run's. Restore it from \
         a backup, or begin anew with --replace",
        folder.display(), last.map_or_else(|| "its beginning".to_owned(), |last| format!("tick {last}"))
    )]
    LogBehind {
        /// The sink that is ahead.
        sink: &'static str,
        /// Its last tick.
        committed: u64,
        /// The folder of the log.
        folder: PathBuf,
        /// The last tick in it.
        last: Option<u64>,
    },
    /// The topics were written by a run whose state is elsewhere.
    #[error(
        "the topics were written through tick {committed} by a run that left no log of ticks in {}: going on would publish \
         bars a second time. Name the folder of that run's state in recovery.folder, or begin anew with --replace",
        folder.display()
    )]
    NoLog {
        /// The last tick in the topics.
        committed: u64,
        /// Where the log was looked for.
        folder: PathBuf,
    },
    /// The lake is another run's.
    #[error(
        "the lake was last written by {run:?}, of which the log of ticks in {} knows nothing: it is another run's lake, or a run \
         that was to replace it was stopped before it did. Name another folder, or begin anew with --replace",
        folder.display()
    )]
    OtherLake {
        /// Who wrote it.
        run: String,
        /// The folder of the log.
        folder: PathBuf,
    },
    /// The log does not begin where the state ends.
    #[error(
        "the log of ticks in {} begins after tick {begins}, and there is no state through that tick to go on from: files of the \
         log or snapshots are missing. Restore them from a backup, or begin anew with --replace",
        folder.display()
    )]
    LogHead {
        /// The tick before the first in the log.
        begins: u64,
        /// The folder of the log.
        folder: PathBuf,
    },
    /// Another process writes the state.
    #[error("the state in {} is being written by another process: stop it first", folder.display())]
    Locked {
        /// The folder of the state.
        folder: PathBuf,
    },
    /// The folder of the state cannot be used.
    #[error("could not use {} for the state: {source}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The log of ticks in a folder of state.
pub fn bindings_folder(folder: &Path) -> PathBuf {
    folder.join("bindings")
}

/// The snapshots in a folder of state.
pub fn snapshots_folder(folder: &Path) -> PathBuf {
    folder.join("snapshots")
}

/// Finds what to go on from; nothing where there is no log.
///
/// A snapshot that is damaged is named in the log of the process, and the one before is taken: it gives the same answers,
/// later.
///
/// `lake_run` is the run that made the lake's last commit. `log` reads the log of ticks, from the tick of the snapshot on; where it is from, for messages, is `place`.
///
/// # Errors
/// If the log is damaged or does not reach as far as a sink, or the settings are others.
pub fn plan(
    folder: &Path,
    settings: &Settings,
    committed: Committed,
    lake_run: Option<&str>,
    place: &Path,
    log: impl Fn(Option<u64>) -> Result<History, RecoveryError>,
) -> Result<Option<Resumption>, RecoveryError> {
    let mut loaded = newest(&snapshots_folder(folder), committed.by_all())?;
    // From the tick itself on, so that the run is there that made it.
    let mut history = log(loaded.as_ref().map(|loaded| loaded.snapshot.tick.saturating_sub(1)))?;
    if loaded.as_ref().is_some_and(|loaded| !is_of(&history, &loaded.snapshot)) {
        tracing::error!(
            "the newest snapshot is not of the log of ticks; everything is made again from the log's beginning"
        );
        (loaded, history) = (None, log(None)?);
    }
    let after = loaded.as_ref().map(|loaded| loaded.snapshot.tick);
    let Some((_, first)) = history.openings.first() else { return Ok(None) };
    let mut runs = history.openings.iter().map(|(_, opening)| opening.run.as_str());
    if let (Some(Some(_)), Some(run)) = (committed.lake, lake_run)
        && !runs.any(|known| known == run)
    {
        return Err(RecoveryError::OtherLake { run: run.to_owned(), folder: place.to_owned() });
    }
    if let Some(begins) = first.after_tick.filter(|begins| after.is_none_or(|after| *begins > after)) {
        return Err(RecoveryError::LogHead { begins, folder: place.to_owned() });
    }
    let last_tick = history.last_tick();
    if let Some((sink, committed)) = committed.by_any()
        && last_tick.is_none_or(|last| last < committed)
    {
        if let Some((path, line)) = history.junk {
            let detail = format!("it is damaged, and {sink} hold ticks up to {committed}");
            return Err(BindingsError::Damaged { path, line, detail }.into());
        }
        return Err(RecoveryError::LogBehind { sink, committed, folder: place.to_owned(), last: last_tick });
    }
    let written_under = history.openings.iter().map(|(_, opening)| &opening.settings);
    for found in written_under.chain(loaded.iter().map(|loaded| &loaded.snapshot.settings)) {
        let differences = found.differences(settings);
        if !differences.is_empty() {
            return Err(RecoveryError::Settings { folder: folder.to_owned(), differences });
        }
    }
    let mut starts = loaded.as_ref().map_or(&first.ends, |loaded| &loaded.snapshot.source.ends).clone();
    // Partitions that were found later, from where they began then.
    for begins in
        history.ticks.iter().map(|binding| &binding.begins).chain(history.openings.iter().map(|(_, at)| &at.ends))
    {
        for (name, begin) in begins {
            starts.entry(name.clone()).or_insert(*begin);
        }
    }
    let (partitions, ends, last) = (history.partitions(), history.ends(), history.last.clone());
    let logged = history.ticks.into_iter().filter(|binding| after.is_none_or(|after| binding.tick > after)).collect();
    Ok(Some(Resumption { loaded, logged, partitions, starts, ends, last_tick, last }))
}

/// Whether a snapshot was taken by a run of this log, after a tick that it has.
fn is_of(history: &History, snapshot: &snapshot::Snapshot) -> bool {
    let has_run = history.openings.iter().any(|(_, opening)| opening.run == snapshot.run);
    let has_tick = history.ticks.iter().any(|binding| binding.tick == snapshot.tick);
    has_run && has_tick
}

/// The newest snapshot at or before a tick that reads back whole.
fn newest(folder: &Path, through: Option<u64>) -> Result<Option<Loaded>, SnapshotError> {
    let ticks = snapshot::ticks(folder)?;
    for tick in ticks.into_iter().rev().filter(|tick| through.is_some_and(|through| *tick <= through)) {
        match snapshot::load(folder, tick) {
            Ok(loaded) => return Ok(Some(loaded)),
            Err(error) => tracing::error!(tick, %error, "snapshot passed over, an earlier one gives the same answers"),
        }
    }
    Ok(None)
}
