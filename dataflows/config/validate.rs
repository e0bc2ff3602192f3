//! Whether a configuration makes sense: limits of single fields, and contradictions between them.

use super::{
    BarsSection, Cadence, Config, CsvSection, FeaturesSection, HttpSection, KafkaSection, LakeSection, LogPlace,
    ScoringSection, SignalsSection, SourceSection, TimeSpan,
};
use tidewheel_connectors::decode::Format;
use tidewheel_schemas::Instrument;

/// What is wrong with which field.
pub type Complaint = (&'static str, String);

/// The longest name of a topic.
const TOPIC_LIMIT: usize = 249;
/// Room for the longest ending of an output topic: a view's name has 64 letters at most.
const PREFIX_LIMIT: usize = TOPIC_LIMIT - ".features.".len() - 64;
const MINUTE: TimeSpan = TimeSpan::from_secs(60);
const DAY: TimeSpan = TimeSpan::from_secs(86_400);
const MOST_HORIZON: TimeSpan = TimeSpan::from_secs(30 * 86_400);

/// All that is wrong.
pub fn complaints(config: &Config) -> Vec<Complaint> {
    let mut found = Vec::new();
    let out = &mut found;
    if config.workers.is_some_and(|workers| !(1..=256).contains(&workers)) {
        out.push(("workers", "must be 1 to 256; leave it out for one a core".into()));
    }
    source(&config.source, out);
    bars(&config.bars, out);
    features(&config.features, out);
    scoring(config, out);
    models(&config.scoring, &config.signals, out);
    if let Some(risk) = &config.risk {
        out.extend(risk.complaints(config.bars.horizon));
    }
    if let Some(kafka) = &config.kafka {
        output_topics(kafka, &config.source, config, out);
    }
    if let Some(lake) = &config.lake {
        lake_folder(lake, &config.bars, out);
    }
    if let Some(http) = &config.http {
        http_server(http, &config.bars, out);
    }
    if config.recovery.log == LogPlace::Kafka && !config.kafka().is_some_and(|kafka| kafka.transactions) {
        let detail = "kafka needs a [kafka] section with transactions: turn them on, or set recovery.log to \"file\"";
        out.push(("recovery.log", detail.into()));
    }
    if config.kafka().is_none() && config.lake().is_none() {
        let detail = "no output is on: add a [kafka] or a [lake] section, or set its enabled to true";
        out.push((if config.kafka.is_some() { "kafka.enabled" } else { "lake.enabled" }, detail.into()));
    }
    found
}

fn source(source: &SourceSection, out: &mut Vec<Complaint>) {
    out.extend(brokers(&source.brokers).map(|detail| ("source.brokers", detail)));
    if source.topics.is_empty() {
        out.push(("source.topics", "is empty: name at least one topic to read".into()));
    }
    for (at, topic) in source.topics.iter().enumerate() {
        out.extend(illegal_topic(topic, TOPIC_LIMIT).map(|detail| ("source.topics", format!("{topic:?} {detail}"))));
        if source.topics[..at].contains(topic) {
            out.push(("source.topics", format!("{topic:?} is named twice: remove one")));
        }
    }
    if source.format == Format::Parquet {
        let detail =
            "parquet is read from files, not from topics: use `tidewheel replay`, or name the format of the messages";
        out.push(("source.format", detail.into()));
    }
    // What is not tested stands in with a good name.
    if let Some(venue) = &source.venue {
        out.extend(Instrument::new(venue, "x").err().map(|error| ("source.venue", error.to_string())));
        if venue.bytes().any(|byte| byte.is_ascii_uppercase()) {
            out.push(("source.venue", format!("write it in lower case: {:?}", venue.to_ascii_lowercase())));
        }
    }
    if let Some(symbol) = &source.symbol {
        out.extend(Instrument::new("x", symbol).err().map(|error| ("source.symbol", error.to_string())));
    }
    if !(1..=1_000_000_000).contains(&source.max_message_bytes) {
        out.push(("source.max_message_bytes", "must be 1 to 1000000000".into()));
    }
    match &source.csv {
        Some(_) if source.format != Format::Csv => {
            let detail = "a column map is of use for csv only: remove it, or set source.format to \"csv\"";
            out.push(("source.csv", detail.into()));
        }
        Some(map) => csv(map, out),
        None => {}
    }
    if source.format == Format::Csv {
        let map = source.csv.clone().unwrap_or_default();
        if map.symbol.is_none() && source.symbol.is_none() {
            let detail = "csv messages need a symbol: set source.symbol, or source.csv.symbol to its column";
            out.push(("source.symbol", detail.into()));
        }
        if map.venue.is_none() && source.venue.is_none() {
            let detail = "csv messages need a venue: set source.venue, or source.csv.venue to its column";
            out.push(("source.venue", detail.into()));
        }
    }
}

fn csv(map: &CsvSection, out: &mut Vec<Complaint>) {
    let columns = [
        ("source.csv.time", Some(map.time)),
        ("source.csv.price", Some(map.price)),
        ("source.csv.quantity", Some(map.quantity)),
        ("source.csv.id", map.id),
        ("source.csv.side", map.side),
        ("source.csv.symbol", map.symbol),
        ("source.csv.venue", map.venue),
    ];
    for (at, (field, column)) in columns.iter().enumerate() {
        let Some(column) = column else { continue };
        if *column == 0 {
            out.push((field, "columns count from 1".into()));
        } else if let Some((other, _)) = columns[..at].iter().find(|(_, earlier)| *earlier == Some(*column)) {
            out.push((field, format!("column {column} is that of {other} already")));
        }
    }
    if !map.delimiter.is_ascii() || matches!(map.delimiter, '"' | '\n' | '\r') {
        out.push(("source.csv.delimiter", "must be one ASCII character other than a quote or a line end".into()));
    }
    if map.signed && map.side.is_some() {
        let detail = "the sign of the quantity and source.csv.side both tell the side: choose one";
        out.push(("source.csv.signed", detail.into()));
    }
}

fn bars(bars: &BarsSection, out: &mut Vec<Complaint>) {
    if bars.intervals.is_empty() {
        out.push(("bars.intervals", "is empty: name at least one of 1s, 1m, 5m, 15m, 1h, 4h, 1d".into()));
    }
    for (at, interval) in bars.intervals.iter().enumerate() {
        if bars.intervals[..at].contains(interval) {
            out.push(("bars.intervals", format!("{interval} is named twice: remove one")));
        }
    }
    if !bars.tick.is_whole_ms() || bars.tick.as_ms() == 0 || bars.tick > MINUTE {
        out.push(("bars.tick", format!("must be whole milliseconds from 1ms to 1m, is {}", bars.tick)));
    }
    if bars.horizon < bars.lateness {
        let (horizon, lateness) = (bars.horizon, bars.lateness);
        let detail =
            format!("{horizon} is shorter than bars.lateness {lateness}: trades would be late for bars still open");
        out.push(("bars.horizon", detail));
    }
    if bars.horizon > MOST_HORIZON {
        out.push(("bars.horizon", format!("{} is longer than 720h, more than memory should hold", bars.horizon)));
    }
    if bars.skew > DAY {
        let detail =
            format!("{} is longer than 24h: trades dated so far ahead would make bars final too soon", bars.skew);
        out.push(("bars.skew", detail));
    }
    if let Cadence::Every(every) = bars.provisional_every {
        if every < bars.tick {
            let detail = format!("{every} is shorter than bars.tick {}: lengthen it, or shorten the tick", bars.tick);
            out.push(("bars.provisional_every", detail));
        } else if !every.is_whole_ms() {
            out.push(("bars.provisional_every", format!("must be whole milliseconds, is {every}")));
        }
    }
}

/// What is wrong with the views.
pub(super) fn features(features: &FeaturesSection, out: &mut Vec<Complaint>) {
    out.extend(features.known().err().map(|detail| ("features.define", detail)));
    if features.known().is_ok() {
        out.extend(features.resolve().err().map(|detail| ("features.views", detail)));
    }
}

fn scoring(config: &Config, out: &mut Vec<Complaint>) {
    let Config { control, scoring, source, features, .. } = config;
    if let Some(topic) = &control.topic {
        out.extend(illegal_topic(topic, TOPIC_LIMIT).map(|detail| ("control.topic", detail)));
        if source.topics.contains(topic) {
            out.push(("control.topic", format!("{topic:?} is read for trades already: choose another topic")));
        }
        if features.views.is_empty() && scoring.registry.is_some() {
            out.push(("features.views", "is empty, and models score rows of views: name at least one".into()));
        }
    }
    match (&control.topic, &scoring.registry) {
        (Some(_), None) if config.risk.is_none() => {
            let detail =
                "missing: promotions of control.topic are loaded from the registry of models; or add a [risk] section";
            out.push(("scoring.registry", detail.into()));
        }
        (None, Some(_)) => {
            let detail =
                "missing: without it nothing is promoted and nothing scored; name a topic, or remove scoring.registry";
            out.push(("control.topic", detail.into()));
        }
        _ => {}
    }
}

/// What is wrong with what is said of the rows of views, and with what is made of it.
pub(super) fn models(scoring: &ScoringSection, signals: &SignalsSection, out: &mut Vec<Complaint>) {
    if !(1..=4_096).contains(&scoring.history_rows) {
        out.push(("scoring.history_rows", "must be 1 to 4096".into()));
    }
    let SignalsSection { consider, act, universe, .. } = *signals;
    out.extend(signals_complaints(consider, act, universe));
}

/// What is wrong with thresholds of signals, wherever they come from.
pub fn signals_complaints(consider: f64, act: f64, universe: u32) -> Vec<Complaint> {
    let mut out = Vec::new();
    if !(0.5..=1.0).contains(&consider) {
        out.push(("signals.consider", format!("must be 0.5 to 1, is {consider}")));
    }
    if !(consider..=1.0).contains(&act) {
        out.push(("signals.act", format!("must be signals.consider to 1, is {act}")));
    }
    if universe == 0 {
        out.push(("signals.universe", "must be at least 1".to_owned()));
    }
    out
}

fn output_topics(kafka: &KafkaSection, source: &SourceSection, config: &Config, out: &mut Vec<Complaint>) {
    out.extend(kafka.brokers.as_deref().and_then(brokers).map(|detail| ("kafka.brokers", detail)));
    out.extend(illegal_topic(&kafka.prefix, PREFIX_LIMIT).map(|detail| ("kafka.prefix", detail)));
    if kafka.transactional_id.as_ref().is_some_and(|id| id.trim().is_empty()) {
        out.push(("kafka.transactional_id", "is empty: name the writer, or leave the field out".into()));
    }
    if kafka.transaction_timeout.as_ms() < 1_000 || kafka.transaction_timeout.as_ms() > 15 * 60_000 {
        // Brokers take no longer one unless they are configured to.
        out.push(("kafka.transaction_timeout", "must be 1s to 15m".into()));
    }
    if !(1..=10_000).contains(&kafka.partitions) {
        out.push(("kafka.partitions", "must be 1 to 10000".into()));
    }
    if kafka.replication != -1 && !(1..=100).contains(&kafka.replication) {
        out.push(("kafka.replication", "must be -1 (the broker's default) or 1 to 100".into()));
    }
    let is_same_cluster = kafka.brokers.as_ref().is_none_or(|brokers| *brokers == source.brokers);
    let is_read = |topic: &String| source.topics.contains(topic) || config.control.topic.as_ref() == Some(topic);
    for topic in config.output_topics().into_iter().filter(|topic| is_same_cluster && is_read(topic)) {
        let detail = format!("{topic:?} would be read and written, a circle without end: choose another prefix");
        out.push(("kafka.prefix", detail));
    }
}

fn lake_folder(lake: &LakeSection, bars: &BarsSection, out: &mut Vec<Complaint>) {
    if lake.path.as_os_str().is_empty() {
        out.push(("lake.path", "is empty: name the folder".into()));
    }
    if lake.commit_every < bars.tick || lake.commit_every > DAY {
        let detail = format!("{} must be at least bars.tick {} and at most 24h", lake.commit_every, bars.tick);
        out.push(("lake.commit_every", detail));
    }
    if lake.max_rows_per_file == 0 {
        out.push(("lake.max_rows_per_file", "must be at least 1".into()));
    }
    if lake.max_waiting_rows > 100_000_000 {
        out.push(("lake.max_waiting_rows", "must be at most 100000000: each takes a few hundred bytes".into()));
    }
    if !(1..=22).contains(&lake.zstd_level) {
        out.push(("lake.zstd_level", format!("must be 1 to 22, is {}", lake.zstd_level)));
    }
}

fn http_server(http: &HttpSection, bars: &BarsSection, out: &mut Vec<Complaint>) {
    let address = http.listen.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    if address.is_none_or(|(_, port)| port.parse::<u16>().is_err()) {
        out.push(("http.listen", format!("{:?} is no address: write host:port, as in 127.0.0.1:9464", http.listen)));
    }
    // A run at which nothing comes makes a tick a second.
    if http.stalled_after < TimeSpan::from_secs(2) || http.stalled_after < bars.tick {
        let detail = format!("{} must be at least 2s and bars.tick {}", http.stalled_after, bars.tick);
        out.push(("http.stalled_after", detail));
    }
}

fn brokers(brokers: &str) -> Option<String> {
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port > 0);
    for address in brokers.split(',').map(str::trim) {
        // A list in librdkafka may say the protocol too: `ssl://kafka:9093`.
        let host = address.split_once("://").map_or(address, |(_, host)| host);
        let is_good = match host.rsplit_once(':') {
            Some((name, port)) => !name.is_empty() && is_port(port),
            None => !host.is_empty(),
        };
        if !is_good || host.contains(char::is_whitespace) {
            return Some(format!("{address:?} is no address: write host:port, several with commas between"));
        }
    }
    None
}

/// Kafka's own rule for names of topics.
fn illegal_topic(name: &str, limit: usize) -> Option<String> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() {
        Some("is empty".into())
    } else if name.len() > limit {
        Some(format!("is longer than {limit} characters"))
    } else if name == "." || name == ".." || !name.bytes().all(is_legal) {
        Some("is no name for a topic: use letters, digits and ._-".into())
    } else {
        None
    }
}
