//! The market as its users see it: counts that add up, files that read back, bytes that never change.

mod account;
mod crash;
mod streams;

use super::*;
use crate::decode::Format;
use crate::file::{FileOptions, Op, open_inputs};
use crate::source::Work;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use tidewheel_schemas::{AggressorSide, Change, SECOND_NS, Trade};

fn config(trades: u64) -> MarketConfig {
    let faults = Faults {
        out_of_order_ppm: 30_000,
        duplicate_ppm: 20_000,
        conflict_ppm: 10_000,
        late_ppm: 8_000,
        future_ppm: 5_000,
        malformed_ppm: 10_000,
        cancelled_ppm: 10_000,
        corrected_ppm: 10_000,
    };
    MarketConfig { seed: 42, trades, has_counts: true, faults, ..MarketConfig::default() }
}

#[test]
fn every_event_is_what_its_cause_says_and_is_counted() {
    let config = config(200_000);
    let (start, horizon) = (config.start_time_ns, config.horizon_ns);
    let mut market = Market::new(config.clone()).expect("a sound market");
    let events: Vec<Event> = market.by_ref().collect();
    let mut tally = Tally::default();
    // First arrival of each good trade, and the greatest time seen so far.
    let mut sent: HashMap<(u32, u128), Trade> = HashMap::new();
    let mut used: HashSet<(u32, u128)> = HashSet::new();
    let (mut newest, mut last_arrival, mut behind) = (start, 0, 0u64);
    for event in &events {
        tally.add(event.cause);
        assert!(event.receive_time_ns >= last_arrival, "arrivals never go back");
        last_arrival = event.receive_time_ns;
        let key = (event.instrument, event.trade.id.to_bits());
        assert!(event.trade.price_e8 > 0 && event.trade.quantity_e8 > 0);
        assert_eq!(event.trade.event_time_ns % config.time_step_ns, 0);
        let before = sent.get(&key);
        match event.cause {
            Cause::Fresh | Cause::OutOfOrder => {
                assert!(used.insert(key), "each id once");
                assert!(newest - event.trade.event_time_ns <= config.disorder_ns + SECOND_NS / 100);
                behind += u64::from(event.trade.event_time_ns < newest);
                newest = newest.max(event.trade.event_time_ns);
                sent.insert(key, event.trade);
            }
            Cause::Duplicate => assert_eq!(before, Some(&event.trade)),
            Cause::Conflict => assert!(before.is_some_and(|trade| trade.price_e8 != event.trade.price_e8)),
            Cause::Cancel => assert!(before == Some(&event.trade) && event.op == Op::Cancel),
            Cause::Correct => {
                assert!(before.is_some_and(|trade| trade.event_time_ns == event.trade.event_time_ns));
                assert!(before != Some(&event.trade) && event.op == Op::Correct);
            }
            Cause::Late => assert!(used.insert(key) && newest - event.trade.event_time_ns > 2 * horizon),
            Cause::Future => assert!(used.insert(key) && event.trade.event_time_ns - newest >= 86_399 * SECOND_NS),
            Cause::Malformed(_) => assert!(used.insert(key)),
        }
    }
    assert_eq!(tally, market.tally());
    assert_eq!(tally.events(), events.len() as u64);
    assert_eq!(tally.trades() + tally.late + tally.future + tally.malformed, config.trades);
    assert!(behind > tally.out_of_order / 2, "{behind} trades are behind younger ones");
    let faults = config.faults;
    for (count, per_million) in [
        (tally.out_of_order, faults.out_of_order_ppm),
        (tally.duplicate, faults.duplicate_ppm),
        (tally.conflict, faults.conflict_ppm),
        (tally.late, faults.late_ppm),
        (tally.future, faults.future_ppm),
        (tally.malformed, faults.malformed_ppm),
        (tally.cancel, faults.cancelled_ppm),
        (tally.correct, faults.corrected_ppm),
    ] {
        let expected = config.trades * u64::from(per_million) / 1_000_000;
        assert!(count.abs_diff(expected) * 10 < expected, "{count}, expected about {expected}");
    }
}

#[test]
fn the_market_looks_like_one() {
    let config = MarketConfig { trades: 400_000, symbols: 10, ..MarketConfig::default() };
    let market = Market::new(config.clone()).expect("a sound market");
    let events: Vec<Event> = market.collect();
    let span = events.last().expect("events").trade.event_time_ns - config.start_time_ns;
    let expected = 400 * SECOND_NS;
    assert!(
        (expected / 2..expected * 2).contains(&span),
        "400,000 trades at 1,000 a second took {} s",
        span / SECOND_NS
    );
    let mut last: HashMap<u32, Trade> = HashMap::new();
    let (mut shared, mut of_first, mut moves) = (0, 0, HashSet::new());
    for Event { instrument, trade, .. } in &events {
        of_first += u64::from(*instrument == 0);
        if let Some(before) = last.insert(*instrument, *trade) {
            assert!(before.id < trade.id && before.event_time_ns <= trade.event_time_ns);
            shared += u64::from(before.event_time_ns == trade.event_time_ns);
        }
        if *instrument == 0 {
            moves.insert(trade.price_e8);
        }
    }
    assert!(
        (events.len() as u64 * 4 / 10..events.len() as u64 * 8 / 10).contains(&shared),
        "{shared} share their time"
    );
    // The tenth harmonic number is 2.929.
    assert!((125_000..148_000).contains(&of_first), "{of_first} trades of the first symbol");
    assert!(moves.len() > 500, "{} prices", moves.len());
}

#[test]
fn a_market_without_sense_is_refused() {
    let refused = |config: MarketConfig| Market::new(config).err().expect("refused");
    let faults = Faults { late_ppm: 900_000, future_ppm: 200_000, ..Faults::default() };
    assert_eq!(
        refused(MarketConfig { faults, ..config(1) }),
        "the faults are 1100000 in a million trades: a trade can meet only one"
    );
    assert!(refused(MarketConfig { leaning_ppm: 1_000_001, ..config(1) }).contains("cannot lean"));
    assert!(refused(MarketConfig { symbols: 0, ..config(1) }).contains("at least one symbol"));
    assert!(refused(MarketConfig { venue: "a b".into(), ..config(1) }).contains("no instrument names"));
    assert!(refused(MarketConfig { trades: u64::MAX, ..config(1) }).contains("less than a century"));
    assert_eq!(Market::new(config(0)).expect("an empty market").count(), 0);
}

/// CRC-32 of the first ten thousand events of a market in each format. A change here changes every generated file.
#[test]
fn bytes_never_change() {
    let mut got = Vec::new();
    for format in WireFormat::ALL {
        let market = Market::new(MarketConfig {
            has_counts: true,
            faults: Faults::SOME,
            ..MarketConfig::for_format(format.format())
        })
        .expect("a sound market");
        let instruments = market.instruments().to_vec();
        let mut bytes = Vec::new();
        for event in market.take(10_000) {
            if render(&event, &instruments[event.instrument as usize], format, &mut bytes) {
                bytes.push(b'\n');
            }
        }
        got.push(format!("{format:?} {:08x}", crc32fast::hash(&bytes)));
    }
    assert_eq!(
        got,
        [
            "Canonical 019e59db",
            "Binance 44cbde1c",
            "BinanceEnvelope 1c5fdfe2",
            "Cryptofeed bb6e89e4",
            "Bybit 378d138e",
            "Coinbase 32ff06ed",
            "Kraken bb5d15f8",
            "Csv 328d16ea",
        ]
    );
}

/// All lines of a text file, with their receive times.
fn lines_of(path: &Path, format: Format) -> Vec<(Option<i64>, Vec<u8>)> {
    let options = FileOptions { format, ..FileOptions::default() };
    let mut readers = open_inputs(&[path.display().to_string()], &options).expect("a file that opens");
    let mut lines = Vec::new();
    while let Some(Work::Messages(block)) = readers[0].read().expect("a file that reads") {
        assert!(block.rejects.is_empty());
        let header = (format == Format::Csv).then(csv_header);
        assert_eq!(block.header.as_deref(), header);
        lines.extend(block.messages.iter().map(|message| (message.receive_time_ns, block.payload(message).to_vec())));
    }
    lines
}

#[test]
fn text_files_read_back() {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, format, has_receive_time) in [
        ("a.jsonl", WireFormat::Canonical, false),
        ("b.jsonl.gz", WireFormat::Canonical, true),
        ("c.jsonl.zst", WireFormat::Binance, true),
        ("d.csv.gz", WireFormat::Csv, false),
        ("e.json", WireFormat::Kraken, false),
    ] {
        let path = directory.path().join(name);
        let config =
            MarketConfig { faults: config(0).faults, trades: 20_000, ..MarketConfig::for_format(format.format()) };
        let mut market = Market::new(config.clone()).expect("a sound market");
        let written = write_text(&path, &mut market, TextOptions { format, has_receive_time }).expect("a disk");
        let events: Vec<Event> = Market::new(config).expect("a sound market").collect();
        let mut expected = Vec::new();
        for event in &events {
            let mut text = Vec::new();
            if render(event, &market.instruments()[event.instrument as usize], format, &mut text) {
                expected.push((has_receive_time.then_some(event.receive_time_ns), text));
            }
        }
        assert!(lines_of(&path, format.format()) == expected, "{name}");
        assert_eq!(written.records, expected.len() as u64);
        assert_eq!(
            (written.records, written.tally.events()),
            (written.tally.events(), events.len() as u64 - written.skipped)
        );
        assert_eq!(written.skipped, if format.has_amendments() { 0 } else { market.tally().amendments() });
    }
    let csv = TextOptions { format: WireFormat::Csv, has_receive_time: true };
    let mut market = Market::new(config(1)).expect("a sound market");
    assert!(write_text(&directory.path().join("f.csv"), &mut market, csv).is_err());
}

#[test]
fn parquet_files_read_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("a.parquet");
    let config = config(300_000);
    let mut market = Market::new(config.clone()).expect("a sound market");
    let written = write_parquet(&path, &mut market).expect("a disk");
    assert_eq!((written.records, written.tally, written.skipped), (market.tally().events(), market.tally(), 0));
    let mut events = Market::new(config).expect("a sound market").collect::<Vec<_>>().into_iter().enumerate();
    let mut readers = open_inputs(&[path.display().to_string()], &FileOptions::default()).expect("a file that opens");
    let (mut trades, mut amendments, mut rejects) = (0, 0, 0);
    while let Some(Work::Rows(decode)) = readers[0].read().expect("a file that reads") {
        let chunk = decode();
        let columns = &chunk.columns;
        let (mut row, mut amended, mut rejected) = (0, chunk.amendments.iter(), chunk.rejects.iter());
        let here = chunk.end_position;
        while trades + amendments + rejects < here {
            let (position, event) = events.next().expect("an event a row");
            let position = position as u64;
            if matches!(event.cause, Cause::Malformed(_)) {
                assert_eq!(rejected.next().expect("a reject").position, position);
                rejects += 1;
            } else if event.op == Op::Insert {
                assert_eq!((columns.trade(row), columns.position[row]), (event.trade, position));
                assert_eq!(columns.receive_time_of(row), Some(event.receive_time_ns));
                assert_eq!(columns.instrument_of(row), &market.instruments()[event.instrument as usize]);
                trades += 1;
                row += 1;
            } else {
                let amendment = amended.next().expect("an amendment");
                assert_eq!((amendment.id, amendment.position), (event.trade.id, position));
                assert_eq!(amendment.change == Change::Cancel, event.op == Op::Cancel);
                amendments += 1;
            }
        }
    }
    assert!(events.next().is_none());
    let tally = market.tally();
    assert_eq!((amendments, rejects), (tally.amendments(), tally.malformed));
    assert_eq!(trades, tally.trades() + tally.duplicate + tally.conflict + tally.late + tally.future);
}

#[test]
fn orders_that_lean_tell_something_of_those_to_come() {
    // Of the windows of five seconds of a symbol, how many thousandths have the same side in front as the one before.
    let alike = |leaning_ppm: u32| {
        let config = MarketConfig { trades: 400_000, symbols: 4, leaning_ppm, ..MarketConfig::default() };
        let mut windows = HashMap::<(u32, i64), i64>::new();
        for event in Market::new(config).expect("a sound market") {
            let window = event.trade.event_time_ns.div_euclid(5 * SECOND_NS);
            let sign = if event.trade.side == AggressorSide::Buy { 1 } else { -1 };
            *windows.entry((event.instrument, window)).or_default() += sign;
        }
        let pairs =
            windows.iter().filter_map(|((symbol, window), one)| Some((one, windows.get(&(*symbol, window + 1))?)));
        let signs: Vec<bool> = pairs.map(|(one, next)| one.signum() == next.signum()).collect();
        1_000 * signs.iter().filter(|is_alike| **is_alike).count() / signs.len()
    };
    let (plain, leaning) = (alike(0), alike(200_000));
    assert!((400..600).contains(&plain) && leaning > 750, "{plain} and {leaning}");
}
