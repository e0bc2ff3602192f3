//! Flash crashes in recorded trades: two days of BitMEX through the program, with the default fall and with smaller ones.

use super::slow::Falls;
use super::watched::Told;
use super::{e8, recording, text_of_file};
use crate::harness::program::{replay, text_of};
use std::path::Path;
use tidewheel::tables::Tables;
use tidewheel_connectors::lake::read;
use tidewheel_connectors::lake::rows::RowsByTick;

/// Prices wait for 300 ms; with ticks of half a second a fall is told within a second, where ticks go on.
const TICK_MS: i64 = 500;
const REORDER_MS: i64 = 300;
const WINDOW_NS: i64 = 10_000_000_000;
const INSTRUMENTS: &str = "venue,symbol,asset_class,sector,base_currency,quote_currency,contract,multiplier\n\
    bitmex,XBTUSD,crypto,coin,BTC,USD,inverse,1\n";

/// A price, and when it was paid, milliseconds.
type Paid = (i64, f64);

/// A flash crash: the tick that told of it, and the trade that completed it.
#[derive(Debug, PartialEq)]
struct Crash {
    tick_ms: i64,
    completed: Paid,
}

/// What the program says of trades, where a fall of so much is a flash crash.
fn crashes(folder: &Path, trades: &str, fall: &str, tick: &str) -> Vec<Crash> {
    let (instruments, config) = (folder.join("instruments.csv"), folder.join("risk.toml"));
    let lake = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(&instruments, INSTRUMENTS).expect("a temporary folder can be written to");
    let policy = format!(
        "[features]\nviews = []\n[risk]\nstep = \"1h\"\n[risk.policy]\nversion = 1\n[risk.policy.flash_crash]\nfall = {fall}\n"
    );
    std::fs::write(&config, policy).expect("a temporary folder can be written to");
    let map = "time=timestamp,quantity=size,signed=true";
    let format = ["--format", "csv", "--csv", map, "--venue", "bitmex", "--symbol", "XBTUSD", "--tick", tick];
    let input =
        ["--config", text_of(&config), "--intervals", "1h", "--input", text_of(&instruments), "--input", trades];
    let counters = replay(lake.path(), &[&input[..], &format].concat());
    assert_eq!((counters.read, counters.rejected + counters.late), (counters.accepted, 0), "{counters:?}");

    let state = read::manifest(lake.path()).expect("a lake");
    let tables = Tables::default().with_risk(true, false);
    let number = tables.specs().iter().position(|spec| &*spec.family == "risk_events").expect("a table");
    let mut stored = RowsByTick::open(lake.path(), &state, &tables.specs()[number], number as u16, 0).expect("a lake");
    let mut told: Vec<Crash> = Vec::new();
    stored
        .drain(|row| {
            // The events are of no instrument: their time is the tick.
            let event = Told::of((row.event_time_ns / 1_000_000) as u64, &row);
            if event.kind != "flash_crash" {
                return;
            }
            assert_eq!(event.scope, "symbol:bitmex|XBTUSD");
            let completed = &event.detail["flash_crash"]["completed_by"];
            let number = |name: &str| completed[name].as_i64().unwrap_or_else(|| panic!("{}", event.detail));
            let completed = (number("time_ns") / 1_000_000, number("value") as f64 / 1e8);
            told.push(Crash { tick_ms: event.tick as i64, completed });
        })
        .expect("sound files");
    told.sort_by_key(|crash| crash.tick_ms);
    told
}

/// The trades, in the order of the recording, which is that of their times.
fn paid(text: &str) -> Vec<Paid> {
    let paid = |line: &str| {
        let mut fields = line.split(',');
        let mut field = || fields.next().expect("three columns");
        (field().parse().expect("milliseconds"), e8(field()) as f64 / 1e8)
    };
    text.lines().skip(1).map(paid).collect()
}

/// The trades that complete a fall, by a plain loop.
fn completing(paid: &[Paid], fall: f64) -> Vec<Paid> {
    let mut falls = Falls::new(WINDOW_NS, fall);
    paid.iter().copied().filter(|(time_ms, price)| falls.take(time_ms * 1_000_000, *price)).collect()
}

fn check(folder: &Path, trades: &str, paid: &[Paid], fall: &str) -> usize {
    let (found, expected) =
        (crashes(folder, trades, fall, &format!("{TICK_MS}ms")), completing(paid, fall.parse().expect("a number")));
    let completed: Vec<Paid> = found.iter().map(|crash| crash.completed).collect();
    println!("{fall}: {} crashes, {:?}", expected.len(), found.first());
    assert_eq!(completed, expected, "a fall of {fall}");
    // A replay has ticks where the recording has trades.
    let tick_of = |time_ms: i64| (time_ms / TICK_MS + 1) * TICK_MS;
    let mut without_ticks = 0;
    for Crash { tick_ms, completed: (time_ms, _) } in &found {
        let ticks = paid.iter().map(|(time_ms, _)| tick_of(*time_ms));
        let first = ticks.filter(|tick_ms| *tick_ms >= time_ms + REORDER_MS).min();
        assert_eq!(Some(*tick_ms), first, "a fall completed at {time_ms}");
        let had_tick = paid.iter().any(|(other, _)| (time_ms + REORDER_MS..time_ms + 1_000).contains(&tick_of(*other)));
        assert!(!had_tick || tick_ms - time_ms < 1_000, "told {} ms after", tick_ms - time_ms);
        without_ticks += usize::from(!had_tick);
    }
    println!("{without_ticks} of these were followed by silence");
    found.len()
}

#[test]
fn recorded_falls_are_told_within_a_second_of_the_trade_that_completes_them() {
    let Some(path) = recording("bitmex/XBTUSD-trades-2018-01-01_02.csv.gz") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = text_of_file(&path);
    let all = paid(&text);
    assert!(all.is_sorted_by_key(|(time_ms, _)| *time_ms));
    let steepest = (1..30).rev().find(|thousandths| !completing(&all, f64::from(*thousandths) / 1e3).is_empty());
    println!("{} trades, the steepest fall in ten seconds is {steepest:?} thousandths and more", all.len());
    // In those two days nothing fell by the default three percent in ten seconds.
    let trades = text_of(&path);
    assert_eq!((crashes(folder.path(), trades, "0.03", "1m"), completing(&all, 0.03)), (vec![], vec![]));
    // Many of the second day, some of them before a silence, and one of a quieter hour.
    for (trades, at_least) in [(270_000..290_000, 10), (174_000..176_000, 1)] {
        let (file, paid) = part(folder.path(), &text, trades);
        assert!(check(folder.path(), &file, &paid, "0.005") >= at_least);
    }
}

/// A part of the recording as a file, and as prices.
fn part(folder: &Path, text: &str, trades: std::ops::Range<usize>) -> (String, Vec<Paid>) {
    let lines: Vec<&str> = text.lines().skip(1).skip(trades.start).take(trades.len()).collect();
    let part = format!("timestamp,price,size\n{}\n", lines.join("\n"));
    let file = folder.join(format!("{}.csv", trades.start));
    std::fs::write(&file, &part).expect("a temporary folder can be written to");
    (text_of(&file).to_owned(), paid(&part))
}

#[test]
fn one_bad_print_in_recorded_trades_is_no_flash_crash_and_two_are() {
    let Some(path) = recording("bitmex/XBTUSD-trades-2018-01-01_02.csv.gz") else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = text_of_file(&path);
    // The first of them.
    let lines: Vec<&str> = text.lines().take(10_001).collect();
    let injected = |bad: usize| {
        let mut lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        for line in &mut lines[5_000..5_000 + bad] {
            let (time, rest) = line.split_once(',').expect("three columns");
            let (price, size) = rest.split_once(',').expect("three columns");
            let price = e8(price) / 100 * 90;
            *line = format!("{time},{}.{:08},{size}", price / 100_000_000, price % 100_000_000);
        }
        let file = folder.path().join(format!("{bad}.csv"));
        std::fs::write(&file, lines.join("\n") + "\n").expect("a temporary folder can be written to");
        (text_of(&file).to_owned(), paid(&lines.join("\n")))
    };
    for (bad, expected) in [(0, 0), (1, 0), (2, 1)] {
        let (file, paid) = injected(bad);
        assert_eq!(check(folder.path(), &file, &paid, "0.03"), expected, "{bad} bad prints");
    }
}
