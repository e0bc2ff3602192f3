//! `tidewheel audit`: proofs about what a run published.

use super::CommandError;
use super::replay::cores;
use crate::audit::{AuditConfig, lookahead};
use crate::config::{self, Config};
use clap::Subcommand;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Prove of the rows of a view that none knew the future
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    #[command(subcommand)]
    action: Action,
}

#[allow(missing_docs, reason = "clap would show docs of a variant instead of those of its arguments")]
#[derive(Debug, Subcommand)]
enum Action {
    Lookahead(LookaheadArgs),
}

impl AuditArgs {
    /// Checks, and tells.
    ///
    /// # Errors
    /// If nothing can be checked, or something cannot be read.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        match self.action {
            Action::Lookahead(args) => args.run(out),
        }
    }
}

/// Compute each published row again from what was known at its tick
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The bars of each tick are made again from the archived input and the log of ticks; each version of a row is then
computed from the bars known by its tick that had ended by its time, from the first bar on, and must come out with the
same bits. Safe while the run goes on.
Exit code: 0 all did, 1 some did not, or nothing can be checked, 2 wrong usage.

Examples:
  tidewheel audit lookahead ./lake
  tidewheel audit lookahead ./lake --view mine --sample 100000 --json"
)]
pub struct LookaheadArgs {
    /// The folder of the lake
    #[arg(value_name = "LAKE")]
    lake: PathBuf,
    /// The view
    #[arg(long, default_value = "core_technical", value_name = "NAME")]
    view: String,
    /// Check about so many versions of rows, spread evenly [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    sample: Option<u64>,
    /// A configuration whose recovery.folder says where the log of ticks is
    #[arg(long, value_name = "FILE", conflicts_with = "state")]
    config: Option<PathBuf>,
    /// The folder that recovery.folder named, where it was not in the lake
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    /// Worker threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    workers: Option<u16>,
    /// Leaks to tell; all are counted
    #[arg(long, default_value_t = 20, value_name = "N")]
    limit: usize,
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

impl LookaheadArgs {
    fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let state = match &self.config {
            Some(path) => Some(Config::load(path, &config::environment())?.state_folder()),
            None => self.state,
        };
        let workers = self.workers.map_or_else(cores, usize::from);
        let (view, sample, limit) = (self.view, self.sample, self.limit);
        let report = lookahead(&AuditConfig { lake: self.lake, state, view, sample, workers, limit })?;
        let text = if self.json {
            serde_json::to_string_pretty(&report).map_err(|error| CommandError::Output(error.into()))? + "\n"
        } else {
            report.text()
        };
        out.write_all(text.as_bytes()).map_err(CommandError::Output)?;
        Ok(if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
