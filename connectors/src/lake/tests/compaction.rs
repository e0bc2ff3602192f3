//! Compaction: the same rows in fewer files, beside a run, and through crashes.

use super::compact::{CompactConfig, CompactReport, compact};
use super::*;
use parquet::file::reader::{FileReader, SerializedFileReader};
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// One commit of all tables: a first version, a revision of an old bar, trades, late records and rejects.
fn output(number: u64) -> TickOutput {
    let at = 1_700_000_000_000 + number;
    let minute = number as i64;
    let revision = (number / 7) as u32;
    let mut versions = vec![
        version("BTC", minute, 0, true, Some(1_000 + minute)),
        version("ETH", minute, 0, false, Some(2_000 + minute)),
    ];
    if revision > 0 {
        versions.push(version("BTC", minute % 7, revision, true, Some(3_000 + minute)));
    }
    let bars = tick(at, versions).bars;
    let mut output = TickOutput { tick: at, bars, ..records::output() };
    output.rejects.iter_mut().for_each(|reject| reject.position += number);
    output.rows = rows::rows(number);
    // A table has files on days of its own: enough to be joined, few enough to be quick.
    output.market = if number.is_multiple_of(4) { market::records(number) } else { Vec::new() };
    output.account = if number.is_multiple_of(5) { account::records(number) } else { Vec::new() };
    output
}

fn commit(lake: &mut Lake, number: u64) {
    let output = output(number);
    let frontier = output.tick + 1;
    assert!(lake.append(output));
    lake.commit(&progress(frontier)).expect("a commit");
}

/// A lake of so many commits.
fn lake_of(folder: &TempDir, commits: u64) -> Lake {
    let mut lake = Lake::open(config(folder)).expect("a new lake");
    (1..=commits).for_each(|number| commit(&mut lake, number));
    lake
}

/// What readers see of a lake of so many commits that was never compacted.
fn plain(commits: u64) -> String {
    let folder = TempDir::new().expect("a temporary folder");
    drop(lake_of(&folder, commits));
    seen(&config(&folder).root)
}

fn settings(root: &Path) -> CompactConfig {
    CompactConfig::new(root)
}

/// All that readers see of a lake, each table in its order.
fn seen(root: &Path) -> String {
    let trades = ["symbol", "op", "trade_id", "price", "event_time_ns", "sequence", "tick", "source", "position"];
    let rejects = ["tick", "source", "position", "reason", "detail", "raw"];
    format!(
        "{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}",
        market::text(root),
        account::text(root),
        rows::text(root),
        bars_text(root),
        changelog_text(root),
        records::table_text(root, Table::Trades, &trades),
        records::table_text(root, Table::Late, &trades),
        records::table_text(root, Table::Rejects, &rejects),
    )
}

#[test]
fn many_small_files_become_few_with_the_same_rows_in_the_same_order() {
    let folder = TempDir::new().expect("a temporary folder");
    let lake = lake_of(&folder, 40);
    let root = config(&folder).root;
    let (before, progress) = (seen(&root), lake.state().progress.clone());
    let schema = |path: &str| {
        let reader = SerializedFileReader::new(File::open(root.join(path)).expect("a file")).expect("Parquet");
        reader.metadata().file_metadata().schema_descr().root_schema().clone()
    };
    // Views of one family have columns of their own.
    let member = |path: &str| path.split("/date=").next().map(str::to_owned);
    let of_table: std::collections::BTreeMap<Option<String>, _> =
        lake.state().files.values().map(|file| (member(&file.path), schema(&file.path))).collect();
    drop(lake);

    let would = compact(&CompactConfig { dry_run: true, ..settings(&root) }).expect("a lake");
    assert_eq!((seen(&root), globbed(&root).len() as u64), (before.clone(), would.files_before));
    let report = compact(&settings(&root)).expect("it can be compacted");
    assert_eq!((report.files_before, report.files_after), (would.files_before, would.files_after));
    // The tables beside the bars, over four days.
    let most = 6 + 4 * rows::tables().len() as u64 + market::DAYS + account::DAYS;
    assert!(report.files_before >= 4 * 40 && report.files_after <= most, "{report:?}");
    assert!(report.outrun.is_empty() && report.joined.iter().all(|group| group.bytes_after < group.bytes_before));
    assert_eq!(seen(&root), before);
    check_consistent(&root);
    let state = read::manifest(&root).expect("the state");
    assert_eq!(state.progress, progress, "the frontier does not move");
    for file in state.files.values() {
        assert_eq!(schema(&file.path), of_table[&member(&file.path)], "{}", file.path);
    }
    let again = compact(&settings(&root)).expect("it can be compacted");
    assert_eq!((again.joined.len(), again.files_after), (0, report.files_after));

    // The run goes on, and rewrites what was joined.
    let mut lake = resumed(&folder);
    (41..=60).for_each(|number| commit(&mut lake, number));
    drop(lake);
    compact(&settings(&root)).expect("it can be compacted");
    check_consistent(&root);
    assert_eq!(seen(&root), plain(60));
}

#[test]
fn only_neighbours_that_are_small_old_and_of_the_tables_asked_for_are_joined() {
    let folder = TempDir::new().expect("a temporary folder");
    drop(lake_of(&folder, 10));
    let root = config(&folder).root;
    let joined = |config: CompactConfig| {
        let report = compact(&CompactConfig { dry_run: true, ..config }).expect("a lake");
        report.joined.iter().map(|group| (group.folder.clone(), group.files)).collect::<Vec<_>>()
    };
    let log = "bars_changelog/interval=1m/date=2023-11-14".to_owned();
    let changelog = || CompactConfig { tables: vec![Table::BarsChangelog], ..settings(&root) };
    assert_eq!(joined(changelog()), [(log.clone(), 10)]);
    // Commits 1 to 6 have two rows, the others three: at most half the target is small, and four fit.
    assert_eq!(
        joined(CompactConfig { target_rows: 8, ..changelog() }),
        [(log.clone(), 4), (log.clone(), 3), (log.clone(), 2)]
    );
    assert_eq!(joined(CompactConfig { target_rows: 5, ..changelog() }), vec![(log.clone(), 2); 3]);
    let before_ns = START_NS + 5 * MINUTE_NS;
    assert_eq!(joined(CompactConfig { before_ns, ..changelog() }), [(log, 4)]);
    assert_eq!(joined(CompactConfig { target_bytes: 1, ..settings(&root) }), []);
}

const STEPS: [&str; 8] = [
    "compact.staged:2",
    "compact.manifest_staged:2",
    "compact.committed:2",
    "compact.publishing:1",
    "compact.publishing:2",
    "compact.publishing:3",
    "compact.publishing:5",
    "compact.publishing:14",
];

/// A compaction that the test stops at a step.
fn crashed(root: &Path, step: &str) {
    let config = CompactConfig { faults: faults(&format!("{step}=panic")), ..settings(root) };
    catch_unwind(AssertUnwindSafe(|| compact(&config))).expect_err("the crash");
}

fn nothing_waits(root: &Path) {
    for folder in ["staging", "compaction"] {
        let waiting = fs::read_dir(root.join("_tidewheel").join(folder));
        assert_eq!(waiting.map_or(0, Iterator::count), 0, "{folder}");
    }
}

#[test]
fn a_crash_at_any_step_is_mended_by_the_next_compaction_commit_or_opening() {
    let expected = plain(13);
    for step in STEPS {
        for mended_by in ["compaction", "commit", "opening"] {
            println!("crash at {step}, mended by {mended_by}");
            let folder = TempDir::new().expect("a temporary folder");
            let root = config(&folder).root;
            let mut lake = lake_of(&folder, 12);
            let before = seen(&root);
            if mended_by == "opening" {
                drop(lake);
                crashed(&root, step);
                lake = resumed(&folder);
                assert_eq!(seen(&root), before);
                check_consistent(&root);
                nothing_waits(&root);
            } else {
                crashed(&root, step);
            }
            if mended_by == "compaction" {
                compact(&settings(&root)).expect("it can be compacted");
                assert_eq!(seen(&root), before);
                check_consistent(&root);
                nothing_waits(&root);
            }
            commit(&mut lake, 13);
            check_consistent(&root);
            drop(lake);
            assert_eq!(seen(&root), expected);
            drop(resumed(&folder));
            nothing_waits(&root);
            check_consistent(&root);
        }
    }
}

#[test]
fn errors_of_a_compaction_leave_all_rows_and_the_next_one_goes_on() {
    for step in STEPS {
        let folder = TempDir::new().expect("a temporary folder");
        drop(lake_of(&folder, 12));
        let root = config(&folder).root;
        let before = seen(&root);
        let error = compact(&CompactConfig { faults: faults(&format!("{step}=full")), ..settings(&root) });
        assert!(error.expect_err("the disk is full").is_passing());
        let report = compact(&settings(&root)).expect("there is room");
        let most = 6 + 2 * rows::tables().len() as u64 + market::DAYS + account::DAYS;
        assert!(report.files_after <= most, "{report:?}");
        assert_eq!(seen(&root), before);
        check_consistent(&root);
        nothing_waits(&root);
    }
}

#[test]
fn a_run_and_a_compaction_commit_beside_each_other() {
    const COMMITS: u64 = 60;
    let folder = TempDir::new().expect("a temporary folder");
    let root = config(&folder).root;
    let mut lake = lake_of(&folder, 1);
    let is_over = AtomicBool::new(false);
    let reports = std::thread::scope(|scope| {
        let compacting = scope.spawn(|| {
            let mut reports: Vec<CompactReport> = Vec::new();
            while !is_over.load(Ordering::Relaxed) {
                reports.push(compact(&settings(&root)).expect("it can be compacted"));
            }
            reports
        });
        let reading = scope.spawn(|| {
            let mut rows = 0;
            while !is_over.load(Ordering::Relaxed) {
                let found = read::changelog(&root, Interval::M1).expect("a reader that follows the manifests").len();
                assert!(found >= rows, "{found} rows after {rows}");
                rows = found;
            }
        });
        (2..=COMMITS).for_each(|number| commit(&mut lake, number));
        is_over.store(true, Ordering::Relaxed);
        reading.join().expect("the reader saw every version");
        compacting.join().expect("it does not panic")
    });
    let joined: usize = reports.iter().map(|report| report.joined.len()).sum();
    let outrun: usize = reports.iter().map(|report| report.outrun.len()).sum();
    println!("{} compactions, {joined} groups joined, {outrun} outrun, commit {}", reports.len(), lake.state().seq);
    assert!(joined > 5, "the compaction was never fast enough");
    drop(lake);
    check_consistent(&root);
    nothing_waits(&root);
    assert_eq!(seen(&root), plain(COMMITS));
    drop(resumed(&folder));
    check_consistent(&root);
}

/// Runs a compaction that waits at a step until `meanwhile` is done.
fn held<T>(root: &Path, step: &str, meanwhile: impl FnOnce() -> T) -> T {
    let flag = tempfile::NamedTempFile::new().expect("a file");
    let config = CompactConfig { faults: faults(&format!("{step}=hold:{}", flag.path().display())), ..settings(root) };
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| compact(&config));
        let is_there =
            || fs::read_dir(root.join("_tidewheel/compaction")).is_ok_and(|mut entries| entries.next().is_some());
        while !is_there() {
            assert!(!compacting.is_finished(), "it ended before {step}");
            std::thread::sleep(Duration::from_millis(1));
        }
        // Long enough to reach the step; if it has not, the order is another one, and as good.
        std::thread::sleep(Duration::from_millis(100));
        let done = meanwhile();
        drop(flag);
        compacting.join().expect("it does not panic").expect("it can be compacted");
        done
    })
}

#[test]
fn a_run_that_opens_commits_and_outpaces_a_compaction_at_any_step_harms_nothing() {
    // So many commits that the manifests around the compaction's number are long deleted when it goes on.
    let last = 12 + 4 * manifest::CHECKPOINT_EVERY;
    let expected = plain(last);
    for step in STEPS {
        println!("held at {step}");
        let folder = TempDir::new().expect("a temporary folder");
        drop(lake_of(&folder, 12));
        let root = config(&folder).root;
        held(&root, step, || {
            let mut lake = resumed(&folder);
            (13..=last).for_each(|number| commit(&mut lake, number));
        });
        check_consistent(&root);
        assert_eq!(seen(&root), expected);
        drop(resumed(&folder));
        check_consistent(&root);
    }
}

#[test]
fn compactions_that_outpace_a_commit_at_any_step_harm_nothing() {
    let expected = plain(42);
    for step in ["lake.staged", "lake.manifest_staged", "lake.committed", "lake.publishing:1", "lake.publishing:3"] {
        for target_rows in [1_000, 6] {
            println!("held at {step}, target {target_rows}");
            let folder = TempDir::new().expect("a temporary folder");
            let root = config(&folder).root;
            let mut lake = lake_of(&folder, 40);
            let flag = tempfile::NamedTempFile::new().expect("a file");
            lake.config.faults = faults(&format!("{step}=hold:{}", flag.path().display()));
            std::thread::scope(|scope| {
                let committing = scope.spawn(|| {
                    commit(&mut lake, 41);
                    commit(&mut lake, 42);
                });
                std::thread::sleep(Duration::from_millis(100));
                // Small targets make many commits: more than are kept.
                let settings = CompactConfig { target_rows, ..settings(&root) };
                let report = compact(&settings).expect("it can be compacted");
                assert!(report.joined.len() >= 5, "{report:?}");
                drop(flag);
                committing.join().expect("both can be committed");
            });
            check_consistent(&root);
            drop(lake);
            assert_eq!(seen(&root), expected);
            drop(resumed(&folder));
            check_consistent(&root);
            nothing_waits(&root);
        }
    }
}

#[test]
fn a_run_that_replaces_the_lake_replaces_what_was_joined_meanwhile() {
    let folder = TempDir::new().expect("a temporary folder");
    drop(lake_of(&folder, 12));
    let root = config(&folder).root;
    let mut lake =
        Lake::open(LakeConfig { on_existing: OnExisting::Replace, ..config(&folder) }).expect("it can be opened");
    compact(&settings(&root)).expect("it can be compacted");
    lake.append(tick(1, vec![version("ETH", 7, 0, true, Some(70))]));
    lake.commit(&progress(2)).expect("a commit");
    assert_eq!(bars_text(&root), "ETH 7 r0 final 70\n");
    check_consistent(&root);
}

#[test]
fn two_compactions_and_no_lake_are_refused() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = config(&folder).root;
    let error = compact(&settings(&root)).expect_err("nothing there").to_string();
    assert!(error.contains("is no lake"), "{error}");
    assert!(!root.exists());
    drop(lake_of(&folder, 3));
    let _lock = recovery::lock(&root.join("_tidewheel/compaction.lock")).expect("a lock").expect("free");
    let error = compact(&settings(&root)).expect_err("locked").to_string();
    assert!(error.contains("being compacted already"), "{error}");
    // Whoever dies while it compacts lets go of the lock; what it left in staging is deleted then.
    let left = root.join("_tidewheel/compaction/000000000009");
    fs::create_dir_all(&left).and_then(|()| fs::write(left.join("00000.parquet"), "half")).expect("a file");
    drop(resumed(&folder));
    assert!(left.exists(), "the lock is held: it may be alive");
    drop(_lock);
    drop(resumed(&folder));
    assert!(!left.exists());
}
