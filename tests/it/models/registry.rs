//! The registry by its commands, and by programs that die in the middle.

use super::{Bench, demo};
use serde_json::Value;
use std::fs;
use std::process::Command;

const GBT: &str = "any-return_10s-gbt";

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("one line of JSON")
}

#[test]
fn models_are_registered_listed_shown_and_verified() {
    let bench = Bench::new();
    let told = bench.register("gbt");
    assert!(told.starts_with("registered any-return_10s-gbt version 1: "), "{told}");
    bench.register("lstm");
    let list = bench.done(&["list"]);
    let line = list.lines().find(|line| line.starts_with("any-return_10s-lstm")).expect("a line");
    let words: Vec<_> = line.split_whitespace().collect();
    assert_eq!(words, ["any-return_10s-lstm", "1", "onnx", "demo@1", "15", "expected_return"]);
    let shown = bench.done(&["show", "any-return_10s-gbt@1"]);
    assert!(
        shown.contains("Not for trading") && shown.contains("feature 0") && shown.contains("return_1@log"),
        "{shown}"
    );
    let verified = bench.done(&["verify"]);
    assert_eq!(verified.lines().filter(|line| line.contains("golden vectors agree")).count(), 2, "{verified}");
    let place = bench.path("registry/models").join(GBT).join("1");
    let checked = Command::new("sha256sum").args(["--check", "--quiet", "SHA256"]).current_dir(&place).status();
    assert!(checked.expect("sha256sum can be run").success(), "the checksums are as sha256sum writes them");
    assert!(fs::read_to_string(place.join("card.md")).expect("a card").starts_with("# any-return_10s-gbt version 1"));
}

#[test]
fn a_model_that_is_not_what_its_manifest_says_is_not_registered() {
    let bench = Bench::new();
    let refused = |name: &str, change: fn(&mut Value)| bench.failed(&["register", &bench.copy("mlp", name, change)]);
    for (error, expected) in [
        (
            refused("order", |it| it["features"].as_array_mut().expect("a list").swap(0, 1)),
            "feature number 0 is \"return_1@log\"",
        ),
        (
            refused("few", |it| drop(it["features"].as_array_mut().expect("a list").pop())),
            "symbol \"ADAUSDT\": [12, 12] numbers for 11",
        ),
        (refused("rows", |it| it["sequence_length"] = 3.into()), "input \"x\" has the shape [1, 12]"),
        (refused("output", |it| it["output"] = "probability".into()), "output_out_of_range"),
        (refused("format", |it| it["format"] = "lightgbm".into()), "could not read the artifact as lightgbm"),
        (refused("file", |it| it["artifact"] = "missing.onnx".into()), "missing.onnx"),
        (refused("sum", |it| it["files"]["model.onnx"] = "00".into()), "file \"model.onnx\" has the SHA-256"),
        (refused("field", |it| it["extra"] = 1.into()), "unknown field `extra`"),
        (refused("id", |it| it["id"] = "gbt".into()), "write symbol-target-kind"),
    ] {
        assert!(error.contains(expected), "{error}");
    }
    let folder = bench.copy("mlp", "golden", |_| {});
    let path = bench.path("golden").join("golden.json");
    let mut golden: Value = serde_json::from_slice(&fs::read(&path).expect("golden")).expect("JSON");
    golden["vectors"][2]["expected"] = 0.25.into();
    fs::write(&path, golden.to_string()).expect("written golden vectors");
    let error = bench.failed(&["register", &folder]);
    assert!(error.contains("does not agree with its golden vectors: golden vector 2: expected 0.25 within"), "{error}");
    // Whatever was tried, nothing was put.
    assert_eq!(json(&bench.done(&["list", "--json"]))["versions"], Value::Array(vec![]));
}

#[test]
fn a_version_is_immutable_and_what_was_tampered_with_is_told() {
    let bench = Bench::new();
    bench.register("gbt");
    let again = bench.failed(&["register", &demo("gbt").display().to_string()]);
    assert!(again.contains("a version never changes; give the next number, 2"), "{again}");
    bench.register("linear");
    let model = bench.path("registry/models").join(GBT).join("1/model.txt");
    let text = fs::read_to_string(&model).expect("a model");
    fs::write(&model, text.replacen("leaf_value=", "leaf_value=1", 1)).expect("a changed model");
    let (is_fine, told) = bench.model(&["verify"]);
    assert!(!is_fine && told.contains("model.txt: its SHA-256 is"), "{told}");
    assert!(told.contains("any-return_10s-linear version 1: "), "the other is still verified: {told}");
    let error = bench.failed(&["promote", &bench.ensemble("one", 1, &[(GBT, 1)]), "--target", "return_10s"]);
    assert!(error.contains("model.txt: its SHA-256 is"), "{error}");
}

#[test]
fn an_alias_goes_forward_and_back_and_its_history_stays() {
    let bench = Bench::new();
    bench.register("gbt");
    bench.register("mlp");
    bench.done(&["register", &bench.copy("gbt", "second", |manifest| manifest["version"] = 2.into())]);
    let change = |action: &[&str]| json(&bench.done(&[action, &["--target", "return_10s", "--json"]].concat()));
    let first = bench.ensemble("mix", 1, &[(GBT, 1), ("any-return_10s-mlp", 1)]);
    let second = bench.ensemble("mix", 2, &[("any-return_10s-mlp", 1), (GBT, 2)]);
    let promoted = change(&["promote", &first]);
    assert_eq!((&promoted["number"], &promoted["alias"]), (&1.into(), &"production".into()));
    assert_eq!(promoted["members"][0]["model"], GBT, "members stand in the order of their ids");
    let sha256 = json(&bench.done(&["show", "any-return_10s-gbt@1", "--json"]))["sha256"].clone();
    assert_eq!(promoted["members"][0]["sha256"], sha256);
    assert_eq!(change(&["promote", &second])["members"][0]["version"], 2);
    change(&["promote", &first, "--alias", "challenger"]);
    assert_eq!(change(&["promote", &bench.ensemble("mix", 3, &[(GBT, 2)])])["number"], 4);

    // Back twice goes back twice; the challenger has a history of its own.
    assert_eq!(change(&["rollback"])["rolled_back_to"], 2);
    let back = change(&["rollback"]);
    assert_eq!((&back["rolled_back_to"], &back["ensemble"]["version"]), (&1.into(), &1.into()));
    let error = bench.failed(&["rollback", "--target", "return_10s"]);
    assert_eq!(error, "could not roll back: production of any-return_10s has nothing before promotion 1");
    assert_eq!(change(&["rollback", "--to", "4"])["ensemble"]["version"], 3);
    assert!(bench.failed(&["rollback", "--target", "return_10s", "--to", "3"]).contains("3 is not the number"));
    assert!(bench.failed(&["rollback", "--target", "up_10s"]).contains("nothing was ever promoted"));

    let list = json(&bench.done(&["list", "--json"]));
    let numbers: Vec<_> = list["aliases"].as_array().expect("a list").iter().map(|it| it["number"].clone()).collect();
    assert_eq!(numbers, [7, 3].map(Value::from));
    let history: Value = json(&fs::read_to_string(bench.path("registry/aliases.json")).expect("a history"));
    assert_eq!(history["changes"].as_array().expect("a list").len(), 7);
}

#[test]
fn an_ensemble_whose_members_do_not_go_together_is_not_promoted() {
    let bench = Bench::new();
    for kind in ["gbt", "mlp", "gbc"] {
        bench.register(kind);
    }
    let other = bench.copy("gbt", "other", |manifest| {
        manifest["version"] = 2.into();
        manifest["view"]["version"] = 2.into();
    });
    bench.done(&["register", &other]);
    let btc = bench.copy("linear", "btc", |manifest| manifest["id"] = "BTCUSDT-return_10s-linear".into());
    let error = bench.failed(&["register", &btc]);
    assert!(error.contains("symbol_not_served"), "its golden vectors are of other symbols too: {error}");
    for (members, expected) in [
        (&[(GBT, 7)][..], "could not find version 7 of model any-return_10s-gbt; there is 1, 2"),
        (&[(GBT, 2), ("any-return_10s-mlp", 1)], "any-return_10s-mlp into the ensemble: it was trained on view demo@1"),
        (&[("any-up_10s-gbc", 1)], "its target is up_10s, not return_10s"),
        (&[(GBT, 1), (GBT, 2)], "model any-return_10s-gbt stands there twice"),
        (&[("any-return_10s-none", 1)], "could not find version 1 of model any-return_10s-none; there is none"),
    ] {
        let error = bench.failed(&["promote", &bench.ensemble("mix", 1, members), "--target", "return_10s"]);
        assert!(error.contains(expected), "{error}");
    }
    let error = bench.failed(&["promote", &bench.ensemble("mix", 1, &[("any-up_10s-gbc", 1)]), "--target", "up_10s"]);
    assert!(error.contains("it gives probability, the ensemble is of expected_return"), "{error}");
    assert!(!bench.path("registry/aliases.json").exists(), "nothing was promoted");
}

#[test]
fn versions_are_compared_field_by_field() {
    let bench = Bench::new();
    bench.register("gbt");
    let other = bench.copy("gbt", "other", |manifest| {
        manifest["version"] = 2.into();
        manifest["max_age_ms"] = 1.into();
    });
    bench.done(&["register", &other]);
    let told = bench.done(&["diff", "any-return_10s-gbt@1", "any-return_10s-gbt@2"]);
    let lines: Vec<Vec<_>> = told.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[1..], [vec!["max_age_ms", "15000", "1"], vec!["version", "1", "2"]], "{told}");
}

/// Runs the program itself, which dies at a point.
fn dies_at(bench: &Bench, point: &str, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_tidewheel"))
        .arg("model")
        .args(arguments)
        .arg("--registry")
        .arg(bench.path("registry"))
        .env("TIDEWHEEL_FAULT", format!("{point}=kill"))
        .output()
        .expect("the program can be started");
    assert!(output.status.code().is_none(), "{point}: it did not die: {output:?}");
}

#[test]
fn a_registration_that_dies_has_put_a_whole_version_or_none() {
    let bench = Bench::new();
    let folder = demo("mlp").display().to_string();
    dies_at(&bench, "registry.staged", &["register", &folder]);
    assert_eq!(json(&bench.done(&["list", "--json"]))["versions"], Value::Array(vec![]));
    dies_at(&bench, "registry.committed", &["register", &folder]);
    assert!(bench.done(&["verify"]).starts_with("any-return_10s-mlp version 1: "));
    assert!(bench.failed(&["register", &folder]).contains("a version never changes"));
}

#[test]
fn a_promotion_that_dies_has_happened_whole_or_not() {
    let bench = Bench::new();
    bench.register("gbt");
    let promote = |version| bench.ensemble("mix", version, &[(GBT, 1)]);
    let target = ["--target", "return_10s"];
    bench.done(&[&["promote", &promote(1)], &target[..]].concat());
    let versions = || {
        let list = json(&bench.done(&["list", "--json"]));
        list["aliases"][0]["ensemble"]["version"].clone()
    };
    dies_at(&bench, "registry.alias_staged", &[&["promote", &promote(2)], &target[..]].concat());
    assert_eq!(versions(), 1);
    dies_at(&bench, "registry.alias_committed", &[&["promote", &promote(3)], &target[..]].concat());
    assert_eq!(versions(), 3);
    assert_eq!(json(&bench.done(&["rollback", "--target", "return_10s", "--json"]))["rolled_back_to"], 1);
}

#[test]
fn a_model_at_which_the_runtime_panics_would_not_end_the_program_unheard() {
    // A file of noise ends as an error of the program, code 1, and not by a signal.
    let bench = Bench::new();
    let folder = bench.copy("mlp", "noise", |_| {});
    let noise: Vec<u8> = (0..4_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(bench.path("noise/model.onnx"), noise).expect("a written file");
    let output = Command::new(env!("CARGO_BIN_EXE_tidewheel"))
        .args(["model", "register", &folder, "--registry"])
        .arg(bench.path("registry"))
        .output()
        .expect("the program can be started");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("model any-return_10s-mlp version 1: could not take file \"model.onnx\""), "{told}");
}
