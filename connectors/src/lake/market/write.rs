//! Market records into record batches.

use super::super::columns::{
    int64, names, optional_decimal, optional_int64, optional_names, optional_quantity, optional_timestamp, timestamp,
    values, venues_and_symbols,
};
use super::super::error::LakeError;
use super::super::layout::Table;
use super::super::origin::{self, Origin};
use super::super::parquet_file::BATCH_ROWS;
use super::super::trades_file::Interner;
use super::{MarketRow, level_fields, level_list, schema};
use arrow::array::{ArrayRef, BooleanArray, ListArray, RecordBatch, StringArray, StructArray};
use arrow::buffer::OffsetBuffer;
use std::sync::Arc;
use tidewheel_schemas::{
    AggressorSide, BookUpdate, Funding, Level, Liquidation, Mark, MarketContent, MarketRecord, PRICE_LIMIT_E8, Quote,
};

/// Levels of a batch of books: a snapshot may have thousands.
const BATCH_LEVELS: usize = 1 << 17;
const SIDES: [&str; 2] = ["buy", "sell"];

/// Rows of one file as record batches. All are of one table.
pub(in super::super) fn batches<'a>(
    rows: &'a [MarketRow<'a>],
    sources: &'a [String],
    table: Table,
) -> impl Iterator<Item = Result<RecordBatch, LakeError>> + 'a {
    let mut rest = rows;
    std::iter::from_fn(move || {
        let (batch, after) = rest.split_at(rows_of_batch(rest));
        rest = after;
        (!batch.is_empty()).then(|| make(batch, sources, table))
    })
}

fn rows_of_batch(rows: &[MarketRow<'_>]) -> usize {
    let mut levels = 0;
    let fits = |(_, record): &&MarketRow<'_>| {
        let before = levels;
        levels += match &record.content {
            MarketContent::Book(book) => book.bids.len() + book.asks.len(),
            _ => 0,
        };
        before < BATCH_LEVELS
    };
    rows.iter().take(BATCH_ROWS).take_while(fits).count()
}

fn make(rows: &[MarketRow<'_>], sources: &[String], table: Table) -> Result<RecordBatch, LakeError> {
    let records = || rows.iter().map(|(_, record)| *record);
    let mut instruments = Interner::default();
    let instrument: Vec<i32> = records().map(|record| instruments.index_of(&record.instrument)).collect();
    let [venues, symbols] = venues_and_symbols(instruments.instruments.iter().copied());
    let mut columns = vec![
        names(instrument.clone(), &venues),
        names(instrument, &symbols),
        timestamp(records().map(|record| record.event_time_ns.div_euclid(1_000)).collect()),
        int64(records().map(|record| record.event_time_ns).collect(), None),
        Arc::new(records().map(|record| Some(record.is_timeless)).collect::<BooleanArray>()),
    ];
    columns.extend(own(rows, table)?);
    let origin = |(tick, record): &MarketRow<'_>| {
        let MarketRecord { partition, position, index, receive_time_ns, .. } = **record;
        Origin { tick: *tick, partition, position, index, receive_time_ns }
    };
    columns.extend(origin::columns(rows.iter().map(origin), sources));
    Ok(RecordBatch::try_new(schema(table).clone(), columns)
        .expect("the columns are those of the schema, of one length"))
}

/// The columns that only this table has.
fn own(rows: &[MarketRow<'_>], table: Table) -> Result<Vec<ArrayRef>, LakeError> {
    Ok(match table {
        Table::Quotes => quotes(&contents(rows, |content| match content {
            MarketContent::Quote(quote) => Some(quote),
            _ => None,
        }))?,
        Table::Books => books(&contents(rows, |content| match content {
            MarketContent::Book(book) => Some(book),
            _ => None,
        }))?,
        Table::Marks => marks(&contents(rows, |content| match content {
            MarketContent::Mark(mark) => Some(mark),
            _ => None,
        }))?,
        Table::Funding => funding(&contents(rows, |content| match content {
            MarketContent::Funding(funding) => Some(funding),
            _ => None,
        }))?,
        _ => liquidations(&contents(rows, |content| match content {
            MarketContent::Liquidation(liquidation) => Some(liquidation),
            _ => None,
        }))?,
    })
}

fn contents<'a, T>(rows: &'a [MarketRow<'a>], of: fn(&'a MarketContent) -> Option<&'a T>) -> Vec<&'a T> {
    let content = |(_, record): &MarketRow<'a>| -> Option<&'a T> {
        let record: &'a MarketRecord = record;
        of(&record.content)
    };
    let contents: Option<Vec<&T>> = rows.iter().map(content).collect();
    contents.expect("the rows of a file are of one table")
}

fn quotes(quotes: &[&Quote]) -> Result<Vec<ArrayRef>, LakeError> {
    let side = |of: fn(&Quote) -> Option<Level>| -> Result<[ArrayRef; 2], LakeError> {
        Ok([
            prices(quotes.iter().map(|quote| of(quote).map(|level| level.price_e8)))?,
            optional_quantity(values(quotes.iter().map(|quote| of(quote).map(|level| level.quantity_e8)))),
        ])
    };
    let mut columns = vec![ids(quotes.iter().map(|quote| quote.update_id))];
    columns.extend(side(|quote| quote.bid)?);
    columns.extend(side(|quote| quote.ask)?);
    Ok(columns)
}

fn books(books: &[&BookUpdate]) -> Result<Vec<ArrayRef>, LakeError> {
    let is_snapshot: BooleanArray = books.iter().map(|book| Some(book.is_snapshot)).collect();
    let all = |of: fn(&BookUpdate) -> u64| int64(books.iter().map(|book| of(book).cast_signed()).collect(), None);
    Ok(vec![
        Arc::new(is_snapshot),
        optional_int64(values(books.iter().map(|book| book.depth.map(i64::from)))),
        all(|book| book.sequence),
        all(|book| book.first_id),
        all(|book| book.last_id),
        ids(books.iter().map(|book| book.previous_id)),
        levels(books, |book| &book.bids)?,
        levels(books, |book| &book.asks)?,
    ])
}

fn levels(books: &[&BookUpdate], side: fn(&BookUpdate) -> &[Level]) -> Result<ArrayRef, LakeError> {
    let offsets = OffsetBuffer::<i32>::from_lengths(books.iter().map(|book| side(book).len()));
    let all = || books.iter().flat_map(|book| side(book));
    let price = prices(all().map(|level| Some(level.price_e8)))?;
    let quantity = optional_quantity(values(all().map(|level| Some(level.quantity_e8))));
    let levels = StructArray::new(level_fields(), vec![price, quantity], None);
    Ok(Arc::new(ListArray::new(level_list(), offsets, Arc::new(levels), None)))
}

fn marks(marks: &[&Mark]) -> Result<Vec<ArrayRef>, LakeError> {
    let next = || marks.iter().map(|mark| mark.next_funding_time_ns);
    Ok(vec![
        prices(marks.iter().map(|mark| mark.mark_price_e8))?,
        prices(marks.iter().map(|mark| mark.index_price_e8))?,
        prices(marks.iter().map(|mark| mark.funding_rate_e8))?,
        optional_timestamp(values(next().map(|time| time.map(|time_ns| time_ns.div_euclid(1_000))))),
        optional_int64(values(next())),
    ])
}

fn funding(funding: &[&Funding]) -> Result<Vec<ArrayRef>, LakeError> {
    Ok(vec![
        prices(funding.iter().map(|funding| Some(funding.rate_e8)))?,
        prices(funding.iter().map(|funding| funding.mark_price_e8))?,
    ])
}

fn liquidations(liquidations: &[&Liquidation]) -> Result<Vec<ArrayRef>, LakeError> {
    let side = |liquidation: &&Liquidation| match liquidation.side {
        AggressorSide::Unknown => None,
        AggressorSide::Buy => Some(0),
        AggressorSide::Sell => Some(1),
    };
    let sides: ArrayRef = Arc::new(StringArray::from_iter_values(SIDES));
    Ok(vec![
        optional_names(values(liquidations.iter().map(side)), &sides),
        prices(liquidations.iter().map(|liquidation| Some(liquidation.price_e8)))?,
        optional_quantity(values(liquidations.iter().map(|liquidation| Some(liquidation.quantity_e8)))),
        int64(liquidations.iter().map(|liquidation| liquidation.occurrence.into()).collect(), None),
    ])
}

/// Numbers of updates: decoders take none beyond 63 bits.
fn ids(each: impl Iterator<Item = Option<u64>>) -> ArrayRef {
    optional_int64(values(each.map(|id| id.map(u64::cast_signed))))
}

/// Prices and rates, which must fit 18 digits.
fn prices(each: impl Iterator<Item = Option<i64>>) -> Result<ArrayRef, LakeError> {
    let values = values(each);
    match values.greatest_magnitude() {
        Some(value) if value >= PRICE_LIMIT_E8.unsigned_abs() => {
            let what = "a market record".to_owned();
            Err(LakeError::OutOfRange { column: "price_e8", value: value.to_string(), what })
        }
        _ => Ok(optional_decimal(values)),
    }
}
