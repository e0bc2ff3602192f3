//! `tidewheel demo`: everything at once on one machine, with nothing installed.
//!
//! The broker is librdkafka's mock cluster inside this process, the trades come from the market generator; what reads,
//! computes and writes is what `run` runs.

mod models;
mod view;

use super::generate::send::{Pace, publish};
use super::run::stop_on_signal;
use super::session::{Begin, Session};
use super::{CommandError, now_ns, summary};
use crate::config::{Config, TimeSpan};
use models::Promoter;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tidewheel_connectors::generate::{Faults, Market, MarketConfig, WireFormat, Written};
use tidewheel_connectors::kafka::embedded::EmbeddedBroker;
use tidewheel_connectors::kafka::publish::Publisher;
use view::View;

const TRADES_TOPIC: &str = "trades";
const CONTROL_TOPIC: &str = "control";
/// When another ensemble is promoted, or at half of `--for` if that is sooner.
const PROMOTED_AFTER: Duration = Duration::from_secs(20);
const PARTITIONS: i32 = 4;
/// The market opened so long ago, so that features are warm at once; or as many trades ago, if that is less.
const HISTORY: Duration = Duration::from_secs(30);
const HISTORY_TRADES: u64 = 200_000;
/// Orders that take the side their symbol leans to, of a million: there is something for models to see. As the market that they
/// were trained on (`deploy/models/make_demo.py`).
const LEANING_PPM: u32 = 200_000;
/// What is computed: also what the models were trained on.
const COMPUTED: &str = include_str!("../../../deploy/models/demo/demo.toml");
/// How long the market is open where `--for` does not say.
const DAY: Duration = Duration::from_secs(86_400);

/// Show the whole pipeline at work: an embedded broker, a generated market, bars in topics and in a lake
///
/// A market with all the troubles of real feeds is written to a Kafka topic inside this process; the pipeline reads it,
/// and publishes bars, features, predictions and signals to topics and to a lake folder. Another ensemble of models is
/// promoted after 20 seconds. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
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

        let feeder = self.feed(broker.bootstrap(), Arc::clone(&feed_over))?;
        let (is_over, deadline) = (Arc::clone(&stop), self.duration.map(|time| Instant::now() + time.as_duration()));
        let watched = Arc::clone(&status);
        let is_terminal = std::io::stdout().is_terminal();
        let half = self.duration.map_or(PROMOTED_AFTER, |time| time.as_duration() / 2);
        let promoted_at = Instant::now() + half.min(PROMOTED_AFTER);
        let watcher = std::thread::spawn(move || {
            let mut view = View::new(is_terminal);
            let (mut promoter, mut promoted) = (Some(promoter), Ok(()));
            while !is_over.load(Ordering::Relaxed) && deadline.is_none_or(|deadline| Instant::now() < deadline) {
                view.show(&watched, now_ns());
                if let Some(promoter) = promoter.take_if(|_| Instant::now() >= promoted_at) {
                    promoted = promoter.go_on();
                }
                std::thread::sleep(view.period());
            }
            // First the market closes, then the pipeline reads what is left of it.
            feed_over.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(500));
            is_over.store(true, Ordering::Relaxed);
            view.clear();
            promoted
        });
        let counters = session.run(&stop)?;
        watcher.join().expect("a panic ends the process")?;
        let sent = feeder.join().expect("a panic ends the process")?;
        drop(broker);

        let mut text = format!("the market sent {} messages\n", summary::number(sent.records));
        text += &summary::counts(&counters);
        text += &summary::published(&status);
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
            "[source]\nbrokers = \"{}\"\ntopics = [\"{TRADES_TOPIC}\"]\n\
             [kafka]\nprefix = \"demo\"\n\
             [lake]\npath = {lake}\ncommit_every = \"10s\"\n\
             [control]\ntopic = \"{CONTROL_TOPIC}\"\n[scoring]\nregistry = {registry}\n{COMPUTED}",
            broker.bootstrap()
        );
        let config = Config::parse(&text, &[]).map_err(|problems| CommandError::Usage(problems.to_string()))?;
        broker.create_topic(CONTROL_TOPIC, 1)?;
        // The embedded broker creates no topic on request.
        config.output_topics().iter().try_for_each(|topic| broker.create_topic(topic, PARTITIONS))?;
        Ok((broker, config))
    }

    /// Opens the market a little before now, and sends what it trades as it is due.
    fn feed(
        &self,
        bootstrap: &str,
        is_over: Arc<AtomicBool>,
    ) -> Result<std::thread::JoinHandle<Result<Written, CommandError>>, CommandError> {
        let history = HISTORY.as_secs_f64().min(HISTORY_TRADES as f64 / self.rate as f64);
        let watched = self.duration.map_or(DAY, TimeSpan::as_duration).as_secs_f64();
        let mut market = Market::new(MarketConfig {
            seed: self.seed,
            symbols: self.symbols,
            // A little longer than it is watched. Its late trades begin after an eighth of it.
            trades: (self.rate as f64 * (history + watched + 5.0)) as u64,
            start_time_ns: now_ns() - (history * 1e9) as i64,
            trades_per_second: self.rate,
            leaning_ppm: LEANING_PPM,
            faults: Faults::SOME,
            ..MarketConfig::default()
        })
        .map_err(CommandError::Usage)?;
        let publisher = Publisher::connect(bootstrap, TRADES_TOPIC, &Default::default(), Duration::from_secs(10))?;
        Ok(std::thread::spawn(move || {
            publish(&mut market, WireFormat::Canonical, publisher, Pace::Clock, |_| !is_over.load(Ordering::Relaxed))
        }))
    }
}
