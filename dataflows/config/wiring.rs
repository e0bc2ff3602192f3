//! The configuration in the words of those who are configured: sources, decoders, the graph, sinks.

use super::{Cadence, Config, IsolationLevel, LogPlace, StartAt, computed};
use crate::pipeline::PipelineConfig;
use crate::scoring::{Desk, ScoringRules};
use crate::tables::Tables;
use crate::ticks::TickConfig;
use std::path::PathBuf;
use std::time::Duration;
use tidewheel_connectors::decode::{CsvColumns, DecodeConfig};
use tidewheel_connectors::kafka::sink::KafkaSinkConfig;
use tidewheel_connectors::kafka::source::{Isolation, KafkaSourceConfig, Start};
use tidewheel_connectors::lake::{LakeConfig, OnExisting};
use tidewheel_operators::features::{QualityBounds, View};
use tidewheel_operators::intake::IntakeLimits;
use tidewheel_operators::risk::RiskConfig;

impl Config {
    /// Threads that compute: as configured, else one a core.
    pub fn worker_count(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.workers.map_or_else(cores, usize::from)
    }

    /// How the topics are read. A run that resumes puts its own offsets in the place of the start.
    pub fn kafka_source(&self) -> KafkaSourceConfig {
        let source = &self.source;
        KafkaSourceConfig {
            topics: source.topics.iter().chain(&self.control.topic).cloned().collect(),
            start: match source.start {
                StartAt::Earliest => Start::Earliest,
                StartAt::Latest => Start::Latest,
            },
            // What was promoted before the run began is in force when it begins.
            from_oldest: self.control.topic.iter().cloned().collect(),
            isolation: match source.isolation {
                IsolationLevel::ReadCommitted => Isolation::ReadCommitted,
                IsolationLevel::ReadUncommitted => Isolation::ReadUncommitted,
            },
            properties: source.properties.reveal().clone(),
            max_message_bytes: source.max_message_bytes as usize,
            ..KafkaSourceConfig::new(&source.brokers, &[])
        }
    }

    /// How messages are decoded.
    pub fn decode(&self) -> DecodeConfig {
        let source = &self.source;
        let map = source.csv.clone().unwrap_or_default();
        let column = |number: u16| number.to_string();
        DecodeConfig {
            format: source.format,
            venue: source.venue.clone(),
            symbol: source.symbol.clone(),
            csv: CsvColumns {
                time: column(map.time),
                price: column(map.price),
                quantity: column(map.quantity),
                id: map.id.map(column),
                side: map.side.map(column),
                symbol: map.symbol.map(column),
                venue: map.venue.map(column),
                time_unit: map.time_unit,
                signed: map.signed,
                delimiter: map.delimiter,
                header: false,
            },
            coinbase_advanced_maker_side: source.coinbase_advanced_maker_side,
            market: source.market,
            account: true,
        }
    }

    /// What the graph computes.
    pub fn pipeline(&self) -> PipelineConfig {
        PipelineConfig {
            intervals: self.bars.intervals.clone(),
            lateness_ns: self.bars.lateness.as_ns(),
            horizon_ns: self.bars.horizon.as_ns(),
            archive: self.lake().is_some_and(|lake| lake.archive),
            is_saved: self.snapshot_every().is_some(),
            views: self.views(),
            scoring: self.scoring_rules(),
            min_quality: self.min_quality(),
            hourly_volume: self.bars.hourly_volume,
            risk: self.risk_config(),
        }
    }

    /// What risk computes, where it does.
    pub fn risk_config(&self) -> Option<RiskConfig> {
        Some(self.risk.as_ref()?.resolve(self.bars.horizon.as_ns()))
    }

    /// The views to compute: validated, so that none is unknown.
    pub fn views(&self) -> Vec<View> {
        self.features.resolve().unwrap_or_default()
    }

    /// How rows are scored, where they are.
    pub fn scoring_rules(&self) -> Option<ScoringRules> {
        self.scoring.registry.as_ref()?;
        Some(computed::scoring_rules(self.control.topic.as_deref()?, &self.scoring, &self.signals))
    }

    /// Where promotions are decided: all are refused where no rows are scored. None without a control topic.
    pub fn desk(&self) -> Option<Desk> {
        self.control.topic.as_ref()?;
        let scored = self.scoring_rules().zip(self.scoring.registry.as_ref());
        Some(match scored {
            Some((rules, registry)) => Desk::new(registry, self.views(), rules.history_rows),
            None => Desk::without_models(),
        })
    }

    /// What events tell of rows, if anything.
    pub fn min_quality(&self) -> Option<QualityBounds> {
        self.features.bounds()
    }

    /// The tables beside the bars.
    pub fn tables(&self) -> Tables {
        self.pipeline().tables()
    }

    /// Where a run keeps its log of ticks and its snapshots.
    pub fn state_folder(&self) -> PathBuf {
        match (&self.recovery.folder, self.lake()) {
            (Some(folder), _) => folder.clone(),
            (None, Some(lake)) => lake.path.join("_tidewheel"),
            (None, None) => "tidewheel-state".into(),
        }
    }

    /// How often snapshots are taken, if they are.
    pub const fn snapshot_every(&self) -> Option<Duration> {
        match self.recovery.snapshot_every {
            Cadence::Never => None,
            Cadence::Every(every) => Some(every.as_duration()),
        }
    }

    /// How ticks are judged.
    pub fn ticks(&self) -> TickConfig {
        TickConfig {
            limits: IntakeLimits { horizon_ns: self.bars.horizon.as_ns(), skew_ns: self.bars.skew.as_ns() },
            provisional_every_ms: match self.bars.provisional_every {
                Cadence::Never => None,
                Cadence::Every(every) => Some(every.as_ms()),
            },
        }
    }

    /// How bars are written to Kafka, where that is on. `run` stands in the progress records, for people.
    pub fn kafka_sink(&self, run: &str) -> Option<KafkaSinkConfig> {
        let kafka = self.kafka()?;
        let brokers = kafka.brokers.as_deref().unwrap_or(&self.source.brokers);
        let sink = KafkaSinkConfig::new(brokers, &kafka.prefix);
        Some(KafkaSinkConfig {
            transactional_id: kafka.transactional_id.clone().unwrap_or(sink.transactional_id),
            properties: kafka.properties.reveal().clone(),
            intervals: self.bars.intervals.clone(),
            tables: self.tables().specs().to_vec(),
            create_topics: kafka.create_topics,
            partitions: kafka.partitions.into(),
            replication: kafka.replication.into(),
            transactions: kafka.transactions,
            log: self.recovery.log == LogPlace::Kafka,
            transaction_timeout: kafka.transaction_timeout.as_duration(),
            run: run.to_owned(),
            ..sink
        })
    }

    /// How bars are written to the lake, where that is on, from source partitions of these names.
    pub fn lake_sink(&self, sources: Vec<String>, on_existing: OnExisting) -> Option<LakeConfig> {
        let lake = self.lake()?;
        Some(LakeConfig {
            intervals: self.bars.intervals.clone(),
            tables: self.tables().specs().to_vec(),
            archive: lake.archive,
            changelog: lake.changelog,
            zstd_level: lake.zstd_level.into(),
            max_rows_per_file: lake.max_rows_per_file as usize,
            threads: self.worker_count().min(4),
            sources,
            on_existing,
            ..LakeConfig::new(&lake.path)
        })
    }

    /// The names of the topics that bars and what belongs to them go to; none where that is off.
    pub fn output_topics(&self) -> Vec<String> {
        let Some(kafka) = self.kafka() else { return Vec::new() };
        let bars = self.bars.intervals.iter().map(|interval| format!("bars.{interval}"));
        let tables = self.tables().specs().iter().map(|table| table.name()).collect::<Vec<_>>();
        let others = ["rejects", "late", "progress"].into_iter().map(str::to_owned);
        let log = (self.recovery.log == LogPlace::Kafka).then(|| "bindings".to_owned());
        bars.chain(tables).chain(others).chain(log).map(|suffix| format!("{}.{suffix}", kafka.prefix)).collect()
    }
}
