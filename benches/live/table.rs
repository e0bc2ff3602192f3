//! What was measured, as one table.

use super::catch_up::CatchUp;
use super::harness::distribution::KAFKA_VERSION;
use super::latency::{Measured, RATE};
use super::recovery::{self, Restart};
use super::throughput::Filled;
use super::{chain, close, decisions};
use tidewheel::status::quantile;

/// Prints the machine, and how many trades a second.
pub fn print(topic: &Filled, bare: &[f64], pipeline: &[f64]) {
    let (bare_median, pipeline_median) = (median(bare), median(pipeline));
    println!("machine   {}", machine());
    println!(
        "source    Apache Kafka {KAFKA_VERSION} on the same cores, {} trades of {} bytes (Binance JSON), {} partitions",
        topic.trades,
        topic.bytes_per_trade,
        super::PARTITIONS
    );
    println!();
    println!("bare      {bare_median:>10.0} trades/s   consume and parse, one thread; runs {}", runs(bare));
    println!(
        "pipeline  {pipeline_median:>10.0} trades/s   {} workers, transactions, topics and lake; runs {}",
        workers(),
        runs(pipeline)
    );
    println!("ratio     {:>10.2} of bare", pipeline_median / bare_median);
}

/// Prints how soon trades are in bars, and how long the commits themselves took.
pub fn print_latencies(measured: &Measured) {
    let latencies_us = &measured.trades_us;
    println!();
    let of_trades = |per_mille: usize| latencies_us[(latencies_us.len() - 1) * per_mille / 1_000] as f64 / 1_000.0;
    println!("latency   trade due to provisional bar readable, {RATE} trades/s offered, tick 100 ms, {} trades", {
        latencies_us.len()
    });
    println!(
        "          p50 {:.0} ms   p99 {:.0} ms   p99.9 {:.0} ms   max {:.0} ms",
        of_trades(500),
        of_trades(990),
        of_trades(999),
        of_trades(1_000)
    );
    let (topic, lake) = (&measured.commits.kafka_transaction, &measured.commits.lake_commit);
    for (name, commits) in [("a transaction of a tick", topic), ("a commit of the lake", lake)] {
        let ms = |share| quantile(commits, share).map_or(f64::NAN, |seconds| seconds * 1_000.0);
        let (p50, p99, p999) = (ms(0.5), ms(0.99), ms(0.999));
        let count = commits.get_sample_count();
        println!(
            "commit    p50 {p50:.0} ms   p99 {p99:.0} ms   p99.9 {p999:.0} ms   {name}, {count} of them, by the histogram"
        );
    }
}

/// Prints the pipeline with other settings.
pub fn print_variants(variants: &[(&str, Vec<f64>)]) {
    println!();
    for (name, measured) in variants {
        println!("{name:<14}{:>10.0} trades/s   runs {}", median(measured), runs(measured));
    }
}

/// Prints how fast a full topic is caught up with.
pub fn print_catch_up(measured: &CatchUp) {
    let CatchUp { topic, bare, replay, live } = measured;
    println!();
    println!("catch-up  {} trades of {} bytes, {} partitions", topic.trades, topic.bytes_per_trade, super::PARTITIONS);
    for (name, speeds) in [("bare", bare), ("replay", replay), ("live", live)] {
        println!("{name:<10}{:>10.0} trades/s   runs {}", median(speeds), runs(speeds));
    }
    println!("ratio     {:>10.2} of replay, {:.2} of bare", median(live) / median(replay), median(live) / median(bare));
}

/// Prints how soon the features of a minute can be read.
pub fn print_closes(took_us: &[u64]) {
    let ms = |per_mille: usize| took_us[(took_us.len() - 1) * per_mille / 1_000] as f64 / 1_000.0;
    println!();
    println!("close     minute closed to rows of core_technical readable, {} instruments, tick 100 ms", close::SYMBOLS);
    println!(
        "          p50 {:.0} ms   p90 {:.0} ms   max {:.0} ms   of {} minutes",
        ms(500),
        ms(900),
        ms(1_000),
        took_us.len()
    );
}

/// Prints how soon orders are decided, beside the loop that decides nothing.
pub fn print_decisions(measured: &decisions::Measured) {
    let decisions::Measured { offer, decided_us, approved, bare_us, commits, behind } = measured;
    println!();
    println!(
        "decisions order due to decision readable, {} orders/s offered for {} s, tick {} ms{}; {}",
        offer.rate,
        offer.seconds,
        offer.tick_ms,
        if offer.bars.is_empty() { "" } else { ", bars of a minute alone" },
        machine()
    );
    println!("          {}   of {} decided, {approved} approved", percentiles(decided_us), decided_us.len());
    println!("bare      {}   gathered for a tick and written on in a transaction", percentiles(bare_us));
    let ms = |share| quantile(&commits.kafka_transaction, share).map_or(f64::NAN, |seconds| seconds * 1_000.0);
    println!(
        "commit    p50 {:.0} ms   p99 {:.0} ms   a transaction of a tick, {} of them; orders were {behind:.0?} late at most",
        ms(0.5),
        ms(0.99),
        commits.kafka_transaction.get_sample_count()
    );
}

/// Prints what the whole chain did under load.
pub fn print_chain(measured: &chain::Measured) {
    println!();
    println!(
        "chain     {} trades/s offered of {} instruments, {} orders/s, for {} s; {}",
        measured.rate,
        chain::SYMBOLS,
        chain::ORDERS_PER_SECOND,
        chain::SECONDS,
        machine()
    );
    println!(
        "held      {} trades, sent {:.0?} late at most, all read and committed {:.0?} after the last",
        measured.trades, measured.behind, measured.drained
    );
    let predicted = measured.predictions_us.len();
    println!("bar       {}   of {} bars of a second", percentiles(&measured.bars_us), measured.bars_us.len());
    println!(
        "predicted {}   of {predicted}, {} without a value",
        percentiles(&measured.predictions_us),
        measured.refused
    );
    println!(
        "decided   {}   of {}, {} approved",
        percentiles(&measured.decisions_us),
        measured.decisions_us.len(),
        measured.approved
    );
    println!("program   {:.0} MB at its peak, {:.2} cores", measured.peak_bytes as f64 / 1e6, measured.cores);
    println!("bare      {:>10.0} messages/s   consume and parse the same topic, one thread", measured.bare);
}

/// Ascending microseconds.
fn percentiles(took_us: &[u64]) -> String {
    let Some(last) = took_us.len().checked_sub(1) else { return "nothing".to_owned() };
    let ms = |per_mille: usize| took_us[last * per_mille / 1_000] as f64 / 1_000.0;
    format!("p50 {:.1} ms   p99 {:.1} ms   p99.9 {:.1} ms   max {:.1} ms", ms(500), ms(990), ms(999), ms(1_000))
}

/// Prints how soon a killed run had committed again.
pub fn print_restart(restart: &Restart) {
    println!(
        "restart   {:>10.2} s   {} instruments, a day of {} trades, horizon {} h, snapshot {:.1} MB",
        restart.to_commit.as_secs_f64(),
        recovery::SYMBOLS,
        recovery::TRADES,
        restart.horizon_h,
        restart.snapshot_bytes as f64 / 1e6
    );
}

fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn runs(values: &[f64]) -> String {
    values.iter().map(|value| format!("{value:.0}")).collect::<Vec<_>>().join(" ")
}

fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The processor, its cores, and how busy others keep them.
fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown processor");
    let load = read("/proc/loadavg");
    let load = load.split(' ').next().unwrap_or("?");
    format!("{}, {} cores, load {load} at the end", model.trim_start_matches(['\t', ' ', ':']), workers())
}
