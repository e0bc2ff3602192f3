//! A broker that dies in the middle of a run and comes back.

use super::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, counts_of, market};
use super::program::Setup;
use super::readers::{bars_of_lake, same};
use super::running::topics_hold_the_lake;
use crate::harness::kafka::Broker;
use std::time::Duration;

#[test]
fn a_run_outlives_its_broker_and_nothing_is_lost_or_written_twice() {
    outlives(5, Duration::ZERO, "2s");
}

#[test]
fn a_run_outlives_a_broker_that_is_away_for_longer_than_a_transaction_may_be_open() {
    outlives(6, Duration::from_secs(6), "2s");
}

#[test]
fn a_run_outlives_a_broker_that_is_away_for_half_a_minute() {
    outlives(7, Duration::from_secs(30), "10s");
}

fn outlives(seed: u64, outage: Duration, transaction_timeout: &str) {
    let mut broker = Broker::start();
    let recorded = Recorded::new(market(seed, 9_000, ALL_FAULTS));
    let topic = broker.topic("trades", PARTITIONS);
    let mut setup = Setup::new(broker.address(), &topic, recorded.folder());
    setup.kafka += &format!("transaction_timeout = {transaction_timeout:?}\n");
    let (third, all) = (recorded.messages.len() / 3, recorded.messages.len());
    recorded.send(broker.address(), &topic, 0..third, Spread::Keyed);
    let mut run = setup.start();
    run.wait_until_read(third as u64);
    // Now the run is at work on what came last, or waits for more.
    recorded.send(broker.address(), &topic, third..2 * third, Spread::Keyed);
    broker.kill();
    std::thread::sleep(outage);
    broker.resume();
    recorded.send(broker.address(), &topic, 2 * third..all, Spread::Keyed);
    let counters = run.wait_until_read(all as u64);
    let printed = run.stop();
    recorded.check_counters(&counters);
    let (expected, counts) = recorded.replayed();
    assert_eq!(counts_of(&printed), counts);
    same(&bars_of_lake(&setup.lake), &expected);
    topics_hold_the_lake(&setup.brokers, &setup.prefix, &setup.lake);
}
