//! How fast features are: a minute's close of 1,000 instruments, and history.
//!
//! ```sh
//! cargo run --release -p tidewheel-operators --example feature_speed
//! ```
//!
//! Estimate: `core_technical` has 53 columns over minutes. A third are recursions of some 5 ns, the rest look back at 1 to 200 bars
//! of 100 bytes, together 1,200 bars at about 2 ns, and take 120 logarithms at 8 ns: 4 us a bar. So 1,000 instruments close in 5 ms,
//! and one core makes 250,000 rows a second of history.
//!
//! Measured on a cloud machine of two cores with a load of 7 (processor time): a close of 1,000 instruments 8 ms at p50, 15 ms at
//! p99, 64 ms where all drop old bars at once; history 308,000 rows/s, `feature_speed.py` 261,000 to 294,000. With the logarithms of
//! each bar taken anew for each window it was 12 ms and 180,000 rows/s.
#![allow(clippy::disallowed_types, reason = "a bench reads the clock")]

use std::time::Instant;
use tidewheel_operators::TickHeader;
use tidewheel_operators::features::{FeatureLedger, FeaturesConfig, View};
use tidewheel_operators::saved::Saving;
use tidewheel_schemas::{Bar, BarVersion, Instrument, Interval, SECOND_NS, TradeId, TradeKey};

/// What a step took: by the clock, and, where the system tells, on the processor. On a busy machine the first says little.
#[derive(Clone, Copy)]
struct Took {
    ms: f64,
    processor_ms: f64,
}

fn timed<T>(step: impl FnOnce() -> T) -> (T, Took) {
    let (begun, processor_begun) = (Instant::now(), processor_ns());
    let value = step();
    let processor_ms = (processor_ns() - processor_begun) as f64 / 1e6;
    (value, Took { ms: begun.elapsed().as_secs_f64() * 1e3, processor_ms })
}

/// Nanoseconds that this thread was on a processor; 0 where the system does not tell.
fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

const MINUTE_NS: i64 = 60 * SECOND_NS;
/// 2026-01-05 00:00 UTC.
const BEGIN_NS: i64 = 1_767_571_200 * SECOND_NS;

fn main() {
    let view = View::core_technical();
    println!("core_technical: {} columns", view.columns.len());
    closes(&view, 1_000, 400);
    corrections(&view, 1_000, 400);
    history(&view, 10, 30 * 24 * 60);
}

/// Deterministic noise, 0 to 1.
fn noise(instrument: usize, minute: i64, salt: u64) -> f64 {
    let mut mixed = (instrument as u64) << 40 ^ (minute as u64) << 8 ^ salt;
    for _ in 0..2 {
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    }
    (mixed >> 11) as f64 / (1u64 << 53) as f64
}

fn bar(instrument: usize, minute: i64) -> Bar {
    let price = |salt| 10_000_000_000 + (noise(instrument, minute, salt) * 1e8) as i64;
    let prices = [price(1), price(2), price(3), price(4)];
    let volume = 1 + (noise(instrument, minute, 5) * 1e10) as i128;
    let key = |at: i64| TradeKey { event_time_ns: BEGIN_NS + minute * MINUTE_NS + at, id: TradeId::number(1) };
    Bar {
        volume_e8: volume,
        quote_volume_e16: volume * i128::from(prices[1]),
        taker_buy_volume_e8: (noise(instrument, minute, 6) * volume as f64) as i128,
        taker_buy_quote_volume_e16: 0,
        first: key(0),
        last: key(1),
        open_e8: prices[0],
        high_e8: prices.into_iter().max().unwrap_or_default(),
        low_e8: prices.into_iter().min().unwrap_or_default(),
        close_e8: prices[3],
        trade_count: 1 + (noise(instrument, minute, 7) * 100.0) as u64,
    }
}

/// What becomes final with a minute: its own bars, and the longer ones that end with it.
fn versions(names: &[Instrument], minute: i64) -> Vec<BarVersion> {
    let close_ns = BEGIN_NS + (minute + 1) * MINUTE_NS;
    let ending = [Interval::M1, Interval::M5, Interval::H1]
        .into_iter()
        .filter(|interval| interval.open_of(close_ns) == close_ns);
    ending
        .flat_map(|interval| {
            names.iter().enumerate().map(move |(number, name)| BarVersion {
                instrument: name.clone(),
                interval,
                open_time_ns: close_ns - interval.duration_ns(),
                tick: minute as u64,
                revision: 0,
                is_final: true,
                bar: Some(bar(number, minute)),
            })
        })
        .collect()
}

/// A horizon of an hour.
fn header(minute: i64) -> TickHeader {
    TickHeader {
        tick: minute as u64,
        frozen_ns: BEGIN_NS + (minute - 60) * MINUTE_NS,
        watermark_ns: BEGIN_NS + (minute + 1) * MINUTE_NS,
        publish_provisional: false,
        is_last: false,
        save: None,
        is_restore: false,
    }
}

fn names(count: usize) -> Vec<Instrument> {
    let name = |number| Instrument::new("binance", &format!("SYMBOL{number:04}")).expect("a plain name");
    (0..count).map(name).collect()
}

fn ledger(view: &View) -> FeatureLedger {
    FeatureLedger::new(&FeaturesConfig { views: vec![view.clone()], is_saved: true, min_quality: None })
}

/// Every instrument's minute becomes final in one tick.
fn closes(view: &View, instruments: usize, minutes: i64) {
    let names = names(instruments);
    let mut ledger = ledger(view);
    let (mut plain, mut hours) = (Vec::new(), Vec::new());
    for minute in 0..minutes {
        let versions = versions(&names, minute);
        let (rows, took) = timed(|| ledger.apply_bars(&header(minute), &versions));
        assert_eq!(rows.len(), instruments);
        if minute >= 250 {
            if minute % 60 == 59 { hours.push(took) } else { plain.push(took) }
        }
        if minute % 30 == 29 {
            let _ = ledger.save(Saving { every: 16, turn: (minute / 30 % 16) as u32 });
        }
    }
    tell(&format!("a minute's close of {instruments} instruments"), plain);
    tell("likewise at the end of an hour", hours);
    let (parts, took) = timed(|| ledger.save(Saving::ALL));
    println!("{:?}; all saved in {:.0} ms of processor, {} parts", ledger.sizes(), took.processor_ms, parts.len());
}

fn tell(what: &str, took: Vec<Took>) {
    let of = |which: fn(&Took) -> f64| {
        let mut values: Vec<f64> = took.iter().map(which).collect();
        values.sort_by(f64::total_cmp);
        let at = |share: f64| values[((values.len() - 1) as f64 * share) as usize];
        format!("p50 {:.1}, p99 {:.1}, max {:.1}", at(0.5), at(0.99), at(1.0))
    };
    println!("{what}, ms: {} of processor; {} by the clock", of(|took| took.processor_ms), of(|took| took.ms));
}

/// A minute half an hour ago changes, of one instrument in ten.
fn corrections(view: &View, instruments: usize, minutes: i64) {
    let names = names(instruments);
    let mut ledger = ledger(view);
    for minute in 0..minutes {
        ledger.apply_bars(&header(minute), &versions(&names, minute));
    }
    let closed_at_low = |version: BarVersion| BarVersion {
        revision: 1,
        bar: version.bar.map(|bar| Bar { close_e8: bar.low_e8, ..bar }),
        ..version
    };
    let changed: Vec<BarVersion> = versions(&names, minutes - 30).into_iter().step_by(10).map(closed_at_low).collect();
    let (rows, took) = timed(|| ledger.apply_bars(&header(minutes - 1), &changed));
    let ms = took.processor_ms;
    println!("{} bars revised half an hour back: {} rows in {ms:.1} ms of processor", changed.len(), rows.len());
}

/// Minutes one after the other, an hour of them a tick.
fn history(view: &View, instruments: usize, minutes: i64) {
    let names = names(instruments);
    let mut ledger = ledger(view);
    let (mut rows, mut processor_s, mut clock_s) = (0, 0.0, 0.0);
    for hour in 0..minutes / 60 {
        let versions: Vec<BarVersion> =
            (hour * 60..hour * 60 + 60).flat_map(|minute| versions(&names, minute)).collect();
        let (count, took) = timed(|| {
            let _ = ledger.save(Saving { every: 16, turn: 0 });
            ledger.apply_bars(&header(hour * 60 + 59), &versions).len()
        });
        rows += count;
        processor_s += took.processor_ms / 1e3;
        clock_s += took.ms / 1e3;
    }
    let rate = rows as f64 / processor_s;
    println!(
        "{rows} rows of history: {rate:.0} rows a processor second ({processor_s:.1} s; {clock_s:.1} s by the clock)"
    );
}
