//! cryptofeed's Kafka backend: numbers as JSON numbers, times in seconds.

use super::text::{Places, put, put_id, put_price, put_quantity, put_seconds, put_symbol};
use crate::generate::event::Event;
use tidewheel_schemas::Instrument;

pub fn render(event: &Event, instrument: &Instrument, out: &mut Vec<u8>) {
    put(out, "{\"exchange\":\"");
    out.extend(instrument.venue.bytes().map(|byte| byte.to_ascii_uppercase()));
    put(out, "\",\"symbol\":\"");
    put_symbol(out, event, instrument);
    put(out, "\",\"side\":\"");
    put(out, event.trade.side.name().unwrap_or_default());
    out.push(b'"');
    put_quantity(out, event, Places::Needed, ",\"amount\":", "");
    put(out, ",\"price\":");
    put_price(out, event, Places::Needed);
    put(out, ",\"id\":\"");
    put_id(out, event);
    put(out, "\",\"type\":null,\"timestamp\":");
    put_seconds(out, event.trade.event_time_ns);
    put(out, ",\"receipt_timestamp\":");
    put_seconds(out, event.receive_time_ns);
    out.push(b'}');
}
