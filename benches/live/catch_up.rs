//! A run that starts from nothing on a topic that is full, until it is caught up, beside a replay of the same topic.
//!
//! Both are the program itself, with everything on: all intervals, topics in transactions, the lake with the archive; measured
//! from the start of the process to its end, when all is committed. *bare* is one consumer and the decoder in one loop.
//!
//! The topic holds ten million trades over 83 minutes of event time, or as many as `CATCH_UP_TRADES` says.
//! `cargo bench --bench live -- catch-up` measures this alone; it takes some five minutes and 4 GB on disk.
//!
//! Estimate before measuring, on two cores that the broker shares: *bare* 0.84 M/s, as in the bench of throughput. A replay adds the
//! tape (150 ns), the archive (200 ns) and 0.1 version of a bar a trade, of which a topic takes 0.2 M/s: 0.5 µs. So 0.65 M/s. A live
//! run reads on one thread, decodes on the same (250 ns), and publishes provisional bars each second beside: 0.6 M/s, 0.9 of
//! the replay.
//!
//! Measured, medians of three while other builds kept both cores busy (a load of 8 to 10): *bare* 0.85 M/s, *replay* 0.39 M/s, *live*
//! 0.37 M/s, 0.94 of the replay. The live run writes 0.78 M versions of bars, the replay 0.47 M: the rest are provisional. With four
//! million trades the live run was ahead, 0.33 against 0.30 M/s. Both are held back by the lake, whose commits take 14 of 24 s.

use super::harness::kafka::{Broker, unique};
use super::recovery::Progress;
use super::throughput::{Fill, Filled, bare, fill};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Instant;

/// Trades in the topic, where nothing else is said.
const TRADES: u64 = 10_000_000;
/// Trades a second of event time.
const TRADES_PER_SECOND: u64 = 2_000;

/// Trades a second, of each run.
pub struct CatchUp {
    /// What was read.
    pub topic: Filled,
    /// One consumer and the decoder.
    pub bare: Vec<f64>,
    /// `tidewheel replay`.
    pub replay: Vec<f64>,
    /// `tidewheel run`, until it has read all, stopped then.
    pub live: Vec<f64>,
}

/// Fills the topic and measures, in turn so that a machine that grows busy is unfair to none.
pub fn measure(broker: &Broker, runs: usize) -> CatchUp {
    let trades = std::env::var("CATCH_UP_TRADES").map_or(TRADES, |text| text.parse().expect("a number of trades"));
    let topic = fill(broker, &Fill { name: "history", trades, trades_per_second: TRADES_PER_SECOND });
    let mut measured = CatchUp { topic, bare: Vec::new(), replay: Vec::new(), live: Vec::new() };
    for _ in 0..runs {
        let topic = &measured.topic;
        measured.bare.push(bare(broker, &topic.name, trades));
        measured.replay.push(replay(broker, topic));
        measured.live.push(live(broker, topic));
    }
    measured
}

fn replay(broker: &Broker, topic: &Filled) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (address, prefix) = (broker.address(), unique("replayed"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
    command.args(["replay", "--topic", &topic.name, "--brokers", address, "--kafka", address, "--prefix", &prefix]);
    command.args(["--format", "binance", "--archive", "--lake"]).arg(folder.path().join("lake"));
    let started = Instant::now();
    let ended = start(&mut command).wait_with_output().expect("a child can be waited for");
    speed(&ended, topic, started)
}

fn live(broker: &Broker, topic: &Filled) -> f64 {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (address, prefix) = (broker.address(), unique("caught-up"));
    let config = write_config(folder.path(), address, &topic.name, &prefix);
    let mut progress = Progress::of(broker, &format!("{prefix}.progress"));
    let started = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewheel"));
    let run = start(command.args(["run", "--config", &config]));
    progress.wait(|_, read| read >= topic.trades);
    let told = Command::new("kill").args(["-TERM", &run.id().to_string()]).status();
    assert!(told.expect("kill runs").success(), "the run goes on until it is told to stop");
    let ended = run.wait_with_output().expect("a child can be waited for");
    speed(&ended, topic, started)
}

fn write_config(folder: &Path, brokers: &str, topic: &str, prefix: &str) -> String {
    let (path, lake) = (folder.join("tidewheel.toml"), folder.join("lake"));
    let text = format!(
        "[source]\nbrokers = {brokers:?}\ntopics = [{topic:?}]\nformat = \"binance\"\n[kafka]\nprefix = {prefix:?}\n\
         [lake]\npath = {lake:?}\n"
    );
    std::fs::write(&path, text).expect("a temporary folder can be written to");
    path.display().to_string()
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

/// Trades a second, of a run that has taken in every one.
fn speed(ended: &Output, topic: &Filled, started: Instant) -> f64 {
    let elapsed = started.elapsed();
    let text = String::from_utf8_lossy(&ended.stdout);
    let complaints = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{}\n{text}{complaints}", ended.status);
    let counts: String = text.lines().next().unwrap_or_default().replace(',', "");
    let all = topic.trades;
    assert!(counts.starts_with(&format!("read {all} = accepted {all} + ")), "nothing is lost: {text}{complaints}");
    text.lines().skip(1).take(2).for_each(|line| eprintln!("catch-up: {line}"));
    all as f64 / elapsed.as_secs_f64()
}
