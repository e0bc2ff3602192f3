//! The commands of the program: one file each, one line in [`Command`].

mod arguments;
mod replay;
mod summary;

use clap::Subcommand;
use std::io::Write;
use std::process::ExitCode;

/// What `tidewheel` can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run recorded files through the graph and write the bars
    Replay(replay::ReplayArgs),
}

impl Command {
    /// Does it.
    ///
    /// # Errors
    /// Whatever keeps the command from its work; the message says what to do.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        match self {
            Self::Replay(args) => args.run(out),
        }
    }
}

/// Why a command failed; the message says what to do. Printed once, by `main`.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An input cannot be read.
    #[error(transparent)]
    Source(#[from] tidewheel_connectors::source::SourceError),
    /// The lake cannot be opened or read.
    #[error(transparent)]
    Lake(#[from] tidewheel_connectors::lake::LakeError),
    /// A sink failed while the run went on.
    #[error(transparent)]
    Outbox(#[from] crate::outbox::OutboxError),
    /// The worker threads cannot be started.
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineError),
    /// The arguments contradict each other or the world.
    #[error("{0}")]
    Usage(String),
}
