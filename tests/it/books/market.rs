//! Random records of markets beside trades: books with lost changes and snapshots, quotes, partial marks, funding, liquidations.

use crate::market::Arrival;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tidewheel_schemas::{
    AggressorSide, BookUpdate, Funding, Instrument, Level, Liquidation, Mark, MarketContent, MarketRecord, Quote,
    SECOND_NS,
};

/// Their partition: none of those that trades come from.
pub const PARTITION: u32 = 77;

/// Records beside the trades that arrive, with the times at which they do, in that order. About two a trade; a fifth come late,
/// by less than `delay_ns`, and each mark and funding has a time of its own.
pub fn beside(seed: u64, arrivals: &[Arrival], delay_ns: i64) -> Vec<(i64, MarketRecord)> {
    let random = &mut ChaCha8Rng::seed_from_u64(seed ^ 0xb00c);
    let mut last_ids: BTreeMap<&Instrument, u64> = BTreeMap::new();
    let mut records = Vec::new();
    for (number, arrival) in (0i64..).zip(arrivals) {
        for second in 0..2 {
            let instrument = &arrival.instrument;
            let last_id = last_ids.entry(instrument).or_insert(1_000);
            // No two records have one time.
            let event_time_ns = arrival.time_ns / SECOND_NS * SECOND_NS + (2 * number + second) % 500_000 * 1_000;
            let Some(content) = content(random, last_id, event_time_ns) else { continue };
            let delay_ns = if random.random_bool(0.2) { random.random_range(0..delay_ns) } else { 0 };
            let record = MarketRecord {
                instrument: instrument.clone(),
                event_time_ns,
                is_timeless: false,
                partition: PARTITION,
                position: records.len() as u64,
                index: 0,
                receive_time_ns: None,
                content,
            };
            records.push((arrival.time_ns + delay_ns, record));
        }
    }
    records.sort_by_key(|(time_ns, record)| (*time_ns, record.position));
    // A position is where a record lies, and it is read in that order.
    (0..).zip(&mut records).for_each(|(position, (_, record))| record.position = position);
    records
}

/// None for a change that is lost.
fn content(random: &mut ChaCha8Rng, last_id: &mut u64, event_time_ns: i64) -> Option<MarketContent> {
    Some(match random.random_range(0..100) {
        0..45 => {
            let first_id = *last_id + 1;
            *last_id += random.random_range(1..4);
            if random.random_bool(0.02) {
                return None;
            }
            MarketContent::Book(book(random, first_id, *last_id, false))
        }
        // Two snapshots of one number could contradict each other.
        45..52 => {
            *last_id += 1;
            MarketContent::Book(book(random, *last_id, *last_id, true))
        }
        52..75 => MarketContent::Quote(Quote {
            update_id: random.random_bool(0.5).then_some(*last_id),
            bid: random.random_bool(0.97).then(|| level(random, -1, false)),
            ask: random.random_bool(0.97).then(|| level(random, 1, false)),
        }),
        75..90 => {
            let mut some = |number: i64| random.random_bool(0.6).then_some(number);
            MarketContent::Mark(Mark {
                mark_price_e8: some(100_100_000_000 + event_time_ns / 1_000 % 1_000_003),
                index_price_e8: some(100_000_000_000),
                funding_rate_e8: some(event_time_ns / 1_000 % 1_009 - 500),
                next_funding_time_ns: some(event_time_ns + 4_000 * SECOND_NS),
            })
        }
        90..92 => MarketContent::Funding(Funding { rate_e8: event_time_ns / 1_000 % 997, mark_price_e8: None }),
        _ => MarketContent::Liquidation(Liquidation {
            side: if random.random_bool(0.5) { AggressorSide::Buy } else { AggressorSide::Sell },
            price_e8: 100_000_000_000,
            quantity_e8: random.random_range(1..1_000_000_000),
            occurrence: 0,
        }),
    })
}

fn book(random: &mut ChaCha8Rng, first_id: u64, last_id: u64, is_snapshot: bool) -> BookUpdate {
    let levels = if is_snapshot { 12 } else { random.random_range(0..4) };
    let mut side = |towards: i64| (0..levels).map(|_| level(random, towards, !is_snapshot)).collect();
    let (bids, asks) = (side(-1), side(1));
    BookUpdate { sequence: last_id, first_id, last_id, previous_id: None, is_snapshot, depth: None, bids, asks }
}

fn level(random: &mut ChaCha8Rng, towards: i64, may_go: bool) -> Level {
    let price_e8 = 100_000_000_000 + towards * random.random_range(1..30) * 10_000_000;
    let is_gone = may_go && random.random_bool(0.3);
    Level { price_e8, quantity_e8: if is_gone { 0 } else { random.random_range(1..500_000_000) } }
}
