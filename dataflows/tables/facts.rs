//! The tables of scoring: what ensembles said of rows, what was made of it, what changed in the run and by which record.
//!
//! Facts have no revision: a row says what was done at its tick with what was known then.

use crate::scoring::ControlFact;
use std::sync::Arc;
use tidewheel_operators::features::View;
use tidewheel_operators::scoring::{Direction, Prediction};
use tidewheel_operators::signals::{Level, Signal, Why};
use tidewheel_schemas::{ColumnKind, ColumnSpec, Instrument, Row, TableKind, TableSpec, Value};

/// Where the tables of scoring stand among those of the run, after the views, and how the views are called.
#[derive(Clone, Debug)]
pub struct FactTables {
    first: u16,
    views: Vec<Arc<str>>,
}

/// An event, without the record that brought it about.
pub struct EventRow<'a> {
    /// Its number in the run, from 1.
    pub number: u64,
    /// What happened.
    pub kind: &'static str,
    /// To what.
    pub subject: &'a str,
    /// What exactly.
    pub detail: Option<String>,
}

const EVENTS: u16 = 0;
const PREDICTIONS: u16 = 1;
const SHADOW_PREDICTIONS: u16 = 2;
const SIGNALS: u16 = 3;
const CONTROL: u16 = 4;

/// The tables but that of events, which stands before them, in the order of their numbers.
pub(super) fn specs() -> [TableSpec; 4] {
    use ColumnKind::{Double, Integer, Text, Time};
    let prediction = [
        ("value", Double),
        ("direction", Text),
        ("confidence", Double),
        ("disagreement", Double),
        ("present", Double),
        ("refusal", Text),
        ("refusal_detail", Text),
        ("members", Text),
        ("ensemble", Text),
        ("promotion", Integer),
        ("view", Text),
        ("row_revision", Integer),
    ];
    let signal = [
        ("signal", Text),
        ("why", Text),
        ("direction", Text),
        ("confidence", Double),
        ("refusal", Text),
        ("cooling_since", Time),
        ("volume_rank", Integer),
        ("quote_volume_24h", Double),
        ("ensemble", Text),
        ("promotion", Integer),
    ];
    [
        spec("predictions", "target", &prediction),
        spec("shadow_predictions", "target", &prediction),
        spec("signals", "target", &signal),
        control_spec(),
    ]
}

fn spec(family: &str, qualifier: &str, columns: &[(&str, ColumnKind)]) -> TableSpec {
    TableSpec {
        family: family.into(),
        member: None,
        version: 1,
        kind: TableKind::Fact,
        qualifier: Some(qualifier.into()),
        columns: columns.iter().map(|(name, kind)| ColumnSpec::new(name, *kind)).collect(),
    }
}

/// The table of the records of the control topic, which risk has too where no rows are scored.
pub(super) fn control_spec() -> TableSpec {
    use ColumnKind::{Integer, Text};
    let control = [("source", Text), ("position", Integer), ("receive_time_ns", Integer), ("raw", Text)];
    spec("control", "record", &control)
}

/// A record of the control topic as it came, in the table of a number.
pub(super) fn control_row(table: u16, tick: u64, fact: &ControlFact) -> Row {
    let ControlFact { source, record, .. } = fact;
    let values = [
        Value::Text(Arc::clone(source)),
        integer(record.position),
        record.receive_time_ns.map_or(Value::Null, Value::Integer),
        Value::Text(Arc::clone(&record.raw)),
    ];
    let qualifier = format!("{source}:{:020}", record.position).into();
    let (instrument, values) = (of_the_run("control"), Some(values.into()));
    Row { table, instrument, qualifier, event_time_ns: tick_ns(tick), revision: 0, values }
}

impl FactTables {
    /// Those of a run with these views.
    pub fn new(views: &[View]) -> Self {
        let views: Vec<Arc<str>> = views.iter().map(|view| format!("{}@{}", view.name, view.version).into()).collect();
        Self { first: views.len() as u16, views }
    }

    /// The number of the table that keeps what came on the control topic.
    const fn control_number(&self) -> u16 {
        self.first + CONTROL
    }

    /// What an ensemble said of a row.
    pub fn prediction(&self, prediction: &Prediction) -> Row {
        let activation = &prediction.activation;
        let (decision, refused) = match &prediction.judgement.decision {
            Ok(decision) => (Some(decision), None),
            Err(refused) => (None, Some(refused)),
        };
        let number = |of: fn(&tidewheel_operators::scoring::Decision) -> f64| Value::number(decision.map(of));
        let values = [
            number(|decision| decision.value),
            text(decision.map(|decision| decision.direction.name())),
            number(|decision| decision.confidence),
            number(|decision| decision.disagreement),
            number(|decision| decision.present),
            text(refused.map(|refused| refused.name)),
            text(refused.map(|refused| refused.detail.as_str())),
            Value::Text(Arc::clone(&prediction.judgement.members)),
            Value::Text(Arc::clone(&activation.ensemble)),
            integer(activation.number),
            Value::Text(Arc::clone(&self.views[usize::from(activation.view)])),
            Value::Integer(prediction.revision.into()),
        ];
        let table = if activation.is_shadow { SHADOW_PREDICTIONS } else { PREDICTIONS };
        let of = (prediction.instrument.clone(), Arc::clone(&activation.target));
        self.row(table, of, prediction.event_time_ns, values.into())
    }

    /// What was made of a prediction.
    pub fn signal(&self, signal: &Signal) -> Row {
        const E16: f64 = 1e16;
        let (refusal, cooling) = match &signal.why {
            Why::Refused(name) => (Some(*name), None),
            Why::CoolDown(since) => (None, Some(*since)),
            _ => (None, None),
        };
        let values = [
            Value::text(signal.level.name()),
            Value::text(signal.why.name()),
            text(signal.direction.map(Direction::name)),
            Value::number(signal.confidence),
            text(refusal),
            cooling.map_or(Value::Null, Value::Time),
            signal.rank.map_or(Value::Null, |rank| Value::Integer(rank.into())),
            Value::Double(signal.quote_volume_e16 as f64 / E16),
            Value::Text(Arc::clone(&signal.activation.ensemble)),
            integer(signal.activation.number),
        ];
        let of = (signal.instrument.clone(), Arc::clone(&signal.activation.target));
        self.row(SIGNALS, of, signal.event_time_ns, values.into())
    }

    /// What happened, and which record brought it about.
    pub fn event(&self, tick: u64, fact: &ControlFact, event: &EventRow<'_>) -> Row {
        let ControlFact { source, record, .. } = fact;
        let of = record.wanted.of();
        let values = [
            Value::text(event.kind),
            Value::text(event.subject),
            text(event.detail.as_deref()),
            text(of.map(|(alias, ..)| alias.to_string()).as_deref()),
            text(of.map(|(_, symbol, _)| symbol)),
            text(of.map(|(.., target)| target)),
            integer(record.wanted.number()),
            record.who.clone().map_or(Value::Null, Value::Text),
            record.why.clone().map_or(Value::Null, Value::Text),
            Value::Text(Arc::clone(source)),
            integer(record.position),
        ];
        // Numbers of one length sort as numbers do.
        let number = format!("{:012}", event.number).into();
        self.row(EVENTS, (of_the_run("events"), number), tick_ns(tick), values.into())
    }

    /// A record of the control topic as it came.
    pub fn control(&self, tick: u64, fact: &ControlFact) -> Row {
        control_row(self.control_number(), tick, fact)
    }

    fn row(&self, table: u16, of: (Instrument, Arc<str>), event_time_ns: i64, values: Box<[Value]>) -> Row {
        let (instrument, qualifier) = of;
        Row { table: self.first + table, instrument, qualifier, event_time_ns, revision: 0, values: Some(values) }
    }
}

/// An event for people: `event 7: ensemble_activated blend@2 (production of any-up, promotion 3)`. None if it is no such row.
pub fn event_text(row: &Row) -> Option<String> {
    match row.values.as_deref()? {
        [
            Value::Text(kind),
            Value::Text(subject),
            _,
            Value::Text(alias),
            Value::Text(symbol),
            Value::Text(target),
            Value::Integer(promotion),
            ..,
        ] => {
            let number = row.qualifier.trim_start_matches('0');
            Some(format!("event {number}: {kind} {subject} ({alias} of {symbol}-{target}, promotion {promotion})"))
        }
        [Value::Text(kind), Value::Text(subject), _, Value::Null, _, _, Value::Integer(policy), ..] => {
            let number = row.qualifier.trim_start_matches('0');
            Some(format!("event {number}: {kind} {subject} (policy {policy})"))
        }
        _ => None,
    }
}

/// A signal to act for people: `act BTCUSDT return_10s up, confidence 0.71, by demo@2`. None if it is no such row.
pub fn signal_text(row: &Row) -> Option<String> {
    match row.values.as_deref()? {
        [Value::Text(level), _, Value::Text(direction), Value::Double(confidence), .., Value::Text(ensemble), _]
            if **level == *Level::Act.name() =>
        {
            let (symbol, target) = (&row.instrument.symbol, &row.qualifier);
            Some(format!("{level} {symbol} {target} {direction}, confidence {confidence:.2}, by {ensemble}"))
        }
        _ => None,
    }
}

/// A record of the control topic as the lake keeps it.
pub struct KeptRecord {
    /// The name of its partition.
    pub source: Arc<str>,
    /// Its offset.
    pub position: u64,
    /// When it was received, nanoseconds, where known.
    pub receive_time_ns: Option<i64>,
    /// As it was received.
    pub raw: Arc<str>,
}

impl KeptRecord {
    /// What a row keeps; none if it is no such row.
    pub fn of(row: &Row) -> Option<Self> {
        match row.values.as_deref()? {
            [Value::Text(source), Value::Integer(position), received, Value::Text(raw)] => Some(Self {
                source: Arc::clone(source),
                position: position.cast_unsigned(),
                receive_time_ns: if let Value::Integer(time) = received { Some(*time) } else { None },
                raw: Arc::clone(raw),
            }),
            _ => None,
        }
    }
}

/// Stands in the place of an instrument in rows that speak of the run, so that they stay in their order in one partition.
fn of_the_run(what: &str) -> Instrument {
    Instrument { venue: "tidewheel".into(), symbol: what.into() }
}

fn text(text: Option<&str>) -> Value {
    text.map_or(Value::Null, Value::text)
}

fn integer(number: u64) -> Value {
    Value::Integer(number.cast_signed())
}

fn tick_ns(tick: u64) -> i64 {
    i64::try_from(tick).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}
