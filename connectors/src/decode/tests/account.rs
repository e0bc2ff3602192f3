//! What accounts do: every record of ours, and why a bad one is refused.

use super::*;
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use std::sync::Arc;
use tidewheel_schemas::{
    AccountContent, AccountRecord, CashMovement, ContractKind, Fill, FillAmendment, FillChange, Holder, Instrument,
    InstrumentReference, NOTIONAL_LIMIT_E16, OrderEnd, OrderIntent, PRICE_LIMIT_E8, Side,
};

const FILL: &str = r#"{"type":"fill","account":"main","strategy":"trend","venue":"binance","symbol":"BTCUSDT","fill_id":"f-1","intent_id":"i-1","side":"buy","quantity":"0.5","price":"61837.63","fee":"12.37","fee_currency":"USDT","event_time":1723161255342000001}"#;
const CASH: &str = r#"{"type":"cash","account":"main","cash_id":"7","currency":"USDT","amount":"-100.5","event_time":1723161255342000001}"#;
const INTENT: &str = r#"{"type":"order_intent","account":"main","strategy":"trend","venue":"binance","symbol":"BTCUSDT","intent_id":"i-1","side":"sell","quantity":"0.5","limit_price":"61900","stop_price":"60000","reduce_only":true,"expires":1723164855342000000,"event_time":1723161255342000001}"#;
const INSTRUMENT: &str = r#"{"type":"instrument","venue":"bitmex","symbol":"XBTUSD","event_time":1723161255342000001,"asset_class":"crypto","sector":"layer1","base_currency":"BTC","quote_currency":"USD","contract":"inverse","multiplier":"100"}"#;
const END: &str = r#"{"type":"order_end","account":"main","intent_id":"i-1","event_time":1723161255342000001}"#;
const CANCEL: &str = r#"{"type":"fill_cancel","account":"main","venue":"binance","symbol":"BTCUSDT","fill_id":"f-1","event_time":1723161255342000001,"changed_time":1723161256000000000}"#;
const CORRECTION: &str = r#"{"type":"fill_correction","account":"main","strategy":"trend","venue":"binance","symbol":"BTCUSDT","fill_id":"f-1","intent_id":"i-1","side":"buy","quantity":"0.4","price":"61837.63","fee":"-1","fee_currency":"BNB","event_time":1723161255342000001,"sequence":3,"original_event_time":1723161255341000000,"changed_time":1723161256000000000}"#;

#[test]
fn records_as_they_are_written() {
    for record in [FILL, CASH, INTENT, INSTRUMENT, END, CANCEL, CORRECTION] {
        check(Format::Canonical, &[(record, record)]);
    }
}

/// A record with some of its text replaced, and what comes of it.
type Change<'a> = (&'a str, &'a str, &'a str, &'a str);

#[test]
fn what_may_be_left_out_and_how_else_it_may_be_written() {
    let table: &[Change<'_>] = &[
        // Without a fee its currency does not matter.
        (
            FILL,
            r#","fee":"12.37","fee_currency":"USDT""#,
            "",
            &FILL.replace(r#""12.37","fee_currency":"USDT""#, r#""0","fee_currency":"none""#),
        ),
        (FILL, r#""fee":"12.37""#, r#""fee":0"#, &FILL.replace("12.37", "0")),
        (FILL, r#""fee":"12.37""#, r#""fee":null"#, &FILL.replace("12.37", "0")),
        (FILL, r#","intent_id":"i-1""#, "", &FILL.replace(r#","intent_id":"i-1""#, "")),
        (FILL, r#""quantity":"0.5""#, r#""quantity":5e-1"#, FILL),
        (FILL, r#""side":"buy""#, r#""side":"BUY""#, FILL),
        (FILL, r#""binance""#, r#""Binance""#, FILL),
        (FILL, r#""fill_id":"f-1""#, r#""fill_id":18446744073709551616"#, &FILL.replace("f-1", "18446744073709551616")),
        (FILL, "1723161255342000001", r#""2024-08-08T23:54:15.342000001Z""#, FILL),
        (FILL, r#""account""#, r#""note":{"a":[1,{}]},"account""#, FILL),
        (
            FILL,
            "1723161255342000001}",
            r#"1723161255342000001,"receive_time":1723161255400000000}"#,
            &FILL.replace("1723161255342000001}", r#"1723161255342000001,"receive_time":1723161255400000000}"#),
        ),
        (
            INTENT,
            r#","limit_price":"61900","stop_price":"60000","reduce_only":true,"expires":1723164855342000000"#,
            "",
            &INTENT.replace(
                r#","limit_price":"61900","stop_price":"60000","reduce_only":true,"expires":1723164855342000000"#,
                "",
            ),
        ),
        (INTENT, r#""reduce_only":true"#, r#""reduce_only":false"#, &INTENT.replace(r#","reduce_only":true"#, "")),
        // Reference data without a time holds from the first there is.
        (
            INSTRUMENT,
            r#","event_time":1723161255342000001"#,
            "",
            &INSTRUMENT.replace("1723161255342000001", "1230768000000000000"),
        ),
        (
            INSTRUMENT,
            r#","contract":"inverse","multiplier":"100""#,
            "",
            &INSTRUMENT.replace("inverse", "linear").replace("100", "1"),
        ),
        // A change is of the time of its fill where nobody says when it was made.
        (
            CANCEL,
            r#","changed_time":1723161256000000000"#,
            "",
            &CANCEL.replace("1723161256000000000", "1723161255342000001"),
        ),
        (
            CORRECTION,
            r#","sequence":3,"original_event_time":1723161255341000000,"changed_time":1723161256000000000"#,
            "",
            &CORRECTION.replace(
                r#","sequence":3,"original_event_time":1723161255341000000,"changed_time":1723161256000000000"#,
                r#","changed_time":1723161255342000001"#,
            ),
        ),
        (
            END,
            r#","event_time":1723161255342000001"#,
            r#","receive_time":1723161255400000000"#,
            r#"{"type":"order_end","account":"main","intent_id":"i-1","event_time":1723161255400000000,"receive_time":1723161255400000000}"#,
        ),
    ];
    check_changes(table);
}

fn check_changes(table: &[Change<'_>]) {
    for (record, from, to, expected) in table {
        assert!(record.contains(from), "{from} is not in {record}");
        check(Format::Canonical, &[(&record.replacen(from, to, 1), expected)]);
    }
}

/// Whoever asks for what cannot be is told so by a decision.
#[test]
fn an_order_that_makes_no_sense_is_read() {
    let changes = [
        (r#""0.5""#, r#""-0.5""#),
        (r#""0.5""#, r#""0""#),
        (r#""0.5""#, r#""90000000000""#),
        (r#""61900""#, r#""-1""#),
        (r#""60000""#, r#""0""#),
        ("1723164855342000000", "1230768000000000000"),
    ];
    for (from, to) in changes {
        let record = INTENT.replacen(from, to, 1);
        check(Format::Canonical, &[(&record, &record)]);
    }
}

#[test]
fn bad_records_are_refused_for_their_reason() {
    let long = format!(r#""account":"{}""#, "x".repeat(65));
    let account = |text: &'static str| (FILL, r#""account":"main""#, text, "");
    let no_name = "holds a character other than visible ASCII without quotes, backslashes and |";
    let bad_name = format!("field: account: {no_name}");
    let mut table: Vec<Change<'_>> = vec![
        (FILL, r#""account":"main","#, "", r#"field: account: missing, expected in "account""#),
        (FILL, r#""account":"main""#, r#""account":"""#, "field: account: is empty"),
        (FILL, r#""account":"main""#, &long, "field: account: longer than 64 bytes"),
        (FILL, r#""account":"main""#, r#""account":7"#, "field: account: a number where a text is needed"),
        (FILL, r#""account":"main""#, r#""account":["main"]"#, "field: account: an array where a text is needed"),
        (FILL, r#""account":"main""#, r#""account":"main","account":"other""#, "field: account: written twice"),
        (FILL, r#""strategy":"trend","#, "", r#"field: strategy: missing, expected in "strategy""#),
        (FILL, r#""symbol":"BTCUSDT","#, "", "instrument: symbol is missing"),
        (
            FILL,
            r#""venue":"binance""#,
            r#""venue":"b|n""#,
            "instrument: venue holds a character other than letters, digits and ._-/:@+#",
        ),
        (FILL, r#""fill_id":"f-1""#, r#""fill_id":-1"#, "field: fill_id: a number that is negative or not whole"),
        (FILL, r#""fill_id":"f-1""#, r#""fill_id":1.5"#, "field: fill_id: a number that is negative or not whole"),
        (FILL, r#""fill_id":"f-1","#, "", r#"field: fill_id: missing, expected in "fill_id""#),
        (FILL, r#""intent_id":"i-1""#, r#""intent_id":"""#, "field: intent_id: is empty"),
        (FILL, r#""side":"buy""#, r#""side":"long""#, "field: side: neither buy nor sell"),
        (FILL, r#""side":"buy""#, r#""side":null"#, r#"field: side: missing, expected in "side""#),
        (FILL, r#""0.5""#, r#""-0.5""#, "number: quantity: not positive"),
        (FILL, r#""0.5""#, "0", "number: quantity: not positive"),
        (FILL, r#""0.5""#, r#""NaN""#, "number: quantity: not a decimal number"),
        (FILL, r#""0.5""#, "NaN", "malformed: not JSON at byte 146"),
        (FILL, r#""0.5""#, r#""Infinity""#, "number: quantity: not a decimal number"),
        (FILL, r#""0.5""#, r#""0.000000001""#, "number: quantity: more than 8 decimal places"),
        (FILL, r#""0.5""#, "99999999999999999999", "number: quantity: out of range"),
        (FILL, r#""0.5""#, r#"{"value":1}"#, "field: quantity: an object where a number is needed"),
        (FILL, r#""0.5""#, "90000000000", "number: price times quantity: out of range"),
        (FILL, r#""61837.63""#, r#""0""#, "number: price: not positive"),
        (FILL, r#""61837.63""#, r#""10000000000""#, "number: price: out of range"),
        (FILL, r#""61837.63""#, "1e400", "number: price: out of range"),
        (FILL, r#""12.37""#, r#""1e10""#, "number: fee: out of range"),
        (FILL, r#""12.37""#, r#""-1e10""#, "number: fee: out of range"),
        (FILL, r#","fee_currency":"USDT""#, "", r#"field: fee_currency: missing, expected in "fee_currency""#),
        (FILL, r#","event_time":1723161255342000001"#, "", r#"field: event_time: missing, expected in "event_time""#),
        (
            FILL,
            "1723161255342000001",
            "1723161255342",
            "time: event_time: before 2009 or after 2200 in every unit it may have",
        ),
        (
            FILL,
            "1723161255342000001",
            r#""noon""#,
            "time: event_time: not a time: neither a number nor RFC 3339 with an offset",
        ),
        (FILL, "1723161255342000001}", "1723161255342000001", "malformed: JSON ends too early"),
        (CASH, r#""-100.5""#, "0", "field: amount: is zero"),
        (CASH, r#""-100.5""#, r#""10000000000""#, "number: amount: out of range"),
        (CASH, r#""-100.5""#, r#""-10000000000""#, "number: amount: out of range"),
        (CASH, r#""amount":"-100.5","#, "", r#"field: amount: missing, expected in "amount""#),
        (CASH, r#""currency":"USDT","#, "", r#"field: currency: missing, expected in "currency""#),
        (CASH, r#""cash_id":"7","#, "", r#"field: cash_id: missing, expected in "cash_id""#),
        (CASH, r#","event_time":1723161255342000001"#, "", r#"field: event_time: missing, expected in "event_time""#),
        (INTENT, r#""60000""#, r#""10000000000""#, "number: stop_price: out of range"),
        (
            INTENT,
            r#""reduce_only":true"#,
            r#""reduce_only":"true""#,
            "field: reduce_only: a text where true or false is needed",
        ),
        (INTENT, "1723164855342000000", "1", "time: expires: before 2009 or after 2200 in every unit it may have"),
        (INTENT, r#""strategy":"trend","#, "", r#"field: strategy: missing, expected in "strategy""#),
        (INSTRUMENT, r#""inverse""#, r#""quanto""#, "field: contract: neither linear nor inverse"),
        (INSTRUMENT, r#""100""#, "0", "number: multiplier: not positive"),
        (INSTRUMENT, r#""100""#, r#""-1""#, "number: multiplier: not positive"),
        (INSTRUMENT, r#""sector":"layer1","#, "", r#"field: sector: missing, expected in "sector""#),
        (INSTRUMENT, r#""venue":"bitmex","#, "", "instrument: venue is missing"),
        (END, r#","intent_id":"i-1""#, "", r#"field: intent_id: missing, expected in "intent_id""#),
        (
            END,
            r#","event_time":1723161255342000001"#,
            "",
            "time: event_time: the message has none, and its source does not tell when it was received",
        ),
        (
            CANCEL,
            r#","event_time":1723161255342000001,"changed_time":1723161256000000000"#,
            "",
            "time: event_time: the message has none, and its source does not tell when it was received",
        ),
        (CANCEL, r#""fill_id":"f-1","#, "", r#"field: fill_id: missing, expected in "fill_id""#),
        (CORRECTION, r#""quantity":"0.4","#, "", r#"field: quantity: missing, expected in "quantity""#),
        (CORRECTION, r#""sequence":3"#, r#""sequence":1.5"#, "field: sequence: not a whole number of 64 bits"),
        (
            CORRECTION,
            r#""sequence":3"#,
            r#""sequence":9223372036854775808"#,
            "field: sequence: not a whole number of 64 bits",
        ),
    ];
    let names = [
        r#""account":"a b""#,
        r#""account":"a|b""#,
        r#""account":"a\"b""#,
        r#""account":"a\\b""#,
        r#""account":"ä""#,
        r#""account":"a\u0000""#,
    ];
    let bad_holder = "holds a /, | or @, by which names are told apart";
    let told = ["account", "strategy", "account"].map(|field| format!("field: {field}: {bad_holder}"));
    table.push((FILL, r#""account":"main""#, r#""account":"a/b""#, &told[0]));
    table.push((INTENT, r#""strategy":"trend""#, r#""strategy":"a@b""#, &told[1]));
    table.push((END, r#""account":"main""#, r#""account":"a@b""#, &told[2]));
    table.extend(names.map(account).map(|(record, from, to, _)| (record, from, to, &*bad_name)));
    check_changes(&table);
}

/// One record of a list that is refused leaves the others.
#[test]
fn records_of_one_message_stand_by_themselves() {
    let message = format!("[{FILL},{},{CASH}]", END.replace("main", ""));
    let expected = format!("{FILL}\n{CASH}\nfield: trade 2 of the message: account: is empty");
    check(Format::Canonical, &[(&message, &expected)]);
    let chunk = decode(&DecodeConfig::default(), None, message.as_bytes());
    let places: Vec<_> = chunk.account.iter().map(AccountRecord::source).collect();
    assert_eq!(places, [(3, 7, 0), (3, 7, 1)]);
}

#[test]
fn where_they_are_not_wanted_they_are_counted() {
    let config = DecodeConfig { account: false, ..DecodeConfig::default() };
    let kinds = ["fill", "cash", "order_intent", "instrument", "order_end", "fill_cancel", "fill_correction"];
    for (record, kind) in [FILL, CASH, INTENT, INSTRUMENT, END, CANCEL, CORRECTION].into_iter().zip(kinds) {
        assert_eq!(show(&decode(&config, None, record.as_bytes())), format!("ignored canonical:{kind} 1"));
    }
    let header = "venue,symbol,asset_class,sector,base_currency,quote_currency";
    assert_eq!(show(&decode(&config, Some(header), b"v,S,c,s,B,C")), "ignored csv:instrument 1");
}

#[test]
fn what_the_message_leaves_out_is_configured() {
    let config =
        DecodeConfig { venue: Some("bitmex".into()), symbol: Some("XBTUSD".into()), ..DecodeConfig::default() };
    let message = INSTRUMENT.replace(r#""venue":"bitmex","symbol":"XBTUSD","#, "");
    assert_eq!(show(&decode(&config, None, message.as_bytes())), INSTRUMENT);
}

/// Some record with any values that one may have.
fn random_record(random: &mut impl Rng, position: u64) -> AccountRecord {
    let mut own = rand_chacha::ChaCha8Rng::seed_from_u64(random.random());
    let random = &mut own;
    let number = |random: &mut rand_chacha::ChaCha8Rng, limit: i64| -> i64 {
        1 + random.random_range(0..limit - 1) / 10i64.pow(random.random_range(0..18))
    };
    let time = |random: &mut rand_chacha::ChaCha8Rng| {
        random.random_range(1_230_768_000_000_000_000..7_289_654_400_000_000_000i64)
    };
    let text = |random: &mut rand_chacha::ChaCha8Rng| -> Arc<str> {
        let allowed: Vec<char> = ('!'..='~').filter(|letter| !"\"\\|".contains(*letter)).collect();
        (0..random.random_range(1..=64)).map(|_| *allowed.choose(random).expect("letters")).collect::<String>().into()
    };
    let instrument = Instrument::new("binance", ["BTC/USDT", "a"][random.random_range(0..2)]).expect("a name");
    // Names are told apart by these.
    let name = |random: &mut rand_chacha::ChaCha8Rng| -> Arc<str> { text(random).replace(['/', '@'], "-").into() };
    let holder = Holder { account: name(random), strategy: name(random) };
    let side = [Side::Buy, Side::Sell][random.random_range(0..2)];
    let price_e8 = number(random, PRICE_LIMIT_E8);
    let largest = i64::try_from((NOTIONAL_LIMIT_E16 - 1) / i128::from(price_e8)).unwrap_or(i64::MAX);
    let quantity_e8 = number(random, i64::MAX).min(largest);
    let fee_e8 = random.random_range(1 - PRICE_LIMIT_E8..PRICE_LIMIT_E8);
    let fill = Fill {
        holder: holder.clone(),
        instrument: instrument.clone(),
        fill_id: text(random),
        intent_id: random.random::<bool>().then(|| text(random)),
        side,
        quantity_e8,
        price_e8,
        fee_e8,
        fee_currency: text(random),
        event_time_ns: time(random),
    };
    let (mut event_time_ns, other_time_ns) = (time(random), time(random));
    let original_time_ns = random.random::<bool>().then_some(other_time_ns);
    let content = match random.random_range(0..7) {
        0 => {
            event_time_ns = fill.event_time_ns;
            AccountContent::Fill(fill)
        }
        number @ (1 | 2) => AccountContent::FillAmendment(FillAmendment {
            account: holder.account,
            instrument,
            fill_id: fill.fill_id.clone(),
            change: match number {
                1 => FillChange::Cancel,
                _ => FillChange::Correct { fill: Box::new(fill), sequence: random.random() },
            },
            original_time_ns,
        }),
        3 => AccountContent::Cash(CashMovement {
            account: holder.account,
            id: text(random),
            currency: text(random),
            amount_e8: if fee_e8 == 0 { 1 } else { fee_e8 },
            event_time_ns,
        }),
        4 => AccountContent::Intent(OrderIntent {
            holder,
            instrument,
            intent_id: text(random),
            side,
            quantity_e8,
            limit_price_e8: random.random::<bool>().then_some(price_e8),
            stop_price_e8: random.random::<bool>().then_some(1 + price_e8 / 2),
            is_reduce_only: random.random(),
            expires_ns: original_time_ns,
            event_time_ns,
        }),
        5 => AccountContent::OrderEnd(OrderEnd { account: holder.account, intent_id: text(random) }),
        _ => AccountContent::Reference(InstrumentReference {
            instrument,
            asset_class: text(random),
            sector: text(random),
            base_currency: text(random),
            quote_currency: text(random),
            kind: [ContractKind::Linear, ContractKind::Inverse][random.random_range(0..2)],
            multiplier_e8: number(random, i64::MAX),
        }),
    };
    let receive_time_ns = random.random::<bool>().then_some(other_time_ns);
    AccountRecord { event_time_ns, partition: 5, position, index: 0, receive_time_ns, content }
}

#[test]
fn what_is_rendered_decodes_to_itself() {
    let seed: u64 = 0x6163_636f;
    println!("seed {seed}");
    let random = &mut rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let records: Vec<AccountRecord> = (0..20_000).map(|position| random_record(random, position)).collect();
    let mut block = MessageBlock { partition: 5, ..MessageBlock::default() };
    for record in &records {
        block.push(&render_account(record), record.position, None);
    }
    for format in [Format::Canonical, Format::Auto] {
        let chunk = Decoder::new(DecodeConfig { format, ..DecodeConfig::default() }).decode(block.clone());
        assert_eq!((chunk.rejects.as_slice(), chunk.ignored.len()), (&[][..], 0));
        assert_eq!(chunk.account.len(), records.len());
        let differ = chunk.account.iter().zip(&records).find(|(found, expected)| found != expected);
        assert_eq!(differ, None);
    }
}
