//! A bar as a Kafka record: its key, its value, its headers.

use super::json::{Object, push_decimal};
use rdkafka::message::{Header, OwnedHeaders};
use tidewheel_schemas::{Bar, BarVersion, Instrument};

/// What the value of a bar looks like: the header `schema`. A change of the value's fields changes it.
pub(super) const BAR_SCHEMA: &str = "tidewheel.bar.v1";

const MS_NS: i64 = 1_000_000;

/// Writes `venue|symbol|interval|open_time_ms`.
pub(super) fn bar_key(key: &mut Vec<u8>, version: &BarVersion) {
    key.clear();
    push_name(key, &version.instrument);
    key.push(b'|');
    key.extend_from_slice(version.interval.name().as_bytes());
    key.push(b'|');
    push_decimal(key, i128::from(version.open_time_ns / MS_NS), 0);
}

/// Appends `venue|symbol`.
pub(super) fn push_name(key: &mut Vec<u8>, instrument: &Instrument) {
    key.extend_from_slice(instrument.venue.as_bytes());
    key.push(b'|');
    key.extend_from_slice(instrument.symbol.as_bytes());
}

/// Writes the bar as JSON: times in milliseconds, prices and volumes as exact decimals in text.
pub(super) fn bar_value(value: &mut Vec<u8>, version: &BarVersion, bar: &Bar) {
    let mut object = Object::begin(value);
    object
        .text("venue", &version.instrument.venue)
        .text("symbol", &version.instrument.symbol)
        .text("interval", version.interval.name())
        .integer("open_time", version.open_time_ns / MS_NS)
        .integer("close_time", version.close_time_ns() / MS_NS)
        .decimal("open", bar.open_e8.into(), 8)
        .decimal("high", bar.high_e8.into(), 8)
        .decimal("low", bar.low_e8.into(), 8)
        .decimal("close", bar.close_e8.into(), 8)
        .decimal("volume", bar.volume_e8, 8)
        .decimal("quote_volume", bar.quote_volume_e16, 16)
        .decimal("taker_buy_volume", bar.taker_buy_volume_e8, 8)
        .decimal("taker_buy_quote_volume", bar.taker_buy_quote_volume_e16, 16)
        .integer("trade_count", bar.trade_count);
    match bar.vwap() {
        Some(vwap) => object.display("vwap", vwap),
        None => object.null("vwap"),
    };
    object
        .text("first_trade_id", &bar.first.id.to_string())
        .text("last_trade_id", &bar.last.id.to_string())
        .integer("revision", version.revision)
        .display("is_final", version.is_final)
        .integer("tick", version.tick)
        .end();
}

/// `tick`, `revision` and `schema`, as text: what a record without a value must say too.
pub(super) fn bar_headers(version: &BarVersion) -> OwnedHeaders {
    headers(version.tick, Some(version.revision), BAR_SCHEMA)
}

/// `tick`, `revision` where there is one, and `schema`, as text.
pub(super) fn headers(tick: u64, revision: Option<u32>, schema: &str) -> OwnedHeaders {
    let mut number = Vec::with_capacity(20);
    push_decimal(&mut number, tick.into(), 0);
    let mut headers = OwnedHeaders::new_with_capacity(3).insert(Header { key: "tick", value: Some(&number) });
    if let Some(revision) = revision {
        number.clear();
        push_decimal(&mut number, revision.into(), 0);
        headers = headers.insert(Header { key: "revision", value: Some(&number) });
    }
    headers.insert(Header { key: "schema", value: Some(schema) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rdkafka::message::Headers;
    use tidewheel_schemas::{AggressorSide, Interval, Trade, TradeId, TradeKind};

    fn version() -> BarVersion {
        let trade = |id: &str, price_e8, side| Trade {
            event_time_ns: 1_700_000_040_000_000_000,
            id: TradeId::parse(id.as_bytes()).expect("a supported id"),
            price_e8,
            quantity_e8: 50_000_000,
            count: 1,
            side,
            kind: TradeKind::Market,
        };
        let mut bar = Bar::of(&trade("41", 10_000_000_000, AggressorSide::Buy));
        bar.add(&trade("a\"b", 10_100_000_001, AggressorSide::Sell));
        BarVersion {
            instrument: Instrument::new("binance", "BTC/USDT").expect("a name"),
            interval: Interval::M1,
            open_time_ns: 1_700_000_040_000_000_000,
            tick: 1_700_000_100_000,
            revision: 2,
            is_final: true,
            bar: Some(bar),
        }
    }

    #[test]
    fn a_bar_as_key_value_and_headers() {
        let version = version();
        let (mut key, mut value) = (Vec::new(), Vec::new());
        bar_key(&mut key, &version);
        assert_eq!(String::from_utf8_lossy(&key), "binance|BTC/USDT|1m|1700000040000");
        bar_value(&mut value, &version, version.bar.as_ref().expect("a bar"));
        let expected = concat!(
            r#"{"venue":"binance","symbol":"BTC/USDT","interval":"1m","open_time":1700000040000,"#,
            r#""close_time":1700000100000,"open":"100","high":"101.00000001","low":"100","close":"101.00000001","#,
            r#""volume":"1","quote_volume":"100.500000005","taker_buy_volume":"0.5","taker_buy_quote_volume":"50","#,
            r#""trade_count":2,"vwap":100.500000005,"first_trade_id":"41","last_trade_id":"a\"b","revision":2,"#,
            r#""is_final":true,"tick":1700000100000}"#
        );
        assert_eq!(String::from_utf8_lossy(&value), expected);
        serde_json::from_slice::<serde_json::Value>(&value).expect("JSON");
        let headers = bar_headers(&version);
        let headers: Vec<(&str, Option<&[u8]>)> = headers.iter().map(|header| (header.key, header.value)).collect();
        let expected: [(&str, Option<&[u8]>); 3] =
            [("tick", Some(b"1700000100000")), ("revision", Some(b"2")), ("schema", Some(b"tidewheel.bar.v1"))];
        assert_eq!(headers, expected);
    }
}
