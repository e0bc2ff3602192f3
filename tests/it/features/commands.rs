//! `tidewheel features`, and the document of the table.

use crate::kafka_live::program::{fails, succeeds, tidewheel};
use std::path::Path;
use tidewheel_operators::features::{FEATURES, View, document};

#[test]
fn the_document_of_the_features_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/features.md");
    if std::env::var_os("TIDEWHEEL_TEST_REWRITE").is_some() {
        std::fs::write(&path, document()).expect("the file can be written");
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(stored == document(), "{} is stale: run the tests with TIDEWHEEL_TEST_REWRITE=1", path.display());
}

#[test]
fn the_list_has_every_feature_and_view() {
    let text = succeeds(tidewheel(&["features", "list"]));
    let json: serde_json::Value =
        serde_json::from_str(&succeeds(tidewheel(&["features", "list", "--json"]))).expect("JSON");
    for feature in FEATURES {
        assert!(text.lines().any(|line| line.starts_with(feature.name)), "{} is not listed", feature.name);
    }
    let names: Vec<&str> =
        json["features"].as_array().expect("a list").iter().filter_map(|feature| feature["name"].as_str()).collect();
    assert_eq!(names, FEATURES.iter().map(|feature| feature.name).collect::<Vec<_>>());
    let columns = View::core_technical().column_names();
    assert_eq!(
        json["views"][0],
        serde_json::json!({
            "name": "core_technical", "version": 1, "base": "1m", "columns": columns,
        })
    );
}

#[test]
fn a_feature_is_described() {
    let text = succeeds(tidewheel(&["features", "describe", "5m.rsi_14@talib"]));
    for expected in [
        "feature     rsi_14@talib\n",
        "unit        0 to 100\n",
        "null until  bar 15, from the first one on\n",
        "warm from   bar 78: where history began weighs less than 1 %\n",
        "source      Wilder 1978; TA-Lib RSI, default compatibility\n",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in\n{text}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&succeeds(tidewheel(&["features", "describe", "time_of_day_sin@utc", "--json"])))
            .expect("JSON");
    assert_eq!(json["is_interval_free"], true);
    assert_eq!(json["longest_interval"], "4h");
}

#[test]
fn a_view_is_described_and_a_mistyped_name_told_from_the_nearest() {
    let text = succeeds(tidewheel(&["features", "describe", "core_technical"]));
    assert!(text.starts_with("core_technical version 1: a row for each final 1m bar\n"), "{text}");
    assert!(text.contains("\n  1h.rsi_14@talib "), "{text}");
    let error = fails(tidewheel(&["features", "describe", "rsi14"]), 2);
    assert!(error.contains("no feature and no view is called \"rsi14\", did you mean \"rsi_14@talib\"?"), "{error}");
    let error = fails(tidewheel(&["features", "describe", "core_tecnical"]), 2);
    assert!(error.contains("did you mean \"core_technical\"?"), "{error}");
}
