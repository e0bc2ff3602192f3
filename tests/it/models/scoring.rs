//! From a promotion to a decision: what the registry gives is what is scored, whole or not at all.

use super::Bench;
use std::fs;
use tidewheel::models;
use tidewheel_connectors::registry::Registry;
use tidewheel_models::{ActiveEnsemble, Alias, EnsembleDefinition, FeatureRow, GoldenVectors, Promotion, Window};

const STEP_NS: i64 = 1_000_000_000;

/// The demo's features, and rows of them out of golden vectors.
fn rows() -> (Vec<String>, Vec<Vec<Option<f64>>>) {
    let bytes = fs::read(super::demo("mlp").join("golden.json")).expect("golden vectors");
    let golden = GoldenVectors::from_json(&bytes).expect("golden vectors");
    let rows = golden.vectors.into_iter().filter(|vector| vector.symbol == "BTCUSDT").flat_map(|vector| vector.rows);
    (golden.features, rows.filter(|row| row.iter().all(Option::is_some)).collect())
}

/// The demo's ensemble, promoted in a new registry.
fn promoted(bench: &Bench) -> (Registry, Promotion) {
    for kind in ["gbt", "mlp", "lstm"] {
        bench.register(kind);
    }
    let registry = Registry::open(&bench.path("registry")).expect("a registry");
    let json = fs::read(super::demo("ensemble.json")).expect("a definition");
    let definition: EnsembleDefinition = serde_json::from_slice(&json).expect("a definition");
    let promotion =
        models::promote(&registry, Alias::Production, "any", "return_10s", definition).expect("a promotion");
    (registry, promotion)
}

/// Bits of all decisions over a minute's worth of windows, and how many of the members gave a number in each.
fn decisions(active: &ActiveEnsemble, values: &[Vec<Option<f64>>], first: usize) -> Vec<(u64, u64, usize)> {
    let row = |at: usize| FeatureRow {
        event_time_ns: at as i64 * STEP_NS,
        staleness_ns: 0,
        warm_share: 1.0,
        values: &values[at % values.len()],
    };
    let rows: Vec<_> = (0..100).map(row).collect();
    let score = |end: usize| {
        let window = Window { symbol: "BTCUSDT", rows: &rows[..end] };
        let scored = active.score(&window);
        let decision = scored.decision.expect("a decision");
        (decision.value.to_bits(), decision.present.to_bits(), scored.members.iter().filter(|one| one.is_ok()).count())
    };
    (first..=100).map(score).collect()
}

#[test]
fn what_was_promoted_scores_the_same_bits_however_often_it_is_loaded() {
    let bench = Bench::new();
    let (registry, promotion) = promoted(&bench);
    let (columns, values) = rows();
    let view = tidewheel_models::FeatureView { name: "demo".to_owned(), version: 1 };
    let activate = || models::activate(&registry, &promotion, &view, &columns).expect("an ensemble");
    let one = decisions(&activate(), &values, 1);
    assert_eq!(one, decisions(&activate(), &values, 1));
    // Until there are 15 rows the LSTM refuses, and its quarter of the weights is missing.
    assert!(one[..14].iter().all(|(_, present, members)| (*present, *members) == (0.75_f64.to_bits(), 2)));
    assert!(one[14..].iter().all(|(_, present, members)| (*present, *members) == (1.0_f64.to_bits(), 3)));
    // Twelve rows take turns, each scored without and with the LSTM.
    let distinct: std::collections::BTreeSet<_> = one.iter().map(|(value, _, _)| value).collect();
    assert_eq!((values.len(), distinct.len()), (12, 24));
}

#[test]
fn what_is_not_what_was_promoted_is_not_activated() {
    let bench = Bench::new();
    let (registry, promotion) = promoted(&bench);
    let (columns, _) = rows();
    let view = tidewheel_models::FeatureView { name: "demo".to_owned(), version: 1 };
    let told = |promotion: &Promotion, columns: &[String]| {
        models::activate(&registry, promotion, &view, columns).map(drop).expect_err("an error").to_string()
    };
    let mut other = promotion.clone();
    other.members[1].sha256 = "0".repeat(64);
    assert!(told(&other, &columns).contains("promoted was 000"), "{}", told(&other, &columns));
    let mut gone = promotion.clone();
    (gone.members[0].version, gone.ensemble.members[0].version) = (9, 9);
    assert!(told(&gone, &columns).contains("could not find version 9"), "{}", told(&gone, &columns));
    let mut few = promotion.clone();
    few.members.pop();
    assert!(told(&few, &columns).contains("it was not given"), "{}", told(&few, &columns));
    let mut twice = promotion.clone();
    twice.members.push(twice.members[0].clone());
    assert!(told(&twice, &columns).contains("stands where the ensemble has nothing"), "{}", told(&twice, &columns));
    twice.ensemble.members.truncate(1);
    assert!(told(&twice, &columns).contains("stands where the ensemble has nothing"), "{}", told(&twice, &columns));
    let mut swapped = promotion.clone();
    swapped.members.swap(0, 1);
    assert!(told(&swapped, &columns).contains("stands where the ensemble has any-return_10s-gbt@1"));
    let missing = told(&promotion, &columns[1..]);
    assert!(missing.contains("view has no column \"return_1@log\""), "{missing}");
    let artifact = bench.path("registry/models/any-return_10s-lstm/1/model.onnx");
    let mut bytes = fs::read(&artifact).expect("an artifact");
    bytes[200] ^= 1;
    fs::write(&artifact, bytes).expect("a changed artifact");
    assert!(told(&promotion, &columns).contains("model.onnx: its SHA-256 is"), "{}", told(&promotion, &columns));
}

#[test]
fn the_demo_can_promote_each_of_its_ensembles() {
    let bench = Bench::new();
    for kind in ["gbt", "xgb", "mlp", "lstm", "linear"] {
        bench.register(kind);
    }
    for (file, alias, members) in
        [("challenger", "challenger", 1), ("ensemble", "production", 3), ("ensemble-2", "production", 5)]
    {
        let definition = super::demo(&format!("{file}.json")).display().to_string();
        let told = bench.done(&["promote", &definition, "--target", "return_10s", "--alias", alias]);
        assert_eq!(told.lines().filter(|line| line.contains("sha256")).count(), members, "{told}");
    }
}
