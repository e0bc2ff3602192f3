//! A live run: connected, taken up where the last one ended, run until it is stopped.

use super::CommandError;
use crate::bindings::{self, Binding, Opening, SharedBindings};
use crate::config::{Config, LogPlace};
use crate::engine::{self, SourceState};
use crate::live::{Control, Live, LiveError};
use crate::log;
use crate::outbox::{LakeOutput, Outbox, OutboxError, SnapshotOutput};
use crate::recovery::{self, Committed, RecoveryError, Resumption, Settings, StateLock};
use crate::snapshot::{Snapshot, SnapshotStore, SnapshotTimer};
use crate::status::{Recovered, Status};
use crate::ticks::Ticker;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidewheel_connectors::decode::Decoder;
use tidewheel_connectors::fault::Faults;
use tidewheel_connectors::kafka::sink::{KafkaSink, SinkBegin};
use tidewheel_connectors::kafka::source::{KafkaSource, KafkaSourceConfig, Start};
use tidewheel_connectors::lake::{CommitProgress, Lake, LakeError, OnExisting};
use tidewheel_operators::saved::RestoredState;
use tidewheel_operators::scoring::Activation;
use tidewheel_schemas::Counters;

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Where the last one ended; from the source's beginning where there was none.
    GoOn,
    /// From the source's beginning, in the place of what was published before.
    Anew,
}

/// A live run with everything connected, about to start.
pub struct Session {
    started: Instant,
    source: KafkaSource,
    decoder: Decoder,
    ticker: Ticker,
    tick_ms: u64,
    pipeline: crate::pipeline::PipelineConfig,
    workers: usize,
    /// The tick and the state to begin with.
    restored: Option<(u64, SourceState, RestoredState)>,
    /// What the run is told, and the ensembles that were active at the snapshot.
    control: Option<Control>,
    active: Vec<Arc<Activation>>,
    logged: Vec<Binding>,
    ends: BTreeMap<String, u64>,
    timer: Option<SnapshotTimer>,
    recovered: Option<Recovered>,
    outbox: Outbox,
    lock: StateLock,
}

impl Session {
    /// Connects the source and the sinks, and finds what to go on from. When `stop` is raised it no longer waits for Kafka.
    ///
    /// # Errors
    /// If one of them cannot be used, or what a former run left cannot be gone on from.
    pub fn open(
        config: &Config,
        workers: Option<usize>,
        begin: Begin,
        stop: &Arc<AtomicBool>,
    ) -> Result<Self, CommandError> {
        let started = Instant::now();
        let run = format!("run-{}", now_ms());
        log::set_run(&run);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), begin = ?begin, "run begins");
        let folder = config.state_folder();
        let settings = Settings::of(config);
        let is_in_topic = config.recovery.log == LogPlace::Kafka;
        let may_go_on = begin == Begin::GoOn && (is_in_topic || recovery::has_log(&folder));
        // Where nothing is gone on from, a source that cannot be read leaves everything as it was.
        let mut source = if may_go_on { None } else { Some(KafkaSource::connect(&config.kafka_source())?) };
        let on_existing = match begin {
            Begin::Anew => OnExisting::Replace,
            Begin::GoOn if may_go_on => OnExisting::Resume,
            Begin::GoOn => OnExisting::Refuse,
        };
        // The lake first: its lock keeps a second process from fencing the first.
        let mut lake = config.lake_sink(Vec::new(), on_existing).map(Lake::open).transpose()?;
        let lock = StateLock::take(&folder)?;
        let sink_begin = if begin == Begin::Anew { SinkBegin::Anew } else { SinkBegin::GoOn };
        let open = |sink| KafkaSink::open_as(&sink, Vec::new(), sink_begin, Some(Arc::clone(stop)));
        let mut kafka = config.kafka_sink(&run).map(open).transpose()?;
        if begin == Begin::Anew {
            recovery::forget(&folder)?;
            kafka.as_mut().map(KafkaSink::begin_anew).transpose()?;
            if let Some(lake) = &mut lake {
                // At once: a run that is killed before its first commit must not be gone on with in the lake of another.
                lake.commit(&CommitProgress { run: run.clone(), ..CommitProgress::default() })?;
            }
        }
        let committed = Committed {
            kafka: kafka.as_ref().map(KafkaSink::committed_tick),
            lake: lake.as_ref().map(|lake| lake.state().progress.tick_frontier.checked_sub(1)),
        };
        let log_place = match config.kafka().filter(|_| is_in_topic) {
            Some(kafka) => PathBuf::from(format!("{}.bindings", kafka.prefix)),
            None => recovery::bindings_folder(&folder),
        };
        let read_log = |after| match kafka.as_ref().filter(|_| is_in_topic) {
            Some(kafka) => Ok(bindings::read_lines(&log_place.display().to_string(), &kafka.read_log()?)?),
            None => Ok(bindings::read(&log_place, after)?),
        };
        let lake_run = lake.as_ref().map(|lake| lake.state().progress.run.clone());
        let plan = || recovery::plan(&folder, &settings, committed, lake_run.as_deref(), &log_place, read_log);
        let resumption = if may_go_on { plan()? } else { None };
        if let (Begin::GoOn, None) = (begin, &resumption) {
            refuse_without_log(config, committed, &log_place, lake.as_ref())?;
        }
        let source = match source.take() {
            Some(source) => source,
            None => KafkaSource::connect(&source_config(config, resumption.as_ref()))?,
        };
        let names = source.partition_names();
        let mut control = control_of(config, &names)?;
        let positions = names.iter().enumerate().map(|(number, name)| (name.clone(), source.position(number as u32)));
        let positions: BTreeMap<String, u64> = positions.collect();
        let mut resumption = resumption.unwrap_or_default();
        let recovered = resumption.last.as_ref().map(|_| told(&resumption, committed));
        let opening = Opening {
            run: run.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            settings: settings.clone(),
            partitions: names.clone(),
            // New partitions are read from where the source begins with them.
            ends: positions.iter().map(|(name, at)| (name.clone(), *resumption.ends.get(name).unwrap_or(at))).collect(),
            after_tick: resumption.last_tick,
            follows: resumption.last.take(),
            registry: control.as_ref().map(|control| control.desk.registry().to_owned()),
        };
        let place = log_place.display().to_string();
        let bindings = if is_in_topic {
            let bindings = SharedBindings::in_topic(&place, opening);
            if let Some(kafka) = &mut kafka {
                // Where a first run begins must be known to the next, whatever happens to this one.
                bindings.take_lines().iter().try_for_each(|line| kafka.append_log(line))?;
                kafka.commit_log()?;
            }
            bindings
        } else {
            let opened = SharedBindings::open(&log_place, opening);
            opened.map_err(|source| OutboxError::Bindings { path: place, source })?
        };
        let in_force = resumption.loaded.as_ref().map(|loaded| loaded.snapshot.source.ensembles.as_slice());
        let active = match &mut control {
            Some(control) => control.desk.restore(in_force.unwrap_or_default()).map_err(LiveError::from)?,
            None => Vec::new(),
        };
        let base = resumption.loaded.as_ref().map(|loaded| &loaded.snapshot);
        let (snapshots, timer) = match config.snapshot_every() {
            Some(every) => {
                let (output, timer) = snapshots(&folder, &run, settings, every, base)?;
                (Some(output), Some(timer))
            }
            None => (None, None),
        };
        let ticker = match base {
            Some(snapshot) => Ticker::restore(config.ticks(), snapshot.tick, &snapshot.source),
            None => Ticker::new(config.ticks()),
        }
        .with_risk(config.risk.is_some());
        let mut status = Status::new(&config.bars.intervals);
        status.set_run(&run);
        status.set_tables(&config.tables());
        let section = config.lake();
        let every = section.map(|lake| lake.commit_every.as_duration());
        let max_waiting_rows = section.map_or(0, |lake| lake.max_waiting_rows as usize);
        let lake = lake.map(|lake| LakeOutput { lake, every, run, max_waiting_rows });
        Ok(Self {
            started,
            source,
            decoder: Decoder::new(config.decode()),
            ticker,
            tick_ms: config.bars.tick.as_ms(),
            pipeline: config.pipeline(),
            workers: workers.unwrap_or_else(|| config.worker_count()),
            restored: resumption.loaded.map(|loaded| (loaded.snapshot.tick, loaded.snapshot.source, loaded.state)),
            control,
            active,
            logged: resumption.logged,
            ends: where_read(config, resumption.starts, positions),
            timer,
            recovered,
            outbox: Outbox {
                kafka,
                lake,
                bindings: Some(bindings),
                snapshots,
                stop: None,
                faults: Faults::of_process(),
                status: Arc::new(status),
            },
            lock,
        })
    }

    /// Where the run shows itself.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.outbox.status)
    }

    /// Runs until `stop` is raised, then commits everything.
    ///
    /// # Errors
    /// If the source or a sink fails for good. What was committed before stays.
    ///
    /// # Panics
    /// If a thread panicked; in the program the panic has ended the process by then.
    pub fn run(mut self, stop: &Arc<AtomicBool>) -> Result<Counters, CommandError> {
        let first =
            self.restored.as_ref().map(|(tick, source, _)| engine::restore_tick(*tick, source, self.active.clone()));
        let restored = self.restored.map(|(_, _, state)| state);
        let (mut engine, outputs) = engine::start(self.workers, &self.pipeline, restored)?;
        let mut outbox = self.outbox;
        outbox.stop = Some(Arc::clone(stop));
        let (bindings, status) = (outbox.bindings.clone(), Arc::clone(&outbox.status));
        let writer = std::thread::Builder::new().name("outbox".to_owned()).spawn(move || outbox.run(outputs));
        let writer = writer.map_err(|error| CommandError::Usage(format!("could not start a thread: {error}")))?;
        let live = Live {
            source: self.source,
            decoder: self.decoder,
            tick_ms: self.tick_ms,
            logged: self.logged,
            ends: self.ends,
            bindings,
            control: self.control,
            snapshots: self.timer,
            stop,
            status: &status,
        };
        let is_going = first.is_none_or(|tick| engine.send(tick).is_continue());
        let read_before = self.ticker.counters().read;
        let (recovered, started) = (self.recovered, self.started);
        let caught_up = |ticker: &Ticker| {
            if let Some(mut recovered) = recovered {
                recovered.records = ticker.counters().read - read_before;
                recovered.elapsed = started.elapsed();
                recovered.tell();
                status.update(|snapshot| snapshot.recovered = Some(recovered));
            }
        };
        let send = |tick| {
            status.note_sent();
            engine.send(tick)
        };
        let read = if is_going { live.run(&mut self.ticker, caught_up, send) } else { Ok(()) };
        engine.finish();
        let counters = writer.join().expect("a panic in the outbox ends the process")?;
        read?;
        drop(self.lock);
        Ok(counters)
    }
}

/// Refuses to go on where there is something to go on from, but no log that says how.
fn refuse_without_log(
    config: &Config,
    committed: Committed,
    place: &Path,
    lake: Option<&Lake>,
) -> Result<(), CommandError> {
    if let Some(Some(committed)) = committed.kafka {
        return Err(RecoveryError::NoLog { committed, folder: place.to_owned() }.into());
    }
    match (lake, config.lake()) {
        (Some(lake), Some(section)) if !lake.state().files.is_empty() => {
            Err(LakeError::Exists { root: section.path.clone() }.into())
        }
        _ => Ok(()),
    }
}

/// Where each partition stands: those that have given nothing yet, where they are read from.
fn where_read(
    config: &Config,
    mut starts: BTreeMap<String, u64>,
    positions: BTreeMap<String, u64>,
) -> BTreeMap<String, u64> {
    let topics = config.kafka_source().topics;
    for (name, position) in positions {
        // One of a topic that is not read any more stands nowhere.
        if name.rsplit_once('[').is_some_and(|(topic, _)| topics.iter().any(|read| read == topic)) {
            starts.entry(name).or_insert(position);
        }
    }
    starts
}

/// The control topic, where there is one: its records must have one order.
fn control_of(config: &Config, names: &[String]) -> Result<Option<Control>, CommandError> {
    let (Some(topic), Some(desk)) = (config.control.topic.clone(), config.desk()) else { return Ok(None) };
    let is_of_it = |name: &&String| name.rsplit_once('[').is_some_and(|(of, _)| of == topic);
    let partitions = names.iter().filter(is_of_it).count();
    if partitions == 1 {
        return Ok(Some(Control { topic, desk, has_risk: config.risk.is_some() }));
    }
    Err(CommandError::Usage(format!(
        "control topic {topic:?} has {partitions} partitions, and its records have no order among them: make it with one"
    )))
}

/// What a run goes on from, for those who started it.
fn told(resumption: &Resumption, committed: Committed) -> Recovered {
    let skipped =
        |tick: Option<u64>| resumption.logged.iter().filter(|binding| Some(binding.tick) <= tick).count() as u64;
    Recovered {
        snapshot_tick: resumption.loaded.as_ref().map(|loaded| loaded.snapshot.tick),
        snapshot_bytes: resumption.loaded.as_ref().map_or(0, |loaded| loaded.bytes),
        ticks: resumption.logged.len() as u64,
        skipped_in_topics: skipped(committed.kafka.flatten()),
        skipped_in_lake: skipped(committed.lake.flatten()),
        ..Recovered::default()
    }
}

fn source_config(config: &Config, resumption: Option<&Resumption>) -> KafkaSourceConfig {
    let configured = config.kafka_source();
    let Some(resumption) = resumption else { return configured };
    let last_read = resumption.loaded.as_ref().map(|loaded| loaded.snapshot.source.last_read.clone());
    KafkaSourceConfig {
        start: Start::Offsets(resumption.starts.clone()),
        known: resumption.partitions.clone(),
        fingerprints: last_read.unwrap_or_default(),
        ..configured
    }
}

fn snapshots(
    folder: &Path,
    run: &str,
    settings: Settings,
    every: Duration,
    base: Option<&Snapshot>,
) -> Result<(SnapshotOutput, SnapshotTimer), RecoveryError> {
    let store = SnapshotStore::open(&recovery::snapshots_folder(folder), run, settings, base)?;
    let timer = SnapshotTimer::new(every, base.is_some());
    Ok((SnapshotOutput { store, is_busy: timer.busy_flag() }, timer))
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_millis() as u64)
}
