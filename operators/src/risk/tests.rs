//! What the ledger makes of records around the engine.

use super::*;
use crate::TickHeader;
use tidewheel_risk::book::BookConfig;
use tidewheel_risk::desk::RiskEvent;
use tidewheel_risk::policy::Policy;
use tidewheel_risk::valuation::{Mark, MarkSource};
use tidewheel_schemas::{
    AccountContent, AccountRecord, CashMovement, ContractKind, Fill, Holder, Instrument, InstrumentReference,
    RejectReason, Side,
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
    let refused: Vec<_> = outcome.refused.iter().map(|refused| (refused.record.position, refused.reason)).collect();
    assert_eq!(refused, [(10, RejectReason::TooOld)]);
    assert_eq!(not_counted(&outcome), [9]);
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
    let of_mark = -110 * i128::from(UNIT) / 100 * i128::from(UNIT);
    assert_eq!(outcome.positions[0].funding_e16, -2 * i128::from(UNIT) * i128::from(UNIT) + of_mark);
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
