//! `tidewheel demo`: everything at once on one machine, with nothing installed.
//!
//! The broker is librdkafka's mock cluster inside this process, the trades come from the market generator; what reads,
//! computes and writes is what `run` runs. A small paper account trades on its signals, as a client of its topics.

mod models;
mod paper;
mod stage;
mod view;

use super::generate::send::{Pace, publish};
use super::run::stop_on_signal;
use super::session::{Begin, Session};
use super::{CommandError, now_ns, summary};
use crate::config::{Config, TimeSpan};
use crate::status::{Snapshot, Status};
use models::Promoter;
use paper::Paper;
use stage::{Moments, Stage};
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidewheel_connectors::generate::{Crash, Faults, Market, MarketConfig, WireFormat, Written};
use tidewheel_connectors::kafka::embedded::EmbeddedBroker;
use tidewheel_connectors::kafka::publish::Publisher;
use view::View;

const TRADES_TOPIC: &str = "trades";
const CONTROL_TOPIC: &str = "control";
/// What the paper account does.
const ACCOUNTS_TOPIC: &str = "accounts";
/// What the names of the output topics begin with.
const PREFIX: &str = "demo";
/// How much the price of the most active symbol falls at once, in millionths.
const CRASH_PPM: u32 = 50_000;
/// How long to wait at the end until what the paper account sent is read.
const PATIENCE: Duration = Duration::from_secs(10);
const PARTITIONS: i32 = 4;
/// The market opened so long ago, so that features are warm at once; or as many trades ago, if that is less.
const HISTORY: Duration = Duration::from_secs(30);
const HISTORY_TRADES: u64 = 200_000;
/// Orders that take the side their symbol leans to, of a million: there is something for models to see. As the market that they
/// were trained on (`deploy/models/make_demo.py`).
const LEANING_PPM: u32 = 200_000;
/// What is computed: also what the models were trained on.
const COMPUTED: &str = include_str!("../../../deploy/models/demo/demo.toml");
/// What the paper account is held to.
const RISK: &str = include_str!("risk.toml");
/// How long the market is open where `--for` does not say.
const DAY: Duration = Duration::from_secs(86_400);

/// Show the whole pipeline at work: an embedded broker, a generated market, bars in topics and in a lake
///
/// A market with all the troubles of real feeds is written to a Kafka topic inside this process; the pipeline reads it,
/// and publishes bars, features, predictions and signals to topics and to a lake folder. A paper account with 100,000 USDT trades
/// on the signals: it asks before each order, and fills what it may by itself at the price of the market. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "What happens when, in seconds or in shares of --for where that is sooner:
  20 s, 50 %   another ensemble of models is promoted
  30 s, 45 %   the price of the first symbol falls by 5 % within 4 s, and comes back within a minute
  60 s, 70 %   a kill switch stops the paper account (not before its first fill, or the reset's time)
  75 s, 85 %   it is reset by the trip's name, as is all else that is latched, each as soon as it may be

Examples:
  tidewheel demo
  tidewheel demo --for 30s --symbols 50 --rate 20000 --lake /tmp/demo-lake")]
pub struct DemoArgs {
    /// End after this time instead of on Ctrl-C
    #[arg(long = "for", value_name = "TIME")]
    duration: Option<TimeSpan>,
    /// Number of symbols; the n-th is traded 1/n as often as the first
    #[arg(long, value_name = "NUMBER", default_value = "20", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    symbols: u32,
    /// Trades a second
    #[arg(long, value_name = "NUMBER", default_value = "2000", value_parser = clap::value_parser!(u64).range(1..=500_000))]
    rate: u64,
    /// Seed of the market
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    seed: u64,
    /// The lake's folder; what an earlier demo left there is replaced
    #[arg(long, value_name = "DIR", default_value = "tidewheel-demo")]
    lake: PathBuf,
}

impl DemoArgs {
    /// Runs until the time is over or a signal comes.
    ///
    /// # Errors
    /// If the embedded broker cannot be started, or the lake cannot be written.
    ///
    /// # Panics
    /// If a thread panicked; in the program the panic has ended the process by then.
    pub fn run(self, out: &mut dyn Write) -> Result<ExitCode, CommandError> {
        let stop = stop_on_signal()?;
        let (broker, config) = self.start_broker()?;
        let session = Session::open(&config, None, Begin::Anew, &stop)?;
        let status = session.status();
        let feed_over = Arc::new(AtomicBool::new(false));
        let mut promoter = Promoter::new(&self.registry(), broker.bootstrap())?;
        promoter.begin()?;

        let moments = Moments::of(self.duration.map(TimeSpan::as_duration));
        let market = self.market(&moments)?;
        let paper = Paper::open(broker.bootstrap(), PREFIX, market.instruments())?;
        let stage = Stage::new(moments, promoter, broker.bootstrap())?;
        let feeder = feed(market, broker.bootstrap(), Arc::clone(&feed_over))?;
        let watch = Watch {
            deadline: self.duration.map(|time| Instant::now() + time.as_duration()),
            is_over: Arc::clone(&stop),
            feed_over,
            status: Arc::clone(&status),
        };
        let watcher = std::thread::spawn(move || (watch.run(stage, &paper), paper));
        let counters = session.run(&stop)?;
        let (watched, paper) = watcher.join().expect("a panic ends the process");
        watched?;
        let sent = feeder.join().expect("a panic ends the process")?;
        let published = ["order_decisions", "risk_events", "risk"].map(|table| rows_of(&status, table));
        let known = paper.finish(published)?;
        drop(broker);

        let mut text = format!("the market sent {} messages\n", summary::number(sent.records));
        text += &summary::counts(&counters);
        text += &summary::published(&status);
        text += &view::book::summary(&known, published);
        text += &summary::lake(&self.lake, &tidewheel_connectors::lake::read::manifest(&self.lake)?);
        out.write_all(text.as_bytes()).map_err(CommandError::Output)?;
        Ok(if counters.reconcile() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// The folder of the models, in the part of the lake that is the program's own.
    fn registry(&self) -> PathBuf {
        self.lake.join("_tidewheel").join("models")
    }

    fn start_broker(&self) -> Result<(EmbeddedBroker, Config), CommandError> {
        let broker = EmbeddedBroker::start(&[TRADES_TOPIC], PARTITIONS)?;
        let path = |path: PathBuf| toml::Value::String(path.display().to_string());
        let (lake, registry) = (path(self.lake.clone()), path(self.registry()));
        let text = format!(
            "[source]\nbrokers = \"{}\"\ntopics = [\"{TRADES_TOPIC}\", \"{ACCOUNTS_TOPIC}\"]\n\
             [kafka]\nprefix = \"{PREFIX}\"\n\
             [lake]\npath = {lake}\ncommit_every = \"10s\"\n\
             [control]\ntopic = \"{CONTROL_TOPIC}\"\n[scoring]\nregistry = {registry}\n{COMPUTED}\n{RISK}",
            broker.bootstrap()
        );
        let config = Config::parse(&text, &[]).map_err(|problems| CommandError::Usage(problems.to_string()))?;
        broker.create_topic(CONTROL_TOPIC, 1)?;
        broker.create_topic(ACCOUNTS_TOPIC, 1)?;
        // The embedded broker creates no topic on request.
        config.output_topics().iter().try_for_each(|topic| broker.create_topic(topic, PARTITIONS))?;
        Ok((broker, config))
    }

    /// A market that opened a little before now, and in which the most active symbol crashes.
    fn market(&self, moments: &Moments) -> Result<Market, CommandError> {
        let history = HISTORY.as_secs_f64().min(HISTORY_TRADES as f64 / self.rate as f64);
        let watched = self.duration.map_or(DAY, TimeSpan::as_duration).as_secs_f64();
        let mut config = MarketConfig {
            seed: self.seed,
            symbols: self.symbols,
            // A little longer than it is watched. Its late trades begin after an eighth of it.
            trades: (self.rate as f64 * (history + watched + 5.0)) as u64,
            start_time_ns: now_ns() - (history * 1e9) as i64,
            trades_per_second: self.rate,
            leaning_ppm: LEANING_PPM,
            faults: Faults::SOME,
            ..MarketConfig::default()
        };
        let after_ns = ((history + moments.crash.as_secs_f64()) * 1e9) as i64;
        let symbol = format!("BTC{}USDT", config.separator);
        config.crashes.push(Crash { symbol, after_ns, fall_ppm: CRASH_PPM });
        Market::new(config).map_err(CommandError::Usage)
    }
}

/// Sends what a market trades as it is due.
fn feed(
    mut market: Market,
    bootstrap: &str,
    is_over: Arc<AtomicBool>,
) -> Result<std::thread::JoinHandle<Result<Written, CommandError>>, CommandError> {
    let publisher = Publisher::connect(bootstrap, TRADES_TOPIC, &Default::default(), Duration::from_secs(10))?;
    Ok(std::thread::spawn(move || {
        publish(&mut market, WireFormat::Canonical, publisher, Pace::Clock, |_| !is_over.load(Ordering::Relaxed))
    }))
}

/// Rows published of a table.
fn rows_of(status: &Status, table: &str) -> u64 {
    let number = status.tables().iter().position(|name| name == table);
    number.map_or(0, |number| status.look(|snapshot| snapshot.rows.get(number).copied().unwrap_or(0)))
}

/// Shows a demo, has things done in it, and ends it.
struct Watch {
    deadline: Option<Instant>,
    is_over: Arc<AtomicBool>,
    feed_over: Arc<AtomicBool>,
    status: Arc<Status>,
}

impl Watch {
    fn run(&self, mut stage: Stage, paper: &Paper) -> Result<(), CommandError> {
        let mut view = View::new(std::io::stdout().is_terminal());
        let mut done = Ok(());
        while done.is_ok() && !self.is_over() && self.deadline.is_none_or(|deadline| Instant::now() < deadline) {
            let known = paper.known();
            view.show(&self.status, &known, now_ns());
            done = stage.go_on(&known);
            drop(known);
            std::thread::sleep(view.period());
        }
        // First the paper account ends, then the market closes, then the pipeline reads what is left of it.
        if !self.is_over() {
            self.wait_until_read(paper.close());
        }
        self.feed_over.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(500));
        self.is_over.store(true, Ordering::Relaxed);
        view.clear();
        done
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Waits until so many records of accounts are read.
    fn wait_until_read(&self, sent: Option<u64>) {
        let deadline = Instant::now() + PATIENCE;
        let is_of_it = |name: &str| name.split_once('[').is_some_and(|(topic, _)| topic == ACCOUNTS_TOPIC);
        let read = || {
            let of_it = |snapshot: &Snapshot| {
                let partitions = snapshot.partitions.iter().filter(|partition| is_of_it(&partition.name));
                partitions.map(|partition| partition.position).sum::<u64>()
            };
            self.status.look(of_it)
        };
        while !self.is_over() && sent.is_some_and(|sent| read() < sent) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}
