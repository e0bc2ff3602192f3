//! Messages a second through the decoder on one thread, beside a loop that only parses the same JSON into a borrowing struct.
//!
//! Estimate: 150 bytes of JSON at about 1 GB/s is 150 ns, plus 50 ns to read the fields and 20 ns to store the row: 4.5 M/s.
//! Measured on two busy cores of a cloud machine: bare parse 3.0 to 3.2 M/s, binance trade 3.5 to 3.9 M/s, the same in an
//! envelope 3.1 M/s, serialised twice 1.25 M/s, canonical over 5,000 symbols 2.1 M/s, CSV 9 to 10 M/s.
//! A quote in an envelope 2.4 M/s; a change of a book with 20 levels in 530 bytes 0.31 M/s, which is 160 ns a level.

use std::hint::black_box;
use std::time::Instant;
use tidewheel_connectors::decode::{DecodeConfig, Decoder, Format};
use tidewheel_connectors::source::MessageBlock;

const MESSAGES: u64 = 20_000;
/// Short and many: the best of them was not interrupted.
const ROUNDS: u32 = 150;

/// What a program would read at least: the fields of a trade, unparsed.
#[derive(serde::Deserialize)]
#[expect(dead_code, reason = "parsing is what is measured")]
struct Bare<'a> {
    e: &'a str,
    s: &'a str,
    t: u64,
    p: &'a str,
    q: &'a str,
    #[serde(rename = "T")]
    time: u64,
    m: bool,
}

fn main() {
    let spot = |n: u64| {
        format!(
            r#"{{"e":"trade","E":{},"s":"BTCUSDT","t":{},"p":"61837.{:02}000000","q":"0.{:08}","T":{},"m":{},"M":true}}"#,
            1_723_161_255_343 + n,
            3_735_683_259 + n,
            n % 100,
            n % 10_000 * 1_000 + 1_000,
            1_723_161_255_342 + n,
            n.is_multiple_of(2),
        )
    };
    let canonical = |n: u64| {
        format!(
            r#"{{"type":"trade","op":"insert","venue":"binance","symbol":"SYM{}","trade_id":"{}","event_time":{},"price":"61837.{:02}","quantity":"0.02","aggressor_side":"buy"}}"#,
            n % 5_000,
            n,
            1_723_161_255_342_000_000 + n,
            n % 100,
        )
    };
    let row = |n: u64| format!("{},{},61837.{:02},0.0{},true", n, 1_723_161_255_342 + n, n % 100, n % 10_000 + 1);
    bare(&block(&spot));
    measure("binance trade", Format::Binance, &spot);
    measure("binance trade, told by shape", Format::Auto, &spot);
    let envelope = |n: u64| format!(r#"{{"stream":"btcusdt@trade","data":{}}}"#, spot(n));
    measure("binance trade in an envelope, told by shape", Format::Auto, &envelope);
    measure("binance trade, serialised twice", Format::Auto, &|n| serde_json::Value::String(spot(n)).to_string());
    measure("canonical, 5,000 symbols", Format::Canonical, &canonical);
    measure("csv", Format::Csv, &row);
    let quote = |n: u64| {
        format!(
            r#"{{"stream":"btcusdt@bookTicker","data":{{"e":"bookTicker","u":{n},"s":"BTCUSDT","b":"61800.{:02}","B":"2.507","a":"61801.30","A":"2.510","T":{},"E":{}}}}}"#,
            n % 100,
            1_723_161_255_342 + n,
            1_723_161_255_343 + n,
        )
    };
    measure("binance quote in an envelope", Format::Auto, &quote);
    let side = |n: u64| -> String {
        let levels = (0..10).map(|level| format!(r#"["{}.{:02}","0.{:03}"]"#, 61_800 + level, n % 100, n % 999 + 1));
        levels.collect::<Vec<_>>().join(",")
    };
    let change = |n: u64| {
        format!(
            r#"{{"e":"depthUpdate","E":{},"T":{},"s":"BTCUSDT","U":{n},"u":{n},"pu":{n},"b":[{}],"a":[{}]}}"#,
            1_723_161_255_343 + n,
            1_723_161_255_342 + n,
            side(n),
            side(n + 1),
        )
    };
    measure("binance change of a book, 20 levels", Format::Auto, &change);
    let intent = |n: u64| {
        format!(
            r#"{{"type":"order_intent","account":"main","strategy":"trend","venue":"binance","symbol":"BTCUSDT","intent_id":"i-{n}","side":"buy","quantity":"0.5","limit_price":"61900.{:02}","stop_price":"60000","event_time":{}}}"#,
            n % 100,
            1_723_161_255_342_000_000 + n,
        )
    };
    measure("order intent", Format::Auto, &intent);
}

fn block(message: &dyn Fn(u64) -> String) -> MessageBlock {
    let mut block = MessageBlock { header: Some("id,time,price,quantity,side".into()), ..MessageBlock::default() };
    (0..MESSAGES).for_each(|n| block.push(message(n).as_bytes(), n, None));
    block
}

fn bare(block: &MessageBlock) {
    let best = best_of(|| {
        for message in &block.messages {
            black_box(sonic_rs::from_slice::<Bare<'_>>(block.payload(message)).expect("a trade"));
        }
    });
    print_rate("bare sonic-rs parse of binance trade", block, best);
}

fn measure(name: &str, format: Format, message: &dyn Fn(u64) -> String) {
    let config = DecodeConfig {
        format,
        venue: Some("binance".into()),
        symbol: Some("BTCUSDT".into()),
        ..DecodeConfig::default()
    };
    let decoder = Decoder::new(config);
    let mut block = Some(block(message));
    let best = best_of(|| {
        let chunk = decoder.decode(block.take().expect("put back below"));
        assert_eq!((chunk.columns.len() + chunk.market.len() + chunk.account.len()) as u64, MESSAGES);
        block = chunk.raw;
    });
    print_rate(name, &block.expect("put back above"), best);
}

fn best_of(mut run: impl FnMut()) -> f64 {
    let timed = |run: &mut dyn FnMut()| {
        let start = Instant::now();
        run();
        start.elapsed().as_secs_f64()
    };
    (0..ROUNDS).map(|_| timed(&mut run)).fold(f64::INFINITY, f64::min)
}

fn print_rate(name: &str, block: &MessageBlock, seconds: f64) {
    let bytes = block.bytes.len() as f64 / MESSAGES as f64;
    println!("{name:45} {:6.2} M messages/s, {bytes:3.0} bytes each", MESSAGES as f64 / seconds / 1e6);
}
