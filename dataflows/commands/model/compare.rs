//! `diff`: what is not the same in two versions.

use super::{RegistryArgs, VersionName};
use crate::commands::CommandError;
use crate::commands::table::Table;
use crate::models;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;

/// Show in which fields of their manifests two versions differ
#[derive(Debug, clap::Args)]
pub(super) struct DiffArgs {
    /// One version
    #[arg(value_name = "MODEL@VERSION")]
    one: VersionName,
    /// Another
    #[arg(value_name = "MODEL@VERSION")]
    other: VersionName,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl DiffArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let registry = self.registry.open()?;
        let fields = |name: &VersionName| -> Result<BTreeMap<String, Value>, CommandError> {
            let loaded = models::load(&registry, &name.id, name.version, None)?;
            let mut fields = BTreeMap::new();
            flatten("", &json!(loaded.model.manifest()), &mut fields);
            Ok(fields)
        };
        let (one, other) = (fields(&self.one)?, fields(&self.other)?);
        let names = one.keys().chain(other.keys().filter(|name| !one.contains_key(*name)));
        let mut differing: Vec<_> = names.filter(|name| one.get(*name) != other.get(*name)).collect();
        differing.sort();
        if self.registry.json {
            let field = |name: &&String| json!({ "field": name, "one": one.get(*name), "other": other.get(*name) });
            RegistryArgs::answer(out, &json!(differing.iter().map(field).collect::<Vec<_>>()))?;
            return Ok(ExitCode::SUCCESS);
        }
        let text = |value: Option<&Value>| match value {
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
            None => "-".to_owned(),
        };
        let mut table = Table::default();
        let title = |name: &VersionName| format!("{}@{}", name.id, name.version);
        table.row(["field".to_owned(), title(&self.one), title(&self.other)]);
        for name in differing {
            table.row([name.clone(), text(one.get(name)), text(other.get(name))]);
        }
        table.write(out, "").map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The values of a document by their paths, as `card.metrics.rmse` and `features[3]`.
pub(in crate::commands) fn flatten(path: &str, value: &Value, fields: &mut BTreeMap<String, Value>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, value, fields);
            }
        }
        Value::Array(list) => {
            for (at, value) in list.iter().enumerate() {
                flatten(&format!("{path}[{at}]"), value, fields);
            }
        }
        value => drop(fields.insert(path.to_owned(), value.clone())),
    }
}
