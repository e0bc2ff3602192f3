//! The registry by its commands, and by programs that die in the middle.

use super::{Bench, demo};
use serde_json::Value;
use std::fs;
use std::path::Path;
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
        (
            refused("rows", |it| (it["sequence_length"], it["step_ms"]) = (3.into(), 1.into())),
            "input \"x\" has the shape [1, 12]",
        ),
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
    // Before 8 promotion 4 was in force again, not 2: the rollback after it does not count for nothing. Then on as before.
    change(&["promote", &bench.ensemble("mix", 4, &[(GBT, 1)])]);
    assert_eq!(change(&["rollback"])["rolled_back_to"], 4);
    assert_eq!(change(&["rollback"])["rolled_back_to"], 2);
    assert!(bench.failed(&["rollback", "--target", "return_10s", "--to", "3"]).contains("3 is not the number"));
    assert!(bench.failed(&["rollback", "--target", "up_10s"]).contains("nothing was ever promoted"));

    let list = json(&bench.done(&["list", "--json"]));
    let numbers: Vec<_> = list["aliases"].as_array().expect("a list").iter().map(|it| it["number"].clone()).collect();
    assert_eq!(numbers, [10, 3].map(Value::from));
    let history: Value = json(&fs::read_to_string(bench.path("registry/aliases.json")).expect("a history"));
    assert_eq!(history["changes"].as_array().expect("a list").len(), 10);
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

/// Runs the program itself on the registry, with a fault.
fn with_fault(bench: &Bench, fault: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tidewheel"))
        .arg("model")
        .args(arguments)
        .arg("--registry")
        .arg(bench.path("registry"))
        .env("TIDEWHEEL_FAULT", fault)
        .output()
        .expect("the program can be started");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_model_at_which_the_runtime_panics_is_told_and_the_program_goes_on() {
    let bench = Bench::new();
    let folder = demo("mlp").display().to_string();
    // The first time it reads the file, the second it builds the graph, then it runs it for a golden vector.
    for (time, expected) in [
        (1, "could not read the artifact as onnx: it panicked: "),
        (2, "the runtime could not build it: it panicked: "),
        (3, "got the refusal model_failed (the model failed: it panicked: "),
    ] {
        let (code, _, told) = with_fault(&bench, &format!("model.runtime:{time}=panic"), &["register", &folder]);
        assert_eq!(code, Some(1), "an error of the program, and no signal: {told}");
        assert!(told.contains(expected), "{time}: {told}");
    }
    assert_eq!(json(&bench.done(&["list", "--json"]))["versions"], Value::Array(vec![]));
    // Of two versions one cannot be used; the other is verified all the same, by the same process.
    bench.register("lstm");
    bench.register("mlp");
    let (code, out, told) = with_fault(&bench, "model.runtime:2=panic", &["verify"]);
    assert_eq!(code, Some(1), "{out}{told}");
    assert!(out.contains("it panicked") && out.contains("any-return_10s-mlp version 1: "), "{out}{told}");
    assert!(out.lines().any(|line| line.contains("mlp") && line.contains("golden vectors agree")), "{out}");
    let (code, out, told) = with_fault(&bench, "model.runtime:1000000=panic", &["verify"]);
    assert_eq!((code, out.matches("golden vectors agree").count()), (Some(0), 2), "{out}{told}");
}

#[test]
fn a_file_of_noise_is_an_error_of_the_program() {
    let bench = Bench::new();
    let folder = bench.copy("mlp", "noise", |_| {});
    let noise: Vec<u8> = (0..4_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(bench.path("noise/model.onnx"), noise).expect("a written file");
    let (code, _, told) = with_fault(&bench, "model.runtime:1000000=panic", &["register", &folder]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("model any-return_10s-mlp version 1: could not take file \"model.onnx\""), "{told}");
}

/// A copy of a demo model whose file was made something else.
fn with_other_file(bench: &Bench, name: &str, change: impl FnOnce(&Path)) -> String {
    let folder = bench.copy("mlp", name, |_| {});
    let path = bench.path(name).join("model.onnx");
    fs::remove_file(&path).expect("a file");
    change(&path);
    bench.failed(&["register", &folder])
}

#[test]
fn only_regular_files_are_registered_and_loaded() {
    let bench = Bench::new();
    let pipe = |path: &Path| {
        let made = Command::new("mkfifo").arg(path).status().expect("mkfifo can be run");
        assert!(made.success());
    };
    let link = |path: &Path| std::os::unix::fs::symlink(demo("mlp").join("model.onnx"), path).expect("a link");
    // A pipe would be waited for, and `/dev/zero` read without end.
    for told in [
        with_other_file(&bench, "pipe", pipe),
        with_other_file(&bench, "link", link),
        with_other_file(&bench, "folder", |path| fs::create_dir(path).expect("a folder")),
        with_other_file(&bench, "zeros", |path| std::os::unix::fs::symlink("/dev/zero", path).expect("a link")),
    ] {
        assert!(told.contains("model.onnx") && told.contains("it is not a regular file"), "{told}");
    }
    bench.register("mlp");
    let path = bench.path("registry/models/any-return_10s-mlp/1/model.onnx");
    fs::remove_file(&path).expect("a file");
    pipe(&path);
    let (is_fine, told) = bench.model(&["verify"]);
    assert!(!is_fine && told.contains("it is not a regular file"), "{told}");
}

#[test]
fn a_version_whose_manifest_has_no_checksum_of_a_file_is_not_loaded() {
    let bench = Bench::new();
    bench.register("mlp");
    let place = bench.path("registry/models/any-return_10s-mlp/1");
    let mut manifest = json(&fs::read_to_string(place.join("manifest.json")).expect("a manifest"));
    manifest["files"].as_object_mut().expect("checksums").remove("scalers.json").expect("it was there");
    fs::write(place.join("manifest.json"), manifest.to_string()).expect("space");
    // With checksums that fit: then only the manifest, which a promotion names, still tells of another file.
    let sums = Command::new("sh").arg("-c").arg("sha256sum [a-z]* > SHA256").current_dir(&place).status();
    assert!(sums.expect("sha256sum can be run").success());
    let (is_fine, told) = bench.model(&["verify"]);
    assert!(!is_fine && told.contains("manifest has no SHA-256 of file \"scalers.json\""), "{told}");
}

#[test]
fn a_sequence_without_a_step_is_not_registered() {
    let bench = Bench::new();
    let error = bench.failed(&["register", &bench.copy("lstm", "stepless", |it| it["step_ms"] = 0.into())]);
    assert!(error.contains("could not take field step_ms of the manifest: missing"), "{error}");
}

#[test]
fn an_ensemble_of_a_name_and_version_stays_what_it_was() {
    let bench = Bench::new();
    bench.register("gbt");
    bench.register("mlp");
    let target = ["--target", "return_10s"];
    bench.done(&[&["promote", &bench.ensemble("mix", 1, &[(GBT, 1)])], &target[..]].concat());
    let other = bench.ensemble("mix", 1, &[(GBT, 1), ("any-return_10s-mlp", 1)]);
    for alias in ["production", "challenger"] {
        let error = bench.failed(&[&["promote", &other, "--alias", alias], &target[..]].concat());
        assert!(error.contains("promotion 1 has another definition under this name and version"), "{error}");
    }
    // The same once more is fine, whatever order its members are written in.
    let both = [(GBT, 1), ("any-return_10s-mlp", 1)];
    bench.done(&[&["promote", &bench.ensemble("both", 1, &both)], &target[..]].concat());
    let turned = [both[1], both[0]];
    bench.done(&[&["promote", &bench.ensemble("both", 1, &turned)], &target[..]].concat());
}

#[test]
fn an_alias_is_withdrawn_and_comes_back_by_rolling_back() {
    let bench = Bench::new();
    bench.register("gbt");
    let change = |action: &[&str]| json(&bench.done(&[action, &["--target", "return_10s", "--json"]].concat()));
    change(&["promote", &bench.ensemble("mix", 1, &[(GBT, 1)])]);
    change(&["promote", &bench.ensemble("mix", 2, &[(GBT, 1)])]);
    let error = bench.failed(&["withdraw", "--target", "return_10s", "--alias", "challenger"]);
    assert_eq!(error, "could not withdraw challenger of any-return_10s: it has no ensemble");
    assert_eq!(change(&["withdraw"])["number"], 3);
    assert_eq!(json(&bench.done(&["list", "--json"]))["aliases"], Value::Array(vec![]));
    assert!(bench.failed(&["withdraw", "--target", "return_10s"]).contains("it has no ensemble"));
    let back = change(&["rollback"]);
    assert_eq!((&back["number"], &back["rolled_back_to"]), (&4.into(), &2.into()));
    assert_eq!(change(&["rollback"])["rolled_back_to"], 1);
}
