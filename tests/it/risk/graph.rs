//! Law 1 for risk: any workers, any order inside ticks, any restart say the same; and what must come of it comes.

use super::world::{Coming, Cut, HORIZON_NS, KILLED_AT_NS, World, config, cut, instrument};
use crate::restart::through_the_disk;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::ops::Range;
use tidewheel::engine::{self, MergedTick, SourceState};
use tidewheel::pipeline::PipelineConfig;
use tidewheel::snapshot;
use tidewheel::ticks::{Chunk, TickConfig, Ticker};
use tidewheel_operators::intake::IntakeLimits;
use tidewheel_operators::saved::Saving;
use tidewheel_schemas::{AccountContent, Interval, Row, SECOND_NS, Value};

const POSITIONS: u16 = 0;
const RISK: u16 = 1;
const EVENTS: u16 = 2;
const DECISIONS: u16 = 3;

const TICKS: TickConfig =
    TickConfig { limits: IntakeLimits { horizon_ns: HORIZON_NS, skew_ns: SECOND_NS }, provisional_every_ms: None };

fn pipeline(step: Interval) -> PipelineConfig {
    PipelineConfig {
        intervals: vec![Interval::M5],
        lateness_ns: 2 * SECOND_NS,
        horizon_ns: HORIZON_NS,
        archive: false,
        is_saved: true,
        views: Vec::new(),
        scoring: None,
        min_quality: None,
        hourly_volume: false,
        risk: Some(config(step)),
    }
}

/// A world cut into ticks.
struct Run<'a> {
    world: &'a World,
    /// The number of each tick, and its arrivals.
    plan: Vec<(u64, Range<usize>)>,
    /// Whether records are shuffled inside their tick.
    shuffle: Option<u64>,
    /// Which bars make scenarios.
    step: Interval,
}

impl<'a> Run<'a> {
    fn new(world: &'a World, tick_ns: i64) -> Self {
        let (mut plan, mut start) = (Vec::new(), 0);
        while start < world.arrivals.len() {
            let end_ns = (world.arrivals[start].0 / tick_ns + 1) * tick_ns;
            let end = start + world.arrivals[start..].partition_point(|(time_ns, _)| *time_ns < end_ns);
            plan.push(((end_ns / 1_000_000) as u64, start..end));
            start = end;
        }
        Self { world, plan, shuffle: None, step: Interval::M1 }
    }

    fn ticks(
        &self,
        ticks: Range<usize>,
        restored: Option<snapshot::Loaded>,
        workers: usize,
        saves: &dyn Fn(usize) -> Option<Saving>,
    ) -> Vec<MergedTick> {
        let (ticker, first, state) = match restored {
            Some(snapshot::Loaded { snapshot, state, .. }) => {
                let ticker = Ticker::restore(TICKS, snapshot.tick, &snapshot.source);
                (ticker, Some(engine::restore_tick(snapshot.tick, &snapshot.source, Vec::new())), Some(state))
            }
            None => (Ticker::new(TICKS), None, None),
        };
        let mut ticker = ticker.with_risk(true);
        let (mut engine, outputs) = engine::start(workers, &pipeline(self.step), state).expect("threads");
        let collector = std::thread::spawn(move || outputs.collect::<Vec<_>>());
        first.into_iter().for_each(|tick| assert!(engine.send(tick).is_continue()));
        for number in ticks {
            let (tick, arrivals) = self.plan[number].clone();
            let mut random = self.shuffle.map(|seed| ChaCha8Rng::seed_from_u64(seed ^ tick));
            let Cut { chunks, orders } =
                cut(&self.world.arrivals[arrivals.clone()], arrivals.start as u64, random.as_mut());
            let pieces = chunks.into_iter().map(|chunk| Chunk::new(chunk).take_all()).collect();
            ticker.accept_control(orders.len() as u64);
            let mut input = ticker.tick(tick, pieces, &[true, true]);
            if let Some(random) = &mut random {
                rand::seq::SliceRandom::shuffle(&mut input.account[..], random);
            }
            (input.orders, input.is_live) = (orders, true);
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
        engine.finish();
        collector.join().expect("the outputs are read to the end")
    }

    fn all(&self, workers: usize) -> Vec<MergedTick> {
        self.ticks(0..self.plan.len(), None, workers, &|_| None)
    }
}

/// What a tick said. Doubles print as the fewest digits that read back to the same bits.
fn said(tick: &MergedTick) -> String {
    let output = &tick.output;
    let (bars, rows, account, rejects) = (&output.bars, &output.rows, &output.account, &output.rejects);
    format!("{bars:?}\n{rows:?}\n{account:?}\n{rejects:?}\n{:?}\n{:?}", output.counters, tick.risk_sizes)
}

fn assert_same(found: &[MergedTick], expected: &[MergedTick], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let (said, wanted) = (said(found), said(expected));
        let differs = said.bytes().zip(wanted.bytes()).position(|(left, right)| left != right);
        let from = differs.unwrap_or(0).saturating_sub(200);
        let around = |text: &str| text.chars().skip(from).take(500).collect::<String>();
        assert!(said == wanted, "{what}, tick {}: {}\nbut: {}", found.output.tick, around(&said), around(&wanted));
    }
}

fn rows(ticks: &[MergedTick], table: u16) -> impl Iterator<Item = &Row> {
    ticks.iter().flat_map(|tick| &tick.output.rows).filter(move |row| row.table == table)
}

fn text(row: &Row, column: usize) -> &str {
    match &row.values.as_deref().expect("facts have values")[column] {
        Value::Text(text) => text,
        Value::Null => "",
        other => panic!("column {column}: {other:?}"),
    }
}

fn count(ticks: &[MergedTick], table: u16, column: usize) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    rows(ticks, table).for_each(|row| *counts.entry(text(row, column)).or_default() += 1);
    counts
}

#[test]
fn workers_and_order_inside_ticks_do_not_show_and_all_is_counted() {
    for (seed, tick_ns, step) in
        [(0, 100_000_000, Interval::M1), (1, SECOND_NS, Interval::M1), (2, SECOND_NS, Interval::S1)]
    {
        let world = World::new(seed);
        let mut run = Run { step, ..Run::new(&world, tick_ns) };
        let expected = run.all(1);
        for workers in [2, 4] {
            assert_same(&run.all(workers), &expected, &format!("seed {seed}, {workers} workers"));
        }
        run.shuffle = Some(seed);
        assert_same(&run.all(3), &expected, &format!("seed {seed}, shuffled"));

        let counters = &expected.last().expect("ticks").output.counters;
        assert!(counters.reconcile(), "{counters:?}");
        let (events, rulings) = (count(&expected, EVENTS, 0), count(&expected, DECISIONS, 8));
        let answers = count(&expected, DECISIONS, 7);
        let (positions, numbers) = (rows(&expected, POSITIONS).count(), rows(&expected, RISK).count());
        println!(
            "seed {seed}: {positions} positions, {numbers} numbers, {rulings:?}, {answers:?}, {events:?}, {counters:?}"
        );
        assert!(positions > 300 && numbers > 5_000);
        let scenarios = rows(&expected, RISK).filter_map(|row| match &row.values.as_deref()?[21] {
            Value::Integer(scenarios) => Some(*scenarios),
            _ => None,
        });
        // Of minutes there are forty in all.
        let most = scenarios.max().expect("there is a value at risk");
        assert_eq!(most > 40, step == Interval::S1, "{step}: {most}");
        for kind in
            ["order_done", "order_refused", "order_repeated", "tripped", "lowered", "level_changed", "flash_crash"]
        {
            assert!(events.contains_key(kind), "{kind} of {events:?}");
        }
        for kind in ["fill_not_counted", "intent_unknown", "intent_expired", "regime_changed"] {
            assert!(events.contains_key(kind), "{kind} of {events:?}");
        }
        let refused = rows(&expected, EVENTS).filter(|row| text(row, 0) == "order_refused");
        refused.for_each(|row| println!("{}", text(row, 14)));
        assert!(rulings["approved"] > 20 && rulings["rejected"] > 20, "{rulings:?}");
        assert!(answers["repeated"] > 5 && answers["name_reused"] > 5, "{answers:?}");
        // Fills and cash that cannot count are taken, and told.
        assert_eq!((counters.rejected, events["cash_not_counted"]), (0, 2), "{counters:?}");
        assert!(events["fill_not_counted"] > 10, "{events:?}");
        // The trades that came twice, and more.
        assert!(counters.duplicate > 100, "{counters:?}");
        let taken: usize = expected.iter().map(|tick| tick.output.account.len()).sum();
        let of_market = world.arrivals.iter().filter(|(_, coming)| !matches!(coming, Coming::Account(..))).count();
        assert!(taken > 800 && taken < world.arrivals.len() - of_market, "{taken}");
    }
}

#[test]
fn each_intent_has_one_decision_and_a_kill_of_its_tick_wins() {
    let world = World::new(7);
    let ticks = Run::new(&world, 500_000_000).all(2);
    let mut decided: BTreeMap<(&str, &str), &[Value]> = BTreeMap::new();
    for row in rows(&ticks, DECISIONS) {
        let (name, values) = ((text(row, 0), text(row, 2)), row.values.as_deref().expect("facts have values"));
        match text(row, 7) {
            "decided" => assert!(decided.insert(name, values).is_none(), "{name:?} was decided twice"),
            // What was asked and what was told: all but whether it came again, and how often.
            "repeated" => assert_eq!(
                (&values[..7], &values[8..20]),
                (&decided[&name][..7], &decided[&name][8..20]),
                "{name:?} was told something else"
            ),
            _ => assert!(decided.contains_key(&name)),
        }
    }
    let mut asked: Vec<(&str, &str)> = Vec::new();
    for (_, coming) in &world.arrivals {
        if let Coming::Account(AccountContent::Intent(intent), _) = coming {
            asked.push((&intent.holder.account, &intent.intent_id));
        }
    }
    asked.sort_unstable();
    asked.dedup();
    assert_eq!(decided.keys().copied().collect::<Vec<_>>(), asked);

    let in_vain = decided[&("main", "in-vain")];
    let killed = ticks.iter().find(|tick| tick.output.tick as i64 * 1_000_000 > KILLED_AT_NS).expect("a tick");
    assert_eq!(in_vain[18], Value::Integer(killed.output.tick as i64), "it is decided in the tick of the order");
    assert_eq!((&in_vain[8], &in_vain[13]), (&Value::text("rejected"), &Value::text("red")));
    let Value::Text(reasons) = &in_vain[11] else { panic!("reasons are text") };
    assert!(reasons.contains("kill_manual@account:main@red@stop"), "{reasons}");
    // Without the order nothing speaks against it.
    let mut spared = World { arrivals: world.arrivals.clone() };
    spared.arrivals.retain(|(_, coming)| !matches!(coming, Coming::Order(order) if order.id == "stop"));
    let ticks = Run::new(&spared, 500_000_000).all(1);
    let row = rows(&ticks, DECISIONS).find(|row| text(row, 2) == "in-vain").expect("it is decided");
    assert_eq!(text(row, 8), "approved", "{row:?}");
    assert!(["green", "yellow"].contains(&text(row, 13)), "{row:?}");
}

#[test]
fn what_is_held_does_not_depend_on_where_ticks_are_cut() {
    for seed in 20..22 {
        let mut world = World::new(seed);
        // What comes before its reference data, or too late, is judged by arrival: that is known, and not in question here.
        world.arrivals.retain(|(arrives_ns, coming)| match coming {
            Coming::Account(AccountContent::Fill(fill), event_time_ns) => {
                fill.instrument != instrument("SOLUSDT") && arrives_ns - event_time_ns < HORIZON_NS / 2
            }
            Coming::Account(AccountContent::FillAmendment(change), _) => change.instrument != instrument("SOLUSDT"),
            _ => true,
        });
        let held = |tick_ns: i64| {
            let run = Run::new(&world, tick_ns);
            let ticks = run.all(2);
            let mut held: BTreeMap<String, Vec<Value>> = BTreeMap::new();
            for row in rows(&ticks, POSITIONS) {
                let values = row.values.as_deref().expect("facts have values");
                // What fills alone make: not the marks, which are of the tick.
                let of_fills = [3, 4, 7, 10, 13, 14, 15].map(|column| values[column].clone());
                held.insert(format!("{} {}", row.instrument.symbol, row.qualifier), of_fills.to_vec());
            }
            held
        };
        let fine = held(SECOND_NS);
        assert!(fine.len() >= 6, "{fine:?}");
        for tick_ns in [250_000_000, 7 * SECOND_NS, 60 * SECOND_NS] {
            assert_eq!(held(tick_ns), fine, "seed {seed}, ticks of {tick_ns} ns");
        }
    }
}

#[test]
fn risk_begun_again_from_a_snapshot_goes_on_as_if_nothing_had_happened() {
    let mut restarts = 0;
    for seed in 40..43 {
        println!("seed {seed}");
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let world = World::new(seed);
        let step = if seed == 42 { Interval::S1 } else { Interval::M1 };
        let run = Run { step, ..Run::new(&world, [SECOND_NS, 5 * SECOND_NS][seed as usize % 2]) };
        let expected = run.all(1);
        let folder = tempfile::tempdir().expect("a folder");
        let (mut loaded, mut told, mut lives) = (None::<snapshot::Loaded>, 0, 0);
        while told < expected.len() {
            lives += 1;
            let place = |tick: u64| run.plan.iter().position(|planned| planned.0 == tick).expect("a planned tick");
            let begin = loaded.as_ref().map_or(0, |loaded| 1 + place(loaded.snapshot.tick));
            let length = random.random_range(1..run.plan.len() / 3);
            let end = if lives > 12 { run.plan.len() } else { (begin + length).min(run.plan.len()) };
            let base = loaded.as_ref().map(|loaded| loaded.snapshot.clone());
            let (is_first, salt): (bool, u64) = (base.is_none(), random.random());
            let saves = move |number: usize| {
                let is_begin = is_first && number == 0;
                let is_due = is_begin || ChaCha8Rng::seed_from_u64(salt ^ number as u64).random_bool(0.02);
                let turn = Saving { every: 3, turn: number as u32 % 3 };
                is_due.then_some(if is_begin { Saving::ALL } else { turn })
            };
            let mut ticks = run.ticks(begin..end, loaded.take(), random.random_range(1..5), &saves);
            assert_same(&ticks, &expected[begin..end], &format!("seed {seed}, from tick number {begin}"));
            told = told.max(end);
            let mut saved: Vec<_> =
                ticks.iter_mut().filter_map(|tick| Some((tick.output.tick, tick.saved.take()?))).collect();
            saved.truncate(random.random_range(1.min(saved.len())..=saved.len()));
            loaded = through_the_disk(folder.path(), base.as_ref(), saved);
            restarts += u32::from(loaded.is_some() && told < expected.len());
        }
    }
    println!("{restarts} restarts");
    assert!(restarts > 8);
}
