//! The program: arguments in, a command run, errors told once, exit codes.

use clap::Parser;
use std::process::ExitCode;
use tidewheel::commands::{Command, CommandError};
use tidewheel::log;

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
    /// How lines of the log are written, on standard error; what is logged is said by TIDEWHEEL_LOG
    #[arg(long, global = true, value_name = "FORMAT", env = "TIDEWHEEL_LOG_FORMAT", value_enum, default_value_t)]
    log_format: log::Format,
    #[command(subcommand)]
    command: Command,
}

fn main() -> ExitCode {
    // A worker that dies quietly would look like the end of input to the others, and partial bars would be published as
    // whole. So a panic anywhere ends the process, but where the runtime of a model panics: it holds the model alone, and
    // who called it is told that this model cannot be used.
    std::panic::set_hook(Box::new(|panic| {
        if tidewheel_models::guard::is_guarded() {
            return;
        }
        log::tell_panic(panic);
        std::process::abort();
    }));
    let Cli { log_format, command } = Cli::parse();
    if let Err(error) = log::start(log_format, command.default_filter()) {
        log::tell_error(&error);
        return ExitCode::from(2);
    }
    if let Err(error) = tidewheel_connectors::fault::configure_from_environment() {
        log::tell_error(&error);
        return ExitCode::from(2);
    }
    // An error of the fault point means nothing here: the runtime has none that it could be.
    tidewheel_models::guard::probe(|| drop(tidewheel_connectors::fault::reached("model.runtime")));
    // Not locked: the demo draws from another thread.
    match command.run(&mut std::io::stdout()) {
        Ok(code) => code,
        // Whoever closed our output has read enough, as `head` does.
        Err(CommandError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            let is_usage = matches!(error, CommandError::Usage(_));
            log::tell_error(&error);
            ExitCode::from(if is_usage { 2 } else { 1 })
        }
    }
}
