//! Real sessions through the decoders: every message accounted for, none refused.
//!
//! The captures are no part of the repository; where they are missing, the tests say so and pass.

use flate2::read::MultiGzDecoder;
use std::io::Read;
use std::path::PathBuf;
use tidewheel_connectors::decode::{CsvColumns, DecodeConfig, Decoder, Format};
use tidewheel_connectors::file::cut_receive_time;
use tidewheel_connectors::source::{DecodedChunk, MessageBlock};
use tidewheel_schemas::{AggressorSide, Bar, MarketContent, MarketRecord, format_e8, format_e16, parse_e8};

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

/// Decodes the lines of a session, each with the receive time before it. Messages without a symbol are of `symbol`.
fn decode_lines(text: &[u8], format: Format, symbol: Option<&str>) -> (usize, DecodedChunk) {
    let mut block = MessageBlock::default();
    let lines = text.split(|&byte| byte == b'\n').enumerate().filter(|(_, line)| !line.is_empty());
    lines.for_each(|(at, line)| {
        let (receive_time_ns, message) = cut_receive_time(line);
        block.push(message, at as u64 + 1, receive_time_ns);
    });
    let messages = block.messages.len();
    let symbol = symbol.map(str::to_owned);
    (messages, Decoder::new(DecodeConfig { format, symbol, ..DecodeConfig::default() }).decode(block))
}

/// Messages that have left something behind.
fn accounted(chunk: &DecodedChunk) -> usize {
    let mut positions: Vec<u64> = chunk.columns.position.clone();
    positions.extend(chunk.market.iter().map(|record| record.position));
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
            let (messages, chunk) = decode_lines(&text, format, symbol_of(name));
            assert_eq!(chunk.rejects.first(), None, "{name} as {format:?}");
            assert_eq!((chunk.columns.len(), accounted(&chunk)), (trades, messages), "{name} as {format:?}");
        }
    }
}

/// The snapshots in these recordings were asked for by a tool that did not write down the question.
fn symbol_of(name: &str) -> Option<&'static str> {
    name.starts_with("binance_wire/").then_some("BTCUSDT")
}

/// What a market record says, with its numbers as the venue wrote them.
#[derive(Debug, PartialEq)]
struct Told {
    position: u64,
    symbol: String,
    event_time_ns: i64,
    ids: Vec<u64>,
    levels: Vec<(String, String)>,
}

/// Reads the market's messages of a session without any decoder of ours: quotes, changes, snapshots.
fn told(text: &str, symbol: Option<&str>) -> [Vec<Told>; 3] {
    let mut found = [const { Vec::new() }; 3];
    for (number, line) in (1..).zip(text.lines()) {
        // What stands before the message: the receive time, or a question with its answer's time.
        let Some((before, json)) = line.find(" {").map(|at| line.split_at(at)) else { continue };
        let Ok(message) = serde_json::from_str::<serde_json::Value>(json) else { continue };
        let payload = message.get("data").unwrap_or(&message);
        let kind = match payload.get("e").and_then(|event| event.as_str()) {
            Some("bookTicker") => 0,
            None if payload.get("B").is_some() && payload.get("A").is_some() => 0,
            Some("depthUpdate") => 1,
            None if payload.get("lastUpdateId").is_some() => 2,
            _ => continue,
        };
        let asked = before.split_once("symbol=").and_then(|(_, rest)| rest.split('&').next());
        let own = ["s", "symbol"].iter().find_map(|key| payload.get(key)).and_then(|symbol| symbol.as_str());
        let time_ms = ["T", "E"].iter().find_map(|key| payload.get(key)).and_then(|time| time.as_i64());
        let id = |key: &str| payload.get(key).map(|id| id.as_u64().expect("a number"));
        let text = |value: &serde_json::Value| value.as_str().expect("a decimal").to_owned();
        let sides = |keys: [&str; 2]| -> Vec<(String, String)> {
            let levels = keys.map(|key| payload[key].as_array().expect("levels").clone());
            levels.iter().flatten().map(|level| (text(&level[0]), text(&level[1]))).collect()
        };
        found[kind].push(Told {
            position: number,
            symbol: own.or(asked).or(symbol).expect("a symbol").to_owned(),
            event_time_ns: time_ms.map_or_else(|| received_ns(before), |time| time * 1_000_000),
            ids: match kind {
                0 => id("u").into_iter().collect(),
                1 => ["U", "u", "pu"].into_iter().filter_map(id).collect(),
                _ => id("lastUpdateId").into_iter().collect(),
            },
            levels: match kind {
                0 => [("b", "B"), ("a", "A")].map(|(price, size)| (text(&payload[price]), text(&payload[size]))).into(),
                1 => sides(["b", "a"]),
                _ => sides(["bids", "asks"]),
            },
        });
    }
    found
}

/// The time before a message: `<nanoseconds>`, `<seconds>:` or `<address> -> <seconds>:`.
fn received_ns(before: &str) -> i64 {
    let digits = before.rsplit(' ').next().expect("a word").trim_end_matches(':');
    match digits.split_once('.') {
        None => digits.parse().expect("nanoseconds"),
        Some((seconds, fraction)) => format!("{seconds}{fraction:0<9}").parse().expect("seconds"),
    }
}

/// The same of a record, its numbers written with as many places as the venue wrote.
fn shown(record: &MarketRecord, like: &Told) -> Told {
    let mut levels = Vec::new();
    let mut ids = Vec::new();
    match &record.content {
        MarketContent::Quote(quote) => {
            ids.extend(quote.update_id);
            levels.extend([quote.bid, quote.ask].map(|level| level.expect("both sides")));
        }
        MarketContent::Book(book) => {
            assert_eq!(book.sequence, book.last_id);
            ids.extend((!book.is_snapshot).then_some(book.first_id));
            ids.push(book.last_id);
            ids.extend(book.previous_id);
            levels.extend(book.bids.iter().chain(&*book.asks));
        }
        other => panic!("{other:?} in a session without"),
    }
    let places = |text: &str| text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let written = |value_e8: i64, like: &str| {
        let (whole, fraction) = (value_e8 / 100_000_000, format!("{:08}", value_e8 % 100_000_000));
        let (kept, cut) = fraction.split_at(places(like));
        assert!(cut.bytes().all(|digit| digit == b'0'), "{value_e8} has more places than {like}");
        if kept.is_empty() { whole.to_string() } else { format!("{whole}.{kept}") }
    };
    assert_eq!(levels.len(), like.levels.len(), "{like:?}");
    let pairs = levels.iter().zip(&like.levels);
    let pairs = pairs.map(|(level, (price, size))| (written(level.price_e8, price), written(level.quantity_e8, size)));
    Told {
        position: record.position,
        symbol: record.instrument.symbol.to_string(),
        event_time_ns: record.event_time_ns,
        ids,
        levels: pairs.collect(),
    }
}

/// Every quote and every update of a book in these sessions, number by number, against a walk through the JSON.
#[test]
fn market_messages_decode_to_what_they_say() {
    let sessions = [
        ("binance_wire/spot_btcusdt_20240808.gz", [28_040, 3_451, 1]),
        ("binance_wire/spot_btcusdt_20240809.gz", [45_134, 3_044, 0]),
        ("binance_wire/usdm_btcusdt_20240808.gz", [66_089, 6_551, 1]),
        ("captures/BINANCE.http.0.0.gz", [0, 0, 4]),
        ("captures/BINANCE.ws.1.0.gz", [84, 177, 0]),
        ("captures/BINANCE_DELIVERY.http.0.0.gz", [0, 0, 10]),
        ("captures/BINANCE_DELIVERY.ws.1.0.gz", [2_240, 2_047, 0]),
        ("captures/BINANCE_FUTURES.http.0.0.gz", [0, 0, 4]),
        ("captures/BINANCE_FUTURES.ws.1.0.gz", [613, 764, 0]),
        ("captures/BINANCE_TR.http.0.0.gz", [0, 0, 3]),
        ("captures/BINANCE_TR.ws.1.0.gz", [47, 84, 0]),
        ("captures/BINANCE_US.http.0.0.gz", [0, 0, 4]),
        ("captures/BINANCE_US.ws.1.0.gz", [128, 336, 0]),
    ];
    for (name, counts) in sessions {
        let Some(text) = read(name) else { continue };
        let (_, chunk) = decode_lines(&text, Format::Auto, symbol_of(name));
        let expected = told(std::str::from_utf8(&text).expect("text"), symbol_of(name));
        let mut found = [const { Vec::new() }; 3];
        for record in &chunk.market {
            let kind = match &record.content {
                MarketContent::Quote(_) => 0,
                MarketContent::Book(book) if !book.is_snapshot => 1,
                _ => 2,
            };
            let at = found[kind].len();
            found[kind].push(shown(record, expected[kind].get(at).expect("as many as the session has")));
        }
        let levels: usize = expected.iter().flatten().map(|told| told.levels.len()).sum();
        println!(
            "{name}: {} quotes, {} changes, {} snapshots, {levels} levels",
            found[0].len(),
            found[1].len(),
            found[2].len()
        );
        assert_eq!([0, 1, 2].map(|kind| expected[kind].len()), counts, "{name}");
        assert!(found == expected, "{name}: a record is not what its message says");
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
    let chunks: Vec<DecodedChunk> =
        files.iter().map(|text| decode_lines(text, Format::Auto, Some("BTCUSDT")).1).collect();
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
    let (messages, chunk) = decode_lines(&text, Format::Auto, None);
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
