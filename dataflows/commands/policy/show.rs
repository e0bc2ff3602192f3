//! `show`: the policy in force.

use super::document;
use crate::commands::risk::KnownArgs;
use crate::commands::{CommandError, time_text};
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;
use tidewheel_risk::policy::Policy;

/// Show the policy in force, whole, with its defaults: as TOML that `set` takes again, or as JSON
#[derive(Debug, clap::Args)]
pub(super) struct ShowArgs {
    /// Show the defaults instead, as version 1
    #[arg(long, conflicts_with_all = ["lake", "config", "at", "json"])]
    defaults: bool,
    #[command(flatten)]
    known: KnownArgs,
}

impl ShowArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let Self { defaults, known } = self;
        if defaults {
            out.write_all(document(&Policy::with_version(1)).as_bytes()).map_err(CommandError::Output)?;
            return Ok(ExitCode::SUCCESS);
        }
        let view = known.open()?;
        let story = view.story()?;
        let Some((change, policy)) = story.in_force() else {
            let (root, through) = (view.root().display(), time_text(view.through()));
            return Err(CommandError::Usage(format!("the lake {root} tells of no policy in force through {through}")));
        };
        if known.json {
            let answer = json!({
                "lake": KnownArgs::head_json(&view), "version": policy.version, "since_tick": change.tick,
                "order": change.order, "who": change.who, "why": change.why, "policy": policy,
            });
            KnownArgs::answer(out, &answer)?;
            return Ok(ExitCode::SUCCESS);
        }
        // Comments, so that what is printed can be changed and set.
        let mut head = Vec::new();
        known.head(&view, &mut head)?;
        let (version, tick, since) = (policy.version, change.tick, time_text(change.tick));
        let mut text = format!("# {}", String::from_utf8_lossy(&head));
        let why = change.why.replace(['\n', '\r'], " ");
        text += &format!("# version {version}, in force since {since} (tick {tick}) by {}: {why}\n", change.who);
        text += &document(policy);
        out.write_all(text.as_bytes()).map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}
