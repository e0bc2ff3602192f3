//! The committed models on history: what a replay says by them is, to the last bit, what each of them gives for the rows that are
//! exported from the replay's lake.

use super::{Bench, demo};
use crate::kafka_live::markets::Recorded;
use crate::kafka_live::program::{succeeds, tidewheel};
use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use tidewheel::config::ComputedSections;
use tidewheel::tables::Tables;
use tidewheel_connectors::generate::MarketConfig;
use tidewheel_connectors::lake::read;
use tidewheel_connectors::lake::rows::RowsByTick;
use tidewheel_models::{Ensemble, EnsembleDefinition, FeatureRow, LoadedModel, OutputKind, Refusal, Scorer, Window};
use tidewheel_operators::features::View;
use tidewheel_schemas::{Row, Value};

/// All kinds that are committed.
const KINDS: [&str; 10] = ["gbc", "gbc_onnx", "gbt", "gbt_onnx", "linear", "logistic", "lstm", "lstm_60", "mlp", "xgb"];

/// A row as exported.
struct Exported {
    event_time_ns: i64,
    is_ready: bool,
    values: Vec<Option<f64>>,
}

/// The rows of an export by symbol, ascending by time.
fn exported(file: &Path, columns: &[String]) -> BTreeMap<String, Vec<Exported>> {
    let file = fs::File::open(file).expect("a file");
    let mut rows = BTreeMap::<String, Vec<Exported>>::new();
    for batch in ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("Parquet") {
        let batch = batch.expect("rows");
        let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("no column {name}"));
        let (symbol, is_ready) = (column("symbol").as_string::<i32>(), column("is_ready").as_boolean());
        let event_time = column("event_time").as_primitive::<TimestampMicrosecondType>();
        let revision = column("revision").as_primitive::<Int64Type>();
        let values: Vec<Vec<Option<f64>>> =
            columns.iter().map(|name| column(name).as_primitive::<Float64Type>().iter().collect()).collect();
        for row in 0..batch.num_rows() {
            assert_eq!(revision.value(row), 0, "nothing is corrected in this market");
            rows.entry(symbol.value(row).to_owned()).or_default().push(Exported {
                event_time_ns: event_time.value(row) * 1_000,
                is_ready: is_ready.value(row),
                values: values.iter().map(|column| column[row]).collect(),
            });
        }
    }
    rows
}

/// The predictions of a lake, by symbol, target and time.
fn predicted(lake: &Path, view: &View) -> BTreeMap<(String, String, i64), Row> {
    let state = read::manifest(lake).expect("a lake");
    let tables = Tables::of_run(std::slice::from_ref(view), None, true);
    let number = tables.specs().iter().position(|spec| &*spec.family == "predictions").expect("a table");
    let mut stored = RowsByTick::open(lake, &state, &tables.specs()[number], number as u16, 0).expect("a lake");
    let mut rows = BTreeMap::new();
    let keep = |row: Row| {
        let key = (row.instrument.symbol.to_string(), row.qualifier.to_string(), row.event_time_ns);
        assert!(rows.insert(key, row).is_none(), "a row is scored once");
    };
    stored.drain(keep).expect("sound files");
    rows
}

fn load(kind: &str) -> Arc<LoadedModel> {
    let file = |name: &str| fs::read(demo(kind).join(name)).ok();
    let files: BTreeMap<String, Vec<u8>> = ["golden.json", "scalers.json", "model.onnx", "model.txt", "model.json"]
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), file(name)?)))
        .collect();
    let manifest = file("manifest.json").expect("a manifest");
    let model = LoadedModel::load(&manifest, |name| files.get(name).map(Vec::as_slice));
    Arc::new(model.unwrap_or_else(|error| panic!("{kind}: {error}")))
}

/// An ensemble of all kinds that give this output, in the order of its members, promoted.
fn promoted(bench: &Bench, output: OutputKind, target: &str, view: &View) -> (Ensemble, Vec<Scorer>) {
    let mut models: Vec<_> = KINDS.iter().map(|kind| load(kind)).collect();
    models.retain(|model| model.manifest().output == output);
    models.sort_by(|one, other| one.manifest().id.cmp(&other.manifest().id));
    let members: Vec<_> =
        models.iter().map(|model| serde_json::json!({ "model": model.manifest().id, "version": 1 })).collect();
    let mut definition = serde_json::json!({ "name": target, "version": 1, "output": output, "members": members,
        "method": { "kind": "weighted_mean" }, "missing": { "kind": "renormalise", "minimum_weight": 0.1 } });
    if output == OutputKind::ExpectedReturn {
        definition["return_scale"] = 0.0001.into();
    }
    let path = bench.path(&format!("{target}.json"));
    fs::write(&path, definition.to_string()).expect("space");
    bench.done(&["promote", &path.display().to_string(), "--target", target]);
    let definition: EnsembleDefinition = serde_json::from_value(definition).expect("a definition");
    let of = tidewheel_models::FeatureView { name: view.name.clone(), version: view.version };
    let bind = |model: Arc<LoadedModel>| model.bind(&of, &view.column_names()).expect("a view with all columns");
    (Ensemble::new(definition).expect("an ensemble"), models.into_iter().map(bind).collect())
}

/// What stands in the column `members` for one of them.
fn told(scorer: &Scorer, given: &Result<f64, Refusal>) -> String {
    let head = format!("{{\"model\":\"{}\",\"version\":1,\"weight\":1.0,", scorer.model().manifest().id);
    match given {
        // The shortest text of a number is that of no other number.
        Ok(value) => format!("{head}\"value\":{}}}", serde_json::to_string(value).expect("a number")),
        Err(refusal) => format!("{head}\"refusal\":\"{}\"", refusal.name()),
    }
}

#[test]
fn a_replay_says_what_the_committed_models_give_for_the_rows_it_exports() {
    let bench = Bench::new();
    KINDS.iter().for_each(|kind| drop(bench.register(kind)));
    let config = demo("demo.toml");
    let sections = ComputedSections::load(&config).expect("a sound configuration");
    let known = sections.features.known().expect("sound views");
    let view = known.into_iter().find(|view| view.name == "demo").expect("the demo's view");
    let targets = [(OutputKind::ExpectedReturn, "return_10s"), (OutputKind::Probability, "up_10s")];
    let ensembles = targets.map(|(output, target)| (target, promoted(&bench, output, target, &view)));

    let market = Recorded::new(MarketConfig {
        seed: 31,
        symbols: 4,
        trades: 50_000,
        trades_per_second: 400,
        leaning_ppm: 200_000,
        ..MarketConfig::default()
    });
    let (lake, rows) = (bench.path("lake"), bench.path("rows.parquet"));
    let mut replay =
        tidewheel(&["replay", "--quiet", "--format", "canonical", "--intervals", "1s", "--lateness", "2s"]);
    replay.args(["--tick", "500ms", "--views", "demo", "--workers", "2", "--input"]).arg(market.file());
    replay.arg("--config").arg(&config).arg("--lake").arg(&lake).arg("--registry").arg(bench.path("registry"));
    succeeds(replay);
    let mut export = tidewheel(&["features", "export", "--view", "demo"]);
    export.arg(&lake).arg("--as-known").arg("--config").arg(&config).arg("--output").arg(&rows);
    succeeds(export);

    let mut predictions = predicted(&lake, &view);
    let mut scored = BTreeMap::<String, usize>::new();
    for (symbol, rows) in exported(&rows, &view.column_names()) {
        // The demo's models ask of no row how stale or warm it is.
        let known = |event_time_ns, values| FeatureRow { event_time_ns, staleness_ns: 0, warm_share: 1.0, values };
        let history: Vec<FeatureRow<'_>> = rows.iter().map(|row| known(row.event_time_ns, &row.values)).collect();
        for (at, row) in rows.iter().enumerate().filter(|(_, row)| row.is_ready) {
            let window = Window { symbol: &symbol, rows: &history[..=at] };
            for (target, (ensemble, scorers)) in &ensembles {
                let key = (symbol.clone(), (*target).to_owned(), row.event_time_ns);
                let prediction = predictions.remove(&key).unwrap_or_else(|| panic!("{key:?} was not scored"));
                let values = prediction.values.as_deref().expect("a fact stands");
                let given: Vec<_> = scorers.iter().map(|scorer| scorer.score(&window)).collect();
                let Value::Text(members) = &values[7] else { panic!("{:?}", values[7]) };
                for (scorer, given) in scorers.iter().zip(&given) {
                    let told = told(scorer, given);
                    assert!(members.contains(&told), "{key:?}: {told} is not in {members}");
                    let id = scorer.model().manifest().id.to_string();
                    *scored.entry(id).or_default() += usize::from(given.is_ok());
                }
                let decision = ensemble.combine(&given).expect("enough members give a number");
                let expected = [decision.value, decision.confidence, decision.disagreement, decision.present];
                let found = [&values[0], &values[2], &values[3], &values[4]];
                for (found, expected) in found.into_iter().zip(expected) {
                    assert!(matches!(found, Value::Double(value) if value.to_bits() == expected.to_bits()), "{key:?}");
                }
            }
        }
    }
    assert!(predictions.is_empty(), "{:?} are of no row that was exported as ready", predictions.keys().next());
    println!("scored alike, in numbers: {scored:?}");
    assert_eq!(scored.len(), KINDS.len());
    assert!(scored.values().all(|rows| *rows > 100), "{scored:?}");
}
