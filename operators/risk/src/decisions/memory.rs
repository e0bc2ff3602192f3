//! How long decisions are remembered: as long as something is open or may come again, and no longer.

use super::tests::{Desk, SECOND, UNIT, filled, intent};
use super::*;

fn begun() -> Desk {
    let mut desk = Desk::new();
    (desk.policy.decisions.memory_ms, desk.policy.staleness.mark_ms) = (60_000, 1_000_000_000);
    desk
}

fn wait(desk: &mut Desk, second: i64) -> Vec<Reservation> {
    desk.second = second;
    desk.decisions.expire(second * SECOND, desk.policy.decisions.memory_ms)
}

#[test]
fn an_order_is_remembered_while_it_is_open_and_not_until_its_expiry() {
    let mut desk = begun();
    let day = 86_400;
    let lasting = |id: &str| OrderIntent { expires_ns: Some((100 + day) * SECOND), ..intent(id, "BTC", 10.0) };
    for id in ["1", "2", "3"] {
        assert_eq!(desk.say(lasting(id)), "approved 10");
    }
    let cancelled = Progress::Cancelled { account: "a".into(), intent_id: "2".into() };
    assert_eq!(desk.decisions.progress(&[filled("1", 10 * UNIT), cancelled]), []);
    for second in (110..1_000).step_by(10) {
        assert_eq!(wait(&mut desk, second), []);
    }
    assert_eq!(desk.decisions.sizes(), [1, 1], "the one that is open");
    assert_eq!(desk.ask(vec![lasting("3")]).len(), 1);
    assert!(matches!(desk.ask(vec![lasting("3")])[..], [Answer::Repeated(_)]));
    assert_eq!(desk.say(lasting("1")), "rejected 0 TooOld");
    assert_eq!(desk.decisions.progress(&[filled("3", 10 * UNIT)]), []);
    for second in (1_000..1_200).step_by(10) {
        assert_eq!(wait(&mut desk, second), []);
    }
    assert_eq!(desk.decisions.sizes(), [0, 0]);
    let mut desk = begun();
    assert_eq!(desk.say(OrderIntent { expires_ns: Some(i64::MAX), ..intent("1", "BTC", 10.0) }), "rejected 0 Invalid");
}

#[test]
fn what_is_refused_for_its_time_has_one_decision_too() {
    let mut desk = begun();
    wait(&mut desk, 1_000);
    let old = OrderIntent { event_time_ns: 900 * SECOND, ..intent("old", "BTC", 1.0) };
    let far = OrderIntent { event_time_ns: 2_000 * SECOND, ..intent("far", "BTC", 1.0) };
    let first = [desk.decide(old.clone()), desk.decide(far.clone())];
    assert!(matches!(first[0].reasons[..], [Reason::TooOld { .. }]), "{first:?}");
    assert!(matches!(first[1].reasons[..], [Reason::FromTheFuture { .. }]), "{first:?}");
    for second in [1_001, 1_030, 1_060] {
        wait(&mut desk, second);
        let answers = desk.ask(vec![old.clone(), far.clone()]);
        assert_eq!(answers, first.clone().map(Answer::Repeated), "{second}");
        let other = OrderIntent { quantity_e8: 1, ..old.clone() };
        assert!(matches!(desk.ask(vec![other])[..], [Answer::NameReused { number: 1, .. }]));
    }
    // Forgotten: memory is bounded, and what was too far ahead makes nothing else too old.
    wait(&mut desk, 1_061);
    assert_eq!(desk.decisions.sizes(), [0, 0]);
    let now = OrderIntent { event_time_ns: 1_061 * SECOND, ..intent("now", "BTC", 1.0) };
    assert_eq!(desk.say(now), "approved 1");
    assert_eq!(desk.say(old), "rejected 0 TooOld");
    assert_eq!(desk.say(far), "rejected 0 FromTheFuture");
}
