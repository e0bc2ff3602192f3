//! The demo's artifacts against the golden vectors of the runtimes that made them, and native files that are not taken.

use crate::Refusal;
use crate::golden::{Difference, Expected, GoldenVectors};
use crate::manifest::Manifest;
use crate::model::Model;
use crate::score::{FeatureRow, LoadError, LoadedModel, Window};
use std::sync::Arc;

/// The files of a demo model.
macro_rules! demo {
    ($kind:literal, $artifact:literal $(, $scalers:literal)?) => {
        Demo {
            kind: $kind,
            files: vec![
                ("manifest.json", include_bytes!(concat!("../../../../deploy/models/demo/", $kind, "/manifest.json"))),
                ("golden.json", include_bytes!(concat!("../../../../deploy/models/demo/", $kind, "/golden.json"))),
                ($artifact, include_bytes!(concat!("../../../../deploy/models/demo/", $kind, "/", $artifact))),
                $(($scalers, include_bytes!(concat!("../../../../deploy/models/demo/", $kind, "/", $scalers))),)?
            ],
        }
    };
}

struct Demo {
    kind: &'static str,
    files: Vec<(&'static str, &'static [u8])>,
}

impl Demo {
    fn file(&self, name: &str) -> Option<&'static [u8]> {
        self.files.iter().find(|(file, _)| *file == name).map(|(_, bytes)| *bytes)
    }

    fn load(&self) -> LoadedModel {
        let manifest = self.file("manifest.json").expect("every demo has a manifest");
        LoadedModel::load(manifest, |name| self.file(name)).unwrap_or_else(|error| panic!("{}: {error}", self.kind))
    }

    /// Loads it with another manifest.
    fn load_with(&self, change: impl FnOnce(&mut Manifest)) -> Result<LoadedModel, LoadError> {
        let mut manifest = Manifest::from_json(self.file("manifest.json").expect("a manifest")).expect("a manifest");
        change(&mut manifest);
        LoadedModel::load(&manifest.to_json(), |name| self.file(name))
    }

    /// Loads it with its artifact as text changed.
    fn load_edited(&self, from: &str, to: &str) -> String {
        let model = self.load();
        let artifact = &model.manifest().artifact;
        let text = std::str::from_utf8(self.file(artifact).expect("an artifact")).expect("a text");
        assert!(text.contains(from), "{}: there is no {from:?}", self.kind);
        let edited = text.replacen(from, to, 1);
        Model::load(model.manifest(), edited.as_bytes()).map(drop).expect_err(to).to_string()
    }
}

fn demos() -> Vec<Demo> {
    vec![
        demo!("gbt", "model.txt"),
        demo!("gbc", "model.txt"),
        demo!("xgb", "model.json"),
        demo!("gbt_onnx", "model.onnx"),
        demo!("gbc_onnx", "model.onnx"),
        demo!("mlp", "model.onnx", "scalers.json"),
        demo!("lstm", "model.onnx", "scalers.json"),
        demo!("lstm_60", "model.onnx", "scalers.json"),
        demo!("linear", "model.json", "scalers.json"),
        demo!("logistic", "model.json", "scalers.json"),
    ]
}

fn demo(kind: &str) -> Demo {
    demos().into_iter().find(|demo| demo.kind == kind).expect("a demo of this kind")
}

#[test]
fn every_demo_model_agrees_with_the_runtime_that_made_its_golden_vectors() {
    for demo in demos() {
        let agreement = demo.load().verify().unwrap_or_else(|difference| panic!("{}: {difference}", demo.kind));
        println!("{}: {} vectors, largest difference {:e}", demo.kind, agreement.vectors, agreement.difference_max);
        assert!(agreement.vectors >= 8, "{}: {agreement:?}", demo.kind);
    }
}

#[test]
fn what_is_read_of_lightgbm_is_equal_to_it_to_the_last_bits() {
    let agreement = demo("gbt").load().verify().expect("it agrees");
    assert!(agreement.difference_max < 1e-17, "{agreement:?}");
}

#[test]
fn golden_vectors_that_differ_are_named_with_what_was_expected() {
    let model = demo("linear").load();
    let golden = GoldenVectors::from_json(demo("linear").file("golden.json").expect("golden")).expect("golden vectors");
    let changed = |change: fn(&mut GoldenVectors)| {
        let mut golden = golden.clone();
        change(&mut golden);
        golden.run(&model).expect_err("a difference").to_string()
    };
    let value = changed(|golden| golden.vectors[3].expected = Expected::Value(0.5));
    assert!(value.starts_with("golden vector 3: expected 0.5 within") && value.contains("got "), "{value}");
    let order = changed(|golden| golden.features.swap(0, 1));
    assert!(order.starts_with("feature number 0 is \"volume_imbalance_1@taker\" in the golden vectors"), "{order}");
    let refusal = changed(|golden| golden.vectors[0].expected = Expected::Refusal("stale".to_owned()));
    assert!(refusal.starts_with("golden vector 0: expected the refusal stale, got "), "{refusal}");
    let loose = changed(|golden| golden.absolute_tolerance = 1.0);
    assert!(loose.contains("hold nothing"), "{loose}");
    let none = changed(|golden| golden.vectors.retain(|vector| matches!(vector.expected, Expected::Refusal(_))));
    assert!(none.contains("no golden vector expects a value"), "{none}");
    let rows = changed(|golden| golden.vectors[1].rows.clear());
    assert_eq!(rows, "golden vector 1 has 0 rows, the manifest wants 1");
    let nan = golden.vectors[0].clone();
    let mut hidden = golden.clone();
    // JSON has no NaN: null would be the only way to write one, and is no number.
    hidden.vectors = vec![nan];
    hidden.vectors[0].expected = Expected::Value(f64::NAN);
    assert!(matches!(hidden.run(&model), Err(Difference::Vector { number: 0, .. })));
}

#[test]
fn a_manifest_that_does_not_match_its_artifact_is_refused() {
    let told = |kind: &str, change: fn(&mut Manifest)| {
        demo(kind).load_with(change).map(drop).expect_err("a mismatch").to_string()
    };
    for (error, expected) in [
        (told("gbt", |it| it.features.swap(0, 1)), "feature number 0 is \"return_1@log\" in the file"),
        (told("gbt", |it| drop(it.features.pop())), "the file has 12 features, the manifest names 11"),
        (told("xgb", |it| it.features.swap(2, 3)), "feature number 2 is \"vwap_deviation_15@close\" in the file"),
        (told("gbt_onnx", |it| drop(it.features.pop())), "input \"x\" has the shape [1, 12]"),
        (told("gbt_onnx", |it| it.output_element = 1), "output_element is 1, the model has 1 output"),
        (told("mlp", |it| it.output_name = Some("other".to_owned())), "it has no output \"other\"; it has variable"),
        (told("mlp", |it| it.output_element = 7), "output_element is 7, output \"variable\" has 1 number"),
        (told("lstm_60", |it| it.sequence_length = 59), "input \"x\" has the shape [1, 60, 6]"),
        (told("linear", |it| drop(it.features.pop())), "numbers for 11 features"),
        (told("gbt", |it| it.artifact = "other.txt".to_owned()), "could not find file \"other.txt\""),
        (told("gbt", |it| it.golden = "../golden.json".to_owned()), "\"../golden.json\" is not a name"),
        (told("mlp", |it| it.nulls = crate::manifest::NullPolicy::Missing), "cannot take missing values"),
        (told("gbt", |it| it.sequence_length = 2), "takes one row"),
        (told("gbt", |it| it.version = 0), "versions begin at 1"),
        (told("gbt", |it| it.features[1] = it.features[0].clone()), "stands there twice"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn native_files_that_are_broken_or_not_taken_are_refused() {
    let gbt = |from: &str, to: &str| demo("gbt").load_edited(from, to);
    let xgb = |from: &str, to: &str| demo("xgb").load_edited(from, to);
    for (error, expected) in [
        (gbt("end of trees", "end of"), "the file is cut off"),
        (gbt("version=v4", "version=v9"), "version v9"),
        (gbt("num_class=1", "num_class=3"), "several classes"),
        (gbt("num_cat=0", "num_cat=1"), "categorical"),
        (gbt("is_linear=0", "is_linear=1"), "linear trees"),
        (gbt("objective=regression", "objective=poisson"), "objective \"poisson\""),
        (gbt("left_child=1", "left_child=999"), "child 999 is outside its tree"),
        // A node that is its own child: a walk would never end.
        (gbt("left_child=1", "left_child=0"), "it is not a tree"),
        (gbt("leaf_value=", "leaf_value=inf "), "leaf_value has 8 numbers"),
        (gbt("split_feature=", "split_feature=4 "), "split_feature has 7 numbers"),
        (gbt("num_leaves=7", "num_leaves=99999999999"), "numbers, the tree wants"),
        (gbt("num_leaves=7", "num_leaves=-1"), "num_leaves=-1 is not such a number"),
        (xgb("\"gbtree\"}", "\"dart\"}"), "booster=gbtree"),
        (xgb("reg:squarederror", "multi:softmax"), "objective \"multi:softmax\""),
        (xgb("\"left_children\":[1,", "\"left_children\":[0,"), "it is not a tree"),
        (xgb("\"left_children\":[1,", "\"left_children\":[70,"), "child 70 is outside its tree"),
        (xgb("\"split_type\":[0,", "\"split_type\":[1,"), "categorical"),
        (xgb("\"split_conditions\":[", "\"split_conditions\":[1.5,"), "not of one length"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_window_is_checked_before_it_is_scored() {
    let model = Arc::new(demo("lstm_60").load());
    let features = model.manifest().features.clone();
    // The view has its columns in another order, and more of them.
    let mut columns: Vec<String> = features.iter().rev().cloned().collect();
    columns.insert(2, "unused".to_owned());
    let scorer = model.bind(&model.manifest().view, &columns).expect("a view with all columns");
    let golden =
        GoldenVectors::from_json(demo("lstm_60").file("golden.json").expect("golden")).expect("golden vectors");
    let mut values: Vec<_> = golden.vectors[0].rows[0].iter().rev().copied().collect();
    values.insert(2, Some(0.25));
    let step = 1_000_000_000;
    let row = |at: i64| FeatureRow { event_time_ns: at * step, staleness_ns: 0, warm_share: 1.0, values: &values };
    let rows: Vec<_> = (0..61).map(row).collect();
    let score = |rows: &[FeatureRow<'_>], symbol| scorer.score(&Window { symbol, rows });
    let name = |result: Result<f64, Refusal>| result.expect_err("a refusal").name();

    let value = score(&rows, "BTCUSDT").expect("a score");
    assert_eq!(score(&rows[1..], "BTCUSDT").map(f64::to_bits), Ok(value.to_bits()), "only the newest 60 count");
    assert_eq!(name(score(&rows[..59], "BTCUSDT")), "sequence_short");
    assert_eq!(name(score(&rows, "SHIBUSDT")), "scaler_missing");

    let mut gap = rows.clone();
    gap.remove(30);
    assert_eq!(score(&gap, "BTCUSDT"), Err(Refusal::SequenceGap { gap_ms: 2_000, allowed_ms: 1_000 }));
    let mut back = rows.clone();
    back[40].event_time_ns = back[39].event_time_ns;
    assert_eq!(name(score(&back, "BTCUSDT")), "sequence_gap");

    let with = |at: usize, column: usize, value: Option<f64>| {
        let mut other = values.clone();
        other[column] = value;
        let mut rows = rows.clone();
        rows[at].values = &other;
        score(&rows, "BTCUSDT")
    };
    let feature = columns[0].clone();
    assert_eq!(with(60, 0, None), Err(Refusal::FeatureNull { feature: feature.clone(), rows_back: 0 }));
    assert_eq!(with(58, 0, None), Err(Refusal::FeatureNull { feature: feature.clone(), rows_back: 2 }));
    assert_eq!(
        with(60, 0, Some(f64::INFINITY)),
        Err(Refusal::FeatureNotFinite { feature: feature.clone(), rows_back: 0 })
    );
    assert_eq!(with(60, 0, Some(1e300)), Err(Refusal::FeatureNotFinite { feature, rows_back: 0 }));
    // What the model does not read, and what lies before its sequence, may be null.
    assert_eq!(with(60, 2, None).map(f64::to_bits), Ok(value.to_bits()));
    assert_eq!(with(0, 0, None).map(f64::to_bits), Ok(value.to_bits()));
    // Each column is found by its name: a change of one that is read changes the score.
    assert_ne!(with(60, 0, Some(2.0)), Ok(value));

    let mut narrow = rows.clone();
    narrow[60].values = &values[1..];
    assert_eq!(score(&narrow, "BTCUSDT"), Err(Refusal::RowShape { expected: 7, given: 6 }));
    let mut other = model.manifest().view.clone();
    other.version = 2;
    assert_eq!(model.bind(&other, &columns).expect_err("another view").name(), "view_mismatch");
    let missing = model.bind(&model.manifest().view, &columns[1..]).expect_err("a column is missing");
    assert_eq!(missing, Refusal::FeatureMissing { feature: columns[0].clone() });
}

#[test]
fn old_stale_and_cold_rows_are_refused_by_what_the_rows_say() {
    let model = demo("mlp").load_with(|manifest| {
        (manifest.max_age_ms, manifest.max_staleness_ms, manifest.min_warm_share) = (600_000, 60_000, 0.5);
    });
    let model = Arc::new(model.expect("a model"));
    let columns = model.manifest().features.clone();
    let scorer = model.bind(&model.manifest().view, &columns).expect("a view with all columns");
    let values = vec![Some(0.25); columns.len()];
    let name = |before_ms: i64, staleness_ms: i64, warm_share: f64| {
        // An age in milliseconds, of the same rows at any time.
        let row = |ms: i64| FeatureRow { event_time_ns: ms * 1_000_000, staleness_ns: 0, warm_share, values: &values };
        let newest = FeatureRow { staleness_ns: staleness_ms * 1_000_000, ..row(1_722_816_000_000) };
        let before = FeatureRow { staleness_ns: i64::MAX, warm_share: 0.0, ..row(1_722_816_000_000 - before_ms) };
        let score = |rows: &[FeatureRow<'_>]| scorer.score(&Window { symbol: "BTCUSDT", rows });
        let alone = score(&[newest]).map(f64::to_bits);
        match score(&[before, newest]) {
            Ok(value) => {
                assert_eq!(alone, Ok(value.to_bits()), "the first row of all is as old as it may be");
                "scored"
            }
            Err(refusal) => refusal.name(),
        }
    };
    assert_eq!(name(600_000, 60_000, 0.5), "scored");
    assert_eq!(name(600_001, 60_000, 0.5), "stale");
    assert_eq!(name(600_000, 60_001, 0.5), "stale_row");
    assert_eq!(name(600_000, 60_000, 0.499), "row_not_warm");
}

#[test]
fn golden_vectors_are_bounded_by_their_number_and_by_what_they_take() {
    let mut golden =
        GoldenVectors::from_json(demo("mlp").file("golden.json").expect("golden")).expect("golden vectors");
    let vector = golden.vectors[0].clone();
    let told = |golden: &GoldenVectors, kind: &str| match golden.run(&demo(kind).load()) {
        Err(Difference::File(told)) => told,
        other => panic!("{other:?}"),
    };
    golden.vectors = vec![vector; 4_097];
    assert_eq!(told(&golden, "mlp"), "there are 4097 golden vectors; give at most 4096");
    for demo in demos() {
        let model = demo.load();
        // Each takes something, and none of the demo's is near the bound.
        assert!((6..10_000_000).contains(&model.work()), "{}: {}", demo.kind, model.work());
    }
}

#[test]
fn a_model_of_one_symbol_scores_no_other() {
    let model = demo("gbt").load_with(|manifest| manifest.id.symbol = "BTCUSDT".to_owned()).expect("a model");
    let difference = model.verify().expect_err("some golden vectors are of ETHUSDT").to_string();
    assert!(difference.contains("symbol_not_served"), "{difference}");
}

#[test]
fn the_same_window_gives_the_same_bits_every_time_and_in_every_copy() {
    for demo in demos() {
        let (one, other) = (Arc::new(demo.load()), Arc::new(demo.load()));
        let golden = GoldenVectors::from_json(demo.file("golden.json").expect("golden")).expect("golden vectors");
        for vector in golden.vectors {
            let first = one.score_golden(&vector.symbol, &vector.rows).map(f64::to_bits);
            for _ in 0..3 {
                assert_eq!(one.score_golden(&vector.symbol, &vector.rows).map(f64::to_bits), first, "{}", demo.kind);
                assert_eq!(other.score_golden(&vector.symbol, &vector.rows).map(f64::to_bits), first, "{}", demo.kind);
            }
        }
    }
}
