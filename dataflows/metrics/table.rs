//! The table: every metric with its name, type, unit, label, help, and where its value is read.
//!
//! Names are those that Prometheus advises: base units at the end, counters ending in `_total`. Values of a label are a
//! bounded set. Ticks and watermarks are shown as timestamps, so that one query tells the lag of any.

use super::risk::RISK;
use crate::engine::SUPERSEDED;
use crate::status::{Latencies, PartitionStatus, Recovered, Snapshot, Status};
use prometheus::Histogram;
use std::sync::Arc;
use tidewheel_models::Refusal;
use tidewheel_schemas::RejectReason;

/// What values are read from: a run, at a moment.
pub struct View<'a> {
    /// The run.
    pub status: &'a Status,
    /// Its state.
    pub snapshot: &'a Snapshot,
    /// The wall clock, milliseconds since the epoch.
    pub now_ms: u64,
}

/// What kind of number it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Goes up only, from zero.
    Counter,
    /// Goes up and down.
    Gauge,
    /// How often values fell into which range.
    Histogram,
}

impl Kind {
    /// As Prometheus calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A number and the values of the two labels it is of.
pub type PairValue = ([String; 2], f64);

/// Where the value is read.
#[derive(Clone, Copy)]
pub enum Read {
    /// One number, or none yet.
    One(fn(&View<'_>) -> Option<f64>),
    /// One number for each value of a label.
    Each(&'static str, fn(&View<'_>) -> Vec<(String, f64)>),
    /// One number for each pair of values of two labels.
    Pairs([&'static str; 2], fn(&View<'_>) -> Vec<PairValue>),
    /// Recorded as it happens.
    Histogram(fn(&Latencies) -> &Histogram),
}

/// One metric.
#[derive(Clone, Copy)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What is counted or measured.
    pub unit: &'static str,
    /// What it means, in a sentence.
    pub help: &'static str,
    /// Where the value is read.
    pub read: Read,
}

impl Metric {
    /// Its labels, where it has any.
    pub fn labels(&self) -> Vec<&'static str> {
        match self.read {
            Read::Each(label, _) => vec![label],
            Read::Pairs(labels, _) => labels.to_vec(),
            Read::One(_) | Read::Histogram(_) => Vec::new(),
        }
    }
}

pub(super) const fn counter(name: &'static str, unit: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Counter, unit, help, read }
}

pub(super) const fn gauge(name: &'static str, unit: &'static str, help: &'static str, read: Read) -> Metric {
    Metric { name, kind: Kind::Gauge, unit, help, read }
}

const fn histogram(name: &'static str, help: &'static str, read: fn(&Latencies) -> &Histogram) -> Metric {
    Metric { name, kind: Kind::Histogram, unit: "seconds", help, read: Read::Histogram(read) }
}

/// All metrics, in the order of the document.
pub const METRICS: &[Metric] = &joined::<{ TABLE.len() + RISK.len() }>(TABLE, RISK);

const fn joined<const COUNT: usize>(one: &[Metric], other: &[Metric]) -> [Metric; COUNT] {
    let mut all = [one[0]; COUNT];
    let mut at = 0;
    while at < COUNT {
        all[at] = if at < one.len() { one[at] } else { other[at - one.len()] };
        at += 1;
    }
    all
}

const TABLE: &[Metric] = &[
    gauge(
        "tidewheel_build_info",
        "1",
        "Always 1; the version of the program as a label.",
        Read::Each("version", |_| vec![(env!("CARGO_PKG_VERSION").to_owned(), 1.0)]),
    ),
    gauge(
        "tidewheel_run_info",
        "1",
        "Always 1; the name of the run as a label, as in progress records, manifests and logs.",
        Read::Each("run", |view| vec![(view.status.run().to_owned(), 1.0)]),
    ),
    gauge(
        "tidewheel_start_timestamp_seconds",
        "seconds",
        "When the run started.",
        Read::One(|view| Some(seconds(view.status.started_ms()))),
    ),
    // Records.
    counter(
        "tidewheel_records_read_total",
        "records",
        "Records read: trades, cancels, corrections, and messages that gave none of them. Equals accepted + duplicate + late + \
         rejected + pending.",
        Read::One(|view| Some(view.snapshot.counters.read as f64)),
    ),
    counter(
        "tidewheel_records_accepted_total",
        "records",
        "Records taken into the bars, or applied to a trade, or of a kind that venues keep out of bars.",
        Read::One(|view| Some(view.snapshot.counters.accepted as f64)),
    ),
    counter(
        "tidewheel_records_duplicate_total",
        "records",
        "The same trade, or the same cancel, again.",
        Read::One(|view| Some(view.snapshot.counters.duplicate as f64)),
    ),
    counter(
        "tidewheel_records_late_total",
        "records",
        "Records beyond the correction horizon.",
        Read::One(|view| Some(view.snapshot.counters.late as f64)),
    ),
    counter(
        "tidewheel_records_rejected_total",
        "records",
        "Dead letters, by reason.",
        Read::Each("reason", |view| {
            let count = |reason| view.snapshot.counters.rejected_by_reason.get(&reason).copied().unwrap_or(0) as f64;
            RejectReason::ALL.map(|reason| (reason.name().to_owned(), count(reason))).into()
        }),
    ),
    gauge(
        "tidewheel_records_pending",
        "records",
        "Cancels and corrections still waiting for their trade.",
        Read::One(|view| Some(view.snapshot.counters.pending as f64)),
    ),
    gauge(
        "tidewheel_records_unreconciled",
        "records",
        "Records read less those that have ended somewhere. Other than 0 it is a defect.",
        Read::One(|view| {
            let counters = &view.snapshot.counters;
            let ended = counters.accepted + counters.duplicate + counters.late + counters.rejected + counters.pending;
            Some(counters.read as f64 - ended as f64)
        }),
    ),
    counter(
        "tidewheel_records_amended_total",
        "records",
        "Accepted cancels and corrections.",
        Read::One(|view| Some(view.snapshot.counters.amended as f64)),
    ),
    counter(
        "tidewheel_records_outside_bars_total",
        "records",
        "Accepted trades of a kind that is kept out of bars.",
        Read::One(|view| Some(view.snapshot.counters.outside_bars as f64)),
    ),
    counter(
        "tidewheel_messages_ignored_total",
        "messages",
        "Messages of types that are not handled, heartbeats and the like. Not part of the records read.",
        Read::One(|view| Some(view.snapshot.counters.ignored.values().sum::<u64>() as f64)),
    ),
    // Source partitions.
    gauge(
        "tidewheel_source_position_offset",
        "offset",
        "The next offset to read.",
        Read::Each("partition", |view| each(view, |partition| Some(partition.position as f64))),
    ),
    gauge(
        "tidewheel_source_end_offset",
        "offset",
        "One past the last offset, as the client last heard.",
        Read::Each("partition", |view| each(view, |partition| Some(partition.end as f64))),
    ),
    gauge(
        "tidewheel_source_lag_offsets",
        "offsets",
        "Offsets not yet read; 0 once caught up, whatever marks of transactions lie between.",
        Read::Each("partition", |view| each(view, |partition| Some(partition.lag() as f64))),
    ),
    gauge(
        "tidewheel_source_watermark_timestamp_seconds",
        "seconds",
        "The greatest event time taken from the partition.",
        Read::Each("partition", |view| each(view, |partition| partition.watermark_ns.map(seconds_of_ns))),
    ),
    gauge(
        "tidewheel_source_caught_up",
        "0 or 1",
        "Whether everything the broker had was read.",
        Read::Each("partition", |view| each(view, |partition| Some(flag(partition.caught_up)))),
    ),
    gauge(
        "tidewheel_source_idle",
        "0 or 1",
        "Whether the partition is caught up and has brought nothing of late; the watermark does not wait for it.",
        Read::Each("partition", |view| each(view, |partition| Some(flag(partition.idle)))),
    ),
    gauge(
        "tidewheel_source_connected",
        "0 or 1",
        "Whether the partition's broker can be reached.",
        Read::Each("partition", |view| each(view, |partition| Some(flag(partition.connected)))),
    ),
    // Ticks and time.
    counter(
        "tidewheel_ticks_total",
        "ticks",
        "Ticks that have come out of the graph.",
        Read::One(|view| Some(view.snapshot.ticks as f64)),
    ),
    gauge(
        "tidewheel_ticks_in_flight",
        "ticks",
        "Ticks between the source and the sinks.",
        Read::One(|view| Some(view.snapshot.ticks_in_flight() as f64)),
    ),
    gauge(
        "tidewheel_tick_frontier_timestamp_seconds",
        "seconds",
        "The last tick that has come out of the graph.",
        Read::One(|view| tick(view).map(seconds)),
    ),
    gauge(
        "tidewheel_tick_lag_seconds",
        "seconds",
        "The wall clock less the last tick.",
        Read::One(|view| tick(view).map(|tick| seconds(view.now_ms) - seconds(tick))),
    ),
    gauge(
        "tidewheel_watermark_timestamp_seconds",
        "seconds",
        "How far event time has come, over all partitions that are not idle.",
        Read::One(|view| watermark_ns(view).map(seconds_of_ns)),
    ),
    gauge(
        "tidewheel_watermark_lag_seconds",
        "seconds",
        "The wall clock less the watermark.",
        Read::One(|view| watermark_ns(view).map(|watermark| seconds(view.now_ms) - seconds_of_ns(watermark))),
    ),
    // State, and what bounds it.
    gauge(
        "tidewheel_state_instruments",
        "instruments",
        "Instruments ever seen.",
        Read::One(|view| Some(view.snapshot.sizes.instruments as f64)),
    ),
    gauge(
        "tidewheel_state_second_bars",
        "bars",
        "Bars of a second that are held; bounded by the correction horizon.",
        Read::One(|view| Some(view.snapshot.sizes.seconds as f64)),
    ),
    gauge(
        "tidewheel_state_trades",
        "trades",
        "Trades that are held; bounded by the correction horizon.",
        Read::One(|view| Some(view.snapshot.sizes.trades as f64)),
    ),
    gauge(
        "tidewheel_state_ids",
        "entries",
        "Runs of trade ids, and single ones, that are held to tell duplicates.",
        Read::One(|view| Some(view.snapshot.sizes.ids as f64)),
    ),
    gauge(
        "tidewheel_state_amendments",
        "trades",
        "Amended trades, and trades that amendments wait for; bounded by the correction horizon.",
        Read::One(|view| Some(view.snapshot.sizes.amendments as f64)),
    ),
    gauge(
        "tidewheel_state_feature_bars",
        "bars",
        "Bars that features hold; bounded by the correction horizon and the longest window.",
        Read::One(|view| Some(view.snapshot.feature_sizes.bars as f64)),
    ),
    gauge(
        "tidewheel_state_feature_rows",
        "rows",
        "Rows of features that can still be revised; bounded by the correction horizon.",
        Read::One(|view| Some(view.snapshot.feature_sizes.rows as f64)),
    ),
    gauge(
        "tidewheel_state_feature_leaves",
        "minutes",
        "Minutes of markets that features hold; bounded by the correction horizon and the longest bars that need them.",
        Read::One(|view| Some(view.snapshot.feature_sizes.leaves as f64)),
    ),
    gauge(
        "tidewheel_state_market_records",
        "records",
        "Quotes, marks, funding rates and liquidations held; bounded by the correction horizon.",
        Read::One(|view| Some(view.snapshot.market_sizes.records as f64)),
    ),
    gauge(
        "tidewheel_state_book_updates",
        "updates",
        "Updates of books held; bounded by the correction horizon.",
        Read::One(|view| Some(view.snapshot.market_sizes.updates as f64)),
    ),
    gauge(
        "tidewheel_state_book_levels",
        "levels",
        "Levels of books held, those of checkpoints included; bounded by twice the venues' depth and the updates held.",
        Read::One(|view| Some(view.snapshot.market_sizes.levels as f64)),
    ),
    gauge(
        "tidewheel_state_book_gaps",
        "gaps",
        "Gaps of books held; bounded by the correction horizon.",
        Read::One(|view| Some(view.snapshot.market_sizes.gaps as f64)),
    ),
    gauge(
        "tidewheel_state_scoring_rows",
        "rows",
        "Rows of features that sequences look back at; bounded by scoring.history_rows for each instrument and view.",
        Read::One(|view| Some(view.snapshot.scoring_rows as f64)),
    ),
    counter(
        "tidewheel_book_gaps_total",
        "gaps",
        "Gaps in the sequence of books that were noticed.",
        Read::One(|view| Some(view.snapshot.book_gaps as f64)),
    ),
    // What is published.
    counter(
        "tidewheel_prediction_refusals_total",
        "rows",
        "Rows that an ensemble did not score, by the name of its refusal; superseded where it had scored a newer row.",
        Read::Each("reason", |view| {
            let count = |name| view.snapshot.refused.get(name).copied().unwrap_or(0) as f64;
            let names = Refusal::NAMES.into_iter().chain([SUPERSEDED]);
            names.map(|name| (name.to_owned(), count(name))).collect()
        }),
    ),
    counter(
        "tidewheel_member_refusals_total",
        "rows",
        "Rows that a model of an ensemble gave no number for, by model and name of the refusal; beyond 1,024 pairs as other.",
        Read::Pairs(["model", "reason"], |view| {
            let of = |((model, name), count): (&(Arc<str>, &'static str), &u64)| {
                ([model.to_string(), (*name).to_owned()], *count as f64)
            };
            view.snapshot.refused_members.iter().map(of).collect()
        }),
    ),
    counter(
        "tidewheel_bar_versions_total",
        "versions",
        "Versions of bars published.",
        Read::Each("interval", |view| {
            let count = |interval| view.snapshot.versions.get(&interval).copied().unwrap_or(0) as f64;
            view.status.intervals().iter().map(|interval| (interval.name().to_owned(), count(*interval))).collect()
        }),
    ),
    counter(
        "tidewheel_bar_revisions_total",
        "versions",
        "Versions published that revise a final bar.",
        Read::One(|view| Some(view.snapshot.revisions as f64)),
    ),
    counter(
        "tidewheel_rows_total",
        "rows",
        "Versions of rows published, by table beside the bars.",
        Read::Each("table", |view| {
            let count = |number: usize| view.snapshot.rows.get(number).copied().unwrap_or(0) as f64;
            view.status.tables().iter().enumerate().map(|(number, name)| (name.clone(), count(number))).collect()
        }),
    ),
    gauge(
        "tidewheel_complete_through_timestamp_seconds",
        "seconds",
        "The tick through which an output is complete, by output: topic, lake, and all for the least of those that are on.",
        Read::Each("output", |view| {
            let Snapshot { kafka_tick, .. } = view.snapshot;
            let (lake, all) = (view.snapshot.lake_complete_through(), view.snapshot.complete_through());
            let outputs = [("topic", *kafka_tick), ("lake", lake), ("all", all)];
            outputs.into_iter().filter_map(|(output, tick)| Some((output.to_owned(), seconds(tick?)))).collect()
        }),
    ),
    // Kafka.
    counter(
        "tidewheel_kafka_transactions_total",
        "transactions",
        "Transactions committed to Kafka; one may have been cut into several where a tick is large.",
        Read::One(|view| Some(view.snapshot.kafka_commits as f64)),
    ),
    counter(
        "tidewheel_kafka_transactions_aborted_total",
        "transactions",
        "Transactions that were rolled back and written again.",
        Read::One(|view| Some(view.snapshot.kafka_aborted as f64)),
    ),
    counter(
        "tidewheel_kafka_records_total",
        "records",
        "Records committed to the topics, progress records left out.",
        Read::One(|view| Some(view.snapshot.kafka_records as f64)),
    ),
    histogram(
        "tidewheel_kafka_transaction_duration_seconds",
        "From the first record of a tick handed to the client to the broker's answer to the commit.",
        |latencies| &latencies.kafka_transaction,
    ),
    gauge(
        "tidewheel_kafka_committed_tick_timestamp_seconds",
        "seconds",
        "The last tick that the progress record names.",
        Read::One(|view| view.snapshot.kafka_tick.map(seconds)),
    ),
    // The lake.
    counter(
        "tidewheel_lake_commits_total",
        "commits",
        "Commits to the lake.",
        Read::One(|view| Some(view.snapshot.lake_commits as f64)),
    ),
    counter(
        "tidewheel_lake_rows_total",
        "rows",
        "Rows in files that commits added, those carried over from rewritten files included.",
        Read::One(|view| Some(view.snapshot.lake_rows as f64)),
    ),
    counter(
        "tidewheel_lake_written_bytes_total",
        "bytes",
        "Bytes of files that commits added.",
        Read::One(|view| Some(view.snapshot.lake_bytes as f64)),
    ),
    histogram(
        "tidewheel_lake_commit_duration_seconds",
        "A commit to the lake, from encoding to the last file in its place.",
        |latencies| &latencies.lake_commit,
    ),
    gauge(
        "tidewheel_lake_frontier_timestamp_seconds",
        "seconds",
        "The first tick that is not yet in the lake.",
        Read::One(|view| view.snapshot.lake_frontier.map(seconds)),
    ),
    gauge(
        "tidewheel_lake_paused",
        "0 or 1",
        "Whether the lake waits because it cannot be written.",
        Read::One(|view| Some(flag(view.snapshot.lake_paused.is_some()))),
    ),
    // Snapshots of the state, and what a start recovered.
    counter(
        "tidewheel_snapshots_total",
        "snapshots",
        "Snapshots of the state written.",
        Read::One(|view| Some(view.snapshot.snapshots as f64)),
    ),
    gauge(
        "tidewheel_snapshot_tick_timestamp_seconds",
        "seconds",
        "The tick of the newest snapshot; a restart begins there.",
        Read::One(|view| view.snapshot.snapshot.map(|last| seconds(last.tick))),
    ),
    gauge(
        "tidewheel_snapshot_age_seconds",
        "seconds",
        "How long ago the newest snapshot was complete.",
        Read::One(|view| view.snapshot.snapshot_at.map(|written_at| written_at.elapsed().as_secs_f64())),
    ),
    gauge(
        "tidewheel_snapshot_written_bytes",
        "bytes",
        "Bytes written for the newest snapshot.",
        Read::One(|view| view.snapshot.snapshot.map(|last| last.bytes as f64)),
    ),
    gauge(
        "tidewheel_snapshot_size_bytes",
        "bytes",
        "Bytes that the newest snapshot consists of, those written before included.",
        Read::One(|view| view.snapshot.snapshot.map(|last| last.total_bytes as f64)),
    ),
    gauge(
        "tidewheel_snapshot_duration_seconds",
        "seconds",
        "How long writing the newest snapshot took.",
        Read::One(|view| view.snapshot.snapshot.map(|last| last.elapsed.as_secs_f64())),
    ),
    gauge(
        "tidewheel_recovery_replayed_ticks",
        "ticks",
        "Ticks computed again at the start.",
        Read::One(|view| view.snapshot.recovered.map(|recovered| recovered.ticks as f64)),
    ),
    gauge(
        "tidewheel_recovery_replayed_records",
        "records",
        "Records read again at the start.",
        Read::One(|view| view.snapshot.recovered.map(|recovered| recovered.records as f64)),
    ),
    gauge(
        "tidewheel_recovery_skipped_ticks",
        "ticks",
        "Of the ticks computed again, those that an output held already, by output: topic, lake.",
        Read::Each("output", |view| {
            let skipped = |recovered: Recovered| {
                [("topic", recovered.skipped_in_topics), ("lake", recovered.skipped_in_lake)]
                    .map(|(output, ticks)| (output.to_owned(), ticks as f64))
            };
            view.snapshot.recovered.map(skipped).into_iter().flatten().collect()
        }),
    ),
    gauge(
        "tidewheel_recovery_duration_seconds",
        "seconds",
        "From the start to the first new tick.",
        Read::One(|view| view.snapshot.recovered.map(|recovered| recovered.elapsed.as_secs_f64())),
    ),
];

/// The last tick; none before the first.
fn tick(view: &View<'_>) -> Option<u64> {
    view.snapshot.ticked_at.map(|_| view.snapshot.tick)
}

/// The watermark; none before the first record.
fn watermark_ns(view: &View<'_>) -> Option<i64> {
    view.snapshot.ticked_at.map(|_| view.snapshot.watermark_ns).filter(|watermark| *watermark != i64::MIN)
}

fn each(view: &View<'_>, read: fn(&PartitionStatus) -> Option<f64>) -> Vec<(String, f64)> {
    let partitions = view.snapshot.partitions.iter();
    partitions.filter_map(|partition| Some((partition.name.clone(), read(partition)?))).collect()
}

const fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}

fn seconds_of_ns(ns: i64) -> f64 {
    ns as f64 / 1e9
}
