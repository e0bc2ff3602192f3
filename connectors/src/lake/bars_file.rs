//! Bars as Parquet rows. `bars` and `bars_changelog` have the same columns:
//!
//! | column | type | meaning |
//! | --- | --- | --- |
//! | `venue`, `symbol` | string | the instrument |
//! | `open_time`, `close_time` | timestamp (us, UTC) | the interval, its end exclusive |
//! | `open`, `high`, `low`, `close` | decimal(18,8) | prices |
//! | `volume`, `taker_buy_volume` | decimal(38,8) | base asset |
//! | `quote_volume`, `taker_buy_quote_volume` | decimal(38,16) | sum of price times quantity |
//! | `trade_count` | int64 | fills; 0 in a tombstone, whose prices, volumes and ids are null |
//! | `vwap` | double | quote volume over volume; null where the volume is 0 |
//! | `first_trade_id`, `last_trade_id` | string | as the venue writes them |
//! | `revision` | int32 | 0 up to the first final version, then one more each |
//! | `is_final` | boolean | whether the watermark had passed the bar's end plus the allowed lateness |
//! | `tick` | int64 | when this version was published, milliseconds since the epoch |
//!
//! The times of the first and the last trade are not stored. Bars are never read back in order to be added to.

use super::columns::{
    Texts, decimal64, decimal128, int64, name_type, names, optional, required, timestamp, timestamp_type,
};
use super::error::LakeError;
use super::parquet_file::{BATCH_ROWS, FileKind};
use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int32Array, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use std::sync::{Arc, LazyLock};
use tidewheel_schemas::{Bar, BarVersion, PRICE_LIMIT_E8};

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    let price = |name| optional(name, DataType::Decimal64(18, 8));
    let volume = |name, scale| optional(name, DataType::Decimal128(38, scale));
    Arc::new(Schema::new(vec![
        required("venue", name_type()),
        required("symbol", name_type()),
        required("open_time", timestamp_type()),
        required("close_time", timestamp_type()),
        price("open"),
        price("high"),
        price("low"),
        price("close"),
        volume("volume", 8),
        volume("taker_buy_volume", 8),
        volume("quote_volume", 16),
        volume("taker_buy_quote_volume", 16),
        required("trade_count", DataType::Int64),
        optional("vwap", DataType::Float64),
        optional("first_trade_id", DataType::Utf8),
        optional("last_trade_id", DataType::Utf8),
        required("revision", DataType::Int32),
        required("is_final", DataType::Boolean),
        required("tick", DataType::Int64),
    ]))
});

/// How files of bars are written.
pub(super) fn kind() -> FileKind {
    FileKind {
        schema: SCHEMA.clone(),
        dictionary: &["venue", "symbol"],
        delta: &["open_time", "close_time", "open", "high", "low", "close", "trade_count", "revision", "tick"],
        without_statistics: &["volume", "taker_buy_volume", "quote_volume", "taker_buy_quote_volume"],
        sorted_by: &["venue", "symbol", "open_time"],
    }
}

/// Rows of one file, in the order in which they are written.
#[derive(Clone, Copy)]
pub(super) struct BarRows<'a> {
    /// The partition's rows, in any order.
    pub rows: &'a [&'a BarVersion],
    /// The rank of each row's instrument among `names`.
    pub ranks: &'a [u32],
    /// Venues and symbols by rank.
    pub names: &'a [ArrayRef; 2],
    /// Which rows, in order.
    pub order: &'a [u32],
}

impl BarRows<'_> {
    /// The rows as record batches.
    pub(super) fn batches(&self) -> impl Iterator<Item = Result<RecordBatch, LakeError>> + '_ {
        self.order.chunks(BATCH_ROWS).map(|order| self.batch(order))
    }

    fn batch(&self, order: &[u32]) -> Result<RecordBatch, LakeError> {
        let mut columns = BarColumns::with_capacity(order.len());
        for &row in order {
            columns.push(self.ranks[row as usize], self.rows[row as usize])?;
        }
        Ok(columns.finish(self.names))
    }
}

struct BarColumns {
    rank: Vec<i32>,
    open_time_us: Vec<i64>,
    close_time_us: Vec<i64>,
    prices_e8: [Vec<i64>; 4],
    volumes: [Vec<i128>; 4],
    trade_count: Vec<i64>,
    vwap: Vec<f64>,
    has_vwap: Vec<bool>,
    ids: [Texts; 2],
    revision: Vec<i32>,
    is_final: Vec<bool>,
    tick: Vec<i64>,
    present: Vec<bool>,
}

impl BarColumns {
    fn with_capacity(rows: usize) -> Self {
        Self {
            rank: Vec::with_capacity(rows),
            open_time_us: Vec::with_capacity(rows),
            close_time_us: Vec::with_capacity(rows),
            prices_e8: std::array::from_fn(|_| Vec::with_capacity(rows)),
            volumes: std::array::from_fn(|_| Vec::with_capacity(rows)),
            trade_count: Vec::with_capacity(rows),
            vwap: Vec::with_capacity(rows),
            has_vwap: Vec::with_capacity(rows),
            ids: std::array::from_fn(|_| Texts::with_capacity(rows)),
            revision: Vec::with_capacity(rows),
            is_final: Vec::with_capacity(rows),
            tick: Vec::with_capacity(rows),
            present: Vec::with_capacity(rows),
        }
    }

    fn push(&mut self, rank: u32, version: &BarVersion) -> Result<(), LakeError> {
        self.rank.push(rank as i32);
        self.open_time_us.push(version.open_time_ns / 1_000);
        self.close_time_us.push(version.close_time_ns() / 1_000);
        self.revision.push(narrow("revision", version.revision.into(), version)? as i32);
        self.is_final.push(version.is_final);
        self.tick.push(version.tick as i64);
        self.present.push(version.bar.is_some());
        let Some(bar) = &version.bar else {
            self.push_tombstone();
            return Ok(());
        };
        check(version, bar)?;
        let prices = [bar.open_e8, bar.high_e8, bar.low_e8, bar.close_e8];
        let volumes = [bar.volume_e8, bar.taker_buy_volume_e8, bar.quote_volume_e16, bar.taker_buy_quote_volume_e16];
        self.prices_e8.iter_mut().zip(prices).for_each(|(column, price)| column.push(price));
        self.volumes.iter_mut().zip(volumes).for_each(|(column, volume)| column.push(volume));
        self.trade_count.push(bar.trade_count as i64);
        let vwap = bar.vwap();
        self.vwap.push(vwap.unwrap_or_default());
        self.has_vwap.push(vwap.is_some());
        self.ids[0].push_id(bar.first.id);
        self.ids[1].push_id(bar.last.id);
        Ok(())
    }

    fn push_tombstone(&mut self) {
        self.prices_e8.iter_mut().for_each(|column| column.push(0));
        self.volumes.iter_mut().for_each(|column| column.push(0));
        self.trade_count.push(0);
        self.vwap.push(0.0);
        self.has_vwap.push(false);
        self.ids.iter_mut().for_each(Texts::end_row);
    }

    fn finish(self, [venues, symbols]: &[ArrayRef; 2]) -> RecordBatch {
        let nulls = |present: Vec<bool>| present.contains(&false).then(|| NullBuffer::from(present));
        let vwap_nulls = nulls(self.has_vwap);
        let nulls = nulls(self.present);
        let price = |values| decimal64(values, nulls.clone());
        let [open, high, low, close] = self.prices_e8.map(price);
        let [volume, taker_buy_volume, quote_volume, taker_buy_quote_volume] = self.volumes;
        let [first, last] = self.ids.map(|ids| ids.finish(nulls.clone()));
        let columns: Vec<ArrayRef> = vec![
            names(self.rank.clone(), venues),
            names(self.rank, symbols),
            timestamp(self.open_time_us),
            timestamp(self.close_time_us),
            open,
            high,
            low,
            close,
            decimal128(volume, nulls.clone(), 8),
            decimal128(taker_buy_volume, nulls.clone(), 8),
            decimal128(quote_volume, nulls.clone(), 16),
            decimal128(taker_buy_quote_volume, nulls.clone(), 16),
            int64(self.trade_count, None),
            Arc::new(Float64Array::new(self.vwap.into(), vwap_nulls)),
            first,
            last,
            Arc::new(Int32Array::new(self.revision.into(), None)),
            Arc::new(BooleanArray::from(self.is_final)),
            int64(self.tick, None),
        ];
        RecordBatch::try_new(SCHEMA.clone(), columns).expect("the columns are those of the schema, of one length")
    }
}

/// One past the largest magnitude of `DECIMAL(38)`.
const VOLUME_LIMIT: u128 = 10u128.pow(38);

fn check(version: &BarVersion, bar: &Bar) -> Result<(), LakeError> {
    // The four prices lie between the low and the high, what takers bought within the volume.
    for price in [bar.high_e8, bar.low_e8] {
        if price.unsigned_abs() >= PRICE_LIMIT_E8 as u64 {
            return Err(out_of_range("price_e8", price.to_string(), version));
        }
    }
    for volume in [bar.volume_e8, bar.quote_volume_e16] {
        if volume.unsigned_abs() >= VOLUME_LIMIT {
            return Err(out_of_range("volume", volume.to_string(), version));
        }
    }
    narrow("trade_count", bar.trade_count, version)?;
    narrow("tick", version.tick, version)?;
    Ok(())
}

fn narrow(column: &'static str, value: u64, version: &BarVersion) -> Result<i64, LakeError> {
    let limit = if column == "revision" { i32::MAX as u64 } else { i64::MAX as u64 };
    if value <= limit { Ok(value as i64) } else { Err(out_of_range(column, value.to_string(), version)) }
}

fn out_of_range(column: &'static str, value: String, version: &BarVersion) -> LakeError {
    let what = format!("bar {:?}|{}|{}", version.instrument, version.interval, version.open_time_ns);
    LakeError::OutOfRange { column, value, what }
}
