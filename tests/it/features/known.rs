//! What was known of features at a tick, asked in DuckDB by the macros that the program prints.

use super::everywhere::{long_market, replayed};
use super::oracle::{last_of, versions};
use crate::harness::program::tidewheel;
use crate::kafka_live::markets::ALL_FAULTS;
use crate::readers::python_with_readers;
use serde_json::{Value as Json, json};
use std::path::Path;
use std::process::Command;
use tidewheel_operators::features::View;
use tidewheel_schemas::{Row, Value};

/// Columns that are asked for, among them one that has values from the first bar on.
const COLUMNS: [&str; 3] = ["rsi_14@talib", "5m.return_1@log", "volume_imbalance_1@taker"];

/// Rows as the script reads them.
fn known(versions: &[(u64, Row)], tick: u64) -> Vec<Json> {
    let until: Vec<(u64, Row)> = versions.iter().filter(|(of, _)| *of <= tick).cloned().collect();
    let names = View::core_technical().column_names();
    let rows = last_of(&until).into_values().map(|(tick, row)| {
        let values = row.values.as_deref().expect("rows that were taken back are left out");
        // The start of the bar stands before the columns.
        let own =
            COLUMNS.map(|column| match values[1 + names.iter().position(|name| name == column).expect("a column")] {
                Value::Double(number) => json!(number),
                _ => Json::Null,
            });
        let is_ready = values[1 + names.len()] == Value::Boolean(true);
        let (venue, symbol) = (row.instrument.venue.to_string(), row.instrument.symbol.to_string());
        let head = [json!(venue), json!(symbol), json!(row.event_time_ns / 1_000), json!(tick), json!(row.revision)];
        Json::Array(head.into_iter().chain([json!(is_ready)]).chain(own).collect())
    });
    rows.collect()
}

#[test]
fn the_macros_know_the_rows_of_every_tick() {
    let recorded = long_market(43, 4, ALL_FAULTS);
    let lake = replayed(&recorded, "lake", &["--tick", "10s"]);
    let versions = versions(&lake);
    let mut ticks: Vec<u64> = versions.iter().map(|(tick, _)| *tick).collect();
    ticks.sort_unstable();
    ticks.dedup();
    assert!(versions.iter().any(|(_, row)| row.revision > 0), "some rows were revised");
    let asked = [ticks[0] - 1, ticks[0], ticks[ticks.len() / 3], ticks[ticks.len() / 2] + 1, ticks[ticks.len() - 1]];
    let questions: Vec<Json> =
        asked.iter().map(|tick| json!({"tick": tick, "rows": known(&versions, *tick)})).collect();
    let expected = json!({"columns": COLUMNS, "questions": questions});
    let Some(python) = python_with_readers() else { return };
    let (macros, file) = (recorded.folder().join("macros.sql"), recorded.folder().join("expected.json"));
    std::fs::write(&macros, tidewheel(&["sql"]).out).expect("a file");
    std::fs::write(&file, expected.to_string()).expect("a file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/features/known.py");
    let output = Command::new(&python).arg(script).args([&lake, &macros, &file]).output().expect("python runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
