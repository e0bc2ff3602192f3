//! How soon a trade is in a bar that others can read, while trades come at a steady rate whatever happens.

use super::harness::kafka::{Broker, PATIENCE, unique};
use super::{PARTITIONS, committed, config};
use rdkafka::Message;
use rdkafka::consumer::BaseConsumer;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidewheel::commands::{Begin, Session};
use tidewheel::status::Latencies;
use tidewheel_connectors::kafka::publish::{Outgoing, Publisher};

/// Trades offered a second.
pub const RATE: u64 = 20_000;
/// Trades offered in all.
pub const TRADES: u64 = 30 * RATE;
/// Trades at the start that are not counted: connections are made and code is read from disk.
const WARM_UP: u64 = 5 * RATE;
/// Instruments, in turn.
const SYMBOLS: u64 = 20;

/// How long things took while trades were offered.
pub struct Measured {
    /// From when a trade was due until it is in a bar that others can read, microseconds, ascending.
    pub trades_us: Vec<u64>,
    /// The commits themselves, of both sinks.
    pub commits: Latencies,
}

/// Offers trades and follows the minute bars.
pub fn open_loop(broker: &Broker) -> Measured {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topic = broker.topic("offered", PARTITIONS);
    let prefix = unique("latency");
    let bars = "tick = \"100ms\"\nprovisional_every = \"100ms\"";
    let config = config(broker, &topic, &prefix, folder.path(), bars);
    let stop = Arc::new(AtomicBool::new(false));
    let session = Session::open(&config, None, Begin::GoOn, &stop).expect("everything can be used");
    let status = session.status();
    let consumer = committed(broker, &format!("{prefix}.bars.1m"));
    std::thread::scope(|scope| {
        let run = scope.spawn(|| session.run(&stop));
        let schedule = Schedule::from_now();
        let offering = scope.spawn(move || offer(broker, &topic, schedule));
        let trades_us = follow(&consumer, schedule);
        let behind = offering.join().expect("no panic");
        stop.store(true, Ordering::Relaxed);
        let counters = run.join().expect("no panic").expect("no error");
        assert_eq!((counters.read, counters.accepted), (TRADES, TRADES), "nothing is lost");
        eprintln!("latency: the producer was behind its schedule by {behind:?} at most");
        Measured { trades_us, commits: status.latencies().clone() }
    })
}

/// When each trade is due.
#[derive(Clone, Copy)]
struct Schedule {
    start: Instant,
    start_ms: u128,
}

impl Schedule {
    fn from_now() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
        Self { start: Instant::now(), start_ms: since_epoch.as_millis() }
    }

    fn due(&self, trade: u64) -> Instant {
        self.start + Self::after(trade)
    }

    fn event_time_ms(&self, trade: u64) -> u128 {
        self.start_ms + Self::after(trade).as_millis()
    }

    const fn after(trade: u64) -> Duration {
        Duration::from_nanos(trade * (1_000_000_000 / RATE))
    }
}

/// Sends each trade when it is due, or as soon as possible after. Returns how late the latest was.
fn offer(broker: &Broker, topic: &str, schedule: Schedule) -> Duration {
    let mut publisher =
        Publisher::connect(broker.address(), topic, &BTreeMap::new(), PATIENCE).expect("the broker answers");
    let (mut payload, mut behind) = (Vec::new(), Duration::ZERO);
    for trade in 0..TRADES {
        let due = schedule.due(trade);
        let early = due.saturating_duration_since(Instant::now());
        // Shorter pauses than the system can make are made up for by the next.
        if early > Duration::from_millis(1) {
            std::thread::sleep(early);
        }
        let (symbol, time) = (format!("S{:02}USDT", trade % SYMBOLS), schedule.event_time_ms(trade));
        payload.clear();
        let fraction = trade % 1_000;
        write!(
            payload,
            r#"{{"e":"trade","E":{time},"s":"{symbol}","t":{trade},"p":"61837.{fraction:03}00000","q":"0.02{fraction:03}000","T":{time},"m":true,"M":true}}"#
        )
        .expect("memory can be written to");
        let message = Outgoing { key: Some(symbol.as_bytes()), payload: &payload, timestamp_ms: None };
        publisher.send(&message).expect("the broker takes the message");
        behind = behind.max(Instant::now().saturating_duration_since(due));
    }
    publisher.finish().expect("the broker takes the messages");
    behind
}

/// Reads bars until every trade was seen in one. A symbol's trades come in order, so that a bar whose last trade is known
/// has those before it too, or the bar of the minute before, published at the same tick, has them.
fn follow(consumer: &BaseConsumer, schedule: Schedule) -> Vec<u64> {
    let mut next: Vec<u64> = (0..SYMBOLS).collect();
    let (mut latencies, mut seen) = (Vec::with_capacity(TRADES as usize), 0);
    while seen < TRADES {
        let Some(message) = consumer.poll(PATIENCE) else { panic!("{seen} trades are in bars, then no more come") };
        let message = message.expect("the topic can be read");
        let now = Instant::now();
        let Some(value) = message.payload() else { continue };
        let value: serde_json::Value = serde_json::from_slice(value).expect("JSON");
        let last: u64 = value["last_trade_id"].as_str().and_then(|id| id.parse().ok()).expect("a number");
        let next = &mut next[(last % SYMBOLS) as usize];
        while *next <= last {
            if *next >= WARM_UP {
                latencies.push(now.saturating_duration_since(schedule.due(*next)).as_micros() as u64);
            }
            *next += SYMBOLS;
            seen += 1;
        }
    }
    latencies.sort_unstable();
    latencies
}
