//! The crash of 2024-08-05, hour by hour: an account that is long in bitcoin and ether, from 1 to 7 August.

use crate::candles::{Closes, HOUR_NS, hourly};
use crate::slow::{Bought, LEVELS, SlowRegime, SlowRule};
use tidewheel_risk::book::{BookConfig, BookEvent};
use tidewheel_risk::breakers::{BreakerEvent, Rule, Verdict};
use tidewheel_risk::decisions::{Answer, Reason, Ruling};
use tidewheel_risk::desk::RiskEvent;
use tidewheel_risk::engine::{EngineFacts, EngineTick, FeedHealth, RiskEngine, SavedEngine};
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::policy::{Ladder, Policy, Ratio, Rung};
use tidewheel_risk::valuation::{Mark, MarkSource, minute_end_ns};
use tidewheel_schemas::{CashMovement, ContractKind, Fill, Holder, Instrument, InstrumentReference, OrderIntent, Side};

const SYMBOLS: [&str; 2] = ["BTCUSDT", "ETHUSDT"];
const HELD: [i64; 2] = [1, 6];
const UNIT: i64 = 100_000_000;
const DEPOSIT: i64 = 100_000;
/// 2024-08-01 00:00 UTC.
const BUY_NS: i64 = 1_722_470_400_000_000_000;

fn instrument(symbol: &str) -> Instrument {
    Instrument::new("binance", symbol).expect("a name")
}

fn holder() -> Holder {
    Holder { account: "long".into(), strategy: "hold".into() }
}

/// Wide limits, since the account is to hold what it holds; thresholds of losses as they are by default.
fn policy() -> Policy {
    let mut policy = Policy::with_version(1);
    policy.limits.single_position = Ratio::thousandths(2_000);
    policy.limits.sector = Ratio::thousandths(2_000);
    policy.limits.asset_class = Ratio::thousandths(2_000);
    policy.margin.share = Ratio::ONE;
    let rung = |tenths_of_thousandths: i64| {
        Some(Rung { trigger: Ratio::from_e9(tenths_of_thousandths * 100_000), clear: None })
    };
    // What is at risk in an hour is less than in a day, for which the defaults are.
    policy.breakers.value_at_risk = Ladder { yellow: rung(70), orange: rung(75), red: rung(80), black: None };
    policy.switches.value_at_risk.trigger = Ratio::from_e9(8_500_000);
    policy.switches.volatility.trigger = Ratio::thousandths(3_000);
    policy.hysteresis.dwell_ms = 2 * 3_600_000;
    policy
}

/// The bar ends with its tick; its last trade was a millisecond before.
fn end_of(bar: &Closes) -> i64 {
    bar.time_ns + HOUR_NS
}

fn mark_of(bar: &Closes, price_e8: i64) -> Mark {
    Mark { event_time_ns: end_of(bar) - 1_000_000, sequence: 1, price_e8 }
}

fn tick_of(bar: &Closes, number: usize) -> EngineTick {
    let mut records = Vec::new();
    for (symbol, price_e8) in SYMBOLS.iter().zip(&bar.prices_e8) {
        let instrument = instrument(symbol);
        let mark = mark_of(bar, *price_e8);
        records.push(BookEvent::Mark { instrument: instrument.clone(), source: MarkSource::Trade, mark });
        records.push(BookEvent::Close { instrument, bar_time_ns: bar.time_ns, close_e8: Some(*price_e8) });
    }
    EngineTick {
        tick: number as u64,
        time_ns: end_of(bar),
        watermark_ns: end_of(bar),
        records,
        health: Some(FeedHealth { data_age_s: 0.001, rejected_share: 0.0, frontier_lag_s: 0.1 }),
        ..EngineTick::default()
    }
}

fn beginning(bar: &Closes) -> Vec<BookEvent> {
    let mut records = vec![BookEvent::Cash(CashMovement {
        account: holder().account,
        id: "first".into(),
        currency: "USDT".into(),
        amount_e8: DEPOSIT * UNIT,
        event_time_ns: end_of(bar) - 2_000_000,
    })];
    for symbol in SYMBOLS {
        records.push(BookEvent::Reference(InstrumentReference {
            instrument: instrument(symbol),
            asset_class: "crypto".into(),
            sector: "coin".into(),
            base_currency: symbol[..3].into(),
            quote_currency: "USDT".into(),
            kind: ContractKind::Linear,
            multiplier_e8: UNIT,
        }));
    }
    records
}

fn purchases(bar: &Closes) -> Vec<BookEvent> {
    let bought = SYMBOLS.iter().zip(HELD).zip(&bar.prices_e8);
    bought
        .map(|((symbol, quantity), price_e8)| {
            BookEvent::Fill(Fill {
                holder: holder(),
                instrument: instrument(symbol),
                fill_id: format!("buy {symbol}").into(),
                intent_id: None,
                side: Side::Buy,
                quantity_e8: quantity * UNIT,
                price_e8: *price_e8,
                fee_e8: 0,
                fee_currency: "USDT".into(),
                event_time_ns: end_of(bar) - 1_000_000,
            })
        })
        .collect()
}

/// What the slow recomputation watches, of the account and of symbols.
fn story(facts: &EngineFacts) -> Vec<String> {
    let of = |event: &RiskEvent| match event {
        RiskEvent::Breaker(BreakerEvent::Tripped(trip)) => {
            Some(format!("{}>{}{}", trip.rule.name(), trip.level, symbol_of(&trip.scope)))
        }
        RiskEvent::Breaker(BreakerEvent::Lowered(lowering)) => {
            Some(format!("{}<{}{}", lowering.rule.name(), lowering.to, symbol_of(&lowering.scope)))
        }
        RiskEvent::Regime(change) => {
            let from = change.from.map_or("unknown", |from| from.name());
            Some(format!("{}:{from}-{}", change.instrument.symbol, change.to.name()))
        }
        RiskEvent::Level(_) => None,
        other => Some(format!("{other:?}")),
    };
    let mut story: Vec<_> = facts.events.iter().filter_map(of).collect();
    story.sort();
    story
}

fn symbol_of(scope: &Scope) -> String {
    match scope {
        Scope::Symbol(instrument) => format!(" {}", instrument.symbol),
        Scope::Account(_) => String::new(),
        other => format!(" {other}"),
    }
}

struct Slow {
    bought: Bought,
    /// Value at risk twice: of the account, and of its only strategy.
    rules: [Vec<SlowRule>; 3],
    regimes: [SlowRegime; 2],
    spikes: [SlowRule; 2],
}

impl Slow {
    fn new(bought: Bought) -> Self {
        let rules = [
            vec![
                SlowRule::new("value_at_risk", vec![(1, 0.007), (2, 0.007_5), (3, 0.008)]),
                SlowRule::new("kill_value_at_risk", vec![(3, 0.008_5)]),
            ],
            vec![
                SlowRule::new("drawdown", vec![(1, 0.1), (2, 0.15), (3, 0.18)]),
                SlowRule::new("kill_drawdown", vec![(4, 0.2)]),
            ],
            vec![
                SlowRule::new("daily_loss", vec![(1, 0.03), (2, 0.04), (3, 0.045)]),
                SlowRule::new("kill_loss", vec![(3, 0.05)]),
            ],
        ];
        let spikes = ["kill_volatility", "kill_volatility"].map(|name| SlowRule::new(name, vec![(3, 3.0)]));
        Self { bought, rules, regimes: Default::default(), spikes }
    }

    fn story(&mut self, bars: &[Closes], at: usize) -> Vec<String> {
        let values =
            [self.bought.value_at_risk(bars, at), self.bought.drawdown(bars, at), self.bought.daily_loss(bars, at)];
        let mut story = Vec::new();
        for (kind, (rules, value)) in self.rules.iter_mut().zip(values).enumerate() {
            for rule in rules {
                let said = rule.take(at, value);
                // The only strategy is at the same risk as the account.
                story.extend(said.iter().filter(|_| kind == 0).map(|said| format!("{said} strategy:long/hold")));
                story.extend(said);
            }
        }
        for (symbol, (regime, spikes)) in self.regimes.iter_mut().zip(&mut self.spikes).enumerate() {
            let closes: Vec<f64> = bars[..=at].iter().map(|bar| bar.prices_e8[symbol] as f64).collect();
            let (change, spike) = regime.take(&closes);
            story.extend(change.map(|change| format!("{}:{change}", SYMBOLS[symbol])));
            let said = spike.map(|spike| spikes.take(at, spike)).unwrap_or_default();
            story.extend(said.into_iter().map(|said| format!("{said} {}", SYMBOLS[symbol])));
        }
        story.sort();
        story
    }
}

fn name_of(bar: &Closes) -> String {
    let hours = (end_of(bar) - BUY_NS) / HOUR_NS;
    format!("{:02}T{:02}", 1 + hours.div_euclid(24), hours.rem_euclid(24))
}

fn engine() -> RiskEngine {
    let config = BookConfig { horizon_ns: 3 * HOUR_NS, ..BookConfig::default() };
    RiskEngine::new(config, policy(), "test", "begin").expect("a valid policy")
}

#[test]
fn the_events_of_the_crash_come_at_the_bars_of_a_slow_recomputation() {
    let Some(bars) = hourly("2024-07-22", "2024-08-08", &SYMBOLS) else { return };
    assert_eq!(bars.len(), 17 * 24);
    let bought_at = bars.iter().position(|bar| end_of(bar) == BUY_NS).expect("the recording has the day");
    let quantities = HELD.map(|held| held as f64).to_vec();
    let mut slow = Slow::new(Bought { at: bought_at, deposit: DEPOSIT as f64, quantities });
    let mut engine = engine();
    let mut told = Vec::new();
    for (at, bar) in bars.iter().enumerate() {
        let mut tick = tick_of(bar, at);
        if at == 0 {
            tick.records.extend(beginning(bar));
        }
        if at == bought_at {
            tick.records.extend(purchases(bar));
        }
        let facts = engine.tick(tick);
        assert_eq!((&facts.refused[..], &facts.late[..]), (&[][..], &[][..]), "{}", name_of(bar));
        let expected = slow.story(&bars, at);
        assert_eq!(story(&facts), expected, "{}", name_of(bar));
        let drawdown = -engine.numbers()["long"].drawdown.expect("there is a peak");
        let slow_drawdown = slow.bought.drawdown(&bars, at);
        assert!((drawdown - slow_drawdown).abs() < 1e-12, "{}: {drawdown} {slow_drawdown}", name_of(bar));
        let (found, at_risk) = (engine.numbers()["long"].clone(), slow.bought.value_at_risk(&bars, at));
        if at >= bought_at {
            let tail = found.tail.expect("there are scenarios enough");
            let share = tail.historical_var_95_e16 as f64 / found.equity_e16.expect("all is marked") as f64;
            assert!((share - at_risk).abs() < 1e-8, "{}: {share} {at_risk}", name_of(bar));
        }
        if end_of(bar).rem_euclid(24 * HOUR_NS) == 0 {
            println!("{} drawdown {drawdown:.4}, at risk {at_risk:.4}", name_of(bar));
        }
        if at >= bought_at {
            told.extend(expected.into_iter().map(|event| format!("{} {event}", name_of(bar))));
        }
    }
    println!("{}", told.join("\n"));
    let of_account: Vec<_> = told.iter().filter(|told| told.contains("drawdown") || told.contains("loss")).collect();
    assert_eq!(of_account, LOSSES);
    assert_eq!(LEVELS[4], Level::Black.name());
    assert_eq!(engine.desk().levels().of(&Scope::account("long")), Level::Black);
}

/// What losses did in those days, by the ends of bars: from 100,000 with one bitcoin and six ether, equity fell by a tenth until 4 August
/// 18:00 and by a fifth until 5 August 13:00, and 3 % of 2 August were lost at 15:00. Bars of an hour tell no fall in ten seconds.
const LOSSES: [&str; 7] = [
    "02T15 daily_loss>yellow",
    "02T22 daily_loss>red",
    "02T23 kill_loss>red",
    "04T18 drawdown>yellow",
    "05T02 drawdown>orange",
    "05T07 drawdown>red",
    "05T13 kill_drawdown>black",
];

#[test]
fn a_corrected_price_of_the_crash_un_trips_nothing_and_is_said_beside_it() {
    let Some(bars) = hourly("2024-07-22", "2024-08-06", &SYMBOLS) else { return };
    let mut engine = engine();
    let bought_at = bars.iter().position(|bar| end_of(bar) == BUY_NS).expect("the recording has the day");
    let mut last = None;
    for (at, bar) in bars.iter().enumerate() {
        let mut tick = tick_of(bar, at);
        if at == 0 {
            tick.records.extend(beginning(bar));
        }
        if at == bought_at {
            tick.records.extend(purchases(bar));
        }
        let facts = engine.tick(tick);
        last = Some((at, bar.clone()));
        let is_red = |event: &RiskEvent| {
            matches!(event, RiskEvent::Breaker(BreakerEvent::Tripped(trip))
                if trip.rule == Rule::Drawdown && trip.level == Level::Red)
        };
        if facts.events.iter().any(is_red) {
            break;
        }
    }
    let (at, bar) = last.expect("there are bars");
    println!("red at {}", name_of(&bar));
    let trips =
        |engine: &RiskEngine| -> Vec<String> { engine.desk().breakers().trips().map(|trip| trip.id.clone()).collect() };
    let before = trips(&engine);
    assert!(before.iter().any(|trip| *trip == format!("drawdown@account:long@red@{at}")), "{before:?}");
    // The trades of that minute were cancelled: bitcoin had really been at 60,000 and more.
    let price_e8 = 60_500 * UNIT;
    let correction = BookEvent::MinuteMark {
        instrument: instrument("BTCUSDT"),
        source: MarkSource::Trade,
        minute_end_ns: minute_end_ns(end_of(&bar) - 1),
        mark: Some(mark_of(&bar, price_e8)),
    };
    let second = 1_000_000_000;
    let intent = OrderIntent {
        holder: holder(),
        instrument: instrument("ETHUSDT"),
        intent_id: "close".into(),
        side: Side::Sell,
        quantity_e8: UNIT,
        limit_price_e8: None,
        stop_price_e8: None,
        is_reduce_only: false,
        expires_ns: None,
        event_time_ns: end_of(&bar) + second,
    };
    let facts = engine.tick(EngineTick {
        tick: at as u64 + 1,
        time_ns: end_of(&bar) + second,
        watermark_ns: end_of(&bar) + second,
        records: vec![correction],
        intents: vec![intent],
        ..EngineTick::default()
    });
    assert_eq!(trips(&engine), before);
    assert!(engine.numbers()["long"].drawdown.expect("a peak") > -0.12, "the number itself is corrected");
    let audits: Vec<_> = facts
        .events
        .iter()
        .filter_map(|event| match event {
            RiskEvent::Audit(audit) => {
                Some((audit.rule, audit.verdict, audit.known_level, audit.tick, audit.trip.clone()))
            }
            _ => None,
        })
        .collect();
    let trip = Some(format!("drawdown@account:long@red@{at}"));
    assert!(
        audits.contains(&(Rule::Drawdown, Verdict::WouldNotHaveTripped, Level::Red, at as u64, trip)),
        "{audits:?}"
    );
    // Halted stays halted: even what makes positions smaller waits for a person.
    let [Answer::Decided(decision)] = &facts.answers[..] else { panic!("one decision: {:?}", facts.answers) };
    assert_eq!(decision.ruling, Ruling::Rejected);
    assert!(
        decision
            .reasons
            .iter()
            .any(|reason| matches!(reason, Reason::Level { level: Level::Red, trips } if !trips.is_empty()))
    );
    // And so from a snapshot.
    let bytes = postcard::to_allocvec(&engine.save()).expect("bytes");
    let saved: SavedEngine = postcard::from_bytes(&bytes).expect("an engine");
    assert_eq!(trips(&RiskEngine::restore(saved)), before);
}
