//! How fast records of markets are taken in: quotes, changes of books, and a mix of all, of 100 instruments.
//!
//! ```sh
//! cargo run --release -p tidewheel-operators --example market_speed
//! ```
//!
//! Estimate: a quote is sorted with its tick (50 ns), finds its instrument (40 ns) and minute (20 ns), is put into its place there and
//! its number among those of the instrument (maps, 150 ns), and folded once when its minute has ended (20 ns): with the copies some
//! 400 ns, 2.5 M/s. A change of ten levels in a book of 2,000 finds each (40 ns) and moves what is nearer to the best (20 ns): 0.6 us,
//! notes its number by second (100 ns), and with the rest 1 us, 1 M/s.
//!
//! Measured on a cloud machine of two cores with a load of 8 (records a processor second, a horizon of ten minutes): quotes 1.30 M;
//! changes of ten levels 0.51 M; 75 % quotes and 20 % changes 0.75 M, with one in 1,000 half a minute late 0.72 M. While quotes lay in
//! a sorted list and their numbers were not looked up, which is quadratic where they come newest first, they took 2.57 M, and the
//! mix 1.45 M. The slowest ticks, 15 to 54 ms, are those at which a minute is frozen.
#![allow(clippy::disallowed_types, reason = "a bench reads the clock")]

use std::time::Instant;
use tidewheel_operators::TickHeader;
use tidewheel_operators::market::{MarketConfig, MarketLedger};
use tidewheel_schemas::{
    AggressorSide, BookUpdate, Instrument, Level, Liquidation, Mark, MarketContent, MarketRecord, Quote, SECOND_NS,
};

/// 2026-01-05 00:00 UTC.
const BEGIN_NS: i64 = 1_767_571_200 * SECOND_NS;
const INSTRUMENTS: usize = 100;
const TICKS: usize = 3_000;
const RECORDS_PER_TICK: usize = 1_000;

fn main() {
    for (name, share_of_quotes, share_of_books, late) in [
        ("quotes", 100, 0, 0),
        ("changes of ten levels", 0, 100, 0),
        ("75 % quotes, 20 % changes, 5 % marks and liquidations", 75, 20, 0),
        ("the same, one in 1,000 half a minute late", 75, 20, 1_000),
    ] {
        run(name, share_of_quotes, share_of_books, late);
    }
}

/// Nanoseconds that this thread was on a processor; 0 where the system does not tell.
fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split_whitespace().next().and_then(|first| first.parse().ok()).unwrap_or(0)
}

/// Deterministic noise below a bound.
fn noise(seed: u64, below: u64) -> u64 {
    let mut mixed = seed;
    for _ in 0..2 {
        mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    }
    (mixed >> 20) % below
}

fn level(seed: u64, is_bid: bool, depth: u64) -> Level {
    // Most changes are near the best.
    let distance = 1 + noise(seed, depth) * noise(seed ^ 5, depth) / depth;
    let price = if is_bid { 1_000_000 - distance } else { 1_000_000 + distance };
    let quantity = if noise(seed ^ 9, 10) < 3 { 0 } else { 1 + noise(seed ^ 7, 1_000_000) };
    Level { price_e8: price as i64 * 100_000, quantity_e8: quantity as i64 }
}

fn run(name: &str, share_of_quotes: u64, share_of_books: u64, late: u64) {
    let instruments: Vec<Instrument> =
        (0..INSTRUMENTS).map(|number| Instrument::new("binance", &format!("S{number}USDT")).expect("a name")).collect();
    let mut ledger = MarketLedger::new(MarketConfig { archive: true, is_saved: true, has_leaves: true, tells: false });
    let mut last_ids = vec![1u64; INSTRUMENTS];
    let record = |at: usize, event_time_ns: i64, position: u64, content: MarketContent| MarketRecord {
        instrument: instruments[at].clone(),
        event_time_ns,
        is_timeless: false,
        partition: 0,
        position,
        index: 0,
        receive_time_ns: None,
        content,
    };
    let whole = |is_bid: bool| -> Vec<Level> {
        let price = |distance: i64| if is_bid { 1_000_000 - distance } else { 1_000_000 + distance };
        (1..=1_000).map(|distance| Level { price_e8: price(distance) * 100_000, quantity_e8: 500_000 }).collect()
    };
    let (bids, asks) = (whole(true), whole(false));
    let snapshots = (0..INSTRUMENTS).map(|at| {
        let (bids, asks) = (bids.clone().into(), asks.clone().into());
        let update = BookUpdate {
            sequence: 1,
            first_id: 1,
            last_id: 1,
            previous_id: None,
            is_snapshot: true,
            depth: None,
            bids,
            asks,
        };
        record(at, BEGIN_NS, at as u64, MarketContent::Book(update))
    });
    let header = |tick: usize| {
        let watermark_ns = BEGIN_NS + tick as i64 * SECOND_NS;
        TickHeader {
            tick: tick as u64 + 1,
            // A horizon of ten minutes.
            frozen_ns: watermark_ns - 600 * SECOND_NS,
            watermark_ns,
            publish_provisional: false,
            is_last: false,
            save: None,
            is_restore: false,
        }
    };
    ledger.apply(&header(0), snapshots.collect());
    let (mut processor, mut leaves, mut slowest) = (0, 0, 0);
    let begun = Instant::now();
    for tick in 1..=TICKS {
        let records: Vec<MarketRecord> = (0..RECORDS_PER_TICK)
            .map(|number| {
                let position = (tick * RECORDS_PER_TICK + number) as u64;
                let at = noise(position ^ 1, INSTRUMENTS as u64) as usize;
                let mut event_time_ns = BEGIN_NS + tick as i64 * SECOND_NS + number as i64 * 1_000;
                if late > 0 && noise(position ^ 3, late) == 0 {
                    event_time_ns -= 30 * SECOND_NS;
                }
                let kind = noise(position ^ 2, 100);
                let content = if kind < share_of_quotes {
                    let (bid, ask) = (Some(level(position, true, 3)), Some(level(position, false, 3)));
                    MarketContent::Quote(Quote { update_id: Some(position), bid, ask })
                } else if kind < share_of_quotes + share_of_books {
                    last_ids[at] += 1;
                    let last_id = last_ids[at];
                    let side = |is_bid: bool| -> std::sync::Arc<[Level]> {
                        (0..5).map(|number| level(position * 16 + number, is_bid, 1_000)).collect()
                    };
                    let (bids, asks) = (side(true), side(false));
                    let (sequence, first_id) = (last_id, last_id);
                    let (previous_id, is_snapshot) = (None, false);
                    MarketContent::Book(BookUpdate {
                        sequence,
                        first_id,
                        last_id,
                        previous_id,
                        is_snapshot,
                        depth: None,
                        bids,
                        asks,
                    })
                } else if kind.is_multiple_of(2) {
                    MarketContent::Mark(Mark { mark_price_e8: Some(kind as i64 + 1), ..Mark::default() })
                } else {
                    let (side, price_e8) = (AggressorSide::Buy, 100_000_000);
                    MarketContent::Liquidation(Liquidation { side, price_e8, quantity_e8: 5, occurrence: 0 })
                };
                record(at, event_time_ns, position, content)
            })
            .collect();
        let before = processor_ns();
        let outcome = ledger.apply(&header(tick), records);
        let took = processor_ns() - before;
        processor += took;
        slowest = slowest.max(took);
        leaves += outcome.leaves.len();
        assert!(outcome.gaps.is_empty(), "no change is missing");
    }
    let records = TICKS * RECORDS_PER_TICK;
    println!(
        "{name}: {:.2} M records a processor second ({:.1} s by the clock, making them included), {leaves} leaves, slowest tick {:.1} \
         ms of processor, {:?}",
        records as f64 / (processor as f64 / 1e9) / 1e6,
        begun.elapsed().as_secs_f64(),
        slowest as f64 / 1e6,
        ledger.sizes()
    );
}
