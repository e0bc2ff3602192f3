//! What reduces can always be had, but for what a level, a price or a time forbids.

use super::tests::{Desk, SECOND, UNIT, holder, intent, named};
use super::*;

/// Ten of fifty are sold, and sixty, of which ten would open.
fn check(expected: &str, why: &str, change: impl Fn(&mut Desk)) {
    for (quantity, limit, is_reduce_only, expected) in [
        (-10.0, None, false, expected.to_owned()),
        (-10.0, None, true, expected.to_owned()),
        (-10.0, Some(100), false, "approved 10".to_owned()),
        (-60.0, Some(100), false, if why.is_empty() { "approved 60".to_owned() } else { format!("reduced 50 {why}") }),
        (-60.0, Some(100), true, "reduced 50 ReduceOnly".to_owned()),
    ] {
        let mut desk = Desk::holding(&[("BTC", 50)]);
        change(&mut desk);
        let limit_price_e8 = limit.map(|price: i64| price * UNIT);
        let order = OrderIntent { limit_price_e8, is_reduce_only, ..intent("1", "BTC", quantity) };
        assert_eq!(desk.say(order), expected, "{why} {quantity} {limit:?} {is_reduce_only}");
    }
}

#[test]
fn what_reduces_needs_a_price_and_nothing_else() {
    let all = "approved 10";
    check(all, "", |_| {});
    check(all, "NoBook", |desk| desk.book.margin_e16.clear());
    check(all, "NoBook", |desk| desk.book.money.clear());
    // Another position has no mark.
    check(all, "NoBook", |desk| {
        desk.book.held_e8.insert((holder("a", "t"), named("XRP")), 1);
    });
    check(all, "OpenOrders", |desk| {
        desk.decide(intent("0", "ETH", 10.0));
        desk.book.listed.remove(&named("ETH"));
    });
    check(all, "NoBook", |desk| {
        desk.book.listed.get_mut(&named("BTC")).expect("it was put in").rate_e18 = i128::MAX;
    });
    check(all, "OutsideUniverse", |desk| desk.policy.universe = vec!["binance|ETH".into()]);
    check(all, "TooManyOrders", |desk| {
        desk.policy.decisions.open_orders = 1;
        desk.decide(intent("0", "ETH", 10.0));
    });
    // Its own mark: a limit says what an order may be filled at, and nothing says it of one at the market.
    let none = "rejected 0 NoMarket";
    check(none, "NoMarket", |desk| desk.second = 111);
    check(none, "NoMarket", |desk| {
        desk.book.listed.remove(&named("BTC"));
    });
    // Equity is gone.
    check(
        all,
        "SinglePosition Sector AssetClass Gross StrategyGross Leverage RiskPerTrade Drawdown DailyLoss",
        |desk| {
            desk.book.money.get_mut("a").expect("it was put in").equity_e16 = -1;
            desk.book.margin_e16.values_mut().for_each(|margin| *margin = -1);
        },
    );
}

#[test]
fn what_reduces_is_held_to_the_band_of_a_fresh_mark_and_to_levels() {
    let sale = |price: i64| OrderIntent { limit_price_e8: Some(price * UNIT), ..intent("1", "BTC", -10.0) };
    let at = |second: i64, level: Level, order: OrderIntent| {
        let mut desk = Desk::holding(&[("BTC", 50)]);
        (desk.second, desk.level) = (second, level);
        desk.say(order)
    };
    assert_eq!(at(100, Level::Green, sale(90)), "rejected 0 PriceBand");
    assert_eq!(at(111, Level::Green, sale(90)), "approved 10");
    assert_eq!(at(111, Level::Orange, sale(90)), "approved 10");
    assert_eq!(at(111, Level::Red, sale(90)), "rejected 0 Level");
    let closing = |price: i64| OrderIntent { is_reduce_only: true, ..sale(price) };
    assert_eq!(at(111, Level::Black, closing(90)), "approved 10");
    assert_eq!(at(111, Level::Black, sale(90)), "rejected 0 Level");
    // A mark so high that an order at the market has no price.
    let mut desk = Desk::holding(&[("BTC", -50)]);
    desk.policy.decisions.market_slippage = Ratio::thousandths(5);
    desk.book.listed.get_mut(&named("BTC")).expect("it was put in").mark_e8 = tidewheel_schemas::PRICE_LIMIT_E8 - 1;
    assert_eq!(desk.say(intent("1", "BTC", 10.0)), "rejected 0 OutOfRange");
}

#[test]
fn what_reduces_uses_no_limit_and_counts_once() {
    let mut desk = Desk::holding(&[("BTC", 50)]);
    let sold = desk.decide(intent("1", "BTC", -30.0));
    assert_eq!((sold.risk_score, sold.quantity_e8), (Ratio::ZERO, 30 * UNIT));
    // Twenty are left to reduce.
    assert_eq!(desk.say(OrderIntent { is_reduce_only: true, ..intent("2", "BTC", -30.0) }), "reduced 20 ReduceOnly");
    assert_eq!(desk.say(OrderIntent { is_reduce_only: true, ..intent("3", "BTC", -1.0) }), "rejected 0 ReduceOnly");
    let open: i64 = desk.decisions.open().map(|open| open.open_e8).sum();
    assert_eq!(open, 50 * UNIT);
}

#[test]
fn beside_a_reducing_order_that_cannot_be_valued_nothing_grows() {
    let mut desk = Desk::holding(&[("BTC", 50)]);
    let far = 100 * SECOND;
    let at = |id: &str, symbol: &str, quantity: f64, ns: i64| OrderIntent {
        event_time_ns: far + ns,
        ..intent(id, symbol, quantity)
    };
    desk.book.held_e8.insert((holder("a", "t"), named("BTC")), 0);
    desk.book.listed.get_mut(&named("BTC")).expect("it was put in").multiplier_e8 = 0;
    desk.book.held_e8.remove(&(holder("a", "s"), named("BTC")));
    assert_eq!(desk.say(at("1", "ETH", 10.0, 0)), "approved 10");
    // The position cannot be valued: the account has no exposure to be told, and what reduces it is approved.
    desk.book.held_e8.insert((holder("a", "s"), named("BTC")), 50 * UNIT);
    let answers = desk.ask(vec![at("2", "ETH", 1.0, 1), at("3", "BTC", -10.0, 2), at("4", "ETH", 1.0, 3)]);
    let rulings: Vec<_> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Decided(decision) => decision.ruling,
            other => panic!("not decided: {other:?}"),
        })
        .collect();
    assert_eq!(rulings, [Ruling::Rejected, Ruling::Approved, Ruling::Rejected]);
}
