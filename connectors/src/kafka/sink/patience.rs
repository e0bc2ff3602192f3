//! How long a sink waits for a broker that does not answer: without end, unless it is told that the run is to stop.

use crate::kafka::KafkaError;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a sink still waits for an answer once the run is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// The patience of a sink.
#[derive(Clone, Default)]
pub(super) struct Patience {
    /// Raised when the run is to stop; never, where there is none.
    stop: Option<Arc<AtomicBool>>,
    /// Since when nothing is answered though the run is to stop. One wait often follows another, and the grace is of all together.
    unanswered_since: Arc<Mutex<Option<Instant>>>,
}

/// One wait for the broker.
pub(super) struct Wait<'a> {
    patience: &'a Patience,
    /// Since when it goes on though the run is to stop, or others before it did that were not answered.
    stopping_since: Option<Instant>,
}

impl Patience {
    /// How long one call into librdkafka may take, so that the wish to stop is noticed in between.
    pub(super) const SLICE: Duration = Duration::from_millis(500);

    /// That of a sink whose run may be asked to stop.
    pub(super) fn until(stop: Option<Arc<AtomicBool>>) -> Self {
        Self { stop, unanswered_since: Arc::default() }
    }

    pub(super) const fn begin(&self) -> Wait<'_> {
        Wait { patience: self, stopping_since: None }
    }

    /// Whether the grace is over: the broker is not worth another call.
    pub(super) fn is_spent(&self) -> bool {
        self.since().is_some_and(|since| since.elapsed() >= GRACE)
    }

    fn since(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.unanswered_since.lock().expect("no thread panics while it holds a time")
    }
}

impl Wait<'_> {
    /// Fails once this wait has gone on for the grace after the wish to stop, together with those before it that were not
    /// answered.
    pub(super) fn go_on(&mut self, action: &'static str, transactional_id: &str) -> Result<(), KafkaError> {
        if !self.patience.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed)) {
            return Ok(());
        }
        let patience = self.patience;
        let since = *self.stopping_since.get_or_insert_with(|| *patience.since().get_or_insert_with(Instant::now));
        if since.elapsed() < GRACE {
            return Ok(());
        }
        let (transactional_id, waited_ms) = (transactional_id.to_owned(), GRACE.as_millis());
        Err(KafkaError::Unanswered { action, transactional_id, waited_ms })
    }

    /// The broker has answered: who waits after this has the whole grace again.
    pub(super) fn answered(self) {
        if self.stopping_since.is_some() {
            *self.patience.since() = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn go_on(patience: &Patience) -> Result<(), KafkaError> {
        patience.begin().go_on("commit", "id")
    }

    #[test]
    fn patience_ends_only_after_the_wish_to_stop_and_the_grace() {
        let stop = Arc::new(AtomicBool::new(false));
        let patience = Patience::until(Some(Arc::clone(&stop)));
        let mut wait = patience.begin();
        wait.go_on("commit", "id").expect("nobody wants to stop");
        stop.store(true, Ordering::Relaxed);
        wait.go_on("commit", "id").expect("the grace begins");
        wait.stopping_since = Instant::now().checked_sub(GRACE);
        let error = wait.go_on("commit", "id").expect_err("the grace is over");
        assert!(matches!(error, KafkaError::Unanswered { action: "commit", .. }), "{error}");
        go_on(&Patience::default()).expect("nobody can want to stop");
    }

    #[test]
    fn the_grace_is_of_all_waits_together_until_one_is_answered() {
        let patience = Patience::until(Some(Arc::new(AtomicBool::new(true))));
        go_on(&patience).expect("the grace begins");
        assert!(!patience.is_spent());
        *patience.since() = Instant::now().checked_sub(GRACE);
        go_on(&patience).expect_err("the grace is over");
        go_on(&patience).expect_err("for all that follow");
        assert!(patience.is_spent());
        *patience.since() = Instant::now().checked_sub(GRACE - Duration::from_secs(1));
        let mut wait = patience.begin();
        wait.go_on("commit", "id").expect("a second is left");
        wait.answered();
        assert_eq!(*patience.since(), None);
    }
}
