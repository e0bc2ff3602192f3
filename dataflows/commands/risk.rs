//! `tidewheel risk`: orders to the risk of a run, and policies checked before they are sent. Nothing acts beside the control topic: what a
//! command sends takes effect at its tick or is refused there, and `PREFIX.risk_events` says which.

use super::{CommandError, now_ns};
use crate::scoring::Wanted;
use serde_json::json;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::policy::Policy;
use tidewheel_risk::switches::{ControlEvent, Order};
use tidewheel_schemas::{Holder, Instrument};

/// Order the risk of a run to stop, to go on, or to hold accounts to another policy
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewheel risk kill account:main --level red --who anna --why 'feed looks wrong' --config tidewheel.toml
  tidewheel risk reset 'kill_manual@account:main@red@k-17' --who ben --why 'seen to' --config tidewheel.toml
  tidewheel risk check-policy policy.toml
  tidewheel risk set-policy policy.toml --who anna --why 'smaller book' --config tidewheel.toml")]
pub struct RiskArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Trip the manual kill switch of a scope; it stays until it is reset
    Kill {
        /// everything, account:A, strategy:A/S, symbol:VENUE|SYMBOL, or position:A/VENUE|SYMBOL
        #[arg(value_name = "SCOPE", value_parser = scope)]
        scope: Scope,
        /// red to halt, black to liquidate
        #[arg(long, value_name = "LEVEL", default_value = "red", value_parser = level)]
        level: Level,
        #[command(flatten)]
        sender: Sender,
    },
    /// Clear a trip; at black a second person must say so too
    Reset {
        /// The trip's name, as the table of events has it
        #[arg(value_name = "TRIP")]
        trip: String,
        #[command(flatten)]
        sender: Sender,
    },
    /// Put a policy in force: the whole document, with a version above that in force
    SetPolicy {
        /// The document, TOML or JSON
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        sender: Sender,
    },
    /// Tell all that is wrong with a policy; print it whole, with its defaults, where nothing is
    CheckPolicy {
        /// The document, TOML or JSON; without it the defaults are printed
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
struct Sender {
    /// Who orders it
    #[arg(long, value_name = "NAME")]
    who: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// The order's name, different for each; one is made of the time if absent. The same order sent twice under one name is done once
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The configuration of the run, whose control.topic is written to
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

impl RiskArgs {
    /// Sends an order, or checks a policy.
    ///
    /// # Errors
    /// If the policy cannot be, or the control topic cannot be written to.
    ///
    /// # Panics
    /// Never: a policy can be written down.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        match self.action {
            Action::Kill { scope, level, sender } => sender.send(Order::Kill { scope, level }, out),
            Action::Reset { trip, sender } => sender.send(Order::Reset { trip }, out),
            Action::SetPolicy { file, sender } => sender.send(Order::SetPolicy(Box::new(policy(&file)?)), out),
            Action::CheckPolicy { file } => {
                let policy = file.map_or_else(|| Ok(Policy::with_version(1)), |file| policy(&file))?;
                let text = toml::to_string(&policy).expect("a policy is a table");
                out.write_all(text.as_bytes()).map_err(CommandError::Output)?;
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}

impl Sender {
    fn send(self, order: Order, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let Self { who, why, id, config } = self;
        // A record says milliseconds.
        let time_ns = now_ns() / 1_000_000 * 1_000_000;
        let id = id.unwrap_or_else(|| format!("{who}-{time_ns}"));
        let event = ControlEvent { id, who, why, time_ns, order };
        let (who, why) = (event.who.clone(), event.why.clone());
        let wanted = Wanted::Risk(Box::new(event));
        let mut record = wanted.to_json();
        (record["who"], record["why"]) = (json!(who), json!(why));
        let topic = super::model::send_record(&record, &config)?;
        writeln!(out, "sent {} {} to {topic}", wanted.kind(), wanted.subject()).map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// A policy in a file, with all that is wrong with it as the error.
fn policy(path: &Path) -> Result<Policy, CommandError> {
    let usage = |detail: String| CommandError::Usage(format!("could not take policy {}: {detail}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|error| usage(error.to_string()))?;
    let policy: Policy = if text.trim_start().starts_with('{') {
        serde_json::from_str(&text).map_err(|error| usage(error.to_string()))?
    } else {
        toml::from_str(&text).map_err(|error| usage(error.to_string()))?
    };
    let problems: Vec<String> = policy.problems().iter().map(ToString::to_string).collect();
    if problems.is_empty() { Ok(policy) } else { Err(usage(problems.join("; "))) }
}

fn level(text: &str) -> Result<Level, String> {
    let found = [Level::Red, Level::Black].into_iter().find(|level| level.name() == text);
    found.ok_or_else(|| "is red or black".to_owned())
}

/// As a scope prints.
fn scope(text: &str) -> Result<Scope, String> {
    let wrong = || "is everything, account:A, strategy:A/S, symbol:VENUE|SYMBOL or position:A/VENUE|SYMBOL".to_owned();
    let instrument = |text: &str| {
        let (venue, symbol) = text.split_once('|').ok_or_else(wrong)?;
        Instrument::new(venue, symbol).map_err(|error| error.to_string())
    };
    let scope = match text.split_once(':') {
        None if text == "everything" => Scope::Everything,
        Some(("account", account)) => Scope::account(account),
        Some(("strategy", names)) => {
            let (account, strategy) = names.split_once('/').ok_or_else(wrong)?;
            Scope::Strategy(Holder { account: account.into(), strategy: strategy.into() })
        }
        Some(("symbol", name)) => Scope::Symbol(instrument(name)?),
        Some(("position", names)) => {
            let (account, name) = names.split_once('/').ok_or_else(wrong)?;
            Scope::Position(account.into(), instrument(name)?)
        }
        _ => return Err(wrong()),
    };
    if scope.is_whole() { Ok(scope) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_print() {
        for text in ["everything", "account:a", "strategy:a/s", "symbol:binance|BTCUSDT", "position:a/binance|BTCUSDT"]
        {
            assert_eq!(scope(text).expect(text).to_string(), text);
        }
        for text in ["all", "account:", "strategy:a", "symbol:BTCUSDT", "position:a", "symbol:|"] {
            assert!(scope(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_policy_is_told_by_the_field_that_cannot_be() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("policy");
        let check = |text: &str| {
            std::fs::write(&path, text).expect("space");
            policy(&path).map_err(|error| error.to_string())
        };
        assert_eq!(check("version = 3\n").expect("the defaults are sound"), Policy::with_version(3));
        assert_eq!(check("{\"version\": 3}").expect("the defaults are sound"), Policy::with_version(3));
        let told = check("version = 3\n[limits]\ngross = 0\n").expect_err("nothing could be held");
        assert!(told.contains("limits.gross"), "{told}");
        let told = check("version = 3\n[limits]\ngros = 1\n").expect_err("no such field");
        assert!(told.contains("gros"), "{told}");
        let whole = toml::to_string(&Policy::with_version(3)).expect("a policy is a table");
        assert_eq!(check(&whole).expect("it reads back"), Policy::with_version(3));
    }
}
