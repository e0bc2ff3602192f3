//! How fast Kafka takes in and gives out on this machine: `kafka_speed BROKERS [MESSAGES]`.
//!
//! Estimate before measuring: a message costs librdkafka some 300 ns on its way to the reader and a copy of its bytes, hence
//! 2 M messages of 150 bytes a second on one core; a bar costs some 700 ns to encode and the same to hand over.
//!
//! Measured, Kafka 4.3.0 and client together on 2 cores that others loaded four times over, 2 M messages of 130 bytes:
//! live source 0.72 M messages/s, replay 0.83 M/s, transactional bars 0.17 to 0.23 M/s with a commit every 10,000, a commit of
//! ten bars 8 ms at the median and 43 ms at p99. Later, as loaded, 1 M messages: live source 0.74 to 0.85 M/s, read again tick by
//! tick 0.71 to 1.10 M/s, replay 0.82 to 1.02 M/s.

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;
use std::time::{Duration, Instant};
use tidewheel_connectors::kafka::sink::{KafkaSink, KafkaSinkConfig};
use tidewheel_connectors::kafka::source::{KafkaSource, KafkaSourceConfig};
use tidewheel_connectors::kafka::{KafkaError, replay};
use tidewheel_connectors::source::Work;
use tidewheel_schemas::{
    AggressorSide, Bar, BarVersion, Instrument, Interval, SECOND_NS, TickOutput, Trade, TradeId, TradeKind,
};

const PARTITIONS: i32 = 4;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let brokers = arguments.next().ok_or("usage: kafka_speed BROKERS [MESSAGES]")?;
    let messages: u64 = arguments.next().map_or(Ok(2_000_000), |text| text.parse())?;
    // A fresh name each time: the topics are not removed.
    let prefix = format!("kafka-speed-{}", std::process::id());
    let mut sink = open(&brokers, &prefix)?;
    let trades = format!("{prefix}.rejects");
    fill(&brokers, &trades, messages)?;
    consume(&brokers, &trades, messages)?;
    read_again(&brokers, &trades, messages)?;
    replayed(&brokers, &trades, messages)?;
    produce(&mut sink, messages / 4)?;
    commits(&mut sink)?;
    Ok(())
}

fn open(brokers: &str, prefix: &str) -> Result<KafkaSink, KafkaError> {
    let config = KafkaSinkConfig {
        partitions: PARTITIONS,
        intervals: vec![Interval::S1],
        ..KafkaSinkConfig::new(brokers, prefix)
    };
    KafkaSink::open(&config, Vec::new())
}

/// Trades as Binance sends them, about 150 bytes each.
fn fill(brokers: &str, topic: &str, messages: u64) -> Result<(), Box<dyn std::error::Error>> {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("compression.type", "lz4")
        .set("linger.ms", "20")
        .set("queue.buffering.max.messages", "1000000")
        .create()?;
    let started = Instant::now();
    for id in 0..messages {
        let text = format!(
            r#"{{"e":"trade","E":1700000000000,"s":"BTCUSDT","t":{id},"p":"61837.63000000","q":"0.00{:06}","T":{},"m":true,"M":true}}"#,
            id % 1_000_000,
            1_700_000_000_000 + id
        );
        let partition = i32::try_from(id % PARTITIONS.unsigned_abs() as u64)?;
        let mut record: BaseRecord<'_, (), str> = BaseRecord::to(topic).partition(partition).payload(&text);
        while let Err((error, returned)) = producer.send(record) {
            if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            record = returned;
            producer.poll(Duration::from_millis(10));
        }
    }
    producer.flush(Duration::from_secs(60))?;
    report("plain produce", messages, started);
    Ok(())
}

fn consume(brokers: &str, topic: &str, messages: u64) -> Result<(), KafkaError> {
    let started = Instant::now();
    let mut source = KafkaSource::connect(&KafkaSourceConfig::new(brokers, &[topic]))?;
    let (mut seen, mut bytes) = (0, 0);
    while seen < messages {
        for block in source.poll_until(Instant::now() + Duration::from_millis(100), 64 << 20)?.blocks {
            seen += block.messages.len() as u64;
            bytes += block.bytes.len();
        }
    }
    report(&format!("live source, {} bytes a message", bytes as u64 / messages), seen, started);
    Ok(())
}

/// As after a crash: up to the ends that a log names, a tick of 2,000 messages after the other.
fn read_again(brokers: &str, topic: &str, messages: u64) -> Result<(), KafkaError> {
    const MESSAGES_A_TICK: u64 = 500;
    let started = Instant::now();
    let mut source = KafkaSource::connect(&KafkaSourceConfig::new(brokers, &[topic]))?;
    let ends: Vec<u64> = (0..PARTITIONS as u32).map(|partition| source.end_offset(partition)).collect();
    let (mut seen, mut tick) = (0, 0);
    while seen < messages {
        tick += 1;
        let to = (0..).zip(&ends).map(|(partition, end)| (partition, (tick * MESSAGES_A_TICK).min(*end))).collect();
        let polled = loop {
            if let Some(polled) = source.poll_to(&to, Instant::now() + Duration::from_secs(1))? {
                break polled;
            }
        };
        seen += polled.blocks.iter().map(|block| block.messages.len() as u64).sum::<u64>();
    }
    report(&format!("read again in {tick} ticks"), seen, started);
    Ok(())
}

fn replayed(brokers: &str, topic: &str, messages: u64) -> Result<(), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let readers = replay::to_end(&KafkaSourceConfig::new(brokers, &[topic]))?;
    let threads: Vec<_> = readers
        .into_iter()
        .map(|mut reader| {
            std::thread::spawn(move || {
                let mut seen = 0;
                while let Some(work) = reader.read()? {
                    if let Work::Messages(block) = work {
                        seen += block.messages.len() as u64;
                    }
                }
                Ok::<u64, tidewheel_connectors::source::SourceError>(seen)
            })
        })
        .collect();
    let mut seen = 0;
    for thread in threads {
        seen += thread.join().map_err(|_| "a reader panicked")??;
    }
    if seen != messages {
        return Err(format!("read {seen} of {messages} messages").into());
    }
    report("replay, a thread for each of 4 partitions", seen, started);
    Ok(())
}

/// Bars of 100 instruments, 10,000 a tick, committed each tick.
fn produce(sink: &mut KafkaSink, bars: u64) -> Result<(), Box<dyn std::error::Error>> {
    const BARS_A_TICK: u64 = 10_000;
    let started = Instant::now();
    let ticks = bars / BARS_A_TICK;
    for tick in 1..=ticks {
        let output = output(tick, BARS_A_TICK)?;
        sink.write(&output)?;
        sink.commit(tick, &output.counters)?;
    }
    report("transactional bars, a commit every 10,000", ticks * BARS_A_TICK, started);
    Ok(())
}

/// What a commit costs that carries ten bars: the latency that transactions add.
fn commits(sink: &mut KafkaSink) -> Result<(), Box<dyn std::error::Error>> {
    const COMMITS: u64 = 200;
    let first = sink.committed_tick().unwrap_or(0) + 1;
    let mut taken = Vec::new();
    for tick in first..first + COMMITS {
        let output = output(tick, 10)?;
        let started = Instant::now();
        sink.write(&output)?;
        sink.commit(tick, &output.counters)?;
        taken.push(started.elapsed());
    }
    taken.sort_unstable();
    let at = |percent: usize| taken[taken.len() * percent / 100];
    println!("a commit of ten bars: p50 {:?}, p90 {:?}, p99 {:?}", at(50), at(90), at(99));
    Ok(())
}

fn output(tick: u64, bars: u64) -> Result<TickOutput, Box<dyn std::error::Error>> {
    let open_time_ns = 1_700_000_000 * SECOND_NS + i64::try_from(tick)? * SECOND_NS;
    let bar = |number: u64| {
        let instrument = Instrument::new("binance", &format!("SYM{}USDT", number % 100))?;
        let trade = Trade {
            event_time_ns: open_time_ns,
            id: TradeId::number(number),
            price_e8: 6_183_763_000_000,
            quantity_e8: 123_456,
            count: 1,
            side: AggressorSide::Buy,
            kind: TradeKind::Market,
        };
        let bar = Some(Bar::of(&trade));
        Ok(BarVersion { instrument, interval: Interval::S1, open_time_ns, tick, revision: 0, is_final: false, bar })
    };
    let bars = (0..bars).map(bar).collect::<Result<_, Box<dyn std::error::Error>>>()?;
    Ok(TickOutput { tick, bars, ..TickOutput::default() })
}

fn report(what: &str, messages: u64, started: Instant) {
    let seconds = started.elapsed().as_secs_f64();
    println!("{what}: {messages} in {seconds:.2} s, {:.0} messages/s", messages as f64 / seconds);
}
