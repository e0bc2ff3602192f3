//! `tidewheel verify` of what was broken on purpose: each break is found and named.

use super::history::{changelog, copy, history};
use super::verified::report;
use crate::harness::kafka::{PATIENCE, broker, unique};
use crate::kafka_live::program::{succeeds, tidewheel};
use arrow::array::{Array, ArrayRef, Decimal128Array, RecordBatch, RecordBatchReader};
use arrow::compute::concat_batches;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use serde_json::Value;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use tidewheel_connectors::lake::{LakeFile, Table, read};

/// A copy of the lake, to be broken.
fn broken() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let lake = folder.path().join("lake");
    copy(&history().setup.lake, &lake);
    (folder, lake)
}

/// A file of a table with several rows, of minutes where it is one of bars.
fn file_of(lake: &Path, table: Table) -> LakeFile {
    let state = read::manifest(lake).expect("a lake");
    let is_fit = |file: &&LakeFile| file.rows > 3 && (!file.path.contains("interval=") || file.path.contains("=1m/"));
    state.of(table).find(is_fit).expect("a file of several rows").clone()
}

/// Writes a Parquet file anew with other rows.
pub fn rewrite(path: &Path, change: impl FnOnce(RecordBatch) -> RecordBatch) {
    let file = File::open(path).expect("a file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet").build().expect("Parquet");
    let schema = reader.schema();
    let batches: Vec<RecordBatch> = reader.map(|batch| batch.expect("rows")).collect();
    let batch = change(concat_batches(&schema, &batches).expect("one schema"));
    fs::remove_file(path).expect("a file");
    let mut writer = ArrowWriter::try_new(File::create(path).expect("space"), batch.schema(), None).expect("a schema");
    writer.write(&batch).expect("space");
    writer.close().expect("space");
}

fn without_row(batch: &RecordBatch, row: usize) -> RecordBatch {
    let rest = batch.slice(row + 1, batch.num_rows() - row - 1);
    concat_batches(&batch.schema(), [&batch.slice(0, row), &rest]).expect("one schema")
}

/// Differences that a report tells, as text of place, key, field.
fn told(report: &Value) -> Vec<(String, String, String)> {
    let text = |difference: &Value, name: &str| difference[name].as_str().unwrap_or_default().to_owned();
    let differences = report["differences"].as_array().unwrap_or_else(|| panic!("{report:#}"));
    differences.iter().map(|found| (text(found, "place"), text(found, "key"), text(found, "field"))).collect()
}

#[track_caller]
fn differs(lake: &Path, arguments: &[&str]) -> Value {
    let (code, report) = report(lake, arguments);
    assert_eq!(code, Some(1), "{report:#}");
    report
}

#[test]
fn a_value_changed_in_a_rewritten_file_is_named_with_both_values() {
    for table in [Table::BarsChangelog, Table::Bars] {
        let (_folder, lake) = broken();
        let file = file_of(&lake, table);
        rewrite(&lake.join(&file.path), |batch| {
            let at = batch.schema().index_of("close").expect("a column");
            let closes = batch.column(at).as_any().downcast_ref::<Decimal128Array>().expect("decimals");
            let changed = closes.iter().enumerate().map(|(row, close)| close.map(|close| close + i128::from(row == 1)));
            let changed = changed.collect::<Decimal128Array>().with_data_type(closes.data_type().clone());
            let mut columns = batch.columns().to_vec();
            columns[at] = Arc::new(changed) as ArrayRef;
            RecordBatch::try_new(batch.schema(), columns).expect("the same schema")
        });
        let report = differs(&lake, &[]);
        let told = told(&report);
        assert_eq!(told.len(), 2, "{report:#}");
        assert!(told.iter().any(|(place, _, _)| *place == file.path), "its checksum: {report:#}");
        let named = told
            .iter()
            .position(|(place, key, field)| place == table.name() && key.contains("|1m|") && field == "close");
        let named = &report["differences"][named.expect("the bar is named")];
        assert_ne!(named["published"], named["recomputed"]);
        assert!(named["tick"].is_u64(), "{named}");
    }
}

#[test]
fn a_row_that_was_removed_is_named() {
    for (table, expected) in [
        (Table::BarsChangelog, ("bars_changelog", "row")),
        (Table::Bars, ("bars", "row")),
        (Table::Rejects, ("counters", "rejected")),
        (Table::Late, ("counters", "late")),
    ] {
        let (_folder, lake) = broken();
        let state = read::manifest(&lake).expect("a lake");
        let file = if table == Table::Late {
            state.of(table).next().expect("late records").clone()
        } else {
            file_of(&lake, table)
        };
        rewrite(&lake.join(&file.path), |batch| without_row(&batch, 0));
        let setup = &history().setup;
        let report = differs(&lake, &["--kafka", &setup.brokers, "--prefix", &setup.prefix]);
        let told = told(&report);
        assert!(told.iter().any(|(place, _, field)| (place.as_str(), field.as_str()) == expected), "{report:#}");
        assert!(told.iter().any(|(place, _, _)| *place == file.path), "{report:#}");
        if matches!(table, Table::Rejects | Table::Late) {
            // The topic still has it.
            let topic = format!("{}.{}[", setup.prefix, table.name());
            assert!(told.iter().any(|(place, _, field)| place.starts_with(&topic) && field == "record"), "{report:#}");
        } else {
            assert_eq!(told.len(), 2, "{report:#}");
        }
    }
}

#[test]
fn a_trade_that_was_removed_from_the_archive_is_missed_in_its_bars() {
    let (_folder, lake) = broken();
    let file = file_of(&lake, Table::Trades);
    rewrite(&lake.join(&file.path), |batch| without_row(&batch, 2));
    let report = differs(&lake, &[]);
    let told = told(&report);
    assert!(told.iter().any(|(place, _, _)| *place == file.path), "{report:#}");
    assert!(told.iter().any(|(place, _, _)| place == "bars_changelog"), "{report:#}");
    assert!(
        told.iter().any(|(place, _, field)| (place.as_str(), field.as_str()) == ("counters", "accepted")),
        "{report:#}"
    );
}

#[test]
fn a_byte_that_was_changed_is_named_by_its_file() {
    let written = read::manifest(&history().setup.lake).expect("a lake");
    let tables: Vec<Table> = Table::ALL.into_iter().filter(|table| written.of(*table).next().is_some()).collect();
    assert!(tables.len() >= 6 && tables.contains(&Table::Features), "{tables:?}");
    for table in tables {
        let (_folder, lake) = broken();
        let state = read::manifest(&lake).expect("a lake");
        let file = state.of(table).last().expect("a file").clone();
        let path = lake.join(&file.path);
        let mut bytes = fs::read(&path).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        fs::write(&path, bytes).expect("space");
        let report = differs(&lake, &[]);
        let is_named = told(&report).iter().any(|(place, _, field)| *place == file.path && field.contains("checksum"));
        assert!(is_named, "{report:#}");
    }
}

#[test]
fn a_line_that_was_deleted_from_the_log_of_ticks_is_named() {
    let (_folder, lake) = broken();
    let mut logs: Vec<PathBuf> = fs::read_dir(lake.join("_tidewheel/bindings"))
        .expect("a log")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    logs.sort();
    let (first, last) = (&logs[0], &logs[logs.len() - 1]);
    let end = |path: &Path| fs::read_to_string(path).expect("a file").lines().count() - 1;
    // What follows a file says how many lines it has; what follows a line, which one was before it.
    for (log, line, expected) in [
        (first, 4, "follows line".to_owned()),
        (last, 1, format!("{} line 2 is damaged", last.display())),
        (last, end(last), "but the log of ticks in".to_owned()),
    ] {
        let text = fs::read_to_string(log).expect("a file");
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        fs::write(log, [&lines[..line], &lines[line + 1..]].concat().concat()).expect("space");
        let (code, told) = report(&lake, &[]);
        let told = told.as_str().expect("an error");
        assert!(code == Some(1) && told.contains(&expected), "{told}");
        fs::write(log, text).expect("space");
    }
    assert_eq!(report(&lake, &[]).0, Some(0), "all is as it was");
}

/// Topics that hold the history once more, to be broken.
struct Topics {
    prefix: String,
    _folder: TempDir,
}

impl Topics {
    fn new() -> Self {
        let (prefix, folder) = (unique("broken"), tempfile::tempdir().expect("a folder"));
        let setup = &history().setup;
        let mut command = tidewheel(&["replay", "--as-recorded", "--quiet", "--input"]);
        command.arg(&setup.lake).args(["--kafka", &setup.brokers, "--prefix", &prefix]);
        succeeds(command);
        Self { prefix, _folder: folder }
    }

    fn report(&self) -> (Option<i32>, Value) {
        let setup = &history().setup;
        let id = format!("tidewheel-{}-replay", self.prefix);
        report(&setup.lake, &["--kafka", &setup.brokers, "--prefix", &self.prefix, "--transactional-id", &id])
    }

    fn publish(&self, key: &str, value: &str, tick: Option<u64>) {
        let producer: BaseProducer = broker().client().create().expect("the configuration is valid");
        let topic = format!("{}.bars.1m", self.prefix);
        let mut record: BaseRecord<'_, str, str> = BaseRecord::to(&topic).key(key).payload(value).partition(1);
        if let Some(tick) = tick {
            let tick = tick.to_string();
            let headers = OwnedHeaders::new().insert(Header { key: "tick", value: Some(&tick) });
            record = record.headers(headers.insert(Header { key: "revision", value: Some("0") }));
        }
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
        producer.flush(PATIENCE).expect("the broker takes it");
    }
}

#[test]
fn a_foreign_record_in_a_topic_is_named_whatever_tick_it_claims() {
    let versions = changelog(&history().setup.lake);
    let last = versions.iter().map(|version| version.tick).max().expect("versions");
    for (tick, field) in [
        (None, "record"),
        (Some(versions[versions.len() / 2].tick), "record"),
        (Some(last + 3_600_000), "a record of a tick that the sink has not come to"),
    ] {
        let topics = Topics::new();
        let (code, sound) = topics.report();
        assert_eq!(code, Some(0), "{sound:#}");
        topics.publish("nobody|KNOWS|1m|0", "{\"open\":\"1\"}", tick);
        let (code, report) = topics.report();
        assert_eq!((code, &report["differences_total"]), (Some(1), &Value::from(1)), "{report:#}");
        let (place, _, found) = told(&report).remove(0);
        assert_eq!((place, found.as_str()), (format!("{}.bars.1m[1]", topics.prefix), field));
        assert_eq!(report["records"], sound["records"]);
    }
}

#[test]
fn records_that_the_broker_removed_are_told_and_are_no_difference() {
    let topics = Topics::new();
    let (_, sound) = topics.report();
    let admin: AdminClient<DefaultClientContext> = client().create().expect("the configuration is valid");
    let mut before = TopicPartitionList::new();
    let topic = format!("{}.rejects", topics.prefix);
    before.add_partition_offset(&topic, 0, Offset::Offset(5)).expect("a valid offset");
    let deleted = admin.delete_records(&before, &AdminOptions::new());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(deleted).expect("the broker deletes");
    let (code, report) = topics.report();
    assert_eq!(code, Some(0), "{report:#}");
    let (kept, gone) = (report["records"].as_u64(), report["expired_records"].as_u64());
    assert!(gone > Some(0), "{report:#}");
    assert_eq!(kept.zip(gone).map(|(kept, gone)| kept + gone), sound["records"].as_u64());
}

fn client() -> ClientConfig {
    broker().client()
}
