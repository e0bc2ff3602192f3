//! Models from the command line on: registered, promoted, rolled back, tampered with, and registered by programs that die.

mod history;
mod registry;
mod scoring;
mod trained;

use clap::Parser;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tidewheel::commands::Command;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The demo's models.
fn demo(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/models/demo").join(kind)
}

/// A folder for a registry, and what is done with it.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `tidewheel model ACTION ...` on the registry: how it ended, and what it printed or why it failed.
    fn model(&self, arguments: &[&str]) -> (bool, String) {
        let registry = self.path("registry").display().to_string();
        let words = ["tidewheel", "model"].iter().chain(arguments).copied().chain(["--registry", &registry]);
        let cli = Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        let mut out = Vec::new();
        match cli.command.run(&mut out) {
            Ok(code) => (code == ExitCode::SUCCESS, String::from_utf8(out).expect("text")),
            Err(error) => (false, error.to_string()),
        }
    }

    /// What it printed; it must not fail.
    fn done(&self, arguments: &[&str]) -> String {
        let (is_done, text) = self.model(arguments);
        assert!(is_done, "{arguments:?}: {text}");
        text
    }

    /// Why it failed.
    fn failed(&self, arguments: &[&str]) -> String {
        let (is_done, text) = self.model(arguments);
        assert!(!is_done, "{arguments:?} did not fail: {text}");
        text
    }

    fn register(&self, kind: &str) -> String {
        self.done(&["register", &demo(kind).display().to_string()])
    }

    /// A copy of a demo model, its manifest changed.
    fn copy(&self, kind: &str, name: &str, change: impl FnOnce(&mut serde_json::Value)) -> String {
        let folder = self.path(name);
        fs::create_dir(&folder).expect("a new folder");
        for entry in fs::read_dir(demo(kind)).expect("a demo model") {
            let path = entry.expect("a file of a demo model").path();
            fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("a copied file");
        }
        let path = folder.join("manifest.json");
        let mut manifest = serde_json::from_slice(&fs::read(&path).expect("a manifest")).expect("JSON");
        change(&mut manifest);
        fs::write(&path, manifest.to_string()).expect("a written manifest");
        folder.display().to_string()
    }

    /// A definition of an ensemble of these versions, in a file.
    fn ensemble(&self, name: &str, version: u32, members: &[(&str, u32)]) -> String {
        let member = |(model, version): &(&str, u32)| serde_json::json!({ "model": model, "version": version });
        let definition = serde_json::json!({
            "name": name, "version": version, "output": "expected_return", "return_scale": 0.002,
            "method": { "kind": "weighted_mean" }, "members": members.iter().map(member).collect::<Vec<_>>(),
        });
        let path = self.path(&format!("{name}.{version}.json"));
        fs::write(&path, definition.to_string()).expect("a written definition");
        path.display().to_string()
    }
}
