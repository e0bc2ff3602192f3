//! A run that is told to stop while its broker is away.

use super::observed::Observed;
use crate::harness::kafka::Broker;
use crate::kafka_live::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, market};
use crate::kafka_live::program::Setup;
use crate::kafka_live::readers::{bars_of_lake, same};
use crate::kafka_live::running::topics_hold_the_lake;
use std::time::{Duration, Instant};

#[test]
fn a_run_that_is_stopped_while_its_broker_is_away_ends_soon_and_goes_on_at_its_next_start() {
    let mut broker = Broker::start();
    let recorded = Recorded::new(market(73, 6_000, ALL_FAULTS));
    let topic = broker.topic("stopped", PARTITIONS);
    let setup = Setup::new(broker.address(), &topic, recorded.folder());
    let (half, all) = (recorded.messages.len() / 2, recorded.messages.len());
    recorded.send(broker.address(), &topic, 0..half, Spread::Keyed);
    let run = Observed::start(setup.command());
    run.wait_until(Observed::status, |report| report.counters.counts.read == half as u64);
    broker.kill();
    std::thread::sleep(Duration::from_secs(3));
    let told = Instant::now();
    let ended = run.stop();
    let log = ended.log.join("\n");
    assert!(told.elapsed() < Duration::from_secs(15), "{:?}\n{log}", told.elapsed());
    assert_eq!(ended.code, Some(1), "{log}");
    assert!(log.contains("kafka has not answered for") && log.contains("started again"), "{log}");

    broker.resume();
    recorded.send(broker.address(), &topic, half..all, Spread::Keyed);
    let mut run = setup.start();
    let counters = run.wait_until_read(all as u64);
    drop(run.stop());
    recorded.check_counters(&counters);
    same(&bars_of_lake(&setup.lake), &recorded.replayed().0);
    topics_hold_the_lake(&setup.brokers, &setup.prefix, &setup.lake);
}
