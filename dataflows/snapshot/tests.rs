//! Snapshots on disk: what is kept, what is deleted, and what is told of damage. That a restored state is the same state is
//! tested with the whole graph.

use super::*;
use crate::config::Config;
use crate::engine::{SavedState, SourceState};
use std::fs;
use tidewheel_operators::lifecycle::SavedBars;

fn store(folder: &Path, after: Option<&Snapshot>) -> SnapshotStore {
    SnapshotStore::open(folder, "run", Settings::of(&Config::default()), after).expect("a folder")
}

fn saved(shard: u32, is_whole: bool) -> SavedState {
    SavedState {
        source: SourceState { watermark_ns: 5, frozen_ns: i64::MIN, ..SourceState::default() },
        tapes: Vec::new(),
        bars: vec![SavedBars::nothing(Interval::M1, shard, is_whole)],
        market: Vec::new(),
        hours: Vec::new(),
        features: Vec::new(),
        scoring: Vec::new(),
        risk: None,
        facts: None,
        tape_counters: Counters::default(),
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn parts_live_as_long_as_a_snapshot_needs_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut snapshots = store(folder, None);
    for (tick, is_whole) in [(1, true), (2, false), (3, true), (4, false)] {
        snapshots.write(tick, &saved(7, is_whole)).expect("space");
    }
    let files_of = |tick| {
        let sections = load(folder, tick).expect("a snapshot").snapshot.sections;
        sections.into_iter().map(|section| section.file).collect::<Vec<_>>()
    };
    assert_eq!(files_of(2), [file_name(1, "parts"), file_name(2, "parts")]);
    assert_eq!(files_of(4), [file_name(3, "parts"), file_name(4, "parts")]);
    snapshots.forget_before(4).expect("files can be deleted");
    let left = [(3, "parts"), (4, "json"), (4, "parts")].map(|(tick, extension)| file_name(tick, extension));
    assert_eq!(names(folder), left);
    assert_eq!(load(folder, 4).expect("a snapshot").state.bars.len(), 2);
}

#[test]
fn going_on_after_a_snapshot_forgets_those_after_it_and_what_was_cut_off() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let mut snapshots = store(folder, None);
    for tick in 1..=3 {
        snapshots.write(tick, &saved(0, tick == 1)).expect("space");
    }
    fs::write(folder.join("000000000000000009.parts"), "cut off").expect("space");
    fs::write(folder.join("000000000000000009.json.new"), "cut off").expect("space");
    let second = load(folder, 2).expect("a snapshot").snapshot;
    let mut snapshots = store(folder, Some(&second));
    assert_eq!(ticks(folder).expect("a folder"), [1, 2]);
    assert!(!names(folder).iter().any(|name| name.contains('9') || name.starts_with(&file_name(3, ""))));
    snapshots.write(8, &saved(0, false)).expect("space");
    assert_eq!(load(folder, 8).expect("a snapshot").snapshot.sections.len(), 3);
}

#[test]
fn every_changed_byte_and_every_missing_file_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    store(folder, None).write(1, &saved(3, true)).expect("space");
    for name in names(folder) {
        let path = folder.join(&name);
        let sound = fs::read(&path).expect("a file");
        let mut damages: Vec<Option<Vec<u8>>> = vec![None, Some(sound[..sound.len() - 1].to_vec()), Some(Vec::new())];
        damages.extend((0..sound.len()).map(|at| {
            let mut damaged = sound.clone();
            damaged[at] ^= 0x04;
            Some(damaged)
        }));
        for damaged in damages {
            match &damaged {
                Some(bytes) => fs::write(&path, bytes).expect("space"),
                None => fs::remove_file(&path).expect("a file can be deleted"),
            }
            let told = load(folder, 1).expect_err("damage").to_string();
            assert!(told.contains(&name), "{told}");
        }
        fs::write(&path, sound).expect("space");
    }
    load(folder, 1).expect("all is as it was");
}

#[test]
fn a_part_of_another_shape_has_another_name() {
    // Bytes of a part do not say what they are: an older market would be read as something else.
    for old in ["\"market\"", "\"features\""] {
        assert!(serde_json::from_str::<Part>(old).is_err(), "{old}");
    }
}
