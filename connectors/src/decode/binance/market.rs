//! Binance's streams beside the trades: `bookTicker`, `depthUpdate`, partial depth, `markPriceUpdate` and `forceOrder`, and
//! the REST answers with a depth snapshot or funding rates.
//!
//! | message | becomes | its time |
//! | --- | --- | --- |
//! | `bookTicker` | a quote; `u` orders quotes of one time | `T`, else `E`; spot has neither: the receive time |
//! | `depthUpdate` | a change of the book from `U` to `u`; futures say in `pu` what it follows | `T`, else `E` |
//! | partial depth (`@depth5`, `@depth10`, `@depth20`) | a snapshot of so many levels | `T`, `E`, else the receive time |
//! | REST depth | a snapshot; of as many levels as its question asks for, where a capture has it, else taken as the whole book | the same |
//! | `markPriceUpdate`, alone or in `!markPrice@arr` | a mark; futures without funding send `r` empty | `E` |
//! | `forceOrder` | a liquidation of what was filled (`z` at `ap`), else of the order (`q` at `p`) | `T` of the order |
//! | REST `fundingRate` rows | a settled funding rate | `fundingTime` |
//!
//! An answer of depth names no symbol, and neither does spot's partial depth: it is that of the stream, of the question in a
//! capture, or as configured. Partial depth of the futures looks like a change where no envelope tells its stream, so that it
//! must be sent with its envelope. Fields: <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>,
//! <https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-market-streams>.

use super::NAME;
use crate::decode::fault::Fault;
use crate::decode::json::{Kind, Object, Value};
use crate::decode::output::{DecodedRecord, Output};
use crate::decode::time::MS_OR_US;
use crate::decode::{Recognised, field, market};
use std::borrow::Cow;
use tidewheel_schemas::{
    BookUpdate, DecimalError, Funding, Liquidation, Mark, MarketContent, Quote, is_notional_in_range,
};

/// Decodes a message that names its event; says no to events of other kinds.
pub(super) fn event(
    kind: &[u8],
    object: &Object<'_>,
    stream: Option<&[u8]>,
    out: &mut Output<'_>,
) -> Result<Recognised, Fault> {
    match kind {
        b"bookTicker" => quote(object, out)?,
        b"depthUpdate" if stream.and_then(partial_depth).is_some() => {
            let last_id = market::update_id(object, "u", "last_id")?;
            snapshot(object, ("b", "a"), last_id, stream, out)?;
        }
        b"depthUpdate" => change(object, stream, out)?,
        b"markPriceUpdate" => mark(object, out)?,
        b"forceOrder" => liquidation(object, out)?,
        _ => return Ok(Recognised::No),
    }
    Ok(Recognised::Yes)
}

/// Decodes a message that names no event; says no to those of other shapes.
pub(super) fn eventless(object: &Object<'_>, stream: Option<&[u8]>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    if object.has_all(&[b"u", b"s", b"b", b"B", b"a", b"A"]) {
        quote(object, out)?;
    } else if object.has_all(&[b"lastUpdateId", b"bids", b"asks"]) {
        let last_id = market::update_id(object, "lastUpdateId", "last_id")?;
        snapshot(object, ("bids", "asks"), last_id, stream, out)?;
    } else if object.has_all(&[b"symbol", b"fundingTime", b"fundingRate"]) {
        funding(object, out)?;
    } else {
        return Ok(Recognised::No);
    }
    Ok(Recognised::Yes)
}

/// Decodes the array of a combined stream, if it is one of marks.
pub(super) fn array(stream: &[u8], list: Value<'_>, out: &mut Output<'_>) -> Recognised {
    if !stream.starts_with(b"!markPrice") {
        return Recognised::No;
    }
    let mut object = Object::default();
    for (number, element) in (1..).zip(list.elements()) {
        let decoded = match element.kind() {
            Kind::Object => field::read_object(&mut object, element).and_then(|()| mark(&object, out)),
            _ => Err(Fault::Value("message", "an element is not an object")),
        };
        if let Err(fault) = decoded {
            out.reject_record(number, &fault);
        }
    }
    Recognised::Yes
}

/// The levels of `btcusdt@depth5`, `btcusdt@depth20@100ms`; but `btcusdt@depth` and `btcusdt@depth@100ms` are changes.
fn partial_depth(stream: &[u8]) -> Option<u32> {
    let kind = stream.split(|&byte| byte == b'@').nth(1).unwrap_or_default();
    kind.strip_prefix(b"depth").and_then(market::depth)
}

fn quote(object: &Object<'_>, out: &mut Output<'_>) -> Result<(), Fault> {
    let quote = Quote {
        update_id: market::optional_update_id(object, "u", "update_id")?,
        bid: market::touch(object, "b", "B")?,
        ask: market::touch(object, "a", "A")?,
    };
    emit(object, None, transaction_time_ns(object)?, MarketContent::Quote(quote), out)
}

fn change(object: &Object<'_>, stream: Option<&[u8]>, out: &mut Output<'_>) -> Result<(), Fault> {
    let (first_id, last_id) = (market::update_id(object, "U", "first_id")?, market::update_id(object, "u", "last_id")?);
    market::check_range(first_id, last_id)?;
    let update = BookUpdate {
        sequence: last_id,
        first_id,
        last_id,
        previous_id: market::optional_update_id(object, "pu", "previous_id")?,
        is_snapshot: false,
        depth: None,
        bids: market::levels(object, "b", "bids", false)?,
        asks: market::levels(object, "a", "asks", false)?,
    };
    emit(object, stream, transaction_time_ns(object)?, MarketContent::Book(update), out)
}

fn snapshot(
    object: &Object<'_>,
    (bids, asks): (&'static str, &'static str),
    last_id: u64,
    stream: Option<&[u8]>,
    out: &mut Output<'_>,
) -> Result<(), Fault> {
    let update = BookUpdate {
        sequence: last_id,
        first_id: last_id,
        last_id,
        previous_id: None,
        is_snapshot: true,
        depth: stream.and_then(partial_depth).or(out.depth_asked()),
        bids: market::levels(object, bids, "bids", true)?,
        asks: market::levels(object, asks, "asks", true)?,
    };
    emit(object, stream, transaction_time_ns(object)?, MarketContent::Book(update), out)
}

fn mark(object: &Object<'_>, out: &mut Output<'_>) -> Result<(), Fault> {
    if !object.is(b"e", b"markPriceUpdate") {
        return Err(Fault::Value("message", "not a markPriceUpdate"));
    }
    let mark = Mark {
        mark_price_e8: Some(field::price_e8(field::required(object, "p", "mark_price")?)?),
        index_price_e8: market::price_e8(object, "i", "index_price")?,
        funding_rate_e8: market::rate_e8(object, "r")?,
        next_funding_time_ns: market::time_ns(object, "T", "next_funding_time", MS_OR_US)?,
    };
    let event_time_ns = field::time_ns(field::required(object, "E", "event_time")?, "event_time", MS_OR_US)?;
    emit(object, None, Some(event_time_ns), MarketContent::Mark(mark), out)
}

fn funding(object: &Object<'_>, out: &mut Output<'_>) -> Result<(), Fault> {
    let rate_e8 = market::rate_e8(object, "fundingRate")?.ok_or(Fault::Missing("funding_rate", "fundingRate"))?;
    let event_time_ns = field::time_ns(field::required(object, "fundingTime", "event_time")?, "event_time", MS_OR_US)?;
    let mark_price_e8 = market::price_e8(object, "markPrice", "mark_price")?;
    emit(object, None, Some(event_time_ns), MarketContent::Funding(Funding { rate_e8, mark_price_e8 }), out)
}

fn liquidation(outer: &Object<'_>, out: &mut Output<'_>) -> Result<(), Fault> {
    let mut object = Object::default();
    field::read_object(&mut object, field::required(outer, "o", "order")?)?;
    let price = match market::some(&object, "ap", "price")? {
        Some(value) => value,
        None => field::required(&object, "p", "price")?,
    };
    let price_e8 = field::price_e8(price)?;
    // What this message filled, and not all that was filled so far: an order is told of more than once, and its parts are added up.
    let Some(quantity) = market::some(&object, "l", "quantity")? else {
        field::required(&object, "l", "quantity")?;
        out.ignore(NAME, b"forceOrder_without_fill");
        return Ok(());
    };
    let quantity_e8 = field::quantity_e8(quantity)?;
    if !is_notional_in_range(price_e8, quantity_e8) {
        return Err(Fault::Decimal("price times quantity", DecimalError::OutOfRange));
    }
    let side = field::side(&field::text(field::required(&object, "S", "side")?, "side")?)?;
    let event_time_ns = field::time_ns(field::required(&object, "T", "event_time")?, "event_time", MS_OR_US)?;
    let content = MarketContent::Liquidation(Liquidation { side, price_e8, quantity_e8, occurrence: 0 });
    emit(&object, None, Some(event_time_ns), content, out)
}

/// `T`, when it happened, or `E`, when it was sent.
fn transaction_time_ns(object: &Object<'_>) -> Result<Option<i64>, Fault> {
    match market::time_ns(object, "T", "event_time", MS_OR_US)? {
        None => market::time_ns(object, "E", "event_time", MS_OR_US),
        time => Ok(time),
    }
}

fn emit(
    object: &Object<'_>,
    stream: Option<&[u8]>,
    event_time_ns: Option<i64>,
    content: MarketContent,
    out: &mut Output<'_>,
) -> Result<(), Fault> {
    let symbol = match (field::optional(object, "s", "symbol")?, field::optional(object, "symbol", "symbol")?) {
        (Some(symbol), _) | (None, Some(symbol)) => field::text(symbol, "symbol")?,
        (None, None) => Cow::Owned(match stream.and_then(|stream| stream.split(|&byte| byte == b'@').next()) {
            // Streams are named in lower case.
            Some(symbol) => symbol.to_ascii_uppercase(),
            None => out.symbol_around().into_vec(),
        }),
    };
    let venue = out.venue_or(NAME);
    out.market(venue, &symbol, DecodedRecord { event_time_ns, is_timeless: false, receive_time_ns: None, content })
}
