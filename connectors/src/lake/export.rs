//! A table of named columns as one Parquet file beside the lake: what is exported for others to work with.

use super::error::LakeError;
use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidewheel_schemas::{ColumnKind, ColumnSpec, Value};

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
        let arrays = self.columns.iter().enumerate().map(|(at, column)| array(&rows, at, column.kind)).collect();
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

fn type_of(kind: ColumnKind) -> DataType {
    match kind {
        ColumnKind::Text => DataType::Utf8,
        ColumnKind::Integer => DataType::Int64,
        ColumnKind::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        ColumnKind::Double => DataType::Float64,
        ColumnKind::Boolean => DataType::Boolean,
    }
}

fn array(rows: &[Box<[Value]>], at: usize, kind: ColumnKind) -> ArrayRef {
    macro_rules! of {
        ($variant:path) => {
            rows.iter().map(|row| match &row[at] {
                $variant(value) => Some(value.clone()),
                Value::Null => None,
                other => unreachable!("{other:?} in a column of another kind"),
            })
        };
    }
    match kind {
        ColumnKind::Text => Arc::new(of!(Value::Text).collect::<StringArray>()),
        ColumnKind::Integer => Arc::new(of!(Value::Integer).collect::<Int64Array>()),
        ColumnKind::Double => Arc::new(of!(Value::Double).collect::<Float64Array>()),
        ColumnKind::Boolean => Arc::new(of!(Value::Boolean).collect::<BooleanArray>()),
        ColumnKind::Time => {
            let times = of!(Value::Time).map(|time| time.map(|time| time / 1_000));
            Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float64Type, TimestampMicrosecondType};
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

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
