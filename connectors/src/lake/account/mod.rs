//! What accounts do as Parquet rows in the order in which they arrived: by tick, source and position; and back. Replaying them
//! gives the same positions and decisions.
//!
//! All six tables have these columns:
//!
//! | column | type | meaning |
//! | --- | --- | --- |
//! | `event_time` | timestamp (us, UTC) | when it happened, cut to microseconds; of a changed fill, when it was changed |
//! | `event_time_ns` | int64 | the same, exact |
//! | its own | | below |
//! | `tick` | int64 | when it was taken in, milliseconds since the epoch |
//! | `source` | string | the source partition |
//! | `position` | int64 | offset, line or row there |
//! | `position_index` | int64 | which of the records at that position, from 0 |
//! | `receive_time_ns` | int64 | where known |
//!
//! | table | its own columns |
//! | --- | --- |
//! | `fills` | `account`, `strategy`, `venue`, `symbol`, `fill_id`, `intent_id`, `side` string; `quantity` decimal(20,8); `price` decimal(18,8); `fee` decimal(20,8), below zero for a rebate; `fee_currency` string |
//! | `fill_amendments` | `op` string: `cancel` or `correct`; `account`, `venue`, `symbol`, `fill_id` string; `original_event_time` timestamp (us, UTC), `original_event_time_ns` int64: the fill's own time where the record tells it; `sequence` int64; and of a correction the fill as it should have been: `strategy`, `intent_id`, `side` string, `quantity` decimal(20,8), `price` decimal(18,8), `fee` decimal(20,8), `fee_currency` string, `fill_time` timestamp (us, UTC), `fill_time_ns` int64 |
//! | `cash` | `account`, `cash_id`, `currency` string; `amount` decimal(20,8), below zero for a withdrawal |
//! | `order_intents` | `account`, `strategy`, `venue`, `symbol`, `intent_id`, `side` string; `quantity` decimal(20,8); `limit_price`, `stop_price` decimal(18,8); `is_reduce_only` boolean; `expires` timestamp (us, UTC), `expires_ns` int64 |
//! | `order_ends` | `account`, `intent_id` string |
//! | `instruments` | `venue`, `symbol`, `asset_class`, `sector`, `base_currency`, `quote_currency`, `contract` string; `multiplier` decimal(20,8) |
//!
//! A table is a list of columns: `write` takes the cells of a record in their order, `read` makes a record of cells by their names.

mod read;
mod write;

pub(crate) use read::decode;
pub(super) use write::batches;

use super::columns::{name_type, optional, required, timestamp_type};
use super::layout::Table;
use super::origin;
use super::parquet_file::FileKind;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use std::sync::{Arc, LazyLock};
use tidewheel_schemas::{AccountContent, AccountRecord};

/// A record and the tick that it came in, milliseconds.
pub(super) type AccountRow<'a> = (u64, &'a AccountRecord);

/// The table that a record is kept in.
pub(super) const fn table_of(record: &AccountRecord) -> Table {
    match record.content {
        AccountContent::Fill(_) => Table::Fills,
        AccountContent::FillAmendment(_) => Table::FillAmendments,
        AccountContent::Cash(_) => Table::Cash,
        AccountContent::Intent(_) => Table::OrderIntents,
        AccountContent::OrderEnd(_) => Table::OrderEnds,
        AccountContent::Reference(_) => Table::Instruments,
    }
}

/// The table whose columns these are, in any order.
pub(crate) fn table_with(names: &[&str]) -> Option<Table> {
    Table::ACCOUNT.into_iter().find(|&table| {
        let schema = schema(table);
        schema.fields().len() == names.len() && names.iter().all(|name| schema.field_with_name(name).is_ok())
    })
}

/// What a column of a table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// One of few texts.
    Name,
    /// One of many texts.
    Id,
    /// A price, eight decimals, below 18 digits.
    Price,
    /// A quantity or an amount, eight decimals, of any sign.
    Quantity,
    /// An integer.
    Integer,
    /// True or false.
    Flag,
    /// Nanoseconds; has a column cut to microseconds, and one more, exact, whose name ends in `_ns`.
    Time,
}

/// A column that not all tables have.
#[derive(Clone, Copy, Debug)]
struct Column {
    name: &'static str,
    kind: Kind,
    is_required: bool,
}

const fn always(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, is_required: true }
}

const fn sometimes(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, is_required: false }
}

/// A table's own columns.
fn own_columns(table: Table) -> &'static [Column] {
    use Kind::{Flag, Id, Integer, Name, Price, Quantity, Time};
    match table {
        Table::Fills => {
            const {
                &[
                    always("account", Name),
                    always("strategy", Name),
                    always("venue", Name),
                    always("symbol", Name),
                    always("fill_id", Id),
                    sometimes("intent_id", Id),
                    always("side", Name),
                    always("quantity", Quantity),
                    always("price", Price),
                    always("fee", Quantity),
                    always("fee_currency", Name),
                ]
            }
        }
        Table::FillAmendments => {
            const {
                &[
                    always("op", Name),
                    always("account", Name),
                    always("venue", Name),
                    always("symbol", Name),
                    always("fill_id", Id),
                    sometimes("original_event_time", Time),
                    sometimes("sequence", Integer),
                    sometimes("strategy", Name),
                    sometimes("intent_id", Id),
                    sometimes("side", Name),
                    sometimes("quantity", Quantity),
                    sometimes("price", Price),
                    sometimes("fee", Quantity),
                    sometimes("fee_currency", Name),
                    sometimes("fill_time", Time),
                ]
            }
        }
        Table::Cash => {
            const { &[always("account", Name), always("cash_id", Id), always("currency", Name), always("amount", Quantity)] }
        }
        Table::OrderIntents => {
            const {
                &[
                    always("account", Name),
                    always("strategy", Name),
                    always("venue", Name),
                    always("symbol", Name),
                    always("intent_id", Id),
                    always("side", Name),
                    always("quantity", Quantity),
                    sometimes("limit_price", Price),
                    sometimes("stop_price", Price),
                    always("is_reduce_only", Flag),
                    sometimes("expires", Time),
                ]
            }
        }
        Table::OrderEnds => const { &[always("account", Name), always("intent_id", Id)] },
        Table::Instruments => {
            const {
                &[
                    always("venue", Name),
                    always("symbol", Name),
                    always("asset_class", Name),
                    always("sector", Name),
                    always("base_currency", Name),
                    always("quote_currency", Name),
                    always("contract", Name),
                    always("multiplier", Quantity),
                ]
            }
        }
        other => unreachable!("{} is no table of what accounts do", other.name()),
    }
}

static SCHEMAS: LazyLock<[SchemaRef; 6]> =
    LazyLock::new(|| Table::ACCOUNT.map(|table| Arc::new(Schema::new(fields(table)))));

fn schema(table: Table) -> &'static SchemaRef {
    let number = Table::ACCOUNT.into_iter().position(|other| other == table);
    &SCHEMAS[number.expect("only tables of what accounts do have these columns")]
}

fn fields(table: Table) -> Vec<Field> {
    let mut fields = vec![required("event_time", timestamp_type()), required("event_time_ns", DataType::Int64)];
    for column in own_columns(table) {
        let field = if column.is_required { required } else { optional };
        match column.kind {
            Kind::Name => fields.push(field(column.name, name_type())),
            Kind::Id => fields.push(field(column.name, DataType::Utf8)),
            Kind::Price => fields.push(field(column.name, DataType::Decimal64(18, 8))),
            Kind::Quantity => fields.push(field(column.name, DataType::Decimal128(20, 8))),
            Kind::Integer => fields.push(field(column.name, DataType::Int64)),
            Kind::Flag => fields.push(field(column.name, DataType::Boolean)),
            Kind::Time => {
                fields.push(field(column.name, timestamp_type()));
                fields.push(field(&format!("{}_ns", column.name), DataType::Int64));
            }
        }
    }
    fields.extend(origin::fields());
    fields
}

/// How files of a table are written.
pub(super) fn kind(table: Table) -> FileKind {
    let dictionary: &[&str] = match table {
        Table::Fills => &["account", "strategy", "venue", "symbol", "side", "fee_currency", "source"],
        Table::FillAmendments => &["op", "account", "venue", "symbol", "strategy", "side", "fee_currency", "source"],
        Table::Cash => &["account", "currency", "source"],
        Table::OrderIntents => &["account", "strategy", "venue", "symbol", "side", "source"],
        Table::OrderEnds => &["account", "source"],
        _ => &["venue", "symbol", "asset_class", "sector", "base_currency", "quote_currency", "contract", "source"],
    };
    let delta = &["event_time", "event_time_ns", "tick", "position", "receive_time_ns"];
    FileKind { schema: schema(table).clone(), dictionary, delta, without_statistics: &[], sorted_by: &[] }
}
