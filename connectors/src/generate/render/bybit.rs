//! Bybit v5 `publicTrade`, one trade a message.

use super::text::{Places, put, put_id, put_integer, put_price, put_quantity, put_symbol};
use crate::generate::event::Event;
use tidewheel_schemas::{AggressorSide, Instrument};

pub fn render(event: &Event, instrument: &Instrument, out: &mut Vec<u8>) {
    put(out, "{\"topic\":\"publicTrade.");
    put(out, &instrument.symbol);
    put(out, "\",\"type\":\"snapshot\",\"ts\":");
    put_integer(out, event.receive_time_ns / 1_000_000);
    put(out, ",\"data\":[{\"T\":");
    put_integer(out, event.trade.event_time_ns / 1_000_000);
    put(out, ",\"s\":\"");
    put_symbol(out, event, instrument);
    // The side is the taker's.
    put(out, if event.trade.side == AggressorSide::Sell { "\",\"S\":\"Sell\"" } else { "\",\"S\":\"Buy\"" });
    put_quantity(out, event, Places::Needed, ",\"v\":\"", "\"");
    put(out, ",\"p\":\"");
    put_price(out, event, Places::Needed);
    put(out, "\",\"L\":\"ZeroPlusTick\",\"i\":\"");
    put_id(out, event);
    put(out, "\",\"BT\":false}]}");
}
