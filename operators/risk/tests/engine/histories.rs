//! Random lives of an engine: the same whatever the order of arrival inside ticks, the same from any snapshot, no trip taken back, and no
//! approved order that passes a limit when all that is open is filled.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use tidewheel_risk::book::{BookConfig, BookEvent};
use tidewheel_risk::breakers::BreakerEvent;
use tidewheel_risk::decisions::{Answer, Decision, Ruling};
use tidewheel_risk::desk::RiskEvent;
use tidewheel_risk::engine::{Ended, EngineFacts, EngineTick, FeedHealth, RiskEngine, SavedEngine};
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::policy::{Ladder, Policy, Ratio, Rung};
use tidewheel_risk::switches::{ControlEvent, Order};
use tidewheel_risk::valuation::{Exposure, Mark, MarkSource, minute_end_ns};
use tidewheel_schemas::{
    CashMovement, ContractKind, Fill, FillChange, FundingPayment, Holder, Instrument, InstrumentReference, OrderIntent,
    Side,
};

pub const START_NS: i64 = 1_722_816_000_000_000_000;
pub const SECOND_NS: i64 = 1_000_000_000;
const MINUTE_NS: i64 = 60 * SECOND_NS;
pub const UNIT: i64 = 100_000_000;
const ACCOUNTS: [&str; 2] = ["main", "euro"];

/// Venue, symbol, sector, class, base, quote, kind, multiplier, price.
pub type Listed =
    (&'static str, &'static str, &'static str, &'static str, &'static str, &'static str, ContractKind, i64, i64);

pub const LISTED: [Listed; 5] = [
    ("one", "BTCUSDT", "coin", "crypto", "BTC", "USDT", ContractKind::Linear, UNIT, 60_000 * UNIT),
    ("one", "EURUSDT", "major", "fx", "EUR", "USDT", ContractKind::Linear, UNIT, 110_000_000),
    ("two", "ADAUSDT", "layer1", "crypto", "ADA", "USDT", ContractKind::Linear, 10 * UNIT, 30_000_000),
    ("two", "ETHBTC", "layer1", "crypto", "ETH", "BTC", ContractKind::Linear, UNIT, 5_000_000),
    ("two", "XBTUSD", "coin", "crypto", "BTC", "USD", ContractKind::Inverse, 100 * UNIT, 60_000 * UNIT),
];

pub fn instrument(listed: &Listed) -> Instrument {
    Instrument::new(listed.0, listed.1).expect("a name")
}

fn policy() -> Policy {
    let mut policy = Policy::with_version(1);
    policy.limits.position_value = 10_000_000;
    policy.limits.drawdown = Ratio::thousandths(500);
    policy.limits.daily_loss = Ratio::thousandths(400);
    let rung = |thousandths| Some(Rung { trigger: Ratio::thousandths(thousandths), clear: None });
    let ladder =
        |yellow, orange, red| Ladder { yellow: rung(yellow), orange: rung(orange), red: rung(red), black: None };
    // Low enough for the corrections of marks to reach, high enough for orders to be judged by limits.
    policy.breakers.drawdown = ladder(20, 50, 80);
    policy.breakers.daily_loss = ladder(20, 50, 80);
    policy.breakers.concentration = ladder(2_000, 3_000, 4_000);
    policy.switches.drawdown.trigger = Ratio::thousandths(600);
    policy.switches.daily_loss.trigger = Ratio::thousandths(500);
    policy.hysteresis.dwell_ms = 5_000;
    policy.staleness.mark_ms = 180_000;
    policy.staleness.reading_ms = 60_000;
    policy.regimes.warm_bars = 4;
    policy.regimes.window_bars = 8;
    policy
}

pub fn engine() -> RiskEngine {
    let config = BookConfig {
        base_currencies: [("euro".into(), "EUR".into())].into(),
        hops: vec!["USDT".into(), "BTC".into()],
        horizon_ns: 10 * MINUTE_NS,
        scenario_step_ns: MINUTE_NS,
        scenarios: 8,
        scenarios_min: 2,
        ..BookConfig::default()
    };
    RiskEngine::new(config, policy(), "test", "begin").expect("a valid policy")
}

/// A market with people in it, who see what the engine answers.
pub struct World {
    random: ChaCha8Rng,
    pub now_ns: i64,
    tick: u64,
    made: u64,
    prices: [i64; 5],
    approved: Vec<Decision>,
    fills: Vec<Fill>,
    trips: Vec<String>,
    sent: Vec<BookEvent>,
    asked: Vec<OrderIntent>,
}

impl World {
    pub fn new(seed: u64) -> Self {
        Self {
            random: ChaCha8Rng::seed_from_u64(seed),
            now_ns: START_NS,
            tick: 0,
            made: 0,
            prices: LISTED.map(|listed| listed.8),
            approved: Vec::new(),
            fills: Vec::new(),
            trips: Vec::new(),
            sent: Vec::new(),
            asked: Vec::new(),
        }
    }

    fn name(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}{}", self.made)
    }

    /// All references, money, and some bars.
    pub fn beginning(&mut self) -> EngineTick {
        let mut records = Vec::new();
        for listed in &LISTED {
            records.push(BookEvent::Reference(InstrumentReference {
                instrument: instrument(listed),
                asset_class: listed.3.into(),
                sector: listed.2.into(),
                base_currency: listed.4.into(),
                quote_currency: listed.5.into(),
                kind: listed.6,
                multiplier_e8: listed.7,
            }));
            for bar in -8..0 {
                let close_e8 = Some(listed.8 / 1_000 * self.random.random_range(995..1_005));
                let bar_time_ns = START_NS + bar * MINUTE_NS;
                records.push(BookEvent::Close { instrument: instrument(listed), bar_time_ns, close_e8 });
            }
        }
        for account in ACCOUNTS {
            records.push(BookEvent::Cash(CashMovement {
                account: account.into(),
                id: "first".into(),
                currency: "USDT".into(),
                amount_e8: 1_000_000 * UNIT,
                event_time_ns: START_NS,
            }));
        }
        let mut tick = self.empty();
        tick.records = records;
        tick.records.extend(self.marks(1.0));
        tick
    }

    pub fn empty(&mut self) -> EngineTick {
        self.tick += 1;
        EngineTick {
            tick: self.tick,
            time_ns: self.now_ns,
            watermark_ns: self.now_ns - SECOND_NS / 10,
            health: Some(FeedHealth { data_age_s: 0.1, rejected_share: 0.0, frontier_lag_s: 0.1 }),
            ..EngineTick::default()
        }
    }

    /// Marks of a share of the instruments, some of them several at once.
    fn marks(&mut self, share: f64) -> Vec<BookEvent> {
        let mut marks = Vec::new();
        for (at, listed) in LISTED.iter().enumerate() {
            if !self.random.random_bool(share) {
                continue;
            }
            for _ in 0..self.random.random_range(1..4) {
                self.prices[at] = self.prices[at] / 10_000 * self.random.random_range(9_980..10_021);
                self.made += 1;
                let back = self.random.random_range(0..3) * 100_000_000;
                let mark =
                    Mark { event_time_ns: self.now_ns - back, sequence: self.made as i64, price_e8: self.prices[at] };
                marks.push(BookEvent::Mark { instrument: instrument(listed), source: MarkSource::Trade, mark });
            }
        }
        marks
    }

    fn intent(&mut self) -> OrderIntent {
        let at = self.random.random_range(0..LISTED.len());
        let (listed, price_e8) = (&LISTED[at], self.prices[at]);
        let unit = match listed.6 {
            ContractKind::Linear => price_e8 as f64 / 1e8 * (listed.7 as f64 / 1e8),
            ContractKind::Inverse => listed.7 as f64 / 1e8,
        } * if listed.5 == "BTC" { 60_000.0 } else { 1.0 };
        let quantity = self.random.random_range(1_000.0..200_000.0) / unit;
        OrderIntent {
            holder: Holder {
                account: (*ACCOUNTS.choose(&mut self.random).expect("two")).into(),
                strategy: (*["s", "t"].choose(&mut self.random).expect("two")).into(),
            },
            instrument: instrument(listed),
            intent_id: self.name("i").into(),
            side: if self.random.random_bool(0.6) { Side::Buy } else { Side::Sell },
            quantity_e8: (quantity * 1e8) as i64,
            limit_price_e8: self
                .random
                .random::<bool>()
                .then(|| price_e8 / 1_000 * self.random.random_range(980..1_020)),
            stop_price_e8: None,
            is_reduce_only: self.random.random_bool(0.1),
            expires_ns: None,
            event_time_ns: self.now_ns,
        }
    }

    /// A fill of an approved order, whole or in part.
    fn fill(&mut self) -> Option<Fill> {
        let decision = self.approved.choose(&mut self.random)?.clone();
        let fill = Fill {
            holder: decision.intent.holder.clone(),
            instrument: decision.intent.instrument.clone(),
            fill_id: self.name("f").into(),
            intent_id: Some(decision.intent.intent_id.clone()),
            side: decision.intent.side,
            quantity_e8: (decision.quantity_e8 / self.random.random_range(1..4)).max(1),
            price_e8: decision.price_e8?,
            fee_e8: self.random.random_range(-UNIT..5 * UNIT),
            fee_currency: "USDT".into(),
            event_time_ns: self.now_ns - self.random.random_range(0..90) * SECOND_NS,
        };
        self.fills.push(fill.clone());
        Some(fill)
    }

    fn change(&mut self) -> Option<BookEvent> {
        let fill = self.fills.choose(&mut self.random)?.clone();
        let change = if self.random.random() {
            FillChange::Cancel
        } else {
            let corrected = Fill { quantity_e8: (fill.quantity_e8 / 2).max(1), ..fill.clone() };
            self.made += 1;
            FillChange::Correct { fill: Box::new(corrected), sequence: self.made as i64 }
        };
        Some(BookEvent::FillChange {
            account: fill.holder.account.clone(),
            instrument: fill.instrument.clone(),
            fill_id: fill.fill_id.clone(),
            change,
            original_time_ns: Some(fill.event_time_ns),
            event_time_ns: self.now_ns,
        })
    }

    fn record(&mut self) -> Option<BookEvent> {
        let at = self.random.random_range(0..LISTED.len());
        let record = match self.random.random_range(0..12) {
            0..5 => BookEvent::Fill(self.fill()?),
            5..7 => self.change()?,
            7 => BookEvent::Cash(CashMovement {
                account: (*ACCOUNTS.choose(&mut self.random).expect("two")).into(),
                id: self.name("c").into(),
                currency: (*["USDT", "EUR"].choose(&mut self.random).expect("two")).into(),
                amount_e8: self.random.random_range(-30..31) * 1_000 * UNIT + 1,
                event_time_ns: self.now_ns - self.random.random_range(0..90) * SECOND_NS,
            }),
            8 => BookEvent::Funding(FundingPayment {
                instrument: instrument(&LISTED[at]),
                rate_e12: self.random.random_range(-1_000_000_000..1_000_000_000),
                mark_price_e8: self.random.random::<bool>().then_some(self.prices[at]),
                event_time_ns: self.now_ns - self.random.random_range(0..90) * SECOND_NS,
            }),
            9 => {
                let event_time_ns = self.now_ns - self.random.random_range(60..240) * SECOND_NS;
                let price_e8 = self.prices[at] / 100 * self.random.random_range(70..115);
                self.made += 1;
                let mark = Mark { event_time_ns, sequence: self.made as i64, price_e8 };
                let minute_end_ns = minute_end_ns(event_time_ns);
                BookEvent::MinuteMark {
                    instrument: instrument(&LISTED[at]),
                    source: MarkSource::Trade,
                    minute_end_ns,
                    mark: Some(mark),
                }
            }
            10 => self.sent.choose(&mut self.random)?.clone(),
            _ => BookEvent::Mark {
                instrument: Instrument::new("one", "UNKNOWN").expect("a name"),
                source: MarkSource::Trade,
                mark: Mark { event_time_ns: self.now_ns, sequence: 0, price_e8: UNIT },
            },
        };
        self.sent.push(record.clone());
        Some(record)
    }

    fn control(&mut self) -> ControlEvent {
        let order = match self.random.random_range(0..12) {
            0 => Order::Kill {
                scope: Scope::account(ACCOUNTS.choose(&mut self.random).expect("two")),
                level: Level::Red,
            },
            1 => {
                let mut next = policy();
                next.version = self.tick + 1;
                next.limits.single_position = Ratio::thousandths(self.random.random_range(50..101));
                next.marks = MarkSource::Trade;
                Order::SetPolicy(Box::new(next))
            }
            _ => {
                let trip = self.trips.choose(&mut self.random).cloned();
                Order::Reset { trip: trip.unwrap_or_else(|| "nothing".into()) }
            }
        };
        let who = ["ann", "bob"].choose(&mut self.random).expect("two");
        ControlEvent { id: self.name("o"), who: (*who).into(), why: "test".into(), time_ns: self.now_ns, order }
    }

    fn next(&mut self) -> EngineTick {
        self.now_ns += self.random.random_range(1..40) * SECOND_NS / 2;
        let mut tick = self.empty();
        tick.records = self.marks(0.7);
        for _ in 0..self.random.random_range(0..5) {
            tick.records.extend(self.record());
        }
        let minute_ns = self.now_ns.div_euclid(MINUTE_NS) * MINUTE_NS - MINUTE_NS;
        for (at, listed) in LISTED.iter().enumerate() {
            let (instrument, close_e8) = (instrument(listed), Some(self.prices[at]));
            tick.records.push(BookEvent::Close { instrument, bar_time_ns: minute_ns, close_e8 });
        }
        for _ in 0..self.random.random_range(0..5) {
            let again = self.random.random_range(0..8) == 0;
            let intent = self.asked.choose(&mut self.random).filter(|_| again).cloned();
            let intent = intent.unwrap_or_else(|| self.intent());
            self.asked.push(intent.clone());
            tick.intents.push(intent);
        }
        if self.random.random_range(0..4) == 0 {
            tick.ended.extend(self.approved.choose(&mut self.random).map(|decision| Ended {
                account: decision.intent.holder.account.clone(),
                intent_id: decision.intent.intent_id.clone(),
            }));
        }
        for _ in 0..self.random.random_range(0..2) {
            tick.controls.push(self.control());
        }
        tick
    }

    fn shuffled(&mut self, tick: &EngineTick) -> EngineTick {
        let mut tick = tick.clone();
        tick.records.shuffle(&mut self.random);
        tick.intents.shuffle(&mut self.random);
        tick.controls.shuffle(&mut self.random);
        tick.ended.shuffle(&mut self.random);
        tick
    }

    fn learn(&mut self, engine: &RiskEngine, facts: &EngineFacts) {
        self.approved.extend(decided(facts).filter(|decision| decision.quantity_e8 > 0).cloned());
        self.trips = engine.desk().breakers().trips().map(|trip| trip.id.clone()).collect();
    }
}

pub fn decided(facts: &EngineFacts) -> impl Iterator<Item = &Decision> {
    facts.answers.iter().filter_map(|answer| match answer {
        Answer::Decided(decision) => Some(decision),
        _ => None,
    })
}

/// Through bytes, as snapshots go.
fn restarted(engine: &RiskEngine) -> RiskEngine {
    let bytes = postcard::to_allocvec(&engine.save()).expect("bytes");
    let saved: SavedEngine = postcard::from_bytes(&bytes).expect("an engine");
    RiskEngine::restore(saved)
}

#[test]
fn arrival_and_restarts_change_nothing_and_no_trip_is_taken_back() {
    let (mut counted, mut reasons) = ([0usize; 7], BTreeMap::new());
    for seed in 0..12 {
        println!("seed {seed}");
        let mut world = World::new(seed);
        let [mut one, mut other] = [engine(), engine()];
        let beginning = world.beginning();
        let shuffled = world.shuffled(&beginning);
        assert_eq!(one.tick(beginning), other.tick(shuffled), "seed {seed}");
        for step in 0..60 {
            let tick = world.next();
            let shuffled = world.shuffled(&tick);
            // From a snapshot at each tick, and with another arrival.
            other = restarted(&other);
            assert_eq!(other.numbers(), one.numbers(), "seed {seed} step {step}");
            let before: BTreeSet<String> = one.desk().breakers().trips().map(|trip| trip.id.clone()).collect();
            let facts = one.tick(tick);
            assert_eq!(facts, other.tick(shuffled), "seed {seed} step {step}");
            assert_eq!(one.save(), other.save(), "seed {seed} step {step}");
            assert_eq!(one.sizes(), other.sizes(), "seed {seed} step {step}");
            let cleared: BTreeSet<String> = facts
                .events
                .iter()
                .filter_map(|event| match event {
                    RiskEvent::Breaker(BreakerEvent::Lowered(lowering)) => lowering.trip.clone(),
                    _ => None,
                })
                .collect();
            let after: BTreeSet<String> = one.desk().breakers().trips().map(|trip| trip.id.clone()).collect();
            let gone: Vec<_> = before.difference(&after).filter(|trip| !cleared.contains(*trip)).collect();
            assert!(gone.is_empty(), "seed {seed} step {step}: {gone:?}");
            let audits = facts.events.iter().filter(|event| matches!(event, RiskEvent::Audit(_))).count();
            counted[0] += audits;
            counted[1] += cleared.len();
            counted[2] += after.difference(&before).count();
            counted[3] += decided(&facts).filter(|decision| decision.ruling == Ruling::Approved).count();
            counted[4] += decided(&facts).filter(|decision| decision.ruling == Ruling::Reduced).count();
            counted[5] += decided(&facts).filter(|decision| decision.ruling == Ruling::Rejected).count();
            counted[6] += facts.refused.len();
            for reason in decided(&facts).flat_map(|decision| &decision.reasons) {
                let text = format!("{reason:?}");
                let name = text.split(['(', ' ', '{']).next().unwrap_or_default().to_owned();
                *reasons.entry(name).or_insert(0usize) += 1;
            }
            world.learn(&one, &facts);
        }
    }
    println!("{reasons:?}");
    let [audits, resets, trips, approved, reduced, rejected, refused] = counted;
    println!("{audits} audits, {resets} resets, {trips} trips, {refused} records refused");
    println!("{approved} approved, {reduced} reduced, {rejected} rejected");
    assert!(counted.iter().all(|count| *count >= 5), "{counted:?}: too little happened");
}

/// In the last of the seeds a deposit dwarfs the equity before it in the minute of a loss: see the curve of equity.
#[test]
fn all_that_is_open_can_be_filled_without_passing_a_limit() {
    let mut checked = 0;
    for seed in (100..112).chain([2006]) {
        println!("seed {seed}");
        let mut world = World::new(seed);
        let mut engine = engine();
        let beginning = world.beginning();
        engine.tick(beginning);
        for step in 0..40 {
            let mut tick = world.next();
            tick.controls.clear();
            let facts = engine.tick(tick);
            world.learn(&engine, &facts);
            for account in ACCOUNTS {
                let mine = decided(&facts).filter(|decision| *decision.intent.holder.account == *account);
                let Some(last) = mine.filter(|decision| decision.quantity_e8 > 0).last() else { continue };
                let open = engine.desk().decisions().open().filter(|open| *open.holder.account == *account);
                let open: Vec<_> = open.collect();
                let opens = |holder: &Holder, instrument: &Instrument, side: Side| {
                    let held_e8 = engine.book().quantity_e8(holder, instrument) * side.sign();
                    let here = open
                        .iter()
                        .filter(|open| (&open.holder, &open.instrument, open.side) == (holder, instrument, side));
                    let here: i64 = here.map(|open| open.open_e8).sum();
                    here > 0 && held_e8 + here > 0
                };
                if !opens(&last.intent.holder, &last.intent.instrument, last.intent.side) {
                    // It may only reduce, and what reduces is held to no limit.
                    continue;
                }
                let mut filled = restarted(&engine);
                fill_all_open(&mut filled, &world, account, last);
                for one in &open {
                    if [Side::Buy, Side::Sell].iter().any(|side| opens(&one.holder, &one.instrument, *side)) {
                        let passed = passed(&filled, account, &one.holder, &one.instrument);
                        assert_eq!(passed, Vec::<String>::new(), "seed {seed} step {step}: {one:?} after {last:?}");
                    }
                }
                checked += 1;
            }
        }
    }
    println!("{checked} states after all fills");
    assert!(checked > 100, "{checked}: too little was tested");
}

/// All that is open of an account is filled, each order at its own price; the marks stay.
fn fill_all_open(engine: &mut RiskEngine, world: &World, account: &str, last: &Decision) {
    let open: Vec<_> = engine.desk().decisions().open().filter(|open| *open.holder.account == *account).collect();
    let fills = open.iter().enumerate().map(|(number, open)| {
        BookEvent::Fill(Fill {
            holder: open.holder.clone(),
            instrument: open.instrument.clone(),
            fill_id: format!("all{number}").into(),
            intent_id: Some(open.intent_id.clone()),
            side: open.side,
            quantity_e8: open.open_e8,
            price_e8: open.price_e8,
            fee_e8: 0,
            fee_currency: "USDT".into(),
            event_time_ns: world.now_ns,
        })
    });
    let facts = engine.tick(EngineTick {
        tick: world.tick + 1,
        time_ns: world.now_ns,
        watermark_ns: world.now_ns - SECOND_NS / 10,
        records: fills.collect(),
        ..EngineTick::default()
    });
    assert_eq!(facts.refused, [], "{last:?}");
}

/// The limits that an account passes, for an instrument, in floats.
fn passed(engine: &RiskEngine, account: &str, holder: &Holder, of: &Instrument) -> Vec<String> {
    let numbers = &engine.numbers()[account];
    let policy = &engine.desk().policies().current().policy;
    let limits = &policy.limits;
    let equity = numbers.equity_e16.expect("all is marked") as f64;
    let listed = LISTED.iter().find(|listed| instrument(listed) == *of).expect("a listed instrument");
    let gross = |exposure: Option<&Exposure>| exposure.map_or(0.0, |exposure| exposure.gross_e16 as f64);
    let symbol = engine.book().symbol(account, of);
    let named = |list: &[(std::sync::Arc<str>, Exposure)], name: &str| {
        gross(list.iter().find(|(known, _)| **known == *name).map(|(_, exposure)| exposure))
    };
    let strategy = numbers.strategies.iter().find(|strategy| strategy.strategy == holder.strategy);
    let margin = equity * policy.margin.at(listed.0).as_f64();
    let peak = numbers.peak_e16.expect("there is equity") as f64;
    let begun = numbers.day_base_e16.expect("there is equity") as f64;
    let used = [
        ("single position", gross(symbol.as_ref()), limits.single_position.as_f64() * equity),
        ("sector", named(&numbers.sectors, listed.2), limits.sector.as_f64() * equity),
        ("class", named(&numbers.asset_classes, listed.3), limits.asset_class.as_f64() * equity),
        ("gross", gross(numbers.exposure.as_ref()), limits.gross.as_f64() * equity),
        (
            "strategy",
            gross(strategy.and_then(|strategy| strategy.exposure.as_ref())),
            limits.strategy_gross.as_f64() * equity,
        ),
        ("leverage", named(&numbers.venues, listed.0), limits.leverage.as_f64() * margin),
        ("positions", numbers.open_positions as f64, f64::from(limits.concurrent_positions)),
        ("drawdown", peak - equity, limits.drawdown.as_f64() * peak),
        ("daily loss", begun - equity, limits.daily_loss.as_f64() * begun),
    ];
    // Floats, beside integers that are exact.
    let is_passed = |(_, value, allowed): &&(&str, f64, f64)| *value > *allowed * (1.0 + 1e-9);
    used.iter().filter(is_passed).map(|(name, value, allowed)| format!("{name}: {value} of {allowed}")).collect()
}
