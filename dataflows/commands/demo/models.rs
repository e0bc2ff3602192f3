//! The demo's models: those of `deploy/models/demo`, which `deploy/models/make_demo.py` trained on features that this program made of
//! a generated market. They are part of the program, so that the demo needs no files. They know nothing of real markets.

use super::CONTROL_TOPIC;
use crate::commands::CommandError;
use crate::models::{self, ModelsError};
use serde_json::json;
use std::fs;
use std::path::Path;
use std::time::Duration;
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};
use tidewheel_connectors::registry::Registry;
use tidewheel_models::{Alias, Promotion};

/// What they predict: the return over the ten seconds after a bar.
const TARGET: &str = "return_10s";

/// The files of a model.
macro_rules! model {
    ($kind:literal, $($file:literal),+) => {
        ($kind, &[$(($file, include_bytes!(concat!("../../../deploy/models/demo/", $kind, "/", $file)))),+])
    };
}

/// Files by name.
type Files = &'static [(&'static str, &'static [u8])];

/// The models that the ensembles below are made of.
const MODELS: [(&str, Files); 5] = [
    model!("gbt", "manifest.json", "golden.json", "model.txt"),
    model!("xgb", "manifest.json", "golden.json", "model.json"),
    model!("mlp", "manifest.json", "golden.json", "model.onnx", "scalers.json"),
    model!("lstm", "manifest.json", "golden.json", "model.onnx", "scalers.json"),
    model!("linear", "manifest.json", "golden.json", "model.json", "scalers.json"),
];

/// What decides at first: the weighted mean of trees, a perceptron and an LSTM.
const FIRST: &[u8] = include_bytes!("../../../deploy/models/demo/ensemble.json");
/// What decides after the promotion: the median of all five.
const SECOND: &[u8] = include_bytes!("../../../deploy/models/demo/ensemble-2.json");
/// What scores beside the first: the linear model alone.
const CHALLENGER: &[u8] = include_bytes!("../../../deploy/models/demo/challenger.json");

/// The promotions of the demo: those that it begins with, and those that come while it is watched.
pub struct Promoter {
    first: Vec<Promotion>,
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
        for (kind, files) in MODELS {
            let folder = registry.join(kind);
            fs::create_dir_all(&folder).map_err(failed)?;
            for (name, content) in files {
                fs::write(folder.join(name), content).map_err(failed)?;
            }
            models::register(&shelf, &folder)?;
            fs::remove_dir_all(&folder).map_err(failed)?;
        }
        let promote = |alias, definition: &[u8]| {
            let definition = serde_json::from_slice(definition).expect("a test reads the definitions");
            models::promote(&shelf, alias, "any", TARGET, definition)
        };
        let first = vec![promote(Alias::Challenger, CHALLENGER)?, promote(Alias::Production, FIRST)?];
        let later = vec![promote(Alias::Production, SECOND)?, promote(Alias::Challenger, FIRST)?];
        let publisher = Publisher::connect(bootstrap, CONTROL_TOPIC, &Default::default(), Duration::from_secs(10))?;
        Ok(Self { first, later, publisher })
    }

    /// Sends what the demo begins with.
    ///
    /// # Errors
    /// If it cannot be sent.
    pub fn begin(&mut self) -> Result<(), CommandError> {
        let first = std::mem::take(&mut self.first);
        first.iter().try_for_each(|promotion| self.send(promotion))
    }

    /// Promotes the second ensemble, and has the first score beside it.
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
