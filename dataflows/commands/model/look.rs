//! `list`, `show` and `verify`: what is in the registry.

use super::{RegistryArgs, VersionName};
use crate::commands::CommandError;
use crate::commands::table::Table;
use crate::models::{self, ModelsError};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use tidewheel_connectors::registry::Registry;
use tidewheel_models::{Change, Manifest, ModelId, Promotion};

/// List all versions and what the aliases mean
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    #[command(flatten)]
    registry: RegistryArgs,
}

/// All versions there are.
fn all(registry: &Registry) -> Result<Vec<VersionName>, CommandError> {
    let mut names = Vec::new();
    for (id, versions) in registry.list().map_err(ModelsError::from)? {
        // A folder that is no model's was not put there by this program, and is left alone.
        let Ok(id) = id.parse::<ModelId>() else { continue };
        names.extend(versions.into_iter().map(|version| VersionName { id: id.clone(), version }));
    }
    Ok(names)
}

/// What each alias means now, in order.
fn aliases(registry: &Registry) -> Result<Vec<Promotion>, CommandError> {
    let history: Vec<Change> = registry.history().map_err(ModelsError::from)?;
    let keys: BTreeSet<_> =
        history.iter().map(Change::of).map(|(alias, symbol, target)| (symbol, target, alias)).collect();
    let found =
        keys.into_iter().filter_map(|(symbol, target, alias)| models::in_force(&history, alias, symbol, target));
    Ok(found.cloned().collect())
}

/// The aliases that a version is in, with the names of their ensembles.
fn roles(aliases: &[Promotion], name: &VersionName) -> Vec<String> {
    let is_in = |it: &&Promotion| it.members.iter().any(|one| one.model == name.id && one.version == name.version);
    let role = |it: &Promotion| format!("{} ({})", models::who(it.alias, &it.symbol, &it.target), it.ensemble);
    aliases.iter().filter(is_in).map(role).collect()
}

/// The manifest of a version, without loading the model.
fn manifest(registry: &Registry, name: &VersionName) -> Result<Manifest, CommandError> {
    let stored = registry.get(&name.id.to_string(), name.version).map_err(ModelsError::from)?;
    let bytes = stored.files.get("manifest.json").map(Vec::as_slice).unwrap_or_default();
    let path = registry.root().join("manifest.json");
    Ok(Manifest::from_json(bytes).map_err(|source| ModelsError::Manifest { path, source })?)
}

impl ListArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let registry = self.registry.open()?;
        let aliases = aliases(&registry)?;
        let (mut table, mut values) = (Table::right_aligned(&[1, 4]), Vec::new());
        table.row(["model", "version", "format", "view", "rows", "output", "in"]);
        for name in all(&registry)? {
            let roles = roles(&aliases, &name);
            let (version, role) = (name.version.to_string(), roles.join(", "));
            let value = match manifest(&registry, &name) {
                Ok(it) => {
                    let (rows, output) = (it.sequence_length.to_string(), it.output.to_string());
                    let (format, view) = (it.format.to_string(), it.view.to_string());
                    table.row([name.id.to_string(), version, format, view, rows, output, role]);
                    json!({ "model": name.id, "version": name.version, "format": it.format, "view": it.view,
                        "sequence_length": it.sequence_length, "output": it.output, "in": roles })
                }
                // One that was tampered with does not hide the others.
                Err(error) => {
                    table.row([name.id.to_string(), version, format!("not readable: {error}")]);
                    json!({ "model": name.id, "version": name.version, "error": error.to_string() })
                }
            };
            values.push(value);
        }
        if self.registry.json {
            RegistryArgs::answer(out, &json!({ "versions": values, "aliases": aliases }))?;
            return Ok(ExitCode::SUCCESS);
        }
        table.write(out, "").map_err(CommandError::Output)?;
        for it in &aliases {
            let who = models::who(it.alias, &it.symbol, &it.target);
            writeln!(out, "{who}: {} since change {}", it.ensemble, it.number).map_err(CommandError::Output)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Show a version: what it wants, what it gives, its card
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// The version, as any-return_15m-gbt@3
    #[arg(value_name = "MODEL@VERSION")]
    version: VersionName,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl ShowArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let registry = self.registry.open()?;
        let loaded = models::load(&registry, &self.version.id, self.version.version, None)?;
        let manifest = loaded.model.manifest();
        let roles = roles(&aliases(&registry)?, &self.version);
        if self.registry.json {
            RegistryArgs::answer(out, &json!({ "manifest": manifest, "sha256": loaded.sha256, "in": roles }))?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::default();
        table.row(["sha256".to_owned(), loaded.sha256]);
        table.row(["format".to_owned(), manifest.format.to_string()]);
        table.row(["in".to_owned(), if roles.is_empty() { "no alias".to_owned() } else { roles.join(", ") }]);
        for (file, sha256) in &manifest.files {
            table.row([format!("file {file}"), sha256.clone()]);
        }
        for (number, feature) in manifest.features.iter().enumerate() {
            table.row([format!("feature {number}"), feature.clone()]);
        }
        let card = manifest.card.markdown(manifest);
        writeln!(out, "{card}").and_then(|()| table.write(out, "")).map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Hold versions against their checksums and golden vectors; fails if one does not stand it
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// Only this version [default: all]
    #[arg(value_name = "MODEL@VERSION")]
    version: Option<VersionName>,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl VerifyArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let registry = self.registry.open()?;
        let names = match self.version {
            Some(version) => vec![version],
            None => all(&registry)?,
        };
        let (mut values, mut is_fine): (Vec<Value>, bool) = (Vec::new(), true);
        for VersionName { id, version } in names {
            let verify = || {
                let model = models::load(&registry, &id, version, None)?.model;
                let differs = |difference| ModelsError::Golden {
                    model: models::title(&id, version),
                    difference: Box::new(difference),
                };
                model.verify().map_err(differs)
            };
            match verify() {
                Ok(it) => {
                    let (vectors, most) = (it.vectors, it.difference_max);
                    values.push(
                        json!({ "model": id, "version": version, "golden_vectors": vectors, "difference_max": most }),
                    );
                    if !self.registry.json {
                        writeln!(
                            out,
                            "{id} version {version}: {vectors} golden vectors agree, largest difference {most:e}"
                        )
                        .map_err(CommandError::Output)?;
                    }
                }
                Err(error) => {
                    is_fine = false;
                    values.push(json!({ "model": id, "version": version, "error": error.to_string() }));
                    if !self.registry.json {
                        writeln!(out, "{error}").map_err(CommandError::Output)?;
                    }
                }
            }
        }
        if self.registry.json {
            RegistryArgs::answer(out, &json!(values))?;
        }
        Ok(if is_fine { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
