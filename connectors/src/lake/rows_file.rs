//! Rows of the tables beside the bars as Parquet rows, and back.
//!
//! | column | type | meaning |
//! | --- | --- | --- |
//! | `venue`, `symbol` | string | the instrument |
//! | the qualifier, where the table has one | string | what else tells rows apart: `target` |
//! | `event_time` | timestamp (us, UTC) | the time that the row speaks of |
//! | the table's own | string, int64, timestamp (us, UTC), double or boolean | as its spec says; all may be null |
//! | `revision`, `is_removed`, of views | int32, boolean | which version; whether it takes the row back, all else being null then |
//! | `tick` | int64 | when this version was published, milliseconds since the epoch |
//!
//! Every version is kept: what is right now is the version of the greatest revision, what was known at a tick the same among
//! those of no later tick.

use super::bars_read::{column, numbers, strings};
use super::columns::{int64, optional, required, timestamp, timestamp_type};
use super::error::LakeError;
use super::parquet_file::{BATCH_ROWS, FileKind};
use super::values::{array, type_of};
use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Float64Type, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use std::sync::Arc;
use tidewheel_schemas::{ColumnKind, Instrument, Row, TableKind, TableSpec, Value};

/// A row and the tick that published it, milliseconds.
pub(super) type TickRow<'a> = (u64, &'a Row);

/// How files of a table are written.
pub(super) fn kind(spec: &TableSpec) -> FileKind {
    let schema = schema(spec);
    FileKind { schema, ..compacted_kind() }
}

/// The same but for the columns, which a compaction finds in the files.
pub(super) fn compacted_kind() -> FileKind {
    FileKind {
        schema: Arc::new(Schema::empty()),
        dictionary: &["venue", "symbol"],
        delta: &["event_time", "tick"],
        without_statistics: &[],
        sorted_by: &["venue", "symbol", "event_time"],
    }
}

fn schema(spec: &TableSpec) -> SchemaRef {
    let mut fields = vec![required("venue", DataType::Utf8), required("symbol", DataType::Utf8)];
    fields.extend(spec.qualifier.iter().map(|name| required(name, DataType::Utf8)));
    fields.push(required("event_time", timestamp_type()));
    fields.extend(spec.columns.iter().map(|column| optional(&column.name, type_of(column.kind))));
    if spec.kind == TableKind::View {
        fields.extend([required("revision", DataType::Int32), required("is_removed", DataType::Boolean)]);
    }
    fields.push(required("tick", DataType::Int64));
    Arc::new(Schema::new(fields))
}

/// Sorts the rows of a file: by instrument, time and qualifier, and then as they were published.
pub(super) fn sort(rows: &mut [TickRow<'_>]) {
    rows.sort_by(|(_, left), (_, right)| {
        left.instrument
            .cmp(&right.instrument)
            .then_with(|| left.event_time_ns.cmp(&right.event_time_ns))
            .then_with(|| left.qualifier.cmp(&right.qualifier))
    });
}

/// Rows of one file as record batches.
pub(super) fn batches<'a>(
    rows: &'a [TickRow<'a>],
    spec: &'a TableSpec,
) -> impl Iterator<Item = Result<RecordBatch, LakeError>> + 'a {
    let schema = schema(spec);
    rows.chunks(BATCH_ROWS).map(move |rows| Ok(batch(rows, spec, &schema)))
}

fn batch(rows: &[TickRow<'_>], spec: &TableSpec, schema: &SchemaRef) -> RecordBatch {
    let texts = |of: fn(&Row) -> &str| -> ArrayRef {
        Arc::new(StringArray::from_iter_values(rows.iter().map(|(_, row)| of(row))))
    };
    let mut columns = vec![texts(|row| &row.instrument.venue), texts(|row| &row.instrument.symbol)];
    columns.extend(spec.qualifier.iter().map(|_| texts(|row| &row.qualifier)));
    columns.push(timestamp(rows.iter().map(|(_, row)| row.event_time_ns / 1_000).collect()));
    for (at, column) in spec.columns.iter().enumerate() {
        let values = rows.iter().map(|(_, row)| row.values.as_ref().map_or(&Value::Null, |values| &values[at]));
        columns.push(array(values, column.kind));
    }
    if spec.kind == TableKind::View {
        let revisions = rows.iter().map(|(_, row)| i32::try_from(row.revision).unwrap_or(i32::MAX));
        columns.push(Arc::new(Int32Array::from_iter_values(revisions)));
        columns.push(Arc::new(BooleanArray::from_iter(rows.iter().map(|(_, row)| Some(row.values.is_none())))));
    }
    columns.push(int64(rows.iter().map(|(tick, _)| tick.cast_signed()).collect(), None));
    RecordBatch::try_new(schema.clone(), columns).expect("the columns are those of the schema, of one length")
}

/// A row as it reads back: times in whole microseconds.
pub(super) fn stored(row: &Row) -> Row {
    let whole = |time: i64| time / 1_000 * 1_000;
    let mut row = row.clone();
    row.event_time_ns = whole(row.event_time_ns);
    for value in row.values.iter_mut().flatten() {
        if let Value::Time(time) = value {
            *time = whole(*time);
        }
    }
    row
}

/// Reads a batch back: ticks with their rows, of the table with this number.
pub(super) fn decode(batch: &RecordBatch, spec: &TableSpec, table: u16) -> Result<Vec<(u64, Row)>, String> {
    let (venue, symbol) = (strings(batch, "venue")?, strings(batch, "symbol")?);
    let qualifier = spec.qualifier.as_ref().map(|name| strings(batch, name)).transpose()?;
    let event_time = numbers::<TimestampMicrosecondType>(batch, "event_time")?;
    let tick = numbers::<Int64Type>(batch, "tick")?;
    let is_view = spec.kind == TableKind::View;
    let revision = is_view.then(|| numbers::<Int32Type>(batch, "revision")).transpose()?;
    let removed = |batch| {
        Ok::<_, String>(column(batch, "is_removed")?.as_boolean_opt().ok_or("column is_removed has a wrong type")?)
    };
    let is_removed = is_view.then(|| removed(batch)).transpose()?;
    let mut own = Vec::with_capacity(spec.columns.len());
    for column in &spec.columns {
        own.push(read_own(batch, &column.name, column.kind)?.into_iter());
    }
    let mut rows = Vec::with_capacity(batch.num_rows());
    for row in 0..batch.num_rows() {
        let values = own.iter_mut().map(|column| column.next().expect("columns are of one length")).collect();
        rows.push((
            tick.value(row).cast_unsigned(),
            Row {
                table,
                instrument: Instrument { venue: venue.value(row).into(), symbol: symbol.value(row).into() },
                qualifier: qualifier.map_or_else(|| "".into(), |qualifier| qualifier.value(row).into()),
                event_time_ns: event_time.value(row) * 1_000,
                revision: revision.map_or(0, |revision| revision.value(row).cast_unsigned()),
                values: Some(values).filter(|_| !is_removed.is_some_and(|is_removed| is_removed.value(row))),
            },
        ));
    }
    Ok(rows)
}

fn read_own(batch: &RecordBatch, name: &str, kind: ColumnKind) -> Result<Vec<Value>, String> {
    macro_rules! values {
        ($array:expr, $make:expr) => {
            $array.iter().map(|value| value.map_or(Value::Null, $make)).collect()
        };
    }
    Ok(match kind {
        ColumnKind::Text => values!(strings(batch, name)?, Value::text),
        ColumnKind::Integer => values!(numbers::<Int64Type>(batch, name)?, Value::Integer),
        ColumnKind::Time => {
            values!(numbers::<TimestampMicrosecondType>(batch, name)?, |time: i64| Value::Time(time * 1_000))
        }
        ColumnKind::Double => values!(numbers::<Float64Type>(batch, name)?, Value::Double),
        ColumnKind::Boolean => {
            let array = column(batch, name)?.as_boolean_opt();
            values!(array.ok_or_else(|| format!("column {name} has a wrong type"))?, Value::Boolean)
        }
    })
}
