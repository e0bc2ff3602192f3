//! Rows of the archive back into records.

use super::super::bars_read::{column, numbers, stored_id, strings};
use super::super::layout::Table;
use super::super::{account, market, rejects_file};
use super::{ArchivedRows, ArchivedTick, Sources};
use arrow::array::{Array, Decimal128Array, Int64Array, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{ArrowPrimitiveType, Decimal128Type, Int64Type};
use foldhash::HashMap;
use std::ops::Range;
use std::sync::Arc;
use tidewheel_schemas::{
    AccountRecord, AggressorSide, Amendment, Change, Correction, Instrument, LateRecord, MarketRecord, Reject, Trade,
    TradeColumns, TradeId, TradeKind,
};

/// Dead letters by tick, in their order.
pub(super) fn rejects(batch: &RecordBatch, sources: &Sources) -> Result<Vec<(u64, ArchivedTick)>, String> {
    let mut ticks: Vec<(u64, ArchivedTick)> = Vec::new();
    for stored in rejects_file::decode(batch)? {
        let reject = Reject {
            partition: sources.number_of(&stored.source)?,
            position: stored.position,
            reason: stored.reason,
            records: stored.records,
            detail: stored.detail,
            raw: stored.raw,
            receive_time_ns: stored.receive_time_ns,
        };
        at(&mut ticks, stored.tick).rejects.push(reject);
    }
    Ok(ticks)
}

/// Records of one of the market's tables by tick, in their order.
pub(super) fn market(batch: &RecordBatch, sources: &Sources, table: Table) -> Result<Vec<(u64, ArchivedTick)>, String> {
    let mut ticks: Vec<(u64, ArchivedTick)> = Vec::new();
    for stored in market::decode(batch, table)? {
        let record = stored.record.map_err(|(_, detail)| detail)?;
        let partition = sources.number_of(stored.source)?;
        at(&mut ticks, stored.tick).market.push(MarketRecord { partition, ..record });
    }
    Ok(ticks)
}

/// Records of one of the tables of what accounts do by tick, in their order.
pub(super) fn account(
    batch: &RecordBatch,
    sources: &Sources,
    table: Table,
) -> Result<Vec<(u64, ArchivedTick)>, String> {
    let mut ticks: Vec<(u64, ArchivedTick)> = Vec::new();
    for stored in account::decode(batch, table)? {
        let record = stored.record.map_err(|(_, detail)| detail)?;
        let partition = sources.number_of(stored.source)?;
        at(&mut ticks, stored.tick).account.push(AccountRecord { partition, ..record });
    }
    Ok(ticks)
}

/// Trades and amendments, taken in or late, by tick, in their order.
pub(super) fn trades(
    batch: &RecordBatch,
    sources: &Sources,
    is_late: bool,
) -> Result<Vec<(u64, ArchivedTick)>, String> {
    let columns = Columns::of(batch)?;
    let watermark_ns = if is_late { Some(numbers::<Int64Type>(batch, "watermark_ns")?) } else { None };
    let mut ticks: Vec<(u64, ArchivedTick)> = Vec::new();
    let mut chunks = Chunks::default();
    let mut names = Names::default();
    let mut slices: Vec<(u64, usize, Range<u32>)> = Vec::new();
    for row in 0..batch.num_rows() {
        let tick = columns.tick.value(row).cast_unsigned();
        let partition = sources.number_of(columns.source.value(row))?;
        let instrument = names.of(columns.venue.value(row), columns.symbol.value(row));
        let position = columns.position.value(row).cast_unsigned();
        let receive_time_ns = value(columns.receive_time_ns, row);
        let record = columns.record(row)?;
        let taken = at(&mut ticks, tick);
        match (record, watermark_ns) {
            (Record::Trade(trade), None) => {
                let (chunk, at) = chunks.push(partition, &instrument, &trade, position, receive_time_ns);
                match slices.last_mut().filter(|(of, in_chunk, _)| (*of, *in_chunk) == (tick, chunk)) {
                    Some((_, _, rows)) => rows.end = at + 1,
                    None => slices.push((tick, chunk, at..at + 1)),
                }
            }
            (Record::Trade(trade), Some(watermark_ns)) => {
                let late = LateRecord::Trade { instrument, trade, partition, position, receive_time_ns };
                taken.late.push((late, watermark_ns.value(row)));
            }
            (Record::Amendment { id, change, original_time_ns, sequence }, watermark_ns) => {
                let raw = Arc::default();
                let amendment = Amendment {
                    instrument,
                    id,
                    change,
                    original_time_ns,
                    sequence,
                    partition,
                    position,
                    receive_time_ns,
                    raw,
                };
                match watermark_ns {
                    Some(watermark_ns) => {
                        taken.late.push((LateRecord::Amendment(amendment), watermark_ns.value(row)));
                    }
                    None => taken.amendments.push(amendment),
                }
            }
        }
    }
    let chunks: Vec<Arc<TradeColumns>> = chunks.chunks.into_iter().map(Arc::new).collect();
    let mut number = 0;
    for (tick, chunk, rows) in slices {
        // Both lists are in the order of the rows.
        let ahead = ticks[number..].iter().position(|(of, _)| *of == tick);
        number += ahead.ok_or_else(|| format!("ticks are out of order: {tick} comes again"))?;
        ticks[number].1.trades.push(ArchivedRows { columns: Arc::clone(&chunks[chunk]), rows });
    }
    Ok(ticks)
}

/// The entry of a tick: the last, or one of few before it.
fn at(ticks: &mut Vec<(u64, ArchivedTick)>, tick: u64) -> &mut ArchivedTick {
    let number = ticks.iter().rposition(|(of, _)| *of == tick).unwrap_or_else(|| {
        ticks.push((tick, ArchivedTick::default()));
        ticks.len() - 1
    });
    &mut ticks[number].1
}

/// The trades of a batch, in columns by source.
#[derive(Default)]
struct Chunks {
    chunks: Vec<TradeColumns>,
    of_source: HashMap<u32, usize>,
    numbers: HashMap<(usize, Instrument), u32>,
}

impl Chunks {
    fn push(
        &mut self,
        partition: u32,
        instrument: &Instrument,
        trade: &Trade,
        position: u64,
        receive_time_ns: Option<i64>,
    ) -> (usize, u32) {
        let Self { chunks, of_source, numbers } = self;
        let number = *of_source.entry(partition).or_insert_with(|| {
            chunks.push(TradeColumns { partition, ..TradeColumns::default() });
            chunks.len() - 1
        });
        let chunk = &mut chunks[number];
        let instrument = *numbers.entry((number, instrument.clone())).or_insert_with(|| {
            chunk.instruments.push(instrument.clone());
            chunk.instruments.len() as u32 - 1
        });
        chunk.push(instrument, trade, position);
        chunk.receive_time_ns.push(receive_time_ns.unwrap_or(i64::MIN));
        (number, chunk.len() as u32 - 1)
    }
}

/// Instruments by name, each made once.
#[derive(Default)]
struct Names(Vec<Instrument>);

impl Names {
    fn of(&mut self, venue: &str, symbol: &str) -> Instrument {
        let known = self.0.iter().find(|known| *known.symbol == *symbol && *known.venue == *venue);
        known.cloned().unwrap_or_else(|| {
            let instrument = Instrument { venue: venue.into(), symbol: symbol.into() };
            self.0.push(instrument.clone());
            instrument
        })
    }
}

enum Record {
    Trade(Trade),
    Amendment { id: TradeId, change: Change, original_time_ns: Option<i64>, sequence: i64 },
}

struct Columns<'a> {
    venue: &'a StringArray,
    symbol: &'a StringArray,
    op: &'a StringArray,
    trade_id: &'a StringArray,
    event_time_ns: &'a Int64Array,
    price: &'a Decimal128Array,
    quantity: &'a Decimal128Array,
    side: &'a StringArray,
    count: &'a Int64Array,
    kind: &'a StringArray,
    sequence: &'a Int64Array,
    original_time_ns: &'a Int64Array,
    tick: &'a Int64Array,
    source: &'a StringArray,
    position: &'a Int64Array,
    receive_time_ns: &'a Int64Array,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, String> {
        let integers = |name| numbers::<Int64Type>(batch, name);
        // A column that is null throughout is still there.
        column(batch, "event_time")?;
        Ok(Self {
            venue: strings(batch, "venue")?,
            symbol: strings(batch, "symbol")?,
            op: strings(batch, "op")?,
            trade_id: strings(batch, "trade_id")?,
            event_time_ns: integers("event_time_ns")?,
            price: numbers::<Decimal128Type>(batch, "price")?,
            quantity: numbers::<Decimal128Type>(batch, "quantity")?,
            side: strings(batch, "aggressor_side")?,
            count: integers("trade_count")?,
            kind: strings(batch, "trade_kind")?,
            sequence: integers("sequence")?,
            original_time_ns: integers("original_event_time_ns")?,
            tick: integers("tick")?,
            source: strings(batch, "source")?,
            position: integers("position")?,
            receive_time_ns: integers("receive_time_ns")?,
        })
    }

    fn record(&self, row: usize) -> Result<Record, String> {
        let text = self.trade_id.value(row);
        let id = stored_id(text).ok_or_else(|| format!("trade id {text:?} is of no known form"))?;
        let event_time_ns = value(self.event_time_ns, row);
        let (price_e8, quantity_e8) = (e8(self.price, row)?, e8(self.quantity, row)?);
        let op = self.op.value(row);
        if op == "insert" {
            let missing = || format!("trade {text:?} lacks a value");
            let name = self.kind.value(row);
            let kind = TradeKind::ALL.into_iter().find(|kind| kind.name() == name);
            let count = value(self.count, row).and_then(|count| u32::try_from(count).ok());
            return Ok(Record::Trade(Trade {
                event_time_ns: event_time_ns.ok_or_else(missing)?,
                id,
                price_e8: price_e8.ok_or_else(missing)?,
                quantity_e8: quantity_e8.ok_or_else(missing)?,
                count: count.ok_or_else(missing)?,
                side: self.side(row)?.unwrap_or_default(),
                kind: kind.ok_or_else(|| format!("trade kind {name:?} is unknown"))?,
            }));
        }
        let change = match op {
            "cancel" => Change::Cancel,
            "correct" => Change::Correct(Correction { price_e8, quantity_e8, event_time_ns, side: self.side(row)? }),
            other => return Err(format!("op {other:?} is unknown")),
        };
        let sequence = value(self.sequence, row).unwrap_or_default();
        Ok(Record::Amendment { id, change, original_time_ns: value(self.original_time_ns, row), sequence })
    }

    fn side(&self, row: usize) -> Result<Option<AggressorSide>, String> {
        if self.side.is_null(row) {
            return Ok(None);
        }
        match self.side.value(row) {
            "buy" => Ok(Some(AggressorSide::Buy)),
            "sell" => Ok(Some(AggressorSide::Sell)),
            "unknown" => Ok(Some(AggressorSide::Unknown)),
            other => Err(format!("aggressor side {other:?} is unknown")),
        }
    }
}

fn value<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
    column.is_valid(row).then(|| column.value(row))
}

fn e8(column: &Decimal128Array, row: usize) -> Result<Option<i64>, String> {
    let narrow = |wide: i128| i64::try_from(wide).map_err(|_| format!("{wide} does not fit 64 bits"));
    value(column, row).map(narrow).transpose()
}
