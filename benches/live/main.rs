//! Live through a real broker, transactions on: how many trades a second, and how soon a trade is in a bar.
//!
//! `cargo bench --bench live` starts Apache Kafka by itself, on the same cores; everything takes some twenty minutes, `-- latency`,
//! `-- restart`, `-- catch-up`, `-- close`, `-- decisions` or `-- chain` alone less.
//!
//! - *bare*: one librdkafka consumer and the decoder in one loop, nothing else. The yardstick.
//! - *pipeline*: the whole program over the same topic: all intervals, provisional bars every second, archive and changelog
//!   in the lake, transactions. The topic is full before, so that the program and not the producer is measured.
//! - *latency*: 20,000 trades a second offered whatever happens (open loop). From the time at which a trade was due, which
//!   is its own timestamp, until a `read_committed` consumer has a provisional minute bar with the trade in it. Tick and
//!   provisional cadence are 100 ms. With it the commits of the sinks themselves, as their histograms tell.
//!
//! - *snapshots*: the pipeline with a snapshot each second, beside none.
//! - *at least once*: the pipeline without transactions.
//! - *catch-up*: ten million trades that are there before the run starts, beside a replay of them; see `catch_up.rs`.
//! - *close*: the features of 1,000 instruments at the close of a minute; see `close.rs`.
//! - *decisions*: how soon orders are decided, and how many; see `decisions.rs`.
//! - *chain*: bars, features, scores and risk together, at 20,000 trades a second; see `chain.rs`.
//! - *restart*: `kill -9` of the program with 1,000 instruments and a day of bars, and the time from its next start until a
//!   reader sees its first new commit, by the size of the state.
//!
//! Estimate before measuring, on two cores that the broker shares: a message of 150 bytes costs librdkafka 300 ns and the
//! decoder 250 ns, so *bare* takes 1.8 M/s. The pipeline adds a copy, the tape with its rollups (150 ns), the archive
//! (200 ns) and the broker's own work: 0.6 M/s. A trade waits 50 ms for its tick on average, 10 ms for the producer and the
//! fetch, 20 ms for the transaction: 80 ms at p50, 150 ms at p99.
//!
//! Measured on two quiet cores of an Intel Xeon, medians of three runs: *bare* 0.84 M/s, *pipeline* 0.61 M/s, 0.73 of it; latency
//! p50 89 ms, p99 147 ms, p99.9 200 ms, max 225 ms. Before the lake had a thread of its own, its commits made a tail of 300 to
//! 450 ms at p99.9.

mod catch_up;
mod chain;
mod close;
mod decisions;
#[path = "../../tests/it/harness/mod.rs"]
#[allow(dead_code, reason = "the tests use the rest")]
mod harness;
mod latency;
mod paper;
mod recovery;
mod table;
mod throughput;

use harness::kafka::Broker;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tidewheel::config::Config;

/// Partitions of all source topics.
const PARTITIONS: i32 = 4;
/// Runs of each throughput figure; the median is told.
const RUNS: usize = 3;

fn main() {
    // Cargo's test runner asks benches too; what is measured then would be no figure.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    // The panic of one thread would leave the others at work for ever.
    let tell = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panicked| {
        tell(panicked);
        std::process::abort();
    }));
    let broker = Broker::start();
    let is_asked_for = |name: &str| std::env::args().any(|argument| argument == name);
    if is_asked_for("catch-up") {
        return table::print_catch_up(&catch_up::measure(&broker, RUNS));
    }
    if is_asked_for("latency") {
        return table::print_latencies(&latency::open_loop(&broker));
    }
    if is_asked_for("close") {
        return table::print_closes(&close::measure(&broker));
    }
    if is_asked_for("decisions") {
        return decisions::OFFERS.iter().for_each(|offer| table::print_decisions(&decisions::measure(&broker, *offer)));
    }
    if is_asked_for("chain") {
        return table::print_chain(&chain::measure(&broker));
    }
    let restarts = || [1, 6].into_iter().for_each(|hours| table::print_restart(&recovery::restart(&broker, hours)));
    if is_asked_for("restart") {
        return restarts();
    }
    let topic = throughput::fill(&broker, &throughput::MEASURED);
    let bare: Vec<f64> = (0..RUNS).map(|_| throughput::bare(&broker, &topic.name, topic.trades)).collect();
    let pipeline: Vec<f64> = (0..RUNS).map(|_| throughput::pipeline(&broker, &topic.name, topic.trades)).collect();
    let measured = |more: &str| -> Vec<f64> {
        (0..RUNS).map(|_| throughput::pipeline_with(&broker, &topic.name, topic.trades, more)).collect()
    };
    let variants = [
        ("no snapshots", measured("[recovery]\nsnapshot_every = \"none\"\n")),
        ("snapshots 1s", measured("[recovery]\nsnapshot_every = \"1s\"\n")),
        ("at least once", measured("[kafka]\ntransactions = false\n")),
    ];
    let latencies = latency::open_loop(&broker);
    table::print(&topic, &bare, &pipeline);
    table::print_latencies(&latencies);
    table::print_variants(&variants);
    restarts();
    table::print_catch_up(&catch_up::measure(&broker, RUNS));
    table::print_closes(&close::measure(&broker));
    decisions::OFFERS.iter().for_each(|offer| table::print_decisions(&decisions::measure(&broker, *offer)));
    table::print_chain(&chain::measure(&broker));
}

/// A configuration that reads a topic and writes everything, to topics of a prefix and a lake in a folder.
fn config(broker: &Broker, topic: &str, prefix: &str, folder: &std::path::Path, bars: &str) -> Config {
    let brokers = broker.address();
    let lake = folder.join("lake");
    let text = format!(
        "[source]\nbrokers = {brokers:?}\ntopics = [{topic:?}]\nformat = \"binance\"\n[bars]\n{bars}\n\
         [kafka]\nprefix = {prefix:?}\npartitions = 4\n[lake]\npath = {lake:?}\n"
    );
    Config::parse(&text, &[]).expect("the configuration is sound")
}

/// A consumer of what is committed in an output topic, from its beginning.
fn committed(broker: &Broker, topic: &str) -> BaseConsumer {
    committed_of(broker, &[topic])
}

/// A consumer of what is committed in output topics, from their beginning.
fn committed_of(broker: &Broker, topics: &[&str]) -> BaseConsumer {
    let mut client = broker.client();
    client.set("group.id", "measured").set("enable.auto.commit", "false").set("isolation.level", "read_committed");
    let consumer: BaseConsumer = client.create().expect("the configuration is valid");
    let mut assignment = TopicPartitionList::new();
    for (topic, partition) in topics.iter().flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic, partition))) {
        assignment.add_partition_offset(topic, partition, Offset::Beginning).expect("a valid offset");
    }
    consumer.assign(&assignment).expect("the partitions exist");
    consumer
}
