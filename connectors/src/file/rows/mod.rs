//! Reads Parquet files with the columns of a trade, under their canonical or other usual names.
//!
//! A row group is one piece of work, unpacked and decoded on whatever thread runs it. Row groups too large for that are
//! unpacked by the reader in turn, and only decoded elsewhere.

mod columns;
mod decode;
mod market;
mod names;
mod numbers;
pub(super) mod time;

#[cfg(test)]
mod tests;

pub(super) use market::MarketReader;

use super::FileOptions;
use crate::source::{DecodedChunk, PartitionReader, Progress, SourceError, Work};
use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use bytes::Bytes;
use columns::Binding;
use decode::{ChunkDecoder, Context};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::reader::{ChunkReader, Length};
use std::fs::File;
use std::io::{BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Rows unpacked at a time: columns of so many stay in the processor's cache.
const ROWS_PER_BATCH: usize = 1 << 14;
/// The largest row group that is one piece of work; about 60 MB of trades.
const ROWS_PER_WORK: u64 = 1 << 20;
/// Rows a piece of work has where the reader unpacks by itself.
const ROWS_PER_LARGE_BATCH: usize = 1 << 17;

/// Reads one Parquet file.
pub struct RowReader {
    name: String,
    path: PathBuf,
    plan: Plan,
    size: u64,
    /// Open while it is read, so that thousands of files may wait their turn.
    file: Option<SharedFile>,
    next_group: usize,
    next_row: u64,
    /// The row group too large for one piece of work, as far as it is read.
    large: Option<(ParquetRecordBatchReader, u64)>,
    done_bytes: u64,
}

/// What is read of a file; clones share it.
#[derive(Clone)]
struct Plan {
    metadata: ArrowReaderMetadata,
    projection: ProjectionMask,
    context: Arc<Context>,
}

impl RowReader {
    /// Opens a file and finds its columns.
    ///
    /// # Errors
    /// If it is no whole Parquet file, or lacks a column.
    pub fn open(path: &Path, file: File, partition: u32, options: &FileOptions) -> Result<Self, SourceError> {
        let name = path.display().to_string();
        let size = file.metadata().map_err(|source| SourceError::File { path: name.clone(), source })?.len();
        let file = SharedFile { file: Arc::new(file), size };
        let broken = |error: ParquetError| {
            let detail = format!("{error}; the file is not Parquet or was not written to its end, write it again");
            SourceError::Parquet { path: name.clone(), detail }
        };
        // Without the schema that Arrow writers add, every type follows from Parquet alone: fewer cases.
        let reading = || ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let given = ArrowReaderMetadata::load(&file, reading()).map_err(broken)?;
        let options = &with_hive_names(path, options);
        let Binding { columns, schema } = columns::bind(&name, given.schema(), given.parquet_schema(), options)?;
        let roles = columns
            .iter()
            .map(|&(role, index)| {
                let field = schema.field(index);
                (role, field.name().to_ascii_lowercase().ends_with("_ns") && *field.data_type() == DataType::Int64)
            })
            .collect();
        let metadata =
            ArrowReaderMetadata::try_new(given.metadata().clone(), reading().with_schema(schema)).map_err(broken)?;
        let projection = ProjectionMask::roots(metadata.parquet_schema(), columns.iter().map(|&(_, index)| index));
        let context = Arc::new(Context {
            partition,
            venue: options.venue.clone().unwrap_or_default(),
            symbol: options.symbol.clone().unwrap_or_default(),
            roles,
        });
        let plan = Plan { metadata, projection, context };
        Ok(Self {
            name,
            path: path.to_owned(),
            plan,
            size,
            file: None,
            next_group: 0,
            next_row: 0,
            large: None,
            done_bytes: 0,
        })
    }

    fn open_file(&mut self) -> Result<SharedFile, SourceError> {
        if let Some(file) = &self.file {
            return Ok(file.clone());
        }
        let cannot = |source| SourceError::File { path: self.name.clone(), source };
        let file = File::open(&self.path).map_err(cannot)?;
        if file.metadata().map_err(cannot)?.len() != self.size {
            let detail = "it has changed since it was opened: leave input files alone while they are read".to_owned();
            return Err(SourceError::Parquet { path: self.name.clone(), detail });
        }
        Ok(self.file.insert(SharedFile { file: Arc::new(file), size: self.size }).clone())
    }

    fn next_large_batch(&mut self) -> Option<Work> {
        let (reader, end) = self.large.as_mut()?;
        let (base, end) = (self.next_row, *end);
        let context = Arc::clone(&self.plan.context);
        let batch = match reader.next() {
            Some(Ok(batch)) => batch,
            Some(Err(error)) => {
                self.large = None;
                self.next_row = end;
                return Some(unreadable(context, base, end, error.to_string()));
            }
            None => {
                self.large = None;
                self.next_row = end;
                let missing = "the row group ends too early".to_owned();
                return (base < end).then(|| unreadable(context, base, end, missing));
            }
        };
        self.next_row += batch.num_rows() as u64;
        Some(Work::Rows(Box::new(move || {
            let mut decoder = ChunkDecoder::new(&context, batch.num_rows());
            decoder.push(&batch, base);
            decoder.finish()
        })))
    }
}

impl PartitionReader for RowReader {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self) -> Result<Option<Work>, SourceError> {
        loop {
            if let Some(work) = self.next_large_batch() {
                return Ok(Some(work));
            }
            let groups = self.plan.metadata.metadata().row_groups();
            let Some(group) = groups.get(self.next_group) else {
                self.file = None;
                return Ok(None);
            };
            let rows = group.num_rows().unsigned_abs();
            // The footer may be damaged too: its numbers are only believed as far as they go.
            self.done_bytes = self.done_bytes.saturating_add(group.compressed_size().unsigned_abs());
            let (index, base) = (self.next_group, self.next_row);
            self.next_group += 1;
            if rows <= ROWS_PER_WORK {
                self.next_row = base.saturating_add(rows);
                let (plan, file) = (self.plan.clone(), self.open_file()?);
                return Ok(Some(Work::Rows(Box::new(move || plan.decode_group(file, index, base, rows)))));
            }
            let file = self.open_file()?;
            match self.plan.read_group(file, index, ROWS_PER_LARGE_BATCH) {
                Ok(reader) => self.large = Some((reader, base.saturating_add(rows))),
                Err(error) => {
                    self.next_row = base.saturating_add(rows);
                    let context = Arc::clone(&self.plan.context);
                    return Ok(Some(unreadable(context, base, base.saturating_add(rows), error.to_string())));
                }
            }
        }
    }

    fn progress(&self) -> Progress {
        let total = self.size;
        let is_done = self.next_group == self.plan.metadata.metadata().num_row_groups() && self.large.is_none();
        // Footer and page indexes belong to no row group.
        Progress { done: if is_done { total } else { self.done_bytes.min(total) }, total }
    }
}

impl Plan {
    fn read_group(&self, file: SharedFile, group: usize, batch_rows: usize) -> ParquetResult<ParquetRecordBatchReader> {
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.metadata.clone())
            .with_projection(self.projection.clone())
            .with_row_groups(vec![group])
            .with_batch_size(batch_rows)
            .build()
    }

    /// All rows of a row group that can be read; damage is one reject that names the rows lost.
    fn decode_group(&self, file: SharedFile, group: usize, base: u64, rows: u64) -> DecodedChunk {
        let mut decoder = ChunkDecoder::new(&self.context, rows as usize);
        let mut next = base;
        let mut read = || -> Result<(), String> {
            for batch in self.read_group(file.clone(), group, ROWS_PER_BATCH).map_err(|error| error.to_string())? {
                let batch: RecordBatch = batch.map_err(|error| error.to_string())?;
                decoder.push(&batch, next);
                next += batch.num_rows() as u64;
            }
            if next < base.saturating_add(rows) { Err("the row group ends too early".into()) } else { Ok(()) }
        };
        if let Err(detail) = read() {
            decoder.reject_rows(next, base.saturating_add(rows), &detail);
        }
        decoder.finish()
    }
}

fn unreadable(context: Arc<Context>, from: u64, to: u64, detail: String) -> Work {
    Work::Rows(Box::new(move || {
        let mut decoder = ChunkDecoder::new(&context, 0);
        decoder.reject_rows(from, to, &detail);
        decoder.finish()
    }))
}

/// Names that stand in the path (`venue=binance/symbol=BTCUSDT/part.parquet`) because writers leave the columns out then.
fn with_hive_names(path: &Path, options: &FileOptions) -> FileOptions {
    let in_path = |key: &str| {
        path.iter().rev().find_map(|part| part.to_str()?.strip_prefix(key)?.strip_prefix('=').map(str::to_owned))
    };
    let mut options = options.clone();
    options.venue = in_path("venue").or(options.venue);
    options.symbol = in_path("symbol").or(options.symbol);
    options
}

/// A file that many threads read at once: every read says where it starts, none moves a common cursor.
#[derive(Clone)]
struct SharedFile {
    file: Arc<File>,
    size: u64,
}

impl Length for SharedFile {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for SharedFile {
    type T = BufReader<Cursor>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::new(Cursor { file: Arc::clone(&self.file), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} of a file of {} bytes", self.size)));
        }
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }
}

struct Cursor {
    file: Arc<File>,
    at: u64,
}

impl Read for Cursor {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(buffer, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}
