//! However records come, are cut into ticks, frozen, saved and restored: leaves and gaps are those of a computation from scratch,
//! and nothing is given that did not change.

use super::oracle::{self, Gaps, Leaves};
use super::random::{BEGIN_NS, market};
use super::{MINUTE_NS, header};
use crate::TickHeader;
use crate::market::{GapChange, GapKind, MarketConfig, MarketLedger, MarketOutcome, MarketSizes, SavedMarket};
use crate::saved::{RestoredState, Saving, shard_of, worker_of};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tidewheel_schemas::{Counters, Instrument, MarketRecord, SECOND_NS};
use timely::WorkerConfig;
use timely::dataflow::InputHandle;
use timely::dataflow::operators::{Input, Inspect, Probe};

const CONFIG: MarketConfig = MarketConfig { archive: true, is_saved: true, has_leaves: true, tells: false };

/// A ledger begun again with parts that were saved till a tick.
fn restored(header: &TickHeader, parts: &[SavedMarket]) -> MarketLedger {
    let (frozen_ns, watermark_ns, market) = (header.frozen_ns, header.watermark_ns, parts.to_vec());
    let state = RestoredState { frozen_ns, watermark_ns, market, ..RestoredState::default() };
    MarketLedger::restore(CONFIG, &mut { state })
}

fn take_gaps(known: &mut Gaps, gaps: &[GapChange], seed: u64) {
    for gap in gaps {
        let GapChange { epoch_ns, sequence, is_snapshot, depth, cause, .. } = *gap;
        let key = (gap.instrument.clone(), epoch_ns, sequence, is_snapshot, depth, cause);
        let was = match gap.kind {
            GapKind::Mended => known.remove(&key).is_some(),
            GapKind::Found => known.get_mut(&key).is_some_and(|is_found| !std::mem::replace(is_found, true)),
            // Again where it was found, and is not any more.
            kind => kind == cause && known.insert(key, false).is_none_or(|is_found| is_found),
        };
        assert!(was, "seed {seed}: {gap:?} was told out of order");
    }
}

fn take_leaves(known: &mut Leaves, outcome: &MarketOutcome, seed: u64) {
    for change in &outcome.leaves {
        let key = (change.instrument.clone(), change.open_time_ns);
        let before = match change.leaf {
            Some(leaf) => known.insert(key, leaf),
            None => known.remove(&key),
        };
        assert!(before != change.leaf, "seed {seed}: a leaf was given that did not change");
    }
}

/// Ticks of arrivals, cut at random: headers with the watermark a little behind what has come.
fn ticks(
    rng: &mut ChaCha8Rng,
    arrivals: &[(i64, MarketRecord)],
    horizon_ns: i64,
) -> Vec<(TickHeader, Vec<MarketRecord>)> {
    let mut ticks = Vec::new();
    let (mut watermark_ns, mut greatest_ns) = (i64::MIN, i64::MIN);
    let mut rest = arrivals;
    while !rest.is_empty() {
        let (of_tick, after) = rest.split_at(rng.random_range(0..120).min(rest.len()));
        rest = after;
        let mut records: Vec<MarketRecord> = of_tick.iter().map(|(_, record)| record.clone()).collect();
        let frozen_ns = TickHeader::frozen_at(watermark_ns, horizon_ns);
        greatest_ns = records.iter().map(|record| record.event_time_ns).fold(greatest_ns, i64::max);
        watermark_ns = watermark_ns.max(greatest_ns.saturating_sub(2 * SECOND_NS));
        records.shuffle(rng);
        ticks.push((header(ticks.len() as u64 + 1, frozen_ns, watermark_ns), records));
    }
    // All minutes end.
    let frozen_ns = TickHeader::frozen_at(watermark_ns, horizon_ns);
    ticks.push((header(ticks.len() as u64 + 1, frozen_ns, greatest_ns + 10 * MINUTE_NS), Vec::new()));
    ticks
}

#[test]
fn leaves_and_gaps_are_those_of_a_computation_from_scratch() {
    let (mut compared, mut restarts, mut refused, mut revised, mut mended, mut again) = (0, 0, 0, 0, 0, 0);
    for seed in 0..24 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let horizon_ns = [2, 5, 15, 40][seed as usize % 4] * MINUTE_NS;
        let arrivals = market(&mut rng, 60, horizon_ns / 2, true);
        let mut ledger = MarketLedger::new(CONFIG);
        let (mut leaves, mut gaps) = (Leaves::new(), Gaps::new());
        let mut accepted: Vec<MarketRecord> = Vec::new();
        let mut parts: Vec<SavedMarket> = Vec::new();
        let mut before = (0, 0, 0);
        let mut read = 0;
        let ticks = ticks(&mut rng, &arrivals, horizon_ns);
        let last = ticks.len() as u32 - 1;
        for (step, (header, records)) in (0u32..).zip(ticks) {
            read += records.len() as u64;
            let outcome = ledger.apply(&header, records);
            revised += outcome
                .leaves
                .iter()
                .filter(|change| leaves.contains_key(&(change.instrument.clone(), change.open_time_ns)))
                .count();
            again += outcome.gaps.iter().filter(|gap| gap.kind == GapKind::Restarted).count();
            mended += outcome.gaps.iter().filter(|gap| gap.kind == GapKind::Mended).count();
            take_leaves(&mut leaves, &outcome, seed);
            take_gaps(&mut gaps, &outcome.gaps, seed);
            let mut sizes = MarketSizes::default();
            ledger.markets.iter().for_each(|(_, market)| sizes.add(&market.sizes()));
            assert_eq!(outcome.sizes, sizes, "seed {seed}: the sums of sizes are others");
            refused += outcome.refused.len();
            let counters = &outcome.counters;
            let now = (before.0 + counters.accepted, before.1 + counters.duplicate, before.2 + counters.rejected);
            assert_eq!(now.0 + now.1 + now.2, read, "seed {seed}: a record ended nowhere");
            accepted.extend(outcome.accepted);
            if rng.random_bool(0.1) {
                let saved = ledger.save(Saving { every: 3, turn: step % 3 });
                let bytes = postcard::to_allocvec(&saved).expect("it can be written");
                parts.extend(postcard::from_bytes::<Vec<SavedMarket>>(&bytes).expect("it can be read"));
                if rng.random_bool(0.5) {
                    ledger = restored(&header, &parts);
                    (before, restarts) = (now, restarts + 1);
                }
            }
            if step % 25 == 24 || step == last {
                let (expected, expected_gaps) = oracle::leaves(&accepted);
                let ended = |((_, open), _): &(&(Instrument, i64), _)| open + MINUTE_NS <= header.watermark_ns;
                let expected: Leaves = expected.iter().filter(ended).map(|(key, leaf)| (key.clone(), *leaf)).collect();
                for (key, leaf) in &expected {
                    assert_eq!(leaves.get(key), Some(leaf), "seed {seed}, tick {}, {key:?}", header.tick);
                }
                assert_eq!(leaves.len(), expected.len(), "seed {seed}");
                assert_eq!(gaps, expected_gaps, "seed {seed}, tick {}", header.tick);
                compared += expected.len();
            }
        }
    }
    println!(
        "{compared} leaves compared, {revised} revised, {refused} records refused, {mended} gaps mended, {again} numberings, {restarts} restarts"
    );
    assert!(revised > 500 && refused > 200 && mended > 10 && again > 30 && restarts > 30, "the market was too quiet");
}

#[test]
fn the_answer_depends_on_the_set_alone() {
    for seed in 300..308 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut arrivals = market(&mut rng, 40, 0, false);
        let horizon_ns = 10_000 * MINUTE_NS;
        let records: Vec<MarketRecord> = arrivals.iter().map(|(_, record)| record.clone()).collect();
        let (expected, expected_gaps) = oracle::leaves(&records);
        assert!(
            expected.len() > 60 && !expected_gaps.is_empty(),
            "seed {seed}: {} {}",
            expected.len(),
            expected_gaps.len()
        );
        for order in 0..4 {
            match order {
                0 => {}
                1 => arrivals.reverse(),
                _ => arrivals.shuffle(&mut rng),
            }
            let mut ledger = MarketLedger::new(CONFIG);
            let (mut leaves, mut gaps) = (Leaves::new(), Gaps::new());
            for (header, records) in ticks(&mut rng, &arrivals, horizon_ns) {
                let outcome = ledger.apply(&header, records);
                assert!(outcome.refused.is_empty(), "seed {seed}: {:?}", outcome.refused[0]);
                take_leaves(&mut leaves, &outcome, seed);
                take_gaps(&mut gaps, &outcome.gaps, seed);
            }
            assert!(leaves == expected && gaps == expected_gaps, "seed {seed}, order {order}");
        }
    }
}

#[test]
fn a_restart_at_any_tick_changes_nothing() {
    let mut restarts = 0;
    for seed in 500..512 {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let horizon_ns = [2, 5, 15][seed as usize % 3] * MINUTE_NS;
        let arrivals = market(&mut rng, 40, horizon_ns / 2, true);
        let (mut ledger, mut again) = (MarketLedger::new(CONFIG), MarketLedger::new(CONFIG));
        let mut parts: Vec<SavedMarket> = Vec::new();
        let mut counted = Counters::default();
        for (step, (header, records)) in (0u32..).zip(ticks(&mut rng, &arrivals, horizon_ns)) {
            let expected = ledger.apply(&header, records.clone());
            let found = again.apply(&header, records);
            let refused = |outcome: &MarketOutcome| -> Vec<_> {
                outcome.refused.iter().map(|refused| (refused.record.source(), refused.reason)).collect()
            };
            assert_eq!(refused(&found), refused(&expected), "seed {seed}, tick {}", header.tick);
            assert_eq!(found.leaves, expected.leaves, "seed {seed}, tick {}", header.tick);
            assert_eq!(found.gaps, expected.gaps, "seed {seed}, tick {}", header.tick);
            assert!(found.accepted == expected.accepted, "seed {seed}, tick {}", header.tick);
            let mut counters = counted.clone();
            counters.add(&found.counters);
            assert_eq!(counters, expected.counters, "seed {seed}, tick {}", header.tick);
            // Checkpoints lie elsewhere.
            let held = |sizes: &MarketSizes| (sizes.instruments, sizes.records, sizes.updates, sizes.gaps);
            assert_eq!(held(&found.sizes), held(&expected.sizes), "seed {seed}, tick {}", header.tick);
            let _ = ledger.save(Saving { every: 7, turn: step % 7 });
            parts.extend(again.save(Saving { every: 7, turn: step % 7 }));
            // What it has from the last whole parts, and from the beginning.
            again = restored(&header, &parts);
            (counted, restarts) = (counters, restarts + 1);
        }
    }
    assert!(restarts > 300, "{restarts}");
}

#[test]
fn what_is_told_is_the_same_in_any_order_with_freezing_and_restarts() {
    // In the last a gap by a contradiction is taken back after a checkpoint right before it.
    for seed in (600..640).chain([808]) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let in_order = market(&mut rng, 30, 0, false);
        let mut told: Vec<(Leaves, Gaps)> = Vec::new();
        for order in 0..4 {
            // Each record within five minutes of its own time: but for the first order, that of time.
            let mut arrivals = in_order.clone();
            for (arrival_ns, record) in &mut arrivals {
                *arrival_ns = record.event_time_ns.max(*arrival_ns) + rng.random_range(0..=order * 100) * SECOND_NS;
            }
            arrivals.sort_by_key(|(arrival_ns, record)| (*arrival_ns, record.position));
            let mut ledger = MarketLedger::new(CONFIG);
            let mut parts: Vec<SavedMarket> = Vec::new();
            let (mut leaves, mut gaps) = (Leaves::new(), Gaps::new());
            for (step, (header, records)) in (0u32..).zip(ticks(&mut rng, &arrivals, 10 * MINUTE_NS)) {
                let outcome = ledger.apply(&header, records);
                assert!(outcome.refused.is_empty(), "seed {seed}: {:?}", outcome.refused[0]);
                take_leaves(&mut leaves, &outcome, seed);
                take_gaps(&mut gaps, &outcome.gaps, seed);
                parts.extend(ledger.save(Saving { every: 5, turn: step % 5 }));
                if order % 2 == 1 {
                    ledger = restored(&header, &parts);
                }
            }
            told.push((leaves, gaps));
        }
        assert!(told[0].0.len() > 40 && !told[0].1.is_empty(), "seed {seed}: {}", told[0].0.len());
        for (order, found) in told.iter().enumerate() {
            assert!(found.0 == told[0].0, "seed {seed}, order {order}: other leaves");
            assert!(found.1 == told[0].1, "seed {seed}, order {order}: other gaps");
        }
    }
}

#[test]
fn what_is_held_does_not_grow() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let arrivals = market(&mut rng, 600, MINUTE_NS, false);
    let mut ledger = MarketLedger::new(CONFIG);
    let mut most = [[0; 3]; 2];
    for (header, records) in ticks(&mut rng, &arrivals, 10 * MINUTE_NS) {
        let sizes = ledger.apply(&header, records).sizes;
        let half = usize::from(header.watermark_ns > BEGIN_NS + 300 * MINUTE_NS);
        let held = [sizes.records, sizes.updates, sizes.levels];
        most[half].iter_mut().zip(held).for_each(|(most, held)| *most = held.max(*most));
        if header.save.is_none() {
            ledger.save(Saving::ALL);
        }
    }
    println!("records, updates, levels: at most {most:?}");
    // About a record a second, over the horizon, two minutes more, and what comes in a tick; about ten levels an update.
    assert!(most[1][0] + most[1][1] < 2 * 60 * 14 && most[1][2] < 3 * 3 * 2 * 60 + 12 * most[1][1]);
}

type Ticks = Vec<(TickHeader, Vec<MarketRecord>)>;

/// Runs the operator: outcomes by tick, put together over the workers.
fn run(workers: usize, ticks: &Ticks, restored: &[SavedMarket]) -> BTreeMap<u64, MarketOutcome> {
    let out: Arc<Mutex<BTreeMap<u64, MarketOutcome>>> = Arc::default();
    let shared = Arc::clone(&out);
    let (ticks, restored) = (ticks.clone(), restored.to_vec());
    let config = timely::Config {
        communication: timely::CommunicationConfig::Process(workers),
        worker: WorkerConfig::default(),
    };
    let guards = timely::execute(config, move |worker| {
        let (index, peers) = (worker.index(), worker.peers());
        let mut records = InputHandle::new();
        let mut headers = InputHandle::new();
        let (frozen_ns, watermark_ns) = (ticks[0].0.frozen_ns, ticks[0].0.watermark_ns);
        let state = RestoredState { frozen_ns, watermark_ns, market: restored.clone(), ..RestoredState::default() };
        let mut state = (!restored.is_empty()).then(|| state.split(peers).swap_remove(index));
        let out = Arc::clone(&shared);
        let probe = worker.dataflow(|scope| {
            let records = scope.input_from(&mut records);
            let headers = scope.input_from(&mut headers);
            let streams = crate::market::market(records, headers, CONFIG, state.as_mut());
            let gather = move |tick: &u64, outcome: &MarketOutcome| {
                let mut out = out.lock().expect("alive");
                let all = out.entry(*tick).or_default();
                all.accepted.extend(outcome.accepted.clone());
                all.gaps.extend(outcome.gaps.clone());
                all.leaves.extend(outcome.leaves.clone());
                all.saved.extend(outcome.saved.clone());
                all.counters.add(&outcome.counters);
                all.sizes.add(&outcome.sizes);
            };
            let outcomes = streams.outcomes.inspect_time(gather);
            outcomes.probe().0
        });
        for (number, (header, of_tick)) in ticks.iter().enumerate() {
            records.advance_to(header.tick);
            headers.advance_to(header.tick);
            // Any worker may read a record.
            for (at, record) in of_tick.iter().enumerate() {
                if (at + number) % peers == index {
                    records.send(record.clone());
                }
            }
            headers.send(*header);
            records.advance_to(header.tick + 1);
            headers.advance_to(header.tick + 1);
            worker.step_while(|| probe.less_than(&(header.tick + 1)));
        }
    });
    drop(guards.expect("workers start"));
    let mut outcomes = std::mem::take(&mut *out.lock().expect("alive"));
    for outcome in outcomes.values_mut() {
        outcome.accepted.sort_by_key(MarketRecord::source);
        outcome.gaps.sort_by_cached_key(GapChange::key);
        outcome.leaves.sort_by_key(|change| (change.instrument.clone(), change.open_time_ns));
    }
    outcomes
}

#[test]
fn the_operator_is_the_ledger_on_any_number_of_workers_and_after_a_restart() {
    let mut rng = ChaCha8Rng::seed_from_u64(400);
    let arrivals = market(&mut rng, 60, 3 * MINUTE_NS, true);
    let mut all: Ticks = ticks(&mut rng, &arrivals, 6 * MINUTE_NS);
    let mut ledger = MarketLedger::new(CONFIG);
    let expected: Vec<MarketOutcome> =
        all.iter().map(|(header, records)| ledger.apply(header, records.clone())).collect();
    let same = |found: &MarketOutcome, expected: &MarketOutcome| {
        let what = |of: &MarketOutcome| (of.accepted.clone(), of.gaps.clone(), of.leaves.clone());
        // Checkpoints lie elsewhere after a restart; what is held is the same.
        what(found) == what(expected)
            && (found.sizes.records, found.sizes.updates) == (expected.sizes.records, expected.sizes.updates)
    };
    for workers in [1, 2, 4] {
        for (expected, (tick, found)) in expected.iter().zip(run(workers, &all, &[])) {
            assert!(same(&found, expected), "{workers} workers, tick {tick}");
            assert_eq!(found.counters, expected.counters);
        }
    }
    let half = all.len() / 2;
    all[half].0.save = Some(Saving::ALL);
    let begun: Ticks = all[..=half].to_vec();
    let saved = run(2, &begun, &[]).remove(&all[half].0.tick).expect("the last tick").saved;
    assert!(saved.iter().all(|part| worker_of(part.shard, 2) < 2) && !saved.is_empty());
    let ours = |record: &MarketRecord| saved.iter().any(|part| part.shard == shard_of(record.instrument.id()));
    assert!(arrivals.iter().all(|(_, record)| ours(record)));
    let mut again: Ticks = vec![(TickHeader { is_restore: true, save: None, ..all[half].0 }, Vec::new())];
    again.extend(all[half + 1..].iter().cloned());
    let found = run(4, &again, &saved);
    let mut leaves = 0;
    for (expected, (tick, found)) in expected[half + 1..].iter().zip(found.into_iter().skip(1)) {
        assert!(same(&found, expected), "after the restart, tick {tick}");
        leaves += found.leaves.len();
    }
    assert!(leaves > 50);
}
