//! Tidewheel's own JSON.

use super::text::{Places, put, put_id, put_integer, put_price, put_quantity, put_symbol};
use crate::file::Op;
use crate::generate::event::Event;
use tidewheel_schemas::Instrument;

pub fn render(event: &Event, instrument: &Instrument, out: &mut Vec<u8>) {
    put(out, "{\"type\":\"trade\",\"op\":\"");
    put(out, event.op.name());
    put(out, "\",\"venue\":\"");
    put(out, &instrument.venue);
    put(out, "\",\"symbol\":\"");
    put_symbol(out, event, instrument);
    put(out, "\",\"trade_id\":\"");
    put_id(out, event);
    put(out, "\",\"event_time\":");
    put_integer(out, event.trade.event_time_ns);
    if event.op == Op::Cancel {
        return out.push(b'}');
    }
    if event.op == Op::Correct {
        // The market corrects prices and quantities, never times.
        put(out, ",\"original_event_time\":");
        put_integer(out, event.trade.event_time_ns);
    }
    put(out, ",\"price\":\"");
    put_price(out, event, Places::Needed);
    out.push(b'"');
    put_quantity(out, event, Places::Needed, ",\"quantity\":\"", "\"");
    put(out, ",\"aggressor_side\":");
    match event.trade.side.name() {
        Some(side) => {
            out.push(b'"');
            put(out, side);
            out.push(b'"');
        }
        None => put(out, "null"),
    }
    // A correction has no say about the number of fills.
    if event.trade.count > 1 && event.op == Op::Insert {
        put(out, ",\"trade_count\":");
        put_integer(out, event.trade.count.into());
    }
    out.push(b'}');
}
