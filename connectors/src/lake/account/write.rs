//! Records of accounts into record batches.

use super::super::columns::{
    Values, int64, optional_decimal, optional_int64, optional_names, optional_quantity, optional_timestamp, timestamp,
    values,
};
use super::super::error::LakeError;
use super::super::layout::Table;
use super::super::origin::{self, Origin};
use super::super::parquet_file::BATCH_ROWS;
use super::{AccountRow, Column, Kind, own_columns, schema};
use arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use foldhash::HashMap;
use std::sync::Arc;
use tidewheel_schemas::{AccountContent, AccountRecord, Fill, FillChange, PRICE_LIMIT_E8};

/// A value of a row.
#[derive(Clone, Copy, Debug)]
enum Cell<'a> {
    Nothing,
    Text(&'a str),
    Number(i64),
    Flag(bool),
}

impl<'a> Cell<'a> {
    fn number(value: Option<i64>) -> Self {
        value.map_or(Self::Nothing, Self::Number)
    }

    fn text(value: Option<&'a str>) -> Self {
        value.map_or(Self::Nothing, Self::Text)
    }

    const fn as_number(self) -> Option<i64> {
        match self {
            Self::Number(value) => Some(value),
            _ => None,
        }
    }

    const fn as_text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    const fn as_flag(self) -> Option<bool> {
        match self {
            Self::Flag(flag) => Some(flag),
            _ => None,
        }
    }
}

/// Rows of one file as record batches. All are of one table.
pub(in super::super) fn batches<'a>(
    rows: &'a [AccountRow<'a>],
    sources: &'a [String],
    table: Table,
) -> impl Iterator<Item = Result<RecordBatch, LakeError>> + 'a {
    rows.chunks(BATCH_ROWS).map(move |rows| make(rows, sources, table))
}

fn make(rows: &[AccountRow<'_>], sources: &[String], table: Table) -> Result<RecordBatch, LakeError> {
    let times = || rows.iter().map(|(_, record)| record.event_time_ns);
    let mut columns: Vec<ArrayRef> =
        vec![timestamp(times().map(|time_ns| time_ns.div_euclid(1_000)).collect()), int64(times().collect(), None)];
    let cells: Vec<Vec<Cell<'_>>> = rows.iter().map(|(_, record)| cells(record)).collect();
    for (number, column) in own_columns(table).iter().enumerate() {
        push_column(column, cells.iter().map(|row| row[number]), &mut columns)?;
    }
    let origin = |(tick, record): &AccountRow<'_>| {
        let AccountRecord { partition, position, index, receive_time_ns, .. } = **record;
        Origin { tick: *tick, partition, position, index, receive_time_ns }
    };
    columns.extend(origin::columns(rows.iter().map(origin), sources));
    Ok(RecordBatch::try_new(schema(table).clone(), columns)
        .expect("the columns are those of the schema, of one length"))
}

/// What a record has in its table's own columns, in their order.
fn cells(record: &AccountRecord) -> Vec<Cell<'_>> {
    use Cell::{Flag, Number, Text};
    match &record.content {
        AccountContent::Fill(fill) => {
            let (holder, instrument) = (&fill.holder, &fill.instrument);
            vec![
                Text(&holder.account),
                Text(&holder.strategy),
                Text(&instrument.venue),
                Text(&instrument.symbol),
                Text(&fill.fill_id),
                Cell::text(fill.intent_id.as_deref()),
                Text(fill.side.name()),
                Number(fill.quantity_e8),
                Number(fill.price_e8),
                Number(fill.fee_e8),
                Text(&fill.fee_currency),
            ]
        }
        AccountContent::FillAmendment(amendment) => {
            let (op, correct) = match &amendment.change {
                FillChange::Cancel => ("cancel", None),
                FillChange::Correct { fill, sequence } => ("correct", Some((&**fill, *sequence))),
            };
            let fill = correct.map(|(fill, _)| fill);
            let number = |of: fn(&Fill) -> i64| Cell::number(fill.map(of));
            vec![
                Text(op),
                Text(&amendment.account),
                Text(&amendment.instrument.venue),
                Text(&amendment.instrument.symbol),
                Text(&amendment.fill_id),
                Cell::number(amendment.original_time_ns),
                Cell::number(correct.map(|(_, sequence)| sequence)),
                Cell::text(fill.map(|fill| &*fill.holder.strategy)),
                Cell::text(fill.and_then(|fill| fill.intent_id.as_deref())),
                Cell::text(fill.map(|fill| fill.side.name())),
                number(|fill| fill.quantity_e8),
                number(|fill| fill.price_e8),
                number(|fill| fill.fee_e8),
                Cell::text(fill.map(|fill| &*fill.fee_currency)),
                number(|fill| fill.event_time_ns),
            ]
        }
        AccountContent::Cash(movement) => {
            vec![Text(&movement.account), Text(&movement.id), Text(&movement.currency), Number(movement.amount_e8)]
        }
        AccountContent::Intent(intent) => {
            let (holder, instrument) = (&intent.holder, &intent.instrument);
            vec![
                Text(&holder.account),
                Text(&holder.strategy),
                Text(&instrument.venue),
                Text(&instrument.symbol),
                Text(&intent.intent_id),
                Text(intent.side.name()),
                Number(intent.quantity_e8),
                Cell::number(intent.limit_price_e8),
                Cell::number(intent.stop_price_e8),
                Flag(intent.is_reduce_only),
                Cell::number(intent.expires_ns),
            ]
        }
        AccountContent::OrderEnd(end) => vec![Text(&end.account), Text(&end.intent_id)],
        AccountContent::Reference(reference) => vec![
            Text(&reference.instrument.venue),
            Text(&reference.instrument.symbol),
            Text(&reference.asset_class),
            Text(&reference.sector),
            Text(&reference.base_currency),
            Text(&reference.quote_currency),
            Text(reference.kind.name()),
            Number(reference.multiplier_e8),
        ],
    }
}

fn push_column<'a>(
    column: &Column,
    cells: impl Iterator<Item = Cell<'a>> + Clone,
    columns: &mut Vec<ArrayRef>,
) -> Result<(), LakeError> {
    let numbers = || values(cells.clone().map(Cell::as_number));
    match column.kind {
        Kind::Name => columns.push(named(cells.map(Cell::as_text))),
        Kind::Id => columns.push(Arc::new(cells.map(Cell::as_text).collect::<StringArray>())),
        Kind::Price => columns.push(prices(numbers())?),
        Kind::Quantity => columns.push(optional_quantity(numbers())),
        Kind::Integer => columns.push(optional_int64(numbers())),
        Kind::Flag => columns.push(Arc::new(cells.map(Cell::as_flag).collect::<BooleanArray>())),
        Kind::Time => {
            let times = cells.clone().map(Cell::as_number);
            columns.push(optional_timestamp(values(times.map(|time| time.map(|time_ns| time_ns.div_euclid(1_000))))));
            columns.push(optional_int64(numbers()));
        }
    }
    Ok(())
}

/// Texts of which there are few, by index.
fn named<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let mut numbers: HashMap<&str, i32> = HashMap::default();
    let mut known: Vec<&str> = Vec::new();
    let mut index = Values::with_capacity(texts.size_hint().0);
    for text in texts {
        index.push(text.map(|text| {
            *numbers.entry(text).or_insert_with(|| {
                known.push(text);
                known.len() as i32 - 1
            })
        }));
    }
    let known: ArrayRef = Arc::new(StringArray::from_iter_values(&known));
    optional_names(index, &known)
}

/// Prices, which must fit 18 digits.
fn prices(values: Values<i64>) -> Result<ArrayRef, LakeError> {
    match values.greatest_magnitude() {
        Some(value) if value >= PRICE_LIMIT_E8.unsigned_abs() => {
            let what = "a record of an account".to_owned();
            Err(LakeError::OutOfRange { column: "price_e8", value: value.to_string(), what })
        }
        _ => Ok(optional_decimal(values)),
    }
}
