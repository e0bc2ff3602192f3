//! `kill`, `reset` and `clear`.

use super::Sender;
use super::scope::{level, scope};
use crate::commands::CommandError;
use crate::risk_view::{RiskView, Story};
use std::collections::BTreeSet;
use std::io::Write;
use std::process::ExitCode;
use tidewheel_risk::breakers::Rule;
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::switches::Order;

/// Trip the manual kill switch of a scope; it stays until it is reset
#[derive(Debug, clap::Args)]
pub(super) struct KillArgs {
    /// everything, account:A, strategy:A/S, symbol:VENUE|SYMBOL, or position:A/VENUE|SYMBOL
    #[arg(value_name = "SCOPE", value_parser = scope)]
    scope: Scope,
    /// red to halt, black to liquidate
    #[arg(long, value_name = "LEVEL", default_value = "red", value_parser = level)]
    level: Level,
    #[command(flatten)]
    sender: Sender,
}

impl KillArgs {
    /// It is sent first, and then held against the lake: nothing holds a stop up.
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let Self { scope, level, sender } = self;
        let config = sender.config()?;
        let id = sender.send(Order::Kill { scope: scope.clone(), level }, out)?;
        let trip = format!("{}@{scope}@{level}@{id}", Rule::KillManual.name());
        writeln!(out, "its trip, to be reset: {trip}").map_err(CommandError::Output)?;
        if let Some((view, story)) = sender.known(&config, out)? {
            if let Some((_, policy)) = story.in_force() {
                sender.warn_of(&policy.people.kill, out)?;
            }
            warn_of_unknown(&scope, &view, &story, out)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// A mistyped name stops nobody.
fn warn_of_unknown(scope: &Scope, view: &RiskView, story: &Story, out: &mut dyn Write) -> Result<(), CommandError> {
    let (account, strategy) = match scope {
        Scope::Everything | Scope::Symbol(_) => return Ok(()),
        Scope::Account(account) | Scope::Position(account, _) => (account, None),
        Scope::Strategy(holder) => (&holder.account, Some(&holder.strategy)),
    };
    let accounts = view.accounts()?;
    let found = accounts.iter().find(|known| known.name() == &**account);
    let known: BTreeSet<String> = match (found, strategy) {
        (None, _) => accounts.iter().map(|known| format!("account:{}", known.name())).collect(),
        (Some(_), None) => return Ok(()),
        (Some(found), Some(strategy)) => {
            let strategies: BTreeSet<&str> = found.parts_of("strategy").map(|part| part.text("name")).collect();
            if strategies.contains(&**strategy) {
                return Ok(());
            }
            strategies.into_iter().map(|strategy| format!("strategy:{account}/{strategy}")).collect()
        }
    };
    // Something was told of it before, as a kill of it.
    if story.scopes().any(|known| known == scope) && found.is_some() {
        return Ok(());
    }
    let known: Vec<String> = known.into_iter().collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    writeln!(out, "warning: the lake knows no {scope}: was the name mistyped? It knows {known}")
        .map_err(CommandError::Output)
}

/// Clear a trip; at black a second person must say so too
#[derive(Debug, clap::Args)]
pub(super) struct ResetArgs {
    /// The trip's name, as `tidewheel risk trips` tells it
    #[arg(value_name = "TRIP")]
    trip: String,
    #[command(flatten)]
    sender: Sender,
}

impl ResetArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let Self { trip, sender } = self;
        let config = sender.config()?;
        if let Some((view, story)) = sender.known(&config, out)? {
            check(&trip, &view, &story)?;
            if let Some((_, policy)) = story.in_force() {
                sender.warn_of(&policy.people.reset, out)?;
            }
        }
        sender.send(Order::Reset { trip }, out)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Say that the lost fills of an account have been seen to, so that its numbers are trusted again
///
/// A fill that cannot count (too late, impossible, or another one of its name) leaves its account unsure of what it holds: it may only
/// reduce. Book the difference first, by fills or cash that do count; risk_events tells it as fill_not_counted or cash_not_counted.
#[derive(Debug, clap::Args)]
pub(super) struct ClearArgs {
    /// The account
    #[arg(value_name = "ACCOUNT")]
    account: String,
    #[command(flatten)]
    sender: Sender,
}

impl ClearArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let Self { account, sender } = self;
        let config = sender.config()?;
        if let Some((view, story)) = sender.known(&config, out)? {
            warn_of_unknown(&Scope::account(&account), &view, &story, out)?;
            if let Some((_, policy)) = story.in_force() {
                sender.warn_of(&policy.people.reset, out)?;
            }
        }
        sender.send(Order::Clear { account: account.into() }, out)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether a trip stands, and can be reset.
fn check(name: &str, view: &RiskView, story: &Story) -> Result<(), CommandError> {
    let found = story.trips().iter().rev().find(|state| state.trip.id == name);
    let stand: Vec<&str> =
        story.standing_trips().filter(|state| state.trip.is_latched).map(|state| &*state.trip.id).collect();
    let stand = if stand.is_empty() { "none".to_owned() } else { stand.join(", ") };
    let through = crate::commands::time_text(view.through());
    let why = match found.map(|state| (state.trip.is_latched, &state.ended)) {
        Some((true, None)) => return Ok(()),
        Some((false, None)) => "comes down by itself, and cannot be reset".to_owned(),
        Some((_, Some((tick, _)))) => format!("ended at {}", crate::commands::time_text(*tick)),
        None => "does not stand".to_owned(),
    };
    Err(CommandError::Usage(format!(
        "trip {name:?} {why}, says the lake through {through}; to be reset: {stand}; to send it all the same add --unchecked"
    )))
}
