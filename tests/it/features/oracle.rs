//! The slow way to rows: from the final bars of a lake alone, each row from the first bar on.

use std::collections::BTreeMap;
use std::path::Path;
use tidewheel::tables::Tables;
use tidewheel_connectors::lake::{read, rows};
use tidewheel_operators::features::{View, check_lookahead};
use tidewheel_schemas::{BarVersion, FeatureRow, Instrument, Interval, Row};

/// All versions of rows of `core_technical` in a lake, with their ticks: day by day, by instrument, time and tick.
pub fn versions(lake: &Path) -> Vec<(u64, Row)> {
    let state = read::manifest(lake).expect("a lake");
    let tables = Tables::new(&[View::core_technical()], None);
    let spec = &tables.specs()[0];
    let days = rows::days(&state, spec);
    assert!(!days.is_empty(), "there are rows of features");
    days.iter().flat_map(|day| rows::of_day(lake, spec, 0, day, &|_, _| true).expect("a lake")).collect()
}

/// What a row is told apart by: its instrument and the end of its bar.
pub type Key = (Instrument, i64);

/// The last of some versions of each row, which must be in the order of their ticks; those that were taken back are left out.
pub fn last_of(versions: &[(u64, Row)]) -> BTreeMap<Key, (u64, Row)> {
    let mut last: BTreeMap<Key, (u64, Row)> = BTreeMap::new();
    for (tick, row) in versions {
        let before = last.insert((row.instrument.clone(), row.event_time_ns), (*tick, row.clone()));
        let is_next = |before: &(u64, Row)| before.0 < *tick && before.1.revision + 1 == row.revision;
        assert!(before.as_ref().map_or(row.revision == 0, is_next), "{before:?} and then {tick} {row:?}");
    }
    last.retain(|_, (_, row)| row.values.is_some());
    last
}

/// Holds the rows that stand in a lake against its final bars: a row for each minute, with the bits that come out of the bars
/// from the first one on. Returns the rows.
pub fn check(lake: &Path) -> BTreeMap<Key, (u64, Row)> {
    let (view, intervals) = (View::core_technical(), View::core_technical().intervals());
    let bars = intervals.into_iter().flat_map(|interval| read::bars(lake, interval).expect("a lake"));
    // All of them are known when the rows are asked for.
    let bars: Vec<BarVersion> = bars.filter(|bar| bar.is_final).map(|bar| BarVersion { tick: 0, ..bar }).collect();
    let last = last_of(&versions(lake));
    let tables = Tables::new(std::slice::from_ref(&view), None);
    let rows: Vec<FeatureRow> =
        last.values().map(|(tick, row)| tables.feature_of(row, *tick).expect("a row of the view")).collect();
    let report = check_lookahead(&[view], &bars, &rows);
    assert!(report.leaks.is_empty(), "{:?}", report.leaks[0]);
    assert_eq!((report.checked, report.unanchored), (last.len() as u64, 0));
    let minutes = bars.iter().filter(|bar| bar.interval == Interval::M1);
    let closes: Vec<Key> = minutes.map(|bar| (bar.instrument.clone(), bar.close_time_ns())).collect();
    assert!(closes.iter().eq(last.keys()), "a row for each minute: {} and {}", closes.len(), last.len());
    last
}
