//! A run that cannot go on says so, and says when it can again.

use super::observed::{Answer, Observed};
use crate::harness::kafka::{Broker, broker};
use crate::kafka_live::markets::{PARTITIONS, Recorded, Spread, market};
use crate::kafka_live::program::{Setup, fails, tidewheel};
use std::net::TcpListener;
use std::time::Duration;
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
    let mut check = tidewheel(&["check", "--config", &setup.file()]);
    let output = check.env("TIDEWHEEL_HTTP__LISTEN", &address).output().expect("the program starts");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    for part in [format!("serve    /health, /metrics and /api/v1/status on http://{address}"), expected[7..].to_owned()]
    {
        assert!(told.contains(&part), "{part:?} is missing in {told}");
    }
}

#[test]
fn a_lost_broker_and_ticks_that_stand_still_are_told_until_they_are_mended() {
    let mut broker = Broker::start();
    let recorded = Recorded::new(market(72, 3_000, Faults::SOME));
    let topic = broker.topic("lost", PARTITIONS);
    recorded.send_all(broker.address(), &topic, Spread::Keyed);
    let start = |lake: &str, writes_topics: &str| {
        let setup = Setup::new(broker.address(), &topic, recorded.folder());
        let setup = Setup { lake: recorded.folder().join(lake), ..setup };
        let mut command = setup.command();
        command.env("TIDEWHEEL_HTTP__STALLED_AFTER", "2s").env("TIDEWHEEL_KAFKA__ENABLED", writes_topics);
        Observed::start(command)
    };
    // One goes on without its source, and says what it lacks; the other is held by its topics.
    let (reader, writer) = (start("reader", "false"), start("writer", "true"));
    let all = recorded.messages.len() as u64;
    for run in [&reader, &writer] {
        run.wait_until(Observed::status, |report| report.counters.counts.read == all);
        run.wait_until(|run| run.get("/health"), |health| health.code == 200);
    }

    broker.kill();
    let unhealthy = |run: &Observed, parts: &[&str]| {
        let is_told = |health: &Answer| parts.iter().all(|part| health.body.contains(part));
        let health = run.wait_until(|run| run.get("/health"), is_told);
        assert_eq!((health.code, health.content_type.as_str()), (503, "application/json"), "{health:?}");
        assert!(health.body.starts_with(r#"{"healthy":false,"problems":[{"code":""#), "{health:?}");
    };
    unhealthy(&reader, &["source_error", &format!("{topic}[0]"), "waiting for it"]);
    unhealthy(&writer, &["tick_stalled", "no tick was completed for", "the topics have not answered for"]);
    let report = reader.status();
    assert!(!report.healthy && report.partitions.iter().all(|partition| !partition.connected), "{report:?}");
    let output = tidewheel(&["status", "--url", reader.address()]).output().expect("the program starts");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("NOT HEALTHY") && told.contains("unreachable"), "{told}");

    // Longer than a transaction may be open.
    std::thread::sleep(Duration::from_secs(30));
    broker.resume();
    for run in [reader, writer] {
        run.wait_until(|run| run.get("/health"), |health| health.code == 200);
        let report = run.status();
        assert!(report.partitions.iter().all(|partition| partition.connected), "{report:?}");
        let ended = run.stop();
        assert_eq!(ended.code, Some(0), "{}", ended.log.join("\n"));
    }
}
