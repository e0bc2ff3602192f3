//! A live run inside this process, on the broker that demonstrations use: no second process and no Java.

use super::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, market};
use super::program::Setup;
use super::readers::{bars_of_lake, bars_of_topics, last_progress, same, versions_of_lake};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidewheel::commands::{Begin, Session};
use tidewheel::config::Config;
use tidewheel_connectors::kafka::embedded::EmbeddedBroker;

#[test]
fn a_session_on_the_embedded_broker_gives_the_bars_of_the_file() {
    let recorded = Recorded::new(market(10, 4_000, ALL_FAULTS));
    let cluster = EmbeddedBroker::start(&["trades"], PARTITIONS).expect("the cluster starts");
    let setup = Setup::new(cluster.bootstrap(), "trades", recorded.folder());
    let config = Config::parse(&setup.text(), &[]).expect("a sound configuration");
    for topic in config.output_topics() {
        cluster.create_topic(&topic, if topic.ends_with("progress") { 1 } else { 2 }).expect("the topic is new");
    }
    let stop = Arc::new(AtomicBool::new(false));
    let session = Session::open(&config, None, Begin::GoOn, &stop).expect("everything can be used");
    let status = session.status();
    let counters = std::thread::scope(|scope| {
        let run = scope.spawn(|| session.run(&stop));
        recorded.send_all(cluster.bootstrap(), "trades", Spread::Keyed);
        let all = recorded.messages.len() as u64;
        let read = last_progress(cluster.bootstrap(), &setup.prefix, || !run.is_finished(), |told| told.read >= all);
        stop.store(true, Ordering::Relaxed);
        let counters = run.join().expect("no panic").expect("no error");
        assert_eq!(read.as_ref(), Some(&counters));
        counters
    });
    recorded.check_counters(&counters);
    assert_eq!(status.snapshot().counters, counters);
    let (mut expected, _) = recorded.replayed();
    same(&bars_of_lake(&setup.lake), &expected);
    for version in versions_of_lake(&setup.lake).iter().filter(|version| !version.is_final) {
        expected.remove(&super::readers::key_of(version));
    }
    same(&bars_of_topics(cluster.bootstrap(), &setup.prefix), &expected);
}
