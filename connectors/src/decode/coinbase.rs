//! Coinbase: `match` and `last_match` of the Exchange feed, and `market_trades` of Advanced Trade.
//!
//! The Exchange feed names the side of the *maker*: a `sell` is an up-tick, the taker bought. What `side` means in Advanced
//! Trade is disputed; it is taken as the taker's, and `coinbase_advanced_maker_side` turns it. A `last_match` repeats the
//! trade before the subscription and a snapshot repeats many: all are true trades, and those seen before fall to their ids.
//! Fields: <https://docs.cdp.coinbase.com/exchange/websocket-feed/channels>.

use super::Recognised;
use super::fault::Fault;
use super::field;
use super::json::{Object, Value};
use super::output::{DecodedTrade, Output};
use tidewheel_schemas::TradeKind;

const NAME: &str = "coinbase";

/// Message types of the Exchange feed that are no trades.
const OTHER_TYPES: [&[u8]; 16] = [
    b"subscriptions",
    b"heartbeat",
    b"status",
    b"ticker",
    b"ticker_batch",
    b"snapshot",
    b"l2update",
    b"received",
    b"open",
    b"done",
    b"change",
    b"activate",
    b"auction",
    b"rfq_match",
    b"balance",
    b"error",
];

/// Decodes one object.
pub(super) fn decode<'a>(
    object: &Object<'a>,
    inner: &mut Object<'a>,
    out: &mut Output<'_>,
) -> Result<Recognised, Fault> {
    if let Some(kind) = object.first(b"type").and_then(Value::text) {
        return exchange(&kind, object, out);
    }
    match (object.first(b"channel").and_then(Value::text), object.first(b"events")) {
        (Some(channel), Some(events)) if *channel == *b"market_trades" => market_trades(events, inner, out),
        (Some(channel), Some(_)) => {
            out.ignore(NAME, &channel);
            Ok(Recognised::Yes)
        }
        _ => Ok(Recognised::No),
    }
}

fn exchange(kind: &[u8], object: &Object<'_>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    match kind {
        b"match" | b"last_match" => trade(object, true, out)?,
        // Other venues have such types too, but not these fields beside them.
        _ if OTHER_TYPES.contains(&kind)
            && [&b"product_id"[..], b"channels", b"products", b"message"].iter().any(|key| object.has(key)) =>
        {
            out.ignore(NAME, kind);
        }
        _ => return Ok(Recognised::No),
    }
    Ok(Recognised::Yes)
}

fn market_trades<'a>(events: Value<'a>, object: &mut Object<'a>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    for event in field::elements(events, "events")? {
        field::read_object(object, event)?;
        let trades = field::required(object, "trades", "trades")?;
        for element in field::elements(trades, "trades")? {
            out.begin_trade();
            let is_maker_side = out.config.coinbase_advanced_maker_side;
            let read = field::read_object(object, element).and_then(|()| trade(object, is_maker_side, out));
            if let Err(fault) = read {
                out.reject_trade(&fault);
            }
        }
    }
    out.ignore(NAME, b"without_trades");
    Ok(Recognised::Yes)
}

fn trade(object: &Object<'_>, is_maker_side: bool, out: &mut Output<'_>) -> Result<(), Fault> {
    let id = field::trade_id(field::required(object, "trade_id", "trade_id")?)?;
    let named = field::side(&field::text(field::required(object, "side", "side")?, "side")?)?;
    let quantity_e8 = field::quantity_e8(field::required(object, "size", "quantity")?)?;
    let price_e8 = field::price_e8(field::required(object, "price", "price")?)?;
    let symbol = field::text(field::required(object, "product_id", "symbol")?, "symbol")?;
    let event_time_ns = field::rfc3339_ns(field::required(object, "time", "event_time")?, "event_time")?;
    let side = if is_maker_side { field::opposite(named) } else { named };
    let kind = TradeKind::Market;
    let trade = DecodedTrade {
        event_time_ns,
        id: Some(id),
        price_e8,
        quantity_e8,
        count: 1,
        side,
        kind,
        receive_time_ns: None,
    };
    out.trade(out.venue_or(NAME), &symbol, trade)
}
