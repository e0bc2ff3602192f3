//! `history`: every policy that was configured or ordered, and what became of it.

use super::{Difference, difference_json, difference_text, differences};
use crate::commands::risk::KnownArgs;
use crate::commands::table::Table;
use crate::commands::{CommandError, time_text};
use crate::risk_view::PolicyChange;
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;
use tidewheel_risk::policy::{NotTaken, Policy};
use tidewheel_risk::switches::{ControlOutcome, ControlRefusal};

/// Show every policy that came, with its tick, who, why, and what became of it
#[derive(Debug, clap::Args)]
pub(super) struct HistoryArgs {
    /// Tell of each that took effect which fields differ from the one before
    #[arg(long)]
    diff: bool,
    #[command(flatten)]
    known: KnownArgs,
}

impl HistoryArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let view = self.known.open()?;
        let story = view.story()?;
        let mut before: Option<&Policy> = None;
        let mut told: Vec<(&PolicyChange, Vec<Difference>)> = Vec::new();
        for change in story.policies() {
            let differing = change.policy.as_ref().zip(before).map(|(policy, before)| differences(before, policy));
            before = change.policy.as_ref().or(before);
            told.push((change, differing.filter(|_| self.diff).unwrap_or_default()));
        }
        if self.known.json {
            let changes: Vec<Value> = told.iter().map(|(change, differing)| self.to_json(change, differing)).collect();
            KnownArgs::answer(out, &json!({ "lake": KnownArgs::head_json(&view), "policies": changes }))?;
            return Ok(ExitCode::SUCCESS);
        }
        self.known.head(&view, out)?;
        if self.diff {
            return lines(&told, out);
        }
        let mut table = Table::right_aligned(&[0]);
        table.row(["version", "tick", "time", "who", "became", "why"]);
        for (change, _) in &told {
            table.row([
                change.version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
                change.tick.to_string(),
                time_text(change.tick),
                change.who.clone(),
                became(change),
                change.why.clone(),
            ]);
        }
        table.write(out, "").map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }

    fn to_json(&self, change: &PolicyChange, differing: &[Difference]) -> Value {
        let mut value = json!({
            "version": change.version, "tick": change.tick, "order": change.order, "who": change.who, "why": change.why,
            "outcome": change.outcome, "became": became(change),
        });
        if self.diff {
            value["differences"] = differing.iter().map(difference_json).collect();
        }
        value
    }
}

/// One after the other, since differences are wider than columns.
fn lines(told: &[(&PolicyChange, Vec<Difference>)], out: &mut dyn Write) -> Result<ExitCode, CommandError> {
    for (change, differing) in told {
        let version = change.version.map_or_else(|| "-".to_owned(), |version| version.to_string());
        let (time, became) = (time_text(change.tick), became(change));
        let head = format!("{version} at {time} (tick {}), {}: {became}; {}", change.tick, change.who, change.why);
        writeln!(out, "{head}").map_err(CommandError::Output)?;
        for difference in differing {
            writeln!(out, "  {}", difference_text(difference)).map_err(CommandError::Output)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What became of it, in few words.
fn became(change: &PolicyChange) -> String {
    match &change.outcome {
        ControlOutcome::Done if change.order.is_none() => "in force, as configured".to_owned(),
        ControlOutcome::Done => "in force".to_owned(),
        ControlOutcome::Already => "was in force already".to_owned(),
        ControlOutcome::AwaitsSecond => "waits for a second person".to_owned(),
        ControlOutcome::Repeated => "the same order came before".to_owned(),
        ControlOutcome::Refused(ControlRefusal::Policy(NotTaken::Invalid(problems))) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            format!("refused: {}", problems.join("; "))
        }
        ControlOutcome::Refused(ControlRefusal::Policy(reason)) => format!("refused: {reason}"),
        ControlOutcome::Refused(reason) => format!("refused: {reason}"),
    }
}
