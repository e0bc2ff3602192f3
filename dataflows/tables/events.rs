//! `events`: what happened in a run that someone may want to look at, each told once, at its tick.
//!
//! | kind | subject | when |
//! | --- | --- | --- |
//! | `quality_low` | the view's table | the newest row of an instrument is worse than `features.min_quality` |
//! | `quality_back` | the same | it is not any more |
//! | `ensemble_activated` | the ensemble | a promotion took effect; its members and what follows come after it |
//! | `member_activated` | the model and its version | the same |
//! | `downstream_switched` | the table | the same |
//! | `promotion_refused` | the ensemble | it could not be used; what was active goes on |
//! | `ensemble_withdrawn` | the alias and target | it was left without an ensemble; what follows comes after it |
//! | `withdrawal_refused` | the same | there was none, or the record is an old one |
//! | `signals_policy_changed` | `signals` | other thresholds took effect |
//! | `signals_policy_refused` | `signals` | they could not be used; those before go on |

use tidewheel_operators::features::{QualityChange, View};
use tidewheel_schemas::{ColumnKind, ColumnSpec, Row, TableKind, TableSpec, Value};

/// What can happen. A further kind is one more line here and in [`EventKind::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Rows of an instrument have become worse than `features.min_quality`.
    QualityLow,
    /// They are not any more.
    QualityBack,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::QualityLow, Self::QualityBack];

    /// The text in the column `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QualityLow => "quality_low",
            Self::QualityBack => "quality_back",
        }
    }
}

/// Its columns. Those from `alias` on say which record of the control topic an event came of, and are null where none did.
const COLUMNS: [(&str, ColumnKind); 11] = [
    ("kind", ColumnKind::Text),
    ("subject", ColumnKind::Text),
    ("detail", ColumnKind::Text),
    ("alias", ColumnKind::Text),
    ("for_symbol", ColumnKind::Text),
    ("target", ColumnKind::Text),
    ("promotion", ColumnKind::Integer),
    ("who", ColumnKind::Text),
    ("why", ColumnKind::Text),
    ("source", ColumnKind::Text),
    ("position", ColumnKind::Integer),
];

/// The table. Events of one instrument, time and tick are told apart by `event`: `KIND:SUBJECT`, or the number in the run of
/// those that come of the control topic.
pub(super) fn spec() -> TableSpec {
    let columns = COLUMNS.map(|(name, kind)| ColumnSpec::new(name, kind));
    TableSpec {
        family: "events".into(),
        member: None,
        version: 1,
        kind: TableKind::Fact,
        qualifier: Some("event".into()),
        columns: columns.into(),
    }
}

/// The row of a change of quality. Its event time is that of the row.
pub(super) fn of_quality(table: u16, view: &View, change: &QualityChange) -> Row {
    let kind = if change.is_low { EventKind::QualityLow } else { EventKind::QualityBack };
    let QualityChange { quality, bound, null_share, warm_share, staleness_ns, .. } = change;
    let detail = format!(
        "quality {quality:.4}, the bound is {bound}; null_share {null_share:.4}, warm_share {warm_share:.4}, staleness_ms {}",
        staleness_ns / 1_000_000
    );
    let subject = format!("features.{}", view.name);
    let own = [kind.name(), &subject, &detail].map(Value::text);
    let values: Box<[Value]> = own.into_iter().chain(std::iter::repeat(Value::Null)).take(COLUMNS.len()).collect();
    Row {
        table,
        instrument: change.instrument.clone(),
        qualifier: format!("{}:{subject}", kind.name()).into(),
        event_time_ns: change.close_time_ns,
        revision: 0,
        values: Some(values),
    }
}
