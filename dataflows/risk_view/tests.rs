//! What is followed from the rows of a lake is what the desk itself knows, tick by tick, on random histories of readings and orders.

use super::Story;
use crate::tables::Tables;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tidewheel_operators::risk::{RiskEventRow, RiskFact, RiskOutcome};
use tidewheel_risk::breakers::{Fault, Measure, Reading};
use tidewheel_risk::decisions::{Book, GroupRef, Market, Money};
use tidewheel_risk::desk::{Desk, RiskEvent, TickInput};
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::policy::{Policy, Ratio};
use tidewheel_risk::switches::{ControlEvent, Order};
use tidewheel_risk::valuation::Mark;
use tidewheel_schemas::{Holder, Instrument};

const SECOND_NS: i64 = 1_000_000_000;

/// No intent comes, so nobody asks.
struct NoBook;

impl Book for NoBook {
    fn account(&self, _: &str) -> Result<Money, Fault> {
        Err(Fault::OutOfRange)
    }

    fn exposure_e16(&self, _: &str, _: GroupRef<'_>) -> Result<i128, Fault> {
        Err(Fault::OutOfRange)
    }

    fn margin_equity_e16(&self, _: &str, _: &str) -> Result<i128, Fault> {
        Err(Fault::OutOfRange)
    }

    fn mark(&self, _: &Instrument) -> Result<Mark, Fault> {
        Err(Fault::OutOfRange)
    }

    fn quantity_e8(&self, _: &Holder, _: &Instrument) -> i64 {
        0
    }

    fn market(&self, _: &str, _: &Instrument) -> Result<Market<'_>, Fault> {
        Err(Fault::OutOfRange)
    }
}

fn scopes() -> [Scope; 3] {
    let holder = Holder { account: "a".into(), strategy: "s".into() };
    [Scope::account("a"), Scope::Strategy(holder), Scope::account("b")]
}

fn readings(random: &mut ChaCha8Rng, as_of_ns: i64) -> Vec<Reading> {
    let mut readings = Vec::new();
    for scope in scopes() {
        for measure in [Measure::ValueAtRisk, Measure::Drawdown] {
            let value = match random.random_range(0..20) {
                0 => Err(Fault::Missing("equity above zero".into())),
                1 => Ok(f64::NAN),
                // Now and then it falls over all rungs.
                2 => Ok(random.random_range(0.0..0.3)),
                3..12 => Ok(0.0),
                _ => Ok(random.random_range(0.0..0.05)),
            };
            if random.random_bool(0.95) {
                readings.push(Reading { measure, scope: scope.clone(), value, as_of_ns });
            }
        }
    }
    readings
}

fn order(random: &mut ChaCha8Rng, number: u64, time_ns: i64, desk: &Desk) -> ControlEvent {
    let trips: Vec<&str> = desk.breakers().trips().map(|trip| &*trip.id).collect();
    let order = match random.random_range(0..8) {
        0 => {
            let level = if random.random_bool(0.5) { Level::Red } else { Level::Black };
            Order::Kill { scope: scopes()[random.random_range(0..3)].clone(), level }
        }
        1 => {
            let mut policy = Policy::with_version(random.random_range(1..40));
            policy.limits.gross = Ratio::thousandths(random.random_range(0..2) * 2_000);
            Order::SetPolicy(Box::new(policy))
        }
        _ if !trips.is_empty() => Order::Reset { trip: trips[random.random_range(0..trips.len())].to_owned() },
        _ => Order::Reset { trip: "no such trip".to_owned() },
    };
    let who = ["ann", "bob"][random.random_range(0..2)].to_owned();
    ControlEvent { id: format!("o-{number}"), who, why: "a test".to_owned(), time_ns, order }
}

/// What stands, as the desk has it and as the story has it.
fn compare(desk: &Desk, story: &Story, what: &str) {
    let mut standings = BTreeMap::new();
    for (scope, contributions) in desk.breakers().contributions() {
        for contribution in contributions.into_iter().filter(|it| it.level > Level::Green) {
            standings.insert((scope.clone(), contribution.rule), (contribution.level, contribution.cause));
        }
    }
    let told: BTreeMap<_, _> =
        story.standings().iter().map(|(key, it)| (key.clone(), (it.level, it.cause.clone()))).collect();
    assert_eq!(told, standings, "{what}");
    let levels: Vec<(Scope, Level)> = desk.levels().iter().map(|(scope, level)| (scope.clone(), level)).collect();
    let told: Vec<(Scope, Level)> = story.scopes().map(|scope| (scope.clone(), story.level(scope))).collect();
    assert_eq!(told, levels, "{what}");
    let mut trips: Vec<&str> = desk.breakers().trips().map(|trip| &*trip.id).collect();
    let latched = story.standing_trips().filter(|state| state.trip.is_latched);
    let mut told: Vec<&str> = latched.map(|state| &*state.trip.id).collect();
    trips.sort_unstable();
    told.sort_unstable();
    assert_eq!(told, trips, "{what}");
    // One that comes down by itself belongs to a rule that stands at least as high.
    for state in story.standing_trips().filter(|state| !state.trip.is_latched) {
        let standing = &story.standings()[&(state.trip.scope.clone(), state.trip.rule)];
        assert!(standing.level >= state.trip.level, "{what}: {state:?} and {standing:?}");
    }
    let (change, policy) = story.in_force().expect("there is always one");
    let current = desk.policies().current();
    assert_eq!((policy, &change.who), (&current.policy, &current.who), "{what}");
}

#[test]
fn what_the_rows_tell_is_what_the_desk_knows() {
    let tables = Tables::default().with_risk(true, false);
    let number = tables.specs().iter().position(|spec| &*spec.family == "risk_events").expect("a table");
    let rows_of = tables.risk().expect("they are there");
    let mut seen = [0; 4];
    for seed in 0..30 {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut desk = Desk::new(Policy::with_version(1), "configuration", "begin").expect("a valid policy");
        let mut story = Story::default();
        let mut events = 0;
        for step in 1..400u64 {
            let tick = step * 20_000;
            let time_ns = tick as i64 * 1_000_000;
            let mut facts: Vec<RiskEvent> = Vec::new();
            if step == 1 {
                facts.push(RiskEvent::Policy(Box::new(desk.policies().current().clone())));
            }
            let orders = random.random_range(0..3);
            let controls = (0..orders).map(|at| order(random, step * 10 + at, time_ns - SECOND_NS, &desk)).collect();
            let retired = if random.random_bool(0.03) { vec![scopes()[1].clone()] } else { Vec::new() };
            let input = TickInput {
                tick,
                time_ns,
                controls,
                readings: readings(random, time_ns),
                retired,
                ..TickInput::default()
            };
            facts.extend(desk.tick(input, &NoBook).events);
            let numbered = facts.into_iter().map(|event| {
                events += 1;
                RiskEventRow { number: events, fact: RiskFact::Desk(event) }
            });
            let outcome = RiskOutcome { events: numbered.collect(), ..RiskOutcome::default() };
            for row in rows_of.rows(tick, &outcome, &[]) {
                story.take(&tables.specs()[number], &row).expect("rows of this program");
            }
            compare(&desk, &story, &format!("seed {seed} step {step}"));
        }
        seen[0] += story.policies().iter().filter(|change| change.policy.is_some()).count();
        seen[1] += story.policies().iter().filter(|change| change.policy.is_none()).count();
        seen[2] += story.trips().iter().filter(|state| !state.asked.is_empty() && state.ended.is_some()).count();
        seen[3] += story.trips().iter().filter(|state| state.ended.is_some()).count();
    }
    println!("{seen:?} policies, refused ones, trips that two persons reset, trips that ended");
    assert!(seen.iter().all(|seen| *seen > 10), "{seen:?}");
}

#[test]
fn an_event_that_is_not_understood_is_no_gap() {
    let tables = Tables::default().with_risk(true, false);
    let number = tables.specs().iter().position(|spec| &*spec.family == "risk_events").expect("a table");
    let mut desk = Desk::new(Policy::with_version(1), "configuration", "begin").expect("a valid policy");
    let scope = scopes()[0].clone();
    let event = ControlEvent {
        id: "k".to_owned(),
        who: "ann".to_owned(),
        why: "a test".to_owned(),
        time_ns: SECOND_NS,
        order: Order::Kill { scope, level: Level::Red },
    };
    let input = TickInput { tick: 1_000, time_ns: SECOND_NS, controls: vec![event], ..TickInput::default() };
    let event = desk.tick(input, &NoBook).events.remove(0);
    let events = vec![RiskEventRow { number: 1, fact: RiskFact::Desk(event) }];
    let outcome = RiskOutcome { events, ..RiskOutcome::default() };
    let spec = &tables.specs()[number];
    let mut row = tables.risk().expect("they are there").rows(1_000, &outcome, &[]).remove(0);
    Story::default().take(spec, &row).expect("as it was written");
    let detail = spec.columns.iter().position(|column| &*column.name == "detail").expect("a column");
    row.values.as_mut().expect("a fact")[detail] = tidewheel_schemas::Value::text("{\"of\": \"tomorrow\"}");
    let told = Story::default().take(spec, &row).expect_err("it is none").to_string();
    assert!(told.contains("tick 1000") && told.contains("another version"), "{told}");
}
