//! Commits that fail in passing, or whose result is not known, and the same call again.

use super::crash::{AFTER, BEFORE, third_commit};
use super::*;
use std::fs;
use std::io;

#[test]
fn an_error_at_any_step_passes_and_the_same_commit_again_tells_what_it_did() {
    let publishing = (1..=5).map(|time| (format!("lake.publishing:{time}"), true));
    let steps = [("lake.staged:1", false), ("lake.manifest_staged:1", false), ("lake.committed:1", true)];
    let steps = steps.into_iter().map(|(step, is_committed)| (step.to_owned(), is_committed));
    for (step, is_committed) in steps.chain(publishing) {
        println!("full at {step}");
        let folder = TempDir::new().expect("a temporary folder");
        let root = config(&folder).root;
        let (mut lake, output) = third_commit(&folder);
        lake.append(output.clone());
        lake.config.faults = faults(&format!("{step}=full"));
        let error = lake.commit(&progress(4)).expect_err("the disk is full");
        assert!(error.is_passing(), "{error}");
        assert_eq!(read::manifest(&root).expect("the state").seq, if is_committed { 3 } else { 2 });
        let report = lake.commit(&progress(4)).expect("there is room");
        assert_eq!((report.seq, report.superseded_rows, report.rows), (3, 2, 6));
        assert_eq!((lake.buffered_rows(), lake.buffered_bytes()), (0, 0));
        assert_eq!((bars_text(&root).as_str(), changelog_text(&root).lines().count()), (AFTER, 6));
        check_consistent(&root);
        assert!(!lake.append(output), "it is in the lake");
        lake.append(tick(4, vec![version("BTC", 9, 0, true, Some(90))]));
        assert_eq!(lake.commit(&progress(5)).expect("a commit").seq, 4);
        check_consistent(&root);
    }
}

#[test]
fn what_is_appended_after_an_unknown_commit_is_in_the_next() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = config(&folder).root;
    let (mut lake, output) = third_commit(&folder);
    lake.append(output);
    lake.config.faults = faults("lake.committed:1=full");
    let error = lake.commit(&progress(4)).expect_err("the folder cannot be synced");
    assert!(matches!(error, LakeError::Unknown { seq: 3, .. }), "{error}");
    lake.append(tick(4, vec![version("BTC", 9, 0, true, Some(90))]));
    let report = lake.commit(&progress(5)).expect("both");
    assert_eq!((report.seq, report.rows, lake.state().progress.tick_frontier), (4, 2, 5));
    assert_eq!(bars_text(&root), format!("{AFTER}BTC 9 r0 final 90\n"));
    assert_eq!(changelog_text(&root).lines().count(), 7);
    check_consistent(&root);
}

#[test]
fn an_unknown_commit_that_did_not_last_is_made_again() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = config(&folder).root;
    let (mut lake, output) = third_commit(&folder);
    lake.append(output);
    lake.config.faults = faults("lake.committed:1=full");
    lake.commit(&progress(4)).expect_err("the folder cannot be synced");
    // As after a power failure that the name did not survive.
    fs::remove_file(root.join("_tidewheel/manifests/000000000003.json")).expect("a manifest");
    assert_eq!(bars_text(&root), BEFORE);
    assert_eq!(lake.commit(&progress(4)).expect("again").seq, 3);
    assert_eq!(bars_text(&root), AFTER);
    check_consistent(&root);
}

#[test]
fn a_commit_of_another_writer_is_an_error_for_good() {
    let folder = TempDir::new().expect("a temporary folder");
    let other = TempDir::new().expect("a temporary folder");
    let (mut lake, output) = third_commit(&folder);
    let (mut rival, _) = third_commit(&other);
    rival.append(tick(9, vec![version("ETH", 1, 0, true, Some(1))]));
    rival.commit(&progress(10)).expect("a commit");
    let name = "_tidewheel/manifests/000000000003.json";
    fs::copy(config(&other).root.join(name), config(&folder).root.join(name)).expect("a manifest");
    lake.append(output);
    for _ in 0..2 {
        let error = lake.commit(&progress(4)).expect_err("two writers");
        assert!(!error.is_passing() && error.to_string().contains("000000000003.json"), "{error}");
    }
}

#[test]
fn errors_that_pass_are_told_from_those_that_do_not() {
    let error = |kind| LakeError::io("write", Path::new("x"))(io::Error::from(kind));
    let passing = [io::ErrorKind::StorageFull, io::ErrorKind::ReadOnlyFilesystem, io::ErrorKind::TimedOut];
    assert!(passing.into_iter().all(|kind| error(kind).is_passing()));
    assert!(
        ![io::ErrorKind::PermissionDenied, io::ErrorKind::NotFound].into_iter().any(|kind| error(kind).is_passing())
    );
    let folder = TempDir::new().expect("a temporary folder");
    let (mut lake, output) = third_commit(&folder);
    lake.append(output);
    lake.config.faults = faults("lake.staged:1=denied");
    assert!(!lake.commit(&progress(4)).expect_err("denied").is_passing());
}
