//! A crash in a generated market: only prices of its symbol are others, and they come back.

use super::*;

fn events(crashes: Vec<Crash>) -> Vec<Event> {
    let config = MarketConfig { trades: 150_000, symbols: 4, faults: Faults::SOME, crashes, ..MarketConfig::default() };
    Market::new(config).expect("a sound market").collect()
}

#[test]
fn a_crash_moves_the_prices_of_its_symbol_and_nothing_else() {
    let crash = Crash { symbol: "ETHUSDT".to_owned(), after_ns: 30 * SECOND_NS, fall_ppm: 50_000 };
    let (calm, crashed) = (events(Vec::new()), events(vec![crash.clone()]));
    assert_eq!(calm.len(), crashed.len());
    let start_ns = MarketConfig::default().start_time_ns + crash.after_ns;
    let (mut low, mut others, mut after) = (0, 0, 0);
    for (calm, crashed) in calm.iter().zip(&crashed) {
        let trade = Trade { price_e8: calm.trade.price_e8, ..crashed.trade };
        assert_eq!(*calm, Event { trade, ..*crashed }, "all but the price is the same");
        let fall_ppm = 1_000_000 - crashed.trade.price_e8 * 1_000_000 / calm.trade.price_e8;
        let since_ns = crashed.trade.event_time_ns - start_ns;
        if crashed.cause == Cause::Late {
            // Dated back, at a price of now.
        } else if crashed.instrument != 1 || since_ns < 0 {
            assert_eq!(fall_ppm, 0);
            others += 1;
        } else if crashed.cause == Cause::Fresh && (4 * SECOND_NS..7 * SECOND_NS).contains(&since_ns) {
            // Of a price that went on walking.
            assert!((45_000..55_000).contains(&fall_ppm), "{fall_ppm} after {since_ns} ns");
            low += 1;
        } else if crashed.cause == Cause::Fresh && since_ns > 67 * SECOND_NS {
            assert!(fall_ppm.abs() < 500, "{fall_ppm} after {since_ns} ns");
            after += 1;
        }
    }
    assert!(low > 100 && others > 100_000 && after > 1_000, "{low} {others} {after}");
}

#[test]
fn a_crash_that_cannot_be_is_refused() {
    let refused = |symbol: &str, after_ns: i64, fall_ppm: u32| {
        let crashes = vec![Crash { symbol: symbol.to_owned(), after_ns, fall_ppm }];
        Market::new(MarketConfig { crashes, ..config(1) }).err().expect("refused")
    };
    assert!(refused("NOBODY", 0, 1).contains("nothing named \"NOBODY\" is traded"));
    assert!(refused("BTCUSDT", 0, 0).contains("at most half"));
    assert!(refused("BTCUSDT", 0, 500_001).contains("at most half"));
    assert!(refused("BTCUSDT", -1, 1).contains("before the market opens"));
}
