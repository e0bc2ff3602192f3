//! Rows of the tables beside the bars: features, predictions, signals, events.
//!
//! These tables have columns that depend on the configuration (a view's features, an ensemble's members), so that a row is a list
//! of values beside a [`TableSpec`] that names them. Topics, lake and comparisons all go by the spec: a further table is one more
//! spec, and nothing else changes.

use crate::Instrument;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Whether rows of a table can be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// Rows say what is right by what is known: one may be replaced by its next revision, or taken back by a tombstone.
    View,
    /// Rows say what was done at a tick with what was known then: they stand for ever.
    Fact,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// UTF-8.
    Text,
    /// 64 bits, signed.
    Integer,
    /// Nanoseconds since the epoch; the lake keeps microseconds, the topics milliseconds.
    Time,
    /// IEEE 754 binary64, always finite.
    Double,
    /// True or false.
    Boolean,
}

/// A column of a table. Every column may be null.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ColumnSpec {
    /// Its name in the topics and in the lake.
    pub name: Arc<str>,
    /// What it holds.
    pub kind: ColumnKind,
}

impl ColumnSpec {
    /// A column.
    pub fn new(name: &str, kind: ColumnKind) -> Self {
        Self { name: name.into(), kind }
    }
}

/// A table beside the bars.
///
/// All have `venue`, `symbol`, the qualifier where there is one, `event_time` and `tick`; views also `revision` and `is_removed`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TableSpec {
    /// The table: its folder in the lake, and where its topic's name begins.
    pub family: Arc<str>,
    /// Which of the family, where there are several: `core_technical` of `features`.
    pub member: Option<Arc<str>>,
    /// Counts up when the columns change their meaning.
    pub version: u32,
    /// Whether rows can be taken back.
    pub kind: TableKind,
    /// The name of what, beside instrument and time, tells rows apart: `target`.
    pub qualifier: Option<Arc<str>>,
    /// The columns of its own, in order.
    pub columns: Box<[ColumnSpec]>,
}

impl TableSpec {
    /// `features.core_technical`: what its topic is called behind the prefix.
    pub fn name(&self) -> String {
        match &self.member {
            Some(member) => format!("{}.{member}", self.family),
            None => self.family.to_string(),
        }
    }

    /// `tidewheel.features.core_technical.v1`: the header `schema` of its records.
    pub fn schema(&self) -> String {
        format!("tidewheel.{}.v{}", self.name(), self.version)
    }
}

/// A value of a row.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Value {
    /// Nothing: not known, not ready, does not apply. Never zero in its place.
    Null,
    /// As [`ColumnKind::Text`].
    Text(Arc<str>),
    /// As [`ColumnKind::Integer`].
    Integer(i64),
    /// As [`ColumnKind::Time`].
    Time(i64),
    /// As [`ColumnKind::Double`].
    Double(f64),
    /// As [`ColumnKind::Boolean`].
    Boolean(bool),
}

/// Equal to the last bit: numbers that differ in sign of zero are different answers.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::Integer(one), Self::Integer(other)) | (Self::Time(one), Self::Time(other)) => one == other,
            (Self::Double(one), Self::Double(other)) => one.to_bits() == other.to_bits(),
            (Self::Boolean(one), Self::Boolean(other)) => one == other,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Value {
    /// A finite number; null else, and for nothing.
    pub fn number(value: Option<f64>) -> Self {
        value.filter(|value| value.is_finite()).map_or(Self::Null, Self::Double)
    }

    /// A text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.into())
    }
}

/// A row of one of the tables of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The number of its table among those of the run.
    pub table: u16,
    /// What it speaks of.
    pub instrument: Instrument,
    /// Its qualifier; empty where the table has none.
    pub qualifier: Arc<str>,
    /// Event time, nanoseconds.
    pub event_time_ns: i64,
    /// Of views: 0 with the first version, then one more each.
    pub revision: u32,
    /// By the table's columns; none where a view's row is taken back.
    pub values: Option<Box<[Value]>>,
}

impl Row {
    /// What tells it from others of a tick: table, instrument, qualifier, time.
    pub fn key(&self) -> (u16, &Instrument, &str, i64) {
        (self.table, &self.instrument, &self.qualifier, self.event_time_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tables() {
        let mut spec = TableSpec {
            family: "features".into(),
            member: Some("core_technical".into()),
            version: 2,
            kind: TableKind::View,
            qualifier: None,
            columns: Box::default(),
        };
        assert_eq!(
            (spec.name().as_str(), spec.schema().as_str()),
            ("features.core_technical", "tidewheel.features.core_technical.v2")
        );
        spec.member = None;
        assert_eq!(spec.name(), "features");
    }

    #[test]
    fn values_are_equal_by_bits() {
        assert_ne!(Value::Double(0.0), Value::Double(-0.0));
        assert_ne!(Value::Null, Value::Double(0.0));
        assert_ne!(Value::Integer(1), Value::Time(1));
        assert_eq!(Value::number(Some(f64::NAN)), Value::Null);
        assert_eq!(Value::number(Some(0.1)), Value::Double(0.1));
    }
}
