//! Law 1 with markets beside trades: any workers, ticks and restarts say the same; rows are computed again from what was known; the
//! rows of bars alone are what they are without a market.

use super::market::beside;
use crate::law_one::{Feeding, chunks_of};
use crate::market::{Arrival, HORIZON_NS, Market};
use crate::restart::{Planned, TICKS, plan, through_the_disk};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use tidewheel::engine::{self, MergedTick, SourceState};
use tidewheel::pipeline::PipelineConfig;
use tidewheel::snapshot;
use tidewheel::tables::Tables;
use tidewheel::ticks::{Chunk, Ticker};
use tidewheel_operators::features::{Finding, LookaheadCheck, View};
use tidewheel_operators::saved::Saving;
use tidewheel_schemas::{Instrument, Interval, MarketRecord, Row, SECOND_NS, Value};

/// The tables: two views, events, hours.
const TECHNICAL: u16 = 0;
const MICROSTRUCTURE: u16 = 1;
const EVENTS: u16 = 2;
const HOURS: u16 = 3;

fn views() -> Vec<View> {
    vec![View::core_technical(), View::core_microstructure()]
}

/// A market, cut into ticks.
struct World {
    arrivals: Vec<Arrival>,
    records: Vec<(i64, MarketRecord)>,
    plan: Vec<Planned>,
    /// The records of each tick, by their places.
    of_tick: Vec<Range<usize>>,
    feeding: Feeding,
}

impl World {
    fn new(seed: u64, tick_ns: i64, has_market: bool) -> Self {
        let arrivals = Market::new(seed, 1_500).arrivals;
        let records = if has_market { beside(seed, &arrivals, HORIZON_NS / 3) } else { Vec::new() };
        let feeding = Feeding { workers: 1, partitions: 2, is_keyed: true, tick_ns, provisional: false, seed };
        let plan = plan(&arrivals, feeding);
        let mut of_tick = Vec::new();
        let mut start = 0;
        for (number, planned) in plan.iter().enumerate() {
            let end_ns = arrivals[planned.arrivals.end - 1].time_ns;
            let is_last = number + 1 == plan.len();
            let end = records.partition_point(|(time_ns, _)| is_last || *time_ns <= end_ns);
            of_tick.push(start..end);
            start = end;
        }
        Self { arrivals, records, plan, of_tick, feeding }
    }

    /// Runs ticks, from nothing or from a snapshot; after those that `saves` names base state is handed out.
    fn run(
        &self,
        ticks: Range<usize>,
        restored: Option<snapshot::Loaded>,
        workers: usize,
        saves: &dyn Fn(usize) -> Option<Saving>,
    ) -> Vec<MergedTick> {
        let config = PipelineConfig {
            intervals: Interval::ALL.to_vec(),
            lateness_ns: 10 * SECOND_NS,
            horizon_ns: HORIZON_NS,
            archive: true,
            is_saved: true,
            views: views(),
            scoring: None,
            min_quality: None,
            hourly_volume: true,
            risk: None,
        };
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
        let end = ticks.end;
        for number in ticks {
            let Planned { tick, arrivals, positions, seed } = &self.plan[number];
            let random = &mut ChaCha8Rng::seed_from_u64(*seed);
            let chunks = chunks_of(&self.arrivals[arrivals.clone()], self.feeding, &mut positions.clone(), random);
            let mut input = ticker.tick(*tick, chunks.into_iter().map(Chunk::take_all).collect(), &caught_up);
            let places = self.of_tick[number].clone();
            // What the source would have counted.
            input.source.counters.read += places.end as u64;
            input.market = self.records[places].iter().map(|(_, record)| record.clone()).collect();
            input.header.save = saves(number);
            if input.header.save.is_some() {
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
        if end == self.plan.len() {
            let mut last = ticker.finish();
            last.source.counters.read += self.records.len() as u64;
            assert!(engine.send(last).is_continue());
        }
        engine.finish();
        collector.join().expect("the outputs are read to the end")
    }

    fn run_all(&self, workers: usize) -> Vec<MergedTick> {
        self.run(0..self.plan.len(), None, workers, &|_| None)
    }
}

/// What a tick said. Doubles print as the fewest digits that read back to the same bits.
fn said(tick: &MergedTick) -> String {
    let output = &tick.output;
    let (bars, rows, market, rejects) = (&output.bars, &output.rows, &output.market, &output.rejects);
    let (counters, leaves) = (&output.counters, &tick.leaves);
    format!("{bars:?}\n{rows:?}\n{market:?}\n{rejects:?}\n{counters:?}\n{leaves:?}\n{}", tick.book_gaps)
}

type Key = (u16, Instrument, i64);

/// The rows that stand at the end; facts are left out.
fn latest(ticks: &[MergedTick]) -> BTreeMap<Key, Row> {
    let mut latest: BTreeMap<Key, Row> = BTreeMap::new();
    for row in ticks.iter().flat_map(|tick| &tick.output.rows).filter(|row| row.table != EVENTS) {
        let before = latest.insert((row.table, row.instrument.clone(), row.event_time_ns), row.clone());
        assert_eq!(row.revision, before.as_ref().map_or(0, |before| before.revision + 1), "{row:?}");
        assert!(before.is_none_or(|before| before.values != row.values), "{row:?} says nothing new");
    }
    latest
}

/// The same without revisions, which depend on where ticks were cut.
fn standing(ticks: &[MergedTick]) -> BTreeMap<Key, Box<[Value]>> {
    latest(ticks).into_iter().filter_map(|(key, row)| Some((key, row.values?))).collect()
}

#[test]
fn workers_and_ticks_do_not_show_and_nothing_is_lost() {
    let (mut rows, mut gaps) = (0, 0);
    for seed in 0..4 {
        let world = World::new(seed, 60 * SECOND_NS, true);
        let expected = world.run_all(1);
        let said_by: Vec<String> = expected.iter().map(said).collect();
        for workers in [2, 4] {
            let found: Vec<String> = world.run_all(workers).iter().map(said).collect();
            assert!(found == said_by, "seed {seed}: {workers} workers say otherwise");
        }
        let counters = &expected.last().expect("ticks").output.counters;
        assert!(counters.reconcile(), "seed {seed}: {counters:?}");
        let accepted = expected.iter().flat_map(|tick| &tick.output.market);
        assert!(accepted.eq(world.records.iter().map(|(_, record)| record)), "seed {seed}: records were not taken");
        let coarse = World::new(seed, 700 * SECOND_NS, true);
        let (fine, coarse) = (standing(&expected), standing(&coarse.run_all(2)));
        let differs = fine.iter().find(|(key, values)| coarse.get(key) != Some(values));
        assert!(differs.is_none() && fine.len() == coarse.len(), "seed {seed}: {differs:?}");
        let known = fine.iter().filter(|((table, _, _), _)| *table == MICROSTRUCTURE);
        let numbers = |values: &[Value]| values.iter().filter(|value| matches!(value, Value::Double(_))).count();
        rows += known.filter(|(_, values)| numbers(values) > 15).count();
        gaps += expected.iter().map(|tick| tick.book_gaps).sum::<u64>();
        let events: Vec<&Row> =
            expected.iter().flat_map(|tick| &tick.output.rows).filter(|row| row.table == EVENTS).collect();
        let of = |kind: &str| events.iter().filter(|row| row.qualifier.starts_with(kind)).count() as u64;
        assert_eq!(of("book_gap:"), expected.iter().map(|tick| tick.book_gaps).sum::<u64>(), "seed {seed}");
        assert!(of("book_resynced:") > 5, "seed {seed}");
    }
    println!("{rows} rows with most columns known, {gaps} gaps");
    assert!(rows > 300 && gaps > 50, "the market was too quiet");
}

#[test]
fn rows_of_bars_alone_are_what_they_are_without_a_market() {
    for seed in 10..12 {
        let with = World::new(seed, 60 * SECOND_NS, true).run_all(2);
        let without = World::new(seed, 60 * SECOND_NS, false).run_all(2);
        let of = |ticks: &[MergedTick], is_wanted: fn(u16) -> bool| {
            let rows = ticks.iter().flat_map(|tick| tick.output.rows.iter().map(|row| (tick.output.tick, row.clone())));
            rows.filter(|(_, row)| is_wanted(row.table)).collect::<Vec<_>>()
        };
        let of_bars = |table| table == TECHNICAL || table == HOURS;
        let expected = of(&without, of_bars);
        assert!(of(&with, of_bars) == expected && expected.len() > 500, "seed {seed}");
        let empty = of(&without, |table| table == MICROSTRUCTURE);
        // The start of the bar, then the columns: null where nothing is known, never zero.
        let columns = View::core_microstructure().columns.len();
        let values = empty.iter().filter_map(|(_, row)| row.values.as_deref());
        assert!(values.flat_map(|values| &values[1..=columns]).all(|value| *value == Value::Null), "seed {seed}");
        assert!(of(&without, |table| table == EVENTS).is_empty());
    }
}

#[test]
fn every_row_comes_out_of_what_was_known_at_its_tick() {
    for seed in 20..23 {
        let ticks = World::new(seed, 90 * SECOND_NS, true).run_all(2);
        let tables = Tables::new(&views(), None);
        let mut check = LookaheadCheck::new(&views());
        let mut checked = [0; 2];
        for tick in &ticks {
            tick.output.bars.iter().for_each(|version| check.learn(version));
            tick.leaves.iter().for_each(|change| check.learn_leaf(change));
            for row in tick.output.rows.iter().filter(|row| row.table < EVENTS) {
                let published = tables.feature_of(row, tick.output.tick).expect("a row of a view");
                match check.check(&published) {
                    Finding::Same => checked[usize::from(row.table)] += 1,
                    other => panic!("seed {seed}: {other:?}"),
                }
            }
        }
        println!("seed {seed}: {checked:?} versions of rows computed again");
        assert!(checked.iter().all(|checked| *checked > 500));
    }
}

#[test]
fn hours_are_the_sums_of_their_bars() {
    let ticks = World::new(30, 60 * SECOND_NS, false).run_all(2);
    let mut bars: BTreeMap<(Instrument, i64), (f64, u64)> = BTreeMap::new();
    for version in ticks.iter().flat_map(|tick| &tick.output.bars) {
        if version.interval == Interval::H1 && version.is_final {
            let key = (version.instrument.clone(), version.close_time_ns());
            match &version.bar {
                Some(bar) => drop(bars.insert(key, (bar.volume_e8 as f64 / 1e8, bar.trade_count))),
                None => drop(bars.remove(&key)),
            }
        }
    }
    let mut compared = 0;
    for ((table, instrument, time_ns), values) in standing(&ticks) {
        if table != HOURS {
            continue;
        }
        let (volume, trades) = bars[&(instrument.clone(), time_ns)];
        let day_ns = Interval::D1.open_of(time_ns - 1);
        let of_day = bars.range((instrument.clone(), day_ns + 1)..=(instrument, time_ns)).map(|(_, bar)| bar.0);
        let (Value::Double(found), Value::Integer(count), Value::Double(share)) = (&values[1], &values[5], &values[6])
        else {
            panic!("{values:?}");
        };
        assert_eq!((found.to_bits(), *count), (volume.to_bits(), trades as i64));
        assert!((share - volume / of_day.sum::<f64>()).abs() < 1e-12);
        compared += 1;
    }
    assert_eq!(compared, bars.len());
    assert!(compared > 12);
}

#[test]
fn a_graph_begun_again_from_a_snapshot_goes_on_as_if_nothing_had_happened() {
    let mut restarts = 0;
    for seed in 40..44 {
        println!("seed {seed}");
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let world = World::new(seed, [60, 300][seed as usize % 2] * SECOND_NS, true);
        let expected: BTreeMap<u64, String> =
            world.run_all(1).iter().map(|tick| (tick.output.tick, said(tick))).collect();
        let folder = tempfile::tempdir().expect("a folder");
        let (mut loaded, mut told) = (None::<snapshot::Loaded>, BTreeSet::new());
        let mut lives = 0;
        loop {
            lives += 1;
            let place = |tick: u64| world.plan.iter().position(|planned| planned.tick == tick).expect("a planned tick");
            let begin = loaded.as_ref().map_or(0, |loaded| 1 + place(loaded.snapshot.tick));
            let length = random.random_range(1..world.plan.len() / 3);
            let end = if lives > 12 { world.plan.len() } else { (begin + length).min(world.plan.len()) };
            let base = loaded.as_ref().map(|loaded| loaded.snapshot.clone());
            let (is_first, salt): (bool, u64) = (base.is_none(), random.random());
            // The first of a life is whole where there is none to add to; then shards are, in turn.
            let saves = move |number: usize| {
                let saving = Saving { every: 3, turn: number as u32 % 3 };
                let is_due =
                    is_first && number == 0 || ChaCha8Rng::seed_from_u64(salt ^ number as u64).random_bool(0.3);
                is_due.then_some(if is_first && number == 0 { Saving::ALL } else { saving })
            };
            let mut ticks = world.run(begin..end, loaded.take(), random.random_range(1..5), &saves);
            for tick in &ticks {
                let (said, expected) = (said(tick), &expected[&tick.output.tick]);
                let differs = said.bytes().zip(expected.bytes()).position(|(left, right)| left != right);
                let from = differs.unwrap_or(0).saturating_sub(200);
                let around = |text: &str| text.chars().skip(from).take(500).collect::<String>();
                let (found, wanted) = (around(&said), around(expected));
                assert!(said == *expected, "seed {seed}, tick {}: {found}\nbut in one go: {wanted}", tick.output.tick);
                told.insert(tick.output.tick);
            }
            if told.len() == expected.len() {
                break;
            }
            let mut saved: Vec<_> =
                ticks.iter_mut().filter_map(|tick| Some((tick.output.tick, tick.saved.take()?))).collect();
            saved.truncate(random.random_range(1.min(saved.len())..=saved.len()));
            loaded = through_the_disk(folder.path(), base.as_ref(), saved);
            restarts += u32::from(loaded.is_some());
        }
    }
    println!("{restarts} restarts");
    assert!(restarts > 20);
}
