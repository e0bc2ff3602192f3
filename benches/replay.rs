//! Replay of ten million generated trades to the lake, beside what it cannot beat: decoding the same Parquet columns, a bare
//! fold over arrays, and a bare JSON parse loop, from one run on one machine. `cargo bench --bench replay`.
//!
//! Estimate, processor time a trade on the way from Parquet: decoding 41 ns (48.6 M rows/s on two threads), routing and
//! intake 5, folding and keeping it on the tape 40, bars to rows and rows to files 900 ns a second-bar, of which there are
//! about 0.1 a trade: 90. In all about 180 ns, 11 M trades/s on two cores that do nothing else. From JSON the decoding is
//! 300 ns instead of 41: 4.5 M/s.
//!
//! Measured on two quiet cores of a cloud machine: (a) 44 M/s, (b) 224 M/s, (c) 4.6 M/s; Parquet to lake 5.2 M/s, with corrections
//! 0.88 to 0.96 of it, JSON to lake 2.9 M/s. Processor time a trade on one core: 380 ns, of which workers 160, lake 100, decoding 100.
//! The estimate missed that a second-bar is copied several times and that fresh memory costs as much as what is put into it.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Decimal64Type, Decimal128Type, Int64Type, TimestampMicrosecondType, TimestampNanosecondType};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ParquetRecordBatchReaderBuilder};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const TRADES: u64 = 10_000_000;
const JSON_TRADES: u64 = 4_000_000;
const SYMBOLS: u64 = 100;
const PER_SECOND: u64 = 700;
const RUNS: usize = 3;
const BINARY: &str = env!("CARGO_BIN_EXE_tidewheel");

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("machine: {} cores, {}, median of {RUNS} runs", threads, cpu_model());
    println!(
        "market: {TRADES} trades of {SYMBOLS} symbols, {PER_SECOND} a second of event time; bars 1s 1m 5m 15m 1h 4h 1d"
    );
    let parquet = generate("trades.parquet", TRADES, &[]);
    let corrected = generate("corrected.parquet", TRADES, &["--cancelled", "0.0005", "--corrected", "0.0005"]);
    let json = generate("trades.jsonl", JSON_TRADES, &["--format", "binance"]);

    let columns = median(|| decode_columns(&parquet, threads));
    let batches = read_batches(&parquet);
    let fold = median(|| fold_arrays(&batches));
    drop(batches);
    let lines = std::fs::read(&json).expect("the generated lines");
    let parse = median(|| parse_lines(&lines, threads));
    drop(lines);
    let from_parquet = median(|| replay(&parquet, &[]));
    let with_corrections = median(|| replay(&corrected, &[]));
    let from_json = median(|| replay(&json, &["--format", "binance"]));

    let rate = |trades: u64, time: Duration| trades as f64 / time.as_secs_f64() / 1e6;
    let (columns, fold) = (rate(TRADES, columns), rate(TRADES, fold));
    let parse = rate(JSON_TRADES, parse);
    let (from_parquet, with_corrections) = (rate(TRADES, from_parquet), rate(TRADES, with_corrections));
    let from_json = rate(JSON_TRADES, from_json);
    println!("\n{:<52}{:>10}  beside", "", "M trades/s");
    let row = |what: &str, rate: f64, beside: String| println!("{what:<52}{rate:>10.2}  {beside}");
    row("(a) decode the six Parquet columns, all cores", columns, String::new());
    row("(b) fold decoded arrays to 1 m bars, one core", fold, String::new());
    row("(c) parse the JSON lines, all cores", parse, String::new());
    row(
        "replay Parquet to lake",
        from_parquet,
        format!("{:.2} of (a), {:.3} of (b)", from_parquet / columns, from_parquet / fold),
    );
    row(
        "replay Parquet with 0.1 % cancels and corrections",
        with_corrections,
        format!("{:.2} of replay without", with_corrections / from_parquet),
    );
    row("replay Binance JSON lines to lake", from_json, format!("{:.2} of (c)", from_json / parse));
}

/// The file of a market, made once and kept beside the build.
fn generate(name: &str, trades: u64, arguments: &[&str]) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-{trades}-{name}"));
    if !path.exists() {
        let status = Command::new(BINARY)
            .args(["generate", "--symbols", &SYMBOLS.to_string(), "--trades", &trades.to_string()])
            .args(["--trades-per-second", &PER_SECOND.to_string(), "--output"])
            .arg(&path)
            .args(arguments)
            .output()
            .expect("the program was built");
        assert!(status.status.success(), "{}", String::from_utf8_lossy(&status.stderr));
    }
    path
}

fn median(mut run: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<Duration> = (0..RUNS).map(|_| run()).collect();
    times.sort();
    times[RUNS / 2]
}

/// The whole program, from start to exit, as a user times it.
fn replay(input: &Path, arguments: &[&str]) -> Duration {
    let lake = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder for the lake");
    let started = Instant::now();
    let output = Command::new(BINARY)
        .args(["replay", "--quiet", "--lake"])
        .arg(lake.path())
        .arg("--input")
        .arg(input)
        .args(arguments)
        .output()
        .expect("the program was built");
    let elapsed = started.elapsed();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    elapsed
}

const COLUMNS: [&str; 6] = ["symbol", "trade_id", "event_time", "price", "quantity", "aggressor_side"];

fn reader_of(path: &Path) -> (File, ArrowReaderMetadata) {
    let file = File::open(path).expect("the generated file");
    let metadata = ArrowReaderMetadata::load(&file, Default::default()).expect("Parquet");
    (file, metadata)
}

/// Decodes the columns a bar is made of, row group by row group, and drops them.
fn decode_columns(path: &Path, threads: usize) -> Duration {
    let started = Instant::now();
    let (_, metadata) = reader_of(path);
    let next = AtomicUsize::new(0);
    let groups = metadata.metadata().num_row_groups();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let group = next.fetch_add(1, Ordering::Relaxed);
                    if group >= groups {
                        break;
                    }
                    // Each its own: duplicated handles share their place in the file.
                    let file = File::open(path).expect("the generated file");
                    read_group(file, &metadata, group, |batch| drop(std::hint::black_box(batch)));
                }
            });
        }
    });
    started.elapsed()
}

fn read_group(file: File, metadata: &ArrowReaderMetadata, group: usize, mut take: impl FnMut(RecordBatch)) {
    let mask = ProjectionMask::columns(metadata.parquet_schema(), COLUMNS);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata.clone());
    let reader = builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(65_536).build();
    reader.expect("a reader").for_each(|batch| take(batch.expect("a batch")));
}

/// What a fold needs, as plain arrays.
struct Plain {
    instrument: Vec<u16>,
    minute: Vec<u32>,
    price: Vec<i64>,
    quantity: Vec<i64>,
}

fn read_batches(path: &Path) -> Vec<Plain> {
    let (file, metadata) = reader_of(path);
    let (mut plain, mut symbols) = (Vec::new(), Vec::<String>::new());
    for group in 0..metadata.metadata().num_row_groups() {
        let file = file.try_clone().expect("a second handle");
        read_group(file, &metadata, group, |batch| plain.push(plain_of(&batch, &mut symbols)));
    }
    plain
}

fn plain_of(batch: &RecordBatch, symbols: &mut Vec<String>) -> Plain {
    let column = |name: &str| batch.column_by_name(name).expect("a column of the generator");
    let texts = arrow::compute::cast(column("symbol"), &arrow::datatypes::DataType::Utf8).expect("text");
    let instrument = texts.as_string::<i32>().iter().map(|symbol| {
        let symbol = symbol.expect("a symbol");
        let known = symbols.iter().position(|known| known == symbol);
        known.unwrap_or_else(|| {
            symbols.push(symbol.to_owned());
            symbols.len() - 1
        }) as u16
    });
    let instrument = instrument.collect();
    let nanoseconds = arrow::compute::cast(
        column("event_time"),
        &arrow::datatypes::DataType::Timestamp(arrow::datatypes::TimeUnit::Nanosecond, None),
    );
    let nanoseconds = nanoseconds.expect("a time");
    let times = nanoseconds.as_primitive::<TimestampNanosecondType>().values();
    Plain {
        instrument,
        minute: times.iter().map(|time| (time / 60_000_000_000 % 100_000) as u32).collect(),
        price: integers(column("price")),
        quantity: integers(column("quantity")),
    }
}

fn integers(column: &arrow::array::ArrayRef) -> Vec<i64> {
    if let Some(values) = column.as_primitive_opt::<Decimal64Type>() {
        return values.values().to_vec();
    }
    if let Some(values) = column.as_primitive_opt::<Decimal128Type>() {
        return values.values().iter().map(|value| *value as i64).collect();
    }
    if let Some(values) = column.as_primitive_opt::<TimestampMicrosecondType>() {
        return values.values().to_vec();
    }
    column.as_primitive::<Int64Type>().values().to_vec()
}

#[derive(Clone, Copy, Default)]
struct Cell {
    open: i64,
    high: i64,
    low: i64,
    close: i64,
    volume: i128,
    quote_volume: i128,
    count: u64,
}

/// The least that makes bars: an array by instrument and minute, trades in order, nothing late, nothing twice.
fn fold_arrays(batches: &[Plain]) -> Duration {
    let minutes = (TRADES / PER_SECOND / 60 + 2) as usize;
    let first = batches.first().and_then(|batch| batch.minute.first()).copied().unwrap_or_default();
    let started = Instant::now();
    let mut cells = vec![Cell::default(); minutes * (SYMBOLS as usize + 1)];
    for batch in batches {
        for row in 0..batch.price.len() {
            let minute = (batch.minute[row].saturating_sub(first) as usize).min(minutes - 1);
            let cell = &mut cells[batch.instrument[row] as usize * minutes + minute];
            let (price, quantity) = (batch.price[row], batch.quantity[row]);
            if cell.count == 0 {
                (cell.open, cell.high, cell.low) = (price, price, price);
            }
            cell.high = cell.high.max(price);
            cell.low = cell.low.min(price);
            cell.close = price;
            cell.volume += i128::from(quantity);
            cell.quote_volume += i128::from(price) * i128::from(quantity);
            cell.count += 1;
        }
    }
    std::hint::black_box(&cells);
    started.elapsed()
}

#[derive(serde::Deserialize)]
struct BinanceTrade<'a> {
    s: &'a str,
    t: u64,
    p: &'a str,
    q: &'a str,
    #[serde(rename = "T")]
    time: u64,
    m: bool,
}

/// Parses each line into a borrowed struct and its two numbers into fixed point, and drops it.
fn parse_lines(lines: &[u8], threads: usize) -> Duration {
    let started = Instant::now();
    let piece = lines.len() / threads + 1;
    std::thread::scope(|scope| {
        for number in 0..threads {
            scope.spawn(move || {
                let end_of_line = |from: usize| {
                    lines[from..].iter().position(|&byte| byte == b'\n').map_or(lines.len(), |at| from + at + 1)
                };
                let start = if number == 0 { 0 } else { end_of_line((number * piece).min(lines.len())) };
                let end = end_of_line(((number + 1) * piece).min(lines.len()));
                for line in lines[start..end].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                    let trade: BinanceTrade<'_> = sonic_rs::from_slice(line).expect("a trade");
                    let price = tidewheel_schemas::parse_e8(trade.p.as_bytes());
                    let quantity = tidewheel_schemas::parse_e8(trade.q.as_bytes());
                    let _ = std::hint::black_box((trade.s, trade.t, price, quantity, trade.time, trade.m));
                }
            });
        }
    });
    started.elapsed()
}

fn cpu_model() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    model.map_or_else(|| "unknown processor".to_owned(), |model| model.trim_start_matches([' ', '\t', ':']).to_owned())
}
