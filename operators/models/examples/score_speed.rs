//! How fast an ensemble of the demo's folder scores on one core: 200 trees, a perceptron and an LSTM of 60 steps, beside
//! onnxruntime.
//!
//! ```text
//! cargo run --release --workspace --example score_speed [PYTHON]
//! ```
//!
//! With the Python of an environment that has `deploy/models/requirements.txt`, onnxruntime runs the same artifacts on the
//! same rows in the same run, on one thread. The trees are there once as LightGBM's text and once as ONNX. Goal: p99 below
//! 5 ms a row, 2,000 rows/s.

#![allow(clippy::disallowed_types, reason = "a bench reads files and the clock")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;
use tidewheel_models::ensemble::{MemberDefinition, Method, MissingPolicy};
use tidewheel_models::{
    ActiveEnsemble, Ensemble, EnsembleDefinition, FeatureRow, GoldenVectors, LoadedModel, OutputKind, Window,
};

const STEP_NS: i64 = 1_000_000_000;
const SCORES: usize = 20_000;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/models/demo")
}

fn read(kind: &str, name: &str) -> Vec<u8> {
    let path = folder().join(kind).join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("could not read {}: {error}", path.display()))
}

fn load(kind: &str) -> Arc<LoadedModel> {
    let names = ["golden.json", "scalers.json", "model.onnx", "model.txt", "model.json"];
    let there = names.into_iter().filter(|name| folder().join(kind).join(name).is_file());
    let files: Vec<_> = there.map(|name| (name, read(kind, name))).collect();
    let file = |name: &str| files.iter().find(|(file, _)| *file == name).map(|(_, bytes)| bytes.as_slice());
    Arc::new(LoadedModel::load(&read(kind, "manifest.json"), file).unwrap_or_else(|error| panic!("{kind}: {error}")))
}

/// Scores as often as said, one row further each time; prints how long a row took.
fn measure(title: &str, kinds: &[&str], columns: &[String], values: &[Vec<Option<f64>>]) {
    let mut models: Vec<_> = kinds.iter().map(|kind| load(kind)).collect();
    models.sort_by(|one, other| one.manifest().id.cmp(&other.manifest().id));
    let member =
        |model: &Arc<LoadedModel>| MemberDefinition { model: model.manifest().id.clone(), version: 1, weight: 1.0 };
    let ensemble = Ensemble::new(EnsembleDefinition {
        name: "bench".to_owned(),
        version: 1,
        output: OutputKind::ExpectedReturn,
        method: Method::WeightedMean,
        missing: MissingPolicy::Refuse,
        return_scale: Some(0.002),
        members: models.iter().map(member).collect(),
    })
    .expect("a definition");
    let view = models[0].manifest().view.clone();
    let active = ActiveEnsemble::new(ensemble, &models, &view, columns).expect("an ensemble");
    let mut times_ns = Vec::with_capacity(SCORES);
    let mut sum = 0.0;
    let started = Instant::now();
    for at in 0..SCORES {
        // The numbers of rows are below a million.
        let row = |back: usize| FeatureRow {
            event_time_ns: (at + 60 - back) as i64 * STEP_NS,
            staleness_ns: 0,
            warm_share: 1.0,
            values: &values[(at + 60 - back) % values.len()],
        };
        let rows: Vec<_> = (0..60).rev().map(row).collect();
        let window = Window { symbol: "BTCUSDT", rows: &rows };
        let before = Instant::now();
        let scored = active.score(&window);
        times_ns.push(before.elapsed().as_nanos());
        sum += scored.decision.expect("a decision").value;
    }
    let seconds = started.elapsed().as_secs_f64();
    times_ns.sort_unstable();
    let at = |share: usize| times_ns[SCORES * share / 1000] as f64 / 1e3;
    let (p50, p99, p999, rate) = (at(500), at(990), at(999), SCORES as f64 / seconds);
    println!(
        "tidewheel    {title:<32} p50 {p50:>8.1} us  p99 {p99:>8.1} us  p99.9 {p999:>8.1} us  {rate:>9.0} rows/s  ({sum:e})"
    );
}

fn main() {
    let golden = GoldenVectors::from_json(&read("mlp", "golden.json")).expect("golden vectors");
    let columns = golden.features.clone();
    let rows = golden.vectors.into_iter().filter(|vector| vector.symbol == "BTCUSDT").flat_map(|vector| vector.rows);
    let values: Vec<_> = rows.filter(|row| row.iter().all(Option::is_some)).collect();
    println!("{SCORES} scores of one row each, one thread");
    for (title, kinds) in [
        ("200 trees (LightGBM text)", &["gbt"][..]),
        ("200 trees (ONNX)", &["gbt_onnx"]),
        ("perceptron 12-32-16-1", &["mlp"]),
        ("LSTM 60 x 6, 16 units", &["lstm_60"]),
        ("ensemble, trees of LightGBM", &["gbt", "mlp", "lstm_60"]),
        ("ensemble, trees of ONNX", &["gbt_onnx", "mlp", "lstm_60"]),
    ] {
        measure(title, kinds, &columns, &values);
    }
    if let Some(python) = std::env::args().nth(1) {
        let script = folder().join("../score_speed.py");
        let status = Command::new(&python).arg(script).arg(SCORES.to_string()).status();
        let status = status.unwrap_or_else(|error| panic!("could not run {python}: {error}"));
        assert!(status.success(), "onnxruntime's half failed: {status}");
    }
}
