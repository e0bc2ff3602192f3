//! The graph, built alike on every worker, live and in replay.
//!
//! ```text
//!   slices ------ route ==exchange==+
//!   amendments ===exchange==========+-- tape --+-- 1 s -- lifecycle --------------------------+
//!   headers ---- to every operator -+          +-- 1 m -- lifecycle --+-----------------------+
//!                                              |          rollup 5 m -- lifecycle --+---------+-- collect -- out
//!                                              |               ... 15 m, 1 h, 4 h, 1 d        |
//!                                              |                 versions of bars -- features +
//!   market =======exchange==== market -- leaves of minutes --------------- features |         |
//!                                \------ | ------- accepted, refused, gaps, counts --+---------+
//!   activations ---- to every worker --------- | ---------------------- scoring ----+---------+
//!   orders, accounts =to worker 0= risk -- told by tape, market, final bars ---------+---------+
//!                                              +-- late, rejects, accepted, counts -----------+
//! ```
//!
//! The only timestamp is the tick. Records of a tick reach `tape` in any order; every operator acts once a tick, when its
//! input frontier has passed it. What leaves is one [`WorkerTick`] a tick and worker.

use crate::scoring::ScoringRules;
use crate::tables::Tables;
use crossbeam_channel::Sender;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_operators::TickHeader;
use tidewheel_operators::features::{
    FeatureSizes, FeatureStreams, FeaturesConfig, QualityBounds, SavedFeatures, View, features,
};
use tidewheel_operators::hourly::{HourlyStreams, SavedHours, hourly_volume};
use tidewheel_operators::lifecycle::{LifecycleConfig, SavedBars, lifecycle};
use tidewheel_operators::market::{MarketConfig, MarketOutcome, MarketStreams, market};
use tidewheel_operators::risk::{FeedCounts, RiskConfig, RiskOutcome, RiskStreams, risk};
use tidewheel_operators::rollup::rollup;
use tidewheel_operators::saved::RestoredState;
use tidewheel_operators::scoring::{Activation, ScoringConfig, ScoringTick, scoring};
use tidewheel_operators::tape::{Directory, RowSlice, TapeConfig, TapeOutcome, route, tape};
use tidewheel_operators::watermark::MarketClock;
use tidewheel_risk::switches::ControlEvent;
use tidewheel_schemas::{AccountRecord, Amendment, BarVersion, FeatureRow, Interval, MarketRecord, Row};
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::{Concatenate, Input};
use timely::dataflow::{InputHandle, StreamVec};
use timely::worker::Worker;

/// What the graph computes.
#[derive(Clone, Debug)]
pub struct PipelineConfig {
    /// Intervals to publish; the ones between are computed all the same.
    pub intervals: Vec<Interval>,
    /// How long after its end a bar waits for stragglers before it is final, nanoseconds.
    pub lateness_ns: i64,
    /// How long a bar can be revised, nanoseconds of event time behind the watermark.
    pub horizon_ns: i64,
    /// Whether accepted records are handed on for the archive.
    pub archive: bool,
    /// Whether snapshots will be taken.
    pub is_saved: bool,
    /// The views of features to compute.
    pub views: Vec<View>,
    /// How their rows are scored, if they are.
    pub scoring: Option<ScoringRules>,
    /// What events tell of rows, if anything.
    pub min_quality: Option<QualityBounds>,
    /// Whether the volume of hours has a table.
    pub hourly_volume: bool,
    /// What risk computes, if it does.
    pub risk: Option<RiskConfig>,
}

impl PipelineConfig {
    /// The tables beside the bars.
    pub fn tables(&self) -> Tables {
        let is_scored = self.scoring.is_some();
        Tables::of_run(&self.views, self.min_quality, is_scored)
            .with_hourly_volume(self.hourly_volume)
            .with_risk(self.risk.is_some(), is_scored)
    }
}

/// All that a tick gave on one worker.
#[derive(Debug)]
pub struct WorkerTick {
    /// The tick.
    pub tick: u64,
    /// Versions of bars: lists, each of one interval, by instrument and open time.
    pub versions: Vec<Vec<BarVersion>>,
    /// At the last tick, bars that are not final, in lists likewise.
    pub open_bars: Vec<Vec<BarVersion>>,
    /// For a snapshot: parts of the ledgers. The tape's is in `outcome`.
    pub saved: Vec<SavedBars>,
    /// Rows of the views, by view, instrument and open time.
    pub features: Vec<FeatureRow>,
    /// Rows of the tables of events and of hours.
    pub events: Vec<Row>,
    /// For a snapshot: parts of the features.
    pub saved_features: Vec<SavedFeatures>,
    /// For a snapshot: parts of the hours.
    pub saved_hours: Vec<SavedHours>,
    /// How much the features hold.
    pub feature_sizes: FeatureSizes,
    /// What was said of the rows.
    pub scoring: ScoringTick,
    /// Where rows are scored, the final bars of an hour, which the universe of signals follows.
    pub hours: Vec<BarVersion>,
    /// What became of trades and amendments.
    pub outcome: TapeOutcome,
    /// What became of quotes, books, marks, funding and liquidations.
    pub market: MarketOutcome,
    /// What risk says, on the first worker.
    pub risk: Option<Box<RiskOutcome>>,
}

/// What goes into the graph on one worker at a tick.
pub struct WorkerInput {
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
    /// The same on every worker.
    pub activations: Vec<Arc<Activation>>,
    /// What accounts did.
    pub account: Vec<AccountRecord>,
    /// Orders of people to risk.
    pub orders: Vec<ControlEvent>,
    /// What became of records before they came here, where there is a feed that can fail: on one worker.
    pub feed: Option<FeedCounts>,
}

impl WorkerInput {
    /// A tick without records.
    pub const fn of(header: TickHeader, market_clock: MarketClock, activations: Vec<Arc<Activation>>) -> Self {
        Self {
            header,
            market_clock,
            slices: Vec::new(),
            amendments: Vec::new(),
            market: Vec::new(),
            activations,
            account: Vec::new(),
            orders: Vec::new(),
            feed: None,
        }
    }
}

/// The doors of the graph on one worker.
pub struct PipelineInputs {
    slices: InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<RowSlice>>>,
    amendments: InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<Amendment>>>,
    market: InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<MarketRecord>>>,
    headers: InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<TickHeader>>>,
    market_headers: InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<TickHeader>>>,
    feature_headers: InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<TickHeader>>>,
    activations: InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<Arc<Activation>>>>,
    account: InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<AccountRecord>>>,
    orders: InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<ControlEvent>>>,
    feed: InputHandle<u64, timely::container::CapacityContainerBuilder<Vec<FeedCounts>>>,
}

impl PipelineInputs {
    /// Puts a tick in and closes it. Ticks must ascend; every worker gets the same activations. The markets, and until there are
    /// bars the features, go by a clock of their own.
    pub fn send(&mut self, input: WorkerInput) {
        let WorkerInput { header, market_clock, slices, amendments, market, activations, account, orders, feed } =
            input;
        self.advance_to(header.tick);
        activations.into_iter().for_each(|activation| self.activations.send(activation));
        slices.into_iter().for_each(|slice| self.slices.send(slice));
        amendments.into_iter().for_each(|amendment| self.amendments.send(amendment));
        market.into_iter().for_each(|record| self.market.send(record));
        account.into_iter().for_each(|record| self.account.send(record));
        orders.into_iter().for_each(|order| self.orders.send(order));
        feed.into_iter().for_each(|counts| self.feed.send(counts));
        self.headers.send(header);
        self.market_headers.send(market_clock.of_markets(header));
        self.feature_headers.send(market_clock.of_features(header));
        self.advance_to(header.tick + 1);
    }

    fn advance_to(&mut self, tick: u64) {
        self.slices.advance_to(tick);
        self.amendments.advance_to(tick);
        self.market.advance_to(tick);
        self.headers.advance_to(tick);
        self.market_headers.advance_to(tick);
        self.feature_headers.advance_to(tick);
        self.activations.advance_to(tick);
        self.account.advance_to(tick);
        self.orders.advance_to(tick);
        self.feed.advance_to(tick);
    }
}

/// Builds the graph on a worker; ticks leave through `out`, which may block to hold the worker back. With a state to begin
/// with, the first tick must be that of the snapshot.
pub fn build(
    worker: &mut Worker,
    config: &PipelineConfig,
    mut restored: Option<RestoredState>,
    out: Sender<WorkerTick>,
) -> PipelineInputs {
    let peers = worker.peers();
    let mut inputs = PipelineInputs {
        slices: InputHandle::new(),
        amendments: InputHandle::new(),
        market: InputHandle::new(),
        headers: InputHandle::new(),
        market_headers: InputHandle::new(),
        feature_headers: InputHandle::new(),
        activations: InputHandle::new(),
        account: InputHandle::new(),
        orders: InputHandle::new(),
        feed: InputHandle::new(),
    };
    worker.dataflow(|scope| {
        let slices = scope.input_from(&mut inputs.slices);
        let amendments = scope.input_from(&mut inputs.amendments);
        let records = scope.input_from(&mut inputs.market);
        let headers = scope.input_from(&mut inputs.headers);
        let market_headers = scope.input_from(&mut inputs.market_headers);
        let feature_headers = scope.input_from(&mut inputs.feature_headers);
        let activations = scope.input_from(&mut inputs.activations);
        let account = scope.input_from(&mut inputs.account);
        let orders = scope.input_from(&mut inputs.orders);
        let feed = scope.input_from(&mut inputs.feed);
        let directory = Directory::default();

        let tape_config = TapeConfig {
            horizon_ns: config.horizon_ns,
            archive: config.archive,
            is_saved: config.is_saved,
            tells: config.risk.is_some(),
        };
        let rows = route(slices, peers);
        let known = Directory::clone(&directory);
        let taped = tape(rows, amendments, headers.clone(), tape_config, restored.as_mut(), known);

        let has_leaves = config.views.iter().any(View::has_market);
        let market_config = MarketConfig {
            archive: config.archive,
            is_saved: config.is_saved,
            has_leaves,
            tells: config.risk.is_some(),
        };
        let markets = market(records, market_headers, market_config, restored.as_mut());

        let (is_saved, min_quality) = (config.is_saved, config.min_quality);
        let views = FeaturesConfig { views: config.views.clone(), is_saved, min_quality };
        let of_views = config.views.iter().flat_map(View::intervals).collect::<Vec<_>>();
        // The universe of signals follows the volume of hours, too.
        let of_hours = (config.scoring.is_some() || config.hourly_volume).then_some(Interval::H1);
        let of_risk = config.risk.as_ref().map(|risk| risk.step);
        let wanted = config.intervals.iter().chain(&of_views).chain(&of_hours).chain(&of_risk).copied();
        let coarsest = wanted.max().unwrap_or(Interval::S1);
        let rules = |interval: Interval, parent: Option<Interval>| LifecycleConfig {
            interval,
            parent: parent.filter(|parent| *parent <= coarsest),
            lateness_ns: config.lateness_ns,
            // What only the views need is left out again before it leaves.
            is_published: config.intervals.contains(&interval)
                || of_views.contains(&interval)
                || of_hours == Some(interval)
                || of_risk == Some(interval),
            is_saved: config.is_saved,
        };
        let mut ledger = |upserts, rules| {
            lifecycle(upserts, headers.clone(), rules, restored.as_mut(), Directory::clone(&directory))
        };
        // The tape makes the minutes itself, so no rollup asks for seconds.
        let seconds = ledger(taped.seconds, rules(Interval::S1, None));
        let mut of_step = (of_risk == Some(Interval::S1)).then(|| seconds.versions.clone());
        let (mut versions, mut open_bars) = (vec![seconds.versions], vec![seconds.open_bars]);
        let mut saved = vec![seconds.saved];
        let mut upserts = taped.minutes;
        for interval in Interval::ALL.into_iter().filter(|interval| (Interval::M1..=coarsest).contains(interval)) {
            let rules = rules(interval, interval.coarser());
            let level = ledger(upserts, rules);
            of_step = of_step.or_else(|| (of_risk == Some(interval)).then(|| level.versions.clone()));
            versions.push(level.versions);
            open_bars.push(level.open_bars);
            saved.push(level.saved);
            let Some(parent) = rules.parent else { break };
            upserts = rollup(level.children, parent);
        }
        let (versions, open_bars) = (scope.concatenate(versions), scope.concatenate(open_bars));
        let MarketStreams { leaves, outcomes: markets, told } = markets;
        let features = features(versions.clone(), leaves, feature_headers, &views, restored.as_mut());
        let scored = config.scoring.as_ref().map(|rules| {
            let (history_rows, views) = (rules.history_rows, config.views.len());
            let config = ScoringConfig { history_rows, views, is_saved: config.is_saved };
            scoring(features.rows.clone(), activations, headers.clone(), config, restored.as_mut())
        });
        let hours = config
            .hourly_volume
            .then(|| hourly_volume(versions.clone(), headers.clone(), config.is_saved, restored.as_mut()));
        let risky = config.risk.as_ref().zip(of_step).map(|(config, versions)| {
            let changes = scope.concatenate([taped.told, told]);
            let streams = RiskStreams { orders, account, changes, versions, feed };
            risk(streams, headers.clone(), config, restored.as_mut())
        });
        let bars = BarStreams { versions, open_bars, saved: scope.concatenate(saved) };
        let outcomes = OutcomeStreams { tapes: taped.outcomes, markets };
        collect(bars, (features, hours), FactStreams { scored, risky }, outcomes, config, out);
    });
    inputs
}

/// What the ledgers of all intervals gave.
struct BarStreams<'scope> {
    versions: StreamVec<'scope, u64, BarVersion>,
    open_bars: StreamVec<'scope, u64, BarVersion>,
    saved: StreamVec<'scope, u64, SavedBars>,
}

/// What was done at ticks, where anything is.
struct FactStreams<'scope> {
    scored: Option<StreamVec<'scope, u64, ScoringTick>>,
    risky: Option<StreamVec<'scope, u64, RiskOutcome>>,
}

/// What became of the records.
struct OutcomeStreams<'scope> {
    tapes: StreamVec<'scope, u64, TapeOutcome>,
    markets: StreamVec<'scope, u64, MarketOutcome>,
}

/// Gathers what a tick gave on this worker and hands it out when the tick is complete. Of the bars only those of the
/// published intervals.
fn collect<'scope>(
    bars: BarStreams<'scope>,
    (features, hours): (FeatureStreams<'scope>, Option<HourlyStreams<'scope>>),
    FactStreams { scored, risky }: FactStreams<'scope>,
    outcomes: OutcomeStreams<'scope>,
    config: &PipelineConfig,
    out: Sender<WorkerTick>,
) {
    let BarStreams { versions, open_bars, saved } = bars;
    let mut builder = OperatorBuilder::new("Collect".to_owned(), versions.scope());
    let mut versions = builder.new_input(versions, Pipeline);
    let mut open_bars = builder.new_input(open_bars, Pipeline);
    let mut saved = builder.new_input(saved, Pipeline);
    let mut markets = builder.new_input(outcomes.markets, Pipeline);
    let mut outcomes = builder.new_input(outcomes.tapes, Pipeline);
    let mut rows = builder.new_input(features.rows, Pipeline);
    let mut saved_features = builder.new_input(features.saved, Pipeline);
    let mut feature_sizes = builder.new_input(features.sizes, Pipeline);
    let mut scored = scored.map(|scored| builder.new_input(scored, Pipeline));
    let mut risky = risky.map(|risky| builder.new_input(risky, Pipeline));
    let mut quality = builder.new_input(features.quality, Pipeline);
    let mut silence = builder.new_input(features.silence, Pipeline);
    let mut hours =
        hours.map(|hours| (builder.new_input(hours.rows, Pipeline), builder.new_input(hours.saved, Pipeline)));
    // Its table is the last.
    let hour_table = Tables::of_run(&config.views, config.min_quality, config.scoring.is_some()).specs().len() as u16;
    let (published, views) = (config.intervals.clone(), config.views.clone());
    let gap_table = Tables::events(&config.views, config.min_quality, config.scoring.is_some());
    let is_hidden =
        move |versions: &[BarVersion]| versions.first().is_some_and(|version| !published.contains(&version.interval));
    builder.build(move |_| {
        let mut open: BTreeMap<u64, WorkerTick> = BTreeMap::new();
        move |frontiers| {
            macro_rules! at {
                ($time:expr) => {
                    open.entry(*$time.time()).or_insert_with_key(|tick| WorkerTick {
                        tick: *tick,
                        versions: Vec::new(),
                        open_bars: Vec::new(),
                        saved: Vec::new(),
                        features: Vec::new(),
                        events: Vec::new(),
                        saved_features: Vec::new(),
                        saved_hours: Vec::new(),
                        feature_sizes: FeatureSizes::default(),
                        scoring: ScoringTick::default(),
                        hours: Vec::new(),
                        outcome: TapeOutcome::default(),
                        market: MarketOutcome::default(),
                        risk: None,
                    })
                };
            }
            // Lists are of one interval each.
            let shown = |data: &mut Vec<BarVersion>| Some(std::mem::take(data)).filter(|data| !is_hidden(data));
            let is_scored = scored.is_some();
            versions.for_each(|time, data| {
                let is_hour = |version: &&BarVersion| version.interval == Interval::H1 && version.is_final;
                if is_scored && data.first().is_some_and(|version| version.interval == Interval::H1) {
                    at!(time).hours.extend(data.iter().filter(is_hour).cloned());
                }
                at!(time).versions.extend(shown(data));
            });
            if let Some(scored) = &mut scored {
                scored.for_each(|time, data| at!(time).scoring = data.pop().expect("one list a tick"));
            }
            if let Some(risky) = &mut risky {
                risky.for_each(|time, data| at!(time).risk = data.pop().map(Box::new));
            }
            open_bars.for_each(|time, data| at!(time).open_bars.extend(shown(data)));
            rows.for_each(|time, data| at!(time).features.append(data));
            quality.for_each(|time, data| {
                at!(time).events.extend(data.drain(..).map(|change| Tables::of_quality(&views, &change)));
            });
            silence.for_each(|time, data| {
                at!(time).events.extend(data.drain(..).map(|change| Tables::of_silence(&views, &change)));
            });
            if let Some((rows, saved)) = &mut hours {
                rows.for_each(|time, data| {
                    at!(time).events.extend(data.drain(..).map(|row| Tables::of_hour(hour_table, row)));
                });
                saved.for_each(|time, data| at!(time).saved_hours.append(data));
            }
            saved_features.for_each(|time, data| at!(time).saved_features.append(data));
            feature_sizes.for_each(|time, data| at!(time).feature_sizes = data.pop().expect("one count a tick"));
            saved.for_each(|time, data| at!(time).saved.append(data));
            markets.for_each(|time, data| {
                let market = data.pop().expect("one outcome a tick");
                let gaps = gap_table.iter().flat_map(|table| market.gaps.iter().map(|gap| Tables::of_gap(*table, gap)));
                let tick = at!(time);
                tick.events.extend(gaps);
                tick.market = market;
            });
            outcomes.for_each(|time, data| at!(time).outcome = data.pop().expect("one outcome a tick"));
            while let Some(entry) = open.first_entry()
                && frontiers.iter().all(|frontier| !frontier.less_equal(entry.key()))
            {
                // The receiver only goes away when the process is stopping.
                let _ = out.send(entry.remove());
            }
        }
    });
}
