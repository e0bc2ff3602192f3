//! `set`: another policy, through the control topic.

use super::{difference_text, differences, file};
use crate::commands::risk::Sender;
use crate::commands::{CommandError, time_text};
use crate::risk_view::PolicyChange;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use tidewheel_risk::policy::Policy;
use tidewheel_risk::switches::Order;

/// Put a policy in force: the whole document, with a version above that in force. It takes effect at one tick
#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// The document, TOML or JSON
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sender: Sender,
}

impl SetArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let policy = match file::read(&self.file)? {
            Ok(policy) => policy,
            Err(problems) => return file::tell(&self.file, &problems, out),
        };
        let config = self.sender.config()?;
        let known = self.sender.known(&config, out)?;
        if let Some((change, in_force)) = known.as_ref().and_then(|(_, story)| story.in_force()) {
            refuse(&policy, change, in_force)?;
            self.sender.warn_of(&in_force.people.policy, out)?;
            for difference in differences(in_force, &policy) {
                writeln!(out, "  {}", difference_text(&difference)).map_err(CommandError::Output)?;
            }
        }
        let version = policy.version;
        self.sender.send(Order::SetPolicy(Box::new(policy)), out)?;
        writeln!(out, "policy {version} takes effect at one tick: tidewheel policy history says which, or why not")
            .map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What the run would refuse.
fn refuse(policy: &Policy, change: &PolicyChange, in_force: &Policy) -> Result<(), CommandError> {
    let (given, newest) = (policy.version, in_force.version);
    if given > newest {
        return Ok(());
    }
    let (since, who) = (time_text(change.tick), &change.who);
    let what = if policy == in_force {
        format!("policy {given} is in force already, since {since} by {who}: there is nothing to set")
    } else if given == newest {
        format!(
            "another policy {given} is in force, since {since} by {who}: give this one version {} or more",
            newest + 1
        )
    } else {
        format!(
            "version {given} is not above {newest}, in force since {since} by {who}: give it {} or more",
            newest + 1
        )
    };
    Err(CommandError::Usage(what + "; to send it all the same add --unchecked"))
}
