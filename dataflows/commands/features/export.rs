//! `tidewheel features export`: rows for training, as they were known, with labels.

use super::super::arguments::time_ns;
use super::super::{CommandError, number};
use crate::config::{ComputedSections, FeaturesSection};
use crate::export::{ExportConfig, Form, Known, Label, export};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write rows of a view, and labels beside them, into one Parquet file
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Columns: venue, symbol, event_time (the end of the row's bar), known_tick, revision, is_ready, the features,
the labels, label_known_time. With --for-training: symbol, close_time, the features, label.

A label is the logarithm of a later close over the row's own, of the final bars in the lake: return_15m the
last close by 15 minutes later, return_20bars that of the 20th next bar. Null where that is not over yet.

Examples:
  tidewheel features export ./lake --output rows.parquet
  tidewheel features export ./lake --as-known --label return_15m,return_1h --output rows.parquet
  tidewheel features export ./lake --symbols BTCUSDT --from 2024-08-05 --label return_15m --for-training \\
      --output train.parquet")]
pub struct ExportArgs {
    /// The folder of the lake
    #[arg(value_name = "LAKE")]
    lake: PathBuf,
    /// The view: core_technical, or one that --config defines
    #[arg(long, default_value = "core_technical", value_name = "NAME")]
    view: String,
    /// A configuration whose [features] section defines views
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Only rows of this time on (RFC 3339 or a date)
    #[arg(long, value_parser = time_ns, value_name = "T")]
    from: Option<i64>,
    /// Only rows before this time
    #[arg(long, value_parser = time_ns, value_name = "T")]
    to: Option<i64>,
    /// Only these: SYMBOL or VENUE|SYMBOL
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    symbols: Vec<String>,
    /// Rows as they were known, not as corrected since: when they first came out, or by a time or tick, which is then what
    /// the labels know too
    #[arg(long, num_args = 0..=1, default_missing_value = "first", value_parser = known, value_name = "T")]
    as_known: Option<Known>,
    /// What became of the price: return_15m, return_4h, return_20bars
    #[arg(long = "label", value_delimiter = ',', value_name = "LABEL")]
    labels: Vec<Label>,
    /// Only the columns symbol, close_time, the features and label
    #[arg(long, requires = "labels")]
    for_training: bool,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

fn known(text: &str) -> Result<Known, String> {
    if text == "first" {
        return Ok(Known::First);
    }
    let ms = time_ns(text)?.div_euclid(1_000_000);
    u64::try_from(ms).map(Known::At).map_err(|_| "expected a time after 1970".to_owned())
}

impl ExportArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let range_ns = self.from.unwrap_or(i64::MIN)..self.to.unwrap_or(i64::MAX);
        if range_ns.is_empty() {
            return Err(CommandError::Usage("--from is not before --to".to_owned()));
        }
        let section = match &self.config {
            Some(path) => ComputedSections::load(path)?.features,
            None => FeaturesSection::default(),
        };
        let views = section.known().map_err(CommandError::Usage)?;
        let Some(view) = views.iter().find(|view| view.name == self.view).cloned() else {
            let known = views.iter().map(|view| view.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(CommandError::Usage(format!("there is no view {:?}; there are {known}", self.view)));
        };
        let config = ExportConfig {
            lake: self.lake,
            view,
            range_ns,
            symbols: self.symbols,
            known: self.as_known.unwrap_or(Known::Corrected),
            labels: self.labels,
            form: if self.for_training { Form::Training } else { Form::Whole },
            output: self.output,
        };
        let exported = export(&config)?;
        let labelled = match config.labels.is_empty() {
            true => String::new(),
            false => format!(", {} of them with all labels", number(exported.labelled)),
        };
        let (rows, instruments) = (number(exported.rows), number(exported.instruments as u64));
        writeln!(out, "{rows} rows of {instruments} instruments{labelled}, in {}", config.output.display())
            .map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}
