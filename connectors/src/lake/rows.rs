//! The tables beside the bars read back: by tick, or all of it.

use super::bars_read::for_each_unchecked;
use super::by_tick::{ByTick, Stored};
use super::error::LakeError;
use super::layout::Table;
use super::manifest::{LakeFile, LakeState};
use super::rows_file;
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

/// A row as it reads back from the lake, which keeps whole microseconds.
pub fn stored(row: &Row) -> Row {
    rows_file::stored(row)
}
