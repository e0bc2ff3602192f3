//! No row knows the future; and the check that says so finds those that do.

use super::market::Market;
use super::repairs::views;
use crate::TickHeader;
use crate::features::{FeatureLedger, FeaturesConfig, View, check_lookahead};
use tidewheel_schemas::{BarVersion, FeatureRow, Interval};

/// Ticks of a market with their versions.
fn history(seed: u64, ticks: usize) -> Vec<(TickHeader, Vec<BarVersion>)> {
    let mut market = Market::new(seed, 60);
    (0..ticks).map(|_| market.next()).collect()
}

fn rows_of(views: &[View], history: &[(TickHeader, Vec<BarVersion>)]) -> Vec<FeatureRow> {
    let mut ledger = FeatureLedger::new(&FeaturesConfig { views: views.to_vec(), is_saved: false, min_quality: None });
    history.iter().flat_map(|(header, versions)| ledger.apply_bars(header, versions)).collect()
}

fn versions_of(history: &[(TickHeader, Vec<BarVersion>)]) -> Vec<BarVersion> {
    history.iter().flat_map(|(_, versions)| versions.iter().cloned()).collect()
}

#[test]
fn every_published_row_comes_out_of_what_was_known() {
    for seed in 200..206 {
        let history = history(seed, 160);
        let rows = rows_of(&views(), &history);
        let report = check_lookahead(&views(), &versions_of(&history), &rows);
        assert!(report.leaks.is_empty(), "seed {seed}: {:?}", report.leaks[0]);
        assert_eq!((report.checked, report.unanchored), (rows.len() as u64, 0), "seed {seed}");
        println!("seed {seed}: {} rows", report.checked);
    }
}

#[test]
fn without_the_first_bars_nothing_is_said() {
    let history = history(210, 120);
    let rows = rows_of(&views(), &history);
    let first = rows.iter().map(|row| row.open_time_ns).min().expect("a row");
    let later: Vec<BarVersion> =
        versions_of(&history).into_iter().filter(|version| version.open_time_ns > first + 3_600_000_000_000).collect();
    let report = check_lookahead(&views(), &later, &rows);
    assert!(report.unanchored > 0 && report.leaks.iter().all(|leak| leak.published.values.is_none()));
}

/// Some columns, so that a leak can be told from the rest.
fn few() -> Vec<View> {
    let columns = ["return_1@simple", "rsi_14@talib", "5m.return_1@simple"];
    vec![View::resolve("few", 1, Interval::M1, &columns).expect("all are features")]
}

#[test]
fn a_feature_that_takes_the_next_bar_is_caught() {
    let history = history(220, 120);
    let honest = rows_of(&few(), &history);
    let mut leaking = honest.clone();
    // As if shifted by one in a data frame: each row has the return that only the next bar brings.
    for at in 0..leaking.len() {
        let next = honest[at..].iter().find(|row| {
            row.instrument == honest[at].instrument
                && row.open_time_ns > honest[at].open_time_ns
                && row.values.is_some()
        });
        if let (Some(values), Some(next)) = (&mut leaking[at].values, next.and_then(|next| next.values.as_ref())) {
            values[0] = next[0];
        }
    }
    let report = check_lookahead(&few(), &versions_of(&history), &leaking);
    assert!(report.leaks.len() > honest.len() / 2, "{} of {}", report.leaks.len(), honest.len());
    assert!(report.leaks.iter().all(|leak| leak.column == Some(0) && leak.recomputed.is_some()));
}

#[test]
fn a_join_on_the_open_of_a_longer_bar_is_caught() {
    let honest = history(221, 120);
    // The batch job's mistake: the five minutes are joined from their open on, when all of them lay in the table.
    let length_ns = Interval::M5.duration_ns();
    let mut five: Vec<BarVersion> = versions_of(&honest)
        .into_iter()
        .filter(|version| version.interval == Interval::M5 && version.is_final)
        .collect();
    five.sort_by_key(|version| (version.open_time_ns, version.tick));
    let mut leaking = honest.clone();
    for (_, versions) in &mut leaking {
        versions.retain(|version| version.interval == Interval::M1 && version.is_final);
        let closed = versions.iter().map(BarVersion::close_time_ns).max().unwrap_or(i64::MIN);
        let from = five.partition_point(|version| version.open_time_ns <= closed);
        let known = five.drain(..from);
        versions.extend(known.map(|version| BarVersion { open_time_ns: version.open_time_ns - length_ns, ..version }));
    }
    let rows = rows_of(&few(), &leaking);
    let report = check_lookahead(&few(), &versions_of(&honest), &rows);
    let caught = report.leaks.iter().filter(|leak| leak.column == Some(2)).count();
    assert!(caught > rows.len() / 4, "{caught} of {}", rows.len());
    assert!(report.leaks.iter().all(|leak| leak.column.is_none_or(|column| column == 2)));
}

#[test]
fn a_row_that_knew_a_correction_before_it_came_is_caught() {
    let history = history(222, 160);
    let versions = versions_of(&history);
    let rows = rows_of(&few(), &history);
    // What a backtest on corrected bars says was known: the last revision at the time of the first.
    let corrected: Vec<FeatureRow> = rows
        .iter()
        .filter(|row| row.revision == 0)
        .map(|first| {
            let same = |row: &&FeatureRow| row.instrument == first.instrument && row.open_time_ns == first.open_time_ns;
            let last = rows.iter().rfind(same).expect("itself");
            FeatureRow { tick: first.tick, revision: 0, ..last.clone() }
        })
        .collect();
    let revised = rows.iter().filter(|row| row.revision == 1).count();
    let report = check_lookahead(&few(), &versions, &corrected);
    println!("{} of {} first versions leak, {revised} were revised", report.leaks.len(), corrected.len());
    assert!(revised > 100 && report.leaks.len() > revised / 2 && report.leaks.len() <= revised);
}
