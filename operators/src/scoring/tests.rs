//! What is scored, by whom, with what before it; and snapshots taken anywhere.

use super::*;
use crate::TickHeader;
use crate::saved::{RestoredState, Saving};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidewheel_schemas::FeatureRow;

/// Says which promotion it is and which rows it saw.
#[derive(Debug)]
struct Teller(u64);

impl Candidate for Teller {
    fn judge(&self) -> Box<dyn Judge> {
        Box::new(Self(self.0))
    }
}

impl Judge for Teller {
    fn judge(&self, window: &Window<'_>) -> Judgement {
        let rows = window.rows.iter().map(|row| format!("{}={:?}", row.event_time_ns, row.values[0].unwrap_or(-1.0)));
        Judgement {
            decision: Err(Refused { name: "stale", detail: String::new() }),
            members: format!("{} {} {}", self.0, window.symbol, rows.collect::<Vec<_>>().join(" ")).into(),
            refused_members: Vec::new(),
        }
    }
}

fn activation(number: u64, symbol: Option<&str>, target: &str, view: u16, is_shadow: bool) -> Arc<Activation> {
    let (symbol, target) = (symbol.map(Into::into), target.into());
    let candidate: Option<Arc<dyn Candidate>> = Some(Arc::new(Teller(number)));
    Arc::new(Activation { number, is_shadow, symbol, target, view, ensemble: "e@1".into(), candidate })
}

fn row(symbol: &str, view: u16, time_ns: i64, value: Option<f64>, is_ready: bool) -> FeatureRow {
    FeatureRow {
        view,
        instrument: Instrument::new("v", symbol).expect("a name"),
        open_time_ns: time_ns - 1,
        close_time_ns: time_ns,
        tick: 0,
        revision: 0,
        is_ready,
        null_share: 0.0,
        warm_share: 1.0,
        staleness_ns: 0,
        anchor_time_ns: 0,
        values: value.map(|value| vec![Some(value)].into()),
    }
}

fn header(tick: u64) -> TickHeader {
    TickHeader {
        tick,
        frozen_ns: i64::MIN,
        watermark_ns: 0,
        publish_provisional: false,
        is_last: false,
        save: None,
        is_restore: false,
    }
}

fn said(predictions: &[Prediction]) -> Vec<String> {
    predictions.iter().map(|prediction| prediction.judgement.members.to_string()).collect()
}

const CONFIG: ScoringConfig = ScoringConfig { history_rows: 3, views: 2, is_saved: true };

#[test]
fn a_row_is_scored_once_when_it_is_ready_and_its_revisions_are_looked_back_at() {
    let mut ledger = ScoringLedger::new(CONFIG);
    let mut check = |tick: u64, rows: &[FeatureRow], expected: &[&str]| {
        assert_eq!(said(&ledger.apply(&header(tick), rows)), expected, "tick {tick}");
    };
    check(1, &[row("A", 0, 10, Some(1.0), true)], &[]);
    let mut ledger = ScoringLedger::new(CONFIG);
    ledger.activate(activation(1, None, "t", 0, false));
    let mut check = |tick: u64, rows: &[FeatureRow], expected: &[&str]| {
        assert_eq!(said(&ledger.apply(&header(tick), rows)), expected, "tick {tick}");
    };
    check(1, &[row("A", 0, 10, Some(1.0), false)], &[]);
    check(2, &[row("A", 0, 20, Some(2.0), true), row("A", 1, 20, Some(9.0), true)], &["1 A 10=1.0 20=2.0"]);
    // A revision of what was scored, and a row before it: nothing, but they are known from now on.
    check(3, &[row("A", 0, 15, Some(1.5), true), row("A", 0, 20, Some(2.5), true)], &[]);
    check(
        4,
        &[row("A", 0, 30, Some(3.0), true), row("A", 0, 40, Some(4.0), true)],
        &["1 A 10=1.0 15=1.5 20=2.5 30=3.0", "1 A 10=1.0 15=1.5 20=2.5 30=3.0 40=4.0"],
    );
    // Three are remembered; one that is taken back is gone.
    check(5, &[row("A", 0, 40, None, false)], &[]);
    check(
        6,
        &[row("A", 0, 50, Some(5.0), true), row("B", 0, 50, Some(6.0), true)],
        &["1 A 20=2.5 30=3.0 50=5.0", "1 B 50=6.0"],
    );
}

#[test]
fn rows_that_a_newer_one_was_scored_before_are_counted_once() {
    let mut ledger = ScoringLedger::new(CONFIG);
    ledger.activate(activation(1, None, "t", 0, false));
    ledger.activate(activation(2, None, "t", 0, true));
    let mut check = |tick: u64, rows: &[FeatureRow], expected: u64| {
        ledger.apply(&header(tick), rows);
        assert_eq!((ledger.take_superseded(), ledger.take_superseded()), (expected, 0), "tick {tick}");
    };
    check(1, &[row("A", 0, 20, Some(1.0), true)], 0);
    // Ready for the first time, by both ensembles too late; not ready; and of a view that nobody scores.
    check(2, &[row("A", 0, 10, Some(1.0), true)], 2);
    check(3, &[row("A", 0, 15, Some(1.0), false), row("A", 1, 10, Some(1.0), true)], 0);
    // Now it is. Revisions of it and of what was scored are nothing new.
    check(4, &[row("A", 0, 15, Some(1.0), true)], 2);
    check(5, &[row("A", 0, 15, Some(2.0), true), row("A", 0, 20, Some(2.0), true)], 0);
    // Older than all that are remembered.
    check(6, &[row("A", 0, 5, Some(1.0), true)], 0);
}

#[test]
fn each_slot_has_its_own_ensemble_and_a_symbol_of_its_own_goes_first() {
    let mut ledger = ScoringLedger::new(CONFIG);
    ledger.activate(activation(1, None, "t", 0, false));
    ledger.activate(activation(2, Some("A"), "t", 0, false));
    ledger.activate(activation(3, None, "t", 0, true));
    ledger.activate(activation(4, None, "u", 1, false));
    let rows = |time| [row("A", 0, time, Some(1.0), true), row("B", 0, time, Some(1.0), true)];
    let numbers = |predictions: Vec<Prediction>| -> Vec<(String, u64)> {
        let told = |it: &Prediction| (it.instrument.symbol.to_string(), it.activation.number);
        predictions.iter().map(told).collect()
    };
    let of =
        |list: &[(&str, u64)]| list.iter().map(|(symbol, number)| ((*symbol).to_owned(), *number)).collect::<Vec<_>>();
    assert_eq!(numbers(ledger.apply(&header(1), &rows(10))), of(&[("A", 2), ("A", 3), ("B", 1), ("B", 3)]));
    ledger.activate(activation(5, None, "t", 0, false));
    assert_eq!(numbers(ledger.apply(&header(2), &rows(20))), of(&[("A", 2), ("A", 3), ("B", 5), ("B", 3)]));
    // Withdrawn, a symbol goes by that of all; without that, by none.
    let withdrawn = |symbol: Option<&str>| {
        let activation = activation(6, symbol, "t", 0, false);
        Arc::new(Activation { candidate: None, ..Activation::clone(&activation) })
    };
    ledger.activate(withdrawn(Some("A")));
    assert_eq!(numbers(ledger.apply(&header(3), &rows(30))), of(&[("A", 5), ("A", 3), ("B", 5), ("B", 3)]));
    ledger.activate(withdrawn(None));
    ledger.activate(withdrawn(Some("C")));
    assert_eq!(numbers(ledger.apply(&header(4), &rows(40))), of(&[("A", 3), ("B", 3)]));
    let of_second = [row("A", 1, 10, Some(1.0), true)];
    assert_eq!(numbers(ledger.apply(&header(5), &of_second)), of(&[("A", 4)]));
}

/// Random ticks with revisions, removals and rows out of order.
fn market(seed: u64) -> Vec<Vec<FeatureRow>> {
    let random = &mut ChaCha8Rng::seed_from_u64(seed);
    let mut tick = |number: i64| {
        let mut rows = Vec::new();
        for view in 0..2 {
            for symbol in ["A", "B", "C", "D"] {
                let mut times: Vec<i64> =
                    (0..random.random_range(0..4)).map(|_| number + random.random_range(-4..2)).collect();
                times.sort_unstable();
                times.dedup();
                for time in times {
                    let value = random.random_bool(0.8).then(|| random.random_range(0.0..1.0));
                    rows.push(row(symbol, view, time, value, random.random_bool(0.8)));
                }
            }
        }
        rows
    };
    (0..60).map(&mut tick).collect()
}

#[test]
fn begun_again_from_a_snapshot_it_says_the_same() {
    for seed in 0..40 {
        let ticks = market(seed);
        let active = [activation(1, None, "t", 0, false), activation(2, None, "u", 1, true)];
        let begin = |mut ledger: ScoringLedger| {
            active.iter().cloned().for_each(|activation| ledger.activate(activation));
            ledger
        };
        let mut straight = begin(ScoringLedger::new(CONFIG));
        let expected: Vec<_> =
            (0..).zip(&ticks).map(|(tick, rows)| said(&straight.apply(&header(tick), rows))).collect();
        assert!(expected.iter().map(Vec::len).sum::<usize>() > 30, "seed {seed} scores too little");
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let (mut ledger, mut parts, mut turn) = (begin(ScoringLedger::new(CONFIG)), Vec::new(), 0);
        for (tick, rows) in (0..).zip(&ticks) {
            assert_eq!(said(&ledger.apply(&header(tick), rows)), expected[tick as usize], "seed {seed}, tick {tick}");
            if random.random_bool(0.4) {
                parts.extend(ledger.save(Saving { every: 4, turn }));
                turn = (turn + 1) % 4;
                if random.random_bool(0.5) {
                    let state = &mut RestoredState { scoring: parts.clone(), ..RestoredState::default() };
                    ledger = begin(ScoringLedger::restore(CONFIG, state));
                }
            }
        }
    }
}
