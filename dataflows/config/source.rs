//! The `[source]` section: the topics that trades and market records come from.

use super::Properties;
use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};
use tidewheel_connectors::decode::{Format, TimeUnit};

/// Where trades come from: topics of a Kafka cluster. No consumer group is joined and no offset committed; other readers of
/// the topics notice nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct SourceSection {
    /// Addresses of one or more brokers, `host:port` with commas between. The others are found through them.
    pub brokers: String,
    /// The topics to read, all partitions of each.
    pub topics: Vec<String>,
    /// The wire format: `auto` (told by the shape of each message), `canonical`, `binance`, `cryptofeed`, `bybit`,
    /// `coinbase`, `kraken` or `csv`. Name it where you know it: what is of another shape is then rejected, not guessed at.
    pub format: Format,
    /// The venue of messages that name none: lower case, `binance`. CSV without a venue column needs it.
    /// Example: `"binance"`
    pub venue: Option<String>,
    /// The symbol of messages that name none. CSV without a symbol column needs it.
    /// Example: `"BTCUSDT"`
    pub symbol: Option<String>,
    /// Where a first run begins: `earliest` (the oldest record there is) or `latest` (only what comes from now on). A run
    /// that resumes goes on where it ended.
    pub start: StartAt,
    /// Which records of transactions are read: `read_committed` (leaves out what producers rolled back) or
    /// `read_uncommitted`.
    pub isolation: IsolationLevel,
    /// The longest message, in bytes. Longer ones are rejected as `oversized`, with their first 64 KiB.
    pub max_message_bytes: u32,
    /// Whether `side` in Coinbase's Advanced Trade messages is the maker's. Sources disagree; off takes it as the taker's.
    pub coinbase_advanced_maker_side: bool,
    /// Whether best quotes, order books, mark prices, funding rates and liquidations are read beside the trades. If not, they
    /// are counted as ignored.
    pub market: bool,
    /// Further properties of the Kafka client, by librdkafka's names. Give passwords through the environment, as
    /// `TIDEWHEEL_SOURCE__PROPERTIES__SASL_PASSWORD`: values of secrets are never printed.
    /// Example: `{ "security.protocol" = "SASL_PLAINTEXT", "sasl.mechanism" = "PLAIN", "sasl.username" = "tidewheel" }`
    pub properties: Properties,
    /// Column map, for `format = "csv"` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub csv: Option<CsvSection>,
}

impl Default for SourceSection {
    fn default() -> Self {
        Self {
            brokers: "localhost:9092".into(),
            topics: vec!["trades".into()],
            format: Format::Auto,
            venue: None,
            symbol: None,
            start: StartAt::Earliest,
            isolation: IsolationLevel::ReadCommitted,
            max_message_bytes: 8 << 20,
            coinbase_advanced_maker_side: false,
            market: true,
            properties: Properties::default(),
            csv: None,
        }
    }
}

/// Where a first run begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartAt {
    /// At the oldest record there is.
    Earliest,
    /// After the newest record there is.
    Latest,
}

/// Which records of transactions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IsolationLevel {
    /// Those that were committed.
    ReadCommitted,
    /// All, as they are written.
    ReadUncommitted,
}

/// Which column of a CSV message holds what, by number from 1: messages of a topic have no header line. Only for
/// `format = "csv"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct CsvSection {
    /// The column of the trade time.
    pub time: u16,
    /// The column of the price.
    pub price: u16,
    /// The column of the quantity.
    pub quantity: u16,
    /// The column of the trade id. Without one a trade is identified by its topic, partition and offset.
    /// Example: `4`
    pub id: Option<u16>,
    /// The column of the aggressor's side: `buy`, `sell`, `b`, `s`, or `true` for buyer is maker.
    /// Example: `5`
    pub side: Option<u16>,
    /// The column of the symbol; without one `source.symbol` gives it.
    /// Example: `6`
    pub symbol: Option<u16>,
    /// The column of the venue; without one `source.venue` gives it.
    /// Example: `7`
    pub venue: Option<u16>,
    /// The unit of integer times: `s`, `ms`, `us`, `ns`, or `auto` (told by magnitude; also RFC 3339 text).
    pub time_unit: TimeUnit,
    /// Whether the sign of the quantity tells the aggressor's side: below zero for a seller.
    pub signed: bool,
    /// The character between columns.
    pub delimiter: char,
}

impl Default for CsvSection {
    fn default() -> Self {
        Self {
            time: 1,
            price: 2,
            quantity: 3,
            id: None,
            side: None,
            symbol: None,
            venue: None,
            time_unit: TimeUnit::Auto,
            signed: false,
            delimiter: ',',
        }
    }
}
