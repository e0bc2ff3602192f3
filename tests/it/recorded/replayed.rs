//! `tidewheel replay --as-recorded`: the same versions at the same ticks, and law 5.

use super::history::{bars, changelog, history, same_rows};
use crate::features::oracle::versions;
use crate::harness::kafka::{broker, unique};
use crate::kafka_live::program::{fails, succeeds, tidewheel};
use crate::kafka_live::readers::records;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use tidewheel_connectors::lake::{self, StoredReject, read};
use tidewheel_schemas::{BarVersion, Instrument, Interval};

fn as_recorded(from: &Path, arguments: &[&str]) -> Command {
    let mut command = tidewheel(&["replay", "--as-recorded", "--quiet", "--input"]);
    command.arg(from).args(arguments);
    command
}

fn rejects(lake: &Path) -> Vec<StoredReject> {
    read::rejects(lake).expect("a lake").map(|reject| reject.expect("a sound file")).collect()
}

/// Rows of the input that a lake keeps, by table.
fn rows(lake: &Path) -> BTreeMap<lake::Table, u64> {
    let mut rows = BTreeMap::new();
    for file in read::manifest(lake).expect("a lake").files.values() {
        *rows.entry(file.table).or_default() += file.rows;
    }
    rows
}

#[test]
fn a_new_lake_and_new_topics_hold_what_the_run_published() {
    let history = history();
    let folder = tempfile::tempdir().expect("a folder");
    let expected = changelog(&history.setup.lake);
    let revised = expected.iter().filter(|version| version.revision > 0).count();
    let provisional = expected.iter().filter(|version| !version.is_final).count();
    println!("{revised} revised, {provisional} provisional of {}", expected.len());
    assert!(revised > 0 && provisional > 0, "{revised} revised, {provisional} provisional of {}", expected.len());
    for workers in ["1", "3"] {
        let lake = folder.path().join(workers);
        let prefix = unique("again");
        let mut command = as_recorded(&history.setup.lake, &["--workers", workers, "--archive", "--lake"]);
        command.arg(&lake).args(["--kafka", &history.setup.brokers, "--prefix", &prefix]);
        let told = succeeds(command);
        assert!(told.contains("(reconciles)") && told.contains("as the run counted"), "{told}");
        same_rows(&changelog(&lake), &expected);
        same_rows(&bars(&lake), &bars(&history.setup.lake));
        assert_eq!(versions(&lake), versions(&history.setup.lake));
        assert_eq!(rejects(&lake), rejects(&history.setup.lake));
        assert_eq!(rows(&lake), rows(&history.setup.lake));
        let suffixes = Interval::ALL.map(|interval| format!("bars.{interval}"));
        let others = ["features.core_technical", "late", "rejects"].map(str::to_owned);
        for suffix in suffixes.into_iter().chain(others) {
            let of = |prefix: &str| {
                let found = records(broker().address(), &format!("{prefix}.{suffix}"));
                found.iter().map(|record| format!("{record:?}")).collect::<BTreeSet<String>>()
            };
            assert_eq!(of(&prefix), of(&history.setup.prefix), "{suffix}");
        }
    }
}

/// The version of each bar that was known after the ticks before one: the last published.
fn known_before(versions: &[BarVersion], tick: u64) -> BTreeMap<(Interval, Instrument, i64), BarVersion> {
    let before = versions.iter().filter(|version| version.tick < tick);
    before
        .map(|version| ((version.interval, version.instrument.clone(), version.open_time_ns), version.clone()))
        .collect()
}

#[test]
fn what_was_known_at_a_time_is_what_a_run_stopped_then_had_published() {
    let history = history();
    let folder = tempfile::tempdir().expect("a folder");
    let versions = changelog(&history.setup.lake);
    let ticks: Vec<u64> = versions.iter().map(|version| version.tick).collect::<BTreeSet<_>>().into_iter().collect();
    let random = &mut ChaCha8Rng::seed_from_u64(5);
    for number in 0..6 {
        let tick = ticks[random.random_range(1..ticks.len())] + random.random_range(0..2);
        let lake = folder.path().join(number.to_string());
        let mut command = as_recorded(&history.setup.lake, &["--to", &tick.to_string(), "--lake"]);
        command.arg(&lake);
        succeeds(command);
        let published = changelog(&lake);
        same_rows(&published, &versions.iter().filter(|version| version.tick < tick).cloned().collect::<Vec<_>>());
        assert_eq!(known_before(&published, u64::MAX), known_before(&versions, tick), "tick {tick}");
    }
}

#[test]
fn a_range_is_published_and_computed_with_all_before_it() {
    let history = history();
    let folder = tempfile::tempdir().expect("a folder");
    let versions = changelog(&history.setup.lake);
    let mut ticks: Vec<u64> = versions.iter().map(|version| version.tick).collect();
    ticks.sort_unstable();
    let (from, to) = (ticks[ticks.len() / 3], ticks[ticks.len() * 2 / 3]);
    let lake = folder.path().join("lake");
    let mut command =
        as_recorded(&history.setup.lake, &["--from", &from.to_string(), "--to", &to.to_string(), "--lake"]);
    command.arg(&lake);
    succeeds(command);
    let within = versions.into_iter().filter(|version| (from..to).contains(&version.tick));
    same_rows(&changelog(&lake), &within.collect::<Vec<_>>());
}

#[test]
fn what_is_missing_is_said() {
    let history = history();
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("lake").display().to_string();
    let refuses = |from: &Path, arguments: &[&str], code, expected: &str| {
        let told = fails(as_recorded(from, &[&["--lake", &target], arguments].concat()), code);
        assert!(told.contains(expected), "{expected:?} is missing in: {told}");
    };
    refuses(folder.path(), &[], 1, "holds no commit of a lake");
    refuses(&history.setup.lake, &["--lateness", "7s"], 2, "cannot be used with");
    // A lake that a replay wrote has no log.
    let replayed = folder.path().join("replayed");
    let mut command = as_recorded(&history.setup.lake, &["--archive", "--lake"]);
    command.arg(&replayed);
    succeeds(command);
    refuses(&replayed, &[], 1, "there is no log of ticks");
    let state = history.setup.lake.join("_tidewheel").display().to_string();
    let no_archive = folder.path().join("no-archive");
    let mut command = as_recorded(&history.setup.lake, &["--lake"]);
    command.arg(&no_archive);
    succeeds(command);
    refuses(&no_archive, &["--state", &state], 1, "lake.archive was off");
}
