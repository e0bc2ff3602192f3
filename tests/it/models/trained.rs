//! The script that makes the demo's models, from a generated market to a registry, on a small scale.

use super::demo;
use crate::kafka_live::program::{ended_well, succeeds, tidewheel};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Asks for this test: it fetches some hundred megabytes of Python packages once, and takes a minute or two.
const WANTED: &str = "TIDEWHEEL_TEST_TRAINING";

/// A Python with what the training needs, installed if need be; nothing where it cannot be had.
fn python() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("training");
    let python = folder.join("bin/python");
    let requirements = demo("../requirements.txt");
    let is_made = python.is_file() || ended_well(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    let mut install = Command::new(&python);
    install.args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(requirements);
    let is_whole = is_made && ended_well(&mut install);
    if !is_whole {
        println!("skipped: the packages of deploy/models/requirements.txt cannot be installed here");
    }
    is_whole.then_some(python)
}

#[test]
fn the_script_trains_and_registers_models_on_features_that_it_had_exported() {
    if std::env::var_os(WANTED).is_none() {
        println!("skipped: set {WANTED}=1 to train models in this test");
        return;
    }
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (out, keep) = (folder.path().join("models"), folder.path().join("kept"));
    let mut script = Command::new(python);
    script.arg(demo("../make_demo.py")).arg("--tidewheel").arg(env!("CARGO_BIN_EXE_tidewheel"));
    script.arg("--out").arg(&out).arg("--keep").arg(&keep).args([
        "--duration",
        "8m",
        "--trees",
        "20",
        "--rounds",
        "20",
    ]);
    let told = succeeds(script);
    for (number, ensemble) in ["plain@1", "demo@1", "demo@2"].into_iter().enumerate() {
        assert!(told.contains(&format!("is {ensemble} (promotion {})", number + 1)), "{told}");
    }
    let mut verify = tidewheel(&["model", "verify", "--registry"]);
    verify.arg(keep.join("registry"));
    let verified = succeeds(verify);
    assert_eq!(verified.lines().filter(|line| line.contains("golden vectors agree")).count(), 10, "{verified}");
    for kind in ["gbt", "lstm_60", "linear"] {
        let manifest = std::fs::read(out.join(kind).join("manifest.json")).expect("a manifest");
        let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
        assert_eq!((&manifest["view"]["name"], &manifest["view"]["version"]), (&"demo".into(), &1.into()));
        let metrics = &manifest["card"]["metrics"];
        println!("{kind}: {metrics}");
        assert!(metrics["held_out_rows"].as_f64() > Some(100.0), "{kind}: {metrics}");
    }
}
