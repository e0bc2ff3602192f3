//! How fast files are made and read here: `cargo run --release --example file_speed [rows] [threads]`.
//!
//! Writes a market as Parquet and as JSON lines into a temporary directory, reads both back, and prints records a second.
//! Reading JSON lines is cutting them; decoding them is another matter.
//!
//! Estimate: a Parquet row is about 25 bytes packed and 58 unpacked; at a gigabyte a second and core of each, 15 million
//! rows a second and core. A line is about 150 bytes, looked at once: 10 million lines a second.
//!
//! Measured, per processor second, on one core of a virtual machine shared with other work (10 million trades, 20
//! symbols): events made 28.6 million; made and rendered as Binance 8.1, canonical 7.8, Coinbase 5.3 million; Parquet
//! written 3.0 million, at 11 bytes a row; Binance lines written 2.9 million; Parquet read 12.7 million, all ten
//! columns; lines cut 24 to 30 million. Most of reading Parquet is zstd.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;
use tidewheel_connectors::file::{FileOptions, open_inputs};
use tidewheel_connectors::generate::{
    Market, MarketConfig, TextOptions, WireFormat, render, write_parquet, write_text,
};
use tidewheel_connectors::source::Work;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<u64> = std::env::args().skip(1).map(|text| text.parse()).collect::<Result<_, _>>()?;
    let rows = arguments.first().copied().unwrap_or(10_000_000);
    let threads = arguments.get(1).copied().unwrap_or(2);
    let directory = std::env::temp_dir().join(format!("tidewheel-file-speed-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    let result = measure(&directory, rows, threads);
    std::fs::remove_dir_all(&directory)?;
    result
}

fn measure(directory: &Path, rows: u64, threads: u64) -> Result<(), Box<dyn std::error::Error>> {
    let market = || Market::new(MarketConfig { trades: rows, ..MarketConfig::default() });
    let parquet = directory.join("trades.parquet");
    let lines = directory.join("trades.jsonl");

    let start = Moment::now();
    let sum = market()?.fold(0u64, |sum, event| sum.wrapping_add(event.trade.quantity_e8 as u64));
    report("make events", rows, start);
    std::hint::black_box(sum);
    for format in [WireFormat::Canonical, WireFormat::Binance, WireFormat::Coinbase] {
        let (start, market) = (Moment::now(), market()?);
        let instrument = market.instruments()[0].clone();
        let (mut out, mut bytes) = (Vec::new(), 0);
        for event in market {
            out.clear();
            render(&event, &instrument, format, &mut out);
            bytes += out.len();
        }
        report(&format!("make and render {format:?}, {} bytes each", bytes as u64 / rows.max(1)), rows, start);
    }
    let start = Moment::now();
    write_parquet(&parquet, &mut market()?)?;
    report(&format!("write Parquet, {} bytes each", std::fs::metadata(&parquet)?.len() / rows.max(1)), rows, start);
    let start = Moment::now();
    write_text(&lines, &mut market()?, TextOptions { format: WireFormat::Binance, has_receive_time: false })?;
    report("write Binance lines", rows, start);

    for threads in [1, threads] {
        let start = Moment::now();
        let read = read(&parquet, threads)?;
        report(&format!("read Parquet, {threads} threads"), read, start);
    }
    let start = Moment::now();
    let read = read(&lines, 1)?;
    report("cut lines", read, start);
    Ok(())
}

/// Reads a file, its work shared among threads; returns the records.
fn read(path: &Path, threads: u64) -> Result<u64, Box<dyn std::error::Error>> {
    let mut readers = open_inputs(&[path.display().to_string()], &FileOptions::default())?;
    let reader = Mutex::new(&mut readers[0]);
    let read = || {
        let mut records = 0;
        loop {
            let work = reader.lock().expect("no thread panics").read().expect("a file that reads");
            match work {
                Some(Work::Rows(decode)) => records += decode().columns.len() as u64,
                Some(Work::Messages(block)) => records += block.messages.len() as u64,
                None => return records,
            }
        }
    };
    Ok(std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(read)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
    }))
}

/// A moment, on the clock and in seconds of processor time used until then.
struct Moment(Instant, f64);

impl Moment {
    fn now() -> Self {
        Self(Instant::now(), processor_seconds())
    }
}

/// Processor time of all threads, in hundredths; zero where the system does not tell.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn report(what: &str, records: u64, start: Moment) {
    let (seconds, used) = (start.0.elapsed().as_secs_f64(), processor_seconds() - start.1);
    let million = records as f64 / 1e6;
    println!(
        "{what}: {:.1} million a second, {:.1} million a processor second ({seconds:.2} s, {used:.2} s)",
        million / seconds,
        million / used.max(0.01)
    );
}
