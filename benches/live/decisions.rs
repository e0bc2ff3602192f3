//! How soon an order is decided: from when its intent is due in the topic until a `read_committed` consumer has the decision.
//!
//! The whole program on a real broker, transactions and lake on, all intervals of bars, a market of 20 instruments with 1,000 trades a
//! second that give marks, an account that holds each of them and has a value at risk. Orders are offered at a steady rate whatever
//! happens; a second later one in ten is filled and the others are given up. `cargo bench --bench live -- decisions` measures this
//! alone, in some five minutes.
//!
//! - *decisions*, at a tick of 100 ms and of 10 ms: 200 orders a second. The goals are 250 ms and 20 ms at p99.
//! - the same at a tick of 10 ms with bars of a minute alone: without those of a second, which fill one tick in a hundred.
//! - *many*: 5,000 orders a second for 20 seconds, at a tick of 100 ms: each is decided.
//! - *bare*, the yardstick: a loop that gathers what came of the same messages for a tick, and writes it on in a transaction. It has the
//!   same ticks and the same client, and computes nothing.
//!
//! Estimate before measuring, on two cores that the broker shares: an order waits half a tick, 2 ms for the fetch; the tick takes 2 ms
//! through the graph, 7 us an order; the transaction takes 8 ms, as that of ten bars did, and the reader's fetch 2 ms. So 65 ms at p50
//! and 120 ms at p99 with ticks of 100 ms. With ticks of 10 ms a tick can only be written when the one before is, so that an order
//! waits for up to two: 20 ms at p50, and 20 ms at p99 only where a transaction takes 4 ms.

use super::harness::kafka::{Broker, PATIENCE, unique};
use super::paper::{self, Paper, Schedule, number_in};
use super::{PARTITIONS, committed};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidewheel::commands::{Begin, Session};
use tidewheel::config::Config;
use tidewheel::status::Latencies;

/// Instruments of the market.
const SYMBOLS: u64 = 20;
/// Trades of the market, a second.
const TRADES_PER_SECOND: u64 = 1_000;
/// Orders at the start that are not counted, by seconds.
const WARM_UP_S: u64 = 3;

/// What is offered.
#[derive(Clone, Copy)]
pub struct Offer {
    /// Length of a tick, milliseconds.
    pub tick_ms: u64,
    /// Orders a second.
    pub rate: u64,
    /// For so many seconds, and a few before that are not counted.
    pub seconds: u64,
    /// What else `[bars]` says.
    pub bars: &'static str,
}

/// How long decisions took.
pub struct Measured {
    /// What was offered.
    pub offer: Offer,
    /// From when an order was due until its decision could be read, microseconds, ascending.
    pub decided_us: Vec<u64>,
    /// How many of these were approved.
    pub approved: u64,
    /// The same of the bare loop.
    pub bare_us: Vec<u64>,
    /// The commits of the program's sinks.
    pub commits: Latencies,
    /// How late the latest order was sent.
    pub behind: Duration,
}

/// What the bench measures.
pub const OFFERS: [Offer; 4] = [
    Offer { tick_ms: 100, rate: 200, seconds: 30, bars: "" },
    Offer { tick_ms: 10, rate: 200, seconds: 30, bars: "" },
    Offer { tick_ms: 10, rate: 200, seconds: 30, bars: "intervals = [\"1m\"]\n" },
    Offer { tick_ms: 100, rate: 5_000, seconds: 20, bars: "" },
];

/// Offers orders to the program, and then to the bare loop.
pub fn measure(broker: &Broker, offer: Offer) -> Measured {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let topic = broker.topic("ordered", PARTITIONS);
    let prefix = unique("decisions");
    let more = format!("[bars]\ntick = \"{}ms\"\n{}", offer.tick_ms, offer.bars);
    let text = paper::config(broker, &topic, &prefix, folder.path(), &more);
    let config = Config::parse(&text, &[]).expect("the configuration is sound");
    let stop = Arc::new(AtomicBool::new(false));
    let session = Session::open(&config, None, Begin::GoOn, &stop).expect("everything can be used");
    let status = session.status();
    let decisions = committed(broker, &format!("{prefix}.order_decisions"));
    let paper = &Paper { broker, topic: &topic, symbols: SYMBOLS };
    let is_over = &AtomicBool::new(false);
    let (mut decided, behind) = std::thread::scope(|scope| {
        let run = scope.spawn(|| session.run(&stop));
        let first = paper.open();
        let trading = scope.spawn(move || paper.trade(first, TRADES_PER_SECOND, is_over));
        wait_until_approved(paper, &decisions);
        let schedule = Schedule::from_now(offer.rate);
        let ordering = scope.spawn(move || paper.order(schedule, offer.all()));
        let decided = follow(&decisions, schedule, offer);
        let behind = ordering.join().expect("no panic");
        is_over.store(true, Ordering::Relaxed);
        trading.join().expect("no panic");
        stop.store(true, Ordering::Relaxed);
        let counters = run.join().expect("no panic").expect("no error");
        assert!(counters.reconcile() && counters.rejected == 0 && counters.late == 0, "{counters:?}");
        (decided, behind)
    });
    decided.took_us.sort_unstable();
    let bare_us = bare(broker, offer);
    let commits = status.latencies().clone();
    Measured { offer, decided_us: decided.took_us, approved: decided.approved, bare_us, commits, behind }
}

impl Offer {
    const fn all(&self) -> u64 {
        (WARM_UP_S + self.seconds) * self.rate
    }
}

/// Asks until something is approved: the history is read then, and there is a value at risk.
pub fn wait_until_approved(paper: &Paper<'_>, decisions: &BaseConsumer) {
    let (deadline, mut last) = (Instant::now() + PATIENCE, String::new());
    for attempt in 0.. {
        assert!(Instant::now() < deadline, "nothing is approved: {last}");
        paper.ask(&format!("probe-{attempt}"));
        let message = decisions.poll(PATIENCE).expect("each order is decided").expect("the topic can be read");
        let text = std::str::from_utf8(message.payload().unwrap_or_default()).expect("text");
        if text.contains("\"ruling\":\"approved\"") {
            return;
        }
        last = text.to_owned();
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Decisions that came.
#[derive(Default)]
struct Decided {
    took_us: Vec<u64>,
    approved: u64,
}

/// Reads until every order is decided, each once.
fn follow(consumer: &BaseConsumer, schedule: Schedule, offer: Offer) -> Decided {
    let (mut decided, mut seen) = (Decided::default(), vec![false; offer.all() as usize]);
    let mut missing = seen.len();
    while missing > 0 {
        let Some(message) = consumer.poll(PATIENCE) else { panic!("{missing} orders are not decided") };
        let (message, now) = (message.expect("the topic can be read"), Instant::now());
        let text = std::str::from_utf8(message.payload().unwrap_or_default()).expect("text");
        let Some(number) = number_in(text) else { continue };
        assert!(!std::mem::replace(&mut seen[number as usize], true), "decided twice: {text}");
        missing -= 1;
        if number >= WARM_UP_S * offer.rate {
            decided.took_us.push(now.saturating_duration_since(schedule.due(number)).as_micros() as u64);
            decided.approved += u64::from(text.contains("\"ruling\":\"approved\""));
        }
    }
    decided
}

/// The same messages through a loop that gathers them for a tick and writes them on in a transaction.
fn bare(broker: &Broker, offer: Offer) -> Vec<u64> {
    let (from, into) = (broker.topic("bare-from", PARTITIONS), broker.topic("bare-into", PARTITIONS));
    let consumer = plain(broker, &from);
    let reader = committed(broker, &into);
    let mut client = broker.client();
    // As the program's own.
    client.set("transactional.id", unique("bare")).set("linger.ms", "0.2");
    let producer: BaseProducer = client.create().expect("the configuration is valid");
    producer.init_transactions(PATIENCE).expect("the broker knows transactions");
    let paper = &Paper { broker, topic: &from, symbols: SYMBOLS };
    let is_over = AtomicBool::new(false);
    let mut decided = std::thread::scope(|scope| {
        scope.spawn(|| relay(&consumer, &producer, &into, offer.tick_ms, &is_over));
        let schedule = Schedule::from_now(offer.rate);
        scope.spawn(move || paper.order(schedule, offer.all()));
        let decided = follow(&reader, schedule, offer);
        is_over.store(true, Ordering::Relaxed);
        decided
    });
    decided.took_us.sort_unstable();
    decided.took_us
}

/// A consumer of everything in a topic, which asks as often as the program's own.
fn plain(broker: &Broker, topic: &str) -> BaseConsumer {
    let mut client = broker.client();
    client.set("group.id", "bare").set("enable.auto.commit", "false").set("fetch.queue.backoff.ms", "5");
    let consumer: BaseConsumer = client.create().expect("the configuration is valid");
    let mut assignment = rdkafka::TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assignment.add_partition_offset(topic, partition, rdkafka::Offset::Beginning).expect("a valid offset");
    }
    consumer.assign(&assignment).expect("the partitions exist");
    consumer
}

fn relay(consumer: &BaseConsumer, producer: &BaseProducer, into: &str, tick_ms: u64, is_over: &AtomicBool) {
    let tick = Duration::from_millis(tick_ms);
    let (mut end, mut gathered) = (Instant::now() + tick, Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if let Some(message) = consumer.poll(left) {
                let message = message.expect("the topic can be read");
                let payload = message.payload().expect("nothing is deleted");
                // Of what becomes of orders nothing is said.
                if payload.starts_with(b"{\"type\":\"order_intent\"") {
                    gathered.push((message.partition(), payload.to_vec()));
                }
            }
            if left.is_zero() {
                break;
            }
        }
        while end <= Instant::now() {
            end += tick;
        }
        if gathered.is_empty() {
            continue;
        }
        producer.begin_transaction().expect("no other is open");
        for (partition, payload) in gathered.drain(..) {
            let record: BaseRecord<'_, (), [u8]> = BaseRecord::to(into).partition(partition).payload(&payload);
            producer.send(record).map_err(|(error, _)| error).expect("the queue has room");
        }
        // The commit's own wait looks only every tenth of a second whether the last record has arrived.
        while producer.in_flight_count() > 0 {
            producer.poll(Duration::ZERO);
            std::thread::sleep(Duration::from_micros(200));
        }
        producer.commit_transaction(PATIENCE).expect("the broker commits");
    }
}
