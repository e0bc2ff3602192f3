//! Command lines in; text, files and topics out.

use clap::{CommandFactory, Parser};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tidewheel::commands::Command;
use tidewheel_connectors::kafka::embedded::EmbeddedBroker;
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};
use tidewheel_connectors::kafka::replay::to_end;
use tidewheel_connectors::kafka::sink::{KafkaSink, KafkaSinkConfig};
use tidewheel_connectors::kafka::source::KafkaSourceConfig;
use tidewheel_connectors::lake::{CommitProgress, Lake, LakeConfig};
use tidewheel_connectors::source::Work;
use tidewheel_schemas::{Interval, Reject, RejectReason, TickOutput};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Runs a command line in a folder, which shows as `DIR`; what it prints, or why it fails.
fn run(folder: &Path, arguments: &[&str]) -> Result<String, String> {
    let name = folder.display().to_string();
    let arguments = arguments.iter().map(|argument| argument.replace("DIR", &name));
    let cli = Cli::try_parse_from(["tidewheel".to_owned()].into_iter().chain(arguments))
        .map_err(|error| error.to_string())?;
    let mut out = Vec::new();
    let code = cli.command.run(&mut out).map_err(|error| error.to_string().replace(&name, "DIR"))?;
    assert_eq!(code, ExitCode::SUCCESS);
    Ok(String::from_utf8(out).expect("text").replace(&name, "DIR"))
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).expect("the file was written")
}

/// Timestamp and bytes of all messages of a topic.
fn messages(broker: &EmbeddedBroker, topic: &str) -> Vec<(Option<i64>, Vec<u8>)> {
    let mut found = Vec::new();
    for mut reader in to_end(&KafkaSourceConfig::new(broker.bootstrap(), &[topic])).expect("the topic") {
        while let Some(work) = reader.read().expect("a block") {
            let Work::Messages(block) = work else { continue };
            found.extend(
                block.messages.iter().map(|message| (message.receive_time_ns, block.payload(message).to_vec())),
            );
        }
    }
    found
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn a_market_has_the_same_bytes_every_time_and_its_tally_adds_up() {
    let folder = folder();
    let bad_day = ["generate", "--trades", "20000", "--bad-day", "--cancelled", "1%", "--output"];
    let tally = run(folder.path(), &[&bad_day[..], &["DIR/a.jsonl"]].concat()).expect("a market");
    run(folder.path(), &[&bad_day[..], &["DIR/b.jsonl"]].concat()).expect("a market");
    run(folder.path(), &[&bad_day[..], &["DIR/c.jsonl", "--seed", "2"]].concat()).expect("a market");
    assert_eq!(read(folder.path(), "a.jsonl"), read(folder.path(), "b.jsonl"));
    assert_ne!(read(folder.path(), "a.jsonl"), read(folder.path(), "c.jsonl"));

    let counts: BTreeMap<&str, usize> = tally
        .lines()
        .filter_map(|line| line.trim().rsplit_once("  "))
        .map(|(name, count)| (name.trim(), count.trim().parse().expect("a count")))
        .collect();
    let lines = read(folder.path(), "a.jsonl").iter().filter(|&&byte| byte == b'\n').count();
    assert_eq!(counts["records"], lines);
    assert_eq!(counts.values().sum::<usize>(), 2 * lines, "{tally}");
    assert!((150..250).contains(&counts["cancels"]), "{tally}");
}

#[test]
fn the_name_tells_the_format_and_a_format_without_cancels_says_so() {
    let folder = folder();
    let market = |more: &[&str]| run(folder.path(), &[&["generate", "--trades", "2000"], more].concat());
    market(&["--output", "DIR/a.parquet"]).expect("a market");
    assert!(read(folder.path(), "a.parquet").starts_with(b"PAR1"));
    market(&["--output", "DIR/a.csv.gz"]).expect("a market");
    let mut text = String::new();
    let packed = read(folder.path(), "a.csv.gz");
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(packed.as_slice()), &mut text).expect("gzip");
    assert!(text.starts_with("time,symbol,id,price,quantity,side\n"));
    assert_eq!(text.lines().count(), 2_001);
    let told = market(&["--output", "DIR/a.jsonl", "--format", "binance", "--cancelled", "100%"]).expect("a market");
    assert!(told.ends_with("left out           2000  binance has no words for cancels and corrections\n"), "{told}");
    let seconds = ["generate", "--duration", "3ms", "--receive-time", "--output", "-"];
    let lines = run(folder.path(), &seconds).expect("a market");
    assert_eq!(lines.lines().count(), 3);
    assert!(lines.starts_with("17228160000"), "{lines}");
}

#[test]
fn markets_that_cannot_be_are_refused() {
    let folder = folder();
    let cases: &[(&[&str], &str)] = &[
        (&[], "required arguments were not provided"),
        (&["--output", "-", "--format", "parquet"], "parquet is written to files only"),
        (&["--output", "DIR/none/a.jsonl"], "could not write DIR/none/a.jsonl: No such file or directory"),
        (&["--output", "-", "--symbols", "0"], "a market needs at least one symbol"),
        (&["--output", "-", "--late", "2"], "write a share as 2% or 0.02"),
        (&["--output", "-", "--trades", "5", "--duration", "1s"], "cannot be used with"),
        (&["--output", "-", "--rate", "5"], "required arguments were not provided"),
        (&["--topic", "trades"], "required arguments were not provided"),
        (&["--topic", "trades", "--brokers", "b:1", "--live"], "required arguments were not provided"),
        (
            &["--topic", "trades", "--brokers", "127.0.0.1:1", "--timeout", "300ms"],
            "could not reach kafka at 127.0.0.1:1",
        ),
        (
            &["--topic", "trades", "--brokers", "127.0.0.1:1", "--property", "group.idd=x"],
            "could not use kafka property \"group.idd\"",
        ),
        (&["--output", "DIR/a.parquet", "--receive-time"], "leave --receive-time out"),
        (&["--output", "DIR/a.csv", "--receive-time"], "leave it out or choose JSON"),
    ];
    for (arguments, expected) in cases {
        let error = run(folder.path(), &[&["generate"], *arguments].concat()).expect_err("no market");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}

#[test]
fn a_market_goes_to_a_topic_with_its_receive_times() {
    let (folder, broker) = (folder(), EmbeddedBroker::start(&["trades"], 3).expect("a broker"));
    let market = ["generate", "--trades", "3000", "--format", "bybit", "--out-of-order", "5%"];
    let topic = ["--topic", "trades", "--brokers", broker.bootstrap(), "--rate", "100000"];
    let told = run(folder.path(), &[&market[..], &topic].concat()).expect("a market");
    assert!(told.starts_with("records                3000\n"), "{told}");
    run(folder.path(), &[&market[..], &["--output", "DIR/a.jsonl", "--receive-time"]].concat()).expect("a market");

    let text = String::from_utf8(read(folder.path(), "a.jsonl")).expect("text");
    let mut expected: Vec<(Option<i64>, Vec<u8>)> = text
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(time, line)| (time.parse::<i64>().ok().map(|ns| ns / 1_000_000 * 1_000_000), line.as_bytes().to_vec()))
        .collect();
    let mut found = messages(&broker, "trades");
    expected.sort();
    found.sort();
    assert!(found == expected, "{} and {} messages", found.len(), expected.len());
}

#[test]
fn a_live_market_is_dated_now() {
    let (folder, broker) = (folder(), EmbeddedBroker::start(&["trades"], 1).expect("a broker"));
    let now_ms = || jiff::Timestamp::now().as_millisecond();
    let before = now_ms();
    let topic = ["--topic", "trades", "--brokers", broker.bootstrap(), "--rate", "20000", "--live", "--trades", "2000"];
    run(folder.path(), &[&["generate"][..], &topic].concat()).expect("a market");
    let after = now_ms();
    let found = messages(&broker, "trades");
    assert_eq!(found.len(), 2_000);
    for (time, _) in found {
        let ms = time.expect("a timestamp") / 1_000_000;
        assert!((before..=after + 10).contains(&ms), "{before} {ms} {after}");
    }
}

fn letters() -> Vec<TickOutput> {
    let reject = |position, reason, detail: &str, raw: &[u8], receive_time_ns| Reject {
        partition: 0,
        position,
        reason,
        records: 1,
        detail: detail.to_owned(),
        raw: raw.into(),
        receive_time_ns,
    };
    let first = vec![
        reject(3, RejectReason::Number, "price: not positive", br#"{"p":"-1"}"#, Some(1_723_161_253_937_085_768)),
        reject(4, RejectReason::Malformed, "not JSON", b"\xff\x00 noise", None),
        reject(7, RejectReason::Number, "price: out of range", b"{\n\"p\":\"1e99\"}", None),
    ];
    let second = vec![
        reject(9, RejectReason::Number, "quantity: not positive", b"5,0,buy", Some(1_723_161_253_937_085_768)),
        reject(10, RejectReason::Oversized, "message of 9000000 bytes, more than 8388608", b"{\"p\":", None),
        reject(11, RejectReason::Malformed, "not JSON", b"two\nlines", None),
        reject(12, RejectReason::Conflict, "trade 5 was seen before", b"", None),
    ];
    let output = |tick, rejects| TickOutput { tick, rejects, ..TickOutput::default() };
    vec![output(1_723_161_254_000, first), output(1_723_161_255_500, second)]
}

const LISTED: &str = "\
REASON     COUNT  FIRST                     LAST                      SAMPLE
number         3  2024-08-08T23:54:14.000Z  2024-08-08T23:54:15.500Z  trades[0]:3 price: not positive
malformed      2  2024-08-08T23:54:14.000Z  2024-08-08T23:54:15.500Z  trades[0]:4 not JSON
oversized      1  2024-08-08T23:54:15.500Z  2024-08-08T23:54:15.500Z  trades[0]:10 message of 9000000 bytes, more than 8388608
conflict       1  2024-08-08T23:54:15.500Z  2024-08-08T23:54:15.500Z  trades[0]:12 trade 5 was seen before

7 refused records; --show prints them whole, --replay FILE writes their raw bytes again
";

fn lake_of_letters(folder: &Path) {
    let config = LakeConfig { sources: vec!["trades[0]".to_owned()], ..LakeConfig::new(folder.join("lake")) };
    let mut lake = Lake::open(config).expect("a lake");
    letters().into_iter().for_each(|output| assert!(lake.append(output)));
    lake.commit(&CommitProgress::default()).expect("a commit");
}

#[test]
fn letters_of_a_lake_are_listed_shown_and_replayed() {
    let folder = folder();
    lake_of_letters(folder.path());
    let rejects = |more: &[&str]| run(folder.path(), &[&["rejects", "DIR/lake"], more].concat());
    assert_eq!(rejects(&[]).expect("a list"), LISTED);
    let shown = rejects(&["--show", "--reason", "malformed", "--limit", "1"]).expect("a list");
    let whole =
        "malformed  trades[0]:4  at 2024-08-08T23:54:14.000Z\n  not JSON\n  8 bytes: \\xff\\u{0} noise\n\nREASON";
    assert!(shown.starts_with(whole), "{shown}");

    let told = rejects(&["--replay", "DIR/again.jsonl"]).expect("a file");
    let expected = "\
4 records written to DIR/again.jsonl
2 left out: their bytes were not kept, or only the beginning
1 left out: they hold line ends; use --to-topic for them
";
    assert_eq!(told, expected);
    let lines = b"1723161253937085768 {\"p\":\"-1\"}\n\xff\x00 noise\n{ \"p\":\"1e99\"}\n5,0,buy\n";
    assert_eq!(read(folder.path(), "again.jsonl"), lines);
    rejects(&["--replay", "DIR/one.jsonl", "--reason", "number", "--limit", "1"]).expect("a file");
    assert_eq!(read(folder.path(), "one.jsonl"), &lines[..31]);
    let error = rejects(&["--replay", "DIR/one.jsonl"]).expect_err("no file is overwritten");
    assert_eq!(error, "DIR/one.jsonl exists already: name a new file");
}

#[test]
fn letters_of_a_topic_are_the_same_and_go_back_to_a_topic() {
    let names = ["tw.bars.1m", "tw.rejects", "tw.late", "tw.progress", "again"];
    let (folder, broker) = (folder(), EmbeddedBroker::start(&names, 1).expect("a broker"));
    let config = KafkaSinkConfig {
        intervals: vec![Interval::M1],
        transactions: false,
        ..KafkaSinkConfig::new(broker.bootstrap(), "tw")
    };
    let mut sink = KafkaSink::open(&config, vec!["trades[0]".to_owned()]).expect("a sink");
    for output in letters() {
        sink.write(&output).expect("written");
        sink.advance(output.tick, &output.counters).expect("committed");
    }
    let rejects = |more: &[&str]| {
        run(folder.path(), &[&["rejects", "tw.rejects", "--brokers", broker.bootstrap()], more].concat())
    };
    assert_eq!(rejects(&[]).expect("a list"), LISTED);
    let told = rejects(&["--to-topic", "again"]).expect("a topic");
    assert_eq!(told, "5 records written to again\n2 left out: their bytes were not kept, or only the beginning\n");
    let found = messages(&broker, "again");
    let expected: [&[u8]; 5] = [br#"{"p":"-1"}"#, b"\xff\x00 noise", b"{\n\"p\":\"1e99\"}", b"5,0,buy", b"two\nlines"];
    assert_eq!(found.iter().map(|(_, bytes)| bytes.as_slice()).collect::<Vec<_>>(), expected);
    assert_eq!(found[0].0, Some(1_723_161_253_937_000_000));
}

#[test]
fn what_holds_no_letters_is_refused() {
    let (folder, broker) = (folder(), EmbeddedBroker::start(&["bars"], 1).expect("a broker"));
    let mut publisher =
        Publisher::connect(broker.bootstrap(), "bars", &BTreeMap::new(), Duration::from_secs(10)).expect("a publisher");
    publisher.send(&Outgoing { payload: b"{\"open\":\"1\"}", ..Outgoing::default() }).expect("sent");
    publisher.finish().expect("delivered");
    let cases: &[(&[&str], &str)] = &[
        (
            &["DIR/none"],
            "DIR/none does not exist; name the folder of a lake, or add --brokers host:port if it is a topic",
        ),
        (&["DIR"], "DIR is no lake: it has no folder _tidewheel; name the folder of a lake"),
        (&["DIR", "--reason", "bad"], "there is no such reason; there are malformed, oversized"),
        (&["lake", "--replay", "a", "--to-topic", "b"], "cannot be used with"),
        (
            &["bars", "--brokers", broker.bootstrap()],
            "could not read bars[0] offset 0 as a dead letter: missing field `source`",
        ),
        (&["rejects", "--brokers", broker.bootstrap()], "could not find topic \"rejects\""),
    ];
    for (arguments, expected) in cases {
        let error = run(folder.path(), &[&["rejects"], *arguments].concat()).expect_err("no letters");
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
}
