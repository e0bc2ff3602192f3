//! Kraken websocket v2 `trade`, one trade a message.

use super::text::{Places, put, put_id, put_price, put_quantity, put_rfc3339, put_symbol};
use crate::generate::event::Event;
use tidewheel_schemas::Instrument;

pub fn render(event: &Event, instrument: &Instrument, out: &mut Vec<u8>) {
    put(out, "{\"channel\":\"trade\",\"type\":\"update\",\"data\":[{\"symbol\":\"");
    put_symbol(out, event, instrument);
    // The side is the taker's.
    put(out, "\",\"side\":\"");
    put(out, event.trade.side.name().unwrap_or_default());
    put(out, "\",\"price\":");
    put_price(out, event, Places::Needed);
    put_quantity(out, event, Places::Needed, ",\"qty\":", "");
    put(out, ",\"ord_type\":\"market\",\"trade_id\":");
    put_id(out, event);
    put(out, ",\"timestamp\":\"");
    put_rfc3339(out, event.trade.event_time_ns);
    put(out, "\"}]}");
}
