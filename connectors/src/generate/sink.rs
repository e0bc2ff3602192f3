//! Generated events as files.

use super::event::{Cause, Damage, Event, Tally};
use super::market::Market;
use super::render::{WireFormat, csv_header, render, render_account_record, render_record};
use crate::file::{TradeFile, TradeRow, TradeTable};
use crate::source::SourceError;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::mpsc::sync_channel;

/// Bytes handed to the disk, or the compressor, at a time.
const WRITE_BYTES: usize = 1 << 20;
/// Rows handed to the Parquet writer at a time.
const ROWS_PER_BATCH: usize = 1 << 17;

/// A file that could not be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The disk said no.
    #[error("could not write {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A Parquet file that could not be written.
    #[error(transparent)]
    Parquet(#[from] SourceError),
    /// What was asked for cannot be.
    #[error("{0}")]
    Options(String),
}

/// How a text file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextOptions {
    /// The format of its lines.
    pub format: WireFormat,
    /// Whether each line starts with the receive time in nanoseconds and a space.
    pub has_receive_time: bool,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Records in it.
    pub records: u64,
    /// What they are.
    pub tally: Tally,
    /// Market records among them.
    pub market: u64,
    /// Records of the account among them.
    pub account: u64,
    /// Events left out because the format has no words for them.
    pub skipped: u64,
}

impl Written {
    fn count(&mut self, event: &Event) {
        self.records += 1;
        self.tally.add(event.cause);
    }
}

/// Writes all events of a market as lines; compressed where the name ends in `.gz` or `.zst`.
///
/// # Errors
/// If the file cannot be written, or is to be CSV with receive times, for which CSV has no place.
pub fn write_text(path: &Path, market: &mut Market, options: TextOptions) -> Result<Written, GenerateError> {
    if options.format == WireFormat::Csv && options.has_receive_time {
        return Err(GenerateError::Options(
            "CSV lines have no place for the receive time: leave it out or choose JSON".into(),
        ));
    }
    let cannot = |source| GenerateError::File { path: path.display().to_string(), source };
    let file = File::create(path).map_err(cannot)?;
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let write = |out: &mut dyn Write, market: &mut Market| write_lines(out, market, options);
    let written = match ending {
        "gz" => {
            let mut out = GzEncoder::new(file, Compression::fast());
            write(&mut out, market).and_then(|written| out.finish().map(|_| written))
        }
        "zst" => zstd::Encoder::new(file, 1).and_then(|mut out| {
            out.include_checksum(true)?;
            let written = write(&mut out, market)?;
            out.finish()?;
            Ok(written)
        }),
        _ => write(&mut &file, market),
    };
    written.map_err(cannot)
}

fn write_lines(out: &mut dyn Write, market: &mut Market, options: TextOptions) -> io::Result<Written> {
    let instruments = market.instruments().to_vec();
    let mut written = Written::default();
    let mut buffer = Vec::with_capacity(WRITE_BYTES + (64 << 10));
    if options.format == WireFormat::Csv {
        buffer.extend_from_slice(csv_header().as_bytes());
        buffer.push(b'\n');
    }
    let (mut beside, mut account) = (Vec::new(), Vec::new());
    let begin = |buffer: &mut Vec<u8>, event: &Event| {
        if options.has_receive_time {
            buffer.extend_from_slice(itoa::Buffer::new().format(event.receive_time_ns).as_bytes());
            buffer.push(b' ');
        }
    };
    while let Some(event) = market.next() {
        let start = buffer.len();
        begin(&mut buffer, &event);
        if !market.config().streams.trades {
            buffer.truncate(start);
        } else if render(&event, &instruments[event.instrument as usize], options.format, &mut buffer) {
            buffer.push(b'\n');
            written.count(&event);
        } else {
            buffer.truncate(start);
            written.skipped += 1;
        }
        market.beside(&event, &mut beside);
        for record in beside.drain(..) {
            let start = buffer.len();
            begin(&mut buffer, &event);
            if render_record(&record, options.format, &mut buffer) {
                buffer.push(b'\n');
                written.records += 1;
                written.market += 1;
            } else {
                buffer.truncate(start);
                written.skipped += 1;
            }
        }
        market.account(&event, &mut account);
        for record in account.drain(..) {
            let start = buffer.len();
            begin(&mut buffer, &event);
            if render_account_record(&record, options.format, &mut buffer) {
                buffer.push(b'\n');
                written.records += 1;
                written.account += 1;
            } else {
                buffer.truncate(start);
                written.skipped += 1;
            }
        }
        if buffer.len() >= WRITE_BYTES {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    out.write_all(&buffer)?;
    out.flush()?;
    Ok(written)
}

/// Writes all events of a market as one Parquet file, in the order of their arrival. Malformed events have a null or
/// impossible price or quantity.
///
/// # Errors
/// If the file cannot be written.
pub fn write_parquet(path: &Path, market: &mut Market) -> Result<Written, GenerateError> {
    let mut file = TradeFile::create(path, true)?;
    let mut table = TradeTable::new(market.instruments(), true);
    // Packing takes longer than making: a thread each, with one batch between them.
    let written = std::thread::scope(|scope| {
        let (sender, batches) = sync_channel(1);
        let packer = scope.spawn(move || {
            for batch in batches {
                file.write(&batch)?;
            }
            file.finish()
        });
        let mut written = Written::default();
        loop {
            let events = market.by_ref().take(ROWS_PER_BATCH).inspect(|event| written.count(event));
            events.for_each(|event| table.push(&row_of(&event)));
            if table.is_empty() {
                break;
            }
            let batch = table.take_batch().map_err(|error| {
                GenerateError::Options(format!("could not make rows of {}: {error}", path.display()))
            })?;
            // The packer is gone only after an error, which it returns below.
            if sender.send(batch).is_err() {
                break;
            }
        }
        drop(sender);
        packer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok::<_, GenerateError>(written)
    })?;
    Ok(written)
}

fn row_of(event: &Event) -> TradeRow {
    let trade = &event.trade;
    let damage = match event.cause {
        Cause::Malformed(damage) => Some(damage),
        _ => None,
    };
    let price_e8 = match damage {
        Some(Damage::PriceText | Damage::Cut | Damage::BadUtf8) => None,
        Some(Damage::NegativePrice) => Some(-trade.price_e8),
        _ => Some(trade.price_e8),
    };
    let quantity_e8 = match damage {
        Some(Damage::MissingQuantity | Damage::Noise) => None,
        Some(Damage::ZeroQuantity) => Some(0),
        Some(Damage::TooManyDecimals) => Some(-1),
        _ => Some(trade.quantity_e8),
    };
    TradeRow {
        op: event.op,
        instrument: event.instrument,
        id: trade.id,
        event_time_ns: trade.event_time_ns,
        price_e8,
        quantity_e8,
        count: trade.count,
        side: trade.side,
        receive_time_ns: Some(event.receive_time_ns),
    }
}
