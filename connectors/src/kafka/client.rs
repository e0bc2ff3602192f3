//! What all Kafka clients of this crate share: their configuration, their log, and the first contact with the cluster.

use super::KafkaError;
use super::sink::Delivered;
use super::statistics::{Known, Statistics};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::KafkaError as ClientError;
use rdkafka::message::DeliveryResult;
use rdkafka::metadata::Metadata;
use rdkafka::producer::ProducerContext;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as TaskContext, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// Properties passed through to librdkafka, by name.
pub type Properties = BTreeMap<String, String>;

/// The consumers' group id. No group is joined and no offset committed: librdkafka wants a name before it assigns.
const GROUP_ID: &str = "tidewheel";

/// How often librdkafka says where partitions end, milliseconds.
const STATISTICS_EVERY_MS: &str = "1000";

/// Properties that the guarantees rest upon, hence not open to configuration.
const RESERVED: [&str; 10] = [
    "bootstrap.servers",
    "enable.partition.eof",
    "enable.auto.commit",
    "enable.auto.offset.store",
    "auto.offset.reset",
    "isolation.level",
    "transactional.id",
    "transaction.timeout.ms",
    "enable.idempotence",
    "delivery.report.only.error",
];

/// Forwards librdkafka's log to `tracing` and remembers the last error, for the message of the failure it leads to.
#[derive(Default)]
pub(super) struct Context {
    last_error: Mutex<Option<Complaint>>,
    failed_delivery: Mutex<Option<Failed>>,
    delivered: Mutex<Delivered>,
    /// With when they were told.
    statistics: Mutex<(Statistics, Option<Instant>)>,
}

/// What librdkafka complained of.
#[derive(Clone)]
struct Complaint {
    code: Code,
    reason: String,
}

impl Complaint {
    /// Whether it names what a person must mend, and not only that a connection failed.
    const fn is_refusal(&self) -> bool {
        matches!(self.code, Code::Authentication | Code::SaslAuthenticationFailed | Code::SSL)
    }
}

/// A record that could not be delivered, and why; one that was refused goes before those thrown away with it.
struct Failed {
    topic: String,
    error: String,
    thrown_away: bool,
}

impl Context {
    /// What the client last complained of, whether it matters still or not.
    pub(super) fn last_error(&self) -> Option<String> {
        let last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|complaint| complaint.reason.clone())
    }

    /// The error of a cluster that did not answer: what librdkafka last complained of, or else the answer to the last request.
    fn unreachable(&self, brokers: &str, timeout: Duration, last_answer: &ClientError) -> KafkaError {
        let brokers = brokers.to_owned();
        let complaint = self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (code, detail) = match complaint {
            Some(Complaint { code, reason }) => (Some(code), reason),
            None => (last_answer.rdkafka_error_code(), last_answer.to_string()),
        };
        match code {
            Some(Code::Authentication | Code::SaslAuthenticationFailed) => {
                KafkaError::Authentication { brokers, detail }
            }
            Some(Code::SSL) => KafkaError::Tls { brokers, detail },
            _ => KafkaError::Unreachable { brokers, timeout_ms: timeout.as_millis(), last_error: detail },
        }
    }

    /// What librdkafka knew of a partition when it last said; nothing before that.
    pub(super) fn known(&self, topic: &str, partition: i32) -> Option<Known> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner).0.of(topic, partition)
    }

    /// When librdkafka last said what it knows of the partitions.
    pub(super) fn told_at(&self) -> Option<Instant> {
        self.statistics.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Whether a record could not be delivered since the last call of [`take_failed_delivery`](Self::take_failed_delivery).
    pub(super) fn has_failed_delivery(&self) -> bool {
        self.failed_delivery.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The topic and the reason of the first record that could not be delivered since the last call.
    pub(super) fn take_failed_delivery(&self) -> Option<(String, String)> {
        let failed = self.failed_delivery.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map(|failed| (failed.topic, failed.error))
    }
}

impl Context {
    /// Where the records lie that were delivered since the last call, as far as reports of these were asked for.
    pub(super) fn take_delivered(&self) -> Delivered {
        std::mem::take(&mut *self.delivered.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn fail_delivery(&self, topic: &str, error: String, thrown_away: bool) {
        let mut failed = self.failed_delivery.lock().unwrap_or_else(PoisonError::into_inner);
        if failed.as_ref().is_none_or(|failed| failed.thrown_away && !thrown_away) {
            *failed = Some(Failed { topic: topic.to_owned(), error, thrown_away });
        }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            // librdkafka calls a lost connection an error and then mends it by itself.
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
                tracing::info!(target: "librdkafka", facility, "{message}");
            }
            RDKafkaLogLevel::Debug => tracing::debug!(target: "librdkafka", facility, "{message}"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        tracing::trace!(target: "librdkafka", statistics = %String::from_utf8_lossy(statistics), "statistics");
        if let Some(statistics) = Statistics::parse(statistics) {
            *self.statistics.lock().unwrap_or_else(PoisonError::into_inner) = (statistics, Some(Instant::now()));
        }
    }

    fn error(&self, error: ClientError, reason: &str) {
        let mut last = self.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        let code = error.rdkafka_error_code().unwrap_or(Code::Unknown);
        let complaint = Complaint { code, reason: reason.to_owned() };
        match code {
            // The end of a partition travels the same way and is none.
            Code::PartitionEOF => {}
            // Follows the reason and says less.
            Code::AllBrokersDown if last.is_some() => {}
            // As a connection does that is lost because of it.
            _ if last.as_ref().is_some_and(Complaint::is_refusal) && !complaint.is_refusal() => {}
            _ => *last = Some(complaint),
        }
    }
}

impl ConsumerContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        use rdkafka::Message;
        match result {
            Ok(message) => match u64::try_from(message.offset()) {
                Ok(offset) => {
                    let mut delivered = self.delivered.lock().unwrap_or_else(PoisonError::into_inner);
                    delivered.add(message.topic(), message.partition(), offset);
                }
                // As after a repetition that the broker knew, but not where it had put it.
                Err(_) => self.fail_delivery(message.topic(), "the broker did not say where it lies".to_owned(), false),
            },
            Err((error, message)) => {
                let thrown_away = matches!(error.rdkafka_error_code(), Some(Code::PurgeQueue | Code::PurgeInflight));
                self.fail_delivery(message.topic(), error.to_string(), thrown_away);
            }
        }
    }
}

/// A configuration: defaults, over them the user's properties, over them what is not open to choice.
///
/// # Errors
/// If a property is one of those that the guarantees rest upon.
pub(super) fn configure(
    brokers: &str,
    properties: &Properties,
    defaults: &[(&str, &str)],
    fixed: &[(&str, &str)],
) -> Result<ClientConfig, KafkaError> {
    let mut config = ClientConfig::new();
    if tracing::enabled!(target: "librdkafka", tracing::Level::DEBUG) {
        config.set_log_level(RDKafkaLogLevel::Debug);
    }
    config.set("client.id", "tidewheel");
    for (key, value) in defaults {
        config.set(*key, *value);
    }
    for (key, value) in properties {
        if RESERVED.contains(&key.as_str()) {
            let detail = "it is set by tidewheel itself, remove it".to_owned();
            return Err(KafkaError::Property { key: key.clone(), detail });
        }
        config.set(key, value);
    }
    config.set("bootstrap.servers", brokers);
    for (key, value) in fixed {
        config.set(*key, *value);
    }
    Ok(config)
}

/// A consumer that belongs to no group, commits nothing, and never jumps to another offset by itself.
pub(super) fn consumer(
    brokers: &str,
    properties: &Properties,
    defaults: &[(&str, &str)],
    isolation: &str,
) -> Result<BaseConsumer<Context>, KafkaError> {
    let own = [("group.id", GROUP_ID), ("statistics.interval.ms", STATISTICS_EVERY_MS)];
    let with_group = [&own, defaults].concat();
    let fixed = [
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("enable.partition.eof", "true"),
        ("auto.offset.reset", "error"),
        ("isolation.level", isolation),
    ];
    configure(brokers, properties, &with_group, &fixed)?
        .create_with_context(Context::default())
        .map_err(|error| creation_error(brokers, error))
}

/// Why a client could not be created, without the values of secrets.
pub(super) fn creation_error(brokers: &str, error: ClientError) -> KafkaError {
    match error {
        ClientError::ClientConfig(_, description, key, _) => {
            let secret = ["password", "secret", "pem"].iter().any(|word| key.contains(word));
            let detail = if secret { "librdkafka does not take its value".to_owned() } else { description };
            KafkaError::Property { key, detail }
        }
        other => KafkaError::Client { brokers: brokers.to_owned(), detail: other.to_string() },
    }
}

/// The cluster's brokers and topics.
///
/// # Errors
/// If no broker answers in time.
pub(super) fn metadata(
    consumer: &BaseConsumer<Context>,
    brokers: &str,
    timeout: Duration,
) -> Result<Metadata, KafkaError> {
    /// Serving the consumer meanwhile is also what brings the reason of the failure.
    const RETRY_PAUSE: Duration = Duration::from_millis(100);
    const ATTEMPT: Duration = Duration::from_secs(3);
    let deadline = Instant::now() + timeout;
    loop {
        let answer = consumer.fetch_metadata(None, until(deadline).min(ATTEMPT));
        if answer.is_err() {
            drop(consumer.poll(RETRY_PAUSE));
        }
        match answer {
            Ok(metadata) => return Ok(metadata),
            // A refused connection fails at once, but a broker may be starting.
            Err(_) if !until(deadline).is_zero() => {}
            Err(error) => return Err(consumer.context().unreachable(brokers, timeout, &error)),
        }
    }
}

/// Offsets of a partition: the least there is, and one past the greatest that the consumer's isolation lets it see.
///
/// # Errors
/// If the broker does not answer in time. A partition that has no leader yet, as after its creation, is waited for.
pub(super) fn offsets(
    consumer: &BaseConsumer<Context>,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<(u64, u64), KafkaError> {
    const RETRY_PAUSE: Duration = Duration::from_millis(20);
    let unreadable = |detail: String| KafkaError::Offsets { partition: partition_name(topic, partition), detail };
    let deadline = Instant::now() + timeout;
    let (low, end) = loop {
        match consumer.fetch_watermarks(topic, partition, until(deadline)) {
            Ok(offsets) => break offsets,
            Err(error) if is_between_leaders(&error) && !until(deadline).is_zero() => {
                drop(consumer.poll(until(deadline).min(RETRY_PAUSE)));
            }
            Err(error) => return Err(unreadable(error.to_string())),
        }
    };
    match (u64::try_from(low), u64::try_from(end)) {
        (Ok(low), Ok(end)) => Ok((low, end)),
        _ => Err(unreadable(format!("the broker answered {low} and {end}"))),
    }
}

/// Whether a partition's leader is just changing, or not yet known to all.
pub(super) fn is_between_leaders(error: &ClientError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::ReplicaNotAvailable
                | Code::UnknownLeaderEpoch
                | Code::OffsetNotAvailable
        )
    )
}

/// How a partition is called in messages: `topic[3]`.
pub(super) fn partition_name(topic: &str, partition: i32) -> String {
    format!("{topic}[{partition}]")
}

/// The time left until a deadline, never negative.
pub(super) fn until(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// Waits for a future on this thread: librdkafka's administrative calls are futures and nothing else here is.
pub(super) fn wait_for<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut TaskContext::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
