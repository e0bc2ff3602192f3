//! What becomes of an order in the tick of its own intent: coarse ticks decide as fine ones do.

use super::tests::{Desk, SECOND, UNIT, filled, holder, intent, named};
use super::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn hold(desk: &mut Desk, more_e8: i64) {
    *desk.book.held_e8.entry((holder("a", "s"), named("BTC"))).or_default() += more_e8;
}

fn desk(held: i64) -> Desk {
    Desk::holding(&[("BTC", held)])
}

/// The intent first and its fill in the next tick, or both at once.
fn both_ways(held: i64, order: &OrderIntent, filled_e8: i64, is_cancelled: bool) -> [(Decision, Vec<Reservation>); 2] {
    let mut steps = vec![filled("1", filled_e8 * order.side.sign())];
    if is_cancelled {
        steps.push(Progress::Cancelled { account: "a".into(), intent_id: "1".into() });
    }
    let (mut fine, mut coarse) = (desk(held), desk(held));
    let first = fine.decide(order.clone());
    hold(&mut fine, filled_e8 * order.side.sign());
    assert_eq!(fine.decisions.progress(&steps), []);
    hold(&mut coarse, filled_e8 * order.side.sign());
    let (answers, notes) = coarse.ask_with(vec![order.clone()], steps);
    assert_eq!(notes, []);
    let Some(Answer::Decided(second)) = answers.into_iter().next() else { panic!("not decided") };
    [(first, fine.decisions.open().collect()), (second, coarse.decisions.open().collect())]
}

#[test]
fn a_fill_in_the_tick_of_its_intent_is_part_of_what_is_asked_for() {
    let (mut cut, mut full) = (0, 0);
    for seed in 0..400 {
        println!("seed {seed}");
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let held = random.random_range(-60..60);
        let quantity = random.random_range(1..250);
        let order = intent("1", "BTC", f64::from(if random.random() { quantity } else { -quantity }));
        let approved = desk(held).decide(order.clone()).quantity_e8;
        if approved == 0 {
            continue;
        }
        let filled_e8 = if random.random() { approved } else { random.random_range(1..=approved) };
        let [fine, coarse] = both_ways(held, &order, filled_e8, random.random_range(0..4) == 0);
        assert_eq!(coarse.1, fine.1, "seed {seed}");
        let told = |decision: &Decision| (decision.ruling, decision.quantity_e8, decision.expires_ns);
        assert_eq!(told(&coarse.0), told(&fine.0), "seed {seed}: {coarse:?} {fine:?}");
        cut += usize::from(fine.0.ruling == Ruling::Reduced);
        full += usize::from(filled_e8 == approved);
    }
    assert!(cut > 50 && full > 50, "{cut} {full}: too little was tested");
}

#[test]
fn what_was_filled_of_a_refused_intent_is_told() {
    let name = ("a".into(), "1".into());
    let mut refused = desk(5);
    refused.level = Level::Red;
    let (answers, notes) = refused.ask_with(vec![intent("1", "BTC", 5.0)], vec![filled("1", 5 * UNIT)]);
    assert!(matches!(&answers[..], [Answer::Decided(decision)] if decision.ruling == Ruling::Rejected));
    assert_eq!(notes, [ProgressNote::Overfilled(name)]);
    // What is of nobody's intent is not known, in the same tick or another.
    let (_, notes) = desk(0).ask_with(vec![intent("2", "BTC", 5.0)], vec![filled("1", 5 * UNIT)]);
    assert_eq!(notes, [ProgressNote::Unknown(("a".into(), "1".into()))]);
    // One that is remembered is no intent of this tick.
    let mut desk = desk(0);
    let order = OrderIntent { expires_ns: Some(200 * SECOND), ..intent("1", "BTC", 5.0) };
    desk.decide(order.clone());
    let (answers, notes) = desk.ask_with(vec![order], vec![filled("1", 2 * UNIT)]);
    assert!(matches!(answers[..], [Answer::Repeated(_)]));
    assert_eq!((notes, desk.decisions.open().map(|open| open.open_e8).sum::<i64>()), (vec![], 3 * UNIT));
}
