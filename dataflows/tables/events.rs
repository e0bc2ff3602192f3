//! `events`: what happened in a run that someone may want to look at, each told once, at its tick.
//!
//! | kind | subject | when |
//! | --- | --- | --- |
//! | `quality_low` | the view's table | the newest row of an instrument is worse than `features.min_quality` |
//! | `quality_back` | the same | it is not any more |
//! | `instrument_silent` | the same | an instrument has had no row for longer than `features.silent_after` since one was due, while the watermark goes on |
//! | `instrument_back` | the same | it has one again |
//! | `book_gap` | `book` | a change of an instrument's book is missing, or it has too many levels: its features are null until the next snapshot. Where a run has no such table, the metric `tidewheel_book_gaps_total` alone counts them |
//! | `book_restarted` | `book` | the numbers of its updates began again: the same |
//! | `book_resynced` | `book` | a snapshot came, or what was missing came late |
//! | `ensemble_activated` | the ensemble | a promotion took effect; its members and what follows come after it |
//! | `member_activated` | the model and its version | the same |
//! | `downstream_switched` | the table | the same |
//! | `promotion_refused` | the ensemble | it could not be used; what was active goes on |
//! | `ensemble_withdrawn` | the alias and target | it was left without an ensemble; what follows comes after it |
//! | `withdrawal_refused` | the same | there was none, or the record is an old one |
//! | `signals_policy_changed` | `signals` | other thresholds took effect |
//! | `signals_policy_refused` | `signals` | they could not be used; those before go on |
//! | `risk_order_refused` | the order's id | the run has no risk; where it has, `risk_events` tells of orders |

use tidewheel_operators::features::{QualityChange, SilenceChange, View};
use tidewheel_operators::market::{GapChange, GapKind};
use tidewheel_schemas::{ColumnKind, ColumnSpec, Instrument, Row, TableKind, TableSpec, Value};

/// What can happen. A further kind is one more line here and in [`EventKind::ALL`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Rows of an instrument have become worse than `features.min_quality`.
    QualityLow,
    /// They are not any more.
    QualityBack,
    /// An instrument has no rows any more.
    InstrumentSilent,
    /// It has one again.
    InstrumentBack,
    /// A change of a book is missing.
    BookGap,
    /// The numbers of its updates began again.
    BookRestarted,
    /// The book is whole again.
    BookResynced,
}

impl EventKind {
    /// All kinds.
    pub const ALL: [Self; 7] = [
        Self::QualityLow,
        Self::QualityBack,
        Self::InstrumentSilent,
        Self::InstrumentBack,
        Self::BookGap,
        Self::BookRestarted,
        Self::BookResynced,
    ];

    /// The text in the column `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::QualityLow => "quality_low",
            Self::QualityBack => "quality_back",
            Self::InstrumentSilent => "instrument_silent",
            Self::InstrumentBack => "instrument_back",
            Self::BookGap => "book_gap",
            Self::BookRestarted => "book_restarted",
            Self::BookResynced => "book_resynced",
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
    let qualifier = format!("{}:{subject}", kind.name());
    row(table, &change.instrument, change.close_time_ns, &qualifier, [kind.name(), &subject, &detail])
}

/// The row of a silence, or of its end. Its event time is that of the last row before it, or of the one that ended it.
pub(super) fn of_silence(table: u16, view: &View, change: &SilenceChange) -> Row {
    let SilenceChange { since_ns, until_ns, .. } = *change;
    let silent_ms = until_ns.saturating_sub(since_ns) / 1_000_000;
    let (kind, event_time_ns, until) = match change.is_silent {
        true => (EventKind::InstrumentSilent, since_ns, "the watermark"),
        false => (EventKind::InstrumentBack, until_ns, "this one"),
    };
    let detail = format!("{silent_ms} ms from its last row to {until}");
    let subject = format!("features.{}", view.name);
    let qualifier = format!("{}:{subject}", kind.name());
    row(table, &change.instrument, event_time_ns, &qualifier, [kind.name(), &subject, &detail])
}

/// The row of a gap in a book, or of its end. Its event time is the book's own.
pub(super) fn of_gap(table: u16, gap: &GapChange) -> Row {
    let GapChange { last_id, first_id, epoch_ns, sequence, is_snapshot, .. } = gap;
    let missing = format!("update {first_id} came after {last_id}");
    let (kind, detail) = match gap.kind {
        GapKind::Lost => (EventKind::BookGap, missing),
        GapKind::Restarted => (EventKind::BookRestarted, format!("{missing}, and what follows goes on from there")),
        GapKind::Overfull => (EventKind::BookGap, format!("{missing}: more levels than are held of a book")),
        GapKind::Found => (EventKind::BookResynced, format!("{missing}; a snapshot came")),
        GapKind::Mended => (EventKind::BookResynced, format!("{missing}; what lies between came late")),
    };
    // A number may come again in another numbering, and a change and a snapshot may have the same.
    let update = if *is_snapshot { "snapshot" } else { "change" };
    let numbering = if *epoch_ns == i64::MIN { "first".to_owned() } else { epoch_ns.to_string() };
    let qualifier = format!("{}:book:{numbering}:{update}:{sequence}", kind.name());
    row(table, &gap.instrument, gap.time_ns, &qualifier, [kind.name(), "book", &detail])
}

/// An event that no record of the control topic brought about.
fn row(table: u16, instrument: &Instrument, event_time_ns: i64, qualifier: &str, own: [&str; 3]) -> Row {
    let own = own.map(Value::text).into_iter();
    let values: Box<[Value]> = own.chain(std::iter::repeat(Value::Null)).take(COLUMNS.len()).collect();
    Row {
        table,
        instrument: instrument.clone(),
        qualifier: qualifier.into(),
        event_time_ns,
        revision: 0,
        values: Some(values),
    }
}
