//! `tidewheel status`: how a run is doing, asked of itself.

mod view;

pub(super) use view::duration;

use super::{CommandError, time_text};
use crate::config::{self, Config, TimeSpan};
use crate::http::StatusReport;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tidewheel_connectors::lake;

/// Ask a live run how it is doing: partitions, ticks, what is committed, state, counts
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidewheel status --config tidewheel.toml
  tidewheel status --url http://10.0.0.7:9464 --json

Exits with 0 if the run is healthy, with 1 if it is not or does not answer. Where it does not answer and
the configuration has a lake, what the lake has committed is shown instead.")]
pub struct StatusArgs {
    /// The config file of the run; its [http] section says where to ask
    #[arg(long, short, value_name = "FILE", env = "TIDEWHEEL_CONFIG", required_unless_present = "url")]
    config: Option<PathBuf>,

    /// Where to ask instead
    #[arg(long, value_name = "URL")]
    url: Option<String>,

    /// Print the answer as the run gives it
    #[arg(long)]
    json: bool,

    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "5s")]
    timeout: TimeSpan,
}

impl StatusArgs {
    /// Asks and prints.
    ///
    /// # Errors
    /// If the configuration cannot be used, or the output not be written. A run that does not answer is output, not an error.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        // A url is enough; what a file says of a lake helps only if it is asked for too.
        let config = self.config.as_deref().map(|path| Config::load(path, &config::environment())).transpose()?;
        let answer = match self.url(config.as_ref()) {
            Some(url) => ask(&url, self.timeout.as_duration()),
            None => Err("the configuration has no [http] section, so no run of it can be asked".to_owned()),
        };
        let (text, is_healthy) = match answer {
            Ok((json, report)) => (if self.json { json } else { view::report(&report) }, report.healthy),
            Err(why) => (self.unanswered(&why, config.as_ref())?, false),
        };
        out.write_all(text.as_bytes()).map_err(CommandError::Output)?;
        Ok(if is_healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn url(&self, config: Option<&Config>) -> Option<String> {
        let listen = || config.and_then(Config::http).map(|http| format!("http://{}", reachable(&http.listen)));
        let url = self.url.clone().or_else(listen)?;
        Some(if url.contains("://") { url } else { format!("http://{url}") })
    }

    /// What can be told of a run that does not answer: what it has committed to its lake.
    fn unanswered(&self, why: &str, config: Option<&Config>) -> Result<String, CommandError> {
        let root = config.and_then(Config::lake).map(|lake| lake.path.clone()).filter(|root| is_lake(root));
        let committed = root.map(|root| lake::read::manifest(&root).map(|state| (root, state))).transpose()?;
        if self.json {
            let lake = committed.map(|(root, state)| {
                serde_json::json!({
                    "path": root,
                    "commit": state.seq,
                    "run": state.progress.run,
                    "tick_frontier_ms": state.progress.tick_frontier,
                    "files": state.files.len(),
                    "counters": state.progress.counters,
                })
            });
            return Ok(format!("{}\n", serde_json::json!({ "answers": false, "why": why, "lake": lake })));
        }
        let mut text = format!("the run does not answer: {why}\n");
        if let Some((root, state)) = committed {
            text += &view::lake(&root, &state);
        }
        Ok(text)
    }
}

fn is_lake(root: &Path) -> bool {
    root.join("_tidewheel/manifests").is_dir()
}

/// Where one that listens on all addresses can be reached from this machine.
fn reachable(listen: &str) -> String {
    for (all, own) in [("0.0.0.0:", "127.0.0.1:"), ("[::]:", "[::1]:")] {
        if let Some(port) = listen.strip_prefix(all) {
            return format!("{own}{port}");
        }
    }
    listen.to_owned()
}

/// The answer as it came, and what it says; or why there is none.
fn ask(url: &str, timeout: Duration) -> Result<(String, StatusReport), String> {
    let url = format!("{}/api/v1/status", url.trim_end_matches('/'));
    // No proxy: the address is one of ours.
    let settings = ureq::Agent::config_builder().timeout_global(Some(timeout)).proxy(None).build();
    let agent: ureq::Agent = settings.into();
    let failed = |error: ureq::Error| format!("{url}: {error}");
    let mut answer = agent.get(&url).call().map_err(failed)?;
    let json = answer.body_mut().read_to_string().map_err(failed)?;
    let report =
        serde_json::from_str(&json).map_err(|error| format!("{url} is no tidewheel of this version: {error}"))?;
    Ok((json + "\n", report))
}
