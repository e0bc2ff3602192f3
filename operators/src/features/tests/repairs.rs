//! Whatever is inserted, revised, cancelled or late, frozen, saved and restored: the rows are those of a computation from scratch,
//! bit by bit, and nothing is published that did not change.

use super::market::Market;
use super::oracle;
use crate::features::{FEATURES, FeatureLedger, FeaturesConfig, SavedFeatures, View};
use crate::saved::{RestoredState, Saving};
use rand::prelude::*;
use std::collections::BTreeMap;
use tidewheel_schemas::{FeatureRow, Instrument, Interval};

/// Every feature over minutes and five minutes, some over quarters; and a view whose rows are of five minutes.
pub fn views() -> Vec<View> {
    let names = FEATURES.iter().map(|feature| feature.name);
    let mut columns: Vec<String> = names.clone().map(str::to_owned).collect();
    columns.extend(names.map(|name| format!("5m.{name}")));
    columns.extend(["rsi_14@talib", "cvd@utc_day", "vpin_50@200_bars"].map(|name| format!("15m.{name}")));
    let slow = ["ema_12@talib", "15m.atr_14@talib", "sma_10@talib"];
    vec![
        View::resolve("everything", 1, Interval::M1, &columns).expect("all are features"),
        View::resolve("slow", 1, Interval::M5, &slow).expect("all are features"),
        View::resolve("joined", 1, Interval::M1, &["5m.sma_10@talib"]).expect("it is a feature"),
    ]
}

/// What readers hold: the newest version of each row.
pub type Latest = BTreeMap<(u16, Instrument, i64), FeatureRow>;

/// Takes a tick's rows as a reader would, and holds that each is news.
pub fn take(latest: &mut Latest, rows: Vec<FeatureRow>, seed: u64) -> usize {
    let key = |row: &FeatureRow| (row.view, row.instrument.clone(), row.open_time_ns);
    assert!(rows.is_sorted_by(|left, right| key(left) < key(right)), "seed {seed}: rows out of order");
    let count = rows.len();
    for row in rows {
        let old = latest.get(&key(&row));
        assert_eq!(row.revision, old.map_or(0, |old| old.revision + 1), "seed {seed}: a revision was left out");
        assert!(old.is_none_or(|old| !old.says_the_same(&row)), "seed {seed}: a row was published that did not change");
        assert!(old.is_some() || row.values.is_some(), "seed {seed}: a tombstone of nothing");
        latest.insert(key(&row), row);
    }
    count
}

/// Holds the newest versions against the oracle.
pub fn hold(latest: &Latest, views: &[View], market: &Market, seed: u64) -> usize {
    let mut compared = 0;
    for (number, view) in (0..).zip(views) {
        let expected = oracle::rows(number, view, &market.published, &market.leaves);
        for ((_, instrument, open), row) in latest.iter().filter(|((of, _, _), _)| *of == number) {
            let expected = expected.get(&(instrument.clone(), *open));
            match (&row.values, expected) {
                (None, None) => {}
                (Some(_), Some(expected)) if row.says_the_same(expected) => {}
                _ => panic!("seed {seed}, view {number}, {instrument:?} {open}:\n{row:?}\ninstead of\n{expected:?}"),
            }
            compared += 1;
        }
        let there = latest.iter().filter(|((of, _, _), row)| *of == number && row.values.is_some()).count();
        assert_eq!(there, expected.len(), "seed {seed}, view {number}: rows are missing");
    }
    compared
}

#[test]
fn rows_are_those_of_a_computation_from_scratch() {
    let views = views();
    let (mut published, mut compared, mut restarts, mut revisions) = (0, 0, 0, 0);
    for seed in 0..16 {
        let horizon = [20, 45, 90, 240][seed as usize % 4];
        let mut market = Market::new(seed, horizon);
        let config = FeaturesConfig { views: views.clone(), is_saved: true, min_quality: None };
        let mut ledger = FeatureLedger::new(&config);
        let mut latest = Latest::new();
        let mut parts: Vec<SavedFeatures> = Vec::new();
        for step in 0..220u32 {
            let (header, versions) = market.next();
            published += take(&mut latest, ledger.apply_bars(&header, &versions), seed);
            if market.rng.random_bool(0.1) {
                // One of three shards whole, in turn; the others what changed.
                let saved = ledger.save(Saving { every: 3, turn: step % 3 });
                let bytes = postcard::to_allocvec(&saved).expect("it can be written");
                parts.extend(postcard::from_bytes::<Vec<SavedFeatures>>(&bytes).expect("it can be read"));
                if market.rng.random_bool(0.5) {
                    let state = RestoredState {
                        frozen_ns: header.frozen_ns,
                        features: parts.clone(),
                        ..RestoredState::default()
                    };
                    ledger = FeatureLedger::restore(&config, &mut { state });
                    restarts += 1;
                }
            }
            if step % 20 == 19 {
                compared += hold(&latest, &views, &market, seed);
            }
        }
        revisions += latest.values().filter(|row| row.revision > 0).count();
        println!("seed {seed}: {} rows, {:?}", latest.len(), ledger.sizes());
    }
    println!("{published} versions published, {revisions} rows revised, {restarts} restarts, {compared} rows compared");
    assert!(revisions > 1_000 && restarts > 50, "the market was too quiet");
}

#[test]
fn a_restored_ledger_saves_what_the_old_one_would_have() {
    let config = FeaturesConfig { views: views(), is_saved: true, min_quality: None };
    for seed in 100..104 {
        let mut market = Market::new(seed, 60);
        let mut ledger = FeatureLedger::new(&config);
        for _ in 0..150 {
            let (header, versions) = market.next();
            ledger.apply_bars(&header, &versions);
        }
        let (header, versions) = market.next();
        ledger.apply_bars(&header, &versions);
        let saved = ledger.save(Saving::ALL);
        let state = RestoredState { frozen_ns: header.frozen_ns, features: saved.clone(), ..RestoredState::default() };
        let again = FeatureLedger::restore(&config, &mut { state }).save(Saving::ALL);
        assert_eq!(bytes(&again), bytes(&saved), "seed {seed}");
    }
}

/// Written out, since a NaN is not equal to itself.
fn bytes(saved: &[SavedFeatures]) -> Vec<u8> {
    let mut saved: Vec<Vec<u8>> =
        saved.iter().map(|part| postcard::to_allocvec(part).expect("it can be written")).collect();
    saved.sort();
    saved.concat()
}

#[test]
fn what_is_held_does_not_grow() {
    let config = FeaturesConfig { views: views(), is_saved: false, min_quality: None };
    let mut market = Market::new(7, 30);
    let mut ledger = FeatureLedger::new(&config);
    let mut most = [0; 2];
    for step in 0..900 {
        let (header, versions) = market.next();
        ledger.apply_bars(&header, &versions);
        most[step / 450] = most[step / 450].max(ledger.sizes().bars);
    }
    // Horizon, one step ahead, the longest window, and as much slack; for three instruments and three intervals.
    let bound = 3 * 3 * (200 + 64 + 2 * (30 + 25));
    println!("at most {} then {} bars held; the bound is {bound}", most[0], most[1]);
    assert!(most[1] <= bound && most[1] <= most[0] + 600);
}
