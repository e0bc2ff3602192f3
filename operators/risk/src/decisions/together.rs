//! Orders that are open together pass no limit together, though what one costs lowers the equity that another one's limit is a share of.

use super::oracle::Filled;
use super::tests::{Desk, UNIT, holder, intent, named};
use super::*;
use crate::policy::{Override, PartialLimits, Policy};

/// The default policy with its costs: half a percent from the mark, and a thousandth for fees.
fn costly() -> Desk {
    Desk { policy: Policy::with_version(1), ..Desk::new() }
}

fn at(price: i64, order: OrderIntent) -> OrderIntent {
    OrderIntent { limit_price_e8: Some(price * UNIT), ..order }
}

/// What every open order passes once all are filled.
fn passed(desk: &Desk) -> Vec<LimitKind> {
    let fills: Vec<_> = desk.decisions.open().map(|open| Filled::of(&open)).collect();
    let (after, change) = desk.book.after(&fills, desk.policy.decisions.fee_allowance);
    let of = |fill: &Filled| {
        let limits = desk.policy.limits.of(&desk.policy.overrides, &fill.holder, &fill.instrument);
        after.passed(&limits, fill, change.min(0.0), desk.book.listed[&fill.instrument].mark_e8)
    };
    fills.iter().flat_map(of).collect()
}

#[test]
fn an_order_may_not_cost_what_another_one_needs() {
    let mut desk = costly();
    let first = desk.decide(at(100, intent("1", "BTC", 200.0)));
    // 100 x <= (100,000 - x / 10) / 10.
    assert_eq!(first.quantity_e8, 9_999_000_099);
    assert_eq!(desk.say(intent("2", "ETH", 900.0)), "rejected 0 SinglePosition BelowMinimum");
    assert_eq!(passed(&desk), []);
    // 9,997 need 99,970 of equity: 30 less its own fee of 9.997 are left, and ether costs 0.05 and 0.01005 a unit.
    let mut desk = costly();
    assert_eq!(desk.say(at(100, intent("1", "BTC", 99.97))), "approved 99.97");
    let second = desk.decide(intent("2", "ETH", 900.0));
    let expected = 20.003 / 0.06005;
    assert!((second.quantity_e8 as f64 / 1e8 - expected).abs() < 2e-8, "{second:?}");
    assert_eq!(second.risk_score, Ratio::ONE);
    assert_eq!(passed(&desk), []);
    let mut one_more = desk.decisions.open().last().map(|open| Filled::of(&open)).expect("it is open");
    one_more.quantity_e8 = 1_000_000;
    let fills: Vec<_> = desk.decisions.open().map(|open| Filled::of(&open)).chain([one_more]).collect();
    let (after, change) = desk.book.after(&fills, desk.policy.decisions.fee_allowance);
    let mark_e8 = 100 * UNIT;
    assert_eq!(after.passed(&desk.policy.limits, &fills[0], change, mark_e8), [LimitKind::SinglePosition]);
    // Beside less both are whole.
    let mut desk = costly();
    assert_eq!(desk.say(at(100, intent("1", "BTC", 99.0))), "approved 99");
    assert_eq!(desk.say(intent("2", "ETH", 900.0)), "approved 900");
    assert_eq!(passed(&desk), []);
}

#[test]
fn an_order_is_held_to_the_stricter_limits_of_those_that_are_open() {
    let mut desk = Desk::new();
    let limits = PartialLimits { single_position: Some(Ratio::thousandths(50)), ..Default::default() };
    desk.policy.overrides = vec![Override { strategy: Some("s".into()), limits, ..Default::default() }];
    let of_another = |id: &str, quantity: f64| OrderIntent { holder: holder("a", "t"), ..intent(id, "BTC", quantity) };
    assert_eq!(desk.say(intent("1", "BTC", 40.0)), "approved 40");
    assert_eq!(desk.say(of_another("2", 60.0)), "reduced 10 SinglePosition");
    assert_eq!(passed(&desk), []);
    // Once it is filled, it is held to nothing any more.
    desk.book.held_e8.insert((holder("a", "s"), named("BTC")), 40 * UNIT);
    let cancelled = |id: &str| Progress::Cancelled { account: "a".into(), intent_id: id.into() };
    desk.decisions.progress(&[cancelled("1"), cancelled("2")]);
    assert_eq!(desk.say(of_another("3", 70.0)), "reduced 60 SinglePosition");
}

#[test]
fn all_positions_in_an_instrument_count_at_the_dearest_of_their_prices() {
    let mut desk = Desk::new();
    assert_eq!(desk.say(at(104, intent("1", "BTC", 50.0))), "approved 50");
    // 104 (50 + x) <= (100,000 - 4 * 50) / 10.
    let other = desk.decide(OrderIntent { holder: holder("a", "t"), ..intent("2", "BTC", 50.0) });
    assert_eq!(other.quantity_e8, 4_596_153_846);
}

#[test]
fn what_reduces_is_approved_whatever_it_costs_and_nothing_grows_beside_it() {
    let mut desk = costly();
    desk.book.held_e8.insert((holder("a", "s"), named("ETH")), 500 * UNIT);
    desk.decide(at(100, intent("1", "BTC", 200.0)));
    assert_eq!(desk.say(intent("2", "ETH", -500.0)), "approved 500");
    assert_eq!(passed(&desk), [LimitKind::SinglePosition], "by the loss and the fee of what reduces");
    assert_eq!(desk.say(intent("3", "XRP", 1.0)), "rejected 0 NoMarket");
    assert_eq!(desk.say(at(10, intent("4", "ETH", 100.0))), "rejected 0 SinglePosition");
}
