//! Events as the messages of venues.
//!
//! Malformed events come out broken as their [`Damage`] says. Times are cut to what the format can say; a market made by
//! [`super::MarketConfig::for_format`] loses nothing.

mod binance;
mod bybit;
mod canonical;
mod coinbase;
mod cryptofeed;
mod csv;
mod kraken;
mod market;
mod text;

pub use self::csv::{csv_columns, csv_header};
pub use market::{render_account_record, render_record};

use super::event::{Cause, Damage, Event};
use crate::decode::Format;
use crate::file::Op;
use tidewheel_schemas::Instrument;

/// A format that events can be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireFormat {
    /// Tidewheel's own JSON; the only one that says cancels and corrections.
    Canonical,
    /// Binance `trade`, and `aggTrade` for trades of several fills.
    Binance,
    /// The same in the envelope of a combined stream.
    BinanceEnvelope,
    /// cryptofeed's Kafka backend.
    Cryptofeed,
    /// Bybit v5 `publicTrade`.
    Bybit,
    /// Coinbase Exchange `match`.
    Coinbase,
    /// Kraken websocket v2 `trade`.
    Kraken,
    /// Comma-separated values with the columns of [`csv_columns`].
    Csv,
}

impl WireFormat {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Canonical,
        Self::Binance,
        Self::BinanceEnvelope,
        Self::Cryptofeed,
        Self::Bybit,
        Self::Coinbase,
        Self::Kraken,
        Self::Csv,
    ];

    /// The decoder that reads it.
    pub const fn format(self) -> Format {
        match self {
            Self::Canonical => Format::Canonical,
            Self::Binance | Self::BinanceEnvelope => Format::Binance,
            Self::Cryptofeed => Format::Cryptofeed,
            Self::Bybit => Format::Bybit,
            Self::Coinbase => Format::Coinbase,
            Self::Kraken => Format::Kraken,
            Self::Csv => Format::Csv,
        }
    }

    /// Whether it can say cancels and corrections.
    pub const fn has_amendments(self) -> bool {
        matches!(self, Self::Canonical)
    }
}

/// Appends an event without a line end. Says no, and appends nothing, where the format has no words for it.
pub fn render(event: &Event, instrument: &Instrument, format: WireFormat, out: &mut Vec<u8>) -> bool {
    if event.op != Op::Insert && !format.has_amendments() {
        return false;
    }
    let start = out.len();
    match format {
        WireFormat::Canonical => canonical::render(event, instrument, out),
        WireFormat::Binance => binance::render(event, instrument, out),
        WireFormat::BinanceEnvelope => binance::render_envelope(event, instrument, out),
        WireFormat::Cryptofeed => cryptofeed::render(event, instrument, out),
        WireFormat::Bybit => bybit::render(event, instrument, out),
        WireFormat::Coinbase => coinbase::render(event, instrument, out),
        WireFormat::Kraken => kraken::render(event, instrument, out),
        WireFormat::Csv => csv::render(event, instrument, out),
    }
    match event.cause {
        Cause::Malformed(Damage::Cut) => {
            let comma = out[start..].iter().position(|&byte| byte == b',').unwrap_or(0);
            let kept = if format == WireFormat::Csv { comma } else { (out.len() - start) / 2 };
            out.truncate(start + kept);
        }
        Cause::Malformed(Damage::Noise) => {
            out.truncate(start);
            out.extend_from_slice(b"this is not a record");
        }
        _ => {}
    }
    true
}

#[cfg(test)]
mod tests {
    use super::super::{Market, MarketConfig};
    use super::*;
    use tidewheel_schemas::{AggressorSide, Trade, TradeId, TradeKind};

    fn event(cause: Cause, op: Op) -> Event {
        let trade = Trade {
            event_time_ns: 1_723_161_253_937_085_000,
            id: TradeId::number(42),
            price_e8: 6_183_763_000_000,
            quantity_e8: 50_000_001,
            count: 1,
            side: AggressorSide::Sell,
            kind: TradeKind::Market,
        };
        Event { cause, op, instrument: 0, trade, receive_time_ns: 1_723_161_253_942_000_000 }
    }

    #[track_caller]
    fn check(format: WireFormat, symbol: &str, event: &Event, expected: &str) {
        let mut out = Vec::new();
        let instrument = Instrument::new("binance", symbol).expect("a good name");
        assert_eq!(render(event, &instrument, format, &mut out), !expected.is_empty());
        assert_eq!(String::from_utf8_lossy(&out), expected);
    }

    #[test]
    fn one_trade_in_every_format() {
        let fresh = event(Cause::Fresh, Op::Insert);
        check(
            WireFormat::Canonical,
            "BTCUSDT",
            &fresh,
            r#"{"type":"trade","op":"insert","venue":"binance","symbol":"BTCUSDT","trade_id":"42","event_time":1723161253937085000,"price":"61837.63","quantity":"0.50000001","aggressor_side":"sell"}"#,
        );
        let binance = r#"{"e":"trade","E":1723161253942,"s":"BTCUSDT","t":42,"p":"61837.63000000","q":"0.50000001","T":1723161253937,"m":true,"M":true}"#;
        check(WireFormat::Binance, "BTCUSDT", &fresh, binance);
        check(
            WireFormat::BinanceEnvelope,
            "BTCUSDT",
            &fresh,
            &format!(r#"{{"stream":"btcusdt@trade","data":{binance}}}"#),
        );
        check(
            WireFormat::Cryptofeed,
            "BTC-USDT",
            &fresh,
            r#"{"exchange":"BINANCE","symbol":"BTC-USDT","side":"sell","amount":0.50000001,"price":61837.63,"id":"42","type":null,"timestamp":1723161253.937,"receipt_timestamp":1723161253.942}"#,
        );
        check(
            WireFormat::Bybit,
            "BTCUSDT",
            &fresh,
            r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1723161253942,"data":[{"T":1723161253937,"s":"BTCUSDT","S":"Sell","v":"0.50000001","p":"61837.63","L":"ZeroPlusTick","i":"42","BT":false}]}"#,
        );
        check(
            WireFormat::Coinbase,
            "BTC-USDT",
            &fresh,
            r#"{"type":"match","trade_id":42,"side":"buy","size":"0.50000001","price":"61837.63","product_id":"BTC-USDT","sequence":42,"time":"2024-08-08T23:54:13.937085Z"}"#,
        );
        check(
            WireFormat::Kraken,
            "BTC/USDT",
            &fresh,
            r#"{"channel":"trade","type":"update","data":[{"symbol":"BTC/USDT","side":"sell","price":61837.63,"qty":0.50000001,"ord_type":"market","trade_id":42,"timestamp":"2024-08-08T23:54:13.937085Z"}]}"#,
        );
        check(WireFormat::Csv, "BTCUSDT", &fresh, "1723161253937085000,BTCUSDT,42,61837.63,0.50000001,sell");
    }

    #[test]
    fn cancels_corrections_and_several_fills() {
        let cancel = event(Cause::Cancel, Op::Cancel);
        check(
            WireFormat::Canonical,
            "BTCUSDT",
            &cancel,
            r#"{"type":"trade","op":"cancel","venue":"binance","symbol":"BTCUSDT","trade_id":"42","event_time":1723161253937085000}"#,
        );
        check(WireFormat::Binance, "BTCUSDT", &cancel, "");
        let mut several = event(Cause::Correct, Op::Correct);
        several.trade.count = 3;
        check(
            WireFormat::Canonical,
            "BTCUSDT",
            &several,
            r#"{"type":"trade","op":"correct","venue":"binance","symbol":"BTCUSDT","trade_id":"42","event_time":1723161253937085000,"original_event_time":1723161253937085000,"price":"61837.63","quantity":"0.50000001","aggressor_side":"sell"}"#,
        );
        several.op = Op::Insert;
        check(
            WireFormat::Binance,
            "BTCUSDT",
            &several,
            r#"{"e":"aggTrade","E":1723161253942,"s":"BTCUSDT","a":42,"p":"61837.63000000","q":"0.50000001","f":672,"l":674,"T":1723161253937,"m":true,"M":true}"#,
        );
    }

    #[test]
    fn every_damage_in_every_format_shows() {
        let config = MarketConfig { trades: 3, ..MarketConfig::default() };
        let market = Market::new(config).expect("a sound market");
        let instrument = market.instruments()[0].clone();
        for format in WireFormat::ALL {
            let text = |cause| {
                let mut out = Vec::new();
                assert!(render(&event(cause, Op::Insert), &instrument, format, &mut out));
                out
            };
            let good = text(Cause::Fresh);
            for damage in Damage::ALL {
                let bad = text(Cause::Malformed(damage));
                assert_ne!(bad, good, "{format:?} {damage:?}");
                assert!(!bad.contains(&b'\n'));
                assert_eq!(std::str::from_utf8(&bad).is_err(), damage == Damage::BadUtf8, "{format:?} {damage:?}");
            }
        }
    }
}
