//! The program on a real broker with a control topic: promoted by command, killed and gone on with on other numbers of workers,
//! and its history proved and made again.

use super::shelf::{COLUMNS, Shelf, ensemble_file};
use crate::harness::kafka::{broker, unique};
use crate::kafka_live::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, market};
use crate::kafka_live::program::{Setup, fails, succeeds, tidewheel};
use crate::kafka_live::readers::{Record, records, wait_for_record};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use tidewheel::tables::Tables;
use tidewheel_connectors::lake::read;
use tidewheel_connectors::lake::rows::RowsByTick;

const FAMILIES: [&str; 5] = ["predictions", "shadow_predictions", "signals", "events", "control"];

pub fn sections(control: &str, registry: &Path) -> String {
    format!(
        "[recovery]\nsnapshot_every = \"700ms\"\n[features]\nviews = [\"small\"]\n\
         define = [{{ name = \"small\", version = 1, base = \"1m\", columns = {COLUMNS:?} }}]\n\
         [control]\ntopic = {control:?}\n[scoring]\nregistry = {registry:?}\nhistory_rows = 16\n"
    )
}

/// `tidewheel model ACTION ... --registry`, sent to the run.
fn model(shelf: &Shelf, setup: &Setup, arguments: &[&str]) -> Command {
    let mut command = tidewheel(&["model"]);
    command.args(arguments).args(["--config", &setup.file(), "--who", "it", "--registry"]).arg(shelf.path());
    command
}

pub fn promote(shelf: &Shelf, setup: &Setup, version: u32, more: &[&str]) {
    let file = ensemble_file(&shelf.beside(""), version);
    let told = succeeds(model(shelf, setup, &[&["promote", &file, "--target", "up"], more].concat()));
    assert!(told.contains("\n  sent to "), "{told}");
}

pub fn wait_for_event(setup: &Setup, kind: &str, promotion: u64) -> Record {
    wait_for_record(&setup.brokers, &format!("{}.events", setup.prefix), |record| {
        let value = record.value.as_ref().expect("facts have values");
        value["kind"] == kind && value["promotion"] == promotion
    })
}

/// The facts of a lake, by table.
fn facts(lake: &Path) -> BTreeMap<&'static str, Vec<String>> {
    let state = read::manifest(lake).expect("a lake");
    let tables = Tables::of_run(&[super::shelf::view()], None, true);
    let of = |family: &'static str| {
        let number = tables.specs().iter().position(|spec| &*spec.family == family).expect("a table");
        let mut stored = RowsByTick::open(lake, &state, &tables.specs()[number], number as u16, 0).expect("a lake");
        let mut rows: Vec<String> = Vec::new();
        stored.drain(|row| rows.push(format!("{row:?}"))).expect("sound files");
        rows.sort();
        (family, rows)
    };
    FAMILIES.into_iter().map(of).collect()
}

/// The facts of the topics, by table.
fn published(brokers: &str, prefix: &str) -> BTreeMap<&'static str, BTreeSet<String>> {
    let of = |family| records(brokers, &format!("{prefix}.{family}")).iter().map(|it| format!("{it:?}")).collect();
    FAMILIES.into_iter().map(|family| (family, of(family))).collect()
}

#[test]
fn a_run_is_told_what_to_score_by_and_its_history_is_made_again() {
    let shelf = Shelf::new(6);
    let market = Recorded::new(market(31, 4_000, ALL_FAULTS));
    let brokers = broker().address();
    let topic = broker().topic("scored", PARTITIONS);
    let control = broker().topic("control", 1);
    let mut setup = Setup { more: sections(&control, &shelf.path()), ..Setup::new(brokers, &topic, market.folder()) };
    let all = market.messages.len();
    let send = |from: usize, to: usize| market.send(brokers, &topic, from * all / 12..to * all / 12, Spread::Keyed);
    let read_with = |tenths: usize, commands: u64| (tenths * all / 12) as u64 + commands;

    let mut run = setup.start();
    promote(&shelf, &setup, 1, &["--why", "the first"]);
    let event = wait_for_event(&setup, "ensemble_activated", 1).value.expect("a fact");
    assert_eq!(
        (&event["who"], &event["why"], &event["subject"]),
        (&"it".into(), &"the first".into(), &"blend@1".into())
    );
    send(0, 3);
    run.wait_until_read(read_with(3, 1));
    promote(&shelf, &setup, 2, &["--alias", "challenger"]);
    // What is none of its records is a dead letter, and stops nothing.
    broker().write(&control, &[(0, None, Some("no promotion")), (0, None, Some("{\"type\":\"halt\"}"))]);
    send(3, 5);
    run.wait_until_read(read_with(5, 4));
    wait_for_event(&setup, "ensemble_activated", 2);
    drop(run);

    setup.workers = 3;
    // Promoted while nothing runs, and a version that somebody laid hands on.
    promote(&shelf, &setup, 3, &[]);
    shelf.tamper("any-up-two", 5);
    let stray = shelf.promotion(40, "production", "any", 5).to_string();
    broker().write(&control, &[(0, None, Some(&stray))]);
    let mut run = setup.start();
    send(5, 8);
    run.wait_until_read(read_with(8, 6));
    let refused = wait_for_event(&setup, "promotion_refused", 40).value.expect("a fact");
    assert!(refused["detail"].as_str().expect("text").starts_with("other_checksum: "), "{refused}");
    let told = succeeds(model(&shelf, &setup, &["rollback", "--target", "up"]));
    assert!(told.contains("blend@1 again"), "{told}");
    wait_for_event(&setup, "ensemble_activated", 4);
    // The challenger leaves, and signals go by other thresholds: both outlast the restart that follows.
    let told = succeeds(model(&shelf, &setup, &["withdraw", "--target", "up", "--alias", "challenger"]));
    assert!(told.contains("challenger of any-up has no ensemble any more (change 5)"), "{told}");
    let withdrawn = wait_for_event(&setup, "ensemble_withdrawn", 5).value.expect("a fact");
    assert_eq!((&withdrawn["alias"], &withdrawn["who"]), (&"challenger".into(), &"it".into()));
    let mut policy = tidewheel(&["model", "signals-policy", "--number", "1", "--consider", "0.9", "--act", "0.95"]);
    policy.args(["--cool-down", "1s", "--universe", "2", "--who", "it", "--config", &setup.file()]);
    succeeds(policy);
    let changed = wait_for_event(&setup, "signals_policy_changed", 1).value.expect("a fact");
    assert_eq!(changed["detail"], "consider 0.9, act 0.95, cool_down_ms 1000, universe 2");
    let policy_tick = changed["tick"].as_u64().expect("a tick");
    send(8, 10);
    run.wait_until_read(read_with(10, 9));
    drop(run);

    setup.workers = 1;
    let mut run = setup.start();
    send(10, 12);
    // The same once more is not newer.
    succeeds(model(&shelf, &setup, &["send", "4"]));
    run.wait_until_read(read_with(12, 10));
    let again = wait_for_event(&setup, "promotion_refused", 4).value.expect("a fact");
    assert!(again["detail"].as_str().expect("text").starts_with("not_newer: "), "{again}");
    run.stop();

    let counters = read::manifest(&setup.lake).expect("a lake").progress.counters;
    assert!(counters.reconcile() && counters.read == read_with(12, 10), "{counters:?}");
    let in_lake = facts(&setup.lake);
    let in_topics = published(brokers, &setup.prefix);
    for family in FAMILIES {
        assert!(!in_lake[family].is_empty(), "{family} is empty");
        assert_eq!(in_lake[family].len(), in_topics[family].len(), "{family}");
    }
    assert_eq!(in_lake["control"].len(), 8);
    let since_policy = |family: &str| {
        let mut all = records(brokers, &format!("{}.{family}", setup.prefix));
        all.retain(|record| record.value.as_ref().expect("facts have values")["tick"].as_u64() > Some(policy_tick));
        all
    };
    assert!(since_policy("shadow_predictions").is_empty(), "nobody scores in shadow any more");
    for signal in since_policy("signals") {
        let signal = signal.value.expect("a fact");
        let is_sure = signal["confidence"].as_f64().is_some_and(|confidence| confidence >= 0.9);
        assert_eq!(signal["why"] == "unsure", !is_sure, "{signal}");
    }
    assert!(!since_policy("signals").is_empty());
    let letters = records(brokers, &format!("{}.rejects", setup.prefix));
    let of_control: Vec<_> =
        letters.iter().filter(|letter| letter.key.starts_with(&format!("{control}[0]:"))).collect();
    assert_eq!(of_control.len(), 2, "{of_control:?}");
    let predictions = records(brokers, &format!("{}.predictions", setup.prefix));
    let by: BTreeSet<u64> = predictions.iter().filter_map(|it| it.value.as_ref()?["promotion"].as_u64()).collect();
    assert!(by.contains(&1) && by.contains(&4) && !by.contains(&40), "{by:?}");
    println!("{} predictions by {by:?}", predictions.len());

    // Proved, and made again from the lake and the registry alone.
    let verify = |more: &[&str]| {
        let mut command = tidewheel(&["verify", "--json", "--config", &setup.file()]);
        command.arg(&setup.lake).args(more);
        command
    };
    let report: Json = serde_json::from_str(&succeeds(verify(&[]))).expect("JSON");
    assert_eq!(report["differences_total"], 0, "{report:#}");
    let folder = tempfile::tempdir().expect("a folder");
    let prefix = unique("scored-again");
    let mut command = tidewheel(&["replay", "--as-recorded", "--quiet", "--workers", "2", "--archive", "--input"]);
    command.arg(&setup.lake).arg("--lake").arg(folder.path().join("again"));
    command.args(["--kafka", brokers, "--prefix", &prefix]);
    let told = succeeds(command);
    assert!(told.contains("as the run counted"), "{told}");
    assert_eq!(facts(&folder.path().join("again")), in_lake);
    assert_eq!(published(brokers, &prefix), in_topics);

    // The rows that were scored did not know the future, and whoever asks needs no models.
    let mut audit = tidewheel(&["audit", "lookahead", "--view", "small", "--json", "--config", &setup.file()]);
    audit.arg(&setup.lake);
    let report: Json = serde_json::from_str(&succeeds(audit)).expect("JSON");
    println!("audit: {report}");

    // A registry elsewhere is as good; one that lacks what took effect is told.
    let moved = shelf.beside("moved");
    std::fs::rename(shelf.path(), &moved).expect("the registry can be moved");
    let told = fails(verify(&[]), 1);
    assert!(told.contains("took effect in the ticks that are made again"), "{told}");
    let report = succeeds(verify(&["--registry", &moved.display().to_string()]));
    assert!(report.contains("\"differences_total\": 0"), "{report}");
}

#[test]
fn a_control_topic_of_several_partitions_is_refused() {
    let shelf = Shelf::new(1);
    let topic = broker().topic("scored", 1);
    let control = broker().topic("control", 2);
    let folder = tempfile::tempdir().expect("a folder");
    let setup =
        Setup { more: sections(&control, &shelf.path()), ..Setup::new(broker().address(), &topic, folder.path()) };
    let told = fails(setup.command(), 2);
    assert!(told.contains("has 2 partitions"), "{told}");
}
