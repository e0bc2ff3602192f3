//! What is said of quality is said once, and a restart says nothing of its own.

use super::market::Market;
use super::repairs::views;
use super::rows::{header, version};
use crate::features::{
    FEATURES, FeatureLedger, FeaturesConfig, QualityBounds, QualityChange, SavedFeatures, Scope, SilenceChange, View,
    quality_of,
};
use crate::market::{LastMark, LeafChange, MarketLeaf};
use crate::saved::{RestoredState, Saving};
use rand::Rng;
use std::collections::{BTreeMap, BTreeSet};
use tidewheel_schemas::{FeatureRow, Instrument, Interval, Mark, SECOND_NS};

fn bounds(silent_after_ns: Option<i64>) -> QualityBounds {
    QualityBounds { least: Some(0.45), silent_after_ns }
}

#[test]
fn events_are_those_of_a_run_without_restarts_and_take_turns() {
    let (mut low, mut back, mut restarts, mut silent, mut heard) = (0, 0, 0, 0, 0);
    for seed in 300..308 {
        let mut market = Market::new(seed, 60);
        // Most rows of a view are good in the end, and gaps make some of them stale.
        let config =
            FeaturesConfig { views: views(), is_saved: true, min_quality: Some(bounds(Some(20 * 60 * SECOND_NS))) };
        let (mut undisturbed, mut ledger) = (FeatureLedger::new(&config), FeatureLedger::new(&config));
        let mut parts: Vec<SavedFeatures> = Vec::new();
        let mut last: BTreeMap<_, QualityChange> = BTreeMap::new();
        let mut last_silence: BTreeMap<_, SilenceChange> = BTreeMap::new();
        for step in 0..220u32 {
            let (header, versions) = market.next();
            undisturbed.apply_bars(&header, &versions);
            ledger.apply_bars(&header, &versions);
            let told = ledger.take_quality();
            assert_eq!(told, undisturbed.take_quality(), "seed {seed}, step {step}");
            for change in told {
                let (number, counted) = if change.is_low { (&mut low, true) } else { (&mut back, false) };
                *number += 1;
                assert_eq!(change.quality < 0.45, counted);
                let before = last.insert((change.view, change.instrument.clone()), change.clone());
                assert!(before.as_ref().map_or(change.is_low, |before| before.is_low != change.is_low), "{change:?}");
                assert!(before.is_none_or(|before| before.close_time_ns <= change.close_time_ns), "{change:?}");
            }
            let told = ledger.take_silence();
            assert_eq!(told, undisturbed.take_silence(), "seed {seed}, step {step}");
            for change in told {
                *(if change.is_silent { &mut silent } else { &mut heard }) += 1;
                assert!(change.until_ns - change.since_ns > if change.is_silent { 20 * 60 * SECOND_NS } else { 0 });
                let before = last_silence.insert((change.view, change.instrument.clone()), change.clone());
                match before {
                    // Once a silence; its end tells of the same last row.
                    Some(before) => {
                        assert_ne!(before.is_silent, change.is_silent, "{change:?}");
                        assert!(change.is_silent || before.since_ns == change.since_ns, "{change:?}");
                    }
                    None => assert!(change.is_silent, "{change:?}"),
                }
            }
            if market.rng.random_bool(0.1) {
                parts.extend(ledger.save(Saving { every: 3, turn: step % 3 }));
                if market.rng.random_bool(0.5) {
                    let (frozen_ns, features) = (header.frozen_ns, parts.clone());
                    let state = RestoredState { frozen_ns, features, ..RestoredState::default() };
                    ledger = FeatureLedger::restore(&config, &mut { state });
                    restarts += 1;
                }
            }
        }
    }
    println!("{low} low, {back} back, {restarts} restarts, {silent} silent, {heard} heard again");
    assert!(silent > 20 && heard > 20, "{silent} silent, {heard} heard again");
    assert!(low > 50 && back > 50 && restarts > 20, "{low} low, {back} back, {restarts} restarts");
}

/// Rows of minutes 0 to 5, of which only the first has something told of its mark.
fn rows_after_one_mark(columns: &[&str]) -> Vec<FeatureRow> {
    let view = View::resolve("mine", 1, Interval::M1, columns).expect("all are features");
    let mut ledger = FeatureLedger::new(&FeaturesConfig { views: vec![view], is_saved: false, min_quality: None });
    let mark = Mark { mark_price_e8: Some(100), index_price_e8: Some(100), ..Mark::default() };
    let leaf = MarketLeaf { mark: LastMark { mark, time_ns: Some(45 * SECOND_NS) }, ..MarketLeaf::default() };
    let instrument = Instrument::new("binance", "BTCUSDT").expect("a name");
    let told = [LeafChange { instrument, open_time_ns: 0, leaf: Some(leaf) }];
    let rows = (0..6).flat_map(|minute| {
        let leaves = if minute == 0 { &told[..] } else { &[] };
        ledger.apply(&header(minute, 0), &[version(&format!("1m@{minute}=1"))], leaves)
    });
    rows.collect()
}

#[test]
fn a_mark_that_is_not_told_anew_makes_rows_stale_as_a_bar_that_is_missing_does() {
    let rows = rows_after_one_mark(&["basis_bps@mark_index"]);
    let staleness_s: Vec<i64> = rows.iter().map(|row| row.staleness_ns / SECOND_NS).collect();
    // It came a quarter of a minute before the first close. What is told in the bar is fresh.
    assert_eq!(staleness_s, [0, 15, 75, 135, 195, 255]);
    assert_eq!(quality_of(&rows[0]), 1.0);
    assert_eq!(quality_of(&rows[5]), 60.0 / (60.0 + 255.0));
    // Who does not look at it does not mind.
    let rows = rows_after_one_mark(&["average_trade_size_1@base", "liquidation_volume_15@lower_bound"]);
    assert!(rows.iter().all(|row| row.staleness_ns == 0), "{rows:?}");
}

#[test]
fn the_age_of_what_every_family_looks_at_is_known_or_has_no_meaning() {
    let of_market = FEATURES.iter().map(|feature| feature.family).filter(|family| family.scope == Scope::Market);
    let without: BTreeSet<&str> = of_market
        .filter(|family| crate::features::plan::age_of(family).is_none())
        .map(|family| family.inputs)
        .collect();
    assert_eq!(without, BTreeSet::from(["liquidations", "quotes", "settled funding"]));
}
