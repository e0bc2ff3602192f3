//! Rows of the market's tables back into records.

use super::super::bars_read::{column, numbers, strings};
use super::super::layout::Table;
use super::super::origin::Origins;
use crate::decode::time::possible;
use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, Int64Array, ListArray, PrimitiveArray, RecordBatch,
    StringArray,
};
use arrow::datatypes::{ArrowPrimitiveType, Decimal128Type, Int64Type};
use std::ops::Range;
use std::sync::Arc;
use tidewheel_schemas::{
    AggressorSide, BookUpdate, Funding, Instrument, Level, Liquidation, Mark, MarketContent, MarketRecord,
    PRICE_LIMIT_E8, Quote, RejectReason, is_notional_in_range,
};

/// A row as it was read: the record, whose source partition is only known by its name, or what is wrong with it.
pub(crate) struct StoredRecord<'a> {
    /// When it was taken in, milliseconds since the epoch.
    pub tick: u64,
    /// The name of the source partition.
    pub source: &'a str,
    /// The record, of partition 0.
    pub record: Result<MarketRecord, (RejectReason, String)>,
}

/// The rows of a batch, in their order.
///
/// # Errors
/// If a column is missing or has a wrong type.
pub(crate) fn decode(batch: &RecordBatch, table: Table) -> Result<Vec<StoredRecord<'_>>, String> {
    let (venue, symbol, origins) = (strings(batch, "venue")?, strings(batch, "symbol")?, Origins::of(batch)?);
    let event_time_ns = numbers::<Int64Type>(batch, "event_time_ns")?;
    let is_timeless = later(batch, "is_timeless", |column| column.as_boolean_opt())?;
    let own = Own::of(batch, table)?;
    let mut last: Option<Instrument> = None;
    let rows = (0..batch.num_rows()).map(|row| {
        let known = last.take().filter(|last| *last.venue == *venue.value(row) && *last.symbol == *symbol.value(row));
        let named = known.map_or_else(|| Instrument::new(venue.value(row), symbol.value(row)), Ok);
        let record = named.map_err(|error| (RejectReason::Instrument, error.to_string())).and_then(|instrument| {
            last = Some(instrument.clone());
            let beyond = || (RejectReason::Field, "position_index: beyond 65535".to_owned());
            let event_time = value(event_time_ns, row).ok_or_else(|| missing("event_time_ns"))?;
            Ok(MarketRecord {
                instrument,
                event_time_ns: time_ns(event_time, "event_time_ns")?,
                is_timeless: is_timeless.is_some_and(|column| column.is_valid(row) && column.value(row)),
                partition: 0,
                position: origins.position(row),
                index: origins.index(row).ok_or_else(beyond)?,
                receive_time_ns: origins.receive_time_ns(row),
                content: own.content(row)?,
            })
        });
        StoredRecord { tick: origins.tick(row), source: origins.source(row), record }
    });
    Ok(rows.collect())
}

type Trouble = (RejectReason, String);

/// The columns that only one table has.
enum Own<'a> {
    Quotes {
        update_id: &'a Int64Array,
        bid: Side<'a>,
        ask: Side<'a>,
    },
    Books(Box<Books<'a>>),
    Marks {
        mark: &'a Decimal128Array,
        index: &'a Decimal128Array,
        rate: &'a Decimal128Array,
        next_ns: &'a Int64Array,
    },
    Funding {
        rate: &'a Decimal128Array,
        mark: &'a Decimal128Array,
    },
    Liquidations {
        side: &'a StringArray,
        price: &'a Decimal128Array,
        quantity: &'a Decimal128Array,
        occurrence: Option<&'a Int64Array>,
    },
}

struct Side<'a> {
    price: &'a Decimal128Array,
    quantity: &'a Decimal128Array,
}

struct Books<'a> {
    is_snapshot: &'a BooleanArray,
    depth: Option<&'a Int64Array>,
    sequence: &'a Int64Array,
    first_id: &'a Int64Array,
    last_id: &'a Int64Array,
    previous_id: &'a Int64Array,
    bids: Levels<'a>,
    asks: Levels<'a>,
}

/// A column of lists of levels.
struct Levels<'a> {
    lists: &'a ListArray,
    price: &'a Decimal128Array,
    quantity: &'a Decimal128Array,
}

impl<'a> Own<'a> {
    fn of(batch: &'a RecordBatch, table: Table) -> Result<Self, String> {
        let decimals = |name| numbers::<Decimal128Type>(batch, name).and_then(|column| eight_places(column, name));
        let integers = |name| numbers::<Int64Type>(batch, name);
        let side = |price, quantity| Ok::<_, String>(Side { price: decimals(price)?, quantity: decimals(quantity)? });
        Ok(match table {
            Table::Quotes => Self::Quotes {
                update_id: integers("update_id")?,
                bid: side("bid_price", "bid_quantity")?,
                ask: side("ask_price", "ask_quantity")?,
            },
            Table::Books => Self::Books(Box::new(Books {
                depth: later(batch, "depth", |column| column.as_primitive_opt())?,
                is_snapshot: column(batch, "is_snapshot")?.as_boolean_opt().ok_or("is_snapshot has a wrong type")?,
                sequence: integers("sequence")?,
                first_id: integers("first_id")?,
                last_id: integers("last_id")?,
                previous_id: integers("previous_id")?,
                bids: Levels::of(column(batch, "bids")?)?,
                asks: Levels::of(column(batch, "asks")?)?,
            })),
            Table::Marks => Self::Marks {
                mark: decimals("mark_price")?,
                index: decimals("index_price")?,
                rate: decimals("funding_rate")?,
                next_ns: integers("next_funding_time_ns")?,
            },
            Table::Funding => Self::Funding { rate: decimals("funding_rate")?, mark: decimals("mark_price")? },
            Table::Liquidations => Self::Liquidations {
                side: strings(batch, "side")?,
                price: decimals("price")?,
                quantity: decimals("quantity")?,
                occurrence: later(batch, "occurrence", |column| column.as_primitive_opt())?,
            },
            other => return Err(format!("{} is no table of the market", other.name())),
        })
    }

    fn content(&self, row: usize) -> Result<MarketContent, Trouble> {
        Ok(match self {
            Self::Quotes { update_id, bid, ask } => MarketContent::Quote(Quote {
                update_id: optional_id(update_id, row)?,
                bid: bid.level(row)?,
                ask: ask.level(row)?,
            }),
            Self::Books(books) => MarketContent::Book(books.update(row)?),
            Self::Marks { mark, index, rate, next_ns } => MarketContent::Mark(Mark {
                mark_price_e8: price_e8(mark, row)?,
                index_price_e8: price_e8(index, row)?,
                funding_rate_e8: rate_e8(rate, row)?,
                next_funding_time_ns: value(next_ns, row).map(|ns| time_ns(ns, "next_funding_time_ns")).transpose()?,
            }),
            Self::Funding { rate, mark } => MarketContent::Funding(Funding {
                rate_e8: rate_e8(rate, row)?.ok_or_else(|| missing("funding_rate"))?,
                mark_price_e8: price_e8(mark, row)?,
            }),
            Self::Liquidations { side, price, quantity, occurrence } => {
                MarketContent::Liquidation(in_range(Liquidation {
                    side: match side.is_valid(row).then(|| side.value(row)) {
                        None => AggressorSide::Unknown,
                        Some("buy") => AggressorSide::Buy,
                        Some("sell") => AggressorSide::Sell,
                        Some(other) => return Err((RejectReason::Field, format!("side: {other:?} is unknown"))),
                    },
                    price_e8: price_e8(price, row)?.ok_or_else(|| missing("price"))?,
                    quantity_e8: quantity_e8(quantity, row, 1)?.ok_or_else(|| missing("quantity"))?,
                    occurrence: small(*occurrence, row, 0, "occurrence")?.unwrap_or_default(),
                })?)
            }
        })
    }
}

impl Side<'_> {
    fn level(&self, row: usize) -> Result<Option<Level>, Trouble> {
        match (price_e8(self.price, row)?, quantity_e8(self.quantity, row, 1)?) {
            (None, None) => Ok(None),
            (Some(price_e8), Some(quantity_e8)) => Ok(Some(Level { price_e8, quantity_e8 })),
            (None, Some(_)) => Err(missing("price")),
            (Some(_), None) => Err(missing("quantity")),
        }
    }
}

impl Books<'_> {
    fn update(&self, row: usize) -> Result<BookUpdate, Trouble> {
        let is_snapshot = self.is_snapshot.value(row);
        let (first_id, last_id) = (id(self.first_id.value(row))?, id(self.last_id.value(row))?);
        if first_id > last_id {
            return Err((RejectReason::Field, "first_id: greater than last_id".to_owned()));
        }
        Ok(BookUpdate {
            sequence: id(self.sequence.value(row))?,
            first_id,
            last_id,
            previous_id: optional_id(self.previous_id, row)?,
            is_snapshot,
            depth: small(self.depth, row, 1, "depth")?,
            bids: self.bids.levels(row, is_snapshot)?,
            asks: self.asks.levels(row, is_snapshot)?,
        })
    }
}

impl<'a> Levels<'a> {
    fn of(array: &'a ArrayRef) -> Result<Self, String> {
        let wrong = || "a list of levels has a wrong type".to_owned();
        let lists = array.as_list_opt::<i32>().ok_or_else(wrong)?;
        let levels = lists.values().as_struct_opt().ok_or_else(wrong)?;
        let part = |name| {
            let column = levels.column_by_name(name).and_then(|part| part.as_primitive_opt()).ok_or_else(wrong)?;
            eight_places(column, name)
        };
        Ok(Self { lists, price: part("price")?, quantity: part("quantity")? })
    }

    fn levels(&self, row: usize, is_snapshot: bool) -> Result<Arc<[Level]>, Trouble> {
        let offsets = self.lists.value_offsets();
        let level = |at: i32| {
            let at = at as usize;
            Ok(Level {
                price_e8: price_e8(self.price, at)?.ok_or_else(|| missing("price"))?,
                quantity_e8: quantity_e8(self.quantity, at, i128::from(is_snapshot))?
                    .ok_or_else(|| missing("quantity"))?,
            })
        };
        (offsets[row]..offsets[row + 1]).map(level).collect()
    }
}

/// Decimals of another scale would be other numbers.
fn eight_places<'a>(column: &'a Decimal128Array, name: &str) -> Result<&'a Decimal128Array, String> {
    if column.scale() == 8 { Ok(column) } else { Err(format!("column {name} has a wrong type")) }
}

fn value<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}

/// A column that files may be without.
fn later<'a, T>(
    batch: &'a RecordBatch,
    name: &str,
    of: fn(&'a ArrayRef) -> Option<&'a T>,
) -> Result<Option<&'a T>, String> {
    let typed = |column| of(column).ok_or_else(|| format!("column {name} has a wrong type"));
    batch.column_by_name(name).map(typed).transpose()
}

/// A number that fits the bits it is kept in.
fn small<T: TryFrom<i64>>(
    column: Option<&Int64Array>,
    row: usize,
    least: i64,
    name: &str,
) -> Result<Option<T>, Trouble> {
    let Some(number) = column.and_then(|column| value(column, row)) else { return Ok(None) };
    let small = T::try_from(number).ok().filter(|_| number >= least);
    small.map(Some).ok_or_else(|| (RejectReason::Field, format!("{name}: out of range")))
}

/// A time that the graph can reckon with.
fn time_ns(ns: i64, name: &str) -> Result<i64, Trouble> {
    possible(ns).ok_or_else(|| (RejectReason::Time, format!("{name}: {ns} is before 2009 or after 2200")))
}

/// One whose worth can be added up.
fn in_range(liquidation: Liquidation) -> Result<Liquidation, Trouble> {
    let trouble = || (RejectReason::Number, "price times quantity: out of range".to_owned());
    let is_in_range = is_notional_in_range(liquidation.price_e8, liquidation.quantity_e8);
    if is_in_range { Ok(liquidation) } else { Err(trouble()) }
}

fn missing(name: &str) -> Trouble {
    (RejectReason::Field, format!("{name}: missing"))
}

fn id(value: i64) -> Result<u64, Trouble> {
    u64::try_from(value).map_err(|_| (RejectReason::Field, format!("update number {value}: below zero")))
}

fn optional_id(column: &Int64Array, row: usize) -> Result<Option<u64>, Trouble> {
    value(column, row).map(id).transpose()
}

fn e8(column: &Decimal128Array, row: usize, name: &str, range: Range<i128>) -> Result<Option<i64>, Trouble> {
    let Some(wide) = value(column, row) else { return Ok(None) };
    match i64::try_from(wide) {
        Ok(narrow) if range.contains(&wide) => Ok(Some(narrow)),
        _ => Err((RejectReason::Number, format!("{name}: out of range"))),
    }
}

fn price_e8(column: &Decimal128Array, row: usize) -> Result<Option<i64>, Trouble> {
    e8(column, row, "price", 1..PRICE_LIMIT_E8.into())
}

fn quantity_e8(column: &Decimal128Array, row: usize, least: i128) -> Result<Option<i64>, Trouble> {
    e8(column, row, "quantity", least..1 << 63)
}

fn rate_e8(column: &Decimal128Array, row: usize) -> Result<Option<i64>, Trouble> {
    const ONE_E8: i128 = 100_000_000;
    e8(column, row, "funding_rate", 1 - ONE_E8..ONE_E8)
}
