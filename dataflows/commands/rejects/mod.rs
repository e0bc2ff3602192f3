//! `tidewheel rejects`: dead letters by reason, and their raw bytes again once the cause is mended.

mod letters;
mod replay;
mod summary;

use super::CommandError;
use super::brokers::BrokerArgs;
use letters::{Letter, Letters};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use summary::Summary;
use tidewheel_schemas::RejectReason;

/// Lists dead letters by reason, shows them, and writes their raw bytes again once the cause is mended.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tidewheel rejects lake                                      how many of which reason
  tidewheel rejects lake --reason number --show --limit 5     five of them, whole
  tidewheel rejects tidewheel.rejects --brokers localhost:9092
  tidewheel rejects lake --reason malformed --replay again.jsonl
  tidewheel rejects lake --to-topic trades --brokers localhost:9092

Reasons: malformed, oversized, truncated, field, number, time, instrument, trade_id, future,
conflict, unknown_trade, too_old. Replaying removes nothing: the letters stay, as a record of what came.")]
pub struct RejectsArgs {
    /// A lake's folder; or, with --brokers, the topic of dead letters, as PREFIX.rejects
    #[arg(value_name = "LAKE|TOPIC")]
    place: String,

    /// Only letters of this reason; may be given several times
    #[arg(long, value_parser = reason_of)]
    reason: Vec<RejectReason>,

    /// Show or replay so many at most [default: 20 to show, all to replay]
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,

    /// Show each letter with its details and raw bytes
    #[arg(long)]
    show: bool,

    /// Write the raw bytes into this new file, a line each, with the receive time in front where it is known
    #[arg(long, value_name = "FILE", conflicts_with_all = ["show", "to_topic"])]
    replay: Option<PathBuf>,

    /// Write the raw bytes to this topic, stamped with the receive time where it is known
    #[arg(long, value_name = "TOPIC", requires = "brokers", conflicts_with = "show")]
    to_topic: Option<String>,

    #[command(flatten)]
    cluster: BrokerArgs,
}

/// Letters shown without a limit.
const SHOWN: u64 = 20;

fn reason_of(text: &str) -> Result<RejectReason, String> {
    let names = || RejectReason::ALL.map(RejectReason::name).join(", ");
    let found = RejectReason::ALL.into_iter().find(|reason| reason.name() == text);
    found.ok_or_else(|| format!("there is no such reason; there are {}", names()))
}

impl RejectsArgs {
    /// Lists, shows or replays.
    ///
    /// # Errors
    /// If the letters cannot be read, or where they are to go cannot be written.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let letters = Letters::find(&self.place, &self.cluster)?;
        if self.replay.is_some() || self.to_topic.is_some() {
            return self.replay(&letters, out);
        }
        let mut summary = Summary::default();
        let mut left = if self.show { self.limit.unwrap_or(SHOWN) } else { 0 };
        letters.for_each(&mut |letter| {
            if !self.wants(&letter) {
                return Ok(true);
            }
            if left > 0 {
                left -= 1;
                summary::show(&letter, out).map_err(CommandError::Output)?;
            }
            summary.add(letter);
            Ok(true)
        })?;
        summary.write(&self.place, out).map_err(CommandError::Output)?;
        Ok(ExitCode::SUCCESS)
    }

    fn replay(&self, letters: &Letters, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let mut target = match (&self.replay, &self.to_topic) {
            (Some(path), _) => replay::Target::file(path)?,
            (None, Some(topic)) => replay::Target::topic(topic, &self.cluster)?,
            (None, None) => return Err(CommandError::Usage("name a file with --replay, or a --to-topic".into())),
        };
        let mut left = self.limit.unwrap_or(u64::MAX);
        letters.for_each(&mut |letter| {
            if left > 0 && self.wants(&letter) && target.write(&letter)? {
                left -= 1;
            }
            Ok(left > 0)
        })?;
        let name = self.replay.as_ref().map(|path| path.display().to_string()).or_else(|| self.to_topic.clone());
        target.finish(&name.unwrap_or_default(), out)?;
        Ok(ExitCode::SUCCESS)
    }

    fn wants(&self, letter: &Letter) -> bool {
        self.reason.is_empty() || self.reason.contains(&letter.reason)
    }
}
