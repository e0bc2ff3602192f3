//! Crashes at every step, full disks, and a second writer.

use super::*;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A lake with two commits, and the versions of a third that adds a file, rewrites one and removes one.
pub(super) fn third_commit(folder: &TempDir) -> (Lake, TickOutput) {
    let mut lake = Lake::open(config(folder)).expect("a new lake");
    lake.append(tick(1, vec![version("BTC", 1, 0, true, Some(10)), version("BTC", 2, 0, true, Some(20))]));
    lake.commit(&progress(2)).expect("a commit");
    lake.append(tick(2, vec![version("BTC", 3, 0, true, Some(30))]));
    lake.commit(&progress(3)).expect("a commit");
    let output = tick(
        3,
        vec![
            version("BTC", 1, 1, true, Some(11)),
            version("BTC", 3, 1, true, None),
            version("BTC", 4, 0, true, Some(40)),
        ],
    );
    (lake, output)
}

pub(super) const BEFORE: &str = "BTC 1 r0 final 10\nBTC 2 r0 final 20\nBTC 3 r0 final 30\n";
pub(super) const AFTER: &str = "BTC 1 r1 final 11\nBTC 2 r0 final 20\nBTC 4 r0 final 40\n";

#[test]
fn a_crash_at_any_step_leaves_the_commit_before_or_the_commit() {
    // Two files are added and two removed: five moments of publishing.
    let publishing = (1..=5).map(|time| (format!("lake.publishing:{time}"), true));
    let steps = [("lake.staged", false), ("lake.manifest_staged", false), ("lake.committed", true)];
    for (step, is_committed) in
        steps.map(|(step, is_committed)| (step.to_owned(), is_committed)).into_iter().chain(publishing)
    {
        println!("crash at {step}");
        let folder = TempDir::new().expect("a temporary folder");
        let root = config(&folder).root;
        let (mut lake, output) = third_commit(&folder);
        lake.append(output.clone());
        lake.config.faults = faults(&format!("{step}=panic"));
        catch_unwind(AssertUnwindSafe(|| lake.commit(&progress(4)))).expect_err("the crash");
        drop(lake);

        let mut lake = resumed(&folder);
        check_consistent(&root);
        assert_eq!(bars_text(&root), if is_committed { AFTER } else { BEFORE });
        assert_eq!(fs::read_dir(root.join("_tidewheel/staging")).expect("a folder").count(), 0);
        // The source publishes the tick again; the lake knows whether it has it.
        assert_eq!(lake.append(output), !is_committed);
        lake.commit(&progress(4)).expect("a commit");
        check_consistent(&root);
        assert_eq!(bars_text(&root), AFTER);
        assert_eq!(changelog_text(&root).lines().count(), 6);
    }
}

#[test]
fn a_failed_commit_changes_nothing_and_can_be_repeated() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = config(&folder).root;
    let (mut lake, output) = third_commit(&folder);
    lake.append(output);
    // A file where a folder of the commit must be: as good as a folder that cannot be written, also for root.
    lake.append(TickOutput { rejects: vec![records::reject(1)], ..tick(4, vec![]) });
    fs::write(root.join("rejects"), "in the way").expect("a file");
    let buffered = lake.buffered_rows();
    let error = lake.commit(&progress(5)).expect_err("the folder cannot be made").to_string();
    assert!(error.contains("could not create folder") && error.contains("rejects"), "{error}");
    assert_eq!((lake.buffered_rows(), bars_text(&root).as_str()), (buffered, BEFORE));
    assert_eq!(fs::read_dir(root.join("_tidewheel/staging")).expect("a folder").count(), 0);
    check_consistent(&root);

    fs::remove_file(root.join("rejects")).expect("the file can be deleted");
    lake.commit(&progress(5)).expect("a commit");
    assert_eq!((lake.buffered_rows(), bars_text(&root).as_str()), (0, AFTER));
    check_consistent(&root);
}

/// A small file system in memory; unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k", "tmpfs"]).arg(folder.path());
        let is_mounted = mount.stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success());
        is_mounted.then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_is_an_error_that_names_the_file_and_the_commit_can_be_repeated() {
    let Some(disk) = SmallDisk::mount() else {
        println!("skipped: mounting a small file system is not permitted here");
        return;
    };
    let (mut lake, output) = third_commit(&disk.0);
    let root = config(&disk.0).root;
    let ballast = disk.0.path().join("ballast");
    lake.append(output);
    // Writing until nothing fits is the point.
    let _ = fs::write(&ballast, vec![1; 1 << 20]);
    let error = lake.commit(&progress(4)).expect_err("the disk is full").to_string();
    assert!(error.contains("_tidewheel/staging") && error.contains("No space left"), "{error}");
    assert_eq!(bars_text(&root), BEFORE);
    fs::remove_file(&ballast).expect("the ballast can be deleted");
    lake.commit(&progress(4)).expect("a commit");
    assert_eq!(bars_text(&root), AFTER);
    check_consistent(&root);
    drop(lake);
}

#[test]
fn a_second_writer_is_refused_until_the_first_is_gone() {
    let folder = TempDir::new().expect("a temporary folder");
    let lake = Lake::open(config(&folder)).expect("a new lake");
    let error = Lake::open(config(&folder)).expect_err("it is locked").to_string();
    assert!(error.contains("has a writer already") && error.contains("_tidewheel/lock"), "{error}");
    drop(lake);
    Lake::open(config(&folder)).expect("the lock is free");
}

#[test]
fn data_is_refused_replaced_or_resumed() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = config(&folder).root;
    let (lake, output) = third_commit(&folder);
    drop(lake);
    let error = Lake::open(config(&folder)).expect_err("it holds data").to_string();
    assert!(error.contains("holds data already"), "{error}");

    let open = |on_existing| Lake::open(LakeConfig { on_existing, ..config(&folder) }).expect("the lake can be opened");
    let mut lake = open(OnExisting::Replace);
    assert_eq!(bars_text(&root), BEFORE, "nothing changes before the first commit");
    lake.append(tick(1, vec![version("ETH", 7, 0, true, Some(70))]));
    lake.commit(&progress(2)).expect("a commit");
    assert_eq!(bars_text(&root), "ETH 7 r0 final 70\n");
    check_consistent(&root);
    drop(lake);

    let mut lake = open(OnExisting::Resume);
    assert!(!lake.append(tick(1, vec![version("ETH", 7, 0, true, Some(70))])));
    assert!(lake.append(output));
    lake.commit(&progress(4)).expect("a commit");
    assert_eq!(bars_text(&root), "BTC 1 r1 final 11\nBTC 4 r0 final 40\nETH 7 r0 final 70\n");
}

#[test]
fn orphans_are_deleted_and_files_of_others_are_not() {
    let folder = TempDir::new().expect("a temporary folder");
    drop(third_commit(&folder));
    let day = config(&folder).root.join("bars/interval=1m/date=2023-11-14");
    let (orphan, foreign) = (day.join("000000000009-000.parquet"), day.join("notes.txt"));
    fs::write(&orphan, "left by a crash").expect("a file");
    fs::write(&foreign, "not ours").expect("a file");
    drop(resumed(&folder));
    assert!(!orphan.exists() && foreign.exists());
    check_consistent(&config(&folder).root);
}

#[test]
fn many_commits_are_read_from_few_manifests() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = config(&folder).root;
    let mut lake = Lake::open(config(&folder)).expect("a new lake");
    let commits = 2 * manifest::CHECKPOINT_EVERY + 10;
    for now in 1..=commits {
        lake.append(tick(now, vec![version("BTC", now as i64 % 5, now as u32, true, Some(now as i64 + 10))]));
        lake.commit(&progress(now + 1)).expect("a commit");
    }
    check_consistent(&root);
    assert_eq!(lake.state(), &read::manifest(&root).expect("the state can be read"));
    let manifests = fs::read_dir(root.join("_tidewheel/manifests")).expect("a folder").count() as u64;
    assert!(manifests <= 2 * manifest::CHECKPOINT_EVERY, "{manifests}");
    assert_eq!(changelog_text(&root).lines().count() as u64, commits);
    assert_eq!(bars_text(&root).lines().count(), 5);
}
