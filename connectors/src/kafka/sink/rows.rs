//! A row of a table beside the bars as a Kafka record: its key, its value, its headers.

use super::bars::{headers, push_name};
use super::json::{Object, push_decimal};
use rdkafka::message::OwnedHeaders;
use tidewheel_schemas::{Row, TableKind, TableSpec, Value};

const MS_NS: i64 = 1_000_000;

/// Writes `venue|symbol|qualifier|event_time_ms`, without the qualifier where the table has none.
pub(super) fn row_key(key: &mut Vec<u8>, spec: &TableSpec, row: &Row) {
    key.clear();
    push_name(key, &row.instrument);
    key.push(b'|');
    if spec.qualifier.is_some() {
        key.extend_from_slice(row.qualifier.as_bytes());
        key.push(b'|');
    }
    push_decimal(key, i128::from(row.event_time_ns / MS_NS), 0);
}

/// Writes the row as JSON: times in milliseconds, doubles in the fewest digits that read back to the same bits.
pub(super) fn row_value(value: &mut Vec<u8>, spec: &TableSpec, row: &Row, values: &[Value], tick: u64) {
    let mut object = Object::begin(value);
    object.text("venue", &row.instrument.venue).text("symbol", &row.instrument.symbol);
    if let Some(name) = &spec.qualifier {
        object.text(name, &row.qualifier);
    }
    object.integer("event_time", row.event_time_ns / MS_NS);
    for (column, value) in spec.columns.iter().zip(values) {
        let name = &column.name;
        match value {
            Value::Null => object.null(name),
            Value::Text(text) => object.text(name, text),
            Value::Integer(number) => object.integer(name, *number),
            Value::Time(time) => object.integer(name, time / MS_NS),
            Value::Double(number) => object.double(name, *number),
            Value::Boolean(is) => object.display(name, is),
        };
    }
    if spec.kind == TableKind::View {
        object.integer("revision", row.revision);
    }
    object.integer("tick", tick).end();
}

/// `tick`, `revision` of views, and `schema`, as text.
pub(super) fn row_headers(spec: &TableSpec, row: &Row, tick: u64) -> OwnedHeaders {
    headers(tick, revision_of(spec, row), &spec.schema())
}

/// The header `revision` of a row: facts have none.
pub(super) fn revision_of(spec: &TableSpec, row: &Row) -> Option<u32> {
    (spec.kind == TableKind::View).then_some(row.revision)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::message::Headers;
    use tidewheel_schemas::{ColumnKind, ColumnSpec, Instrument};

    #[test]
    fn a_row_as_key_value_and_headers() {
        let mut spec = TableSpec {
            family: "features".into(),
            member: Some("core".into()),
            version: 3,
            kind: TableKind::View,
            qualifier: Some("interval".into()),
            columns: [
                ("close_time", ColumnKind::Time),
                ("rsi_14@talib", ColumnKind::Double),
                ("atr", ColumnKind::Double),
                ("ready", ColumnKind::Boolean),
                ("n", ColumnKind::Integer),
                ("why", ColumnKind::Text),
            ]
            .map(|(name, kind)| ColumnSpec::new(name, kind))
            .into(),
        };
        let values = [
            Value::Time(2_000_000_000),
            Value::Double(1e-7),
            Value::Null,
            Value::Boolean(true),
            Value::Integer(-4),
            Value::text("a\"b"),
        ];
        let row = Row {
            table: 0,
            instrument: Instrument::new("binance", "BTC/USDT").expect("a name"),
            qualifier: "1m".into(),
            event_time_ns: 1_000_000_000,
            revision: 2,
            values: Some(values.into()),
        };
        let (mut key, mut value) = (Vec::new(), Vec::new());
        row_key(&mut key, &spec, &row);
        assert_eq!(String::from_utf8_lossy(&key), "binance|BTC/USDT|1m|1000");
        let written = |value: &mut Vec<u8>, spec: &TableSpec| {
            row_value(value, spec, &row, row.values.as_deref().expect("values"), 7);
            serde_json::from_slice::<serde_json::Value>(value).expect("JSON");
            String::from_utf8_lossy(value).into_owned()
        };
        let expected = concat!(
            r#"{"venue":"binance","symbol":"BTC/USDT","interval":"1m","event_time":1000,"close_time":2000,"#,
            r#""rsi_14@talib":1e-7,"atr":null,"ready":true,"n":-4,"why":"a\"b","revision":2,"tick":7}"#
        );
        assert_eq!(written(&mut value, &spec), expected);
        let headers = row_headers(&spec, &row, 7);
        let headers: Vec<(&str, Option<&[u8]>)> = headers.iter().map(|header| (header.key, header.value)).collect();
        let expected: [(&str, Option<&[u8]>); 3] =
            [("tick", Some(b"7")), ("revision", Some(b"2")), ("schema", Some(b"tidewheel.features.core.v3"))];
        assert_eq!(headers, expected);
        (spec.kind, spec.qualifier) = (TableKind::Fact, None);
        row_key(&mut key, &spec, &row);
        assert_eq!(String::from_utf8_lossy(&key), "binance|BTC/USDT|1000");
        assert!(written(&mut value, &spec).ends_with(r#""why":"a\"b","tick":7}"#));
        assert_eq!(row_headers(&spec, &row, 7).count(), 2);
    }
}
