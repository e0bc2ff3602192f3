//! Law 5 in the lake: what the changelog knows as of a tick is what had been published by that tick, neither more nor less,
//! asked in DuckDB by the macros that the program prints and in Polars; before a compaction and after it.

use super::feed::write_lake;
use crate::harness::program::tidewheel;
use crate::readers::python_with_readers;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tidewheel_connectors::lake::compact::{CompactConfig, compact};
use tidewheel_connectors::lake::read;
use tidewheel_schemas::{BarVersion, Instrument, Interval, TickOutput, format_e8, format_e16};

/// How many ticks are asked about, beside the first and the last.
const QUESTIONS: usize = 12;

#[test]
fn known_at_a_tick_is_what_had_been_published_by_then() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let root = folder.path().join("lake");
    let published = write_lake(&root, 50, 1_500, 17);
    let mut random = ChaCha8Rng::seed_from_u64(5);
    let (first, last) = (published[0].tick, published[published.len() - 1].tick);
    let mut asked = vec![first - 1, first, last, last + 1];
    asked.extend((0..QUESTIONS).map(|_| random.random_range(first..last)));
    let expected: Vec<Value> =
        asked.iter().map(|&tick| json!({"tick": tick, "rows": known(&published, tick)})).collect();
    let gone = published.iter().flat_map(|tick| &tick.bars).filter(|version| version.bar.is_none()).count();
    let revised = published.iter().flat_map(|tick| &tick.bars).filter(|version| version.revision > 0).count();
    assert!(gone > 10 && revised > 100, "the market takes bars back ({gone}) and revises them ({revised})");

    known_by_our_own_reader(&root, &published, &asked);
    let Some(python) = python_with_readers() else { return };
    let macros = folder.path().join("macros.sql");
    std::fs::write(&macros, tidewheel(&["sql"]).out).expect("a file");
    let questions = folder.path().join("expected.json");
    std::fs::write(&questions, Value::from(expected).to_string()).expect("a file");
    let ask = || {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/lake/known_at.py");
        let output =
            Command::new(&python).arg(script).args([&root, &macros, &questions]).output().expect("python runs");
        println!("{}", String::from_utf8_lossy(&output.stdout));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    ask();
    let report = compact(&CompactConfig::new(&root)).expect("it can be compacted");
    println!("{} files became {}", report.files_before, report.files_after);
    assert!(report.files_after < report.files_before / 4);
    ask();
    known_by_our_own_reader(&root, &published, &asked);
}

type Key<'a> = (Interval, &'a Instrument, i64);

/// The last version of every bar in the ticks through this one, but for bars that are gone.
fn last_versions(published: &[TickOutput], tick: u64) -> BTreeMap<Key<'_>, &BarVersion> {
    let mut last = BTreeMap::new();
    for version in published.iter().take_while(|output| output.tick <= tick).flat_map(|output| &output.bars) {
        last.insert((version.interval, &version.instrument, version.open_time_ns), version);
    }
    last.retain(|_, version| version.bar.is_some());
    last
}

/// The same as the rows that the script reads, in their order.
fn known(published: &[TickOutput], tick: u64) -> Vec<Value> {
    let mut rows: Vec<_> = last_versions(published, tick).into_values().collect();
    rows.sort_by(|a, b| {
        let key = |version: &BarVersion| (version.instrument.clone(), version.interval.name(), version.open_time_ns);
        key(a).cmp(&key(b))
    });
    let row = |version: &BarVersion| {
        let bar = version.bar.as_ref()?;
        Some(json!([
            version.instrument.venue.to_string(),
            version.instrument.symbol.to_string(),
            version.interval.name(),
            version.open_time_ns / 1_000,
            version.tick,
            version.revision,
            version.is_final,
            format_e8(bar.open_e8.into()),
            format_e8(bar.high_e8.into()),
            format_e8(bar.low_e8.into()),
            format_e8(bar.close_e8.into()),
            format_e8(bar.volume_e8),
            format_e16(bar.quote_volume_e16),
            bar.trade_count,
            bar.first.id.to_string(),
            bar.last.id.to_string(),
        ]))
    };
    rows.into_iter().filter_map(row).collect()
}

/// The same question without any engine.
fn known_by_our_own_reader(root: &Path, published: &[TickOutput], asked: &[u64]) {
    for interval in Interval::ALL {
        let changelog = read::changelog(root, interval).expect("a lake");
        for &tick in asked {
            let mut found: BTreeMap<(&Instrument, i64), &BarVersion> = BTreeMap::new();
            for version in changelog.iter().filter(|version| version.tick <= tick) {
                let before = found.insert((&version.instrument, version.open_time_ns), version);
                assert!(before.is_none_or(|before| before.tick < version.tick), "in order, and one version a tick");
            }
            let found: Vec<&BarVersion> = found.into_values().filter(|version| version.bar.is_some()).collect();
            let expected = last_versions(published, tick);
            let expected =
                expected.iter().filter(|(key, _)| key.0 == interval).map(|(_, version)| read::stored(version));
            assert!(found.into_iter().cloned().eq(expected), "{interval} at {tick}");
        }
    }
}
