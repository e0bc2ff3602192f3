//! Tidewheel's own JSON for what is no trade: quotes, books, marks, funding and liquidations.
//!
//! ```json
//! {"type":"quote","venue":"binance","symbol":"BTCUSDT","event_time":1723161255342000000,"update_id":50093239212,
//!  "bid_price":"61837.63","bid_quantity":"3.78826","ask_price":"61837.64","ask_quantity":"1.54698"}
//! {"type":"book","op":"snapshot","venue":"binance","symbol":"BTCUSDT","event_time":1723161255342000000,"last_id":7,
//!  "bids":[["61837.63","3.78826"]],"asks":[["61837.64","1.54698"]]}
//! {"type":"book","op":"change","venue":"binance","symbol":"BTCUSDT","event_time":1723161255442000000,"first_id":8,
//!  "last_id":9,"previous_id":7,"bids":[["61837.63","0"]],"asks":[]}
//! {"type":"mark","venue":"binance","symbol":"BTCUSDT","event_time":1723161255000000000,"mark_price":"61800.1",
//!  "index_price":"61801.2","funding_rate":"0.0001","next_funding_time":1723190400000000000}
//! {"type":"funding","venue":"binance","symbol":"BTCUSDT","event_time":1723161600000000000,"funding_rate":"0.0001"}
//! {"type":"liquidation","venue":"binance","symbol":"BTCUSDT","event_time":1723161255342000000,"side":"sell",
//!  "price":"61700.5","quantity":"0.25"}
//! ```
//!
//! Without `event_time` the receive time counts: the record's own `receive_time`, or the source's. `timeless` says that an
//! `event_time` is such a time. `sequence` orders a book's updates and is `last_id` where absent, `first_id` likewise. `depth` is
//! how many levels a side a snapshot goes, where it is not the whole book; of a change, how many the venue keeps known by changes.
//! `occurrence` tells equal liquidations of one message apart, from 0. What a mark leaves out stays as it was.

use super::{named, receive_time_ns, time_ns};
use crate::decode::fault::Fault;
use crate::decode::json::Object;
use crate::decode::output::{DecodedRecord, Output};
use crate::decode::{Recognised, field, market};
use tidewheel_schemas::{
    AggressorSide, BookUpdate, DecimalError, Funding, Liquidation, Mark, MarketContent, Quote, is_notional_in_range,
};

/// Decodes an object of a type; says no to other types.
pub(super) fn decode(kind: &[u8], object: &Object<'_>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    let content = match kind {
        b"quote" => MarketContent::Quote(Quote {
            update_id: market::optional_update_id(object, "update_id", "update_id")?,
            bid: market::touch(object, "bid_price", "bid_quantity")?,
            ask: market::touch(object, "ask_price", "ask_quantity")?,
        }),
        b"book" => MarketContent::Book(book(object)?),
        b"mark" => MarketContent::Mark(mark(object)?),
        b"funding" => {
            let rate = market::rate_e8(object, "funding_rate")?;
            MarketContent::Funding(Funding {
                rate_e8: rate.ok_or(Fault::Missing("funding_rate", "funding_rate"))?,
                mark_price_e8: market::price_e8(object, "mark_price", "mark_price")?,
            })
        }
        b"liquidation" => MarketContent::Liquidation(liquidation(object)?),
        _ => return Ok(Recognised::No),
    };
    let found = DecodedRecord {
        event_time_ns: time_ns(object, "event_time")?,
        is_timeless: match field::optional(object, "timeless", "timeless")? {
            Some(timeless) => field::boolean(timeless, "timeless")?,
            None => false,
        },
        receive_time_ns: receive_time_ns(object)?,
        content,
    };
    let venue = named(object, "venue", out.config.venue.as_deref())?;
    let symbol = named(object, "symbol", out.config.symbol.as_deref())?;
    out.market(&venue, &symbol, found)?;
    Ok(Recognised::Yes)
}

fn book(object: &Object<'_>) -> Result<BookUpdate, Fault> {
    let is_snapshot = match &*field::text(field::required(object, "op", "op")?, "op")? {
        b"snapshot" => true,
        b"change" => false,
        _ => return Err(Fault::Value("op", "neither snapshot nor change")),
    };
    let last_id = market::update_id(object, "last_id", "last_id")?;
    let first_id = market::optional_update_id(object, "first_id", "first_id")?.unwrap_or(last_id);
    market::check_range(first_id, last_id)?;
    Ok(BookUpdate {
        sequence: market::optional_update_id(object, "sequence", "sequence")?.unwrap_or(last_id),
        first_id,
        last_id,
        previous_id: market::optional_update_id(object, "previous_id", "previous_id")?,
        is_snapshot,
        depth: small(object, "depth", 1)?,
        bids: market::levels(object, "bids", "bids", is_snapshot)?,
        asks: market::levels(object, "asks", "asks", is_snapshot)?,
    })
}

fn mark(object: &Object<'_>) -> Result<Mark, Fault> {
    let mark = Mark {
        mark_price_e8: market::price_e8(object, "mark_price", "mark_price")?,
        index_price_e8: market::price_e8(object, "index_price", "index_price")?,
        funding_rate_e8: market::rate_e8(object, "funding_rate")?,
        next_funding_time_ns: time_ns(object, "next_funding_time")?,
    };
    if mark == Mark::default() {
        return Err(Fault::Value("type", "a mark that says nothing"));
    }
    Ok(mark)
}

fn liquidation(object: &Object<'_>) -> Result<Liquidation, Fault> {
    let side = match field::optional(object, "side", "side")? {
        Some(side) => field::side(&field::text(side, "side")?)?,
        None => AggressorSide::Unknown,
    };
    let price_e8 = field::price_e8(field::required(object, "price", "price")?)?;
    let quantity_e8 = field::quantity_e8(field::required(object, "quantity", "quantity")?)?;
    if !is_notional_in_range(price_e8, quantity_e8) {
        return Err(Fault::Decimal("price times quantity", DecimalError::OutOfRange));
    }
    let occurrence = small(object, "occurrence", 0)?.unwrap_or_default();
    Ok(Liquidation { side, price_e8, quantity_e8, occurrence })
}

/// A number that fits the bits it is kept in, where it is there.
fn small<T: TryFrom<u64>>(object: &Object<'_>, key: &'static str, least: u64) -> Result<Option<T>, Fault> {
    let Some(number) = market::optional_update_id(object, key, key)? else { return Ok(None) };
    let small = T::try_from(number).ok().filter(|_| number >= least);
    small.map(Some).ok_or(Fault::Value(key, "out of range"))
}
