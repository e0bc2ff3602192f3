//! The engine: worker threads that run the graph, ticks in at one end, merged ticks out at the other.
//!
//! The engine knows no source and no sink. A panic on any worker must end the process: the binary installs a hook that
//! aborts, because a worker that dies quietly would look like the end of the input to the others.

use crate::pipeline::{self, PipelineConfig, WorkerInput, WorkerTick};
use crate::refused::{self, Received};
use crate::risk_counts::RiskCounts;
use crate::scoring::{ControlFact, FactMaker};
use crate::tables::risk::RiskTables;
use crate::tables::{FactTables, Tables};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidewheel_connectors::kafka::Fingerprint;
use tidewheel_connectors::source::MessageBlock;
use tidewheel_operators::TickHeader;
use tidewheel_operators::features::{FeatureSizes, SavedFeatures};
use tidewheel_operators::hourly::SavedHours;
use tidewheel_operators::lifecycle::SavedBars;
use tidewheel_operators::market::{GapChange, GapKind, LeafChange, MarketSizes, SavedMarket};
use tidewheel_operators::risk::{FeedCounts, RiskSizes, SavedRisk};
use tidewheel_operators::saved::{RestoredState, SavedFacts};
use tidewheel_operators::scoring::{Activation, Prediction, SavedScoring};
use tidewheel_operators::tape::{RowSlice, TapePart, TapeSizes};
use tidewheel_operators::watermark::MarketClock;
use tidewheel_risk::switches::ControlEvent;
use tidewheel_schemas::{
    AccountRecord, Amendment, BarVersion, Counters, Instrument, Interval, LateRecord, MarketRecord, Reject,
    RejectReason, TickOutput, TradeId, TradeKey,
};
use timely::WorkerConfig;

/// Ticks that may be between the source and the sinks: enough to keep every thread busy, few enough to bound memory.
const TICKS_IN_FLIGHT: usize = 4;

/// One tick as the source made it.
#[derive(Debug)]
pub struct TickInput {
    /// The facts of the tick.
    pub header: TickHeader,
    /// What the markets go by instead of the header's frozen frontier and watermark.
    pub market_clock: MarketClock,
    /// Trades.
    pub slices: Vec<RowSlice>,
    /// Cancels and corrections.
    pub amendments: Vec<Amendment>,
    /// Quotes, books, marks, funding and liquidations.
    pub market: Vec<MarketRecord>,
    /// Fills and what became of them, cash, order intents and their ends, reference data.
    pub account: Vec<AccountRecord>,
    /// Ensembles that take effect with the tick, before its rows are scored.
    pub activations: Vec<Arc<Activation>>,
    /// Orders of people to risk.
    pub orders: Vec<ControlEvent>,
    /// Whether it comes of a feed that can fail: of a live run, or of one that is made again.
    pub is_live: bool,
    /// What the source already decided.
    pub source: SourceTick,
}

impl TickInput {
    /// A tick without records, at which the markets go by the header.
    pub fn of(header: TickHeader) -> Self {
        Self {
            header,
            market_clock: MarketClock::of(&header, i64::MIN, i64::MIN, 0),
            slices: Vec::new(),
            amendments: Vec::new(),
            market: Vec::new(),
            account: Vec::new(),
            activations: Vec::new(),
            orders: Vec::new(),
            is_live: false,
            source: SourceTick::default(),
        }
    }
}

/// The part of a tick that never enters the graph.
#[derive(Debug, Default)]
pub struct SourceTick {
    /// Records that could not be decoded, or come from the future.
    pub rejects: Vec<Reject>,
    /// Records further behind their own partition than the horizon.
    pub late: Vec<LateRecord>,
    /// Records of the control topic, decided.
    pub control: Vec<ControlFact>,
    /// Counts of the source from the start of the run.
    pub counters: Counters,
    /// The raw messages of the tick, from which conflicts take their bytes.
    pub raw: Vec<Arc<MessageBlock>>,
    /// The names of the source partitions by number, where they are known.
    pub partitions: Option<Arc<[String]>>,
    /// Where the source stands, where a snapshot is taken after this tick.
    pub state: Option<Box<SourceState>>,
}

impl SourceTick {
    /// What became of records before the graph, in a form that history made again has too. What is too old is late.
    fn counts(&self) -> FeedCounts {
        let refused: u64 = self.rejects.iter().map(|reject| reject.records).sum();
        let too_old = self.rejects.iter().filter(|reject| reject.reason == RejectReason::TooOld);
        let rejected = refused - too_old.map(|reject| reject.records).sum::<u64>();
        FeedCounts { all: refused + (self.late.len() + self.control.len()) as u64, rejected }
    }
}

/// The base state before the workers: what the gates and the source know after a tick.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SourceState {
    /// The names of the source partitions, by number.
    pub partitions: Vec<String>,
    /// The greatest event time of the trades taken of each, nanoseconds.
    pub max_event_times_ns: Vec<Option<i64>>,
    /// That of trades and market records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub max_record_times_ns: Vec<Option<i64>>,
    /// The watermark of records after the tick, nanoseconds, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record_watermark_ns: Option<i64>,
    /// What the watermarks of trades and of records hold back till all partitions are silent, nanoseconds.
    #[serde(default)]
    pub held_ns: [Option<i64>; 2],
    /// One past the last position read of each.
    pub ends: BTreeMap<String, u64>,
    /// The last message read of each, to know it again.
    pub last_read: BTreeMap<String, Fingerprint>,
    /// The source's counts.
    pub counters: Counters,
    /// The watermark after the tick, nanoseconds.
    pub watermark_ns: i64,
    /// The frozen frontier of the tick, nanoseconds.
    pub frozen_ns: i64,
    /// The records of the control topic that brought what is in force.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ensembles: Vec<String>,
}

/// The base state after a tick, as it leaves the workers.
#[derive(Debug)]
pub struct SavedState {
    /// Of the source.
    pub source: SourceState,
    /// Of the tapes, one a worker.
    pub tapes: Vec<TapePart>,
    /// Of the ledgers.
    pub bars: Vec<SavedBars>,
    /// Of the markets.
    pub market: Vec<SavedMarket>,
    /// Of the hours.
    pub hours: Vec<SavedHours>,
    /// Of the features.
    pub features: Vec<SavedFeatures>,
    /// Of the scoring.
    pub scoring: Vec<SavedScoring>,
    /// Of risk, where it is computed.
    pub risk: Option<Box<SavedRisk>>,
    /// Of what is computed once the workers are done, where rows are scored.
    pub facts: Option<SavedFacts>,
    /// The counts of the tapes and markets, all workers together.
    pub tape_counters: Counters,
}

/// In the place of a refusal: an ensemble passed over a row because it had scored a newer one.
pub const SUPERSEDED: &str = "superseded";

/// One tick, merged over the workers, in canonical order.
#[derive(Debug, Default)]
pub struct MergedTick {
    /// What is published.
    pub output: TickOutput,
    /// At the last tick, bars that are not final.
    pub open_bars: Vec<BarVersion>,
    /// How much the tapes hold.
    pub sizes: TapeSizes,
    /// How much the features hold.
    pub feature_sizes: FeatureSizes,
    /// How much the markets hold.
    pub market_sizes: MarketSizes,
    /// Gaps in books that were noticed.
    pub book_gaps: u64,
    /// Leaves of markets that changed, where a view has features of them, by instrument and time.
    pub leaves: Vec<LeafChange>,
    /// How much risk holds.
    pub risk_sizes: RiskSizes,
    /// What risk did.
    pub risk_counts: RiskCounts,
    /// Rows that the scoring remembers.
    pub scoring_rows: usize,
    /// Rows that ensembles did not score, by the name of the refusal, or [`SUPERSEDED`].
    pub refused: BTreeMap<&'static str, u64>,
    /// Rows that the members of ensembles gave no number for, by model and name of the refusal.
    pub refused_members: BTreeMap<(Arc<str>, &'static str), u64>,
    /// The names of the source partitions by number, where they are known.
    pub partitions: Option<Arc<[String]>>,
    /// For a snapshot, where the tick asked for one.
    pub saved: Option<Box<SavedState>>,
    /// Whether the tick after it is computed, too: a sink that is behind may commit both at once.
    pub is_followed: bool,
}

/// The running graph.
pub struct Engine {
    to_workers: Vec<Sender<WorkerInput>>,
    to_merger: Sender<(TickHeader, SourceTick, Vec<AccountRecord>)>,
    workers: timely::communication::WorkerGuards<()>,
    next_worker: usize,
    has_risk: bool,
}

/// The engine could not be started.
#[derive(Debug, thiserror::Error)]
#[error("could not start {workers} worker threads: {detail}")]
pub struct EngineError {
    workers: usize,
    detail: String,
}

/// Merged ticks, in order; ends when the engine's input is closed and all ticks have passed.
pub struct Outputs {
    workers: usize,
    from_workers: Receiver<WorkerTick>,
    from_source: Receiver<(TickHeader, SourceTick, Vec<AccountRecord>)>,
    waiting: BTreeMap<u64, Vec<WorkerTick>>,
    facts: Option<FactMaker>,
    risk: Option<RiskTables>,
}

/// Starts the graph on `workers` threads, from nothing or from what a snapshot held: the first tick must then be
/// [`restore_tick`].
///
/// # Errors
/// If the threads cannot be started.
///
/// # Panics
/// If `workers` is zero.
pub fn start(
    workers: usize,
    config: &PipelineConfig,
    mut restored: Option<RestoredState>,
) -> Result<(Engine, Outputs), EngineError> {
    assert!(workers > 0, "at least one worker");
    let (out, from_workers) = bounded::<WorkerTick>(TICKS_IN_FLIGHT * workers);
    let (to_merger, from_source) = bounded(4 * TICKS_IN_FLIGHT);
    let (to_workers, inputs): (Vec<_>, Vec<_>) = (0..workers).map(|_| bounded::<WorkerInput>(TICKS_IN_FLIGHT)).unzip();
    let saved = restored.as_mut().and_then(|restored| restored.facts.take());
    let facts = config.scoring.as_ref().map(|rules| FactMaker::new(rules, FactTables::new(&config.views), saved));
    let risk = config.tables().risk();
    let mut states: Vec<Option<RestoredState>> = (0..workers).map(|_| None).collect();
    if let Some(restored) = restored {
        states = restored.split(workers).into_iter().map(Some).collect();
    }
    let inputs = Mutex::new(inputs.into_iter().zip(states).map(Some).collect::<Vec<_>>());
    let config = config.clone();
    let mut worker_config = WorkerConfig::default();
    // Arrangements otherwise compact only when updates arrive, and a quiet market would keep all its history.
    differential_dataflow::configure(
        &mut worker_config,
        &differential_dataflow::Config { idle_merge_effort: Some(1_000) },
    );
    let timely_config =
        timely::Config { communication: timely::CommunicationConfig::Process(workers), worker: worker_config };
    let guards = timely::execute(timely_config, move |worker| {
        let input = inputs.lock().expect("no worker panics while it holds the list")[worker.index()].take();
        let (input, restored) = input.expect("each worker takes its input once");
        run_worker(worker, &config, restored, &input, out.clone());
    })
    .map_err(|detail| EngineError { workers, detail })?;
    let engine = Engine { to_workers, to_merger, workers: guards, next_worker: 0, has_risk: risk.is_some() };
    Ok((engine, Outputs { workers, from_workers, from_source, waiting: BTreeMap::new(), facts, risk }))
}

fn run_worker(
    worker: &mut timely::worker::Worker,
    config: &PipelineConfig,
    restored: Option<RestoredState>,
    input: &Receiver<WorkerInput>,
    out: Sender<WorkerTick>,
) {
    let mut doors = pipeline::build(worker, config, restored, out);
    loop {
        match input.try_recv() {
            Ok(input) => {
                doors.send(input);
                worker.step();
            }
            Err(TryRecvError::Empty) => {
                worker.step_or_park(Some(Duration::from_millis(1)));
            }
            Err(TryRecvError::Disconnected) => break,
        }
    }
    drop(doors);
    while worker.has_dataflows() {
        worker.step_or_park(None);
    }
}

impl Engine {
    /// Hands a tick to the workers. Blocks while too many are in flight: this is what holds the source back. Breaks when
    /// nobody reads the outputs any more, because a sink has failed.
    ///
    /// # Panics
    /// If a worker is gone, which only a panic there explains.
    pub fn send(&mut self, tick: TickInput) -> ControlFlow<()> {
        let TickInput {
            header,
            market_clock,
            slices,
            amendments,
            market,
            account,
            activations,
            orders,
            is_live,
            source,
        } = tick;
        let feed = is_live.then(|| source.counts());
        // Where no worker computes with records of accounts, they go to the archive as they are.
        let (account, archived) = if self.has_risk { (account, Vec::new()) } else { (Vec::new(), account) };
        if self.to_merger.send((header, source, archived)).is_err() {
            return ControlFlow::Break(());
        }
        let workers = self.to_workers.len();
        let part = |_| WorkerInput::of(header, market_clock, activations.clone());
        let mut parts: Vec<WorkerInput> = (0..workers).map(part).collect();
        for slice in slices {
            parts[self.next_worker].slices.push(slice);
            self.next_worker = (self.next_worker + 1) % workers;
        }
        parts[self.next_worker].amendments = amendments;
        parts[self.next_worker].market = market;
        if self.has_risk {
            (parts[0].account, parts[0].orders, parts[0].feed) = (account, orders, feed);
        }
        for (worker, part) in self.to_workers.iter().zip(parts) {
            worker.send(part).expect("a worker is gone: it must have panicked");
        }
        ControlFlow::Continue(())
    }

    /// Closes the input and waits until every tick has left. Someone must be reading the outputs.
    pub fn finish(self) {
        drop((self.to_workers, self.to_merger));
        drop(self.workers);
    }
}

/// The tick that a restored graph begins with: that of its snapshot, at which nothing is published. Ensembles that were active
/// then are put into their place again.
pub fn restore_tick(tick: u64, source: &SourceState, activations: Vec<Arc<Activation>>) -> TickInput {
    let header = TickHeader {
        tick,
        frozen_ns: source.frozen_ns,
        watermark_ns: source.watermark_ns,
        publish_provisional: false,
        is_last: false,
        save: None,
        is_restore: true,
    };
    let counters = source.counters.clone();
    let source = SourceTick { counters, ..SourceTick::default() };
    TickInput { activations, source, ..TickInput::of(header) }
}

impl Iterator for Outputs {
    type Item = MergedTick;

    fn next(&mut self) -> Option<MergedTick> {
        loop {
            let (header, source, account) = self.from_source.recv().ok()?;
            let parts = self.parts_of(header.tick)?;
            if !header.is_restore {
                let mut merged = merge(&header, source, account, parts, self.facts.as_mut(), self.risk);
                merged.is_followed = self.has_next();
                return Some(merged);
            }
        }
    }
}

impl Outputs {
    /// What the workers made of a tick, when all are done with it.
    fn parts_of(&mut self, tick: u64) -> Option<Vec<WorkerTick>> {
        loop {
            if self.waiting.get(&tick).is_some_and(|parts| parts.len() == self.workers) {
                return self.waiting.remove(&tick);
            }
            let part = self.from_workers.recv().ok()?;
            self.waiting.entry(part.tick).or_default().push(part);
        }
    }

    /// Whether all workers are done with another tick. Takes no more of them than that tells.
    fn has_next(&mut self) -> bool {
        while self.waiting.first_key_value().is_none_or(|(_, parts)| parts.len() < self.workers) {
            let Ok(part) = self.from_workers.try_recv() else { return false };
            self.waiting.entry(part.tick).or_default().push(part);
        }
        true
    }
}

fn merge(
    header: &TickHeader,
    source: SourceTick,
    account: Vec<AccountRecord>,
    parts: Vec<WorkerTick>,
    mut facts: Option<&mut FactMaker>,
    risk_tables: Option<RiskTables>,
) -> MergedTick {
    let (mut merged, mut risky) = (MergedTick::default(), None);
    let SourceTick { rejects, late, control, counters, raw, partitions, state } = source;
    let mut received = Received::of(&raw);
    let (mut tapes, mut bars, mut tape_counters) = (Vec::new(), Vec::new(), Counters::default());
    let output = &mut merged.output;
    (output.tick, output.watermark_ns) = (header.tick, header.watermark_ns);
    (output.rejects, output.late, output.counters) = (rejects, late, counters);
    output.account = account;
    output.account.sort_by_key(AccountRecord::source);
    let (mut versions, mut open_bars) = (Vec::new(), Vec::new());
    let (mut market, mut saved_hours, mut features, mut scoring) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut predictions, mut acknowledged, mut hours) = (Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        predictions.extend(part.scoring.predictions);
        acknowledged.push(part.scoring.acknowledged);
        scoring.extend(part.scoring.saved);
        merged.scoring_rows += part.scoring.rows;
        if part.scoring.superseded > 0 {
            *merged.refused.entry(SUPERSEDED).or_default() += part.scoring.superseded;
        }
        hours.extend(part.hours);
        output.rows.extend(part.features.into_iter().map(Tables::of_feature));
        output.rows.extend(part.events);
        features.extend(part.saved_features);
        saved_hours.extend(part.saved_hours);
        merged.feature_sizes.instruments += part.feature_sizes.instruments;
        merged.feature_sizes.bars += part.feature_sizes.bars;
        merged.feature_sizes.rows += part.feature_sizes.rows;
        merged.feature_sizes.leaves += part.feature_sizes.leaves;
        let of_market = part.market;
        output.market.extend(of_market.accepted);
        output.rejects.extend(of_market.refused.into_iter().map(|refused| refused::refused(refused, &mut received)));
        merged.leaves.extend(of_market.leaves);
        if let Some(risk) = part.risk {
            tape_counters.add(&risk.counters);
            merged.risk_sizes = risk.sizes;
            merged.risk_counts = RiskCounts::of(&risk);
            risky = Some(risk);
        }
        let is_gap = |gap: &&GapChange| matches!(gap.kind, GapKind::Lost | GapKind::Overfull);
        merged.book_gaps += of_market.gaps.iter().filter(is_gap).count() as u64;
        merged.market_sizes.add(&of_market.sizes);
        tape_counters.add(&of_market.counters);
        market.extend(of_market.saved);
        versions.extend(part.versions);
        open_bars.extend(part.open_bars);
        let outcome = part.outcome;
        output.late.extend(outcome.late);
        output.rejects.extend(outcome.rejects);
        output.accepted.extend(outcome.accepted);
        output.amendments.extend(outcome.amendments);
        tape_counters.add(&outcome.counters);
        tapes.extend(outcome.saved);
        bars.extend(part.saved);
        for conflict in outcome.conflicts {
            output.rejects.push(refused::conflict(conflict.columns_row, &mut received));
        }
        merged.sizes.instruments += outcome.sizes.instruments;
        merged.sizes.seconds += outcome.sizes.seconds;
        // Workers share the columns of a chunk.
        merged.sizes.trades = merged.sizes.trades.max(outcome.sizes.trades);
        merged.sizes.ids += outcome.sizes.ids;
        merged.sizes.amendments += outcome.sizes.amendments;
    }
    output.counters.add(&tape_counters);
    merged.partitions = partitions;
    for refused in predictions.iter().filter_map(|prediction: &Prediction| prediction.judgement.decision.as_ref().err())
    {
        *merged.refused.entry(refused.name).or_default() += 1;
    }
    for (model, name) in predictions.iter().flat_map(|prediction| &prediction.judgement.refused_members) {
        *merged.refused_members.entry((Arc::clone(model), *name)).or_default() += 1;
    }
    if let Some(facts) = facts.as_deref_mut() {
        output.rows.extend(facts.make(header.tick, &control, &acknowledged, hours, predictions));
    }
    let mut saved_risk = None;
    if let (Some(mut risk), Some(tables)) = (risky, risk_tables) {
        output.account = std::mem::take(&mut risk.accepted);
        let refused = std::mem::take(&mut risk.refused);
        output.rejects.extend(refused.into_iter().map(|refused| refused::refused_account(refused, &mut received)));
        saved_risk = risk.saved.take();
        output.rows.extend(tables.rows(header.tick, &risk, &control));
    }
    merged.saved = state.map(|source| {
        let facts = facts.map(|facts| facts.save());
        let (hours, risk) = (saved_hours, saved_risk);
        Box::new(SavedState {
            source: *source,
            tapes,
            bars,
            market,
            hours,
            features,
            scoring,
            risk,
            facts,
            tape_counters,
        })
    });
    output.bars = merge_bars(versions);
    output.rows.sort_by(|left, right| left.key().cmp(&right.key()));
    merged.open_bars = merge_bars(open_bars);
    output.market.sort_by_key(MarketRecord::source);
    merged
        .leaves
        .sort_by(|left, right| (&left.instrument, left.open_time_ns).cmp(&(&right.instrument, right.open_time_ns)));
    // Records of one message share its position. Those of one instrument come from one worker, in order: the sort is stable.
    output.late.sort_by(|left, right| late_key(left).cmp(&late_key(right)));
    // Several trades of one message share its position: what tells them apart orders them too.
    output.rejects = Reject::gather(std::mem::take(&mut output.rejects));
    let key = |amendment: &Amendment| (amendment.partition, amendment.position);
    output.amendments.sort_by(|left, right| {
        key(left).cmp(&key(right)).then_with(|| (&left.instrument, left.id).cmp(&(&right.instrument, right.id)))
    });
    output.accepted.sort_by_key(|rows| {
        let first = rows.rows.first().copied().unwrap_or_default() as usize;
        (rows.columns.partition, rows.columns.position.get(first).copied(), first)
    });
    merged
}

fn late_key(record: &LateRecord) -> ((u32, u64), &Instrument, Option<TradeKey>, TradeId) {
    match record {
        LateRecord::Trade { instrument, trade, .. } => (record.source(), instrument, Some(trade.key()), trade.id),
        LateRecord::Amendment(amendment) => (record.source(), &amendment.instrument, None, amendment.id),
    }
}

/// Merges lists that are each ordered by interval, instrument and open time, and have no bar in common. An instrument lives
/// on one worker, so that whole runs of it can be moved.
fn merge_bars(lists: Vec<Vec<BarVersion>>) -> Vec<BarVersion> {
    let is_same = |a: &BarVersion, b: &BarVersion| a.interval == b.interval && a.instrument == b.instrument;
    let mut merged = Vec::with_capacity(lists.iter().map(Vec::len).sum());
    let mut runs: Vec<(Interval, Instrument, usize, usize)> = Vec::new();
    for (number, list) in lists.iter().enumerate() {
        let of_list = list.chunk_by(is_same);
        runs.extend(of_list.map(|run| (run[0].interval, run[0].instrument.clone(), number, run.len())));
    }
    runs.sort();
    let mut lists: Vec<_> = lists.into_iter().map(Vec::into_iter).collect();
    for (_, _, number, length) in runs {
        merged.extend(lists[number].by_ref().take(length));
    }
    merged
}

#[cfg(test)]
mod tests;
