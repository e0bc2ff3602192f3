//! The program: arguments in, a command run, errors told once, exit codes.

use clap::Parser;
use std::process::ExitCode;
use tidewheel::commands::{Command, CommandError};

// Ticks allocate on one thread and free on another, in large pieces: the system's allocator gives the pages back and asks
// for them again each time.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// How jemalloc is set up: huge pages, of which a replay touches a thousandth as many (a fifth less time in all), and few
/// arenas, because there are few threads. `_RJEM_MALLOC_CONF` overrides it.
// jemalloc reads this symbol before `main`, as a pointer to text: that of the slice.
#[allow(unsafe_code, reason = "exporting a symbol is the only way to configure jemalloc from inside the program")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static MALLOC_CONF: &[u8] = b"thp:always,narenas:4\0";

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

    if let Err(error) = tidewheel_connectors::fault::configure_from_environment() {
        eprintln!("error: {error}");
        return ExitCode::from(2);
    }
    // Not locked: the demo draws from another thread.
    match Cli::parse().command.run(&mut std::io::stdout()) {
        Ok(code) => code,
        Err(error) => {
            let is_usage = matches!(error, CommandError::Usage(_));
            eprintln!("error: {error}");
            ExitCode::from(if is_usage { 2 } else { 1 })
        }
    }
}
