//! What accounts do through the program: fills, cash, orders and reference data from the wire into the lake and back.

mod live;
mod readers;
mod replayed;

use std::path::Path;
use tidewheel_connectors::file::{FileOptions, open_inputs};
use tidewheel_connectors::lake::Table;
use tidewheel_connectors::source::Work;
use tidewheel_schemas::AccountRecord;

/// The records of a lake's tables of what accounts do, read as files, each as text without its origin, sorted.
fn contents(lake: &Path) -> Vec<String> {
    let folders = Table::ACCOUNT.into_iter().map(|table| lake.join(table.name())).filter(|folder| folder.is_dir());
    let patterns: Vec<String> = folders.map(|folder| folder.display().to_string()).collect();
    let mut found = Vec::new();
    for mut reader in open_inputs(&patterns, &FileOptions::default()).expect("tables of a lake") {
        while let Some(work) = reader.read().expect("a sound file") {
            let Work::Rows(decode) = work else { panic!("Parquet comes as rows") };
            let chunk = decode();
            assert_eq!(chunk.rejects, []);
            found.extend(chunk.account.into_iter().map(without_origin));
        }
    }
    found.sort();
    found
}

fn without_origin(record: AccountRecord) -> String {
    format!("{:?}", AccountRecord { partition: 0, position: 0, index: 0, ..record })
}
