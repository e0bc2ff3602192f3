//! A table of named columns as one Parquet file beside the lake: what is exported for others to work with.

use super::error::LakeError;
use super::values::{array, type_of};
use arrow::array::RecordBatch;
use arrow::datatypes::{Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidewheel_schemas::{ColumnSpec, Value};

/// Rows of a batch on its way into the file.
const BATCH_ROWS: usize = 8_192;

/// Removed when it goes away, unless it has got another name.
struct Part(PathBuf);

impl Drop for Part {
    fn drop(&mut self) {
        // Where it was finished there is nothing of this name.
        let _ = fs::remove_file(&self.0);
    }
}

/// A file being written. It has its name only once it is [finished](Self::finish): before that it is called `NAME.part`.
pub struct TableFile {
    path: PathBuf,
    part: Part,
    columns: Box<[ColumnSpec]>,
    schema: SchemaRef,
    writer: ArrowWriter<File>,
    rows: Vec<Box<[Value]>>,
    written: u64,
}

impl TableFile {
    /// Begins a file with these columns, all of which may be null; times are in microseconds, UTC.
    ///
    /// # Errors
    /// If the file cannot be created.
    pub fn create(path: &Path, columns: Box<[ColumnSpec]>) -> Result<Self, LakeError> {
        let fields: Vec<Field> =
            columns.iter().map(|column| Field::new(&*column.name, type_of(column.kind), true)).collect();
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = Part(PathBuf::from(part));
        let file = File::create(&part.0).map_err(LakeError::io("create", &part.0))?;
        let properties = WriterProperties::builder().set_compression(Compression::ZSTD(ZstdLevel::default())).build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))
            .map_err(LakeError::parquet("encode", &part.0))?;
        Ok(Self { path: path.to_owned(), part, columns, schema, writer, rows: Vec::new(), written: 0 })
    }

    /// Says something of the file, in its metadata.
    pub fn describe(&mut self, key: &str, value: String) {
        self.writer.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If the file cannot be written.
    ///
    /// # Panics
    /// If the row has not the file's columns, or a value not its column's kind.
    pub fn push(&mut self, row: Box<[Value]>) -> Result<(), LakeError> {
        assert_eq!(row.len(), self.columns.len(), "a value for each column");
        self.rows.push(row);
        if self.rows.len() >= BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), LakeError> {
        let rows = std::mem::take(&mut self.rows);
        let arrays = self
            .columns
            .iter()
            .enumerate()
            .map(|(at, column)| array(rows.iter().map(|row| &row[at]), column.kind))
            .collect();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).expect("the arrays are those of the schema");
        self.written += rows.len() as u64;
        self.writer.write(&batch).map_err(LakeError::parquet("encode", &self.part.0))
    }

    /// Writes what is left and gives the file its name. Returns how many rows it has.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn finish(mut self) -> Result<u64, LakeError> {
        self.flush()?;
        let file = self.writer.into_inner().map_err(LakeError::parquet("encode", &self.part.0))?;
        file.sync_all().map_err(LakeError::io("sync", &self.part.0))?;
        fs::rename(&self.part.0, &self.path).map_err(LakeError::io("create", &self.path))?;
        Ok(self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, TimestampMicrosecondType};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    use tidewheel_schemas::ColumnKind;

    #[test]
    fn rows_read_back_and_the_file_has_its_name_only_at_the_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("rows.parquet");
        let columns = [
            ColumnSpec::new("symbol", ColumnKind::Text),
            ColumnSpec::new("close_time", ColumnKind::Time),
            ColumnSpec::new("rsi_14@talib", ColumnKind::Double),
        ];
        let mut file = TableFile::create(&path, columns.into()).expect("space");
        let rows = BATCH_ROWS as i64 + 3;
        for number in 0..rows {
            let value = Value::number(Some(number as f64 / 3.0).filter(|_| number % 2 == 0));
            file.push([Value::text("BTCUSDT"), Value::Time(number * 60_000_000_000), value].into()).expect("space");
        }
        assert!(!path.exists());
        assert_eq!(file.finish().expect("space"), rows as u64);
        let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).expect("a file")).expect("Parquet");
        let mut number = 0;
        for batch in reader.build().expect("Parquet") {
            let batch = batch.expect("rows");
            let times = batch.column(1).as_primitive::<TimestampMicrosecondType>();
            let values = batch.column(2).as_primitive::<Float64Type>();
            for row in 0..batch.num_rows() {
                assert_eq!(times.value(row), number * 60_000_000);
                let expected = (number % 2 == 0).then_some(number as f64 / 3.0);
                assert_eq!(values.is_valid(row).then(|| values.value(row)), expected);
                number += 1;
            }
        }
        assert_eq!(number, rows);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1, "nothing else is left");
    }
}
