//! Binance: `trade` and `aggTrade` of spot, USD-M and COIN-M, bare or in the envelope of a combined stream, and the rows of
//! the REST aggregated trades, also where ccxt keeps them under `info`. What is no trade but of the market is decoded in
//! `market`.
//!
//! The payload does not tell the market, so that `binance` is the venue unless the configuration says otherwise. Trades that
//! the futures engine made itself (`X`: insurance fund, deleveraging) are kept apart by their kind. All other event types are
//! counted and dropped. Fields: <https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams>.

mod market;

use super::Recognised;
use super::fault::Fault;
use super::field;
use super::json::{Kind, Object, Value};
use super::output::{DecodedTrade, Output};
use super::time::MS_OR_US;
use tidewheel_schemas::{AggressorSide, TradeKind};

const NAME: &str = "binance";

/// Decodes one object.
pub(super) fn decode<'a>(
    object: &Object<'a>,
    inner: &mut Object<'a>,
    out: &mut Output<'_>,
) -> Result<Recognised, Fault> {
    let Some(data) = envelope(object) else { return payload(object, None, out) };
    match data.kind() {
        Kind::Object => {
            inner.read(data.raw())?;
            match payload(inner, Some(object), out)? {
                Recognised::No => Ok(other_stream(object, out)),
                yes => Ok(yes),
            }
        }
        Kind::Array => {
            if out.config.market
                && let Some(stream) = object.first(b"stream").and_then(Value::text)
                && market::array(&stream, data, out) == Recognised::Yes
            {
                out.ignore(NAME, b"markPrice");
                return Ok(Recognised::Yes);
            }
            // The other array streams (`!ticker@arr` and the like) carry nothing of single instruments.
            Ok(other_stream(object, out))
        }
        _ => Ok(Recognised::No),
    }
}

/// The payload in the envelope of a combined stream.
fn envelope<'a>(object: &Object<'a>) -> Option<Value<'a>> {
    object.first(b"stream").filter(|stream| stream.kind() == Kind::Text)?;
    object.first(b"data")
}

/// A stream whose payload names no event: told by the part of the stream's name behind the symbol, if it is not of trades.
fn other_stream(object: &Object<'_>, out: &mut Output<'_>) -> Recognised {
    let Some(stream) = object.first(b"stream").and_then(Value::text) else { return Recognised::No };
    let mut parts = stream.split(|&byte| byte == b'@');
    let (Some(symbol), Some(kind)) = (parts.next(), parts.next()) else { return Recognised::No };
    if matches!(kind, b"trade" | b"aggTrade") {
        return Recognised::No;
    }
    // `btcusdt@depth5`, but `!ticker@arr`.
    out.ignore(NAME, symbol.strip_prefix(b"!").unwrap_or(kind));
    Recognised::Yes
}

/// Decodes a payload, and the envelope around it for what the payload does not say.
fn payload(object: &Object<'_>, envelope: Option<&Object<'_>>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    let stream = || envelope.and_then(|envelope| envelope.first(b"stream")).and_then(Value::text);
    if let Some(event) = object.first(b"e") {
        let Some(event) = event.text() else { return Ok(Recognised::No) };
        match &*event {
            b"trade" => trade(object, out)?,
            b"aggTrade" => aggregated(object, out, None)?,
            other => {
                if !out.config.market || market::event(other, object, stream().as_deref(), out)? == Recognised::No {
                    out.ignore(NAME, &event);
                }
            }
        }
        return Ok(Recognised::Yes);
    }
    if let Some(info) = object.first(b"info") {
        return ccxt_row(object, info, out);
    }
    if is_aggregated_row(object) {
        aggregated(object, out, None)?;
        return Ok(Recognised::Yes);
    }
    if out.config.market && market::eventless(object, stream().as_deref(), out)? == Recognised::Yes {
        return Ok(Recognised::Yes);
    }
    match eventless_type(object) {
        Some(kind) => out.ignore(NAME, kind),
        None => return Ok(Recognised::No),
    }
    Ok(Recognised::Yes)
}

/// Types of message without an event name, none of which is a trade.
fn eventless_type(object: &Object<'_>) -> Option<&'static [u8]> {
    if object.has_all(&[b"u", b"s", b"b", b"B", b"a", b"A"]) {
        Some(b"bookTicker")
    } else if object.has_all(&[b"lastUpdateId", b"bids", b"asks"]) {
        Some(b"depth")
    } else if object.has_all(&[b"symbol", b"fundingTime", b"fundingRate"]) {
        Some(b"fundingRate")
    } else if object.has(b"id") && (object.has(b"error") || is_acknowledgement(object)) {
        Some(b"ack")
    } else if object.has_all(&[b"serverTime", b"symbols"]) {
        Some(b"exchangeInfo")
    } else {
        None
    }
}

fn is_acknowledgement(object: &Object<'_>) -> bool {
    object.first(b"result").is_some_and(|result| matches!(result.kind(), Kind::Null | Kind::Array))
        && object.fields().all(|(key, _)| matches!(key, b"id" | b"result"))
}

/// A row of the REST aggregated trades, which names neither event nor symbol.
fn is_aggregated_row(object: &Object<'_>) -> bool {
    object.has_all(&[b"a", b"p", b"q", b"f", b"l", b"T", b"m"])
}

/// A row as ccxt hands it on: its own reading outside, Binance's under `info`. Only the latter is exact.
fn ccxt_row<'a>(object: &Object<'a>, info: Value<'a>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    if info.kind() != Kind::Object {
        return Ok(Recognised::No);
    }
    let mut row = Object::default();
    row.read(info.raw())?;
    if !is_aggregated_row(&row) {
        return Ok(Recognised::No);
    }
    let symbol = field::optional(object, "symbol", "symbol")?;
    aggregated(&row, out, symbol)?;
    Ok(Recognised::Yes)
}

#[inline]
fn trade(object: &Object<'_>, out: &mut Output<'_>) -> Result<(), Fault> {
    let id = field::required(object, "t", "trade_id")?;
    let kind = kind(object)?;
    if kind != TradeKind::Market && is_empty(object)? {
        // The futures stream fills gaps in its ids with trades of nothing for nothing.
        out.ignore(NAME, b"trade_without_quantity");
        return Ok(());
    }
    emit(object, out, id, 1, kind, None)
}

#[inline]
fn aggregated(object: &Object<'_>, out: &mut Output<'_>, symbol: Option<Value<'_>>) -> Result<(), Fault> {
    let id = field::required(object, "a", "trade_id")?;
    let first = field::integer(field::required(object, "f", "first_trade_id")?, "first_trade_id")?;
    let last = field::integer(field::required(object, "l", "last_trade_id")?, "last_trade_id")?;
    let count =
        last.checked_sub(first).and_then(|more| more.checked_add(1)).and_then(|count| u32::try_from(count).ok());
    let count = count
        .filter(|&count| count > 0)
        .ok_or(Fault::Value("trade_count", "last_trade_id is less than first_trade_id, or too far from it"))?;
    emit(object, out, id, count, kind(object)?, symbol)
}

/// The fields that both have.
#[inline]
fn emit(
    object: &Object<'_>,
    out: &mut Output<'_>,
    id: Value<'_>,
    count: u32,
    kind: TradeKind,
    outer_symbol: Option<Value<'_>>,
) -> Result<(), Fault> {
    let price_e8 = field::price_e8(field::required(object, "p", "price")?)?;
    let quantity_e8 = field::quantity_e8(field::required(object, "q", "quantity")?)?;
    let event_time_ns = field::time_ns(field::required(object, "T", "event_time")?, "event_time", MS_OR_US)?;
    let buyer_is_maker = field::boolean(field::required(object, "m", "is_buyer_maker")?, "is_buyer_maker")?;
    let trade = DecodedTrade {
        event_time_ns,
        id: Some(field::trade_id(id)?),
        price_e8,
        quantity_e8,
        count,
        side: if buyer_is_maker { AggressorSide::Sell } else { AggressorSide::Buy },
        kind,
        receive_time_ns: None,
    };
    let venue = out.venue_or(NAME);
    if let Some(symbol) = field::optional(object, "s", "symbol")? {
        return out.trade(venue, &field::text(symbol, "symbol")?, trade);
    }
    match (out.config.symbol.as_deref(), outer_symbol) {
        (Some(symbol), _) => out.trade(venue, symbol.as_bytes(), trade),
        (None, Some(symbol)) => out.trade(venue, &field::text(symbol, "symbol")?, trade),
        (None, None) => out.trade(venue, b"", trade),
    }
}

/// `X` of the futures streams; spot has none.
#[inline]
fn kind(object: &Object<'_>) -> Result<TradeKind, Fault> {
    let Some(value) = field::optional(object, "X", "trade_kind")? else { return Ok(TradeKind::Market) };
    Ok(match &*field::text(value, "trade_kind")? {
        b"MARKET" => TradeKind::Market,
        b"INSURANCE_FUND" => TradeKind::InsuranceFund,
        b"ADL" => TradeKind::Adl,
        _ => TradeKind::Other,
    })
}

/// Whether both price and quantity are written as zero.
fn is_empty(object: &Object<'_>) -> Result<bool, Fault> {
    let is_zero = |text: &[u8]| text.contains(&b'0') && text.iter().all(|byte| matches!(byte, b'0' | b'.'));
    let price = field::number(field::required(object, "p", "price")?, "price")?;
    let quantity = field::number(field::required(object, "q", "quantity")?, "quantity")?;
    Ok(is_zero(&price) && is_zero(&quantity))
}
