//! The whole chain under load: bars, features, scores of the demo's ensemble, and risk, at 20,000 trades a second offered for a minute.
//!
//! The program as it is installed, on a real broker, transactions and lake on: 50 instruments, all intervals, both views of the demo,
//! its trees, perceptron and LSTM on every second's bar, an account that holds a position in each instrument, 50 orders a second.
//! `cargo bench --bench live -- chain` measures this alone, in some three minutes.
//!
//! - *bar*: from when a second's bar may be final, its end and the lateness, until a `read_committed` consumer has it.
//! - *prediction*: from then until the ensemble's answer to that bar can be read.
//! - *decision*: from when an order was due until its decision can be read.
//! - *bare*, the yardstick: one consumer and the decoder over the same topic, as fast as they can.
//!
//! Estimate before measuring, on two cores that the broker shares: live trades cost 1.2 us each, bars, archive and broker included, as at
//! 0.8 M trades/s: 24 ms of a second. 50 rows of 65 features a minute and 50 of 12 a second, 50 scores of 0.2 ms: 12 ms. Risk values 50
//! positions at each tick, 10 us each: 5 ms. Ten transactions of 10 ms. So a fifth of one core, and latencies as with nothing else
//! to do: half a tick, the graph, a transaction and a fetch, 80 ms at p50 and 150 ms at p99; predictions 15 ms more.

use super::decisions::wait_until_approved;
use super::harness::kafka::{Broker, PATIENCE, unique};
use super::paper::{self, Paper, Schedule, number_in};
use super::recovery::Progress;
use super::{PARTITIONS, committed_of, throughput};
use rdkafka::Message;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::{Value as Json, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidewheel::config::Config;
use tidewheel::models;
use tidewheel_connectors::decode::Format;
use tidewheel_connectors::registry::Registry;
use tidewheel_models::Alias;

/// Instruments of the market.
pub const SYMBOLS: u64 = 50;
/// Trades offered a second, where `CHAIN_TRADES` says nothing else.
const TRADES_PER_SECOND: u64 = 20_000;
/// Orders offered a second.
pub const ORDERS_PER_SECOND: u64 = 50;
/// For how long, seconds.
pub const SECONDS: u64 = 60;
/// How long trades come before that: every model has what it needs.
const WARM_UP: Duration = Duration::from_secs(25);
/// What the demo's models predict.
const TARGET: &str = "return_10s";

/// What the chain did.
#[derive(Default)]
pub struct Measured {
    /// Trades offered a second.
    pub rate: u64,
    /// Trades sent, and how late the latest was against its schedule.
    pub trades: u64,
    /// See there.
    pub behind: Duration,
    /// From the last trade sent until all was read and committed.
    pub drained: Duration,
    /// Microseconds, ascending, as the others.
    pub bars_us: Vec<u64>,
    /// Of predictions that have a value.
    pub predictions_us: Vec<u64>,
    /// Predictions without one.
    pub refused: u64,
    /// Of decisions.
    pub decisions_us: Vec<u64>,
    /// Decisions that approved.
    pub approved: u64,
    /// The most memory that the program had, bytes.
    pub peak_bytes: u64,
    /// Processor time of the program a second, while the load was measured.
    pub cores: f64,
    /// Messages a second of one consumer and the decoder over the same topic.
    pub bare: f64,
}

/// Runs the program under the load.
pub fn measure(broker: &Broker) -> Measured {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (topic, control) = (broker.topic("chain", PARTITIONS), broker.topic("chain-control", 1));
    let (prefix, registry) = (unique("chain"), folder.path().join("models"));
    promote(broker, &control, &registry);
    let computed = std::fs::read_to_string(demo().join("demo.toml")).expect("a file of the repository");
    let more = format!("[control]\ntopic = {control:?}\n[scoring]\nregistry = {registry:?}\n{computed}");
    let text = paper::config(broker, &topic, &prefix, folder.path(), &more);
    let lateness = Config::parse(&text, &[]).expect("the configuration is sound").bars.lateness.as_duration();
    let file = folder.path().join("tidewheel.toml");
    std::fs::write(&file, text).expect("a temporary folder can be written to");
    let run = Run::start(&file);
    let mut progress = Progress::of(broker, &format!("{prefix}.progress"));

    let paper = &Paper { broker, topic: &topic, symbols: SYMBOLS };
    let first = paper.open();
    progress.wait(|_, read| read >= first);
    let decisions = committed_of(broker, &[&format!("{prefix}.order_decisions")]);
    let facts = ["bars.1s", "predictions", "order_decisions"].map(|family| format!("{prefix}.{family}"));
    let consumer = committed_of(broker, &facts.each_ref().map(String::as_str));
    let is_over = AtomicBool::new(false);
    let rate = std::env::var("CHAIN_TRADES").map_or(TRADES_PER_SECOND, |text| text.parse().expect("trades a second"));
    let mut measured = std::thread::scope(|scope| {
        let trading = scope.spawn(|| paper.trade(first, rate, &is_over));
        wait_until_approved(paper, &decisions);
        std::thread::sleep(WARM_UP);
        let (begun, used) = (Instant::now(), run.processor());
        let schedule = Schedule::from_now(ORDERS_PER_SECOND);
        let ordering = scope.spawn(move || paper.order(schedule, SECONDS * ORDERS_PER_SECOND));
        let mut measured = follow(&consumer, schedule, lateness);
        measured.cores = (run.processor() - used).as_secs_f64() / begun.elapsed().as_secs_f64();
        ordering.join().expect("no panic");
        is_over.store(true, Ordering::Relaxed);
        (measured.trades, measured.behind) = trading.join().expect("no panic");
        measured
    });
    let sent = Instant::now();
    let messages = messages_in(&consumer, &topic);
    // What came on the control topic is read beside.
    progress.wait(|_, read| read >= messages);
    measured.drained = sent.elapsed();
    measured.peak_bytes = run.peak_bytes();
    run.stop();
    measured.rate = rate;
    measured.trades += first;
    measured.bare = throughput::bare_of(broker, &topic, Format::Canonical, messages, measured.trades);
    measured
}

fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/models/demo")
}

/// Registers the demo's models, and promotes its first ensemble.
fn promote(broker: &Broker, control: &str, registry: &Path) {
    let shelf = Registry::create(registry).expect("a temporary folder can be written to");
    for model in ["gbt", "mlp", "lstm"] {
        models::register(&shelf, &demo().join(model)).expect("a sound model");
    }
    let definition = std::fs::read(demo().join("ensemble.json")).expect("a file of the repository");
    let definition = serde_json::from_slice(&definition).expect("a definition");
    let promotion = models::promote(&shelf, Alias::Production, "any", TARGET, definition).expect("a sound ensemble");
    let mut record = json!(promotion);
    (record["type"], record["who"], record["why"]) = (json!("promotion"), json!("bench"), json!("to be measured"));
    broker.write(control, &[(0, None, Some(&record.to_string()))]);
}

/// Reads until all orders are decided, and all bars are final that ended meanwhile.
fn follow(consumer: &BaseConsumer, schedule: Schedule, lateness: Duration) -> Measured {
    let mut measured = Measured::default();
    let begin_ms = (paper::now_ns() / 1_000_000) as u64;
    let end_ms = begin_ms + SECONDS * 1_000;
    let (mut open, mut last_ms) = (SECONDS * ORDERS_PER_SECOND, 0);
    while open > 0 || last_ms < end_ms {
        let Some(message) = consumer.poll(PATIENCE) else { panic!("{open} orders are open, and nothing more comes") };
        let message = message.expect("the topics can be read");
        let (now, now_ns) = (Instant::now(), paper::now_ns());
        let text = std::str::from_utf8(message.payload().unwrap_or_default()).expect("text");
        if message.topic().ends_with("decisions") {
            let Some(number) = number_in(text) else { continue };
            open -= 1;
            measured.decisions_us.push(now.saturating_duration_since(schedule.due(number)).as_micros() as u64);
            measured.approved += u64::from(text.contains("\"ruling\":\"approved\""));
            continue;
        }
        let value: Json = serde_json::from_str(text).expect("JSON");
        let is_bar = message.topic().ends_with("bars.1s");
        if is_bar && value["is_final"] != true {
            continue;
        }
        let closed_ms = value[if is_bar { "close_time" } else { "event_time" }].as_u64().expect("a time");
        last_ms = last_ms.max(if is_bar { closed_ms } else { 0 });
        if !(begin_ms..end_ms).contains(&closed_ms) {
            continue;
        }
        let due_us = u128::from(closed_ms) * 1_000 + lateness.as_micros();
        let took_us = (now_ns / 1_000).saturating_sub(due_us) as u64;
        if is_bar {
            measured.bars_us.push(took_us);
        } else if value["value"].is_null() {
            measured.refused += 1;
        } else {
            measured.predictions_us.push(took_us);
        }
    }
    [&mut measured.bars_us, &mut measured.predictions_us, &mut measured.decisions_us]
        .into_iter()
        .for_each(|took_us| took_us.sort_unstable());
    measured
}

fn messages_in(consumer: &BaseConsumer, topic: &str) -> u64 {
    let end = |partition| consumer.fetch_watermarks(topic, partition, PATIENCE).expect("the broker answers").1;
    (0..PARTITIONS).map(end).sum::<i64>().unsigned_abs()
}

/// The program at work.
struct Run(Child);

impl Run {
    fn start(config: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
        command.args(["run", "--config"]).arg(config).stdout(Stdio::null()).stderr(Stdio::inherit());
        Self(command.spawn().expect("the program starts"))
    }

    fn told(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.0.id())).expect("the program runs, on Linux")
    }

    fn peak_bytes(&self) -> u64 {
        let status = self.told("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux tells the peak");
        line.trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1_024
    }

    /// Processor time so far, of the program and of the system for it. Linux counts in hundredths of a second.
    fn processor(&self) -> Duration {
        let stat = self.told("stat");
        let (_, fields) = stat.rsplit_once(')').expect("the name is in parentheses");
        let hundredths =
            fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
        Duration::from_millis(hundredths.sum::<u64>() * 10)
    }

    fn stop(mut self) {
        let told = Command::new("kill").arg(self.0.id().to_string()).status().expect("every system has kill");
        assert!(told.success() && self.0.wait().expect("it ends").success(), "the program ends in order");
    }
}
