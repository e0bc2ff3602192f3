//! The commands of the program: one file each, one line in [`Command`].

mod arguments;
mod as_recorded;
mod audit;
mod brokers;
mod check;
mod compact;
mod config;
mod demo;
mod features;
mod generate;
mod metrics;
mod model;
mod policy;
mod rejects;
mod replay;
mod risk;
mod run;
mod session;
mod sql;
mod status;
mod summary;
mod table;
mod verify;

pub use audit::AuditArgs;
pub use check::CheckArgs;
pub use compact::CompactArgs;
pub use config::ConfigArgs;
pub use demo::DemoArgs;
pub use features::FeaturesArgs;
pub use generate::GenerateArgs;
pub use metrics::MetricsArgs;
pub use model::ModelArgs;
pub use policy::PolicyArgs;
pub use rejects::RejectsArgs;
pub use replay::ReplayArgs;
pub use risk::RiskArgs;
pub use run::{RunArgs, stop_on_signal};
pub use session::{Begin, Session};
pub use sql::SqlArgs;
pub use status::StatusArgs;
pub(crate) use summary::number;
pub use verify::VerifyArgs;

use crate::log;
use clap::Subcommand;
use jiff::Timestamp;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `tidewheel` can be asked to do. The help of each stands at its arguments.
#[allow(missing_docs, reason = "clap would show docs of a variant instead of those of its arguments")]
#[derive(Debug, Subcommand)]
pub enum Command {
    Demo(DemoArgs),
    Run(RunArgs),
    Status(StatusArgs),
    Replay(Box<ReplayArgs>),
    Config(ConfigArgs),
    Check(CheckArgs),
    Rejects(RejectsArgs),
    Verify(VerifyArgs),
    Audit(AuditArgs),
    Generate(GenerateArgs),
    Metrics(MetricsArgs),
    Features(FeaturesArgs),
    Model(ModelArgs),
    Policy(PolicyArgs),
    Risk(RiskArgs),
    Compact(CompactArgs),
    Sql(SqlArgs),
}

impl Command {
    /// Does it. What a command has to tell goes to `out`, its progress to standard error.
    ///
    /// # Errors
    /// If it cannot be done; the message says what to do.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        match self {
            Self::Demo(args) => args.run(out),
            Self::Run(args) => args.run(out),
            Self::Status(args) => args.run(out),
            Self::Replay(args) => args.run(out),
            Self::Config(args) => args.run(out),
            Self::Check(args) => args.run(out),
            Self::Rejects(args) => args.run(out),
            Self::Verify(args) => args.run(out),
            Self::Audit(args) => args.run(out),
            Self::Generate(args) => args.run(out),
            Self::Compact(args) => args.run(out),
            Self::Sql(args) => args.run(out),
            Self::Metrics(args) => args.run(out),
            Self::Features(args) => args.run(out),
            Self::Model(args) => args.run(out),
            Self::Policy(args) => args.run(out),
            Self::Risk(args) => args.run(out),
        }
    }

    /// What is logged where the environment says nothing.
    pub const fn default_filter(&self) -> &'static str {
        match self {
            Self::Run(_) => log::OF_A_RUN,
            _ => log::QUIET,
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
    /// There is state that cannot be gone on from.
    #[error(transparent)]
    Recovery(#[from] crate::recovery::RecoveryError),
    /// History cannot be made again.
    #[error(transparent)]
    Recorded(#[from] crate::recorded::RecordedError),
    /// Nothing can be compared.
    #[error(transparent)]
    Verify(#[from] crate::verify::VerifyError),
    /// Nothing can be checked.
    #[error(transparent)]
    Audit(#[from] crate::audit::AuditError),
    /// Nothing can be exported.
    #[error(transparent)]
    Export(#[from] crate::export::ExportError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] crate::config::ConfigError),
    /// A model cannot be registered, loaded or promoted.
    #[error(transparent)]
    Models(#[from] crate::models::ModelsError),
    /// A lake tells nothing of risk.
    #[error(transparent)]
    RiskView(#[from] crate::risk_view::RiskViewError),
    /// What a registry stands for cannot score a replay.
    #[error(transparent)]
    Standing(#[from] crate::scoring::StandingError),
    /// The HTTP server cannot be started.
    #[error(transparent)]
    Http(#[from] crate::http::HttpError),
    /// A market cannot be written.
    #[error(transparent)]
    Generate(#[from] tidewheel_connectors::generate::GenerateError),
    /// A message of a topic that should hold dead letters is none.
    #[error("could not read {partition} offset {offset} as a dead letter: {detail}; name the topic PREFIX.rejects")]
    Letter {
        /// The partition, as `topic[3]`.
        partition: String,
        /// The message's offset.
        offset: u64,
        /// Why it is none.
        detail: String,
    },
    /// A file cannot be written.
    #[error("could not write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What a command has to tell cannot be written.
    #[error("could not write the output: {0}")]
    Output(#[source] std::io::Error),
    /// The arguments contradict each other or the world.
    #[error("{0}")]
    Usage(String),
}

/// Now, nanoseconds since the epoch.
fn now_ns() -> i64 {
    // Until the year 2262 it fits.
    i64::try_from(Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX)
}

/// A tick for people: RFC 3339 in UTC, to the millisecond.
fn time_text(tick_ms: u64) -> String {
    let time = i64::try_from(tick_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| format!("{tick_ms} ms"), |time| format!("{time:.3}"))
}
