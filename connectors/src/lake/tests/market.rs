//! Quotes, books, marks, funding and liquidations: what is kept of them, in which order, and that they come back as they were.

use super::compact::{CompactConfig, compact};
use super::layout::Layout;
use super::manifest::{self, LakeFile};
use super::parquet_file::{self, FileKind};
use super::*;
use crate::file::{FileOptions, open_inputs};
use crate::lake::market::{decode, table_with};
use crate::source::Work;
use arrow::array::RecordBatch;
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::basic::ZstdLevel;
use std::fs::File;
use std::sync::Arc;
use tidewheel_schemas::{
    AggressorSide, BookUpdate, Funding, Level, Liquidation, Mark, MarketContent, MarketRecord, PRICE_LIMIT_E8, Quote,
};

/// Days of [`records`], over all tables.
pub(super) const DAYS: u64 = 8;

/// Records of every kind with their extremes, of two sources and two days, in the order of their source.
pub(super) fn records(number: u64) -> Vec<MarketRecord> {
    let level = |price_e8, quantity_e8| Level { price_e8, quantity_e8 };
    let book = |last_id: u64, is_snapshot: bool, bids: &[Level], asks: &[Level]| {
        MarketContent::Book(BookUpdate {
            sequence: last_id + 3,
            first_id: last_id / 2,
            last_id,
            previous_id: (!is_snapshot).then_some(last_id / 3),
            is_snapshot,
            depth: (is_snapshot && number % 2 == 1).then_some(u32::MAX),
            bids: Arc::from(bids),
            asks: Arc::from(asks),
        })
    };
    let quote = |bid, ask, update_id| MarketContent::Quote(Quote { update_id, bid, ask });
    let mark = Mark {
        mark_price_e8: Some(PRICE_LIMIT_E8 - 1),
        index_price_e8: Some(1),
        funding_rate_e8: Some(-99_999_999),
        next_funding_time_ns: Some(START_NS + 1),
    };
    let contents = [
        quote(Some(level(1, i64::MAX)), Some(level(PRICE_LIMIT_E8 - 1, 1)), Some(i64::MAX.unsigned_abs())),
        quote(None, Some(level(7, 8)), None),
        quote(None, None, Some(number)),
        book(number, true, &[level(5, 6), level(4, i64::MAX)], &[level(9, 1)]),
        book(number + 1, false, &[], &[level(9, 0), level(10, 2), level(PRICE_LIMIT_E8 - 1, 3)]),
        book(i64::MAX.unsigned_abs() - 3, false, &[], &[]),
        MarketContent::Mark(mark),
        MarketContent::Mark(Mark { funding_rate_e8: Some(0), ..Mark::default() }),
        MarketContent::Funding(Funding { rate_e8: 99_999_999, mark_price_e8: None }),
        MarketContent::Funding(Funding { rate_e8: -1, mark_price_e8: Some(3) }),
        MarketContent::Liquidation(Liquidation {
            side: AggressorSide::Buy,
            price_e8: 2,
            quantity_e8: i64::MAX,
            occurrence: 0,
        }),
        MarketContent::Liquidation(Liquidation {
            side: AggressorSide::Unknown,
            price_e8: 3,
            quantity_e8: 1,
            occurrence: u16::MAX,
        }),
    ];
    let of_source = |partition: u32| {
        contents.iter().enumerate().map(move |(at, content)| MarketRecord {
            instrument: instrument(["BTC", "ETH"][at % 2]),
            event_time_ns: START_NS + at as i64 * 7 * 3_600_000 * 1_000_000 + 1,
            is_timeless: at % 4 == 3,
            partition,
            position: number * 10 + at as u64 / 2,
            index: (at % 2) as u16,
            receive_time_ns: (at % 3 == 0).then_some(START_NS + at as i64),
            content: content.clone(),
        })
    };
    (0..2).flat_map(of_source).collect()
}

/// All rows of the five tables, a row a line.
pub(super) fn text(root: &Path) -> String {
    let common = ["venue", "symbol", "event_time_ns", "is_timeless", "tick", "source", "position", "position_index"];
    let own: [&[&str]; 5] = [
        &["update_id", "bid_price", "bid_quantity", "ask_price", "ask_quantity"],
        &["is_snapshot", "depth", "sequence", "first_id", "last_id", "previous_id", "bids", "asks"],
        &["mark_price", "index_price", "funding_rate", "next_funding_time_ns"],
        &["funding_rate", "mark_price"],
        &["side", "price", "quantity", "occurrence"],
    ];
    let tables = Table::MARKET.into_iter().zip(own);
    tables.map(|(table, own)| records::table_text(root, table, &[&common[..], own].concat())).collect()
}

fn written(folder: &TempDir) -> PathBuf {
    let sources = vec!["a".to_owned(), "b".to_owned()];
    let mut lake = Lake::open(LakeConfig { sources, ..config(folder) }).expect("a new lake");
    lake.append(TickOutput { tick: 1_700_000_000_000, market: records(5), ..TickOutput::default() });
    assert_eq!(lake.buffered_rows(), 24);
    lake.commit(&progress(2_000_000_000_000)).expect("a commit");
    check_consistent(&config(folder).root);
    config(folder).root
}

#[test]
fn each_kind_is_a_table_with_the_columns_of_its_own() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = written(&folder);
    let text = text(&root);
    let of_a: Vec<&str> = text.lines().filter(|line| line.contains(" a ")).collect();
    assert_eq!(
        of_a,
        [
            "binance BTC 1699999200000000001 false 1700000000000 a 50 0 9223372036854775807 0.00000001 92233720368.54775807 9999999999.99999999 0.00000001",
            "binance ETH 1700024400000000001 false 1700000000000 a 50 1 0.00000007 0.00000008",
            "binance BTC 1700049600000000001 false 1700000000000 a 51 0 5",
            "binance ETH 1700074800000000001 true 1700000000000 a 51 1 true 4294967295 8 2 5 [{price: 0.00000005, quantity: 0.00000006}, {price: 0.00000004, quantity: 92233720368.54775807}] [{price: 0.00000009, quantity: 0.00000001}]",
            "binance BTC 1700100000000000001 false 1700000000000 a 52 0 false 9 3 6 2 [] [{price: 0.00000009, quantity: 0.00000000}, {price: 0.00000010, quantity: 0.00000002}, {price: 9999999999.99999999, quantity: 0.00000003}]",
            "binance ETH 1700125200000000001 false 1700000000000 a 52 1 false 9223372036854775807 4611686018427387902 9223372036854775804 3074457345618258601 [] []",
            "binance BTC 1700150400000000001 false 1700000000000 a 53 0 9999999999.99999999 0.00000001 -0.99999999 1699999200000000001",
            "binance ETH 1700175600000000001 true 1700000000000 a 53 1 0.00000000",
            "binance BTC 1700200800000000001 false 1700000000000 a 54 0 0.99999999",
            "binance ETH 1700226000000000001 false 1700000000000 a 54 1 -0.00000001 0.00000003",
            "binance BTC 1700251200000000001 false 1700000000000 a 55 0 buy 0.00000002 92233720368.54775807 0",
            "binance ETH 1700276400000000001 true 1700000000000 a 55 1 0.00000003 0.00000001 65535",
        ]
    );
}

#[test]
fn its_files_are_input_again() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = written(&folder);
    let patterns = Table::MARKET.map(|table| format!("{}/{}", root.display(), table.name()));
    let mut found = Vec::new();
    let readers = open_inputs(&patterns, &FileOptions::default()).expect("files of known tables");
    for (partition, mut reader) in (0..).zip(readers) {
        while let Some(work) = reader.read().expect("a sound file") {
            let Work::Rows(decode) = work else { panic!("Parquet comes as rows") };
            let chunk = decode();
            assert_eq!(
                (chunk.rejects.as_slice(), chunk.columns.len(), chunk.columns.partition),
                (&[][..], 0, partition)
            );
            assert_eq!(chunk.end_position, chunk.market.len() as u64);
            let sources: Vec<_> = chunk.market.iter().map(MarketRecord::source).collect();
            assert_eq!(sources, (0..chunk.end_position).map(|row| (partition, row, 0)).collect::<Vec<_>>());
            found.extend(chunk.market);
        }
        assert_eq!(reader.progress().done, reader.progress().total);
    }
    // Where they came from is new; the two sources had the same.
    let anonymous = |record: MarketRecord| MarketRecord { partition: 0, position: 0, index: 0, ..record };
    let mut found: Vec<String> = found.into_iter().map(|record| format!("{:?}", anonymous(record))).collect();
    let mut expected: Vec<String> = records(5).into_iter().map(|record| format!("{:?}", anonymous(record))).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn files_of_before_some_columns_are_read_too() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = written(&folder);
    let mut rows = 0;
    for path in parquet_files(&root) {
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let file = File::open(&path).expect("a file of the lake");
        let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).expect("a Parquet file");
        for batch in builder.build().expect("a reader") {
            let batch = batch.expect("a sound batch");
            let is_old = |name: &str| !["is_timeless", "depth", "occurrence"].contains(&name);
            let schema = batch.schema();
            let old: Vec<usize> = (0..batch.num_columns()).filter(|at| is_old(schema.field(*at).name())).collect();
            let old = batch.project(&old).expect("columns that are there");
            let schema = old.schema();
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let table = table_with(&names).expect("a table of the market");
            for row in decode(&old, table).expect("all columns that are needed") {
                let record = row.record.expect("a sound row");
                let is_plain = match &record.content {
                    MarketContent::Book(update) => update.depth.is_none(),
                    MarketContent::Liquidation(liquidation) => liquidation.occurrence == 0,
                    _ => true,
                };
                assert!(is_plain && !record.is_timeless, "{record:?}");
                rows += 1;
            }
            assert!(table_with(&names[1..]).is_none(), "a column that is needed is missing");
        }
    }
    assert_eq!(rows, 24);
}

/// Rewrites a file of the lake as it was before there were some columns, and what manifests say of it.
fn without_later_columns(layout: &Layout, file: &LakeFile) {
    let path = layout.data(&file.path);
    let reading = File::open(&path).expect("a file of the lake");
    let reader = ParquetRecordBatchReaderBuilder::try_new(reading).expect("a Parquet file").build().expect("a reader");
    let batches: Vec<RecordBatch> = reader
        .map(|batch| {
            let batch = batch.expect("a sound batch");
            let is_old = |name: &str| !["is_timeless", "depth", "occurrence"].contains(&name);
            let old: Vec<usize> =
                (0..batch.num_columns()).filter(|at| is_old(batch.schema().field(*at).name())).collect();
            batch.project(&old).expect("columns that are there")
        })
        .collect();
    std::fs::remove_file(&path).expect("it is there");
    let kind = FileKind { schema: batches[0].schema(), ..crate::lake::market::kind(file.table) };
    let written = parquet_file::write(&path, &kind, ZstdLevel::default(), 100, batches.into_iter().map(Ok));
    let written = written.expect("space");
    for seq in manifest::list(layout).expect("manifests") {
        let mut manifest = manifest::find(layout, seq).expect("it can be read").expect("it is there");
        for listed in manifest.added.iter_mut().chain(manifest.live.iter_mut().flatten()) {
            if listed.path == file.path {
                (listed.bytes, listed.crc32) = (written.bytes, written.crc32);
            }
        }
        manifest::write_staged(&layout.manifest(seq), &manifest).expect("space");
    }
}

#[test]
fn files_of_before_some_columns_are_joined_with_later_ones() {
    let folder = TempDir::new().expect("a temporary folder");
    let sources = vec!["a".to_owned(), "b".to_owned()];
    let mut lake = Lake::open(LakeConfig { sources, ..config(&folder) }).expect("a new lake");
    for number in 0..4 {
        let tick = 1_700_000_000_000 + number;
        lake.append(TickOutput { tick, market: records(5), ..TickOutput::default() });
        lake.commit(&progress(tick + 1)).expect("a commit");
    }
    drop(lake);
    let root = config(&folder).root;
    let layout = Layout { root: root.clone() };
    let files: Vec<LakeFile> = read::manifest(&root).expect("the state").files.into_values().collect();
    // The first two of four in each folder.
    let is_old = |file: &&LakeFile| {
        let folder_of = |file: &LakeFile| file.path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
        files.iter().filter(|other| folder_of(other) == folder_of(file) && other.path < file.path).count() < 2
    };
    let old: Vec<&LakeFile> = files.iter().filter(is_old).collect();
    assert_eq!(old.len() * 2, files.len());
    old.into_iter().for_each(|file| without_later_columns(&layout, file));
    let report = compact(&CompactConfig::new(&root)).expect("it can be compacted");
    assert_eq!((report.files_before, report.files_after), (files.len() as u64, files.len() as u64 / 4));
    check_consistent(&root);
    let mut found = (0, 0);
    for path in parquet_files(&root) {
        let file = File::open(&path).expect("a file of the lake");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("a Parquet file").build().expect("a reader");
        for batch in reader {
            let batch = batch.expect("a sound batch");
            let schema = batch.schema();
            let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
            let table = table_with(&names).expect("a table of the market");
            for row in decode(&batch, table).expect("all columns that are needed") {
                found.0 += 1;
                found.1 += u64::from(row.record.expect("a sound row").is_timeless);
            }
        }
    }
    // Three of twelve, of two sources, in the two commits that say so.
    assert_eq!(found, (4 * 24, 2 * 2 * 3));
}

fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = entries.flat_map(|path| if path.is_dir() { parquet_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "parquet")).collect()
}
