//! The program as it was built, run the way a user runs it, and read the way a user reads it.
//!
//! [`replay`] holds every replay of every test to the same promises: what the summary says is what the lake's last commit
//! says, the counts add up, nothing panics, and every bar is final and stands there once.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use tidewheel_connectors::lake::{StoredReject, read};
use tidewheel_schemas::{Bar, Counters, Instrument, Interval, RejectReason};

/// What a run of the program left behind.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its exit code; none after a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// The program, ready to be run.
pub fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tidewheel"))
}

/// Runs the program to its end.
pub fn tidewheel(args: &[impl AsRef<OsStr>]) -> Said {
    let output = program().args(args).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let said = Said { code: output.status.code(), out: text(&output.stdout), err: text(&output.stderr) };
    assert!(!said.err.contains("panicked"), "{}", said.err);
    said
}

/// Replays into a lake, one worker unless told otherwise, and returns its counts.
pub fn replay(lake: &Path, args: &[&str]) -> Counters {
    let mut all = vec!["replay", "--lake", text_of(lake)];
    if !args.contains(&"--workers") {
        all.extend(["--workers", "1"]);
    }
    all.extend(args);
    let said = tidewheel(&all);
    assert_eq!(said.code, Some(0), "{all:?}\n{}{}", said.out, said.err);
    let counters = counters_said(&said.out);
    assert!(counters.reconcile(), "{}", said.out);
    assert_eq!(counters.rejected, counters.rejected_by_reason.values().sum::<u64>(), "{}", said.out);
    let committed = read::manifest(lake).expect("a lake").progress.counters;
    assert_eq!(counters, committed, "the summary and the lake's last commit");
    counters
}

/// A path as text; tests make no other paths.
pub fn text_of(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Reads the counts back from the summary's text.
fn counters_said(summary: &str) -> Counters {
    let number = |text: &str| -> u64 {
        text.replace(',', "").parse().unwrap_or_else(|_| panic!("{text:?} is no number in:\n{summary}"))
    };
    let mut counters = Counters::default();
    for line in summary.lines() {
        if line.starts_with("read ") {
            let words: Vec<&str> = line.split_whitespace().collect();
            let after = |name: &str| {
                words.iter().position(|word| *word == name).map_or(0, |at| number(words.get(at + 1).unwrap_or(&"")))
            };
            counters.read = after("read");
            counters.accepted = after("accepted");
            counters.duplicate = after("duplicate");
            counters.late = after("late");
            counters.rejected = after("rejected");
            counters.pending = after("pending");
        } else if let Some(parts) = line.strip_prefix("accepted, of these: cancels and corrections ") {
            let (amended, outside) = parts.split_once(", kept out of bars ").expect("two counts");
            (counters.amended, counters.outside_bars) = (number(amended), number(outside));
        } else if let Some(parts) = line.strip_prefix("rejected as ") {
            let (name, count) = parts.split_once(": ").expect("a reason and a count");
            let reason = RejectReason::ALL.into_iter().find(|reason| reason.name() == name).expect("a known reason");
            counters.rejected_by_reason.insert(reason, number(count));
        } else if let Some(parts) = line.strip_prefix("ignored ") {
            let (kind, count) = parts.rsplit_once(": ").expect("a type and a count");
            counters.ignored.insert(kind.to_owned(), number(count));
        }
    }
    counters
}

/// Identifies a bar.
pub type BarKey = (Interval, Instrument, i64);

/// All bars of a lake: their values alone, without revision and tick.
pub fn bars(lake: &Path) -> BTreeMap<BarKey, Bar> {
    let mut bars = BTreeMap::new();
    for interval in Interval::ALL {
        for version in read::bars(lake, interval).expect("a lake that can be read") {
            assert!(version.is_final, "{version:?} is not final");
            let key = (interval, version.instrument.clone(), version.open_time_ns);
            let bar = version.bar.expect("a tombstone is in the changelog only");
            assert!(bars.insert(key, bar).is_none(), "{version:?} stands there twice");
        }
    }
    bars
}

/// The bars of one interval by open time, of a lake of one instrument.
pub fn bars_of_one(lake: &Path, interval: Interval) -> BTreeMap<i64, Bar> {
    bars(lake).into_iter().filter(|(key, _)| key.0 == interval).map(|(key, bar)| (key.2, bar)).collect()
}

/// Fails with the first bar that differs, and says how many bars there are on either side.
pub fn assert_same_bars(found: &BTreeMap<BarKey, Bar>, expected: &BTreeMap<BarKey, Bar>, what: &str) {
    for (key, bar) in expected {
        assert_eq!(found.get(key), Some(bar), "{what}: bar {key:?}, {} of {}", found.len(), expected.len());
    }
    assert_eq!(found.len(), expected.len(), "{what}: number of bars");
}

/// All dead letters of a lake, by source and position.
pub fn rejects(lake: &Path) -> Vec<StoredReject> {
    let letters = read::rejects(lake).expect("a lake");
    let mut letters: Vec<StoredReject> = letters.map(|letter| letter.expect("a file that can be read")).collect();
    letters.sort_by(|a, b| (&a.source, a.position).cmp(&(&b.source, b.position)));
    letters
}
