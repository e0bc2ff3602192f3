//! `hourly_volume`: what was traded of an instrument in each hour. The event time is the hour's end.

use tidewheel_operators::hourly::HourRow;
use tidewheel_schemas::{ColumnKind, ColumnSpec, Row, TableKind, TableSpec, Value};

/// Its columns. Volumes are of the exact sums, turned into floats once; `day_share` is of the volume from midnight UTC through
/// the hour's end.
const COLUMNS: [(&str, ColumnKind); 7] = [
    ("open_time", ColumnKind::Time),
    ("volume", ColumnKind::Double),
    ("quote_volume", ColumnKind::Double),
    ("taker_buy_volume", ColumnKind::Double),
    ("taker_buy_quote_volume", ColumnKind::Double),
    ("trade_count", ColumnKind::Integer),
    ("day_share", ColumnKind::Double),
];

/// The table.
pub(super) fn spec() -> TableSpec {
    let columns = COLUMNS.map(|(name, kind)| ColumnSpec::new(name, kind));
    TableSpec {
        family: "hourly_volume".into(),
        member: None,
        version: 1,
        kind: TableKind::View,
        qualifier: None,
        columns: columns.into(),
    }
}

/// The row of an hour in the table of a number.
pub(super) fn row(table: u16, row: HourRow) -> Row {
    const E8: f64 = 1e8;
    const E16: f64 = 1e16;
    let event_time_ns = row.close_time_ns();
    let values = row.values.map(|hour| {
        let values: [Value; COLUMNS.len()] = [
            Value::Time(row.open_time_ns),
            Value::Double(hour.volume_e8 as f64 / E8),
            Value::Double(hour.quote_volume_e16 as f64 / E16),
            Value::Double(hour.taker_buy_volume_e8 as f64 / E8),
            Value::Double(hour.taker_buy_quote_volume_e16 as f64 / E16),
            Value::Integer(hour.trades.cast_signed()),
            Value::number(Some(hour.volume_e8 as f64 / hour.day_volume_e8 as f64)),
        ];
        values.into()
    });
    Row { table, instrument: row.instrument, qualifier: "".into(), event_time_ns, revision: row.revision, values }
}
