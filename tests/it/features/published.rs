//! Expected values of indicators that others published (Stock.Indicators), where their convention is ours or differs in a known way.

use serde_json::Value;
use std::path::{Path, PathBuf};
use tidewheel_operators::TickHeader;
use tidewheel_operators::features::{FeatureLedger, FeaturesConfig, View};
use tidewheel_schemas::{Bar, BarVersion, Instrument, Interval, TradeId, TradeKey, parse_e8};

const COLUMNS: [&str; 10] = [
    "sma_20@talib",
    "ema_20@talib",
    "rsi_14@talib",
    "atr_14@talib",
    "natr_14@talib",
    "williams_r_14@talib",
    "obv@talib",
    "adx_14@talib",
    "plus_di_14@talib",
    "minus_di_14@talib",
];

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/indicators");
    if !folder.is_dir() {
        println!("skipped: the quotes are missing, expected in {}", folder.display());
        return None;
    }
    Some(folder)
}

/// The rows of daily quotes, a value for each of [`COLUMNS`].
fn rows(folder: &Path) -> Vec<Vec<Option<f64>>> {
    let text = std::fs::read_to_string(folder.join("quotes-default.csv")).expect("the quotes");
    let view = View::resolve("daily", 1, Interval::D1, &COLUMNS).expect("all are features");
    let mut ledger = FeatureLedger::new(&FeaturesConfig { views: vec![view], is_saved: false, min_quality: None });
    let instrument = Instrument::new("exchange", "QUOTES").expect("a name");
    let mut rows = Vec::new();
    for (day, line) in (0..).zip(text.lines().skip(1)) {
        let cells: Vec<&str> = line.split(',').collect();
        let e8 = |at: usize| parse_e8(cells[at].as_bytes()).expect("a decimal");
        // Days without a session have no bar: each quote is the next day.
        let open_time_ns = day * Interval::D1.duration_ns();
        let key = TradeKey { event_time_ns: open_time_ns, id: TradeId::number(1) };
        let bar = Bar {
            volume_e8: e8(5).into(),
            quote_volume_e16: i128::from(e8(5)) * i128::from(e8(4)),
            taker_buy_volume_e8: 0,
            taker_buy_quote_volume_e16: 0,
            first: key,
            last: key,
            open_e8: e8(1),
            high_e8: e8(2),
            low_e8: e8(3),
            close_e8: e8(4),
            trade_count: 1,
        };
        let header = TickHeader {
            tick: day as u64,
            frozen_ns: i64::MIN,
            watermark_ns: i64::MAX,
            publish_provisional: false,
            is_last: false,
            save: None,
            is_restore: false,
        };
        let interval = Interval::D1;
        let instrument = instrument.clone();
        let version = BarVersion {
            instrument,
            interval,
            open_time_ns,
            tick: header.tick,
            revision: 0,
            is_final: true,
            bar: Some(bar),
        };
        let changed = ledger.apply_bars(&header, &[version]);
        rows.extend(changed.into_iter().map(|row| row.values.expect("a row").into_vec()));
    }
    rows
}

/// One field of the expected values, from the first quote on.
fn expected(folder: &Path, file: &str, field: &str) -> Vec<Option<f64>> {
    let text = std::fs::read_to_string(folder.join(file)).expect("the expected values");
    let values: Value = serde_json::from_str(&text).expect("JSON");
    let values = values.as_array().expect("a list");
    assert!(values.iter().any(|value| value[field].is_number()), "{file} has no {field}");
    values.iter().map(|value| value[field].as_f64()).collect()
}

/// Compares a column with a field, to which something is added; `skip` quotes at the beginning are not looked at.
fn compare(folder: &Path, column: &str, file: &str, field: &str, (skip, add, tolerance): (usize, f64, f64)) {
    let at = COLUMNS.iter().position(|name| *name == column).expect("a column");
    let (rows, expected) = (rows(folder), expected(folder, file, field));
    assert_eq!(rows.len(), expected.len(), "{file}");
    let mut compared = 0;
    for (day, (row, expected)) in rows.iter().zip(&expected).enumerate().skip(skip) {
        match (row[at], expected) {
            (None, None) => {}
            (Some(value), Some(expected)) => {
                let expected = expected + add;
                let error = (value - expected).abs() / expected.abs().max(1.0);
                assert!(error <= tolerance, "{column} day {day}: {value} instead of {expected}");
                compared += 1;
            }
            (value, expected) => panic!("{column} day {day}: {value:?} instead of {expected:?}"),
        }
    }
    println!("{column}: {compared} values equal");
    assert!(compared >= 150, "{column}: only {compared} values were compared");
}

#[test]
fn indicators_are_those_published() {
    let Some(folder) = folder() else { return };
    let same = (0, 0.0, 1e-9);
    compare(&folder, "sma_20@talib", "expected-sma.json", "sma", same);
    compare(&folder, "ema_20@talib", "expected-ema.json", "ema", same);
    compare(&folder, "rsi_14@talib", "expected-rsi.json", "rsi", same);
    compare(&folder, "atr_14@talib", "expected-atr.json", "atr", same);
    compare(&folder, "natr_14@talib", "expected-atr.json", "atrp", same);
    compare(&folder, "williams_r_14@talib", "expected-willr.json", "williamsR", same);
    // Theirs begins with nothing, TA-Lib's with the first volume.
    compare(&folder, "obv@talib", "expected-obv.json", "obv", (0, 96_708_880.0, 1e-9));
    // TA-Lib's sums begin a bar earlier; after 350 days a seed has no weight left (13/14 to the 350th).
    let settled = (350, 0.0, 1e-9);
    compare(&folder, "plus_di_14@talib", "expected-adx.json", "pdi", settled);
    compare(&folder, "minus_di_14@talib", "expected-adx.json", "mdi", settled);
    compare(&folder, "adx_14@talib", "expected-adx.json", "adx", settled);
}
