//! Rows of the tables of what accounts do back into records.

use super::super::bars_read::{column, numbers, strings};
use super::super::layout::Table;
use super::super::origin::Origins;
use super::{Kind, own_columns};
use crate::decode::account::bounds;
use crate::decode::time::possible;
use arrow::array::{Array, AsArray, BooleanArray, Decimal128Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Decimal128Type, Int64Type};
use std::sync::Arc;
use tidewheel_schemas::{
    AccountContent, AccountRecord, CashMovement, ContractKind, Fill, FillAmendment, FillChange, Holder, Instrument,
    InstrumentReference, OrderEnd, OrderIntent, RejectReason, Side,
};

/// A row as it was read: the record, whose source partition is only known by its name, or what is wrong with it.
pub(crate) struct StoredRecord<'a> {
    /// When it was taken in, milliseconds since the epoch.
    pub tick: u64,
    /// The name of the source partition.
    pub source: &'a str,
    /// The record, of partition 0.
    pub record: Result<AccountRecord, Trouble>,
}

/// What is wrong with a row.
pub(crate) type Trouble = (RejectReason, String);

/// The rows of a batch, in their order.
///
/// # Errors
/// If a column is missing or has a wrong type.
pub(crate) fn decode(batch: &RecordBatch, table: Table) -> Result<Vec<StoredRecord<'_>>, String> {
    let origins = Origins::of(batch)?;
    let event_time_ns = numbers::<Int64Type>(batch, "event_time_ns")?;
    let columns = Columns::of(batch, table)?;
    let rows = (0..batch.num_rows()).map(|row| {
        let record = || {
            let event_time_ns = event_time_ns.is_valid(row).then(|| event_time_ns.value(row));
            let event_time_ns = event_time_ns.ok_or_else(|| missing("event_time_ns"))?;
            let content = Row { columns: &columns, row }.content(table, event_time_ns)?;
            bounds::check(&content).map_err(|trouble| (trouble.reason(), trouble.to_string()))?;
            let beyond = || (RejectReason::Field, "position_index: beyond 65535".to_owned());
            Ok(AccountRecord {
                event_time_ns: in_range(event_time_ns, "event_time_ns")?,
                partition: 0,
                position: origins.position(row),
                index: origins.index(row).ok_or_else(beyond)?,
                receive_time_ns: origins.receive_time_ns(row),
                content,
            })
        };
        StoredRecord { tick: origins.tick(row), source: origins.source(row), record: record() }
    });
    Ok(rows.collect())
}

/// The columns that not all tables have, by name.
struct Columns<'a>(Vec<(&'static str, Values<'a>)>);

enum Values<'a> {
    Texts(&'a StringArray),
    Decimals(&'a Decimal128Array),
    Integers(&'a Int64Array),
    Flags(&'a BooleanArray),
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch, table: Table) -> Result<Self, String> {
        let wrong = |name: &str| format!("column {name} has a wrong type");
        let each = own_columns(table).iter().map(|own| {
            let name = own.name;
            let values = match own.kind {
                Kind::Name | Kind::Id => Values::Texts(strings(batch, name)?),
                Kind::Integer => Values::Integers(numbers::<Int64Type>(batch, name)?),
                Kind::Time => Values::Integers(numbers::<Int64Type>(batch, &format!("{name}_ns"))?),
                Kind::Flag => Values::Flags(column(batch, name)?.as_boolean_opt().ok_or_else(|| wrong(name))?),
                Kind::Price | Kind::Quantity => {
                    let decimals = numbers::<Decimal128Type>(batch, name)?;
                    // Decimals of another scale would be other numbers.
                    Values::Decimals(Some(decimals).filter(|column| column.scale() == 8).ok_or_else(|| wrong(name))?)
                }
            };
            Ok((name, values))
        });
        each.collect::<Result<_, String>>().map(Self)
    }

    fn named(&self, name: &'static str) -> &Values<'a> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        &found.unwrap_or_else(|| panic!("{name} is no column of this table")).1
    }
}

/// One row, its values by name.
#[derive(Clone, Copy)]
struct Row<'a> {
    columns: &'a Columns<'a>,
    row: usize,
}

impl Row<'_> {
    fn content(self, table: Table, event_time_ns: i64) -> Result<AccountContent, Trouble> {
        Ok(match table {
            Table::Fills => {
                let instrument = self.instrument()?;
                AccountContent::Fill(self.fill(
                    instrument,
                    self.text("account")?,
                    self.text("fill_id")?,
                    event_time_ns,
                )?)
            }
            Table::FillAmendments => AccountContent::FillAmendment(self.amendment()?),
            Table::Cash => AccountContent::Cash(CashMovement {
                account: self.text("account")?,
                id: self.text("cash_id")?,
                currency: self.text("currency")?,
                amount_e8: self.number("amount")?,
                event_time_ns,
            }),
            Table::OrderIntents => AccountContent::Intent(OrderIntent {
                holder: Holder { account: self.text("account")?, strategy: self.text("strategy")? },
                instrument: self.instrument()?,
                intent_id: self.text("intent_id")?,
                side: self.side()?,
                quantity_e8: self.number("quantity")?,
                limit_price_e8: self.optional_number("limit_price")?,
                stop_price_e8: self.optional_number("stop_price")?,
                is_reduce_only: self.flag("is_reduce_only")?,
                expires_ns: self.optional_number("expires")?,
                event_time_ns,
            }),
            Table::OrderEnds => AccountContent::OrderEnd(OrderEnd {
                account: self.text("account")?,
                intent_id: self.text("intent_id")?,
            }),
            _ => AccountContent::Reference(InstrumentReference {
                instrument: self.instrument()?,
                asset_class: self.text("asset_class")?,
                sector: self.text("sector")?,
                base_currency: self.text("base_currency")?,
                quote_currency: self.text("quote_currency")?,
                kind: self.contract()?,
                multiplier_e8: self.number("multiplier")?,
            }),
        })
    }

    fn fill(
        self,
        instrument: Instrument,
        account: Arc<str>,
        fill_id: Arc<str>,
        event_time_ns: i64,
    ) -> Result<Fill, Trouble> {
        Ok(Fill {
            holder: Holder { account, strategy: self.text("strategy")? },
            instrument,
            fill_id,
            intent_id: self.optional_text("intent_id"),
            side: self.side()?,
            quantity_e8: self.number("quantity")?,
            price_e8: self.number("price")?,
            fee_e8: self.number("fee")?,
            fee_currency: self.text("fee_currency")?,
            event_time_ns,
        })
    }

    fn amendment(self) -> Result<FillAmendment, Trouble> {
        let (account, instrument, fill_id) = (self.text("account")?, self.instrument()?, self.text("fill_id")?);
        let change = match &*self.text("op")? {
            "cancel" => FillChange::Cancel,
            "correct" => {
                let time_ns = self.number("fill_time")?;
                let fill = self.fill(instrument.clone(), account.clone(), fill_id.clone(), time_ns)?;
                FillChange::Correct { fill: Box::new(fill), sequence: self.number("sequence")? }
            }
            other => return Err((RejectReason::Field, format!("op: {other:?} is unknown"))),
        };
        let original_time_ns = self.optional_number("original_event_time")?;
        Ok(FillAmendment { account, instrument, fill_id, change, original_time_ns })
    }

    fn instrument(self) -> Result<Instrument, Trouble> {
        let named = Instrument::new(&self.text("venue")?, &self.text("symbol")?);
        named.map_err(|error| (RejectReason::Instrument, error.to_string()))
    }

    fn side(self) -> Result<Side, Trouble> {
        match &*self.text("side")? {
            "buy" => Ok(Side::Buy),
            "sell" => Ok(Side::Sell),
            other => Err((RejectReason::Field, format!("side: {other:?} is unknown"))),
        }
    }

    fn contract(self) -> Result<ContractKind, Trouble> {
        match &*self.text("contract")? {
            "linear" => Ok(ContractKind::Linear),
            "inverse" => Ok(ContractKind::Inverse),
            other => Err((RejectReason::Field, format!("contract: {other:?} is unknown"))),
        }
    }

    fn text(self, name: &'static str) -> Result<Arc<str>, Trouble> {
        self.optional_text(name).ok_or_else(|| missing(name))
    }

    fn optional_text(self, name: &'static str) -> Option<Arc<str>> {
        match self.columns.named(name) {
            Values::Texts(column) => column.is_valid(self.row).then(|| column.value(self.row).into()),
            _ => None,
        }
    }

    fn number(self, name: &'static str) -> Result<i64, Trouble> {
        self.optional_number(name)?.ok_or_else(|| missing(name))
    }

    fn optional_number(self, name: &'static str) -> Result<Option<i64>, Trouble> {
        match self.columns.named(name) {
            Values::Integers(column) => Ok(column.is_valid(self.row).then(|| column.value(self.row))),
            Values::Decimals(column) if column.is_valid(self.row) => {
                let beyond = |_| (RejectReason::Number, format!("{name}: out of range"));
                i64::try_from(column.value(self.row)).map(Some).map_err(beyond)
            }
            _ => Ok(None),
        }
    }

    fn flag(self, name: &'static str) -> Result<bool, Trouble> {
        match self.columns.named(name) {
            Values::Flags(column) if column.is_valid(self.row) => Ok(column.value(self.row)),
            _ => Err(missing(name)),
        }
    }
}

/// A time that the graph can reckon with.
fn in_range(ns: i64, name: &str) -> Result<i64, Trouble> {
    possible(ns).ok_or_else(|| (RejectReason::Time, format!("{name}: {ns} is before 2009 or after 2200")))
}

fn missing(name: &str) -> Trouble {
    (RejectReason::Field, format!("{name}: missing"))
}
