//! Parquet rows back into bars, for copy-on-write and for tools.

use super::error::LakeError;
use super::layout::Layout;
use super::manifest::LakeFile;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, PrimitiveArray, RecordBatch, StringArray};
use arrow::datatypes::{
    ArrowPrimitiveType, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::errors::ParquetError;
use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use tidewheel_schemas::{Bar, BarVersion, Instrument, Interval, TradeId, TradeKey};

/// Reads all rows of a file of bars. The trades' times, which are not stored, read as the bar's open time.
pub(super) fn read_bars(layout: &Layout, file: &LakeFile, interval: Interval) -> Result<Vec<BarVersion>, LakeError> {
    let mut versions: Vec<BarVersion> = Vec::with_capacity(usize::try_from(file.rows).unwrap_or_default());
    for_each_batch(layout, file, None, |batch| {
        let columns = Columns::of(batch)?;
        for row in 0..batch.num_rows() {
            let (venue, symbol) = (columns.keys.venue.value(row), columns.keys.symbol.value(row));
            let instrument = match versions.last().map(|before| &before.instrument) {
                Some(before) if *before.venue == *venue && *before.symbol == *symbol => before.clone(),
                _ => Instrument { venue: venue.into(), symbol: symbol.into() },
            };
            versions.push(columns.version(row, instrument, interval)?);
        }
        Ok(())
    })?;
    Ok(versions)
}

/// What stands in a row of bars beside the version, and follows from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Derived {
    /// The column `vwap`.
    pub vwap: Option<f64>,
    /// The column `close_time`, nanoseconds.
    pub close_time_ns: i64,
}

/// Calls `each` with the versions of the ticks that `is_wanted` names.
pub(super) fn for_each_version(
    path: &Path,
    interval: Interval,
    is_wanted: impl Fn(u64) -> bool,
    mut each: impl FnMut(BarVersion, Derived),
) -> Result<(), LakeError> {
    let mut last: Option<Instrument> = None;
    for_each_unchecked(path, None, |batch| {
        let columns = Columns::of(batch)?;
        let vwap = numbers::<Float64Type>(batch, "vwap")?;
        let close_time = numbers::<TimestampMicrosecondType>(batch, "close_time")?;
        for row in (0..batch.num_rows()).filter(|&row| is_wanted(columns.tick.value(row).cast_unsigned())) {
            let (venue, symbol) = (columns.keys.venue.value(row), columns.keys.symbol.value(row));
            let instrument = match &last {
                Some(before) if *before.venue == *venue && *before.symbol == *symbol => before.clone(),
                _ => Instrument { venue: venue.into(), symbol: symbol.into() },
            };
            last = Some(instrument.clone());
            let vwap = vwap.is_valid(row).then(|| vwap.value(row));
            let derived = Derived { vwap, close_time_ns: close_time.value(row).saturating_mul(1_000) };
            each(columns.version(row, instrument, interval)?, derived);
        }
        Ok(())
    })
}

/// The ticks of the versions in a file that are not final.
pub(super) fn open_ticks(path: &Path, found: &mut BTreeSet<u64>) -> Result<(), LakeError> {
    for_each_unchecked(path, Some(&["is_final", "tick"]), |batch| {
        let is_final = column(batch, "is_final")?.as_boolean_opt().ok_or_else(|| wrong_type("is_final"))?;
        let tick = numbers::<Int64Type>(batch, "tick")?;
        found.extend(
            (0..batch.num_rows()).filter(|&row| !is_final.value(row)).map(|row| tick.value(row).cast_unsigned()),
        );
        Ok(())
    })
}

/// Whether `is_superseded` says so of any row's venue, symbol and open time in nanoseconds. Reads only these columns.
pub(super) fn any_key(
    layout: &Layout,
    file: &LakeFile,
    mut is_superseded: impl FnMut(&str, &str, i64) -> bool,
) -> Result<bool, LakeError> {
    let mut found = false;
    for_each_batch(layout, file, Some(&["venue", "symbol", OPEN_TIME]), |batch| {
        let keys = Keys::of(batch, OPEN_TIME)?;
        let mut rows = 0..batch.num_rows();
        found =
            found || rows.any(|row| is_superseded(keys.venue.value(row), keys.symbol.value(row), keys.time_ns(row)));
        Ok(())
    })?;
    Ok(found)
}

/// The bytes of a file, held against its checksum.
pub(super) fn read_bytes(layout: &Layout, file: &LakeFile) -> Result<Bytes, LakeError> {
    let path = layout.data(&file.path);
    let bytes = std::fs::read(&path).map_err(LakeError::io("read", &path))?;
    let found = crc32fast::hash(&bytes);
    if found != file.crc32 {
        return Err(LakeError::Checksum { path, found, expected: file.crc32 });
    }
    Ok(bytes.into())
}

/// Calls `each` with the batches of a file, of the named columns or all. What is read is always held against the checksum,
/// since bars are decided by it.
pub(super) fn for_each_batch(
    layout: &Layout,
    file: &LakeFile,
    columns: Option<&[&str]>,
    mut each: impl FnMut(&RecordBatch) -> Result<(), String>,
) -> Result<(), LakeError> {
    let path = layout.data(&file.path);
    for batch in batches(layout, file, columns)? {
        each(&batch?).map_err(|detail| LakeError::parquet("read", &path)(ParquetError::General(detail)))?;
    }
    Ok(())
}

/// The batches of a file, of the named columns or all, held against its checksum.
pub(super) fn batches(
    layout: &Layout,
    file: &LakeFile,
    columns: Option<&[&str]>,
) -> Result<impl Iterator<Item = Result<RecordBatch, LakeError>> + use<>, LakeError> {
    let path = layout.data(&file.path);
    let bytes = read_bytes(layout, file)?;
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(LakeError::parquet("read", &path))?;
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    let reader = builder.with_batch_size(super::parquet_file::BATCH_ROWS).build();
    let reader = reader.map_err(LakeError::parquet("read", &path))?;
    Ok(reader.map(move |batch| batch.map_err(|error| LakeError::parquet("read", &path)(error.into()))))
}

/// Calls `each` with the batches of a file, of the named columns or all, whatever its checksum: for those who want what can
/// be read of a damaged one.
pub(super) fn for_each_unchecked(
    path: &Path,
    columns: Option<&[&str]>,
    mut each: impl FnMut(&RecordBatch) -> Result<(), String>,
) -> Result<(), LakeError> {
    let reading = LakeError::parquet("read", path);
    let file = File::open(path).map_err(LakeError::io("open", path))?;
    let mut builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(&reading)?;
    if let Some(columns) = columns {
        let mask = ProjectionMask::columns(builder.parquet_schema(), columns.iter().copied());
        builder = builder.with_projection(mask);
    }
    for batch in builder.with_batch_size(super::parquet_file::BATCH_ROWS).build().map_err(&reading)? {
        let batch = batch.map_err(|error| reading(error.into()))?;
        each(&batch).map_err(|detail| reading(ParquetError::General(detail)))?;
    }
    Ok(())
}

const OPEN_TIME: &str = "open_time";

/// What identifies a bar, or a row, in its folder.
pub(super) struct Keys<'a> {
    pub venue: &'a StringArray,
    pub symbol: &'a StringArray,
    time: &'a PrimitiveArray<TimestampMicrosecondType>,
}

impl<'a> Keys<'a> {
    /// Of a batch whose rows are told apart by the time in this column.
    pub(super) fn of(batch: &'a RecordBatch, time: &str) -> Result<Self, String> {
        Ok(Self { venue: strings(batch, "venue")?, symbol: strings(batch, "symbol")?, time: numbers(batch, time)? })
    }

    pub(super) fn time_ns(&self, row: usize) -> i64 {
        // Written from nanoseconds divided by a thousand.
        self.time.value(row) * 1_000
    }
}

struct Columns<'a> {
    keys: Keys<'a>,
    /// Open, high, low, close.
    prices: [&'a Decimal128Array; 4],
    /// Volume, its taker part, quote volume, its taker part.
    volumes: [&'a Decimal128Array; 4],
    trade_count: &'a PrimitiveArray<Int64Type>,
    first_trade_id: &'a StringArray,
    last_trade_id: &'a StringArray,
    revision: &'a PrimitiveArray<Int32Type>,
    is_final: &'a BooleanArray,
    tick: &'a PrimitiveArray<Int64Type>,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, String> {
        let decimals = |name| numbers::<Decimal128Type>(batch, name);
        Ok(Self {
            keys: Keys::of(batch, OPEN_TIME)?,
            prices: [decimals("open")?, decimals("high")?, decimals("low")?, decimals("close")?],
            volumes: [
                decimals("volume")?,
                decimals("taker_buy_volume")?,
                decimals("quote_volume")?,
                decimals("taker_buy_quote_volume")?,
            ],
            trade_count: numbers(batch, "trade_count")?,
            first_trade_id: strings(batch, "first_trade_id")?,
            last_trade_id: strings(batch, "last_trade_id")?,
            revision: numbers(batch, "revision")?,
            is_final: column(batch, "is_final")?.as_boolean_opt().ok_or_else(|| wrong_type("is_final"))?,
            tick: numbers(batch, "tick")?,
        })
    }

    fn version(&self, row: usize, instrument: Instrument, interval: Interval) -> Result<BarVersion, String> {
        Ok(BarVersion {
            instrument,
            interval,
            open_time_ns: self.keys.time_ns(row),
            tick: self.tick.value(row).cast_unsigned(),
            revision: self.revision.value(row).cast_unsigned(),
            is_final: self.is_final.value(row),
            bar: if self.prices[0].is_null(row) { None } else { Some(self.bar(row)?) },
        })
    }

    fn bar(&self, row: usize) -> Result<Bar, String> {
        let key = |ids: &StringArray| {
            let id = stored_id(ids.value(row))
                .ok_or_else(|| format!("trade id {:?} is of no known form", ids.value(row)))?;
            Ok::<_, String>(TradeKey { event_time_ns: self.keys.time_ns(row), id })
        };
        let price = |at: usize| {
            let price = self.prices[at].value(row);
            i64::try_from(price).map_err(|_| format!("price {price} does not fit 64 bits"))
        };
        Ok(Bar {
            volume_e8: self.volumes[0].value(row),
            taker_buy_volume_e8: self.volumes[1].value(row),
            quote_volume_e16: self.volumes[2].value(row),
            taker_buy_quote_volume_e16: self.volumes[3].value(row),
            first: key(self.first_trade_id)?,
            last: key(self.last_trade_id)?,
            open_e8: price(0)?,
            high_e8: price(1)?,
            low_e8: price(2)?,
            close_e8: price(3)?,
            trade_count: self.trade_count.value(row).cast_unsigned(),
        })
    }
}

/// A trade id from its printed form, positions included.
pub(super) fn stored_id(text: &str) -> Option<TradeId> {
    let position = || {
        let mut parts = text.strip_prefix('@')?.split(':');
        let partition = parts.next()?.parse().ok()?;
        let offset = parts.next()?.parse().ok()?;
        let index = parts.next().map_or(Some(0), |index| index.parse().ok())?;
        Some(TradeId::position(partition, offset, index))
    };
    position().or_else(|| TradeId::parse(text.as_bytes()).ok())
}

pub(super) fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, String> {
    batch.column_by_name(name).ok_or_else(|| format!("column {name} is missing"))
}

pub(super) fn strings<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray, String> {
    column(batch, name)?.as_string_opt().ok_or_else(|| wrong_type(name))
}

pub(super) fn numbers<'a, T: ArrowPrimitiveType>(
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, String> {
    column(batch, name)?.as_primitive_opt().ok_or_else(|| wrong_type(name))
}

fn wrong_type(name: &str) -> String {
    format!("column {name} has a wrong type")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_trade_id_reads_back() {
        for id in [
            TradeId::number(0),
            TradeId::number(u64::MAX),
            TradeId::position(0, 7, 0),
            TradeId::position(u32::MAX, u64::MAX, u16::MAX),
            TradeId::parse(b"ETH-1234567").unwrap(),
            TradeId::parse(b"5c35c02703aa673ceec2a168").unwrap(),
            TradeId::parse(b"c1e5a2e4-3b1a-4b6e-9e3e-6a5c2d7f8a90").unwrap(),
            TradeId::parse(b"123456789012345678901234567890123456").unwrap(),
        ] {
            assert_eq!(stored_id(&id.to_string()), Some(id));
        }
    }
}
