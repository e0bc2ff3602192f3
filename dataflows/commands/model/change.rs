//! `register`, `promote`, `rollback` and `withdraw`: what changes the registry.

use super::RegistryArgs;
use super::send::{Remarks, send};
use crate::commands::CommandError;
use crate::models::{self, ModelsError};
use crate::scoring::Wanted;
use serde_json::json;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tidewheel_connectors::registry::Registry;
use tidewheel_models::manifest::{is_symbol, is_word};
use tidewheel_models::{Alias, EnsembleDefinition, Promotion};

/// Take a folder with manifest.json and the files it names as a new version, if its golden vectors hold
#[derive(Debug, clap::Args)]
pub(super) struct RegisterArgs {
    /// The folder
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl RegisterArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let registry = Registry::create(&self.registry.registry).map_err(ModelsError::from)?;
        let done = models::register(&registry, &self.folder)?;
        let (id, version, sha256, agreement) = (done.id, done.version, done.sha256, done.agreement);
        if self.registry.json {
            let vectors = agreement.vectors;
            let value = json!({ "model": id, "version": version, "sha256": sha256, "golden_vectors": vectors,
                "difference_max": agreement.difference_max });
            RegistryArgs::answer(out, &value)?;
        } else {
            writeln!(
                out,
                "registered {id} version {version}: {} golden vectors agree, largest difference {:e}\nsha256 {sha256}",
                agreement.vectors, agreement.difference_max
            )
            .map_err(CommandError::Output)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Which alias of which target.
#[derive(Debug, clap::Args)]
struct SubjectArgs {
    /// The target, as in return_15m
    #[arg(long, value_parser = target)]
    target: String,
    /// The symbol it is for
    #[arg(long, default_value = "any", value_parser = symbol)]
    symbol: String,
    /// The alias: production decides, challenger scores beside it
    #[arg(long, value_enum, default_value_t = AliasName::Production)]
    alias: AliasName,
}

fn target(text: &str) -> Result<String, String> {
    if is_word(text) { Ok(text.to_owned()) } else { Err("a target is made of a-z, 0-9 and _".to_owned()) }
}

fn symbol(text: &str) -> Result<String, String> {
    if is_symbol(text) { Ok(text.to_owned()) } else { Err("write a symbol as the venue does, or any".to_owned()) }
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum AliasName {
    Production,
    Challenger,
}

impl From<AliasName> for Alias {
    fn from(name: AliasName) -> Self {
        match name {
            AliasName::Production => Self::Production,
            AliasName::Challenger => Self::Challenger,
        }
    }
}

/// Give an alias of a target an ensemble of registered versions
#[derive(Debug, clap::Args)]
pub(super) struct PromoteArgs {
    /// The ensemble's definition, as JSON
    #[arg(value_name = "ENSEMBLE.json")]
    ensemble: PathBuf,
    #[command(flatten)]
    subject: SubjectArgs,
    /// Send it to the run that has this configuration, by its control topic; it takes effect there at one tick
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    remarks: Remarks,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl PromoteArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let path = self.ensemble;
        let bytes = std::fs::read(&path).map_err(|source| ModelsError::File { path: path.clone(), source })?;
        let definition: EnsembleDefinition = serde_json::from_slice(&bytes).map_err(|error| {
            CommandError::Usage(format!("could not read {} as an ensemble: {error}", path.display()))
        })?;
        let SubjectArgs { target, symbol, alias } = self.subject;
        let promotion = models::promote(&self.registry.open()?, alias.into(), &symbol, &target, definition)?;
        tell(out, &promotion, self.registry.json)?;
        tell_sent(out, &promotion, self.config.as_ref(), &self.remarks, self.registry.json)
    }
}

/// Give an alias of a target what it was before
#[derive(Debug, clap::Args)]
pub(super) struct RollbackArgs {
    /// Go back to the promotion of this number [default: the one before]
    #[arg(long, value_name = "NUMBER")]
    to: Option<u64>,
    #[command(flatten)]
    subject: SubjectArgs,
    /// Send it to the run that has this configuration, by its control topic; it takes effect there at one tick
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    remarks: Remarks,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl RollbackArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let SubjectArgs { target, symbol, alias } = self.subject;
        let promotion = models::rollback(&self.registry.open()?, alias.into(), &symbol, &target, self.to)?;
        tell(out, &promotion, self.registry.json)?;
        tell_sent(out, &promotion, self.config.as_ref(), &self.remarks, self.registry.json)
    }
}

/// Leave an alias of a target without an ensemble
#[derive(Debug, clap::Args)]
pub(super) struct WithdrawArgs {
    #[command(flatten)]
    subject: SubjectArgs,
    /// Send it to the run that has this configuration, by its control topic; it takes effect there at one tick
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    remarks: Remarks,
    #[command(flatten)]
    registry: RegistryArgs,
}

impl WithdrawArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let SubjectArgs { target, symbol, alias } = self.subject;
        let withdrawal = models::withdraw(&self.registry.open()?, alias.into(), &symbol, &target)?;
        if self.registry.json {
            RegistryArgs::answer(out, &json!(withdrawal))?;
        } else {
            let who = models::who(withdrawal.alias, &symbol, &target);
            writeln!(out, "{who} has no ensemble any more (change {})", withdrawal.number)
                .map_err(CommandError::Output)?;
        }
        if let Some(config) = &self.config {
            let topic = send(&Wanted::Withdrawal(withdrawal), config, &self.remarks)?;
            if !self.registry.json {
                writeln!(out, "  sent to {topic}").map_err(CommandError::Output)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn tell(out: &mut dyn Write, promotion: &Promotion, as_json: bool) -> Result<(), CommandError> {
    if as_json {
        return RegistryArgs::answer(out, &json!(promotion));
    }
    let who = models::who(promotion.alias, &promotion.symbol, &promotion.target);
    let mut text = match promotion.rolled_back_to {
        Some(to) => {
            format!("{who} is {} again, as of promotion {to} (change {})\n", promotion.ensemble, promotion.number)
        }
        None => format!("{who} is {} (promotion {})\n", promotion.ensemble, promotion.number),
    };
    for member in &promotion.members {
        text += &format!("  {} version {}  sha256 {}\n", member.model, member.version, member.sha256);
    }
    out.write_all(text.as_bytes()).map_err(CommandError::Output)
}

/// Sends what is in the registry by now to a run, where one is named. If that fails, `send` does it later.
fn tell_sent(
    out: &mut dyn Write,
    promotion: &Promotion,
    config: Option<&PathBuf>,
    remarks: &Remarks,
    as_json: bool,
) -> Result<ExitCode, CommandError> {
    if let Some(config) = config {
        let topic = send(&Wanted::Promotion(promotion.clone()), config, remarks)?;
        if !as_json {
            writeln!(out, "  sent to {topic}").map_err(CommandError::Output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
