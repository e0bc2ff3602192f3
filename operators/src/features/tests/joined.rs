//! Rows that join bars and leaves: those of a computation from scratch, bit by bit, whatever changes, is frozen, saved or restored;
//! none knows the future; and rows of bars alone are what they were.

use super::market::Market;
use super::repairs::{Latest, hold, take};
use crate::TickHeader;
use crate::features::{
    FEATURES, FeatureLedger, FeaturesConfig, Finding, LookaheadCheck, MarketBar, SavedFeatures, Scope, View, kernels,
};
use crate::features::{FeatureBar, check_lookahead};
use crate::market::{LeafChange, MarketLeaf, Touch, TouchFlow};
use crate::saved::{RestoredState, Saving};
use rand::prelude::*;
use std::sync::Arc;
use tidewheel_schemas::{Bar, BarVersion, Instrument, Interval, Level, TradeId, TradeKey};

/// All features of markets over minutes, five minutes and quarters, beside one of bars; and a view of five minutes.
fn views() -> Vec<View> {
    let names = || FEATURES.iter().filter(|feature| feature.family.scope == Scope::Market).map(|feature| feature.name);
    let mut columns: Vec<String> = names().map(str::to_owned).collect();
    columns.push("rsi_14@talib".to_owned());
    columns.extend(names().map(|name| format!("5m.{name}")));
    columns.extend(["order_flow_imbalance_1@ofi", "touch_age@seconds"].map(|name| format!("15m.{name}")));
    vec![
        View::resolve("markets", 1, Interval::M1, &columns).expect("all are features"),
        View::resolve("slow", 1, Interval::M5, &["spread_bps@touch", "15m.sma_10@talib"]).expect("all are features"),
        View::resolve("bars", 1, Interval::M1, &["sma_10@talib", "5m.rsi_14@talib"]).expect("all are features"),
    ]
}

#[test]
fn rows_are_those_of_a_computation_from_scratch() {
    let views = views();
    let (mut published, mut compared, mut restarts, mut alone) = (0, 0, 0, 0);
    for seed in 500..516 {
        let horizon = [20, 45, 90, 240][seed as usize % 4];
        let mut market = Market::new(seed, horizon);
        let config = FeaturesConfig { views: views.clone(), is_saved: true, min_quality: None };
        let mut ledger = FeatureLedger::new(&config);
        let mut latest = Latest::new();
        let mut parts: Vec<SavedFeatures> = Vec::new();
        for step in 0..160u32 {
            let (header, versions) = market.next();
            let leaves = market.next_leaves(&header);
            let rows = take(&mut latest, ledger.apply(&header, &versions, &leaves), seed);
            published += rows;
            alone += usize::from(versions.is_empty()) * rows;
            if market.rng.random_bool(0.1) {
                let saved = ledger.save(Saving { every: 3, turn: step % 3 });
                let bytes = postcard::to_allocvec(&saved).expect("it can be written");
                parts.extend(postcard::from_bytes::<Vec<SavedFeatures>>(&bytes).expect("it can be read"));
                if market.rng.random_bool(0.5) {
                    let (frozen_ns, features) = (header.frozen_ns, parts.clone());
                    let state = RestoredState { frozen_ns, features, ..RestoredState::default() };
                    ledger = FeatureLedger::restore(&config, &mut { state });
                    restarts += 1;
                }
            }
            if step % 20 == 19 {
                compared += hold(&latest, &views, &market, seed);
            }
        }
        println!("seed {seed}: {} rows, {:?}", latest.len(), ledger.sizes());
    }
    println!("{published} versions published, {alone} for a leaf alone, {restarts} restarts, {compared} rows compared");
    assert!(alone > 50 && restarts > 30, "the market was too quiet");
}

type History = Vec<(TickHeader, Vec<BarVersion>, Vec<LeafChange>)>;

fn history(seed: u64) -> History {
    let mut market = Market::new(seed, 60);
    let tick = |_| {
        let (header, versions) = market.next();
        let leaves = market.next_leaves(&header);
        (header, versions, leaves)
    };
    (0..140).map(tick).collect()
}

#[test]
fn every_row_comes_out_of_what_was_known_and_one_that_knew_a_leaf_too_early_is_caught() {
    for seed in 520..524 {
        let history = history(seed);
        let config = FeaturesConfig { views: views(), is_saved: false, min_quality: None };
        let leaks = |is_early: bool| {
            let (mut ledger, mut check) = (FeatureLedger::new(&config), LookaheadCheck::new(&views()));
            let (mut leaks, mut checked) = (0, 0);
            for (at, (header, versions, leaves)) in history.iter().enumerate() {
                // As if the leaves of the next tick were known.
                let next = history.get(at + 1).filter(|_| is_early).map(|(_, _, leaves)| &leaves[..]);
                let known = [&leaves[..], next.unwrap_or_default()].concat();
                let rows = ledger.apply(header, versions, if is_early { &known } else { leaves });
                versions.iter().for_each(|version| check.learn(version));
                leaves.iter().for_each(|change| check.learn_leaf(change));
                for row in rows {
                    checked += 1;
                    leaks += usize::from(matches!(check.check(&row), Finding::Leak(_)));
                }
            }
            (leaks, checked)
        };
        let ((honest, checked), (early, _)) = (leaks(false), leaks(true));
        println!("seed {seed}: {checked} rows, {early} leak where leaves come a tick early");
        assert!(
            honest == 0 && checked > 500 && early > 50,
            "seed {seed}: {honest} of {checked} leak, {early} of the leaking"
        );
    }
}

#[test]
fn rows_of_bars_alone_are_what_they_are_without_a_market() {
    let history = history(530);
    let of_bars: Vec<View> = vec![View::core_technical()];
    let both: Vec<View> = vec![View::core_technical(), View::core_microstructure()];
    let ledger = |views: &[View]| {
        FeatureLedger::new(&FeaturesConfig { views: views.to_vec(), is_saved: false, min_quality: None })
    };
    let (mut alone, mut beside) = (ledger(&of_bars), ledger(&both));
    let mut compared = 0;
    for (header, versions, leaves) in &history {
        let expected = alone.apply_bars(header, versions);
        let found: Vec<_> = beside.apply(header, versions, leaves).into_iter().filter(|row| row.view == 0).collect();
        assert!(found == expected, "tick {}", header.tick);
        compared += expected.len();
    }
    assert!(compared > 500);
    // Nothing is known of such a market: null, never zero.
    let versions: Vec<BarVersion> = history.iter().flat_map(|(_, versions, _)| versions.iter().cloned()).collect();
    let mut quiet = ledger(&[View::core_microstructure()]);
    let rows: Vec<_> = history.iter().flat_map(|(header, versions, _)| quiet.apply_bars(header, versions)).collect();
    let values = rows.iter().flat_map(|row| row.values.iter().flatten());
    assert!(rows.len() > 500 && values.into_iter().all(Option::is_none));
    assert!(check_lookahead(&[View::core_microstructure()], &versions, &rows).leaks.is_empty());
}

const MINUTE_NS: i64 = Interval::M1.duration_ns();

fn version(minute: i64) -> BarVersion {
    let key = TradeKey { event_time_ns: minute * MINUTE_NS, id: TradeId::number(1) };
    let bar = Bar {
        volume_e8: 100_000_000,
        quote_volume_e16: 10_i128.pow(18),
        taker_buy_volume_e8: 0,
        taker_buy_quote_volume_e16: 0,
        first: key,
        last: key,
        open_e8: 10_000_000_000,
        high_e8: 10_000_000_000,
        low_e8: 10_000_000_000,
        close_e8: 10_000_000_000,
        trade_count: 1,
    };
    BarVersion {
        instrument: Instrument::new("binance", "BTCUSDT").expect("a name"),
        interval: Interval::M1,
        open_time_ns: minute * MINUTE_NS,
        tick: 0,
        revision: 0,
        is_final: true,
        bar: Some(bar),
    }
}

fn touch(minute: i64, bid: (f64, f64), ask: (f64, f64)) -> Touch {
    let level = |(price, quantity): (f64, f64)| {
        Some(Level { price_e8: (price * 1e8).round() as i64, quantity_e8: (quantity * 1e8).round() as i64 })
    };
    Touch { time_ns: minute * MINUTE_NS + 45_000_000_000, bid: level(bid), ask: level(ask) }
}

#[test]
fn a_leaf_revises_the_rows_that_depend_on_it_and_waits_for_its_bar() {
    let columns = ["mid@touch", "touch_age@seconds", "order_flow_imbalance_1@ofi"];
    let view = View::resolve("mine", 1, Interval::M1, &columns).expect("all are features");
    let mut ledger = FeatureLedger::new(&FeaturesConfig { views: vec![view], is_saved: false, min_quality: None });
    let header = |tick: u64| TickHeader {
        tick,
        frozen_ns: 0,
        watermark_ns: i64::MAX,
        publish_provisional: true,
        is_last: false,
        save: None,
        is_restore: false,
    };
    let leaf = |minute: i64, bid, ask| {
        let quotes = Some(TouchFlow::of(touch(minute, bid, ask)));
        let leaf = Some(MarketLeaf { quotes, ..MarketLeaf::default() });
        LeafChange { instrument: version(0).instrument, open_time_ns: minute * MINUTE_NS, leaf }
    };
    let mut step = |tick, bars: &[i64], leaves: &[LeafChange]| {
        let versions: Vec<BarVersion> = bars.iter().map(|minute| version(*minute)).collect();
        let rows = ledger.apply(&header(tick), &versions, leaves);
        let text = |value: &Option<f64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
        let rows = rows.iter().map(|row| {
            let values: Vec<String> = row.values.iter().flatten().map(text).collect();
            format!("{}:{}/{}", row.open_time_ns / MINUTE_NS, values.join(","), row.revision)
        });
        rows.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(step(1, &[0], &[]), "0:-,-,-/0");
    // Without a bar it waits.
    assert_eq!(step(2, &[], &[leaf(1, (99.0, 5.0), (101.0, 3.0))]), "");
    assert_eq!(step(3, &[1], &[]), "1:100,15,0/0");
    // A bar without a leaf has what was known before it, older.
    assert_eq!(step(4, &[2, 4], &[]), "2:100,75,0/0 4:100,195,0/0");
    // A leaf in between: its own row and those that carry it on; 7 - 5 - 3 + 3.
    assert_eq!(step(5, &[], &[leaf(3, (99.0, 7.0), (101.0, 3.0))]), "4:100,75,0/1");
    assert_eq!(step(6, &[3], &[]), "3:100,15,2/0");
    // Another leaf before it: the step to it is another too.
    assert_eq!(step(7, &[], &[leaf(1, (99.0, 6.0), (101.0, 3.0))]), "3:100,15,1/1");
}

#[test]
fn kernels_by_hand() {
    let market = |bid: (f64, f64), ask: (f64, f64)| {
        let quotes = Some(TouchFlow::of(touch(0, bid, ask)));
        let market = MarketBar::of(&MarketLeaf { quotes, ..MarketLeaf::default() }, MINUTE_NS);
        let bar = FeatureBar::of(&version(0).bar.expect("a bar"), Interval::M1, 0);
        vec![FeatureBar { market: Some(Arc::new(market)), ..bar }]
    };
    let near = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-9, "{found} instead of {expected}");
    use kernels::touch::{mid, spread_bps, weighted_mid_deviation_bps};
    // Weighted mid 100.0909..., mid 100.05; and 100.25, mid 100.5... of 100 x 1 and 101 x 3.
    let one = market((100.0, 500.0), (100.1, 50.0));
    near(mid(&one) * (1.0 + weighted_mid_deviation_bps(&one) / 1e4), 100.0 + 0.1 * 500.0 / 550.0);
    near(mid(&one), 100.05);
    near(spread_bps(&one), 1e4 * 0.1 / 100.05);
    let two = market((100.0, 1.0), (101.0, 3.0));
    near(mid(&two) * (1.0 + weighted_mid_deviation_bps(&two) / 1e4), 100.25);
    assert!(mid(&market((101.0, 1.0), (100.0, 1.0))).is_nan() && mid(&market((100.0, 1.0), (100.0, 1.0))).is_nan());
}
