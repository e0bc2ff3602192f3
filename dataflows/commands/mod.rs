//! The commands of the program: one file each, one line in [`Command`].

mod arguments;
mod config;
mod replay;
mod run;
mod summary;

use clap::Subcommand;
use std::io::Write;
use std::process::ExitCode;

/// What `tidewheel` can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Run(run::RunArgs),
    Replay(Box<replay::ReplayArgs>),
    Config(config::ConfigArgs),
}

impl Command {
    /// Does it. What a command has to tell goes to `out`, its progress to standard error.
    ///
    /// # Errors
    /// If it cannot be done; the message says what to do.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        match self {
            Self::Run(args) => args.run(out),
            Self::Replay(args) => args.run(out),
            Self::Config(args) => args.run(out),
        }
    }
}

/// Why a command failed; the message says what to do. Printed once, by `main`.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An input cannot be read.
    #[error(transparent)]
    Source(#[from] tidewheel_connectors::source::SourceError),
    /// Kafka cannot be read or written.
    #[error(transparent)]
    Kafka(#[from] tidewheel_connectors::kafka::KafkaError),
    /// The lake cannot be opened or read.
    #[error(transparent)]
    Lake(#[from] tidewheel_connectors::lake::LakeError),
    /// A sink failed while the run went on.
    #[error(transparent)]
    Outbox(#[from] crate::outbox::OutboxError),
    /// The source failed while the run went on.
    #[error(transparent)]
    Live(#[from] crate::live::LiveError),
    /// The worker threads cannot be started.
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// What a command has to tell cannot be written.
    #[error("could not write the output: {0}")]
    Output(#[source] std::io::Error),
    /// The arguments contradict each other or the world.
    #[error("{0}")]
    Usage(String),
}
