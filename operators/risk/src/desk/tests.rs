//! The whole desk: what wins within a tick, what falls with what, and the same answers from any snapshot.

use super::*;
use crate::breakers::Fault;
use crate::decisions::{GroupRef, Market, Money, Reason, Ruling};
use crate::policy::Ratio;
use crate::switches::{ControlOutcome, Order};
use crate::valuation::Mark;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tidewheel_schemas::{ContractKind, Holder, Instrument, Side};

const MS: i64 = 1_000_000;
const UNIT: i64 = 100_000_000;

/// An account with a million and no positions, whatever its name; every instrument is at 100.
struct EmptyBook {
    time_ns: i64,
}

impl Book for EmptyBook {
    fn account(&self, _: &str) -> Result<Money, Fault> {
        let money = 1_000_000 * 10i128.pow(16);
        Ok(Money { equity_e16: money, peak_e16: money, day_start_e16: money, positions: 0 })
    }

    fn exposure_e16(&self, _: &str, _: GroupRef<'_>) -> Result<i128, Fault> {
        Ok(0)
    }

    fn margin_equity_e16(&self, _: &str, _: &str) -> Result<i128, Fault> {
        Ok(1_000_000 * 10i128.pow(16))
    }

    fn quantity_e8(&self, _: &Holder, _: &Instrument) -> i64 {
        0
    }

    fn mark(&self, _: &Instrument) -> Result<Mark, Fault> {
        Ok(Mark { event_time_ns: self.time_ns, sequence: 0, price_e8: 100 * UNIT })
    }

    fn market(&self, _: &str, _: &Instrument) -> Result<Market<'_>, Fault> {
        Ok(Market {
            kind: ContractKind::Linear,
            multiplier_e8: UNIT,
            sector: "layer1",
            asset_class: "crypto",
            mark_e8: 100 * UNIT,
            mark_ns: self.time_ns,
            quote_rate_e18: 10i128.pow(18),
        })
    }
}

fn bitcoin() -> Instrument {
    Instrument::new("binance", "BTCUSDT").expect("a name")
}

fn desk() -> Desk {
    Desk::new(Policy::with_version(1), "test", "begin").expect("a valid policy")
}

fn at_ms(ms: i64) -> TickInput {
    TickInput { tick: ms as u64, time_ns: ms * MS, state_version: ms as u64, ..TickInput::default() }
}

fn run(desk: &mut Desk, input: TickInput) -> TickFacts {
    let book = EmptyBook { time_ns: input.time_ns };
    desk.tick(input, &book)
}

fn intent(account: &str, strategy: &str, id: &str, ms: i64) -> OrderIntent {
    OrderIntent {
        holder: Holder { account: account.into(), strategy: strategy.into() },
        instrument: bitcoin(),
        intent_id: id.into(),
        side: Side::Buy,
        quantity_e8: UNIT,
        limit_price_e8: None,
        stop_price_e8: None,
        is_reduce_only: false,
        expires_ns: None,
        event_time_ns: ms * MS,
    }
}

fn kill(scope: Scope, id: &str, ms: i64) -> ControlEvent {
    let order = Order::Kill { scope, level: Level::Red };
    ControlEvent { id: id.into(), who: "ann".into(), why: "test".into(), time_ns: ms * MS, order }
}

/// The rulings of a tick: `approved`, or the names of the trips that forbade it.
fn rulings(facts: &TickFacts) -> Vec<String> {
    let of = |answer: &Answer| match answer {
        Answer::Decided(decision) if decision.ruling == Ruling::Approved => "approved".to_owned(),
        Answer::Decided(decision) => match &decision.reasons[..] {
            [Reason::Level { level, trips }] => format!("{level} {}", trips.join(" ")),
            other => format!("{other:?}"),
        },
        other => format!("{other:?}"),
    };
    facts.answers.iter().map(of).collect()
}

#[test]
fn a_kill_switch_of_the_same_tick_wins() {
    let mut desk = desk();
    assert_eq!(
        rulings(&run(&mut desk, TickInput { intents: vec![intent("a", "s", "1", 1_000)], ..at_ms(1_000) })),
        ["approved"]
    );
    let input = TickInput {
        // The intent is older than the kill, and still comes after it.
        intents: vec![intent("a", "s", "2", 1_900), intent("b", "s", "1", 1_900)],
        controls: vec![kill(Scope::account("a"), "k1", 2_000)],
        ..at_ms(2_000)
    };
    let facts = run(&mut desk, input);
    assert_eq!(rulings(&facts), ["red kill_manual@account:a@red@k1", "approved"]);
    let change = facts.events.iter().find_map(|event| match event {
        RiskEvent::Level(change) => Some((change.scope.to_string(), change.from, change.to)),
        _ => None,
    });
    assert_eq!(change, Some(("account:a".into(), Level::Green, Level::Red)));
    // And a reset of the same tick frees.
    let order = Order::Reset { trip: "kill_manual@account:a@red@k1".into() };
    let reset = ControlEvent { id: "r1".into(), who: "bob".into(), why: "test".into(), time_ns: 3_000 * MS, order };
    let facts = run(
        &mut desk,
        TickInput { intents: vec![intent("a", "s", "3", 3_000)], controls: vec![reset], ..at_ms(3_000) },
    );
    assert_eq!(rulings(&facts), ["approved"]);
}

#[test]
fn a_wider_scope_acts_on_what_it_covers_and_each_latches_by_itself() {
    let holder = |account: &str, strategy: &str| Holder { account: account.into(), strategy: strategy.into() };
    let everyone = [("a", "s"), ("a", "t"), ("b", "s")];
    let cases = [
        (Scope::Everything, [true, true, true]),
        (Scope::account("a"), [true, true, false]),
        (Scope::Strategy(holder("a", "s")), [true, false, false]),
        (Scope::Symbol(bitcoin()), [true, true, true]),
        (Scope::Position("b".into(), bitcoin()), [false, false, true]),
    ];
    for (scope, expected) in cases {
        let mut desk = desk();
        let intents = everyone.map(|(account, strategy)| intent(account, strategy, strategy, 1_000)).to_vec();
        let facts =
            run(&mut desk, TickInput { intents, controls: vec![kill(scope.clone(), "k", 1_000)], ..at_ms(1_000) });
        let stopped: Vec<_> = rulings(&facts).iter().map(|ruling| ruling.starts_with("red")).collect();
        assert_eq!(stopped, expected, "{scope}");
    }
}

#[test]
fn a_policy_counts_from_its_own_tick_on() {
    let mut desk = desk();
    let mut next = Policy::with_version(2);
    next.universe = vec!["binance|ETHUSDT".into()];
    let order = Order::SetPolicy(Box::new(next));
    let set = ControlEvent { id: "p2".into(), who: "ann".into(), why: "test".into(), time_ns: 1_000 * MS, order };
    let facts =
        run(&mut desk, TickInput { intents: vec![intent("a", "s", "1", 1_000)], controls: vec![set], ..at_ms(1_000) });
    assert!(matches!(&facts.events[0], RiskEvent::Control(answer) if answer.outcome == ControlOutcome::Done));
    // The whole document is told, once.
    let told: Vec<_> = facts.events.iter().filter(|event| matches!(event, RiskEvent::Policy(_))).collect();
    assert_eq!(told, [&RiskEvent::Policy(Box::new(desk.policies().current().clone()))]);
    let again = run(&mut desk, at_ms(1_100));
    assert!(!again.events.iter().any(|event| matches!(event, RiskEvent::Policy(_))), "{:?}", again.events);
    assert_eq!(rulings(&facts), ["[OutsideUniverse]"]);
    assert_eq!(desk.policies().current().from_tick, 1_000);
}

#[test]
fn a_flash_crash_stops_growth_within_a_second_and_passes_by_itself() {
    let mut desk = desk();
    let scope = Scope::Symbol(bitcoin());
    let print = |ms: i64, value: i128| (scope.clone(), Print { time_ns: ms * MS, key: 0, value });
    let prints = vec![print(1_000, 1_000), print(1_010, 1_000), print(1_500, 965), print(1_510, 960)];
    let facts = run(&mut desk, TickInput { prints, ..at_ms(1_600) });
    assert_eq!(facts.events, []);
    let facts = run(&mut desk, TickInput { intents: vec![intent("a", "s", "1", 1_850)], ..at_ms(1_850) });
    let crashes = facts.events.iter().filter(|event| matches!(event, RiskEvent::FlashCrash(_)));
    assert_eq!(crashes.count(), 1);
    assert_eq!(rulings(&facts), ["orange "]);
    // The peak leaves the window after ten seconds; then the dwell time, a rung only where there is one.
    let mut changes = Vec::new();
    for second in 2..200 {
        for event in run(&mut desk, at_ms(second * 1_000)).events {
            if let RiskEvent::Level(change) = event {
                changes.push((second, change.from, change.to));
            }
        }
    }
    assert_eq!(changes, [(72, Level::Orange, Level::Green)]);
}

#[test]
fn a_spike_of_volatility_trips_the_switch_of_its_symbol() {
    let mut policy = Policy::with_version(1);
    policy.regimes.warm_bars = 10;
    let mut desk = Desk::new(policy, "test", "begin").expect("a valid policy");
    let mut trips = Vec::new();
    for number in 1..=40 {
        let value = if number == 40 { 0.05 } else { 0.001 };
        let bars = vec![BarReturn { instrument: bitcoin(), end_ns: number * 60_000 * MS, value }];
        let facts = run(&mut desk, TickInput { bars, ..at_ms(number * 60_000) });
        trips.extend(facts.events.into_iter().filter_map(|event| match event {
            RiskEvent::Breaker(BreakerEvent::Tripped(trip)) => Some((number, trip.id)),
            _ => None,
        }));
    }
    assert_eq!(trips, [(40, "kill_volatility@symbol:binance|BTCUSDT@red@2400000".to_owned())]);
}

/// Bars that waited come in one tick: a spike among them is over, and only where all of them together led is told.
#[test]
fn old_bars_move_a_regime_and_trip_nothing() {
    let mut policy = Policy::with_version(1);
    policy.regimes.warm_bars = 10;
    let bars = |spikes: [i64; 2]| {
        let value = move |number: i64| if spikes.contains(&number) { 0.05 } else { 0.001 };
        (1..=40).map(move |number| {
            let end_ns = number * 60_000 * MS;
            BarReturn { instrument: bitcoin(), end_ns, value: value(number) }
        })
    };
    let events = |desk: &mut Desk, input: TickInput| -> Vec<RiskEvent> { run(desk, input).events };
    let is_regime = |event: &RiskEvent| matches!(event, RiskEvent::Regime(_));
    for (spikes, since_ms, is_tripped) in [([20, 20], 0, false), ([40, 40], 0, true), ([40, 40], 2_400_001, false)] {
        let new = || Desk::new(policy.clone(), "test", "begin").expect("a valid policy");
        let (mut at_once, mut one_by_one) = (new(), new());
        for bar in bars(spikes) {
            let ms = bar.end_ns / MS;
            events(&mut one_by_one, TickInput { bars: vec![bar], ..at_ms(ms) });
        }
        let input = TickInput { bars: bars(spikes).collect(), bars_since_ns: since_ms * MS, ..at_ms(2_400_100) };
        let told = events(&mut at_once, input);
        let has_tripped = told.iter().any(|event| matches!(event, RiskEvent::Breaker(_)));
        assert_eq!(has_tripped, is_tripped, "{told:?}");
        assert_eq!(told.iter().filter(|event| is_regime(event)).count(), 1, "{told:?}");
        assert_eq!(at_once.regimes, one_by_one.regimes);
    }
}

/// A tick of a random history.
fn random_input(random: &mut ChaCha8Rng, ms: i64, number: u64) -> TickInput {
    let accounts = ["a", "b"];
    let scope = |random: &mut ChaCha8Rng| match random.random_range(0..4) {
        0 => Scope::Everything,
        1 => Scope::Symbol(bitcoin()),
        _ => Scope::account(accounts[random.random_range(0..2)]),
    };
    let mut input = at_ms(ms);
    for account in accounts {
        let value = match random.random_range(0..30) {
            0 => Err(Fault::OutOfRange),
            1 => Ok(random.random_range(0.0..0.3)),
            2 => Ok(f64::NAN),
            _ => Ok(random.random_range(0.0..0.05)),
        };
        let scope = Scope::account(account);
        input.readings.push(Reading { measure: Measure::Drawdown, scope: scope.clone(), value, as_of_ns: ms * MS });
        if random.random_range(0..5) > 0 {
            let value = Ok(random.random_range(0.0..0.035));
            input.readings.push(Reading { measure: Measure::DailyLoss, scope, value, as_of_ns: ms * MS });
        }
    }
    for _ in 0..random.random_range(0..6) {
        let value = random.random_range(9_700..10_100);
        let print = Print { time_ns: (ms - random.random_range(0..400)) * MS, key: random.random(), value };
        input.prints.push((Scope::Symbol(bitcoin()), print));
    }
    for index in 0..random.random_range(0..3) {
        let account = accounts[random.random_range(0..2)];
        let name = format!("{}", random.random_range(number.saturating_sub(3)..=number) * 10 + index);
        input.intents.push(intent(account, "s", &name, ms - random.random_range(0..100)));
    }
    if random.random_range(0..12) == 0 {
        input.controls.push(kill(scope(random), &format!("k{number}"), ms - 1));
    }
    if random.random_range(0..20) == 0 {
        input.bars.push(BarReturn { instrument: bitcoin(), end_ns: ms * MS, value: random.random_range(-0.01..0.01) });
    }
    if random.random_range(0..25) == 0 {
        let mut next = Policy::with_version(number + 1);
        next.limits.gross = Ratio::thousandths(1_500 + number as i64);
        next.limits.strategy_gross = next.limits.gross;
        let order = Order::SetPolicy(Box::new(next));
        let (id, who, why) = (format!("p{number}"), "ann".into(), "test".into());
        input.controls.push(ControlEvent { id, who, why, time_ns: ms * MS, order });
    }
    if random.random_range(0..6) == 0 {
        let (as_known, as_corrected) = (random.random_range(0.0..0.3), random.random_range(0.0..0.3));
        let scope = Scope::account("a");
        let tick = (ms - random.random_range(0..5_000)) as u64;
        input.corrections.push(CorrectedReading { measure: Measure::Drawdown, scope, tick, as_known, as_corrected });
    }
    input
}

#[test]
fn from_any_snapshot_and_in_any_order_of_arrival_the_facts_are_the_same() {
    let mut seen = [0; 3];
    for seed in 0..25 {
        println!("seed {seed}");
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let (mut whole, mut restarted) = (desk(), desk());
        let mut ms = 10_000;
        for number in 0..200 {
            ms += [100, 100, 1_000, 20_000][random.random_range(0..4)];
            let mut input = random_input(random, ms, number);
            let trips: Vec<_> = whole.breakers().trips().map(|trip| trip.id.clone()).collect();
            for trip in trips {
                if random.random_range(0..10) == 0 {
                    let who = ["ann", "bob"][random.random_range(0..2)].to_owned();
                    let (id, why) = (format!("r{number}{trip}"), "test".into());
                    let order = Order::Reset { trip };
                    input.controls.push(ControlEvent { id, who, why, time_ns: ms * MS, order });
                }
            }
            let mut shuffled = input.clone();
            shuffled.controls.shuffle(random);
            shuffled.prints.shuffle(random);
            shuffled.readings.shuffle(random);
            shuffled.intents.shuffle(random);
            let bytes = postcard::to_allocvec(&restarted.save()).expect("bytes");
            restarted = Desk::restore(postcard::from_bytes(&bytes).expect("a desk"));
            let before = whole.levels().clone();
            let trips: Vec<_> = whole.breakers().trips().cloned().collect();
            let facts = run(&mut whole, input);
            assert_eq!(run(&mut restarted, shuffled), facts, "seed {seed} tick {number}");
            assert_eq!(restarted.save(), whole.save(), "seed {seed} tick {number}");
            check_invariants(&whole, &before, &trips, &facts, seed);
            seen[0] += facts.answers.len();
            seen[1] += facts.events.iter().filter(|event| matches!(event, RiskEvent::Breaker(_))).count();
            seen[2] += facts.events.iter().filter(|event| matches!(event, RiskEvent::Level(_))).count();
        }
    }
    println!("{seen:?} answers, trips and lowerings, changes of level");
    assert!(seen.iter().all(|count| *count > 500), "{seen:?}: too little happened");
}

/// A level is the greatest of its rules, it is published when it changes, and a latched trip only goes by a reset that names it.
fn check_invariants(desk: &Desk, before: &Levels, trips: &[crate::breakers::Trip], facts: &TickFacts, seed: u64) {
    let contributions = desk.breakers().contributions();
    for (scope, level) in desk.levels().iter() {
        let greatest = contributions[scope].iter().map(|cause| cause.level).max();
        assert_eq!(Some(level), greatest, "seed {seed} {scope}");
        let is_told =
            facts.events.iter().any(|event| matches!(event, RiskEvent::Level(change) if change.scope == *scope));
        assert_eq!(is_told, before.of(scope) != level, "seed {seed} {scope}");
    }
    for trip in trips {
        let stands = desk.breakers().trips().any(|now| now.id == trip.id);
        let is_reset = facts.events.iter().any(|event| {
            matches!(event, RiskEvent::Breaker(BreakerEvent::Lowered(lowering)) if lowering.trip.as_ref() == Some(&trip.id))
        });
        assert_eq!(stands, !is_reset, "seed {seed} {}", trip.id);
        assert!(!stands || desk.breakers().level(trip.rule, &trip.scope) >= trip.level, "seed {seed} {}", trip.id);
    }
    for answer in &facts.answers {
        if let Answer::Decided(decision) = answer
            && decision.level >= Level::Red
        {
            assert_eq!(decision.quantity_e8, 0, "seed {seed}: {decision:?}");
        }
    }
}
