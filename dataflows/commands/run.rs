//! `tidewheel run`: live, from Kafka.

use super::session::{Begin, Session};
use super::{CommandError, summary};
use crate::config::{self, Config};
use crate::http;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Read trades from Kafka and publish bars, until told to stop
#[derive(Debug, clap::Args)]
#[command(
    after_help = "SIGTERM or Ctrl-C finishes the open tick, commits and exits with 0. Started again it goes on where it ended, also after
kill -9 and with another number of workers; nothing is lost and nothing is published twice.

Examples:
  tidewheel config > tidewheel.toml
  tidewheel check --config tidewheel.toml
  tidewheel run --config tidewheel.toml
  TIDEWHEEL_SOURCE__BROKERS=kafka:9092 tidewheel run --config tidewheel.toml --workers 4"
)]
pub struct RunArgs {
    /// The configuration file; `tidewheel config` prints one to start from
    #[arg(long, value_name = "FILE", env = "TIDEWHEEL_CONFIG")]
    config: PathBuf,
    /// Worker threads, in place of what the configuration says
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Begin anew instead of going on: what the lake holds is replaced, and everything is computed and published again from
    /// where the source starts
    #[arg(long)]
    replace: bool,
}

impl RunArgs {
    /// Runs until a signal comes or something fails for good.
    ///
    /// # Errors
    /// If the configuration, the source or a sink cannot be used.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let config = Config::load(&self.config, &config::environment())?;
        if self.workers == Some(0) {
            return Err(CommandError::Usage("--workers must be at least 1".to_owned()));
        }
        let begin = if self.replace { Begin::Anew } else { Begin::GoOn };
        // Before anything is touched: an address that is taken is most often that of another run with this configuration.
        let listener = config.http().map(http::bind).transpose()?;
        let stop = stop_on_signal()?;
        let session = Session::open(&config, self.workers, begin, &stop)?;
        let status = session.status();
        let server = listener.map(|listener| listener.serve(Arc::clone(&status))).transpose()?;
        let counters = session.run(&stop)?;
        drop(server);
        tracing::info!(read = counters.read, reconciles = counters.reconcile(), "run ended");
        let mut text = summary::counts(&counters) + &summary::published(&status);
        if let Some(lake) = config.lake() {
            let root = Path::new(&lake.path);
            text += &summary::lake(root, &tidewheel_connectors::lake::read::manifest(root)?);
        }
        // Whoever closed our output does not want to read it.
        let _ = out.write_all(text.as_bytes());
        Ok(if counters.reconcile() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// A flag that SIGTERM and SIGINT raise. A second signal ends the process at once.
///
/// # Errors
/// If signals cannot be listened for.
pub fn stop_on_signal() -> Result<Arc<AtomicBool>, CommandError> {
    let stop = Arc::new(AtomicBool::new(false));
    let raised = Arc::clone(&stop);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.map_err(|error| CommandError::Usage(format!("could not listen for signals: {error}")))?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            runtime.block_on(async {
                use tokio::signal::unix::{SignalKind, signal};
                let listeners = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
                let (Ok(mut terminate), Ok(mut interrupt)) = listeners else { return };
                loop {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                    if raised.swap(true, Ordering::Relaxed) {
                        std::process::exit(130);
                    }
                    tracing::info!("stopping after the open tick");
                }
            });
        })
        .map_err(|error| CommandError::Usage(format!("could not start a thread: {error}")))?;
    Ok(stop)
}
