//! The progress record: how far a sink came, committed in the same transaction as the records it speaks of.

use super::KafkaSinkConfig;
use super::committed::Committed;
use super::ends::Ends;
use super::patience::Wait;
use crate::kafka::KafkaError;
use rdkafka::Message;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tidewheel_schemas::Counters;

/// How far a sink came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The sink.
    pub transactional_id: String,
    /// All ticks through this one are written, milliseconds since the epoch; none before the first.
    pub committed_tick: Option<u64>,
    /// Records after that tick that are written too: a tick larger than a transaction is cut.
    pub records_done: u64,
    /// Which run wrote it, for people.
    pub run: String,
    /// The program's version.
    pub version: String,
    /// Which opening of the sink wrote it: each leaves a record at once.
    #[serde(default)]
    pub incarnation: u64,
    /// How many commits that opening had made, this one included; 0 for the record it begins with.
    #[serde(default)]
    pub sequence: u64,
    /// Where the records ended that came with it, and those committed before it since the sink was opened; none without
    /// transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Ends>,
    /// All counts from the start of the run through the committed tick.
    pub counters: Counters,
}

impl Progress {
    pub(super) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers, texts, and maps keyed by text always encode")
    }
}

/// The last committed progress of the sink; the default where there is none.
pub(super) fn read(config: &KafkaSinkConfig, topic: &str, wait: Wait<'_>) -> Result<Progress, KafkaError> {
    find(&Committed::open(config, topic, wait)?, config, topic)
}

/// As [`read`], but none where open transactions hold it back for longer than a limit.
pub(super) fn read_within(
    config: &KafkaSinkConfig,
    topic: &str,
    limit: Duration,
) -> Result<Option<Progress>, KafkaError> {
    let committed = Committed::open_within(config, topic, limit)?;
    committed.map(|committed| find(&committed, config, topic)).transpose()
}

/// As [`read`], with its offset, but only of what can be read already; nothing where there is none.
pub(super) fn read_as_is(config: &KafkaSinkConfig, topic: &str) -> Result<Option<(u64, Progress)>, KafkaError> {
    find_last(&Committed::open_as_is(config, topic)?, config, topic)
}

fn find(committed: &Committed<'_>, config: &KafkaSinkConfig, topic: &str) -> Result<Progress, KafkaError> {
    Ok(find_last(committed, config, topic)?.map(|(_, progress)| progress).unwrap_or_default())
}

fn find_last(
    committed: &Committed<'_>,
    config: &KafkaSinkConfig,
    topic: &str,
) -> Result<Option<(u64, Progress)>, KafkaError> {
    const FIRST_SUFFIX: u64 = 256;
    const GROWTH: u64 = 16;
    let mut suffix = FIRST_SUFFIX;
    loop {
        let from = committed.low.max(committed.end.saturating_sub(suffix));
        if let Some(found) = last(committed, config, topic, from)? {
            return Ok(Some(found));
        }
        if from == committed.low {
            return Ok(None);
        }
        suffix = suffix.saturating_mul(GROWTH);
    }
}

/// The sink's last record from an offset to the end, where there is one. A record without a value sets the progress back.
fn last(
    committed: &Committed<'_>,
    config: &KafkaSinkConfig,
    topic: &str,
    from: u64,
) -> Result<Option<(u64, Progress)>, KafkaError> {
    let mut last = None;
    committed.scan(from, |message| {
        if message.key() == Some(config.transactional_id.as_bytes()) {
            last = Some((message.offset().unsigned_abs(), parse(message.payload(), config, topic, message.offset())?));
        }
        Ok(())
    })?;
    Ok(last)
}

/// A record without a value says that nothing was written.
pub(super) fn parse(
    payload: Option<&[u8]>,
    config: &KafkaSinkConfig,
    topic: &str,
    offset: i64,
) -> Result<Progress, KafkaError> {
    let Some(payload) = payload else { return Ok(Progress { ends: Some(Ends::default()), ..Progress::default() }) };
    serde_json::from_slice(payload).map_err(|error| KafkaError::Progress {
        topic: topic.to_owned(),
        transactional_id: config.transactional_id.clone(),
        offset,
        detail: error.to_string(),
    })
}
