//! Binance `trade`, and `aggTrade` for trades of several fills, bare or in the envelope of a combined stream.

use super::text::{Places, put, put_id, put_integer, put_price, put_quantity, put_symbol};
use crate::generate::event::Event;
use tidewheel_schemas::{AggressorSide, Instrument};

/// Ids of fills per id of aggregated trade: more than any has fills.
const FILLS: u128 = 16;

pub fn render(event: &Event, instrument: &Instrument, out: &mut Vec<u8>) {
    let is_aggregate = event.trade.count > 1;
    put(out, if is_aggregate { "{\"e\":\"aggTrade\",\"E\":" } else { "{\"e\":\"trade\",\"E\":" });
    put_integer(out, event.receive_time_ns / 1_000_000);
    put(out, ",\"s\":\"");
    put_symbol(out, event, instrument);
    put(out, if is_aggregate { "\",\"a\":" } else { "\",\"t\":" });
    put_id(out, event);
    put(out, ",\"p\":\"");
    put_price(out, event, Places::Eight);
    out.push(b'"');
    put_quantity(out, event, Places::Eight, ",\"q\":\"", "\"");
    if is_aggregate {
        let first = event.trade.id.to_bits() * FILLS;
        put(out, ",\"f\":");
        put(out, itoa::Buffer::new().format(first));
        put(out, ",\"l\":");
        put(out, itoa::Buffer::new().format(first + u128::from(event.trade.count) - 1));
    }
    put(out, ",\"T\":");
    put_integer(out, event.trade.event_time_ns / 1_000_000);
    // The buyer was the maker: the taker sold.
    let is_sell = event.trade.side == AggressorSide::Sell;
    put(out, if is_sell { ",\"m\":true,\"M\":true}" } else { ",\"m\":false,\"M\":true}" });
}

pub fn render_envelope(event: &Event, instrument: &Instrument, out: &mut Vec<u8>) {
    put(out, "{\"stream\":\"");
    out.extend(instrument.symbol.bytes().map(|byte| byte.to_ascii_lowercase()));
    put(out, if event.trade.count > 1 { "@aggTrade\",\"data\":" } else { "@trade\",\"data\":" });
    render(event, instrument, out);
    out.push(b'}');
}
