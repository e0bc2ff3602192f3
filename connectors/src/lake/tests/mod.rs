//! The lake from outside: what is in its folders after commits, crashes and failures.

mod account;
mod bars;
mod by_tick;
mod compaction;
mod crash;
mod damage;
mod market;
mod records;
mod retries;
mod rows;

use super::read;
use super::*;
use crate::fault::Faults;
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;
use tidewheel_schemas::{Bar, BarVersion, Instrument, TickOutput, TradeId, TradeKey};

const MINUTE_NS: i64 = 60_000_000_000;
/// 2023-11-14 22:00 UTC.
const START_NS: i64 = 1_699_999_200_000_000_000;

fn config(folder: &TempDir) -> LakeConfig {
    LakeConfig {
        intervals: vec![Interval::M1, Interval::H1],
        tables: rows::tables(),
        ..LakeConfig::new(folder.path().join("lake"))
    }
}

fn resumed(folder: &TempDir) -> Lake {
    Lake::open(LakeConfig { on_existing: OnExisting::Resume, ..config(folder) }).expect("the lake can be resumed")
}

fn faults(rules: &str) -> Faults {
    Faults::parse(rules).expect("the rules of a test can be understood")
}

fn instrument(symbol: &str) -> Instrument {
    Instrument::new("binance", symbol).expect("a valid name")
}

/// A version of the `minute`-th bar, whose values are told apart by `mark`.
fn version(symbol: &str, minute: i64, revision: u32, is_final: bool, mark: Option<i64>) -> BarVersion {
    let open_time_ns = START_NS + minute * MINUTE_NS;
    let key = |id| TradeKey { event_time_ns: open_time_ns, id: TradeId::number(id) };
    BarVersion {
        instrument: instrument(symbol),
        interval: Interval::M1,
        open_time_ns,
        tick: 0,
        revision,
        is_final,
        bar: mark.map(|mark| Bar {
            volume_e8: i128::from(mark) * 1_000,
            quote_volume_e16: i128::from(mark) * 7_000_000,
            taker_buy_volume_e8: i128::from(mark),
            taker_buy_quote_volume_e16: i128::from(mark) * 7_000,
            first: key(10 * mark.unsigned_abs()),
            last: key(10 * mark.unsigned_abs() + 9),
            open_e8: mark,
            high_e8: mark + 5,
            low_e8: mark - 5,
            close_e8: mark + 1,
            trade_count: mark.unsigned_abs(),
        }),
    }
}

/// What a tick publishes, in canonical order.
fn tick(tick: u64, mut bars: Vec<BarVersion>) -> TickOutput {
    bars.iter_mut().for_each(|version| version.tick = tick);
    bars.sort_by(|a, b| (a.interval, &a.instrument, a.open_time_ns).cmp(&(b.interval, &b.instrument, b.open_time_ns)));
    TickOutput { tick, bars, ..TickOutput::default() }
}

fn progress(tick_frontier: u64) -> CommitProgress {
    CommitProgress { tick_frontier, run: "test".into(), ..CommitProgress::default() }
}

/// The right bars of a minute as text: `BTC 3 r0 final 50`, one a line.
fn bars_text(lake: &Path) -> String {
    text(&read::bars(lake, Interval::M1).expect("bars can be read"))
}

fn changelog_text(lake: &Path) -> String {
    text(&read::changelog(lake, Interval::M1).expect("the changelog can be read"))
}

fn text(versions: &[BarVersion]) -> String {
    let line = |version: &BarVersion| {
        let minute = (version.open_time_ns - START_NS) / MINUTE_NS;
        let state = if version.is_final { "final" } else { "open" };
        let mark = version.bar.as_ref().map_or("gone".to_owned(), |bar| bar.open_e8.to_string());
        format!("{} {minute} r{} {state} {mark}\n", version.instrument.symbol, version.revision)
    };
    versions.iter().map(line).collect()
}

/// All Parquet files in the folders of the tables, relative to the lake: what a glob finds.
fn globbed(lake: &Path) -> BTreeSet<String> {
    let pattern = format!("{}/*/**/*.parquet", lake.display());
    let files = glob::glob(&pattern).expect("a valid pattern").map(|file| file.expect("a readable folder"));
    files
        .map(|file| file.strip_prefix(lake).expect("found below the lake").to_str().expect("UTF-8").to_owned())
        .filter(|file| !file.starts_with(layout::HOUSE))
        .collect()
}

/// Holds the folders against the manifest, files, sizes, checksums and rows; and `bars` against its rule of one row a key.
fn check_consistent(lake: &Path) {
    let state = read::manifest(lake).expect("the state can be read");
    assert_eq!(globbed(lake), state.files.keys().cloned().collect());
    for file in state.files.values() {
        let bytes = std::fs::read(lake.join(&file.path)).expect("a listed file can be read");
        assert_eq!((bytes.len() as u64, crc32fast::hash(&bytes)), (file.bytes, file.crc32), "{}", file.path);
    }
    for interval in Interval::ALL {
        let bars = read::bars(lake, interval).expect("bars can be read");
        let keys: BTreeSet<_> = bars.iter().map(|version| (&version.instrument, version.open_time_ns)).collect();
        assert_eq!(keys.len(), bars.len());
        let rows: u64 = state
            .of(Table::Bars)
            .filter(|file| file.path.contains(&format!("/interval={interval}/")))
            .map(|file| file.rows)
            .sum();
        assert_eq!(rows, bars.len() as u64);
    }
}
