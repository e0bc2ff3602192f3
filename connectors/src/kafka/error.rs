//! What can go wrong with Kafka, in words that name the topic, the offset and the way out.

use crate::source::SourceError;

/// A Kafka cluster that cannot be used as asked.
#[derive(Debug, thiserror::Error)]
pub enum KafkaError {
    /// No broker answered in time.
    #[error(
        "could not reach kafka at {brokers} within {timeout_ms} ms: {last_error}; check the address, and that the address \
         the broker advertises can be reached from here"
    )]
    Unreachable {
        /// The bootstrap addresses.
        brokers: String,
        /// How long was waited.
        timeout_ms: u128,
        /// What librdkafka said last.
        last_error: String,
    },
    /// A topic to read that is not there, or that the client may not see.
    #[error("could not find topic {topic:?} at {brokers}; {hint}")]
    MissingTopic {
        /// The topic.
        topic: String,
        /// The bootstrap addresses.
        brokers: String,
        /// Topics of a similar name, or all there are.
        hint: String,
    },
    /// No topic to read was given.
    #[error("no kafka topic to read was given; name at least one")]
    NoTopics,
    /// Topics to write to that are not there and could not be created.
    #[error("could not find the output topics at {brokers} ({why}); create them with:\n{commands}")]
    MissingOutputTopics {
        /// The bootstrap addresses.
        brokers: String,
        /// Why they were not created.
        why: String,
        /// A line for each topic, for `kafka-topics.sh`.
        commands: String,
    },
    /// A property that librdkafka does not take, or that the guarantees rest upon.
    #[error("could not use kafka property {key:?}: {detail}")]
    Property {
        /// The property.
        key: String,
        /// Why.
        detail: String,
    },
    /// The client could not be set up.
    #[error("could not create a kafka client for {brokers}: {detail}")]
    Client {
        /// The bootstrap addresses.
        brokers: String,
        /// Why.
        detail: String,
    },
    /// The offsets of a partition could not be asked for.
    #[error("could not read the offsets of {partition}: {detail}")]
    Offsets {
        /// The partition, as `topic[3]`.
        partition: String,
        /// Why.
        detail: String,
    },
    /// A position to resume from that the broker no longer has, or never had.
    #[error(
        "could not resume {partition} at offset {offset}: the broker has {low} up to {end}; if the topic's retention removed \
         records or the topic was created anew, start a new run from the earliest offset"
    )]
    OffsetGone {
        /// The partition, as `topic[3]`.
        partition: String,
        /// The offset asked for.
        offset: u64,
        /// The least offset there is.
        low: u64,
        /// One past the greatest.
        end: u64,
    },
    /// Reading failed for good.
    #[error("could not read {partition} at offset {offset}: {detail}")]
    Consume {
        /// The partition, as `topic[3]`, or the brokers where the whole client failed.
        partition: String,
        /// The next offset.
        offset: u64,
        /// Why, and what to do.
        detail: String,
    },
    /// A record was not taken.
    #[error("could not write to topic {topic:?}: {detail}")]
    Produce {
        /// The topic.
        topic: String,
        /// Why.
        detail: String,
    },
    /// The transaction was rolled back; nothing of it is visible. Writing again from the tick after the committed one is safe,
    /// and may be rolled back once more before it succeeds.
    #[error("could not {action} the transaction of {transactional_id:?}, it was aborted: {detail}")]
    Aborted {
        /// What was attempted.
        action: &'static str,
        /// The transactional id.
        transactional_id: String,
        /// Why.
        detail: String,
    },
    /// Another process took over the transactional id.
    #[error(
        "could not {action} the transaction of {transactional_id:?}: another process has taken over this id; stop one of the \
         two, or give each its own"
    )]
    Fenced {
        /// What was attempted.
        action: &'static str,
        /// The transactional id.
        transactional_id: String,
    },
    /// Transactions do not work any more; the sink must be opened again.
    #[error(
        "could not {action} the transaction of {transactional_id:?}: {detail}; restart to resume from the last commit"
    )]
    Transaction {
        /// What was attempted.
        action: &'static str,
        /// The transactional id.
        transactional_id: String,
        /// Why.
        detail: String,
    },
    /// The progress record cannot be understood.
    #[error(
        "could not understand the progress record of {transactional_id:?} in topic {topic:?} at offset {offset}: {detail}; \
         it was written by something else, so choose another transactional id or topic prefix"
    )]
    Progress {
        /// The progress topic.
        topic: String,
        /// The transactional id.
        transactional_id: String,
        /// The record's offset.
        offset: i64,
        /// Why.
        detail: String,
    },
}

impl KafkaError {
    /// Whether the same attempt can succeed later without a change of configuration.
    pub const fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Unreachable { .. }
                | Self::Offsets { .. }
                | Self::Produce { .. }
                | Self::Aborted { .. }
                | Self::Transaction { .. }
        )
    }
}

impl From<KafkaError> for SourceError {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error.to_string())
    }
}
