//! Accounts live: every record once in the lake whatever happens, made again as recorded, and verified.

use super::contents;
use crate::harness::kafka::broker;
use crate::kafka_live::markets::opening_ns;
use crate::kafka_live::program::{Setup, succeeds, tidewheel};
use crate::recorded::verified::identical;
use crate::streams::live::holds_no_bar_back;
use crate::streams::{rows, table};
use tidewheel_connectors::lake::{Table, read};

/// Sends a market with an account to a topic, slowly enough that runs are killed meanwhile; how many records there were.
fn send(brokers: &str, topic: &str) -> u64 {
    let start = jiff::Timestamp::from_nanosecond(opening_ns().into()).expect("a time").to_string();
    let mut command = tidewheel(&["generate", "--brokers", brokers, "--topic", topic, "--streams", "trades,account"]);
    command.args([
        "--symbols",
        "4",
        "--trades",
        "8000",
        "--trades-per-second",
        "3",
        "--start",
        &start,
        "--rate",
        "800",
    ]);
    let told = succeeds(command);
    let records = told.lines().find_map(|line| line.strip_prefix("records ")).expect("a count");
    records.trim().parse().expect("a number")
}

#[test]
fn a_run_that_is_killed_keeps_every_record_of_an_account_once_and_can_be_made_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let brokers = broker().address();
    let topic = broker().topic("accounts", 3);
    let mut setup = Setup {
        kafka: "partitions = 2\n[recovery]\nsnapshot_every = \"700ms\"\n".to_owned(),
        ..Setup::new(brokers, &topic, folder.path())
    };
    let sent = std::thread::scope(|scope| {
        let sending = scope.spawn(|| send(brokers, &topic));
        for read in [1_000, 3_000, 5_000] {
            setup.workers = 1 + (read / 1_000 % 3) as u16;
            let mut run = setup.start();
            run.wait_until_read(read);
            // In the middle of something.
            drop(run);
        }
        sending.join().expect("no panic")
    });
    let mut run = setup.start();
    run.wait_until_read(sent);
    run.stop();

    let counters = read::manifest(&setup.lake).expect("a lake").progress.counters;
    let kept = rows(&setup.lake);
    println!("{sent} sent: {counters:?}, {kept:?}");
    assert_eq!((counters.read, counters.accepted, counters.rejected), (sent, sent, 0));
    assert!(counters.reconcile());
    assert_eq!((kept.values().sum::<u64>(), kept["trades"], kept["instruments"]), (sent, 8_000, 4));
    assert_eq!(kept.len(), 7, "every kind of record");
    // Where each record came from is told once.
    let is_origin = |word: &&str| ["source=", "position=", "position_index="].iter().any(|name| word.starts_with(name));
    let origin = |line: String| line.split(' ').filter(is_origin).collect::<Vec<_>>().join(" ");
    let all = || Table::ACCOUNT.into_iter().flat_map(|of| table(&setup.lake, of, &[]));
    let mut sources: Vec<String> = all().map(origin).collect();
    sources.sort();
    sources.dedup();
    assert_eq!(sources.len() as u64, sent - kept["trades"]);

    for workers in ["1", "3"] {
        let again = folder.path().join(workers);
        let mut command =
            tidewheel(&["replay", "--as-recorded", "--quiet", "--archive", "--workers", workers, "--input"]);
        command.arg(&setup.lake).arg("--lake").arg(&again);
        let told = succeeds(command);
        assert!(told.contains("(reconciles)") && told.contains("as the run counted"), "{told}");
        for of in Table::ACCOUNT {
            assert_eq!(table(&again, of, &[]), table(&setup.lake, of, &[]), "{}", of.name());
        }
    }
    identical(&setup.lake, &["--kafka", brokers, "--prefix", &setup.prefix]);
    // The topic from its start to its end holds the same.
    let replayed = folder.path().join("replayed");
    let mut command = tidewheel(&["replay", "--brokers", brokers, "--topic", &topic, "--quiet", "--archive", "--lake"]);
    command.arg(&replayed);
    succeeds(command);
    assert_eq!(rows(&replayed), kept);
    assert!(contents(&replayed) == contents(&setup.lake), "the same records");
    // Compaction leaves the rows as they are.
    let before: Vec<String> = all().collect();
    let mut command = tidewheel(&["compact"]);
    command.arg(&setup.lake);
    println!("{}", succeeds(command));
    assert!(all().collect::<Vec<_>>() == before, "the same rows");
    identical(&setup.lake, &[]);
}

#[test]
fn a_partition_of_accounts_alone_holds_no_bar_back() {
    holds_no_bar_back("accounts-busy", |number, now_ns| {
        format!(
            r#"{{"type":"cash","account":"busy","cash_id":{number},"currency":"USDT","amount":"1","event_time":{now_ns}}}"#
        )
    });
}
