//! Which predictions give a signal, and who is in the universe.

use super::*;
use crate::scoring::{Candidate, Decision, Judge, Judgement, Refused};
use tidewheel_schemas::{Bar, Interval, SECOND_NS, TradeId, TradeKey};

const HOUR_NS: i64 = 3_600 * SECOND_NS;

/// Signals are made of what was said already.
#[derive(Debug)]
struct Silent;

impl Candidate for Silent {
    fn judge(&self) -> Box<dyn Judge> {
        unreachable!("nothing is scored here")
    }
}

fn instrument(symbol: &str) -> Instrument {
    Instrument::new("v", symbol).expect("a name")
}

fn hour(symbol: &str, hour: i64, volume: i128) -> BarVersion {
    let key = TradeKey { event_time_ns: hour * HOUR_NS, id: TradeId::number(1) };
    let bar = Bar {
        volume_e8: 1,
        quote_volume_e16: volume,
        taker_buy_volume_e8: 0,
        taker_buy_quote_volume_e16: 0,
        first: key,
        last: key,
        open_e8: 1,
        high_e8: 1,
        low_e8: 1,
        close_e8: 1,
        trade_count: 1,
    };
    BarVersion {
        instrument: instrument(symbol),
        interval: Interval::H1,
        open_time_ns: hour * HOUR_NS,
        tick: 0,
        revision: 0,
        is_final: true,
        bar: Some(bar).filter(|_| volume > 0),
    }
}

fn prediction(symbol: &str, second: i64, direction: Direction, confidence: f64) -> Prediction {
    let decision = Decision { value: 0.1, direction, confidence, disagreement: 0.0, present: 1.0 };
    let activation = Activation {
        number: 1,
        is_shadow: false,
        symbol: None,
        target: "t".into(),
        view: 0,
        ensemble: "e@1".into(),
        candidate: Some(Arc::new(Silent)),
    };
    Prediction {
        instrument: instrument(symbol),
        event_time_ns: second * SECOND_NS,
        revision: 0,
        activation: Arc::new(activation),
        judgement: Judgement { decision: Ok(decision), members: "[]".into(), refused_members: Vec::new() },
    }
}

fn config(universe: usize) -> SignalsConfig {
    SignalsConfig { consider: 0.55, act: 0.65, cool_down_ns: 180 * SECOND_NS, universe }
}

fn told(signals: &[Signal]) -> Vec<String> {
    let told = |signal: &Signal| format!("{} {} {}", signal.instrument.symbol, signal.level.name(), signal.why.name());
    signals.iter().map(told).collect()
}

#[test]
fn thresholds_direction_and_cool_down() {
    let mut ledger = SignalLedger::new(config(9));
    let mut check = |second: i64, direction: Direction, confidence: f64, expected: &str| {
        let signals = ledger.apply(&[], &[prediction("A", second, direction, confidence)]);
        assert_eq!(told(&signals), [expected], "{second} s");
    };
    check(0, Direction::Up, 0.549_999, "A none unsure");
    check(60, Direction::Up, 0.55, "A consider confident");
    check(61, Direction::Flat, 0.9, "A none flat");
    check(120, Direction::Down, 0.65, "A act confident");
    // Whatever it says, for three minutes.
    check(180, Direction::Up, 0.99, "A none cool_down");
    check(299, Direction::Up, 0.56, "A none cool_down");
    check(300, Direction::Up, 0.99, "A act confident");
    let mut refused = prediction("A", 900, Direction::Up, 0.9);
    refused.judgement.decision = Err(Refused { name: "stale", detail: String::new() });
    let mut shadow = prediction("A", 901, Direction::Up, 0.9);
    Arc::get_mut(&mut shadow.activation).expect("the only one").is_shadow = true;
    assert_eq!(told(&ledger.apply(&[], &[refused, shadow])), ["A none refused"]);
}

#[test]
fn another_policy_holds_from_the_next_predictions_on_and_outlasts_a_restart() {
    let mut ledger = SignalLedger::new(config(2));
    let said = |ledger: &mut SignalLedger, second: i64| {
        let all = ["A", "B"].map(|symbol| prediction(symbol, second, Direction::Up, 0.7));
        told(&ledger.apply(&[], &all))
    };
    assert_eq!(said(&mut ledger, 0), ["A act confident", "B act confident"]);
    let policy = SignalsConfig { consider: 0.6, act: 0.75, cool_down_ns: 10 * SECOND_NS, universe: 1 };
    ledger.change(policy);
    // The cool-down that runs is measured by the new one.
    assert_eq!(said(&mut ledger, 9), ["A none cool_down", "B none outside_universe"]);
    assert_eq!(said(&mut ledger, 10), ["A consider confident", "B none outside_universe"]);
    let mut restored = SignalLedger::restore(config(2), ledger.save());
    assert_eq!(restored.save(), ledger.save());
    assert_eq!(said(&mut restored, 20), ["A consider confident", "B none outside_universe"]);
}

#[test]
fn the_universe_follows_the_volume_of_a_day() {
    let mut ledger = SignalLedger::new(config(2));
    let all = || ["A", "B", "C"].map(|symbol| prediction(symbol, 0, Direction::Up, 0.6));
    let check = |ledger: &mut SignalLedger, hours: &[BarVersion], expected: &str| {
        let signals = ledger.apply(hours, &all());
        let ranks = signals.iter().map(|signal| {
            assert_eq!(signal.rank.is_none(), signal.why == Why::OutsideUniverse);
            signal.rank.map_or("-".to_owned(), |rank| rank.to_string())
        });
        assert_eq!(ranks.collect::<Vec<_>>().join(" "), expected);
    };
    // Nobody has volume: by name.
    check(&mut ledger, &[], "1 2 -");
    check(&mut ledger, &[hour("C", 0, 5), hour("B", 0, 3)], "- 2 1");
    // Sums, not the last hour.
    check(&mut ledger, &[hour("B", 1, 3)], "- 1 2");
    // A revision replaces; a bar without trades is gone.
    check(&mut ledger, &[hour("B", 1, 1)], "- 2 1");
    check(&mut ledger, &[hour("C", 0, 0)], "2 1 -");
    // The first hour is part of the day for as long as the newest ends at 24:00.
    check(&mut ledger, &[hour("A", 23, 2)], "2 1 -");
    check(&mut ledger, &[hour("A", 24, 1)], "1 2 -");
    // What lies before the day changes nothing.
    check(&mut ledger, &[hour("C", 0, 1_000)], "1 2 -");
    let saved = ledger.save();
    let bytes = postcard::to_stdvec(&saved).expect("plain data");
    let again: SavedSignals = postcard::from_bytes(&bytes).expect("what was written");
    let mut restored = SignalLedger::restore(config(2), again);
    assert_eq!(restored.save(), saved);
    check(&mut restored, &[hour("C", 25, 7)], "2 - 1");
    check(&mut ledger, &[hour("C", 25, 7)], "2 - 1");
}
