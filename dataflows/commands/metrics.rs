//! `tidewheel metrics`: what `/metrics` of a run tells.

use super::CommandError;
use crate::metrics;
use std::io::Write;
use std::process::ExitCode;

/// Print all metrics of a run with their types, units and meanings, as Markdown
#[derive(Debug, clap::Args)]
pub struct MetricsArgs {}

impl MetricsArgs {
    /// Prints them.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        out.write_all(metrics::document().as_bytes()).map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}
