//! A registry of small models whose every version says something else.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use tidewheel::config::ViewDefinition;
use tidewheel::models;
use tidewheel_connectors::registry::Registry;
use tidewheel_operators::features::View;
use tidewheel_schemas::Interval;

/// The columns of the view that is scored.
pub const COLUMNS: [&str; 2] = ["return_1@simple", "volume_imbalance_1@taker"];

/// The view that is scored.
pub fn view() -> View {
    let columns = COLUMNS.map(str::to_owned).to_vec();
    let definition = ViewDefinition { name: "small".to_owned(), version: 1, base: Interval::M1, columns };
    definition.resolve().expect("there are such features")
}

/// The registry, and what its versions are known by.
pub struct Shelf {
    folder: tempfile::TempDir,
    checksums: BTreeMap<(String, u32), String>,
}

impl Shelf {
    /// Versions from 1 on of two models of every symbol, and a model of a view that nobody computes.
    pub fn new(versions: u32) -> Self {
        let mut shelf = Self { folder: tempfile::tempdir().expect("a folder"), checksums: BTreeMap::new() };
        for version in 1..=versions {
            shelf.register("one", version, "small");
            shelf.register("two", version, "small");
        }
        shelf.register("other", 1, "elsewhere");
        shelf.register("changed", 1, "small");
        shelf
    }

    /// Where it lies.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("registry")
    }

    /// A folder beside it.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn register(&mut self, kind: &str, version: u32, view: &str) {
        let folder = self.folder.path().join(format!("{kind}-{version}"));
        fs::create_dir(&folder).expect("a new folder");
        let sign = if kind == "two" { -1.0 } else { 1.0 };
        let (intercept, weights) = (sign * 0.07 * f64::from(version), [250.0 * sign, 0.9]);
        let input = [0.002, -0.25];
        let sum = weights.iter().zip(input).fold(intercept, |sum, (weight, value)| sum + weight * value);
        let card = json!({ "author": "the tests", "intended_use": "Being told from others.",
            "trained_from": "2024-01-01T00:00:00Z", "trained_to": "2024-02-01T00:00:00Z" });
        // One was trained on a view that had the same name.
        let contract = if kind == "changed" { "00".to_owned() } else { models::contract_sha256(&self::view()) };
        let files = [
            (
                "manifest.json",
                json!({ "view_contract": contract, "id": format!("any-up-{kind}"), "version": version, "format": "logistic",
                    "view": { "name": view, "version": 1 }, "features": COLUMNS, "output": "probability",
                    "artifact": "model.json", "golden": "golden.json", "card": card }),
            ),
            (
                "model.json",
                json!({ "intercept": intercept, "weights": { COLUMNS[0]: weights[0], COLUMNS[1]: weights[1] } }),
            ),
            (
                "golden.json",
                json!({ "made_by": "the formula", "features": COLUMNS, "absolute_tolerance": 1e-12,
                    "relative_tolerance": 1e-12, "vectors": [
                        { "symbol": "BTCUSDT", "rows": [input], "expected": 1.0 / (1.0 + (-sum).exp()) }] }),
            ),
        ];
        for (name, content) in files {
            fs::write(folder.join(name), content.to_string()).expect("space");
        }
        let registry = Registry::create(&self.path()).expect("a registry");
        let done = models::register(&registry, &folder).expect("a sound model");
        self.checksums.insert((format!("any-up-{kind}"), version), done.sha256);
    }

    /// A definition of the ensemble of a version of both models.
    pub fn ensemble(version: u32) -> Value {
        json!({ "name": "blend", "version": version, "output": "probability", "method": { "kind": "weighted_mean" },
            "members": [{ "model": "any-up-one", "version": version, "weight": 1.0 },
                        { "model": "any-up-two", "version": version, "weight": 2.0 }] })
    }

    /// The record of the control topic that promotes a version of both models.
    pub fn promotion(&self, number: u64, alias: &str, symbol: &str, version: u32) -> Value {
        self.promote(number, alias, symbol, Self::ensemble(version))
    }

    /// The record that promotes an ensemble. Versions that are not there have a checksum of nothing.
    pub fn promote(&self, number: u64, alias: &str, symbol: &str, ensemble: Value) -> Value {
        let member = |member: &Value| {
            let (model, version) =
                (member["model"].as_str().expect("a name"), member["version"].as_u64().expect("one"));
            let checksum = self.checksums.get(&(model.to_owned(), version as u32));
            json!({ "model": model, "version": version, "sha256": checksum.cloned().unwrap_or_else(|| "0".repeat(64)) })
        };
        let members: Vec<Value> = ensemble["members"].as_array().expect("members").iter().map(member).collect();
        json!({ "type": "promotion", "who": "test", "why": format!("number {number}"), "number": number, "alias": alias,
            "symbol": symbol, "target": "up", "ensemble": ensemble, "members": members })
    }

    /// Changes a file of a version.
    pub fn tamper(&self, model: &str, version: u32) {
        let path = self.path().join(format!("models/{model}/{version}/model.json"));
        let mut bytes = fs::read(&path).expect("a file of the registry");
        bytes.push(b' ');
        fs::write(&path, bytes).expect("space");
    }
}

/// The file of an ensemble's definition.
pub fn ensemble_file(folder: &Path, version: u32) -> String {
    let path = folder.join(format!("ensemble-{version}.json"));
    fs::write(&path, Shelf::ensemble(version).to_string()).expect("space");
    path.display().to_string()
}
