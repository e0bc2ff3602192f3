//! Where what is known of risk is read: a lake, or that of a configuration.

use crate::commands::arguments::time_ns;
use crate::commands::status::duration;
use crate::commands::{CommandError, now_ns, time_text};
use crate::config::{self, Config};
use crate::risk_view::RiskView;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Which lake, as of when, and how to answer.
#[derive(Debug, clap::Args)]
pub struct KnownArgs {
    /// The folder of the lake
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    lake: Option<PathBuf>,
    /// The configuration of the run, whose lake is read
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// As it was known then (RFC 3339, a date, or a tick in milliseconds)
    #[arg(long, value_name = "T", value_parser = tick)]
    at: Option<u64>,
    /// Answer with JSON
    #[arg(long)]
    pub json: bool,
}

fn tick(text: &str) -> Result<u64, String> {
    let ms = time_ns(text)?.div_euclid(1_000_000);
    u64::try_from(ms).map_err(|_| "expected a time after 1970".to_owned())
}

impl KnownArgs {
    /// Opens the lake.
    ///
    /// # Errors
    /// If there is none, it has no table of risk, or the configuration has none of both.
    pub fn open(&self) -> Result<RiskView, CommandError> {
        let root = match (&self.lake, &self.config) {
            (Some(lake), _) => lake.clone(),
            (None, Some(path)) => lake_of(path, &with_risk(path)?)?,
            (None, None) => return Err(CommandError::Usage("name a lake: --lake DIR, or --config FILE".to_owned())),
        };
        Ok(RiskView::open(&root, self.at)?)
    }

    /// Writes an answer as JSON.
    ///
    /// # Errors
    /// If the output does not take it.
    pub fn answer(out: &mut dyn Write, value: &serde_json::Value) -> Result<(), CommandError> {
        writeln!(out, "{value}").map_err(CommandError::Output)
    }

    /// Which lake is told of, how far it reaches, and how old that is.
    ///
    /// # Errors
    /// If the output does not take it.
    pub fn head(&self, view: &RiskView, out: &mut dyn Write) -> Result<(), CommandError> {
        let (commit, run) = view.commit();
        let (root, through) = (view.root().display(), time_text(view.through()));
        let as_of = if self.at.is_some() { "as known at" } else { "complete through" };
        let age = duration(age_ms(view));
        writeln!(out, "lake {root}, {as_of} {through} ({age} ago), commit {commit} of {run}")
            .map_err(CommandError::Output)
    }

    /// The same as fields.
    pub fn head_json(view: &RiskView) -> serde_json::Value {
        let (commit, run) = view.commit();
        serde_json::json!({
            "path": view.root(), "commit": commit, "run": run, "through_tick": view.through(), "age_ms": age_ms(view),
        })
    }
}

fn age_ms(view: &RiskView) -> u64 {
    let now_ms = u64::try_from(now_ns() / 1_000_000).unwrap_or_default();
    now_ms.saturating_sub(view.through())
}

/// A configuration that has risk.
///
/// # Errors
/// If it cannot be used, or has none.
pub fn with_risk(path: &Path) -> Result<Config, CommandError> {
    let config = Config::load(path, &config::environment())?;
    if config.risk.is_none() {
        let path = path.display();
        let none =
            format!("{path} has no [risk] section, so its run watches no accounts and holds to no policy: add one");
        return Err(CommandError::Usage(none));
    }
    Ok(config)
}

fn lake_of(path: &Path, config: &Config) -> Result<PathBuf, CommandError> {
    let none = || {
        let path = path.display();
        CommandError::Usage(format!(
            "{path} has no lake that could be read: give --lake DIR, or read PREFIX.risk_events"
        ))
    };
    Ok(config.lake().ok_or_else(none)?.path.clone())
}
