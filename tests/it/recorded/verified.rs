//! `tidewheel verify` of what is sound: identical, on any number of workers, in any range, and while the run goes on.

use super::history::{bars, changelog, history};
use crate::features::oracle;
use crate::harness::kafka::broker;
use crate::kafka_live::markets::{ALL_FAULTS, PARTITIONS, Recorded, Spread, market};
use crate::kafka_live::program::{Setup, tidewheel};
use crate::kafka_live::readers::count;
use serde_json::Value;
use std::path::Path;
use tidewheel::verify::{VerifyConfig, verify};
use tidewheel_connectors::kafka::sink::KafkaSinkConfig;
use tidewheel_schemas::Interval;

/// The exit code of `tidewheel verify`, and its report.
pub fn report(lake: &Path, arguments: &[&str]) -> (Option<i32>, Value) {
    let mut command = tidewheel(&["verify", "--json", "--limit", "1000"]);
    let output = command.arg(lake).args(arguments).output().expect("the program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| Value::String(text(&output.stderr)));
    (output.status.code(), report)
}

/// As [`report`], of what must be identical.
#[track_caller]
pub fn identical(lake: &Path, arguments: &[&str]) -> Value {
    let (code, report) = report(lake, arguments);
    assert_eq!((code, &report["differences_total"]), (Some(0), &Value::from(0)), "{report:#}");
    report
}

/// Records of all topics of a run, as a consumer finds them.
pub fn records_in_topics(setup: &Setup) -> usize {
    let suffixes = Interval::ALL.map(|interval| format!("bars.{interval}"));
    let others = ["features.core_technical", "late", "rejects"].map(str::to_owned);
    let suffixes = suffixes.into_iter().chain(others);
    suffixes.map(|suffix| count(&setup.brokers, &format!("{}.{suffix}", setup.prefix))).sum()
}

#[test]
fn a_run_that_was_killed_and_stopped_published_what_the_graph_says() {
    let history = history();
    let setup = &history.setup;
    let (versions, bars) = (changelog(&setup.lake).len(), bars(&setup.lake).len());
    let config = setup.file();
    for arguments in [
        &["--workers", "1", "--kafka", &setup.brokers, "--prefix", &setup.prefix][..],
        &["--workers", "3", "--config", &config],
    ] {
        let report = identical(&setup.lake, arguments);
        assert_eq!(report["versions"], versions, "{report:#}");
        assert_eq!(report["bars"], bars, "{report:#}");
        assert_eq!(report["rows"], oracle::versions(&setup.lake).len(), "{report:#}");
        assert_eq!(report["records"], records_in_topics(setup), "{report:#}");
        assert_eq!(
            (&report["late"], &report["rejects"]),
            (&history.counters.late.into(), &history.counters.rejected.into())
        );
        // Every version is still there: the broker has had no time to remove one.
        let others = ["superseded_records", "expired_records", "records_before"].map(|name| report[name].clone());
        assert_eq!(others, [0, 0, 0].map(Value::from), "{report:#}");
        assert_eq!(report["notes"], Value::Array(Vec::new()));
    }
    let mut command = tidewheel(&["verify"]);
    let told = command.arg(&setup.lake).output().expect("the program starts").stdout;
    assert!(String::from_utf8_lossy(&told).starts_with("identical: "), "{told:?}");
}

#[test]
fn parts_of_the_history_add_up_to_the_whole() {
    let setup = &history().setup;
    let versions = changelog(&setup.lake);
    let mut ticks: Vec<u64> = versions.iter().map(|version| version.tick).collect();
    ticks.sort_unstable();
    let cuts = [ticks[0], ticks[ticks.len() / 3], ticks[ticks.len() * 2 / 3], u64::MAX];
    let (mut rows, mut records) = (0, 0);
    for cut in cuts.windows(2) {
        let kafka = KafkaSinkConfig::new(&setup.brokers, &setup.prefix);
        let config = VerifyConfig { kafka: Some(kafka), ticks: cut[0]..cut[1], ..VerifyConfig::new(&setup.lake) };
        let report = verify(&config).expect("there are ticks");
        assert!(report.is_identical(), "{}", report.text());
        (rows, records) = (rows + report.versions, records + report.records);
    }
    assert_eq!((rows as usize, records as usize), (versions.len(), records_in_topics(setup)));
}

#[test]
fn while_the_run_goes_on_nothing_differs() {
    let market = Recorded::new(market(13, 4_000, ALL_FAULTS));
    let brokers = broker().address();
    let topic = broker().topic("going-on", PARTITIONS);
    let setup =
        Setup { bars: "provisional_every = \"200ms\"\n".to_owned(), ..Setup::new(brokers, &topic, market.folder()) };
    let all = market.messages.len();
    let mut run = setup.start();
    for part in 0..8 {
        market.send(brokers, &topic, part * all / 8..(part + 1) * all / 8, Spread::Keyed);
        run.wait_until_read(((part + 1) * all / 8) as u64);
        // The first commit of the lake may be still to come.
        if part > 1 {
            let report = identical(&setup.lake, &["--kafka", brokers, "--prefix", &setup.prefix]);
            println!("{report}");
        }
    }
    run.stop();
    let report = identical(&setup.lake, &["--kafka", brokers, "--prefix", &setup.prefix]);
    assert_eq!(report["records"], records_in_topics(&setup), "{report:#}");
}
