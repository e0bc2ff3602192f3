//! Real sessions through the decoders: every message accounted for, none refused.
//!
//! The captures are no part of the repository; where they are missing, the tests say so and pass.

use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::PathBuf;
use tidewheel_connectors::decode::{CsvColumns, DecodeConfig, Decoder, Format};
use tidewheel_connectors::source::{DecodedChunk, MessageBlock};
use tidewheel_schemas::{AggressorSide, Bar, format_e8, format_e16, parse_e8};

/// Nothing, and a line that says so, where the data is not there.
fn read(name: &str) -> Option<Vec<u8>> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(name);
    let Ok(bytes) = std::fs::read(&path) else {
        println!("skipped {name}: not found under ../shared/data beside the repository");
        return None;
    };
    if !name.ends_with(".gz") {
        return Some(bytes);
    }
    let mut text = Vec::new();
    MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).expect("a whole gzip file");
    Some(text)
}

/// Cuts the receive time off a line: `<nanoseconds> <json>` or `<seconds>: <json>`.
fn without_prefix(line: &[u8]) -> &[u8] {
    let end = line.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(0);
    match line.get(end..) {
        Some([b':', b' ', rest @ ..] | [b' ', rest @ ..]) if end > 0 => rest,
        _ => line,
    }
}

fn decode_lines(text: &[u8], format: Format) -> (usize, DecodedChunk) {
    let mut block = MessageBlock::default();
    let lines = text.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines.for_each(|(at, line)| block.push(without_prefix(line), at as u64 + 1, None));
    let messages = block.messages.len();
    (messages, Decoder::new(DecodeConfig { format, ..DecodeConfig::default() }).decode(block))
}

/// Messages that have left something behind.
fn accounted(chunk: &DecodedChunk) -> usize {
    let mut positions: Vec<u64> = chunk.columns.position.clone();
    positions.extend(chunk.rejects.iter().map(|reject| reject.position));
    positions.sort_unstable();
    positions.dedup();
    positions.len() + chunk.ignored.values().sum::<u64>() as usize
}

#[test]
fn sessions_decode_without_a_reject() {
    use Format::*;
    let sessions = [
        ("binance_wire/spot_btcusdt_20240808.gz", Binance, 9_757),
        ("binance_wire/spot_btcusdt_20240809.gz", Binance, 10_147),
        ("binance_wire/usdm_btcusdt_20240808.gz", Binance, 21_313),
        ("captures/BINANCE.0.gz", Binance, 0),
        ("captures/BINANCE.http.0.0.gz", Binance, 0),
        ("captures/BINANCE.ws.1.0.gz", Binance, 2),
        ("captures/BINANCE_DELIVERY.0.gz", Binance, 0),
        ("captures/BINANCE_DELIVERY.http.0.0.gz", Binance, 0),
        ("captures/BINANCE_DELIVERY.ws.1.0.gz", Binance, 51),
        ("captures/BINANCE_FUTURES.0.gz", Binance, 0),
        ("captures/BINANCE_FUTURES.http.0.0.gz", Binance, 0),
        ("captures/BINANCE_FUTURES.ws.1.0.gz", Binance, 91),
        ("captures/BINANCE_TR.0.gz", Binance, 0),
        ("captures/BINANCE_TR.http.0.0.gz", Binance, 0),
        ("captures/BINANCE_TR.ws.1.0.gz", Binance, 0),
        ("captures/BINANCE_US.0.gz", Binance, 0),
        ("captures/BINANCE_US.http.0.0.gz", Binance, 0),
        ("captures/BINANCE_US.ws.1.0.gz", Binance, 11),
        ("captures/BYBIT.0.gz", Bybit, 0),
        ("captures/BYBIT.ws.25.0.gz", Bybit, 101),
        ("captures/BYBIT.ws.26.0.gz", Bybit, 150),
        ("captures/COINBASE.0.gz", Coinbase, 0),
        ("captures/COINBASE.ws.28.0.gz", Coinbase, 107),
        ("captures/KRAKEN.0.gz", Kraken, 0),
        ("captures/KRAKEN.ws.48.0.gz", Kraken, 10),
        ("captures/KRAKEN.ws.49.0.gz", Kraken, 0),
        ("captures/KRAKEN.ws.50.0.gz", Kraken, 0),
        ("kraken/trades.json", Kraken, 488),
    ];
    for (name, own, trades) in sessions {
        let Some(text) = read(name) else { continue };
        for format in [own, Auto] {
            let (messages, chunk) = decode_lines(&text, format);
            assert_eq!(chunk.rejects.first(), None, "{name} as {format:?}");
            assert_eq!((chunk.columns.len(), accounted(&chunk)), (trades, messages), "{name} as {format:?}");
        }
    }
}

/// The exchange's own candles of the two five-minute bars that the capture holds completely.
#[test]
fn decoded_trades_add_up_to_the_exchange_s_candles() {
    const STEP_NS: i64 = 300 * 1_000_000_000;
    let folder = "binance_wire";
    let names = ["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"];
    let files: Vec<Vec<u8>> = names.iter().filter_map(|name| read(&format!("{folder}/{name}"))).collect();
    let Some(candles) = read(&format!("{folder}/BTCUSDT-spot-klines-5m-2024-08-08_09.csv")) else { return };
    let chunks: Vec<DecodedChunk> = files.iter().map(|text| decode_lines(text, Format::Auto).1).collect();
    let candles = String::from_utf8(candles).expect("text");
    for open_time_ms in [1_723_161_300_000_i64, 1_723_161_600_000] {
        let bars = chunks.iter().flat_map(|chunk| (0..chunk.columns.len()).map(|row| chunk.columns.trade(row)));
        let open_time_ns = open_time_ms * 1_000_000;
        let inside = bars.filter(|trade| (open_time_ns..open_time_ns + STEP_NS).contains(&trade.event_time_ns));
        let bars: Vec<Bar> = inside.map(|trade| Bar::of(&trade)).collect();
        let bar = Bar::merge_all(&bars).expect("trades in the bar");
        let row = candles.lines().find(|row| row.starts_with(&open_time_ms.to_string())).expect("the candle");
        let candle: Vec<&str> = row.split(',').collect();
        let e8 = |column: usize| format_e8(parse_e8(candle[column].as_bytes()).expect("a decimal").into());
        let prices = [bar.open_e8, bar.high_e8, bar.low_e8, bar.close_e8].map(|price| format_e8(price.into()));
        assert_eq!(prices, [e8(1), e8(2), e8(3), e8(4)]);
        assert_eq!([format_e8(bar.volume_e8), format_e8(bar.taker_buy_volume_e8)], [e8(5), e8(9)]);
        assert_eq!([format_e16(bar.quote_volume_e16), format_e16(bar.taker_buy_quote_volume_e16)], [e8(7), e8(10)]);
        assert_eq!(bar.trade_count.to_string(), candle[8]);
    }
}

#[test]
fn a_venue_without_a_decoder_does_not_vanish() {
    let Some(text) = read("captures/BITSTAMP.ws.1.0.gz") else { return };
    let (messages, chunk) = decode_lines(&text, Format::Auto);
    assert_eq!((chunk.columns.len(), accounted(&chunk)), (0, messages));
    let trades =
        chunk.rejects.iter().filter(|reject| reject.raw.windows(15).any(|part| part == b"\"event\":\"trade\""));
    assert_eq!(trades.count(), 10);
}

#[test]
fn aggregated_trades_count_their_fills() {
    let Some(text) = read("agg_trades/XRPETH-aggTrades-2019-10-11_13.json.gz") else { return };
    let mut block = MessageBlock::default();
    block.push(&text, 1, None);
    let chunk = Decoder::new(DecodeConfig { symbol: Some("XRPETH".into()), ..DecodeConfig::default() }).decode(block);
    assert_eq!(chunk.rejects, []);
    let fills: u64 = chunk.columns.count.iter().map(|count| u64::from(*count)).sum();
    assert_eq!((chunk.columns.len(), fills), (12_477, 14_672));
    assert_eq!(format!("{:?}", chunk.columns.instruments), "[binance|XRPETH]");
}

#[test]
fn rows_of_signed_sizes() {
    let Some(text) = read("bitmex/XBTUSD-trades-2018-01-01_02.csv.gz") else { return };
    let mut lines = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    let header = String::from_utf8(lines.next().expect("a header").to_vec()).expect("text");
    let names: Vec<&str> = header.trim().split(',').collect();
    let [time, price, size] = names[..] else { panic!("unexpected columns {names:?}") };
    let mut block = MessageBlock { header: Some(header.as_str().into()), ..MessageBlock::default() };
    lines.enumerate().for_each(|(at, line)| block.push(line, at as u64 + 2, None));
    let columns = CsvColumns {
        time: time.into(),
        price: price.into(),
        quantity: size.into(),
        signed: true,
        ..CsvColumns::default()
    };
    let (venue, symbol) = (Some("bitmex".into()), Some("XBTUSD".into()));
    let config = DecodeConfig { format: Format::Csv, venue, symbol, csv: columns, ..DecodeConfig::default() };
    let chunk = Decoder::new(config).decode(block);
    assert_eq!((chunk.columns.len(), chunk.rejects.first()), (501_825, None));
    assert!(chunk.columns.side.iter().all(|side| *side != AggressorSide::Unknown));
}
