//! Good records at the edges of what can be said, and many of them.

use super::{Case, TIME_S, trade};
use crate::harness::program::{bars, bars_of_one};
use std::fmt::Write;
use tidewheel_schemas::{Interval, NOTIONAL_LIMIT_E16, RejectReason, format_e8};

const DAY_NS: i64 = 86_400_000_000_000;

#[test]
fn a_hundred_thousand_instruments() {
    let case = Case::new();
    let mut text = String::new();
    for number in 0..100_000 {
        text.push_str(&trade(&format!("S{number}"), 1, number, "100", "1"));
    }
    let (counters, _) = case.replay("wide.jsonl", text, &["--intervals", "1m"]);
    assert_eq!(counters.accepted, 100_000);
    let bars = bars(&case.lake());
    assert!(bars.len() == 100_000 && bars.values().all(|bar| bar.trade_count == 1));
}

/// Everything at once: order inside the nanosecond is by id, up to the greatest there is.
#[test]
fn one_instrument_with_everything_in_one_nanosecond() {
    let case = Case::new();
    let greatest = u64::MAX;
    let mut text = trade("BTCUSDT", greatest, 0, "3", "1");
    for number in 0..50_000u64 {
        // A walk that meets every id once, in no order.
        let id = greatest - 1 - (number * 7_919) % 50_000;
        text.push_str(&trade("BTCUSDT", id, 0, if id == greatest - 50_000 { "1" } else { "2" }, "1"));
    }
    for id in greatest - 500..greatest {
        text.push_str(&trade("BTCUSDT", id, 0, "2", "1"));
        let _ = writeln!(
            text,
            "{{\"type\":\"trade\",\"op\":\"cancel\",\"venue\":\"binance\",\"symbol\":\"BTCUSDT\",\"trade_id\":{id}}}"
        );
    }
    let (counters, _) = case.replay("dense.jsonl", text, &["--intervals", "1s,1d"]);
    assert_eq!((counters.accepted, counters.duplicate, counters.amended), (50_501, 500, 500));
    for bar in bars(&case.lake()).values() {
        assert_eq!((bar.open_e8, bar.close_e8, bar.trade_count), (100_000_000, 300_000_000, 49_501));
        assert_eq!(
            (bar.first.id.to_string(), bar.last.id.to_string()),
            ((greatest - 50_000).to_string(), greatest.to_string())
        );
    }
}

#[test]
fn a_file_of_cancels_alone_and_one_of_nothing() {
    let case = Case::new();
    let cancels: String = (0..20_000)
        .map(|id| {
            format!("{{\"type\":\"trade\",\"op\":\"cancel\",\"venue\":\"v\",\"symbol\":\"S\",\"trade_id\":\"{id}\"}}\n")
        })
        .collect();
    let (counters, letters) = case.replay("cancels.jsonl", cancels, &[]);
    assert_eq!((counters.read, counters.rejected, counters.pending), (20_000, 20_000, 0));
    assert!(
        (1..)
            .zip(&letters)
            .all(|(position, letter)| (letter.position, letter.reason) == (position, RejectReason::UnknownTrade))
    );
    assert!(bars(&case.lake()).is_empty());
    for name in ["empty.jsonl", "empty.csv", "empty.json"] {
        let case = Case::new();
        let (counters, _) = case.replay(name, "", &[]);
        assert_eq!(counters.read, 0, "{name}");
    }
}

/// All cancels come before their trades, all in one tick.
#[test]
fn cancels_before_their_trades_leave_nothing() {
    let case = Case::new();
    let mut text = trade("BTCUSDT", "x", -1_000_000, "5", "1");
    for id in 0..20_000 {
        let _ = writeln!(
            text,
            "{{\"type\":\"trade\",\"op\":\"cancel\",\"venue\":\"binance\",\"symbol\":\"BTCUSDT\",\"trade_id\":\"{id}\"}}"
        );
    }
    for id in 0..20_000 {
        text.push_str(&trade("BTCUSDT", id, id * 10_000_000, "2", "1"));
    }
    let (counters, _) = case.replay("early.jsonl", text, &["--intervals", "1s,1d"]);
    assert_eq!((counters.accepted, counters.amended, counters.pending), (40_001, 20_000, 0));
    assert!(bars(&case.lake()).values().all(|bar| bar.trade_count == 1));
}

#[test]
fn lone_trades_from_the_future_at_either_end_carry_no_clock() {
    let usual: String = (0..20).map(|id| trade("BTCUSDT", id, id * 1_000_000_000, "100", "1")).collect();
    let future = trade("BTCUSDT", 99, 400 * DAY_NS, "100", "1");
    for (name, text, position) in
        [("head.jsonl", format!("{future}{usual}"), 1), ("end.jsonl", format!("{usual}{future}"), 21)]
    {
        let case = Case::new();
        let (counters, letters) = case.replay(name, text, &["--intervals", "1d"]);
        assert_eq!((counters.read, counters.accepted, counters.rejected), (21, 20, 1), "{name}");
        assert_eq!((letters[0].position, letters[0].reason), (position, RejectReason::Future), "{name}: {letters:?}");
        assert_eq!(letters[0].raw, future.trim_end().as_bytes().into(), "{name}");
        assert_eq!(bars_of_one(&case.lake(), Interval::D1).len(), 1, "{name}");
    }
}

/// The years that can be: 2009 to 2200. A file that jumps through them all is a file with gaps, not one of bad clocks.
#[test]
fn the_first_and_the_last_day_there_are() {
    let case = Case::new();
    let (first_s, last_s) = (1_230_768_000, 7_289_654_399);
    let mut text = String::new();
    for (day, second) in [first_s, TIME_S, last_s].into_iter().enumerate() {
        for id in 0..20 {
            text.push_str(&trade("BTCUSDT", day * 100 + id, (second - TIME_S) * 1_000_000_000 + id as i64, "100", "1"));
        }
    }
    let (counters, _) = case.replay("years.jsonl", text, &[]);
    assert_eq!((counters.read, counters.accepted), (60, 60));
    for interval in Interval::ALL {
        let opens: Vec<i64> = bars_of_one(&case.lake(), interval).into_keys().collect();
        assert_eq!(
            opens,
            [first_s, TIME_S, last_s].map(|second| interval.open_of(second * 1_000_000_000)),
            "{interval}"
        );
    }
}

/// The largest price, the largest quantity, and the largest product of the two that is a trade; sums of many of them fit the
/// lake, one step more is rejected.
#[test]
fn sums_at_the_limits_of_the_lakes_decimals() {
    let case = Case::new();
    let (largest_price_e8, largest_quantity_e8) = (999_999_999_999_999_999i64, i64::MAX);
    let most = |other: i64| i64::try_from((NOTIONAL_LIMIT_E16 - 1) / i128::from(other)).expect("64 bits");
    let (quantity_e8, price_e8) = (most(largest_price_e8), most(largest_quantity_e8));
    let line = |symbol: &str, id: i64, price_e8: i64, quantity_e8: i64| {
        trade(symbol, id, id, &format_e8(price_e8.into()), &format_e8(quantity_e8.into()))
    };
    let mut text = String::new();
    for id in 0..2_000 {
        text.push_str(&line("DEAR", id, largest_price_e8, quantity_e8));
        text.push_str(&line("CHEAP", id, price_e8, largest_quantity_e8));
    }
    text.push_str(&line("DEAR", 5_000, largest_price_e8, quantity_e8 + 1));
    text.push_str(&line("CHEAP", 5_000, price_e8 + 1, largest_quantity_e8));
    text.push_str(&line("BOTH", 5_000, largest_price_e8, largest_quantity_e8));
    let (counters, letters) = case.replay("limits.jsonl", text, &[]);
    assert_eq!((counters.accepted, counters.rejected), (4_000, 3));
    for (letter, position) in letters.iter().zip(4_001..) {
        assert_eq!((letter.position, letter.reason), (position, RejectReason::Number));
        assert_eq!(letter.detail, "price times quantity: out of range");
    }
    for (key, bar) in bars(&case.lake()) {
        let (price_e8, quantity_e8) = match &*key.1.symbol {
            "DEAR" => (largest_price_e8, quantity_e8),
            _ => (price_e8, largest_quantity_e8),
        };
        assert_eq!(bar.volume_e8, 2_000 * i128::from(quantity_e8), "{key:?}");
        assert_eq!(bar.quote_volume_e16, 2_000 * i128::from(price_e8) * i128::from(quantity_e8), "{key:?}");
        assert_eq!([bar.open_e8, bar.high_e8, bar.low_e8, bar.close_e8], [price_e8; 4], "{key:?}");
    }
}

/// Price and quantity of a correction may each be fine and their product not: twenty of these would burst 128 bits.
#[test]
fn corrections_beyond_the_limit_are_rejected() {
    let case = Case::new();
    let mut text = String::new();
    for id in 0..20 {
        text.push_str(&trade("BTCUSDT", id, id, "0.00000001", "92233720368.54775807"));
    }
    let correct = |id: usize| {
        format!(
            "{{\"type\":\"trade\",\"op\":\"correct\",\"venue\":\"binance\",\"symbol\":\"BTCUSDT\",\"trade_id\":\"{id}\",\
             \"price\":\"9999999999\"}}\n"
        )
    };
    (0..20).for_each(|id| text.push_str(&correct(id)));
    let (counters, letters) = case.replay("corrected.jsonl", text, &["--intervals", "1s,1d"]);
    assert_eq!((counters.accepted, counters.rejected, counters.amended), (20, 20, 0));
    for (number, letter) in letters.iter().enumerate() {
        assert_eq!((letter.position, letter.reason), (21 + number as u64, RejectReason::Number));
        assert_eq!(letter.detail, "price times quantity: out of range once corrected");
        assert_eq!(letter.raw, correct(number).trim_end().as_bytes().into());
    }
    let bars = bars(&case.lake());
    assert!(bars.values().all(|bar| (bar.trade_count, bar.high_e8, bar.low_e8) == (20, 1, 1)));
}
