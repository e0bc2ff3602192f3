//! Parquet files as the lake writes them: one place for compression, row groups, metadata, checksum and sync.
//!
//! Columns of integers that hardly change from row to row are delta-encoded, and so dense that zstd would only cost time;
//! names are dictionaries, all else is plain under zstd: what every reader of the last years can read. The Arrow schema is left out of the metadata, so that readers
//! see plain strings and decimals.

use super::error::LakeError;
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Rows of a record batch on their way into a file: few enough to stay in the processor's cache.
pub(super) const BATCH_ROWS: usize = 4096;

/// The version of the tables' columns, in each file's metadata. Counts up when a column changes its meaning.
const SCHEMA_VERSION: &str = "1";

/// What is particular to the files of a table.
pub(super) struct FileKind {
    /// The columns.
    pub schema: SchemaRef,
    /// Columns with few different values.
    pub dictionary: &'static [&'static str],
    /// Columns of integers close to their neighbours.
    pub delta: &'static [&'static str],
    /// Columns of wide decimals, by whose range nobody looks for rows: statistics would only cost time.
    pub without_statistics: &'static [&'static str],
    /// Columns in whose order the rows lie.
    pub sorted_by: &'static [&'static str],
}

impl FileKind {
    fn properties(&self, zstd_level: ZstdLevel, rows: usize) -> WriterProperties {
        let position = |name: &str| self.schema.index_of(name).expect("the lists name columns of the schema") as i32;
        let sorting = |name: &&str| SortingColumn { column_idx: position(name), descending: false, nulls_first: false };
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(zstd_level))
            .set_dictionary_enabled(false)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(rows.clamp(1, 1 << 20)))
            .set_data_page_row_count_limit(64 * 1024)
            .set_created_by(concat!("tidewheel ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(vec![KeyValue::new(
                "tidewheel.schema_version".to_owned(),
                SCHEMA_VERSION.to_owned(),
            )]));
        if !self.sorted_by.is_empty() {
            properties = properties.set_sorting_columns(Some(self.sorted_by.iter().map(sorting).collect()));
        }
        for &name in self.dictionary {
            properties = properties.set_column_dictionary_enabled(ColumnPath::from(name), true);
        }
        for &name in self.delta {
            properties = properties
                .set_column_encoding(ColumnPath::from(name), Encoding::DELTA_BINARY_PACKED)
                .set_column_compression(ColumnPath::from(name), Compression::UNCOMPRESSED);
        }
        for &name in self.without_statistics {
            properties = properties.set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::None);
        }
        properties.build()
    }
}

/// Size and checksum of a file that lies on disk.
#[derive(Clone, Copy, Debug)]
pub(super) struct Written {
    pub bytes: u64,
    pub crc32: u32,
}

/// Writes a file from record batches and syncs it. `rows` is how many there will be.
pub(super) fn write(
    path: &Path,
    kind: &FileKind,
    zstd_level: ZstdLevel,
    rows: usize,
    batches: impl Iterator<Item = Result<RecordBatch, LakeError>>,
) -> Result<Written, LakeError> {
    let encoding = LakeError::parquet("encode", path);
    let file = File::create_new(path).map_err(LakeError::io("create", path))?;
    let summed = Summed { file, bytes: 0, crc32: crc32fast::Hasher::new() };
    let options =
        ArrowWriterOptions::new().with_properties(kind.properties(zstd_level, rows)).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(summed, kind.schema.clone(), options).map_err(&encoding)?;
    for batch in batches {
        writer.write(&batch?).map_err(&encoding)?;
    }
    let summed = writer.into_inner().map_err(&encoding)?;
    summed.file.sync_all().map_err(LakeError::io("sync", path))?;
    Ok(Written { bytes: summed.bytes, crc32: summed.crc32.finalize() })
}

/// Makes the names in a folder durable: files created, renamed and unlinked there.
pub(super) fn sync_folder(path: &Path) -> Result<(), LakeError> {
    #[cfg(unix)]
    File::open(path).and_then(|folder| folder.sync_all()).map_err(LakeError::io("sync folder", path))?;
    Ok(())
}

/// Creates a folder and those above it, and makes their names durable.
pub(super) fn create_folder(path: &Path) -> Result<(), LakeError> {
    // The parent of a plain name is an empty path: the folder we stand in.
    if path.is_dir() || path.as_os_str().is_empty() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_folder(parent)?;
    }
    match fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(LakeError::io("create folder", path)(error));
        }
        Err(_) if !path.is_dir() => {
            return Err(LakeError::io("create folder", path)(io::ErrorKind::NotADirectory.into()));
        }
        _ => {}
    }
    let here = |parent: &Path| parent.as_os_str().is_empty();
    path.parent().map_or(Ok(()), |parent| sync_folder(if here(parent) { Path::new(".") } else { parent }))
}

/// A file that counts and sums what is written to it.
struct Summed {
    file: File,
    bytes: u64,
    crc32: crc32fast::Hasher,
}

impl Write for Summed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.crc32.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
