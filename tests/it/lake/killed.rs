//! The program itself, killed at each step of a commit and of a compaction: what was committed is there, once.

use super::feed::write_lake;
use crate::harness::program::{bars, program, replay, text_of, tidewheel};
use std::collections::BTreeSet;
use std::path::Path;
use tempfile::TempDir;
use tidewheel_connectors::fault::POINTS;
use tidewheel_connectors::lake::read;

/// A market of half an hour in a file.
fn market(folder: &Path) -> String {
    let path = folder.join("market.jsonl");
    let said = tidewheel(&[
        "generate",
        "--output",
        text_of(&path),
        "--trades",
        "6000",
        "--trades-per-second",
        "4",
        "--symbols",
        "3",
        "--counts",
        "--bad-day",
        "--start",
        "2024-08-05T23:45:00Z",
    ]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    text_of(&path).to_owned()
}

/// Runs the program with a fault, which must kill it.
fn dies(fault: &str, args: &[&str]) {
    let output = program().args(args).env("TIDEWHEEL_FAULT", fault).output().expect("the program starts");
    assert_eq!(output.status.code(), None, "{fault}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a plain glob finds, against what the manifests list.
fn glob_is_the_manifest(lake: &Path) {
    let listed: BTreeSet<String> = read::check(lake).expect("every file is whole").files.into_keys().collect();
    let mut found = BTreeSet::new();
    let mut folders = vec![lake.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.ends_with("_tidewheel") {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(text_of(path.strip_prefix(lake).expect("below the lake")).to_owned());
            }
        }
    }
    assert_eq!(found, listed);
}

#[test]
fn a_replay_that_is_killed_at_any_step_of_its_commit_can_be_done_again() {
    let folder = TempDir::new().expect("a temporary folder");
    let input = market(folder.path());
    let expected = folder.path().join("expected");
    replay(&expected, &["--input", &input, "--archive"]);
    for (point, _) in POINTS.iter().filter(|(point, _)| point.starts_with("lake.")) {
        let lake = folder.path().join(point);
        dies(&format!("{point}=kill"), &["replay", "--lake", text_of(&lake), "--input", &input, "--archive"]);
        let is_committed = ["lake.committed", "lake.publishing"].contains(point);
        assert_eq!(read::manifest(&lake).expect("no manifest, or a good one").seq, u64::from(is_committed), "{point}");
        replay(&lake, &["--input", &input, "--archive", "--replace"]);
        glob_is_the_manifest(&lake);
        assert_eq!(bars(&lake), bars(&expected), "{point}");
    }
}

#[test]
fn a_compaction_that_is_killed_at_any_step_is_mended_by_the_next() {
    for (point, _) in POINTS.iter().filter(|(point, _)| point.starts_with("compact.")) {
        let folder = TempDir::new().expect("a temporary folder");
        let lake = folder.path().join("lake");
        let commits = write_lake(&lake, 70, 900, 40).len().div_ceil(40) as u64;
        let expected = bars(&lake);
        let files = read::manifest(&lake).expect("a lake").files.len();
        // In the second of its own commits, and there in the middle of moving files.
        let time = if *point == "compact.publishing" { 4 } else { 2 };
        dies(&format!("{point}:{time}=kill"), &["compact", text_of(&lake)]);
        let is_committed = ["compact.committed", "compact.publishing"].contains(point);
        let seq = read::manifest(&lake).expect("a lake").seq;
        if *point != "compact.publishing" {
            assert_eq!(seq, commits + 1 + u64::from(is_committed), "{point}");
        }
        let said = tidewheel(&["compact", text_of(&lake)]);
        assert_eq!(said.code, Some(0), "{}", said.err);
        glob_is_the_manifest(&lake);
        assert_eq!(bars(&lake), expected, "{point}");
        let left = read::manifest(&lake).expect("a lake").files.len();
        println!("killed at {point}: {files} files became {left}");
        assert!(left < files / 3, "{left} of {files} files are left");
        let folders = read::manifest(&lake).expect("a lake").files.into_keys();
        let folders: BTreeSet<_> = folders.map(|path| Path::new(&path).parent().map(Path::to_owned)).collect();
        assert_eq!(folders.len(), left, "one file a folder");
        let said = tidewheel(&["compact", text_of(&lake), "--check"]);
        assert!(said.code == Some(0) && said.out.contains("are whole"), "{}{}", said.out, said.err);
    }
}

#[test]
fn the_compact_command_says_what_it_does_and_names_what_is_damaged() {
    let folder = TempDir::new().expect("a temporary folder");
    let lake = folder.path().join("lake");
    write_lake(&lake, 71, 600, 60);
    let files = read::manifest(&lake).expect("a lake").files;
    let said = tidewheel(&["compact", text_of(&lake), "--dry-run", "--table", "bars_changelog,trades"]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(
        said.out.contains("bars_changelog/interval=1m/date=2024-08-08") && said.out.contains("would become"),
        "{}",
        said.out
    );
    assert!(!said.out.contains("bars/interval") && !said.out.contains("rejects"), "{}", said.out);
    assert_eq!(read::manifest(&lake).expect("a lake").files, files);
    // Nothing is older than a century.
    let said = tidewheel(&["compact", text_of(&lake), "--older-than", "876000h"]);
    assert!(said.out.ends_with(&format!("{0} files became {0}\n", files.len())), "{}", said.out);

    for (args, text) in [(&["--table", "bar"][..], "bars_changelog"), (&["--target-bytes", "much"], "128MiB")] {
        let said = tidewheel(&[&["compact", text_of(&lake)], args].concat());
        assert!(said.code == Some(2) && said.err.contains(text), "{}", said.err);
    }
    let said = tidewheel(&["compact", text_of(folder.path())]);
    assert!(said.code == Some(1) && said.err.contains("is no lake"), "{}", said.err);

    let damaged = files.values().find(|file| file.path.starts_with("bars_changelog/")).expect("a changelog");
    let path = lake.join(&damaged.path);
    let mut bytes = std::fs::read(&path).expect("a file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(&path).and_then(|()| std::fs::write(&path, bytes)).expect("a file");
    for args in [&["--check"][..], &[]] {
        let said = tidewheel(&[&["compact", text_of(&lake)], args].concat());
        assert!(said.code == Some(1) && said.err.contains(text_of(&path)), "{}{}", said.out, said.err);
        assert!(said.err.contains("has checksum"), "{}", said.err);
    }
}

#[test]
fn a_fault_point_that_does_not_exist_is_refused_with_those_that_do() {
    let output =
        program().args(["sql"]).env("TIDEWHEEL_FAULT", "lake.nowhere=kill").output().expect("the program starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(POINTS.iter().all(|(point, _)| error.contains(point)), "{error}");
}
