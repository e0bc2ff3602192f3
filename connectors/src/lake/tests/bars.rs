//! Which rows `bars` and `bars_changelog` hold.

use super::compact::{CompactConfig, compact};
use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;

/// Commits each list of versions in turn, every commit as one tick, and compares both tables.
fn check(commits: &[&[BarVersion]], bars: &str, changelog: &str) {
    let folder = TempDir::new().expect("a temporary folder");
    let mut lake = Lake::open(config(&folder)).expect("a new lake");
    for (number, versions) in (1..).zip(commits) {
        lake.append(tick(number, versions.to_vec()));
        lake.commit(&progress(number + 1)).expect("a commit");
        check_consistent(&config(&folder).root);
    }
    assert_eq!(bars_text(&config(&folder).root), bars);
    assert_eq!(changelog_text(&config(&folder).root), changelog);
    drop(lake);
    assert_eq!(resumed(&folder).state().seq, commits.len() as u64);
    assert_eq!(bars_text(&config(&folder).root), bars);
}

#[test]
fn rows_are_sorted_and_read_back_as_they_were() {
    let versions = [
        version("ETH", 2, 0, true, Some(30)),
        version("BTC", 1, 0, true, Some(20)),
        version("BTC", 9, 0, true, Some(10)),
    ];
    check(
        &[&versions],
        "BTC 1 r0 final 20\nBTC 9 r0 final 10\nETH 2 r0 final 30\n",
        "BTC 1 r0 final 20\nBTC 9 r0 final 10\nETH 2 r0 final 30\n",
    );
    let folder = TempDir::new().expect("a temporary folder");
    let mut lake = Lake::open(config(&folder)).expect("a new lake");
    let output = tick(7, versions.to_vec());
    lake.append(output.clone());
    lake.commit(&progress(8)).expect("a commit");
    let read = read::bars(&config(&folder).root, Interval::M1).expect("bars can be read");
    assert_eq!(read, output.bars.iter().map(read::stored).collect::<Vec<_>>());
}

#[test]
fn a_revision_supersedes_within_a_commit() {
    check(
        &[&[version("BTC", 1, 0, true, Some(20)), version("BTC", 1, 1, true, Some(21))]],
        "BTC 1 r1 final 21\n",
        "BTC 1 r0 final 20\nBTC 1 r1 final 21\n",
    );
}

#[test]
fn a_revision_supersedes_across_commits_and_other_rows_stay() {
    check(
        &[
            &[
                version("BTC", 1, 0, true, Some(20)),
                version("BTC", 2, 0, true, Some(30)),
                version("ETH", 1, 0, true, Some(5)),
            ],
            &[version("BTC", 3, 0, true, Some(40))],
            &[version("BTC", 1, 1, true, Some(21)), version("BTC", 4, 0, true, Some(50))],
        ],
        "BTC 1 r1 final 21\nBTC 2 r0 final 30\nBTC 3 r0 final 40\nBTC 4 r0 final 50\nETH 1 r0 final 5\n",
        "BTC 1 r0 final 20\nBTC 1 r1 final 21\nBTC 2 r0 final 30\nBTC 3 r0 final 40\nBTC 4 r0 final 50\nETH 1 r0 final 5\n",
    );
}

#[test]
fn a_tombstone_removes_the_row_and_a_later_trade_brings_it_back() {
    let committed = [version("BTC", 1, 0, true, Some(20))];
    let gone = [version("BTC", 1, 1, true, None)];
    let back = [version("BTC", 1, 2, true, Some(22))];
    let log = "BTC 1 r0 final 20\nBTC 1 r1 final gone\n";
    check(&[&committed, &gone], "", log);
    check(&[&[committed[0].clone(), gone[0].clone()]], "", log);
    check(
        &[&committed, &gone, &back],
        "BTC 1 r2 final 22\n",
        "BTC 1 r0 final 20\nBTC 1 r1 final gone\nBTC 1 r2 final 22\n",
    );
}

#[test]
fn provisional_versions_are_for_the_changelog_alone() {
    check(
        &[
            &[version("BTC", 1, 0, false, Some(18)), version("BTC", 1, 0, false, Some(19))],
            &[version("BTC", 1, 0, true, Some(20)), version("BTC", 2, 0, false, Some(1))],
        ],
        "BTC 1 r0 final 20\n",
        "BTC 1 r0 open 18\nBTC 1 r0 open 19\nBTC 1 r0 final 20\nBTC 2 r0 open 1\n",
    );
}

#[test]
fn bars_open_at_the_end_stand_until_a_later_run_supersedes_them() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut lake = Lake::open(config(&folder)).expect("a new lake");
    let open = [
        version("BTC", 1, 0, false, Some(18)),
        version("BTC", 2, 0, false, Some(1)),
        version("BTC", 3, 0, false, Some(2)),
    ];
    lake.append(tick(1, open.to_vec()));
    lake.close_open_bars(open.to_vec());
    lake.commit(&progress(2)).expect("a commit");
    let root = config(&folder).root;
    assert_eq!(bars_text(&root), "BTC 1 r0 open 18\nBTC 2 r0 open 1\nBTC 3 r0 open 2\n");
    drop(lake);
    let mut lake = resumed(&folder);
    lake.append(tick(2, vec![version("BTC", 1, 0, true, Some(20)), version("BTC", 2, 0, false, None)]));
    let report = lake.commit(&progress(3)).expect("a commit");
    // The first is final now, the second gone; the third is open in the run that goes on, and not for `bars` before it is final.
    assert_eq!(report.superseded_rows, 3);
    assert_eq!(bars_text(&root), "BTC 1 r0 final 20\n");
    check_consistent(&root);
    // What was open at the end of that run stands again, to be removed by the next, also by a commit of other rows or of none.
    lake.append(tick(3, vec![version("BTC", 3, 0, false, Some(5)), version("BTC", 4, 0, true, Some(6))]));
    lake.close_open_bars(vec![version("BTC", 3, 0, false, Some(5))]);
    lake.commit(&progress(4)).expect("a commit");
    let closed = "BTC 1 r0 final 20\nBTC 3 r0 open 5\nBTC 4 r0 final 6\n";
    assert_eq!(bars_text(&root), closed);
    drop(lake);
    let mut lake = resumed(&folder);
    assert_eq!(bars_text(&root), closed, "nothing changes before the first commit");
    let report = lake.commit(&progress(5)).expect("a commit");
    assert_eq!(report.superseded_rows, 1);
    assert_eq!(bars_text(&root), "BTC 1 r0 final 20\nBTC 4 r0 final 6\n");
    check_consistent(&root);
}

#[test]
fn bars_that_a_run_closes_stay_where_it_goes_on_only_to_be_closed_again() {
    let folder = TempDir::new().expect("a temporary folder");
    let root = config(&folder).root;
    let open = |mark| version("BTC", 1, 0, false, Some(mark));
    let mut lake = Lake::open(config(&folder)).expect("a new lake");
    lake.append(tick(1, vec![open(18)]));
    lake.close_open_bars(vec![open(18)]);
    lake.commit(&progress(2)).expect("a commit");
    drop(lake);
    let mut lake = resumed(&folder);
    lake.append(tick(2, vec![open(19)]));
    lake.close_open_bars(vec![open(19)]);
    lake.commit(&progress(3)).expect("a commit");
    assert_eq!(bars_text(&root), "BTC 1 r0 open 19\n");
    assert_eq!(read::manifest(&root).expect("the state").of(Table::Bars).map(|file| file.open_rows).sum::<u64>(), 1);
    check_consistent(&root);
}

#[test]
fn where_every_version_is_a_first_and_final_one_both_tables_share_the_file() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut lake = Lake::open(LakeConfig { max_rows_per_file: 10, ..config(&folder) }).expect("a new lake");
    lake.append(tick(1, (0..25).map(|minute| version("BTC", minute, 0, true, Some(9 + minute))).collect()));
    let report = lake.commit(&progress(2)).expect("a commit");
    assert_eq!((report.files, report.rows), (6, 50));
    let root = config(&folder).root;
    let bytes = |table: &str, file: usize| {
        let path = format!("{table}/interval=1m/date=2023-11-14/{}", layout::file_name(1, file));
        let path = root.join(path);
        #[cfg(unix)]
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&path.metadata().expect("a file")), 2);
        std::fs::read(path).expect("a file")
    };
    (0..3).for_each(|file| assert_eq!(bytes("bars", file), bytes("bars_changelog", file)));
    // A correction parts them again.
    lake.append(tick(2, vec![version("BTC", 3, 1, true, Some(99))]));
    let report = lake.commit(&progress(3)).expect("a commit");
    assert_eq!((report.files, report.superseded_rows), (2, 1));
    assert_eq!(read::bars(&root, Interval::M1).expect("bars can be read").len(), 25);
    assert_eq!(read::changelog(&root, Interval::M1).expect("the changelog can be read").len(), 26);
    check_consistent(&root);
}

#[test]
fn a_number_beyond_its_column_is_an_error_that_names_the_bar() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut lake = Lake::open(config(&folder)).expect("a new lake");
    let mut version = version("BTC", 1, 0, true, Some(20));
    version.bar.as_mut().expect("a bar").high_e8 = 2_000_000_000_000_000_000;
    lake.append(tick(1, vec![version]));
    let error = lake.commit(&progress(2)).expect_err("the price has 19 digits").to_string();
    assert!(error.contains("price_e8 2000000000000000000 of bar binance|BTC|1m|"), "{error}");
    check_consistent(&config(&folder).root);
}

/// The tables as maps: slow and obvious.
#[derive(Default)]
struct Oracle {
    bars: BTreeMap<(Instrument, i64), BarVersion>,
    changelog: Vec<BarVersion>,
}

impl Oracle {
    fn take(&mut self, version: &BarVersion) {
        self.changelog.push(read::stored(version));
        let key = (version.instrument.clone(), version.open_time_ns);
        match (version.is_final, &version.bar) {
            (true, Some(_)) => drop(self.bars.insert(key, read::stored(version))),
            (true, None) => drop(self.bars.remove(&key)),
            (false, _) => {}
        }
    }
}

#[test]
fn random_versions_and_commits_are_as_in_a_map() {
    for seed in 0..12 {
        println!("seed {seed}");
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let folder = TempDir::new().expect("a temporary folder");
        let root = config(&folder).root;
        let mut lake = Lake::open(LakeConfig { max_rows_per_file: 7, ..config(&folder) }).expect("a new lake");
        let mut oracle = Oracle::default();
        let mut revisions: BTreeMap<(usize, i64), Option<u32>> = BTreeMap::new();
        let last_tick = random.random_range(5..40);
        for now in 1..=last_tick {
            let mut versions = Vec::new();
            for _ in 0..random.random_range(0..12) {
                // Two days, so that partitions part; late minutes come back as revisions.
                let key @ (symbol, minute) = (random.random_range(0..3usize), random.random_range(100..140));
                let before = revisions.entry(key).or_default();
                let is_final = before.is_some() || random.random_bool(0.6);
                let revision = before.map_or(0, |before| before + 1);
                if is_final {
                    *before = Some(revision);
                }
                let mark = random.random_bool(0.8).then(|| random.random_range(10..1_000_000));
                versions.push(version(["ADA", "BTC", "ETH"][symbol], minute, revision, is_final, mark));
            }
            let output = tick(now, versions);
            output.bars.iter().for_each(|version| oracle.take(version));
            lake.append(output);
            if random.random_bool(0.3) || now == last_tick {
                lake.commit(&progress(now + 1)).expect("a commit");
                check_consistent(&root);
                let bars = read::bars(&root, Interval::M1).expect("bars can be read");
                assert_eq!(bars, oracle.bars.values().cloned().collect::<Vec<_>>());
            }
            if random.random_bool(0.2) {
                compact(&CompactConfig { target_rows: random.random_range(2..200), ..CompactConfig::new(&root) })
                    .expect("it can be compacted");
                check_consistent(&root);
            }
            if random.random_bool(0.1) {
                drop(lake);
                lake =
                    Lake::open(LakeConfig { max_rows_per_file: 7, on_existing: OnExisting::Resume, ..config(&folder) })
                        .expect("the lake can be resumed");
                // What was not committed is published again, as after a crash.
                let frontier = lake.state().progress.tick_frontier;
                for tick in frontier..=now {
                    let bars = oracle.changelog.iter().filter(|version| version.tick == tick).cloned().collect();
                    lake.append(TickOutput { tick, bars, ..TickOutput::default() });
                }
            }
        }
        oracle.changelog.sort_by(|a, b| (&a.instrument, a.open_time_ns).cmp(&(&b.instrument, b.open_time_ns)));
        assert_eq!(read::changelog(&root, Interval::M1).expect("the changelog can be read"), oracle.changelog);
    }
}
