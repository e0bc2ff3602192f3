//! Decoders: the bytes of a message to trades, market records and records of accounts, by venue. Pure: no clock, no state from one block to the next.
//!
//! [`Decoder::decode`] turns a block of messages into columns of trades. Each JSON format is one file and one entry in
//! `DECODERS`; the shape of a message tells whose it is. Every message ends as trades, amendments, market records,
//! records of accounts or rejects, or as one count of what was ignored. Nothing here reads a file or a topic, and Parquet rows never come this way.

pub(crate) mod account;
mod auto;
mod binance;
mod bybit;
mod canonical;
mod coinbase;
mod cryptofeed;
mod csv;
mod fault;
mod field;
mod json;
mod kraken;
mod market;
mod output;
mod render;
pub(crate) mod time;

#[cfg(test)]
mod tests;

pub use account::render::render_account;
pub use render::{render_amendment, render_market, render_trade};

use crate::source::{DecodedChunk, MessageBlock};
use fault::Fault;
use json::{Object, Value};
use output::Output;

/// The wire format of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Told by the shape of each message.
    #[default]
    Auto,
    /// Tidewheel's own JSON.
    Canonical,
    /// Binance trade, aggTrade, bookTicker, depth, markPrice, forceOrder and funding rates: bare, in a combined-stream
    /// envelope, or JSON inside a JSON string.
    Binance,
    /// cryptofeed's Kafka backend.
    Cryptofeed,
    /// Bybit publicTrade, orderbook, tickers and liquidations.
    Bybit,
    /// Coinbase Exchange matches and Advanced Trade market_trades.
    Coinbase,
    /// Kraken websocket v1 and v2 trades, and REST trades.
    Kraken,
    /// Text in columns, by a [`CsvColumns`] map.
    Csv,
    /// Parquet rows with the canonical columns; read by `file`, not by a decoder.
    Parquet,
}

/// What the decoder must be told because the messages do not say.
#[derive(Clone, Debug)]
pub struct DecodeConfig {
    /// The format.
    pub format: Format,
    /// The venue of messages that name none.
    pub venue: Option<String>,
    /// The symbol of messages that name none.
    pub symbol: Option<String>,
    /// The columns of CSV files.
    pub csv: CsvColumns,
    /// Whether `side` in Coinbase's Advanced Trade feed is the maker's, as it is in the Exchange feed. Sources disagree; the
    /// default takes it as the taker's.
    pub coinbase_advanced_maker_side: bool,
    /// Whether quotes, books, marks, funding and liquidations are decoded; if not, they are counted as ignored.
    pub market: bool,
    /// Whether fills, cash, order intents and what belongs to them are decoded; if not, they are counted as ignored.
    pub account: bool,
}

impl Default for DecodeConfig {
    fn default() -> Self {
        Self {
            format: Format::default(),
            venue: None,
            symbol: None,
            csv: CsvColumns::default(),
            coinbase_advanced_maker_side: false,
            market: true,
            account: true,
        }
    }
}

/// The unit of an integer time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TimeUnit {
    /// Told by magnitude; also RFC 3339 text.
    #[default]
    Auto,
    /// Seconds, with decimals.
    S,
    /// Milliseconds.
    Ms,
    /// Microseconds.
    Us,
    /// Nanoseconds.
    Ns,
}

/// Which CSV column holds what, by header name or by number from 1.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CsvColumns {
    /// The trade time.
    pub time: String,
    /// The price.
    pub price: String,
    /// The quantity; negative means that the taker sold where `signed` is set.
    pub quantity: String,
    /// The trade id; without one a record is identified by its source position.
    pub id: Option<String>,
    /// The aggressor's side: `buy`, `sell`, `b`, `s`, `true` for buyer-is-maker where the column is `is_buyer_maker`.
    pub side: Option<String>,
    /// The symbol; without one `--symbol` gives it.
    pub symbol: Option<String>,
    /// The venue; without one `--venue` gives it.
    pub venue: Option<String>,
    /// The unit of the time column.
    pub time_unit: TimeUnit,
    /// Whether the sign of the quantity tells the aggressor's side.
    pub signed: bool,
    /// The separator.
    pub delimiter: char,
    /// Whether the first line names the columns.
    pub header: bool,
}

impl Default for CsvColumns {
    fn default() -> Self {
        Self {
            time: "time".into(),
            price: "price".into(),
            quantity: "quantity".into(),
            id: None,
            side: None,
            symbol: None,
            venue: None,
            time_unit: TimeUnit::Auto,
            signed: false,
            delimiter: ',',
            header: true,
        }
    }
}

/// Decodes blocks of messages. Cheap to clone; the same block always gives the same chunk.
#[derive(Clone, Debug)]
pub struct Decoder {
    config: std::sync::Arc<DecodeConfig>,
}

impl Decoder {
    /// A decoder for a format.
    pub fn new(config: DecodeConfig) -> Self {
        Self { config: std::sync::Arc::new(config) }
    }

    /// Decodes a block. Never fails: what cannot be decoded is a reject in the result.
    pub fn decode(&self, mut block: MessageBlock) -> DecodedChunk {
        let mut out = Output::new(&self.config, &block);
        let may_be_table = matches!(self.config.format, Format::Csv | Format::Auto);
        let instruments = account::csv::Layout::of(&self.config, block.header.as_deref().filter(|_| may_be_table));
        match self.config.format {
            Format::Csv | Format::Auto if let Some(layout) = &instruments => {
                account::csv::decode_block(layout, &block, &mut out);
            }
            Format::Csv => csv::decode_block(&self.config, &block, &mut out),
            Format::Parquet => reject_all(&block, &Fault::ParquetMessage, &mut out),
            format => auto::decode_block(format, &block, &mut out),
        }
        let mut chunk = out.finish();
        if !block.rejects.is_empty() {
            chunk.rejects.append(&mut block.rejects);
            // Stable: what the source could not cut out stands where it stood.
            chunk.rejects.sort_by_key(|reject| reject.position);
        }
        chunk.raw = Some(block);
        chunk
    }
}

fn reject_all(block: &MessageBlock, fault: &Fault, out: &mut Output<'_>) {
    for message in &block.messages {
        out.begin_message(message);
        out.reject(fault);
        out.end_message();
    }
}

/// Whether a decoder knows the shape of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Recognised {
    /// It does, and has put into the output what was in it.
    Yes,
    /// It does not, and has put nothing there.
    No,
}

/// Decodes one object: the message, room for an object inside it, and where to put what is found.
type DecodeObject = for<'a> fn(&Object<'a>, &mut Object<'a>, &mut Output<'_>) -> Result<Recognised, Fault>;
/// Decodes one array.
type DecodeArray = for<'a> fn(Value<'a>, &mut Output<'_>) -> Result<Recognised, Fault>;

/// The decoder of one JSON format.
struct JsonDecoder {
    format: Format,
    name: &'static str,
    object: DecodeObject,
    array: Option<DecodeArray>,
}

/// All JSON formats. [`Format::Auto`] takes the first that knows a message.
const DECODERS: [JsonDecoder; 6] = [
    JsonDecoder { format: Format::Canonical, name: "canonical", object: canonical::decode, array: None },
    JsonDecoder { format: Format::Binance, name: "binance", object: binance::decode, array: None },
    JsonDecoder { format: Format::Cryptofeed, name: "cryptofeed", object: cryptofeed::decode, array: None },
    JsonDecoder { format: Format::Bybit, name: "bybit", object: bybit::decode, array: None },
    JsonDecoder { format: Format::Coinbase, name: "coinbase", object: coinbase::decode, array: None },
    JsonDecoder { format: Format::Kraken, name: "kraken", object: kraken::decode, array: Some(kraken::decode_array) },
];
