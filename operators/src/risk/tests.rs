//! What the ledger makes of records around the engine.

use super::*;
use crate::TickHeader;
use crate::saved::Saving;
use tidewheel_risk::book::BookConfig;
use tidewheel_risk::decisions::{Answer, Ruling};
use tidewheel_risk::desk::RiskEvent;
use tidewheel_risk::policy::Policy;
use tidewheel_risk::valuation::{Group, Mark, MarkSource};
use tidewheel_schemas::{
    AccountContent, AccountRecord, CashMovement, ContractKind, Fill, Holder, Instrument, InstrumentReference,
    OrderIntent, Side,
};

const UNIT: i64 = 100_000_000;
const MINUTE_NS: i64 = 60_000_000_000;

fn instrument(symbol: &str) -> Instrument {
    Instrument::new("venue", symbol).expect("a name")
}

fn ledger() -> RiskLedger {
    let book = BookConfig { scenario_step_ns: MINUTE_NS, scenarios_min: 2, ..BookConfig::default() };
    RiskLedger::new(RiskConfig { book, step: Interval::M1, policy: Policy::with_version(1), publish_every_ms: 1_000 })
}

fn header(tick: u64) -> TickHeader {
    TickHeader {
        tick,
        frozen_ns: i64::MIN,
        watermark_ns: tick as i64 * 1_000_000,
        publish_provisional: false,
        is_last: false,
        save: None,
        is_restore: false,
    }
}

fn record(position: u64, event_time_ns: i64, content: AccountContent) -> AccountRecord {
    AccountRecord { event_time_ns, partition: 0, position, index: 0, receive_time_ns: None, content }
}

fn reference(symbol: &str) -> AccountContent {
    AccountContent::Reference(InstrumentReference {
        instrument: instrument(symbol),
        asset_class: "crypto".into(),
        sector: "coin".into(),
        base_currency: "BTC".into(),
        quote_currency: "USDT".into(),
        kind: ContractKind::Linear,
        multiplier_e8: UNIT,
    })
}

fn fill(symbol: &str, id: &str, quantity_e8: i64, event_time_ns: i64) -> AccountContent {
    AccountContent::Fill(Fill {
        holder: Holder { account: "main".into(), strategy: "s".into() },
        instrument: instrument(symbol),
        fill_id: id.into(),
        intent_id: None,
        side: Side::Buy,
        quantity_e8,
        price_e8: 100 * UNIT,
        fee_e8: 0,
        fee_currency: "USDT".into(),
        event_time_ns,
    })
}

fn mark(symbol: &str, minute: i64, price_e8: i64) -> MarketChange {
    let (minute_end_ns, event_time_ns) = ((minute + 1) * MINUTE_NS, minute * MINUTE_NS + 5);
    let mark = Some(Mark { event_time_ns, sequence: 0, price_e8 });
    MarketChange::Mark { instrument: instrument(symbol), source: MarkSource::Trade, minute_end_ns, mark }
}

/// Positions of fills that do not count.
fn not_counted(outcome: &RiskOutcome) -> Vec<u64> {
    let of = |fact: &RiskFact| if let RiskFact::NotCounted(record, _) = fact { Some(record.position) } else { None };
    outcome.events.iter().filter_map(|event| of(&event.fact)).collect()
}

#[test]
fn each_record_is_told_what_became_of_it_and_of_equal_ones_the_first_counts() {
    let mut ledger = ledger();
    let time_ns = 10 * MINUTE_NS;
    let account = vec![
        record(7, time_ns, fill("BTCUSDT", "1", UNIT, time_ns)),
        record(5, time_ns, fill("BTCUSDT", "1", UNIT, time_ns)),
        record(6, time_ns, fill("BTCUSDT", "1", 2 * UNIT, time_ns)),
        record(1, time_ns, reference("BTCUSDT")),
        record(2, time_ns, reference("BTCUSDT")),
        record(8, time_ns, fill("NOBODY", "2", UNIT, time_ns)),
    ];
    let outcome = ledger.apply(&header(600_100), RiskRecords { account, ..RiskRecords::default() });
    let places = |records: &[AccountRecord]| records.iter().map(|record| record.position).collect::<Vec<_>>();
    assert_eq!(places(&outcome.accepted), [1, 5, 6, 8]);
    let counters = &outcome.counters;
    assert_eq!((counters.accepted, counters.duplicate, counters.rejected), (4, 2, 0));
    assert_eq!(not_counted(&outcome), [6, 8]);
    // What counts from the first tick on is told first, once.
    let RiskFact::Desk(RiskEvent::Policy(first)) = &outcome.events[0].fact else { panic!("{:?}", outcome.events) };
    assert_eq!((first.policy.version, first.from_tick, outcome.events[0].number), (1, 600_100, 1));
    assert_eq!(first.who, "configuration");
    assert_eq!(outcome.positions.len(), 1);

    // Two hours on, what is as old comes too late, and the same again is still known.
    ledger.apply(&header(7_800_000), RiskRecords::default());
    let movement = CashMovement {
        account: "main".into(),
        id: "1".into(),
        currency: "USDT".into(),
        amount_e8: UNIT,
        event_time_ns: time_ns,
    };
    let account = vec![
        record(9, time_ns, fill("BTCUSDT", "3", UNIT, time_ns)),
        record(10, time_ns, AccountContent::Cash(movement)),
    ];
    let outcome = ledger.apply(&header(7_800_100), RiskRecords { account, ..RiskRecords::default() });
    assert_eq!(outcome.refused.len(), 0);
    assert_eq!(not_counted(&outcome), [9, 10]);
}

#[test]
fn what_markets_said_before_the_reference_data_came_counts_from_then_on() {
    let close = |minute: i64| tidewheel_schemas::BarVersion {
        instrument: instrument("BTCUSDT"),
        interval: Interval::M1,
        open_time_ns: minute * MINUTE_NS,
        tick: 0,
        revision: 0,
        is_final: true,
        bar: Some(tidewheel_schemas::Bar::of(&tidewheel_schemas::Trade {
            event_time_ns: minute * MINUTE_NS,
            id: tidewheel_schemas::TradeId::number(1),
            price_e8: (100 + minute) * UNIT,
            quantity_e8: UNIT,
            count: 1,
            side: tidewheel_schemas::AggressorSide::Buy,
            kind: tidewheel_schemas::TradeKind::Market,
        })),
    };
    let mut early = ledger();
    let time_ns = 5 * MINUTE_NS;
    let marks = vec![mark("BTCUSDT", 4, 104 * UNIT), mark("BTCUSDT", 3, 103 * UNIT)];
    let closes = (0..4).map(close).collect();
    let outcome = early.apply(&header(300_000), RiskRecords { changes: marks, closes, ..RiskRecords::default() });
    assert_eq!((outcome.sizes.waiting, outcome.sizes.engine.closes), (1, 0));
    let later = vec![record(1, time_ns, reference("BTCUSDT"))];
    let outcome = early.apply(&header(300_100), RiskRecords { account: later, ..RiskRecords::default() });
    assert_eq!((outcome.sizes.waiting, outcome.sizes.engine.closes), (0, 1));
    let book = early.engine().book();
    assert_eq!(book.mark_of(&instrument("BTCUSDT")).map(|mark| mark.price_e8), Some(104 * UNIT));
}

#[test]
fn funding_is_paid_on_the_price_that_is_known_and_told_where_none_is() {
    let mut ledger = ledger();
    let time_ns = 10 * MINUTE_NS;
    let funding = |minute: i64, mark_price_e8| {
        MarketChange::Funding(SettledFunding {
            instrument: instrument("BTCUSDT"),
            event_time_ns: minute * MINUTE_NS,
            rate_e8: UNIT / 100,
            mark_price_e8,
        })
    };
    let account = vec![
        record(1, time_ns, reference("BTCUSDT")),
        record(2, time_ns, fill("BTCUSDT", "1", UNIT, time_ns - MINUTE_NS)),
    ];
    let changes = vec![funding(10, None)];
    let outcome = ledger.apply(&header(600_000), RiskRecords { account, changes, ..RiskRecords::default() });
    assert!(matches!(&outcome.events[1].fact, RiskFact::Unpriced(_)), "{:?}", outcome.events);
    let changes = vec![mark("BTCUSDT", 10, 110 * UNIT), funding(11, Some(200 * UNIT))];
    let outcome = ledger.apply(&header(660_000), RiskRecords { changes, ..RiskRecords::default() });
    // A percent of what one is worth at the venue's price; longs pay.
    assert_eq!(outcome.positions[0].funding_e16, -2 * i128::from(UNIT) * i128::from(UNIT));
    let outcome =
        ledger.apply(&header(720_000), RiskRecords { changes: vec![funding(12, None)], ..RiskRecords::default() });
    let at = |price: i128| -price * i128::from(UNIT) / 100 * i128::from(UNIT);
    assert_eq!(outcome.positions[0].funding_e16, at(200) + at(110));
    // The mark of the first one comes at last, and is another one after all.
    let changes = vec![mark("BTCUSDT", 9, 50 * UNIT)];
    let outcome = ledger.apply(&header(720_100), RiskRecords { changes, ..RiskRecords::default() });
    assert_eq!(outcome.positions[0].funding_e16, at(50) + at(200) + at(110));
    assert_eq!(outcome.events, []);
    let changes = vec![mark("BTCUSDT", 9, 60 * UNIT)];
    let outcome = ledger.apply(&header(720_200), RiskRecords { changes, ..RiskRecords::default() });
    assert_eq!(outcome.positions[0].funding_e16, at(60) + at(200) + at(110));
}

fn settled(minute: i64) -> MarketChange {
    let (instrument, event_time_ns) = (instrument("BTCUSDT"), minute * MINUTE_NS);
    MarketChange::Funding(SettledFunding { instrument, event_time_ns, rate_e8: UNIT / 100, mark_price_e8: None })
}

#[test]
fn funding_waits_for_reference_data_and_what_is_lost_is_told() {
    let mut ledger = ledger();
    let tick = |minute: i64| header(minute as u64 * 60_000);
    // The first tick tells the policy.
    ledger.apply(&tick(9), RiskRecords::default());
    let changes = vec![settled(10), mark("BTCUSDT", 9, 100 * UNIT)];
    let outcome = ledger.apply(&tick(10), RiskRecords { changes, ..RiskRecords::default() });
    assert_eq!((outcome.sizes.waiting, outcome.events.len()), (1, 0));
    let bought = fill("BTCUSDT", "1", UNIT, 8 * MINUTE_NS);
    let account = vec![record(1, 0, reference("BTCUSDT")), record(2, 8 * MINUTE_NS, bought)];
    let outcome = ledger.apply(&tick(11), RiskRecords { account, ..RiskRecords::default() });
    assert_eq!(outcome.positions[0].funding_e16, -i128::from(UNIT) * i128::from(UNIT));
    // An hour later it is too late for more, and for one before all marks there never was a price.
    let changes = vec![settled(5)];
    let outcome = ledger.apply(&tick(12), RiskRecords { changes, ..RiskRecords::default() });
    assert!(matches!(&outcome.events[..], [RiskEventRow { fact: RiskFact::Unpriced(_), .. }]), "{:?}", outcome.events);
    let outcome = ledger.apply(&tick(80), RiskRecords::default());
    let lost: Vec<_> = outcome.events.iter().filter(|row| matches!(row.fact, RiskFact::NeverPriced(_))).collect();
    assert_eq!(lost.len(), 1);
    let changes = vec![
        settled(6),
        MarketChange::Funding(SettledFunding {
            instrument: instrument("BTCUSDT"),
            event_time_ns: 80 * MINUTE_NS,
            rate_e8: i64::MAX,
            mark_price_e8: None,
        }),
    ];
    let outcome = ledger.apply(&tick(81), RiskRecords { changes, ..RiskRecords::default() });
    let told: Vec<_> = (outcome.events.iter())
        .filter_map(|row| match &row.fact {
            RiskFact::MarketRefused(_, why, count) => Some((why.as_str(), *count)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [("it is before all that may still change", 1), ("rate is out of range", 1)]);
}

/// What is told last of a position and of each part of an account is how they are; a run that was stopped tells the same.
#[test]
fn what_is_no_more_is_told_and_a_position_with_its_mark() {
    let book = BookConfig { scenario_step_ns: MINUTE_NS, scenarios_min: 2, ..BookConfig::default() };
    let config = RiskConfig { book, step: Interval::M1, policy: Policy::with_version(1), publish_every_ms: 1_000 };
    let group = |groups: &[Group]| groups.iter().map(|group| format!("{group:?}")).collect::<Vec<_>>();
    for is_stopped in [false, true] {
        let mut ledger = RiskLedger::new(config.clone());
        let mut give = |ms: u64, account: Vec<AccountRecord>, changes: Vec<MarketChange>| {
            if is_stopped {
                let save = Some(Saving { every: 1, turn: 0 });
                let saved = ledger.apply(&TickHeader { save, ..header(ms - 1) }, RiskRecords::default()).saved;
                ledger = RiskLedger::restore(&config, *saved.expect("it was asked for"));
            } else {
                ledger.apply(&header(ms - 1), RiskRecords::default());
            }
            ledger.apply(&header(ms), RiskRecords { account, changes, ..RiskRecords::default() })
        };
        let time_ns = 10 * MINUTE_NS;
        let bought = fill("BTCUSDT", "1", UNIT, time_ns);
        let outcome = give(
            601_000,
            vec![record(1, 0, reference("BTCUSDT")), record(2, time_ns, bought)],
            vec![mark("BTCUSDT", 9, 100 * UNIT)],
        );
        assert_eq!(outcome.accounts[0].parts.len(), 4);
        assert_eq!(outcome.positions.len(), 1);
        // Its mark moves, and is told when it is due.
        assert_eq!(give(601_500, Vec::new(), vec![mark("BTCUSDT", 10, 110 * UNIT)]).positions, []);
        let outcome = give(602_000, Vec::new(), Vec::new());
        let unrealised = outcome.positions.iter().map(|position| position.unrealised_e16).collect::<Vec<_>>();
        assert_eq!(unrealised, [Some(10 * i128::from(UNIT) * i128::from(UNIT))]);
        assert_eq!(give(603_000, Vec::new(), Vec::new()).positions, []);
        let AccountContent::Fill(sold) = fill("BTCUSDT", "2", UNIT, time_ns + 1) else { unreachable!("it is one") };
        let sold = AccountContent::Fill(Fill { side: Side::Sell, ..sold });
        let outcome = give(604_000, vec![record(3, time_ns, sold)], Vec::new());
        assert_eq!(outcome.positions[0].quantity_e8, 0);
        assert_eq!(outcome.accounts[0].parts.len(), 0);
        // The strategy made nothing either.
        let gone = [
            "Strategy(\"s\")",
            "Symbol(venue|BTCUSDT)",
            "Sector(\"coin\")",
            "AssetClass(\"crypto\")",
            "Venue(\"venue\")",
        ];
        assert_eq!(group(&outcome.accounts[0].gone), gone);
        // It is told once, and its mark does not matter any more.
        let outcome = give(605_000, Vec::new(), vec![mark("BTCUSDT", 10, 120 * UNIT)]);
        assert_eq!((outcome.positions.len(), outcome.accounts.iter().map(|report| report.gone.len()).sum()), (0, 0));
    }
}

/// Whatever an order asks for, whoever sent it is told.
#[test]
fn an_order_that_makes_no_sense_gets_a_decision() {
    let mut ledger = ledger();
    let time_ns = 10 * MINUTE_NS;
    let cash = CashMovement {
        account: "main".into(),
        id: "1".into(),
        currency: "USDT".into(),
        amount_e8: 1_000_000 * UNIT,
        event_time_ns: time_ns - 1,
    };
    let account =
        vec![record(1, time_ns, reference("BTCUSDT")), record(2, time_ns - 1, AccountContent::Cash(cash.clone()))];
    let changes = vec![mark("BTCUSDT", 10, 100 * UNIT)];
    ledger.apply(&header(600_000), RiskRecords { account, changes, ..RiskRecords::default() });
    let most = tidewheel_schemas::PRICE_LIMIT_E8 - 1;
    let prices = [None, Some(i64::MIN), Some(-most), Some(-1), Some(0), Some(1), Some(100 * UNIT), Some(most)];
    let quantities = [i64::MIN, -1, 0, 1, UNIT, 90_000_000_000 * UNIT, i64::MAX];
    let times = [i64::MIN, 0, time_ns, 4_000_000_000 * UNIT, i64::MAX];
    let mut account = Vec::new();
    for (limit_price_e8, stop_price_e8) in
        prices.iter().flat_map(|limit| prices.iter().map(move |stop| (*limit, *stop)))
    {
        for (quantity_e8, event_time_ns) in quantities.iter().flat_map(|of| times.iter().map(move |time| (*of, *time)))
        {
            let (side, is_reduce_only) = match account.len() % 4 {
                0 => (Side::Buy, false),
                1 => (Side::Sell, true),
                2 => (Side::Buy, true),
                _ => (Side::Sell, false),
            };
            let intent = OrderIntent {
                holder: Holder { account: "main".into(), strategy: "s".into() },
                instrument: instrument("BTCUSDT"),
                intent_id: account.len().to_string().into(),
                side,
                quantity_e8,
                limit_price_e8,
                stop_price_e8,
                is_reduce_only,
                expires_ns: (account.len() % 3 > 0).then_some(event_time_ns),
                event_time_ns,
            };
            account.push(record(10 + account.len() as u64, event_time_ns, AccountContent::Intent(intent)));
        }
    }
    let asked = account.len();
    let outcome = ledger.apply(&header(600_100), RiskRecords { account, ..RiskRecords::default() });
    assert_eq!((outcome.answers.len(), outcome.accepted.len(), outcome.refused.len()), (asked, asked, 0));
    for answer in &outcome.answers {
        let Answer::Decided(decision) = answer else { panic!("each has a name of its own: {answer:?}") };
        let OrderIntent { quantity_e8, limit_price_e8, stop_price_e8, .. } = decision.intent;
        let is_sound = |price: Option<i64>| price.is_none_or(|price| price > 0);
        if quantity_e8 <= 0 || !is_sound(limit_price_e8) || !is_sound(stop_price_e8) {
            assert_eq!(decision.ruling, Ruling::Rejected, "{decision:?}");
            assert!(!decision.reasons.is_empty(), "{decision:?}");
        }
    }
}

#[test]
fn an_account_that_does_nothing_is_told_again_at_the_first_tick_of_an_hour() {
    let mut ledger = ledger();
    let (hour_ms, minute_ms) = (3_600_000, 60_000);
    let movement = CashMovement {
        account: "main".into(),
        id: "1".into(),
        currency: "USDT".into(),
        amount_e8: UNIT,
        event_time_ns: hour_ms as i64 * 1_000_000,
    };
    let account = vec![record(1, movement.event_time_ns, AccountContent::Cash(movement.clone()))];
    let mut told = |tick: u64, account: Vec<AccountRecord>| {
        let outcome = ledger.apply(&header(tick), RiskRecords { account, ..RiskRecords::default() });
        outcome.accounts.len()
    };
    assert_eq!(told(hour_ms, account), 1);
    let idle = [hour_ms + 30 * minute_ms, 2 * hour_ms - 1, 2 * hour_ms + 7 * minute_ms, 2 * hour_ms + 8 * minute_ms];
    assert_eq!(idle.map(|tick| told(tick, Vec::new())), [0, 0, 1, 0]);
}
