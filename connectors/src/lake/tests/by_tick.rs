//! Reading back by tick: whatever files the rows lie in, and also when these are replaced meanwhile.

use super::*;
use crate::lake::archive::Archive;
use crate::lake::versions::{VersionsByTick, open_bars};
use std::sync::Arc;
use tidewheel_schemas::{
    AcceptedRows, AggressorSide, Amendment, Change, Correction, LateRecord, Reject, RejectReason, Trade, TradeColumns,
    TradeKind,
};

const DAY_NS: i64 = 86_400_000_000_000;
const TICKS: std::ops::Range<u64> = 100..140;

/// A tick with trades of two days and sources, amendments, late records and dead letters.
fn output(number: u64) -> TickOutput {
    let chunk = |partition: u32, days: i64| {
        let mut columns = TradeColumns { partition, instruments: vec![instrument("BTC")], ..TradeColumns::default() };
        for row in 0..3 {
            let id = TradeId::number(number * 10 + row);
            let trade = Trade {
                event_time_ns: START_NS + days * DAY_NS + row as i64,
                id: if row == 1 { TradeId::position(partition, number, 3) } else { id },
                price_e8: 7,
                quantity_e8: i64::MAX,
                count: 1 + row as u32,
                side: [AggressorSide::Unknown, AggressorSide::Buy, AggressorSide::Sell][row as usize],
                kind: TradeKind::ALL[(number as usize + row as usize) % 5],
            };
            columns.push(0, &trade, number * 10 + row);
            columns.receive_time_ns.push(if row == 0 { i64::MIN } else { 5 });
        }
        AcceptedRows { columns: Arc::new(columns), rows: vec![0, 1, 2] }
    };
    let amendment = |position, change, original_time_ns| Amendment {
        instrument: instrument("ETH"),
        id: TradeId::number(position),
        change,
        original_time_ns,
        sequence: -3,
        partition: 1,
        position,
        receive_time_ns: Some(9),
        raw: Arc::default(),
    };
    let correction = Correction { quantity_e8: Some(5), side: Some(AggressorSide::Unknown), ..Correction::default() };
    let amendments = vec![
        amendment(number, Change::Cancel, None),
        amendment(number + 1, Change::Correct(correction), Some(START_NS)),
    ];
    let late = LateRecord::of_row(&chunk(0, 0).columns, 1);
    let reject = Reject {
        partition: 1,
        position: number,
        reason: RejectReason::Field,
        records: 1,
        detail: "no price".into(),
        raw: Arc::from(&b"{"[..]),
        receive_time_ns: None,
    };
    let bars = vec![
        version("BTC", number as i64 % 7, number as u32, true, Some(number as i64)),
        version("ETH", number as i64, 0, number.is_multiple_of(2), Some(8)),
    ];
    TickOutput {
        watermark_ns: number as i64,
        // A quiet tick now and then.
        accepted: if number.is_multiple_of(5) { Vec::new() } else { vec![chunk(0, number as i64 % 2), chunk(1, 3)] },
        late: vec![late, LateRecord::Amendment(amendments[0].clone())],
        amendments,
        rejects: vec![reject],
        market: if number.is_multiple_of(7) { Vec::new() } else { market::records(number) },
        account: if number.is_multiple_of(3) { Vec::new() } else { account::records(number) },
        ..tick(number, bars)
    }
}

/// A lake of all ticks, with a commit after so many of them.
fn written(folder: &TempDir, ticks_per_commit: u64) -> PathBuf {
    let sources = vec!["a".to_owned(), "b".to_owned()];
    let config = LakeConfig { sources, on_existing: OnExisting::Replace, ..config(folder) };
    let root = config.root.clone();
    let mut lake = Lake::open(config).expect("a folder that can be written to");
    for number in TICKS {
        assert!(lake.append(output(number)));
        if (number + 1).is_multiple_of(ticks_per_commit) || number + 1 == TICKS.end {
            lake.commit(&progress(number + 1)).expect("space");
        }
    }
    root
}

fn trades_of(columns: &TradeColumns, rows: impl Iterator<Item = u32>) -> Vec<String> {
    let row = |row: u32| {
        let at = row as usize;
        let (instrument, receive_time_ns) = (columns.instrument_of(at), columns.receive_time_of(at));
        format!(
            "{} {} {instrument:?} {:?} {receive_time_ns:?}",
            columns.partition,
            columns.position[at],
            columns.trade(at)
        )
    };
    rows.map(row).collect()
}

fn check_tick(archive: &mut Archive, number: u64) {
    let (found, expected) = (archive.take(number).expect("a sound archive"), output(number));
    let mut trades: Vec<String> =
        found.trades.iter().flat_map(|trades| trades_of(&trades.columns, trades.rows.clone())).collect();
    let accepted = expected.accepted.iter();
    let mut accepted: Vec<String> =
        accepted.flat_map(|accepted| trades_of(&accepted.columns, accepted.rows.iter().copied())).collect();
    trades.sort();
    accepted.sort();
    assert_eq!(trades, accepted, "tick {number}");
    let mut amendments = found.amendments;
    amendments.sort_by_key(|amendment| amendment.position);
    assert_eq!(amendments, expected.amendments);
    assert_eq!(found.late, expected.late.into_iter().map(|late| (late, number as i64)).collect::<Vec<_>>());
    assert_eq!(found.rejects, expected.rejects);
    assert_eq!(found.market, expected.market);
    assert_eq!(found.account, expected.account);
}

fn archive_of(root: &Path) -> Archive {
    let state = read::manifest(root).expect("a lake");
    Archive::open(root, &state, &["a".to_owned(), "b".to_owned()]).expect("a sound archive")
}

#[test]
fn the_input_of_a_tick_is_found_in_whatever_files_it_lies() {
    for ticks_per_commit in [1, 7, 1_000] {
        let folder = tempfile::tempdir().expect("a folder");
        let mut archive = archive_of(&written(&folder, ticks_per_commit));
        TICKS.for_each(|number| check_tick(&mut archive, number));
        assert_eq!(archive.damages(), []);
        assert!(archive.take(1_000).expect("the end").rejects.is_empty());
        let mut archive = archive_of(&folder.path().join("lake"));
        check_tick(&mut archive, 100);
        let error = archive.take(103).expect_err("a tick was left out").to_string();
        assert!(error.contains("holds rows of tick 101"), "{error}");
    }
}

#[test]
fn files_that_are_replaced_meanwhile_are_looked_up_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = written(&folder, 3);
    let mut archive = archive_of(&root);
    let state = read::manifest(&root).expect("a lake");
    let mut versions = VersionsByTick::open(&root, &state, Table::BarsChangelog, 0).expect("a lake");
    (100..110).for_each(|number| check_tick(&mut archive, number));
    // The same rows in other files, as after they were joined.
    written(&folder, 1_000);
    (110..140).for_each(|number| check_tick(&mut archive, number));
    let found: usize = TICKS.map(|number| versions.take(number).expect("a lake").len()).sum();
    assert_eq!((found, archive.damages()), (80, Vec::new()));
}

#[test]
fn the_versions_of_a_tick_are_found_in_windows_of_any_size() {
    for (ticks_per_commit, rows_per_window) in [(1, 1), (7, 5), (1_000, 9), (1_000, 1_000)] {
        let folder = tempfile::tempdir().expect("a folder");
        let root = written(&folder, ticks_per_commit);
        let state = read::manifest(&root).expect("a lake");
        let open = || {
            VersionsByTick::open(&root, &state, Table::BarsChangelog, 0).expect("a lake").with_window(rows_per_window)
        };
        let mut versions = open();
        for number in TICKS.filter(|number| *number != 120) {
            let mut found: Vec<BarVersion> =
                versions.take(number).expect("a lake").into_iter().map(|row| row.version).collect();
            found.sort();
            let mut expected: Vec<BarVersion> = output(number).bars.iter().map(read::stored).collect();
            expected.sort();
            assert_eq!(found, expected, "tick {number}");
            let strays: Vec<u64> = versions.strays().iter().map(|row| row.version.tick).collect();
            assert_eq!(strays, if number == 121 { vec![120, 120] } else { Vec::new() });
        }
        assert_eq!(versions.damages(), []);
        let mut rest = 0;
        let mut versions = open();
        versions.take(130).expect("a lake");
        versions.strays();
        versions.drain(|row| rest += u64::from(row.version.tick > 130)).expect("a lake");
        assert_eq!(rest, 18);
    }
}

#[test]
fn the_ticks_of_open_bars_are_those_of_rows_that_are_not_final() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut lake = Lake::open(config(&folder)).expect("a folder that can be written to");
    lake.append(tick(7, vec![version("BTC", 1, 0, true, Some(1)), version("BTC", 2, 0, false, Some(1))]));
    lake.close_open_bars(tick(9, vec![version("BTC", 2, 0, false, Some(1))]).bars);
    lake.commit(&progress(10)).expect("space");
    let (state, ticks) = open_bars(&folder.path().join("lake")).expect("a lake");
    assert_eq!((state.seq, ticks), (1, BTreeSet::from([9])));
}

#[test]
fn a_changed_byte_is_told_and_what_can_be_read_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = written(&folder, 1_000);
    let state = read::manifest(&root).expect("a lake");
    let file = state.of(Table::Rejects).next().expect("a file");
    let mut bytes = std::fs::read(root.join(&file.path)).expect("a file");
    // In the footer's text of who made it: everything else still reads.
    let at = bytes.windows(9).rposition(|window| window == b"tidewheel").expect("the footer names us");
    bytes[at] ^= 1;
    std::fs::write(root.join(&file.path), bytes).expect("space");
    let mut archive = archive_of(&root);
    check_tick(&mut archive, 100);
    let damages = archive.damages();
    assert!(
        damages.len() == 1 && damages[0].path == file.path && damages[0].detail.contains("checksum"),
        "{damages:?}"
    );
}
