//! Transitions as tables, random histories against a slow oracle, and what corrections would have done.

use super::*;
use crate::policy::{History, InForce, Ladder, Ratio, Rung};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Yellow at 0.10, orange at 0.15, red at 0.20, black at 0.30; clear at 0.8 of it; ten seconds of dwell.
fn policy() -> Policy {
    let mut policy = Policy::with_version(1);
    let rung = |thousandths| Some(Rung { trigger: Ratio::thousandths(thousandths), clear: None });
    policy.breakers.drawdown = Ladder { yellow: rung(100), orange: rung(150), red: rung(200), black: rung(300) };
    policy.switches.drawdown.trigger = Ratio::thousandths(900);
    policy.hysteresis.dwell_ms = 10_000;
    policy
}

fn now(second: i64) -> Now {
    Now { tick: second as u64 * 1_000, time_ns: second * 1_000_000_000 }
}

fn reading(scope: &Scope, second: i64, value: Result<f64, Fault>) -> Reading {
    Reading { measure: Measure::Drawdown, scope: scope.clone(), value, as_of_ns: now(second).time_ns }
}

/// One step a line: `second value -> level [trips]`, the value a number, `nan`, `none` or `old`, or `reset <trip> <who>`.
fn check(script: &str) {
    let (policy, scope) = (policy(), Scope::account("a"));
    let mut breakers = Breakers::default();
    for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (step, expected) = line.split_once("->").expect("a step has an arrow");
        let mut words = step.split_whitespace();
        let second: i64 = words.next().and_then(|word| word.parse().ok()).expect("a second");
        let mut said = match words.next().expect("what happens") {
            "reset" => {
                let (trip, who) = (words.next().expect("a trip"), words.next().expect("a person"));
                let trip = format!("drawdown@account:a@{trip}");
                match breakers.reset(&policy, now(second), &trip, who, now(second).time_ns) {
                    Ok(Reset::Cleared(_)) => "cleared ".to_owned(),
                    Ok(Reset::AwaitsSecond) => "awaits ".to_owned(),
                    Err(reason) => format!("{} ", format!("{reason:?}").split('(').next().unwrap_or_default()),
                }
            }
            value => {
                let reading = match value {
                    "nan" => reading(&scope, second, Ok(f64::NAN)),
                    "none" => reading(&scope, second, Err(Fault::Missing("equity".into()))),
                    "old" => reading(&scope, second - 11, Ok(0.0)),
                    value => reading(&scope, second, Ok(value.parse().expect("a number"))),
                };
                breakers.take(&policy, now(second), &[reading]);
                String::new()
            }
        };
        said += breakers.level(Rule::Drawdown, &scope).name();
        for trip in breakers.trips() {
            said += &format!(" {}", trip.id.trim_start_matches("drawdown@account:a@"));
        }
        assert_eq!(said, expected.trim(), "{line}\n{script}");
    }
}

#[test]
fn up_at_once_and_down_by_one_rung_a_dwell() {
    check(
        "1 0.099 -> green
         2 0.1 -> yellow
         3 0.17 -> orange
         4 0.13 -> orange
         5 0.119 -> orange
         14 0.119 -> orange
         15 0.119 -> yellow
         16 0.05 -> yellow
         24 0.05 -> yellow
         25 0.05 -> yellow
         26 0.05 -> green
         27 0.05 -> green",
    );
}

#[test]
fn a_value_that_is_not_below_the_clear_threshold_begins_the_dwell_anew() {
    check(
        "1 0.16 -> orange
         2 0.11 -> orange
         11 0.12 -> orange
         12 0.11 -> orange
         21 0.11 -> orange
         22 0.11 -> yellow
         23 0.09 -> yellow
         32 0.09 -> yellow
         99 0.09 -> yellow
         100 0.07 -> yellow
         110 0.07 -> green",
    );
}

#[test]
fn a_latched_level_is_left_by_its_reset_alone_and_not_while_it_is_breached() {
    check(
        "1 0.25 -> red red@1000
         2 0 -> red red@1000
         3600 0 -> red red@1000
         3601 0.16 -> red red@1000
         3602 reset red@1000 ann -> StillBreached red red@1000
         3603 nan -> red red@1000
         3603 reset red@1000 ann -> StillBreached red red@1000
         3604 0.05 -> red red@1000
         3605 reset red@2000 ann -> UnknownTrip red red@1000
         3606 reset red@1000 ann -> cleared orange
         3607 reset red@1000 ann -> AlreadyCleared orange
         3608 0.05 -> orange
         3617 0.05 -> orange
         3618 0.05 -> yellow
         3628 0.05 -> green
         3629 0.2 -> red red@3629000",
    );
}

#[test]
fn no_latch_is_skipped_on_the_way_down() {
    check(
        "1 0.35 -> black red@1000 black@1000
         2 0 -> black red@1000 black@1000
         3 reset red@1000 ann -> HigherStands black red@1000 black@1000
         4 reset black@1000 ann -> awaits black red@1000 black@1000
         5 reset black@1000 ann -> SamePerson black red@1000 black@1000
         6 reset black@1000 bob -> cleared red red@1000
         7 reset red@1000 bob -> StillBreached red red@1000
         8 0 -> red red@1000
         9 reset red@1000 bob -> cleared orange",
    );
}

#[test]
fn what_cannot_be_measured_is_a_breach() {
    check(
        "1 nan -> orange
         2 0 -> orange
         11 0 -> orange
         12 0 -> yellow
         13 none -> orange
         14 inf -> orange
         15 -inf -> orange
         16 old -> orange
         17 0.5 -> black red@17000 black@17000",
    );
}

#[test]
fn silence_is_a_fault_until_the_scope_is_retired() {
    let (policy, scope) = (policy(), Scope::account("a"));
    let mut breakers = Breakers::default();
    breakers.take(&policy, now(1), &[reading(&scope, 1, Ok(0.0))]);
    breakers.take(&policy, now(11), &[]);
    assert_eq!(breakers.level(Rule::Drawdown, &scope), Level::Green);
    let events = breakers.take(&policy, now(12), &[]);
    let silent = Cause::Fault(Fault::Stale { age_ns: 11_000_000_000 });
    let is_silent = |event: &BreakerEvent| matches!(event, BreakerEvent::Tripped(trip) if trip.cause == silent);
    let faults: Vec<_> = events.iter().map(is_silent).collect();
    assert_eq!(faults, [true, true], "the breaker and the switch");
    // It is told that they come down.
    let lowered = breakers.retire(&scope);
    let is_green = |event: &BreakerEvent| matches!(event, BreakerEvent::Lowered(it) if it.to == Level::Green);
    assert_eq!(lowered.iter().map(is_green).collect::<Vec<_>>(), [true, true]);
    assert_eq!(breakers.take(&policy, now(99), &[]), []);
    assert_eq!(breakers, Breakers::default());
}

#[test]
fn a_kill_switch_trips_at_its_own_threshold_and_latches() {
    let (policy, scope) = (Policy::with_version(1), Scope::account("a"));
    let mut breakers = Breakers::default();
    let events = breakers.take(&policy, now(1), &[reading(&scope, 1, Ok(0.2))]);
    let trips: Vec<_> = events
        .iter()
        .map(|event| match event {
            BreakerEvent::Tripped(trip) => (trip.id.as_str(), trip.trigger, trip.is_latched),
            BreakerEvent::Lowered(_) => panic!("nothing was lowered"),
        })
        .collect();
    let expected =
        [("drawdown@account:a@red@1000", Some(0.18), true), ("kill_drawdown@account:a@black@1000", Some(0.2), true)];
    assert_eq!(trips, expected);
    assert_eq!(breakers.take(&policy, now(1), &[reading(&scope, 1, Ok(0.2))]), [], "the same tick again");
    assert_eq!(breakers.take(&policy, now(2), &[reading(&scope, 2, Ok(0.3))]), [], "a trip is told once");
}

#[test]
fn of_two_readings_in_a_tick_the_worse_counts() {
    let (policy, scope) = (policy(), Scope::account("a"));
    let fault = || Err(Fault::OutOfRange);
    for (readings, expected, is_value) in [
        ([Ok(0.0), Ok(0.16)], Level::Orange, true),
        ([Ok(0.16), Ok(0.0)], Level::Orange, true),
        ([Ok(0.0), fault()], Level::Orange, false),
        ([fault(), fault()], Level::Orange, false),
        // A fault hides no loss, on whichever side of it.
        ([Ok(0.25), fault()], Level::Red, true),
        ([fault(), Ok(9.0)], Level::Black, true),
    ] {
        let mut breakers = Breakers::default();
        let readings = readings.map(|value| reading(&scope, 1, value));
        let events = breakers.take(&policy, now(1), &readings);
        assert_eq!(breakers.level(Rule::Drawdown, &scope), expected);
        let BreakerEvent::Tripped(trip) = &events[0] else { panic!("{events:?}") };
        assert_eq!((trip.cause == Cause::Value, trip.trigger.is_some()), (is_value, is_value), "{trip:?}");
        // With the fault still there the value may be as low as it likes.
        for second in [2, 30] {
            let readings = [reading(&scope, second, Ok(0.0)), reading(&scope, second, fault())];
            breakers.take(&policy, now(second), &readings);
            assert_eq!(breakers.level(Rule::Drawdown, &scope), expected);
        }
    }
}

/// What happens at a second of a random history.
#[derive(Clone, Debug)]
enum Happening {
    Value(f64),
    Fault,
    /// Somebody resets whatever is latched highest.
    Reset(&'static str),
}

/// Where a rule stands, and the levels latched.
type State = (Level, Vec<Level>);

fn trigger(level: Level) -> f64 {
    [f64::NEG_INFINITY, 0.1, 0.15, 0.2, 0.3][level as usize]
}

/// Whether a value is below the clear threshold of a level.
fn is_well(level: Level, happening: &Happening) -> Option<bool> {
    match happening {
        Happening::Value(value) => Some(*value < [f64::NEG_INFINITY, 0.08, 0.12, 0.16, 0.24][level as usize]),
        Happening::Fault => Some(false),
        Happening::Reset(_) => None,
    }
}

/// Since when the value is below the clear threshold of the level that the rule stands at: found by reading the history backwards.
fn well_since(history: &[(i64, Happening)], states: &[State]) -> Option<i64> {
    let level = states.last().map_or(Level::Green, |state| state.0);
    let mut since = None;
    for (at, (second, happening)) in history.iter().enumerate().rev() {
        let before = if at == 0 { Level::Green } else { states[at - 1].0 };
        let has_come = states.get(at).is_some_and(|state| state.0 == level) && before != level;
        match is_well(level, happening) {
            Some(true) => since = Some(*second),
            Some(false) => return since,
            None => {}
        }
        if has_come {
            return since;
        }
    }
    since
}

/// Who asked first for the reset of black, since it stands.
fn first_to_ask(history: &[(i64, Happening)], states: &[State]) -> Option<&'static str> {
    let rose = (0..states.len()).rev().take_while(|at| states[*at].0 == Level::Black).last()?;
    (rose + 1..states.len()).find_map(|at| match history[at].1 {
        Happening::Reset(who) if well_since(&history[..at], &states[..at]).is_some() => Some(who),
        _ => None,
    })
}

/// Where the rule stands after each happening: each time from the whole history, as the rules are written.
fn oracle(history: &[(i64, Happening)]) -> Vec<State> {
    let mut states: Vec<State> = Vec::new();
    for (at, (second, happening)) in history.iter().enumerate() {
        let (mut level, mut latched) = states.last().cloned().unwrap_or_default();
        let below = |level: Level| Level::ALL[(level as usize).saturating_sub(1)];
        let asked = match happening {
            Happening::Value(value) => Level::ALL.into_iter().filter(|level| *value >= trigger(*level)).max(),
            Happening::Fault => Some(Level::Orange),
            Happening::Reset(who) => {
                let may = well_since(&history[..at], &states).is_some();
                let is_first =
                    level == Level::Black && first_to_ask(&history[..at], &states).is_none_or(|first| first == *who);
                if may && !is_first && latched.pop().is_some() {
                    level = below(level);
                }
                None
            }
        };
        let since = well_since(&history[..=at], &states);
        match asked {
            None => {}
            Some(asked) if asked > level => {
                latched.extend([Level::Red, Level::Black].into_iter().filter(|rung| *rung > level && *rung <= asked));
                level = asked;
            }
            Some(_) if latched.is_empty() && since.is_some_and(|since| second - since >= 10) => level = below(level),
            Some(_) => {}
        }
        states.push((level, latched));
    }
    states
}

#[test]
fn random_histories_stand_where_a_slow_oracle_says() {
    for seed in 0..300 {
        println!("seed {seed}");
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let (policy, scope) = (policy(), Scope::account("a"));
        let (mut second, mut history, mut found) = (0, Vec::new(), Vec::new());
        let mut breakers = Breakers::default();
        for _ in 0..random.random_range(1..120) {
            second += random.random_range(1..7);
            let happening = match random.random_range(0..20) {
                0 => Happening::Fault,
                1..4 => Happening::Reset(["ann", "bob"][random.random_range(0..2)]),
                4 => Happening::Value(random.random_range(0.2..0.4)),
                5..8 => Happening::Value(random.random_range(0.05..0.2)),
                8 => Happening::Value([0.1, 0.15, 0.2, 0.3, 0.08, 0.12, 0.16, 0.24][random.random_range(0..8)]),
                _ => Happening::Value(random.random_range(0.0..0.08)),
            };
            let before = breakers.clone();
            let at = now(second);
            let reset_first = |breakers: &mut Breakers, who: &str| {
                let top =
                    breakers.trips().filter(|trip| trip.rule == Rule::Drawdown).last().map(|trip| trip.id.clone());
                top.map(|id| breakers.reset(&policy, at, &id, who, at.time_ns))
            };
            match &happening {
                Happening::Value(value) => drop(breakers.take(&policy, at, &[reading(&scope, second, Ok(*value))])),
                Happening::Fault => {
                    breakers.take(&policy, at, &[reading(&scope, second, Err(Fault::NotANumber))]);
                }
                Happening::Reset(who) => drop(reset_first(&mut breakers, who)),
            }
            let was = before.level(Rule::Drawdown, &scope);
            let is = breakers.level(Rule::Drawdown, &scope);
            assert!(is >= was || (was as usize - is as usize) == 1, "seed {seed}: from {was} to {is} in one step");
            if was >= Level::Red && is < was {
                assert!(matches!(happening, Happening::Reset(_)), "seed {seed}: {was} was left without a reset");
            }
            let latched: Vec<_> =
                breakers.trips().filter(|trip| trip.rule == Rule::Drawdown).map(|trip| trip.level).collect();
            found.push((is, latched));
            history.push((second, happening));
            // What was saved goes on as if nothing had happened.
            let bytes = postcard::to_allocvec(&breakers).expect("bytes");
            let again: Breakers = postcard::from_bytes(&bytes).expect("breakers");
            assert_eq!(again, breakers, "seed {seed}");
            breakers = again;
        }
        let expected = oracle(&history);
        for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found, expected, "seed {seed} step {at}: {:?}", &history[..=at]);
        }
    }
}

#[test]
fn a_correction_never_untrips_and_is_published_once() {
    let mut policies = History::new(policy(), "test", "begin").expect("a valid policy");
    let mut second = policy();
    second.version = 2;
    second.breakers.drawdown.yellow = Some(Rung { trigger: Ratio::thousandths(50), clear: None });
    let next = InForce { policy: second, from_tick: 5_000, from_ns: 0, who: "ann".into(), why: "test".into() };
    policies.apply(next).expect("a newer one");
    let scope = Scope::account("a");
    let mut audits = Audits::default();
    let mut say = |tick, as_known, as_corrected| -> Vec<_> {
        let scope = scope.clone();
        let correction = CorrectedReading { measure: Measure::Drawdown, scope, tick, as_known, as_corrected };
        let said = audits.judge(&policies, &[correction]);
        said.into_iter().map(|audit| (audit.verdict, audit.corrected_level, audit.trip, audit.policy_version)).collect()
    };
    let trip = |level: &str, tick: u64| Some(format!("drawdown@account:a@{level}@{tick}"));
    use Verdict::*;
    assert_eq!(say(1_000, 0.25, 0.16), [(WouldNotHaveTripped, Level::Orange, trip("red", 1_000), 1)]);
    assert_eq!(say(1_000, 0.25, 0.17), [], "the same verdict is not repeated");
    assert_eq!(say(1_000, 0.25, 0.26), [(AsItWas, Level::Red, trip("red", 1_000), 1)]);
    let by_the_switch = [(WouldHaveTripped, Level::Orange, None, 1)];
    assert_eq!(say(1_500, 0.25, f64::NAN), by_the_switch, "what is no number acquits the breaker of nothing");
    assert_eq!(say(1_000, 0.25, 0.0), [(WouldNotHaveTripped, Level::Green, trip("red", 1_000), 1)]);
    assert_eq!(say(2_000, 0.06, 0.07), [], "no level is reached by either");
    assert_eq!(say(2_000, 0.06, 0.35), [(WouldHaveTripped, Level::Black, None, 1)]);
    assert_eq!(say(6_000, 0.04, 0.06), [(WouldHaveTripped, Level::Yellow, None, 2)], "by the policy of its tick");
    assert_eq!(audits.len(), 4);
    audits.forget_before(2_000);
    assert_eq!(audits.len(), 2);
}

#[test]
fn a_latched_trip_of_a_scope_that_is_no_more_can_be_reset_from_the_top_down() {
    let (policy, scope) = (Policy::with_version(1), Scope::account("a"));
    let mut breakers = Breakers::default();
    breakers.take(&policy, now(1), &[reading(&scope, 1, Ok(0.5))]);
    breakers.retire(&scope);
    let mut names: Vec<String> = breakers.trips().map(|trip| trip.id.clone()).collect();
    assert!(!names.is_empty());
    names.reverse();
    for name in names {
        let mut reset = |who| breakers.reset(&policy, now(2), &name, who, now(2).time_ns);
        match reset("ann").expect("nothing is breached any more") {
            Reset::Cleared(_) => {}
            Reset::AwaitsSecond => assert!(matches!(reset("bob"), Ok(Reset::Cleared(_)))),
        }
    }
    assert_eq!(breakers.trips().count(), 0);
    assert_eq!(breakers.level(Rule::Drawdown, &scope), Level::Green);
}
