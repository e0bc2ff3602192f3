//! Market streams through the program: quotes, books, marks, funding and liquidations from the wire into the lake and back.

pub(crate) mod live;
mod readers;
mod replayed;

use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use tidewheel_connectors::file::{FileOptions, open_inputs};
use tidewheel_connectors::lake::{Table, read};
use tidewheel_connectors::source::Work;
use tidewheel_schemas::MarketRecord;

/// Columns that say where a row came from, and when.
const ORIGIN: [&str; 4] = ["tick", "source", "position", "position_index"];

/// Times cut to microseconds: the exact ones stand beside them, and these need a time zone to be printed.
const TIMES_CUT: [&str; 5] = ["event_time", "next_funding_time", "original_event_time", "fill_time", "expires"];

/// Rows of the input that a lake keeps, by table.
pub(crate) fn rows(lake: &Path) -> BTreeMap<&'static str, u64> {
    let mut rows = BTreeMap::new();
    for file in read::manifest(lake).expect("a lake").files.values() {
        if Table::ARCHIVE.contains(&file.table) {
            *rows.entry(file.table.name()).or_default() += file.rows;
        }
    }
    rows
}

/// The rows of a table of the archive beside the trades as text, all columns but `without`, sorted.
pub(crate) fn table(lake: &Path, table: Table, without: &[&str]) -> Vec<String> {
    let mut lines = Vec::new();
    for file in read::manifest(lake).expect("a lake").of(table) {
        let file = File::open(lake.join(&file.path)).expect("a file of the manifest");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("Parquet");
        for batch in reader {
            let batch = batch.expect("a sound file");
            let options = FormatOptions::new();
            let fields = batch.schema();
            let kept = fields
                .fields()
                .iter()
                .zip(batch.columns())
                .filter(|(field, _)| !TIMES_CUT.contains(&&**field.name()) && !without.contains(&&**field.name()));
            let columns: Vec<_> = kept
                .map(|(field, column)| (field.name(), ArrayFormatter::try_new(column, &options).expect("printable")))
                .collect();
            for row in 0..batch.num_rows() {
                let cells = columns.iter().map(|(name, column)| format!("{name}={}", column.value(row)));
                lines.push(cells.collect::<Vec<_>>().join(" "));
            }
        }
    }
    lines.sort();
    lines
}

/// The records of a lake's market tables, read as files, each as text without its origin, sorted.
fn contents(lake: &Path) -> Vec<String> {
    let patterns: Vec<String> = Table::MARKET
        .iter()
        .map(|table| lake.join(table.name()))
        .filter(|folder| folder.is_dir())
        .map(|folder| folder.display().to_string())
        .collect();
    let mut found = Vec::new();
    for mut reader in open_inputs(&patterns, &FileOptions::default()).expect("tables of a lake") {
        while let Some(work) = reader.read().expect("a sound file") {
            let Work::Rows(decode) = work else { panic!("Parquet comes as rows") };
            let chunk = decode();
            assert_eq!(chunk.rejects, []);
            found.extend(chunk.market.into_iter().map(without_origin));
        }
    }
    found.sort();
    found
}

fn without_origin(record: MarketRecord) -> String {
    format!("{:?}", MarketRecord { partition: 0, position: 0, index: 0, ..record })
}
