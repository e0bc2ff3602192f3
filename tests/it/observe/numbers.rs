//! Metrics and state of a run over a market with every trouble, against what the market holds.

use super::observed::Observed;
use crate::harness::kafka::broker;
use crate::kafka_live::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, counts_of, market};
use crate::kafka_live::program::{Setup, tidewheel};
use std::collections::BTreeMap;
use std::process::Output;
use tidewheel::http::StatusReport;
use tidewheel::metrics::METRICS;
use tidewheel_connectors::lake;

/// Metrics that have no value where a run began anew.
const OF_RECOVERY: &str = "tidewheel_recovery_";

/// Samples by name and labels as written, and the names of all families in their order.
fn parse(text: &str) -> (BTreeMap<String, f64>, Vec<String>) {
    let (mut samples, mut families) = (BTreeMap::new(), Vec::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            families.push(rest.split(' ').next().expect("a name").to_owned());
        } else if !line.starts_with("# HELP ") {
            let (name, value) = line.rsplit_once(' ').expect("a name and a value");
            let value = value.parse().unwrap_or_else(|_| panic!("{line}: no number"));
            assert!(samples.insert(name.to_owned(), value).is_none(), "{name} is there twice");
        }
    }
    (samples, families)
}

fn status_of(arguments: &[&str]) -> Output {
    tidewheel(&[&["status"], arguments].concat()).output().expect("the program starts")
}

#[track_caller]
fn prints(output: &Output, code: i32, parts: &[&str]) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
    text
}

#[test]
fn metrics_and_state_tell_what_the_run_has_done() {
    let recorded = Recorded::new(market(71, 6_000, ALL_FAULTS));
    let brokers = broker().address();
    let topic = broker().topic("observed", PARTITIONS);
    let mut setup = Setup::new(brokers, &topic, recorded.folder());
    setup.kafka += "[recovery]\nsnapshot_every = \"1s\"\n";
    recorded.send_all(brokers, &topic, Spread::Keyed);
    let run = Observed::start(setup.command());
    let all = recorded.messages.len() as u64;
    // All is read, nothing changes any more, and both sinks have committed what there was.
    let is_settled = |report: &StatusReport| {
        let committed = report.complete_through.all_ms;
        let is_idle = !report.partitions.is_empty() && report.partitions.iter().all(|partition| partition.idle);
        let is_committed = committed.is_some_and(|tick| tick > report.started_ms + 2_000);
        report.counters.counts.read == all && is_idle && is_committed && report.snapshot.is_some()
    };
    let report = run.wait_until(Observed::status, is_settled);
    let counters = &report.counters.counts;
    recorded.check_counters(counters);

    assert!(report.healthy && report.problems.is_empty() && report.counters.reconciles, "{report:?}");
    assert!(report.run.starts_with("run-") && report.version == env!("CARGO_PKG_VERSION"), "{report:?}");
    let names: Vec<&str> = report.partitions.iter().map(|partition| partition.name.as_str()).collect();
    assert_eq!(names, (0..PARTITIONS).map(|number| format!("{topic}[{number}]")).collect::<Vec<_>>());
    assert_eq!(report.partitions.iter().map(|partition| partition.position).sum::<u64>(), all);
    for partition in &report.partitions {
        assert!(partition.caught_up && partition.connected, "{partition:?}");
        assert_eq!((partition.end, partition.lag), (partition.position, 0), "{partition:?}");
    }
    let watermarks = report.partitions.iter().filter_map(|partition| partition.watermark_ns);
    assert!(report.tick.watermark_ns <= watermarks.max(), "{report:?}");
    assert!(report.tick.lag_ms.is_some_and(|lag| (0..10_000).contains(&lag)), "{:?}", report.tick);
    let complete = &report.complete_through;
    assert_eq!(complete.all_ms, complete.topic_ms.min(complete.lake_ms));
    assert!(complete.all_ms <= report.tick.frontier_ms, "{report:?}");
    assert_eq!(report.state.instruments, 8);
    let snapshot = report.snapshot.as_ref().expect("it was waited for");
    assert!(snapshot.total_bytes >= snapshot.written_bytes && snapshot.written_bytes > 0, "{snapshot:?}");
    assert!(snapshot.tick_ms > report.started_ms && snapshot.age_seconds < 60.0 && snapshot.count > 0, "{snapshot:?}");

    let answer = run.get("/metrics");
    assert_eq!((answer.code, answer.content_type.as_str()), (200, "text/plain; version=0.0.4"));
    let (samples, families) = parse(&answer.body);
    assert_eq!(families, METRICS.iter().map(|metric| metric.name).collect::<Vec<_>>(), "the table, and nothing else");
    for name in &families {
        let has_samples = samples.keys().any(|sample| sample.starts_with(name.as_str()));
        // Nothing is scored here, no model refuses anything, and there is no account.
        let of_others = ["tidewheel_member_refusals_total", "tidewheel_risk_level"];
        let is_silent = name.starts_with(OF_RECOVERY) || of_others.contains(&name.as_str());
        assert_eq!(has_samples, !is_silent, "{name}");
    }
    let value = |name: &str| *samples.get(name).unwrap_or_else(|| panic!("{name} is missing"));
    assert_eq!(value("tidewheel_records_read_total"), all as f64);
    assert_eq!(value("tidewheel_records_accepted_total"), counters.accepted as f64);
    assert_eq!(value("tidewheel_records_unreconciled"), 0.0);
    for (reason, count) in &counters.rejected_by_reason {
        assert_eq!(value(&format!("tidewheel_records_rejected_total{{reason=\"{reason}\"}}")), *count as f64);
    }
    for partition in &report.partitions {
        let of = |name: &str| value(&format!("tidewheel_source_{name}{{partition=\"{}\"}}", partition.name));
        assert_eq!((of("position_offset"), of("lag_offsets")), (partition.position as f64, 0.0));
        assert_eq!((of("caught_up"), of("idle"), of("connected")), (1.0, 1.0, 1.0));
    }
    for (interval, count) in &report.bar_versions {
        let versions = value(&format!("tidewheel_bar_versions_total{{interval=\"{interval}\"}}"));
        assert!(versions >= *count as f64, "{interval}");
    }
    for (total, histogram) in [("kafka_transactions", "kafka_transaction"), ("lake_commits", "lake_commit")] {
        let commits = value(&format!("tidewheel_{total}_total"));
        assert!(commits > 0.0);
        assert_eq!(value(&format!("tidewheel_{histogram}_duration_seconds_count")), commits);
        assert!(value(&format!("tidewheel_{histogram}_duration_seconds_sum")) > 0.0);
    }
    let sinks = &report.sinks;
    let tails = (sinks.kafka.as_ref(), sinks.lake.as_ref());
    let tails =
        (tails.0.and_then(|kafka| kafka.transaction_p99_seconds), tails.1.and_then(|lake| lake.commit_p99_seconds));
    assert!(tails.0.is_some_and(|tail| tail > 0.0) && tails.1.is_some_and(|tail| tail > 0.0), "{tails:?}");
    let versions = report.bar_versions.values().sum::<u64>();
    let rows = report.rows.values().sum::<u64>();
    assert!(rows > 0, "there are rows of features");
    let published = counters.rejected + counters.late + versions + rows;
    assert_eq!(report.sinks.kafka.as_ref().map(|kafka| kafka.records), Some(published));

    let health = run.get("/health");
    assert_eq!((health.code, health.body.as_str()), (200, r#"{"healthy":true,"problems":[]}"#));
    assert_eq!(run.get("/none").code, 404);
    the_command_tells_the_same(run, &setup, &report);
    a_run_that_goes_on_tells_what_it_recovered(&setup, &report);
}

fn a_run_that_goes_on_tells_what_it_recovered(setup: &Setup, before: &StatusReport) {
    let run = Observed::start(setup.command());
    let report = run.wait_until(Observed::status, |report| report.tick.count > 0 && report.recovered.is_some());
    let recovered = report.recovered.as_ref().expect("it was waited for");
    assert!(recovered.snapshot_tick_ms >= before.snapshot.as_ref().map(|snapshot| snapshot.tick_ms), "{recovered:?}");
    assert!(recovered.snapshot_bytes > 0 && recovered.duration_seconds > 0.0, "{recovered:?}");
    assert_eq!(report.counters, before.counters, "the counts go on");
    assert_ne!(report.run, before.run);
    assert!(report.complete_through.all_ms >= before.complete_through.all_ms, "{report:?}");
    let (samples, families) = parse(&run.get("/metrics").body);
    for name in families.iter().filter(|name| name.starts_with(OF_RECOVERY)) {
        assert!(samples.keys().any(|sample| sample.starts_with(name.as_str())), "{name} has no value");
    }
    assert_eq!(samples["tidewheel_recovery_replayed_ticks"], recovered.replayed_ticks as f64);
    let output = tidewheel(&["status", "--url", run.address()]).output().expect("the program starts");
    println!("{}", prints(&output, 0, &["recovered", "from snapshot", "records replayed"]));
    assert_eq!(run.stop().code, Some(0));
}

/// `tidewheel status` while the run goes on, and after it has ended.
fn the_command_tells_the_same(run: Observed, setup: &Setup, report: &StatusReport) {
    let url = run.address().to_owned();
    let first = &report.partitions[0];
    let counts = report.counters.counts.read;
    let told = prints(
        &status_of(&["--url", &url]),
        0,
        &[
            &format!("{}: healthy", report.run),
            "PARTITION",
            "complete through",
            "8 instruments",
            "topics",
            "lake",
            "(reconciles)",
        ],
    );
    println!("{told}");
    let row = told.lines().find(|line| line.starts_with(&first.name)).expect("a row for each partition");
    let cells: Vec<&str> = row.split_whitespace().collect();
    let position = first.position.to_string();
    assert_eq!((cells[1], cells[2], cells[3], cells[5]), (position.as_str(), position.as_str(), "0", "idle"), "{row}");
    let json = prints(&status_of(&["--url", &format!("http://{url}/"), "--json"]), 0, &[]);
    let read: StatusReport = serde_json::from_str(&json).expect("the form of a status");
    assert_eq!((&read.run, read.counters.counts.read), (&report.run, counts));

    let ended = run.stop();
    assert_eq!(ended.code, Some(0), "{}", ended.log.join("\n"));
    let committed = lake::read::manifest(&setup.lake).expect("a lake");
    let file = setup.file();
    let mut command = tidewheel(&["status", "--config", &file]);
    let output = command.env("TIDEWHEEL_HTTP__LISTEN", &url).output().expect("the program starts");
    let through = format!("is complete through {}", time_text(committed.progress.tick_frontier - 1));
    let told = prints(&output, 1, &["the run does not answer: http://", &through, &report.run]);
    assert_eq!(counts_of(&told), counts_of(&ended.stdout));
    let output = status_of(&["--config", &file, "--json"]);
    let told: serde_json::Value = serde_json::from_str(&prints(&output, 1, &[])).expect("JSON");
    assert_eq!(told["answers"], false);
    assert_eq!(told["lake"]["tick_frontier_ms"], committed.progress.tick_frontier);
    assert!(told["why"].as_str().is_some_and(|why| why.contains("no [http] section")), "{told}");
}

fn time_text(tick_ms: u64) -> String {
    let time = jiff::Timestamp::from_millisecond(tick_ms.cast_signed()).expect("a time of today");
    format!("{time:.3}")
}
