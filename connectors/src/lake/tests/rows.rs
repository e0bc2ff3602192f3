//! The tables beside the bars: what is written reads back, value for value, in the order of ticks.

use super::*;
use crate::lake::rows::{RowsByTick, stored};
use std::sync::Arc;
use tidewheel_schemas::{ColumnKind, ColumnSpec, Row, TableKind, TableSpec, Value};

const DAY_NS: i64 = 1_440 * MINUTE_NS;

/// Two views of one family, and a table of each other family.
pub(super) fn tables() -> Vec<Arc<TableSpec>> {
    let kinds = [ColumnKind::Time, ColumnKind::Double, ColumnKind::Text, ColumnKind::Integer, ColumnKind::Boolean];
    let columns: Vec<ColumnSpec> =
        kinds.into_iter().map(|kind| ColumnSpec::new(&format!("a {kind:?}").to_lowercase(), kind)).collect();
    let spec = |family: &str, member: Option<&str>, kind, qualifier: Option<&str>| {
        Arc::new(TableSpec {
            family: family.into(),
            member: member.map(Into::into),
            version: 1,
            kind,
            qualifier: qualifier.map(Into::into),
            columns: columns.clone().into(),
        })
    };
    vec![
        spec("features", Some("core"), TableKind::View, None),
        spec("features", Some("other"), TableKind::View, Some("interval")),
        spec("hourly_volume", None, TableKind::View, None),
        spec("predictions", None, TableKind::Fact, Some("target")),
        spec("shadow_predictions", None, TableKind::Fact, Some("target")),
        spec("signals", None, TableKind::Fact, None),
        spec("events", None, TableKind::Fact, None),
        spec("control", None, TableKind::Fact, Some("record")),
        spec("positions", None, TableKind::Fact, Some("holder")),
        spec("risk", None, TableKind::Fact, Some("part")),
        spec("risk_events", None, TableKind::Fact, Some("event")),
        spec("order_decisions", None, TableKind::Fact, Some("intent")),
    ]
}

/// A row of each table for two instruments; of views every third is taken back.
pub(super) fn rows(number: u64) -> Vec<Row> {
    let mut rows = Vec::new();
    for (table, spec) in (0u16..).zip(tables()) {
        for symbol in ["BTC", "ETH"] {
            let mark = number as f64 + f64::from(table) / 10.0;
            let time = START_NS + number as i64 * 90 * MINUTE_NS + 123_456_789;
            let values = [
                Value::Time(time + 1),
                Value::number(Some(mark).filter(|_| number.is_multiple_of(2))),
                Value::text(symbol),
                Value::Integer(-(number as i64)),
                Value::Boolean(symbol == "BTC"),
            ];
            let is_removed = spec.kind == TableKind::View && number % 3 == 2;
            rows.push(Row {
                table,
                instrument: instrument(symbol),
                qualifier: if spec.qualifier.is_some() { "5m".into() } else { "".into() },
                event_time_ns: time,
                revision: if spec.kind == TableKind::View { number as u32 } else { 0 },
                values: (!is_removed).then(|| values.into()),
            });
        }
    }
    rows
}

/// All rows of a lake in the order of ticks, a line each.
pub(super) fn text(root: &Path) -> String {
    let state = read::manifest(root).expect("the state can be read");
    let mut text = String::new();
    for (number, spec) in (0u16..).zip(tables()) {
        let mut rows = RowsByTick::open(root, &state, &spec, number, 0).expect("a lake");
        rows.drain(|row| text += &format!("{row:?}\n")).expect("rows can be read");
        assert!(rows.damages().is_empty());
    }
    text
}

#[test]
fn rows_read_back_by_tick_as_they_were_written() {
    const TICKS: u64 = 40;
    let folder = TempDir::new().expect("a temporary folder");
    let mut lake = Lake::open(config(&folder)).expect("a new lake");
    for number in 1..=TICKS {
        assert!(lake.append(TickOutput { tick: number, rows: rows(number), ..TickOutput::default() }));
        if number % 7 == 0 || number == TICKS {
            lake.commit(&progress(number + 1)).expect("a commit");
        }
    }
    let root = config(&folder).root;
    let state = read::manifest(&root).expect("the state can be read");
    let days: BTreeSet<&str> = state.of(Table::Features).filter_map(|file| file.path.rsplit('/').nth(1)).collect();
    assert_eq!(days.len(), 1 + (TICKS as i64 * 90 * MINUTE_NS / DAY_NS) as usize + 1, "{days:?}");
    for (number, spec) in (0u16..).zip(tables()) {
        let mut found = RowsByTick::open(&root, &state, &spec, number, 0).expect("a lake");
        for tick in 1..=TICKS {
            let expected: Vec<Row> = rows(tick).iter().filter(|row| row.table == number).map(stored).collect();
            assert_eq!(found.take(tick).expect("rows of a tick"), expected, "tick {tick} of {}", spec.name());
        }
        assert!(found.strays().is_empty() && found.damages().is_empty());
    }
}
