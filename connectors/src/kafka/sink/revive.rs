//! A sink whose transaction failed, or that was fenced by nobody: the broker had waited for longer than the timeout.

use super::hanging;
use super::log::Log;
use super::progress::{self, Progress};
use super::writer::Writer;
use super::{KafkaSink, KafkaSinkConfig, SinkBegin};
use crate::kafka::KafkaError;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime};

/// A number that no other opening of a sink has, here or elsewhere.
pub(super) fn incarnation() -> u64 {
    // Keyed at random, and in two processes with the same key still of another time or process.
    RandomState::new().hash_one((SystemTime::now(), std::process::id()))
}

/// Writes down that a sink was opened, with the progress that it found. From then on a former process that looks knows that it
/// was superseded.
pub(super) fn claim(
    config: &KafkaSinkConfig,
    writer: &mut Writer,
    topic: &str,
    incarnation: u64,
    found: &Progress,
) -> Result<(), KafkaError> {
    let claim = Progress {
        transactional_id: config.transactional_id.clone(),
        run: config.run.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        incarnation,
        sequence: 0,
        ..found.clone()
    };
    writer.commit_with(topic, |ends| Progress { ends: Some(ends.clone()), ..claim }.to_json())
}

impl KafkaSink {
    /// In place of an error that says that the sink is fenced, or its producer broken: that the transaction was aborted, where
    /// no other process is the reason. The sink then has a new producer. So it has after any rollback: what a transaction left
    /// behind in a time of trouble is looked for when a producer is opened.
    pub(super) fn revive(&mut self, error: KafkaError) -> KafkaError {
        let (action, detail) = match error {
            KafkaError::Fenced { action, .. } => (
                action,
                "it was open for longer than the transaction timeout, and no other process has taken over".to_owned(),
            ),
            KafkaError::Transaction { action, detail, .. } | KafkaError::Aborted { action, detail, .. } => {
                (action, detail)
            }
            other => return other,
        };
        let transactional_id = self.config.transactional_id.clone();
        match self.reopen_at_last(action) {
            Ok(true) => KafkaError::Aborted { action, transactional_id, detail },
            Ok(false) => KafkaError::Fenced { action, transactional_id },
            Err(error) => error,
        }
    }

    /// A producer that rolled back must not go on: where the broker forgot to end that, the next commit would.
    pub(super) fn look_after_rollback(&mut self) -> Result<(), KafkaError> {
        if !self.config.transactions {
            return Ok(());
        }
        match self.reopen_at_last("abort")? {
            true => Ok(()),
            false => {
                Err(KafkaError::Fenced { action: "abort", transactional_id: self.config.transactional_id.clone() })
            }
        }
    }

    /// As [`reopen`](Self::reopen), again and again while the broker does not answer, or gives no sound answer yet.
    fn reopen_at_last(&mut self, action: &'static str) -> Result<bool, KafkaError> {
        const PAUSE: Duration = Duration::from_millis(200);
        const REMINDER: Duration = Duration::from_secs(10);
        /// How often in a row something may be refused that only the broker's absence should keep from being done.
        const REFUSALS: usize = 5;
        let patience = self.writer.patience().clone();
        let mut wait = patience.begin();
        let (begun, mut said, mut refusals) = (Instant::now(), None::<Instant>, 0);
        loop {
            let mut steps = 0;
            let result = self.reopen(&mut steps);
            if steps > 0 {
                refusals = 0;
            }
            let error = match result {
                Err(error @ (KafkaError::Unreachable { .. } | KafkaError::Offsets { .. })) => error,
                // Whether it is another process that keeps this one out, the next attempt sees in the progress.
                Err(
                    error @ (KafkaError::Produce { .. }
                    | KafkaError::Aborted { .. }
                    | KafkaError::Fenced { .. }
                    | KafkaError::Transaction { .. }
                    | KafkaError::Consume { .. }
                    | KafkaError::EndNotReached { .. }),
                ) if refusals < REFUSALS => {
                    refusals += 1;
                    error
                }
                result => return result,
            };
            if said.is_none_or(|said| said.elapsed() >= REMINDER) {
                let waited_s = begun.elapsed().as_secs();
                tracing::warn!(%error, waited_s, "the topics wait for their broker");
                said = Some(Instant::now());
            }
            wait.go_on(action, &self.config.transactional_id)?;
            std::thread::sleep(PAUSE);
        }
    }

    /// Opens a new producer if the last progress record is still that of this sink. False if it is not. Counts the transactions
    /// that it makes.
    fn reopen(&mut self, steps: &mut u64) -> Result<bool, KafkaError> {
        /// How long the broker may take to end a transaction, or another process to say that it is there, before the record of
        /// another is no longer looked for.
        const HELD_BACK: Duration = Duration::from_secs(5);
        /// The wish to stop is looked for in between.
        const ATTEMPT: Duration = Duration::from_secs(2);
        let connect_timeout = self.config.connect_timeout.min(ATTEMPT);
        let config = KafkaSinkConfig { connect_timeout, ..self.config.clone() };
        let topic = &self.topics.progress.name;
        let seen = progress::read_within(&config, topic, HELD_BACK)?;
        if seen.is_some_and(|last| !self.is_own(&last)) {
            return Ok(false);
        }
        let mut writer = Writer::open(&config, self.writer.patience(), None)?;
        // Another may have come meanwhile. It is fenced now, and will find its own record and open once more.
        let last = hanging::end(&config, &mut writer, &self.topics, SinkBegin::GoOn, steps)?;
        if !self.is_own(&last) {
            return Ok(false);
        }
        self.writer = writer;
        if last.sequence > self.sequence {
            // It was committed all the same, only the answer was lost.
            self.log.iter_mut().for_each(Log::clear);
            self.sequence = last.sequence;
            self.committed = last;
        }
        Ok(true)
    }

    /// Whether a commit was made by this sink: its last one, or one whose answer was lost.
    fn is_own(&self, last: &Progress) -> bool {
        last.incarnation == self.incarnation && (self.sequence..=self.sequence + 1).contains(&last.sequence)
    }
}
