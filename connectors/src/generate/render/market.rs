//! Market records as Binance sends them: `bookTicker`, `depthUpdate` and depth of the futures, `markPriceUpdate`, rows of
//! funding rates, `forceOrder`; or as canonical JSON, the only form for what accounts do.

use super::WireFormat;
use super::text::{put, put_integer};
use crate::decode::{render_account, render_market};
use tidewheel_schemas::{AccountRecord, AggressorSide, Level, MarketContent, MarketRecord, format_e8};

/// Appends a record without a line end. Says no, and appends nothing, where the format has no words for it.
pub fn render_record(record: &MarketRecord, format: WireFormat, out: &mut Vec<u8>) -> bool {
    match format {
        WireFormat::Canonical => {
            // As of trades, the receive time is the transport's to tell.
            out.extend(render_market(&MarketRecord { receive_time_ns: None, ..record.clone() }));
        }
        WireFormat::Binance => binance(record, out),
        WireFormat::BinanceEnvelope => enveloped(record, out),
        _ => return false,
    }
    true
}

/// Appends a record of an account without a line end. Says no, and appends nothing, where the format has no words for it.
pub fn render_account_record(record: &AccountRecord, format: WireFormat, out: &mut Vec<u8>) -> bool {
    let has_words = format == WireFormat::Canonical;
    if has_words {
        out.extend(render_account(&AccountRecord { receive_time_ns: None, ..record.clone() }));
    }
    has_words
}

fn enveloped(record: &MarketRecord, out: &mut Vec<u8>) {
    let stream = match &record.content {
        MarketContent::Quote(_) => "@bookTicker",
        MarketContent::Book(book) if !book.is_snapshot => "@depth@0ms",
        MarketContent::Mark(_) => "@markPrice@1s",
        MarketContent::Liquidation(_) => "@forceOrder",
        // Answers to questions come in no stream.
        MarketContent::Book(_) | MarketContent::Funding(_) => return binance(record, out),
    };
    put(out, "{\"stream\":\"");
    put(out, &record.instrument.symbol.to_ascii_lowercase());
    put(out, stream);
    put(out, "\",\"data\":");
    binance(record, out);
    out.push(b'}');
}

fn binance(record: &MarketRecord, out: &mut Vec<u8>) {
    let symbol = &record.instrument.symbol;
    let event_time_ms = record.event_time_ns / 1_000_000;
    let sent_ms = record.receive_time_ns.map_or(event_time_ms, |time_ns| time_ns / 1_000_000);
    let head = |out: &mut Vec<u8>, event: &str| {
        put(out, &format!("{{\"e\":\"{event}\",\"E\":{sent_ms},\"T\":{event_time_ms},\"s\":\"{symbol}\""));
    };
    let price = |value: Option<i64>| value.map_or_else(String::new, |value| format_e8(value.into()));
    match &record.content {
        MarketContent::Quote(quote) => {
            head(out, "bookTicker");
            put(out, &format!(",\"u\":{}", quote.update_id.unwrap_or_default()));
            for (keys, level) in [(["b", "B"], quote.bid), (["a", "A"], quote.ask)] {
                let Level { price_e8, quantity_e8 } = level.unwrap_or(Level { price_e8: 0, quantity_e8: 0 });
                for (key, value) in keys.into_iter().zip([price_e8, quantity_e8]) {
                    put(out, &format!(",\"{key}\":\"{}\"", format_e8(value.into())));
                }
            }
            out.push(b'}');
        }
        MarketContent::Book(book) if book.is_snapshot => {
            put(out, &format!("{{\"lastUpdateId\":{},\"E\":{sent_ms},\"T\":{event_time_ms}", book.last_id));
            put(out, &format!(",\"symbol\":\"{symbol}\""));
            put_levels(out, "bids", &book.bids);
            put_levels(out, "asks", &book.asks);
            out.push(b'}');
        }
        MarketContent::Book(book) => {
            head(out, "depthUpdate");
            put(out, &format!(",\"U\":{},\"u\":{}", book.first_id, book.last_id));
            if let Some(previous_id) = book.previous_id {
                put(out, &format!(",\"pu\":{previous_id}"));
            }
            put_levels(out, "b", &book.bids);
            put_levels(out, "a", &book.asks);
            out.push(b'}');
        }
        MarketContent::Mark(mark) => {
            // Its only time is `E`; `T` is that of the next payment.
            put(out, &format!("{{\"e\":\"markPriceUpdate\",\"E\":{event_time_ms},\"s\":\"{symbol}\""));
            put(out, &format!(",\"p\":\"{}\",\"i\":\"{}\"", price(mark.mark_price_e8), price(mark.index_price_e8)));
            put(out, &format!(",\"r\":\"{}\",\"T\":", price(mark.funding_rate_e8)));
            put_integer(out, mark.next_funding_time_ns.unwrap_or_default() / 1_000_000);
            out.push(b'}');
        }
        MarketContent::Funding(funding) => {
            put(out, &format!("{{\"symbol\":\"{symbol}\",\"fundingTime\":{event_time_ms}"));
            put(out, &format!(",\"fundingRate\":\"{}\"", format_e8(funding.rate_e8.into())));
            put(out, &format!(",\"markPrice\":\"{}\"}}", price(funding.mark_price_e8)));
        }
        MarketContent::Liquidation(liquidation) => {
            let side = if liquidation.side == AggressorSide::Buy { "BUY" } else { "SELL" };
            let price = format_e8(liquidation.price_e8.into());
            let quantity = format_e8(liquidation.quantity_e8.into());
            put(out, &format!("{{\"e\":\"forceOrder\",\"E\":{sent_ms},\"o\":{{\"s\":\"{symbol}\",\"S\":\"{side}\""));
            put(
                out,
                &format!(",\"o\":\"LIMIT\",\"f\":\"IOC\",\"q\":\"{quantity}\",\"p\":\"{price}\",\"ap\":\"{price}\""),
            );
            put(out, &format!(",\"X\":\"FILLED\",\"l\":\"{quantity}\",\"z\":\"{quantity}\",\"T\":{event_time_ms}}}}}"));
        }
    }
}

fn put_levels(out: &mut Vec<u8>, key: &str, levels: &[Level]) {
    put(out, &format!(",\"{key}\":["));
    for (number, level) in levels.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let (price, quantity) = (format_e8(level.price_e8.into()), format_e8(level.quantity_e8.into()));
        put(out, &format!("{comma}[\"{price}\",\"{quantity}\"]"));
    }
    out.push(b']');
}
