//! How long a sink waits for a broker that does not answer: without end, unless it is told that the run is to stop.

use crate::kafka::KafkaError;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a sink still waits for an answer once the run is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// The patience of a sink.
#[derive(Clone, Default)]
pub(super) struct Patience {
    /// Raised when the run is to stop; never, where there is none.
    pub(super) stop: Option<Arc<AtomicBool>>,
}

/// One wait for the broker.
pub(super) struct Wait<'a> {
    patience: &'a Patience,
    stopping_since: Option<Instant>,
}

impl Patience {
    /// How long one call into librdkafka may take, so that the wish to stop is noticed in between.
    pub(super) const SLICE: Duration = Duration::from_millis(500);

    pub(super) const fn begin(&self) -> Wait<'_> {
        Wait { patience: self, stopping_since: None }
    }
}

impl Wait<'_> {
    /// Fails once this wait has gone on for the grace after the wish to stop.
    pub(super) fn go_on(&mut self, action: &'static str, transactional_id: &str) -> Result<(), KafkaError> {
        if !self.patience.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Ok(());
        }
        let since = *self.stopping_since.get_or_insert_with(Instant::now);
        if since.elapsed() < GRACE {
            return Ok(());
        }
        let (transactional_id, waited_ms) = (transactional_id.to_owned(), GRACE.as_millis());
        Err(KafkaError::Unanswered { action, transactional_id, waited_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_only_after_the_wish_to_stop_and_the_grace() {
        let stop = Arc::new(AtomicBool::new(false));
        let patience = Patience { stop: Some(Arc::clone(&stop)) };
        let mut wait = patience.begin();
        wait.go_on("commit", "id").expect("nobody wants to stop");
        stop.store(true, Ordering::Relaxed);
        wait.go_on("commit", "id").expect("the grace begins");
        wait.stopping_since = Instant::now().checked_sub(GRACE);
        let error = wait.go_on("commit", "id").expect_err("the grace is over");
        assert!(matches!(error, KafkaError::Unanswered { action: "commit", .. }), "{error}");
        Patience::default().begin().go_on("commit", "id").expect("nobody can want to stop");
    }
}
