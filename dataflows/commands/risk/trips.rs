//! `trips`: what tripped and stands, with the names that a reset needs.

use super::KnownArgs;
use super::view::{cause_text, figure, time};
use crate::commands::CommandError;
use crate::commands::table::Table;
use crate::risk_view::{Ending, TripState};
use serde_json::{Value, json};
use std::io::Write;
use std::process::ExitCode;

/// Show the trips that stand, with the names that `risk reset` wants
#[derive(Debug, clap::Args)]
pub(super) struct TripsArgs {
    /// Those that ended too, with who reset them and why
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    known: KnownArgs,
}

impl TripsArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let view = self.known.open()?;
        let story = view.story()?;
        let trips: Vec<&TripState> =
            if self.all { story.trips().iter().collect() } else { story.standing_trips().collect() };
        if self.known.json {
            let trips: Vec<Value> = trips.into_iter().map(to_json).collect();
            KnownArgs::answer(out, &json!({ "lake": KnownArgs::head_json(&view), "trips": trips }))?;
            return Ok(ExitCode::SUCCESS);
        }
        self.known.head(&view, out)?;
        if trips.is_empty() {
            writeln!(out, "no trip stands").map_err(CommandError::Output)?;
            return Ok(ExitCode::SUCCESS);
        }
        let mut table = Table::default();
        table.row(["trip", "level", "since", "cause", "value", "trigger", "state"]);
        for state in trips {
            let trip = &state.trip;
            table.row([
                trip.id.clone(),
                trip.level.to_string(),
                time(trip.tick),
                cause_text(&trip.cause, trip.rule),
                figure(trip.value),
                figure(trip.trigger),
                state_text(state),
            ]);
        }
        table.write(out, "").map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// Whether it stands, and what leads out of it; or how it ended.
fn state_text(state: &TripState) -> String {
    let asked: Vec<String> = state.asked.iter().map(|(who, why, _)| format!("{who} ({why})")).collect();
    match &state.ended {
        None if !state.trip.is_latched => "comes down by itself".to_owned(),
        None if asked.is_empty() => "stands until it is reset".to_owned(),
        None => format!("waits for a second person after {}", asked.join(", ")),
        Some((tick, Ending::Reset { who, why, .. })) => {
            let after = if asked.is_empty() { String::new() } else { format!(", after {}", asked.join(", ")) };
            format!("reset at {} by {who}: {why}{after}", time(*tick))
        }
        Some((tick, Ending::ByItself)) => format!("came down by itself at {}", time(*tick)),
    }
}

pub(super) fn to_json(state: &TripState) -> Value {
    let trip = &state.trip;
    let asked: Vec<Value> =
        state.asked.iter().map(|(who, why, tick)| json!({ "who": who, "why": why, "tick": tick })).collect();
    let ended = state.ended.as_ref().map(|(tick, ending)| match ending {
        Ending::Reset { order, who, why } => {
            json!({ "tick": tick, "how": "reset", "order": order, "who": who, "why": why })
        }
        Ending::ByItself => json!({ "tick": tick, "how": "by_itself" }),
    });
    json!({
        "trip": trip.id, "rule": trip.rule, "scope": trip.scope.to_string(), "level": trip.level, "tick": trip.tick,
        "cause": trip.cause, "value": trip.value, "trigger": trip.trigger, "is_latched": trip.is_latched,
        "policy_version": trip.policy_version, "stands": state.ended.is_none(), "reset_asked": asked, "ended": ended,
    })
}
