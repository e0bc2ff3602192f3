//! The commands around a run, on a real broker: check, rejects, generate.

use super::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, market};
use super::program::{Setup, fails, succeeds, tidewheel};
use crate::harness::kafka::broker;

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

#[test]
fn check_tells_what_a_run_would_find_and_changes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topic = broker().topic("checked", 2);
    broker().write(&topic, &[(1, None, Some("x")), (1, None, Some("y"))]);
    let setup = Setup::new(broker().address(), &topic, folder.path());
    for _ in 0..2 {
        let told = succeeds(tidewheel(&["check", "--config", &setup.file()]));
        has(
            &told,
            &[
                &format!("{topic}: 2 partitions, up to 2 messages"),
                &format!("{topic}[1]: offsets 0 to 2"),
                &format!("{}.bars.1m: would be created, 2 partitions", setup.prefix),
                &format!("{}.progress: would be created, 1 partition", setup.prefix),
            ],
        );
    }
    let wrong = Setup { topic: format!("{topic}x"), ..setup };
    let mut command = tidewheel(&["check", "--config", &wrong.file()]);
    let output = command.output().expect("the program starts");
    assert_eq!(output.status.code(), Some(1));
    has(
        &String::from_utf8_lossy(&output.stdout),
        &["could not find source.topics", &format!("did you mean {topic:?}?")],
    );
}

#[test]
fn dead_letters_are_listed_from_their_topic_and_sent_again() {
    let recorded = Recorded::new(market(9, 4_000, ALL_FAULTS));
    let brokers = broker().address();
    let topic = broker().topic("letters", PARTITIONS);
    recorded.send_all(brokers, &topic, Spread::Keyed);
    let setup = Setup::new(brokers, &topic, recorded.folder());
    let mut run = setup.start();
    let counters = run.wait_until_read(recorded.messages.len() as u64);
    run.stop();
    let letters = format!("{}.rejects", setup.prefix);
    let listed = succeeds(tidewheel(&["rejects", &letters, "--brokers", brokers]));
    has(&listed, &[&format!("{} refused records", counters.rejected)]);
    for (reason, count) in &counters.rejected_by_reason {
        let row = listed.lines().find(|line| line.starts_with(reason.name())).unwrap_or_default();
        assert_eq!(row.split_whitespace().nth(1), Some(count.to_string().as_str()), "{reason}: {listed}");
    }
    // The same letters from the lake.
    let of_lake = succeeds(tidewheel(&["rejects", &setup.lake.display().to_string()]));
    has(&of_lake, &[&format!("{} refused records", counters.rejected)]);

    let again = broker().topic("again", 1);
    let arguments = ["rejects", &letters, "--brokers", brokers, "--reason", "conflict", "--to-topic", &again];
    succeeds(tidewheel(&arguments));
    let found = super::readers::count(brokers, &again);
    assert_eq!(found as u64, recorded.tally.conflict);
    has(&fails(tidewheel(&["rejects", &topic, "--brokers", brokers]), 1), &["name the topic PREFIX.rejects"]);
}

#[test]
fn a_generated_market_goes_to_a_topic_and_replays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let brokers = broker().address();
    let topic = broker().topic("generated", PARTITIONS);
    let told = succeeds(tidewheel(&["generate", "--brokers", brokers, "--topic", &topic, "--trades", "2000"]));
    has(&told, &["2000"]);
    let mut command = tidewheel(&["replay", "--quiet", "--brokers", brokers, "--topic", &topic, "--lake"]);
    command.arg(folder.path().join("lake"));
    has(&succeeds(command), &["read 2,000 = accepted 2,000 + duplicate 0 + late 0 + rejected 0  (reconciles)"]);
}
