//! Law 1 across restarts: the graph, thrown away at any tick and begun again from a snapshot on any number of workers, says
//! of every tick what it says when nothing happens to it.

use crate::law_one::{Feeding, chunks_of};
use crate::market::{Arrival, HORIZON_NS, Market, SKEW_NS};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;
use tidewheel::config::Config;
use tidewheel::engine::{self, MergedTick, SavedState, SourceState};
use tidewheel::pipeline::PipelineConfig;
use tidewheel::recovery::Settings;
use tidewheel::snapshot::{self, SnapshotStore, SnapshotTimer};
use tidewheel::ticks::{Chunk, TickConfig, Ticker};
use tidewheel_operators::features::{QualityBounds, View};
use tidewheel_operators::intake::IntakeLimits;
use tidewheel_schemas::{Interval, SECOND_NS};

pub const TICKS: TickConfig = TickConfig {
    limits: IntakeLimits { horizon_ns: HORIZON_NS, skew_ns: SKEW_NS },
    provisional_every_ms: Some(60_000),
};

/// Rows fall below it where a market is thin, and come back.
const MIN_QUALITY: f64 = 0.4;

/// One tick as the log would have it: what it is called and which arrivals it holds.
pub struct Planned {
    pub tick: u64,
    pub arrivals: Range<usize>,
    pub positions: Vec<u64>,
    pub seed: u64,
}

/// Cuts a market into ticks.
pub fn plan(arrivals: &[Arrival], feeding: Feeding) -> Vec<Planned> {
    let random = &mut ChaCha8Rng::seed_from_u64(feeding.seed);
    let mut positions = vec![0; feeding.partitions];
    let (mut plan, mut start) = (Vec::<Planned>::new(), 0);
    while start < arrivals.len() {
        let end_ns = (arrivals[start].time_ns / feeding.tick_ns + 1) * feeding.tick_ns;
        let end = start + arrivals[start..].iter().take_while(|arrival| arrival.time_ns < end_ns).count();
        let tick = (arrivals[end - 1].time_ns / 1_000_000) as u64 + 1;
        let (arrivals_of, before, seed) = (start..end, positions.clone(), random.random());
        chunks_of(&arrivals[start..end], feeding, &mut positions, &mut ChaCha8Rng::seed_from_u64(seed));
        plan.push(Planned { tick, arrivals: arrivals_of, positions: before, seed });
        start = end;
    }
    plan
}

/// What a tick said, all of it.
fn said(tick: &MergedTick) -> String {
    let output = &tick.output;
    let mut accepted: Vec<(u32, u64)> = output
        .accepted
        .iter()
        .flat_map(|rows| rows.rows.iter().map(|&row| (rows.columns.partition, rows.columns.position[row as usize])))
        .collect();
    // Which rows of a chunk lie together depends on the workers; their order in the lake does not.
    accepted.sort_unstable();
    let (bars, late, rejects) = (&output.bars, &output.late, &output.rejects);
    let (amendments, counters, watermark_ns) = (&output.amendments, &output.counters, output.watermark_ns);
    // Doubles print as the fewest digits that read back to the same bits.
    let rows = &output.rows;
    format!("{watermark_ns}\n{bars:?}\n{rows:?}\n{late:?}\n{rejects:?}\n{amendments:?}\n{accepted:?}\n{counters:?}")
}

/// A state to begin with, and ticks to run.
struct Life<'a> {
    arrivals: &'a [Arrival],
    plan: &'a [Planned],
    feeding: Feeding,
    /// Ticks after which base state is handed out.
    saves: &'a dyn Fn(usize) -> bool,
}

impl Life<'_> {
    /// Runs the ticks of the plan in a range, from nothing or from the snapshot of the tick before it.
    fn run(&self, ticks: Range<usize>, restored: Option<snapshot::Loaded>, workers: usize) -> Vec<MergedTick> {
        let config = PipelineConfig {
            intervals: Interval::ALL.to_vec(),
            lateness_ns: 10 * SECOND_NS,
            horizon_ns: HORIZON_NS,
            archive: true,
            is_saved: true,
            views: vec![View::core_technical()],
            scoring: None,
            min_quality: Some(QualityBounds { least: Some(MIN_QUALITY), silent_after_ns: Some(90 * SECOND_NS) }),
            hourly_volume: false,
            risk: None,
        };
        let mut timer = SnapshotTimer::new(Duration::ZERO, restored.is_some());
        let busy = timer.busy_flag();
        let (mut ticker, first, state) = match restored {
            Some(snapshot::Loaded { snapshot, state, .. }) => {
                let ticker = Ticker::restore(TICKS, snapshot.tick, &snapshot.source);
                (ticker, Some(engine::restore_tick(snapshot.tick, &snapshot.source, Vec::new())), Some(state))
            }
            None => (Ticker::new(TICKS), None, None),
        };
        let (mut engine, outputs) = engine::start(workers, &config, state).expect("threads");
        let collector = std::thread::spawn(move || outputs.collect::<Vec<_>>());
        first.into_iter().for_each(|tick| assert!(engine.send(tick).is_continue()));
        let caught_up = vec![true; self.feeding.partitions];
        for number in ticks {
            let Planned { tick, arrivals, positions, seed } = &self.plan[number];
            let random = &mut ChaCha8Rng::seed_from_u64(*seed);
            let chunks = chunks_of(&self.arrivals[arrivals.clone()], self.feeding, &mut positions.clone(), random);
            let mut input = ticker.tick(*tick, chunks.into_iter().map(Chunk::take_all).collect(), &caught_up);
            if (self.saves)(number) {
                busy.store(false, std::sync::atomic::Ordering::Release);
                input.header.save = timer.due(false);
                input.source.state = Some(Box::new(SourceState {
                    max_event_times_ns: ticker.max_event_times_ns(),
                    counters: ticker.counters().clone(),
                    watermark_ns: input.header.watermark_ns,
                    frozen_ns: input.header.frozen_ns,
                    ..SourceState::default()
                }));
            }
            assert!(engine.send(input).is_continue());
        }
        engine.finish();
        collector.join().expect("the outputs are read to the end")
    }
}

/// Writes what was handed out, as far as the crash let it, and reads the newest back.
pub fn through_the_disk(
    folder: &Path,
    base: Option<&snapshot::Snapshot>,
    saved: Vec<(u64, Box<SavedState>)>,
) -> Option<snapshot::Loaded> {
    let settings = Settings::of(&Config::default());
    let mut store = SnapshotStore::open(folder, "run", settings, base).expect("a folder");
    for (tick, state) in saved {
        store.write(tick, &state).expect("space");
        store.forget_before(tick).expect("files can be deleted");
    }
    let newest = snapshot::ticks(folder).expect("a folder").last().copied();
    newest.map(|tick| snapshot::load(folder, tick).expect("a sound snapshot"))
}

fn check(seed: u64, trades: usize, tick_ns: i64, is_keyed: bool) {
    println!("seed {seed}, {trades} trades, ticks of {tick_ns} ns");
    let random = &mut ChaCha8Rng::seed_from_u64(seed);
    let arrivals = Market::new(seed, trades).arrivals;
    let partitions = random.random_range(1..4);
    let feeding = Feeding { workers: 1, partitions, is_keyed, tick_ns, provisional: true, seed };
    let plan = plan(&arrivals, feeding);
    let undisturbed = Life { arrivals: &arrivals, plan: &plan, feeding, saves: &|_| false };
    let expected: BTreeMap<u64, String> =
        undisturbed.run(0..plan.len(), None, 1).iter().map(|tick| (tick.output.tick, said(tick))).collect();
    assert_eq!(expected.len(), plan.len());
    for kind in ["quality_low", "quality_back", "instrument_silent", "instrument_back"] {
        assert!(expected.values().any(|said| said.contains(kind)), "there are rows of features, and events {kind}");
    }

    let folder = tempfile::tempdir().expect("a folder");
    let (mut loaded, mut next, mut lives) = (None::<snapshot::Loaded>, 0, 0);
    while next < plan.len() {
        lives += 1;
        assert!(lives < 10_000, "no progress");
        let begin = loaded.as_ref().map_or(0, |loaded| 1 + position(&plan, loaded.snapshot.tick));
        let end =
            if lives % 40 == 0 { plan.len() } else { (begin + random.random_range(1..plan.len() / 3)).min(plan.len()) };
        let rate = random.random_range(0.05..0.5);
        let save_seed: u64 = random.random();
        let saves = |number: usize| ChaCha8Rng::seed_from_u64(save_seed ^ number as u64).random_bool(rate);
        let life = Life { arrivals: &arrivals, plan: &plan, feeding, saves: &saves };
        let base = loaded.as_ref().map(|loaded| loaded.snapshot.clone());
        let mut ticks = life.run(begin..end, loaded.take(), random.random_range(1..5));
        for tick in &ticks {
            let (said, expected) = (said(tick), &expected[&tick.output.tick]);
            let differs = said.bytes().zip(expected.bytes()).position(|(left, right)| left != right);
            let around =
                |text: &str| text[differs.unwrap_or(0).saturating_sub(300)..].chars().take(500).collect::<String>();
            let place = format!("seed {seed}, tick {}, life {lives}", tick.output.tick);
            assert!(said == *expected, "{place}: {}\nbut in one go: {}", around(&said), around(expected));
        }
        let saved = ticks.iter_mut().filter_map(|tick| Some((tick.output.tick, tick.saved.take()?)));
        let mut saved: Vec<_> = saved.collect();
        // The crash cut off those still on their way.
        saved.truncate(random.random_range(0..=saved.len()));
        loaded = through_the_disk(folder.path(), base.as_ref(), saved);
        next = end.max(next);
    }
    println!("seed {seed}: {} ticks in {lives} lives", plan.len());
}

fn position(plan: &[Planned], tick: u64) -> usize {
    plan.iter().position(|planned| planned.tick == tick).expect("a snapshot is of a tick")
}

#[test]
fn a_graph_begun_again_from_a_snapshot_goes_on_as_if_nothing_had_happened() {
    for seed in 0..12 {
        check(seed, 1_500, [60, 300, 13][seed as usize % 3] * SECOND_NS, seed % 2 == 0);
    }
}
