//! A small HTTP server inside a run: its health, its metrics, its state.
//!
//! | route | gives |
//! | --- | --- |
//! | `/health` | 200 while the pipeline moves, else 503, with the reasons as JSON |
//! | `/metrics` | all of [`crate::metrics::METRICS`] in Prometheus' text format |
//! | `/api/v1/status` | [`StatusReport`] as JSON |
//!
//! It reads the [`Status`] of the run and computes nothing. It has a thread of its own and holds nothing up; where the run
//! stands still, it says so.

mod health;
mod report;
mod routes;

pub use health::{Problem, problems};
pub use report::{
    CompleteThrough, CountersReport, KafkaReport, LakeReport, PartitionReport, RecoveryReport, SinksReport,
    SnapshotReport, StateReport, StatusReport, TickReport,
};

use crate::config::HttpSection;
use crate::status::Status;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// How long answers that are on their way may take when the run has ended.
const GRACE: Duration = Duration::from_secs(2);

/// The server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// Nobody can listen there.
    #[error(
        "could not listen on {listen} (http.listen): {source}; choose another address, or stop the process that has this one"
    )]
    Listen {
        /// The address.
        listen: String,
        /// Why.
        source: io::Error,
    },
    /// The system has no thread left.
    #[error("could not start the thread of the http server: {0}")]
    Thread(io::Error),
}

/// An address that is taken, with nobody answering yet.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
    stalled_after: Duration,
}

/// Takes the address, before a run touches anything else.
///
/// # Errors
/// If nobody can listen there.
pub fn bind(section: &HttpSection) -> Result<Listener, HttpError> {
    let failed = |source| HttpError::Listen { listen: section.listen.clone(), source };
    let listener = TcpListener::bind(&section.listen).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Listener { listener, address, stalled_after: section.stalled_after.as_duration() })
}

impl Listener {
    /// Answers from now on, until the server is dropped.
    ///
    /// # Errors
    /// If there is no thread for it.
    pub fn serve(self, status: Arc<Status>) -> Result<Server, HttpError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build();
        let runtime = runtime.map_err(HttpError::Thread)?;
        let (stop, stopped) = oneshot::channel::<()>();
        let Self { listener, address, stalled_after } = self;
        let answer = move || {
            let served = runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let (ended, is_over) = oneshot::channel::<()>();
                let until_stopped = async move {
                    // A sender that is dropped says the same as one that sends.
                    let _ = stopped.await;
                    let _ = ended.send(());
                };
                let grace_is_over = async move {
                    let _ = is_over.await;
                    tokio::time::sleep(GRACE).await;
                };
                let router = routes::router(status, stalled_after);
                tokio::select! {
                    served = axum::serve(listener, router).with_graceful_shutdown(until_stopped).into_future() => served,
                    () = grace_is_over => Ok(()),
                }
            });
            if let Err(error) = served {
                tracing::error!(%error, "http server ended");
            }
        };
        let thread = std::thread::Builder::new().name("http".to_owned()).spawn(answer).map_err(HttpError::Thread)?;
        tracing::info!(%address, "http server listening");
        Ok(Server { address, stop: Some(stop), thread: Some(thread) })
    }
}

/// A server that answers until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic has ended the process.
            let _ = thread.join();
        }
    }
}
