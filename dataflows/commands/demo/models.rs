//! The demo's models: small ones over bars of a second, made on the spot, so that features, predictions, signals and a promotion
//! can be seen within half a minute. They show how models are served, and know nothing of markets.

use super::CONTROL_TOPIC;
use crate::commands::CommandError;
use crate::models::{self, ModelsError};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::time::Duration;
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};
use tidewheel_connectors::registry::Registry;
use tidewheel_models::{Alias, Promotion};

/// The name of the view that they score.
pub const VIEW: &str = "demo";
/// Its columns.
pub const COLUMNS: [&str; 2] = ["return_1@simple", "volume_imbalance_1@taker"];
/// What they predict: whether the next bar closes higher.
const TARGET: &str = "up";
/// How much each version makes of the columns: the first follows the last move, the second expects it to turn.
const WEIGHTS: [[f64; 2]; 2] = [[400.0, 0.8], [-400.0, 0.3]];

/// The promotions of the demo: one that it begins with, and those that come while it is watched.
pub struct Promoter {
    first: Promotion,
    later: Vec<Promotion>,
    publisher: Publisher,
}

impl Promoter {
    /// Registers the models in a new registry; what lies there is replaced.
    ///
    /// # Errors
    /// If the registry cannot be written, or the broker is not there.
    pub fn new(registry: &Path, bootstrap: &str) -> Result<Self, CommandError> {
        let failed = |source| CommandError::from(ModelsError::File { path: registry.to_owned(), source });
        match fs::remove_dir_all(registry) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let shelf = Registry::create(registry).map_err(ModelsError::from)?;
        for (version, weights) in (1..).zip(WEIGHTS) {
            let folder = registry.join(format!("version-{version}"));
            fs::create_dir_all(&folder).map_err(failed)?;
            for (name, content) in files(version, weights) {
                fs::write(folder.join(name), content.to_string()).map_err(failed)?;
            }
            models::register(&shelf, &folder)?;
        }
        let promote = |alias, version: u32| {
            let definition = json!({ "name": "demo", "version": version, "output": "probability",
                "method": { "kind": "weighted_mean" }, "members": [{ "model": "any-up-logistic", "version": version }] });
            let definition = serde_json::from_value(definition).expect("it is a definition");
            models::promote(&shelf, alias, "any", TARGET, definition)
        };
        let first = promote(Alias::Production, 1)?;
        let later = vec![promote(Alias::Production, 2)?, promote(Alias::Challenger, 1)?];
        let publisher = Publisher::connect(bootstrap, CONTROL_TOPIC, &Default::default(), Duration::from_secs(10))?;
        Ok(Self { first, later, publisher })
    }

    /// Sends what the demo begins with.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn begin(&mut self) -> Result<(), CommandError> {
        let first = self.first.clone();
        self.send(&first)
    }

    /// Promotes the second version, and has the first score beside it.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn go_on(mut self) -> Result<(), CommandError> {
        std::mem::take(&mut self.later).iter().try_for_each(|promotion| self.send(promotion))?;
        Ok(self.publisher.finish()?)
    }

    fn send(&mut self, promotion: &Promotion) -> Result<(), CommandError> {
        let mut record = json!(promotion);
        (record["type"], record["who"], record["why"]) = (json!("promotion"), json!("demo"), json!("to be watched"));
        Ok(self.publisher.send(&Outgoing { payload: record.to_string().as_bytes(), ..Outgoing::default() })?)
    }
}

/// The files of a version.
fn files(version: u32, weights: [f64; 2]) -> [(&'static str, Value); 3] {
    let input = [0.001, 0.25];
    let sum: f64 = weights.iter().zip(input).map(|(weight, value)| weight * value).sum();
    let card = json!({ "author": "the demo", "intended_use": "Being watched. Not for trading.",
        "trained_from": "2024-01-01T00:00:00Z", "trained_to": "2024-01-01T00:00:00Z" });
    [
        (
            "manifest.json",
            json!({ "id": "any-up-logistic", "version": version, "format": "logistic", "output": "probability",
                "view": { "name": VIEW, "version": 1 }, "features": COLUMNS, "artifact": "model.json",
                "golden": "golden.json", "card": card }),
        ),
        ("model.json", json!({ "intercept": 0.0, "weights": { COLUMNS[0]: weights[0], COLUMNS[1]: weights[1] } })),
        (
            "golden.json",
            json!({ "made_by": "the formula", "features": COLUMNS, "absolute_tolerance": 1e-12,
                "relative_tolerance": 1e-12, "vectors": [
                    { "symbol": "any", "rows": [input], "expected": 1.0 / (1.0 + (-sum).exp()) }] }),
        ),
    ]
}
