//! `tidewheel run`: live, from Kafka.

use super::{CommandError, summary};
use crate::bindings::SharedBindings;
use crate::config::{self, Config};
use crate::engine;
use crate::live::{Live, LiveError};
use crate::outbox::{LakeOutput, Outbox};
use crate::status::Status;
use crate::ticks::Ticker;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidewheel_connectors::decode::Decoder;
use tidewheel_connectors::kafka::sink::KafkaSink;
use tidewheel_connectors::kafka::source::KafkaSource;
use tidewheel_connectors::lake::{Lake, OnExisting};
use tidewheel_schemas::Counters;

/// Read trades from Kafka and publish bars, until told to stop
#[derive(Debug, clap::Args)]
#[command(after_help = "SIGTERM or Ctrl-C finishes the open tick, commits and exits with 0.

Examples:
  tidewheel config > tidewheel.toml
  tidewheel check --config tidewheel.toml
  tidewheel run --config tidewheel.toml
  TIDEWHEEL_SOURCE__BROKERS=kafka:9092 tidewheel run --config tidewheel.toml --workers 4")]
pub struct RunArgs {
    /// The configuration file; `tidewheel config` prints one to start from
    #[arg(long, value_name = "FILE", env = "TIDEWHEEL_CONFIG")]
    config: PathBuf,
    /// Worker threads, in place of what the configuration says
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Replace what the lake holds: everything is computed again from where the source starts
    #[arg(long)]
    replace: bool,
}

impl RunArgs {
    /// Runs until a signal comes or something fails for good.
    ///
    /// # Errors
    /// If the configuration, the source or a sink cannot be used.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let config = Config::load(&self.config, &config::environment())?;
        if self.workers == Some(0) {
            return Err(CommandError::Usage("--workers must be at least 1".to_owned()));
        }
        let on_existing = if self.replace { OnExisting::Replace } else { OnExisting::Refuse };
        let stop = stop_on_signal()?;
        let session = Session::open(&config, self.workers, on_existing)?;
        let status = session.status();
        let counters = session.run(&stop)?;
        let mut text = summary::counts(&counters) + &summary::published(&status);
        if let Some(lake) = config.lake() {
            let root = Path::new(&lake.path);
            text += &summary::lake(root, &tidewheel_connectors::lake::read::manifest(root)?);
        }
        // Whoever closed our output does not want to read it.
        let _ = out.write_all(text.as_bytes());
        Ok(if counters.reconcile() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A live run with everything connected, about to start.
pub struct Session {
    source: KafkaSource,
    decoder: Decoder,
    ticker: Ticker,
    tick_ms: u64,
    pipeline: crate::pipeline::PipelineConfig,
    workers: usize,
    outbox: Outbox,
}

impl Session {
    /// Connects the source and the sinks.
    ///
    /// # Errors
    /// If one of them cannot be used.
    pub fn open(config: &Config, workers: Option<usize>, on_existing: OnExisting) -> Result<Self, CommandError> {
        let source = KafkaSource::connect(&config.kafka_source())?;
        let names = source.partition_names();
        let run = format!("run-{}", jiff::Timestamp::now().as_millisecond());
        let lake = config.lake_sink(names.clone(), on_existing).map(Lake::open).transpose()?;
        let mut kafka = config.kafka_sink(&run).map(|sink| KafkaSink::open(&sink, names)).transpose()?;
        // A run starts from its source's beginning, not from where another ended.
        kafka.iter_mut().for_each(KafkaSink::begin_anew);
        let bindings = config.lake().map(|lake| bindings_of(Path::new(&lake.path), &run)).transpose()?;
        let status = Arc::new(Status::new(&config.bars.intervals));
        let every = config.lake().map(|lake| lake.commit_every.as_duration());
        let lake = lake.map(|lake| LakeOutput { lake, every, run: run.clone(), stop: None });
        Ok(Self {
            source,
            decoder: Decoder::new(config.decode()),
            ticker: Ticker::new(config.ticks()),
            tick_ms: config.bars.tick.as_ms(),
            pipeline: config.pipeline(),
            workers: workers.unwrap_or_else(|| config.worker_count()),
            outbox: Outbox { kafka, lake, bindings, status },
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
        let (mut engine, outputs) = engine::start(self.workers, &self.pipeline)?;
        let bindings = self.outbox.bindings.clone();
        let mut outbox = self.outbox;
        if let Some(lake) = &mut outbox.lake {
            lake.stop = Some(Arc::clone(stop));
        }
        let writer = std::thread::Builder::new().name("outbox".to_owned()).spawn(move || outbox.run(outputs));
        let writer = writer.map_err(|error| CommandError::Usage(format!("could not start a thread: {error}")))?;
        let live = Live { source: self.source, decoder: self.decoder, tick_ms: self.tick_ms, bindings, stop };
        let read = live.run(&mut self.ticker, |tick| engine.send(tick));
        engine.finish();
        let counters = writer.join().expect("a panic in the outbox ends the process")?;
        read?;
        Ok(counters)
    }
}

fn bindings_of(lake: &Path, run: &str) -> Result<SharedBindings, CommandError> {
    let path = lake.join("_tidewheel/bindings").join(format!("{run}.jsonl"));
    let created = SharedBindings::create(&path);
    created.map_err(|source| LiveError::Bindings { path: path.display().to_string(), source }.into())
}

/// A flag that SIGTERM and SIGINT raise. A second signal ends the process at once.
///
/// # Errors
/// If signals cannot be listened for.
pub fn stop_on_signal() -> Result<Arc<AtomicBool>, CommandError> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| CommandError::Usage(format!("could not listen for signals: {error}")))?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let listeners = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
                let (Ok(mut terminate), Ok(mut interrupt)) = listeners else { return };
                loop {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                    if raised.swap(true, Ordering::Relaxed) {
                        std::process::exit(130);
                    }
                    tracing::info!("stopping after the open tick");
                }
            });
        })
        .map_err(|error| CommandError::Usage(format!("could not start a thread: {error}")))?;
    Ok(stop)
}
