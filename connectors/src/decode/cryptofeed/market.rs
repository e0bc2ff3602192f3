//! cryptofeed's channels `l1_book`, `funding` and `liquidations`.
//!
//! Its books carry no numbers by which a gap could be told and its tickers no quantities: both stay counted. The side of a
//! liquidation is taken as that of the order.

use crate::decode::fault::Fault;
use crate::decode::json::Object;
use crate::decode::output::{DecodedRecord, Output};
use crate::decode::{Recognised, field, market, time};
use tidewheel_schemas::{DecimalError, Liquidation, Mark, MarketContent, Quote, is_notional_in_range};

/// Decodes an object of a channel; says no to other channels.
pub(super) fn decode(channel: &[u8], object: &Object<'_>, out: &mut Output<'_>) -> Result<Recognised, Fault> {
    let content = match channel {
        b"l1_book" => MarketContent::Quote(Quote {
            update_id: None,
            bid: market::touch(object, "bid_price", "bid_size")?,
            ask: market::touch(object, "ask_price", "ask_size")?,
        }),
        b"funding" => {
            let mark = Mark {
                mark_price_e8: market::price_e8(object, "mark_price", "mark_price")?,
                index_price_e8: None,
                funding_rate_e8: market::rate_e8(object, "rate")?,
                next_funding_time_ns: market::time_ns(object, "next_funding_time", "next_funding_time", time::S)?,
            };
            if mark == Mark::default() {
                return Err(Fault::Missing("funding_rate", "rate"));
            }
            MarketContent::Mark(mark)
        }
        b"liquidations" => {
            let price_e8 = field::price_e8(field::required(object, "price", "price")?)?;
            let quantity_e8 = field::quantity_e8(field::required(object, "quantity", "quantity")?)?;
            if !is_notional_in_range(price_e8, quantity_e8) {
                return Err(Fault::Decimal("price times quantity", DecimalError::OutOfRange));
            }
            let side = field::side(&field::text(field::required(object, "side", "side")?, "side")?)?;
            MarketContent::Liquidation(Liquidation { side, price_e8, quantity_e8, occurrence: 0 })
        }
        _ => return Ok(Recognised::No),
    };
    let venue = field::text(field::required(object, "exchange", "venue")?, "venue")?;
    let symbol = field::text(field::required(object, "symbol", "symbol")?, "symbol")?;
    let receive_time = field::optional(object, "receipt_timestamp", "receive_time")?;
    let found = DecodedRecord {
        event_time_ns: market::time_ns(object, "timestamp", "event_time", time::S)?,
        is_timeless: false,
        receive_time_ns: receive_time.and_then(|value| field::time_ns(value, "receive_time", time::S).ok()),
        content,
    };
    out.market(&venue, &symbol, found)?;
    Ok(Recognised::Yes)
}
