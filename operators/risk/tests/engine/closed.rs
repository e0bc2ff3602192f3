//! What is not known stops what rests on it: an account with a fault, marks that grow old, feeds that say nothing more.

use crate::histories::{LISTED, SECOND_NS, START_NS, UNIT, World, decided, engine, instrument};
use tidewheel_risk::book::BookEvent;
use tidewheel_risk::decisions::{Decision, Reason, Ruling};
use tidewheel_risk::desk::RiskEvent;
use tidewheel_risk::engine::{EngineFacts, EngineTick, RefusedWhy, RiskEngine};
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::switches::{ControlEvent, ControlOutcome, Order};
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{Fill, Holder, Instrument, OrderIntent, Side};

fn order(account: &str, id: &str, seconds: i64) -> OrderIntent {
    OrderIntent {
        holder: Holder { account: account.into(), strategy: "s".into() },
        instrument: instrument(&LISTED[0]),
        intent_id: id.into(),
        side: Side::Buy,
        quantity_e8: UNIT / 10,
        limit_price_e8: None,
        stop_price_e8: None,
        is_reduce_only: false,
        expires_ns: None,
        event_time_ns: START_NS + seconds * SECOND_NS,
    }
}

fn marks(seconds: i64) -> Vec<BookEvent> {
    let of = |listed: usize| {
        let mark = Mark { event_time_ns: START_NS + seconds * SECOND_NS, sequence: 1_000, price_e8: LISTED[listed].8 };
        BookEvent::Mark { instrument: instrument(&LISTED[listed]), source: MarkSource::Trade, mark }
    };
    (0..LISTED.len()).map(of).collect()
}

fn fill(account: &str, instrument: Instrument, seconds: i64) -> BookEvent {
    BookEvent::Fill(Fill {
        holder: Holder { account: account.into(), strategy: "s".into() },
        instrument,
        fill_id: "f".into(),
        intent_id: None,
        side: Side::Buy,
        quantity_e8: UNIT / 10,
        price_e8: 60_000 * UNIT,
        fee_e8: 0,
        fee_currency: "USDT".into(),
        event_time_ns: START_NS + seconds * SECOND_NS,
    })
}

/// An engine with money and marks, and a world that tells ticks.
fn begun() -> (RiskEngine, World) {
    let mut world = World::new(1);
    let mut engine = engine();
    let beginning = world.beginning();
    assert_eq!(engine.tick(beginning).refused, []);
    (engine, world)
}

fn at(world: &mut World, seconds: i64, records: Vec<BookEvent>) -> EngineTick {
    world.now_ns = START_NS + seconds * SECOND_NS;
    EngineTick { records, ..world.empty() }
}

fn one(facts: &EngineFacts) -> &Decision {
    decided(facts).next().expect("an intent was asked for")
}

#[test]
fn fills_that_are_not_known_stop_their_account_and_no_other() {
    let (mut engine, mut world) = begun();
    let unknown = Instrument::new("one", "UNKNOWN").expect("a name");
    let mut records = marks(1);
    records.push(fill("main", unknown, 1));
    let tick = EngineTick { intents: vec![order("main", "1", 1), order("euro", "2", 1)], ..at(&mut world, 1, records) };
    let facts = engine.tick(tick);
    assert!(matches!(&facts.refused[..], [refused] if matches!(refused.why, RefusedWhy::Book(_))));
    let rulings: Vec<_> = decided(&facts).map(|one| (&*one.intent.holder.account, one.ruling)).collect();
    assert_eq!(rulings, [("euro", Ruling::Approved), ("main", Ruling::Rejected)]);
    let main = decided(&facts).last().expect("two were asked for");
    assert!(main.reasons.iter().any(|reason| matches!(reason, Reason::NoBook(_))), "{main:?}");
    let levels = engine.desk().levels();
    assert_eq!((levels.of(&Scope::account("main")), levels.of(&Scope::account("euro"))), (Level::Orange, Level::Green));
}

#[test]
fn old_marks_stop_and_new_ones_let_go_on() {
    let (mut engine, mut world) = begun();
    let mut records = marks(1);
    records.push(fill("main", instrument(&LISTED[0]), 1));
    engine.tick(at(&mut world, 1, records));
    // Three minutes are what the policy of these tests bears.
    for (seconds, is_fresh, expected) in [
        (170, false, Ruling::Approved),
        (190, false, Ruling::Rejected),
        (191, true, Ruling::Rejected),
        (198, true, Ruling::Approved),
    ] {
        let records = if is_fresh { marks(seconds) } else { Vec::new() };
        let intents = vec![order("main", &seconds.to_string(), seconds)];
        let facts = engine.tick(EngineTick { intents, ..at(&mut world, seconds, records) });
        assert_eq!(one(&facts).ruling, expected, "{seconds}: {:?}", one(&facts).reasons);
    }
}

#[test]
fn feeds_that_fall_silent_stop_everything() {
    let (mut engine, mut world) = begun();
    for (seconds, expected) in [(59, Ruling::Approved), (61, Ruling::Rejected)] {
        let intents = vec![order("main", &seconds.to_string(), seconds)];
        let tick = EngineTick { intents, health: None, ..at(&mut world, seconds, marks(seconds)) };
        let facts = engine.tick(tick);
        assert_eq!(one(&facts).ruling, expected, "{seconds}: {:?}", one(&facts).reasons);
    }
    assert_eq!(engine.desk().levels().of(&Scope::Everything), Level::Orange);
}

#[test]
fn a_record_of_a_far_time_is_refused_and_an_old_one_is_late() {
    let (mut engine, mut world) = begun();
    // The horizon of these tests is ten minutes.
    let facts = engine.tick(at(&mut world, 1_200, marks(1_200 + 601)));
    assert_eq!(facts.refused.len(), LISTED.len());
    assert!(facts.refused.iter().all(|refused| matches!(refused.why, RefusedWhy::FromTheFuture { .. })));
    let facts = engine.tick(at(&mut world, 1_201, marks(500)));
    assert_eq!((facts.refused.len(), facts.late.len()), (0, LISTED.len()));
}

#[test]
fn a_kill_of_what_nobody_has_heard_of_stands_and_says_so() {
    let (mut engine, mut world) = begun();
    let kill = |id: &str, scope: Scope| ControlEvent {
        id: id.into(),
        who: "ann".into(),
        why: "test".into(),
        time_ns: START_NS + 3 * SECOND_NS,
        order: Order::Kill { scope, level: Level::Red },
    };
    let misspelled = Scope::Symbol(Instrument::new("oen", "BTCUSDT").expect("a name"));
    let controls = vec![kill("1", misspelled.clone()), kill("2", Scope::Symbol(instrument(&LISTED[0])))];
    let facts = engine.tick(EngineTick { controls, ..at(&mut world, 3, marks(3)) });
    let answers = facts.events.iter().filter_map(|event| match event {
        RiskEvent::Control(answer) => Some((answer.outcome.clone(), answer.note.is_some())),
        _ => None,
    });
    assert_eq!(answers.collect::<Vec<_>>(), [(ControlOutcome::Done, true), (ControlOutcome::Done, false)]);
    assert_eq!(engine.desk().levels().of(&misspelled), Level::Red);
}
