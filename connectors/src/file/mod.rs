//! Sources from files: text in lines (plain, gzip, zstd), JSON documents, and Parquet rows; and trades written as Parquet.
//!
//! Each file is one partition, numbered in the order of the paths. Text is cut into messages here and decoded elsewhere
//! ([`crate::decode`]); Parquet rows are decoded here. Files are read once, from start to end: nothing is followed as it
//! grows, and nothing is fetched from object stores.

mod inputs;
mod prefix;
mod rows;
mod stream;
mod text;
mod write;

pub use prefix::cut_receive_time;
pub use write::{TradeFile, TradeRow, TradeTable, write_trades_parquet};

use crate::decode::Format;
use crate::source::{PartitionReader, SourceError};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

/// The most bytes of a damaged or oversized record that its reject carries.
const RAW_LIMIT_BYTES: usize = 64 << 10;

/// How files are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// What the files hold. `Parquet` reads any file as Parquet; `Csv` takes the first line for the header where
    /// `csv_header` says so. Files named `.parquet` are always read as Parquet.
    pub format: Format,
    /// Whether the first line of a CSV file names its columns.
    pub csv_header: bool,
    /// The venue of Parquet files without a venue column.
    pub venue: Option<String>,
    /// The symbol of Parquet files without a symbol column.
    pub symbol: Option<String>,
    /// Names of Parquet columns: canonical name (`price`) to the file's own (`px_last`).
    pub columns: BTreeMap<String, String>,
    /// About how many bytes of text make a block.
    pub block_bytes: usize,
    /// The longest message; longer ones are rejected.
    pub max_message_bytes: usize,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            format: Format::Auto,
            csv_header: true,
            venue: None,
            symbol: None,
            columns: BTreeMap::new(),
            block_bytes: 1 << 20,
            max_message_bytes: 8 << 20,
        }
    }
}

/// What a record does to its trade, as the `op` column and the `op` field of canonical JSON say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Op {
    /// The trade happened.
    #[default]
    Insert,
    /// The trade never was.
    Cancel,
    /// The trade was otherwise.
    Correct,
}

impl Op {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Insert, Self::Cancel, Self::Correct];

    /// As written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Cancel => "cancel",
            Self::Correct => "correct",
        }
    }
}

/// Opens the files that paths, globs and directories name: one reader a file, sorted by path, each file once.
///
/// A directory stands for all `.parquet`, `.jsonl`, `.ndjson`, `.json` and `.csv` files below it, text also with `.gz` or
/// `.zst` behind; names that start with a point or an underscore are left out. The place in the result is the partition.
///
/// # Errors
/// If a pattern names no file, a file cannot be opened, is of a kind that is not read here, or is a Parquet file without
/// the columns a trade needs.
pub fn open_inputs(patterns: &[String], options: &FileOptions) -> Result<Vec<Box<dyn PartitionReader>>, SourceError> {
    if patterns.is_empty() {
        return Err(SourceError::Input("no input: name a file, a directory or a glob".into()));
    }
    let paths = inputs::find(patterns)?;
    paths.iter().enumerate().map(|(partition, path)| open(path, partition as u32, options)).collect()
}

fn open(path: &Path, partition: u32, options: &FileOptions) -> Result<Box<dyn PartitionReader>, SourceError> {
    let cannot = |source| SourceError::File { path: path.display().to_string(), source };
    let mut file = File::open(path).map_err(cannot)?;
    let magic = stream::first_bytes(&mut file).map_err(cannot)?;
    let named_parquet = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("parquet"));
    if named_parquet || options.format == Format::Parquet || (options.format == Format::Auto && magic == b"PAR1") {
        if let Some(reader) = rows::MarketReader::open(path, &file, partition)? {
            return Ok(Box::new(reader));
        }
        return Ok(Box::new(rows::RowReader::open(path, file, partition, options)?));
    }
    let size = file.metadata().map_err(cannot)?.len();
    Ok(Box::new(text::TextReader::new(path, size, partition, options)))
}
