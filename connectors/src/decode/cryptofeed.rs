//! cryptofeed's Kafka backend: trades normalised over many exchanges, one object each.
//!
//! Its numbers are JSON floats, read here as the decimal text that Python printed: the shortest that gives the same float,
//! which is what the exchange had sent. Its `side` is the taker's. Channels other than trades are told by their fields,
//! since the value does not name them; those that `market` does not decode are counted. Fields: cryptofeed `types.pyx` and `backends/backend.py`.

mod market;

use super::Recognised;
use super::fault::Fault;
use super::field;
use super::json::Object;
use super::output::{DecodedTrade, Output};
use super::time;
use tidewheel_schemas::{AggressorSide, TradeKind};

const NAME: &str = "cryptofeed";

/// The other channels, by a field that only they have.
const CHANNELS: [(&[u8], &[u8]); 10] = [
    (b"book", b"book"),
    (b"delta", b"book"),
    (b"bid", b"ticker"),
    (b"bid_price", b"l1_book"),
    (b"close", b"candles"),
    (b"mark_price", b"funding"),
    (b"rate", b"funding"),
    (b"open_interest", b"open_interest"),
    (b"status", b"liquidations"),
    (b"order_id", b"orders"),
];

/// Decodes one object.
pub(super) fn decode<'a>(object: &Object<'a>, _: &mut Object<'a>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    if !object.has(b"exchange") || !(object.has(b"receipt_timestamp") || object.has(b"timestamp")) {
        return Ok(Recognised::No);
    }
    if !object.has(b"amount")
        && let Some((_, channel)) = CHANNELS.iter().find(|(key, _)| object.has(key))
    {
        if !out.config.market || market::decode(channel, object, out)? == Recognised::No {
            out.ignore(NAME, channel);
        }
        return Ok(Recognised::Yes);
    }
    trade(object, out)?;
    Ok(Recognised::Yes)
}

fn trade(object: &Object<'_>, out: &mut Output<'_>) -> Result<(), Fault> {
    let venue = field::text(field::required(object, "exchange", "venue")?, "venue")?;
    let symbol = field::text(field::required(object, "symbol", "symbol")?, "symbol")?;
    let side = match field::optional(object, "side", "aggressor_side")? {
        Some(side) => field::side(&field::text(side, "aggressor_side")?)?,
        None => AggressorSide::Unknown,
    };
    let quantity_e8 = field::quantity_e8(field::required(object, "amount", "quantity")?)?;
    let price_e8 = field::price_e8(field::required(object, "price", "price")?)?;
    let id = field::optional(object, "id", "trade_id")?.map(field::trade_id).transpose()?;
    let event_time_ns = field::time_ns(field::required(object, "timestamp", "event_time")?, "event_time", time::S)?;
    // It says when, not what: a receive time that cannot be read costs the trade its latency, not its place in the bar.
    let receive_time = field::optional(object, "receipt_timestamp", "receive_time")?;
    let receive_time_ns = receive_time.and_then(|value| field::time_ns(value, "receive_time", time::S).ok());
    let kind = TradeKind::Market;
    let trade = DecodedTrade { event_time_ns, id, price_e8, quantity_e8, count: 1, side, kind, receive_time_ns };
    out.trade(&venue, &symbol, trade)
}
