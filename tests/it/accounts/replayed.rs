//! Generated accounts and tables of instruments through `replay`: what comes in, what is kept, and that trades do not notice.

use super::{contents, without_origin};
use crate::harness::program::{assert_same_bars, bars, rejects, replay, text_of, tidewheel};
use crate::streams::{rows, table};
use std::collections::BTreeMap;
use std::path::Path;
use tidewheel_connectors::decode::{DecodeConfig, Decoder};
use tidewheel_connectors::lake::Table;
use tidewheel_connectors::source::MessageBlock;
use tidewheel_schemas::{AccountRecord, RejectReason};

fn generate(path: &Path, streams: &str) {
    let market = ["--symbols", "4", "--trades", "20000", "--trades-per-second", "20", "--seed", "11"];
    let told = ["generate", "--output", text_of(path), "--receive-time", "--streams", streams];
    let said = tidewheel(&[&told[..], &market].concat());
    assert_eq!(said.code, Some(0), "{}{}", said.out, said.err);
}

/// What the decoder makes of a file's lines.
fn decoded(path: &Path) -> Vec<AccountRecord> {
    let text = std::fs::read_to_string(path).expect("text");
    let mut block = MessageBlock::default();
    for (position, line) in (1..).zip(text.lines()) {
        let (time, message) = line.split_once(' ').expect("a receive time");
        block.push(message.as_bytes(), position, Some(time.parse().expect("nanoseconds")));
    }
    Decoder::new(DecodeConfig::default()).decode(block).account
}

#[test]
fn an_account_is_kept_as_it_was_decoded_wherever_ticks_are_cut_and_on_any_workers() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let (file, trades) = (at("paper.jsonl"), at("trades.jsonl"));
    generate(&file, "trades,account");
    generate(&trades, "trades");
    let records = decoded(&file);
    let mut expected: Vec<String> = records.iter().cloned().map(without_origin).collect();
    expected.sort();
    let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
    records.iter().for_each(|record| *kinds.entry(record.content.name()).or_default() += 1);
    println!("{kinds:?}");
    replay(&at("trades"), &["--input", text_of(&trades), "--intervals", "1s,1m"]);
    for (number, tick) in ["100ms", "7s", "10m"].into_iter().enumerate() {
        let lake = at(tick);
        let workers = (number + 1).to_string();
        let arguments = ["--archive", "--intervals", "1s,1m", "--workers", &workers, "--tick", tick];
        let counters = replay(&lake, &[&["--input", text_of(&file)], &arguments[..]].concat());
        assert_eq!((counters.rejected, counters.late, counters.duplicate), (0, 0, 0));
        assert_eq!((counters.read, counters.accepted), (20_000 + records.len() as u64, counters.read));
        let kept = rows(&lake);
        println!("{tick}: {kept:?}");
        assert_eq!(kept.values().sum::<u64>(), counters.accepted);
        let by_kind = ["fills", "fill_amendments", "cash", "order_intents", "order_ends", "instruments"];
        let by_kind = by_kind.map(|name| kept[name]);
        let of = ["fill", "fill_amendment", "cash", "order_intent", "order_end", "reference"].map(|kind| kinds[kind]);
        assert_eq!(by_kind, of);
        assert!(contents(&lake) == expected, "ticks of {tick}");
        // Where each came from is its line.
        let lines: usize = Table::ACCOUNT.map(|of| table(&lake, of, &["tick"]).len()).into_iter().sum();
        assert_eq!(lines, records.len());
        assert_same_bars(&bars(&lake), &bars(&at("trades")), "with an account and without");
    }

    // The tables of the lake as input: the same records again, by their own clock.
    let tables = Table::ARCHIVE.map(|of| at("7s").join(of.name())).into_iter().filter(|folder| folder.is_dir());
    let tables: Vec<String> = tables.map(|folder| folder.display().to_string()).collect();
    let inputs: Vec<&str> = tables.iter().flat_map(|folder| ["--input", folder]).collect();
    let counters =
        replay(&at("again"), &[&inputs[..], &["--archive", "--intervals", "1s,1m", "--workers", "2"]].concat());
    assert_eq!((counters.rejected, counters.late, counters.duplicate), (0, 0, 0));
    assert_eq!(rows(&at("again")), rows(&at("7s")));
    assert!(contents(&at("again")) == expected, "from the lake's tables");
    assert_same_bars(&bars(&at("again")), &bars(&at("trades")), "from the lake's tables");

    // Where only trades are wanted the messages are counted.
    let counters = replay(&at("only"), &["--input", text_of(&file), "--trades-only", "--archive"]);
    assert_eq!((counters.read, rows(&at("only"))), (20_000, BTreeMap::from([("trades", 20_000)])));
    assert_eq!(counters.ignored.values().sum::<u64>(), records.len() as u64);
    assert_eq!(counters.ignored["canonical:order_intent"], kinds["order_intent"]);
}

#[test]
fn instruments_come_from_a_table_before_all_that_has_a_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let good = "binance,BTCUSDT,crypto,layer1,BTC,USDT,linear,1";
    let table_text = format!(
        "venue,symbol,asset_class,sector,base_currency,quote_currency,contract,multiplier\n{good}\nbinance,ETHUSDT,crypto,,ETH,USDT,linear,1\n"
    );
    // Sorted behind the trades by its name: order of files does not matter.
    let (file, trades) = (at("zz_instruments.csv"), at("trades.jsonl"));
    std::fs::write(&file, table_text).expect("a file");
    generate(&trades, "trades");
    for format in ["auto", "csv"] {
        let lake = at(&format!("lake-{format}"));
        let mut arguments = vec!["--input", text_of(&file), "--archive", "--format", format];
        if format == "auto" {
            arguments.extend(["--input", text_of(&trades)]);
        }
        let counters = replay(&lake, &arguments);
        assert_eq!((counters.rejected, rows(&lake)["instruments"]), (1, 1));
        let lines = table(&lake, Table::Instruments, &["source"]);
        let expected = "event_time_ns=1230768000000000000 venue=binance symbol=BTCUSDT asset_class=crypto sector=layer1 base_currency=BTC quote_currency=USDT contract=linear multiplier=1.00000000 tick=0 position=2 position_index=0 receive_time_ns=";
        assert_eq!(lines, [expected]);
        let letters = rejects(&lake);
        assert_eq!((letters[0].position, letters[0].reason), (3, RejectReason::Field));
        assert_eq!(
            (&*letters[0].detail, &*letters[0].raw),
            ("sector: is empty", &b"binance,ETHUSDT,crypto,,ETH,USDT,linear,1"[..])
        );
    }
}

#[test]
fn records_from_the_future_are_refused_with_their_bytes() {
    let folder = tempfile::tempdir().expect("a folder");
    let second = |at: u64| 1_723_161_600_000_000_000 + at * 1_000_000_000;
    let cash = |id: u64, at: u64| {
        format!(
            r#"{{"type":"cash","account":"a","cash_id":{id},"currency":"USDT","amount":"1","event_time":{}}}"#,
            second(at)
        )
    };
    let times = [100, 7_300, 101, 102, 5_000, 5, 5_060, 5_061];
    let lines: Vec<String> = (1..).zip(times).map(|(id, at)| cash(id, at)).collect();
    let path = folder.path().join("cash.jsonl");
    std::fs::write(&path, lines.join("\n")).expect("a file");
    let lake = folder.path().join("lake");
    let counters = replay(&lake, &["--input", text_of(&path), "--archive"]);
    // What is hours behind is for those to judge who keep the books.
    assert_eq!((counters.read, counters.accepted, counters.rejected), (8, 7, 1));
    let letters = rejects(&lake);
    assert_eq!((letters[0].position, letters[0].reason), (2, RejectReason::Future));
    assert_eq!(*letters[0].raw, *lines[1].as_bytes());
    assert_eq!(rows(&lake)["cash"], 7);
}
