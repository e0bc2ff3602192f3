//! Generated markets as recorded files and in topics, and where each record must end.

use super::program::{succeeds, tidewheel};
use super::readers::{Bars, bars_of_lake};
use crate::harness::kafka::PATIENCE;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use tidewheel_connectors::generate::{Faults, Market, MarketConfig, Tally, WireFormat, render};
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};
use tidewheel_schemas::{Counters, RejectReason, SECOND_NS};

/// Partitions of the topics that markets are sent to.
pub const PARTITIONS: i32 = 4;

const HOUR_NS: i64 = 3_600 * SECOND_NS;

/// Every kind of trouble, so many of a million that a few thousand trades meet them all.
pub const ALL_FAULTS: Faults = Faults {
    out_of_order_ppm: 30_000,
    duplicate_ppm: 20_000,
    conflict_ppm: 5_000,
    late_ppm: 5_000,
    future_ppm: 5_000,
    malformed_ppm: 10_000,
    cancelled_ppm: 10_000,
    corrected_ppm: 10_000,
};

/// The same without conflicts. Which of two records under one id came first is undefined where they lie in different
/// partitions, and so is then which of them counts.
pub const WITHOUT_CONFLICTS: Faults = Faults { conflict_ppm: 0, ..ALL_FAULTS };

/// One message as it was sent.
pub struct Message {
    /// The instrument, as the message key where there is one.
    pub key: String,
    /// The bytes.
    pub payload: Vec<u8>,
    /// When it arrives, nanoseconds.
    pub receive_time_ns: i64,
}

/// A market in a file, with what it is to come to.
pub struct Recorded {
    /// Its messages in the order of arrival.
    pub messages: Vec<Message>,
    /// What they are.
    pub tally: Tally,
    folder: TempDir,
}

/// How a market's messages find their partitions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// By instrument, each keyed with its name.
    Keyed,
    /// In turn, without keys: those of one instrument are everywhere.
    InTurn,
    /// Without keys, nine of ten to the last partition: it is behind the others whenever all are read at one pace.
    Lopsided,
}

/// When the markets of this run of the tests open: two full hours before the hour that is now.
pub fn opening_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970").as_nanos();
    i64::try_from(now).expect("the clock is before 2262") / HOUR_NS * HOUR_NS - 2 * HOUR_NS
}

/// A market of eight symbols over some twenty minutes of event time.
pub fn market(seed: u64, trades: u64, faults: Faults) -> MarketConfig {
    MarketConfig {
        seed,
        symbols: 8,
        trades,
        start_time_ns: opening_ns(),
        trades_per_second: (trades / 1_200).max(1),
        has_counts: true,
        faults,
        ..MarketConfig::default()
    }
}

impl Recorded {
    /// Records a market in canonical JSON.
    pub fn new(config: MarketConfig) -> Self {
        println!("market of seed {}, opening at {} ns", config.seed, config.start_time_ns);
        let mut market = Market::new(config).expect("a sound market");
        let instruments = market.instruments().to_vec();
        let mut messages = Vec::new();
        for event in market.by_ref() {
            let instrument = &instruments[event.instrument as usize];
            let mut payload = Vec::new();
            assert!(render(&event, instrument, WireFormat::Canonical, &mut payload));
            let key = format!("{}|{}", instrument.venue, instrument.symbol);
            messages.push(Message { key, payload, receive_time_ns: event.receive_time_ns });
        }
        let tally = market.tally();
        Self { messages, tally, folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// A folder that lives as long as this.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The messages as lines, each with its receive time in front.
    pub fn file(&self) -> PathBuf {
        let path = self.folder().join("market.jsonl");
        let mut text = Vec::new();
        for Message { payload, receive_time_ns, .. } in &self.messages {
            // As the message's timestamp tells it: to the millisecond.
            let receive_time_ns = receive_time_ns / 1_000_000 * 1_000_000;
            text.extend_from_slice(format!("{receive_time_ns} ").as_bytes());
            text.extend_from_slice(payload);
            text.push(b'\n');
        }
        std::fs::write(&path, text).expect("a temporary folder can be written to");
        path
    }

    /// Sends a part of the messages, and waits until the broker has them.
    pub fn send(&self, brokers: &str, topic: &str, part: Range<usize>, spread: Spread) {
        match spread {
            Spread::Keyed => send_keyed(brokers, topic, &self.messages[part]),
            Spread::InTurn | Spread::Lopsided => self.send_unkeyed(brokers, topic, part, spread),
        }
    }

    /// Sends all.
    pub fn send_all(&self, brokers: &str, topic: &str, spread: Spread) {
        self.send(brokers, topic, 0..self.messages.len(), spread);
    }

    fn send_unkeyed(&self, brokers: &str, topic: &str, part: Range<usize>, spread: Spread) {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", brokers).set("enable.idempotence", "true");
        let producer: BaseProducer = config.create().expect("the configuration is valid");
        for number in part {
            let Message { payload, receive_time_ns, .. } = &self.messages[number];
            let partition = match spread {
                Spread::Lopsided if number % 10 != 0 => PARTITIONS - 1,
                Spread::Lopsided => number as i32 / 10 % PARTITIONS,
                _ => number as i32 % PARTITIONS,
            };
            let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition).payload(payload);
            let record = record.timestamp(receive_time_ns / 1_000_000);
            producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
        }
        producer.flush(PATIENCE).expect("the broker takes the messages");
    }

    /// The bars of the file's replay, and its counts as printed.
    pub fn replayed(&self) -> (Bars, String) {
        self.replayed_with(&[])
    }

    /// As [`replayed`](Self::replayed), with further arguments.
    pub fn replayed_with(&self, arguments: &[&str]) -> (Bars, String) {
        let lake = self.folder().join("expected");
        let (file, lake_text) = (self.file(), lake.display().to_string());
        let mut command = tidewheel(&["replay", "--quiet", "--workers", "1", "--lake", &lake_text]);
        command.arg("--input").arg(file).args(["--format", "canonical"]).args(arguments);
        let printed = succeeds(command);
        (bars_of_lake(&lake), counts_of(&printed))
    }

    /// Where every record must end.
    pub fn fates(&self) -> Counters {
        let Tally { duplicate, conflict, late, future, malformed, .. } = self.tally;
        Counters {
            read: self.tally.events(),
            accepted: self.tally.trades() + self.tally.amendments(),
            duplicate,
            late,
            rejected: conflict + future + malformed,
            amended: self.tally.amendments(),
            ..Counters::default()
        }
    }

    /// Holds counters against the market's tally.
    pub fn check_counters(&self, counters: &Counters) {
        assert!(counters.reconcile(), "{counters:?}");
        let of = |reason| counters.rejected_by_reason.get(&reason).copied().unwrap_or_default();
        let (future, conflict) = (of(RejectReason::Future), of(RejectReason::Conflict));
        assert_eq!((future, conflict), (self.tally.future, self.tally.conflict), "{counters:?}");
        let (rejected_by_reason, ignored) = (counters.rejected_by_reason.clone(), BTreeMap::new());
        assert_eq!(*counters, Counters { rejected_by_reason, ignored, ..self.fates() });
    }
}

/// Sends messages as producers of trades do, keyed by instrument, and waits until the broker has them.
fn send_keyed(brokers: &str, topic: &str, messages: &[Message]) {
    let publisher = Publisher::connect(brokers, topic, &BTreeMap::new(), PATIENCE);
    let mut publisher = publisher.expect("the broker answers");
    for Message { key, payload, receive_time_ns } in messages {
        let (key, timestamp_ms) = (Some(key.as_bytes()), Some(receive_time_ns / 1_000_000));
        publisher.send(&Outgoing { key, payload, timestamp_ms }).expect("the broker takes the message");
    }
    publisher.finish().expect("the broker takes the messages");
}

/// The lines of a summary that say where the records went; the others say how fast.
pub fn counts_of(printed: &str) -> String {
    let is_count = |line: &&str| ["read ", "accepted, ", "rejected as "].iter().any(|head| line.starts_with(head));
    printed.lines().filter(is_count).collect::<Vec<_>>().join("\n")
}
