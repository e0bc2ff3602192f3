//! A run whose lake has a full disk: the topics go on while there is memory for what waits, then it stops reading; it says why, and goes
//! on when there is room.

use super::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, counts_of, market};
use super::program::Setup;
use super::readers::{bars_of_lake, records, same};
use super::running::topics_hold_the_lake;
use crate::harness::kafka::broker;
use std::time::Duration;

/// What may wait before the lake where reading is to stop.
const FEW_ROWS: &str = "max_waiting_rows = 20\n";
/// Parts in which records come while the disk is full, and how far apart: ticks of their own.
const PARTS: usize = 60;
const APART: Duration = Duration::from_millis(110);
/// Parts in which they come while reading goes on: more ticks than are ever on their way at once.
const BATCHES: usize = 15;
/// Long enough for a run that reads on to have said so: progress is written after five seconds without a bar.
const STANDSTILL: Duration = Duration::from_secs(7);

#[test]
fn a_full_disk_stops_the_reading_and_nothing_is_lost_or_written_twice() {
    let recorded = Recorded::new(market(6, 6_000, ALL_FAULTS));
    let broker = broker();
    let topic = broker.topic("trades", PARTITIONS);
    let setup = Setup { more: FEW_ROWS.to_owned(), ..Setup::new(broker.address(), &topic, recorded.folder()) };
    let flag = recorded.folder().join("full");
    let all = recorded.messages.len();
    recorded.send(broker.address(), &topic, 0..all / 2, Spread::Keyed);
    let mut run = setup.start_with_fault(&format!("lake.staged=full:{}", flag.display()));
    run.wait_until_read(all as u64 / 2);
    std::fs::write(&flag, "").expect("a file");
    // The commit after this fails; what waits before the lake fills up, and the source is held.
    let begin = |part: usize| all / 2 + part * (all - all / 2) / PARTS;
    for part in 0..PARTS {
        recorded.send(broker.address(), &topic, begin(part)..begin(part + 1), Spread::Keyed);
        std::thread::sleep(APART);
    }
    let read = || {
        let told = records(&setup.brokers, &format!("{}.progress", setup.prefix));
        told.last().and_then(|last| last.value.as_ref()?["counters"]["read"].as_u64()).expect("counts")
    };
    let held_at = read();
    assert!(held_at < all as u64, "{held_at} of {all} are taken while the lake is paused");
    std::thread::sleep(STANDSTILL);
    assert_eq!(read(), held_at, "nothing is taken while the lake is paused");
    std::fs::remove_file(&flag).expect("a file");
    let counters = run.wait_until_read(all as u64);
    let (printed, said) = run.stop_with_code(0);
    // Once at first, and each minute after that.
    assert_eq!(said.matches("paused_s=0 ").count(), 1, "{said}");
    assert!(said.contains("lake goes on"), "{said}");
    recorded.check_counters(&counters);
    let (expected, counts) = recorded.replayed();
    assert_eq!(counts_of(&printed), counts);
    same(&bars_of_lake(&setup.lake), &expected);
    topics_hold_the_lake(&setup.brokers, &setup.prefix, &setup.lake);
}

#[test]
fn the_topics_go_on_while_the_lake_is_paused_and_it_catches_up() {
    let recorded = Recorded::new(market(8, 6_000, ALL_FAULTS));
    let broker = broker();
    let topic = broker.topic("trades", PARTITIONS);
    let setup = Setup::new(broker.address(), &topic, recorded.folder());
    let flag = recorded.folder().join("full");
    let all = recorded.messages.len();
    let mut run = setup.start_with_fault(&format!("lake.staged=full:{}", flag.display()));
    recorded.send(broker.address(), &topic, 0..all / 4, Spread::Keyed);
    run.wait_until_read(all as u64 / 4);
    std::fs::write(&flag, "").expect("a file");
    // Every trade is published, in more ticks than are ever on their way at once.
    for part in 0..BATCHES {
        let begin = |part: usize| all / 4 + part * (all - all / 4) / BATCHES;
        recorded.send(broker.address(), &topic, begin(part)..begin(part + 1), Spread::Keyed);
        std::thread::sleep(APART);
    }
    run.wait_until_read(all as u64);
    let committed = bars_of_lake(&setup.lake);
    std::thread::sleep(Duration::from_secs(1));
    assert!(bars_of_lake(&setup.lake) == committed, "nothing is committed meanwhile");
    std::fs::remove_file(&flag).expect("a file");
    let (printed, said) = run.stop_with_code(0);
    assert!(said.contains("paused_s=0 ") && said.contains("lake goes on"), "{said}");
    let (expected, counts) = recorded.replayed();
    assert_eq!(counts_of(&printed), counts);
    assert!(committed != expected, "the lake was behind");
    same(&bars_of_lake(&setup.lake), &expected);
    topics_hold_the_lake(&setup.brokers, &setup.prefix, &setup.lake);
}

#[test]
fn a_stop_while_the_disk_is_full_ends_with_the_error() {
    let recorded = Recorded::new(market(7, 500, ALL_FAULTS));
    let broker = broker();
    let topic = broker.topic("trades", PARTITIONS);
    let setup = Setup::new(broker.address(), &topic, recorded.folder());
    recorded.send(broker.address(), &topic, 0..recorded.messages.len(), Spread::Keyed);
    let mut run = setup.start_with_fault("lake.staged=full");
    run.wait_until_read(1);
    // A quiet market has a tick a second, at which the lake commits.
    std::thread::sleep(Duration::from_secs(3));
    let (_, said) = run.stop_with_code(1);
    assert!(said.contains("lake paused") && said.contains("error: could not write"), "{said}");
}
