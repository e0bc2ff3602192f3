//! `tidewheel features`: which features there are, what they are, and rows of them for training.

mod describe;
mod export;
mod list;

use super::CommandError;
use clap::Subcommand;
use serde::Serialize;
use std::io::Write;
use std::process::ExitCode;
use tidewheel_operators::features::{Feature, Scope, View};

/// Show the features that can be computed of bars and the views made of them, and export rows for training
#[derive(Debug, clap::Args)]
#[command(after_help = "\
A feature's name carries its convention behind the @. In a view, INTERVAL.NAME is the feature over
bars of that interval: 5m.rsi_14@talib.

Examples:
  tidewheel features list
  tidewheel features describe rsi_14@talib
  tidewheel features describe core_technical --json
  tidewheel features export ./lake --label return_15m --output rows.parquet")]
pub struct FeaturesArgs {
    #[command(subcommand)]
    action: Action,
}

#[allow(missing_docs, reason = "clap would show docs of a variant instead of those of its arguments")]
#[derive(Debug, Subcommand)]
enum Action {
    List(list::ListArgs),
    Describe(describe::DescribeArgs),
    Export(Box<export::ExportArgs>),
}

impl FeaturesArgs {
    /// Prints what was asked for.
    ///
    /// # Errors
    /// If there is no feature or view of the name, a lake cannot be read, or the output cannot be written.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        match self.action {
            Action::List(args) => args.run(out),
            Action::Describe(args) => args.run(out),
            Action::Export(args) => args.run(out),
        }
    }
}

/// A feature, as JSON tells it.
#[derive(Serialize)]
struct FeatureJson {
    name: &'static str,
    version: u32,
    unit: &'static str,
    inputs: &'static str,
    /// Whether its values are the same over every interval.
    is_interval_free: bool,
    /// The longest bars over which it has a meaning.
    longest_interval: &'static str,
    needs_bars: usize,
    warm_up_bars: usize,
    formula: &'static str,
    source: &'static str,
}

impl From<&Feature> for FeatureJson {
    fn from(feature: &Feature) -> Self {
        Self {
            name: feature.name,
            version: feature.version,
            unit: feature.family.unit,
            inputs: feature.family.inputs,
            is_interval_free: feature.family.scope == Scope::Clock,
            longest_interval: longest_interval(feature),
            needs_bars: feature.kernel.needs(),
            warm_up_bars: feature.kernel.warm_up(),
            formula: feature.family.formula,
            source: feature.family.source,
        }
    }
}

/// A view, as JSON tells it.
#[derive(Serialize)]
struct ViewJson {
    name: String,
    version: u32,
    base: &'static str,
    columns: Vec<String>,
}

impl From<&View> for ViewJson {
    fn from(view: &View) -> Self {
        Self { name: view.name.clone(), version: view.version, base: view.base.name(), columns: view.column_names() }
    }
}

const fn longest_interval(feature: &Feature) -> &'static str {
    match feature.family.scope {
        Scope::Bars | Scope::Market => "1d",
        Scope::Day | Scope::Clock => "4h",
    }
}

fn write_json(out: &mut dyn Write, value: &impl Serialize) -> Result<(), CommandError> {
    let text = serde_json::to_string_pretty(value).expect("plain values can always be written as JSON");
    writeln!(out, "{text}").map_err(CommandError::Output)
}
