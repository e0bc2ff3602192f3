//! `tidewheel verify` of topics that a broker has compacted: superseded versions are gone, and nothing differs.

use super::history::changelog;
use super::verified::{identical, records_in_topics, report};
use crate::features::oracle::versions;
use crate::harness::kafka::{Addition, Broker, PATIENCE};
use crate::kafka_live::markets::{PARTITIONS, Recorded, Spread, WITHOUT_CONFLICTS, market};
use crate::kafka_live::program::Setup;
use std::time::{Duration, Instant};
use tidewheel_schemas::Interval;

/// Parts in which the market arrives: bars are published again after each.
const PARTS: usize = 12;

/// A broker that cleans soon.
fn tidy_broker() -> Broker {
    let properties = vec!["log.cleaner.backoff.ms=200".to_owned()];
    Broker::start_with(|_| Addition { properties, ..Addition::default() })
}

#[test]
fn what_compaction_has_removed_is_no_difference_and_would_be_one_elsewhere() {
    let broker = tidy_broker();
    let recorded = Recorded::new(market(31, 3_000, WITHOUT_CONFLICTS));
    let topic = broker.topic("compacted", PARTITIONS);
    let setup = Setup {
        bars: "provisional_every = \"200ms\"\n".to_owned(),
        ..Setup::new(broker.address(), &topic, recorded.folder())
    };
    let mut run = setup.start();
    let part = |number: usize| number * recorded.messages.len() / PARTS;
    for number in 0..PARTS {
        recorded.send(broker.address(), &topic, part(number)..part(number + 1), Spread::Keyed);
        run.wait_until_read(part(number + 1) as u64);
        if number == 0 {
            // A segment is complete when something follows after this time, and is cleaned however little of it is dirty.
            let eager = [
                ("cleanup.policy", "compact"),
                ("segment.ms", "300"),
                ("min.cleanable.dirty.ratio", "0.001"),
                ("max.compaction.lag.ms", "300"),
            ];
            configure(&broker, &setup, &eager);
        }
    }
    let counters = run.wait_until_read(recorded.messages.len() as u64);
    run.stop();
    let rows = changelog(&setup.lake).len() + versions(&setup.lake).len();
    let published = rows as u64 + counters.late + counters.rejected;

    let left = when_cleaned(&setup, published as usize);
    let report_of = ["--config", &setup.file()];
    let found = identical(&setup.lake, &report_of);
    let count = |name: &str| found[name].as_u64().expect("a count");
    println!("{published} records were published, {left} are left; {found}");
    assert!(count("records") < published && count("superseded_records") > 0, "{found:#}");
    assert_eq!(count("records") + count("superseded_records"), published, "{found:#}");
    assert!(count("records") >= left as u64 / 2, "most of what is left was compared: {found:#}");

    // Of topics that keep everything the same records are missing.
    configure(&broker, &setup, &[("cleanup.policy", "delete"), ("retention.ms", "-1")]);
    let (code, told) = report(&setup.lake, &report_of);
    assert_eq!(code, Some(1), "{told:#}");
    assert_eq!(told["differences_total"].as_u64(), Some(count("superseded_records")), "{told:#}");
}

fn configure(broker: &Broker, setup: &Setup, settings: &[(&str, &str)]) {
    for interval in Interval::ALL {
        broker.configure(&format!("{}.bars.{interval}", setup.prefix), settings);
    }
}

/// How many records are left when the broker has cleaned and has nothing to clean any more.
fn when_cleaned(setup: &Setup, published: usize) -> usize {
    const PAUSE: Duration = Duration::from_secs(1);
    let deadline = Instant::now() + PATIENCE;
    let (mut before, mut left) = (usize::MAX, records_in_topics(setup));
    while left >= published || left != before {
        assert!(Instant::now() < deadline, "{left} of {published} records are left, the broker does not clean");
        std::thread::sleep(PAUSE);
        (before, left) = (left, records_in_topics(setup));
    }
    left
}
