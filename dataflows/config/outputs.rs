//! The `[kafka]` and `[lake]` sections: where bars go.

use super::{Properties, TimeSpan};
use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Bars out to Kafka: `PREFIX.bars.1m` and so on, `PREFIX.rejects`, `PREFIX.late`, `PREFIX.progress`. Leave the section out
/// to write none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct KafkaSection {
    /// Turns the output off without removing its settings.
    pub enabled: bool,
    /// Brokers to write to, `host:port` with commas between; without it those of the source.
    /// Example: `"kafka-2:9092"`
    pub brokers: Option<String>,
    /// What the names of the topics begin with.
    pub prefix: String,
    /// Names this writer over restarts: a second process of the same name stops the first. Without it `tidewheel-PREFIX`.
    /// Example: `"tidewheel-prod"`
    pub transactional_id: Option<String>,
    /// Whether topics that are missing are created. If not, the run refuses to start and says what to create.
    pub create_topics: bool,
    /// Partitions of topics that are created. All bars of an instrument go to one partition.
    pub partitions: u16,
    /// Replicas of topics that are created; -1 leaves it to the broker.
    pub replication: i16,
    /// Whether records are written exactly once, in transactions. Off is faster and writes some twice after a crash.
    pub transactions: bool,
    /// How long a transaction may stay open: so long may readers of committed records wait behind one that a killed process
    /// left open and that was not started again. A broker that is away for longer costs the open tick a second writing.
    pub transaction_timeout: TimeSpan,
    /// Further properties of the Kafka client, by librdkafka's names. The source's are not taken over.
    /// Example: `{ "compression.type" = "zstd", "linger.ms" = 5 }`
    pub properties: Properties,
}

impl Default for KafkaSection {
    fn default() -> Self {
        Self {
            enabled: true,
            brokers: None,
            prefix: "tidewheel".into(),
            transactional_id: None,
            create_topics: true,
            partitions: 8,
            replication: -1,
            transactions: true,
            transaction_timeout: TimeSpan::from_secs(10),
            properties: Properties::default(),
        }
    }
}

/// Bars out to a folder of Parquet files that DuckDB, Polars, pandas and Spark read as they are. Leave the section out to
/// write none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct LakeSection {
    /// Turns the output off without removing its settings.
    pub enabled: bool,
    /// The folder; made if need be. A lake has one writer at a time.
    pub path: PathBuf,
    /// Whether the trades that were taken in are kept, so that the lake can replay itself.
    pub archive: bool,
    /// Whether every published version of each bar is kept, beside the newest.
    pub changelog: bool,
    /// How often a commit makes what was published visible in the lake. Shorter commits make more and smaller files.
    pub commit_every: TimeSpan,
    /// Rows of a file at most; a commit cuts what is longer into files of even length.
    pub max_rows_per_file: u32,
    /// Compression, from 1 (fast) to 22 (small).
    pub zstd_level: u8,
    /// Rows that may wait in memory while the lake cannot be written, a few hundred bytes each. The topics go on until then;
    /// after that the run stops reading until the lake can be written again.
    pub max_waiting_rows: u32,
}

impl Default for LakeSection {
    fn default() -> Self {
        Self {
            enabled: true,
            path: "lake".into(),
            archive: true,
            changelog: true,
            commit_every: TimeSpan::from_secs(30),
            max_rows_per_file: 500_000,
            zstd_level: 1,
            max_waiting_rows: 1_000_000,
        }
    }
}
