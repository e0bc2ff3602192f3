//! The run to which nothing happens: it makes the ticks of the log from the topic, in one go and from nothing, and what comes
//! out is compared with what was published, version by version.

use crate::kafka_live::program::Setup;
use crate::kafka_live::readers::{key_of, payloads, records, values_of};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tidewheel::bindings;
use tidewheel::config::{Config, LogPlace};
use tidewheel::engine;
use tidewheel::live::Live;
use tidewheel::recovery::bindings_folder;
use tidewheel::status::Status;
use tidewheel::ticks::Ticker;
use tidewheel_connectors::decode::Decoder;
use tidewheel_connectors::kafka::source::{KafkaSource, KafkaSourceConfig, Start};
use tidewheel_connectors::lake;
use tidewheel_schemas::{BarVersion, Interval, RejectReason, TickOutput};

/// All that the ticks of the log give.
fn undisturbed(setup: &Setup) -> Vec<TickOutput> {
    let config = Config::parse(&setup.text(), &[]).expect("a sound configuration");
    let history = match config.recovery.log {
        LogPlace::File => bindings::read(&bindings_folder(&config.state_folder()), None),
        LogPlace::Kafka => {
            let topic = format!("{}.bindings", setup.prefix);
            bindings::read_lines(&topic, &payloads(&setup.brokers, &topic))
        }
    };
    let history = history.expect("a sound log");
    let (ends, partitions) = (history.openings[0].1.ends.clone(), history.partitions());
    let source = KafkaSource::connect(&KafkaSourceConfig {
        start: Start::Offsets(ends.clone()),
        known: partitions,
        ..config.kafka_source()
    })
    .expect("the topic is there");
    let (mut engine, outputs) = engine::start(1, &config.pipeline(), None).expect("threads");
    let collector = std::thread::spawn(move || outputs.map(|tick| tick.output).collect::<Vec<_>>());
    let (stop, status) = (AtomicBool::new(false), Status::new(&config.bars.intervals));
    let live = Live {
        source,
        decoder: Decoder::new(config.decode()),
        tick_ms: config.bars.tick.as_ms(),
        logged: history.ticks,
        ends,
        bindings: None,
        control: None,
        snapshots: None,
        stop: &stop,
        status: &status,
    };
    let mut is_over = false;
    let caught_up = |_: &Ticker| stop.store(true, Ordering::Relaxed);
    live.run(&mut Ticker::new(config.ticks()), caught_up, |tick| {
        // What comes after the log's last tick is none of it.
        is_over |= tick.header.is_last;
        if is_over { ControlFlow::Break(()) } else { engine.send(tick) }
    })
    .expect("the ticks can be made again");
    engine.finish();
    collector.join().expect("the outputs are read to the end")
}

/// Compares, and returns how many versions of bars there are.
pub fn compare(setup: &Setup) -> usize {
    let ticks = undisturbed(setup);
    let mut versions = 0;
    for interval in Interval::ALL {
        let of_interval = |output: &TickOutput| -> Vec<BarVersion> {
            output.bars.iter().filter(|version| version.interval == interval).cloned().collect()
        };
        let mut expected: Vec<BarVersion> = ticks.iter().flat_map(of_interval).collect();
        expected.sort_by(|a, b| (&a.instrument, a.open_time_ns).cmp(&(&b.instrument, b.open_time_ns)));
        versions += expected.len();
        let published = lake::read::changelog(&setup.lake, interval).expect("a lake");
        assert_eq!(published.len(), expected.len(), "versions of {interval} in the lake");
        for (published, expected) in published.iter().zip(&expected) {
            assert_eq!(*published, lake::read::stored(expected), "in the lake");
        }
        topic_holds(setup, interval, &expected);
    }
    rejects_are(setup, &ticks);
    versions
}

/// Every version once, in order, with its tick, revision and values.
fn topic_holds(setup: &Setup, interval: Interval, expected: &[BarVersion]) {
    let mut of_key: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for record in records(&setup.brokers, &format!("{}.bars.{interval}", setup.prefix)) {
        let values = record.values().unwrap_or_default();
        let text = format!("{} {} {} {values}", record.headers["tick"], record.revision(), record.is_final());
        of_key.entry(record.key).or_default().push(text);
    }
    for versions in expected.chunk_by(|a, b| (&a.instrument, a.open_time_ns) == (&b.instrument, b.open_time_ns)) {
        let text = |version: &BarVersion| {
            let values = values_of(version).unwrap_or_default();
            let is_final = version.is_final && version.bar.is_some();
            format!("{} {} {is_final} {values}", version.tick, version.revision)
        };
        let expected: Vec<String> = versions.iter().map(text).collect();
        let key = key_of(&versions[0]);
        assert_eq!(of_key.remove(&key), Some(expected), "{key} in the topic");
    }
    assert!(of_key.is_empty(), "never published by a run without faults: {:?}", of_key.first_key_value());
}

/// Every dead letter once, with its tick.
fn rejects_are(setup: &Setup, ticks: &[TickOutput]) {
    let mut expected: Vec<(u64, RejectReason, Arc<[u8]>)> = Vec::new();
    for output in ticks {
        let of_tick = output.rejects.iter();
        expected.extend(of_tick.map(|reject| (output.tick, reject.reason, reject.raw.clone())));
    }
    let stored = lake::read::rejects(&setup.lake).expect("a lake").map(|reject| reject.expect("a sound file"));
    let mut stored: Vec<_> = stored.map(|reject| (reject.tick, reject.reason, reject.raw)).collect();
    expected.sort();
    stored.sort();
    assert!(stored == expected, "{} rejects in the lake, {} of a run without faults", stored.len(), expected.len());
}
