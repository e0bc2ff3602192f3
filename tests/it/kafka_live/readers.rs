//! What a consumer and the lake hold, in one form: bars as text by key.

use crate::harness::kafka::PATIENCE;
use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
use tidewheel_connectors::lake;
use tidewheel_schemas::{BarVersion, Counters, Interval, format_e8, format_e16};

/// The values of bars by key, `binance|BTCUSDT|1m|1700000040000`.
pub type Bars = BTreeMap<String, String>;

/// A record of an output topic.
#[derive(Clone, Debug)]
pub struct Record {
    /// Its key.
    pub key: String,
    /// Its value; none for a tombstone.
    pub value: Option<serde_json::Value>,
    /// Its headers.
    pub headers: BTreeMap<String, String>,
}

impl Record {
    /// The header `revision`.
    pub fn revision(&self) -> &str {
        &self.headers["revision"]
    }

    /// Whether the value calls itself final.
    pub fn is_final(&self) -> bool {
        self.value.as_ref().is_some_and(|value| value["is_final"] == true)
    }

    /// The bar's values as [`Bars`] has them; none for a tombstone.
    pub fn values(&self) -> Option<String> {
        let value = self.value.as_ref()?;
        let text = |field: &str| match &value[field] {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some(FIELDS.map(text).join(" "))
    }
}

const FIELDS: [&str; 12] = [
    "close_time",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "quote_volume",
    "taker_buy_volume",
    "taker_buy_quote_volume",
    "trade_count",
    "first_trade_id",
    "last_trade_id",
];

/// Every record of a topic that a `read_committed` consumer sees up to its end, by partition in order of offset.
pub fn records(brokers: &str, topic: &str) -> Vec<Record> {
    let mut found: BTreeMap<i32, Vec<Record>> = BTreeMap::new();
    for_each(brokers, topic, |message| found.entry(message.partition()).or_default().push(record(message)));
    found.into_values().flatten().collect()
}

/// The values of a topic of one partition, in order of offset.
pub fn payloads(brokers: &str, topic: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for_each(brokers, topic, |message| found.extend(message.payload().map(<[u8]>::to_vec)));
    found
}

/// How many messages a topic holds, whatever they are.
pub fn count(brokers: &str, topic: &str) -> usize {
    let mut found = 0;
    for_each(brokers, topic, |_| found += 1);
    found
}

fn for_each(brokers: &str, topic: &str, mut take: impl FnMut(&BorrowedMessage<'_>)) {
    let consumer = consumer(brokers);
    let mut left = assign(&consumer, topic);
    let deadline = Instant::now() + PATIENCE;
    while left > 0 {
        assert!(Instant::now() < deadline, "topic {topic} cannot be read to its end");
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => take(&message),
            Some(Err(KafkaError::PartitionEOF(_))) => left -= 1,
            Some(Err(error)) => panic!("topic {topic}: {error}"),
        }
    }
}

/// Follows a topic from its start until a record satisfies.
pub fn wait_for_record(brokers: &str, topic: &str, mut is_wanted: impl FnMut(&Record) -> bool) -> Record {
    let consumer = consumer(brokers);
    wait_for_topic(&consumer, topic, || true);
    assign(&consumer, topic);
    let deadline = Instant::now() + PATIENCE;
    let mut last = None;
    loop {
        assert!(Instant::now() < deadline, "topic {topic}: what was waited for does not come, the last was {last:?}");
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let record = record(&message);
            if is_wanted(&record) {
                return record;
            }
            last = Some(record);
        }
    }
}

/// Follows `PREFIX.progress` until counters satisfy; nothing if `goes_on` says that nothing more will come.
pub fn last_progress(
    brokers: &str,
    prefix: &str,
    mut goes_on: impl FnMut() -> bool,
    is_enough: impl Fn(&Counters) -> bool,
) -> Option<Counters> {
    let topic = format!("{prefix}.progress");
    let consumer = consumer(brokers);
    if !wait_for_topic(&consumer, &topic, &mut goes_on) {
        return None;
    }
    assign(&consumer, &topic);
    let deadline = Instant::now() + PATIENCE;
    let mut last = Counters::default();
    while goes_on() {
        assert!(Instant::now() < deadline, "topic {topic}: the run does not come to what is waited for: {last:?}");
        // A broker that is down is waited for.
        let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) else { continue };
        let value = record(&message).value.expect("progress has a value");
        last = serde_json::from_value(value["counters"].clone()).expect("counters");
        if is_enough(&last) {
            return Some(last);
        }
    }
    None
}

/// The bars that stand in the topics `PREFIX.bars.*` after all has been read: of each key the last value.
pub fn bars_of_topics(brokers: &str, prefix: &str) -> Bars {
    let mut bars = Bars::new();
    for interval in Interval::ALL {
        for record in records(brokers, &format!("{prefix}.bars.{interval}")) {
            assert_eq!(record.headers["schema"], "tidewheel.bar.v1");
            match record.values() {
                Some(values) => drop(bars.insert(record.key, values)),
                None => drop(bars.remove(&record.key)),
            }
        }
    }
    bars
}

/// The bars that a lake holds, one for each key.
pub fn bars_of_lake(root: &Path) -> Bars {
    versions_of_lake(root).into_iter().filter_map(|version| Some((key_of(&version), values_of(&version)?))).collect()
}

/// The right version of each bar that a lake holds.
pub fn versions_of_lake(root: &Path) -> Vec<BarVersion> {
    Interval::ALL.into_iter().flat_map(|interval| lake::read::bars(root, interval).expect("a lake")).collect()
}

/// The key of a bar as in the topics.
pub fn key_of(version: &BarVersion) -> String {
    let BarVersion { instrument, interval, open_time_ns, .. } = version;
    format!("{}|{}|{interval}|{}", instrument.venue, instrument.symbol, open_time_ns / 1_000_000)
}

/// A bar's values as [`Bars`] has them.
pub fn values_of(version: &BarVersion) -> Option<String> {
    let bar = version.bar?;
    let values = [
        (version.close_time_ns() / 1_000_000).to_string(),
        format_e8(bar.open_e8.into()),
        format_e8(bar.high_e8.into()),
        format_e8(bar.low_e8.into()),
        format_e8(bar.close_e8.into()),
        format_e8(bar.volume_e8),
        format_e16(bar.quote_volume_e16),
        format_e8(bar.taker_buy_volume_e8),
        format_e16(bar.taker_buy_quote_volume_e16),
        bar.trade_count.to_string(),
        bar.first.id.to_string(),
        bar.last.id.to_string(),
    ];
    Some(values.join(" "))
}

/// Complains of the first difference instead of printing thousands of bars.
#[track_caller]
pub fn same(left: &Bars, right: &Bars) {
    for (key, values) in left {
        assert_eq!(Some(values), right.get(key), "{key}");
    }
    for (key, values) in right {
        assert_eq!(left.get(key), Some(values), "{key}");
    }
    assert!(!left.is_empty(), "there are bars");
}

fn consumer(brokers: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", "readers")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("isolation.level", "read_committed")
        .create()
        .expect("the configuration is valid")
}

/// Waits until a topic is there; false if `goes_on` says that it will not come.
fn wait_for_topic(consumer: &BaseConsumer, topic: &str, mut goes_on: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while goes_on() {
        assert!(Instant::now() < deadline, "no topic {topic}");
        let metadata = consumer.fetch_metadata(None, PATIENCE).expect("the broker answers");
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        if found.is_some_and(|found| !found.partitions().is_empty()) {
            return true;
        }
        // A pause, so as not to keep the broker from creating it.
        drop(consumer.poll(Duration::from_millis(20)));
    }
    false
}

/// Starts at the beginning of all partitions, and says how many there are.
fn assign(consumer: &BaseConsumer, topic: &str) -> usize {
    let metadata = consumer.fetch_metadata(Some(topic), PATIENCE).expect("the broker answers");
    let partitions = metadata.topics()[0].partitions();
    assert!(!partitions.is_empty(), "there is a topic {topic}");
    let mut assignment = TopicPartitionList::new();
    for partition in partitions {
        assignment.add_partition_offset(topic, partition.id(), Offset::Beginning).expect("a valid offset");
    }
    consumer.assign(&assignment).expect("the partitions exist");
    partitions.len()
}

fn record(message: &impl Message) -> Record {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    Record {
        key: message.key().map(text).unwrap_or_default(),
        value: message.payload().map(|value| serde_json::from_slice(value).expect("JSON")),
        headers: headers.map(|header| (header.key.to_owned(), header.value.map(text).unwrap_or_default())).collect(),
    }
}
