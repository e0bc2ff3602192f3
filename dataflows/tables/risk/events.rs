//! `risk_events`: what happened, each told once, at its tick, in the order in which it came to be.
//!
//! | kind | when |
//! | --- | --- |
//! | `order_done`, `order_already`, `order_awaits_second`, `order_repeated`, `order_refused` | what became of an order of a person: a policy, a kill, a reset, lost fills seen to |
//! | `policy_in_force` | a policy counts from this tick on; `detail` has the whole document. The configured one is the first event |
//! | `tripped`, `lowered` | a rule rose to a level, or came down from one |
//! | `would_have_tripped`, `would_not_have_tripped`, `as_it_was` | what a correction says of a tick that is over |
//! | `level_changed` | the level of a scope is another one |
//! | `flash_crash` | a price, or the equity of an account, fell that far that fast |
//! | `late_prints` | so many prices came too late to be looked at |
//! | `regime_changed` | the volatility of a symbol is another one |
//! | `intent_expired` | the time of an approved order is over, and it was not all filled |
//! | `intent_unknown`, `intent_mismatched`, `intent_overfilled`, `intent_filled_after_end` | a fill or an end of an order that was not approved so |
//! | `fill_not_counted` | a fill, or a change of one, that does not count: the account may only reduce until the reference data that it lacks is there, or an order clears it |
//! | `cash_not_counted` | the same of a deposit or withdrawal |
//! | `fill_change_expired` | a cancel or a correction of a fill that never came |
//! | `funding_unpriced` | a funding payment that nobody knows the mark price of so far: it is in no account until there is one |
//! | `funding_lost` | a funding payment that nobody ever knew the mark price of: it is in no account |
//! | `market_refused` | a funding payment, a mark or a close that was not taken: `why`, and how many of its instrument in `value` |
//!
//! `detail` is the whole of it as JSON.

use super::{integer, json};
use tidewheel_operators::risk::RiskFact;
use tidewheel_risk::breakers::{Audit, BreakerEvent, Lowering, Rule, Trip, Verdict};
use tidewheel_risk::decisions::ProgressNote;
use tidewheel_risk::desk::RiskEvent;
use tidewheel_risk::levels::{Level, LevelChange, Scope};
use tidewheel_risk::switches::{ControlAnswer, ControlOutcome};
use tidewheel_schemas::{AccountContent, ColumnKind, Instrument, Value};

use ColumnKind::{Boolean, Double, Integer, Text};

/// Null where a kind has nothing to say.
pub(super) const COLUMNS: [(&str, ColumnKind); 15] = [
    ("kind", Text),
    ("scope", Text),
    ("rule", Text),
    ("from_level", Text),
    ("level", Text),
    ("trip", Text),
    ("value", Double),
    ("trigger", Double),
    ("is_latched", Boolean),
    ("control", Text),
    ("who", Text),
    ("why", Text),
    ("policy_version", Integer),
    ("of_tick", Integer),
    ("detail", Text),
];

/// What a row says, by its columns.
#[derive(Default)]
struct Told {
    kind: &'static str,
    scope: Option<String>,
    rule: Option<Rule>,
    levels: [Option<Level>; 2],
    trip: Option<String>,
    value: Option<f64>,
    trigger: Option<f64>,
    is_latched: Option<bool>,
    /// The order of a person: its name, who and why.
    control: Option<[Option<String>; 3]>,
    policy_version: Option<u64>,
    of_tick: Option<u64>,
}

pub(super) fn values(fact: &RiskFact) -> Box<[Value]> {
    let (told, detail) = match fact {
        RiskFact::Desk(event) => (of_desk(event), json(event)),
        RiskFact::NotCounted(record, why) => {
            let detail = serde_json::json!({ "record": record.content, "why": why });
            let scope = match &record.content {
                AccountContent::Fill(fill) => {
                    Some(Scope::Position(fill.holder.account.clone(), fill.instrument.clone()))
                }
                AccountContent::FillAmendment(of) => Some(Scope::Position(of.account.clone(), of.instrument.clone())),
                AccountContent::Cash(movement) => Some(Scope::Account(movement.account.clone())),
                _ => None,
            };
            let is_cash = matches!(record.content, AccountContent::Cash(_));
            let kind = if is_cash { "cash_not_counted" } else { "fill_not_counted" };
            (Told { kind, scope: scope.as_ref().map(Scope::to_string), ..Told::default() }, json(&detail))
        }
        RiskFact::Expired(change) => {
            let scope = Scope::Position(change.account.clone(), change.instrument.clone());
            let detail = serde_json::json!({ "fill_id": change.fill_id });
            (Told { kind: "fill_change_expired", scope: Some(scope.to_string()), ..Told::default() }, json(&detail))
        }
        RiskFact::Unpriced(funding) => (of_symbol("funding_unpriced", &funding.instrument), json(funding)),
        RiskFact::NeverPriced(funding) => (of_symbol("funding_lost", &funding.instrument), json(funding)),
        RiskFact::MarketRefused(record, why, count) => {
            let detail = json(&serde_json::json!({ "record": record, "why": why }));
            let told = record.instrument().map(|instrument| of_symbol("market_refused", instrument));
            (Told { value: Some(*count as f64), ..told.unwrap_or_default() }, detail)
        }
    };
    let text = |text: Option<&str>| text.map_or(Value::Null, Value::text);
    let number = |number: Option<u64>| number.map_or(Value::Null, integer);
    let control = |at: usize| text(told.control.as_ref().and_then(|of| of[at].as_deref()));
    let values: [Value; COLUMNS.len()] = [
        Value::text(told.kind),
        text(told.scope.as_deref()),
        text(told.rule.map(Rule::name)),
        text(told.levels[0].map(Level::name)),
        text(told.levels[1].map(Level::name)),
        text(told.trip.as_deref()),
        Value::number(told.value),
        Value::number(told.trigger),
        told.is_latched.map_or(Value::Null, Value::Boolean),
        control(0),
        control(1),
        control(2),
        number(told.policy_version),
        number(told.of_tick),
        detail,
    ];
    values.into()
}

fn of_symbol(kind: &'static str, instrument: &Instrument) -> Told {
    Told { kind, scope: Some(Scope::Symbol(instrument.clone()).to_string()), ..Told::default() }
}

fn of_desk(event: &RiskEvent) -> Told {
    match event {
        RiskEvent::Control(answer) => of_control(answer),
        RiskEvent::Policy(set) => Told {
            kind: "policy_in_force",
            control: Some([None, Some(set.who.clone()), Some(set.why.clone())]),
            policy_version: Some(set.policy.version),
            ..Told::default()
        },
        RiskEvent::Progress(note) => {
            let (kind, (account, intent_id)) = match note {
                ProgressNote::Unknown(name) => ("intent_unknown", name),
                ProgressNote::Mismatched(name) => ("intent_mismatched", name),
                ProgressNote::Overfilled(name) => ("intent_overfilled", name),
                ProgressNote::FilledAfterEnd(name) => ("intent_filled_after_end", name),
            };
            Told { kind, scope: Some(format!("intent:{account}/{intent_id}")), ..Told::default() }
        }
        RiskEvent::Expired(order) => {
            let scope = format!("intent:{}/{}", order.holder.account, order.intent_id);
            Told { kind: "intent_expired", scope: Some(scope), ..Told::default() }
        }
        RiskEvent::Regime(change) => Told {
            kind: "regime_changed",
            scope: Some(Scope::Symbol(change.instrument.clone()).to_string()),
            value: Some(change.volatility),
            ..Told::default()
        },
        RiskEvent::FlashCrash(crash) => Told {
            kind: "flash_crash",
            scope: Some(crash.scope.to_string()),
            value: Some(crash.fall.as_f64()),
            ..Told::default()
        },
        RiskEvent::Breaker(BreakerEvent::Tripped(trip)) => of_trip(trip),
        RiskEvent::Breaker(BreakerEvent::Lowered(lowering)) => {
            let Lowering { rule, scope, from, to, trip } = lowering;
            Told {
                kind: "lowered",
                scope: Some(scope.to_string()),
                rule: Some(*rule),
                levels: [Some(*from), Some(*to)],
                trip: trip.clone(),
                ..Told::default()
            }
        }
        RiskEvent::Audit(audit) => of_audit(audit),
        RiskEvent::Level(LevelChange { scope, from, to, .. }) => Told {
            kind: "level_changed",
            scope: Some(scope.to_string()),
            levels: [Some(*from), Some(*to)],
            ..Told::default()
        },
        RiskEvent::LatePrints(count) => Told { kind: "late_prints", value: Some(*count as f64), ..Told::default() },
    }
}

fn of_control(answer: &ControlAnswer) -> Told {
    let kind = match &answer.outcome {
        ControlOutcome::Done => "order_done",
        ControlOutcome::Already => "order_already",
        ControlOutcome::AwaitsSecond => "order_awaits_second",
        ControlOutcome::Repeated => "order_repeated",
        ControlOutcome::Refused(_) => "order_refused",
    };
    Told {
        kind,
        control: Some([&answer.id, &answer.who, &answer.why].map(|text| Some(text.clone()))),
        policy_version: Some(answer.policy_version),
        ..Told::default()
    }
}

fn of_trip(trip: &Trip) -> Told {
    Told {
        kind: "tripped",
        scope: Some(trip.scope.to_string()),
        rule: Some(trip.rule),
        levels: [None, Some(trip.level)],
        trip: Some(trip.id.clone()),
        value: trip.value,
        trigger: trip.trigger,
        is_latched: Some(trip.is_latched),
        policy_version: Some(trip.policy_version),
        ..Told::default()
    }
}

fn of_audit(audit: &Audit) -> Told {
    let kind = match audit.verdict {
        Verdict::WouldHaveTripped => "would_have_tripped",
        Verdict::WouldNotHaveTripped => "would_not_have_tripped",
        Verdict::AsItWas => "as_it_was",
    };
    Told {
        kind,
        scope: Some(audit.scope.to_string()),
        rule: Some(audit.rule),
        levels: [Some(audit.known_level), Some(audit.corrected_level)],
        trip: audit.trip.clone(),
        value: Some(audit.values[1]),
        policy_version: Some(audit.policy_version),
        of_tick: Some(audit.tick),
        ..Told::default()
    }
}
