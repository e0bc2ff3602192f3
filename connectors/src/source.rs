//! What every source hands on: blocks of raw messages or rows, in the order of their partition, and what decoding makes of
//! them.

use std::collections::BTreeMap;
use tidewheel_schemas::{AccountContent, AccountRecord, Amendment, MarketRecord, Reject, TradeColumns};

/// Raw messages of one source partition, in its order.
#[derive(Clone, Debug, Default)]
pub struct MessageBlock {
    /// The source partition: the number of the file in the run, or of the Kafka partition.
    pub partition: u32,
    /// The bytes of all messages.
    pub bytes: Vec<u8>,
    /// Where each lies in `bytes`, positions ascending.
    pub messages: Vec<Message>,
    /// For CSV, the file's header line.
    pub header: Option<std::sync::Arc<str>>,
    /// Records that could not even be cut out of the source: too large, truncated.
    pub rejects: Vec<Reject>,
    /// One past the last position of the block, `rejects` included.
    pub end_position: u64,
}

/// One raw message inside a [`MessageBlock`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message {
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
    /// Offset in the Kafka partition, or line number from 1.
    pub position: u64,
    /// When it was received, where the source tells.
    pub receive_time_ns: Option<i64>,
}

impl MessageBlock {
    /// The bytes of a message.
    pub fn payload(&self, message: &Message) -> &[u8] {
        &self.bytes[message.start as usize..message.end as usize]
    }

    /// The bytes of the message at a position, if the block has it.
    pub fn payload_at(&self, position: u64) -> Option<&[u8]> {
        let found = self.messages.binary_search_by_key(&position, |message| message.position).ok()?;
        Some(self.payload(&self.messages[found]))
    }

    /// Appends a message.
    ///
    /// # Panics
    /// If the block grows beyond 4 GiB.
    pub fn push(&mut self, payload: &[u8], position: u64, receive_time_ns: Option<i64>) {
        let start = u32::try_from(self.bytes.len()).expect("a block stays below 4 GiB");
        self.bytes.extend_from_slice(payload);
        let end = u32::try_from(self.bytes.len()).expect("a block stays below 4 GiB");
        self.messages.push(Message { start, end, position, receive_time_ns });
        self.end_position = position + 1;
    }
}

/// What a block decodes to. Every message ends as trades, amendments, a reject, or a count of what was ignored.
#[derive(Clone, Debug, Default)]
pub struct DecodedChunk {
    /// Trades, in source order; positions never go back.
    pub columns: TradeColumns,
    /// Cancels and corrections, in source order.
    pub amendments: Vec<Amendment>,
    /// Quotes, books, marks, funding and liquidations, in source order.
    pub market: Vec<MarketRecord>,
    /// Fills and what became of them, cash, order intents and their ends, reference data, in source order.
    pub account: Vec<AccountRecord>,
    /// Dead letters, in source order.
    pub rejects: Vec<Reject>,
    /// Messages of types not handled, by type (`binance:depthUpdate`), with the number of them.
    pub ignored: BTreeMap<String, u64>,
    /// One past the last position of the block.
    pub end_position: u64,
    /// The raw messages, from which later rejects take their bytes. None for sources without text.
    pub raw: Option<MessageBlock>,
}

impl DecodedChunk {
    /// Keeps the trades, market records and records of accounts from `from_ns` on and before `to_ns`, and the amendments unless the time of
    /// their trade or fill is known to lie outside. Rejects and ignored messages are kept: they have no time. So is reference data: it
    /// holds at all times.
    pub fn retain_between(&mut self, from_ns: i64, to_ns: i64) {
        let is_inside = |time: i64| from_ns <= time && time < to_ns;
        self.amendments.retain(|amendment| amendment.original_time_ns.is_none_or(is_inside));
        self.market.retain(|record| is_inside(record.event_time_ns));
        self.account.retain(|record| match &record.content {
            AccountContent::Reference(_) => true,
            AccountContent::FillAmendment(amendment) => amendment.original_time_ns.is_none_or(is_inside),
            _ => is_inside(record.event_time_ns),
        });
        let all = &self.columns;
        if all.event_time_ns.iter().all(|&time| is_inside(time)) {
            return;
        }
        let mut kept =
            TradeColumns { partition: all.partition, instruments: all.instruments.clone(), ..TradeColumns::default() };
        for row in (0..all.len()).filter(|&row| is_inside(all.event_time_ns[row])) {
            kept.push(all.instrument[row], &all.trade(row), all.position[row]);
            kept.receive_time_ns.extend(all.receive_time_ns.get(row));
        }
        self.columns = kept;
    }
}

/// A piece of a source, read but not yet decoded; decoding it is pure and may happen on any thread.
pub enum Work {
    /// Text or JSON messages, for [`crate::decode::Decoder`].
    Messages(MessageBlock),
    /// Rows that a columnar reader decodes by itself.
    Rows(Box<dyn FnOnce() -> DecodedChunk + Send>),
}

/// How far a reader has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Units done: bytes of a file (as stored, compressed or not) or messages of a topic partition.
    pub done: u64,
    /// Units in all, as known now.
    pub total: u64,
}

/// Reads one source partition from its start to its end.
pub trait PartitionReader: Send {
    /// What to call the partition in messages: a path, or `topic[3]`.
    fn name(&self) -> &str;

    /// The next piece, or nothing at the end. A truncated or damaged tail is a reject in the last piece, not an error.
    ///
    /// # Errors
    /// If the source cannot be read.
    fn read(&mut self) -> Result<Option<Work>, SourceError>;

    /// How far it has come.
    fn progress(&self) -> Progress;
}

/// A source that cannot be read. The message names it and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file that cannot be opened or read.
    #[error("could not read {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A Parquet file whose schema or pages cannot be understood.
    #[error("could not read Parquet file {path}: {detail}")]
    Parquet {
        /// The file.
        path: String,
        /// Why.
        detail: String,
    },
    /// A pattern without files, a column map that names no column, and the like.
    #[error("{0}")]
    Input(String),
    /// Kafka cannot be reached, or a topic is missing.
    #[error("{0}")]
    Kafka(String),
}
