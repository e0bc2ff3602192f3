//! `tidewheel verify`: the proof that what was published is what the graph says.

use super::CommandError;
use super::arguments::time_ns;
use super::replay::cores;
use crate::config::{self, Config};
use crate::verify::{VerifyConfig, verify};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tidewheel_connectors::kafka::sink::KafkaSinkConfig;

/// Prove that what was published is what the archived input comes to
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The lake's bars_changelog, bars, late records and rejects, and with --config or --kafka the topics, are held row by
row against what the graph makes of the archived input and the log of ticks. Safe while the run goes on.
Exit code: 0 identical, 1 different or not to be compared, 2 wrong usage.

Examples:
  tidewheel verify ./lake
  tidewheel verify ./lake --config tidewheel.toml --json
  tidewheel verify ./lake --kafka localhost:9092 --prefix tidewheel --from 2026-11-20T10:00:00Z"
)]
pub struct VerifyArgs {
    /// The folder of the lake
    #[arg(value_name = "LAKE")]
    lake: PathBuf,
    /// Compare the topics too that this configuration writes; its recovery.folder says where the log of ticks is
    #[arg(long, value_name = "FILE", conflicts_with_all = ["kafka", "state"])]
    config: Option<PathBuf>,
    /// Compare the topics too, at these brokers
    #[arg(long, value_name = "HOST:PORT")]
    kafka: Option<String>,
    /// Prefix of the topics
    #[arg(long, default_value = "tidewheel", requires = "kafka")]
    prefix: String,
    /// What the sink of the topics is called, where it has another name than tidewheel-PREFIX
    #[arg(long, requires = "kafka", value_name = "ID")]
    transactional_id: Option<String>,
    /// The folder that recovery.folder named, where it was not in the lake
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// The registry of models, where it is not where the run had it
    #[arg(long, value_name = "DIR")]
    registry: Option<PathBuf>,
    /// Only what was published from this time on (RFC 3339, a date, or a tick in milliseconds)
    #[arg(long, value_parser = time_ns, value_name = "T")]
    from: Option<i64>,
    /// Only what was published before this time
    #[arg(long, value_parser = time_ns, value_name = "T")]
    to: Option<i64>,
    /// Worker threads [default: one a core]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Differences to tell; all are counted
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl VerifyArgs {
    /// Compares, and tells.
    ///
    /// # Errors
    /// If there is nothing to compare, or something cannot be read.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        if self.workers == Some(0) {
            return Err(CommandError::Usage("--workers must be at least 1".to_owned()));
        }
        let tick = |time_ns: i64| u64::try_from(time_ns.div_euclid(1_000_000) + i64::from(time_ns % 1_000_000 != 0));
        let tick = |time_ns: Option<i64>| time_ns.map(|time_ns| tick(time_ns).unwrap_or_default());
        let ticks = tick(self.from).unwrap_or_default()..tick(self.to).unwrap_or(u64::MAX);
        if ticks.is_empty() {
            return Err(CommandError::Usage("--from is not before --to".to_owned()));
        }
        let (kafka, state) = match &self.config {
            Some(path) => {
                let config = Config::load(path, &config::environment())?;
                (config.kafka_sink("verify"), Some(config.state_folder()))
            }
            None => {
                let sink = |brokers: &String| {
                    let sink = KafkaSinkConfig::new(brokers, &self.prefix);
                    KafkaSinkConfig { transactional_id: self.transactional_id.unwrap_or(sink.transactional_id), ..sink }
                };
                (self.kafka.as_ref().map(sink), self.state)
            }
        };
        let workers = self.workers.unwrap_or_else(cores);
        let report = verify(&VerifyConfig {
            lake: self.lake,
            state,
            registry: self.registry,
            kafka,
            ticks,
            workers,
            limit: self.limit,
        })?;
        let text = if self.json {
            serde_json::to_string_pretty(&report).map_err(|error| CommandError::Output(error.into()))? + "\n"
        } else {
            report.text()
        };
        out.write_all(text.as_bytes()).map_err(CommandError::Output)?;
        Ok(if report.is_identical() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
