//! `tidewheel model`: the registry of models by hand.

mod change;
mod compare;
mod look;
mod policy;
mod send;

pub(super) use compare::flatten;
pub(super) use send::send_record;

use super::CommandError;
use crate::models::ModelsError;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use tidewheel_connectors::registry::Registry;
use tidewheel_models::ModelId;

/// Register models, look at them, and say which are in force
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidewheel model register my-model --registry models       a folder with manifest.json and its files
  tidewheel model list --registry models
  tidewheel model show any-return_15m-gbt@1 --registry models
  tidewheel model verify --registry models                  checksums and golden vectors of all versions
  tidewheel model promote ensemble.json --target return_15m --registry models
  tidewheel model promote ensemble.json --target return_15m --registry models --config run.toml
  tidewheel model send 7 --registry models --config run.toml             what could not be sent then
  tidewheel model rollback --target return_15m --registry models
  tidewheel model withdraw --target return_15m --alias challenger --registry models
  tidewheel model signals-policy --number 1 --consider 0.6 --act 0.7 --cool-down 180s --universe 20 --config run.toml
  tidewheel model diff any-return_15m-gbt@1 any-return_15m-gbt@2 --registry models")]
pub struct ModelArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Register(change::RegisterArgs),
    List(look::ListArgs),
    Show(look::ShowArgs),
    Verify(look::VerifyArgs),
    Promote(change::PromoteArgs),
    Rollback(change::RollbackArgs),
    Withdraw(change::WithdrawArgs),
    SignalsPolicy(policy::SignalsPolicyArgs),
    Send(send::SendArgs),
    Diff(compare::DiffArgs),
}

impl ModelArgs {
    /// Does it.
    ///
    /// # Errors
    /// If it cannot be done; the message says what to do.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        match self.action {
            Action::Register(args) => args.run(out),
            Action::List(args) => args.run(out),
            Action::Show(args) => args.run(out),
            Action::Verify(args) => args.run(out),
            Action::Promote(args) => args.run(out),
            Action::Rollback(args) => args.run(out),
            Action::Withdraw(args) => args.run(out),
            Action::SignalsPolicy(args) => args.run(out),
            Action::Send(args) => args.run(out),
            Action::Diff(args) => args.run(out),
        }
    }
}

/// Where the registry is, and how to answer.
#[derive(Debug, clap::Args)]
struct RegistryArgs {
    /// The registry's folder
    #[arg(long, value_name = "DIR")]
    registry: PathBuf,
    /// Answer with one line of JSON
    #[arg(long)]
    json: bool,
}

impl RegistryArgs {
    fn open(&self) -> Result<Registry, CommandError> {
        Ok(Registry::open(&self.registry).map_err(ModelsError::from)?)
    }

    /// Writes an answer as JSON.
    fn answer(out: &mut dyn Write, value: &serde_json::Value) -> Result<(), CommandError> {
        writeln!(out, "{value}").map_err(CommandError::Output)
    }
}

/// A version of a model, as `any-return_15m-gbt@3`.
#[derive(Clone, Debug)]
struct VersionName {
    id: ModelId,
    version: u32,
}

impl FromStr for VersionName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (id, version) = text.rsplit_once('@').ok_or("write MODEL@VERSION, as in any-return_15m-gbt@3")?;
        let version = version.parse().map_err(|_| format!("\"{version}\" is not the number of a version"))?;
        let id = id.parse().map_err(|error: tidewheel_models::ManifestError| error.to_string())?;
        Ok(Self { id, version })
    }
}
