//! Binance's books: a REST snapshot and the changes after it, update by update, against the best prices that the venue told beside
//! them at the same update.

use super::{e8, recording, text_of_file};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use std::collections::BTreeMap;
use tidewheel_operators::TickHeader;
use tidewheel_operators::market::{BookState, MarketConfig, MarketLedger};
use tidewheel_schemas::{BookUpdate, Instrument, Level, MarketContent, MarketRecord, Quote, SECOND_NS};

const MINUTE_NS: i64 = 60 * SECOND_NS;

fn levels(value: &Value) -> std::sync::Arc<[Level]> {
    let level = |pair: &Value| Level {
        price_e8: e8(pair[0].as_str().expect("text")),
        quantity_e8: e8(pair[1].as_str().expect("text")),
    };
    value.as_array().expect("levels").iter().map(level).collect()
}

fn update(data: &Value) -> BookUpdate {
    let number = |field: &str| data[field].as_u64();
    if let Some(last_id) = number("lastUpdateId") {
        let (bids, asks) = (levels(&data["bids"]), levels(&data["asks"]));
        return BookUpdate {
            sequence: last_id,
            first_id: last_id,
            last_id,
            previous_id: None,
            is_snapshot: true,
            depth: None,
            bids,
            asks,
        };
    }
    let last_id = number("u").expect("the last update");
    BookUpdate {
        sequence: last_id,
        first_id: number("U").expect("the first update"),
        last_id,
        previous_id: number("pu"),
        is_snapshot: false,
        depth: None,
        bids: levels(&data["b"]),
        asks: levels(&data["a"]),
    }
}

/// Books and best prices of recordings.
fn decoded(paths: &[&str]) -> Option<(Vec<BookUpdate>, BTreeMap<u64, Quote>)> {
    let (mut updates, mut quotes) = (Vec::new(), BTreeMap::new());
    for path in paths {
        let text = text_of_file(&recording(&format!("binance_wire/{path}"))?);
        for line in text.lines() {
            let json = line.split_once(' ').expect("a time and a message").1;
            let message: Value = serde_json::from_str(json).expect("JSON");
            let data = message.get("data").unwrap_or(&message);
            let stream = message["stream"].as_str().unwrap_or_default();
            if stream.contains("@depth") || data.get("lastUpdateId").is_some() {
                updates.push(update(data));
            } else if stream.ends_with("@bookTicker") {
                let side = |price: &str, quantity: &str| Level {
                    price_e8: e8(data[price].as_str().expect("text")),
                    quantity_e8: e8(data[quantity].as_str().expect("text")),
                };
                let update_id = data["u"].as_u64();
                let quote = Quote { update_id, bid: Some(side("b", "B")), ask: Some(side("a", "A")) };
                quotes.insert(update_id.expect("a number"), quote);
            }
        }
    }
    Some((updates, quotes))
}

/// Each update in a minute of its own, so that its leaf shows the book after it; they come in any order.
fn check(paths: &[&str]) {
    let Some((mut updates, quotes)) = decoded(paths) else { return };
    updates.sort_by_key(|update| (update.sequence, update.is_snapshot));
    let record = |(at, update): (u64, &BookUpdate)| MarketRecord {
        instrument: Instrument::new("binance", "BTCUSDT").expect("a name"),
        event_time_ns: at as i64 * MINUTE_NS,
        is_timeless: false,
        partition: 0,
        position: at,
        index: 0,
        receive_time_ns: None,
        content: MarketContent::Book(update.clone()),
    };
    let mut records: Vec<MarketRecord> = (0..).zip(&updates).map(record).collect();
    records.shuffle(&mut ChaCha8Rng::seed_from_u64(1));
    let mut ledger =
        MarketLedger::new(MarketConfig { archive: false, is_saved: false, has_leaves: true, tells: false });
    let mut leaves = BTreeMap::new();
    let mut gaps = Vec::new();
    for (tick, records) in (1..).zip(records.chunks(500)) {
        let header = TickHeader {
            tick,
            frozen_ns: i64::MIN,
            watermark_ns: i64::MAX,
            publish_provisional: false,
            is_last: false,
            save: None,
            is_restore: false,
        };
        let outcome = ledger.apply(&header, records.to_vec());
        leaves.extend(outcome.leaves.into_iter().filter_map(|change| Some((change.open_time_ns, change.leaf?))));
        gaps.extend(outcome.gaps);
    }
    let (mut valid, mut compared) = (0, 0);
    for (at, update) in (0..).zip(&updates) {
        let book = leaves[&(at * MINUTE_NS)].book.expect("a book");
        valid += usize::from(book.close.state == BookState::Valid);
        let Some(quote) = quotes.get(&update.last_id).filter(|_| book.close.state == BookState::Valid) else {
            continue;
        };
        assert_eq!((book.touches.last.bid, book.touches.last.ask), (quote.bid, quote.ask), "update {}", update.last_id);
        compared += 1;
    }
    // In such disorder there were gaps, and all are mended.
    let lost = gaps.iter().filter(|gap| gap.kind == tidewheel_operators::market::GapKind::Lost).count();
    let mended = gaps.len() - lost;
    println!(
        "{paths:?}: {} updates, {valid} with a valid book, {compared} equal to the best prices told, {lost} gaps on the way",
        updates.len()
    );
    let before = updates.iter().take_while(|update| !update.is_snapshot).count();
    assert_eq!(valid, updates.len() - before, "every book from the snapshot on is whole");
    assert!(compared > 100 && lost == mended);
}

#[test]
fn spot_books_are_what_the_venue_says_they_are() {
    check(&["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"]);
}

#[test]
fn futures_books_are_what_the_venue_says_they_are() {
    check(&["usdm_btcusdt_20240808.gz"]);
}
