//! `status`: where everything stands, what that allows, and what accounts are worth, hold and are held to.

use super::KnownArgs;
use super::measures::{self, Measure};
use super::view::{allows, cause_text, money, now, rungs, time, written};
use crate::commands::CommandError;
use crate::commands::table::Table;
use crate::risk_view::{AccountState, Story};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::process::ExitCode;
use tidewheel_risk::breakers::Rule;
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::policy::Policy;
use tidewheel_schemas::{Holder, Instrument};

/// Show levels with causes and what they allow, and of each account its numbers against what it is held to
#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    known: KnownArgs,
}

impl StatusArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let view = self.known.open()?;
        let (story, accounts) = (view.story()?, view.accounts()?);
        let scopes = scopes(&story, &accounts);
        if self.known.json {
            let answer = json!({
                "lake": KnownArgs::head_json(&view),
                "policy": story.in_force().map(|(change, policy)| json!({
                    "version": policy.version, "since_tick": change.tick, "who": change.who, "why": change.why,
                })),
                "scopes": scopes.iter().map(|scope| scope_json(scope, &story)).collect::<Vec<_>>(),
                "accounts": accounts.iter().map(|account| account_json(account, &story)).collect::<Vec<_>>(),
                "trips": story.standing_trips().map(super::trips::to_json).collect::<Vec<_>>(),
            });
            KnownArgs::answer(out, &answer)?;
            return Ok(ExitCode::SUCCESS);
        }
        self.known.head(&view, out)?;
        told(&story, &accounts, &scopes, out).map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Everything, all accounts, strategies and symbols that there is something to say of; widest first, each kind by name.
fn scopes(story: &Story, accounts: &[AccountState]) -> Vec<Scope> {
    let mut scopes: BTreeSet<Scope> = story.scopes().cloned().collect();
    scopes.insert(Scope::Everything);
    for account in accounts {
        scopes.insert(Scope::account(account.name()));
        for strategy in account.parts_of("strategy") {
            let strategy = strategy.text("name").into();
            scopes.insert(Scope::Strategy(Holder { account: account.name().into(), strategy }));
        }
        scopes.extend(account.positions.iter().map(|position| Scope::Symbol(position.instrument.clone())));
    }
    scopes.into_iter().collect()
}

/// The level that orders of a scope are held to: that of the scope, or of a wider one.
fn in_effect(story: &Story, scope: &Scope) -> Level {
    let mut over = vec![scope.clone(), Scope::Everything];
    match scope {
        Scope::Everything | Scope::Account(_) | Scope::Symbol(_) => {}
        Scope::Strategy(holder) => over.push(Scope::Account(holder.account.clone())),
        Scope::Position(account, instrument) => {
            over.extend([Scope::Account(account.clone()), Scope::Symbol(Instrument::clone(instrument))]);
        }
    }
    over.iter().map(|scope| story.level(scope)).max().unwrap_or_default()
}

fn told(story: &Story, accounts: &[AccountState], scopes: &[Scope], out: &mut dyn Write) -> io::Result<()> {
    let policy = story.in_force();
    if let Some((change, policy)) = policy {
        let (version, since) = (policy.version, time(change.tick));
        writeln!(out, "policy {version}, in force since {since} by {}: {}", change.who, change.why)?;
    }
    writeln!(out)?;
    let mut table = Table::default();
    table.row(["scope", "level", "allows", "causes"]);
    for scope in scopes {
        table.row([
            scope.to_string(),
            story.level(scope).to_string(),
            allows(in_effect(story, scope)),
            causes(story, scope).join("; "),
        ]);
    }
    table.write(out, "")?;
    for account in accounts {
        writeln!(out)?;
        account_told(account, policy.map(|(_, policy)| policy), out)?;
    }
    if accounts.is_empty() {
        writeln!(out, "\nno account has numbers yet")?;
    }
    let trips = story.standing_trips().filter(|state| state.trip.is_latched).count();
    match trips {
        0 => Ok(()),
        1 => writeln!(out, "\n1 trip stands until it is reset: see tidewheel risk trips"),
        trips => writeln!(out, "\n{trips} trips stand until they are reset: see tidewheel risk trips"),
    }
}

/// The rules above green at a scope, worst first.
fn causes(story: &Story, scope: &Scope) -> Vec<String> {
    let mut found: Vec<_> = standings(story, scope).collect();
    found.sort_by_key(|(rule, level, _)| (std::cmp::Reverse(*level), *rule));
    found.into_iter().map(|(rule, level, cause)| format!("{level} {}", cause_text(cause, rule))).collect()
}

fn standings<'a>(
    story: &'a Story,
    scope: &'a Scope,
) -> impl Iterator<Item = (Rule, Level, &'a tidewheel_risk::breakers::Cause)> {
    let of_scope = story.standings().iter().filter(move |((of, _), _)| of == scope);
    of_scope.map(|((_, rule), standing)| (*rule, standing.level, &standing.cause))
}

fn account_told(account: &AccountState, policy: Option<&Policy>, out: &mut dyn Write) -> io::Result<()> {
    let whole = &account.whole;
    let amount = |column: &str| money(whole.number(column));
    writeln!(out, "account {}, in {}, as of {}", account.name(), whole.text("currency"), time(whole.tick))?;
    let mut table = Table::default();
    let lines = [
        ["equity", "peak_equity", "cash", "deposits"],
        ["realised", "unrealised", "fees", "funding"],
        ["day_profit", "gross_exposure", "net_exposure", "historical_var_95"],
    ];
    for line in lines {
        table.row(line.map(|column| format!("{} {}", column.replace('_', " "), amount(column))));
    }
    table.write(out, "  ")?;
    if !matches!(whole.text("faults"), "" | "[]") {
        writeln!(out, "  NOT TO BE RELIED ON: {}", whole.text("faults"))?;
    }
    if let Some(policy) = policy {
        let mut table = Table::right_aligned(&[1, 2]);
        table.row(["measure", "now", "limit", "levels from"]);
        for measure in measures::of(policy, account) {
            let limit = measure.limit.map_or_else(|| "-".to_owned(), |limit| written(limit, measure.form));
            table.row([measure.name.clone(), now(&measure), limit, rungs(&measure)]);
        }
        table.write(out, "  ")?;
    }
    if account.positions.is_empty() {
        return Ok(());
    }
    let mut table = Table::right_aligned(&[2, 3, 4]);
    table.row(["strategy", "instrument", "quantity", "average price", "realised", "since"]);
    for position in &account.positions {
        let (row, instrument) = (&position.row, &position.instrument);
        table.row([
            row.text("strategy").to_owned(),
            format!("{}|{}", instrument.venue, instrument.symbol),
            row.text("quantity").to_owned(),
            row.text("average_price").to_owned(),
            money(row.number("realised")),
            time(row.tick),
        ]);
    }
    table.write(out, "  ")
}

fn scope_json(scope: &Scope, story: &Story) -> Value {
    let allowed = in_effect(story, scope).allows();
    let cause = |(rule, level, cause): (Rule, Level, &tidewheel_risk::breakers::Cause)| {
        let trips: Vec<&str> = story
            .standing_trips()
            .filter(|state| state.trip.rule == rule && state.trip.scope == *scope)
            .map(|state| &*state.trip.id)
            .collect();
        json!({ "rule": rule, "level": level, "cause": cause, "trips": trips })
    };
    json!({
        "scope": scope.to_string(), "level": story.level(scope), "level_in_effect": in_effect(story, scope),
        "allows": { "open": allowed.open, "increase": allowed.increase, "reduce": allowed.reduce,
            "cancel": allowed.cancel, "liquidate": allowed.liquidate },
        "causes": standings(story, scope).map(cause).collect::<Vec<_>>(),
    })
}

fn account_json(account: &AccountState, story: &Story) -> Value {
    let measures = story.in_force().map(|(_, policy)| measures::of(policy, account)).unwrap_or_default();
    let measure = |measure: &Measure| {
        let rungs = measure.rungs.iter();
        let rungs = rungs.map(|(rule, level, from)| json!({ "rule": rule, "level": level, "from": from }));
        json!({ "measure": measure.name, "now": measure.now, "limit": measure.limit, "levels": rungs.collect::<Vec<_>>() })
    };
    let positions = account.positions.iter().map(|position| {
        let (mut row, instrument) = (position.row.to_json(), &position.instrument);
        (row["venue"], row["symbol"]) = (json!(instrument.venue), json!(instrument.symbol));
        row
    });
    let scope = Scope::account(account.name());
    json!({
        "account": account.name(), "level": story.level(&scope), "level_in_effect": in_effect(story, &scope),
        "numbers": account.whole.to_json(),
        "measures": measures.iter().map(measure).collect::<Vec<_>>(),
        "parts": account.parts.iter().map(crate::risk_view::NumberRow::to_json).collect::<Vec<_>>(),
        "positions": positions.collect::<Vec<_>>(),
    })
}
