//! The state of a run as `/api/v1/status` tells it and `tidewheel status` reads it. Names are part of the contract: fields are
//! added, not renamed. Times say their unit; ticks are milliseconds since the epoch.

use super::{Problem, problems};
use crate::status::{Latencies, PartitionStatus, Recovered, Snapshot, Status, quantile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tidewheel_schemas::Counters;

/// Everything that a run tells of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The program's version.
    pub version: String,
    /// The run's name, as in progress records, manifests and logs.
    pub run: String,
    /// When it started, milliseconds since the epoch.
    pub started_ms: u64,
    /// When this was told, milliseconds since the epoch.
    pub now_ms: u64,
    /// Whether the pipeline moves.
    pub healthy: bool,
    /// Why not.
    pub problems: Vec<Problem>,
    /// The source partitions, by number.
    pub partitions: Vec<PartitionReport>,
    /// How far ticks and time have come.
    pub tick: TickReport,
    /// What is written.
    pub sinks: SinksReport,
    /// Through which tick the outputs are complete.
    pub complete_through: CompleteThrough,
    /// The newest snapshot of the state; null before the first.
    pub snapshot: Option<SnapshotReport>,
    /// What the start recovered; null where the run began anew.
    pub recovered: Option<RecoveryReport>,
    /// How much is held.
    pub state: StateReport,
    /// Where every record went.
    pub counters: CountersReport,
    /// Versions of bars published, by interval.
    pub bar_versions: BTreeMap<String, u64>,
    /// Of these, revisions of final bars.
    pub bar_revisions: u64,
    /// Versions of rows published, by table beside the bars.
    pub rows: BTreeMap<String, u64>,
}

/// One source partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionReport {
    /// Its name, `topic[3]`.
    pub name: String,
    /// The next offset to read.
    pub position: u64,
    /// One past its last offset, as the client last heard.
    pub end: u64,
    /// Offsets not yet read; 0 once caught up, whatever marks of transactions lie between.
    pub lag: u64,
    /// The greatest event time taken from it, nanoseconds since the epoch; null before the first trade.
    pub watermark_ns: Option<i64>,
    /// Whether everything the broker had was read.
    pub caught_up: bool,
    /// Whether it is caught up and has brought nothing of late.
    pub idle: bool,
    /// Whether its broker can be reached.
    pub connected: bool,
}

/// How far ticks and time have come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TickReport {
    /// The last tick that came out of the graph, milliseconds; null before the first.
    pub frontier_ms: Option<u64>,
    /// The wall clock less that tick, milliseconds.
    pub lag_ms: Option<i64>,
    /// Ticks so far.
    pub count: u64,
    /// Ticks between the source and the sinks.
    pub in_flight: u64,
    /// The watermark over all partitions, nanoseconds since the epoch; null before the first record.
    pub watermark_ns: Option<i64>,
    /// The wall clock less the watermark, milliseconds.
    pub watermark_lag_ms: Option<i64>,
}

/// The outputs; null for one that is off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SinksReport {
    /// The topics.
    pub kafka: Option<KafkaReport>,
    /// The lake.
    pub lake: Option<LakeReport>,
}

/// What was committed to the topics.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KafkaReport {
    /// The last tick that the progress record names, milliseconds; null before the first commit.
    pub committed_tick_ms: Option<u64>,
    /// Transactions committed by this process.
    pub transactions: u64,
    /// Records in them.
    pub records: u64,
    /// Transactions that were rolled back and written again.
    pub aborted: u64,
    /// How long 99 of 100 ticks took at most from their first record to the answer to their commit, seconds, as far as the
    /// buckets of the histogram tell; null before the first commit.
    pub transaction_p99_seconds: Option<f64>,
}

/// What was committed to the lake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LakeReport {
    /// The first tick that is not yet in the lake, milliseconds; null before the first commit.
    pub tick_frontier_ms: Option<u64>,
    /// Commits by this process.
    pub commits: u64,
    /// Rows they wrote.
    pub rows: u64,
    /// Bytes they wrote.
    pub bytes: u64,
    /// How long 99 of 100 commits took at most, seconds, as far as the buckets of the histogram tell; null before the first.
    pub commit_p99_seconds: Option<f64>,
    /// Why the lake waits; null while it can be written.
    pub paused: Option<String>,
}

/// Through which tick the outputs are complete, milliseconds: all ticks up to it are there. Null before the first commit, and for
/// an output that is off.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompleteThrough {
    /// The topics.
    pub topic_ms: Option<u64>,
    /// The lake.
    pub lake_ms: Option<u64>,
    /// The least of those that are on.
    pub all_ms: Option<u64>,
}

/// The newest snapshot of the state.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SnapshotReport {
    /// The tick it holds the state after, milliseconds.
    pub tick_ms: u64,
    /// How long ago it was complete, seconds.
    pub age_seconds: f64,
    /// Bytes written for it.
    pub written_bytes: u64,
    /// Bytes that it consists of, those written before included.
    pub total_bytes: u64,
    /// How long writing took, seconds.
    pub duration_seconds: f64,
    /// Snapshots written by this process.
    pub count: u64,
}

/// What a start recovered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecoveryReport {
    /// The tick of the snapshot it began with, milliseconds; null where there was none.
    pub snapshot_tick_ms: Option<u64>,
    /// The size of that snapshot.
    pub snapshot_bytes: u64,
    /// Ticks computed again after it.
    pub replayed_ticks: u64,
    /// Records read again for them.
    pub replayed_records: u64,
    /// Of the ticks, those that the topics held already.
    pub skipped_in_topics: u64,
    /// Of the ticks, those that the lake held already.
    pub skipped_in_lake: u64,
    /// How long it took until the first new tick, seconds.
    pub duration_seconds: f64,
}

/// How much is held, all workers together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateReport {
    /// Instruments ever seen.
    pub instruments: u64,
    /// Bars of a second.
    pub second_bars: u64,
    /// Trades.
    pub trades: u64,
    /// Runs of trade ids, and single ones.
    pub ids: u64,
    /// Amended trades, and trades that amendments wait for.
    pub amendments: u64,
    /// Bars that features hold.
    pub feature_bars: u64,
    /// Rows of features that can still be revised.
    pub feature_rows: u64,
}

/// Where every record went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountersReport {
    /// The counts.
    #[serde(flatten)]
    pub counts: Counters,
    /// Whether read = accepted + duplicate + late + rejected + pending.
    pub reconciles: bool,
}

impl StatusReport {
    /// What there is to tell now.
    pub fn of(status: &Status, stalled_after: Duration) -> Self {
        let problems = problems(status, stalled_after);
        let now_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
        status.look(|snapshot| Self {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            run: status.run().to_owned(),
            started_ms: status.started_ms(),
            now_ms,
            healthy: problems.is_empty(),
            problems,
            partitions: snapshot.partitions.iter().map(PartitionReport::of).collect(),
            tick: TickReport::of(snapshot, now_ms),
            sinks: SinksReport::of(snapshot, status.latencies()),
            complete_through: CompleteThrough {
                topic_ms: snapshot.kafka_tick.filter(|_| snapshot.kafka_on),
                lake_ms: snapshot.lake_complete_through().filter(|_| snapshot.lake_on),
                all_ms: snapshot.complete_through(),
            },
            snapshot: SnapshotReport::of(snapshot),
            recovered: snapshot.recovered.map(|recovered| RecoveryReport::of(&recovered)),
            state: StateReport {
                instruments: snapshot.sizes.instruments as u64,
                second_bars: snapshot.sizes.seconds as u64,
                trades: snapshot.sizes.trades as u64,
                ids: snapshot.sizes.ids as u64,
                amendments: snapshot.sizes.amendments as u64,
                feature_bars: snapshot.feature_sizes.bars as u64,
                feature_rows: snapshot.feature_sizes.rows as u64,
            },
            counters: CountersReport { reconciles: snapshot.counters.reconcile(), counts: snapshot.counters.clone() },
            bar_versions: snapshot.versions.iter().map(|(interval, count)| (interval.to_string(), *count)).collect(),
            bar_revisions: snapshot.revisions,
            rows: rows_of(status, snapshot),
        })
    }
}

fn rows_of(status: &Status, snapshot: &Snapshot) -> BTreeMap<String, u64> {
    let count = |number: usize| snapshot.rows.get(number).copied().unwrap_or(0);
    status.tables().iter().enumerate().map(|(number, name)| (name.clone(), count(number))).collect()
}

impl PartitionReport {
    fn of(partition: &PartitionStatus) -> Self {
        Self {
            name: partition.name.clone(),
            position: partition.position,
            end: partition.end,
            lag: partition.lag(),
            watermark_ns: partition.watermark_ns,
            caught_up: partition.caught_up,
            idle: partition.idle,
            connected: partition.connected,
        }
    }
}

impl TickReport {
    fn of(snapshot: &Snapshot, now_ms: u64) -> Self {
        let frontier_ms = snapshot.ticked_at.map(|_| snapshot.tick);
        let watermark_ns = frontier_ms.map(|_| snapshot.watermark_ns).filter(|watermark| *watermark != i64::MIN);
        Self {
            frontier_ms,
            lag_ms: frontier_ms.map(|tick| now_ms.cast_signed().saturating_sub(tick.cast_signed())),
            count: snapshot.ticks,
            in_flight: snapshot.ticks_in_flight(),
            watermark_ns,
            watermark_lag_ms: watermark_ns.map(|ns| now_ms.cast_signed().saturating_sub(ns / 1_000_000)),
        }
    }
}

impl SinksReport {
    fn of(snapshot: &Snapshot, latencies: &Latencies) -> Self {
        let kafka = KafkaReport {
            committed_tick_ms: snapshot.kafka_tick,
            transactions: snapshot.kafka_commits,
            records: snapshot.kafka_records,
            aborted: snapshot.kafka_aborted,
            transaction_p99_seconds: quantile(&latencies.kafka_transaction, 0.99),
        };
        let lake = LakeReport {
            tick_frontier_ms: snapshot.lake_frontier,
            commits: snapshot.lake_commits,
            rows: snapshot.lake_rows,
            bytes: snapshot.lake_bytes,
            commit_p99_seconds: quantile(&latencies.lake_commit, 0.99),
            paused: snapshot.lake_paused.clone(),
        };
        Self { kafka: snapshot.kafka_on.then_some(kafka), lake: snapshot.lake_on.then_some(lake) }
    }
}

impl SnapshotReport {
    fn of(snapshot: &Snapshot) -> Option<Self> {
        let (last, written_at) = snapshot.snapshot.zip(snapshot.snapshot_at)?;
        Some(Self {
            tick_ms: last.tick,
            age_seconds: written_at.elapsed().as_secs_f64(),
            written_bytes: last.bytes,
            total_bytes: last.total_bytes,
            duration_seconds: last.elapsed.as_secs_f64(),
            count: snapshot.snapshots,
        })
    }
}

impl RecoveryReport {
    fn of(recovered: &Recovered) -> Self {
        Self {
            snapshot_tick_ms: recovered.snapshot_tick,
            snapshot_bytes: recovered.snapshot_bytes,
            replayed_ticks: recovered.ticks,
            replayed_records: recovered.records,
            skipped_in_topics: recovered.skipped_in_topics,
            skipped_in_lake: recovered.skipped_in_lake,
            duration_seconds: recovered.elapsed.as_secs_f64(),
        }
    }
}
