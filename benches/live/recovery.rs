//! How soon a killed run has made its next commit.

use super::PARTITIONS;
use super::harness::kafka::{Broker, PATIENCE, unique};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tidewheel::snapshot;
use tidewheel_connectors::generate::{Market, MarketConfig, WireFormat, render};
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};
use tidewheel_schemas::SECOND_NS;

/// Instruments of the market.
pub const SYMBOLS: u32 = 1_000;
/// A day of event time in so many trades.
pub const TRADES: u64 = 2_000_000;

/// What a restart came to.
pub struct Restart {
    /// The correction horizon, hours: the state holds its trades and seconds.
    pub horizon_h: u32,
    /// Bytes of the snapshot.
    pub snapshot_bytes: u64,
    /// From the start of the process after `kill -9` to the first commit of a new tick that a reader sees.
    pub to_commit: Duration,
}

/// Fills a topic with a day of trades, runs the program over it until a snapshot holds it all, kills it, and starts it again
/// with one more trade in the topic.
pub fn restart(broker: &Broker, horizon_h: u32) -> Restart {
    let topic = broker.topic("day", PARTITIONS);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let prefix = unique("day");
    let last = fill(broker, &topic);
    let config = folder.path().join("tidewheel.toml");
    let (brokers, lake) = (broker.address(), folder.path().join("lake"));
    let text = format!(
        "[source]\nbrokers = {brokers:?}\ntopics = [{topic:?}]\nformat = \"canonical\"\n\
         [bars]\nhorizon = \"{horizon_h}h\"\nprovisional_every = \"100ms\"\n[kafka]\nprefix = {prefix:?}\npartitions = 4\n\
         [lake]\npath = {lake:?}\ncommit_every = \"2s\"\n[recovery]\nsnapshot_every = \"3s\"\n"
    );
    std::fs::write(&config, text).expect("a temporary folder can be written to");
    let mut progress = Progress::of(broker, &format!("{prefix}.progress"));
    let mut run = start(&config);
    let (tick, read) = progress.wait(|_, read| read >= TRADES);
    assert_eq!(read, TRADES, "every trade is read");
    let snapshots = lake.join("_tidewheel/snapshots");
    let deadline = Instant::now() + PATIENCE;
    while snapshot::ticks(&snapshots).is_ok_and(|ticks| ticks.last().is_none_or(|last| *last <= tick)) {
        assert!(Instant::now() < deadline, "no snapshot");
        std::thread::sleep(Duration::from_millis(50));
    }
    // The lake is to have what the snapshot has.
    std::thread::sleep(Duration::from_secs(5));
    run.kill().expect("it runs");
    run.wait().expect("it ends");
    let newest = snapshot::ticks(&snapshots).expect("a folder").pop().expect("a snapshot");
    let snapshot_bytes = snapshot::load(&snapshots, newest).expect("a sound snapshot").bytes;
    send(broker, &topic, &[last]);
    let started = Instant::now();
    let mut run = start(&config);
    progress.wait(|_, read| read > TRADES);
    let to_commit = started.elapsed();
    run.kill().expect("it runs");
    run.wait().expect("it ends");
    Restart { horizon_h, snapshot_bytes, to_commit }
}

fn start(config: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
    command.args(["run", "--config"]).arg(config).stdout(Stdio::null()).stderr(Stdio::inherit());
    command.spawn().expect("the program starts")
}

/// Fills the topic with all trades but one, which is returned.
fn fill(broker: &Broker, topic: &str) -> (String, Vec<u8>) {
    let now_s = now_s();
    let market = MarketConfig {
        symbols: SYMBOLS,
        trades: TRADES + 1,
        start_time_ns: (now_s - 2 * 86_400) * SECOND_NS,
        trades_per_second: TRADES / 86_400,
        ..MarketConfig::default()
    };
    let mut market = Market::new(market).expect("a sound market");
    let instruments = market.instruments().to_vec();
    let mut messages = Vec::new();
    for event in market.by_ref() {
        let instrument = &instruments[event.instrument as usize];
        let mut payload = Vec::new();
        assert!(render(&event, instrument, WireFormat::Canonical, &mut payload));
        messages.push((format!("{}|{}", instrument.venue, instrument.symbol), payload));
    }
    let last = messages.pop().expect("trades");
    send(broker, topic, &messages);
    last
}

fn now_s() -> i64 {
    let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since_epoch.expect("the clock is past 1970").as_secs() as i64
}

fn send(broker: &Broker, topic: &str, messages: &[(String, Vec<u8>)]) {
    let publisher = Publisher::connect(broker.address(), topic, &Default::default(), PATIENCE);
    let mut publisher = publisher.expect("the broker answers");
    for (key, payload) in messages {
        publisher.send(&Outgoing { key: Some(key.as_bytes()), payload, timestamp_ms: None }).expect("it is taken");
    }
    publisher.finish().expect("the broker takes the messages");
}

/// Follows a progress topic, which need not be there yet.
pub struct Progress {
    consumer: BaseConsumer,
    topic: String,
    is_assigned: bool,
}

impl Progress {
    /// Of this topic.
    pub fn of(broker: &Broker, topic: &str) -> Self {
        let mut client = broker.client();
        client.set("group.id", "bench").set("isolation.level", "read_committed").set("enable.auto.commit", "false");
        Self { consumer: client.create().expect("a consumer"), topic: topic.to_owned(), is_assigned: false }
    }

    /// The tick and the records read, as soon as they satisfy.
    pub fn wait(&mut self, is_enough: impl Fn(u64, u64) -> bool) -> (u64, u64) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_assigned {
            assert!(Instant::now() < deadline, "no topic {}", self.topic);
            let metadata = self.consumer.fetch_metadata(None, PATIENCE).expect("the broker answers");
            self.is_assigned = metadata.topics().iter().any(|topic| topic.name() == self.topic);
            if self.is_assigned {
                let mut assignment = TopicPartitionList::new();
                assignment.add_partition_offset(&self.topic, 0, Offset::Beginning).expect("a valid offset");
                self.consumer.assign(&assignment).expect("the partition exists");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        loop {
            assert!(Instant::now() < deadline, "the run does not come to what is waited for");
            let Some(Ok(message)) = self.consumer.poll(Duration::from_millis(100)) else { continue };
            let value: serde_json::Value = serde_json::from_slice(message.payload().unwrap_or_default()).expect("JSON");
            let number = |value: &serde_json::Value| value.as_u64().unwrap_or_default();
            let (tick, read) = (number(&value["committed_tick"]), number(&value["counters"]["read"]));
            if is_enough(tick, read) {
                return (tick, read);
            }
        }
    }
}
