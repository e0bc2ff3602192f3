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

const MS_NS: i64 = 1_000_000;

/// A view's row as a row of its table, whose number is that of the view.
pub(super) fn row(row: FeatureRow) -> Row {
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

/// The way back.
pub(super) fn feature_of(view: &View, row: &Row, tick: u64) -> Option<FeatureRow> {
    let open_time_ns = row.event_time_ns - view.base.duration_ns();
    let gone = FeatureRow {
        view: row.table,
        instrument: row.instrument.clone(),
        open_time_ns,
        close_time_ns: row.event_time_ns,
        tick,
        revision: row.revision,
        is_ready: false,
        null_share: 1.0,
        warm_share: 0.0,
        staleness_ns: 0,
        anchor_time_ns: open_time_ns,
        values: None,
    };
    let Some(values) = row.values.as_deref() else { return Some(gone) };
    let [Value::Time(open_time_ns), own @ .., ready, nulls, warm, staleness, anchor] = values else { return None };
    let number = |value: &Value| match value {
        Value::Double(number) => Some(Some(*number)),
        Value::Null => Some(None),
        _ => None,
    };
    let own = own.iter().map(number).collect::<Option<Box<[_]>>>().filter(|own| own.len() == view.columns.len())?;
    let (Value::Boolean(is_ready), Value::Double(null_share), Value::Double(warm_share)) = (ready, nulls, warm) else {
        return None;
    };
    let (Value::Integer(staleness_ms), Value::Time(anchor_time_ns)) = (staleness, anchor) else { return None };
    Some(FeatureRow {
        open_time_ns: *open_time_ns,
        is_ready: *is_ready,
        null_share: *null_share,
        warm_share: *warm_share,
        staleness_ns: staleness_ms * MS_NS,
        anchor_time_ns: *anchor_time_ns,
        values: Some(own),
        ..gone
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewheel_schemas::{Instrument, Interval};

    #[test]
    fn a_row_there_and_back_is_itself() {
        let view = View::resolve("few", 1, Interval::M1, &["rsi_14@talib", "obv@talib"]).expect("both are features");
        let there = FeatureRow {
            view: 0,
            instrument: Instrument::new("binance", "BTCUSDT").expect("a name"),
            open_time_ns: 60_000_000_000,
            close_time_ns: 120_000_000_000,
            tick: 7,
            revision: 3,
            is_ready: false,
            null_share: 0.5,
            warm_share: 0.25,
            staleness_ns: 300_000_000_000,
            anchor_time_ns: -60_000_000_000,
            values: Some([None, Some(-0.0)].into()),
        };
        assert_eq!(feature_of(&view, &row(there.clone()), 7), Some(there.clone()));
        let gone = FeatureRow { null_share: 1.0, warm_share: 0.0, staleness_ns: 0, values: None, ..there };
        let gone = FeatureRow { anchor_time_ns: gone.open_time_ns, ..gone };
        assert_eq!(feature_of(&view, &row(gone.clone()), 7), Some(gone.clone()));
        let other = Row { values: Some([Value::Null].into()), ..row(gone) };
        assert_eq!(feature_of(&view, &other, 7), None);
    }
}
