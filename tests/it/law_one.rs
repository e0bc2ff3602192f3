//! Law 1: one answer. Whatever the order of arrival inside the horizon, the ticks, the batches, the partitions and the
//! number of workers, the bars are those of the slow oracle, and so are the counts.

use crate::market::{Arrival, BarKey, Fate, HORIZON_NS, Market, Record, SKEW_NS, amendment, bars_of, surviving_trades};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tidewheel::engine::{self, MergedTick};
use tidewheel::pipeline::PipelineConfig;
use tidewheel::tables::Tables;
use tidewheel::ticks::{Chunk, TickConfig, Ticker};
use tidewheel_connectors::source::DecodedChunk;
use tidewheel_operators::features::{View, check_lookahead};
use tidewheel_operators::intake::IntakeLimits;
use tidewheel_schemas::{Bar, BarVersion, Counters, Instrument, Interval, SECOND_NS, Value};

/// How the arrivals are fed.
#[derive(Clone, Copy, Debug)]
pub struct Feeding {
    pub workers: usize,
    pub partitions: usize,
    /// Whether an instrument stays in one partition.
    pub is_keyed: bool,
    /// Length of a tick; cut points inside it vary with the seed.
    pub tick_ns: i64,
    pub provisional: bool,
    pub seed: u64,
}

/// The rows of features that stand at the end, by instrument and end of the bar.
type FeatureRows = BTreeMap<(Instrument, i64), Box<[Value]>>;

/// What a run gave.
struct Run {
    bars: BTreeMap<BarKey, Bar>,
    rows: FeatureRows,
    counters: Counters,
    ticks: Vec<MergedTick>,
    /// How many arrivals had been fed at each tick.
    fed: BTreeMap<u64, usize>,
}

fn run(arrivals: &[Arrival], feeding: Feeding) -> Run {
    let config = PipelineConfig {
        intervals: Interval::ALL.to_vec(),
        lateness_ns: 10 * SECOND_NS,
        horizon_ns: HORIZON_NS,
        archive: true,
        is_saved: false,
        views: vec![View::core_technical()],
        scoring: None,
        min_quality: None,
        hourly_volume: false,
        risk: None,
    };
    let (mut engine, outputs) = engine::start(feeding.workers, &config, None).expect("threads");
    let collector = std::thread::spawn(move || outputs.collect::<Vec<_>>());
    let mut ticker = Ticker::new(TickConfig {
        limits: IntakeLimits { horizon_ns: HORIZON_NS, skew_ns: SKEW_NS },
        provisional_every_ms: feeding.provisional.then_some(1),
    });
    let random = &mut ChaCha8Rng::seed_from_u64(feeding.seed);
    let caught_up = vec![true; feeding.partitions];
    let mut positions = vec![0u64; feeding.partitions];
    let mut fed = BTreeMap::new();
    let mut start = 0;
    while start < arrivals.len() {
        // A tick ends with its time or, sometimes, earlier: the source may cut where it likes.
        let end_ns = (arrivals[start].time_ns / feeding.tick_ns + 1) * feeding.tick_ns;
        let mut end = start + arrivals[start..].iter().take_while(|arrival| arrival.time_ns < end_ns).count();
        if random.random_bool(0.2) {
            end = random.random_range(start + 1..=end);
        }
        let tick = (arrivals[end - 1].time_ns / 1_000_000) as u64 + 1;
        let tick = tick.max(ticker.last_tick().map_or(0, |last| last + 1));
        let chunks = chunks_of(&arrivals[start..end], feeding, &mut positions, random);
        let pieces = chunks.into_iter().map(Chunk::take_all).collect();
        assert!(engine.send(ticker.tick(tick, pieces, &caught_up)).is_continue());
        fed.insert(tick, end);
        start = end;
    }
    let last = ticker.finish();
    fed.insert(last.header.tick, arrivals.len());
    assert!(engine.send(last).is_continue());
    engine.finish();
    let ticks = collector.join().expect("the outputs are read to the end");
    let mut bars = BTreeMap::new();
    for version in ticks.iter().flat_map(|tick| &tick.output.bars) {
        let key = (version.interval, version.instrument.clone(), version.open_time_ns);
        match version.bar {
            Some(bar) => drop(bars.insert(key, bar)),
            None => drop(bars.remove(&key)),
        }
    }
    let mut rows = FeatureRows::new();
    for row in ticks.iter().flat_map(|tick| &tick.output.rows) {
        let key = (row.instrument.clone(), row.event_time_ns);
        match &row.values {
            Some(values) => drop(rows.insert(key, values.clone())),
            None => drop(rows.remove(&key)),
        }
    }
    let counters = ticks.last().map(|tick| tick.output.counters.clone()).unwrap_or_default();
    Run { bars, rows, counters, ticks, fed }
}

/// Arrivals as the chunks of their partitions, several to a partition.
pub fn chunks_of(arrivals: &[Arrival], feeding: Feeding, positions: &mut [u64], random: &mut ChaCha8Rng) -> Vec<Chunk> {
    let mut decoded: Vec<DecodedChunk> = Vec::new();
    let mut open: Vec<Option<usize>> = vec![None; feeding.partitions];
    for arrival in arrivals {
        let spread = if feeding.is_keyed { arrival.instrument.id().0 } else { random.random_range(0..1_000) };
        let partition = (spread % feeding.partitions as u64) as usize;
        if open[partition].is_none() || random.random_bool(0.05) {
            open[partition] = Some(decoded.len());
            let mut chunk = DecodedChunk::default();
            chunk.columns.partition = partition as u32;
            decoded.push(chunk);
        }
        let chunk = &mut decoded[open[partition].expect("opened above")];
        let position = positions[partition];
        positions[partition] += 1;
        chunk.end_position = position + 1;
        if let Record::Trade(trade) = &arrival.record {
            let known = chunk.columns.instruments.iter().position(|known| *known == arrival.instrument);
            let instrument = known.unwrap_or_else(|| {
                chunk.columns.instruments.push(arrival.instrument.clone());
                chunk.columns.instruments.len() - 1
            });
            chunk.columns.push(instrument as u32, trade, position);
        }
        chunk.amendments.extend(amendment(&arrival.instrument, &arrival.record, partition as u32, position));
    }
    decoded.into_iter().map(Chunk::new).collect()
}

fn check(market: &Market, feeding: Feeding) -> FeatureRows {
    let run = run(&market.arrivals, feeding);
    let expected = bars_of(&surviving_trades(market.arrivals.iter()));
    assert_eq!(run.bars.len(), expected.len(), "number of bars, {feeding:?}");
    for (key, bar) in &expected {
        assert_eq!(run.bars.get(key), Some(bar), "{key:?}, {feeding:?}");
    }
    let fates = market.fates();
    let count = |fate: Fate| fates.get(&fate).copied().unwrap_or_default();
    let counters = &run.counters;
    assert!(counters.reconcile(), "{counters:?}");
    assert_eq!(counters.read, market.arrivals.len() as u64, "{feeding:?}");
    assert_eq!(counters.accepted, count(Fate::Accepted), "accepted, {feeding:?}");
    assert_eq!(counters.duplicate, count(Fate::Duplicate), "duplicate, {feeding:?}");
    assert_eq!(counters.late, count(Fate::Late), "late, {feeding:?}");
    assert_eq!(counters.rejected, count(Fate::Future) + count(Fate::UnknownTrade), "rejected, {feeding:?}");
    assert_eq!(counters.pending, 0, "{feeding:?}");
    let minutes = expected.keys().filter(|(interval, ..)| *interval == Interval::M1);
    let closes: Vec<_> = minutes.map(|(_, instrument, open)| (instrument, open + Interval::M1.duration_ns())).collect();
    assert!(closes.into_iter().eq(run.rows.keys().map(|(instrument, close)| (instrument, *close))), "{feeding:?}");
    run.rows
}

/// Values of two runs, bit by bit: the first that differ.
fn same_rows(found: &FeatureRows, expected: &FeatureRows, what: &str) {
    for (key, values) in expected {
        assert_eq!(found.get(key), Some(values), "{what}: {key:?}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

const FEEDING: Feeding =
    Feeding { workers: 1, partitions: 1, is_keyed: true, tick_ns: 10 * SECOND_NS, provisional: false, seed: 0 };

#[test]
fn one_answer_for_any_workers_partitions_and_ticks() {
    for seed in 0..4 {
        let market = Market::new(seed, 3_000);
        let mut rows = None;
        for (workers, partitions, is_keyed, tick_s) in
            [(1, 1, true, 10), (2, 3, true, 1), (4, 2, false, 60), (2, 4, false, 600), (3, 1, true, 7)]
        {
            let tick_ns = tick_s * SECOND_NS;
            let found = check(&market, Feeding { workers, partitions, is_keyed, tick_ns, seed, ..FEEDING });
            same_rows(&found, rows.get_or_insert_with(|| found.clone()), &format!("seed {seed}, {workers} workers"));
        }
        println!("seed {seed}: {} rows of features, the same five times", rows.map_or(0, |rows| rows.len()));
    }
}

#[test]
fn one_answer_for_any_order_of_arrival_inside_the_horizon() {
    for seed in 10..16 {
        let market = Market::new(seed, 2_000);
        let permuted = market.permuted(seed);
        let found = check(&permuted, Feeding { workers: 2, tick_ns: (seed as i64 - 9) * SECOND_NS, seed, ..FEEDING });
        same_rows(&found, &check(&market, FEEDING), &format!("seed {seed}, permuted"));
    }
}

#[test]
fn every_published_version_is_the_direct_fold_of_the_trades_known_at_its_tick() {
    for seed in 20..22 {
        let market = Market::new(seed, 400);
        let feeding =
            Feeding { workers: 2, partitions: 2, tick_ns: 60 * SECOND_NS, provisional: true, seed, ..FEEDING };
        let run = run(&market.arrivals, feeding);
        for tick in &run.ticks {
            let known = &market.arrivals[..run.fed[&tick.output.tick]];
            let bars = bars_of(&surviving_trades(known.iter()));
            for version in &tick.output.bars {
                let key = (version.interval, version.instrument.clone(), version.open_time_ns);
                assert_eq!(version.bar.as_ref(), bars.get(&key), "seed {seed}, tick {}, {key:?}", version.tick);
            }
        }
    }
}

#[test]
fn revisions_count_up_from_the_final_version_and_each_says_something_new() {
    let market = Market::new(30, 2_000);
    let run = run(&market.arrivals, Feeding { workers: 2, provisional: true, tick_ns: 5 * SECOND_NS, ..FEEDING });
    let mut last: BTreeMap<BarKey, BarVersion> = BTreeMap::new();
    let mut revisions = 0;
    for version in run.ticks.iter().flat_map(|tick| &tick.output.bars) {
        let key = (version.interval, version.instrument.clone(), version.open_time_ns);
        if let Some(before) = last.get(&key) {
            let expected = before.revision + u32::from(before.is_final);
            assert_eq!(version.revision, expected, "{key:?}");
            assert!(version.is_final || !before.is_final, "{key:?} goes back to provisional");
            assert!(version.bar != before.bar || version.is_final != before.is_final, "{key:?} repeats itself");
        } else {
            assert_eq!(version.revision, 0, "{key:?}");
        }
        revisions += u64::from(version.revision > 0);
        last.insert(key, version.clone());
    }
    assert!(revisions > 100, "the market has corrections of final bars: {revisions}");
    let standing = || last.values().filter(|version| version.bar.is_some());
    assert!(standing().all(|version| version.is_final), "the end of a replay makes every bar final");
}

#[test]
fn insert_then_cancel_leaves_no_trace_and_correct_equals_cancel_plus_insert() {
    let market = Market::new(40, 500);
    let plain: Vec<Arrival> = market
        .arrivals
        .iter()
        .filter(|arrival| matches!(arrival.record, Record::Trade(_)) && arrival.fate == Fate::Accepted)
        .cloned()
        .collect();
    // Every other trade is cancelled; the rest stay.
    let mut cancelled = plain.clone();
    for arrival in plain.iter().step_by(2) {
        let Record::Trade(trade) = arrival.record else { continue };
        let change = tidewheel_schemas::Change::Cancel;
        let record = Record::Amend { id: trade.id, change, original_time_ns: None, sequence: 0 };
        cancelled.push(Arrival { time_ns: arrival.time_ns + SECOND_NS, record, ..arrival.clone() });
    }
    cancelled.sort_by_key(|arrival| arrival.time_ns);
    let never: Vec<Arrival> = plain.iter().skip(1).step_by(2).cloned().collect();
    assert_eq!(run(&cancelled, FEEDING).bars, run(&never, FEEDING).bars);

    // A correction against a trade that was right from the start.
    let mut corrected = plain.clone();
    let mut right = plain.clone();
    for (wrong, right) in plain.iter().zip(&mut right).step_by(3) {
        let Record::Trade(trade) = &mut right.record else { continue };
        trade.price_e8 += 100_000_000;
        trade.event_time_ns -= 20 * SECOND_NS;
        let correction = tidewheel_schemas::Correction {
            price_e8: Some(trade.price_e8),
            event_time_ns: Some(trade.event_time_ns),
            ..Default::default()
        };
        let change = tidewheel_schemas::Change::Correct(correction);
        let record = Record::Amend { id: trade.id, change, original_time_ns: None, sequence: 0 };
        corrected.push(Arrival { time_ns: wrong.time_ns + SECOND_NS, record, ..wrong.clone() });
    }
    corrected.sort_by_key(|arrival| arrival.time_ns);
    assert_eq!(run(&corrected, FEEDING).bars, run(&right, FEEDING).bars);
}

#[test]
fn every_version_of_a_row_comes_out_of_the_bars_known_at_its_tick() {
    let views = [View::core_technical()];
    let tables = Tables::new(&views, None);
    for seed in 50..53 {
        let market = Market::new(seed, 1_500);
        let feeding = Feeding { workers: 2, partitions: 3, is_keyed: false, seed, ..FEEDING };
        let run = run(&market.arrivals, feeding);
        let outputs = || run.ticks.iter().map(|tick| &tick.output);
        let versions: Vec<BarVersion> = outputs().flat_map(|output| output.bars.iter().cloned()).collect();
        let rows = outputs().flat_map(|output| output.rows.iter().map(|row| tables.feature_of(row, output.tick)));
        let rows: Vec<_> = rows.map(|row| row.expect("a row of the view")).collect();
        let report = check_lookahead(&views, &versions, &rows);
        assert!(report.leaks.is_empty(), "seed {seed}: {:?}", report.leaks[0]);
        assert_eq!((report.checked, report.unanchored), (rows.len() as u64, 0), "seed {seed}");
        let revised = rows.iter().filter(|row| row.revision > 0).count();
        assert!(revised > 500, "seed {seed}: {revised} revisions");
        println!("seed {seed}: {} versions of rows, {revised} of them revisions", rows.len());
    }
}
