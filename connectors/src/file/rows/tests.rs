//! Parquet files in, chunks out.

use crate::file::{FileOptions, Op, TradeFile, TradeRow, TradeTable, open_inputs, write_trades_parquet};
use crate::source::{DecodedChunk, Work};
use arrow::array::*;
use arrow::datatypes::{Int32Type, i256};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tidewheel_schemas::{
    AggressorSide, Change, Correction, Instrument, Trade, TradeColumns, TradeId, TradeKind, format_e8,
};

const TIME_NS: i64 = 1_723_161_253_937_085_768;

fn chunks_of(path: &Path, options: &FileOptions) -> Vec<DecodedChunk> {
    let mut readers = open_inputs(&[path.display().to_string()], options).unwrap_or_else(|error| panic!("{error}"));
    let mut chunks = Vec::new();
    while let Some(work) = readers[0].read().expect("a file that reads") {
        let Work::Rows(decode) = work else { panic!("Parquet gives rows") };
        chunks.push(decode());
    }
    let progress = readers[0].progress();
    assert_eq!(progress.done, progress.total);
    chunks
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, properties: WriterProperties) {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
    let batch = batch.expect("columns of one length");
    let file = std::fs::File::create(path).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).expect("a schema");
    writer.write(&batch).expect("a disk");
    writer.close().expect("a disk");
}

fn options() -> FileOptions {
    FileOptions { venue: Some("v".into()), symbol: Some("S".into()), ..FileOptions::default() }
}

/// One text a row: trades as `id time price quantity side count kind`, rejects as `! reason detail`, amendments as `~`.
fn transcript(chunks: &[DecodedChunk]) -> Vec<String> {
    let mut lines = Vec::new();
    for chunk in chunks {
        let columns = &chunk.columns;
        for row in 0..columns.len() {
            let Trade { event_time_ns, id, price_e8, quantity_e8, count, side, kind } = columns.trade(row);
            let (price, quantity) = (format_e8(price_e8.into()), format_e8(quantity_e8.into()));
            let text = format!(
                "{:?} {id} {event_time_ns} {price} {quantity} {} {count} {}",
                columns.instrument_of(row),
                side.name().unwrap_or("-"),
                kind.name()
            );
            lines.push((columns.position[row], text));
        }
        for reject in &chunk.rejects {
            lines.push((reject.position, format!("! {} {}", reject.reason, reject.detail)));
        }
        for amendment in &chunk.amendments {
            let text = format!("~ {:?} {} {:?}", amendment.instrument, amendment.id, amendment.change);
            lines.push((amendment.position, text));
        }
    }
    lines.sort();
    assert!(lines.iter().enumerate().all(|(row, (position, _))| row as u64 == *position), "each row ends once");
    lines.into_iter().map(|(_, text)| text).collect()
}

fn read(columns: Vec<(&str, ArrayRef)>, options: &FileOptions) -> Vec<String> {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    write(&path, columns, WriterProperties::default());
    transcript(&chunks_of(&path, options))
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

fn decimals(values: Vec<Option<i128>>, precision: u8, scale: i8) -> ArrayRef {
    Arc::new(Decimal128Array::from(values).with_precision_and_scale(precision, scale).expect("a decimal type"))
}

fn times(rows: usize) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from(vec![TIME_NS; rows]))
}

#[test]
fn a_price_and_a_quantity_that_multiply_to_too_much() {
    let (price, quantity) = (decimals(vec![Some(5_000_000_000); 3], 18, 0), [1_999, 2_000, 2_001]);
    let quantity: ArrayRef = Arc::new(Int64Array::from(quantity.to_vec()));
    let got = read(vec![("event_time", times(3)), ("price", price), ("quantity", quantity)], &options());
    let large = "! number price times quantity: out of range";
    assert_eq!(got, [&format!("v|S @0:0 {TIME_NS} 5000000000 1999 - 1 market"), large, large]);
}

/// A column of prices, and what becomes of each.
fn check_prices(prices: ArrayRef, expected: &[&str]) {
    let rows = prices.len();
    let ones: ArrayRef = Arc::new(Int64Array::from(vec![1; rows]));
    let got = read(vec![("event_time", times(rows)), ("price", prices.clone()), ("quantity", ones)], &options());
    let expected: Vec<String> = expected
        .iter()
        .enumerate()
        .map(|(row, text)| match text.strip_prefix('!') {
            Some(trouble) => format!("!{trouble}"),
            None => format!("v|S @0:{row} {TIME_NS} {text} 1 - 1 market").replace("@0:0 ", "@0:0 "),
        })
        .collect();
    assert_eq!(got, expected, "{}", prices.data_type());
}

#[test]
fn prices_of_every_type() {
    let missing = "! field price: null";
    let positive = "! number price: not positive";
    let exact = "! number price: more than 8 decimal places";
    let range = "! number price: out of range";
    check_prices(
        decimals(vec![Some(150_000_000), None, Some(0), Some(-1)], 18, 8),
        &["1.5", missing, positive, positive],
    );
    check_prices(
        decimals(vec![Some(150_000_000), Some(1), Some(999_999_999_999_999_999)], 18, 8),
        &["1.5", "0.00000001", "9999999999.99999999"],
    );
    check_prices(decimals(vec![Some(15), Some(999_999_999)], 9, 2), &["0.15", "9999999.99"]);
    check_prices(decimals(vec![Some(15_000), Some(123)], 18, 10), &["0.0000015", exact]);
    check_prices(
        decimals(vec![Some(123_456), Some(10i128.pow(12)), Some(10i128.pow(17))], 18, 2),
        &["1234.56", range, range],
    );
    check_prices(
        decimals(vec![Some(15 * 10i128.pow(17)), Some(1), Some(10i128.pow(29))], 38, 18),
        &["1.5", exact, range],
    );
    check_prices(decimals(vec![Some(12), Some(10i128.pow(30))], 38, 0), &["12", range]);
    let wide = Decimal256Array::from(vec![i256::from_i128(25), i256::from_i128(10i128.pow(38))]);
    check_prices(Arc::new(wide.with_precision_and_scale(76, 1).expect("a type")), &["2.5", range]);
    let doubles = vec![Some(0.1), Some(61_837.63), None, Some(f64::NAN), Some(1e300), Some(0.1 + 0.2), Some(-1.0)];
    let word = "! number price: not a decimal number";
    check_prices(Arc::new(Float64Array::from(doubles)), &["0.1", "61837.63", missing, word, range, exact, positive]);
    check_prices(Arc::new(Float32Array::from(vec![0.1, 2.5])), &["0.1", "2.5"]);
    check_prices(texts(&[Some("1.50"), Some("1e-5"), Some("dear"), None]), &["1.5", "0.00001", word, missing]);
    let dictionary: DictionaryArray<Int32Type> = ["7.5", "8", "7.5"].into_iter().collect();
    check_prices(Arc::new(dictionary), &["7.5", "8", "7.5"]);
    check_prices(Arc::new(Int64Array::from(vec![3, 0, i64::MAX])), &["3", positive, range]);
    check_prices(Arc::new(Int16Array::from(vec![3, -3])), &["3", positive]);
    check_prices(Arc::new(UInt64Array::from(vec![3, u64::MAX])), &["3", range]);
    check_prices(Arc::new(LargeStringArray::from(vec!["1", "2"])), &["1", "2"]);
    check_prices(Arc::new(StringViewArray::from(vec!["1", "2"])), &["1", "2"]);
}

/// A column of times under a name, and the nanoseconds of each row, or the trouble.
fn check_times(name: &str, column: ArrayRef, expected: &[Result<i64, &str>]) {
    let ones: ArrayRef = Arc::new(Int64Array::from(vec![1; column.len()]));
    let got = read(vec![(name, column.clone()), ("price", Arc::clone(&ones)), ("quantity", ones)], &options());
    for (row, (got, expected)) in got.iter().zip(expected).enumerate() {
        match expected {
            Ok(time) => assert_eq!(got, &format!("v|S @0:{row} {time} 1 1 - 1 market"), "{}", column.data_type()),
            Err(trouble) => assert!(got.contains(trouble), "{}: {got}", column.data_type()),
        }
    }
    assert_eq!(got.len(), expected.len());
}

#[test]
fn times_of_every_type() {
    let (second, odd) = (1_723_161_253, "before 2009, after 2200 or in no known unit");
    let time = Ok(second * 1_000_000_000);
    check_times("event_time", Arc::new(TimestampSecondArray::from(vec![second])), &[time]);
    check_times(
        "event_time",
        Arc::new(TimestampMillisecondArray::from(vec![Some(second * 1_000), None, Some(5)])),
        &[time, Err("! field event_time: null"), Err(odd)],
    );
    let zoned = TimestampMicrosecondArray::from(vec![second * 1_000_000]).with_timezone("UTC");
    check_times("ts", Arc::new(zoned), &[time]);
    check_times("time", Arc::new(TimestampNanosecondArray::from(vec![second * 1_000_000_000, -1])), &[time, Err(odd)]);
    check_times(
        "timestamp",
        Arc::new(Int64Array::from(vec![second, second * 1_000, second * 1_000_000, 77])),
        &[time, time, time, Err(odd)],
    );
    check_times("event_time_ns", Arc::new(Int64Array::from(vec![second * 1_000_000_000, second])), &[time, Err(odd)]);
    check_times("event_time", Arc::new(UInt64Array::from(vec![second as u64, u64::MAX])), &[time, Err(odd)]);
}

#[test]
fn exact_nanoseconds_come_before_other_times() {
    let ones: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let rough: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![TIME_NS / 1_000_000]));
    let exact: ArrayRef = Arc::new(Int64Array::from(vec![TIME_NS]));
    let columns = vec![("event_time", rough), ("event_time_ns", exact), ("price", ones.clone()), ("quantity", ones)];
    assert_eq!(read(columns, &options()), [format!("v|S @0:0 {TIME_NS} 1 1 - 1 market")]);
}

#[test]
fn names_ids_sides_counts_and_kinds() {
    let rows = 6;
    let price: ArrayRef = Arc::new(Int64Array::from(vec![2; rows]));
    let columns = vec![
        ("exchange", texts(&[Some("a"), Some("b"), Some("a"), Some("B C"), None, Some("a")])),
        ("Symbol", texts(&[Some("X"), Some("X"), Some("Y"), Some("X"), Some("X"), Some("X")])),
        ("id", texts(&[Some("12"), Some("x-1"), None, Some("3"), Some("4"), Some("not an id at all")])),
        ("time", times(rows)),
        ("px", price.clone()),
        ("size", price),
        ("side", texts(&[Some("buy"), Some("SELL"), None, None, None, Some("")])),
        ("trade_count", Arc::new(Int32Array::from(vec![Some(3), None, Some(1), Some(1), Some(1), Some(1)]))),
        ("trade_kind", texts(&[Some("block"), None, None, None, None, None])),
        ("notes", texts(&[None; 6])),
    ];
    assert_eq!(
        read(columns, &FileOptions::default()),
        [
            format!("a|X 12 {TIME_NS} 2 2 buy 3 block"),
            format!("b|X x-1 {TIME_NS} 2 2 sell 1 market"),
            "! field trade_id: null".into(),
            "! instrument venue holds a character other than letters, digits and ._-/:@+#".into(),
            "! field venue: null".into(),
            "! trade_id trade id is neither a number, a UUID, hexadecimal up to 28 digits, nor text up to 15 bytes"
                .into(),
        ]
    );
    let ones = || Arc::new(Int64Array::from(vec![1; 3])) as ArrayRef;
    let columns = vec![
        ("trade_id", Arc::new(UInt64Array::from(vec![u64::MAX, 1, 2])) as ArrayRef),
        ("time", times(3)),
        ("price", ones()),
        ("amount", ones()),
        ("is_buyer_maker", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("count", Arc::new(Int64Array::from(vec![0, 7, -2]))),
    ];
    assert_eq!(
        read(columns, &options()),
        [
            "! number trade_count: 0 is not a number of fills".into(),
            format!("v|S 1 {TIME_NS} 1 1 buy 7 market"),
            "! number trade_count: -2 is not a number of fills".into(),
        ]
    );
    let columns = vec![
        ("trade_id", Arc::new(Int32Array::from(vec![5, -5, 6])) as ArrayRef),
        ("time", times(3)),
        ("price", ones()),
        ("qty", ones()),
        ("side", texts(&[Some("both"), None, None])),
        ("trade_kind", texts(&[None, None, Some("odd")])),
    ];
    assert_eq!(
        read(columns, &options()),
        [
            "! field aggressor_side: \"both\" is neither buy nor sell",
            "! trade_id trade_id: negative",
            "! field trade_kind: \"odd\" is no trade kind",
        ]
    );
}

#[test]
fn cancels_and_corrections() {
    let columns = vec![
        ("op", texts(&[None, Some("insert"), Some("cancel"), Some("correct"), Some("undo"), Some("correct")])),
        ("trade_id", Arc::new(Int64Array::from(vec![1, 2, 1, 2, 3, 4])) as ArrayRef),
        (
            "event_time",
            Arc::new(TimestampNanosecondArray::from(vec![
                Some(TIME_NS),
                Some(TIME_NS),
                None,
                Some(TIME_NS),
                None,
                Some(1),
            ])),
        ),
        ("price", decimals(vec![Some(1), Some(2), None, Some(3), None, None], 18, 0)),
        ("quantity", decimals(vec![Some(1), Some(2), None, None, None, None], 18, 0)),
        ("side", texts(&[None, None, None, Some("sell"), None, None])),
        ("sequence", Arc::new(Int64Array::from(vec![0, 0, 0, 9, 0, 0]))),
    ];
    let correction = Correction {
        price_e8: Some(300_000_000),
        quantity_e8: None,
        event_time_ns: Some(TIME_NS),
        side: Some(AggressorSide::Sell),
    };
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    write(&path, columns, WriterProperties::default());
    let chunks = chunks_of(&path, &options());
    assert_eq!(
        transcript(&chunks),
        [
            format!("v|S 1 {TIME_NS} 1 1 - 1 market"),
            format!("v|S 2 {TIME_NS} 2 2 - 1 market"),
            format!("~ v|S 1 {:?}", Change::Cancel),
            format!("~ v|S 2 {:?}", Change::Correct(correction)),
            "! field op: \"undo\" is none of insert, cancel, correct".into(),
            "! time event_time: 1 is before 2009, after 2200 or in no known unit".into(),
        ]
    );
    assert_eq!(chunks[0].amendments.iter().map(|amendment| amendment.sequence).collect::<Vec<_>>(), [0, 9]);
    assert_eq!(
        String::from_utf8_lossy(&chunks[0].amendments[0].raw),
        r#"{"type":"trade","op":"cancel","trade_id":"1","event_time":null,"price":null,"quantity":null,"aggressor_side":null,"sequence":"0"}"#
    );
}

#[test]
fn column_maps_and_missing_columns() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    let ones: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let columns = vec![("t", times(1)), ("last", ones.clone()), ("quantity", ones), ("flag", texts(&[Some("x")]))];
    write(&path, columns, WriterProperties::default());
    let map = |pairs: &[(&str, &str)]| FileOptions {
        columns: pairs.iter().map(|(role, name)| (role.to_string(), name.to_string())).collect(),
        ..options()
    };
    assert_eq!(
        transcript(&chunks_of(&path, &map(&[("event_time", "t"), ("price", "last")]))),
        [format!("v|S @0:0 {TIME_NS} 1 1 - 1 market")]
    );
    let error = |options: &FileOptions| {
        open_inputs(&[path.display().to_string()], options).err().expect("an error").to_string()
    };
    let missing = error(&map(&[("event_time", "t")]));
    assert!(missing.ends_with(
        "there is no column price among t, last, quantity, flag: name the column of the price in the column map"
    ));
    assert!(error(&map(&[("event_time", "u")])).contains("there is no column u among"));
    assert!(error(&map(&[("cost", "last")])).contains("the column map names cost, expected one of venue, symbol"));
    assert!(error(&map(&[("event_time", "t"), ("price", "quantity")])).contains("is mapped twice"));
    assert!(
        error(&map(&[("event_time", "flag"), ("price", "last")]))
            .contains("column flag is of type Utf8, which cannot be read as event_time")
    );
    let nameless = FileOptions { venue: None, ..map(&[("event_time", "t"), ("price", "last")]) };
    assert!(error(&nameless).contains("give the venue on the command line"));
    let hive = directory.path().join("venue=kraken/date=2024-01-01");
    std::fs::create_dir_all(&hive).expect("a directory");
    std::fs::copy(&path, hive.join("a.parquet")).expect("a copy");
    let named_by_path = transcript(&chunks_of(&hive.join("a.parquet"), &nameless));
    assert_eq!(named_by_path, [format!("kraken|S @0:0 {TIME_NS} 1 1 - 1 market")]);
}

fn sample(rows: usize, id: impl Fn(usize) -> TradeId) -> TradeColumns {
    let mut columns = TradeColumns::default();
    for symbol in ["BTCUSDT", "ETHUSDT", "SOLUSDT"] {
        columns.instruments.push(Instrument::new("binance", symbol).expect("a good name"));
    }
    for row in 0..rows {
        let trade = Trade {
            event_time_ns: TIME_NS + row as i64 * 17,
            id: id(row),
            price_e8: 1 + row as i64 * 997,
            quantity_e8: 999_999_999_999_999_999 - row as i64,
            count: 1 + row as u32 % 3,
            side: [AggressorSide::Buy, AggressorSide::Sell, AggressorSide::Unknown][row % 3],
            kind: TradeKind::Market,
        };
        columns.push(if row == 0 { 0 } else { row as u32 % 3 }, &trade, row as u64);
        columns.receive_time_ns.push(if row % 5 == 0 { i64::MIN } else { trade.event_time_ns + 5 });
    }
    columns
}

#[test]
fn what_is_written_is_read() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    let text_id = |row: usize| TradeId::parse(format!("x-{row}").as_bytes()).expect("an id");
    for columns in [sample(0, text_id), sample(1_000, text_id), sample(300_000, |row| TradeId::number(row as u64))] {
        write_trades_parquet(&path, &columns).expect("a disk");
        let mut read = TradeColumns { instruments: columns.instruments.clone(), ..TradeColumns::default() };
        for chunk in chunks_of(&path, &FileOptions::default()) {
            assert!(chunk.rejects.is_empty() && chunk.amendments.is_empty());
            assert_eq!(chunk.columns.len() as u64, chunk.end_position - read.len() as u64);
            for row in 0..chunk.columns.len() {
                let name = chunk.columns.instrument_of(row);
                let index = read.instruments.iter().position(|instrument| instrument == name).expect("a known name");
                read.push(index as u32, &chunk.columns.trade(row), chunk.columns.position[row]);
                read.receive_time_ns.push(chunk.columns.receive_time_ns[row]);
            }
        }
        assert!(read == columns, "{} rows", columns.len());
    }
}

#[test]
fn row_groups_too_large_for_one_piece_come_in_several() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    let rows = super::ROWS_PER_WORK as usize + 5;
    let prices: ArrayRef = Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|row| row % 1_000)));
    let all_times: ArrayRef =
        Arc::new(TimestampNanosecondArray::from_iter_values((0..rows as i64).map(|row| TIME_NS + row)));
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
    write(&path, vec![("time", all_times), ("price", prices.clone()), ("size", prices)], properties);
    let chunks = chunks_of(&path, &options());
    assert!(chunks.len() > 1);
    let (mut trades, mut rejects) = (0, 0);
    for chunk in &chunks {
        (trades, rejects) = (trades + chunk.columns.len(), rejects + chunk.rejects.len());
        let columns = &chunk.columns;
        assert!((0..columns.len()).all(|row| columns.event_time_ns[row] == TIME_NS + columns.position[row] as i64));
        assert!(
            (0..columns.len()).all(|row| columns.price_e8[row] == columns.position[row] as i64 % 1_000 * 100_000_000)
        );
    }
    assert_eq!((trades + rejects, rejects), (rows, rows.div_ceil(1_000)));
}

#[test]
fn a_damaged_page_costs_its_row_group_and_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    write_trades_parquet(&path, &sample(300_000, |row| TradeId::number(row as u64))).expect("a disk");
    let mut bytes = std::fs::read(&path).expect("a file");
    bytes[1_000..40_000].fill(0x5a);
    std::fs::write(&path, bytes).expect("a disk");
    let chunks = chunks_of(&path, &FileOptions::default());
    let rejects: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.rejects).collect();
    assert_eq!(rejects.len(), 1);
    assert!(rejects[0].detail.contains("to 131071 could not be read"), "{}", rejects[0].detail);
    let trades: usize = chunks.iter().map(|chunk| chunk.columns.len()).sum();
    assert_eq!(trades as u64, 300_000 - 131_072 + rejects[0].position);
}

#[test]
fn rows_decode_alike_alone_and_together() {
    // Every combination of good and bad values, in a random order: what a row gives may not depend on its neighbours.
    let seed = 20_241_120u64;
    println!("seed {seed}");
    let mut state = seed;
    let mut below = |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let rows = 500;
    let pick = |below: &mut dyn FnMut(usize) -> usize, values: &[Option<&'static str>]| -> Vec<Option<&'static str>> {
        (0..rows).map(|_| values[below(values.len())]).collect()
    };
    let symbols = pick(&mut below, &[Some("X"), Some("Y"), Some("X"), Some("Y"), Some("Z"), Some("bad name"), None]);
    let sides = pick(&mut below, &[Some("buy"), Some("sell"), None, Some("?")]);
    let ops = pick(&mut below, &[Some("insert"), Some("insert"), None, Some("cancel"), Some("correct"), Some("?")]);
    let prices: Vec<Option<i128>> = (0..rows)
        .map(|_| [Some(10), Some(50), Some(60), Some(70), Some(80), None, Some(0), Some(-4)][below(8)])
        .collect();
    let ids: Vec<Option<i64>> =
        (0..rows).map(|_| [Some(1), Some(2), Some(3), Some(7), Some(8), Some(-1), None][below(7)]).collect();
    let event_times: Vec<i64> =
        (0..rows).map(|_| [TIME_NS, TIME_NS + 1, TIME_NS + 2, TIME_NS + 3, i64::MIN, 1][below(6)]).collect();
    let file = |range: std::ops::Range<usize>| {
        let columns = vec![
            ("symbol", texts(&symbols[range.clone()])),
            ("side", texts(&sides[range.clone()])),
            ("op", texts(&ops[range.clone()])),
            ("price", decimals(prices[range.clone()].to_vec(), 18, 4)),
            ("quantity", decimals(prices[range.clone()].to_vec(), 38, 9)),
            ("trade_id", Arc::new(Int64Array::from(ids[range.clone()].to_vec())) as ArrayRef),
            ("event_time", Arc::new(TimestampNanosecondArray::from(event_times[range].to_vec())) as ArrayRef),
        ];
        read(columns, &options())
    };
    let together = file(0..rows);
    let alone: Vec<String> = (0..rows).flat_map(|row| file(row..row + 1)).collect();
    assert_eq!(together, alone);
    let kinds: BTreeMap<_, usize> = together.iter().fold(BTreeMap::new(), |mut kinds, line| {
        *kinds.entry(&line[..1]).or_default() += 1;
        kinds
    });
    assert!(kinds.len() >= 3, "trades, amendments and rejects: {kinds:?}");
}

#[test]
fn amendments_written_by_the_table_come_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    let instruments = [Instrument::new("v", "S").expect("a good name")];
    let mut table = TradeTable::new(&instruments, false);
    for op in Op::ALL {
        table.push(&TradeRow {
            op,
            instrument: 0,
            id: TradeId::number(7),
            event_time_ns: TIME_NS,
            price_e8: Some(5),
            quantity_e8: (op != Op::Correct).then_some(6),
            count: 1,
            side: AggressorSide::Unknown,
            receive_time_ns: None,
        });
    }
    let mut file = TradeFile::create(&path, false).expect("a disk");
    file.write(&table.take_batch().expect("good rows")).expect("a disk");
    file.finish().expect("a disk");
    let correction = Correction { price_e8: Some(5), event_time_ns: Some(TIME_NS), ..Correction::default() };
    assert_eq!(
        transcript(&chunks_of(&path, &FileOptions::default())),
        [
            format!("v|S 7 {TIME_NS} 0.00000005 0.00000006 - 1 market"),
            format!("~ v|S 7 {:?}", Change::Cancel),
            format!("~ v|S 7 {:?}", Change::Correct(correction)),
        ]
    );
}
