//! Writes what ticks publish to Kafka topics, each record exactly once.
//!
//! Every transaction carries records and one progress record, which says through which tick all is written. Opening a sink
//! fences a former process of the same transactional id, then reads its progress, in this order: what the former process
//! had not committed is never seen, what it had committed is not written again.
//!
//! | topic | key | value |
//! | --- | --- | --- |
//! | `PREFIX.bars.1m` and so on | `venue\|symbol\|interval\|open_time_ms` | the bar, or nothing: all its trades were cancelled |
//! | `PREFIX.rejects` | `source:position` | the dead letter with its reason and raw bytes |
//! | `PREFIX.late` | `source:position` | the trade or amendment that came too late |
//! | `PREFIX.progress` | the transactional id | [`Progress`] |
//!
//! All records of an instrument go to partition `hash(venue|symbol) % partitions`, whatever its interval: the order of an
//! instrument's bars is the order in which they were published. Adding partitions to a topic moves instruments.
//!
//! Ticks must come in order and each tick's records in the same order on every run; then a transaction may end anywhere and
//! a later run continues behind it. With `transactions` off records are written at least once.

mod bars;
mod json;
mod letters;
mod progress;
mod topics;

pub use progress::Progress;

use super::KafkaError;
use super::client::{Context, Properties, configure, creation_error};
use bars::{bar_headers, bar_key, bar_value};
use letters::{instrument_of, late_value, reject_value};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::OwnedHeaders;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};
use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka::util::Timeout;
use std::time::Duration;
use tidewheel_schemas::{BarVersion, Counters, Interval, LateRecord, Reject, TickOutput};
use topics::Topics;

/// How to write.
#[derive(Clone, Debug)]
pub struct KafkaSinkConfig {
    /// Bootstrap addresses, `host:port` with commas between.
    pub brokers: String,
    /// The topics' prefix.
    pub prefix: String,
    /// Names the sink over restarts; a second process with the same name fences the first.
    pub transactional_id: String,
    /// Further librdkafka properties (security, compression).
    pub properties: Properties,
    /// The intervals that have a topic.
    pub intervals: Vec<Interval>,
    /// Whether missing topics are created.
    pub create_topics: bool,
    /// Partitions of created bar, reject and late topics.
    pub partitions: i32,
    /// Replicas of created topics; -1 for the broker's default.
    pub replication: i32,
    /// Whether records are written in transactions. Off: at least once.
    pub transactions: bool,
    /// Records after which a transaction ends even inside a tick.
    pub max_transaction_records: usize,
    /// Stands in the progress records, for people.
    pub run: String,
    /// How long the first contact with the cluster may take.
    pub connect_timeout: Duration,
}

impl KafkaSinkConfig {
    /// A configuration with everything else at its default.
    pub fn new(brokers: &str, prefix: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            prefix: prefix.to_owned(),
            transactional_id: format!("tidewheel-{prefix}"),
            properties: Properties::new(),
            intervals: Interval::ALL.to_vec(),
            create_topics: true,
            partitions: 8,
            replication: -1,
            transactions: true,
            max_transaction_records: 50_000,
            run: String::new(),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// A transactional writer of tick outputs.
pub struct KafkaSink {
    producer: BaseProducer<Context>,
    topics: Topics,
    source_names: Vec<String>,
    transactional_id: String,
    transactions: bool,
    max_transaction_records: usize,
    run: String,
    /// What the last transaction said, of this process or of the one before.
    committed: Progress,
    /// Records handed to [`write`](Self::write) since the committed tick, those already committed included.
    records: u64,
    /// Records in the open transaction.
    open_records: usize,
    in_transaction: bool,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl KafkaSink {
    /// Finds or creates the topics, fences a former process, and reads how far it came.
    ///
    /// `source_names` are the source partitions' names by number, for the keys of rejects and late records.
    ///
    /// # Errors
    /// If no broker answers in time, topics are missing and cannot be created, or the progress record is not understood.
    pub fn open(config: &KafkaSinkConfig, source_names: Vec<String>) -> Result<Self, KafkaError> {
        let topics = Topics::ensure(config)?;
        let producer = producer(config)?;
        if config.transactions {
            // Waits until the transaction that a killed process left open is rolled back.
            const FENCING_TIMEOUT: Duration = Duration::from_secs(120);
            producer
                .init_transactions(FENCING_TIMEOUT)
                .map_err(|error| failure(&producer, &config.transactional_id, "initialise", &error))?;
        }
        let committed = progress::read(config, &topics.progress.name)?;
        tracing::info!(
            transactional_id = config.transactional_id,
            committed_tick = committed.committed_tick,
            records_done = committed.records_done,
            "sink opened"
        );
        Ok(Self {
            producer,
            topics,
            source_names,
            transactional_id: config.transactional_id.clone(),
            transactions: config.transactions,
            max_transaction_records: config.max_transaction_records.max(1),
            run: config.run.clone(),
            committed,
            records: 0,
            open_records: 0,
            in_transaction: false,
            key: Vec::with_capacity(128),
            value: Vec::with_capacity(1024),
        })
    }

    /// The tick through which everything is written and committed; writing resumes with the one after it.
    pub fn committed_tick(&self) -> Option<u64> {
        self.committed.committed_tick
    }

    /// The last progress record, of this process or of the one before.
    pub fn progress(&self) -> &Progress {
        &self.committed
    }

    /// Writes what a tick published into the open transaction, and opens one where there is something to write.
    ///
    /// Ticks that are committed already, and records of a tick that were committed before a restart, are passed over.
    ///
    /// # Errors
    /// If the broker refuses a record or another process took over. After [`KafkaError::Aborted`] everything since the
    /// committed tick must be written again; other errors need a new sink.
    pub fn write(&mut self, output: &TickOutput) -> Result<(), KafkaError> {
        if self.committed.committed_tick.is_some_and(|committed| output.tick <= committed) {
            return Ok(());
        }
        for bar in &output.bars {
            if self.admit()? {
                self.write_bar(bar)?;
            }
        }
        for late in &output.late {
            if self.admit()? {
                self.write_late(late, output.tick, output.watermark_ns)?;
            }
        }
        for reject in &output.rejects {
            if self.admit()? {
                self.write_reject(reject, output.tick)?;
            }
        }
        Ok(())
    }

    /// Commits everything written, with the word that all is written through `tick`. Without records since the last commit
    /// nothing is done and `false` returned.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn commit(&mut self, tick: u64, counters: &Counters) -> Result<bool, KafkaError> {
        if self.records == 0 && self.committed.records_done == 0 {
            return Ok(false);
        }
        self.advance(tick, counters)?;
        Ok(true)
    }

    /// As [`commit`](Self::commit), also without records: for the end of a run, and now and then while nothing happens.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn advance(&mut self, tick: u64, counters: &Counters) -> Result<(), KafkaError> {
        if self.committed.committed_tick.is_some_and(|committed| tick <= committed) {
            return Ok(());
        }
        self.commit_progress(Progress {
            transactional_id: self.transactional_id.clone(),
            committed_tick: Some(tick),
            // After a restart records of later ticks may be written already.
            records_done: self.committed.records_done.saturating_sub(self.records),
            run: self.run.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            counters: counters.clone(),
        })?;
        self.records = 0;
        Ok(())
    }

    /// Rolls the open transaction back: nothing since the last commit is ever seen.
    ///
    /// # Errors
    /// If the rollback fails; the sink must be opened again then.
    pub fn abort(&mut self) -> Result<(), KafkaError> {
        self.records = 0;
        self.open_records = 0;
        if std::mem::take(&mut self.in_transaction) {
            self.producer.purge(PurgeConfig::default().queue().inflight());
            self.drain();
            self.producer
                .abort_transaction(Timeout::Never)
                .map_err(|error| failure(&self.producer, &self.transactional_id, "abort", &error))?;
        }
        self.producer.context().take_failed_delivery();
        Ok(())
    }

    /// Counts a record, ends a transaction that is full, opens one where none is. False for a record committed before.
    fn admit(&mut self) -> Result<bool, KafkaError> {
        if self.records < self.committed.records_done {
            self.records += 1;
            return Ok(false);
        }
        if self.open_records >= self.max_transaction_records {
            let part = Progress {
                transactional_id: self.transactional_id.clone(),
                records_done: self.records,
                run: self.run.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                ..self.committed.clone()
            };
            self.commit_progress(part)?;
        }
        self.begin()?;
        self.records += 1;
        self.open_records += 1;
        Ok(true)
    }

    fn begin(&mut self) -> Result<(), KafkaError> {
        if !self.transactions || self.in_transaction {
            return Ok(());
        }
        self.producer
            .begin_transaction()
            .map_err(|error| failure(&self.producer, &self.transactional_id, "begin", &error))?;
        self.in_transaction = true;
        Ok(())
    }

    fn write_bar(&mut self, version: &BarVersion) -> Result<(), KafkaError> {
        let topic = self.topics.bars(version.interval)?;
        bar_key(&mut self.key, version);
        let value = version.bar.as_ref().map(|bar| {
            bar_value(&mut self.value, version, bar);
            self.value.as_slice()
        });
        let partition = topic.partition_of(version.instrument.id());
        let sent = send(&self.producer, &topic.name, partition, &self.key, value, Some(bar_headers(version)));
        sent.map_err(|error| self.produce_failure(error))
    }

    fn write_late(&mut self, late: &LateRecord, tick: u64, watermark_ns: i64) -> Result<(), KafkaError> {
        let (partition, position) = late.source();
        let topic = &self.topics.late;
        let source = source_key(&mut self.key, &self.source_names, partition, position);
        late_value(&mut self.value, late, &source, tick, watermark_ns);
        let sent = send(
            &self.producer,
            &topic.name,
            topic.partition_of(instrument_of(late).id()),
            &self.key,
            Some(&self.value),
            None,
        );
        sent.map_err(|error| self.produce_failure(error))
    }

    fn write_reject(&mut self, reject: &Reject, tick: u64) -> Result<(), KafkaError> {
        let topic = &self.topics.rejects;
        let source = source_key(&mut self.key, &self.source_names, reject.partition, reject.position);
        reject_value(&mut self.value, reject, &source, tick);
        let partition = topic.partition_of_source(reject.partition);
        let sent = send(&self.producer, &topic.name, partition, &self.key, Some(&self.value), None);
        sent.map_err(|error| self.produce_failure(error))
    }

    /// Ends the transaction with a progress record. Opens one if none is open: progress alone is a transaction too.
    fn commit_progress(&mut self, progress: Progress) -> Result<(), KafkaError> {
        self.begin()?;
        let value = progress.to_json();
        if !self.transactions {
            // Without transactions the order of writing is the only guarantee: progress after the records it speaks of.
            self.settle()?;
        }
        let topic = &self.topics.progress.name;
        let sent = send(&self.producer, topic, 0, self.transactional_id.as_bytes(), Some(&value), None);
        sent.map_err(|error| self.produce_failure(error))?;
        if self.transactions {
            self.commit_transaction()?
        } else {
            self.settle()?
        }
        self.open_records = 0;
        self.committed = progress;
        Ok(())
    }

    fn commit_transaction(&mut self) -> Result<(), KafkaError> {
        self.drain();
        loop {
            // No timeout of our own: librdkafka knows the transaction's, and an answer given up is an answer unknown.
            match self.producer.commit_transaction(Timeout::Never) {
                Ok(()) => break,
                Err(ClientError::Transaction(error)) if error.is_retriable() => {
                    tracing::warn!(transactional_id = self.transactional_id, %error, "commit is tried again");
                }
                Err(error) => return Err(self.transaction_failure("commit", error)),
            }
        }
        self.in_transaction = false;
        Ok(())
    }

    /// Waits until every record is delivered or given up; fails if one was given up.
    fn settle(&mut self) -> Result<(), KafkaError> {
        self.drain();
        match self.producer.context().take_failed_delivery() {
            None => Ok(()),
            Some((topic, detail)) => {
                (self.records, self.open_records) = (0, 0);
                Err(KafkaError::Produce { topic, detail })
            }
        }
    }

    /// Waits until no record is on its way. librdkafka gives each up after the transaction's timeout, so this ends.
    fn drain(&self) {
        // Not `flush`: it looks only every tenth of a second whether the last record has arrived.
        while self.producer.in_flight_count() > 0 {
            self.producer.poll(Duration::from_millis(1));
        }
        self.producer.poll(Duration::ZERO);
    }

    fn produce_failure(&mut self, (topic, error): (String, ClientError)) -> KafkaError {
        if self.producer.client().fatal_error().is_some() {
            return failure(&self.producer, &self.transactional_id, "continue", &error);
        }
        match error {
            // A transaction with a failed record can only be rolled back, and tells so at the next record.
            ClientError::MessageProduction(Code::State) if self.in_transaction => {
                self.transaction_failure("continue", error)
            }
            error => KafkaError::Produce { topic, detail: error.to_string() },
        }
    }

    /// Rolls back what can be rolled back.
    fn transaction_failure(&mut self, action: &'static str, error: ClientError) -> KafkaError {
        let abortable = match &error {
            ClientError::Transaction(error) => error.txn_requires_abort(),
            _ => self.producer.client().fatal_error().is_none(),
        };
        if !abortable {
            return failure(&self.producer, &self.transactional_id, action, &error);
        }
        let detail = match self.producer.context().take_failed_delivery() {
            Some((topic, why)) => format!("{error}; topic {topic:?}: {why}"),
            None => error.to_string(),
        };
        match self.abort() {
            Ok(()) => KafkaError::Aborted { action, transactional_id: self.transactional_id.clone(), detail },
            Err(error) => error,
        }
    }
}

impl Drop for KafkaSink {
    fn drop(&mut self) {
        // A courtesy to readers, who otherwise wait behind the open transaction until it times out.
        const COURTESY: Duration = Duration::from_secs(5);
        if !self.in_transaction {
            return;
        }
        self.producer.purge(PurgeConfig::default().queue().inflight());
        // What was purged still reports, and the rollback waits for that.
        for _ in 0..100 {
            if self.producer.in_flight_count() == 0 {
                break;
            }
            self.producer.poll(Duration::from_millis(1));
        }
        if let Err(error) = self.producer.abort_transaction(COURTESY) {
            tracing::warn!(transactional_id = self.transactional_id, %error, "transaction left open, it will time out");
        }
    }
}

fn producer(config: &KafkaSinkConfig) -> Result<BaseProducer<Context>, KafkaError> {
    let defaults = [
        ("compression.type", "lz4"),
        ("linger.ms", "2"),
        ("batch.size", "1000000"),
        ("queue.buffering.max.messages", "500000"),
        ("delivery.report.only.error", "true"),
        ("transaction.timeout.ms", "60000"),
    ];
    let fixed: &[(&str, &str)] = match config.transactions {
        true => &[("enable.idempotence", "true"), ("transactional.id", &config.transactional_id)],
        false => &[("enable.idempotence", "true")],
    };
    // A property of transactions alone makes librdkafka refuse a producer without them.
    let defaults = if config.transactions { &defaults[..] } else { &defaults[..defaults.len() - 1] };
    configure(&config.brokers, &config.properties, defaults, fixed)?
        .create_with_context(Context::default())
        .map_err(|error| creation_error(&config.brokers, error))
}

/// Hands a record over, waiting while the producer's queue is full.
fn send(
    producer: &BaseProducer<Context>,
    topic: &str,
    partition: i32,
    key: &[u8],
    value: Option<&[u8]>,
    headers: Option<OwnedHeaders>,
) -> Result<(), (String, ClientError)> {
    let mut record: BaseRecord<'_, [u8], [u8], ()> = BaseRecord::to(topic).partition(partition).key(key);
    record.payload = value;
    record.headers = headers;
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((ClientError::MessageProduction(Code::QueueFull), returned)) => {
                record = returned;
                producer.poll(Duration::from_millis(5));
            }
            Err((error, _)) => return Err((topic.to_owned(), error)),
        }
    }
}

/// Writes `source:position` and returns the source's name.
fn source_key(key: &mut Vec<u8>, names: &[String], partition: u32, position: u64) -> String {
    let name = names.get(partition as usize).cloned().unwrap_or_else(|| format!("partition {partition}"));
    key.clear();
    key.extend_from_slice(format!("{name}:{position}").as_bytes());
    name
}

/// The error of a producer that cannot go on.
fn failure(
    producer: &BaseProducer<Context>,
    transactional_id: &str,
    action: &'static str,
    error: &ClientError,
) -> KafkaError {
    let transactional_id = transactional_id.to_owned();
    let fatal = producer.client().fatal_error();
    let code = fatal.as_ref().map(|(code, _)| *code).or_else(|| error.rdkafka_error_code());
    if matches!(code, Some(Code::Fenced | Code::ProducerFenced | Code::InvalidProducerEpoch)) {
        return KafkaError::Fenced { action, transactional_id };
    }
    let detail = fatal.map_or_else(|| error.to_string(), |(code, why)| format!("{code}: {why}"));
    KafkaError::Transaction { action, transactional_id, detail }
}
