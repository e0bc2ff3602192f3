//! Trades, amendments and market records as canonical JSON: the inverse of [`super::canonical`], for rejects of sources
//! without text, for late records, and for generated input.

use std::fmt::Write;
use tidewheel_schemas::{
    AggressorSide, Amendment, BookUpdate, Change, Instrument, Level, MarketContent, MarketRecord, Trade, TradeId,
    TradeKind, format_e8,
};

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

/// Writes a market record as one line of canonical JSON, without the line's end. Times are nanoseconds.
pub fn render_market(record: &MarketRecord) -> Vec<u8> {
    let kind = match &record.content {
        MarketContent::Quote(_) => "quote",
        MarketContent::Book(_) => "book",
        MarketContent::Mark(_) => "mark",
        MarketContent::Funding(_) => "funding",
        MarketContent::Liquidation(_) => "liquidation",
    };
    let mut line = String::with_capacity(256);
    let Instrument { venue, symbol } = &record.instrument;
    put(&mut line, format_args!(r#"{{"type":"{kind}","venue":"{venue}","symbol":"{symbol}""#));
    put(&mut line, format_args!(r#","event_time":{}"#, record.event_time_ns));
    if record.is_timeless {
        put(&mut line, format_args!(r#","timeless":true"#));
    }
    match &record.content {
        MarketContent::Quote(quote) => {
            put_whole(&mut line, "update_id", quote.update_id);
            for (side, level) in [("bid", quote.bid), ("ask", quote.ask)] {
                if let Some(level) = level {
                    put_e8(&mut line, &format!("{side}_price"), Some(level.price_e8));
                    put_e8(&mut line, &format!("{side}_quantity"), Some(level.quantity_e8));
                }
            }
        }
        MarketContent::Book(update) => put_book(&mut line, update),
        MarketContent::Mark(mark) => {
            put_e8(&mut line, "mark_price", mark.mark_price_e8);
            put_e8(&mut line, "index_price", mark.index_price_e8);
            put_e8(&mut line, "funding_rate", mark.funding_rate_e8);
            if let Some(time) = mark.next_funding_time_ns {
                put(&mut line, format_args!(r#","next_funding_time":{time}"#));
            }
        }
        MarketContent::Funding(funding) => {
            put_e8(&mut line, "funding_rate", Some(funding.rate_e8));
            put_e8(&mut line, "mark_price", funding.mark_price_e8);
        }
        MarketContent::Liquidation(liquidation) => {
            if let Some(side) = liquidation.side.name() {
                put(&mut line, format_args!(r#","side":"{side}""#));
            }
            put_e8(&mut line, "price", Some(liquidation.price_e8));
            put_e8(&mut line, "quantity", Some(liquidation.quantity_e8));
            put_whole(&mut line, "occurrence", Some(liquidation.occurrence.into()).filter(|number| *number > 0));
        }
    }
    end(line, record.receive_time_ns)
}

fn put_book(line: &mut String, update: &BookUpdate) {
    let op = if update.is_snapshot { "snapshot" } else { "change" };
    put(line, format_args!(r#","op":"{op}""#));
    if update.sequence != update.last_id {
        put_whole(line, "sequence", Some(update.sequence));
    }
    if update.first_id != update.last_id {
        put_whole(line, "first_id", Some(update.first_id));
    }
    put_whole(line, "last_id", Some(update.last_id));
    put_whole(line, "previous_id", update.previous_id);
    put_whole(line, "depth", update.depth.map(u64::from));
    for (side, levels) in [("bids", &update.bids), ("asks", &update.asks)] {
        put(line, format_args!(r#","{side}":["#));
        for (number, Level { price_e8, quantity_e8 }) in levels.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            let (price, quantity) = (format_e8((*price_e8).into()), format_e8((*quantity_e8).into()));
            put(line, format_args!(r#"{comma}["{price}","{quantity}"]"#));
        }
        line.push(']');
    }
}

fn put_whole(line: &mut String, key: &str, value: Option<u64>) {
    if let Some(value) = value {
        put(line, format_args!(r#","{key}":{value}"#));
    }
}

fn put_e8(line: &mut String, key: &str, value: Option<i64>) {
    if let Some(value) = value {
        put(line, format_args!(r#","{key}":"{}""#, format_e8(value.into())));
    }
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

pub(super) fn end(mut line: String, receive_time_ns: Option<i64>) -> Vec<u8> {
    if let Some(time) = receive_time_ns {
        put(&mut line, format_args!(r#","receive_time":{time}"#));
    }
    line.push('}');
    line.into_bytes()
}

pub(super) fn put(line: &mut String, text: std::fmt::Arguments<'_>) {
    line.write_fmt(text).expect("writing to a string cannot fail");
}
