//! Coinbase Exchange `match`.

use super::text::{Places, put, put_id, put_price, put_quantity, put_rfc3339, put_symbol};
use crate::generate::event::Event;
use tidewheel_schemas::{AggressorSide, Instrument};

pub fn render(event: &Event, instrument: &Instrument, out: &mut Vec<u8>) {
    put(out, "{\"type\":\"match\",\"trade_id\":");
    put_id(out, event);
    // The side is the maker's: the taker sold to a buyer.
    put(out, if event.trade.side == AggressorSide::Sell { ",\"side\":\"buy\"" } else { ",\"side\":\"sell\"" });
    put_quantity(out, event, Places::Needed, ",\"size\":\"", "\"");
    put(out, ",\"price\":\"");
    put_price(out, event, Places::Needed);
    put(out, "\",\"product_id\":\"");
    put_symbol(out, event, instrument);
    put(out, "\",\"sequence\":");
    put_id(out, event);
    put(out, ",\"time\":\"");
    put_rfc3339(out, event.trade.event_time_ns);
    put(out, "\"}");
}
