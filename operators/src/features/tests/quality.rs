//! What is said of quality is said once, and a restart says nothing of its own.

use super::market::Market;
use super::repairs::views;
use crate::features::{FeatureLedger, FeaturesConfig, QualityChange, SavedFeatures};
use crate::saved::{RestoredState, Saving};
use rand::Rng;
use std::collections::BTreeMap;

#[test]
fn events_are_those_of_a_run_without_restarts_and_take_turns() {
    let (mut low, mut back, mut restarts) = (0, 0, 0);
    for seed in 300..308 {
        let mut market = Market::new(seed, 60);
        // Most rows of a view are good in the end, and gaps make some of them stale.
        let config = FeaturesConfig { views: views(), is_saved: true, min_quality: Some(0.45) };
        let (mut undisturbed, mut ledger) = (FeatureLedger::new(&config), FeatureLedger::new(&config));
        let mut parts: Vec<SavedFeatures> = Vec::new();
        let mut last: BTreeMap<_, QualityChange> = BTreeMap::new();
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
    println!("{low} low, {back} back, {restarts} restarts");
    assert!(low > 50 && back > 50 && restarts > 20, "{low} low, {back} back, {restarts} restarts");
}
