//! Records that cannot be taken: reason, detail, position and raw bytes of each, and the counts.

use super::{Case, TIME_S, trade};
use crate::harness::program::bars;
use std::collections::BTreeMap;
use tidewheel_schemas::{Interval, OWN_LETTERS, RejectReason};

/// The parts of a canonical trade; tests replace one of them.
const FIELDS: [(&str, &str); 8] = [
    ("type", r#""trade""#),
    ("op", r#""insert""#),
    ("venue", r#""binance""#),
    ("symbol", r#""BTCUSDT""#),
    ("trade_id", r#""7""#),
    ("event_time", "1723161255000000000"),
    ("price", r#""61837.63""#),
    ("quantity", r#""0.02""#),
];

/// A trade with one field written otherwise, or left out.
fn with(field: &str, value: Option<&str>) -> Vec<u8> {
    assert!(FIELDS.iter().any(|(name, _)| *name == field), "{field}");
    let fields = FIELDS.iter().filter_map(|(name, usual)| {
        let value = if *name == field { value? } else { usual };
        Some(format!("\"{name}\":{value}"))
    });
    format!("{{{}}}", fields.collect::<Vec<_>>().join(",")).into_bytes()
}

/// Bad records, each with its reason and a part of its detail.
fn bad_records() -> Vec<(Vec<u8>, RejectReason, &'static str)> {
    use RejectReason::*;
    let mut table: Vec<(Vec<u8>, RejectReason, &'static str)> = vec![
        (b"hello".to_vec(), Malformed, "JSON"),
        (br#"{"type":"trade","op":"insert","#.to_vec(), Malformed, "JSON"),
        (br#"{"type":"trade"}}"#.to_vec(), Malformed, "JSON"),
        (b"42".to_vec(), Malformed, ""),
        (b"null".to_vec(), Malformed, ""),
        (b"{}".to_vec(), Malformed, "unknown message shape"),
        (br#"{"hello":"world"}"#.to_vec(), Malformed, "unknown message shape"),
        (b"\x00\x01\x02".to_vec(), Malformed, ""),
        (b"{\"type\":\"trade\",\"op\":\"insert\",\"symbol\":\"B\xff\"}".to_vec(), Malformed, "not UTF-8 at byte"),
        (b"\xc3\x28".to_vec(), Malformed, "not UTF-8 at byte 0"),
    ];
    let fields: &[(&str, Option<&str>, RejectReason, &str)] = &[
        ("op", Some(r#""bust""#), Field, "op: neither insert, cancel nor correct"),
        ("op", Some("1"), Field, "op"),
        ("op", Some(r#""correct","op":"cancel""#), Field, "op: written twice"),
        ("venue", None, Instrument, "venue is missing"),
        ("venue", Some("5"), Field, "venue: "),
        ("symbol", None, Instrument, "symbol is missing"),
        ("symbol", Some(r#""""#), Instrument, "symbol is missing"),
        ("symbol", Some("[]"), Field, "symbol: "),
        ("symbol", Some(r#""A|B""#), Instrument, "symbol holds a character"),
        ("symbol", Some(r#""A B""#), Instrument, "symbol holds a character"),
        ("symbol", Some("\"\u{416}\u{416}\""), Instrument, "symbol holds a character"),
        ("symbol", Some(r#""A\u0000""#), Instrument, "symbol holds a character"),
        (
            "symbol",
            Some("\"1234567890123456789012345678901234567890123456789012345678901234X\""),
            Instrument,
            "64 bytes",
        ),
        ("trade_id", Some(r#""""#), TradeId, "empty"),
        ("trade_id", Some("-7"), TradeId, "negative or not whole"),
        ("trade_id", Some("7.5"), TradeId, "negative or not whole"),
        ("trade_id", Some("{}"), Field, "trade_id: "),
        ("trade_id", Some(r#""@nowhere""#), TradeId, "source position"),
        ("trade_id", Some(r#""an id of so many words that nothing holds it""#), TradeId, "neither a number"),
        ("event_time", None, Field, "event_time: missing"),
        ("event_time", Some("{}"), Field, "event_time: "),
        ("event_time", Some("true"), Field, "event_time: "),
        ("event_time", Some("1723161255"), Time, "event_time: before 2009 or after 2200"),
        ("event_time", Some("1723161255342"), Time, "event_time: before 2009 or after 2200"),
        ("event_time", Some("1723161255342000"), Time, "event_time: before 2009 or after 2200"),
        ("event_time", Some("0"), Time, "event_time: before 2009"),
        ("event_time", Some("-1723161255342000000"), Time, "event_time: before 2009"),
        ("event_time", Some(r#""1970-01-01T00:00:00Z""#), Time, "event_time: before 2009"),
        ("event_time", Some(r#""2201-01-01T00:00:00Z""#), Time, "event_time: before 2009 or after 2200"),
        ("event_time", Some("9223372036854775807"), Time, "event_time: before 2009 or after 2200"),
        ("event_time", Some("99999999999999999999999"), Time, "event_time: before 2009 or after 2200"),
        ("event_time", Some(r#""2024-08-08 23:54:15""#), Time, "event_time: not a time"),
        ("event_time", Some("1723161255000000000.5"), Time, "event_time: finer than a nanosecond"),
        ("price", None, Field, "price: missing"),
        ("price", Some("null"), Field, "price: missing"),
        ("price", Some("true"), Field, "price: "),
        ("price", Some("[1]"), Field, "price: "),
        ("price", Some("NaN"), Malformed, "JSON"),
        ("price", Some(r#""NaN""#), Number, "price: not a decimal number"),
        ("price", Some(r#""Infinity""#), Number, "price: not a decimal number"),
        ("price", Some(r#""1,000""#), Number, "price: not a decimal number"),
        ("price", Some(r#""""#), Number, "price: not a decimal number"),
        ("price", Some("0"), Number, "price: not positive"),
        ("price", Some("-0.0"), Number, "price: not positive"),
        ("price", Some(r#""-61837.63""#), Number, "price: not positive"),
        ("price", Some("1e400"), Number, "price: out of range"),
        ("price", Some("1e-9"), Number, "price: more than 8 decimal places"),
        ("price", Some(r#""0.000000001""#), Number, "price: more than 8 decimal places"),
        ("price", Some("10000000000"), Number, "price: out of range"),
        ("price", Some(r#""99999999999999999999999999""#), Number, "price: out of range"),
        ("quantity", None, Field, "quantity: missing"),
        ("quantity", Some("0"), Number, "quantity: not positive"),
        ("quantity", Some("-1"), Number, "quantity: not positive"),
        ("quantity", Some(r#""nan""#), Number, "quantity: not a decimal number"),
        ("quantity", Some("1e-300"), Number, "quantity: more than 8 decimal places"),
        ("quantity", Some("0.123456789"), Number, "quantity: more than 8 decimal places"),
        ("quantity", Some("92233720368.54775808"), Number, "quantity: out of range"),
        ("quantity", Some("1e99"), Number, "quantity: out of range"),
        ("quantity", Some("90000000000"), Number, "price times quantity: out of range"),
    ];
    table.extend(fields.iter().map(|(field, value, reason, detail)| (with(field, *value), *reason, *detail)));
    table
}

#[test]
fn each_bad_record_is_a_dead_letter_with_reason_place_and_bytes() {
    let (case, bad) = (Case::new(), bad_records());
    let mut text = Vec::new();
    for (number, (record, ..)) in bad.iter().enumerate() {
        // Good trades between them must not suffer.
        text.extend_from_slice(trade("BTCUSDT", 1_000 + number, 0, "61837.63", "0.5").as_bytes());
        text.extend_from_slice(record);
        // Blank lines are no records.
        text.extend_from_slice(b"\r\n\n  \n");
    }
    let (counters, letters) = case.replay("bad.jsonl", &text, &["--format", "auto"]);
    for (number, ((record, reason, detail), letter)) in bad.iter().zip(&letters).enumerate() {
        let shown = String::from_utf8_lossy(record);
        assert_eq!((letter.reason, letter.position), (*reason, 4 * number as u64 + 2), "{shown}: {letter:?}");
        assert!(letter.detail.contains(detail), "{shown}: {}", letter.detail);
        assert_eq!(letter.raw, record.as_slice().into(), "{shown}");
    }
    let count = bad.len() as u64;
    assert_eq!((counters.read, counters.accepted, counters.rejected), (2 * count, count, count));
    let mut by_reason = BTreeMap::new();
    bad.iter().for_each(|(_, reason, _)| *by_reason.entry(*reason).or_default() += 1);
    assert_eq!(counters.rejected_by_reason, by_reason);
    let bars = bars(&case.lake());
    assert!(bars.len() == Interval::ALL.len() && bars.values().all(|bar| bar.trade_count == count));
}

#[test]
fn numbers_are_read_from_their_text() {
    let accepted = ["61837.63", "6.183763e4", "6183763E-2", "61837.630000000000", "\"61837.63\"", "\"6183763e-2\""];
    let case = Case::new();
    let lines = accepted.iter().enumerate().map(|(id, price)| {
        let time = TIME_S * 1_000_000_000;
        format!(
            "{{\"type\":\"trade\",\"venue\":\"x\",\"symbol\":\"Y\",\"trade_id\":{id},\"event_time\":{time},\"price\":{price},\
             \"quantity\":1e-8}}\n"
        )
    });
    let (counters, _) = case.replay("good.jsonl", lines.collect::<String>(), &["--intervals", "1s"]);
    assert_eq!(counters.accepted, accepted.len() as u64);
    let bars = bars(&case.lake());
    let bar = bars.values().next().expect("a bar");
    assert_eq!((bar.high_e8, bar.low_e8, bar.volume_e8), (6_183_763_000_000, 6_183_763_000_000, 6));
}

#[test]
fn of_trades_with_one_id_the_first_is_kept() {
    let case = Case::new();
    let first = trade("BTCUSDT", 7, 0, "100", "1");
    let other_price = trade("BTCUSDT", 7, 0, "101", "1");
    let other_time = trade("BTCUSDT", 7, 2_000_000_000, "100", "1");
    let other_symbol = trade("ETHUSDT", 7, 0, "101", "1");
    let text = [&first, &other_price, &first, &other_time, &other_symbol].map(String::as_str).concat();
    let (counters, letters) = case.replay("twice.jsonl", text, &["--intervals", "1m"]);
    assert_eq!((counters.read, counters.accepted, counters.duplicate, counters.rejected), (5, 2, 1, 2));
    for (letter, (position, raw)) in letters.iter().zip([(2, &other_price), (4, &other_time)]) {
        assert_eq!((letter.reason, letter.position), (RejectReason::Conflict, position), "{letter:?}");
        assert_eq!(letter.raw, raw.trim_end().as_bytes().into());
    }
    let prices: Vec<(i64, u64)> = bars(&case.lake()).values().map(|bar| (bar.close_e8, bar.trade_count)).collect();
    assert_eq!(prices, [(100_00000000, 1), (101_00000000, 1)]);
}

#[test]
fn a_message_of_thousands_that_are_refused_is_kept_a_few_times() {
    let case = Case::new();
    let mark = |after_s: i64, price: &str| {
        let time = (TIME_S + after_s) * 1_000_000_000;
        format!(
            "{{\"type\":\"mark\",\"venue\":\"binance\",\"symbol\":\"BTCUSDT\",\"event_time\":{time},\"mark_price\":\"{price}\"}}"
        )
    };
    let trade = |id: u32, price: u32| trade("BTCUSDT", id, 0, &price.to_string(), "1").trim_end().to_owned();
    let mut records: Vec<String> = (0..1_000).map(|_| mark(0, "-1")).collect();
    // Those of the next year are a minority, or the clock would go there.
    records.extend((0..1_500).map(|n| if n % 3 == 2 { mark(100 * 86_400 + n, "5") } else { mark(0, "5") }));
    records.extend((0..1_000).map(|n| trade(n, 100)));
    // Other prices of the same.
    records.extend((0..1_000).map(|n| trade(n, 101)));
    let message = format!("[{}]\n", records.join(","));
    let text = [&trade(5_000, 100), "\n", &message].concat();
    let (counters, letters) = case.replay("array.jsonl", text, &["--intervals", "1m"]);
    assert_eq!((counters.read, counters.accepted, counters.rejected), (4_501, 1_002, 2_500));
    let mut by_reason = BTreeMap::new();
    for letter in &letters {
        assert_eq!((letter.position, &*letter.raw), (2, message.trim_end().as_bytes()));
        *by_reason.entry(letter.reason).or_default() += letter.records;
    }
    assert_eq!(by_reason, counters.rejected_by_reason);
    assert_eq!(by_reason.len(), 3, "{by_reason:?}");
    assert!(letters.len() <= OWN_LETTERS + 3, "{} letters", letters.len());
}

#[test]
fn amendments_of_nothing_and_of_cancelled_trades() {
    let case = Case::new();
    let amend = |op: &str, id: &str, more: &str| {
        format!(
            "{{\"type\":\"trade\",\"op\":\"{op}\",\"venue\":\"binance\",\"symbol\":\"BTCUSDT\",\"trade_id\":\"{id}\"{more}}}\n"
        )
    };
    let lines = [
        trade("BTCUSDT", 1, 0, "100", "1"),
        trade("BTCUSDT", 2, 1, "200", "1"),
        amend("cancel", "99", ""),
        amend("correct", "98", ",\"price\":\"5\""),
        amend("correct", "1", ""),
        amend("cancel", "2", ""),
        amend("cancel", "2", ""),
        // A cancel is the last word.
        amend("correct", "2", ",\"price\":\"300\""),
        amend("correct", "1", ",\"price\":\"150\",\"sequence\":1"),
        amend("correct", "1", ",\"price\":\"-1\""),
        amend("correct", "1", ",\"event_time\":1754697255000000000"),
    ];
    let (counters, letters) = case.replay("amend.jsonl", lines.concat(), &["--intervals", "1d"]);
    let expected = [
        (3, RejectReason::UnknownTrade, "cancel of trade 99 of binance|BTCUSDT"),
        (4, RejectReason::UnknownTrade, "correction of trade 98 of binance|BTCUSDT"),
        (5, RejectReason::Field, "op: correct without anything to correct"),
        (10, RejectReason::Number, "price: not positive"),
        (11, RejectReason::Future, "beyond the tick that received it"),
    ];
    assert_eq!(letters.len(), expected.len(), "{letters:?}");
    for (letter, (position, reason, detail)) in letters.iter().zip(expected) {
        assert_eq!((letter.position, letter.reason), (position, reason), "{letter:?}");
        assert!(letter.detail.contains(detail), "{letter:?}");
        assert_eq!(letter.raw, lines[position as usize - 1].trim_end().as_bytes().into());
    }
    assert_eq!((counters.read, counters.accepted, counters.amended, counters.duplicate), (11, 5, 3, 1));
    let bars = bars(&case.lake());
    let bar = bars.values().next().expect("a bar");
    assert_eq!((bars.len(), bar.close_e8, bar.trade_count), (1, 150_00000000, 1));
}

#[test]
fn a_message_of_ten_megabytes_is_rejected_and_the_next_is_read() {
    let case = Case::new();
    let padding = "x".repeat(10 << 20);
    let large = trade("BTCUSDT", 2, 0, "100", "1").replace("\"type\"", &format!("\"padding\":\"{padding}\",\"type\""));
    // Below the limit of 8 MiB a message may be as odd as it likes.
    let odd = trade("BTCUSDT", 3, 0, "100", "1")
        .replace("\"type\"", &format!("\"padding\":\"{}\",\"type\"", &padding[..7 << 20]));
    let text = [&trade("BTCUSDT", 1, 0, "100", "1"), &large, &odd, &trade("BTCUSDT", 4, 0, "100", "1")];
    let (counters, letters) = case.replay("large.jsonl", text.map(String::as_str).concat(), &["--intervals", "1m"]);
    assert_eq!((counters.read, counters.accepted), (4, 3));
    let letter = &letters[0];
    assert_eq!((letter.position, letter.reason), (2, RejectReason::Oversized), "{}", letter.detail);
    assert!(!letter.raw.is_empty() && large.as_bytes().starts_with(&letter.raw), "{} bytes", letter.raw.len());
}

#[test]
fn csv_rows_that_cannot_be_taken() {
    let case = Case::new();
    let rows: &[(&str, Option<(RejectReason, &str)>)] = &[
        ("1723161255000,100,1,1", None),
        ("1723161255000,100,1", Some((RejectReason::Malformed, "row of 3 columns, expected 4"))),
        ("1723161255000,abc,1,2", Some((RejectReason::Number, "price"))),
        ("yesterday,100,1,3", Some((RejectReason::Time, "time"))),
        ("1723161255000,100,0,4", Some((RejectReason::Number, "quantity: not positive"))),
        ("1723161255000,100,,5", Some((RejectReason::Number, "quantity"))),
        // Without an id the row's place is its identity.
        ("1723161255000,100,1,", None),
        ("\"1723161255000,100,1,6", Some((RejectReason::Malformed, ""))),
        ("1723161255000,100,1,7", None),
    ];
    let text = rows.iter().map(|(row, _)| format!("{row}\n")).collect::<String>();
    let args = ["--format", "csv", "--csv", "id=id", "--venue", "v", "--symbol", "S", "--intervals", "1d"];
    let (counters, letters) = case.replay("rows.csv", format!("time,price,quantity,id\n{text}"), &args);
    let bad = (2u64..).zip(rows).filter_map(|(line, (row, trouble))| Some((line, row, (*trouble)?)));
    let bad: Vec<_> = bad.collect();
    assert_eq!((counters.read, letters.len()), (rows.len() as u64, bad.len()), "{letters:?}");
    for (letter, (line, row, (reason, detail))) in letters.iter().zip(bad) {
        assert_eq!((letter.position, letter.reason), (line, reason), "{row}: {letter:?}");
        assert!(letter.detail.contains(detail), "{row}: {}", letter.detail);
        assert_eq!(letter.raw, row.as_bytes().into());
    }
}

#[test]
fn a_truncated_stream_keeps_what_came_before() {
    use std::io::Write;
    let lines: Vec<String> = (0..20_000)
        .map(|id| trade("BTCUSDT", id * 7_919 % 20_011, id, &format!("{}", 1 + id * 31 % 997), "1"))
        .collect();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(lines.concat().as_bytes()).expect("memory");
    let whole = gzip.finish().expect("memory");
    for (name, bytes) in [("cut.jsonl.gz", &whole[..whole.len() / 2]), ("header.jsonl.gz", &whole[..6])] {
        let case = Case::new();
        let (counters, letters) = case.replay(name, bytes, &["--intervals", "1d"]);
        assert_eq!((counters.rejected, letters.len()), (1, 1), "{name}");
        let (letter, kept) = (&letters[0], counters.accepted as usize);
        assert_eq!((letter.reason, letter.position), (RejectReason::Truncated, kept as u64 + 1), "{name}: {letter:?}");
        assert!(letter.detail.contains("compressed stream is damaged or ends too early"), "{name}: {}", letter.detail);
        assert!(lines[kept].as_bytes().starts_with(&letter.raw), "{name}: {letter:?}");
        println!("{name}: {kept} of {} lines", lines.len());
    }
    let case = Case::new();
    let mut damaged = whole;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0xff);
    let (counters, letters) = case.replay("damaged.jsonl.gz", &damaged, &["--intervals", "1d"]);
    assert!(letters.iter().any(|letter| letter.reason == RejectReason::Truncated), "{counters:?}");
}
