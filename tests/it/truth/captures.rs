//! Raw sessions of many venues: every line ends as records or as one message ignored by type, and nothing panics.

use super::{recording, text_of_file};
use crate::harness::program::{assert_same_bars, bars, rejects, replay, text_of};
use serde_json::Value;
use std::path::Path;
use tidewheel_schemas::{Counters, RejectReason};

/// What the lines of a capture hold, told the slow way.
#[derive(Debug, Default, PartialEq)]
struct Lines {
    /// Lines that are not blank.
    lines: u64,
    /// Of these, those with trades or market records, from 1.
    with_records: Vec<u64>,
    /// Trades in them.
    trades: u64,
    /// Quotes and books in them.
    market: u64,
}

#[test]
fn every_line_of_every_venues_capture_is_accounted_for() {
    let Some(folder) = recording("captures") else { return };
    let mut captures: Vec<_> =
        std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    captures.retain(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(char::is_uppercase)));
    captures.retain(|path| path.extension().is_some_and(|ending| ending == "gz"));
    captures.sort();
    assert_eq!(captures.len(), 27);
    let (mut trades, mut market) = (0, 0);
    for path in &captures {
        let found = check_capture(path);
        (trades, market) = (trades + found.trades, market + found.market);
    }
    println!("{trades} trades, {market} quotes and books in {} captures", captures.len());
    assert_eq!((trades, market), (523, 6_545));
}

fn check_capture(path: &Path) -> Lines {
    let lake = tempfile::tempdir().expect("a temporary folder");
    let counters = replay(lake.path(), &["--input", text_of(path), "--intervals", "1d", "--tick", "10m"]);
    let text = text_of_file(path);
    let expected = lines_of(&text);
    let name = path.display();
    let records = expected.trades + expected.market;
    assert_eq!(counters.read, records, "{name}");
    let with_records = expected.with_records.len() as u64;
    assert_eq!(counters.ignored.values().sum::<u64>() + with_records, expected.lines, "{name}: {:?}", counters.ignored);
    if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("BITSTAMP.")) {
        // Not a format of ours: its trades and answers are dead letters, each with its line and its bytes.
        assert_eq!(counters.rejected, expected.trades, "{name}");
        let letters = rejects(lake.path());
        assert!(letters.iter().map(|letter| letter.position).eq(expected.with_records), "{name}");
        for letter in letters {
            let line = text.lines().nth(letter.position as usize - 1).expect("the line");
            assert_eq!(letter.reason, RejectReason::Malformed, "{letter:?}");
            assert!(line.as_bytes().ends_with(&letter.raw) && letter.raw.starts_with(b"{"), "{letter:?}");
        }
        return Lines::default();
    }
    // A quote may be told twice.
    assert!(counters.duplicate <= expected.market, "{name}");
    let accepted = records - counters.duplicate;
    let Counters { duplicate, ref ignored, .. } = counters;
    let all = Counters { read: records, accepted, duplicate, ignored: ignored.clone(), ..Counters::default() };
    assert_eq!(counters, all, "{name}");
    expected
}

/// Finds the trades, quotes and books without any decoder of ours.
fn lines_of(text: &str) -> Lines {
    let mut found = Lines::default();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        found.lines += 1;
        let json = line.split_once(": ").map_or("", |(_, json)| json);
        let (trades, market) = serde_json::from_str(json).map_or((0, 0), |value| (trades_of(&value), books_of(&value)));
        if trades + market > 0 {
            found.with_records.push(number);
            found.trades += trades;
            found.market += market;
        }
    }
    found
}

fn trades_of(message: &Value) -> u64 {
    let length = |value: &Value| value.as_array().map_or(0, |items| items.len() as u64);
    let is = |value: &Value, texts: &[&str]| value.as_str().is_some_and(|text| texts.contains(&text));
    if is(&message["data"]["e"], &["trade", "aggTrade"])
        || is(&message["type"], &["match", "last_match"])
        || is(&message["event"], &["trade", "bts:subscription_succeeded"])
    {
        return 1;
    }
    if message["topic"].as_str().is_some_and(|topic| topic.starts_with("trade")) {
        return length(&message["data"]);
    }
    if is(&message[2], &["trade"]) { length(&message[1]) } else { 0 }
}

/// Quotes and books of Binance, whichever of its markets.
fn books_of(message: &Value) -> u64 {
    let data = message.get("data").unwrap_or(message);
    let is_of = |keys: &[&str]| keys.iter().all(|key| data.get(key).is_some());
    let is_event = data["e"].as_str().is_some_and(|event| matches!(event, "depthUpdate" | "bookTicker"));
    u64::from(is_event || is_of(&["u", "s", "b", "B", "a", "A"]) || is_of(&["lastUpdateId", "bids", "asks"]))
}

/// Another program's own JSON, of no format here: all of it becomes dead letters, with its bytes.
#[test]
fn normalised_events_of_no_known_format_are_rejected_whole() {
    let Some(folder) = recording("captures") else { return };
    let lake = tempfile::tempdir().expect("a temporary folder");
    let path = folder.join("binance_spot_trades_l1_btcusdt_ethusdt_solusdt.json.gz");
    let counters = replay(lake.path(), &["--input", text_of(&path), "--intervals", "1d"]);
    assert_eq!((counters.read, counters.rejected), (50_000, 50_000));
    let letters = rejects(lake.path());
    let text = text_of_file(&path);
    assert_eq!(letters.len(), 50_000);
    for ((position, line), letter) in (1..).zip(text.lines()).zip(&letters) {
        assert_eq!((letter.position, letter.reason), (position, RejectReason::Malformed));
        assert!(*letter.raw == *line.as_bytes(), "{letter:?}");
    }
}

/// The recording has market trades only, so every seventh is made one of a kind that venues keep out of their bars.
#[test]
fn trade_kinds_are_kept_apart() {
    let Some(path) = recording("binance_wire/usdm_btcusdt_20240808.gz") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = text_of_file(&path);
    let trades: Vec<&str> = text.lines().filter(|line| line.contains(r#""e":"trade""#)).collect();
    assert_eq!(trades.len(), 21_313);
    let kinds = ["INSURANCE_FUND", "ADL", "NA"];
    let (mut marked, mut market_only) = (String::new(), String::new());
    for (number, trade) in trades.iter().enumerate() {
        if number % 7 == 3 {
            let kind = format!(r#""X":"{}""#, kinds[number / 7 % 3]);
            marked.push_str(&trade.replace(r#""X":"MARKET""#, &kind));
        } else {
            marked.push_str(trade);
            market_only.push_str(&format!("{trade}\n"));
        }
        marked.push('\n');
    }
    let replay_text = |name: &str, text: &str| {
        let path = folder.path().join(format!("{name}.jsonl"));
        std::fs::write(&path, text).expect("a file");
        let lake = folder.path().join(name);
        (replay(&lake, &["--input", text_of(&path), "--trades-only"]), bars(&lake))
    };
    let (counters, found) = replay_text("marked", &marked);
    assert_eq!((counters.read, counters.accepted, counters.outside_bars), (21_313, 21_313, 3_045));
    let (_, expected) = replay_text("market_only", &market_only);
    assert_same_bars(&found, &expected, "with trades of other kinds");
    let (whole, _) = replay_text("as_recorded", &text);
    assert_eq!((whole.read, whole.accepted, whole.outside_bars), (21_313, 21_313, 0));
}
