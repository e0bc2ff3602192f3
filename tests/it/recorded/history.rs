//! The run whose history the tests make again: one for all of them.

use crate::harness::kafka::broker;
use crate::kafka_live::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, market};
use crate::kafka_live::program::Setup;
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use tidewheel_connectors::generate::MarketConfig;
use tidewheel_connectors::lake::read;
use tidewheel_schemas::{BarVersion, Counters, Interval, SECOND_NS};

/// So many parts of the market arrive one after the other.
const PARTS: usize = 22;

/// A run that has ended.
pub struct History {
    /// What it read and wrote.
    pub setup: Setup,
    /// Its last counts.
    pub counters: Counters,
    // Holds the folder of the lake.
    _market: Recorded,
}

/// The history that all tests read. None changes its lake or its topics: they make copies.
pub fn history() -> &'static History {
    static HISTORY: OnceLock<History> = OnceLock::new();
    HISTORY.get_or_init(|| live(11, |setup| setup))
}

/// Lives through a market: killed twice, stopped twice, on one to three workers.
pub fn live(seed: u64, adjust: impl FnOnce(Setup) -> Setup) -> History {
    // Stragglers come long after their bars were final.
    let disorder_ns = 60 * SECOND_NS;
    let market = Recorded::new(MarketConfig { disorder_ns, ..market(seed, 6_000, ALL_FAULTS) });
    let brokers = broker().address();
    let topic = broker().topic("history", PARTITIONS);
    let mut setup = adjust(Setup {
        bars: "provisional_every = \"1s\"\n".to_owned(),
        kafka: "partitions = 2\n[recovery]\nsnapshot_every = \"700ms\"\n".to_owned(),
        ..Setup::new(brokers, &topic, market.folder())
    });
    let all = market.messages.len();
    let part = |number: usize| number * all / PARTS;
    // Messages of one instrument lie in all partitions, so that amendments overtake their trades.
    let send = |number: usize| market.send(brokers, &topic, part(number)..part(number + 1), Spread::InTurn);
    let mut next = 0;
    for (workers, parts, is_killed) in [(2, 5, true), (3, 4, false), (1, 5, true), (2, 6, false)] {
        setup.workers = workers;
        let mut run = setup.start();
        for _ in 0..parts {
            send(next);
            next += 1;
            run.wait_until_read(part(next) as u64);
        }
        if is_killed {
            // In the middle of something.
            send(next);
            next += 1;
            run.wait_until_read(part(next - 1) as u64 + 1);
            drop(run);
        } else {
            run.stop();
        }
    }
    assert_eq!(next, PARTS);
    let counters = read::manifest(&setup.lake).expect("a lake").progress.counters;
    assert_eq!(counters.read, all as u64, "{counters:?}");
    assert!(counters.reconcile() && counters.amended > 0 && counters.late > 0 && counters.duplicate > 0);
    History { setup, counters, _market: market }
}

/// A lake's changelog, row by row: by interval, instrument, open time, tick.
pub fn changelog(lake: &Path) -> Vec<BarVersion> {
    let of = |interval| read::changelog(lake, interval).expect("a lake");
    let mut versions: Vec<BarVersion> = Interval::ALL.into_iter().flat_map(of).collect();
    versions.sort_by_key(|version| {
        (version.interval, version.instrument.clone(), version.open_time_ns, version.tick, version.revision)
    });
    versions
}

/// A lake's bars.
pub fn bars(lake: &Path) -> Vec<BarVersion> {
    Interval::ALL.into_iter().flat_map(|interval| read::bars(lake, interval).expect("a lake")).collect()
}

/// Complains of the first row that differs.
#[track_caller]
pub fn same_rows(found: &[BarVersion], expected: &[BarVersion]) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
    assert_eq!(found.len(), expected.len());
    assert!(!found.is_empty(), "there are rows");
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary folder can be written to");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("space");
        }
    }
}
