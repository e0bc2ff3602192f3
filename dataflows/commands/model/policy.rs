//! `signals-policy`: other thresholds for the signals of a run, from one tick on.

use super::send::{Remarks, send};
use crate::commands::CommandError;
use crate::config::TimeSpan;
use crate::scoring::{SignalsPolicy, Wanted};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Send other thresholds of signals to the runs that read a control topic; they take effect at one tick, and stay in force
#[derive(Debug, clap::Args)]
pub(super) struct SignalsPolicyArgs {
    /// Its number, from 1: above that of the policy in force
    #[arg(long, value_name = "NUMBER")]
    number: u64,
    /// The confidence from which on a prediction is worth considering, 0.5 to 1
    #[arg(long, value_name = "SHARE")]
    consider: f64,
    /// The confidence from which on it is worth acting on, not below that to consider
    #[arg(long, value_name = "SHARE")]
    act: f64,
    /// How long after a signal to act the same instrument and target give no other
    #[arg(long, value_name = "TIME")]
    cool_down: TimeSpan,
    /// How many instruments give signals
    #[arg(long, value_name = "COUNT")]
    universe: u32,
    /// The configuration of the run, whose control.topic is written to
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    remarks: Remarks,
}

impl SignalsPolicyArgs {
    pub(super) fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let Self { number, consider, act, universe, .. } = self;
        let cool_down_ms = self.cool_down.as_ms();
        let policy = SignalsPolicy { number, consider, act, cool_down_ms, universe };
        policy.check().map_err(|(field, detail)| CommandError::Usage(format!("{field} {detail}")))?;
        let told = policy.to_string();
        let topic = send(&Wanted::SignalsPolicy(policy), &self.config, &self.remarks)?;
        writeln!(out, "sent policy {number} to {topic}: {told}").map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }
}
