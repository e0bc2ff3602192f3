//! `tidewheel sql`: the questions one may ask of a lake, as DuckDB macros.

use super::CommandError;
use std::io::Write;
use std::process::ExitCode;

/// The macros.
const MACROS: &str = include_str!("../../deploy/duckdb.sql");

/// Print DuckDB macros for a lake: bars right now, and as they were known at a tick or time
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  tidewheel sql > lake.sql
  duckdb -init lake.sql -c \"FROM bars_now('./lake') WHERE symbol = 'BTCUSDT'\"
  duckdb -init lake.sql -c \"FROM bars_known_at('./lake', '2024-08-05 12:00:00+00')\"")]
pub struct SqlArgs {}

impl SqlArgs {
    /// Prints them.
    ///
    /// # Errors
    /// If the output cannot be written.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        out.write_all(MACROS.as_bytes()).map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}
