//! `tidewheel audit lookahead`: nothing is found of a sound run, and a feature that leaks is.

use super::oracle::versions;
use crate::kafka_live::program::tidewheel;
use crate::recorded::broken::rewrite;
use crate::recorded::history::{copy, history};
use arrow::array::{ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::datatypes::Float64Type;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use tidewheel_connectors::lake::{Table, read};

/// The exit code, and the report or the complaint.
fn audit(lake: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = tidewheel(&["audit", "lookahead", "--json", "--limit", "100000"]);
    let output = command.arg(lake).args(arguments).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Value::String(text(&output.stderr)));
    (output.status.code(), report)
}

#[test]
fn no_row_of_a_run_that_was_killed_and_stopped_knew_the_future() {
    let lake = &history().setup.lake;
    let published = versions(lake).len();
    for workers in ["1", "3"] {
        let (code, report) = audit(lake, &["--workers", workers]);
        println!("{report}");
        assert_eq!((code, &report["leaks_total"]), (Some(0), &Value::from(0)), "{report:#}");
        assert_eq!((&report["published"], &report["checked"]), (&published.into(), &published.into()));
    }
    let (code, report) = audit(lake, &["--sample", "40"]);
    let checked = report["checked"].as_u64().expect("a count");
    assert!(code == Some(0) && (10..=160).contains(&checked), "{report:#}");
    let told = tidewheel(&["audit", "lookahead"]).arg(lake).output().expect("the program starts").stdout;
    assert!(String::from_utf8_lossy(&told).starts_with("no lookahead: "), "{}", String::from_utf8_lossy(&told));
    let (code, told) = audit(lake, &["--view", "mine"]);
    assert!(code == Some(1) && told.as_str().is_some_and(|told| told.contains("computed no view \"mine\"")), "{told}");
}

/// A column whose values are those of the next row.
fn shifted(batch: &RecordBatch, name: &str) -> RecordBatch {
    let at = batch.schema().index_of(name).expect("a column");
    let values = batch.column(at).as_primitive::<Float64Type>();
    let next = values.iter().skip(1).chain([None]).collect::<Float64Array>();
    let mut columns = batch.columns().to_vec();
    columns[at] = Arc::new(next) as ArrayRef;
    RecordBatch::try_new(batch.schema(), columns).expect("the same schema")
}

#[test]
fn a_feature_that_takes_the_value_of_the_next_row_is_caught() {
    const LEAKING: &str = "volume_imbalance_1@taker";
    let folder = tempfile::tempdir().expect("a folder");
    let lake = folder.path().join("lake");
    copy(&history().setup.lake, &lake);
    let state = read::manifest(&lake).expect("a lake");
    let files: Vec<_> = state.of(Table::Features).cloned().collect();
    for file in &files {
        rewrite(&lake.join(&file.path), |batch| shifted(&batch, LEAKING));
    }
    let (code, report) = audit(&lake, &[]);
    assert_eq!(code, Some(1), "{report:#}");
    let leaks = report["leaks"].as_array().expect("a list");
    println!("{} of {} versions leak: {}", leaks.len(), report["published"], leaks[0]);
    // Where a file has one row there is no next one, and some values are equal.
    assert!(leaks.len() > versions_in(&report) / 2, "{report:#}");
    assert!(leaks.iter().all(|leak| leak["column"] == LEAKING && leak["published"] != leak["recomputed"]));
    assert_eq!(report["damages"].as_array().map(Vec::len), Some(files.len()), "each file is another than was written");
}

fn versions_in(report: &Value) -> usize {
    report["published"].as_u64().expect("a count") as usize
}
