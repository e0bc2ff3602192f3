//! How many trades a second: the bare loop, and the whole pipeline.

use super::harness::kafka::{Broker, PATIENCE, unique};
use super::{PARTITIONS, config};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidewheel::commands::{Begin, Session};
use tidewheel::config::Config;
use tidewheel_connectors::decode::{DecodeConfig, Decoder, Format};
use tidewheel_connectors::generate::{Market, MarketConfig, WireFormat, render};
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};
use tidewheel_connectors::source::MessageBlock;

/// Instruments, of activity by Zipf's law.
const SYMBOLS: u32 = 100;
/// The topic that the throughput is measured on. With fewer trades a second of event time than are read a second, there are
/// more bars to write than live.
pub const MEASURED: Fill<'_> = Fill { name: "trades", trades: 1_500_000, trades_per_second: 20_000 };

/// What a topic is to hold.
pub struct Fill<'a> {
    /// What its name begins with.
    pub name: &'a str,
    /// Trades in it.
    pub trades: u64,
    /// Of event time.
    pub trades_per_second: u64,
}

/// A topic full of trades.
pub struct Filled {
    /// Its name.
    pub name: String,
    /// Trades in it.
    pub trades: u64,
    /// Mean length of a message.
    pub bytes_per_trade: u64,
}

/// Fills a topic with a market in Binance's JSON, keyed by symbol.
pub fn fill(broker: &Broker, fill: &Fill<'_>) -> Filled {
    let name = broker.topic(fill.name, PARTITIONS);
    let config = MarketConfig {
        trades: fill.trades,
        symbols: SYMBOLS,
        trades_per_second: fill.trades_per_second,
        ..MarketConfig::default()
    };
    let market = Market::new(config).expect("a sound market");
    let instruments = market.instruments().to_vec();
    let mut publisher =
        Publisher::connect(broker.address(), &name, &BTreeMap::new(), PATIENCE).expect("the broker answers");
    let (mut payload, mut bytes) = (Vec::new(), 0);
    for event in market {
        let instrument = &instruments[event.instrument as usize];
        payload.clear();
        render(&event, instrument, WireFormat::Binance, &mut payload);
        bytes += payload.len() as u64;
        let message = Outgoing { key: Some(instrument.symbol.as_bytes()), payload: &payload, timestamp_ms: None };
        publisher.send(&message).expect("the broker takes the message");
    }
    publisher.finish().expect("the broker takes the messages");
    Filled { name, trades: fill.trades, bytes_per_trade: bytes / fill.trades }
}

/// Trades a second of one consumer and the decoder.
pub fn bare(broker: &Broker, topic: &str, trades: u64) -> f64 {
    bare_of(broker, topic, Format::Binance, trades, trades)
}

/// Messages a second of one consumer and the decoder, where so many of them are trades.
pub fn bare_of(broker: &Broker, topic: &str, format: Format, messages: u64, trades: u64) -> f64 {
    const MESSAGES_PER_BLOCK: usize = 1_000;
    let mut client = broker.client();
    client.set("group.id", "bare").set("enable.auto.commit", "false");
    // As the pipeline's own source: with the default, a second, the loop starves at 180,000 a second.
    client.set("fetch.queue.backoff.ms", "5").set("queued.min.messages", "1000000");
    let consumer: BaseConsumer = client.create().expect("the configuration is valid");
    let mut assignment = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
    }
    let decoder = Decoder::new(DecodeConfig { format, ..DecodeConfig::default() });
    let started = Instant::now();
    consumer.assign(&assignment).expect("the partitions exist");
    let (mut parsed, mut block) = (0, MessageBlock::default());
    for _ in 0..messages {
        let Some(message) = consumer.poll(PATIENCE) else { panic!("the broker sends no more") };
        let message = message.expect("the topic can be read");
        block.push(message.payload().unwrap_or_default(), message.offset().unsigned_abs(), None);
        if block.messages.len() == MESSAGES_PER_BLOCK {
            parsed += black_box(decoder.decode(std::mem::take(&mut block))).columns.len() as u64;
        }
    }
    parsed += black_box(decoder.decode(block)).columns.len() as u64;
    assert_eq!(parsed, trades, "every trade is read");
    messages as f64 / started.elapsed().as_secs_f64()
}

/// Trades a second of the whole program, from its start until all are committed and it has ended.
pub fn pipeline(broker: &Broker, topic: &str, trades: u64) -> f64 {
    pipeline_with(broker, topic, trades, "")
}

/// As [`pipeline`], with settings in the place of the default ones.
pub fn pipeline_with(broker: &Broker, topic: &str, trades: u64, more: &str) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut config = config(broker, topic, &unique("bench"), folder.path(), "");
    let other = Config::parse(&format!("[lake]\n{more}"), &[]).expect("a sound configuration");
    config.recovery = other.recovery;
    if let (Some(kafka), Some(other)) = (&mut config.kafka, other.kafka) {
        kafka.transactions = other.transactions;
    }
    // Creating the output topics is no work on trades.
    let stop = Arc::new(AtomicBool::new(false));
    let session = Session::open(&config, None, Begin::GoOn, &stop).expect("everything can be used");
    let status = session.status();
    let started = Instant::now();
    let counters = std::thread::scope(|scope| {
        let run = scope.spawn(|| session.run(&stop));
        while status.snapshot().counters.read < trades && !run.is_finished() {
            std::thread::sleep(Duration::from_millis(2));
        }
        stop.store(true, Ordering::Relaxed);
        run.join().expect("no panic").expect("no error")
    });
    let elapsed = started.elapsed();
    assert_eq!((counters.read, counters.accepted), (trades, trades), "nothing is lost");
    let snapshot = status.snapshot();
    eprintln!(
        "pipeline: {:.2} s, {} ticks, {} transactions, {} lake commits of {:.2} s, versions {:?}",
        elapsed.as_secs_f64(),
        snapshot.ticks,
        snapshot.kafka_commits,
        snapshot.lake_commits,
        snapshot.lake_time.as_secs_f64(),
        snapshot.versions
    );
    trades as f64 / elapsed.as_secs_f64()
}
