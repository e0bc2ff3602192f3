//! What an account is held to, beside where it is: as the rules and the decisions reckon it, from the numbers that it was told with.

use crate::risk_view::{AccountState, NumberRow};
use tidewheel_risk::breakers::Rule;
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::policy::{Limits, Policy, Ratio};
use tidewheel_schemas::{Holder, Instrument};

/// One measure of an account.
#[derive(Clone, Debug)]
pub(super) struct Measure {
    /// Its name.
    pub name: String,
    /// What it is now; none where it cannot be told.
    pub now: Option<f64>,
    /// What orders are held to.
    pub limit: Option<f64>,
    /// From which value on which rule stands at which level.
    pub rungs: Vec<(Rule, Level, f64)>,
    /// How it is written.
    pub form: Form,
}

/// How a figure is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A share, in percent.
    Share,
    /// A multiple.
    Multiple,
    /// A count.
    Count,
}

/// The measures of an account.
pub(super) fn of(policy: &Policy, account: &AccountState) -> Vec<Measure> {
    let scope = Scope::account(account.name());
    let limits = limits(policy, account, &Instrument { venue: "".into(), symbol: "".into() });
    let whole = &account.whole;
    let equity = whole.number("equity").filter(|equity| *equity > 0.0);
    let over = |amount: Option<f64>, base: Option<f64>| match (amount, base.filter(|base| *base > 0.0)) {
        (Some(0.0), _) => Some(0.0),
        (amount, base) => Some(amount? / base?),
    };
    let rungs = |rules: &[Rule]| {
        let of = |rule: &Rule| {
            let (rule, rungs) = (*rule, policy.rungs(*rule, &scope));
            Level::ALL.into_iter().filter_map(move |level| Some((rule, level, rungs.trigger(level)?)))
        };
        rules.iter().flat_map(of).collect::<Vec<_>>()
    };
    let share = |name: &str, now, limit: Option<Ratio>, rules: &[Rule]| Measure {
        name: name.to_owned(),
        now,
        limit: limit.map(Ratio::as_f64),
        rungs: rungs(rules),
        form: Form::Share,
    };
    let at_risk = |column: &str| over(whole.number(column), equity);
    let lost = whole.number("day_profit").map(|profit| -profit);
    let mut measures = vec![
        share(
            "drawdown",
            whole.number("drawdown").map(|drawdown| -drawdown),
            Some(limits.drawdown),
            &[Rule::Drawdown, Rule::KillDrawdown],
        ),
        share(
            "loss of the day",
            over(lost, whole.number("day_base")),
            Some(limits.daily_loss),
            &[Rule::DailyLoss, Rule::KillLoss],
        ),
        share("value at risk 95 %", at_risk("historical_var_95"), None, &[Rule::ValueAtRisk, Rule::KillValueAtRisk]),
        share("value at risk 99 %", at_risk("historical_var_99"), None, &[]),
        share("expected shortfall 95 %", at_risk("historical_es_95"), None, &[]),
    ];
    for strategy in account.parts_of("strategy") {
        let holder = Holder { account: account.name().into(), strategy: strategy.text("name").into() };
        let held = policy.limits.of(&policy.overrides, &holder, &Instrument { venue: "".into(), symbol: "".into() });
        let gross = over(strategy.number("gross_exposure"), equity);
        let name = format!("gross of {}", holder.strategy);
        measures.push(Measure { form: Form::Multiple, ..share(&name, gross, Some(held.strategy_gross), &[]) });
    }
    let gross = over(whole.number("gross_exposure"), equity);
    measures.push(Measure { form: Form::Multiple, ..share("gross", gross, Some(limits.gross), &[]) });
    for venue in account.parts_of("venue") {
        let margin = equity.map(|equity| equity * policy.margin.at(venue.text("name")).as_f64());
        let leverage = over(venue.number("gross_exposure"), margin);
        let name = format!("leverage at {}", venue.text("name"));
        let rules = [Rule::Leverage, Rule::KillLeverage];
        measures.push(Measure { form: Form::Multiple, ..share(&name, leverage, Some(limits.leverage), &rules) });
    }
    for part in ["symbol", "sector", "asset_class"] {
        measures.extend(account.parts_of(part).map(|part| concentration(policy, account, part)));
    }
    let open = whole.number("open_positions");
    measures.push(Measure {
        name: "open positions".to_owned(),
        now: open,
        limit: Some(limits.concurrent_positions.into()),
        rungs: Vec::new(),
        form: Form::Count,
    });
    measures
}

/// Exposure in a symbol, sector or class as a share of equity. The breaker goes by its share of the limit.
fn concentration(policy: &Policy, account: &AccountState, part: &NumberRow) -> Measure {
    let (kind, name) = (part.text("kind"), part.text("name"));
    let (venue, symbol) = if kind == "symbol" { name.split_once('|').unwrap_or_default() } else { ("", "") };
    let limits = limits(policy, account, &Instrument { venue: venue.into(), symbol: symbol.into() });
    let limit = match kind {
        "symbol" => limits.single_position,
        "sector" => limits.sector,
        _ => limits.asset_class,
    };
    let rule = Rule::Concentration;
    let rungs = policy.breakers.concentration.rungs();
    let rungs = rungs.map(|(level, rung)| (rule, level, rung.trigger.times(limit).as_f64()));
    Measure {
        name: format!("{} {name}", kind.replace('_', " ")),
        now: part.number("concentration"),
        limit: Some(limit.as_f64()),
        rungs: rungs.collect(),
        form: Form::Share,
    }
}

/// What an account is held to whatever its strategy: no name is empty.
fn limits(policy: &Policy, account: &AccountState, instrument: &Instrument) -> Limits {
    let anyone = Holder { account: account.name().into(), strategy: "".into() };
    policy.limits.of(&policy.overrides, &anyone, instrument)
}
