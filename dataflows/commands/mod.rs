//! The commands of the program: one file each, one line in [`Command`].

use clap::Subcommand;

/// What `tidewheel` can be asked to do.
#[derive(Debug, Subcommand)]
pub enum Command {}

/// Why a command failed; the message says what to do. Printed once, by `main`.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// An input cannot be read.
    #[error(transparent)]
    Source(#[from] tidewheel_connectors::source::SourceError),
    /// The worker threads cannot be started.
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineError),
    /// The arguments contradict each other or the world.
    #[error("{0}")]
    Usage(String),
}
