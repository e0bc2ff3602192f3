//! Where a row of the archive came from, and when: columns that all of its tables but `trades` have in common.

use super::bars_read::{numbers, strings};
use super::columns::{int64, name_type, names, optional, optional_int64, required, values};
use super::trades_file::source_name;
use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type};
use foldhash::HashMap;
use std::sync::Arc;

/// Where a record came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    /// When it was taken in, milliseconds since the epoch.
    pub tick: u64,
    pub partition: u32,
    pub position: u64,
    pub index: u16,
    pub receive_time_ns: Option<i64>,
}

/// The columns, the last of their tables.
pub(super) fn fields() -> [Field; 5] {
    [
        required("tick", DataType::Int64),
        required("source", name_type()),
        required("position", DataType::Int64),
        required("position_index", DataType::Int64),
        optional("receive_time_ns", DataType::Int64),
    ]
}

/// The columns of rows.
pub(super) fn columns(rows: impl Iterator<Item = Origin> + Clone, sources: &[String]) -> [ArrayRef; 5] {
    let mut numbers: HashMap<u32, i32> = HashMap::default();
    let mut source_names = Vec::new();
    let source = rows.clone().map(|origin| {
        *numbers.entry(origin.partition).or_insert_with(|| {
            source_names.push(source_name(sources, origin.partition));
            source_names.len() as i32 - 1
        })
    });
    let source: Vec<i32> = source.collect();
    let source_names: ArrayRef = Arc::new(StringArray::from_iter_values(&source_names));
    [
        int64(rows.clone().map(|origin| origin.tick.cast_signed()).collect(), None),
        names(source, &source_names),
        int64(rows.clone().map(|origin| origin.position.cast_signed()).collect(), None),
        int64(rows.clone().map(|origin| origin.index.into()).collect(), None),
        optional_int64(values(rows.map(|origin| origin.receive_time_ns))),
    ]
}

/// The columns of a batch that was read.
pub(super) struct Origins<'a> {
    tick: &'a Int64Array,
    source: &'a StringArray,
    position: &'a Int64Array,
    index: &'a Int64Array,
    receive_time_ns: &'a Int64Array,
}

impl<'a> Origins<'a> {
    /// Those of a batch.
    ///
    /// # Errors
    /// If one is missing or has a wrong type.
    pub(super) fn of(batch: &'a RecordBatch) -> Result<Self, String> {
        let integers = |name| numbers::<Int64Type>(batch, name);
        Ok(Self {
            tick: integers("tick")?,
            source: strings(batch, "source")?,
            position: integers("position")?,
            index: integers("position_index")?,
            receive_time_ns: integers("receive_time_ns")?,
        })
    }

    /// The tick of a row, milliseconds since the epoch.
    pub(super) fn tick(&self, row: usize) -> u64 {
        self.tick.value(row).cast_unsigned()
    }

    /// The name of the source partition of a row.
    pub(super) fn source(&self, row: usize) -> &'a str {
        self.source.value(row)
    }

    /// The position of a row in its source.
    pub(super) fn position(&self, row: usize) -> u64 {
        self.position.value(row).cast_unsigned()
    }

    /// Which of the records at that position a row is; none if it cannot be.
    pub(super) fn index(&self, row: usize) -> Option<u16> {
        u16::try_from(self.index.value(row)).ok()
    }

    /// The receive time of a row, nanoseconds, where known.
    pub(super) fn receive_time_ns(&self, row: usize) -> Option<i64> {
        self.receive_time_ns.is_valid(row).then(|| self.receive_time_ns.value(row))
    }
}
