//! Bybit's v5 streams beside the trades: `orderbook`, `tickers`, `allLiquidation` and the older `liquidation`.
//!
//! A book is ordered by `seq`, which goes on where `u` begins again at 1: that is a snapshot too, after a restart of the venue's
//! service. A book has as many levels as its topic names, and its deltas keep it so. Books of several depths of one symbol are
//! several books: subscribe to one of them. A ticker's delta holds what has
//! changed, so that its mark leaves the rest out; a quote is only made where both sides are there. Liquidations name the side
//! of the position that was closed; the order that closed it has the other. Fields:
//! <https://bybit-exchange.github.io/docs/v5/websocket/public/orderbook>, `.../ticker`, `.../all-liquidation`.

use super::NAME;
use crate::decode::fault::Fault;
use crate::decode::json::{Kind, Object};
use crate::decode::output::{DecodedRecord, Output};
use crate::decode::time::MS;
use crate::decode::{Recognised, field, market};
use std::collections::BTreeMap;
use tidewheel_schemas::{BookUpdate, DecimalError, Liquidation, Mark, MarketContent, Quote, is_notional_in_range};

/// Decodes a message of a topic; says no to topics of other kinds.
pub(super) fn decode<'a>(
    topic: &[u8],
    object: &Object<'a>,
    inner: &mut Object<'a>,
    out: &mut Output<'_>,
) -> Result<Recognised, Fault> {
    match topic.split(|&byte| byte == b'.').next().unwrap_or_default() {
        b"orderbook" => book(topic, object, inner, out)?,
        b"tickers" => ticker(object, inner, out)?,
        b"allLiquidation" | b"liquidation" => liquidations(object, inner, out)?,
        _ => return Ok(Recognised::No),
    }
    Ok(Recognised::Yes)
}

/// Whether a message is a snapshot and not a delta.
fn is_snapshot(object: &Object<'_>) -> Result<bool, Fault> {
    match &*field::text(field::required(object, "type", "type")?, "type")? {
        b"snapshot" => Ok(true),
        b"delta" => Ok(false),
        _ => Err(Fault::Value("type", "neither snapshot nor delta")),
    }
}

fn book<'a>(topic: &[u8], object: &Object<'a>, data: &mut Object<'a>, out: &mut Output<'_>) -> Result<(), Fault> {
    field::read_object(data, field::required(object, "data", "data")?)?;
    let last_id = market::update_id(data, "u", "last_id")?;
    let is_snapshot = is_snapshot(object)? || last_id == 1;
    let update = BookUpdate {
        sequence: market::optional_update_id(data, "seq", "sequence")?.unwrap_or(last_id),
        first_id: last_id,
        last_id,
        previous_id: None,
        is_snapshot,
        depth: topic.split(|&byte| byte == b'.').nth(1).and_then(market::depth),
        bids: market::levels(data, "b", "bids", is_snapshot)?,
        asks: market::levels(data, "a", "asks", is_snapshot)?,
    };
    // `cts` is the time of the matching engine, as that of the trades; `ts` that of the message.
    let event_time_ns = match market::time_ns(object, "cts", "event_time", MS)? {
        None => field::time_ns(field::required(object, "ts", "event_time")?, "event_time", MS)?,
        Some(time) => time,
    };
    emit(data, "s", event_time_ns, MarketContent::Book(update), out)
}

fn ticker<'a>(object: &Object<'a>, data: &mut Object<'a>, out: &mut Output<'_>) -> Result<(), Fault> {
    field::read_object(data, field::required(object, "data", "data")?)?;
    let event_time_ns = field::time_ns(field::required(object, "ts", "event_time")?, "event_time", MS)?;
    let mark = Mark {
        mark_price_e8: market::price_e8(data, "markPrice", "mark_price")?,
        index_price_e8: market::price_e8(data, "indexPrice", "index_price")?,
        funding_rate_e8: market::rate_e8(data, "fundingRate")?,
        next_funding_time_ns: market::time_ns(data, "nextFundingTime", "next_funding_time", MS)?,
    };
    let quote = if data.has_all(&[b"bid1Price", b"bid1Size", b"ask1Price", b"ask1Size"]) {
        Some(Quote {
            update_id: market::optional_update_id(object, "cs", "update_id")?,
            bid: market::touch(data, "bid1Price", "bid1Size")?,
            ask: market::touch(data, "ask1Price", "ask1Size")?,
        })
    } else {
        None
    };
    if mark != Mark::default() {
        emit(data, "symbol", event_time_ns, MarketContent::Mark(mark), out)?;
    }
    if let Some(quote) = quote {
        emit(data, "symbol", event_time_ns, MarketContent::Quote(quote), out)?;
    }
    out.ignore(NAME, b"tickers");
    Ok(())
}

fn liquidations<'a>(object: &Object<'a>, data: &mut Object<'a>, out: &mut Output<'_>) -> Result<(), Fault> {
    let value = field::required(object, "data", "data")?;
    if value.kind() == Kind::Object {
        field::read_object(data, value)?;
        return liquidation(data, &mut Told::default(), out);
    }
    let mut told = Told::default();
    for (number, element) in (1..).zip(field::elements(value, "data")?) {
        if let Err(fault) = field::read_object(data, element).and_then(|()| liquidation(data, &mut told, out)) {
            out.reject_record(number, &fault);
        }
    }
    out.ignore(NAME, b"without_liquidations");
    Ok(())
}

/// How often the message at hand told the same: symbol, time, side, price, quantity.
type Told = BTreeMap<(Box<[u8]>, i64, Option<&'static str>, i64, i64), u16>;

fn liquidation(data: &Object<'_>, told: &mut Told, out: &mut Output<'_>) -> Result<(), Fault> {
    let is_old = data.has(b"updatedTime");
    let key = |new: &'static str, old: &'static str| if is_old { old } else { new };
    let time = field::required(data, key("T", "updatedTime"), "event_time")?;
    let position = field::text(field::required(data, key("S", "side"), "side")?, "side")?;
    let price_e8 = field::price_e8(field::required(data, key("p", "price"), "price")?)?;
    let quantity_e8 = field::quantity_e8(field::required(data, key("v", "size"), "quantity")?)?;
    if !is_notional_in_range(price_e8, quantity_e8) {
        return Err(Fault::Decimal("price times quantity", DecimalError::OutOfRange));
    }
    let side = field::opposite(field::side(&position)?);
    let event_time_ns = field::time_ns(time, "event_time", MS)?;
    let symbol = field::text(field::required(data, key("s", "symbol"), "symbol")?, "symbol")?;
    let times = told.entry((Box::from(&*symbol), event_time_ns, side.name(), price_e8, quantity_e8)).or_default();
    let occurrence = *times;
    *times = times.saturating_add(1);
    let content = MarketContent::Liquidation(Liquidation { side, price_e8, quantity_e8, occurrence });
    emit(data, key("s", "symbol"), event_time_ns, content, out)
}

fn emit(
    data: &Object<'_>,
    symbol: &'static str,
    event_time_ns: i64,
    content: MarketContent,
    out: &mut Output<'_>,
) -> Result<(), Fault> {
    let symbol = field::text(field::required(data, symbol, "symbol")?, "symbol")?;
    let venue = out.venue_or(NAME);
    let event_time_ns = Some(event_time_ns);
    out.market(venue, &symbol, DecodedRecord { event_time_ns, is_timeless: false, receive_time_ns: None, content })
}
