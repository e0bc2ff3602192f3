//! `features.VIEW`: what a view says of each final bar of its base interval. The event time is the bar's end.

use tidewheel_operators::features::View;
use tidewheel_schemas::{ColumnKind, ColumnSpec, FeatureRow, Row, TableKind, TableSpec, Value};

/// The table of a view: the start of the bar, the view's columns, and how good they are.
pub(super) fn spec(view: &View) -> TableSpec {
    let own = view.column_names();
    let mut columns = vec![ColumnSpec::new("open_time", ColumnKind::Time)];
    columns.extend(own.iter().map(|name| ColumnSpec::new(name, ColumnKind::Double)));
    columns.extend([
        ColumnSpec::new("is_ready", ColumnKind::Boolean),
        ColumnSpec::new("null_share", ColumnKind::Double),
        ColumnSpec::new("warm_share", ColumnKind::Double),
        ColumnSpec::new("staleness_ms", ColumnKind::Integer),
        ColumnSpec::new("anchor_time", ColumnKind::Time),
    ]);
    TableSpec {
        family: "features".into(),
        member: Some(view.name.as_str().into()),
        version: view.version,
        kind: TableKind::View,
        qualifier: None,
        columns: columns.into(),
    }
}

/// A view's row as a row of its table, whose number is that of the view.
pub(super) fn row(row: FeatureRow) -> Row {
    const MS_NS: i64 = 1_000_000;
    let values = row.values.as_ref().map(|own| {
        let mut values = Vec::with_capacity(own.len() + 6);
        values.push(Value::Time(row.open_time_ns));
        values.extend(own.iter().map(|value| Value::number(*value)));
        values.extend([
            Value::Boolean(row.is_ready),
            Value::Double(row.null_share),
            Value::Double(row.warm_share),
            Value::Integer(row.staleness_ns / MS_NS),
            Value::Time(row.anchor_time_ns),
        ]);
        values.into()
    });
    Row {
        table: row.view,
        instrument: row.instrument,
        qualifier: "".into(),
        event_time_ns: row.close_time_ns,
        revision: row.revision,
        values,
    }
}
