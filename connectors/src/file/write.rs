//! Writes trades as Parquet: the files that [`super::open_inputs`] reads fastest.
//!
//! Times are nanoseconds, prices and quantities `DECIMAL(18,8)`, names dictionaries, all packed with zstd. This is the form
//! in which trades come in; the lake that goes out is written elsewhere, by its own rules.

use super::Op;
use crate::source::SourceError;
use arrow::array::{
    ArrayRef, Decimal64Array, DictionaryArray, Int32Array, Int64Array, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use tidewheel_schemas::{AggressorSide, Instrument, TradeColumns, TradeId};

/// Rows of a row group: what a reader's thread takes at a time.
const ROWS_PER_GROUP: usize = 1 << 17;

/// One row to write.
#[derive(Clone, Copy, Debug)]
pub struct TradeRow {
    /// What it does.
    pub op: Op,
    /// Index into the instruments of the table.
    pub instrument: u32,
    /// Identity within the instrument.
    pub id: TradeId,
    /// Trade time, nanoseconds.
    pub event_time_ns: i64,
    /// Price, eight decimals; null for none.
    pub price_e8: Option<i64>,
    /// Quantity, eight decimals; null for none.
    pub quantity_e8: Option<i64>,
    /// Fills it stands for.
    pub count: u32,
    /// Who crossed the spread; `Unknown` is null.
    pub side: AggressorSide,
    /// When it was received, nanoseconds; null for none.
    pub receive_time_ns: Option<i64>,
}

/// Rows on their way into a file.
#[derive(Debug)]
pub struct TradeTable {
    schema: SchemaRef,
    venues: Arc<StringArray>,
    symbols: Arc<StringArray>,
    ids: Ids,
    instrument: Vec<i32>,
    event_time_ns: Vec<i64>,
    price_e8: Vec<Option<i64>>,
    quantity_e8: Vec<Option<i64>>,
    side: Vec<Option<i32>>,
    count: Vec<i32>,
    op: Vec<i32>,
    receive_time_ns: Vec<Option<i64>>,
}

/// Ids are integers in the file as long as all of them may be.
#[derive(Debug)]
enum Ids {
    Numbers(Vec<i64>),
    Texts(Vec<String>),
}

impl TradeTable {
    /// An empty table of trades of these instruments. With `has_numeric_ids` the ids are written as 64-bit integers.
    pub fn new(instruments: &[Instrument], has_numeric_ids: bool) -> Self {
        let venues = instruments.iter().map(|instrument| &*instrument.venue);
        let symbols = instruments.iter().map(|instrument| &*instrument.symbol);
        Self {
            schema: schema(has_numeric_ids),
            venues: Arc::new(StringArray::from_iter_values(venues)),
            symbols: Arc::new(StringArray::from_iter_values(symbols)),
            ids: if has_numeric_ids { Ids::Numbers(Vec::new()) } else { Ids::Texts(Vec::new()) },
            instrument: Vec::new(),
            event_time_ns: Vec::new(),
            price_e8: Vec::new(),
            quantity_e8: Vec::new(),
            side: Vec::new(),
            count: Vec::new(),
            op: Vec::new(),
            receive_time_ns: Vec::new(),
        }
    }

    /// Appends a row.
    ///
    /// # Panics
    /// If the table has numeric ids and the row has another.
    pub fn push(&mut self, row: &TradeRow) {
        match &mut self.ids {
            Ids::Numbers(ids) => ids.push(numeric(row.id).expect("the table was made for numeric ids")),
            Ids::Texts(ids) => ids.push(row.id.to_string()),
        }
        // Instruments, sides and ops are dictionary keys; counts beyond 31 bits do not happen in one trade.
        self.instrument.push(row.instrument as i32);
        self.event_time_ns.push(row.event_time_ns);
        self.price_e8.push(row.price_e8);
        self.quantity_e8.push(row.quantity_e8);
        self.side.push(row.side.name().map(|_| row.side as i32 - AggressorSide::Buy as i32));
        self.count.push(row.count.min(i32::MAX as u32) as i32);
        self.op.push(row.op as i32);
        self.receive_time_ns.push(row.receive_time_ns);
    }

    /// Rows in the table.
    pub fn len(&self) -> usize {
        self.event_time_ns.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.event_time_ns.is_empty()
    }

    /// Takes all rows out as a batch.
    ///
    /// # Errors
    /// If an instrument is not among those of the table, or a value has more than 18 digits.
    pub fn take_batch(&mut self) -> Result<RecordBatch, arrow::error::ArrowError> {
        let instrument = Int32Array::from(std::mem::take(&mut self.instrument));
        let sides: StringArray =
            [AggressorSide::Buy, AggressorSide::Sell].map(AggressorSide::name).into_iter().collect();
        let ops = StringArray::from_iter_values(Op::ALL.map(Op::name));
        let dictionary = |keys: Int32Array, values: &Arc<StringArray>| -> Result<ArrayRef, arrow::error::ArrowError> {
            Ok(Arc::new(DictionaryArray::<Int32Type>::try_new(keys, Arc::clone(values) as ArrayRef)?))
        };
        let times = |times: TimestampNanosecondArray| Arc::new(times.with_timezone("UTC")) as ArrayRef;
        let decimals = |values: &mut Vec<Option<i64>>| -> Result<ArrayRef, arrow::error::ArrowError> {
            let values = Decimal64Array::from_iter(values.drain(..)).with_precision_and_scale(18, 8)?;
            values.validate_decimal_precision(18)?;
            Ok(Arc::new(values))
        };
        let ids: ArrayRef = match &mut self.ids {
            Ids::Numbers(ids) => Arc::new(Int64Array::from(std::mem::take(ids))),
            Ids::Texts(ids) => Arc::new(StringArray::from_iter_values(ids.drain(..))),
        };
        let columns = vec![
            dictionary(instrument.clone(), &self.venues)?,
            dictionary(instrument, &self.symbols)?,
            ids,
            times(TimestampNanosecondArray::from(std::mem::take(&mut self.event_time_ns))),
            decimals(&mut self.price_e8)?,
            decimals(&mut self.quantity_e8)?,
            dictionary(Int32Array::from(std::mem::take(&mut self.side)), &Arc::new(sides))?,
            Arc::new(Int32Array::from(std::mem::take(&mut self.count))),
            dictionary(Int32Array::from(std::mem::take(&mut self.op)), &Arc::new(ops))?,
            times(TimestampNanosecondArray::from_iter(self.receive_time_ns.drain(..))),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
    }
}

fn schema(has_numeric_ids: bool) -> SchemaRef {
    let name = || DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    let time = || DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let id = if has_numeric_ids { DataType::Int64 } else { DataType::Utf8 };
    Arc::new(Schema::new(vec![
        Field::new("venue", name(), false),
        Field::new("symbol", name(), false),
        Field::new("trade_id", id, false),
        Field::new("event_time", time(), false),
        Field::new("price", DataType::Decimal64(18, 8), true),
        Field::new("quantity", DataType::Decimal64(18, 8), true),
        Field::new("aggressor_side", name(), true),
        Field::new("trade_count", DataType::Int32, false),
        Field::new("op", name(), false),
        Field::new("receive_time", time(), true),
    ]))
}

fn numeric(id: TradeId) -> Option<i64> {
    i64::try_from(id.to_bits()).ok()
}

/// A Parquet file being written.
pub struct TradeFile {
    path: String,
    writer: ArrowWriter<File>,
}

impl TradeFile {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// If it cannot be created.
    pub fn create(path: &Path, has_numeric_ids: bool) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let file = File::create(path).map_err(|source| SourceError::File { path: name.clone(), source })?;
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROWS_PER_GROUP))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_created_by(concat!("tidewheel ", env!("CARGO_PKG_VERSION")).into());
        // Numbers hardly repeat: building dictionaries of them costs time on both sides.
        for column in ["trade_id", "event_time", "price", "quantity", "receive_time"] {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
        }
        // Differences are small and unpack faster than zstd finds repetitions in 64-bit times.
        for column in ["event_time", "receive_time"] {
            properties = properties.set_column_encoding(ColumnPath::from(column), Encoding::DELTA_BINARY_PACKED);
        }
        if has_numeric_ids {
            properties = properties.set_column_encoding(ColumnPath::from("trade_id"), Encoding::DELTA_BINARY_PACKED);
        }
        let writer = ArrowWriter::try_new(file, schema(has_numeric_ids), Some(properties.build()))
            .map_err(|error| broken(&name, &error))?;
        Ok(Self { path: name, writer })
    }

    /// Appends a batch made by a [`TradeTable`] of the same kind of ids.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), SourceError> {
        self.writer.write(batch).map_err(|error| broken(&self.path, &error))
    }

    /// Writes the footer; without it the file cannot be read.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn finish(self) -> Result<(), SourceError> {
        let path = self.path;
        self.writer.close().map(drop).map_err(|error| broken(&path, &error))
    }
}

fn broken(path: &str, error: &parquet::errors::ParquetError) -> SourceError {
    SourceError::Parquet { path: path.to_owned(), detail: format!("could not write: {error}") }
}

/// Writes trades as one file, in their order.
///
/// # Errors
/// If the file cannot be written, or a value has more than 18 digits.
pub fn write_trades_parquet(path: &Path, trades: &TradeColumns) -> Result<(), SourceError> {
    let has_numeric_ids = trades.id.iter().all(|&id| numeric(id).is_some());
    let mut table = TradeTable::new(&trades.instruments, has_numeric_ids);
    let mut file = TradeFile::create(path, has_numeric_ids)?;
    let name = path.display().to_string();
    for start in (0..trades.len()).step_by(ROWS_PER_GROUP) {
        for row in start..trades.len().min(start + ROWS_PER_GROUP) {
            table.push(&TradeRow {
                op: Op::Insert,
                instrument: trades.instrument[row],
                id: trades.id[row],
                event_time_ns: trades.event_time_ns[row],
                price_e8: Some(trades.price_e8[row]),
                quantity_e8: Some(trades.quantity_e8[row]),
                count: trades.count[row],
                side: trades.side[row],
                receive_time_ns: trades.receive_time_of(row).filter(|&time| time != i64::MIN),
            });
        }
        let batch = table.take_batch().map_err(|error| broken(&name, &error.into()))?;
        file.write(&batch)?;
    }
    file.finish()
}
