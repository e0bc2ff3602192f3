//! Real sessions through the decoders: every message accounted for, none refused.
//!
//! The captures are no part of the repository; where they are missing, the tests say so and pass.

use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::PathBuf;
use tidewheel_connectors::decode::{CsvColumns, DecodeConfig, Decoder, Format};
use tidewheel_connectors::source::{DecodedChunk, MessageBlock};
use tidewheel_schemas::AggressorSide;

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
