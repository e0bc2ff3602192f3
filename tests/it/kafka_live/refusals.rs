//! What a run refuses, and that it says what to do.

use super::markets::{PARTITIONS, Recorded, Spread, counts_of, market};
use super::program::{Setup, fails};
use super::readers::{bars_of_lake, same};
use crate::harness::kafka::{broker, unique};
use tidewheel_connectors::generate::Faults;

#[track_caller]
fn check(setup: &Setup, parts: &[&str]) {
    let complaint = fails(setup.command(), 1);
    let (_, error) = complaint.split_once("error: ").expect("the log, then the error");
    for part in parts {
        assert!(error.contains(part), "{part:?} is missing in: {complaint}");
    }
}

#[test]
fn a_missing_topic_an_unreachable_broker_and_missing_outputs_are_told_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topic = broker().topic("refused", 1);
    let setup = Setup::new(broker().address(), &topic, folder.path());

    let misspelt = topic.replacen('e', "x", 1);
    let wrong = Setup { topic: misspelt.clone(), ..setup.clone() };
    check(&wrong, &[&format!("could not find topic {misspelt:?} at {}", broker().address()), "did you mean"]);

    // Nobody listens on port 1.
    let wrong = Setup { brokers: "127.0.0.1:1".to_owned(), ..setup.clone() };
    check(&wrong, &["could not reach kafka at 127.0.0.1:1 within 10000 ms", "check the address"]);

    let wrong =
        Setup { kafka: "create_topics = false\npartitions = 6\n".to_owned(), prefix: unique("absent"), ..setup };
    let create = |suffix: &str, partitions: u8, cleanup: &str| {
        format!(
            "  kafka-topics.sh --bootstrap-server {} --create --topic {}.{suffix} --partitions {partitions} --config cleanup.policy={cleanup}",
            wrong.brokers, wrong.prefix
        )
    };
    check(
        &wrong,
        &[
            "creating topics is off",
            &create("bars.1m", 6, "compact"),
            &create("rejects", 6, "delete"),
            &create("progress", 1, "compact"),
        ],
    );
}

#[test]
fn a_lake_that_holds_data_is_refused_and_replaced_on_demand() {
    let recorded = Recorded::new(market(6, 2_000, Faults::SOME));
    let brokers = broker().address();
    let topic = broker().topic("again", PARTITIONS);
    recorded.send_all(brokers, &topic, Spread::Keyed);
    let setup = Setup::new(brokers, &topic, recorded.folder());
    let mut run = setup.start();
    run.wait_until_read(recorded.messages.len() as u64);
    let first = run.stop();

    // Without its log of ticks nobody can say what follows on what it holds.
    std::fs::remove_dir_all(setup.lake.join("_tidewheel/bindings")).expect("the log lies in the lake");
    check(
        &setup,
        &[&format!("lake {} holds data already", setup.lake.display()), "choose another folder, or let --replace"],
    );
    let again = Setup { prefix: unique("again"), ..setup.clone() };
    let mut run = again.start_with(&["--replace"]);
    run.wait_until_read(recorded.messages.len() as u64);
    let (expected, counts) = recorded.replayed();
    assert_eq!((counts_of(&first), counts_of(&run.stop())), (counts.clone(), counts));
    same(&bars_of_lake(&setup.lake), &expected);
}
