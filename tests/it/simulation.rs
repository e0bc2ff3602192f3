//! The fault campaign in process: a scripted source instead of topics to read, the mock cluster instead of a broker, and
//! everything else as it is (the graph, models that are promoted, the log of ticks, snapshots, the lake, the sink), so that thousands of seeds are a matter
//! of minutes. Each life ends at a fault point or goes through to the end; what had not been made durable is cut into ticks
//! anew by the next. In the end the lake holds what a run without faults makes of the ticks in the log, the topics too (the mock
//! shows records that were rolled back, so that there they are compared as sets), and the counts are those of that run.
//!
//! ```text
//! TIDEWHEEL_TEST_SEEDS=5000 cargo test --release --test it simulation -- --nocapture
//! ```

mod commands;

use crate::kafka_live::readers::{self, key_of, records, values_of};
use crate::market::{Arrival, HORIZON_NS, Market, Record, SKEW_NS, amendment};
use crate::scoring::shelf::Shelf;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidewheel::bindings::{self, Binding, Opening, SharedBindings};
use tidewheel::config::Config;
use tidewheel::engine::{self, SourceState};
use tidewheel::outbox::{LakeOutput, Outbox, SnapshotOutput};
use tidewheel::pipeline::PipelineConfig;
use tidewheel::recovery::{self, Committed, Settings};
use tidewheel::snapshot::{SnapshotStore, SnapshotTimer};
use tidewheel::status::Status;
use tidewheel::tables::Tables;
use tidewheel::ticks::{Chunk, TickConfig, Ticker};
use tidewheel_connectors::fault::{Faults, POINTS};
use tidewheel_connectors::kafka::embedded::EmbeddedBroker;
use tidewheel_connectors::kafka::sink::{KafkaSink, KafkaSinkConfig};
use tidewheel_connectors::lake::archive::Archive;
use tidewheel_connectors::lake::{self, Lake, LakeConfig, OnExisting, rows};
use tidewheel_connectors::source::DecodedChunk;
use tidewheel_operators::features::QualityBounds;
use tidewheel_operators::intake::IntakeLimits;
use tidewheel_schemas::{
    AccountContent, AccountRecord, AggressorSide, BarVersion, BookUpdate, CashMovement, FillAmendment, FillChange,
    Interval, Level, Liquidation, Mark, MarketContent, MarketRecord, OrderEnd, Quote, Row, SECOND_NS, TableKind,
    TickOutput,
};

/// Seeds of the short run.
const SEEDS: u64 = 96;
/// One seed in so many writes topics too: a transaction of the mock cluster takes longer than all else of a tick.
const TOPICS_EVERY: u64 = 12;
const INTERVALS: [Interval; 2] = [Interval::S1, Interval::M5];
const TICKS: TickConfig = TickConfig {
    limits: IntakeLimits { horizon_ns: HORIZON_NS, skew_ns: SKEW_NS },
    provisional_every_ms: Some(300_000),
};

/// The records to come, each with its place in a partition.
struct Script {
    arrivals: Vec<Arrival>,
    places: Vec<(u32, u64)>,
    /// Those but that of the control topic, which follows them.
    partitions: u32,
    /// Records of the control topic, each with the arrival that it comes before.
    commands: Vec<(usize, String)>,
}

impl Script {
    fn new(random: &mut ChaCha8Rng, seed: u64, shelf: &Shelf) -> Self {
        let arrivals = Market::new(seed, random.random_range(50..400)).arrivals;
        let partitions = random.random_range(1..4);
        let mut ends = vec![0; partitions as usize];
        let places = arrivals.iter().map(|arrival| {
            let partition = (arrival.instrument.id().0 % u64::from(partitions)) as u32;
            ends[partition as usize] += 1;
            (partition, ends[partition as usize] - 1)
        });
        let places = places.collect();
        let commands = commands::commands(random, arrivals.len(), shelf);
        Self { arrivals, places, partitions, commands }
    }

    /// The chunks of a tick.
    fn chunks(&self, range: Range<usize>) -> Vec<Chunk> {
        let mut chunks: BTreeMap<u32, DecodedChunk> = BTreeMap::new();
        for number in range {
            let (arrival, (partition, position)) = (&self.arrivals[number], self.places[number]);
            let chunk = chunks.entry(partition).or_default();
            chunk.columns.partition = partition;
            chunk.end_position = position + 1;
            if let Record::Trade(trade) = &arrival.record {
                let columns = &mut chunk.columns;
                let known = columns.instruments.iter().position(|known| *known == arrival.instrument);
                let instrument = known.unwrap_or_else(|| {
                    columns.instruments.push(arrival.instrument.clone());
                    columns.instruments.len() - 1
                });
                columns.push(instrument as u32, trade, position);
            }
            chunk.amendments.extend(amendment(&arrival.instrument, &arrival.record, partition, position));
            chunk.market.push(beside(arrival, number as u64, partition, position));
            chunk.account.push(of_account(arrival, number as u64, partition, position));
        }
        chunks.into_values().map(Chunk::new).collect()
    }
}

/// What the market says beside an arrival.
fn beside(arrival: &Arrival, number: u64, partition: u32, position: u64) -> MarketRecord {
    let level = |price_e8| Level { price_e8, quantity_e8: 1 + number as i64 };
    let content = match number % 4 {
        0 => MarketContent::Book(BookUpdate {
            sequence: number + 1,
            first_id: number + 1,
            last_id: number + 1,
            previous_id: None,
            is_snapshot: number.is_multiple_of(8),
            depth: None,
            bids: Arc::new([level(99), level(98)]),
            asks: Arc::new([level(101)]),
        }),
        1 => MarketContent::Mark(Mark { mark_price_e8: Some(100 + number as i64), ..Mark::default() }),
        2 => {
            let side = AggressorSide::Sell;
            MarketContent::Liquidation(Liquidation {
                side,
                price_e8: 100,
                quantity_e8: 1 + number as i64,
                occurrence: 0,
            })
        }
        _ => {
            let (bid, ask) = (Some(level(99)), Some(level(101)));
            MarketContent::Quote(Quote { update_id: Some(number), bid, ask })
        }
    };
    MarketRecord {
        instrument: arrival.instrument.clone(),
        event_time_ns: arrival.time_ns,
        is_timeless: false,
        partition,
        position,
        index: 0,
        receive_time_ns: None,
        content,
    }
}

/// What an account does at an arrival.
fn of_account(arrival: &Arrival, number: u64, partition: u32, position: u64) -> AccountRecord {
    let event_time_ns = arrival.time_ns;
    let (account, id): (Arc<str>, Arc<str>) = ("paper".into(), number.to_string().into());
    let content = match number % 3 {
        0 => {
            let (currency, amount_e8) = ("USDT".into(), 1 + number as i64);
            AccountContent::Cash(CashMovement { account, id, currency, amount_e8, event_time_ns })
        }
        1 => AccountContent::OrderEnd(OrderEnd { account, intent_id: id }),
        _ => AccountContent::FillAmendment(FillAmendment {
            account,
            instrument: arrival.instrument.clone(),
            fill_id: id,
            change: FillChange::Cancel,
            original_time_ns: Some(event_time_ns),
        }),
    };
    // Behind the market record of the same message.
    AccountRecord { event_time_ns, partition, position, index: 1, receive_time_ns: None, content }
}

/// Where the script stands after a tick, in the log.
const PLACE: &str = "script[0]";

struct World<'a> {
    shelf: &'a Shelf,
    broker: Option<&'a EmbeddedBroker>,
    prefix: String,
    folder: PathBuf,
    script: Script,
    pipeline: PipelineConfig,
    tables: Tables,
    settings: Settings,
}

impl World<'_> {
    fn lake(&self) -> PathBuf {
        self.folder.join("lake")
    }

    /// One life of the process; whether it came to the end.
    fn live(&self, random: &mut ChaCha8Rng, life: u32, rules: &str) -> Result<bool, String> {
        let faults = Faults::parse(rules).expect("sound rules");
        let told = |error: &dyn std::fmt::Display| error.to_string();
        let goes_on = recovery::has_log(&self.folder);
        let on_existing = if goes_on { OnExisting::Resume } else { OnExisting::Refuse };
        let tables = self.tables.specs().to_vec();
        let config = LakeConfig {
            intervals: INTERVALS.to_vec(),
            tables: tables.clone(),
            faults: faults.clone(),
            threads: 1,
            on_existing,
            ..LakeConfig::new(self.lake())
        };
        let lake = Lake::open(config).map_err(|error| told(&error))?;
        let max_transaction_records = random.random_range(3..60);
        let open = |broker: &EmbeddedBroker| {
            let sink = KafkaSinkConfig {
                intervals: INTERVALS.to_vec(),
                tables: tables.clone(),
                create_topics: false,
                partitions: 1,
                max_transaction_records,
                ..KafkaSinkConfig::new(broker.bootstrap(), &self.prefix)
            };
            KafkaSink::open(&sink, vec!["p".to_owned(); 5])
        };
        let kafka = self.broker.map(open).transpose().map_err(|error| told(&error))?;
        let committed = Committed {
            kafka: kafka.as_ref().map(KafkaSink::committed_tick),
            lake: Some(lake.state().progress.tick_frontier.checked_sub(1)),
        };
        let log = recovery::bindings_folder(&self.folder);
        let plan = recovery::plan(&self.folder, &self.settings, committed, None, &log, |after| {
            Ok(bindings::read(&log, after)?)
        });
        let mut plan = plan.map_err(|error| told(&error))?.unwrap_or_default();
        let opening = Opening {
            run: format!("life-{life}"),
            version: String::new(),
            settings: self.settings.clone(),
            partitions: vec![PLACE.to_owned()],
            ends: plan.ends.clone(),
            after_tick: plan.last_tick,
            follows: plan.last.take(),
            registry: None,
        };
        let bindings = SharedBindings::open(&log, opening).map_err(|error| told(&error))?;
        let base = plan.loaded.as_ref().map(|loaded| loaded.snapshot.clone());
        let store = SnapshotStore::open(
            &recovery::snapshots_folder(&self.folder),
            &format!("life-{life}"),
            self.settings.clone(),
            base.as_ref(),
        );
        let store = store.map_err(|error| told(&error))?.with_faults(faults.clone());
        let mut timer = SnapshotTimer::new(Duration::ZERO, base.is_some());
        let snapshots = SnapshotOutput { store, is_busy: timer.busy_flag() };
        let status = Arc::new(Status::new(&INTERVALS));
        let every = Some(Duration::from_millis(random.random_range(0..30)));
        let max_waiting_rows = random.random_range(0..2_000);
        let lake = Some(LakeOutput { lake, every, run: "life".to_owned(), max_waiting_rows });
        let outbox = Outbox {
            kafka,
            lake,
            bindings: Some(bindings.clone()),
            snapshots: Some(snapshots),
            stop: None,
            faults,
            status,
        };
        let mut desk = commands::desk(self.shelf);
        let (mut ticker, first, state, mut at) = match plan.loaded {
            Some(loaded) => {
                let active = desk.restore(&loaded.snapshot.source.ensembles).map_err(|error| told(&error))?;
                let (tick, source) = (loaded.snapshot.tick, loaded.snapshot.source);
                let ticker = Ticker::restore(TICKS, tick, &source);
                let at = source.ends[PLACE] as usize;
                (ticker, Some(engine::restore_tick(tick, &source, active)), Some(loaded.state), at)
            }
            None => (Ticker::new(TICKS), None, None, 0),
        };
        let (mut engine, outputs) = engine::start(random.random_range(1..4), &self.pipeline, state).expect("threads");
        let writer = std::thread::spawn(move || outbox.run(outputs));
        let mut is_taken = first.is_none_or(|tick| engine.send(tick).is_continue());
        for binding in &plan.logged {
            let end = binding.ends[PLACE] as usize;
            let of_tick = (binding.tick, at..end);
            let (input, _) = commands::tick(&self.script, &mut desk, &mut ticker, of_tick, Some(&binding.control));
            assert_eq!(input.header.watermark_ns, binding.watermark_ns, "a logged tick made again");
            at = end;
            is_taken = is_taken && engine.send(input).is_continue();
        }
        while is_taken && at < self.script.arrivals.len() {
            let end = (at + random.random_range(1..40)).min(self.script.arrivals.len());
            let tick = (self.script.arrivals[end - 1].time_ns / 1_000_000) as u64 + 1;
            let tick = tick.max(ticker.last_tick().map_or(0, |last| last + 1));
            let (mut input, control) = commands::tick(&self.script, &mut desk, &mut ticker, (tick, at..end), None);
            at = end;
            let (watermark_ns, frozen_ns) = (input.header.watermark_ns, input.header.frozen_ns);
            let ends = BTreeMap::from([(PLACE.to_owned(), at as u64)]);
            bindings.append(&Binding { tick, ends: ends.clone(), watermark_ns, control, ..Binding::default() });
            if random.random_bool(0.3) {
                input.header.save = timer.due(false);
            }
            if input.header.save.is_some() {
                let max_event_times_ns = ticker.max_event_times_ns();
                let counters = ticker.counters().clone();
                let state = SourceState {
                    max_event_times_ns,
                    ends,
                    counters,
                    watermark_ns,
                    frozen_ns,
                    ensembles: desk.in_force(),
                    ..SourceState::default()
                };
                input.source.state = Some(Box::new(state));
            }
            is_taken = engine.send(input).is_continue();
        }
        engine.finish();
        let ended = writer.join().expect("the outbox does not panic");
        Ok(ended.is_ok() && at == self.script.arrivals.len())
    }

    /// What a run without faults makes of the ticks in the log.
    fn undisturbed(&self) -> Vec<TickOutput> {
        let history = bindings::read(&recovery::bindings_folder(&self.folder), None).expect("a sound log");
        let (mut engine, outputs) = engine::start(1, &self.pipeline, None).expect("threads");
        let collector = std::thread::spawn(move || outputs.map(|tick| tick.output).collect::<Vec<_>>());
        let (mut ticker, mut desk, mut at) = (Ticker::new(TICKS), commands::desk(self.shelf), 0);
        for binding in &history.ticks {
            let end = binding.ends[PLACE] as usize;
            let of_tick = (binding.tick, at..end);
            let (input, _) = commands::tick(&self.script, &mut desk, &mut ticker, of_tick, Some(&binding.control));
            assert!(engine.send(input).is_continue());
            at = end;
        }
        assert_eq!(at, self.script.arrivals.len(), "the log holds all records");
        engine.finish();
        collector.join().expect("the outputs are read to the end")
    }

    /// Tells how many rows there are of each table.
    fn compare(&self, seed: u64) -> BTreeMap<String, usize> {
        let ticks = self.undisturbed();
        let last = ticks.last().expect("there are ticks");
        let progress = lake::read::manifest(&self.lake()).expect("a lake").progress;
        assert_eq!((progress.tick_frontier, &progress.counters), (last.tick + 1, &last.counters), "seed {seed}");
        for interval in INTERVALS {
            let versions =
                ticks.iter().flat_map(|tick| tick.bars.iter().filter(|version| version.interval == interval));
            let mut versions: Vec<BarVersion> = versions.cloned().collect();
            versions.sort_by(|a, b| (&a.instrument, a.open_time_ns).cmp(&(&b.instrument, b.open_time_ns)));
            let in_lake = lake::read::changelog(&self.lake(), interval).expect("a lake");
            let expected: Vec<BarVersion> = versions.iter().map(lake::read::stored).collect();
            let mut seen = BTreeSet::new();
            let twice = in_lake.iter().filter(|version| !seen.insert((*version).clone())).count();
            let extra = in_lake.iter().filter(|version| !expected.contains(version)).count();
            let lost = expected.iter().filter(|version| !in_lake.contains(version)).count();
            println!("{interval}: {twice} twice, {extra} of no tick, {lost} lost");
            assert!(
                in_lake == expected,
                "seed {seed}: {interval}, {} versions in the lake, not {}",
                in_lake.len(),
                expected.len()
            );
            let Some(broker) = self.broker else { continue };
            let text = |key: String, tick: &str, revision: &str, values: Option<String>| {
                format!("{key} {tick} {revision} {}", values.unwrap_or_default())
            };
            let expected: BTreeSet<String> = versions
                .iter()
                .map(|version| {
                    let (tick, revision) = (version.tick.to_string(), version.revision.to_string());
                    text(key_of(version), &tick, &revision, values_of(version))
                })
                .collect();
            let found = records(broker.bootstrap(), &format!("{}.bars.{interval}", self.prefix));
            let found: BTreeSet<String> = found
                .into_iter()
                .map(|record| text(record.key.clone(), &record.headers["tick"], record.revision(), record.values()))
                .collect();
            assert!(found == expected, "seed {seed}: {interval}, {} in the topic, not {}", found.len(), expected.len());
        }
        self.compare_market(seed, &ticks);
        self.compare_rows(seed, &ticks)
    }

    /// The same of what the lake keeps of quotes, books, marks and liquidations, tick by tick.
    fn compare_market(&self, seed: u64, ticks: &[TickOutput]) {
        let state = lake::read::manifest(&self.lake()).expect("a lake");
        let mut archive = Archive::open(&self.lake(), &state, &[]).expect("a lake");
        for tick in ticks {
            let taken = archive.take(tick.tick).expect("a sound archive");
            let found = taken.market;
            assert!(found == tick.market, "seed {seed}: tick {} has {} records", tick.tick, found.len());
            assert!(taken.account == tick.account, "seed {seed}: tick {} has {:?}", tick.tick, taken.account);
        }
        let records: usize = ticks.iter().map(|tick| tick.market.len()).sum();
        assert!(ticks.iter().any(|tick| !tick.account.is_empty()), "seed {seed}: nothing of accounts");
        println!("{records} market records");
        assert!(records > 0, "seed {seed}: there are market records");
    }

    /// The same of the tables beside the bars.
    fn compare_rows(&self, seed: u64, ticks: &[TickOutput]) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        let state = lake::read::manifest(&self.lake()).expect("a lake");
        let sorted = |mut rows: Vec<(u64, Row)>| {
            rows.sort_by(|(tick, row), (other_tick, other)| (row.key(), tick).cmp(&(other.key(), other_tick)));
            rows
        };
        for (number, spec) in (0u16..).zip(self.tables.specs()) {
            let name = spec.name();
            let of_table = |tick: &TickOutput| {
                let at = tick.tick;
                let rows = tick.rows.iter().filter(|row| row.table == number);
                rows.map(|row| (at, rows::stored(row))).collect::<Vec<_>>()
            };
            let of_day = |day: String| rows::of_day(&self.lake(), spec, number, &day, &|_, _| true).expect("a lake");
            let found = sorted(rows::days(&state, spec).into_iter().flat_map(of_day).collect());
            let expected = sorted(ticks.iter().flat_map(of_table).collect());
            println!("{name}: {} rows", found.len());
            counts.insert(name.clone(), expected.len());
            assert!(found == expected, "seed {seed}: {name}, {} rows in the lake, not {}", found.len(), expected.len());
            let Some(broker) = self.broker else { continue };
            let revision =
                |row: &Row| if spec.kind == TableKind::View { row.revision.to_string() } else { String::new() };
            let expected: BTreeSet<String> =
                expected.iter().map(|(tick, row)| format!("{} {tick} {}", text_of(row), revision(row))).collect();
            let found = records(broker.bootstrap(), &format!("{}.{name}", self.prefix));
            let header = |record: &readers::Record, name: &str| record.headers.get(name).cloned().unwrap_or_default();
            let found: BTreeSet<String> = found
                .into_iter()
                .map(|record| format!("{} {} {}", record.key, header(&record, "tick"), header(&record, "revision")))
                .collect();
            assert!(found == expected, "seed {seed}: {name}, {} in the topic, not {}", found.len(), expected.len());
        }
        counts
    }
}

/// The key of a row as in its topic.
fn text_of(row: &Row) -> String {
    let qualifier = if row.qualifier.is_empty() { String::new() } else { format!("{}|", row.qualifier) };
    format!("{}|{}|{qualifier}{}", row.instrument.venue, row.instrument.symbol, row.event_time_ns / 1_000_000)
}

/// Tells how many lives it took, and adds the rows of each table.
fn check(
    broker: Option<&EmbeddedBroker>,
    shelf: &Shelf,
    seed: u64,
    folder: &Path,
    rows: &mut BTreeMap<String, usize>,
) -> u32 {
    let random = &mut ChaCha8Rng::seed_from_u64(seed);
    let prefix = format!("seed-{seed}");
    let pipeline = PipelineConfig {
        intervals: INTERVALS.to_vec(),
        lateness_ns: 10 * SECOND_NS,
        horizon_ns: HORIZON_NS,
        archive: true,
        is_saved: true,
        views: commands::views(),
        scoring: Some(commands::rules()),
        min_quality: Some(QualityBounds { least: Some(0.4), silent_after_ns: None }),
        hourly_volume: false,
        risk: None,
    };
    let script = Script::new(random, seed, shelf);
    let settings = Settings::of(&Config::default());
    let tables = Tables::of_run(&pipeline.views, pipeline.min_quality, true);
    let names = tables.specs().iter().map(|spec| spec.name());
    let names = names.chain(["bars.1s", "bars.5m", "rejects", "late", "progress"].map(str::to_owned));
    for topic in names.filter(|_| broker.is_some()) {
        let created = broker.map(|broker| broker.create_topic(&format!("{prefix}.{topic}"), 1));
        created.transpose().expect("room for a topic");
    }
    let world = World { shelf, broker, prefix, folder: folder.to_owned(), script, pipeline, tables, settings };
    let points: Vec<&str> = POINTS
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !name.starts_with("compact.") && !["kafka.fenced", "kafka.mid_transaction"].contains(name))
        .filter(|name| broker.is_some() || name.starts_with("lake.") || name.starts_with("snapshot."))
        .collect();
    for life in 1..200 {
        // Sooner or later nothing happens.
        let count = if life < 4 { random.random_range(1..4) } else { random.random_range(0..3) };
        let rules = (0..count).map(|_| {
            let point = points[random.random_range(0..points.len())];
            format!("{point}:{}=denied", random.random_range(1..6))
        });
        let rules = rules.collect::<Vec<_>>().join(",");
        println!("seed {seed}, life {life}: {rules}");
        if world.live(random, life, &rules).unwrap_or_else(|error| panic!("seed {seed}, life {life}, {rules}: {error}"))
        {
            for (table, count) in world.compare(seed) {
                *rows.entry(table).or_default() += count;
            }
            return life;
        }
    }
    panic!("seed {seed} never came to its end");
}

#[test]
fn thousands_of_crashes_in_process_leave_no_trace() {
    let number_of = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse::<u64>().ok());
    let (seeds, first) =
        (number_of("TIDEWHEEL_TEST_SEEDS").unwrap_or(SEEDS), number_of("TIDEWHEEL_TEST_SEED").unwrap_or(0));
    let begun = Instant::now();
    let shelf = Shelf::new(commands::VERSIONS);
    let (mut lives, mut rows) = (0, BTreeMap::new());
    // A cluster keeps everything in memory: a fresh one now and then.
    for seeds in (first..first + seeds).collect::<Vec<_>>().chunks(500) {
        let broker = EmbeddedBroker::start(&["unused"], 1).expect("the mock cluster starts");
        for &seed in seeds {
            let fast = Path::new("/dev/shm");
            let folder = if fast.is_dir() { tempfile::tempdir_in(fast) } else { tempfile::tempdir() };
            let broker = (seed % TOPICS_EVERY == 0).then_some(&broker);
            let folder = folder.expect("a temporary folder");
            lives += check(broker, &shelf, seed, folder.path(), &mut rows);
        }
    }
    assert!(rows.values().all(|count| *count > 0), "every table had rows: {rows:?}");
    println!("{rows:?}");
    println!("{seeds} seeds from {first}, {lives} lives, {:.1} s", begun.elapsed().as_secs_f64());
}
