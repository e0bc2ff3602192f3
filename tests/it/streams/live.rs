//! Market streams live: once each in the lake whatever happens, made again as recorded, and verified.

use super::{contents, rows, table};
use crate::harness::kafka::{PATIENCE, broker};
use crate::kafka_live::markets::opening_ns;
use crate::kafka_live::program::{Setup, succeeds, tidewheel};
use crate::kafka_live::readers::wait_for_record;
use crate::recorded::verified::identical;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidewheel_connectors::lake::{Table, read};
use tidewheel_schemas::SECOND_NS;

const STREAMS: &str = "trades,quotes,books,marks,liquidations";
const PARTS: u64 = 5;

/// Sends some of a market's records to a topic; each part is a market of its own, one after the other in time.
fn send(brokers: &str, topic: &str, part: u64, streams: &str) -> u64 {
    let start_ns = opening_ns() + part as i64 * 600 * SECOND_NS;
    let start = jiff::Timestamp::from_nanosecond(start_ns.into()).expect("a time").to_string();
    let mut command = tidewheel(&["generate", "--brokers", brokers, "--topic", topic, "--symbols", "4"]);
    command.args(["--trades", "1500", "--trades-per-second", "3", "--streams", streams, "--start", &start]);
    command.args(["--seed", &(7 + part).to_string()]);
    let told = succeeds(command);
    let records = told.lines().find_map(|line| line.strip_prefix("records")).expect("a count");
    records.trim().parse().expect("a number")
}

#[test]
fn a_run_that_is_killed_keeps_every_record_once_and_can_be_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let brokers = broker().address();
    let topic = broker().topic("streams", 3);
    let mut setup = Setup {
        kafka: "partitions = 2\n[recovery]\nsnapshot_every = \"700ms\"\n".to_owned(),
        ..Setup::new(brokers, &topic, folder.path())
    };
    let mut sent = 0;
    for part in 0..PARTS {
        setup.workers = 1 + (part % 3) as u16;
        let mut run = setup.start();
        sent += send(brokers, &topic, part, STREAMS);
        if part % 2 == 0 {
            run.wait_until_read(sent - 500);
            // In the middle of something.
            drop(run);
        } else {
            run.wait_until_read(sent);
            run.stop();
        }
    }
    let mut run = setup.start();
    run.wait_until_read(sent);
    run.stop();

    let counters = read::manifest(&setup.lake).expect("a lake").progress.counters;
    println!("{sent} sent: {counters:?}, {:?}", rows(&setup.lake));
    assert_eq!((counters.read, counters.rejected, counters.late), (sent, 0, 0));
    assert!(counters.reconcile());
    let kept = rows(&setup.lake);
    assert_eq!(kept.values().sum::<u64>(), counters.accepted);
    assert_eq!((kept.len(), kept["trades"]), (5, 1_500 * PARTS), "all but funding");

    // Where each record came from is told once.
    let is_origin = |word: &&str| ["source=", "position=", "position_index="].iter().any(|name| word.starts_with(name));
    let origin = |line: String| line.split(' ').filter(is_origin).collect::<Vec<_>>().join(" ");
    let mut sources: Vec<String> =
        Table::MARKET.into_iter().flat_map(|of| table(&setup.lake, of, &[])).map(origin).collect();
    let told = sources.len();
    sources.sort();
    sources.dedup();
    assert_eq!((sources.len(), told as u64), (told, counters.accepted - kept["trades"]));

    for workers in ["1", "3"] {
        let again = folder.path().join(workers);
        let mut command =
            tidewheel(&["replay", "--as-recorded", "--quiet", "--archive", "--workers", workers, "--input"]);
        command.arg(&setup.lake).arg("--lake").arg(&again);
        let told = succeeds(command);
        assert!(told.contains("(reconciles)") && told.contains("as the run counted"), "{told}");
        for of in Table::MARKET {
            assert_eq!(table(&again, of, &[]), table(&setup.lake, of, &[]), "{}", of.name());
        }
        assert_eq!(contents(&again), contents(&setup.lake));
    }
    identical(&setup.lake, &["--kafka", brokers, "--prefix", &setup.prefix]);
    // The topic from its start to its end holds the same.
    let replayed = folder.path().join("replayed");
    let mut command = tidewheel(&["replay", "--brokers", brokers, "--topic", &topic, "--quiet", "--archive", "--lake"]);
    command.arg(&replayed);
    succeeds(command);
    assert_eq!((rows(&replayed), contents(&replayed)), (kept.clone(), contents(&setup.lake)));
    // Compaction leaves the rows as they are.
    let mut command = tidewheel(&["compact"]);
    command.arg(&setup.lake);
    let before = Table::MARKET.map(|of| table(&setup.lake, of, &[]));
    println!("{}", succeeds(command));
    assert_eq!(Table::MARKET.map(|of| table(&setup.lake, of, &[])), before);
    identical(&setup.lake, &[]);

    // A run that wants trades only counts the rest.
    let other = folder.path().join("other");
    let source = "market = false\n".to_owned();
    let setup = Setup { source, prefix: format!("{topic}-trades"), lake: other, ..setup };
    let mut run = setup.start();
    // Behind every record of before there is a trade then.
    let trades = kept["trades"] + send(brokers, &topic, PARTS, "trades");
    run.wait_until_read(trades);
    run.stop();
    let counters = read::manifest(&setup.lake).expect("a lake").progress.counters;
    let ignored = ["books", "liquidations", "marks", "quotes"].map(|name| kept[name]);
    assert_eq!(counters.ignored.values().copied().collect::<Vec<_>>(), ignored, "{:?}", counters.ignored);
    assert_eq!((counters.read, rows(&setup.lake)), (trades, BTreeMap::from([("trades", trades)])));
}

/// Sends some thousand records a second to a partition of their own until told to stop, and a trade every four seconds to another; all
/// dated now.
fn offer(topic: &str, stop: &AtomicBool, record: fn(u64, u128) -> String) {
    const RECORDS_AT_ONCE: u64 = 5;
    const TRADE_EVERY: Duration = Duration::from_secs(4);
    let producer: BaseProducer = broker().client().set("linger.ms", "0").create().expect("a sound configuration");
    let send = |partition: i32, payload: &str| {
        let record = BaseRecord::<(), str>::to(topic).partition(partition).payload(payload);
        producer.send(record).map_err(|(error, _)| error).expect("there is room");
        producer.poll(Duration::ZERO);
    };
    let (begun, mut number, mut trades) = (Instant::now(), 0, 0);
    while !stop.load(Ordering::Relaxed) {
        let now_ns = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos();
        for _ in 0..RECORDS_AT_ONCE {
            number += 1;
            send(1, &record(number, now_ns));
        }
        if begun.elapsed() >= TRADE_EVERY * (trades + 1) {
            trades += 1;
            let trade = format!(r#""trade_id":"{trades}","price":"1","quantity":"1""#);
            let of = format!(r#""venue":"busy","symbol":"TRADED","event_time":{now_ns}"#);
            send(0, &format!(r#"{{"type":"trade",{of},{trade}}}"#));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    producer.flush(PATIENCE).expect("the broker takes the messages");
}

#[test]
fn a_partition_that_quotes_fill_without_a_pause_holds_no_bar_back() {
    holds_no_bar_back("busy", |number, now_ns| {
        let quote = format!(r#""update_id":{number},"bid_price":"1","bid_quantity":"{number}""#);
        format!(r#"{{"type":"quote","venue":"busy","symbol":"BOOK","event_time":{now_ns},{quote}}}"#)
    });
}

/// Whether bars become final beside a partition that such records fill without a pause, by their number and the time.
pub(crate) fn holds_no_bar_back(name: &str, record: fn(u64, u128) -> String) {
    let folder = tempfile::tempdir().expect("a folder");
    let brokers = broker().address();
    let topic = broker().topic(name, 2);
    let mut setup = Setup::new(brokers, &topic, folder.path());
    setup.bars += "lateness = \"1s\"\n";
    let stop = AtomicBool::new(false);
    let run = setup.start();
    std::thread::scope(|scope| {
        let offering = scope.spawn(|| offer(&topic, &stop, record));
        // The next trade makes the bar of the one before it final, though the broker never says that nothing follows among the others. On a
        // busy machine it may take some of them: what is read a second late counts as behind.
        wait_for_record(brokers, &format!("{}.bars.1s", setup.prefix), |record| {
            record.value.as_ref().is_some_and(|bar| bar["symbol"] == "TRADED" && bar["is_final"] == true)
        });
        stop.store(true, Ordering::Relaxed);
        offering.join().expect("no panic");
    });
    run.stop();
    let counters = read::manifest(&setup.lake).expect("a lake").progress.counters;
    assert!(counters.reconcile() && counters.late == 0, "{counters:?}");
    identical(&setup.lake, &["--kafka", brokers, "--prefix", &setup.prefix]);
}
