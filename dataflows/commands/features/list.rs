//! `tidewheel features list`: all of them, a line each.

use super::{FeatureJson, ViewJson, write_json};
use crate::commands::CommandError;
use crate::commands::table::Table;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;
use tidewheel_operators::features::{FEATURES, View};

/// List all features, and the views that come with the program
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// Print JSON, with formulas and sources
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct ListJson {
    features: Vec<FeatureJson>,
    views: Vec<ViewJson>,
}

impl ListArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let views = View::built_in();
        if self.json {
            let features = FEATURES.iter().map(FeatureJson::from).collect();
            write_json(out, &ListJson { features, views: views.iter().map(ViewJson::from).collect() })?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::right_aligned(&[1, 2, 3]);
        table.row(["feature", "version", "bars needed", "warm after", "unit", "made of"]);
        for feature in FEATURES {
            table.row([
                feature.name.to_owned(),
                feature.version.to_string(),
                feature.kernel.needs().to_string(),
                feature.kernel.warm_up().to_string(),
                feature.family.unit.to_owned(),
                feature.family.inputs.to_owned(),
            ]);
        }
        table.write(out, "").map_err(CommandError::Output)?;
        let mut table = Table::right_aligned(&[1, 3]);
        table.row(["view", "version", "rows of", "columns"]);
        for view in &views {
            let (version, columns) = (view.version.to_string(), view.columns.len().to_string());
            table.row([view.name.clone(), version, view.base.name().to_owned(), columns]);
        }
        writeln!(out).map_err(CommandError::Output)?;
        table.write(out, "").map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}
