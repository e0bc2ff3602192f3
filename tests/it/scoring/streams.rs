//! The graph under promotions every few ticks: no mixed ensemble, one answer on any number of workers, and the same after
//! restarts at random ticks.

use super::script::{Script, VERSIONS};
use super::shelf::{Shelf, view};
use crate::law_one::{Feeding, chunks_of};
use crate::market::{Arrival, HORIZON_NS, Market};
use crate::restart::{Planned, TICKS, plan, through_the_disk};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::time::Duration;
use tidewheel::engine::{self, MergedTick, SavedState, SourceState};
use tidewheel::models;
use tidewheel::pipeline::PipelineConfig;
use tidewheel::scoring::{CommandRecord, ControlFact, Desk, ScoringRules, Verdict, Wanted};
use tidewheel::snapshot::{self, SnapshotTimer};
use tidewheel::tables::Tables;
use tidewheel::ticks::{Chunk, Ticker};
use tidewheel_connectors::registry::Registry;
use tidewheel_models::{FeatureRow, FeatureView, Promotion, Window};
use tidewheel_operators::signals::SignalsConfig;
use tidewheel_schemas::{Instrument, Interval, Row, SECOND_NS, Value};

const HISTORY_ROWS: usize = 8;

fn rules() -> ScoringRules {
    let signals = SignalsConfig { consider: 0.55, act: 0.65, cool_down_ns: 180 * SECOND_NS, universe: 3 };
    ScoringRules { topic: "control".to_owned(), history_rows: HISTORY_ROWS, signals }
}

fn pipeline() -> PipelineConfig {
    PipelineConfig {
        intervals: vec![Interval::M1, Interval::M5],
        lateness_ns: 10 * SECOND_NS,
        horizon_ns: HORIZON_NS,
        archive: true,
        is_saved: true,
        views: vec![view()],
        min_quality: None,
        hourly_volume: false,
        risk: None,
        scoring: Some(rules()),
    }
}

/// What a tick said.
fn said(tick: &MergedTick) -> String {
    let output = &tick.output;
    format!("{:?}\n{:?}\n{:?}\n{:?}", output.rows, output.rejects, output.bars, output.counters)
}

struct World {
    shelf: Shelf,
    arrivals: Vec<Arrival>,
    plan: Vec<Planned>,
    feeding: Feeding,
    script: Script,
}

impl World {
    fn new(seed: u64, trades: usize) -> Self {
        let shelf = Shelf::new(VERSIONS);
        let arrivals = Market::new(seed, trades).arrivals;
        let tick_ns = 60 * SECOND_NS;
        let feeding = Feeding { workers: 1, partitions: 2, is_keyed: true, tick_ns, provisional: true, seed };
        let plan = plan(&arrivals, feeding);
        let script = Script::new(seed, plan.len(), &shelf);
        Self { shelf, arrivals, plan, feeding, script }
    }

    fn desk(&self) -> Desk {
        Desk::new(&self.shelf.path(), vec![view()], HISTORY_ROWS)
    }

    /// Runs ticks, from nothing or from a snapshot; decides about the records that `log` does not know.
    fn run(
        &self,
        ticks: Range<usize>,
        restored: Option<snapshot::Loaded>,
        workers: usize,
        log: &mut BTreeMap<u64, Vec<Verdict>>,
        saves: &dyn Fn(usize) -> bool,
    ) -> Vec<MergedTick> {
        let mut timer = SnapshotTimer::new(Duration::ZERO, restored.is_some());
        let busy = timer.busy_flag();
        let mut desk = self.desk();
        let (mut ticker, first, state) = match restored {
            Some(snapshot::Loaded { snapshot, state, .. }) => {
                let active = desk.restore(&snapshot.source.ensembles).expect("what was active is there");
                let first = engine::restore_tick(snapshot.tick, &snapshot.source, active);
                (Ticker::restore(TICKS, snapshot.tick, &snapshot.source), Some(first), Some(state))
            }
            None => (Ticker::new(TICKS), None, None),
        };
        let (mut engine, outputs) = engine::start(workers, &pipeline(), state).expect("threads");
        let collector = std::thread::spawn(move || outputs.collect::<Vec<_>>());
        first.into_iter().for_each(|tick| assert!(engine.send(tick).is_continue()));
        let control = self.feeding.partitions as u32;
        for number in ticks {
            let Planned { tick, arrivals, positions, seed } = &self.plan[number];
            let random = &mut ChaCha8Rng::seed_from_u64(*seed);
            let chunks = chunks_of(&self.arrivals[arrivals.clone()], self.feeding, &mut positions.clone(), random);
            let (piece, records, decided) = self.script.decide(number, (*tick, control), &mut desk, log);
            ticker.accept_control(records.len() as u64);
            let pieces = chunks.into_iter().map(Chunk::take_all).chain(piece).collect();
            let mut input = ticker.tick(*tick, pieces, &vec![true; self.feeding.partitions + 1]);
            for (record, decided) in records.into_iter().zip(decided) {
                input.activations.extend(decided.activation);
                let source = "control[0]".into();
                input.source.control.push(ControlFact { source, record, verdict: decided.verdict });
            }
            if saves(number) {
                busy.store(false, std::sync::atomic::Ordering::Release);
                input.header.save = timer.due(false);
                input.source.state = Some(Box::new(SourceState {
                    max_event_times_ns: ticker.max_event_times_ns(),
                    counters: ticker.counters().clone(),
                    watermark_ns: input.header.watermark_ns,
                    frozen_ns: input.header.frozen_ns,
                    ensembles: desk.in_force(),
                    ..SourceState::default()
                }));
            }
            assert!(engine.send(input).is_continue());
        }
        engine.finish();
        collector.join().expect("the outputs are read to the end")
    }

    fn run_all(&self, workers: usize) -> (Vec<MergedTick>, BTreeMap<u64, Vec<Verdict>>) {
        let mut log = BTreeMap::new();
        (self.run(0..self.plan.len(), None, workers, &mut log, &|_| false), log)
    }
}

/// A value of a row by its column.
fn cell<'a>(tables: &Tables, row: &'a Row, column: &str) -> &'a Value {
    let at = tables.specs()[usize::from(row.table)].columns.iter().position(|spec| &*spec.name == column);
    &row.values.as_ref().expect("facts have values")[at.expect("a column")]
}

fn text(value: &Value) -> Option<&str> {
    if let Value::Text(text) = value { Some(text) } else { None }
}

/// What every prediction must be: that of the ensemble in force at its tick, whole, of the row that came with the tick.
struct Oracle<'a> {
    world: &'a World,
    tables: Tables,
    in_force: BTreeMap<(bool, String), Promotion>,
    /// The newest row that was scored.
    newest: BTreeMap<(bool, Instrument), i64>,
    seen: BTreeSet<u64>,
    predictions: usize,
    shadows: usize,
    acts: usize,
    /// The thresholds of signals in force, and how many there were after the first.
    policy: SignalsConfig,
    policies: usize,
}

impl Oracle<'_> {
    fn rows<'t>(&self, tick: &'t MergedTick, family: &str) -> Vec<&'t Row> {
        let number = self.tables.specs().iter().position(|spec| &*spec.family == family).expect("a table");
        tick.output.rows.iter().filter(|row| usize::from(row.table) == number).collect()
    }

    fn check(&mut self, number: usize, tick: &MergedTick, verdicts: &[Verdict]) {
        let records = self.world.script.records[number].iter();
        let records = records.filter_map(|raw| CommandRecord::parse(raw.as_bytes(), 0, None).ok());
        for (record, verdict) in records.zip(verdicts).filter(|(_, verdict)| verdict.refused.is_none()) {
            let expected = verdict.position;
            let of = |alias, symbol: String| (alias == tidewheel_models::Alias::Challenger, symbol);
            match record.wanted {
                Wanted::Promotion(it) => drop(self.in_force.insert(of(it.alias, it.symbol.clone()), it)),
                Wanted::Withdrawal(it) => drop(self.in_force.remove(&of(it.alias, it.symbol))),
                Wanted::SignalsPolicy(it) => (self.policy, self.policies) = (it.config(), self.policies + 1),
                Wanted::Risk(_) => panic!("a run without risk takes no order to it"),
            }
            let events = self.rows(tick, "control");
            assert!(events.iter().any(|row| *cell(&self.tables, row, "position") == Value::Integer(expected as i64)));
        }
        let mut expected: BTreeMap<(bool, Instrument, i64), (u64, String)> = BTreeMap::new();
        for row in self.rows(tick, "features") {
            if *cell_of_view(&self.tables, row, "is_ready") != Value::Boolean(true) {
                continue;
            }
            for is_shadow in [false, true] {
                let own = self.in_force.get(&(is_shadow, row.instrument.symbol.to_string()));
                let Some(promotion) = own.or_else(|| self.in_force.get(&(is_shadow, "any".to_owned()))) else {
                    continue;
                };
                // Once, in its first version that is ready; what is older than that is not scored any more.
                let newest = self.newest.entry((is_shadow, row.instrument.clone())).or_insert(i64::MIN);
                if row.event_time_ns <= *newest {
                    continue;
                }
                *newest = row.event_time_ns;
                let said = (promotion.number, self.directly(promotion, row));
                expected.insert((is_shadow, row.instrument.clone(), row.event_time_ns), said);
            }
        }
        let made = self.rows(tick, "predictions").len() + self.rows(tick, "shadow_predictions").len();
        assert_eq!(made, expected.len(), "tick {}", tick.output.tick);
        for (family, is_shadow) in [("predictions", false), ("shadow_predictions", true)] {
            for row in self.rows(tick, family) {
                let key = (is_shadow, row.instrument.clone(), row.event_time_ns);
                let (number, said) = expected.get(&key).unwrap_or_else(|| panic!("{row:?} is of no row of its tick"));
                assert_eq!(*cell(&self.tables, row, "promotion"), Value::Integer(*number as i64), "{row:?}");
                let value =
                    format!("{:?} {:?}", cell(&self.tables, row, "value"), text(cell(&self.tables, row, "refusal")));
                assert_eq!(value, *said, "{row:?}");
                let members: Json =
                    serde_json::from_str(text(cell(&self.tables, row, "members")).expect("text")).expect("JSON");
                let versions: BTreeSet<u64> = members
                    .as_array()
                    .expect("a list")
                    .iter()
                    .map(|member| member["version"].as_u64().expect("one"))
                    .collect();
                assert_eq!(versions.len(), 1, "a mixed ensemble: {row:?}");
                let name = text(cell(&self.tables, row, "ensemble")).expect("a name");
                assert_eq!(name, format!("blend@{}", versions.first().expect("one")));
                self.seen.insert(*number);
                if is_shadow { self.shadows += 1 } else { self.predictions += 1 }
            }
        }
        let keys =
            |rows: Vec<&Row>| rows.iter().map(|row| (row.instrument.clone(), row.event_time_ns)).collect::<Vec<_>>();
        assert_eq!(keys(self.rows(tick, "signals")), keys(self.rows(tick, "predictions")));
        let signals = self.rows(tick, "signals");
        for row in &signals {
            let confidence = match cell(&self.tables, row, "confidence") {
                Value::Double(confidence) => *confidence,
                _ => continue,
            };
            let why = text(cell(&self.tables, row, "why")).expect("a reason");
            let is_act = text(cell(&self.tables, row, "signal")) == Some("act");
            match why {
                "unsure" => assert!(confidence < self.policy.consider, "{row:?}"),
                "confident" => {
                    assert!(confidence >= self.policy.consider && is_act == (confidence >= self.policy.act), "{row:?}")
                }
                "cool_down" => {
                    let Value::Time(since) = cell(&self.tables, row, "cooling_since") else { panic!("{row:?}") };
                    assert!(row.event_time_ns - since < self.policy.cool_down_ns, "{row:?}");
                }
                _ => {}
            }
            if let Value::Integer(rank) = cell(&self.tables, row, "volume_rank") {
                assert!(*rank as usize <= self.policy.universe, "{row:?}");
            }
        }
        self.acts += signals.iter().filter(|row| text(cell(&self.tables, row, "signal")) == Some("act")).count();
    }

    /// What a promotion says of a row, by the models' crate alone.
    fn directly(&self, promotion: &Promotion, row: &Row) -> String {
        let view = FeatureView { name: "small".to_owned(), version: 1 };
        let registry = Registry::open(&self.world.shelf.path()).expect("a registry");
        let columns = super::shelf::COLUMNS.map(str::to_owned);
        let active = models::activate(&registry, promotion, &view, &columns).expect("a sound promotion");
        let values: Vec<Option<f64>> = columns
            .iter()
            .map(|column| match cell_of_view(&self.tables, row, column) {
                Value::Double(value) => Some(*value),
                _ => None,
            })
            .collect();
        let event_time_ns = row.event_time_ns;
        let rows = [FeatureRow { event_time_ns, staleness_ns: 0, warm_share: 1.0, values: &values }];
        let scored = active.score(&Window { symbol: &row.instrument.symbol, rows: &rows });
        let value = Value::number(scored.decision.as_ref().ok().map(|decision| decision.value));
        format!("{value:?} {:?}", scored.decision.err().map(|refusal| refusal.name()))
    }
}

fn cell_of_view<'a>(tables: &Tables, row: &'a Row, column: &str) -> &'a Value {
    match row.values {
        Some(_) => cell(tables, row, column),
        None => &Value::Null,
    }
}

#[test]
fn no_prediction_is_of_a_mixed_ensemble_and_workers_do_not_matter() {
    for seed in 0..3 {
        let world = World::new(seed, 1_500);
        let (ticks, log) = world.run_all(4);
        let mut oracle = Oracle {
            world: &world,
            tables: Tables::of_run(&[view()], None, true),
            in_force: BTreeMap::new(),
            newest: BTreeMap::new(),
            seen: BTreeSet::new(),
            predictions: 0,
            shadows: 0,
            acts: 0,
            policy: rules().signals,
            policies: 0,
        };
        for (number, tick) in ticks.iter().enumerate() {
            let verdicts = log.get(&tick.output.tick).map(Vec::as_slice).unwrap_or_default();
            oracle.check(number, tick, verdicts);
        }
        let Oracle { predictions, shadows, acts, policies, .. } = oracle;
        let promotions = oracle.seen.len();
        println!(
            "seed {seed}: {predictions} predictions, {shadows} in shadow, {acts} to act on, by {promotions} promotions"
        );
        assert!(predictions > 200 && shadows > 50 && acts > 3 && promotions > 20 && policies > 3);
        let expected: Vec<String> = ticks.iter().map(said).collect();
        for workers in [1, 2] {
            let (again, log_again) = world.run_all(workers);
            assert_eq!(log_again, log, "what is decided does not depend on workers");
            for (tick, expected) in again.iter().zip(&expected) {
                assert!(said(tick) == *expected, "seed {seed}, {workers} workers, tick {}", tick.output.tick);
            }
            assert_eq!(again.len(), expected.len());
        }
    }
}

#[test]
fn every_refusal_is_counted_and_told() {
    let world = World::new(7, 1_500);
    let (ticks, log) = world.run_all(2);
    let mut refused: BTreeMap<&str, u64> = BTreeMap::new();
    for verdict in log.values().flatten() {
        let name = verdict.refused.as_ref().map_or("", |(name, _)| name.as_str());
        *refused.entry(name).or_default() += 1;
    }
    let expected = &world.script.expected;
    for name in [
        "unknown_version",
        "other_checksum",
        "view_not_computed",
        "not_newer",
        "ensemble",
        "members",
        "view_contract",
        "other_definition",
        "number_too_large",
        "nothing_in_force",
        "signals",
        "",
    ] {
        assert!(expected.get(name).is_some_and(|count| *count > 0), "{name} does not happen");
        // A refused number may be taken again, a lower one of a symbol not: refusals may only move to that reason.
        if !["", "not_newer"].contains(&name) {
            assert_eq!(refused.get(name), expected.get(name), "{name}");
        }
    }
    let tables = Tables::of_run(&[view()], None, true);
    let of = |family: &str| {
        let number = tables.specs().iter().position(|spec| &*spec.family == family).expect("a table");
        ticks.iter().flat_map(|tick| &tick.output.rows).filter(move |row| usize::from(row.table) == number)
    };
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for (number, row) in (1..).zip(of("events")) {
        assert_eq!(*row.qualifier, format!("{number:012}"), "events are numbered without gaps");
        let name = match text(cell(&tables, row, "kind")).expect("a kind") {
            "promotion_refused" | "withdrawal_refused" | "signals_policy_refused" => {
                text(cell(&tables, row, "detail")).expect("a reason").split(':').next().expect("a name")
            }
            "ensemble_activated" | "ensemble_withdrawn" | "signals_policy_changed" => "",
            _ => continue,
        };
        *told.entry(name.to_owned()).or_default() += 1;
    }
    assert_eq!(told, refused.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect());
    // An activation is told as ensemble, its two members, and what follows.
    let kinds: Vec<&str> = of("events").map(|row| text(cell(&tables, row, "kind")).expect("a kind")).collect();
    let at = kinds.iter().position(|kind| *kind == "ensemble_activated").expect("one took effect");
    let chain =
        ["ensemble_activated", "member_activated", "member_activated", "downstream_switched", "downstream_switched"];
    assert_eq!(&kinds[at..at + 5], chain);
    let last = ticks.last().expect("ticks");
    let rejects =
        ticks.iter().flat_map(|tick| &tick.output.rejects).filter(|reject| reject.partition == 2).count() as u64;
    assert_eq!(rejects, expected["reject"]);
    assert_eq!(of("control").count() as u64 + rejects, world.script.records.iter().map(Vec::len).sum::<usize>() as u64);
    assert!(last.output.counters.reconcile(), "{:?}", last.output.counters);
}

#[test]
fn begun_again_at_any_tick_it_says_the_same() {
    for seed in 20..24 {
        let world = World::new(seed, 900);
        let (ticks, mut log) = world.run_all(1);
        let expected: BTreeMap<u64, String> = ticks.iter().map(|tick| (tick.output.tick, said(tick))).collect();
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let folder = tempfile::tempdir().expect("a folder");
        let (mut loaded, mut next, mut lives) = (None::<snapshot::Loaded>, 0, 0);
        while next < world.plan.len() {
            lives += 1;
            let position = |tick: u64| world.plan.iter().position(|planned| planned.tick == tick).expect("of a tick");
            let begin = loaded.as_ref().map_or(0, |loaded| 1 + position(loaded.snapshot.tick));
            let end =
                if lives % 20 == 0 { world.plan.len() } else { begin + random.random_range(1..world.plan.len() / 3) };
            let end = end.min(world.plan.len());
            let save_seed: u64 = random.random();
            let saves = |number: usize| ChaCha8Rng::seed_from_u64(save_seed ^ number as u64).random_bool(0.3);
            let base = loaded.as_ref().map(|loaded| loaded.snapshot.clone());
            let workers = random.random_range(1..5);
            let mut ticks = world.run(begin..end, loaded.take(), workers, &mut log, &saves);
            for tick in &ticks {
                let (said, expected) = (said(tick), &expected[&tick.output.tick]);
                let differs = said.bytes().zip(expected.bytes()).position(|(left, right)| left != right).unwrap_or(0);
                let around = |text: &str| text[differs.saturating_sub(300)..].chars().take(500).collect::<String>();
                let place = format!("seed {seed}, tick {}, life {lives}", tick.output.tick);
                assert!(said == *expected, "{place}: {}\nbut in one go: {}", around(&said), around(expected));
            }
            let saved = ticks.iter_mut().filter_map(|tick| Some((tick.output.tick, tick.saved.take()?)));
            let mut saved: Vec<(u64, Box<SavedState>)> = saved.collect();
            saved.truncate(random.random_range(0..=saved.len()));
            loaded = through_the_disk(folder.path(), base.as_ref(), saved);
            next = end.max(next);
        }
        println!("seed {seed}: {} ticks in {lives} lives", world.plan.len());
        assert!(lives > 3);
    }
}
