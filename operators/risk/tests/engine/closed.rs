//! What is not known stops what rests on it: an account with a fault, marks that grow old, feeds that say nothing more.

use crate::histories::{LISTED, SECOND_NS, START_NS, UNIT, World, decided, engine, instrument};
use tidewheel_risk::book::BookEvent;
use tidewheel_risk::decisions::{Decision, Reason, Ruling};
use tidewheel_risk::desk::RiskEvent;
use tidewheel_risk::engine::{EngineFacts, EngineTick, RefusedWhy, RiskEngine, SavedEngine};
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::switches::{ControlEvent, ControlOutcome, Order};
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{
    CashMovement, ContractKind, Fill, FillChange, Holder, Instrument, InstrumentReference, OrderIntent, Side,
};

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

/// The ruling on a closing sale of 0.05 of an instrument, whatever the reasons.
fn closing(id: &str, of: &Instrument, is_reduce_only: bool, seconds: i64) -> OrderIntent {
    let sale = OrderIntent { side: Side::Sell, quantity_e8: UNIT / 20, ..order("main", id, seconds) };
    OrderIntent { instrument: of.clone(), is_reduce_only, ..sale }
}

#[test]
fn a_fault_of_the_account_stops_growth_and_nothing_that_reduces() {
    let (mut engine, mut world) = begun();
    let [bitcoin, other] = [0, 2].map(|listed| instrument(&LISTED[listed]));
    let mut records = marks(1);
    records.extend([fill("main", bitcoin.clone(), 1), fill("main", other, 1)]);
    engine.tick(at(&mut world, 1, records));
    // The other's mark grows old, and bitcoin's, which all is converted with, does not.
    let kill = Order::Kill { scope: Scope::account("main"), level: Level::Black };
    let kill = ControlEvent {
        id: "k".into(),
        who: "ann".into(),
        why: "test".into(),
        time_ns: START_NS + 191 * SECOND_NS,
        order: kill,
    };
    for (seconds, controls, is_reduce_only) in [(190, Vec::new(), false), (191, vec![kill], true)] {
        let records = marks(seconds).into_iter().filter(|mark| !format!("{mark:?}").contains("ADA")).collect();
        let (buy, sell) = (format!("b{seconds}"), format!("s{seconds}"));
        let intents = vec![order("main", &buy, seconds), closing(&sell, &bitcoin, is_reduce_only, seconds)];
        let facts = engine.tick(EngineTick { intents, controls, ..at(&mut world, seconds, records) });
        let told: Vec<_> = decided(&facts).map(|one| (one.ruling, &one.reasons)).collect();
        assert!(matches!(told[0], (Ruling::Rejected, reasons) if matches!(reasons[0], Reason::NoBook(_))), "{told:?}");
        assert_eq!(told[1], (Ruling::Approved, &vec![]), "{seconds}");
    }
    let levels = engine.desk().levels();
    assert_eq!(levels.of(&Scope::account("main")), Level::Black);
}

#[test]
fn what_was_bought_of_a_coin_without_scenarios_can_be_sold_again() {
    let (mut engine, mut world) = begun();
    let coin = Instrument::new("one", "NEWUSDT").expect("a name");
    let reference = BookEvent::Reference(InstrumentReference {
        instrument: coin.clone(),
        asset_class: "crypto".into(),
        sector: "new".into(),
        base_currency: "NEW".into(),
        quote_currency: "USDT".into(),
        kind: ContractKind::Linear,
        multiplier_e8: UNIT,
    });
    let mark = |seconds: i64| {
        let mark = Mark { event_time_ns: START_NS + seconds * SECOND_NS, sequence: 1, price_e8: 60_000 * UNIT };
        BookEvent::Mark { instrument: coin.clone(), source: MarkSource::Trade, mark }
    };
    let all = |seconds: i64| marks(seconds).into_iter().chain([mark(seconds)]).collect::<Vec<_>>();
    let records = all(1).into_iter().chain([reference]).collect();
    let buy = OrderIntent { instrument: coin.clone(), ..order("main", "1", 1) };
    let facts = engine.tick(EngineTick { intents: vec![buy.clone()], ..at(&mut world, 1, records) });
    assert_eq!(one(&facts).ruling, Ruling::Approved, "{:?}", one(&facts).reasons);
    let records = all(2).into_iter().chain([fill("main", coin.clone(), 2)]).collect();
    engine.tick(at(&mut world, 2, records));
    assert!(format!("{:?}", engine.numbers()["main"].faults).contains("Scenarios"));
    let intents = vec![
        OrderIntent { intent_id: "2".into(), event_time_ns: START_NS + 3 * SECOND_NS, ..buy },
        closing("3", &coin, false, 3),
    ];
    let facts = engine.tick(EngineTick { intents, ..at(&mut world, 3, all(3)) });
    let told: Vec<_> = decided(&facts).map(|one| one.ruling).collect();
    assert_eq!(told, [Ruling::Rejected, Ruling::Approved]);
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

fn cash(id: &str, amount_e8: i64) -> BookEvent {
    BookEvent::Cash(CashMovement {
        account: "new".into(),
        id: id.into(),
        currency: "USDT".into(),
        amount_e8,
        event_time_ns: START_NS + SECOND_NS,
    })
}

/// Records of an account that nobody had heard of, none of which can count: each stops it.
fn first_records() -> [(&'static str, BookEvent); 4] {
    let of = |edit: &dyn Fn(&mut Fill)| {
        let BookEvent::Fill(mut fill) = fill("new", instrument(&LISTED[0]), 1) else { panic!("it is a fill") };
        edit(&mut fill);
        fill
    };
    let other = of(&|fill| fill.fill_id = "other".into());
    let change = FillChange::Correct { fill: Box::new(other), sequence: 1 };
    [
        ("unknown instrument", fill("new", Instrument::new("one", "UNKNOWN").expect("a name"), 1)),
        ("fill of nothing", BookEvent::Fill(of(&|fill| fill.quantity_e8 = 0))),
        ("too much money", cash("first", i64::MAX)),
        (
            "correction of another fill",
            BookEvent::FillChange {
                account: "new".into(),
                instrument: instrument(&LISTED[0]),
                fill_id: "f".into(),
                change,
                event_time_ns: START_NS + SECOND_NS,
                original_time_ns: None,
            },
        ),
    ]
}

#[test]
fn an_engine_begun_again_after_a_refused_first_record_of_an_account_goes_on_as_the_one_that_was_not() {
    for (name, first) in first_records() {
        let (mut engine, mut world) = begun();
        let facts = engine.tick(at(&mut world, 1, vec![first]));
        assert_eq!((facts.refused.len(), facts.late.len()), (1, 0), "{name}");
        let bytes = postcard::to_allocvec(&engine.save()).expect("bytes");
        let saved: SavedEngine = postcard::from_bytes(&bytes).expect("an engine");
        let mut restored = RiskEngine::restore(saved);
        assert_eq!(restored.numbers(), engine.numbers(), "{name}");
        // Money, a fill, orders of it and of another account, a minute that ends, and silence.
        let steps = [(2, vec![cash("second", 10_000_000 * UNIT)]), (3, vec![fill("new", instrument(&LISTED[0]), 3)])];
        let steps = steps.into_iter().chain([(4, Vec::new()), (70, Vec::new()), (130, Vec::new())]);
        for (seconds, mut records) in steps {
            records.extend(marks(seconds));
            let mut tick = at(&mut world, seconds, records);
            tick.intents = ["new", "main"].map(|account| order(account, &seconds.to_string(), seconds)).into();
            let (expected, found) = (engine.tick(tick.clone()), restored.tick(tick));
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{name}, after {seconds} s");
            assert_eq!(restored.save(), engine.save(), "{name}, after {seconds} s");
            let rulings: Vec<_> = decided(&found).map(|one| (&*one.intent.holder.account, one.ruling)).collect();
            assert_eq!(rulings, [("main", Ruling::Approved), ("new", Ruling::Rejected)], "{name}, after {seconds} s");
        }
    }
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
