//! Kraken: trades of the websocket v1 (arrays), of the websocket v2 (objects), and of the REST answers.
//!
//! The side is the taker's. The websocket v1 gives no trade ids: there a trade is identified by its place in the source.
//! Symbols stay as each interface spells them (`XBT/USD`, `BTC/USD`, `XXBTZUSD`). Books, candles and the like are counted.
//! Fields: <https://docs.kraken.com/api/docs/websocket-v2/trade>, `.../websocket-v1/trade`, `.../rest-api/get-recent-trades`.

use super::Recognised;
use super::fault::Fault;
use super::field;
use super::json::{Kind, Object, Value};
use super::output::{DecodedTrade, Output};
use super::time::S;
use tidewheel_schemas::TradeKind;

const NAME: &str = "kraken";

/// Events of the websocket v1 and channels of the websocket v2 that are no trades.
const OTHER_EVENTS: [&[u8]; 6] =
    [b"heartbeat", b"systemStatus", b"subscriptionStatus", b"pong", b"ping", b"addOrderStatus"];
const OTHER_CHANNELS: [&[u8]; 8] =
    [b"heartbeat", b"status", b"ticker", b"book", b"level3", b"ohlc", b"instrument", b"executions"];

/// Decodes one object.
pub(super) fn decode<'a>(
    object: &Object<'a>,
    inner: &mut Object<'a>,
    out: &mut Output<'_>,
) -> Result<Recognised, Fault> {
    let is_answer = object.fields().all(|(key, _)| matches!(key, b"error" | b"result"));
    if is_answer && object.first(b"error").is_some_and(|error| error.kind() == Kind::Array) {
        return rest(object, inner, out);
    }
    if let Some(channel) = object.first(b"channel").and_then(Value::text) {
        return match &*channel {
            b"trade" if object.has(b"data") => websocket_v2(object, inner, out),
            channel if OTHER_CHANNELS.contains(&channel) => Ok(ignored(channel, out)),
            _ => Ok(Recognised::No),
        };
    }
    if let Some(event) = object.first(b"event").and_then(Value::text) {
        let is_known = OTHER_EVENTS.contains(&&*event);
        return Ok(if is_known { ignored(&event, out) } else { Recognised::No });
    }
    if object.has(b"method") && (object.has(b"success") || object.has(b"result")) {
        return Ok(ignored(b"ack", out));
    }
    Ok(Recognised::No)
}

/// Decodes an array of the websocket v1: `[channelID, payload, ..., channelName, pair]`.
pub(super) fn decode_array(array: Value<'_>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    let parts: Vec<Value<'_>> = array.elements().take(8).collect();
    let [channel_id, payload, .., channel, pair] = parts[..] else { return Ok(Recognised::No) };
    let (Some(channel), Some(pair)) = (channel.text(), pair.text()) else { return Ok(Recognised::No) };
    if channel_id.kind() != Kind::Number {
        return Ok(Recognised::No);
    }
    if *channel != *b"trade" {
        // `book-1000`, `ohlc-5`: the number is a setting of the subscription.
        return Ok(ignored(channel.split(|&byte| byte == b'-').next().unwrap_or(&channel), out));
    }
    rows(payload, &pair, out)
}

fn ignored(kind: &[u8], out: &mut Output<'_>) -> Recognised {
    out.ignore(NAME, kind);
    Recognised::Yes
}

/// `{"error":[],"result":{"PAIR":[row, ...],"last":...}}`. Candles and spreads look alike, but begin with a number
/// and have no side.
fn rest<'a>(object: &Object<'a>, inner: &mut Object<'a>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    let Some(result) = object.first(b"result").filter(|result| result.kind() == Kind::Object) else {
        return Ok(ignored(b"answer", out));
    };
    inner.read(result.raw())?;
    let is_trade = |row: Value<'_>| {
        let side = row.elements().nth(3).filter(|side| side.is_text(b"b") || side.is_text(b"s"));
        side.is_some() || row.elements().next().is_some_and(|price| price.kind() == Kind::Text)
    };
    for (pair, list) in inner.fields() {
        if inner.has(b"last") && list.elements().any(is_trade) {
            rows(list, pair, out)?;
        }
    }
    Ok(ignored(b"answer", out))
}

/// Rows `[price, volume, time, side, order type, misc]`, over REST with the trade id behind.
fn rows(list: Value<'_>, symbol: &[u8], out: &mut Output<'_>) -> Result<Recognised, Fault> {
    for row in field::elements(list, "trades")? {
        out.begin_trade();
        if let Err(fault) = read_row(row, symbol, out) {
            out.reject_trade(&fault);
        }
    }
    Ok(ignored(b"without_trades", out))
}

fn read_row(row: Value<'_>, symbol: &[u8], out: &mut Output<'_>) -> Result<(), Fault> {
    let mut fields = row.elements();
    let mut next = |name: &'static str| fields.next().ok_or(Fault::Missing(name, "row"));
    let price_e8 = field::price_e8(next("price")?)?;
    let quantity_e8 = field::quantity_e8(next("quantity")?)?;
    let event_time_ns = field::time_ns(next("event_time")?, "event_time", S)?;
    let side = field::side(&field::text(next("aggressor_side")?, "aggressor_side")?)?;
    let id = fields.nth(2).map(field::trade_id).transpose()?;
    let kind = TradeKind::Market;
    let trade = DecodedTrade { event_time_ns, id, price_e8, quantity_e8, count: 1, side, kind, receive_time_ns: None };
    out.trade(out.venue_or(NAME), symbol, trade)
}

fn websocket_v2<'a>(object: &Object<'a>, inner: &mut Object<'a>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    for element in field::elements(field::required(object, "data", "data")?, "data")? {
        out.begin_trade();
        if let Err(fault) = field::read_object(inner, element).and_then(|()| trade_v2(inner, out)) {
            out.reject_trade(&fault);
        }
    }
    Ok(ignored(b"without_trades", out))
}

fn trade_v2(object: &Object<'_>, out: &mut Output<'_>) -> Result<(), Fault> {
    let symbol = field::text(field::required(object, "symbol", "symbol")?, "symbol")?;
    let side = field::side(&field::text(field::required(object, "side", "aggressor_side")?, "aggressor_side")?)?;
    let quantity_e8 = field::quantity_e8(field::required(object, "qty", "quantity")?)?;
    let price_e8 = field::price_e8(field::required(object, "price", "price")?)?;
    let id = Some(field::trade_id(field::required(object, "trade_id", "trade_id")?)?);
    let event_time_ns = field::rfc3339_ns(field::required(object, "timestamp", "event_time")?, "event_time")?;
    let kind = TradeKind::Market;
    let trade = DecodedTrade { event_time_ns, id, price_e8, quantity_e8, count: 1, side, kind, receive_time_ns: None };
    out.trade(out.venue_or(NAME), &symbol, trade)
}
