//! Market streams: what a message becomes, and why a bad one is refused. Records are shown as canonical JSON.

use super::{check, decode, show};
use crate::decode::{DecodeConfig, Decoder, Format, render_market};
use crate::source::MessageBlock;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use tidewheel_schemas::{
    AggressorSide, BookUpdate, Funding, Instrument, Level, Liquidation, Mark, MarketContent, MarketRecord,
    PRICE_LIMIT_E8, Quote,
};

const RECEIVED_NS: i64 = 1_723_161_254_087_891_268;

/// Decodes one message that was received at a known time.
fn received(message: &str, config: &DecodeConfig) -> String {
    let mut block = MessageBlock { partition: 3, ..MessageBlock::default() };
    block.push(message.as_bytes(), 7, Some(RECEIVED_NS));
    show(&Decoder::new(config.clone()).decode(block))
}

fn check_received(table: &[(&str, &str)]) {
    for (message, expected) in table {
        assert_eq!(received(message, &DecodeConfig::default()), *expected, "{message}");
    }
}

#[test]
fn binance_with_times_of_its_own() {
    check(
        Format::Binance,
        &[
            (
                r#"{"e":"bookTicker","u":5123107839020,"s":"BTCUSDT","b":"61800.20","B":"2.507","a":"61800.30","A":"2.510","T":1723161256313,"E":1723161256314}"#,
                r#"{"type":"quote","venue":"binance","symbol":"BTCUSDT","event_time":1723161256313000000,"update_id":5123107839020,"bid_price":"61800.2","bid_quantity":"2.507","ask_price":"61800.3","ask_quantity":"2.51"}"#,
            ),
            (
                r#"{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","E":1723161255208,"s":"BTCUSDT","U":5,"u":9,"b":[["61737.63","0.00000000"]],"a":[["61837.64","1.5"],["61837.65","2",[]]]}}"#,
                r#"{"type":"book","venue":"binance","symbol":"BTCUSDT","event_time":1723161255208000000,"op":"change","first_id":5,"last_id":9,"bids":[["61737.63","0"]],"asks":[["61837.64","1.5"],["61837.65","2"]]}"#,
            ),
            (
                r#"{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":6,"u":9,"pu":4,"b":[],"a":[]}"#,
                r#"{"type":"book","venue":"binance","symbol":"BTCUSDT","event_time":1723161256298000000,"op":"change","first_id":6,"last_id":9,"previous_id":4,"bids":[],"asks":[]}"#,
            ),
            // Partial depth of the futures looks like a change, but is told by its stream.
            (
                r#"{"stream":"btcusdt@depth5@500ms","data":{"e":"depthUpdate","E":1723161256299,"T":1723161256298,"s":"BTCUSDT","U":6,"u":9,"pu":4,"b":[["1","2"]],"a":[["2","3"]]}}"#,
                r#"{"type":"book","venue":"binance","symbol":"BTCUSDT","event_time":1723161256298000000,"op":"snapshot","last_id":9,"depth":5,"bids":[["1","2"]],"asks":[["2","3"]]}"#,
            ),
            (
                r#"https://dapi.binance.com/dapi/v1/depth?symbol=BCHUSD_PERP&limit=1000 -> 1626916404.543838: {"lastUpdateId":16,"E":1626916404580,"T":1626916404574,"symbol":"BCHUSD_PERP","pair":"BCHUSD","bids":[["427.9","169"]],"asks":[]}"#,
                r#"{"type":"book","venue":"binance","symbol":"BCHUSD_PERP","event_time":1626916404574000000,"op":"snapshot","last_id":16,"depth":1000,"bids":[["427.9","169"]],"asks":[],"receive_time":1626916404543838000}"#,
            ),
            // Spot tells no time; the capture does, and the symbol that was asked for.
            (
                r#"https://api.binance.com/api/v3/depth?limit=5&symbol=A -> 1633998512.320639: {"lastUpdateId":1,"bids":[],"asks":[["1","1"]]}"#,
                r#"{"type":"book","venue":"binance","symbol":"A","event_time":1633998512320639000,"timeless":true,"op":"snapshot","last_id":1,"depth":5,"bids":[],"asks":[["1","1"]],"receive_time":1633998512320639000}"#,
            ),
            (
                r#"{"e":"markPriceUpdate","E":1562305380000,"s":"BTCUSDT","p":"11794.15000000","i":"11784.62659091","P":"11784.25641265","r":"-0.00038167","T":1562306400000}"#,
                r#"{"type":"mark","venue":"binance","symbol":"BTCUSDT","event_time":1562305380000000000,"mark_price":"11794.15","index_price":"11784.62659091","funding_rate":"-0.00038167","next_funding_time":1562306400000000000}"#,
            ),
            // Futures that expire have no funding.
            (
                r#"{"stream":"!markPrice@arr@1s","data":[{"e":"markPriceUpdate","E":1562305380000,"s":"A","p":"1","r":"","T":0},{"e":"markPriceUpdate","E":1562305380000,"s":"B","p":"0"},3,{"e":"markPriceUpdate","E":1562305380000,"s":"C","p":"2"}]}"#,
                "{\"type\":\"mark\",\"venue\":\"binance\",\"symbol\":\"A\",\"event_time\":1562305380000000000,\"mark_price\":\"1\"}\n\
                 {\"type\":\"mark\",\"venue\":\"binance\",\"symbol\":\"C\",\"event_time\":1562305380000000000,\"mark_price\":\"2\"}\n\
                 number: record 2 of the message: price: not positive\n\
                 field: record 3 of the message: message: an element is not an object",
            ),
            (r#"{"stream":"!markPrice@arr","data":[]}"#, "ignored binance:markPrice 1"),
            (
                r#"[{"symbol":"BTCUSDT","fundingRate":"-0.0375","fundingTime":1570608000000,"markPrice":"34287.5"},{"symbol":"BTCUSDT","fundingRate":"0","fundingTime":1570636800000,"markPrice":""}]"#,
                "{\"type\":\"funding\",\"venue\":\"binance\",\"symbol\":\"BTCUSDT\",\"event_time\":1570608000000000000,\"funding_rate\":\"-0.0375\",\"mark_price\":\"34287.5\"}\n\
                 {\"type\":\"funding\",\"venue\":\"binance\",\"symbol\":\"BTCUSDT\",\"event_time\":1570636800000000000,\"funding_rate\":\"0\"}",
            ),
            (
                r#"https://fapi.binance.com/fapi/v1/fundingRate?symbol=B -> 1633998512.3: [{"symbol":"B","fundingRate":"0.1","fundingTime":1570608000000}]"#,
                r#"{"type":"funding","venue":"binance","symbol":"B","event_time":1570608000000000000,"funding_rate":"0.1","receive_time":1633998512300000000}"#,
            ),
            (
                r#"{"e":"forceOrder","E":1568014460895,"o":{"s":"BTCUSDT","S":"SELL","o":"LIMIT","f":"IOC","q":"0.014","p":"9910","ap":"9909.5","X":"FILLED","l":"0.014","z":"0.010","T":1568014460893}}"#,
                r#"{"type":"liquidation","venue":"binance","symbol":"BTCUSDT","event_time":1568014460893000000,"side":"sell","price":"9909.5","quantity":"0.014"}"#,
            ),
            // Told a second time: what was filled since the first.
            (
                r#"{"stream":"!forceOrder@arr","data":{"e":"forceOrder","E":1568014460895,"o":{"s":"BTCUSDT","S":"BUY","q":"0.014","p":"9910","ap":"0","l":"0.004","z":"0.014","T":1568014460893}}}"#,
                r#"{"type":"liquidation","venue":"binance","symbol":"BTCUSDT","event_time":1568014460893000000,"side":"buy","price":"9910","quantity":"0.004"}"#,
            ),
        ],
    );
}

#[test]
fn binance_by_receive_time() {
    check_received(&[
        (
            r#"{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000","a":"0.00000000","A":"0.00000000"}}"#,
            r#"{"type":"quote","venue":"binance","symbol":"BTCUSDT","event_time":1723161254087891268,"timeless":true,"update_id":50093239212,"bid_price":"61837.63","bid_quantity":"3.78826","receive_time":1723161254087891268}"#,
        ),
        (
            r#"{"stream":"bnbbtc@depth20@100ms","data":{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]]}}"#,
            r#"{"type":"book","venue":"binance","symbol":"BNBBTC","event_time":1723161254087891268,"timeless":true,"op":"snapshot","last_id":160,"depth":20,"bids":[["0.0024","10"]],"asks":[["0.0026","100"]],"receive_time":1723161254087891268}"#,
        ),
        // An answer without a question, and no symbol configured.
        (r#"{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[]}"#, "instrument: symbol is missing"),
    ]);
    let config = DecodeConfig { symbol: Some("BTCUSDT".into()), ..DecodeConfig::default() };
    assert_eq!(
        received(r#"{"lastUpdateId":160,"bids":[["0.0024","10"]],"asks":[]}"#, &config),
        r#"{"type":"book","venue":"binance","symbol":"BTCUSDT","event_time":1723161254087891268,"timeless":true,"op":"snapshot","last_id":160,"bids":[["0.0024","10"]],"asks":[],"receive_time":1723161254087891268}"#
    );
    let quote = br#"{"u":1,"s":"A","b":"1","B":"2","a":"3","A":"4"}"#;
    assert_eq!(
        show(&decode(&config, None, quote)),
        "time: event_time: the message has none, and its source does not tell when it was received"
    );
}

/// A good update of a book with one thing changed.
#[test]
fn bad_numbers_are_refused_for_their_reason() {
    const GOOD: &str = r#"{"e":"depthUpdate","E":1723161256299,"s":"A","U":6,"u":9,"pu":4,"b":[["1","2"]],"a":[]}"#;
    let table = [
        (r#"["1","2"]"#, r#"["1","-2"]"#, "number: quantity: not positive"),
        (r#"["1","2"]"#, r#"["1","NaN"]"#, "number: quantity: not a decimal number"),
        (r#"["1","2"]"#, r#"["0","2"]"#, "number: price: not positive"),
        (r#"["1","2"]"#, r#"["10000000000","2"]"#, "number: price: out of range"),
        (r#"["1","2"]"#, r#"["1"]"#, "field: bids: a level is not a price and a quantity"),
        (r#"["1","2"]"#, r#"7"#, "field: bids: a number where an array is needed"),
        (r#""a":[]"#, r#""a":null"#, r#"field: asks: missing, expected in "a""#),
        (r#""U":6"#, r#""U":10"#, "field: first_id: greater than last_id"),
        (r#""U":6"#, r#""U":-1"#, "field: first_id: below zero"),
        (r#""u":9,"#, "", r#"field: last_id: missing, expected in "u""#),
        (r#""pu":4"#, r#""pu":4.5"#, "field: previous_id: not a whole number of 64 bits"),
        (r#""E":1723161256299"#, r#""E":17"#, "time: event_time: before 2009 or after 2200 in every unit it may have"),
        (r#""s":"A""#, r#""s":"A|B""#, "instrument: symbol holds a character other than letters, digits and ._-/:@+#"),
        (r#""s":"A","#, "", "instrument: symbol is missing"),
    ];
    for (old, new, expected) in table {
        assert!(GOOD.contains(old), "{old}");
        let message = GOOD.replace(old, new);
        assert_eq!(show(&decode(&DecodeConfig::default(), None, message.as_bytes())), expected, "{message}");
    }
    check_received(&[
        (r#"{"lastUpdateId":1,"symbol":"A","bids":[["1","0"]],"asks":[]}"#, "number: quantity: not positive"),
        (r#"{"u":1,"s":"A","b":"1","B":"0","a":"3","A":"4"}"#, r#"field: quantity: missing, expected in "B""#),
        (r#"{"u":1,"s":"A","b":"-1","B":"1","a":"3","A":"4"}"#, "number: price: not positive"),
        (r#"{"e":"markPriceUpdate","E":1562305380000,"s":"A","p":"1","r":"1"}"#, "number: funding_rate: out of range"),
        (
            r#"{"e":"markPriceUpdate","E":1562305380000,"s":"A","p":"1","r":"0.000000001"}"#,
            "number: funding_rate: more than 8 decimal places",
        ),
        (
            r#"{"symbol":"A","fundingTime":1562305380000,"fundingRate":""}"#,
            r#"field: funding_rate: missing, expected in "fundingRate""#,
        ),
        (
            r#"{"e":"forceOrder","E":1,"o":{"s":"A","S":"SELL","q":"90000000000","l":"90000000000","p":"9000000000","T":1568014460893}}"#,
            "number: price times quantity: out of range",
        ),
        (r#"{"e":"forceOrder","E":1,"o":7}"#, "field: trade: a number where an object is needed"),
        (r#"{"type":"mark","venue":"v","symbol":"A"}"#, "field: type: a mark that says nothing"),
        (r#"{"type":"book","venue":"v","symbol":"A","op":"insert"}"#, "field: op: neither snapshot nor change"),
    ]);
}

#[test]
fn bybit() {
    check(
        Format::Bybit,
        &[
            (
                r#"{"topic":"orderbook.50.BTCUSDT","type":"snapshot","ts":1672304484978,"data":{"s":"BTCUSDT","b":[["16493.50","0.006"]],"a":[["16611.00","0.029"]],"u":18521288,"seq":7961638724},"cts":1672304484976}"#,
                r#"{"type":"book","venue":"bybit","symbol":"BTCUSDT","event_time":1672304484976000000,"op":"snapshot","sequence":7961638724,"last_id":18521288,"depth":50,"bids":[["16493.5","0.006"]],"asks":[["16611","0.029"]]}"#,
            ),
            (
                r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1672304484978,"data":{"s":"BTCUSDT","b":[],"a":[["16611.00","0"]],"u":18521289,"seq":7961638725}}"#,
                r#"{"type":"book","venue":"bybit","symbol":"BTCUSDT","event_time":1672304484978000000,"op":"change","sequence":7961638725,"last_id":18521289,"depth":50,"bids":[],"asks":[["16611","0"]]}"#,
            ),
            // The service was restarted: its numbers begin anew, the sequence goes on.
            (
                r#"{"topic":"orderbook.50.BTCUSDT","type":"delta","ts":1672304484978,"data":{"s":"BTCUSDT","b":[],"a":[["16611.00","1"]],"u":1,"seq":7961638726}}"#,
                r#"{"type":"book","venue":"bybit","symbol":"BTCUSDT","event_time":1672304484978000000,"op":"snapshot","sequence":7961638726,"last_id":1,"depth":50,"bids":[],"asks":[["16611","1"]]}"#,
            ),
            (
                r#"{"topic":"orderbook.50.BTCUSDT","type":"update","ts":1672304484978,"data":{"u":1}}"#,
                "field: type: neither snapshot nor delta",
            ),
            (
                r#"{"topic":"tickers.BTCUSDT","type":"snapshot","data":{"symbol":"BTCUSDT","lastPrice":"17216.00","markPrice":"17217.33","indexPrice":"17227.36","nextFundingTime":"1673280000000","fundingRate":"-0.000212","bid1Price":"17215.50","bid1Size":"84.489","ask1Price":"17216.00","ask1Size":"83.020"},"cs":24987956059,"ts":1673272861686}"#,
                "{\"type\":\"mark\",\"venue\":\"bybit\",\"symbol\":\"BTCUSDT\",\"event_time\":1673272861686000000,\"mark_price\":\"17217.33\",\"index_price\":\"17227.36\",\"funding_rate\":\"-0.000212\",\"next_funding_time\":1673280000000000000}\n\
                 {\"type\":\"quote\",\"venue\":\"bybit\",\"symbol\":\"BTCUSDT\",\"event_time\":1673272861686000000,\"update_id\":24987956059,\"bid_price\":\"17215.5\",\"bid_quantity\":\"84.489\",\"ask_price\":\"17216\",\"ask_quantity\":\"83.02\"}",
            ),
            // What a delta leaves out stays as it was: half a touch is none.
            (
                r#"{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","markPrice":"17217.3","bid1Price":"17215.50","bid1Size":"84.489"},"cs":24987956060,"ts":1673272861786}"#,
                r#"{"type":"mark","venue":"bybit","symbol":"BTCUSDT","event_time":1673272861786000000,"mark_price":"17217.3"}"#,
            ),
            (
                r#"{"topic":"tickers.BTCUSDT","type":"delta","data":{"symbol":"BTCUSDT","volume24h":"3"},"cs":24987956060,"ts":1673272861786}"#,
                "ignored bybit:tickers 1",
            ),
            // A short position was closed by buying, a long one by selling.
            (
                r#"{"topic":"allLiquidation.ROSEUSDT","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,"s":"ROSEUSDT","S":"Sell","v":"20000","p":"0.04499"},{"T":1739502302930,"s":"ROSEUSDT","S":"Buy","v":"1","p":"0"}]}"#,
                "{\"type\":\"liquidation\",\"venue\":\"bybit\",\"symbol\":\"ROSEUSDT\",\"event_time\":1739502302929000000,\"side\":\"buy\",\"price\":\"0.04499\",\"quantity\":\"20000\"}\n\
                 number: record 2 of the message: price: not positive",
            ),
            // Two alike of one message are two.
            (
                r#"{"topic":"allLiquidation.A","type":"snapshot","ts":1739502303204,"data":[{"T":1739502302929,"s":"A","S":"Sell","v":"2","p":"3"},{"T":1739502302929,"s":"A","S":"Sell","v":"2","p":"3"},{"T":1739502302929,"s":"A","S":"Buy","v":"2","p":"3"}]}"#,
                "{\"type\":\"liquidation\",\"venue\":\"bybit\",\"symbol\":\"A\",\"event_time\":1739502302929000000,\"side\":\"buy\",\"price\":\"3\",\"quantity\":\"2\"}\n\
                 {\"type\":\"liquidation\",\"venue\":\"bybit\",\"symbol\":\"A\",\"event_time\":1739502302929000000,\"side\":\"buy\",\"price\":\"3\",\"quantity\":\"2\",\"occurrence\":1}\n\
                 {\"type\":\"liquidation\",\"venue\":\"bybit\",\"symbol\":\"A\",\"event_time\":1739502302929000000,\"side\":\"sell\",\"price\":\"3\",\"quantity\":\"2\"}",
            ),
            (
                r#"{"topic":"liquidation.GALAUSDT","type":"snapshot","ts":1673251091825,"data":{"price":"0.03803","side":"Buy","size":"1637","symbol":"GALAUSDT","updatedTime":1673251091822}}"#,
                r#"{"type":"liquidation","venue":"bybit","symbol":"GALAUSDT","event_time":1673251091822000000,"side":"sell","price":"0.03803","quantity":"1637"}"#,
            ),
        ],
    );
}

#[test]
fn cryptofeed() {
    check(
        Format::Cryptofeed,
        &[
            (
                r#"{"exchange":"BINANCE","symbol":"BTC-USDT","bid_price":30000.1,"bid_size":2,"ask_price":30000.2,"ask_size":0.5,"timestamp":1723161255.342,"receipt_timestamp":1723161255.5}"#,
                r#"{"type":"quote","venue":"binance","symbol":"BTC-USDT","event_time":1723161255342000000,"bid_price":"30000.1","bid_quantity":"2","ask_price":"30000.2","ask_quantity":"0.5","receive_time":1723161255500000000}"#,
            ),
            (
                r#"{"exchange":"BINANCE_FUTURES","symbol":"BTC-USDT-PERP","mark_price":30000.1,"rate":0.0001,"next_funding_time":1723190400.0,"predicted_rate":null,"timestamp":null,"receipt_timestamp":1723161255.5}"#,
                r#"{"type":"mark","venue":"binance_futures","symbol":"BTC-USDT-PERP","event_time":1723161255500000000,"timeless":true,"mark_price":"30000.1","funding_rate":"0.0001","next_funding_time":1723190400000000000,"receive_time":1723161255500000000}"#,
            ),
            (
                r#"{"exchange":"BINANCE_FUTURES","symbol":"BTC-USDT-PERP","side":"sell","quantity":0.5,"price":30000.1,"id":null,"status":"filled","timestamp":1723161255.342,"receipt_timestamp":1723161255.5}"#,
                r#"{"type":"liquidation","venue":"binance_futures","symbol":"BTC-USDT-PERP","event_time":1723161255342000000,"side":"sell","price":"30000.1","quantity":"0.5","receive_time":1723161255500000000}"#,
            ),
        ],
    );
}

#[test]
fn switched_off_they_are_counted() {
    let config = DecodeConfig { market: false, ..DecodeConfig::default() };
    for (message, expected) in [
        (r#"{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[],"a":[]}"#, "ignored binance:depthUpdate 1"),
        (
            r#"{"stream":"a@bookTicker","data":{"u":1,"s":"A","b":"1","B":"2","a":"3","A":"4"}}"#,
            "ignored binance:bookTicker 1",
        ),
        (r#"{"stream":"a@depth5","data":{"lastUpdateId":1,"bids":[],"asks":[]}}"#, "ignored binance:depth 1"),
        (r#"{"stream":"!markPrice@arr","data":[{"e":"markPriceUpdate"}]}"#, "ignored binance:markPrice 1"),
        (r#"{"symbol":"A","fundingTime":1,"fundingRate":"1"}"#, "ignored binance:fundingRate 1"),
        (
            r#"https://api.binance.com/api/v3/depth?symbol=A -> 1633998512.320639: {"lastUpdateId":1,"bids":[],"asks":[]}"#,
            "ignored binance:depth 1",
        ),
        (r#"{"topic":"orderbook.50.BTCUSDT","data":{}}"#, "ignored bybit:orderbook 1"),
        (r#"{"topic":"tickers.BTCUSDT","data":{}}"#, "ignored bybit:tickers 1"),
        (r#"{"type":"quote","venue":"v","symbol":"A"}"#, "ignored canonical:quote 1"),
        (r#"{"exchange":"B","symbol":"A","rate":1,"timestamp":1}"#, "ignored cryptofeed:funding 1"),
    ] {
        assert_eq!(show(&decode(&config, None, message.as_bytes())), expected, "{message}");
    }
}

/// Some record with any values that one may have.
fn random_record(random: &mut impl Rng, position: u64) -> MarketRecord {
    fn number(random: &mut impl Rng, limit: i64) -> i64 {
        1 + random.random_range(0..limit - 1) / 10i64.pow(random.random_range(0..18))
    }
    fn some<R: Rng, T>(random: &mut R, make: impl FnOnce(&mut R) -> T) -> Option<T> {
        random.random::<bool>().then(|| make(random))
    }
    let price = |random: &mut _| number(random, PRICE_LIMIT_E8);
    let level =
        |random: &mut _| Level { price_e8: number(random, PRICE_LIMIT_E8), quantity_e8: number(random, i64::MAX) };
    let time = |random: &mut rand_chacha::ChaCha8Rng| {
        random.random_range(1_230_768_000_000_000_000..7_289_654_400_000_000_000i64)
    };
    let mut own = rand_chacha::ChaCha8Rng::seed_from_u64(random.random());
    let random = &mut own;
    let content = match random.random_range(0..5) {
        0 => MarketContent::Quote(Quote {
            update_id: some(random, |random| random.random_range(0..i64::MAX as u64)),
            bid: some(random, level),
            ask: some(random, level),
        }),
        1 => {
            let is_snapshot = random.random();
            let levels = |random: &mut rand_chacha::ChaCha8Rng| -> Arc<[Level]> {
                let levels = (0..random.random_range(0..6)).map(|_| {
                    let mut level = level(random);
                    level.quantity_e8 *= i64::from(is_snapshot || random.random());
                    level
                });
                levels.collect()
            };
            let last_id = random.random_range(0..=i64::MAX as u64);
            MarketContent::Book(BookUpdate {
                sequence: some(random, |random| random.random_range(0..=i64::MAX as u64)).unwrap_or(last_id),
                first_id: some(random, |random| random.random_range(0..=last_id)).unwrap_or(last_id),
                last_id,
                previous_id: some(random, |random| random.random_range(0..=i64::MAX as u64)),
                is_snapshot,
                depth: some(random, |random| random.random_range(1..=u32::MAX)).filter(|_| is_snapshot),
                bids: levels(random),
                asks: levels(random),
            })
        }
        2 => MarketContent::Mark(Mark {
            mark_price_e8: Some(price(random)),
            index_price_e8: some(random, price),
            funding_rate_e8: some(random, |random| random.random_range(-99_999_999..100_000_000)),
            next_funding_time_ns: some(random, time),
        }),
        3 => MarketContent::Funding(Funding {
            rate_e8: random.random_range(-99_999_999..100_000_000),
            mark_price_e8: some(random, price),
        }),
        _ => MarketContent::Liquidation(Liquidation {
            side: *[AggressorSide::Buy, AggressorSide::Sell, AggressorSide::Unknown].choose(random).expect("three"),
            price_e8: price(random),
            quantity_e8: number(random, 10_000_000_000),
            occurrence: some(random, |random| random.random()).unwrap_or_default(),
        }),
    };
    MarketRecord {
        instrument: Instrument::new(["a", "binance"][random.random_range(0..2)], "BTC/USDT").expect("a name"),
        event_time_ns: time(random),
        is_timeless: random.random(),
        partition: 5,
        position,
        index: 0,
        receive_time_ns: some(random, time),
        content,
    }
}

#[test]
fn what_is_rendered_decodes_to_itself() {
    let seed: u64 = 0x626f_6f6b;
    println!("seed {seed}");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let records: Vec<MarketRecord> = (0..20_000).map(|position| random_record(&mut random, position)).collect();
    for format in [Format::Canonical, Format::Auto] {
        let mut block = MessageBlock { partition: 5, ..MessageBlock::default() };
        records.iter().for_each(|record| block.push(&render_market(record), record.position, None));
        let chunk = Decoder::new(DecodeConfig { format, ..DecodeConfig::default() }).decode(block);
        assert_eq!((chunk.rejects, chunk.ignored.len(), chunk.columns.len()), (vec![], 0, 0));
        assert_eq!(chunk.market, records);
    }
}
