//! `tidewheel features describe`: all that is known of one.

use super::{FeatureJson, ViewJson, longest_interval, write_json};
use crate::commands::CommandError;
use crate::commands::table::Table;
use std::io::Write;
use std::process::ExitCode;
use tidewheel_operators::features::{Feature, Scope, View, nearest_name};

/// Tell what a feature is, with its formula and source; or which columns a view has
#[derive(Debug, clap::Args)]
pub struct DescribeArgs {
    /// The name of a feature or of a view
    #[arg(value_name = "NAME")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl DescribeArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let views = View::built_in();
        // A column of a view names its feature behind the interval.
        let feature_name = self.name.rsplit_once('.').map_or(self.name.as_str(), |(_, name)| name);
        if let Some(view) = views.iter().find(|view| view.name == self.name) {
            if self.json { write_json(out, &ViewJson::from(view))? } else { write_view(out, view)? }
        } else if let Some(feature) = Feature::find(feature_name) {
            if self.json { write_json(out, &FeatureJson::from(feature))? } else { write_feature(out, feature)? }
        } else {
            let nearest = nearest_name(&self.name, &views).unwrap_or_default();
            let name = &self.name;
            return Err(CommandError::Usage(format!(
                "no feature and no view is called {name:?}, did you mean {nearest:?}? `tidewheel features list` shows all"
            )));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn write_feature(out: &mut dyn Write, feature: &Feature) -> Result<(), CommandError> {
    let over = match feature.family.scope {
        Scope::Bars => "bars of any interval".to_owned(),
        Scope::Day => format!("bars up to {}, from midnight UTC on", longest_interval(feature)),
        Scope::Market => "bars of a minute or longer".to_owned(),
        Scope::Clock => format!("bars up to {}, the same over each", longest_interval(feature)),
    };
    let (needs, warm_up) = (feature.kernel.needs(), feature.kernel.warm_up());
    let mut table = Table::default();
    table.row(["feature", feature.name]);
    table.row(["version".to_owned(), feature.version.to_string()]);
    table.row(["unit", feature.family.unit]);
    table.row(["made of", feature.family.inputs]);
    table.row(["over".to_owned(), over]);
    table.row(["null until".to_owned(), format!("bar {needs}, from the first one on")]);
    table.row(["warm from".to_owned(), format!("bar {warm_up}: where history began weighs less than 1 %")]);
    table.row(["formula", feature.family.formula]);
    table.row(["source", feature.family.source]);
    table.write(out, "").map_err(CommandError::Output)
}

fn write_view(out: &mut dyn Write, view: &View) -> Result<(), CommandError> {
    writeln!(out, "{} version {}: a row for each final {} bar", view.name, view.version, view.base)
        .map_err(CommandError::Output)?;
    let mut table = Table::default();
    for column in &view.columns {
        table.row([column.name(view.base), column.feature.family.unit.to_owned()]);
    }
    table.write(out, "  ").map_err(CommandError::Output)
}
