//! Rejects and late records as JSON: what came, from where, and why it is not in the bars.

use super::json::Object;
use tidewheel_schemas::{Amendment, Change, Instrument, LateRecord, Reject, Trade};

/// How much of a rejected record is written; its full length stands in `raw_bytes_total`.
const RAW_LIMIT_BYTES: usize = 64 << 10;

/// Writes a dead letter, which speaks of `records` of a message. The message is `raw` where it is text and `raw_base64` where it is not.
pub(super) fn reject_value(value: &mut Vec<u8>, reject: &Reject, source: &str, tick: u64) {
    let mut object = Object::begin(value);
    object
        .text("source", source)
        .integer("position", reject.position)
        .text("reason", reject.reason.name())
        .integer("records", reject.records)
        .text("detail", &reject.detail);
    let kept = &reject.raw[..reject.raw.len().min(RAW_LIMIT_BYTES)];
    match text_of(kept, kept.len() < reject.raw.len()) {
        Some(text) => object.text("raw", text),
        None => object.text("raw_base64", &base64(kept)),
    };
    object.integer("raw_bytes_total", reject.raw.len() as u64).integer("tick", tick);
    optional(&mut object, "receive_time_ns", reject.receive_time_ns);
    object.end();
}

/// Writes a late record in the canonical form that the decoder reads, with where it came from and how late it was.
pub(super) fn late_value(value: &mut Vec<u8>, late: &LateRecord, source: &str, tick: u64, watermark_ns: i64) {
    let (_, position) = late.source();
    let mut object = Object::begin(value);
    let receive_time_ns = match late {
        LateRecord::Trade { instrument, trade, receive_time_ns, .. } => {
            trade_fields(&mut object, instrument, trade);
            *receive_time_ns
        }
        LateRecord::Amendment(amendment) => {
            amendment_fields(&mut object, amendment);
            amendment.receive_time_ns
        }
    };
    object.text("source", source).integer("position", position).integer("tick", tick);
    object.integer("watermark_ns", watermark_ns);
    optional(&mut object, "receive_time_ns", receive_time_ns);
    object.end();
}

/// What a late record is about.
pub(super) fn instrument_of(late: &LateRecord) -> &Instrument {
    match late {
        LateRecord::Trade { instrument, .. } => instrument,
        LateRecord::Amendment(amendment) => &amendment.instrument,
    }
}

fn trade_fields(object: &mut Object<'_>, instrument: &Instrument, trade: &Trade) {
    object
        .text("type", "trade")
        .text("op", "insert")
        .text("venue", &instrument.venue)
        .text("symbol", &instrument.symbol)
        .text("trade_id", &trade.id.to_string())
        .integer("event_time", trade.event_time_ns)
        .decimal("price", trade.price_e8.into(), 8)
        .decimal("quantity", trade.quantity_e8.into(), 8);
    match trade.side.name() {
        Some(side) => object.text("aggressor_side", side),
        None => object.null("aggressor_side"),
    };
    object.integer("trade_count", trade.count).text("trade_kind", trade.kind.name());
}

fn amendment_fields(object: &mut Object<'_>, amendment: &Amendment) {
    let op = if amendment.change == Change::Cancel { "cancel" } else { "correct" };
    object
        .text("type", "trade")
        .text("op", op)
        .text("venue", &amendment.instrument.venue)
        .text("symbol", &amendment.instrument.symbol)
        .text("trade_id", &amendment.id.to_string());
    match amendment.change {
        Change::Cancel => {
            optional(object, "event_time", amendment.original_time_ns);
        }
        Change::Correct(right) => {
            optional(object, "event_time", right.event_time_ns);
            optional(object, "original_event_time", amendment.original_time_ns);
            if let Some(price_e8) = right.price_e8 {
                object.decimal("price", price_e8.into(), 8);
            }
            if let Some(quantity_e8) = right.quantity_e8 {
                object.decimal("quantity", quantity_e8.into(), 8);
            }
            if let Some(side) = right.side.and_then(tidewheel_schemas::AggressorSide::name) {
                object.text("aggressor_side", side);
            }
        }
    }
    object.integer("sequence", amendment.sequence);
}

fn optional(object: &mut Object<'_>, name: &str, value: Option<i64>) {
    if let Some(value) = value {
        object.integer(name, value);
    }
}

/// The bytes as text; of a record that was cut, without the letter that was cut in half.
fn text_of(bytes: &[u8], cut: bool) -> Option<&str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        Err(error) if cut && error.error_len().is_none() => std::str::from_utf8(&bytes[..error.valid_up_to()]).ok(),
        Err(_) => None,
    }
}

/// RFC 4648, section 4, with padding.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0u32, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            match at <= group.len() {
                true => text.push(char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize])),
                false => text.push('='),
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewheel_schemas::{AggressorSide, Correction, RejectReason, TradeId, TradeKind};

    fn reject(raw: &[u8]) -> Reject {
        Reject {
            partition: 0,
            position: 7,
            reason: RejectReason::Number,
            records: 1,
            detail: "price: not positive".to_owned(),
            raw: raw.into(),
            receive_time_ns: None,
        }
    }

    fn written(raw: &[u8]) -> String {
        let mut value = Vec::new();
        reject_value(&mut value, &reject(raw), "trades[3]", 100);
        serde_json::from_slice::<serde_json::Value>(&value).expect("JSON");
        String::from_utf8(value).expect("text")
    }

    #[test]
    fn a_reject_keeps_its_bytes_as_text_or_as_base64() {
        let head =
            r#"{"source":"trades[3]","position":7,"reason":"number","records":1,"detail":"price: not positive","#;
        let cases: &[(&[u8], &str)] = &[
            (br#"{"p":"-1"}"#, r#""raw":"{\"p\":\"-1\"}","raw_bytes_total":10,"tick":100}"#),
            (b"", r#""raw":"","raw_bytes_total":0,"tick":100}"#),
            (&[0xff, 0xfe], r#""raw_base64":"//4=","raw_bytes_total":2,"tick":100}"#),
            (&[0x61, 0xc3], r#""raw_base64":"YcM=","raw_bytes_total":2,"tick":100}"#),
        ];
        for (raw, tail) in cases {
            assert_eq!(written(raw), format!("{head}{tail}"));
        }
    }

    #[test]
    fn a_long_reject_is_cut_between_letters_and_tells_its_length() {
        let raw = "ü".repeat(RAW_LIMIT_BYTES);
        let text = written(format!("x{raw}").as_bytes());
        let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value["raw"].as_str().map(str::len), Some(RAW_LIMIT_BYTES - 1));
        assert_eq!(value["raw_bytes_total"], 2 * RAW_LIMIT_BYTES + 1);
    }

    #[test]
    fn base64_as_in_the_rfc() {
        let cases =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("foobar", "Zm9vYmFy")];
        for (text, expected) in cases {
            assert_eq!(base64(text.as_bytes()), expected);
        }
    }

    #[test]
    fn late_records_in_canonical_form() {
        let instrument = Instrument::new("kraken", "XBT/USD").expect("a name");
        let amendment = |change| {
            LateRecord::Amendment(Amendment {
                instrument: instrument.clone(),
                id: TradeId::number(9),
                change,
                original_time_ns: Some(5),
                sequence: 2,
                partition: 1,
                position: 8,
                receive_time_ns: Some(6),
                raw: b"raw".as_slice().into(),
            })
        };
        let trade = LateRecord::Trade {
            instrument: instrument.clone(),
            trade: Trade {
                event_time_ns: 1_000,
                id: TradeId::number(9),
                price_e8: 150_000_000,
                quantity_e8: 1,
                count: 1,
                side: AggressorSide::Unknown,
                kind: TradeKind::Market,
            },
            partition: 1,
            position: 8,
            receive_time_ns: None,
        };
        let correction =
            Correction { price_e8: Some(100_000_000), side: Some(AggressorSide::Sell), ..Correction::default() };
        let cases = [
            (
                trade,
                r#"{"type":"trade","op":"insert","venue":"kraken","symbol":"XBT/USD","trade_id":"9","event_time":1000,"price":"1.5","quantity":"0.00000001","aggressor_side":null,"trade_count":1,"trade_kind":"market","source":"t[1]","position":8,"tick":3,"watermark_ns":4}"#,
            ),
            (
                amendment(Change::Cancel),
                r#"{"type":"trade","op":"cancel","venue":"kraken","symbol":"XBT/USD","trade_id":"9","event_time":5,"sequence":2,"source":"t[1]","position":8,"tick":3,"watermark_ns":4,"receive_time_ns":6}"#,
            ),
            (
                amendment(Change::Correct(correction)),
                r#"{"type":"trade","op":"correct","venue":"kraken","symbol":"XBT/USD","trade_id":"9","original_event_time":5,"price":"1","aggressor_side":"sell","sequence":2,"source":"t[1]","position":8,"tick":3,"watermark_ns":4,"receive_time_ns":6}"#,
            ),
        ];
        for (late, expected) in cases {
            let mut value = Vec::new();
            late_value(&mut value, &late, "t[1]", 3, 4);
            assert_eq!(String::from_utf8_lossy(&value), expected);
            assert_eq!(instrument_of(&late), &instrument);
        }
    }
}
