//! The close of a minute: how soon the features of 1,000 instruments can be read after the trades that close it are in the topic.
//!
//! The whole program on a real broker, transactions and lake on, view `core_technical` (64 features of 1m, 5m and 1h). From when the
//! broker has acknowledged the trades that move the watermark past the minute's end and the lateness, until a `read_committed`
//! consumer has the rows of all instruments. `cargo bench --bench live -- close` measures this alone; it takes a minute.
//!
//! Estimate before measuring, on two cores that the broker shares: a tick of 100 ms is waited for 50 ms on average, bars and rows
//! take 20 ms, 1,000 rows of 1.5 kB 30 ms as JSON and through the client, the transaction 20 ms, the fetch 10 ms: 130 ms at p50, 190 ms
//! at the most. The goal is 250 ms.
//!
//! Measured while other builds kept both cores busy (a load of 3.6): p50 111 ms, p90 162 ms, max 233 ms of 40 minutes.

use super::harness::kafka::{Broker, PATIENCE, unique};
use super::{PARTITIONS, committed, config};
use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tidewheel::commands::{Begin, Session};
use tidewheel::status::Status;
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};

/// Instruments that have a row each minute.
pub const SYMBOLS: u64 = 1_000;
/// Minutes before those that are measured: every window but the longest is full.
const WARM_UP: u64 = 90;
/// Minutes that are measured.
pub const MINUTES: u64 = 40;

const MINUTE_MS: u64 = 60_000;
/// When trades are, in each minute. The first is beyond the lateness of 5 s, and so closes the minute before.
const TRADES_AT_MS: [u64; 3] = [5_100, 25_000, 50_000];

/// Closes minutes, and gives how long each took, microseconds, ascending.
pub fn measure(broker: &Broker) -> Vec<u64> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topic = broker.topic("minutes", PARTITIONS);
    let prefix = unique("close");
    let bars = "tick = \"100ms\"\nprovisional_every = \"1s\"\n[features]\nviews = [\"core_technical\"]";
    let config = config(broker, &topic, &prefix, folder.path(), bars);
    let stop = Arc::new(AtomicBool::new(false));
    let session = Session::open(&config, None, Begin::GoOn, &stop).expect("everything can be used");
    let status = session.status();
    let rows = committed(broker, &format!("{prefix}.features.core_technical"));
    let mut market = Minutes { broker, topic, start_ms: 1_700_000_040_000, sent: 0 };
    std::thread::scope(|scope| {
        let run = scope.spawn(|| session.run(&stop));
        for minute in 0..WARM_UP {
            market.send(minute, &TRADES_AT_MS);
        }
        market.send(WARM_UP, &TRADES_AT_MS[..1]);
        wait_for_rows(&rows, market.end_ms(WARM_UP - 1));
        let mut took_us: Vec<u64> = (WARM_UP..WARM_UP + MINUTES)
            .map(|minute| {
                market.send(minute, &TRADES_AT_MS[1..]);
                wait_until_read(&status, market.sent);
                market.send(minute + 1, &TRADES_AT_MS[..1]);
                let closed = Instant::now();
                wait_for_rows(&rows, market.end_ms(minute));
                closed.elapsed().as_micros() as u64
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        let counters = run.join().expect("no panic").expect("no error");
        assert_eq!((counters.read, counters.accepted), (market.sent, market.sent), "nothing is lost");
        took_us.sort_unstable();
        took_us
    })
}

/// Minutes in which every instrument trades.
struct Minutes<'a> {
    broker: &'a Broker,
    topic: String,
    start_ms: u64,
    sent: u64,
}

impl Minutes<'_> {
    const fn end_ms(&self, minute: u64) -> u64 {
        self.start_ms + (minute + 1) * MINUTE_MS
    }

    /// Sends trades of all instruments, and waits until the broker has them.
    fn send(&mut self, minute: u64, at_ms: &[u64]) {
        let connected = Publisher::connect(self.broker.address(), &self.topic, &BTreeMap::new(), PATIENCE);
        let (mut publisher, mut payload) = (connected.expect("the broker answers"), Vec::new());
        for at_ms in at_ms {
            let time = self.start_ms + minute * MINUTE_MS + at_ms;
            for number in 0..SYMBOLS {
                let (symbol, id) = (format!("S{number:04}USDT"), self.sent);
                // Up and down, by another period for each: what trends has no losses, and some indicators no value.
                let price = 1_000 + (id * (7 + number % 13)) % 97;
                let is_sale = !(id / SYMBOLS + number).is_multiple_of(3);
                payload.clear();
                write!(
                    payload,
                    r#"{{"e":"trade","E":{time},"s":"{symbol}","t":{id},"p":"{price}.25","q":"0.{:03}","T":{time},"m":{is_sale},"M":true}}"#,
                    1 + id % 997
                )
                .expect("memory can be written to");
                let message = Outgoing { key: Some(symbol.as_bytes()), payload: &payload, timestamp_ms: None };
                publisher.send(&message).expect("the broker takes the message");
                self.sent += 1;
            }
        }
        publisher.finish().expect("the broker takes the messages");
    }
}

/// Reads until the rows of a minute are there, of all instruments.
fn wait_for_rows(consumer: &BaseConsumer, end_ms: u64) {
    let ending = format!("|{end_ms}");
    let mut found = 0;
    while found < SYMBOLS {
        let message =
            consumer.poll(PATIENCE).expect("the rows of all instruments come").expect("the topic can be read");
        found += u64::from(message.key().is_some_and(|key| key.ends_with(ending.as_bytes())));
    }
}

fn wait_until_read(status: &Status, records: u64) {
    while status.snapshot().counters.read < records {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}
