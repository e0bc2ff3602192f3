//! The demo shows what it is for: the models that are part of the program predict, give signals, and are promoted.

use crate::kafka_live::program::{succeeds, tidewheel};

#[test]
fn the_demo_predicts_and_promotes_another_ensemble_while_it_is_watched() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut demo = tidewheel(&["demo", "--for", "10s", "--rate", "500", "--lake"]);
    demo.arg(folder.path().join("lake"));
    let told = succeeds(demo);
    for ensemble in ["plain@1 (challenger", "demo@1 (production", "demo@2 (production", "demo@1 (challenger"] {
        assert!(told.contains(&format!("ensemble_activated {ensemble}")), "{ensemble}: {told}");
    }
    let rows = |table: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(table)?.strip_prefix(" rows "));
        line.and_then(|number| number.replace(',', "").parse::<u64>().ok()).unwrap_or_default()
    };
    let (predictions, signals, shadow) = (rows("predictions"), rows("signals"), rows("shadow_predictions"));
    println!("{predictions} predictions, {shadow} beside them");
    assert!(predictions > 100 && signals == predictions && shadow > 100, "{told}");
    assert!(told.contains("signal: act "), "of so many predictions none was sure: {told}");
    assert!(told.contains("(reconciles)"), "{told}");
}
