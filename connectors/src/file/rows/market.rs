//! Reads the tables of a lake as input that hold what a market says beside its trades and what accounts do, told by their columns.
//!
//! The records are those of this file and its rows: where they came from before, and when, the lake that is made of them does
//! not say.

use crate::lake::{Table, account, market};
use crate::source::{DecodedChunk, PartitionReader, Progress, SourceError, Work};
use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidewheel_schemas::{AccountRecord, MarketRecord, Reject, RejectReason};

/// Rows of a piece of work: books may have many levels.
const ROWS_PER_BATCH: usize = 1 << 12;

/// Reads one file of a table.
pub struct MarketReader {
    name: String,
    table: Table,
    partition: u32,
    path: PathBuf,
    /// Open while it is read, so that thousands of files may wait their turn.
    rows: Option<ParquetRecordBatchReader>,
    next_row: u64,
    total_rows: u64,
    size: u64,
    has_ended: bool,
}

impl MarketReader {
    /// Opens a file, if it is one of these tables.
    ///
    /// # Errors
    /// If it is such a table, and cannot be read.
    pub fn open(path: &Path, file: &File, partition: u32) -> Result<Option<Self>, SourceError> {
        let name = path.display().to_string();
        let cannot = |source| SourceError::File { path: name.clone(), source };
        let size = file.metadata().map_err(cannot)?.len();
        let own = file.try_clone().map_err(cannot)?;
        // What is no Parquet file at all is told by the reader of trades.
        let Ok(builder) = builder(own) else { return Ok(None) };
        let names: Vec<&str> = builder.schema().fields().iter().map(|field| field.name().as_str()).collect();
        let found = market::table_with(&names).or_else(|| account::table_with(&names));
        let Some(table) = found else { return Ok(None) };
        let total_rows = builder.metadata().file_metadata().num_rows().unsigned_abs();
        let path = path.to_owned();
        Ok(Some(Self { name, table, partition, path, rows: None, next_row: 0, total_rows, size, has_ended: false }))
    }

    fn rows(&mut self) -> Result<&mut ParquetRecordBatchReader, SourceError> {
        if self.rows.is_none() {
            let file = File::open(&self.path);
            let file = file.map_err(|source| SourceError::File { path: self.name.clone(), source })?;
            let rows = builder(file).and_then(|builder| builder.with_batch_size(ROWS_PER_BATCH).build());
            let broken =
                |error: ParquetError| SourceError::Parquet { path: self.name.clone(), detail: error.to_string() };
            self.rows = Some(rows.map_err(broken)?);
        }
        Ok(self.rows.as_mut().expect("it was opened just now"))
    }
}

fn builder(file: File) -> Result<ParquetRecordBatchReaderBuilder<File>, ParquetError> {
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
}

impl PartitionReader for MarketReader {
    fn name(&self) -> &str {
        &self.name
    }

    fn read(&mut self) -> Result<Option<Work>, SourceError> {
        if self.has_ended {
            return Ok(None);
        }
        let (base, partition, table) = (self.next_row, self.partition, self.table);
        match self.rows()?.next() {
            Some(Ok(batch)) => {
                self.next_row += batch.num_rows() as u64;
                Ok(Some(Work::Rows(Box::new(move || chunk_of(&batch, table, partition, base)))))
            }
            Some(Err(error)) => {
                self.has_ended = true;
                let (end, detail) = (self.total_rows.max(base + 1), error.to_string());
                Ok(Some(Work::Rows(Box::new(move || unreadable(partition, base, end, &detail)))))
            }
            None => {
                (self.has_ended, self.rows) = (true, None);
                Ok(None)
            }
        }
    }

    fn progress(&self) -> Progress {
        let done = match self.total_rows {
            0 => self.size,
            total => (u128::from(self.size) * u128::from(self.next_row.min(total)) / u128::from(total)) as u64,
        };
        Progress { done: if self.has_ended { self.size } else { done }, total: self.size }
    }
}

fn chunk_of(batch: &RecordBatch, table: Table, partition: u32, base: u64) -> DecodedChunk {
    let end_position = base + batch.num_rows() as u64;
    let mut chunk = DecodedChunk { end_position, ..DecodedChunk::default() };
    chunk.columns.partition = partition;
    let filled = if Table::ACCOUNT.contains(&table) {
        put_account(batch, table, base, &mut chunk)
    } else {
        put_market(batch, table, base, &mut chunk)
    };
    match filled {
        Ok(()) => chunk,
        Err(detail) => unreadable(partition, base, end_position, &detail),
    }
}

fn put_market(batch: &RecordBatch, table: Table, base: u64, chunk: &mut DecodedChunk) -> Result<(), String> {
    let partition = chunk.columns.partition;
    for (position, row) in (base..).zip(market::decode(batch, table)?) {
        match row.record {
            Ok(record) => chunk.market.push(MarketRecord { partition, position, index: 0, ..record }),
            Err(trouble) => chunk.rejects.push(reject(partition, position, table, trouble)),
        }
    }
    Ok(())
}

fn put_account(batch: &RecordBatch, table: Table, base: u64, chunk: &mut DecodedChunk) -> Result<(), String> {
    let partition = chunk.columns.partition;
    for (position, row) in (base..).zip(account::decode(batch, table)?) {
        match row.record {
            Ok(record) => chunk.account.push(AccountRecord { partition, position, index: 0, ..record }),
            Err(trouble) => chunk.rejects.push(reject(partition, position, table, trouble)),
        }
    }
    Ok(())
}

fn reject(partition: u32, position: u64, table: Table, (reason, detail): (RejectReason, String)) -> Reject {
    let detail = format!("row of {}: {detail}", table.name());
    Reject { partition, position, reason, records: 1, detail, raw: Arc::default(), receive_time_ns: None }
}

/// One reject for rows of a damaged file.
fn unreadable(partition: u32, from: u64, to: u64, detail: &str) -> DecodedChunk {
    let reject = Reject {
        partition,
        position: from,
        reason: RejectReason::Truncated,
        records: 1,
        detail: format!("rows {from} to {} could not be read: {detail}", to.saturating_sub(1)),
        raw: Arc::default(),
        receive_time_ns: None,
    };
    let mut chunk = DecodedChunk { rejects: vec![reject], end_position: to, ..DecodedChunk::default() };
    chunk.columns.partition = partition;
    chunk
}
