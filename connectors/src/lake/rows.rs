//! The tables beside the bars read back: by tick, or day by day.

use super::archive::{has_gone, newest};
use super::bars_read::{for_each_batch, for_each_unchecked};
use super::by_tick::{ATTEMPTS, ByTick, Stored};
use super::error::LakeError;
use super::layout::{Layout, Table};
use super::manifest::{LakeFile, LakeState};
use super::rows_file;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use tidewheel_schemas::{Row, TableSpec};

/// One of the tables beside the bars.
#[derive(Clone, Debug)]
pub struct StoredRows {
    spec: Arc<TableSpec>,
    number: u16,
}

/// A table beside the bars, to be read in the order of ticks.
pub type RowsByTick = ByTick<StoredRows>;

impl RowsByTick {
    /// Opens a table as `state` lists it, for the ticks from `from_tick` on. `number` is what its rows will name as their table.
    ///
    /// # Errors
    /// If a file that the newest manifest lists cannot be read.
    pub fn open(
        root: &Path,
        state: &LakeState,
        spec: &Arc<TableSpec>,
        number: u16,
        from_tick: u64,
    ) -> Result<Self, LakeError> {
        Self::open_stored(root, state, StoredRows { spec: Arc::clone(spec), number }, from_tick)
    }
}

impl Stored for StoredRows {
    type Row = Row;

    fn table(&self) -> Table {
        Table::of_family(&self.spec.family).expect("every family of rows has a table")
    }

    fn is_in(&self, path: &str) -> bool {
        match &self.spec.member {
            Some(member) => path.split('/').any(|folder| folder.strip_prefix("view=") == Some(member)),
            None => true,
        }
    }

    fn read(
        &self,
        path: &Path,
        _: &LakeFile,
        is_wanted: &dyn Fn(u64) -> bool,
        each: &mut dyn FnMut(u64, Row),
    ) -> Result<(), LakeError> {
        for_each_unchecked(path, None, |batch| {
            for (tick, row) in rows_file::decode(batch, &self.spec, self.number)? {
                if is_wanted(tick) {
                    each(tick, row);
                }
            }
            Ok(())
        })
    }
}

/// The days of which a table has rows, ascending: `2024-08-05`.
pub fn days(state: &LakeState, spec: &Arc<TableSpec>) -> BTreeSet<String> {
    files(state, &StoredRows { spec: Arc::clone(spec), number: 0 }).filter_map(day_of).collect()
}

/// How many versions of rows a day has.
pub fn rows_in_day(state: &LakeState, spec: &Arc<TableSpec>, day: &str) -> u64 {
    let stored = StoredRows { spec: Arc::clone(spec), number: 0 };
    files(state, &stored).filter(|file| day_of(file).as_deref() == Some(day)).map(|file| file.rows).sum()
}

/// The versions of rows of a day that are wanted, each with its tick, by venue, symbol, event time and qualifier, and then in the order
/// of publication. `number` is what the rows will name as their table.
///
/// # Errors
/// If a manifest or a file cannot be read, or a file is not what the manifest says.
pub fn of_day(
    root: &Path,
    spec: &Arc<TableSpec>,
    number: u16,
    day: &str,
    is_wanted: &dyn Fn(u64, &Row) -> bool,
) -> Result<Vec<(u64, Row)>, LakeError> {
    let layout = Layout { root: root.to_owned() };
    let stored = StoredRows { spec: Arc::clone(spec), number };
    let read = |state: &LakeState| {
        let mut rows: Vec<(u64, Row)> = Vec::new();
        for file in files(state, &stored).filter(|file| day_of(file).as_deref() == Some(day)) {
            for_each_batch(&layout, file, None, |batch| {
                let decoded = rows_file::decode(batch, spec, number)?;
                rows.extend(decoded.into_iter().filter(|(tick, row)| is_wanted(*tick, row)));
                Ok(())
            })?;
        }
        rows.sort_by(|(tick, row), (other_tick, other)| (row.key(), tick).cmp(&(other.key(), other_tick)));
        Ok(rows)
    };
    let mut attempt = 1;
    loop {
        match read(&newest(&layout)?) {
            // A compaction has put another file in its place.
            Err(error) if has_gone(&error) && attempt < ATTEMPTS => attempt += 1,
            done => return done,
        }
    }
}

fn files<'a>(state: &'a LakeState, stored: &'a StoredRows) -> impl Iterator<Item = &'a LakeFile> {
    state.of(stored.table()).filter(|file| stored.is_in(&file.path))
}

fn day_of(file: &LakeFile) -> Option<String> {
    file.path.split('/').find_map(|folder| folder.strip_prefix("date=")).map(str::to_owned)
}

/// A row as it reads back from the lake, which keeps whole microseconds.
pub fn stored(row: &Row) -> Row {
    rows_file::stored(row)
}
