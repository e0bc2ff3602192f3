//! The tables of risk. All are facts: a row says what was so at its tick by what was known then. What is so now is the newest row of its
//! key, and a correction makes a newer one, never another in the place of an old one.
//!
//! | family | rows | qualifier |
//! | --- | --- | --- |
//! | `positions` | a position that a fill, its change or funding touched, as it is after the tick; and at most every `risk.publish_every` one that holds something and has another mark | `holder`: `ACCOUNT|STRATEGY` |
//! | `risk` | numbers of an account that changed and of its parts, at most every `risk.publish_every`; of a part that is no more one row of zeros; of all accounts at the first tick of an hour | `part`: `ACCOUNT|KIND|NAME` |
//! | `risk_events` | what happened, see [`events`] | `event`: its number in the run |
//! | `order_decisions` | what an order intent was told | `intent`: `ACCOUNT|INTENT`; of others of its name in the tick with `|other|N`, and of one that was decided anew with `|decision|N` |
//! | `control` | records of the control topic, where no rows are scored: else that table is there already | `record` |
//!
//! Quantities and prices are decimal texts, to the last digit. Money is in the currency that the row names, exact sums that are turned
//! into floats once; the column `exact` has them to the last digit. Their times are those of ticks, but for decisions, which have that of their intent.

mod events;
mod numbers;

use super::facts;
use crate::scoring::ControlFact;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_operators::risk::RiskOutcome;
use tidewheel_risk::decisions::{Answer, Decision, Ruling};
use tidewheel_schemas::{ColumnKind, ColumnSpec, Instrument, OrderIntent, Row, TableKind, TableSpec, Value, format_e8};

const POSITIONS: u16 = 0;
const RISK: u16 = 1;
const EVENTS: u16 = 2;
const DECISIONS: u16 = 3;
const CONTROL: u16 = 4;

/// Where the tables of risk stand among those of the run.
#[derive(Clone, Copy, Debug)]
pub struct RiskTables {
    first: u16,
    has_control: bool,
}

/// What the intents of a name were told in a tick.
#[derive(Default)]
struct Told {
    /// By the numbers of decisions the row, and how often it was asked for. More than one where what was decided is not remembered: such
    /// an intent takes no name, so that the next one of its name is decided anew.
    decisions: BTreeMap<u64, (usize, i64)>,
    others: usize,
}

type Columns<'a> = &'a [(&'a str, ColumnKind)];

fn spec(family: &str, qualifier: &str, columns: Columns<'_>) -> TableSpec {
    TableSpec {
        family: family.into(),
        member: None,
        version: 1,
        kind: TableKind::Fact,
        qualifier: Some(qualifier.into()),
        columns: columns.iter().map(|(name, kind)| ColumnSpec::new(name, *kind)).collect(),
    }
}

/// The tables in the order of their numbers. That of the control topic is among them where no rows are scored.
pub(super) fn specs(is_scored: bool) -> Vec<TableSpec> {
    let mut specs = vec![
        spec("positions", "holder", &numbers::POSITION),
        spec("risk", "part", &numbers::RISK),
        spec("risk_events", "event", &events::COLUMNS),
        spec("order_decisions", "intent", &DECISION),
    ];
    specs.extend((!is_scored).then(facts::control_spec));
    specs
}

const DECISION: [(&str, ColumnKind); 21] = {
    use ColumnKind::{Boolean, Double, Integer, Text, Time};
    [
        ("account", Text),
        ("strategy", Text),
        ("intent_id", Text),
        ("side", Text),
        ("asked_quantity", Text),
        ("limit_price", Text),
        ("is_reduce_only", Boolean),
        ("answer", Text),
        ("ruling", Text),
        ("quantity", Text),
        ("price", Text),
        ("reasons", Text),
        ("risk_score", Double),
        ("level", Text),
        ("policy_version", Integer),
        ("state_version", Integer),
        ("decision", Integer),
        ("decided_at", Time),
        ("decided_tick", Integer),
        ("expires", Time),
        ("times_asked", Integer),
    ]
};

impl RiskTables {
    /// Those of a run whose other tables are so many.
    pub const fn new(first: u16, is_scored: bool) -> Self {
        Self { first, has_control: !is_scored }
    }

    /// The number of the table that keeps what came on the control topic, where it is one of these.
    pub const fn control_number(&self) -> Option<u16> {
        if self.has_control { Some(self.first + CONTROL) } else { None }
    }

    /// The rows of a tick.
    pub(crate) fn rows(&self, tick: u64, outcome: &RiskOutcome, control: &[ControlFact]) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        rows.extend(outcome.positions.iter().map(|position| {
            let holder = format!("{}|{}", position.holder.account, position.holder.strategy);
            self.row(POSITIONS, (position.instrument.clone(), holder), tick_ns(tick), numbers::position(position))
        }));
        for report in &outcome.accounts {
            rows.extend(
                numbers::parts(report)
                    .into_iter()
                    .map(|(part, values)| self.row(RISK, (of_the_run("risk"), part), tick_ns(tick), values)),
            );
        }
        rows.extend(outcome.events.iter().map(|event| {
            let number = format!("{:012}", event.number);
            self.row(EVENTS, (of_the_run("risk_events"), number), tick_ns(tick), events::values(&event.fact))
        }));
        rows.extend(self.decisions(&outcome.answers));
        if let Some(number) = self.control_number() {
            rows.extend(control.iter().map(|fact| facts::control_row(number, tick, fact)));
        }
        rows
    }

    /// One row for each decision of the tick, however often it was asked for; another for each other intent of its name.
    fn decisions(&self, answers: &[Answer]) -> Vec<Row> {
        let mut rows: Vec<Row> = Vec::new();
        let mut told: BTreeMap<[Arc<str>; 2], Told> = BTreeMap::new();
        for answer in answers {
            let intent = match answer {
                Answer::Decided(decision) | Answer::Repeated(decision) => &decision.intent,
                Answer::NameReused { intent, .. } => intent,
            };
            let name = [intent.holder.account.clone(), intent.intent_id.clone()];
            let key = format!("{}|{}", name[0], name[1]);
            let told = told.entry(name).or_default();
            let (key, values) = match answer {
                Answer::NameReused { intent, number } => {
                    told.others += 1;
                    (format!("{key}|other|{}", told.others), other(intent, *number))
                }
                Answer::Decided(decision) | Answer::Repeated(decision) => {
                    if let Some((at, times)) = told.decisions.get_mut(&decision.number) {
                        *times += 1;
                        if let Some(last) = rows[*at].values.as_deref_mut().and_then(<[Value]>::last_mut) {
                            *last = Value::Integer(*times);
                        }
                        continue;
                    }
                    let is_first = told.decisions.is_empty();
                    told.decisions.insert(decision.number, (rows.len(), 1));
                    let key = if is_first { key } else { format!("{key}|decision|{}", decision.number) };
                    (key, decided(decision, matches!(answer, Answer::Repeated(_)), 1))
                }
            };
            let of = (intent.instrument.clone(), key);
            rows.push(self.row(DECISIONS, of, intent.event_time_ns, values));
        }
        rows
    }

    fn row(&self, table: u16, of: (Instrument, String), event_time_ns: i64, values: Box<[Value]>) -> Row {
        let (instrument, qualifier) = of;
        let qualifier = qualifier.into();
        Row { table: self.first + table, instrument, qualifier, event_time_ns, revision: 0, values: Some(values) }
    }
}

fn asked(intent: &OrderIntent) -> [Value; 7] {
    [
        Value::Text(intent.holder.account.clone()),
        Value::Text(intent.holder.strategy.clone()),
        Value::Text(intent.intent_id.clone()),
        Value::text(intent.side.name()),
        decimal(intent.quantity_e8),
        intent.limit_price_e8.map_or(Value::Null, decimal),
        Value::Boolean(intent.is_reduce_only),
    ]
}

fn decided(decision: &Decision, is_repeated: bool, times: i64) -> Box<[Value]> {
    let ruling = match decision.ruling {
        Ruling::Approved => "approved",
        Ruling::Reduced => "reduced",
        Ruling::Rejected => "rejected",
    };
    let own = [
        Value::text(if is_repeated { "repeated" } else { "decided" }),
        Value::text(ruling),
        decimal(decision.quantity_e8),
        decision.price_e8.map_or(Value::Null, decimal),
        json(&decision.reasons),
        Value::number(Some(decision.risk_score.as_f64())),
        Value::text(decision.level.name()),
        integer(decision.policy_version),
        integer(decision.state_version),
        integer(decision.number),
        Value::Time(decision.time_ns),
        integer(decision.tick),
        decision.expires_ns.map_or(Value::Null, Value::Time),
        Value::Integer(times),
    ];
    asked(&decision.intent).into_iter().chain(own).collect()
}

/// An intent whose name another one has: it is not to be sent.
fn other(intent: &OrderIntent, number: u64) -> Box<[Value]> {
    let mut own = [const { Value::Null }; DECISION.len() - 7];
    own[0] = Value::text("name_reused");
    own[1] = Value::text("rejected");
    own[2] = decimal(0);
    own[9] = integer(number);
    own[13] = Value::Integer(1);
    asked(intent).into_iter().chain(own).collect()
}

/// Stands in the place of an instrument in rows that speak of the run.
fn of_the_run(what: &str) -> Instrument {
    Instrument { venue: "tidewheel".into(), symbol: what.into() }
}

/// An exact number of eight decimals.
fn decimal(e8: i64) -> Value {
    Value::text(&format_e8(e8.into()))
}

/// Money with sixteen decimals.
fn money(e16: Option<i128>) -> Value {
    Value::number(e16.map(|e16| e16 as f64 / 1e16))
}

fn json<T: serde::Serialize>(value: &T) -> Value {
    Value::text(&serde_json::to_string(value).expect("plain data always encodes"))
}

fn integer(number: u64) -> Value {
    Value::Integer(number.cast_signed())
}

fn tick_ns(tick: u64) -> i64 {
    i64::try_from(tick).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
