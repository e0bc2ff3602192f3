//! Dead letters as Parquet rows, and back.
//!
//! | column | type | meaning |
//! | --- | --- | --- |
//! | `tick` | int64 | when it was rejected, milliseconds since the epoch |
//! | `source` | string | the source partition |
//! | `position` | int64 | offset, line or row there |
//! | `reason` | string | one of a fixed list: `malformed`, `number` |
//! | `detail` | string | what exactly, for a person |
//! | `raw` | binary | the record as it was received |
//! | `receive_time_ns` | int64 | where known |
//! | `records` | int64 | how many records of the message the letter speaks of; one in files without the column |

use super::bars_read::{column, numbers, strings};
use super::columns::{Values, int64, optional, optional_int64, required};
use super::error::LakeError;
use super::parquet_file::FileKind;
use super::trades_file::source_name;
use arrow::array::{Array, AsArray, BinaryArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int64Type, Schema, SchemaRef};
use std::sync::{Arc, LazyLock};
use tidewheel_schemas::{Reject, RejectReason};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        required("tick", DataType::Int64),
        required("source", DataType::Utf8),
        required("position", DataType::Int64),
        required("reason", DataType::Utf8),
        required("detail", DataType::Utf8),
        required("raw", DataType::Binary),
        optional("receive_time_ns", DataType::Int64),
        required("records", DataType::Int64),
    ]))
});

/// Rows of a batch: few, because a raw record may be large.
const REJECT_BATCH_ROWS: usize = 256;

/// How files of rejects are written.
pub(super) fn kind() -> FileKind {
    FileKind {
        schema: SCHEMA.clone(),
        dictionary: &["source", "reason"],
        delta: &["tick", "position", "receive_time_ns", "records"],
        without_statistics: &[],
        sorted_by: &[],
    }
}

/// A dead letter as the lake keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReject {
    /// When it was rejected, milliseconds since the epoch.
    pub tick: u64,
    /// The name of the source partition.
    pub source: String,
    /// Offset, line (from 1) or row (from 0) there.
    pub position: u64,
    /// The kind of trouble.
    pub reason: RejectReason,
    /// What exactly, for a person.
    pub detail: String,
    /// The record as it was received.
    pub raw: Arc<[u8]>,
    /// When it was received, nanoseconds, where known.
    pub receive_time_ns: Option<i64>,
    /// How many records of the message it speaks of.
    pub records: u64,
}

/// Rows of one file as record batches: ticks with their rejects.
pub(super) fn batches<'a>(
    rows: &'a [(u64, &'a Reject)],
    sources: &'a [String],
) -> impl Iterator<Item = Result<RecordBatch, LakeError>> + 'a {
    rows.chunks(REJECT_BATCH_ROWS).map(|rows| Ok(batch(rows, sources)))
}

fn batch(rows: &[(u64, &Reject)], sources: &[String]) -> RecordBatch {
    let text = |of: &dyn Fn(&Reject) -> String| -> StringArray {
        StringArray::from_iter_values(rows.iter().map(|(_, reject)| of(reject)))
    };
    let mut receive_time_ns = Values::with_capacity(rows.len());
    rows.iter().for_each(|(_, reject)| receive_time_ns.push(reject.receive_time_ns));
    let raw = BinaryArray::from_iter_values(rows.iter().map(|(_, reject)| &*reject.raw));
    RecordBatch::try_new(
        SCHEMA.clone(),
        vec![
            int64(rows.iter().map(|(tick, _)| tick.cast_signed()).collect(), None),
            Arc::new(text(&|reject| source_name(sources, reject.partition))),
            int64(rows.iter().map(|(_, reject)| reject.position.cast_signed()).collect(), None),
            Arc::new(text(&|reject| reject.reason.name().to_owned())),
            Arc::new(text(&|reject| reject.detail.clone())),
            Arc::new(raw),
            optional_int64(receive_time_ns),
            int64(rows.iter().map(|(_, reject)| reject.records.cast_signed()).collect(), None),
        ],
    )
    .expect("the columns are those of the schema, of one length")
}

/// A batch with the column `records`, which files of earlier versions lack: then every letter is of one.
pub(super) fn with_records(batch: RecordBatch) -> RecordBatch {
    if batch.schema_ref().index_of("records").is_ok() {
        return batch;
    }
    let mut columns = batch.columns().to_vec();
    columns.push(int64(vec![1; batch.num_rows()], None));
    RecordBatch::try_new(SCHEMA.clone(), columns).expect("the columns but the last are those of the schema")
}

/// Reads a batch back.
pub(super) fn decode(batch: &RecordBatch) -> Result<Vec<StoredReject>, String> {
    let batch = &with_records(batch.clone());
    let tick = numbers::<Int64Type>(batch, "tick")?;
    let source = strings(batch, "source")?;
    let position = numbers::<Int64Type>(batch, "position")?;
    let (reason, detail) = (strings(batch, "reason")?, strings(batch, "detail")?);
    let raw = column(batch, "raw")?.as_binary_opt::<i32>().ok_or("column raw has a wrong type")?;
    let receive_time_ns = numbers::<Int64Type>(batch, "receive_time_ns")?;
    let records = numbers::<Int64Type>(batch, "records")?;
    let row = |row: usize| {
        let name = reason.value(row);
        let reason = RejectReason::ALL.into_iter().find(|reason| reason.name() == name);
        Ok(StoredReject {
            tick: tick.value(row).cast_unsigned(),
            source: source.value(row).to_owned(),
            position: position.value(row).cast_unsigned(),
            reason: reason.ok_or_else(|| format!("reason {name:?} is unknown"))?,
            detail: detail.value(row).to_owned(),
            raw: raw.value(row).into(),
            receive_time_ns: receive_time_ns.is_valid(row).then(|| receive_time_ns.value(row)),
            records: records.value(row).cast_unsigned(),
        })
    };
    (0..batch.num_rows()).map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_files_without_the_column_are_of_one_record_each() {
        let letter = Reject {
            partition: 0,
            position: 7,
            reason: RejectReason::Number,
            records: 1,
            detail: "price: not positive".to_owned(),
            raw: Arc::from(&b"{}"[..]),
            receive_time_ns: None,
        };
        let shared = Reject { records: 40, ..letter.clone() };
        let now = batch(&[(5, &letter), (6, &shared)], &["trades[0]".to_owned()]);
        let records = |batch: &RecordBatch| -> Vec<u64> {
            decode(batch).expect("letters").iter().map(|letter| letter.records).collect()
        };
        assert_eq!(records(&now), [1, 40]);
        let columns: Vec<usize> = (0..now.num_columns() - 1).collect();
        let then = now.project(&columns).expect("its first columns");
        assert_eq!(records(&then), [1, 1]);
        assert_eq!(with_records(then).schema(), now.schema());
    }
}
