//! What must kill kills, whatever else is wrong with the account.

use crate::histories::{LISTED, SECOND_NS, START_NS, UNIT, World, engine, instrument};
use tidewheel_risk::book::{BookEvent, BookFault};
use tidewheel_risk::desk::RiskEvent;
use tidewheel_risk::engine::{EngineFacts, EngineTick, RiskEngine};
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{CashMovement, Fill, FillChange, Holder, Side};

const BITCOIN: usize = 0;
const THIN: usize = 2;

fn mark(listed: usize, price: i64, seconds: i64) -> BookEvent {
    let mark = Mark { event_time_ns: START_NS + seconds * SECOND_NS, sequence: 1_000, price_e8: price };
    BookEvent::Mark { instrument: instrument(&LISTED[listed]), source: MarkSource::Trade, mark }
}

fn bought(listed: usize, quantity: i64) -> BookEvent {
    BookEvent::Fill(Fill {
        holder: Holder { account: "main".into(), strategy: "s".into() },
        instrument: instrument(&LISTED[listed]),
        fill_id: format!("f{listed}").into(),
        intent_id: None,
        side: Side::Buy,
        quantity_e8: quantity * UNIT,
        price_e8: LISTED[listed].8,
        fee_e8: 0,
        fee_currency: "USDT".into(),
        event_time_ns: START_NS + SECOND_NS,
    })
}

/// An account of a million that holds some bitcoin and one contract of a coin that hardly trades.
struct Life {
    engine: RiskEngine,
    world: World,
}

impl Life {
    fn of(bitcoins: i64) -> Self {
        let mut world = World::new(1);
        let mut engine = engine();
        engine.tick(world.beginning());
        let mut life = Self { engine, world };
        let prices = (LISTED[BITCOIN].8, LISTED[THIN].8);
        let records =
            vec![mark(BITCOIN, prices.0, 1), mark(THIN, prices.1, 1), bought(BITCOIN, bitcoins), bought(THIN, 1)];
        life.tick(1, records);
        life
    }

    fn tick(&mut self, seconds: i64, records: Vec<BookEvent>) -> EngineFacts {
        self.world.now_ns = START_NS + seconds * SECOND_NS;
        let facts = self.engine.tick(EngineTick { records, ..self.world.empty() });
        assert_eq!(facts.refused, [], "{seconds}");
        facts
    }

    fn level(&self) -> Level {
        self.engine.desk().levels().of(&Scope::account("main"))
    }

    fn faults(&self) -> &[BookFault] {
        &self.engine.numbers()["main"].faults
    }
}

/// How often the equity of the account is said to have crashed.
fn crashes(events: &[RiskEvent]) -> usize {
    let is_of_equity =
        |event: &&RiskEvent| matches!(event, RiskEvent::FlashCrash(crash) if crash.scope == Scope::account("main"));
    events.iter().filter(is_of_equity).count()
}

#[test]
fn a_stale_mark_of_a_thin_coin_hides_no_loss() {
    let mut life = Life::of(15);
    life.tick(190, vec![mark(BITCOIN, 60_000 * UNIT, 190)]);
    assert_eq!(life.faults(), [BookFault::StaleMark(instrument(&LISTED[THIN]))]);
    assert!(life.level() < Level::Black, "nothing is lost so far");
    // 750,000 of a million.
    life.tick(191, vec![mark(BITCOIN, 10_000 * UNIT, 191)]);
    assert_eq!(life.faults(), [BookFault::StaleMark(instrument(&LISTED[THIN]))]);
    assert_eq!(life.level(), Level::Black);
    let trips = life.engine.desk().breakers().trips().map(|trip| trip.id.clone()).collect::<Vec<_>>();
    assert!(trips.iter().any(|trip| trip.starts_with("kill_drawdown@account:main@black")), "{trips:?}");
}

#[test]
fn more_than_everything_lost_in_one_tick_is_a_drawdown_and_a_deposit_hides_it_not() {
    let mut life = Life::of(20);
    life.tick(2, vec![mark(BITCOIN, 5_000 * UNIT, 2)]);
    assert_eq!(life.faults(), [BookFault::NoEquity]);
    let drawdown = |life: &Life| life.engine.numbers()["main"].drawdown.expect("there was a peak");
    assert!(drawdown(&life) < -1.0, "{}", drawdown(&life));
    assert_eq!(life.level(), Level::Black);
    let deposit = BookEvent::Cash(CashMovement {
        account: "main".into(),
        id: "more".into(),
        currency: "USDT".into(),
        amount_e8: 500_000 * UNIT,
        event_time_ns: START_NS + 90 * SECOND_NS,
    });
    // A sample of equity below zero lies between.
    life.tick(70, vec![mark(BITCOIN, 5_000 * UNIT, 70)]);
    life.tick(91, vec![mark(BITCOIN, 5_000 * UNIT, 91), mark(THIN, LISTED[THIN].8, 91), deposit]);
    assert_eq!(life.faults(), []);
    assert!(drawdown(&life) < -0.7, "{}", drawdown(&life));
}

#[test]
fn a_fall_of_equity_is_seen_while_a_mark_is_stale() {
    let mut life = Life::of(15);
    let mut crashed = Vec::new();
    for (seconds, price) in [(190, 60_000), (191, 60_000), (192, 54_000), (193, 54_000), (194, 54_000), (195, 54_000)] {
        let facts = life.tick(seconds, vec![mark(BITCOIN, price * UNIT, seconds)]);
        assert_eq!(life.faults().len(), 1, "the coin is stale all the time");
        crashed.extend(facts.events.into_iter().filter_map(|event| match event {
            RiskEvent::FlashCrash(crash) => Some(crash.scope),
            _ => None,
        }));
    }
    assert!(crashed.contains(&Scope::account("main")), "{crashed:?}");
}

#[test]
fn a_single_bad_print_is_no_crash_of_equity_and_the_second_one_is() {
    for (is_confirmed, expected) in [(false, 0), (true, 1)] {
        let mut life = Life::of(15);
        let mut count = 0;
        // Between two prints there are ticks at which equity is as low as the newest.
        let prints = [(2, Some(60_000)), (3, Some(60_000)), (4, Some(54_000)), (5, None), (6, None)];
        let then = Some(if is_confirmed { 54_000 } else { 60_000 });
        for (seconds, price) in prints.into_iter().chain([(7, then), (8, then), (9, then)]) {
            let marks = price.map(|price| mark(BITCOIN, price * UNIT, seconds));
            let facts = life.tick(seconds, marks.into_iter().collect());
            count += crashes(&facts.events);
        }
        assert_eq!(count, expected, "confirmed {is_confirmed}");
    }
}

#[test]
fn a_fill_that_is_cancelled_later_is_no_crash_of_equity() {
    // Also where equity is not looked at just then, since another price is not sure.
    for is_unsure in [false, true] {
        let mut life = Life::of(15);
        life.tick(2, vec![mark(BITCOIN, 70_000 * UNIT, 2)]);
        life.tick(3, vec![mark(BITCOIN, 70_000 * UNIT, 3)]);
        life.tick(61, vec![mark(BITCOIN, 70_000 * UNIT, 61)]);
        life.tick(62, vec![mark(BITCOIN, 70_000 * UNIT, 62)]);
        // All that was won is no more: 150,000 of 1,150,000.
        let BookEvent::Fill(fill) = bought(BITCOIN, 15) else { unreachable!("it is a fill") };
        let cancel = BookEvent::FillChange {
            account: fill.holder.account.clone(),
            instrument: fill.instrument.clone(),
            fill_id: fill.fill_id.clone(),
            change: FillChange::Cancel,
            original_time_ns: Some(fill.event_time_ns),
            event_time_ns: START_NS + 63 * SECOND_NS,
        };
        let before = life.engine.numbers()["main"].equity_e16.expect("all is marked");
        let thin = LISTED[THIN].8;
        let mut records = vec![mark(BITCOIN, 70_000 * UNIT, 63), cancel];
        records.extend(is_unsure.then(|| mark(THIN, thin / 100 * 96, 63)));
        let mut events = life.tick(63, records).events;
        for seconds in 64..70 {
            let records = vec![mark(BITCOIN, 70_000 * UNIT, seconds), mark(THIN, thin, seconds)];
            events.extend(life.tick(seconds, records).events);
        }
        assert!(life.engine.numbers()["main"].equity_e16.expect("all is marked") < before / 100 * 90);
        assert_eq!(crashes(&events), 0, "unsure {is_unsure}: {events:?}");
    }
}

#[test]
fn a_price_of_what_is_no_longer_held_hides_no_crash_of_equity() {
    let mut life = Life::of(15);
    let BookEvent::Fill(bought) = bought(THIN, 1) else { unreachable!("it is a fill") };
    let sold = Fill { fill_id: "sold".into(), side: Side::Sell, event_time_ns: START_NS + 2 * SECOND_NS, ..bought };
    life.tick(2, vec![mark(BITCOIN, 60_000 * UNIT, 2), BookEvent::Fill(sold)]);
    life.tick(3, vec![mark(BITCOIN, 60_000 * UNIT, 3), mark(THIN, LISTED[THIN].8 / 100 * 96, 3)]);
    let mut count = 0;
    for (seconds, price) in [(4, 54_000), (5, 54_000), (6, 54_000), (7, 54_000)] {
        let facts = life.tick(seconds, vec![mark(BITCOIN, price * UNIT, seconds)]);
        count += crashes(&facts.events);
    }
    assert_eq!(count, 1);
}

#[test]
fn one_bad_print_of_a_rate_is_no_crash_of_equity_and_a_second_one_is() {
    const EURO: usize = 1;
    for (is_confirmed, expected) in [(false, 0), (true, 1)] {
        let mut life = Life::of(1);
        let price = LISTED[EURO].8;
        let euros = BookEvent::Cash(CashMovement {
            account: "main".into(),
            id: "euros".into(),
            currency: "EUR".into(),
            amount_e8: 5_000_000 * UNIT,
            event_time_ns: START_NS + 2 * SECOND_NS,
        });
        life.tick(2, vec![mark(EURO, price, 2), euros]);
        let mut count = 0;
        let then = Some(if is_confirmed { price / 100 * 95 } else { price });
        let prints =
            [(3, Some(price)), (4, Some(price / 100 * 95)), (5, None), (6, None), (7, then), (8, then), (9, then)];
        for (seconds, price) in prints {
            let facts = life.tick(seconds, price.map(|price| mark(EURO, price, seconds)).into_iter().collect());
            count += crashes(&facts.events);
        }
        assert_eq!(count, expected, "confirmed {is_confirmed}");
    }
}
