//! Text in, text out, for every format: what a message becomes, and why a bad one is refused.

mod account;
mod market;

use super::*;
use std::fmt::Write;
use tidewheel_schemas::{Change, OWN_LETTERS, Reject, RejectReason, format_e8};

/// One line for each thing that came out.
pub(super) fn show(chunk: &DecodedChunk) -> String {
    let mut text = String::new();
    for row in 0..chunk.columns.len() {
        let trade = chunk.columns.trade(row);
        let (price, quantity) = (format_e8(trade.price_e8.into()), format_e8(trade.quantity_e8.into()));
        let side = trade.side.name().unwrap_or("-");
        let instrument = chunk.columns.instrument_of(row);
        write!(text, "{instrument:?} {} {} {price} {quantity} {side}", trade.id, trade.event_time_ns).unwrap();
        if trade.count != 1 {
            write!(text, " count={}", trade.count).unwrap();
        }
        if !trade.kind.is_in_bars() {
            write!(text, " {}", trade.kind.name()).unwrap();
        }
        if let Some(time) = chunk.columns.receive_time_of(row).filter(|time| *time != i64::MIN) {
            write!(text, " received={time}").unwrap();
        }
        text.push('\n');
    }
    for amendment in &chunk.amendments {
        write!(text, "{:?} {} ", amendment.instrument, amendment.id).unwrap();
        match &amendment.change {
            Change::Cancel => text.push_str("cancel"),
            Change::Correct(to) => {
                write!(text, "correct {:?} {:?} {:?} {:?}", to.price_e8, to.quantity_e8, to.event_time_ns, to.side)
                    .unwrap();
            }
        }
        writeln!(text, " of {:?} sequence {}", amendment.original_time_ns, amendment.sequence).unwrap();
    }
    for record in &chunk.market {
        writeln!(text, "{}", String::from_utf8_lossy(&render_market(record))).unwrap();
    }
    for record in &chunk.account {
        writeln!(text, "{}", String::from_utf8_lossy(&render_account(record))).unwrap();
    }
    for reject in &chunk.rejects {
        writeln!(text, "{}: {}", reject.reason, reject.detail).unwrap();
    }
    for (kind, count) in &chunk.ignored {
        writeln!(text, "ignored {kind} {count}").unwrap();
    }
    text.trim_end().to_owned()
}

pub(super) fn decode(config: &DecodeConfig, header: Option<&str>, message: &[u8]) -> DecodedChunk {
    let mut block = MessageBlock { partition: 3, header: header.map(Into::into), ..MessageBlock::default() };
    block.push(message, 7, None);
    Decoder::new(config.clone()).decode(block)
}

pub(super) fn check(format: Format, table: &[(&str, &str)]) {
    for (message, expected) in table {
        for format in [format, Format::Auto] {
            let chunk = decode(&DecodeConfig { format, ..DecodeConfig::default() }, None, message.as_bytes());
            assert_eq!(show(&chunk), *expected, "{format:?}: {message}");
        }
    }
}

#[test]
fn binance() {
    check(
        Format::Binance,
        &[
            (
                r#"{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":3735683259,"p":"61837.63000000","q":"0.02000000","T":1723161255342,"m":true,"M":true}"#,
                "binance|BTCUSDT 3735683259 1723161255342000000 61837.63 0.02 sell",
            ),
            (
                r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1723161255343,"s":"BTCUSDT","t":1,"p":"1","q":"2","T":1723161255342123,"m":false,"M":true}}"#,
                "binance|BTCUSDT 1 1723161255342123000 1 2 buy",
            ),
            (
                r#""{\"e\":\"trade\",\"s\":\"BTCUSDT\",\"t\":1,\"p\":\"1\",\"q\":\"2\",\"T\":1723161255342,\"m\":false}""#,
                "binance|BTCUSDT 1 1723161255342000000 1 2 buy",
            ),
            (
                r#"{"e":"trade","E":1,"T":1723161256322,"s":"BTCUSDT","t":5,"p":"61800.30","q":"0.006","X":"INSURANCE_FUND","m":false}"#,
                "binance|BTCUSDT 5 1723161256322000000 61800.3 0.006 buy insurance_fund",
            ),
            (
                r#"{"e":"trade","T":1723161256322,"s":"BTCUSDT","t":5,"p":"61800.30","q":"0.006","X":"ADL","m":false}"#,
                "binance|BTCUSDT 5 1723161256322000000 61800.3 0.006 buy adl",
            ),
            (
                r#"{"e":"trade","T":1723161256322,"s":"BTCUSDT","t":5,"p":"1.5","q":"0.006","X":"NA","m":false}"#,
                "binance|BTCUSDT 5 1723161256322000000 1.5 0.006 buy other",
            ),
            (
                r#"{"e":"trade","T":1723161256322,"s":"BTCUSDT","t":5,"p":"0","q":"0.000","X":"NA","m":false}"#,
                "ignored binance:trade_without_quantity 1",
            ),
            (
                r#"{"e":"trade","T":1723161256322,"s":"BTCUSDT","t":5,"p":"0","q":"0.000","X":"MARKET","m":false}"#,
                "number: price: not positive",
            ),
            (
                r#"{"e":"aggTrade","E":1626916404006,"a":11285749,"s":"BCHUSD_PERP","p":"427.91","q":"3","f":16034449,"l":16034451,"T":1626916403852,"m":true}"#,
                "binance|BCHUSD_PERP 11285749 1626916403852000000 427.91 3 sell count=3",
            ),
            (
                r#"{"e":"aggTrade","a":1,"s":"X","p":"1","q":"3","f":5,"l":4,"T":1626916403852,"m":true}"#,
                "field: trade_count: last_trade_id is less than first_trade_id, or too far from it",
            ),
            (
                r#"[{"info":{"a":13519807,"p":"0.00141342","q":"23.00000000","f":15373518,"l":15373519,"T":1570752011620,"m":true,"M":true},"symbol":"XRP/ETH","price":0.00141342},{"info":{"a":13519808,"p":"0.00141342","q":"1","f":1,"l":1,"T":1570752011620,"m":false},"symbol":"XRP/ETH"}]"#,
                "binance|XRP/ETH 13519807 1570752011620000000 0.00141342 23 sell count=2\nbinance|XRP/ETH 13519808 1570752011620000000 0.00141342 1 buy",
            ),
            (
                r#"{"a":13519807,"p":"0.00141342","q":"23","f":1,"l":1,"T":1570752011620,"m":true}"#,
                "instrument: symbol is missing",
            ),
            (r#"{"e":"kline","E":1,"s":"BTCUSDT","k":{}}"#, "ignored binance:kline 1"),
            (r#"{"stream":"!ticker@arr","data":[{"e":"24hrTicker"}]}"#, "ignored binance:ticker 1"),
            (r#"{"stream":"a@something","data":{"x":1}}"#, "ignored binance:something 1"),
            (r#"{"result":null,"id":1}"#, "ignored binance:ack 1"),
            (r#"{"error":{"code":2,"msg":"Invalid request"},"id":1}"#, "ignored binance:ack 1"),
            (r#"https://api.binance.com/x -> 1633998512.3: {"unheard":1}"#, "ignored capture:answer 1"),
            ("wss://stream.binance.com:9443/stream <-> 1633998511.13", "ignored capture:note 1"),
            (r#"configuration: {"trades":["NKN-USDT"]}"#, "ignored capture:note 1"),
        ],
    );
}

/// A good Binance trade with one thing changed.
#[test]
fn bad_records_are_refused_for_their_reason() {
    const GOOD: &str =
        r#"{"e":"trade","E":1,"s":"BTCUSDT","t":9,"p":"61837.63","q":"0.02","T":1723161255342,"m":true,"M":true}"#;
    let table: &[(&str, &str, &str)] = &[
        (r#""p":"61837.63""#, r#""p":61837.63"#, "binance|BTCUSDT 9 1723161255342000000 61837.63 0.02 sell"),
        (r#""p":"61837.63""#, r#""p":6.183763e4"#, "binance|BTCUSDT 9 1723161255342000000 61837.63 0.02 sell"),
        (r#""p":"61837.63""#, r#""p":"0.000000001""#, "number: price: more than 8 decimal places"),
        (r#""p":"61837.63""#, r#""p":"0""#, "number: price: not positive"),
        (r#""p":"61837.63""#, r#""p":"-1""#, "number: price: not positive"),
        (r#""p":"61837.63""#, r#""p":"NaN""#, "number: price: not a decimal number"),
        (r#""p":"61837.63""#, r#""p":"Infinity""#, "number: price: not a decimal number"),
        (r#""p":"61837.63""#, r#""p":NaN"#, "malformed: not JSON at byte 43"),
        (r#""p":"61837.63""#, r#""p":"10000000000""#, "number: price: out of range"),
        (
            r#""p":"61837.63""#,
            r#""p":"9999999999.99999999""#,
            "binance|BTCUSDT 9 1723161255342000000 9999999999.99999999 0.02 sell",
        ),
        (r#""p":"61837.63""#, r#""p":"1e400""#, "number: price: out of range"),
        (r#""p":"61837.63""#, r#""p":[1]"#, "field: price: an array where a number is needed"),
        (r#""p":"61837.63""#, r#""p":true"#, "field: price: a boolean where a number is needed"),
        (r#""p":"61837.63","#, "", r#"field: price: missing, expected in "p""#),
        (r#""p":"61837.63""#, r#""p":null"#, r#"field: price: missing, expected in "p""#),
        (r#""p":"61837.63""#, r#""p":"1","p":"2""#, "field: price: written twice"),
        (r#""q":"0.02""#, r#""q":"99999999999999""#, "number: quantity: out of range"),
        (r#""q":"0.02","#, "", r#"field: quantity: missing, expected in "q""#),
        (r#""s":"BTCUSDT","#, "", "instrument: symbol is missing"),
        (r#""s":"BTCUSDT""#, r#""s":"""#, "instrument: symbol is missing"),
        (
            r#""s":"BTCUSDT""#,
            r#""s":"BTC|USDT""#,
            "instrument: symbol holds a character other than letters, digits and ._-/:@+#",
        ),
        (
            r#""s":"BTCUSDT""#,
            r#""s":"BTCÜ""#,
            "instrument: symbol holds a character other than letters, digits and ._-/:@+#",
        ),
        (r#""s":"BTCUSDT""#, r#""s":7"#, "field: symbol: a number where a text is needed"),
        (r#""s":"BTCUSDT""#, r#""s":"XBT\/USD""#, "binance|XBT/USD 9 1723161255342000000 61837.63 0.02 sell"),
        (
            r#""T":1723161255342"#,
            r#""T":1723161255"#,
            "time: event_time: before 2009 or after 2200 in every unit it may have",
        ),
        (
            r#""T":1723161255342"#,
            r#""T":1723161255342123456"#,
            "time: event_time: before 2009 or after 2200 in every unit it may have",
        ),
        (r#""T":1723161255342"#, r#""T":"soon""#, "time: event_time: not a number"),
        (r#""T":1723161255342"#, r#""T":{}"#, "field: event_time: an object where a number is needed"),
        (r#""T":1723161255342"#, r#""T":-5"#, "time: event_time: before 2009 or after 2200 in every unit it may have"),
        (r#","T":1723161255342"#, "", r#"field: event_time: missing, expected in "T""#),
        (r#""m":true"#, r#""m":1"#, "field: is_buyer_maker: a number where true or false is needed"),
        (r#""m":true,"#, "", r#"field: is_buyer_maker: missing, expected in "m""#),
        (r#""t":9"#, r#""t":-9"#, "trade_id: trade_id: a number that is negative or not whole"),
        (r#""t":9"#, r#""t":9.5"#, "trade_id: trade_id: a number that is negative or not whole"),
        (r#""t":9"#, r#""t":"""#, "trade_id: trade id is empty"),
        (
            r#""t":9"#,
            r#""t":"a b c d e f g h i j k""#,
            "trade_id: trade id is neither a number, a UUID, hexadecimal up to 28 digits, nor text up to 15 bytes",
        ),
        (r#""t":9"#, r#""t":"@1:2""#, "trade_id: trade_id: begins with @, which is kept for source positions"),
        (r#""t":9,"#, "", r#"field: trade_id: missing, expected in "t""#),
        (r#","M":true}"#, "", "malformed: JSON ends too early"),
        (r#","M":true}"#, r#","M":true}}"#, "malformed: not JSON at byte 101"),
        (r#""e":"trade","#, "", "malformed: unknown message shape: no known message looks like this"),
        (r#""e":"trade""#, r#""e":5"#, "malformed: unknown message shape: no known message looks like this"),
        (GOOD, "", "malformed: message is empty"),
        (GOOD, " \r\n", "malformed: message is empty"),
        (GOOD, "null", "malformed: unknown message shape: no known message looks like this"),
        (GOOD, "12", "malformed: unknown message shape: no known message looks like this"),
        (GOOD, "hello", "malformed: not JSON at byte 0"),
        (GOOD, r#""hello""#, "malformed: unknown message shape: no known message looks like this"),
        (GOOD, "[1,2]", "malformed: unknown message shape: no known message looks like this"),
        (GOOD, "[]", "ignored message:without_trades 1"),
        (GOOD, "{}", "malformed: unknown message shape: no known message looks like this"),
    ];
    for (old, new, expected) in table {
        assert!(GOOD.contains(old), "{old}");
        let message = GOOD.replace(old, new);
        let chunk = decode(&DecodeConfig::default(), None, message.as_bytes());
        assert_eq!(show(&chunk), *expected, "{message}");
        assert!(chunk.rejects.iter().all(|reject| *reject.raw == *message.as_bytes() && reject.position == 7));
    }
    let chunk = decode(&DecodeConfig::default(), None, b"{\"e\":\"\xff\"}");
    assert_eq!(show(&chunk), "malformed: not UTF-8 at byte 6");
}

#[test]
fn a_message_full_of_bad_records_is_kept_a_few_times_only() {
    const BAD: &str = r#"{"e":"markPriceUpdate","E":1723161255000,"s":"BTCUSDT","p":"-1","P":"-1","i":"1","r":"0.1","T":1723161260000}"#;
    const WRONG: &str = r#"{"e":"trade","E":1,"T":1723161255342,"s":"BTCUSDT","t":1,"p":"x","q":"1","m":true}"#;
    let records: Vec<&str> = (0..9_000).map(|n| if n % 3 == 2 { WRONG } else { BAD }).collect();
    let message = format!("[{}]", records.join(","));
    let chunk = decode(&DecodeConfig::default(), None, message.as_bytes());
    let letters = &chunk.rejects;
    assert_eq!(letters.iter().map(|letter| letter.records).sum::<u64>(), 9_000);
    assert!(letters.len() <= OWN_LETTERS + RejectReason::ALL.len(), "{} letters", letters.len());
    assert!(letters.iter().all(|letter| *letter.raw == *message.as_bytes()));
    assert!(letters.iter().all(|letter| std::ptr::eq(&*letter.raw, &*letters[0].raw)), "its bytes are copied once");
    let mut gathered = letters.clone();
    gathered.sort();
    assert_eq!(Reject::gather(letters.clone()), gathered, "what comes later has nothing to gather");
    // One that holds only a few keeps a letter for each, which names it.
    let few = decode(&DecodeConfig::default(), None, format!("[{BAD},{BAD}]").as_bytes());
    assert_eq!(few.rejects.iter().map(|letter| letter.records).collect::<Vec<_>>(), [1, 1]);
}

#[test]
fn a_message_of_many_cancels_is_copied_once() {
    const CANCEL: &str = r#"{"type":"trade","op":"cancel","venue":"v","symbol":"S","trade_id":"1","sequence":1}"#;
    let chunk = decode(&DecodeConfig::default(), None, format!("[{}]", [CANCEL; 100].join(",")).as_bytes());
    assert_eq!((chunk.amendments.len(), chunk.rejects.len()), (100, 0));
    assert!(chunk.amendments.iter().all(|amendment| std::ptr::eq(&*amendment.raw, &*chunk.amendments[0].raw)));
}

#[test]
fn cryptofeed() {
    check(
        Format::Cryptofeed,
        &[
            (
                r#"{"exchange":"BINANCE_FUTURES","symbol":"BTC-USDT-PERP","side":"buy","amount":1e-05,"price":61837.63,"id":"123","type":null,"timestamp":1723161255.342,"receipt_timestamp":1723161255.5}"#,
                "binance_futures|BTC-USDT-PERP 123 1723161255342000000 61837.63 0.00001 buy received=1723161255500000000",
            ),
            (
                r#"{"exchange":"BITSTAMP","symbol":"ETH-USD","side":"sell","amount":"0.5","price":"1","id":null,"type":"market","timestamp":1723161255.342,"receipt_timestamp":"?"}"#,
                "bitstamp|ETH-USD @3:7 1723161255342000000 1 0.5 sell",
            ),
            (
                r#"{"exchange":"B","symbol":"A","side":null,"amount":1,"price":1,"id":5,"timestamp":1723161255342,"receipt_timestamp":1}"#,
                "time: event_time: before 2009 or after 2200 in every unit it may have",
            ),
            (
                r#"{"exchange":"B","symbol":"A","side":"long","amount":1,"price":1,"id":5,"timestamp":1723161255,"receipt_timestamp":1}"#,
                "field: aggressor_side: neither buy nor sell",
            ),
            (
                r#"{"exchange":"B","symbol":"A","book":{},"timestamp":1,"receipt_timestamp":1}"#,
                "ignored cryptofeed:book 1",
            ),
            (
                r#"{"exchange":"B","symbol":"A","bid":1,"ask":2,"timestamp":1,"receipt_timestamp":1}"#,
                "ignored cryptofeed:ticker 1",
            ),
            (
                r#"{"exchange":"B","symbol":"A","timestamp":1,"receipt_timestamp":1}"#,
                r#"field: quantity: missing, expected in "amount""#,
            ),
        ],
    );
}

#[test]
fn bybit() {
    check(
        Format::Bybit,
        &[
            (
                r#"{"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"T":1672304486865,"s":"BTCUSDT","S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false},{"T":1672304486866,"s":"BTCUSDT","S":"Sell","v":"0","p":"1","i":"2100000000007764263","BT":true},{"T":1672304486866,"s":"BTCUSDT","S":"Sell","v":"2","p":"1","i":"2100000000007764264","BT":true}]}"#,
                "bybit|BTCUSDT 20f43950-d8dd-5b31-9112-a178eb6023af 1672304486865000000 16578.5 0.001 buy\nbybit|BTCUSDT 2100000000007764264 1672304486866000000 1 2 sell block\nnumber: trade 2 of the message: quantity: not positive",
            ),
            (
                r#"{"topic":"trade.BCHUSDT","data":[{"symbol":"BCHUSDT","tick_direction":"MinusTick","price":"1053.90","size":0.14,"timestamp":"2021-04-17T16:43:05.000Z","trade_time_ms":"1618677785116","side":"Buy","trade_id":"01cacfe9-8d1c-5ee4-995d-d79a43f955a6"}]}"#,
                "bybit|BCHUSDT 01cacfe9-8d1c-5ee4-995d-d79a43f955a6 1618677785116000000 1053.9 0.14 buy",
            ),
            (r#"{"topic":"publicTrade.BTCUSDT","data":[]}"#, "ignored bybit:without_trades 1"),
            (
                r#"{"topic":"publicTrade.BTCUSDT","data":[3]}"#,
                "field: trade 1 of the message: trade: a number where an object is needed",
            ),
            (r#"{"topic":"publicTrade.BTCUSDT","data":{}}"#, "field: data: an object where an array is needed"),
            (r#"{"topic":"publicTrade.BTCUSDT"}"#, r#"field: data: missing, expected in "data""#),
            (r#"{"topic":"kline.5.BTCUSDT","data":{}}"#, "ignored bybit:kline 1"),
            (r#"{"success":true,"ret_msg":"","conn_id":"1","op":"subscribe"}"#, "ignored bybit:ack 1"),
        ],
    );
}

#[test]
fn coinbase() {
    let match_message = r#"{"type":"match","trade_id":280232,"maker_order_id":"2a0da34e-61f7-4c36-88e5-c9dd15927b16","side":"sell","size":"985","price":"0.00001305","product_id":"SKL-BTC","sequence":177100030,"time":"2021-04-17T16:43:37.089723Z"}"#;
    let advanced = r#"{"channel":"market_trades","client_id":"","timestamp":"2023-02-09T20:19:35.394Z","sequence_num":0,"events":[{"type":"snapshot","trades":[{"trade_id":"12","product_id":"ETH-USD","price":"1260.01","size":"0.3","side":"BUY","time":"2019-08-14T20:42:27.265Z"}]}]}"#;
    check(
        Format::Coinbase,
        &[
            // The maker sold: the taker bought.
            (match_message, "coinbase|SKL-BTC 280232 1618677817089723000 0.00001305 985 buy"),
            (
                &match_message.replace("\"match\"", "\"last_match\""),
                "coinbase|SKL-BTC 280232 1618677817089723000 0.00001305 985 buy",
            ),
            (
                &match_message.replace("2021-04-17T16", "2021-04-17 at 16"),
                "time: event_time: not a time: neither a number nor RFC 3339 with an offset",
            ),
            (advanced, "coinbase|ETH-USD 12 1565815347265000000 1260.01 0.3 buy"),
            (
                r#"{"channel":"market_trades","events":[{"type":"update","trades":[]}]}"#,
                "ignored coinbase:without_trades 1",
            ),
            (r#"{"channel":"heartbeats","events":[]}"#, "ignored coinbase:heartbeats 1"),
            (r#"{"type":"l2update","product_id":"SKL-BTC","changes":[]}"#, "ignored coinbase:l2update 1"),
        ],
    );
    let config = DecodeConfig { coinbase_advanced_maker_side: true, ..DecodeConfig::default() };
    let flipped = show(&decode(&config, None, advanced.as_bytes()));
    assert_eq!(flipped, "coinbase|ETH-USD 12 1565815347265000000 1260.01 0.3 sell");
}

#[test]
fn kraken() {
    check(
        Format::Kraken,
        &[
            (
                r#"[993,[["354.04000000","0.28245396","1618678150.826417","s","m",""],["x","1","1618678150","s","m",""],["353.81","1.7","1618678150.8278161","b","m",""]],"trade","XMR/USD"]"#,
                "kraken|XMR/USD @3:7 1618678150826417000 354.04 0.28245396 sell\nkraken|XMR/USD @3:7:2 1618678150827816100 353.81 1.7 buy\nnumber: trade 2 of the message: price: not a decimal number",
            ),
            (
                r#"{"channel":"trade","type":"update","data":[{"symbol":"MATIC/USD","side":"sell","price":0.5117,"qty":40.0,"ord_type":"market","trade_id":4665906,"timestamp":"2023-09-25T07:49:37.708706Z"}]}"#,
                "kraken|MATIC/USD 4665906 1695628177708706000 0.5117 40 sell",
            ),
            (
                r#"{"error": [], "result": {"XBTUSDT": [["105433.60000", "0.00027625", 1762795433.9717445, "b", "l", "", 10218208]], "last": "1762820035982277754"}}"#,
                "kraken|XBTUSDT 10218208 1762795433971744500 105433.6 0.00027625 buy",
            ),
            (
                r#"{"error":[],"result":{"XBTUSDT":[[1762795433,"1","2","3","4","5","6",7]],"last":1}}"#,
                "ignored kraken:answer 1",
            ),
            (r#"{"error":["EQuery:Unknown asset pair"]}"#, "ignored kraken:answer 1"),
            (r#"[1664,{"as":[]},"book-1000","WAVES/EUR"]"#, "ignored kraken:book 1"),
            (r#"[1664,{"a":[]},{"b":[]},"book-1000","SC/EUR"]"#, "ignored kraken:book 1"),
            (r#"[993,[],"trade","XMR/USD"]"#, "ignored kraken:without_trades 1"),
            (r#"{"event":"heartbeat"}"#, "ignored kraken:heartbeat 1"),
            (r#"{"channel":"heartbeat"}"#, "ignored kraken:heartbeat 1"),
        ],
    );
}

#[test]
fn other_venues_do_not_vanish() {
    let table = [
        (
            r#"{"data":{"bids":[],"asks":[]},"channel":"diff_order_book_bateur","event":"data"}"#,
            "ignored unknown:book 1",
        ),
        (
            r#"{"data":{"id":216000477,"amount_str":"0.07920000","price_str":"3805.44"},"channel":"live_trades_ethusd","event":"trade"}"#,
            "malformed: unknown message shape: no known message looks like this",
        ),
        (
            r#"https://x/transactions -> 1641343696.2: [{"tid":1,"price":"1","amount":"2"}]"#,
            "malformed: trade 1 of the message: unknown message shape: no known message looks like this",
        ),
    ];
    for (message, expected) in table {
        assert_eq!(show(&decode(&DecodeConfig::default(), None, message.as_bytes())), expected, "{message}");
    }
}
