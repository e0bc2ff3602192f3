//! The producer of a sink: transactions begun, filled, committed and rolled back, and their errors told apart.

use super::KafkaSinkConfig;
use super::ends::Ends;
use super::patience::Patience;
use crate::kafka::KafkaError;
use crate::kafka::client::{Context, configure, creation_error};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::time::{Duration, Instant};

/// A producer that is in a transaction or not.
pub(super) struct Writer {
    producer: BaseProducer<Context>,
    transactional_id: String,
    /// Off: records are written at least once, and there is nothing to roll back.
    transactions: bool,
    in_transaction: bool,
    patience: Patience,
    /// When the first record since the last commit was written.
    begun_at: Option<Instant>,
    /// Where the records of committed transactions ended.
    ends: Ends,
    last_commit: Option<CommitTime>,
}

/// How long a commit took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitTime {
    /// From the beginning of the transaction to the broker's word that it is committed.
    pub transaction: Duration,
    /// Of this, from the last record on: until all were delivered and the broker had committed.
    pub commit: Duration,
}

impl Writer {
    /// Creates the producer and fences a former one of the same transactional id, in so much time if there is a limit.
    pub(super) fn open(
        config: &KafkaSinkConfig,
        patience: &Patience,
        limit: Option<Duration>,
    ) -> Result<Self, KafkaError> {
        let writer = Self {
            producer: producer(config)?,
            transactional_id: config.transactional_id.clone(),
            transactions: config.transactions,
            in_transaction: false,
            patience: patience.clone(),
            begun_at: None,
            ends: Ends::default(),
            last_commit: None,
        };
        if config.transactions {
            let initialised = writer.answer("initialise", limit, |slice| writer.producer.init_transactions(slice))?;
            initialised.map_err(|error| writer.failure("initialise", &error))?;
        }
        Ok(writer)
    }

    pub(super) const fn patience(&self) -> &Patience {
        &self.patience
    }

    pub(super) fn set_patience(&mut self, patience: Patience) {
        self.patience = patience;
    }

    pub(super) fn transactional_id(&self) -> &str {
        &self.transactional_id
    }

    pub(super) fn last_commit(&self) -> Option<CommitTime> {
        self.last_commit
    }

    /// Begins a transaction where none is open.
    pub(super) fn begin(&mut self) -> Result<(), KafkaError> {
        if self.transactions && !self.in_transaction {
            self.producer.begin_transaction().map_err(|error| self.failure("begin", &error))?;
            self.in_transaction = true;
            self.producer.context().take_delivered();
        }
        if self.begun_at.is_none() {
            self.begun_at = Some(Instant::now());
        }
        Ok(())
    }

    /// Hands a record over, waiting while the producer's queue is full.
    pub(super) fn send(
        &mut self,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: Option<OwnedHeaders>,
    ) -> Result<(), KafkaError> {
        let mut record: BaseRecord<'_, [u8], [u8], ()> = BaseRecord::to(topic).partition(partition);
        (record.key, record.payload, record.headers) = (key, value, headers);
        let mut wait = self.patience.begin();
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    wait.answered();
                    return Ok(());
                }
                Err((ClientError::MessageProduction(Code::QueueFull), returned)) => {
                    wait.go_on("continue", &self.transactional_id)?;
                    record = returned;
                    self.producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(self.send_failure(topic, error)),
            }
        }
    }

    /// Where the records lie that were delivered since the transaction was begun.
    pub(super) fn take_delivered(&self) -> Ends {
        self.producer.context().take_delivered().ends()
    }

    /// Where the records ended that were committed since the writer was opened is of no use any more.
    pub(super) fn forget_ends(&mut self) {
        self.ends = Ends::default();
    }

    /// Writes a last record and commits. Opens a transaction if none is open. The record may say where those before it ended
    /// that were committed since the writer was opened, this transaction's included.
    pub(super) fn commit_with(&mut self, topic: &str, value: impl FnOnce(&Ends) -> Vec<u8>) -> Result<(), KafkaError> {
        self.begin()?;
        // The progress after the records it speaks of: without transactions this is the only guarantee, with them it tells what
        // was complete after a broker forgot how it ended.
        if self.transactions {
            self.deliver("commit")?;
        } else {
            self.settle()?;
        }
        let ends = self.ends.followed_by(&self.producer.context().take_delivered().ends());
        let key = self.transactional_id.clone();
        self.send(topic, 0, Some(key.as_bytes()), Some(&value(&ends)), None)?;
        let asked_at = Instant::now();
        if self.transactions {
            self.commit()?
        } else {
            self.settle()?
        }
        self.ends = ends;
        let begun_at = self.begun_at.take().unwrap_or(asked_at);
        self.last_commit = Some(CommitTime { transaction: begun_at.elapsed(), commit: asked_at.elapsed() });
        Ok(())
    }

    /// Rolls back, where a transaction is open.
    pub(super) fn abort(&mut self) -> Result<(), KafkaError> {
        let rolled_back = self.end_rolled_back();
        self.producer.context().take_failed_delivery();
        rolled_back
    }

    fn commit(&mut self) -> Result<(), KafkaError> {
        self.deliver("commit")?;
        match self.answer("commit", None, |slice| self.producer.commit_transaction(slice))? {
            Ok(()) => {
                self.in_transaction = false;
                Ok(())
            }
            Err(ClientError::Transaction(error)) if error.txn_requires_abort() => {
                Err(self.end_failed("commit", &error.string()))
            }
            Err(error) => Err(self.failure("commit", &error)),
        }
    }

    /// Waits until every record of the transaction is delivered; ends it if one was given up.
    fn deliver(&mut self, action: &'static str) -> Result<(), KafkaError> {
        self.drain()?;
        match self.producer.context().has_failed_delivery() {
            true => Err(self.end_failed(action, "a record was not delivered")),
            false => Ok(()),
        }
    }

    /// Waits until every record is delivered; fails if one was given up.
    pub(super) fn settle(&mut self) -> Result<(), KafkaError> {
        self.drain()?;
        let failed = self.producer.context().take_failed_delivery();
        failed.map_or(Ok(()), |(topic, detail)| Err(KafkaError::Produce { topic, detail }))
    }

    /// Waits until no record is on its way, or one was given up, as librdkafka does after the transaction's timeout.
    fn drain(&self) -> Result<(), KafkaError> {
        const PAUSE: Duration = Duration::from_micros(200);
        let (mut wait, mut fewest) = (self.patience.begin(), i32::MAX);
        // Not `flush`: it looks only every tenth of a second whether the last record has arrived.
        loop {
            let in_flight = self.producer.in_flight_count();
            if self.producer.context().has_failed_delivery() {
                break;
            }
            if in_flight < fewest {
                std::mem::replace(&mut wait, self.patience.begin()).answered();
                fewest = in_flight;
            }
            if in_flight <= 0 {
                break;
            }
            wait.go_on("deliver the records of", &self.transactional_id)?;
            // A poll with a time to wait waits all of it, whatever arrives.
            self.producer.poll(Duration::ZERO);
            std::thread::sleep(PAUSE);
        }
        self.producer.poll(Duration::ZERO);
        Ok(())
    }

    /// Calls again and again, for a short time each, until the broker has answered: librdkafka goes on with what it was asked
    /// for in between, and an answer that was given up would be an answer unknown. With a limit the last answer may be none.
    fn answer(
        &self,
        action: &'static str,
        limit: Option<Duration>,
        mut call: impl FnMut(Duration) -> Result<(), ClientError>,
    ) -> Result<Result<(), ClientError>, KafkaError> {
        const PAUSE: Duration = Duration::from_millis(10);
        let (begun, mut wait) = (Instant::now(), self.patience.begin());
        loop {
            let error = match call(Patience::SLICE) {
                Err(ClientError::Transaction(error)) if error.is_retriable() => error,
                Ok(()) => {
                    wait.answered();
                    return Ok(Ok(()));
                }
                // A call that fails may not have been answered.
                refused => return Ok(refused),
            };
            if limit.is_some_and(|limit| begun.elapsed() >= limit) {
                return Ok(Err(ClientError::Transaction(error)));
            }
            wait.go_on(action, &self.transactional_id)?;
            // Some answers come at once.
            std::thread::sleep(PAUSE);
        }
    }

    fn send_failure(&mut self, topic: &str, error: ClientError) -> KafkaError {
        if self.producer.client().fatal_error().is_some() {
            return self.failure("continue", &error);
        }
        match error {
            // A transaction with a failed record can only be rolled back, and tells so at the next record.
            ClientError::MessageProduction(Code::State) if self.in_transaction => {
                self.end_failed("continue", &error.to_string())
            }
            error => KafkaError::Produce { topic: topic.to_owned(), detail: error.to_string() },
        }
    }

    /// Gives the transaction up, and says why. The next producer of the same id has the broker roll it back: this one would
    /// still ask a broker that comes back for what is of no use any more, and end with that what it must not.
    fn end_failed(&mut self, action: &'static str, why: &str) -> KafkaError {
        (self.begun_at, self.in_transaction) = (None, false);
        self.producer.purge(PurgeConfig::default().queue().inflight());
        self.producer.poll(Duration::ZERO);
        // The record that was refused is among those thrown away after it.
        let detail = match self.producer.context().take_failed_delivery() {
            Some((topic, error)) => format!("topic {topic:?}: {error}"),
            None => why.to_owned(),
        };
        KafkaError::Aborted { action, transactional_id: self.transactional_id.clone(), detail }
    }

    fn end_rolled_back(&mut self) -> Result<(), KafkaError> {
        self.begun_at = None;
        if std::mem::take(&mut self.in_transaction) {
            let aborted = self.answer("abort", None, |slice| abort_transaction(&self.producer, slice))?;
            aborted.map_err(|error| self.failure("abort", &error))?;
        }
        Ok(())
    }

    /// The error of a producer that cannot go on.
    fn failure(&self, action: &'static str, error: &ClientError) -> KafkaError {
        let transactional_id = self.transactional_id.clone();
        let fatal = self.producer.client().fatal_error();
        let code = fatal.as_ref().map(|(code, _)| *code).or_else(|| error.rdkafka_error_code());
        if matches!(code, Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)) {
            return KafkaError::Fenced { action, transactional_id };
        }
        let detail = fatal.map_or_else(|| error.to_string(), |(code, why)| format!("{code}: {why}"));
        KafkaError::Transaction { action, transactional_id, detail }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // A courtesy to readers, who otherwise wait behind the open transaction until it times out.
        const COURTESY: Duration = Duration::from_secs(5);
        if !self.in_transaction {
            return;
        }
        if self.patience.is_spent() {
            tracing::warn!(transactional_id = self.transactional_id, "transaction left open, no broker answers");
            return;
        }
        if let Err(error) = abort_transaction(&self.producer, COURTESY) {
            tracing::warn!(transactional_id = self.transactional_id, %error, "transaction left open, it will time out");
        }
    }
}

/// Rolls back on a thread of its own: librdkafka waits until the records that it throws away are reported, and reports are
/// served here.
fn abort_transaction(producer: &BaseProducer<Context>, timeout: Duration) -> Result<(), ClientError> {
    std::thread::scope(|scope| {
        let aborting = scope.spawn(move || producer.abort_transaction(timeout));
        while !aborting.is_finished() {
            producer.poll(Duration::from_millis(1));
        }
        aborting.join().expect("a call into librdkafka does not panic")
    })
}

fn producer(config: &KafkaSinkConfig) -> Result<BaseProducer<Context>, KafkaError> {
    let timeout_ms = config.transaction_timeout.as_millis().to_string();
    let defaults = [
        ("compression.type", "lz4"),
        // The records of a tick are handed over together, and their commit waits for the last batch: it is not to wait for more.
        ("linger.ms", "0.2"),
        ("batch.size", "1000000"),
        ("queue.buffering.max.messages", "500000"),
    ];
    let mut fixed = vec![("enable.idempotence", "true")];
    if config.transactions {
        // Where records lie stands in the reports of those delivered: without them a progress record would say nothing.
        fixed.push(("delivery.report.only.error", "false"));
        fixed.push(("transactional.id", &config.transactional_id));
        fixed.push(("transaction.timeout.ms", &timeout_ms));
    } else {
        fixed.push(("delivery.report.only.error", "true"));
    }
    configure(&config.brokers, &config.properties, &defaults, &fixed)?
        .create_with_context(Context::default())
        .map_err(|error| creation_error(&config.brokers, error))
}
