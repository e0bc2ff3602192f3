//! `tidewheel features export`: of each row the version that is asked for, and labels that look ahead of it alone.

use super::everywhere::{long_market, replayed};
use super::oracle::{Key, last_of, versions};
use crate::kafka_live::markets::{ALL_FAULTS, Recorded};
use crate::kafka_live::program::{fails, succeeds, tidewheel};
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use tidewheel_connectors::lake::read;
use tidewheel_operators::features::View;
use tidewheel_schemas::{BarVersion, Instrument, Interval, Row, Value};

/// A lake of an hour and more, with revised and removed rows.
fn lake() -> &'static (Recorded, PathBuf) {
    static LAKE: OnceLock<(Recorded, PathBuf)> = OnceLock::new();
    LAKE.get_or_init(|| {
        let recorded = long_market(44, 5, ALL_FAULTS);
        let lake = replayed(&recorded, "lake", &["--tick", "10s"]);
        (recorded, lake)
    })
}

/// Exports into a file, and reads it.
fn export(name: &str, arguments: &[&str]) -> (RecordBatch, String) {
    let (recorded, lake) = lake();
    let file = recorded.folder().join(name);
    let mut command = tidewheel(&["features", "export"]);
    command.arg(lake).args(arguments).arg("--output").arg(&file);
    let said = succeeds(command);
    (table(&file), said)
}

fn table(file: &Path) -> RecordBatch {
    let file = std::fs::File::open(file).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("Parquet");
    let schema = arrow::record_batch::RecordBatchReader::schema(&reader);
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("rows")).collect();
    arrow::compute::concat_batches(&schema, &batches).expect("one schema")
}

/// A column as numbers.
fn numbers(table: &RecordBatch, name: &str) -> Vec<Option<f64>> {
    let column = table.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
    column.as_primitive::<Float64Type>().iter().collect()
}

/// The rows of a whole export: key, tick that published it, revision.
fn heads(table: &RecordBatch) -> Vec<(Key, u64, u32)> {
    let text = |name: &str| table.column_by_name(name).expect("a column").as_string::<i32>();
    let time = table.column_by_name("event_time").expect("a column").as_primitive::<TimestampMicrosecondType>();
    let whole = |name: &str| table.column_by_name(name).expect("a column").as_primitive::<Int64Type>();
    let (venue, symbol, tick, revision) = (text("venue"), text("symbol"), whole("known_tick"), whole("revision"));
    let head = |row: usize| {
        let instrument = Instrument::new(venue.value(row), symbol.value(row)).expect("a name");
        ((instrument, time.value(row) * 1_000), tick.value(row).cast_unsigned(), revision.value(row) as u32)
    };
    (0..table.num_rows()).map(head).collect()
}

/// Holds a whole export against versions of rows.
fn same_rows(table: &RecordBatch, expected: &BTreeMap<Key, (u64, Row)>) {
    let of_row = |(key, (tick, row)): (&Key, &(u64, Row))| (key.clone(), *tick, row.revision);
    // A day after the other, each by instrument and time.
    const DAY_NS: i64 = 86_400_000_000_000;
    let mut rows: Vec<_> = expected.iter().collect();
    rows.sort_by_key(|(key, _)| (key.1.div_euclid(DAY_NS), (*key).clone()));
    assert_eq!(heads(table), rows.iter().map(|(key, row)| of_row((key, row))).collect::<Vec<_>>());
    let columns = View::core_technical().column_names();
    for (at, column) in columns.iter().enumerate() {
        for (number, (found, (key, (_, row)))) in numbers(table, column).into_iter().zip(&rows).enumerate() {
            let values = row.values.as_deref().expect("rows that are gone are left out");
            assert_eq!(Value::number(found), values[1 + at], "row {number} {key:?} {column}");
        }
    }
    let ready = table.column_by_name("is_ready").expect("a column").as_boolean();
    for (found, (_, (_, row))) in ready.iter().zip(&rows) {
        assert_eq!(found.map(Value::Boolean).as_ref(), row.values.as_deref().map(|values| &values[1 + columns.len()]));
    }
}

#[test]
fn rows_are_those_that_stand_or_those_that_were_known() {
    let versions = versions(&lake().1);
    let last = last_of(&versions);
    let (table, said) = export("corrected.parquet", &[]);
    same_rows(&table, &last);
    assert!(said.contains(" rows of 5 instruments, in "), "{said}");

    let first: Vec<(u64, Row)> = versions.iter().filter(|(_, row)| row.revision == 0).cloned().collect();
    let (table, _) = export("first.parquet", &["--as-known"]);
    same_rows(&table, &last_of(&first));
    let changed = last_of(&first).iter().filter(|(key, row)| last.get(*key) != Some(*row)).count();
    println!("{} rows stand, {} came out, {changed} were changed or taken back since", last.len(), first.len());
    assert!(changed > 20, "of {} rows only {changed} were changed", first.len());

    let mut ticks: Vec<u64> = versions.iter().map(|(tick, _)| *tick).collect();
    ticks.sort_unstable();
    let tick = ticks[ticks.len() / 2];
    let until: Vec<(u64, Row)> = versions.into_iter().filter(|(of, _)| *of <= tick).collect();
    let (table, _) = export("then.parquet", &["--as-known", &tick.to_string()]);
    same_rows(&table, &last_of(&until));
}

#[test]
fn a_range_and_symbols_are_a_part_of_all() {
    let last = last_of(&versions(&lake().1));
    let times: Vec<i64> = last.keys().map(|(_, time)| *time).collect();
    let (least, most) = (times.iter().min().expect("rows"), times.iter().max().expect("rows"));
    let (from, to) = (least + (most - least) / 3, least + (most - least) * 2 / 3);
    let instrument = last.keys().next().expect("rows").0.clone();
    let text = |ns: i64| (ns / 1_000_000).to_string();
    for name in [instrument.symbol.to_string(), format!("{}|{}", instrument.venue, instrument.symbol)] {
        let (table, _) = export("part.parquet", &["--from", &text(from), "--to", &text(to), "--symbols", &name]);
        let is_wanted = |key: &Key| key.0 == instrument && (from / 1_000_000 * 1_000_000..to).contains(&key.1);
        let part: BTreeMap<Key, (u64, Row)> =
            last.iter().filter(|(key, _)| is_wanted(key)).map(|(key, row)| (key.clone(), row.clone())).collect();
        assert!(part.len() > 10);
        same_rows(&table, &part);
    }
}

/// The label by its definition, from all final bars: the last close at or before the end of the horizon.
fn slow_label(bars: &[BarVersion], (instrument, time): &Key, minutes: i64) -> Option<f64> {
    const MINUTE_NS: i64 = 60_000_000_000;
    let is_over = bars.iter().any(|bar| bar.close_time_ns() >= time + minutes * MINUTE_NS);
    let close = |until: i64| {
        let of = bars.iter().filter(|bar| bar.instrument == *instrument && bar.close_time_ns() <= until);
        let last = of.max_by_key(|bar| bar.open_time_ns).and_then(|bar| bar.bar);
        last.map_or(f64::NAN, |bar| bar.close_e8 as f64)
    };
    is_over.then(|| (close(time + minutes * MINUTE_NS) / close(*time)).ln())
}

#[test]
fn labels_look_ahead_and_say_when_they_could_be_known() {
    let bars = read::bars(&lake().1, Interval::M1).expect("a lake");
    let (table, said) = export("labels.parquet", &["--label", "return_5m,return_3bars"]);
    let (minutes, of_bars) = (numbers(&table, "return_5m"), numbers(&table, "return_3bars"));
    let known = table.column_by_name("label_known_time").expect("a column").as_primitive::<TimestampMicrosecondType>();
    let closes = |instrument: &Instrument| -> Vec<&BarVersion> {
        bars.iter().filter(|bar| bar.instrument == *instrument).collect()
    };
    let mut nulls = [0, 0];
    for (row, (key, tick, _)) in heads(&table).iter().enumerate() {
        assert_eq!(minutes[row].map(f64::to_bits), slow_label(&bars, key, 5).map(f64::to_bits), "{key:?}");
        let own = closes(&key.0);
        let at = own.iter().position(|bar| bar.close_time_ns() == key.1).expect("the row's bar");
        let price = |bar: &BarVersion| bar.bar.expect("a bar").close_e8 as f64;
        let expected = own.get(at + 3).map(|end| (price(end) / price(own[at])).ln());
        assert_eq!(of_bars[row].map(f64::to_bits), expected.map(f64::to_bits), "{key:?}");
        if minutes[row].is_some() {
            // Never before the horizon is over.
            assert!(known.value(row) * 1_000 >= key.1 + 300_000_000_000 && *tick > 0, "{key:?}");
        }
        nulls[0] += usize::from(minutes[row].is_none());
        nulls[1] += usize::from(of_bars[row].is_none());
    }
    println!("{said}{} rows, {nulls:?} without a label", table.num_rows());
    // The last three bars of each of five instruments; of the last minutes those that there are.
    assert!(nulls[1] == 15 && (5..=25).contains(&nulls[0]), "{nulls:?}");
    let labelled = said.contains(&format!(", {} of them with all labels", table.num_rows() - nulls[1].max(nulls[0])));
    assert!(labelled || nulls[0] != 0, "{said}");
    // No feature column is another with labels than without.
    let (plain, _) = export("plain.parquet", &[]);
    for column in View::core_technical().column_names() {
        let bits = |table: &RecordBatch| -> Vec<_> {
            numbers(table, &column).into_iter().map(|value| value.map(f64::to_bits)).collect()
        };
        assert_eq!(bits(&table), bits(&plain), "{column}");
    }
}

#[test]
fn what_was_known_at_a_tick_has_labels_of_that_tick_too() {
    let versions = versions(&lake().1);
    let mut ticks: Vec<u64> = versions.iter().map(|(tick, _)| *tick).collect();
    ticks.sort_unstable();
    let tick = ticks[ticks.len() / 2];
    let changelog = read::changelog(&lake().1, Interval::M1).expect("a lake");
    let mut known: BTreeMap<Key, BarVersion> = BTreeMap::new();
    for version in changelog.into_iter().filter(|version| version.is_final && version.tick <= tick) {
        known.insert((version.instrument.clone(), version.open_time_ns), version);
    }
    let bars: Vec<BarVersion> = known.into_values().filter(|version| version.bar.is_some()).collect();
    let (table, _) = export("then-labels.parquet", &["--as-known", &tick.to_string(), "--label", "return_5m"]);
    let labels = numbers(&table, "return_5m");
    assert!(labels.iter().any(Option::is_none) && labels.iter().any(Option::is_some));
    for (label, (key, _, _)) in labels.iter().zip(heads(&table)) {
        assert_eq!(label.map(f64::to_bits), slow_label(&bars, &key, 5).map(f64::to_bits), "{key:?}");
    }
}

#[test]
fn a_file_says_what_its_values_depend_on() {
    let (recorded, lake) = lake();
    let file = recorded.folder().join("contract.parquet");
    let mut command = tidewheel(&["features", "export"]);
    command.arg(lake).arg("--output").arg(&file);
    succeeds(command);
    let opened = std::fs::File::open(&file).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(opened).expect("Parquet");
    let said = reader.metadata().file_metadata().key_value_metadata().expect("metadata");
    let value = |key: &str| {
        let found = said.iter().find(|entry| entry.key == key).unwrap_or_else(|| panic!("no {key}"));
        found.value.clone().expect("a value")
    };
    let contract = View::core_technical().contract().join("\n");
    assert_eq!(value("tidewheel.view"), "core_technical@1");
    assert_eq!(value("tidewheel.view_contract"), contract);
    let sum = tidewheel_connectors::registry::sha256(contract.as_bytes());
    assert_eq!(value("tidewheel.view_contract_sha256"), sum);
}

#[test]
fn a_file_for_training_has_symbol_close_time_features_and_label() {
    let (table, _) = export("train.parquet", &["--label", "return_5m", "--for-training"]);
    let (whole, _) = export("whole.parquet", &["--label", "return_5m"]);
    let names: Vec<String> = table.schema().fields().iter().map(|field| field.name().clone()).collect();
    let features = View::core_technical().column_names();
    let expected = ["symbol", "close_time"].into_iter().chain(features.iter().map(String::as_str)).chain(["label"]);
    assert!(names.iter().map(String::as_str).eq(expected), "{names:?}");
    assert_eq!(numbers(&table, "label"), numbers(&whole, "return_5m"));
    assert_eq!(table.column_by_name("close_time"), whole.column_by_name("event_time"));
}

#[test]
fn what_cannot_be_exported_is_said_and_leaves_no_file() {
    let (recorded, lake) = lake();
    let file = recorded.folder().join("refused.parquet");
    let refuses = |from: &Path, arguments: &[&str], code, expected: &str| {
        let mut command = tidewheel(&["features", "export"]);
        command.arg(from).args(arguments).arg("--output").arg(&file);
        let told = fails(command, code);
        assert!(told.contains(expected), "{expected:?} is missing in: {told}");
        assert!(!file.exists() && !recorded.folder().join("refused.parquet.part").exists());
    };
    refuses(lake, &["--view", "core_tecnical"], 2, "there are core_technical");
    refuses(lake, &["--label", "up_5m"], 2, "is no label");
    refuses(lake, &["--for-training", "--label", "return_5m,return_6m"], 1, "give --label once");
    refuses(recorded.folder(), &[], 1, "has no rows of view \"core_technical\"");
    let hours = recorded.folder().join("hours");
    let mut command = tidewheel(&["replay", "--quiet", "--views", "core_technical", "--intervals", "1h", "--lake"]);
    command.arg(&hours).arg("--input").arg(recorded.file()).args(["--format", "canonical"]);
    succeeds(command);
    refuses(&hours, &["--label", "return_5m"], 1, "has no final 1m bars");
}
