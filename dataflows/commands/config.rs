//! `tidewheel config`: a config file to start from.

use super::CommandError;
use crate::config;
use std::io::Write;
use std::process::ExitCode;

/// Prints an example config file: every field with its meaning and default.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidewheel config > tidewheel.toml         start your own
  tidewheel check --config tidewheel.toml   see whether it would run
  tidewheel run --config tidewheel.toml     run it

Only what differs from the defaults needs to be in the file. Every field can be overridden by an
environment variable: TIDEWHEEL_WORKERS, TIDEWHEEL_SOURCE__BROKERS, TIDEWHEEL_BARS__HORIZON.")]
pub struct ConfigArgs {}

impl ConfigArgs {
    /// Prints it.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        out.write_all(config::example().as_bytes()).map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}
