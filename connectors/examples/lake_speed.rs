//! How many bars a second the lake takes, encoding, compression and sync included.
//!
//! `cargo run --release -p tidewheel-connectors --example lake_speed -- [rows] [threads] [folder]`
//!
//! Estimate: a row is 19 columns and about 190 bytes before compression; zstd at level 1 takes 300 to 500 MB/s on one core.
//! The aim is 2 M rows/s on one core. Measured on two virtual cores under the load of other builds: 0.88 to 0.98 M rows/s of
//! processor time and 54 bytes/row; a fifth of the process is zstd, a tenth page faults, the rest is spread thin.
//! Sync is of the disk, so a folder in memory (`/dev/shm`) shows the processor alone.

use std::path::PathBuf;
use std::time::Instant;
use tidewheel_connectors::lake::{CommitProgress, Lake, LakeConfig, OnExisting};
use tidewheel_schemas::{Bar, BarVersion, Instrument, Interval, TickOutput, TradeId, TradeKey};

/// Instruments, and seconds of event time that one tick publishes.
const INSTRUMENTS: u64 = 100;
const SECONDS_PER_TICK: u64 = 10;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let rows: u64 = arguments.next().map_or(Ok(1_300_000), |text| text.parse())?;
    let threads: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let folder = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let folder = folder.join(format!("tidewheel_lake_speed_{}", std::process::id()));

    let ticks = bars_by_tick(rows);
    let mut config = LakeConfig::new(&folder);
    config.threads = threads;
    config.on_existing = OnExisting::Replace;
    let mut lake = Lake::open(config)?;
    let started = Instant::now();
    ticks.into_iter().for_each(|tick| assert!(lake.append(tick), "every tick is new"));
    let appended = started.elapsed();
    let before_s = processor_s();
    let report = lake.commit(&CommitProgress::default())?;
    let processor_s = processor_s() - before_s;
    println!(
        "{rows} bars of 1 s into bars and bars_changelog: append {:.3} s, commit {:.3} s with {threads} thread(s), \
         {:.2} M rows/s, {:.2} M rows/s of processor time, {:.1} bytes/row",
        appended.as_secs_f64(),
        report.elapsed.as_secs_f64(),
        rows as f64 / report.elapsed.as_secs_f64() / 1e6,
        rows as f64 / processor_s / 1e6,
        report.bytes as f64 / report.rows as f64,
    );
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// Processor time of this process, all threads, in seconds; not a number where Linux does not tell.
fn processor_s() -> f64 {
    let ticks = || -> Option<f64> {
        let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
        // After the name in parentheses, user and system time are the 12th and 13th field, in hundredths of a second.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
        Some(fields.next()?.parse::<f64>().ok()? + fields.next()?.parse::<f64>().ok()?)
    };
    ticks().map_or(f64::NAN, |ticks| ticks / 100.0)
}

/// Prices that walk, ids that count up, volumes of random digits: what a busy venue looks like to a compressor.
fn bars_by_tick(rows: u64) -> Vec<TickOutput> {
    let names: Vec<String> = (0..INSTRUMENTS).map(|number| format!("COIN{number:02}USDT")).collect();
    let mut instruments: Vec<Instrument> =
        names.iter().map(|name| Instrument::new("binance", name).expect("a valid name")).collect();
    instruments.sort();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let mut price_e8 = vec![6_183_763_000_000_i64; instruments.len()];
    let mut id = vec![3_000_000_000_u64; instruments.len()];
    let seconds = rows / INSTRUMENTS;
    let start_s = 1_700_006_400;
    let mut ticks = Vec::new();
    for from in (0..seconds).step_by(SECONDS_PER_TICK as usize) {
        let mut output = TickOutput { tick: (start_s + from + SECONDS_PER_TICK) * 1_000, ..TickOutput::default() };
        for (number, instrument) in instruments.iter().enumerate() {
            for second in from..(from + SECONDS_PER_TICK).min(seconds) {
                let open_time_ns = (start_s + second) as i64 * 1_000_000_000;
                let open_e8 = price_e8[number];
                let close_e8 = open_e8 + (next(2_001) as i64 - 1_000) * 1_000_000;
                price_e8[number] = close_e8;
                let trade_count = 1 + next(20);
                let volume_e8 = i128::from(1 + next(500_000_000) * 1_000 % 500_000_000);
                let taker_buy_volume_e8 = volume_e8 * i128::from(next(1_000)) / 1_000;
                let key = |id| TradeKey { event_time_ns: open_time_ns, id: TradeId::number(id) };
                let first = key(id[number]);
                id[number] += trade_count;
                let bar = Bar {
                    volume_e8,
                    quote_volume_e16: volume_e8 * i128::from(open_e8),
                    taker_buy_volume_e8,
                    taker_buy_quote_volume_e16: taker_buy_volume_e8 * i128::from(close_e8),
                    first,
                    last: key(id[number] - 1),
                    open_e8,
                    high_e8: open_e8.max(close_e8) + next(100) as i64 * 1_000_000,
                    low_e8: open_e8.min(close_e8) - next(100) as i64 * 1_000_000,
                    close_e8,
                    trade_count,
                };
                output.bars.push(BarVersion {
                    instrument: instrument.clone(),
                    interval: Interval::S1,
                    open_time_ns,
                    tick: output.tick,
                    revision: 0,
                    is_final: true,
                    bar: Some(bar),
                });
            }
        }
        ticks.push(output);
    }
    ticks
}
