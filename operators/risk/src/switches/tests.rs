//! Orders: taken once, refused by name, and never obeyed twice.

use super::*;
use crate::breakers::{Measure, Reading};
use crate::policy::Ratio;

struct Room {
    policies: History,
    breakers: Breakers,
    controls: Controls,
    lost: BTreeSet<Arc<str>>,
}

impl Room {
    fn new(policy: Policy) -> Self {
        let policies = History::new(policy, "test", "begin").expect("a valid policy");
        Self { policies, breakers: Breakers::default(), controls: Controls::default(), lost: BTreeSet::new() }
    }

    fn give(&mut self, second: i64, orders: Vec<ControlEvent>) -> Vec<ControlOutcome> {
        let now = now(second);
        let (answers, _) = self.controls.take(orders, now, &mut self.policies, &mut self.breakers, &mut self.lost);
        answers.into_iter().map(|answer| answer.outcome).collect()
    }

    fn level(&self, scope: &Scope) -> Level {
        self.breakers.level(Rule::KillManual, scope)
    }
}

fn now(second: i64) -> Now {
    Now { tick: second as u64 * 1_000, time_ns: second * 1_000_000_000 }
}

fn event(id: &str, who: &str, second: i64, order: Order) -> ControlEvent {
    ControlEvent { id: id.into(), who: who.into(), why: "test".into(), time_ns: second * 1_000_000_000, order }
}

fn kill(account: &str, level: Level) -> Order {
    Order::Kill { scope: Scope::account(account), level }
}

fn reset(trip: &str) -> Order {
    Order::Reset { trip: trip.into() }
}

#[test]
fn a_manual_kill_stands_until_its_own_trip_is_reset() {
    let mut room = Room::new(Policy::with_version(1));
    let scope = Scope::account("a");
    let first = "kill_manual@account:a@red@k1";
    let second = "kill_manual@account:a@red@k2";
    let refused = |reason| vec![ControlOutcome::Refused(ControlRefusal::Reset(reason))];
    assert_eq!(room.give(1, vec![event("k1", "ann", 1, kill("a", Level::Red))]), [ControlOutcome::Done]);
    assert_eq!(room.give(2, vec![event("k2", "bob", 2, kill("a", Level::Red))]), [ControlOutcome::Done]);
    assert_eq!(room.give(3, vec![event("k1", "ann", 1, kill("a", Level::Red))]), [ControlOutcome::Repeated]);
    assert_eq!(room.give(3, vec![event("r0", "ann", 3, reset("nothing"))]), refused(ResetRefusal::UnknownTrip));
    assert_eq!(room.give(3, vec![event("r1", "ann", 1, reset(second))]), refused(ResetRefusal::BeforeTrip));
    assert_eq!(room.give(3, vec![event("r2", "ann", 3, reset(first))]), [ControlOutcome::Done]);
    assert_eq!(room.level(&scope), Level::Red, "the other kill stands");
    assert_eq!(room.give(4, vec![event("r3", "ann", 4, reset(second))]), [ControlOutcome::Done]);
    assert_eq!(room.level(&scope), Level::Green);
    assert_eq!(room.give(5, vec![event("r4", "ann", 5, reset(second))]), refused(ResetRefusal::AlreadyCleared));
    assert_eq!(room.give(6, vec![event("k2", "bob", 2, kill("a", Level::Red))]), [ControlOutcome::Repeated]);
    assert_eq!(room.level(&scope), Level::Green, "a replayed kill does nothing");
}

#[test]
fn black_needs_two_different_persons_in_time() {
    let mut policy = Policy::with_version(1);
    policy.hysteresis.confirmation_ms = 10_000;
    let mut room = Room::new(policy);
    let scope = Scope::account("a");
    let trip = "kill_manual@account:a@black@k1";
    room.give(1, vec![event("k1", "ann", 1, kill("a", Level::Black))]);
    assert_eq!(room.give(2, vec![event("r1", "ann", 2, reset(trip))]), [ControlOutcome::AwaitsSecond]);
    let same = ControlOutcome::Refused(ControlRefusal::Reset(ResetRefusal::SamePerson));
    assert_eq!(room.give(3, vec![event("r2", "ann", 3, reset(trip))]), [same]);
    assert_eq!(room.give(4, vec![event("r1", "ann", 2, reset(trip))]), [ControlOutcome::Repeated]);
    assert_eq!(room.level(&scope), Level::Black);
    assert_eq!(room.give(13, vec![event("r3", "bob", 13, reset(trip))]), [ControlOutcome::AwaitsSecond], "too late");
    assert_eq!(room.give(14, vec![event("r4", "ann", 14, reset(trip))]), [ControlOutcome::Done]);
    assert_eq!(room.level(&scope), Level::Green);
}

#[test]
fn incomplete_forged_and_foreign_orders_are_refused_by_name() {
    let mut policy = Policy::with_version(1);
    policy.people.kill = vec!["ann".into()];
    policy.people.policy = vec!["bob".into()];
    let mut room = Room::new(policy);
    let incomplete = |field: &str| ControlOutcome::Refused(ControlRefusal::Incomplete(field.into()));
    let long = "x".repeat(1_025);
    let nowhere = Order::Kill { scope: Scope::account(""), level: Level::Red };
    let cases = [
        (event("", "ann", 1, kill("a", Level::Red)), incomplete("id")),
        (event("1", " ", 1, kill("a", Level::Red)), incomplete("who")),
        (event(&long, "ann", 1, kill("a", Level::Red)), incomplete("id")),
        (ControlEvent { why: String::new(), ..event("2", "ann", 1, kill("a", Level::Red)) }, incomplete("why")),
        (event("3", "ann", 1, kill("a", Level::Orange)), incomplete("level")),
        (event("4", "ann", 1, nowhere), incomplete("scope")),
        (event("5", "ann", 1, reset("")), incomplete("trip")),
        (
            event("6", "bob", 1, kill("a", Level::Red)),
            ControlOutcome::Refused(ControlRefusal::NotAllowed("bob".into())),
        ),
        (event("7", "ann", 99, reset("any")), ControlOutcome::Refused(ControlRefusal::FromTheFuture)),
        (event("8", "ann", 1, kill("a", Level::Red)), ControlOutcome::Done),
        (event("8", "ann", 1, kill("a", Level::Black)), ControlOutcome::Refused(ControlRefusal::NameReused)),
        (
            event("9", "bob", 1, Order::SetPolicy(Box::new(Policy::with_version(0)))),
            ControlOutcome::Refused(ControlRefusal::Policy(NotTaken::Older { given: 0, in_force: 1 })),
        ),
        (
            event("10", "ann", 1, Order::SetPolicy(Box::new(Policy::with_version(2)))),
            ControlOutcome::Refused(ControlRefusal::NotAllowed("ann".into())),
        ),
        (event("11", "bob", 1, Order::SetPolicy(Box::new(Policy::with_version(2)))), ControlOutcome::Done),
        (event("12", "cid", 1, Order::SetPolicy(Box::new(Policy::with_version(2)))), ControlOutcome::Already),
    ];
    for (order, expected) in cases {
        let id = order.id.clone();
        assert_eq!(room.give(2, vec![order]), [expected], "{id}");
    }
}

#[test]
fn orders_of_a_tick_go_by_time_whatever_their_arrival() {
    let orders = || {
        vec![
            event("a", "ann", 1, kill("a", Level::Red)),
            event("b", "ann", 2, Order::SetPolicy(Box::new(Policy::with_version(2)))),
            event("c", "ann", 3, Order::SetPolicy(Box::new(Policy::with_version(3)))),
        ]
    };
    let mut forward = Room::new(Policy::with_version(1));
    let mut backward = Room::new(Policy::with_version(1));
    let outcomes = forward.give(4, orders());
    assert_eq!(outcomes, [ControlOutcome::Done, ControlOutcome::Done, ControlOutcome::Done]);
    assert_eq!(backward.give(4, orders().into_iter().rev().collect()), outcomes);
    assert_eq!(forward.controls, backward.controls);
    assert_eq!(forward.policies, backward.policies);
}

#[test]
fn a_kill_acts_whatever_its_time() {
    let mut room = Room::new(Policy::with_version(1));
    let ahead = event("k1", "ann", 9_000, kill("a", Level::Red));
    assert_eq!(room.give(5, vec![ahead.clone()]), [ControlOutcome::Done]);
    assert_eq!(room.level(&Scope::account("a")), Level::Red);
    let behind = event("k2", "ann", -9_000, kill("b", Level::Black));
    assert_eq!(room.give(5, vec![behind]), [ControlOutcome::Done]);
    assert_eq!(room.level(&Scope::account("b")), Level::Black);
    // Once more it does nothing, and its trip can be reset.
    assert_eq!(room.give(6, vec![ahead.clone()]), [ControlOutcome::Repeated]);
    let trip = "kill_manual@account:a@red@k1";
    assert_eq!(room.give(7, vec![event("r1", "ann", 7, reset(trip))]), [ControlOutcome::Done]);
    assert_eq!(room.give(8, vec![ahead]), [ControlOutcome::Repeated]);
    assert_eq!(room.level(&Scope::account("a")), Level::Green);
}

#[test]
fn kills_from_the_future_do_not_crowd_out_what_came_since() {
    let mut room = Room::new(Policy::with_version(1));
    for number in 0..5_000 {
        room.give(1, vec![event(&format!("k{number}"), "ann", 1_000_000, kill("a", Level::Red))]);
    }
    let next = event("p", "ann", 2, Order::SetPolicy(Box::new(Policy::with_version(2))));
    assert_eq!(room.give(2, vec![next.clone()]), [ControlOutcome::Done]);
    assert_eq!(room.give(3, vec![event("k", "ann", 3, kill("b", Level::Red))]), [ControlOutcome::Done]);
    assert_eq!(room.give(3, vec![next]), [ControlOutcome::Repeated]);
}

#[test]
fn what_may_have_been_forgotten_is_refused_but_for_a_kill() {
    let mut room = Room::new(Policy::with_version(1));
    for second in 1..=5_000 {
        let id = format!("k{second}");
        assert_eq!(room.give(second, vec![event(&id, "ann", second, kill("a", Level::Red))]), [ControlOutcome::Done]);
        let trip = format!("kill_manual@account:a@red@{id}");
        assert_eq!(
            room.give(second, vec![event(&format!("r{second}"), "ann", second, reset(&trip))]),
            [ControlOutcome::Done]
        );
    }
    assert_eq!(room.controls.len(), REMEMBERED);
    let old = event("r1", "ann", 1, reset("kill_manual@account:a@red@k1"));
    assert_eq!(room.give(5_001, vec![old]), [ControlOutcome::Refused(ControlRefusal::TooOld)]);
    let near = event("k4900", "ann", 4_900, kill("a", Level::Red));
    assert_eq!(room.give(5_001, vec![near]), [ControlOutcome::Repeated]);
    assert_eq!(room.level(&Scope::account("a")), Level::Green);
    let forgotten = event("k1", "ann", 1, kill("a", Level::Red));
    assert_eq!(room.give(5_001, vec![forgotten]), [ControlOutcome::Done], "it fails closed");
    assert_eq!(room.level(&Scope::account("a")), Level::Red);
}

#[test]
fn a_kill_in_the_tick_of_a_reading_stands_beside_it() {
    let mut room = Room::new(Policy::with_version(1));
    let scope = Scope::account("a");
    room.give(1, vec![event("k1", "ann", 1, kill("a", Level::Red))]);
    let value = Ok(0.11);
    let reading = Reading { measure: Measure::Drawdown, scope: scope.clone(), value, as_of_ns: now(1).time_ns };
    room.breakers.take(&room.policies.current().policy, now(1), &[reading]);
    let by_rule: Vec<_> = room.breakers.contributions()[&scope].iter().map(|cause| (cause.rule, cause.level)).collect();
    assert_eq!(by_rule, [(Rule::Drawdown, Level::Yellow), (Rule::KillManual, Level::Red)]);
}

#[test]
fn lost_fills_are_cleared_by_those_who_may_reset() {
    let mut policy = Policy::with_version(1);
    policy.people.reset = vec!["ann".into(), "cat".into()];
    let mut room = Room::new(policy);
    room.lost.insert("main".into());
    let clear = || Order::Clear { account: "main".into() };
    let not_allowed = ControlOutcome::Refused(ControlRefusal::NotAllowed("bob".into()));
    assert_eq!(room.give(1, vec![event("c1", "bob", 1, clear())]), [not_allowed]);
    assert_eq!(room.lost.len(), 1);
    assert_eq!(room.give(2, vec![event("c2", "ann", 2, clear())]), [ControlOutcome::Done]);
    assert_eq!(room.give(3, vec![event("c2", "ann", 2, clear())]), [ControlOutcome::Repeated]);
    assert_eq!(room.give(4, vec![event("c3", "ann", 4, clear())]), [ControlOutcome::Already]);
    let incomplete = ControlOutcome::Refused(ControlRefusal::Incomplete("account".into()));
    assert_eq!(room.give(5, vec![event("c4", "ann", 5, Order::Clear { account: "".into() })]), [incomplete]);
}

#[test]
fn two_documents_under_one_name_are_two_orders_whichever_comes_first() {
    let order = |gross: i64| {
        let mut policy = Policy::with_version(2);
        policy.limits.gross = Ratio::thousandths(gross);
        policy.limits.strategy_gross = Ratio::thousandths(gross);
        event("p", "ann", 1, Order::SetPolicy(Box::new(policy)))
    };
    let mut found = Vec::new();
    for orders in [vec![order(1_500), order(1_400)], vec![order(1_400), order(1_500)]] {
        let mut room = Room::new(Policy::with_version(1));
        let outcomes = room.give(1, orders);
        assert_eq!(outcomes, [ControlOutcome::Done, ControlOutcome::Refused(ControlRefusal::NameReused)]);
        found.push(room.policies.current().policy.limits.gross);
    }
    assert_eq!(found[0], found[1]);
}

#[test]
fn the_name_of_a_trip_that_was_cleared_can_be_used_again_and_names_have_a_bound() {
    let mut room = Room::new(Policy::with_version(1));
    let trip = "kill_manual@account:a@red@k1";
    let reset = || Order::Reset { trip: trip.into() };
    assert_eq!(room.give(1, vec![event("k1", "ann", 1, kill("a", Level::Red))]), [ControlOutcome::Done]);
    assert_eq!(room.give(2, vec![event("r1", "ann", 2, reset())]), [ControlOutcome::Done]);
    // The order itself was forgotten meanwhile.
    room.controls = Controls::default();
    assert_eq!(room.give(3, vec![event("k1", "ann", 3, kill("a", Level::Red))]), [ControlOutcome::Done]);
    assert_eq!(room.give(4, vec![event("r2", "ann", 4, reset())]), [ControlOutcome::Done]);
    assert_eq!(room.level(&Scope::account("a")), Level::Green);

    let long = "x".repeat(257);
    for (order, field) in [
        (event(&long, "ann", 5, kill("a", Level::Red)), "id"),
        (event("k2", "ann", 5, kill(&long, Level::Red)), "scope"),
    ] {
        let incomplete = ControlOutcome::Refused(ControlRefusal::Incomplete(field.into()));
        assert_eq!(room.give(5, vec![order]), [incomplete]);
    }
}
