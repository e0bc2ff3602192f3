//! The log of the process: lines on standard error, for people or as JSON, with secrets masked.
//!
//! One event is one line. Every line has a category, and once a run has begun its name; lines about a tick carry the tick.
//! `TIDEWHEEL_LOG` filters as `info,tidewheel::outbox=debug` does. There is no file and no rotation: journald, the container
//! runtime or whoever else reads standard error does that better.

mod fields;
mod human;
mod json;
mod mask;

pub use mask::{keep_secret, masked};

use human::Human;
use json::Json;
use mask::MaskedStderr;
use std::sync::{OnceLock, PoisonError, RwLock};
use tracing_subscriber::EnvFilter;

/// The variable that says what is logged.
pub const FILTER_VARIABLE: &str = "TIDEWHEEL_LOG";

/// What is logged where nothing else was asked for.
pub const QUIET: &str = "warn";

/// What a live run logs where nothing else was asked for: its changes of state, and what is wrong.
pub const OF_A_RUN: &str = "warn,tidewheel=info,tidewheel_connectors=info";

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// For machines: JSON, by the names of the Elastic Common Schema.
    Json,
}

/// A filter that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("could not use {FILTER_VARIABLE}={filter:?}: {detail}; write it as in info,tidewheel::outbox=debug")]
pub struct FilterError {
    filter: String,
    detail: String,
}

/// Which part of the program a line is about, told from the module that logs it. The first that fits counts.
const CATEGORIES: &[(&str, &str)] = &[
    ("librdkafka", "kafka"),
    ("tidewheel_connectors::kafka::sink", "sink"),
    ("tidewheel_connectors::kafka::publish", "sink"),
    ("tidewheel_connectors::kafka", "source"),
    ("tidewheel_connectors::file", "source"),
    ("tidewheel_connectors::lake", "lake"),
    ("tidewheel::outbox::lake_writer", "lake"),
    ("tidewheel::outbox::snapshots", "recovery"),
    ("tidewheel::outbox", "sink"),
    ("tidewheel::live", "source"),
    ("tidewheel::bindings", "recovery"),
    ("tidewheel::recovery", "recovery"),
    ("tidewheel::snapshot", "recovery"),
    ("tidewheel::config", "config"),
    ("tidewheel::http", "http"),
    ("axum", "http"),
    ("hyper", "http"),
    ("ureq", "http"),
];

/// The category of all others.
const ENGINE: &str = "engine";

static FORMAT: OnceLock<Format> = OnceLock::new();
static RUN: RwLock<Option<String>> = RwLock::new(None);

/// Starts the log of the process. To be called once.
///
/// # Errors
/// If the filter that the environment asks for cannot be read.
pub fn start(format: Format, default_filter: &str) -> Result<(), FilterError> {
    let wanted = std::env::var(FILTER_VARIABLE).unwrap_or_else(|_| default_filter.to_owned());
    let filter = EnvFilter::builder().parse(&wanted);
    let filter = filter.map_err(|error| FilterError { filter: wanted, detail: error.to_string() })?;
    let _ = FORMAT.set(format);
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| MaskedStderr);
    match format {
        Format::Human => lines.event_format(Human).init(),
        Format::Json => lines.event_format(Json).init(),
    }
    Ok(())
}

/// Names the run that all lines from now on belong to.
pub fn set_run(run: &str) {
    *RUN.write().unwrap_or_else(PoisonError::into_inner) = Some(run.to_owned());
}

/// Tells of the error that a command ended with: a line of the log for machines, else as `error: ...`.
pub fn tell_error(error: &dyn std::error::Error) {
    if FORMAT.get() == Some(&Format::Json) && tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(%error, "ended with an error");
    } else {
        eprintln!("error: {}", masked(&error.to_string()));
    }
}

/// Tells of a panic, on whichever thread.
pub fn tell_panic(panic: &std::panic::PanicHookInfo<'_>) {
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("?");
    let trace = std::backtrace::Backtrace::capture();
    if FORMAT.get() == Some(&Format::Json) && tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(error = %panic, thread, %trace, "panicked");
    } else {
        eprintln!("thread '{thread}' {}\n{trace}", masked(&panic.to_string()));
    }
}

fn run() -> Option<String> {
    RUN.read().unwrap_or_else(PoisonError::into_inner).clone()
}

fn category(target: &str) -> &'static str {
    let is_of =
        |module: &str| target.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"));
    CATEGORIES.iter().find(|(module, _)| is_of(module)).map_or(ENGINE, |(_, category)| category)
}

/// Now, as both formats write it.
fn timestamp() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_about_the_part_that_logs_it() {
        for (target, expected) in [
            ("librdkafka", "kafka"),
            ("tidewheel_connectors::kafka::sink::writer", "sink"),
            ("tidewheel_connectors::kafka::source", "source"),
            ("tidewheel_connectors::lake", "lake"),
            ("tidewheel::outbox", "sink"),
            ("tidewheel::outbox::lake_writer", "lake"),
            ("tidewheel::outbox::snapshots", "recovery"),
            ("tidewheel::snapshot::store", "recovery"),
            ("tidewheel::live", "source"),
            ("tidewheel::liveness", "engine"),
            ("tidewheel::commands::run", "engine"),
            ("timely", "engine"),
        ] {
            assert_eq!(category(target), expected, "{target}");
        }
    }
}
