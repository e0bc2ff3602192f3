//! Bybit: `publicTrade` of the v3 and v5 streams, and the older v2 `trade` topics with their longer field names.
//!
//! One message holds several trades. The side is the taker's. Block trades (`BT`) are kept apart by their kind. Books,
//! tickers and liquidations are decoded in `market`. Other topics and acknowledgements are counted. Fields: <https://bybit-exchange.github.io/docs/v5/websocket/public/trade>.

mod market;

use super::Recognised;
use super::fault::Fault;
use super::field;
use super::json::{Object, Value};
use super::output::{DecodedTrade, Output};
use super::time::MS;
use tidewheel_schemas::TradeKind;

const NAME: &str = "bybit";

/// Decodes one object.
pub(super) fn decode<'a>(
    object: &Object<'a>,
    inner: &mut Object<'a>,
    out: &mut Output<'_>,
) -> Result<Recognised, Fault> {
    let Some(topic) = object.first(b"topic").and_then(Value::text) else { return Ok(other(object, out)) };
    let kind = topic.split(|&byte| byte == b'.').next().unwrap_or(b"");
    if !matches!(kind, b"publicTrade" | b"trade") {
        if !object.has(b"data") {
            return Ok(Recognised::No);
        }
        if out.config.market && market::decode(&topic, object, inner, out)? == Recognised::Yes {
            return Ok(Recognised::Yes);
        }
        out.ignore(NAME, kind);
        return Ok(Recognised::Yes);
    }
    for element in field::elements(field::required(object, "data", "data")?, "data")? {
        out.begin_trade();
        if let Err(fault) = trade(element, inner, out) {
            out.reject_trade(&fault);
        }
    }
    out.ignore(NAME, b"without_trades");
    Ok(Recognised::Yes)
}

/// Acknowledgements and answers, which are no trades.
fn other(object: &Object<'_>, out: &mut Output<'_>) -> Recognised {
    if object.has(b"success") && (object.has(b"ret_msg") || object.has(b"conn_id")) {
        out.ignore(NAME, b"ack");
    } else if object.is(b"op", b"pong") || object.is(b"op", b"ping") {
        out.ignore(NAME, b"ping");
    } else if object.has_all(&[b"ret_code", b"ret_msg"]) {
        out.ignore(NAME, b"answer");
    } else {
        return Recognised::No;
    }
    Recognised::Yes
}

fn trade<'a>(element: Value<'a>, object: &mut Object<'a>, out: &mut Output<'_>) -> Result<(), Fault> {
    field::read_object(object, element)?;
    let is_v2 = object.has(b"trade_time_ms");
    let key = |v5: &'static str, v2: &'static str| if is_v2 { v2 } else { v5 };
    let time = field::required(object, key("T", "trade_time_ms"), "event_time")?;
    let symbol = field::text(field::required(object, key("s", "symbol"), "symbol")?, "symbol")?;
    let side = field::text(field::required(object, key("S", "side"), "aggressor_side")?, "aggressor_side")?;
    let quantity = field::required(object, key("v", "size"), "quantity")?;
    let price = field::required(object, key("p", "price"), "price")?;
    let id = field::required(object, key("i", "trade_id"), "trade_id")?;
    let is_block = match field::optional(object, key("BT", "is_block_trade"), "is_block_trade")? {
        Some(flag) => field::boolean(flag, "is_block_trade")?,
        None => false,
    };
    let trade = DecodedTrade {
        event_time_ns: field::time_ns(time, "event_time", MS)?,
        id: Some(field::trade_id(id)?),
        price_e8: field::price_e8(price)?,
        quantity_e8: field::quantity_e8(quantity)?,
        count: 1,
        side: field::side(&side)?,
        kind: if is_block { TradeKind::Block } else { TradeKind::Market },
        receive_time_ns: None,
    };
    out.trade(out.venue_or(NAME), &symbol, trade)
}
