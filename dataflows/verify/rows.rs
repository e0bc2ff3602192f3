//! Rows of the tables beside the bars against what the lake holds of them.

use super::report::{Difference, Report};
use crate::tables::Tables;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use tidewheel_connectors::lake::rows::{RowsByTick, stored};
use tidewheel_connectors::lake::{LakeError, LakeState};
use tidewheel_schemas::{Row, TableSpec, TickOutput, Value};

/// The tables being compared.
pub(super) struct Rows {
    tables: Vec<(Arc<TableSpec>, RowsByTick)>,
    end: u64,
}

impl Rows {
    pub fn open(lake: &Path, state: &LakeState, tables: &Tables, ticks: &Range<u64>) -> Result<Self, LakeError> {
        let open = |(number, spec)| {
            let rows = RowsByTick::open(lake, state, spec, number, ticks.start)?;
            Ok((Arc::clone(spec), rows))
        };
        let tables = (0u16..).zip(tables.specs()).map(open).collect::<Result<_, LakeError>>()?;
        Ok(Self { tables, end: ticks.end })
    }

    pub fn compare(&mut self, output: &TickOutput, report: &mut Report) -> Result<(), LakeError> {
        for (number, (spec, found)) in (0u16..).zip(&mut self.tables) {
            let rows = found.take(output.tick)?;
            tell_strays(spec, found, report);
            let of_table = output.rows.iter().filter(|row| row.table == number);
            let mut expected: BTreeMap<_, Row> = of_table.map(|row| (key_of(row), stored(row))).collect();
            for row in rows {
                match expected.remove(&key_of(&row)) {
                    Some(expected) => report.rows += u64::from(same(spec, output.tick, &row, &expected, report)),
                    None => report.differ(whole(spec, output.tick, &row, Side::Published)),
                }
            }
            expected.values().for_each(|row| report.differ(whole(spec, output.tick, row, Side::Recomputed)));
        }
        Ok(())
    }

    /// Rows of ticks after the last one of the log.
    pub fn finish(&mut self, report: &mut Report) -> Result<(), LakeError> {
        for (spec, found) in &mut self.tables {
            found.take(self.end)?;
            tell_strays(spec, found, report);
        }
        Ok(())
    }
}

fn tell_strays(spec: &TableSpec, found: &mut RowsByTick, report: &mut Report) {
    found.damages().iter().for_each(|damage| report.damaged(damage));
    for row in found.strays() {
        report.differ(whole(spec, 0, &row, Side::Published));
    }
}

enum Side {
    Published,
    Recomputed,
}

/// A row that only one side has.
fn whole(spec: &TableSpec, tick: u64, row: &Row, side: Side) -> Difference {
    let shown = match &row.values {
        None => format!("a tombstone, revision {}", row.revision),
        Some(_) => format!("revision {}", row.revision),
    };
    let (published, recomputed) = match side {
        Side::Published => (Some(shown), None),
        Side::Recomputed => (None, Some(shown)),
    };
    let tick = Some(tick).filter(|tick| *tick > 0);
    Difference::of(&spec.name(), text_of(row), tick, "row", published, recomputed)
}

/// Whether a row says what the graph says; tells of each column that does not.
fn same(spec: &TableSpec, tick: u64, row: &Row, expected: &Row, report: &mut Report) -> bool {
    if row == expected {
        return true;
    }
    let mut differ = |column: &str, published: String, recomputed: String| {
        if published != recomputed {
            let (published, recomputed) = (Some(published), Some(recomputed));
            report.differ(Difference::of(&spec.name(), text_of(row), Some(tick), column, published, recomputed));
        }
    };
    differ("revision", row.revision.to_string(), expected.revision.to_string());
    for (at, column) in spec.columns.iter().enumerate() {
        let shown = |row: &Row| row.values.as_ref().map_or_else(|| "none".to_owned(), |values| text(&values[at]));
        differ(&column.name, shown(row), shown(expected));
    }
    false
}

/// Doubles as the fewest digits that read back to the same bits.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Text(text) => text.to_string(),
        Value::Integer(number) | Value::Time(number) => number.to_string(),
        Value::Double(number) => format!("{number:?}"),
        Value::Boolean(is) => is.to_string(),
    }
}

/// What a row is called inside its tick and table. The lake keeps whole microseconds.
fn key_of(row: &Row) -> (tidewheel_schemas::Instrument, Arc<str>, i64) {
    (row.instrument.clone(), Arc::clone(&row.qualifier), row.event_time_ns / 1_000)
}

/// As in the topics.
fn text_of(row: &Row) -> String {
    let qualifier = if row.qualifier.is_empty() { String::new() } else { format!("{}|", row.qualifier) };
    let Row { instrument, event_time_ns, .. } = row;
    format!("{}|{}|{qualifier}{}", instrument.venue, instrument.symbol, event_time_ns / 1_000_000)
}
