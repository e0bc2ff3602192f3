//! Recorded and generated streams through `replay`: what comes in, what is kept, and that trades do not notice.

use super::{ORIGIN, contents, rows, table};
use crate::harness::program::{assert_same_bars, bars, rejects, replay, text_of, tidewheel};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tidewheel_connectors::decode::{DecodeConfig, Decoder};
use tidewheel_connectors::lake::Table;
use tidewheel_connectors::source::MessageBlock;
use tidewheel_schemas::{Counters, RejectReason};

/// A recording; nothing, after a line that says so, where there are none.
fn recording(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/binance_wire");
    if !folder.is_dir() {
        println!("skipped: the recordings are missing, expected in {}", folder.display());
        return None;
    }
    Some(folder.join(name))
}

fn check_recording(names: &[&str], venue: &str, expected: [u64; 3], ignored: &[(&str, u64)]) {
    let Some(paths) = names.iter().map(|name| recording(name)).collect::<Option<Vec<_>>>() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let lake = |name: &str| folder.path().join(name);
    let mut input = vec!["--input"];
    input.extend(paths.iter().map(|path| text_of(path)));
    let common = ["--venue", venue, "--symbol", "BTCUSDT", "--intervals", "1s,1m", "--tick", "1s"];
    let with = [&input[..], &common, &["--archive", "--workers", "2"]].concat();
    let counters = replay(&lake("with"), &with);
    let [trades, quotes, books] = expected;
    println!("{names:?}: {counters:?}");
    assert_eq!((counters.read, counters.rejected, counters.late), (trades + quotes + books, 0, 0));
    assert_eq!(counters.ignored, BTreeMap::new());
    let kept = rows(&lake("with"));
    assert_eq!(kept.values().sum::<u64>(), counters.accepted);
    assert_eq!((kept["trades"], kept["books"]), (trades, books));
    assert_eq!(kept["quotes"], quotes - counters.duplicate);

    // Without the streams: the same bars, and the messages counted.
    let without = [&input[..], &common, &["--trades-only"]].concat();
    let counters = replay(&lake("without"), &without);
    let ignored: BTreeMap<String, u64> = ignored.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
    let expected = Counters { read: trades, accepted: trades, ignored, ..Counters::default() };
    assert_eq!(counters, expected);
    assert_same_bars(&bars(&lake("with")), &bars(&lake("without")), "with the streams and without");

    // The tables of the lake as input: the same bars and records again.
    let tables = ["trades", "quotes", "books"].map(|table| lake("with").join(table).display().to_string());
    let mut again = vec!["--input"];
    again.extend(tables.iter().map(String::as_str));
    again.extend(["--archive", "--intervals", "1s,1m", "--workers", "2"]);
    let counters = replay(&lake("again"), &again);
    assert_eq!((counters.rejected, counters.late, counters.duplicate), (0, 0, 0));
    assert_eq!(rows(&lake("again")), kept);
    assert_same_bars(&bars(&lake("again")), &bars(&lake("without")), "from the lake's tables");
    assert_eq!(contents(&lake("again")), contents(&lake("with")));
}

#[test]
fn a_spot_session_is_kept_whole() {
    let ignored = [("binance:bookTicker", 73_174), ("binance:depth", 1), ("binance:depthUpdate", 6_495)];
    let names = ["spot_btcusdt_20240808.gz", "spot_btcusdt_20240809.gz"];
    check_recording(&names, "binance", [19_904, 73_174, 6_496], &ignored);
}

#[test]
fn a_session_of_futures_is_kept_whole() {
    let ignored = [("binance:bookTicker", 66_089), ("binance:depth", 1), ("binance:depthUpdate", 6_551)];
    check_recording(&["usdm_btcusdt_20240808.gz"], "binance_usdm", [21_313, 66_089, 6_552], &ignored);
}

/// Rows by table, and the tables as text.
type Kept = (BTreeMap<&'static str, u64>, Vec<Vec<String>>);

const ALL: &str = "trades,quotes,books,marks,liquidations";

fn generate(path: &Path, arguments: &[&str]) {
    let said = tidewheel(&[&["generate", "--output", text_of(path), "--symbols", "6"], arguments].concat());
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
}

#[test]
fn a_generated_market_gives_the_same_lake_in_every_form_on_any_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let mut found: Option<Kept> = None;
    for (number, format) in ["canonical", "binance", "binance-envelope"].into_iter().enumerate() {
        let file = at(&format!("{format}.jsonl"));
        // Nine hours, so that funding is settled once.
        let options = ["--trades", "20000", "--trades-per-second", "1", "--start", "2024-08-05T05:00:00Z"];
        generate(&file, &[&options[..], &["--streams", ALL, "--receive-time", "--format", format]].concat());
        let lake = at(&format!("lake-{format}"));
        let workers = (number + 1).to_string();
        let counters = replay(&lake, &["--input", text_of(&file), "--archive", "--workers", &workers, "--tick", "10s"]);
        assert_eq!((counters.rejected, counters.late, counters.duplicate), (0, 0, 0));
        assert_eq!(counters.read, std::fs::read_to_string(&file).expect("text").lines().count() as u64);
        let kept = rows(&lake);
        println!("{format}: {kept:?}");
        assert_eq!((kept.len(), kept["trades"], kept["quotes"]), (6, 20_000, 20_000));
        // Where each came from is the line, the same in every form, but for the name of the file.
        let tables = Table::MARKET.map(|of| table(&lake, of, &["source"])).to_vec();
        match &found {
            None => found = Some((kept, tables)),
            Some(expected) => assert!(*expected == (kept, tables), "{format} on {workers} workers differs"),
        }
    }
    let only = at("only.jsonl");
    generate(&only, &["--trades", "2000", "--streams", "quotes", "--format", "binance"]);
    let text = std::fs::read_to_string(&only).expect("text");
    assert!(text.lines().count() == 2_000 && text.lines().all(|line| line.starts_with("{\"e\":\"bookTicker\"")));
    let said = tidewheel(&["generate", "--output", text_of(&at("x.csv")), "--streams", "books"]);
    assert!(said.code == Some(2) && said.err.contains("canonical or binance"), "{}", said.err);
}

/// A file that holds market records only has its clock from them; refused ones name their reason and their bytes.
#[test]
fn records_of_another_time_are_refused_with_their_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let second = |at: u64| 1_723_161_600_000_000_000 + at * 1_000_000_000;
    let trade = |at: u64, id: u64| {
        format!(
            r#"{{"type":"trade","venue":"v","symbol":"S","trade_id":"{id}","event_time":{},"price":"1","quantity":"1"}}"#,
            second(at)
        )
    };
    let quote = |at: u64| {
        format!(
            r#"{{"type":"quote","venue":"v","symbol":"S","event_time":{},"bid_price":"1","bid_quantity":"2"}}"#,
            second(at)
        )
    };
    let lines = [
        trade(100, 1),
        quote(100),
        // Two hours ahead of the clock that the lines after it confirm.
        quote(7_300),
        trade(101, 2),
        quote(101),
        quote(102),
        trade(5_000, 3),
        trade(5_061, 4),
        trade(5_122, 5),
        // Older than all that may still change: the horizon is an hour.
        quote(103),
        quote(5_122),
    ];
    let path = folder.path().join("mixed.jsonl");
    std::fs::write(&path, lines.join("\n")).expect("a file");
    let lake = folder.path().join("lake");
    let counters = replay(&lake, &["--input", text_of(&path), "--archive"]);
    assert_eq!((counters.read, counters.accepted, counters.rejected), (11, 9, 2));
    let letters = rejects(&lake);
    let told: Vec<_> = letters.iter().map(|letter| (letter.position, letter.reason)).collect();
    assert_eq!(told, [(3, RejectReason::Future), (10, RejectReason::TooOld)]);
    for letter in &letters {
        assert_eq!(*letter.raw, *lines[letter.position as usize - 1].as_bytes());
    }
    assert!(letters[1].detail.contains("before all that may still change"), "{letters:?}");

    // Alone, hours of quotes fall into the ticks of their time.
    let quotes: Vec<String> = (0..200).map(|number| quote(number * 60)).collect();
    let path = folder.path().join("quotes.jsonl");
    std::fs::write(&path, quotes.join("\n")).expect("a file");
    let lake = folder.path().join("quotes");
    let counters = replay(&lake, &["--input", text_of(&path), "--archive", "--tick", "60s"]);
    assert_eq!((counters.read, counters.accepted), (200, 200));
    let lines = table(&lake, Table::Quotes, &ORIGIN[1..]);
    let ticks: Vec<u64> = (1..=200).map(|minute| second(minute * 60) / 1_000_000).collect();
    let mut found: Vec<u64> = lines.iter().map(|line| tick_of(line)).collect();
    found.sort_unstable();
    assert_eq!(found, ticks);
}

fn tick_of(line: &str) -> u64 {
    let word = line.split(' ').find_map(|word| word.strip_prefix("tick="));
    word.expect("a tick").parse().expect("a number")
}

/// The files of a lake are bound to nothing: records that are read from them are those that the decoder had made.
#[test]
fn the_lake_holds_what_the_decoder_made() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("market.jsonl");
    generate(&file, &["--trades", "3000", "--streams", ALL, "--receive-time"]);
    let lake = folder.path().join("lake");
    replay(&lake, &["--input", text_of(&file), "--archive"]);
    let text = std::fs::read_to_string(&file).expect("text");
    let mut block = MessageBlock::default();
    for (position, line) in (1..).zip(text.lines()) {
        let (time, message) = line.split_once(' ').expect("a receive time");
        block.push(message.as_bytes(), position, Some(time.parse().expect("nanoseconds")));
    }
    let chunk = Decoder::new(DecodeConfig::default()).decode(block);
    let mut expected: Vec<String> = chunk.market.into_iter().map(super::without_origin).collect();
    expected.sort();
    assert!(expected.len() > 6_000);
    assert_eq!(contents(&lake), expected);
}
