//! Published bars by tick: the rows of `bars` or of `bars_changelog`.

use super::archive::has_gone;
use super::bars_read::{Derived, for_each_version, open_ticks};
use super::by_tick::{ATTEMPTS, ByTick, Stored};
use super::error::LakeError;
use super::layout::{Layout, Table};
use super::manifest::{LakeFile, LakeState};
use std::collections::BTreeSet;
use std::path::Path;
use tidewheel_schemas::{BarVersion, Interval};

/// A row of a table of bars.
#[derive(Clone, Debug)]
pub struct VersionRow {
    /// The version. The times of its first and last trade, which are not stored, read as its open time.
    pub version: BarVersion,
    /// Columns that follow from the version.
    pub derived: Derived,
}

/// [`Table::Bars`] or [`Table::BarsChangelog`].
#[derive(Clone, Copy, Debug)]
pub struct StoredVersions {
    table: Table,
    /// All where there is none.
    interval: Option<Interval>,
}

/// A table of bars, to be read in the order of ticks.
pub type VersionsByTick = ByTick<StoredVersions>;

impl VersionsByTick {
    /// Opens [`Table::Bars`] or [`Table::BarsChangelog`] as `state` lists it, for the ticks from `from_tick` on.
    ///
    /// # Errors
    /// If a file that the newest manifest lists cannot be read.
    pub fn open(root: &Path, state: &LakeState, table: Table, from_tick: u64) -> Result<Self, LakeError> {
        Self::open_stored(root, state, StoredVersions { table, interval: None }, from_tick)
    }

    /// The same for the bars of one interval, from the first tick on.
    ///
    /// # Errors
    /// If a file that the newest manifest lists cannot be read.
    pub fn open_interval(root: &Path, state: &LakeState, table: Table, interval: Interval) -> Result<Self, LakeError> {
        Self::open_stored(root, state, StoredVersions { table, interval: Some(interval) }, 0)
    }
}

impl Stored for StoredVersions {
    type Row = VersionRow;

    fn table(&self) -> Table {
        self.table
    }

    fn is_in(&self, path: &str) -> bool {
        self.interval.is_none_or(|interval| super::layout::interval_of(path) == Some(interval))
    }

    fn read(
        &self,
        path: &Path,
        file: &LakeFile,
        is_wanted: &dyn Fn(u64) -> bool,
        each: &mut dyn FnMut(u64, VersionRow),
    ) -> Result<(), LakeError> {
        for_each_version(path, interval_of(file)?, is_wanted, |version, derived| {
            each(version.tick, VersionRow { version, derived });
        })
    }
}

/// The interval in the path of a file of bars.
fn interval_of(file: &LakeFile) -> Result<Interval, LakeError> {
    let name = file.path.split('/').find_map(|part| part.strip_prefix("interval="));
    name.and_then(|name| name.parse().ok()).ok_or_else(|| LakeError::Archive {
        path: file.path.clone().into(),
        detail: "names no interval that is known".to_owned(),
    })
}

/// What the newest commit says, and the ticks of the rows in its `bars` that are not final: those at which a run was stopped,
/// and its open bars written as they stood.
///
/// # Errors
/// If a manifest or a file cannot be read.
pub fn open_bars(root: &Path) -> Result<(LakeState, BTreeSet<u64>), LakeError> {
    let layout = Layout { root: root.to_owned() };
    let mut attempt = 1;
    loop {
        let state = super::archive::newest(&layout)?;
        let mut found = BTreeSet::new();
        let read = state.of(Table::Bars).try_for_each(|file| match open_ticks(&layout.data(&file.path), &mut found) {
            // Whoever compares the file will say what is wrong with it.
            Err(LakeError::Parquet { .. }) => Ok(()),
            result => result,
        });
        match read {
            Err(error) if has_gone(&error) && attempt < ATTEMPTS => attempt += 1,
            read => return read.map(|()| (state, found)),
        }
    }
}
