//! `tidewheel risk`: how accounts stand, what tripped, and orders to stop or to go on. Nothing acts beside the control topic: what a
//! command sends takes effect at its tick or is refused there, and `PREFIX.risk_events` says which.

mod known;
mod measures;
mod orders;
mod scope;
mod send;
mod status;
mod trips;
mod view;

pub(super) use known::KnownArgs;
pub(super) use send::Sender;

use super::CommandError;
use std::io::Write;
use std::process::ExitCode;

/// Look at the risk of a run, order it to stop and to go on
#[derive(Debug, clap::Args)]
#[command(after_help = "\
status and trips read the lake, and say how far it reaches. kill, reset and clear write to the control topic: they take effect
at one tick, or are refused there; the table risk_events says which.

Examples:
  tidewheel risk status --config tidewheel.toml
  tidewheel risk status --lake ./lake --at 2024-08-05T12:00:00Z --json
  tidewheel risk trips --config tidewheel.toml
  tidewheel risk kill account:main --level red --who anna --why 'feed looks wrong' --config tidewheel.toml
  tidewheel risk reset 'kill_manual@account:main@red@k-17' --who ben --why 'seen to' --config tidewheel.toml
  tidewheel risk clear main --who ben --why 'booked by hand' --config tidewheel.toml")]
pub struct RiskArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    Status(status::StatusArgs),
    Trips(trips::TripsArgs),
    Kill(orders::KillArgs),
    Reset(orders::ResetArgs),
    Clear(orders::ClearArgs),
}

impl RiskArgs {
    /// Tells, or sends an order.
    ///
    /// # Errors
    /// If there is nothing to tell of, the order makes no sense, or the control topic cannot be written to.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        match self.action {
            Action::Status(args) => args.run(out),
            Action::Trips(args) => args.run(out),
            Action::Kill(args) => args.run(out),
            Action::Reset(args) => args.run(out),
            Action::Clear(args) => args.run(out),
        }
    }
}
