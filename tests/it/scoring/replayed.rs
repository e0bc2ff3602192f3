//! History scored by what the aliases of a registry stand for, without a control topic: to the last bit what a live run says by the
//! same ensembles of the same trades, on any number of workers.

use super::live::{promote, sections, wait_for_event};
use super::shelf::{COLUMNS, Shelf, ensemble_file, view};
use crate::harness::kafka::broker;
use crate::kafka_live::markets::{PARTITIONS, Recorded, Spread, WITHOUT_CONFLICTS, market};
use crate::kafka_live::program::{Setup, fails, succeeds, tidewheel};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tidewheel::tables::Tables;
use tidewheel_connectors::generate::Faults;
use tidewheel_connectors::lake::read;
use tidewheel_connectors::lake::rows::RowsByTick;

/// The rows of a table of facts, but for the ticks at which they were said.
fn said(lake: &Path, family: &str) -> BTreeMap<String, String> {
    let state = read::manifest(lake).expect("a lake");
    let tables = Tables::of_run(&[view()], None, true);
    let number = tables.specs().iter().position(|spec| &*spec.family == family).expect("a table");
    let mut stored = RowsByTick::open(lake, &state, &tables.specs()[number], number as u16, 0).expect("a lake");
    let mut rows = BTreeMap::new();
    stored
        .drain(|row| {
            let key = format!("{:?} {} {}", row.instrument, row.qualifier, row.event_time_ns);
            assert!(rows.insert(key, format!("{:?}", row.values)).is_none(), "a row is scored once");
        })
        .expect("sound files");
    rows
}

fn replay(registry: &Path, config: &Path, lake: &Path, more: &[&str]) -> Command {
    let mut command = tidewheel(&["replay", "--quiet", "--registry"]);
    command.arg(registry).arg("--config").arg(config).arg("--lake").arg(lake).args(more);
    command
}

#[test]
fn what_a_live_run_said_a_replay_by_the_same_ensembles_says() {
    let shelf = Shelf::new(2);
    // What comes late may be scored live before it is there.
    let market = Recorded::new(market(77, 4_000, Faults::default()));
    let brokers = broker().address();
    let topic = broker().topic("parity", PARTITIONS);
    let control = broker().topic("parity-control", 1);
    let setup = Setup { more: sections(&control, &shelf.path()), ..Setup::new(brokers, &topic, market.folder()) };
    let mut run = setup.start();
    promote(&shelf, &setup, 1, &[]);
    promote(&shelf, &setup, 2, &["--alias", "challenger"]);
    wait_for_event(&setup, "ensemble_activated", 2);
    market.send_all(brokers, &topic, Spread::Keyed);
    run.wait_until_read(market.messages.len() as u64 + 2);
    run.stop();

    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("computed.toml");
    // Only what is computed; where it comes from and goes to is said by the flags.
    let text = format!(
        "[features]\nviews = [\"small\"]\n\
         define = [{{ name = \"small\", version = 1, base = \"1m\", columns = {COLUMNS:?} }}]\n\
         [scoring]\nhistory_rows = 16\n"
    );
    std::fs::write(&config, text).expect("space");
    for (workers, tick) in [("1", "100ms"), ("3", "60s")] {
        let lake = folder.path().join(format!("lake-{workers}"));
        let more = ["--topic", &topic, "--brokers", brokers, "--workers", workers, "--tick", tick, "--leave-open"];
        let told = succeeds(replay(&shelf.path(), &config, &lake, &more));
        for family in ["predictions", "shadow_predictions"] {
            let (live, again) = (said(&setup.lake, family), said(&lake, family));
            assert!(live.len() > 50, "{} {family}\n{told}", live.len());
            assert_eq!(live, again, "{family} on {workers} workers, ticks of {tick}");
            println!("{} {family} live are those of a replay on {workers} workers, ticks of {tick}", live.len());
        }
        let events = said(&lake, "events");
        let activated = events.values().filter(|values| values.contains("ensemble_activated")).count();
        assert_eq!((activated, said(&lake, "control").len()), (2, 2), "{events:?}");
    }
}

#[test]
fn a_replay_of_files_says_the_same_on_any_workers_whatever_comes_late() {
    let shelf = Shelf::new(3);
    for version in [1, 3] {
        let file = ensemble_file(&shelf.beside(""), version);
        let mut command = tidewheel(&["model", "promote", &file, "--target", "up", "--registry"]);
        command.arg(shelf.path());
        succeeds(command);
    }
    let market = Recorded::new(market(78, 3_000, WITHOUT_CONFLICTS));
    let file = market.file().display().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("computed.toml");
    let text = sections("unused", Path::new("unused"));
    std::fs::write(&config, text).expect("space");
    let facts = |workers: &str| {
        let lake = folder.path().join(workers);
        succeeds(replay(&shelf.path(), &config, &lake, &["--input", &file, "--tick", "1s", "--workers", workers]));
        ["predictions", "signals", "events", "control"].map(|family| said(&lake, family))
    };
    let one = facts("1");
    assert!(one[0].len() > 50 && one[0].len() == one[1].len(), "{} and {}", one[0].len(), one[1].len());
    // Of an alias the last promotion counts.
    assert!(one[0].values().all(|values| values.contains("blend@3")), "{:?}", one[0].values().next());
    assert_eq!((one[3].len(), one == facts("2"), one == facts("4")), (1, true, true));
}

#[test]
fn a_registry_that_cannot_score_a_replay_is_refused_before_anything_is_read() {
    let shelf = Shelf::new(1);
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("computed.toml");
    std::fs::write(&config, sections("unused", Path::new("unused"))).expect("space");
    let lake = folder.path().join("lake");
    let input = folder.path().join("none.jsonl");
    std::fs::write(&input, "").expect("space");
    let input = input.display().to_string();
    let refused = |more: &[&str]| {
        let mut command = replay(&shelf.path(), &config, &lake, &["--input", &input]);
        command.args(more);
        fails(command, 1)
    };
    assert!(refused(&[]).contains("nothing was ever promoted in the registry"));
    let file = ensemble_file(&shelf.beside(""), 1);
    let mut command = tidewheel(&["model", "promote", &file, "--target", "up", "--registry"]);
    command.arg(shelf.path());
    succeeds(command);
    let told = refused(&["--views", "core_technical"]);
    assert!(told.contains("view_not_computed") && told.contains("small@1"), "{told}");
    shelf.tamper("any-up-two", 1);
    let told = refused(&[]);
    assert!(told.contains("blend@1 (any-up, promotion 1) cannot score this replay: other_checksum"), "{told}");
    assert!(!lake.exists(), "nothing was written");
}
