//! A world that fails: files that cannot be read, places that cannot be written.

use super::{Case, trade};
use crate::harness::program::{replay, text_of, tidewheel};
use std::path::Path;
use std::process::Command;
use tidewheel_connectors::lake::read;

#[test]
fn inputs_that_cannot_be_read_are_named() {
    let case = Case::new();
    std::fs::create_dir(case.path("folder.jsonl")).expect("a folder");
    case.write("not.parquet", "PAR1 and no more");
    case.write("notes.xz", "x");
    let table = [
        ("missing.jsonl", "there is no file"),
        ("*.jsonl.gz", "no file matches"),
        ("folder.jsonl", "holds no .parquet"),
        ("not.parquet", "not.parquet"),
        ("notes.xz", "which is not read"),
    ];
    for (name, text) in table {
        let (input, lake) = (case.path(name), case.lake());
        let said = tidewheel(&["replay", "--input", text_of(&input), "--lake", text_of(&lake)]);
        assert_eq!(said.code, Some(1), "{name}: {}", said.err);
        assert!(said.err.starts_with("error: ") && said.err.contains(text) && said.err.contains(name), "{}", said.err);
        assert!(!lake.exists(), "{name}: nothing was to be written");
    }
}

#[test]
fn a_lake_that_cannot_be_a_folder_is_refused_and_left_alone() {
    let case = Case::new();
    let input = case.write("trades.jsonl", trade("BTCUSDT", 1, 0, "100", "1"));
    let file = case.write("a_file", "precious");
    let foreign = case.path("foreign");
    std::fs::create_dir_all(foreign.join("bars")).expect("a folder");
    std::fs::write(foreign.join("bars/mine.parquet"), "precious").expect("a file");
    for (lake, text) in
        [(file.clone(), "a_file"), (file.join("below"), "a_file"), (foreign.clone(), "not a lake of ours")]
    {
        let said = tidewheel(&["replay", "--input", text_of(&input), "--lake", text_of(&lake)]);
        assert_eq!(said.code, Some(1), "{}", said.err);
        assert!(said.err.contains(text), "{}", said.err);
    }
    assert_eq!(std::fs::read(&file).expect("the file"), b"precious");
    assert_eq!(std::fs::read(foreign.join("bars/mine.parquet")).expect("the file"), b"precious");
}

#[test]
fn a_cause_is_told_once() {
    let case = Case::new();
    let input = case.write("trades.jsonl", trade("BTCUSDT", 1, 0, "100", "1"));
    let lake = case.write("a_file", "").join("lake");
    let said = tidewheel(&["replay", "--input", text_of(&input), "--lake", text_of(&lake)]);
    assert_eq!(
        said.err.matches("os error").count().max(said.err.matches("not a directory").count()),
        1,
        "{}",
        said.err
    );
}

/// A file system of its own, small enough to fill; gone at the end of the test.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(folder).expect("a folder");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(folder).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(), "could not unmount");
    }
}

#[test]
fn a_full_disk_stops_the_run_with_a_message_and_without_half_a_commit() {
    let case = Case::new();
    let folder = case.path("disk");
    let Some(disk) = SmallDisk::mount(&folder, "192k") else {
        println!("skipped: a file system to fill cannot be mounted here");
        return;
    };
    let lines: String =
        (0..20_000).map(|id| trade("BTCUSDT", id, id * 50_000_000, &format!("{}.5", 1 + id * 7 % 991), "1")).collect();
    let input = case.write("trades.jsonl", lines);
    let lake = disk.0.join("lake");
    let args = ["--input", text_of(&input), "--archive"];
    let said = tidewheel(&[&["replay", "--lake", text_of(&lake)][..], &args].concat());
    assert_eq!(said.code, Some(1), "{}{}", said.out, said.err);
    assert!(said.err.contains("No space left on device") && said.err.contains(text_of(&lake)), "{}", said.err);
    assert!(read::manifest(&lake).expect("no manifest, or a good one").files.is_empty());
    // With room, the same lake can be written.
    let room = Command::new("mount").args(["-o", "remount,size=64m"]).arg(disk.0).status();
    assert!(room.is_ok_and(|status| status.success()));
    assert_eq!(replay(&lake, &args).accepted, 20_000);
}
