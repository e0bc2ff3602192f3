//! The newest numbers of accounts, and what they hold.

use super::tick_of;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{Instrument, Row, TableSpec, Value};

/// A row of a table of risk, by the names of its columns.
#[derive(Clone, Debug)]
pub struct NumberRow {
    /// When it was so.
    pub tick: u64,
    spec: Arc<TableSpec>,
    values: Box<[Value]>,
}

/// A position as a fill, its change or funding left it. What marks did to it since is in the account's numbers.
#[derive(Clone, Debug)]
pub struct PositionState {
    /// Of what.
    pub instrument: Instrument,
    /// The row.
    pub row: NumberRow,
}

/// An account as it was told last.
#[derive(Clone, Debug)]
pub struct AccountState {
    /// Its numbers as a whole.
    pub whole: NumberRow,
    /// Those of its strategies, sectors, classes, venues, and of its largest symbol.
    pub parts: Vec<NumberRow>,
    /// What it holds, by strategy and instrument.
    pub positions: Vec<PositionState>,
}

impl NumberRow {
    fn new(spec: &Arc<TableSpec>, row: &Row) -> Option<Self> {
        Some(Self { tick: tick_of(row), spec: Arc::clone(spec), values: row.values.clone()? })
    }

    fn value(&self, column: &str) -> &Value {
        super::column(&self.spec, column).map_or(&Value::Null, |at| &self.values[at])
    }

    /// A number; none where there is none.
    pub fn number(&self, column: &str) -> Option<f64> {
        match self.value(column) {
            Value::Double(number) => Some(*number),
            Value::Integer(number) => Some(*number as f64),
            _ => None,
        }
    }

    /// A text; empty where there is none.
    pub fn text(&self, column: &str) -> &str {
        if let Value::Text(text) = self.value(column) { text } else { "" }
    }

    /// All columns. Times are nanoseconds.
    pub fn to_json(&self) -> serde_json::Value {
        let value = |value: &Value| match value {
            Value::Null => serde_json::Value::Null,
            Value::Text(text) => (**text).into(),
            Value::Integer(number) | Value::Time(number) => (*number).into(),
            Value::Double(number) => (*number).into(),
            Value::Boolean(is) => (*is).into(),
        };
        let columns = self.spec.columns.iter().zip(&self.values);
        let columns = columns.map(|(column, of)| (column.name.to_string(), value(of)));
        columns.chain([("tick".to_owned(), self.tick.into())]).collect::<serde_json::Map<_, _>>().into()
    }
}

impl AccountState {
    /// Its name.
    pub fn name(&self) -> &str {
        self.whole.text("account")
    }

    /// Its parts of a kind: `strategy`, `sector`, `asset_class`, `venue`, `symbol`.
    pub fn parts_of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a NumberRow> {
        self.parts.iter().filter(move |part| part.text("kind") == kind)
    }
}

/// Rows as they come, of which the newest of each key are kept.
#[derive(Debug, Default)]
pub(super) struct Newest {
    /// By account; the parts that were told with the whole. A part that is not told with it any more is empty.
    numbers: BTreeMap<Arc<str>, Vec<NumberRow>>,
    positions: BTreeMap<(Arc<str>, Instrument), NumberRow>,
}

impl Newest {
    /// All parts of an account are told at one tick.
    pub(super) fn numbers(&mut self, spec: &Arc<TableSpec>, row: &Row) {
        let Some(numbers) = NumberRow::new(spec, row) else { return };
        let parts = self.numbers.entry(numbers.text("account").into()).or_default();
        if parts.first().is_some_and(|first| first.tick < numbers.tick) {
            parts.clear();
        }
        parts.push(numbers);
    }

    /// Whether no account was found yet.
    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    pub(super) fn position(&mut self, spec: &Arc<TableSpec>, row: &Row) {
        let key = (row.qualifier.clone(), row.instrument.clone());
        self.positions.extend(NumberRow::new(spec, row).map(|position| (key, position)));
    }

    pub(super) fn into_accounts(self) -> Vec<AccountState> {
        let mut by_account: BTreeMap<String, Vec<PositionState>> = BTreeMap::new();
        for ((_, instrument), row) in self.positions {
            if row.text("quantity") != "0" {
                let held = by_account.entry(row.text("account").to_owned()).or_default();
                held.push(PositionState { instrument, row });
            }
        }
        let account = |(name, mut parts): (Arc<str>, Vec<NumberRow>)| {
            let at = parts.iter().position(|part| part.text("kind") == "account")?;
            let whole = parts.remove(at);
            Some(AccountState { whole, parts, positions: by_account.remove(&*name).unwrap_or_default() })
        };
        self.numbers.into_iter().filter_map(account).collect()
    }
}
