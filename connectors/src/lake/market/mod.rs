//! Quotes, books, marks, funding and liquidations as Parquet rows in the order in which they arrived: by tick, source and
//! position; and back. Made again as recorded they give the same features. So they do as input of another run, but for
//! quotes of one time that the venue does not number and that came by several partitions: among these the source decides
//! which is the last, and rows of a file are of one.
//!
//! All five tables have these columns:
//!
//! | column | type | meaning |
//! | --- | --- | --- |
//! | `venue`, `symbol` | string | the instrument |
//! | `event_time` | timestamp (us, UTC) | the venue's time, cut to microseconds |
//! | `event_time_ns` | int64 | the same, exact |
//! | `is_timeless` | boolean | whether the venue sent no time, so that both are that of the receipt |
//! | its own | | below |
//! | `tick` | int64 | when it was taken in, milliseconds since the epoch |
//! | `source` | string | the source partition |
//! | `position` | int64 | offset, line or row there |
//! | `position_index` | int64 | which of the market records at that position, from 0 |
//! | `receive_time_ns` | int64 | where known |
//!
//! | table | its own columns |
//! | --- | --- |
//! | `quotes` | `update_id` int64; `bid_price`, `ask_price` decimal(18,8); `bid_quantity`, `ask_quantity` decimal(20,8): null where a side is empty |
//! | `books` | `is_snapshot` boolean; `depth` int64: levels a side that a snapshot goes, or that the venue keeps known by a change; null for a whole book, and where it does not; `sequence`, `first_id`, `last_id`, `previous_id` int64; `bids`, `asks` list of `price` decimal(18,8) and `quantity` decimal(20,8), zero where a change takes a level away |
//! | `marks` | `mark_price`, `index_price`, `funding_rate` decimal(18,8); `next_funding_time` timestamp (us, UTC), `next_funding_time_ns` int64: null where the message left them out |
//! | `funding` | `funding_rate`, `mark_price` decimal(18,8) |
//! | `liquidations` | `side` string, of the order that closed the position; `price` decimal(18,8); `quantity` decimal(20,8); `occurrence` int64: which of the equal ones of its message, from 0 |
//!
//! Files of before there were `is_timeless`, `depth` and `occurrence` are read too: with a time of the venue, whole, the first.
//! Compaction writes them so, since it joins them with later ones.

mod read;
mod write;

pub(crate) use read::decode;
pub(super) use write::batches;

use super::columns::{name_type, optional, required, timestamp_type};
use super::layout::Table;
use super::origin;
use super::parquet_file::FileKind;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::sync::{Arc, LazyLock};
use tidewheel_schemas::{MarketContent, MarketRecord};

/// A record and the tick that it came in, milliseconds.
pub(super) type MarketRow<'a> = (u64, &'a MarketRecord);

/// The table that a record is kept in.
pub(super) const fn table_of(record: &MarketRecord) -> Table {
    match record.content {
        MarketContent::Quote(_) => Table::Quotes,
        MarketContent::Book(_) => Table::Books,
        MarketContent::Mark(_) => Table::Marks,
        MarketContent::Funding(_) => Table::Funding,
        MarketContent::Liquidation(_) => Table::Liquidations,
    }
}

/// Columns that files may be without.
const LATER: [&str; 3] = ["is_timeless", "depth", "occurrence"];

/// The table whose columns these are, in any order.
pub(crate) fn table_with(names: &[&str]) -> Option<Table> {
    Table::MARKET.into_iter().find(|&table| {
        let schema = schema(table);
        let is_there = |name: &String| LATER.contains(&name.as_str()) || names.contains(&name.as_str());
        names.iter().all(|name| schema.field_with_name(name).is_ok())
            && schema.fields().iter().all(|field| is_there(field.name()))
    })
}

/// The same rows with all columns, each in its place.
///
/// # Errors
/// If a column is missing that all files have, or has rows of its own number.
pub(super) fn with_all_columns(batch: &RecordBatch, table: Table) -> Result<RecordBatch, ArrowError> {
    let rows = batch.num_rows();
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for field in schema(table).fields() {
        if let Ok(at) = batch.schema().index_of(field.name()) {
            fields.push(Arc::clone(&batch.schema().fields()[at]));
            columns.push(Arc::clone(batch.column(at)));
            continue;
        }
        let column: ArrayRef = match field.name().as_str() {
            "is_timeless" => Arc::new(BooleanArray::from(vec![false; rows])),
            "depth" => new_null_array(&DataType::Int64, rows),
            "occurrence" => Arc::new(Int64Array::from(vec![0; rows])),
            name => return Err(ArrowError::SchemaError(format!("column {name} is missing"))),
        };
        fields.push(Arc::clone(field));
        columns.push(column);
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

static SCHEMAS: LazyLock<[SchemaRef; 5]> =
    LazyLock::new(|| Table::MARKET.map(|table| Arc::new(Schema::new(fields(table)))));

fn schema(table: Table) -> &'static SchemaRef {
    let number = Table::MARKET.into_iter().position(|other| other == table);
    &SCHEMAS[number.expect("only tables of the market have these columns")]
}

fn fields(table: Table) -> Vec<Field> {
    let mut fields = vec![
        required("venue", name_type()),
        required("symbol", name_type()),
        required("event_time", timestamp_type()),
        required("event_time_ns", DataType::Int64),
        required("is_timeless", DataType::Boolean),
    ];
    fields.extend(own_fields(table));
    fields.extend(origin::fields());
    fields
}

fn own_fields(table: Table) -> Vec<Field> {
    let price = |name| optional(name, PRICE);
    let quantity = |name| optional(name, QUANTITY);
    match table {
        Table::Quotes => vec![
            optional("update_id", DataType::Int64),
            price("bid_price"),
            quantity("bid_quantity"),
            price("ask_price"),
            quantity("ask_quantity"),
        ],
        Table::Books => vec![
            required("is_snapshot", DataType::Boolean),
            optional("depth", DataType::Int64),
            required("sequence", DataType::Int64),
            required("first_id", DataType::Int64),
            required("last_id", DataType::Int64),
            optional("previous_id", DataType::Int64),
            required("bids", DataType::List(level_list())),
            required("asks", DataType::List(level_list())),
        ],
        Table::Marks => vec![
            price("mark_price"),
            price("index_price"),
            price("funding_rate"),
            optional("next_funding_time", timestamp_type()),
            optional("next_funding_time_ns", DataType::Int64),
        ],
        Table::Funding => vec![price("funding_rate"), price("mark_price")],
        Table::Liquidations => vec![
            optional("side", name_type()),
            price("price"),
            quantity("quantity"),
            required("occurrence", DataType::Int64),
        ],
        _ => Vec::new(),
    }
}

const PRICE: DataType = DataType::Decimal64(18, 8);
const QUANTITY: DataType = DataType::Decimal128(20, 8);

/// The columns of a level.
fn level_fields() -> Fields {
    Fields::from(vec![required("price", PRICE), required("quantity", QUANTITY)])
}

/// What a list of levels holds, by the name that Parquet has for it.
fn level_list() -> Arc<Field> {
    Arc::new(required("element", DataType::Struct(level_fields())))
}

/// How files of a table are written.
pub(super) fn kind(table: Table) -> FileKind {
    let (dictionary, delta): (&[&str], &[&str]) = match table {
        Table::Quotes => (NAMES, &["event_time", "event_time_ns", "update_id", "tick", "position", "receive_time_ns"]),
        Table::Books => {
            (NAMES, &["event_time", "event_time_ns", "sequence", "first_id", "last_id", "tick", "position"])
        }
        Table::Liquidations => (&["venue", "symbol", "side", "source"], NUMBERS),
        _ => (NAMES, NUMBERS),
    };
    FileKind { schema: schema(table).clone(), dictionary, delta, without_statistics: &[], sorted_by: &[] }
}

const NAMES: &[&str] = &["venue", "symbol", "source"];
const NUMBERS: &[&str] = &["event_time", "event_time_ns", "tick", "position", "receive_time_ns"];
