//! Where a run goes on from, at the moments at which it is easily got wrong.

use super::markets::{PARTITIONS, Recorded, Spread, market};
use super::program::{Setup, fails, succeeds, tidewheel};
use super::readers::{bars_of_lake, same, versions_of_lake};
use super::running::topics_hold_the_lake;
use crate::harness::kafka::{broker, unique};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tidewheel::bindings;
use tidewheel_connectors::generate::Faults;

/// A run that is killed at a fault point before it committed anything to the lake.
fn dies(setup: &Setup, arguments: &[&str], rules: &str) {
    let mut command = setup.command();
    command.args(arguments).env("TIDEWHEEL_FAULT", rules);
    let mut child = command.spawn().expect("the program starts");
    let status = child.wait().expect("a child can be waited for");
    assert_eq!(status.code(), None, "it dies at {rules}");
}

#[test]
fn a_run_that_was_to_replace_a_lake_and_died_is_not_gone_on_with_in_the_old_one() {
    let recorded = Recorded::new(market(21, 3_000, Faults::SOME));
    let topic = broker().topic("replaced", PARTITIONS);
    recorded.send_all(broker().address(), &topic, Spread::Keyed);
    let first = Setup::new(broker().address(), &topic, recorded.folder());
    let all = recorded.messages.len() as u64;
    let mut run = first.start();
    run.wait_until_read(all);
    run.stop();
    let again = Setup { prefix: unique("replaced"), ..first.clone() };
    // At each of these moments, and then without another word.
    for rules in ["lake.committed:1=kill", "kafka.written:1=kill", "kafka.committed:1=kill", "lake.staged:2=kill"] {
        dies(&again, &["--replace"], rules);
    }
    let mut run = again.start();
    run.wait_until_read(all);
    run.stop();
    same(&bars_of_lake(&again.lake), &recorded.replayed().0);
    topics_hold_the_lake(&again.brokers, &again.prefix, &again.lake);
    let mut keys: Vec<_> = versions_of_lake(&again.lake)
        .into_iter()
        .map(|version| (version.interval, version.instrument, version.open_time_ns))
        .collect();
    let bars = keys.len();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), bars, "each bar once");
}

#[test]
fn a_partition_that_was_silent_from_the_latest_on_is_not_read_from_its_oldest_record_later() {
    let recorded = Recorded::new(market(22, 2_000, Faults::SOME));
    let topic = broker().topic("latest", PARTITIONS);
    recorded.send_all(broker().address(), &topic, Spread::Keyed);
    let mut setup = Setup::new(broker().address(), &topic, recorded.folder());
    setup.source = "start = \"latest\"\n".to_owned();
    setup.more = "[recovery]\nsnapshot_every = \"300ms\"\n".to_owned();
    // Long enough for a snapshot, and stopped in good order: with one more.
    for _ in 0..2 {
        let run = setup.start();
        std::thread::sleep(Duration::from_secs(3));
        let printed = run.stop();
        assert!(printed.contains("read 0 = accepted 0"), "{printed}");
    }
}

#[test]
fn a_log_without_its_head_and_a_lake_of_another_run_are_refused() {
    let recorded = Recorded::new(market(23, 1_000, Faults::SOME));
    let topic = broker().topic("headless", PARTITIONS);
    recorded.send_all(broker().address(), &topic, Spread::Keyed);
    let mut setup = Setup::new(broker().address(), &topic, recorded.folder());
    setup.more = "[recovery]\nsnapshot_every = \"none\"\n".to_owned();
    for _ in 0..2 {
        let mut run = setup.start();
        run.wait_until_read(recorded.messages.len() as u64);
        run.stop();
    }
    let log = setup.lake.join("_tidewheel/bindings");
    let mut files: Vec<_> =
        std::fs::read_dir(&log).expect("a log").map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let head = std::fs::read(&files[0]).expect("a file");
    std::fs::remove_file(&files[0]).expect("a file can be deleted");
    let told = fails(setup.command(), 1);
    assert!(told.contains("there is no state through that tick to go on from"), "{told}");
    std::fs::write(&files[0], head).expect("space");

    let elsewhere = Setup { lake: recorded.folder().join("elsewhere"), prefix: unique("elsewhere"), ..setup.clone() };
    let mut run = elsewhere.start();
    run.wait_until_read(recorded.messages.len() as u64);
    run.stop();
    std::fs::remove_dir_all(elsewhere.lake.join("_tidewheel/bindings")).expect("a log");
    let copy = std::process::Command::new("cp").arg("-r").arg(&log).arg(elsewhere.lake.join("_tidewheel")).status();
    assert!(copy.expect("cp runs").success());
    let told = fails(elsewhere.command(), 1);
    assert!(told.contains("the log of ticks in"), "{told}");
}

#[test]
fn a_quiet_market_costs_the_log_of_ticks_a_line_a_second_and_holds_no_record_back() {
    let recorded = Recorded::new(market(24, 1_200, Faults::SOME));
    let topic = broker().topic("quiet", PARTITIONS);
    let setup = Setup {
        bars: "provisional_every = \"300ms\"\n".to_owned(),
        ..Setup::new(broker().address(), &topic, recorded.folder())
    };
    let mut run = setup.start();
    let all = recorded.messages.len();
    let mut sent_ms = Vec::new();
    for part in 0..4 {
        recorded.send(broker().address(), &topic, all * part / 4..all * (part + 1) / 4, Spread::Keyed);
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        sent_ms.push(since_epoch.as_millis() as i64);
        run.wait_until_read((all * (part + 1) / 4) as u64);
        // A pause is what this is about.
        std::thread::sleep(Duration::from_secs(5));
    }
    run.stop();
    let log = bindings::read(&setup.lake.join("_tidewheel/bindings"), None).expect("a sound log");
    let mut idle = Vec::new();
    for pair in log.ticks.windows(2).filter(|pair| pair[1].ends.is_empty() && !pair[1].is_last) {
        idle.push(pair[1].tick - pair[0].tick);
    }
    let after_pause = log.ticks.windows(2).filter(|pair| pair[0].ends.is_empty() && !pair[1].ends.is_empty());
    let firsts: Vec<i64> = after_pause.map(|pair| pair[1].tick.cast_signed()).collect();
    // Nothing came before the first part, so that no pause lies before it.
    let waits: Vec<i64> = sent_ms
        .iter()
        .skip(1)
        .filter_map(|sent| firsts.iter().map(|first| first - sent).min_by_key(|wait| wait.abs()))
        .collect();
    println!("from when the broker had the first records after a pause to the end of their tick, ms: {waits:?}");
    assert!(waits.iter().any(|wait| *wait < 300), "{waits:?}");
    let (ticks, seconds) = (idle.len(), idle.iter().filter(|pause| **pause >= 1_000).count());
    let spanned_ms = log.ticks.last().expect("ticks").tick - log.ticks[0].tick;
    println!("{ticks} ticks without records in {spanned_ms} ms, {seconds} of them after a second");
    // Four pauses of five seconds; before each second of silence the ticks that tell of what came.
    assert!((12..=24).contains(&seconds) && ticks - seconds <= 4 * 8, "{idle:?}");
    assert!(idle.iter().all(|pause| *pause <= 1_500), "{idle:?}");
    same(&bars_of_lake(&setup.lake), &recorded.replayed().0);
    topics_hold_the_lake(&setup.brokers, &setup.prefix, &setup.lake);
    let folder = setup.lake.display().to_string();
    let verified = succeeds(tidewheel(&["verify", &folder, "--config", &setup.file()]));
    assert!(verified.contains("identical"), "{verified}");
}
