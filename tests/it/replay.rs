//! One generated market, replayed in every way there is: the same bars and the same counts each time.
//!
//! Also what the command promises beside its bars: selections, refusals, exit codes, and a lake that is whole or not there
//! when it is killed.

use crate::harness::program::{BarKey, assert_same_bars, bars, program, replay, text_of, tidewheel};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tidewheel_connectors::lake::read;
use tidewheel_schemas::{Bar, Counters, Interval, RejectReason};

/// A market of half an hour with a horizon of five minutes, so that it has late trades and many frozen bars.
const MARKET: [&str; 9] =
    ["--trades", "18000", "--trades-per-second", "10", "--symbols", "6", "--counts", "--start", "2024-08-05T23:45:00Z"];
const HORIZON: [&str; 2] = ["--horizon", "5m"];

/// Every kind of trouble but the next.
const TROUBLES: [&str; 11] = [
    "--bad-day",
    "--cancelled",
    "2%",
    "--corrected",
    "2%",
    "--future",
    "0.3%",
    "--malformed",
    "0.5%",
    "--late",
    "0.5%",
];
/// Trades sent again with another price.
const CONFLICTS: [&str; 2] = ["--conflicts", "0.3%"];
const NO_CONFLICTS: [&str; 2] = ["--conflicts", "0"];

/// A market in a file, and what the generator says is in it.
struct Market {
    folder: TempDir,
    path: PathBuf,
    tally: BTreeMap<String, u64>,
}

impl Market {
    fn generate(name: &str, args: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join(name);
        let all = [&["generate", "--output", text_of(&path)][..], &MARKET, &HORIZON, args].concat();
        let said = tidewheel(&all);
        assert_eq!(said.code, Some(0), "{}", said.err);
        let count = |line: &str| {
            let (name, count) = line.trim().rsplit_once("  ")?;
            Some((name.trim().to_owned(), count.trim().parse().ok()?))
        };
        Self { tally: said.out.lines().filter_map(count).collect(), folder, path }
    }

    /// A market with every kind of trouble.
    fn troubled(name: &str) -> Self {
        Self::generate(name, &[&TROUBLES[..], &CONFLICTS].concat())
    }

    fn count(&self, kind: &str) -> u64 {
        self.tally.get(kind).copied().unwrap_or_default()
    }

    fn replayed(&self, args: &[&str]) -> (Counters, BTreeMap<BarKey, Bar>) {
        self.replayed_from(&[text_of(&self.path)], args)
    }

    fn replayed_from(&self, inputs: &[&str], args: &[&str]) -> (Counters, BTreeMap<BarKey, Bar>) {
        let lake = tempfile::tempdir_in(self.folder.path()).expect("a temporary folder");
        let counters = replay(lake.path(), &[&["--input"], inputs, &HORIZON, args].concat());
        (counters, bars(lake.path()))
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        text_of(&path).to_owned()
    }
}

#[test]
fn counts_are_those_of_the_generator() {
    for (name, args) in [("market.jsonl", &[][..]), ("market.parquet", &[]), ("timed.jsonl", &["--receive-time"])] {
        let market = Market::generate(name, &[&TROUBLES[..], &CONFLICTS, args].concat());
        let (counters, _) = market.replayed(&[]);
        let of = |reason| counters.rejected_by_reason.get(&reason).copied().unwrap_or_default();
        assert_eq!(counters.read, market.count("records"), "{name}");
        let amended = market.count("cancels") + market.count("corrections");
        let trades = market.count("trades in order") + market.count("trades out of order");
        assert_eq!((counters.amended, counters.accepted), (amended, trades + amended), "{name}");
        assert_eq!(counters.duplicate, market.count("duplicates"), "{name}");
        assert_eq!(counters.late, market.count("late"), "{name}");
        assert_eq!(of(RejectReason::Conflict), market.count("conflicts"), "{name}");
        assert_eq!(of(RejectReason::Future), market.count("future"), "{name}");
        let rest = of(RejectReason::Conflict) + of(RejectReason::Future);
        assert_eq!(counters.rejected - rest, market.count("malformed"), "{name}");
        let kinds = ["duplicates", "late", "conflicts", "future", "malformed", "cancels", "corrections"];
        assert!(kinds.iter().all(|kind| market.count(kind) > 10), "{name}: {:?}", market.tally);
    }
}

#[test]
fn ticks_workers_and_repetition_change_nothing() {
    let market = Market::troubled("market.jsonl");
    let expected = market.replayed(&[]);
    let runs =
        [("1", "1s"), ("2", "10s"), ("4", "10s"), ("1", "60s"), ("2", "60s"), ("4", "60s"), ("2", "10m"), ("4", "10m")];
    for (workers, tick) in runs {
        let what = format!("{workers} workers, ticks of {tick}");
        let (counters, found) = market.replayed(&["--workers", workers, "--tick", tick]);
        assert_eq!(counters, expected.0, "{what}");
        assert_same_bars(&found, &expected.1, &what);
    }
}

#[test]
fn compression_and_encoding_change_nothing() {
    let market = Market::troubled("market.jsonl");
    let expected = market.replayed(&[]);
    let text = std::fs::read(&market.path).expect("a file");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&text).expect("memory");
    let packed = market.write("packed.jsonl.gz", &gzip.finish().expect("memory"));
    let (counters, found) = market.replayed_from(&[&packed], &[]);
    assert_eq!(counters, expected.0, "gzip");
    assert_same_bars(&found, &expected.1, "gzip");
    for name in ["market.jsonl.gz", "market.jsonl.zst", "market.parquet"] {
        let (mut counters, found) = Market::troubled(name).replayed(&[]);
        if name.ends_with(".parquet") {
            // The same records are damaged, but each format has its own ways to be; only their number is the same.
            counters.rejected_by_reason.clone_from(&expected.0.rejected_by_reason);
        }
        assert_eq!(counters, expected.0, "{name}");
        assert_same_bars(&found, &expected.1, name);
    }
}

/// Of two trades with one id, the one that came first counts. Two files do not say which came first, so this market has no
/// such trades.
#[test]
fn a_market_split_into_files_is_the_same_market() {
    let market = Market::generate("market.jsonl", &[&TROUBLES[..], &NO_CONFLICTS].concat());
    let expected = market.replayed(&[]);
    let text = std::fs::read(&market.path).expect("a file");
    let lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let part = |chosen: &dyn Fn(usize) -> bool| -> Vec<u8> {
        lines
            .iter()
            .enumerate()
            .filter(|(number, _)| chosen(*number))
            .flat_map(|(_, line)| line.iter().copied())
            .collect()
    };
    let (mut in_turn, mut by_time) = (Vec::new(), Vec::new());
    for third in 0..3 {
        in_turn.push(market.write(&format!("turn{third}.jsonl"), &part(&|number| number % 3 == third)));
        by_time.push(market.write(&format!("time{third}.jsonl"), &part(&|number| number * 3 / lines.len() == third)));
    }
    for (what, files) in [("in turn", &in_turn), ("by time", &by_time)] {
        for tick in ["10s", "60s", "10m"] {
            let what = format!("split {what}, ticks of {tick}");
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            let (counters, found) = market.replayed_from(&files, &["--tick", tick, "--workers", "2"]);
            assert_eq!(counters, expected.0, "{what}");
            assert_same_bars(&found, &expected.1, &what);
        }
    }
}

#[test]
fn a_selection_gives_the_bars_inside_it() {
    let market = Market::generate("market.jsonl", &["--out-of-order", "5%"]);
    let (everything, all) = market.replayed(&[]);
    let (from, to) = ("2024-08-05T23:50:00Z", "2024-08-06T00:05:00Z");
    let time_ns = |text: &str| {
        let time: jiff::Timestamp = text.parse().expect("a time");
        i64::try_from(time.as_nanosecond()).expect("this century")
    };
    let inside = |bars: &BTreeMap<BarKey, Bar>| -> BTreeMap<BarKey, Bar> {
        let is_inside = |key: &BarKey| time_ns(from) <= key.2 && key.2 + key.0.duration_ns() <= time_ns(to);
        bars.iter().filter(|(key, _)| is_inside(key)).map(|(key, bar)| (key.clone(), *bar)).collect()
    };
    let (counters, found) = market.replayed(&["--from", from, "--to", to]);
    assert_same_bars(&inside(&found), &inside(&all), "inside the selection");
    // Bars that reach beyond it hold what was selected of them, so that the seconds are all inside.
    let whole = inside(&found);
    assert!(found.keys().all(|key| key.0 != Interval::S1 || whole.contains_key(key)));
    let (before, _) = market.replayed(&["--to", from]);
    let (after, _) = market.replayed(&["--from", to]);
    assert_eq!(before.accepted + counters.accepted + after.accepted, everything.accepted);

    let (_, chosen) = market.replayed(&["--intervals", "1m,1h"]);
    let expected =
        all.into_iter().filter(|(key, _)| matches!(key.0, Interval::M1 | Interval::H1)).collect::<BTreeMap<_, _>>();
    assert_same_bars(&chosen, &expected, "two intervals");
}

#[test]
fn a_lake_that_holds_data_is_replaced_only_when_told() {
    let market = Market::troubled("market.jsonl");
    let lake = market.folder.path().join("lake");
    let input = ["--input", text_of(&market.path), HORIZON[0], HORIZON[1]];
    replay(&lake, &input);
    let (before, manifest) = (bars(&lake), read::manifest(&lake).expect("a lake"));
    let again = tidewheel(&[&["replay", "--lake", text_of(&lake)][..], &input].concat());
    assert_eq!(again.code, Some(1));
    assert!(again.err.contains("holds data already") && again.err.contains(text_of(&lake)), "{}", again.err);
    assert_eq!(read::manifest(&lake).expect("a lake"), manifest);
    replay(&lake, &[&input[..], &["--replace", "--tick", "10m"]].concat());
    assert_same_bars(&bars(&lake), &before, "replaced");
    assert!(read::manifest(&lake).expect("a lake").seq > manifest.seq);
}

#[test]
fn a_lake_may_be_named_by_a_plain_word() {
    let market = Market::generate("market.jsonl", &[]);
    let output = program()
        .args(["replay", "--input", "market.jsonl", "--lake", "lake"])
        .current_dir(market.folder.path())
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!bars(&market.folder.path().join("lake")).is_empty());
}

#[test]
fn exit_codes_and_help() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (lake, missing) = (folder.path().join("lake"), folder.path().join("missing.jsonl"));
    let (lake, missing) = (text_of(&lake), text_of(&missing));
    let table: &[(&[&str], i32, &str)] = &[
        (&["replay", "--input", missing, "--lake", lake], 1, "there is no file"),
        (&["replay", "--input", missing], 2, "nowhere to write"),
        (&["replay", "--lake", lake], 2, "--input"),
        (&["replay", "--input", missing, "--lake", lake, "--tick", "0s"], 2, "--tick"),
        (&["replay", "--input", missing, "--lake", lake, "--tick", "1us"], 2, "milliseconds"),
        (&["replay", "--input", missing, "--lake", lake, "--intervals", "7m"], 2, "7m"),
        (&["replay", "--input", missing, "--lake", lake, "--format", "nasdaq"], 2, "unknown format"),
        (&["replay", "--input", missing, "--lake", lake, "--workers", "0"], 2, "--workers"),
        (&["replay", "--input", missing, "--lake", lake, "--horizon", "1s"], 2, "--horizon is shorter"),
        (&["replay", "--input", missing, "--lake", lake, "--from", "2024-08-09", "--to", "2024-08-08"], 2, "--from"),
        (&["replay", "--input", missing, "--lake", lake, "--from", "yesterday"], 2, "--from"),
        (&["replay", "--unknown"], 2, "--unknown"),
    ];
    for (args, code, text) in table {
        let said = tidewheel(args);
        assert_eq!(said.code, Some(*code), "{args:?}: {}", said.err);
        assert!(said.err.contains(text), "{args:?}: {}", said.err);
        assert!(said.out.is_empty(), "{args:?}: {}", said.out);
    }
    assert!(!Path::new(lake).exists());
    let help = tidewheel(&["replay", "--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.out.contains("Examples:") && help.out.contains("tidewheel replay --input"), "{}", help.out);
}

/// Whether a moment has come, seen from a lake's folder.
#[cfg(unix)]
type Seen<'a> = &'a dyn Fn(&Path) -> bool;

/// Killed at several moments, each one seen from outside: when the lake's own folder appears, when the first file is being
/// staged, and when the first commit is there.
#[test]
#[cfg(unix)]
fn a_run_that_is_terminated_leaves_a_lake_that_is_whole_or_empty() {
    let market = Market::troubled("market.jsonl");
    let expected = market.replayed(&[]).1;
    let has_entries = |path: PathBuf| std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some());
    let moments: [(&str, Seen<'_>); 3] = [
        ("opened", &|lake| lake.join("_tidewheel/manifests").exists()),
        ("staging", &|lake| has_entries(lake.join("_tidewheel/staging"))),
        ("committed", &|lake| has_entries(lake.join("_tidewheel/manifests"))),
    ];
    for (name, has_come) in moments {
        let lake = market.folder.path().join(name);
        let mut run = program()
            .args(["replay", "--input", text_of(&market.path), "--lake", text_of(&lake), HORIZON[0], HORIZON[1]])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts");
        let deadline = Instant::now() + Duration::from_secs(60);
        while !has_come(&lake) && run.try_wait().expect("a child").is_none() {
            assert!(Instant::now() < deadline, "{name}: nothing happened");
            std::thread::yield_now();
        }
        let told = std::process::Command::new("kill").args(["-TERM", &run.id().to_string()]).status();
        let status = run.wait().expect("a child");
        println!("{name}: kill {told:?}, the run ended with {status}");
        // What a reader sees then: nothing, or everything.
        let state = read::manifest(&lake).expect("a manifest that can be read, or none");
        assert!(state.files.is_empty() || state.progress.counters.reconcile(), "{name}");
        // And what the next run makes of it.
        replay(&lake, &["--input", text_of(&market.path), "--replace", HORIZON[0], HORIZON[1]]);
        assert_same_bars(&bars(&lake), &expected, name);
        if state.files.is_empty() {
            continue;
        }
        assert_eq!(state.progress.counters.read, market.count("records"), "{name}");
    }
}
