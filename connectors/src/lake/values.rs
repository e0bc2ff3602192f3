//! Values of rows as Arrow arrays: one place for what a kind of column is on disk.

use super::columns::{Values, optional_timestamp, timestamp_type};
use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use arrow::datatypes::DataType;
use std::sync::Arc;
use tidewheel_schemas::{ColumnKind, Value};

/// The type of a kind of column.
pub(super) fn type_of(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Integer => DataType::Int64,
        ColumnKind::Time => timestamp_type(),
        ColumnKind::Double => DataType::Float64,
        ColumnKind::Boolean => DataType::Boolean,
    }
}

/// A column of values. One of another kind than the column's is a fault of the graph.
pub(super) fn array<'a>(values: impl Iterator<Item = &'a Value>, kind: ColumnKind) -> ArrayRef {
    macro_rules! of {
        ($variant:path) => {
            values.map(|value| match value {
                $variant(value) => Some(value.clone()),
                Value::Null => None,
                other => unreachable!("{other:?} in a column of another kind"),
            })
        };
    }
    match kind {
        ColumnKind::Text => Arc::new(of!(Value::Text).collect::<StringArray>()),
        ColumnKind::Integer => Arc::new(of!(Value::Integer).collect::<Int64Array>()),
        ColumnKind::Double => Arc::new(of!(Value::Double).collect::<Float64Array>()),
        ColumnKind::Boolean => Arc::new(of!(Value::Boolean).collect::<BooleanArray>()),
        ColumnKind::Time => {
            let mut times = Values::with_capacity(values.size_hint().0);
            of!(Value::Time).for_each(|time| times.push(time.map(|time| time / 1_000)));
            optional_timestamp(times)
        }
    }
}
