//! What can go wrong with Kafka, in words that name the topic, the offset and the way out.

use super::stuck::StuckPartitions;
use crate::source::SourceError;

/// What can be done when the input cannot be read again as it was.
const WAY_OUT: &str = "compute the bars again from what the lake archived with `tidewheel replay`, or start anew with `tidewheel run --replace`";

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
    /// The brokers did not accept who this client says it is.
    #[error(
        "could not log in to kafka at {brokers}: {detail}; check sasl.username, sasl.password and sasl.mechanism in the \
         properties, of the source and of the sink"
    )]
    Authentication {
        /// The bootstrap addresses.
        brokers: String,
        /// What librdkafka said.
        detail: String,
    },
    /// Client and brokers do not trust each other's certificates, or have no protocol in common.
    #[error(
        "could not make a secure connection to kafka at {brokers}: {detail}; name the brokers' certificate authority in the \
         property ssl.ca.location, and the brokers by an address that their certificate is made for"
    )]
    Tls {
        /// The bootstrap addresses.
        brokers: String,
        /// What librdkafka said.
        detail: String,
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
    /// A position that the broker no longer has, or never had.
    #[error("could not read {partition} from offset {offset}: the broker has {low} up to {end}; {}; {}", why_gone(*offset, *low), WAY_OUT)]
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
    /// A topic that was read is no longer there.
    #[error("could not read {what} any more: the topic was deleted; {}", WAY_OUT)]
    TopicDeleted {
        /// The topic, or its partition as `topic[3]`.
        what: String,
    },
    /// A topic of the same name that is another one.
    #[error(
        "could not go on with topic {topic:?}: partition {partition} has another message at offset {offset} than was read \
         there, so the topic was deleted and created anew; {}",
        WAY_OUT
    )]
    TopicRecreated {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Where the message was read.
        offset: u64,
    },
    /// A topic with fewer partitions than were read.
    #[error(
        "could not find partition {partition} of topic {topic:?}, which was read before; the topic was deleted and \
         created anew with fewer partitions; {}",
        WAY_OUT
    )]
    PartitionGone {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
    },
    /// A partition of a former run without a name that can be one.
    #[error("could not understand the partition name {name:?} of a former run; partitions are named like \"topic[3]\"")]
    PartitionName {
        /// The name.
        name: String,
    },
    /// A log names offsets of a topic that is not read.
    #[error(
        "could not read {partition} up to offset {end}: its topic is not configured any more; add it to the source's topics"
    )]
    NotRead {
        /// The partition, as `topic[3]`.
        partition: String,
        /// The offset to read to, exclusive.
        end: u64,
    },
    /// More is known to be there than the broker gives.
    #[error(
        "could not read {partition} up to offset {end}: nothing came after offset {position} for {waited_s} s, though the broker \
         can be reached; look whether its replicas are in sync and whether a transaction is open there, and start again"
    )]
    EndNotReached {
        /// The partition, as `topic[3]`.
        partition: String,
        /// The next offset.
        position: u64,
        /// The offset to read to, exclusive.
        end: u64,
        /// How long was waited, seconds.
        waited_s: u64,
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
    /// The log of a sink was asked for that keeps none.
    #[error("could not use the log of the kafka sink: it is not enabled")]
    NoLog,
    /// The topic of a sink's log would lose records.
    #[error("could not use topic {topic:?} as a log, since {detail}; {way_out}")]
    LogTopic {
        /// The topic.
        topic: String,
        /// What is wrong with it.
        detail: String,
        /// What to do, with the command of Kafka that mends it.
        way_out: String,
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
        "could not {action} the transaction of {transactional_id:?}: another process has taken over this id, or this one was \
         paused or cut off for longer than the transaction timeout; stop the other or give each its own id, and start again"
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
    /// Transactions that have been open for long, and of which it cannot be told whose they are, or how they are to end.
    #[error(
        "could not tell how transactions are to end that are open in the sink's topics: if they are those of another sink with a \
         longer transaction timeout, that ends them, so start again then; else a broker that was killed in the middle has forgotten \
         them, and they are another sink's, or of a version that did not write down what it committed: roll them back as follows, \
         start again, and see with `tidewheel verify` whether anything is missing:{stuck}"
    )]
    Hanging {
        /// Where.
        stuck: StuckPartitions,
    },
    /// Committed records that a broker rolled back all the same and that cannot be told from another sink's.
    #[error(
        "could not write again what was committed in {partitions} and what a broker that was killed in the middle did not commit \
         there: another sink's records lie between; {}, and give each sink topics of its own",
        WAY_OUT
    )]
    Scattered {
        /// The partitions, each as `topic[3]`.
        partitions: String,
    },
    /// The broker did not answer, and the run is to stop.
    #[error(
        "could not {action} the transaction of {transactional_id:?}: kafka has not answered for {waited_ms} ms since the run \
         was told to stop; what is not committed is written when it is started again"
    )]
    Unanswered {
        /// What was attempted.
        action: &'static str,
        /// The transactional id.
        transactional_id: String,
        /// How long was waited after the wish to stop.
        waited_ms: u128,
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
                | Self::EndNotReached { .. }
                | Self::Produce { .. }
                | Self::Aborted { .. }
                | Self::Transaction { .. }
                | Self::Unanswered { .. }
        )
    }
}

/// What most likely became of an offset.
fn why_gone(offset: u64, low: u64) -> &'static str {
    match offset < low {
        true => "retention removed records before they were read",
        false => "the topic was created anew, or its broker lost records",
    }
}

impl From<KafkaError> for SourceError {
    fn from(error: KafkaError) -> Self {
        Self::Kafka(error.to_string())
    }
}
