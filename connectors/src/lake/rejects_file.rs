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
    ]))
});

/// Rows of a batch: few, because a raw record may be large.
const REJECT_BATCH_ROWS: usize = 256;

/// How files of rejects are written.
pub(super) fn kind() -> FileKind {
    FileKind {
        schema: SCHEMA.clone(),
        dictionary: &["source", "reason"],
        delta: &["tick", "position", "receive_time_ns"],
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
    pub raw: Box<[u8]>,
    /// When it was received, nanoseconds, where known.
    pub receive_time_ns: Option<i64>,
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
    let raw = BinaryArray::from_iter_values(rows.iter().map(|(_, reject)| &reject.raw));
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
        ],
    )
    .expect("the columns are those of the schema, of one length")
}

/// Reads a batch back.
pub(super) fn decode(batch: &RecordBatch) -> Result<Vec<StoredReject>, String> {
    let tick = numbers::<Int64Type>(batch, "tick")?;
    let source = strings(batch, "source")?;
    let position = numbers::<Int64Type>(batch, "position")?;
    let (reason, detail) = (strings(batch, "reason")?, strings(batch, "detail")?);
    let raw = column(batch, "raw")?.as_binary_opt::<i32>().ok_or("column raw has a wrong type")?;
    let receive_time_ns = numbers::<Int64Type>(batch, "receive_time_ns")?;
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
        })
    };
    (0..batch.num_rows()).map(row).collect()
}
