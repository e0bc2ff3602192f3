//! Metrics for Prometheus: one table says what there is, and the same table is what `/metrics` and the documentation are made
//! from.
//!
//! Values are read off the [`Status`] when somebody asks; only durations of commits are recorded as they happen. Nothing is
//! counted here.

mod document;
mod risk;
mod table;

pub use document::document;
pub use table::{Kind, METRICS, Metric, Read, View};

use crate::status::Status;
use prometheus::core::Collector;
use prometheus::proto::MetricFamily;
use prometheus::{CounterVec, GaugeVec, Opts, TextEncoder};
use std::fmt::Write;

/// Labels and value of one series.
type Sample = (Vec<String>, f64);

/// All metrics of a run in Prometheus' text format, in the order of the table. One without a value yet is named with its
/// help and type.
///
/// # Panics
/// If the table holds something that Prometheus does not take; a test holds that it does not.
pub fn encode(status: &Status) -> String {
    let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
    // The values first, so that the run does not wait for the writing.
    let families: Vec<Option<MetricFamily>> = status.look(|snapshot| {
        let view = View { status, snapshot, now_ms };
        METRICS.iter().map(|metric| family(metric, &view)).collect()
    });
    let mut text = String::new();
    for (metric, family) in METRICS.iter().zip(families) {
        match family {
            Some(family) => TextEncoder::new().encode_utf8(&[family], &mut text).expect("the table is sound"),
            None => {
                let (name, help, kind) = (metric.name, metric.help, metric.kind.name());
                let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            }
        }
    }
    text
}

/// The series of a metric; none where it has no value.
fn family(metric: &Metric, view: &View<'_>) -> Option<MetricFamily> {
    let samples: Vec<Sample> = match metric.read {
        Read::One(read) => read(view).map(|value| (Vec::new(), value)).into_iter().collect(),
        Read::Each(_, read) => read(view).into_iter().map(|(label, value)| (vec![label], value)).collect(),
        Read::Pairs(_, read) => read(view).into_iter().map(|(labels, value)| (labels.to_vec(), value)).collect(),
        Read::Histogram(read) => {
            let mut family = read(view.status.latencies()).collect().pop()?;
            family.set_name(metric.name.to_owned());
            family.set_help(metric.help.to_owned());
            return Some(family);
        }
    };
    let labels = metric.labels();
    let options = Opts::new(metric.name, metric.help);
    let families = if metric.kind == Kind::Counter {
        let series = CounterVec::new(options, &labels).expect("the table is sound");
        samples.iter().for_each(|(labels, value)| series.with_label_values(labels).inc_by(*value));
        series.collect()
    } else {
        let series = GaugeVec::new(options, &labels).expect("the table is sound");
        samples.iter().for_each(|(labels, value)| series.with_label_values(labels).set(*value));
        series.collect()
    };
    families.into_iter().next().filter(|family| !family.get_metric().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::SnapshotReport;
    use crate::status::{PartitionStatus, Recovered};
    use crate::tables::Tables;
    use std::collections::BTreeSet;
    use std::time::{Duration, Instant};
    use tidewheel_operators::features::View;
    use tidewheel_risk::levels::Level;
    use tidewheel_schemas::Interval;

    /// Names of families in a text, and how many samples each has.
    fn families(text: &str) -> Vec<(&str, usize)> {
        let mut families = Vec::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                families.push((rest.split(' ').next().expect("a name"), 0));
            } else if !line.starts_with('#') {
                let (name, samples) = families.last_mut().expect("a type comes first");
                assert!(line.starts_with(*name), "{line} stands under {name}");
                *samples += 1;
            }
        }
        families
    }

    #[test]
    fn names_are_those_of_prometheus_and_unique() {
        let mut seen = BTreeSet::new();
        for Metric { name, kind, help, unit, .. } in METRICS {
            assert!(seen.insert(name), "{name} is there twice");
            let is_legal = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
            assert!(is_legal && name.starts_with("tidewheel_"), "{name}");
            assert_eq!(*kind == Kind::Counter, name.ends_with("_total"), "{name}: counters, and only they, end so");
            let base = name.trim_end_matches("_total");
            assert!(
                !["seconds", "bytes"].contains(unit) || base.ends_with(unit),
                "{name} is in {unit} and must say so"
            );
            assert!(help.ends_with('.') && !help.contains(['\n', '|']), "{name}: {help:?}");
            assert_eq!(*kind == Kind::Histogram, matches!(METRICS[seen.len() - 1].read, Read::Histogram(_)), "{name}");
        }
    }

    #[test]
    fn all_are_exposed_in_order_and_with_values_once_there_are_any() {
        let mut status = Status::new(&[Interval::S1, Interval::M1]);
        status.set_tables(&Tables::new(&[View::core_technical()], None));
        let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
        let text = encode(&status);
        assert_eq!(families(&text).iter().map(|(name, _)| *name).collect::<Vec<_>>(), names);

        let second = Duration::from_secs(1);
        let (tick, elapsed) = (1_000, second);
        status.update(|snapshot| {
            snapshot.partitions = vec![PartitionStatus {
                name: "trades[0]".to_owned(),
                position: 7,
                end: 12,
                watermark_ns: Some(1_500_000_000),
                ..PartitionStatus::default()
            }];
            (snapshot.tick, snapshot.ticks, snapshot.ticks_sent, snapshot.watermark_ns) = (tick, 3, 5, 2_000_000_000);
            snapshot.ticked_at = Some(Instant::now());
            (snapshot.kafka_on, snapshot.lake_on) = (true, true);
            (snapshot.kafka_tick, snapshot.lake_frontier) = (Some(3_000), Some(2_001));
            snapshot.note_snapshot(&SnapshotReport { tick, bytes: 5, total_bytes: 7, elapsed });
            snapshot.refused_members.insert(("any-up-gbt".into(), "stale"), 2);
            let levels = (0..300u32).map(|account| {
                let level = [Level::Green, Level::Red][usize::from(account == 299)];
                (account.to_string().into(), level)
            });
            snapshot.risk_counts.levels = Some(levels.collect());
            snapshot.recovered = Some(Recovered { skipped_in_lake: 4, elapsed, ..Recovered::default() });
        });
        let text = encode(&status);
        assert_eq!(text.matches("tidewheel_risk_level{").count(), 257);
        let without: Vec<_> = families(&text).into_iter().filter(|(_, samples)| *samples == 0).collect();
        assert!(without.is_empty(), "{without:?}");
        for line in [
            "tidewheel_source_lag_offsets{partition=\"trades[0]\"} 5",
            "tidewheel_source_watermark_timestamp_seconds{partition=\"trades[0]\"} 1.5",
            "tidewheel_ticks_in_flight 2",
            "tidewheel_member_refusals_total{model=\"any-up-gbt\",reason=\"stale\"} 2",
            "tidewheel_complete_through_timestamp_seconds{output=\"all\"} 2",
            "tidewheel_complete_through_timestamp_seconds{output=\"topic\"} 3",
            "tidewheel_bar_versions_total{interval=\"1m\"} 0",
            "tidewheel_records_rejected_total{reason=\"conflict\"} 0",
            "tidewheel_recovery_duration_seconds 1",
            "tidewheel_recovery_skipped_ticks{output=\"lake\"} 4",
            "tidewheel_snapshot_size_bytes 7",
            "tidewheel_risk_level{account=\"299\"} 3",
            "tidewheel_risk_level{account=\"other\"} 0",
            "tidewheel_risk_trips_total{rule=\"kill_manual\"} 0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is missing in\n{text}");
        }
    }
}
