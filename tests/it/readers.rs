//! A lake is read by those it is for: DuckDB, Polars, pandas and pyarrow, each by a plain glob.
//!
//! They are installed once into a virtual environment in the user's cache folder. Where that is not possible, the test
//! says so and passes.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use tidewheel_connectors::lake::{CommitProgress, Lake, LakeConfig};
use tidewheel_schemas::{
    AcceptedRows, AggressorSide, Bar, BarVersion, Instrument, Interval, TickOutput, Trade, TradeColumns, TradeId,
    TradeKind, format_e8, format_e16,
};

const DAY_S: i64 = 86_400;
/// 2023-11-14 00:00 UTC.
const START_S: i64 = 1_699_920_000;
const SYMBOLS: [&str; 3] = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];

#[test]
fn duckdb_polars_pandas_and_pyarrow_read_the_same_numbers() {
    let Some(python) = python_with_readers() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let lake = folder.path().join("lake");
    let expected = write_lake(&lake);
    let expected_path = folder.path().join("expected.json");
    std::fs::write(&expected_path, expected.to_string()).expect("a file");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/lake_readers.py");
    let output = Command::new(python).arg(script).arg(&lake).arg(&expected_path).output().expect("python runs");
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A Python that has the four readers, installed if need be; nothing where they cannot be had.
pub fn python_with_readers() -> Option<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let folder = cache?.join("tidewheel/python");
    let python = folder.join("bin/python");
    let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    let has_readers = || succeeds(Command::new(&python).args(["-c", "import duckdb, polars, pandas, pyarrow"]));
    if has_readers() {
        return Some(python);
    }
    let is_made = succeeds(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        && succeeds(
            Command::new(&python).args(["-m", "pip", "install", "--quiet", "duckdb", "polars", "pandas", "pyarrow"]),
        )
        && has_readers();
    if !is_made {
        println!("skipped: DuckDB, Polars, pandas and pyarrow cannot be installed here (python3 or PyPI out of reach)");
    }
    is_made.then_some(python)
}

/// Bars of two days with corrections, a tombstone and provisional versions, in three commits; and what a reader must find.
fn write_lake(root: &Path) -> serde_json::Value {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut lake = Lake::open(LakeConfig {
        intervals: vec![Interval::M1, Interval::H1],
        max_rows_per_file: 1_000,
        sources: vec!["trades[0]".into()],
        ..LakeConfig::new(root)
    })
    .expect("a new lake");
    let mut right_now = BTreeMap::new();
    let (mut changelog_rows, mut trades) = (0, Vec::new());
    for commit in 0..3u64 {
        let tick = (START_S.cast_unsigned() + commit) * 1_000;
        let mut versions = Vec::new();
        for interval in [Interval::M1, Interval::H1] {
            for symbol in SYMBOLS {
                for bar in 0..500 {
                    let open_time_ns = START_S * 1_000_000_000 + (500 * commit as i64 + bar) * interval.duration_ns();
                    let trade = random_trade(&mut random, open_time_ns, trades.len() as u64);
                    trades.push(trade);
                    versions.push(version(symbol, interval, open_time_ns, tick, Some(Bar::of(&trade))));
                }
            }
        }
        versions[1].is_final = false;
        if commit == 2 {
            let corrected = Bar::of(&random_trade(&mut random, START_S * 1_000_000_000, 9));
            let revised = |symbol, minute: i64, bar| BarVersion {
                revision: 1,
                ..version(symbol, Interval::M1, (START_S + 60 * minute) * 1_000_000_000, tick, bar)
            };
            versions.extend([revised(SYMBOLS[0], 10, Some(corrected)), revised(SYMBOLS[1], 20, None)]);
        }
        changelog_rows += versions.len();
        for version in versions.iter().filter(|version| version.is_final) {
            let key = (version.instrument.clone(), version.interval, version.open_time_ns);
            match version.bar {
                Some(bar) => drop(right_now.insert(key, bar)),
                None => drop(right_now.remove(&key)),
            }
        }
        versions.sort();
        lake.append(TickOutput { tick, bars: versions, ..TickOutput::default() });
        if commit == 2 {
            lake.append(TickOutput { tick, accepted: vec![accepted(&trades)], ..TickOutput::default() });
        }
        let progress = CommitProgress { tick_frontier: tick + 1, ..CommitProgress::default() };
        lake.commit(&progress).expect("a commit");
    }
    let bars = || right_now.values();
    json!({
        "rows": right_now.len(),
        "volume": format_e8(bars().map(|bar| bar.volume_e8).sum()),
        "quote_volume": format_e16(bars().map(|bar| bar.quote_volume_e16).sum()),
        "trade_count": bars().map(|bar| bar.trade_count).sum::<u64>(),
        "intervals": ["1m", "1h"],
        "symbol": SYMBOLS[0],
        "rows_of_symbol": right_now.keys().filter(|key| &*key.0.symbol == SYMBOLS[0] && key.1 == Interval::M1).count(),
        "changelog_rows": changelog_rows,
        "tombstones": 1,
        "trades": trades.len(),
        "quantity": format_e8(trades.iter().map(|trade| i128::from(trade.quantity_e8)).sum()),
    })
}

fn random_trade(random: &mut ChaCha8Rng, event_time_ns: i64, id: u64) -> Trade {
    Trade {
        event_time_ns: event_time_ns + random.random_range(0..DAY_S),
        id: TradeId::number(id),
        price_e8: random.random_range(1..10_000_000_000_000),
        quantity_e8: random.random_range(1..1_000_000_000_000),
        count: random.random_range(1..5),
        side: if random.random_bool(0.5) { AggressorSide::Buy } else { AggressorSide::Sell },
        kind: TradeKind::Market,
    }
}

fn version(symbol: &str, interval: Interval, open_time_ns: i64, tick: u64, bar: Option<Bar>) -> BarVersion {
    let instrument = Instrument::new("binance", symbol).expect("a valid name");
    BarVersion { instrument, interval, open_time_ns, tick, revision: 0, is_final: true, bar }
}

fn accepted(trades: &[Trade]) -> AcceptedRows {
    let instrument = Instrument::new("binance", SYMBOLS[0]).expect("a valid name");
    let mut columns = TradeColumns { instruments: vec![instrument], ..TradeColumns::default() };
    (0..).zip(trades).for_each(|(position, trade)| columns.push(0, trade, position));
    AcceptedRows { rows: (0..trades.len() as u32).collect(), columns: Arc::new(columns) }
}
