//! `tidewheel check`: whether a configuration would run, what it would do, and what to mend.
//!
//! Nothing is changed: no topic is created, no lake opened, no offset moved. A folder is tried by making a file in it and
//! removing it again.

mod cluster;
mod lake_folder;

use super::CommandError;
use super::table::Table;
use crate::config::{self, Cadence, Config, ConfigError, Problem, TimeSpan};
use crate::http;
use cluster::Clusters;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Memory of a trade within the horizon: its columns, its id and its place in the bars.
const BYTES_PER_TRADE: u64 = 75;

/// Checks a config file: validates it, connects, shows the plan, and says what is wrong and what to do.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidewheel check --config tidewheel.toml
  TIDEWHEEL_SOURCE__BROKERS=kafka:9092 tidewheel check --config tidewheel.toml

Exits with 0 if it would run, with 1 if not. Nothing is created or changed.")]
pub struct CheckArgs {
    /// The config file
    #[arg(long, short, value_name = "FILE", env = "TIDEWHEEL_CONFIG")]
    config: PathBuf,

    /// How long to wait for a cluster to answer
    #[arg(long, value_name = "TIME", default_value = "10s")]
    timeout: TimeSpan,
}

/// What was found out: facts for the table, and what is wrong.
#[derive(Debug, Default)]
pub struct Findings {
    table: Table,
    problems: Vec<String>,
}

impl Findings {
    /// Adds a fact under a heading; an empty one continues the heading above.
    fn fact(&mut self, heading: &str, fact: impl Into<String>) {
        self.table.row([heading.to_owned(), fact.into()]);
    }

    /// Adds something that is wrong, with what to do.
    fn problem(&mut self, problem: impl Into<String>) {
        self.problems.push(problem.into());
    }
}

impl CheckArgs {
    /// Checks and prints.
    ///
    /// # Errors
    /// If the file cannot be read or the output not be written. What is wrong with the configuration is output, not an
    /// error.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        self.run_with(&config::environment(), out)
    }

    fn run_with(self, environment: &[(String, String)], out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let mut findings = Findings::default();
        let path = self.config.display();
        match Config::load(&self.config, environment) {
            Ok(config) => {
                findings.fact("config", path.to_string());
                let mut clusters = Clusters::new(self.timeout.as_duration());
                clusters.source(&config, &mut findings);
                computed(&config, &mut findings);
                clusters.output(&config, &mut findings);
                lake_folder::check(&config, &mut findings);
                server(&config, &mut findings);
            }
            Err(ConfigError::Invalid { problems, .. }) => {
                findings.fact("config", format!("{path}: not usable, so nothing else was checked"));
                findings.problems = problems.0.iter().map(Problem::to_string).collect();
            }
            Err(error) => return Err(error.into()),
        }
        report(&findings, out).map_err(CommandError::Output)?;
        Ok(if findings.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// What the graph would do: it needs no world.
fn computed(config: &Config, findings: &mut Findings) {
    let bars = &config.bars;
    let intervals: Vec<&str> = bars.intervals.iter().map(|interval| interval.name()).collect();
    findings.fact("compute", format!("bars of {}, on {} workers", intervals.join(" "), config.worker_count()));
    findings.fact("", format!("a tick every {}; trades dated up to {} ahead of it", bars.tick, bars.skew));
    let provisional = match bars.provisional_every {
        Cadence::Never => "published once they are final".to_owned(),
        Cadence::Every(every) => format!("published every {every} while they change"),
    };
    findings.fact("", format!("bars are {provisional}, final {} after their end", bars.lateness));
    findings.fact("", format!("corrections up to {} back", bars.horizon));
    let megabytes = BYTES_PER_TRADE;
    findings.fact("memory", format!("about {megabytes} MB for each million trades within {}", bars.horizon));
}

/// Whether the HTTP server could listen, where there is to be one.
fn server(config: &Config, findings: &mut Findings) {
    let Some(section) = config.http() else { return };
    findings.fact("serve", format!("/health, /metrics and /api/v1/status on http://{}", section.listen));
    if let Err(error) = http::bind(section) {
        findings.problem(error.to_string());
    }
}

fn report(findings: &Findings, out: &mut dyn Write) -> io::Result<()> {
    findings.table.write(out, "")?;
    writeln!(out)?;
    match findings.problems.as_slice() {
        [] => writeln!(out, "it would run"),
        problems => {
            let count = problems.len();
            writeln!(out, "it would not run: {count} problem{}", if count == 1 { "" } else { "s" })?;
            problems.iter().enumerate().try_for_each(|(at, problem)| writeln!(out, "  {}. {problem}", at + 1))
        }
    }
}

#[cfg(test)]
mod tests;
