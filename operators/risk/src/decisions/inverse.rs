//! At which price an order counts: what inverse contracts are worth and lose, and prices that only reduce.

use super::tests::{Desk, UNIT, holder, intent, listed, named};
use super::*;
use tidewheel_schemas::ContractKind;

/// `XBT`, inverse, 100 dollars a contract, at 60,000; and limits of exposure that are in nobody's way but a tenth for a position.
fn desk(single_thousandths: i64) -> Desk {
    let mut desk = Desk::new();
    let mut entry = listed(60_000);
    (entry.kind, entry.multiplier_e8) = (ContractKind::Inverse, 100 * UNIT);
    desk.book.listed.insert(named("XBT"), entry);
    let limits = &mut desk.policy.limits;
    for limit in [&mut limits.sector, &mut limits.asset_class, &mut limits.gross, &mut limits.strategy_gross] {
        *limit = Ratio::thousandths(100_000);
    }
    limits.single_position = Ratio::thousandths(single_thousandths);
    desk
}

fn order(quantity: f64, limit: i64, stop: Option<i64>) -> OrderIntent {
    OrderIntent {
        limit_price_e8: Some(limit * UNIT),
        stop_price_e8: stop.map(|stop| stop * UNIT),
        ..intent("1", "XBT", quantity)
    }
}

#[test]
fn an_inverse_contract_loses_by_both_prices_and_is_valued_at_the_mark() {
    // 4,000 may be lost. A contract bought at 30,000 and stopped at 28,500 loses 100 * 1,500 / (30,000 * 28,500) bitcoin, of 60,000 each.
    assert_eq!(desk(100_000).say(order(1_000.0, 30_000, Some(28_500))), "reduced 380 RiskPerTrade");
    // Bought at the mark: 100 * 3,000 / 57,000 dollars.
    assert_eq!(desk(100_000).say(order(760.0, 60_000, Some(57_000))), "approved 760");
    assert_eq!(desk(100_000).say(order(760.00000001, 60_000, Some(57_000))), "reduced 760 RiskPerTrade");
    // Sold at 66,000 and stopped at 72,000: 100 * 6,000 * 60,000 / (66,000 * 72,000).
    assert_eq!(desk(100_000).say(order(-528.0, 66_000, Some(72_000))), "approved 528");
    assert_eq!(desk(100_000).say(order(-528.00000001, 66_000, Some(72_000))), "reduced 528 RiskPerTrade");
}

#[test]
fn an_inverse_contract_is_worth_more_the_lower_its_price() {
    // A tenth of 100,000: 100 contracts at the mark, half of them where the price is half.
    assert_eq!(desk(100).say(order(200.0, 60_000, None)), "reduced 100 SinglePosition");
    assert_eq!(desk(100).say(order(200.0, 30_000, None)), "reduced 50 SinglePosition");
    // A sale above the mark is not worth more there.
    assert_eq!(desk(100).say(order(-200.0, 66_000, None)), "reduced 100 SinglePosition");
    // One below it is, and loses: 100 * 60/58 x <= (100,000 - 100 * 2/58 x) / 10.
    let decision = desk(100).decide(order(-200.0, 58_000, None));
    let expected = 10_000.0 / (100.0 * 60.0 / 58.0 + 10.0 * 2.0 / 58.0);
    assert!((decision.quantity_e8 as f64 / 1e8 - expected).abs() < 1e-7, "{decision:?}");
}

#[test]
fn what_reduces_far_from_the_mark_counts_no_more_than_what_is_held() {
    for (symbol, held, quantity, price) in [("BTC", 50, -50.0, 100_000), ("XBT", -50, 50.0, 60)] {
        let mut desk = desk(100);
        desk.book.held_e8.insert((holder("a", "s"), named(symbol)), held * UNIT);
        let far = OrderIntent { limit_price_e8: Some(price * UNIT), ..intent("1", symbol, quantity) };
        assert_eq!(desk.say(far), "approved 50");
        assert_eq!(desk.say(intent("2", "ETH", 1_000.0)), "approved 1000", "{symbol}");
        // What opens counts at its own price.
        let opens = OrderIntent { limit_price_e8: Some(price * UNIT), ..intent("3", symbol, quantity) };
        let said = desk.say(opens);
        assert!(said.starts_with("rejected 0 SinglePosition"), "{symbol}: {said}");
    }
}
