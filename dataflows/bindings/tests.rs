//! Logs written, cut off, damaged and gone on with.

use super::*;
use crate::config::Config;
use std::path::{Path, PathBuf};

fn binding(tick: u64) -> Binding {
    Binding {
        tick,
        ends: BTreeMap::from([("trades[0]".to_owned(), tick * 7)]),
        behind: vec!["trades[1]".to_owned()],
        watermark_ns: i64::MIN,
        record_watermark_ns: tick.is_multiple_of(3).then_some(5),
        is_last: tick % 10 == 9,
        found: if tick == 5 { vec!["trades[2]".to_owned()] } else { Vec::new() },
        begins: BTreeMap::new(),
        control: Vec::new(),
    }
}

/// Without views, whose columns would fill a file of the size that tests have.
fn settings() -> Settings {
    let mut config = Config::default();
    config.features.views.clear();
    Settings::of(&config)
}

fn opening(run: &str, history: &History) -> Opening {
    Opening {
        run: run.to_owned(),
        version: "1".to_owned(),
        settings: settings(),
        partitions: if history.last.is_none() { vec!["trades[0]".to_owned()] } else { history.partitions() },
        ends: history.ends(),
        after_tick: history.last_tick(),
        follows: history.last.clone(),
        registry: None,
    }
}

/// Goes on with the log in a folder by a run that writes these ticks.
fn write(folder: &Path, run: &str, ticks: std::ops::Range<u64>) {
    let history = read(folder, None).expect("a sound log");
    let log = SharedBindings::open(folder, opening(run, &history)).expect("a new file");
    for tick in ticks {
        log.append(&binding(tick));
        log.sync().expect("space");
    }
}

fn paths(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

#[test]
fn a_log_of_several_runs_and_files_reads_back_as_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("bindings");
    write(&folder, "a", 0..40);
    write(&folder, "b", 40..60);
    assert!(paths(&folder).len() > 3, "files are cut at their size");
    let history = read(&folder, None).expect("a sound log");
    assert_eq!(history.ticks, (0..60).map(binding).collect::<Vec<_>>());
    assert_eq!(history.partitions(), ["trades[0]", "trades[2]"]);
    assert_eq!(history.ends(), BTreeMap::from([("trades[0]".to_owned(), 59 * 7)]));
    let tail = read(&folder, Some(45)).expect("a sound log");
    assert!(tail.ticks.len() < 40 && tail.openings[0].1.after_tick <= Some(45));
    assert!(tail.ticks.iter().any(|binding| binding.tick == 46));
    assert_eq!((tail.partitions(), tail.ends(), tail.last), (history.partitions(), history.ends(), history.last));
}

#[test]
fn what_a_crash_cut_off_does_not_count_and_the_next_run_goes_on_before_it() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "a", 0..5);
    let path = paths(folder.path()).pop().expect("one file");
    let text = std::fs::read_to_string(&path).expect("text");
    std::fs::write(&path, &text[..text.len() - 5]).expect("space");
    let history = read(folder.path(), None).expect("a torn last line is no error");
    assert_eq!((history.last_tick(), history.junk), (Some(3), Some((path, 6))));
    write(folder.path(), "b", 4..9);
    let history = read(folder.path(), None).expect("a sound log");
    assert_eq!((history.ticks.len(), history.junk), (9, None));
}

#[test]
fn changed_and_missing_lines_and_files_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "a", 0..5);
    write(folder.path(), "b", 5..9);
    let paths = paths(folder.path());
    let text = std::fs::read_to_string(&paths[0]).expect("text");
    let without_third: String =
        text.split_inclusive('\n').enumerate().filter(|(at, _)| *at != 2).map(|(_, line)| line).collect();
    for damaged in [text.replacen("\"tick\":2", "\"tick\":3", 1), without_third, text[..text.len() - 30].to_owned()] {
        std::fs::write(&paths[0], damaged).expect("space");
        let told = read(folder.path(), None).expect_err("damage").to_string();
        assert!(told.contains("000002-b.jsonl line 1: it follows line 6 of 000001-a.jsonl"), "{told}");
    }
    std::fs::write(&paths[0], text).expect("space");
    let text = std::fs::read_to_string(&paths[1]).expect("text");
    std::fs::write(&paths[1], text.replacen("partitions", "partitiins", 1)).expect("space");
    let told = read(folder.path(), None).expect_err("damage").to_string();
    assert!(told.contains("000002-b.jsonl line 1: checksum or form is wrong"), "{told}");
}

#[test]
fn a_log_in_a_topic_is_the_same_lines_and_one_begun_anew_ends_the_one_before() {
    let mut lines = Vec::new();
    let mut write = |run: &str, history: &History, ticks: std::ops::Range<u64>| {
        let log = SharedBindings::in_topic("out.bindings", opening(run, history));
        ticks.for_each(|tick| log.append(&binding(tick)));
        lines.extend(log.take_lines());
        assert!(log.take_lines().is_empty() && log.sync().is_ok());
        read_lines("out.bindings", &lines).expect("a sound log")
    };
    let first = write("a", &History::default(), 0..9);
    let second = write("b", &first, 9..20);
    assert_eq!(second.ticks, (0..20).map(binding).collect::<Vec<_>>());
    let anew = write("c", &History::default(), 30..33);
    assert_eq!(anew.ticks, (30..33).map(binding).collect::<Vec<_>>());
    lines.remove(4);
    let told = read_lines("out.bindings", &lines[..15]).expect_err("damage").to_string();
    assert!(told.contains("out.bindings/000001-a.jsonl line 5: checksum"), "{told}");
}

#[test]
fn a_log_makes_durable_what_it_goes_on_from_and_does_not_begin_without() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "a", 0..5);
    let history = read(folder.path(), None).expect("a sound log");
    // Lines that a crash left with the system, and the disk then lost with their file.
    std::fs::remove_file(&paths(folder.path())[0]).expect("a file");
    SharedBindings::open(folder.path(), opening("b", &history)).expect_err("there is nothing to go on from");
    assert!(paths(folder.path()).is_empty(), "what does not count is not left behind");
}

/// What the log says, read file by file.
fn streamed(folder: &Path) -> Result<Vec<Binding>, BindingsError> {
    let mut files = LogFiles::open(folder)?;
    let mut ticks = Vec::new();
    while let Some((_, of_file)) = files.next_file()? {
        ticks.extend(of_file);
    }
    Ok(ticks)
}

#[test]
fn read_file_by_file_it_says_the_same_and_misses_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path().join("bindings");
    assert_eq!(streamed(&folder).expect("an empty log"), []);
    write(&folder, "a", 0..40);
    write(&folder, "b", 40..60);
    // What a crash left of a file's first line.
    std::fs::write(folder.join("000999-c.jsonl"), "0123").expect("space");
    assert_eq!(streamed(&folder).expect("a sound log"), (0..60).map(binding).collect::<Vec<_>>());
    let second = &paths(&folder)[1];
    let text = std::fs::read_to_string(second).expect("a file");
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let without_one: String = [&lines[..3], &lines[4..]].concat().concat();
    std::fs::write(second, without_one).expect("space");
    let (streamed, read) = (streamed(&folder).expect_err("damage"), read(&folder, None).expect_err("damage"));
    assert_eq!(streamed.to_string(), read.to_string());
}
