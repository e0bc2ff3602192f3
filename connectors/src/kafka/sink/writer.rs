//! The producer of a sink: transactions begun, filled, committed and rolled back, and their errors told apart.

use super::KafkaSinkConfig;
use crate::kafka::KafkaError;
use crate::kafka::client::{Context, configure, creation_error};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::util::Timeout;
use std::time::{Duration, Instant};

/// A producer that is in a transaction or not.
pub(super) struct Writer {
    producer: BaseProducer<Context>,
    transactional_id: String,
    /// Off: records are written at least once, and there is nothing to roll back.
    transactions: bool,
    in_transaction: bool,
    /// When the first record since the last commit was written.
    begun_at: Option<Instant>,
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
    /// Creates the producer and fences a former one of the same transactional id.
    pub(super) fn open(config: &KafkaSinkConfig) -> Result<Self, KafkaError> {
        /// Until the transaction that a killed process left open is rolled back.
        const FENCING_TIMEOUT: Duration = Duration::from_secs(120);
        let writer = Self {
            producer: producer(config)?,
            transactional_id: config.transactional_id.clone(),
            transactions: config.transactions,
            in_transaction: false,
            begun_at: None,
            last_commit: None,
        };
        if config.transactions {
            writer.producer.init_transactions(FENCING_TIMEOUT).map_err(|error| writer.failure("initialise", &error))?;
        }
        Ok(writer)
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
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((ClientError::MessageProduction(Code::QueueFull), returned)) => {
                    record = returned;
                    self.producer.poll(Duration::from_millis(5));
                }
                Err((error, _)) => return Err(self.send_failure(topic, error)),
            }
        }
    }

    /// Writes a last record and commits. Opens a transaction if none is open.
    pub(super) fn commit_with(&mut self, topic: &str, value: &[u8]) -> Result<(), KafkaError> {
        self.begin()?;
        if !self.transactions {
            // Then order is the only guarantee: the progress after the records it speaks of.
            self.settle()?;
        }
        let key = self.transactional_id.clone();
        self.send(topic, 0, Some(key.as_bytes()), Some(value), None)?;
        let asked_at = Instant::now();
        if self.transactions {
            self.commit()?
        } else {
            self.settle()?
        }
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
        self.drain();
        if self.producer.context().has_failed_delivery() {
            return Err(self.roll_back("commit", "a record was not delivered"));
        }
        loop {
            // No timeout of our own: librdkafka knows the transaction's, and an answer given up is an answer unknown.
            match self.producer.commit_transaction(Timeout::Never) {
                Ok(()) => break,
                Err(ClientError::Transaction(error)) if error.is_retriable() => {
                    tracing::warn!(transactional_id = self.transactional_id, %error, "commit is tried again");
                }
                Err(ClientError::Transaction(error)) if error.txn_requires_abort() => {
                    return Err(self.roll_back("commit", &error.string()));
                }
                Err(error) => return Err(self.failure("commit", &error)),
            }
        }
        self.in_transaction = false;
        Ok(())
    }

    /// Waits until every record is delivered; fails if one was given up.
    pub(super) fn settle(&mut self) -> Result<(), KafkaError> {
        self.drain();
        let failed = self.producer.context().take_failed_delivery();
        failed.map_or(Ok(()), |(topic, detail)| Err(KafkaError::Produce { topic, detail }))
    }

    /// Waits until no record is on its way, or one was given up, as librdkafka does after the transaction's timeout.
    fn drain(&self) {
        // Not `flush`: it looks only every tenth of a second whether the last record has arrived.
        while self.producer.in_flight_count() > 0 && !self.producer.context().has_failed_delivery() {
            self.producer.poll(Duration::from_millis(1));
        }
        self.producer.poll(Duration::ZERO);
    }

    fn send_failure(&mut self, topic: &str, error: ClientError) -> KafkaError {
        if self.producer.client().fatal_error().is_some() {
            return self.failure("continue", &error);
        }
        match error {
            // A transaction with a failed record can only be rolled back, and tells so at the next record.
            ClientError::MessageProduction(Code::State) if self.in_transaction => {
                self.roll_back("continue", &error.to_string())
            }
            error => KafkaError::Produce { topic: topic.to_owned(), detail: error.to_string() },
        }
    }

    /// Rolls back, and says why; or why even that failed.
    fn roll_back(&mut self, action: &'static str, why: &str) -> KafkaError {
        let rolled_back = self.end_rolled_back();
        // Only now are all records reported, and the one that was refused among those thrown away after it.
        let detail = match self.producer.context().take_failed_delivery() {
            Some((topic, error)) => format!("topic {topic:?}: {error}"),
            None => why.to_owned(),
        };
        match rolled_back {
            Ok(()) => KafkaError::Aborted { action, transactional_id: self.transactional_id.clone(), detail },
            Err(error) => error,
        }
    }

    fn end_rolled_back(&mut self) -> Result<(), KafkaError> {
        self.begun_at = None;
        if std::mem::take(&mut self.in_transaction) {
            abort_transaction(&self.producer, Timeout::Never).map_err(|error| self.failure("abort", &error))?;
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
        if let Err(error) = abort_transaction(&self.producer, COURTESY.into()) {
            tracing::warn!(transactional_id = self.transactional_id, %error, "transaction left open, it will time out");
        }
    }
}

/// Rolls back on a thread of its own: librdkafka waits until the records that it throws away are reported, and reports are
/// served here.
fn abort_transaction(producer: &BaseProducer<Context>, timeout: Timeout) -> Result<(), ClientError> {
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
    let mut defaults = vec![
        ("compression.type", "lz4"),
        ("linger.ms", "2"),
        ("batch.size", "1000000"),
        ("queue.buffering.max.messages", "500000"),
        ("delivery.report.only.error", "true"),
    ];
    if config.transactions {
        defaults.push(("transaction.timeout.ms", &timeout_ms));
    }
    let fixed: &[(&str, &str)] = match config.transactions {
        true => &[("enable.idempotence", "true"), ("transactional.id", &config.transactional_id)],
        false => &[("enable.idempotence", "true")],
    };
    configure(&config.brokers, &config.properties, &defaults, fixed)?
        .create_with_context(Context::default())
        .map_err(|error| creation_error(&config.brokers, error))
}
