//! Input that gives the replay's clock little to go by, and ids that come again: what an independent review broke.

use super::{Case, trade};
use crate::harness::program::bars_of_one;
use std::fmt::Write;
use tidewheel_schemas::Interval;

const SECOND_NS: i64 = 1_000_000_000;

/// An hour of trades, one a second, of which one is dated two hours ahead.
fn hour_with_one_dated_ahead() -> String {
    let mut text = String::new();
    for second in 0..3_600 {
        let ahead = if second == 1_800 { 7_200 } else { 0 };
        text.push_str(&trade("BTCUSDT", second, (second + ahead) * SECOND_NS, "100", "1"));
    }
    text
}

#[test]
fn messages_without_trades_before_the_first_do_not_undo_the_clock() {
    for junk in ["{\"e\":\"depthUpdate\",\"s\":\"BTCUSDT\"}\n", "not json\n"] {
        let case = Case::new();
        let text = junk.repeat(200_000) + &hour_with_one_dated_ahead();
        let (counters, _) = case.replay("head.jsonl", text, &[]);
        assert_eq!((counters.accepted, counters.late), (3_599, 0), "{junk}");
    }
}

#[test]
fn a_selection_that_leaves_out_the_beginning_does_not_undo_the_clock() {
    let case = Case::new();
    let mut text = String::new();
    for number in 0..50_000 {
        text.push_str(&trade("BTCUSDT", 10_000 + number, -100_000 * SECOND_NS + number * SECOND_NS, "100", "1"));
    }
    text += &hour_with_one_dated_ahead();
    let (counters, _) = case.replay("from.jsonl", text, &["--from", "2024-08-08T23:54:15Z"]);
    assert_eq!((counters.accepted, counters.late, counters.rejected), (3_599, 0, 1));
}

/// A venue that counts anew each day: ids are remembered as long as their trade can be revised, whatever their kind.
#[test]
fn ids_that_come_again_after_the_horizon_are_other_trades() {
    for prefix in ["", "x"] {
        let case = Case::new();
        let mut text = String::new();
        for day in 0..3 {
            for number in 0..100 {
                let after_ns = (day * 86_400 + number * 60) * SECOND_NS;
                text.push_str(&trade("BTCUSDT", format!("{prefix}{}", 2 * number + 1), after_ns, "100", "1"));
            }
        }
        let (counters, _) = case.replay("anew.jsonl", text, &["--horizon", "10m"]);
        assert_eq!((counters.accepted, counters.duplicate, counters.rejected), (300, 0, 0), "ids {prefix}1 ...");
    }
}

#[test]
fn corrections_that_each_tell_a_part_add_up_in_either_order() {
    for order in [[0, 1], [1, 0]] {
        let case = Case::new();
        let mut text = trade("BTCUSDT", 1, 0, "100", "1");
        let parts = ["\"price\":\"101\"", "\"quantity\":\"5\""];
        for part in order {
            let _ = writeln!(
                text,
                "{{\"type\":\"trade\",\"op\":\"correct\",\"venue\":\"binance\",\"symbol\":\"BTCUSDT\",\"trade_id\":\"1\",{}}}",
                parts[part]
            );
        }
        let (counters, _) = case.replay("parts.jsonl", text, &["--intervals", "1m"]);
        assert_eq!((counters.accepted, counters.amended), (3, 2));
        let (_, bar) = bars_of_one(&case.lake(), Interval::M1).pop_first().expect("one bar");
        assert_eq!((bar.open_e8, bar.volume_e8), (10_100_000_000, 500_000_000), "order {order:?}");
    }
}

/// Ids without order, and cancels that do not tell the time of their trade: each finds its trade without a search.
#[test]
fn many_cancels_of_trades_with_random_ids() {
    let case = Case::new();
    let id = |number: u64| {
        let bits = u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number) | 2 << 62;
        let hex = format!("{bits:032x}");
        format!("{}-{}-4{}-{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[16..20], &hex[20..])
    };
    let mut text = String::new();
    for number in 0..60_000 {
        text.push_str(&trade("BTCUSDT", id(number), number as i64 * 20_000_000, "100", "1"));
    }
    for number in (0..60_000).step_by(3) {
        let _ = writeln!(
            text,
            "{{\"type\":\"trade\",\"op\":\"cancel\",\"venue\":\"binance\",\"symbol\":\"BTCUSDT\",\"trade_id\":\"{}\"}}",
            id(number)
        );
    }
    let (counters, _) = case.replay("uuids.jsonl", text, &["--intervals", "1d"]);
    assert_eq!((counters.accepted, counters.amended), (80_000, 20_000));
    let trades: u64 = bars_of_one(&case.lake(), Interval::D1).values().map(|bar| bar.trade_count).sum();
    assert_eq!(trades, 40_000);
}
