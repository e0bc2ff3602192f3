//! The fault campaign: a live run on a broker of its own is killed, stopped, paused, starved of disk and of its broker at
//! random moments while a market with every trouble arrives, and starts again each time with another number of workers. At the
//! end the topics and the lake hold, byte for byte, what a run without faults makes of the same ticks, and every record is
//! accounted for.
//!
//! `cargo test` runs a short one. The long one:
//!
//! ```text
//! TIDEWHEEL_TEST_KILLS=100 cargo test --release --test it campaign -- --nocapture
//! ```
//!
//! `TIDEWHEEL_TEST_SEED` repeats one.

mod faults;
mod oracle;

use crate::harness::kafka::Broker;
use crate::kafka_live::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, market};
use crate::kafka_live::program::Setup;
use crate::kafka_live::readers::{bars_of_lake, same};
use crate::kafka_live::running::{letters_are_complete, topics_hold_the_lake};
use faults::{Campaign, Fault};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// Kills of the short campaign.
const KILLS: u32 = 10;

fn number_of(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[test]
fn whatever_happens_to_a_run_its_topics_and_lake_are_those_of_a_run_to_which_nothing_did() {
    let seed = number_of("TIDEWHEEL_TEST_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    let kills = number_of("TIDEWHEEL_TEST_KILLS").map_or(KILLS, |kills| kills as u32);
    println!("campaign of seed {seed}, at least {kills} kills");
    let random = &mut ChaCha8Rng::seed_from_u64(seed);
    let broker = Broker::start();
    let recorded = Recorded::new(market(seed, 1_000 * u64::from(kills), ALL_FAULTS));
    let topic = broker.topic("trades", PARTITIONS);
    let mut setup = Setup::new(broker.address(), &topic, recorded.folder());
    setup.bars = "provisional_every = \"200ms\"\ntick = \"50ms\"\n".to_owned();
    setup.kafka += "transaction_timeout = \"3s\"\n";
    let log = ["file", "kafka"][random.random_range(0..2)];
    println!("the log of ticks is in: {log}");
    setup.more = format!("[recovery]\nsnapshot_every = \"700ms\"\nlog = \"{log}\"\n");

    let all = recorded.messages.len();
    let mut sent = 0;
    let mut campaign = Campaign::new(broker, setup.clone(), recorded.folder());
    while campaign.kills < kills || sent < all {
        // Some of the market comes while the run is down, some while it runs.
        let share = sent + random.random_range(0..=2 * all / kills as usize);
        let (before, after) = (share.min(all), (share + random.random_range(0..=all / kills as usize)).min(all));
        recorded.send(&setup.brokers, &topic, sent..before, Spread::Keyed);
        campaign.begin(random.random_range(1..5), Fault::any(random));
        recorded.send(&setup.brokers, &topic, before..after, Spread::Keyed);
        sent = after;
        campaign.go_on(Duration::from_millis(random.random_range(0..2_500)));
        campaign.end(random);
    }
    campaign.begin(2, Fault::None);
    let counters = campaign.wait_until_read(all as u64);
    campaign.stop();
    println!("{}", campaign.log.join("\n"));
    recorded.check_counters(&counters);
    letters_are_complete(&setup, &counters);
    topics_hold_the_lake(&setup.brokers, &setup.prefix, &setup.lake);
    same(&bars_of_lake(&setup.lake), &recorded.replayed().0);
    let versions = oracle::compare(&setup);
    println!("seed {seed}: {} kills, {} starts, {versions} versions identical", campaign.kills, campaign.starts);
}
