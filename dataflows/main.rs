//! The program: arguments in, a command run, errors told once, exit codes.

use clap::Parser;
use std::process::ExitCode;
use tidewheel::commands::{Command, CommandError};

/// Streams of trades into exact, self-repairing OHLCV bars, in Kafka and in a Parquet lake.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    // A worker that dies quietly would look like the end of input to the others, and partial bars would be published as
    // whole. So a panic anywhere ends the process.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
    let filter = tracing_subscriber::EnvFilter::try_from_env("TIDEWHEEL_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();

    match Cli::parse().command.run(&mut std::io::stdout().lock()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {}", with_causes(&error));
            ExitCode::from(if matches!(error, CommandError::Usage(_)) { 2 } else { 1 })
        }
    }
}

/// An error and its causes, but for those that its own text ends with.
fn with_causes(error: &CommandError) -> String {
    let mut text = error.to_string();
    for cause in anyhow::Chain::new(error).skip(1).map(ToString::to_string) {
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}
