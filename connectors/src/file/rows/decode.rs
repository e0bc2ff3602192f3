//! A batch of rows to trades, amendments and rejects.
//!
//! Columns are converted whole, in loops without branches on the row; whatever such a loop cannot take for a good trade
//! it marks as a suspect. Suspects are then looked at one by one, by [`Batch::row`], which has the last word.

use super::columns::{Role, canonical_name};
use super::names::{Instruments, NameSource, Names, Sides, fill_instruments, kind_of};
use super::numbers::{Decimals, Integers, Times, push_rows_where};
use crate::file::Op;
use crate::source::DecodedChunk;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::fmt::Write;
use std::sync::Arc;
use tidewheel_schemas::{
    Amendment, Change, Correction, Instrument, PRICE_LIMIT_E8, Reject, RejectReason, Trade, TradeColumns, TradeId,
    TradeKind, is_notional_in_range,
};

/// What all batches of a file share.
#[derive(Clone, Debug)]
pub struct Context {
    /// The number of the file.
    pub partition: u32,
    /// The venue where there is no column.
    pub venue: String,
    /// The symbol where there is no column.
    pub symbol: String,
    /// What the columns of a batch hold, in order, and whether integer times are nanoseconds for certain.
    pub roles: Vec<(Role, bool)>,
}

/// Decodes batches into one chunk.
pub struct ChunkDecoder<'a> {
    context: &'a Context,
    instruments: Instruments,
    chunk: DecodedChunk,
}

enum Ids {
    Number(Integers),
    Text(StringArray),
}

/// The columns of a batch, each in the form in which it is read.
struct Batch<'a> {
    context: &'a Context,
    source: &'a RecordBatch,
    base: u64,
    venue: Option<Names>,
    symbol: Option<Names>,
    id: Option<Ids>,
    event_time: Times,
    price: Decimals,
    quantity: Decimals,
    side: Option<Sides>,
    count: Option<Integers>,
    kind: Option<Names>,
    op: Option<Names>,
    sequence: Option<Integers>,
    receive_time: Option<Times>,
    original_time: Option<Times>,
}

/// What one row is.
enum Row {
    Trade(Instrument, Trade),
    Amendment(Amendment),
}

type Trouble = (RejectReason, String);

impl<'a> ChunkDecoder<'a> {
    /// A decoder of a chunk of about so many rows.
    pub fn new(context: &'a Context, rows: usize) -> Self {
        let mut chunk = DecodedChunk::default();
        chunk.columns.partition = context.partition;
        chunk.columns.reserve(rows);
        Self { context, instruments: Instruments::default(), chunk }
    }

    /// Decodes a batch whose first row is row `base` of the file.
    pub fn push(&mut self, source: &RecordBatch, base: u64) {
        let Some(batch) = Batch::of(self.context, source, base) else {
            let detail = format!("columns have unexpected types: {}", source.schema());
            return self.reject_rows(base, base + source.num_rows() as u64, &detail);
        };
        let start = self.chunk.columns.len();
        let mut suspects = batch.fill(&mut self.chunk.columns, &mut self.instruments);
        if !suspects.is_empty() {
            suspects.sort_unstable();
            suspects.dedup();
            self.settle(&batch, start, &suspects);
        }
        self.chunk.end_position = base + source.num_rows() as u64;
    }

    /// Records that rows of a damaged file could not be read: one reject for all of them.
    pub fn reject_rows(&mut self, from: u64, to: u64, detail: &str) {
        let detail = format!("rows {from} to {} could not be read: {detail}", to.saturating_sub(1));
        self.chunk.rejects.push(Reject {
            partition: self.context.partition,
            position: from,
            reason: RejectReason::Truncated,
            records: 1,
            detail,
            raw: Arc::default(),
            receive_time_ns: None,
        });
        self.chunk.end_position = to;
    }

    /// The chunk of all batches.
    pub fn finish(self) -> DecodedChunk {
        self.chunk
    }

    /// Decides about the suspects and takes those that are no trades out of the columns.
    fn settle(&mut self, batch: &Batch<'_>, start: usize, suspects: &[u32]) {
        let mut removed = Vec::with_capacity(suspects.len());
        for &row in suspects {
            let row = row as usize;
            match batch.row(row) {
                Ok(Row::Trade(instrument, trade)) => self.replace(start + row, &instrument, &trade),
                Ok(Row::Amendment(amendment)) => {
                    self.chunk.amendments.push(amendment);
                    removed.push(start + row);
                }
                Err((reason, detail)) => {
                    self.chunk.rejects.push(Reject {
                        partition: self.context.partition,
                        position: batch.base + row as u64,
                        reason,
                        records: 1,
                        detail,
                        raw: batch.json(row),
                        receive_time_ns: batch.receive_time(row),
                    });
                    removed.push(start + row);
                }
            }
        }
        remove_rows(&mut self.chunk.columns, &removed);
    }

    fn replace(&mut self, at: usize, instrument: &Instrument, trade: &Trade) {
        let columns = &mut self.chunk.columns;
        let index = self.instruments.index(&mut columns.instruments, &instrument.venue, &instrument.symbol);
        // The name comes from an instrument, so it makes one.
        columns.instrument[at] = index.expect("the name of an instrument is good");
        columns.event_time_ns[at] = trade.event_time_ns;
        columns.id[at] = trade.id;
        columns.price_e8[at] = trade.price_e8;
        columns.quantity_e8[at] = trade.quantity_e8;
        columns.count[at] = trade.count;
        columns.side[at] = trade.side;
        columns.kind[at] = trade.kind;
    }
}

impl<'a> Batch<'a> {
    fn of(context: &'a Context, source: &'a RecordBatch, base: u64) -> Option<Self> {
        let at = |role: Role| context.roles.iter().position(|(other, _)| *other == role);
        let array = |role: Role| at(role).map(|at| source.column(at));
        let times = |role: Role| at(role).map(|at| Times::of(source.column(at), context.roles[at].1));
        let id = array(Role::TradeId).map(|array| match array.as_string_opt::<i32>() {
            Some(text) => Some(Ids::Text(text.clone())),
            None => Integers::of(array).map(Ids::Number),
        });
        Some(Self {
            context,
            source,
            base,
            venue: convert(array(Role::Venue), Names::of)?,
            symbol: convert(array(Role::Symbol), Names::of)?,
            id: match id {
                Some(None) => return None,
                id => id.flatten(),
            },
            event_time: times(Role::EventTime)??,
            price: Decimals::of(array(Role::Price)?)?,
            quantity: Decimals::of(array(Role::Quantity)?)?,
            side: convert(array(Role::Side), Sides::of)?,
            count: convert(array(Role::Count), Integers::of)?,
            kind: convert(array(Role::Kind), Names::of)?,
            op: convert(array(Role::Op), Names::of)?,
            sequence: convert(array(Role::Sequence), Integers::of)?,
            receive_time: times(Role::ReceiveTime).flatten(),
            original_time: times(Role::OriginalTime).flatten(),
        })
    }

    fn venue_source(&self) -> NameSource<'_> {
        self.venue.as_ref().map_or(NameSource::Constant(&self.context.venue), NameSource::Column)
    }

    fn symbol_source(&self) -> NameSource<'_> {
        self.symbol.as_ref().map_or(NameSource::Constant(&self.context.symbol), NameSource::Column)
    }

    /// Appends all rows as if they were good trades; returns those that may not be.
    fn fill(&self, columns: &mut TradeColumns, instruments: &mut Instruments) -> Vec<u32> {
        let rows = self.source.num_rows();
        let mut suspects = Vec::new();
        let names = (&self.venue_source(), &self.symbol_source());
        let TradeColumns { instruments: list, instrument, .. } = columns;
        fill_instruments(rows, names, (instruments, list), instrument, &mut suspects);
        self.event_time.fill(&mut columns.event_time_ns, &mut suspects);
        self.price.fill(PRICE_LIMIT_E8, &mut columns.price_e8, &mut suspects);
        self.quantity.fill(i64::MAX, &mut columns.quantity_e8, &mut suspects);
        push_large(columns, rows, &mut suspects);
        self.fill_ids(rows, &mut columns.id, &mut suspects);
        self.fill_counts(rows, &mut columns.count, &mut suspects);
        match &self.side {
            Some(sides) => sides.fill(rows, &mut columns.side, &mut suspects),
            None => columns.side.resize(columns.side.len() + rows, Default::default()),
        }
        match &self.kind {
            Some(kinds) => kinds.fill(kind_of, TradeKind::Market, &mut columns.kind, &mut suspects),
            None => columns.kind.resize(columns.kind.len() + rows, TradeKind::Market),
        }
        if let Some(ops) = &self.op {
            // Nothing but inserts may stay in the columns.
            let mut inserts = Vec::with_capacity(rows);
            ops.fill(|text| Some(text == Op::Insert.name()), true, &mut inserts, &mut suspects);
            push_rows_where(&inserts, |is_insert| !is_insert, &mut suspects);
        }
        if let Some(times) = &self.receive_time {
            // A row may lack it, which the column says by the least time.
            times.fill(&mut columns.receive_time_ns, &mut Vec::new());
        }
        columns.position.extend(self.base..self.base + rows as u64);
        suspects
    }

    fn fill_ids(&self, rows: usize, out: &mut Vec<TradeId>, suspects: &mut Vec<u32>) {
        match &self.id {
            None => out.extend((0..rows).map(|row| self.position_id(row))),
            Some(Ids::Number(Integers::Signed(ids))) if ids.null_count() == 0 => {
                out.extend(ids.values().iter().map(|&id| TradeId::number(id.unsigned_abs())));
                push_rows_where(ids.values(), |id| id < 0, suspects);
            }
            Some(_) => out.extend((0..rows).map(|row| {
                self.id(row).unwrap_or_else(|_| {
                    suspects.push(row as u32);
                    TradeId::number(0)
                })
            })),
        }
    }

    fn fill_counts(&self, rows: usize, out: &mut Vec<u32>, suspects: &mut Vec<u32>) {
        let start = out.len();
        match &self.count {
            None => return out.resize(start + rows, 1),
            Some(Integers::Signed(counts)) if counts.null_count() == 0 => {
                out.extend(counts.values().iter().map(|&count| u32::try_from(count).unwrap_or(0)));
            }
            Some(_) => out.extend((0..rows).map(|row| self.count(row).unwrap_or(0))),
        }
        push_rows_where(&out[start..], |count| count == 0, suspects);
    }

    fn position_id(&self, row: usize) -> TradeId {
        TradeId::position(self.context.partition, self.base + row as u64, 0)
    }

    /// What one row is, or what is wrong with it.
    fn row(&self, row: usize) -> Result<Row, Trouble> {
        let op = self.op(row)?;
        let instrument = self.instrument(row)?;
        let id = self.id(row)?;
        if op == Op::Insert {
            let trade = Trade {
                event_time_ns: required(Role::EventTime, self.time(Role::EventTime, Some(&self.event_time), row)?)?,
                id,
                price_e8: required(Role::Price, self.price(row)?)?,
                quantity_e8: required(Role::Quantity, self.quantity(row)?)?,
                count: self.count(row)?,
                side: self.side(row)?,
                kind: self.kind(row)?,
            };
            if !is_notional_in_range(trade.price_e8, trade.quantity_e8) {
                return Err((RejectReason::Number, "price times quantity: out of range".to_owned()));
            }
            return Ok(Row::Trade(instrument, trade));
        }
        let original_time = self.time(Role::OriginalTime, self.original_time.as_ref(), row)?;
        let event_time_ns = self.time(Role::EventTime, Some(&self.event_time), row)?;
        let (change, original_time_ns) = if op == Op::Cancel {
            (Change::Cancel, original_time.or(event_time_ns))
        } else {
            let side = Some(self.side(row)?).filter(|side| side.name().is_some());
            let (price_e8, quantity_e8) = (self.price(row)?, self.quantity(row)?);
            (Change::Correct(Correction { price_e8, quantity_e8, event_time_ns, side }), original_time)
        };
        let sequence = self.sequence.as_ref().and_then(|column| column.get(row)).unwrap_or(0);
        Ok(Row::Amendment(Amendment {
            instrument,
            id,
            change,
            original_time_ns,
            sequence: i64::try_from(sequence)
                .map_err(|_| trouble(Role::Sequence, RejectReason::Number, "out of range"))?,
            partition: self.context.partition,
            position: self.base + row as u64,
            receive_time_ns: self.receive_time(row),
            raw: self.json(row),
        }))
    }

    fn op(&self, row: usize) -> Result<Op, Trouble> {
        let Some(text) = self.op.as_ref().and_then(|names| names.get(row)) else { return Ok(Op::Insert) };
        Op::ALL.into_iter().find(|op| op.name() == text).ok_or_else(|| {
            trouble(Role::Op, RejectReason::Field, format!("{text:?} is none of insert, cancel, correct"))
        })
    }

    fn instrument(&self, row: usize) -> Result<Instrument, Trouble> {
        let venue = required(Role::Venue, self.venue_source().get(row))?;
        let symbol = required(Role::Symbol, self.symbol_source().get(row))?;
        Instrument::new(venue, symbol).map_err(|error| (RejectReason::Instrument, error.to_string()))
    }

    fn id(&self, row: usize) -> Result<TradeId, Trouble> {
        match &self.id {
            None => Ok(self.position_id(row)),
            Some(Ids::Number(ids)) => u64::try_from(required(Role::TradeId, ids.get(row))?)
                .map(TradeId::number)
                .map_err(|_| trouble(Role::TradeId, RejectReason::TradeId, "negative")),
            Some(Ids::Text(ids)) => {
                let text = required(Role::TradeId, ids.is_valid(row).then(|| ids.value(row)))?;
                TradeId::parse(text.as_bytes()).map_err(|error| (RejectReason::TradeId, error.to_string()))
            }
        }
    }

    fn time(&self, role: Role, times: Option<&Times>, row: usize) -> Result<Option<i64>, Trouble> {
        times.map_or(Ok(None), |times| times.get(row)).map_err(|value| {
            trouble(role, RejectReason::Time, format!("{value} is before 2009, after 2200 or in no known unit"))
        })
    }

    fn price(&self, row: usize) -> Result<Option<i64>, Trouble> {
        let price = decimal(Role::Price, &self.price, row)?;
        match price {
            Some(price) if price >= PRICE_LIMIT_E8 => Err(trouble(Role::Price, RejectReason::Number, "out of range")),
            price => Ok(price),
        }
    }

    fn quantity(&self, row: usize) -> Result<Option<i64>, Trouble> {
        decimal(Role::Quantity, &self.quantity, row)
    }

    fn count(&self, row: usize) -> Result<u32, Trouble> {
        let count = self.count.as_ref().and_then(|counts| counts.get(row)).unwrap_or(1);
        let in_range = u32::try_from(count).ok().filter(|count| *count > 0);
        in_range.ok_or_else(|| trouble(Role::Count, RejectReason::Number, format!("{count} is not a number of fills")))
    }

    fn side(&self, row: usize) -> Result<tidewheel_schemas::AggressorSide, Trouble> {
        let side = self.side.as_ref().map_or(Ok(Default::default()), |sides| sides.get(row));
        side.map_err(|text| trouble(Role::Side, RejectReason::Field, format!("{text:?} is neither buy nor sell")))
    }

    fn kind(&self, row: usize) -> Result<TradeKind, Trouble> {
        let Some(text) = self.kind.as_ref().and_then(|names| names.get(row)) else { return Ok(TradeKind::Market) };
        kind_of(text).ok_or_else(|| trouble(Role::Kind, RejectReason::Field, format!("{text:?} is no trade kind")))
    }

    fn receive_time(&self, row: usize) -> Option<i64> {
        self.receive_time.as_ref().and_then(|times| times.get(row).ok().flatten())
    }

    /// The row as JSON with the canonical names: text in quotes, as Arrow prints it, so that decimals stay exact.
    fn json(&self, row: usize) -> Arc<[u8]> {
        let mut json = String::from("{\"type\":\"trade\"");
        for ((role, _), array) in self.context.roles.iter().zip(self.source.columns()) {
            let _ = write!(json, ",\"{}\":", canonical_name(*role));
            let printed =
                ArrayFormatter::try_new(array, &FormatOptions::new()).map(|printer| printer.value(row).to_string());
            match printed {
                _ if array.is_null(row) => json.push_str("null"),
                Ok(text) => json.push_str(&serde_json::Value::String(text).to_string()),
                Err(error) => json.push_str(&serde_json::Value::String(error.to_string()).to_string()),
            }
        }
        json.push('}');
        json.into_bytes().into()
    }
}

/// Names those of the last `rows` rows whose price times quantity is too large for the bars it would be added to.
fn push_large(columns: &TradeColumns, rows: usize, suspects: &mut Vec<u32>) {
    let start = columns.price_e8.len() - rows;
    let products = || columns.price_e8[start..].iter().zip(&columns.quantity_e8[start..]);
    let is_large = |(price, quantity): (&i64, &i64)| !is_notional_in_range(*price, *quantity);
    if products().fold(false, |any, product| any | is_large(product)) {
        suspects.extend((0u32..).zip(products()).filter(|(_, product)| is_large(*product)).map(|(row, _)| row));
    }
}

/// Reads an optional column; the outer nothing says that its type is wrong.
fn convert<T>(array: Option<&ArrayRef>, read: impl Fn(&ArrayRef) -> Option<T>) -> Option<Option<T>> {
    match array {
        Some(array) => read(array).map(Some),
        None => Some(None),
    }
}

fn required<T>(role: Role, value: Option<T>) -> Result<T, Trouble> {
    value.ok_or_else(|| trouble(role, RejectReason::Field, "null"))
}

fn trouble(role: Role, reason: RejectReason, detail: impl AsRef<str>) -> Trouble {
    (reason, format!("{}: {}", canonical_name(role), detail.as_ref()))
}

fn decimal(role: Role, column: &Decimals, row: usize) -> Result<Option<i64>, Trouble> {
    match column.get(row) {
        Ok(Some(value)) if value <= 0 => Err(trouble(role, RejectReason::Number, "not positive")),
        Ok(value) => Ok(value),
        Err(error) => Err(trouble(role, RejectReason::Number, error.to_string())),
    }
}

/// Takes rows, given in ascending order, out of all columns.
fn remove_rows(columns: &mut TradeColumns, removed: &[usize]) {
    fn compact<T: Copy>(column: &mut Vec<T>, removed: &[usize]) {
        let (Some(&first), false) = (removed.first(), column.is_empty()) else { return };
        let mut kept = first;
        for (at, &row) in removed.iter().enumerate() {
            let end = removed.get(at + 1).copied().unwrap_or(column.len());
            column.copy_within(row + 1..end, kept);
            kept += end - row - 1;
        }
        column.truncate(kept);
    }
    compact(&mut columns.instrument, removed);
    compact(&mut columns.event_time_ns, removed);
    compact(&mut columns.id, removed);
    compact(&mut columns.price_e8, removed);
    compact(&mut columns.quantity_e8, removed);
    compact(&mut columns.count, removed);
    compact(&mut columns.side, removed);
    compact(&mut columns.kind, removed);
    compact(&mut columns.position, removed);
    compact(&mut columns.receive_time_ns, removed);
}
