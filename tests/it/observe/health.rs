//! A run that cannot go on says so, and says when it can again.

use super::observed::Observed;
use crate::harness::kafka::{Broker, broker};
use crate::kafka_live::markets::{PARTITIONS, Recorded, Spread, market};
use crate::kafka_live::program::{Setup, fails, tidewheel};
use std::net::TcpListener;
use tidewheel_connectors::generate::Faults;

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_touched() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topic = broker().topic("taken", 1);
    let setup = Setup::new(broker().address(), &topic, folder.path());
    let holder = TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    let address = holder.local_addr().expect("it is bound").to_string();
    let mut command = setup.command();
    command.env("TIDEWHEEL_HTTP__LISTEN", &address);
    let complaint = fails(command, 1);
    let expected = format!("error: could not listen on {address} (http.listen): ");
    assert!(complaint.starts_with(&expected) && complaint.contains("choose another address"), "{complaint}");
    assert!(!setup.lake.exists(), "the lake was made");
}

#[test]
fn a_lost_broker_and_ticks_that_stand_still_are_told_until_they_are_mended() {
    let mut broker = Broker::start();
    let recorded = Recorded::new(market(72, 3_000, Faults::SOME));
    let topic = broker.topic("lost", PARTITIONS);
    let setup = Setup::new(broker.address(), &topic, recorded.folder());
    recorded.send_all(broker.address(), &topic, Spread::Keyed);
    let mut command = setup.command();
    command.env("TIDEWHEEL_HTTP__STALLED_AFTER", "2s");
    let run = Observed::start(command);
    let all = recorded.messages.len() as u64;
    run.wait_until(Observed::status, |report| report.counters.counts.read == all);
    run.wait_until(|run| run.get("/health"), |health| health.code == 200);

    broker.kill();
    let health = run.wait_until(
        |run| run.get("/health"),
        // The sink cannot say that all is quiet, and holds the ticks.
        |health| health.body.contains("source_error") && health.body.contains("tick_stalled"),
    );
    assert_eq!(health.code, 503, "{health:?}");
    let health: serde_json::Value = serde_json::from_str(&health.body).expect("JSON");
    assert_eq!(health["healthy"], false);
    let detail = health["problems"].to_string();
    for part in [&format!("{topic}[0]"), "no tick was completed for"] {
        assert!(detail.contains(part), "{part:?} is missing in {detail}");
    }
    let report = run.status();
    assert!(!report.healthy && report.partitions.iter().all(|partition| !partition.connected), "{report:?}");
    let output = tidewheel(&["status", "--url", run.address()]).output().expect("the program starts");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("NOT HEALTHY") && told.contains("unreachable"), "{told}");

    broker.resume();
    run.wait_until(|run| run.get("/health"), |health| health.code == 200);
    let report = run.status();
    assert!(report.partitions.iter().all(|partition| partition.connected), "{report:?}");
    let ended = run.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.log.join("\n"));
}
