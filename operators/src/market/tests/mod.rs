//! Markets: by hand, against a slow oracle on random ones, over workers and restarts, and on a real capture.

mod marks_told;
mod oracle;
mod random;
mod repairs;
mod told;
mod worked;

use crate::TickHeader;
use std::sync::Arc;
use tidewheel_schemas::{BookUpdate, Instrument, Level, MarketContent, MarketRecord, SECOND_NS};

const MINUTE_NS: i64 = 60 * SECOND_NS;

fn header(tick: u64, frozen_ns: i64, watermark_ns: i64) -> TickHeader {
    TickHeader {
        tick,
        frozen_ns,
        watermark_ns,
        publish_provisional: false,
        is_last: false,
        save: None,
        is_restore: false,
    }
}

fn record(event_time_ns: i64, position: u64, content: MarketContent) -> MarketRecord {
    MarketRecord {
        instrument: Instrument::new("binance", "BTCUSDT").expect("a name"),
        event_time_ns,
        is_timeless: false,
        partition: 0,
        position,
        index: 0,
        receive_time_ns: None,
        content,
    }
}

/// A price and quantity in units.
fn level(price: f64, quantity: f64) -> Level {
    let e8 = |number: f64| (number * 1e8).round() as i64;
    Level { price_e8: e8(price), quantity_e8: e8(quantity) }
}

/// `100x5 99x2`: levels.
fn levels(text: &str) -> Arc<[Level]> {
    let number = |text: &str| text.parse::<f64>().expect("a number");
    let levels = text.split_whitespace().map(|text| {
        let (price, quantity) = text.split_once('x').expect("PRICExQUANTITY");
        level(number(price), number(quantity))
    });
    levels.collect()
}

/// A snapshot after an update.
fn snapshot(last_id: u64, bids: &str, asks: &str) -> BookUpdate {
    BookUpdate {
        sequence: last_id,
        first_id: last_id,
        last_id,
        previous_id: None,
        is_snapshot: true,
        depth: None,
        bids: levels(bids),
        asks: levels(asks),
    }
}

/// A change of updates from the first to the last.
fn change(first_id: u64, last_id: u64, previous_id: Option<u64>, bids: &str, asks: &str) -> BookUpdate {
    BookUpdate {
        sequence: last_id,
        first_id,
        last_id,
        previous_id,
        is_snapshot: false,
        depth: None,
        bids: levels(bids),
        asks: levels(asks),
    }
}
