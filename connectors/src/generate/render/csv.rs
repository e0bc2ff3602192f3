//! Comma-separated values: `time,symbol,id,price,quantity,side`, times in nanoseconds.

use super::text::{Places, put, put_id, put_integer, put_price, put_quantity, put_symbol};
use crate::decode::{CsvColumns, TimeUnit};
use crate::generate::event::Event;
use tidewheel_schemas::Instrument;

/// The first line, without its end.
pub const fn csv_header() -> &'static str {
    "time,symbol,id,price,quantity,side"
}

/// How the decoder finds the columns; the venue is for `--venue` to say.
pub fn csv_columns() -> CsvColumns {
    CsvColumns {
        id: Some("id".into()),
        side: Some("side".into()),
        symbol: Some("symbol".into()),
        time_unit: TimeUnit::Ns,
        ..CsvColumns::default()
    }
}

pub fn render(event: &Event, instrument: &Instrument, out: &mut Vec<u8>) {
    put_integer(out, event.trade.event_time_ns);
    out.push(b',');
    put_symbol(out, event, instrument);
    out.push(b',');
    put_id(out, event);
    out.push(b',');
    put_price(out, event, Places::Needed);
    out.push(b',');
    put_quantity(out, event, Places::Needed, "", "");
    out.push(b',');
    put(out, event.trade.side.name().unwrap_or_default());
}
