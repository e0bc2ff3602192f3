//! `tidewheel replay`: history through the same graph.

use super::CommandError;
use super::arguments::{csv_columns, duration_ns, duration_or_none_ns, duration_or_zero_ns, interval, time_ns};
use super::summary;
use crate::config::{ComputedSections, FeaturesSection};
use crate::engine;
use crate::outbox::{LakeOutput, Outbox};
use crate::pipeline::PipelineConfig;
use crate::replay::{AtEnd, Prefetch, Prepare, replay};
use crate::scoring::{Desk, REGISTRY, Standing};
use crate::status::Status;
use crate::tables::Tables;
use crate::ticks::{TickConfig, Ticker};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tidewheel_connectors::decode::{CsvColumns, DecodeConfig, Decoder, Format};
use tidewheel_connectors::file::{FileOptions, open_inputs};
use tidewheel_connectors::kafka::{
    replay::to_end,
    sink::{KafkaSink, KafkaSinkConfig},
    source::KafkaSourceConfig,
};
use tidewheel_connectors::lake::{Lake, LakeConfig, OnExisting};
use tidewheel_connectors::source::{DecodedChunk, PartitionReader, Progress};
use tidewheel_operators::intake::IntakeLimits;
use tidewheel_schemas::Interval;

/// What a log of ticks decides, so that no flag may.
const AS_RECORDED_DECIDES: [&str; 16] = [
    "views",
    "hourly_volume",
    "config",
    "topic",
    "brokers",
    "format",
    "venue",
    "symbol",
    "csv",
    "intervals",
    "tick",
    "lateness",
    "horizon",
    "skew",
    "provisional",
    "leave_open",
];

/// Rows that may wait for the lake: as many as two of its commits hold.
pub(super) const ROWS_WAITING: usize = 1_000_000;

/// A duration, or none. (An alias, because clap reads a plain `Option` as an optional argument.)
pub type Cadence = Option<i64>;

/// Run history, from files or topics, through the same graph
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewheel replay --input 'trades/*.jsonl.gz' --format binance --lake ./lake
  tidewheel replay --input day.csv --format csv --csv time=timestamp,quantity=size,signed=true \\
      --venue bitmex --symbol XBTUSD --lake ./lake --intervals 1m,1h,1d
  tidewheel replay --input ./lake/trades --format parquet --lake ./again --from 2024-08-08 --to 2024-08-09
  tidewheel replay --as-recorded --input ./lake --lake ./again")]
pub struct ReplayArgs {
    /// Files, folders or globs; several are merged by time
    #[arg(long, num_args = 1.., required_unless_present = "topic", conflicts_with = "topic", value_name = "PATH")]
    pub input: Vec<String>,
    /// History exactly as it happened: every version of every bar at its tick, from the lake of a live run alone, which
    /// --input names. What was computed, and how, is taken from the run's log of ticks; --from and --to then say which ticks
    /// are published
    #[arg(long, requires = "input", conflicts_with_all = AS_RECORDED_DECIDES)]
    pub as_recorded: bool,
    /// With --as-recorded, the folder that recovery.folder named, where it was not in the lake
    #[arg(long, requires = "as_recorded", value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Score the rows of the views by what the aliases of this registry of models stand for, from the first row on. With
    /// --as-recorded, the registry where it is not where the run had it
    #[arg(long, value_name = "DIR")]
    pub registry: Option<PathBuf>,
    /// Kafka topics to read instead, from their start to their end
    #[arg(long, value_delimiter = ',', requires = "brokers")]
    pub topic: Vec<String>,
    /// The brokers of `--topic`
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,
    /// Write the bars to Kafka too, to these brokers
    #[arg(long, value_name = "HOST:PORT")]
    pub kafka: Option<String>,
    /// Prefix of the topics written
    #[arg(long, default_value = "tidewheel", requires = "kafka")]
    pub prefix: String,
    /// How the records are written: auto, canonical, binance, cryptofeed, bybit, coinbase, kraken, csv, parquet
    #[arg(long, default_value = "auto", value_parser = format)]
    pub format: Format,
    /// The venue of records that name none
    #[arg(long)]
    pub venue: Option<String>,
    /// The symbol of records that name none
    #[arg(long)]
    pub symbol: Option<String>,
    /// CSV columns, as field=column pairs: time, price, quantity, id, side, symbol, venue, time_unit, signed, delimiter, header
    #[arg(long, value_name = "MAP", value_parser = csv_columns)]
    pub csv: Option<CsvColumns>,
    /// The folder to write the lake into
    #[arg(long, value_name = "DIR")]
    pub lake: Option<PathBuf>,
    /// Replace what the lake holds instead of refusing
    #[arg(long)]
    pub replace: bool,
    /// Count quotes, books, marks, funding rates, liquidations and what accounts do as ignored instead of reading them
    #[arg(long)]
    pub trades_only: bool,
    /// Keep the accepted trades, market records and records of accounts in the lake too
    #[arg(long)]
    pub archive: bool,
    /// The bars to write
    #[arg(long, value_delimiter = ',', value_parser = interval, default_value = "1s,1m,5m,15m,1h,4h,1d")]
    pub intervals: Vec<Interval>,
    /// Worker threads [default: one a core]
    #[arg(long, value_name = "N")]
    pub workers: Option<usize>,
    /// Length of a tick in the data's own time; coarse ticks are fast
    #[arg(long, default_value = "60s", value_parser = duration_ns, value_name = "DURATION")]
    pub tick: i64,
    /// Only trades from this time on (RFC 3339 or a date); bars at the edge hold only what was selected
    #[arg(long, value_parser = time_ns, value_name = "T")]
    pub from: Option<i64>,
    /// Only trades before this time
    #[arg(long, value_parser = time_ns, value_name = "T")]
    pub to: Option<i64>,
    /// How long after its end a bar waits before it is final
    #[arg(long, default_value = "5s", value_parser = duration_or_zero_ns, value_name = "DURATION")]
    pub lateness: i64,
    /// How far behind a record may be and still revise bars; further behind is `late`
    #[arg(long, default_value = "1h", value_parser = duration_ns, value_name = "DURATION")]
    pub horizon: i64,
    /// How far beyond its tick's time a trade may be dated
    #[arg(long, default_value = "5s", value_parser = duration_or_zero_ns, value_name = "DURATION")]
    pub skew: i64,
    /// Publish bars that are not final every so often, or none
    #[arg(long, default_value = "none", value_parser = duration_or_none_ns, value_name = "DURATION")]
    pub provisional: Cadence,
    /// Leave bars open that the end of the input cuts, instead of calling them final
    #[arg(long)]
    pub leave_open: bool,
    /// The views of features to compute: core_technical, core_microstructure, or those of --config [default: none, or as --config says]
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    pub views: Option<Vec<String>>,
    /// Write the volume of each hour too
    #[arg(long)]
    pub hourly_volume: bool,
    /// A configuration whose [features] section defines views, and whose [scoring] and [signals] say how rows are scored
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// No progress bar
    #[arg(long, short)]
    pub quiet: bool,
}

fn format(text: &str) -> Result<Format, String> {
    let known = "auto, canonical, binance, cryptofeed, bybit, coinbase, kraken, csv, parquet";
    toml::Value::String(text.to_owned()).try_into().map_err(|_| format!("unknown format, expected one of {known}"))
}

impl ReplayArgs {
    /// Replays, and says where every record went.
    ///
    /// # Errors
    /// If the input cannot be read or a sink cannot be written.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        self.check()?;
        if self.as_recorded {
            return self.run_as_recorded(out);
        }
        let readers = match &self.brokers {
            Some(brokers) if !self.topic.is_empty() => {
                let topics: Vec<&str> = self.topic.iter().map(String::as_str).collect();
                to_end(&KafkaSourceConfig::new(brokers, &topics))?
            }
            _ => open_inputs(&self.input, &self.file_options())?,
        };
        self.run_readers(readers, out)
    }

    fn check(&self) -> Result<(), CommandError> {
        let usage = |text: &str| Err(CommandError::Usage(text.to_owned()));
        if self.lake.is_none() && self.kafka.is_none() {
            return usage("nowhere to write: give --lake DIR, --kafka HOST:PORT, or both");
        }
        if self.horizon < self.lateness {
            return usage("--horizon is shorter than --lateness: a bar would be frozen before it is final");
        }
        if let (Some(from), Some(to)) = (self.from, self.to)
            && from >= to
        {
            return usage("--from is not before --to");
        }
        if self.workers == Some(0) {
            return usage("--workers must be at least 1");
        }
        if self.tick % 1_000_000 != 0 {
            return usage("--tick must be whole milliseconds");
        }
        Ok(())
    }

    fn file_options(&self) -> FileOptions {
        FileOptions {
            format: self.format,
            csv_header: self.csv.as_ref().is_none_or(|csv| csv.header),
            venue: self.venue.clone(),
            symbol: self.symbol.clone(),
            ..FileOptions::default()
        }
    }

    fn run_readers(
        self,
        readers: Vec<Box<dyn PartitionReader>>,
        out: &mut dyn Write,
    ) -> Result<ExitCode, CommandError> {
        let workers = self.workers.unwrap_or_else(cores);
        let decoder = Decoder::new(DecodeConfig {
            format: self.format,
            venue: self.venue.clone(),
            symbol: self.symbol.clone(),
            csv: self.csv.clone().unwrap_or_default(),
            market: !self.trades_only,
            account: !self.trades_only,
            ..DecodeConfig::default()
        });
        let computed = self.computed()?;
        let views = computed.features.resolve().map_err(|detail| CommandError::Usage(format!("--views: {detail}")))?;
        let min_quality = computed.features.bounds();
        let scoring = self.registry.as_ref().map(|_| computed.scoring_rules(REGISTRY));
        let mut standing = match (&self.registry, &scoring) {
            (Some(registry), Some(rules)) => {
                Some(Standing::of(Desk::new(registry, views.clone(), rules.history_rows))?)
            }
            _ => None,
        };
        let risk = computed.risk(self.horizon);
        let risk = risk.map_err(|detail| CommandError::Usage(format!("--horizon {detail}")))?;
        let tables = Tables::of_run(&views, min_quality, scoring.is_some())
            .with_hourly_volume(self.hourly_volume)
            .with_risk(risk.is_some(), scoring.is_some());
        let sources: Vec<String> = readers.iter().map(|reader| reader.name().to_owned()).collect();
        let kafka = self
            .kafka
            .as_ref()
            .map(|brokers| self.open_kafka(brokers, &self.intervals, &tables, sources.clone()))
            .transpose()?;
        let lake =
            self.lake.as_ref().map(|root| self.open_lake(root, &self.intervals, &tables, sources)).transpose()?;
        let mut status = Status::new(&self.intervals);
        status.set_tables(&tables);
        let status = Arc::new(status);
        let lake =
            lake.map(|lake| LakeOutput { lake, every: None, run: "replay".to_owned(), max_waiting_rows: ROWS_WAITING });
        let outbox = Outbox::of_replay(kafka, lake, Arc::clone(&status));
        let pipeline = PipelineConfig {
            intervals: self.intervals.clone(),
            lateness_ns: self.lateness,
            horizon_ns: self.horizon,
            archive: self.archive,
            is_saved: false,
            views,
            scoring,
            min_quality,
            hourly_volume: self.hourly_volume,
            risk,
        };
        let mut ticker = Ticker::new(TickConfig {
            limits: IntakeLimits { horizon_ns: self.horizon, skew_ns: self.skew },
            provisional_every_ms: self.provisional.map(|every| (every / 1_000_000) as u64),
        })
        .with_risk(pipeline.risk.is_some());
        let source = Prefetch::start(readers, &decoder, &self.selection(), cores());
        let (mut engine, outputs) = engine::start(workers, &pipeline, None)?;
        let writer = std::thread::Builder::new().name("outbox".to_owned()).spawn(move || outbox.run(outputs));
        let writer = writer.map_err(|error| CommandError::Usage(format!("could not start a thread: {error}")))?;
        let progress = ProgressLine::start(self.quiet);
        let at_end = if self.leave_open { AtEnd::LeaveOpen } else { AtEnd::Finish };
        let replayed = replay(&source, &mut ticker, (self.tick / 1_000_000) as u64, self.skew, at_end, |mut tick| {
            progress.show(|| source.progress(), &status);
            standing.take().into_iter().for_each(|standing| standing.put(&mut tick));
            engine.send(tick)
        });
        engine.finish();
        progress.finish();
        let counters = writer.join().expect("a panic aborts the process")?;
        replayed?;
        self.report(&counters, &status, out)
    }

    /// What is computed of the bars.
    fn computed(&self) -> Result<ComputedSections, CommandError> {
        let mut sections = match &self.config {
            Some(path) => ComputedSections::load(path)?,
            None => {
                let features = FeaturesSection { views: Vec::new(), ..FeaturesSection::default() };
                ComputedSections { features, ..ComputedSections::default() }
            }
        };
        if let Some(views) = &self.views {
            sections.features.views.clone_from(views);
        }
        if self.registry.is_some() && sections.features.views.is_empty() {
            let text =
                "--registry: models score rows of views, and none is computed: name those that they want with --views";
            return Err(CommandError::Usage(text.to_owned()));
        }
        Ok(sections)
    }

    pub(super) fn open_lake(
        &self,
        root: &std::path::Path,
        intervals: &[Interval],
        tables: &Tables,
        sources: Vec<String>,
    ) -> Result<Lake, CommandError> {
        let mut config = LakeConfig::new(root);
        config.intervals = intervals.to_vec();
        config.tables = tables.specs().to_vec();
        config.archive = self.archive;
        config.sources = sources;
        // Half of what a commit holds, so that both cores encode the long partition of seconds.
        config.max_rows_per_file = 250_000;
        config.on_existing = if self.replace { OnExisting::Replace } else { OnExisting::Refuse };
        Ok(Lake::open(config)?)
    }

    pub(super) fn open_kafka(
        &self,
        brokers: &str,
        intervals: &[Interval],
        tables: &Tables,
        sources: Vec<String>,
    ) -> Result<KafkaSink, CommandError> {
        let mut config = KafkaSinkConfig::new(brokers, &self.prefix);
        config.intervals = intervals.to_vec();
        config.tables = tables.specs().to_vec();
        config.transactional_id = format!("tidewheel-{}-replay", self.prefix);
        config.run = "replay".to_owned();
        let sink = KafkaSink::open(&config, sources)?;
        if let Some(tick) = sink.committed_tick() {
            return Err(CommandError::Usage(format!(
                "topics {}.* hold a replay through tick {tick} already: choose another --prefix, or delete the topics",
                self.prefix
            )));
        }
        Ok(sink)
    }

    fn selection(&self) -> Prepare {
        let (from, to) = (self.from.unwrap_or(i64::MIN), self.to.unwrap_or(i64::MAX));
        let is_whole = (from, to) == (i64::MIN, i64::MAX);
        Arc::new(move |chunk: &mut DecodedChunk| {
            if !is_whole {
                chunk.retain_between(from, to);
            }
        })
    }

    fn report(
        &self,
        counters: &tidewheel_schemas::Counters,
        status: &Status,
        out: &mut dyn Write,
    ) -> Result<ExitCode, CommandError> {
        let mut text = summary::counts(counters) + &summary::published(status);
        if let Some(root) = &self.lake {
            text += &summary::lake(root, &tidewheel_connectors::lake::read::manifest(root)?);
        }
        // Whoever closed our output does not want to read it.
        let _ = out.write_all(text.as_bytes());
        Ok(if counters.reconcile() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

pub(super) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The progress bar on the terminal.
pub(super) struct ProgressLine {
    bar: ProgressBar,
}

impl ProgressLine {
    pub(super) fn start(quiet: bool) -> Self {
        let is_shown = !quiet && std::io::stderr().is_terminal();
        let target = if is_shown { ProgressDrawTarget::stderr_with_hz(5) } else { ProgressDrawTarget::hidden() };
        let style = ProgressStyle::with_template("{elapsed_precise} [{wide_bar}] {percent:>3} %  {msg}")
            .expect("the template is valid");
        let bar = ProgressBar::with_draw_target(Some(1), target).with_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar }
    }

    pub(super) fn show(&self, progress: impl FnOnce() -> Progress, status: &Status) {
        if self.bar.is_hidden() {
            return;
        }
        let progress = progress();
        self.bar.set_length(progress.total.max(1));
        self.bar.set_position(progress.done);
        let snapshot = status.snapshot();
        let rate = snapshot.counters.read as f64 / status.elapsed().as_secs_f64().max(1e-9);
        let until = jiff::Timestamp::from_millisecond(snapshot.tick as i64).map(|time| format!("{time:.0}"));
        self.bar.set_message(format!(
            "{} records, {}/s, at {}",
            summary::number(snapshot.counters.read),
            summary::number(rate as u64),
            until.unwrap_or_default()
        ));
    }

    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
