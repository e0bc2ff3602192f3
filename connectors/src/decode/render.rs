//! Trades and amendments as canonical JSON: the inverse of [`super::canonical`], for rejects of sources without text, for
//! late records, and for generated input.

use std::fmt::Write;
use tidewheel_schemas::{AggressorSide, Amendment, Change, Instrument, Trade, TradeId, TradeKind, format_e8};

/// Writes a trade as one line of canonical JSON, without the line's end. Times are nanoseconds.
pub fn render_trade(instrument: &Instrument, trade: &Trade, receive_time_ns: Option<i64>) -> Vec<u8> {
    let mut line = head("insert", instrument, trade.id);
    put(&mut line, format_args!(r#","event_time":{}"#, trade.event_time_ns));
    put(&mut line, format_args!(r#","price":"{}""#, format_e8(trade.price_e8.into())));
    put(&mut line, format_args!(r#","quantity":"{}""#, format_e8(trade.quantity_e8.into())));
    match trade.side.name() {
        Some(side) => put(&mut line, format_args!(r#","aggressor_side":"{side}""#)),
        None => put(&mut line, format_args!(r#","aggressor_side":null"#)),
    }
    if trade.count != 1 {
        put(&mut line, format_args!(r#","trade_count":{}"#, trade.count));
    }
    if trade.kind != TradeKind::Market {
        put(&mut line, format_args!(r#","trade_kind":"{}""#, trade.kind.name()));
    }
    end(line, receive_time_ns)
}

/// Writes a cancel or a correction as one line of canonical JSON, without the line's end. Times are nanoseconds.
pub fn render_amendment(amendment: &Amendment) -> Vec<u8> {
    let original = |line: &mut String, key: &str| {
        if let Some(time) = amendment.original_time_ns {
            put(line, format_args!(r#","{key}":{time}"#));
        }
    };
    let mut line;
    match &amendment.change {
        Change::Cancel => {
            line = head("cancel", &amendment.instrument, amendment.id);
            original(&mut line, "event_time");
        }
        Change::Correct(correction) => {
            line = head("correct", &amendment.instrument, amendment.id);
            original(&mut line, "original_event_time");
            if let Some(time) = correction.event_time_ns {
                put(&mut line, format_args!(r#","event_time":{time}"#));
            }
            if let Some(price) = correction.price_e8 {
                put(&mut line, format_args!(r#","price":"{}""#, format_e8(price.into())));
            }
            if let Some(quantity) = correction.quantity_e8 {
                put(&mut line, format_args!(r#","quantity":"{}""#, format_e8(quantity.into())));
            }
            if let Some(side) = correction.side {
                put(&mut line, format_args!(r#","aggressor_side":"{}""#, corrected_side(side)));
            }
        }
    }
    if amendment.sequence != 0 {
        put(&mut line, format_args!(r#","sequence":{}"#, amendment.sequence));
    }
    end(line, amendment.receive_time_ns)
}

/// In a correction null would say that the side stays as it was.
fn corrected_side(side: AggressorSide) -> &'static str {
    side.name().unwrap_or("unknown")
}

fn head(op: &str, instrument: &Instrument, id: TradeId) -> String {
    let mut line = String::with_capacity(256);
    // Venue and symbol hold nothing that JSON would escape; a trade id may.
    let Instrument { venue, symbol } = instrument;
    put(&mut line, format_args!(r#"{{"type":"trade","op":"{op}","venue":"{venue}","symbol":"{symbol}","trade_id":"#));
    put(&mut line, format_args!("{}", serde_json::Value::String(id.to_string())));
    line
}

fn end(mut line: String, receive_time_ns: Option<i64>) -> Vec<u8> {
    if let Some(time) = receive_time_ns {
        put(&mut line, format_args!(r#","receive_time":{time}"#));
    }
    line.push('}');
    line.into_bytes()
}

fn put(line: &mut String, text: std::fmt::Arguments<'_>) {
    line.write_fmt(text).expect("writing to a string cannot fail");
}
