//! Where decoders put what they find, so that every message ends somewhere: in trades, amendments, market records, records of
//! accounts, a reject, or a count.
//!
//! It names instruments once per chunk, numbers the trades inside a message, and remembers the message at hand for position
//! ids and rejects. It knows no format.

use super::DecodeConfig;
use super::fault::Fault;
use super::time;
use crate::source::{DecodedChunk, Message, MessageBlock};
use std::collections::HashMap;
use std::sync::Arc;
use tidewheel_schemas::{
    AccountContent, AccountRecord, AggressorSide, Amendment, Change, DecimalError, Instrument, InstrumentError,
    MarketContent, MarketRecord, OWN_LETTERS, Reject, RejectReason, Trade, TradeId, TradeKind, is_notional_in_range,
};

/// A trade as a decoder read it. Without an id, its place in the source names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecodedTrade {
    pub event_time_ns: i64,
    pub id: Option<TradeId>,
    pub price_e8: i64,
    pub quantity_e8: i64,
    pub count: u32,
    pub side: AggressorSide,
    pub kind: TradeKind,
    /// The payload's own receive time, used where the source tells none.
    pub receive_time_ns: Option<i64>,
}

/// A cancel or a correction as a decoder read it.
#[derive(Clone, Copy, Debug)]
pub(super) struct DecodedAmendment {
    pub id: TradeId,
    pub change: Change,
    pub original_time_ns: Option<i64>,
    pub sequence: i64,
    pub receive_time_ns: Option<i64>,
}

/// A market record as a decoder read it. Without a time, that of the receipt is its event time.
#[derive(Clone, Debug)]
pub(super) struct DecodedRecord {
    pub event_time_ns: Option<i64>,
    /// Whether that is no time of the venue all the same.
    pub is_timeless: bool,
    /// The payload's own receive time, used where the source tells none.
    pub receive_time_ns: Option<i64>,
    pub content: MarketContent,
}

/// A record of an account as a decoder read it.
#[derive(Clone, Debug)]
pub(super) struct DecodedAccount {
    /// What the record tells of its own time; else that of the receipt counts.
    pub event_time_ns: Option<i64>,
    /// What counts where nobody tells of the receipt either.
    pub else_ns: Option<i64>,
    /// The payload's own receive time, used where the source tells none.
    pub receive_time_ns: Option<i64>,
    pub content: AccountContent,
}

/// Messages ignored under one name.
#[derive(Debug)]
struct Ignored {
    format: &'static str,
    kind: Box<[u8]>,
    count: u64,
}

/// The chunk in the making, and the message at hand.
pub(super) struct Output<'b> {
    /// What the messages do not say.
    pub config: &'b DecodeConfig,
    block: &'b MessageBlock,
    chunk: DecodedChunk,
    instruments: Instruments,
    /// The instruments of other records, which are not those of the columns.
    of_others: (Instruments, Vec<Instrument>),
    ignored: Vec<Ignored>,
    message: Message,
    /// Whether the message at hand has yielded something.
    has_ended: bool,
    /// What to count the message at hand under, if it yields nothing else.
    ignored_as: Option<usize>,
    /// Trades begun in the message at hand.
    begun: u64,
    /// The receive time of a note around the message at hand.
    noted_receive_time_ns: Option<i64>,
    /// The symbol that a note around the message at hand asked for.
    noted_symbol: Option<Box<[u8]>>,
    /// How many levels a side of a book it asked for.
    noted_depth: Option<u32>,
    /// Market records and records of accounts of the message at hand.
    records: u32,
    /// The bytes of the message at hand, once something keeps them.
    raw: Option<Arc<[u8]>>,
    /// Dead letters of single records of the message at hand.
    own_letters: usize,
    /// Of those that the other refused records share, one a reason: where they are.
    shared_letters: Vec<usize>,
}

impl<'b> Output<'b> {
    /// An empty chunk for a block.
    pub(super) fn new(config: &'b DecodeConfig, block: &'b MessageBlock) -> Self {
        let mut chunk = DecodedChunk { end_position: block.end_position, ..DecodedChunk::default() };
        chunk.columns.partition = block.partition;
        chunk.columns.reserve(block.messages.len());
        Self {
            config,
            block,
            chunk,
            instruments: Instruments::default(),
            of_others: Default::default(),
            ignored: Vec::new(),
            message: Message { start: 0, end: 0, position: 0, receive_time_ns: None },
            has_ended: true,
            ignored_as: None,
            begun: 0,
            noted_receive_time_ns: None,
            noted_symbol: None,
            noted_depth: None,
            records: 0,
            raw: None,
            own_letters: 0,
            shared_letters: Vec::new(),
        }
    }

    /// The venue of messages that name none.
    pub(super) fn venue_or(&self, default: &'b str) -> &'b [u8] {
        self.config.venue.as_deref().unwrap_or(default).as_bytes()
    }

    /// Turns to a message.
    #[inline]
    pub(super) fn begin_message(&mut self, message: &Message) {
        self.message = *message;
        self.has_ended = false;
        self.ignored_as = None;
        self.begun = 0;
        self.noted_receive_time_ns = None;
        self.noted_symbol = None;
        self.noted_depth = None;
        self.records = 0;
        self.raw = None;
        self.own_letters = 0;
        self.shared_letters.clear();
    }

    /// Closes the message at hand: if nothing came of it, it counts as ignored.
    #[inline]
    pub(super) fn end_message(&mut self) {
        if !self.has_ended {
            if self.ignored_as.is_none() {
                self.ignore("message", b"without_trades");
            }
            if let Some(at) = self.ignored_as {
                self.ignored[at].count += 1;
            }
        }
    }

    /// Turns to the next trade of a message that may hold several.
    #[inline]
    pub(super) fn begin_trade(&mut self) {
        self.begun += 1;
    }

    /// Notes when a message was received, for sources that do not tell.
    pub(super) fn note_receive_time(&mut self, receive_time_ns: Option<i64>) {
        self.noted_receive_time_ns = receive_time_ns;
    }

    /// Notes the symbol and the number of levels that were asked for, for answers that name none.
    pub(super) fn note_question(&mut self, symbol: Option<&[u8]>, depth: Option<u32>) {
        (self.noted_symbol, self.noted_depth) = (symbol.map(Into::into), depth);
    }

    /// How many levels a side the question of the message at hand asked for, where there is one that says so.
    pub(super) const fn depth_asked(&self) -> Option<u32> {
        self.noted_depth
    }

    /// The symbol of a message that names none: what was asked for, or as configured; empty where nobody knows.
    pub(super) fn symbol_around(&self) -> Box<[u8]> {
        let configured = || self.config.symbol.as_deref().unwrap_or_default().as_bytes().into();
        self.noted_symbol.clone().unwrap_or_else(configured)
    }

    /// Adds a trade.
    ///
    /// # Errors
    /// If venue and symbol do not name an instrument, the trade has neither an id nor a place in the message, or price
    /// times quantity is too large for the bars it would be added to.
    #[inline]
    pub(super) fn trade(&mut self, venue: &[u8], symbol: &[u8], trade: DecodedTrade) -> Result<(), Fault> {
        if !is_notional_in_range(trade.price_e8, trade.quantity_e8) {
            return Err(Fault::Decimal("price times quantity", DecimalError::OutOfRange));
        }
        let columns = &mut self.chunk.columns;
        let instrument = self.instruments.index_of(&mut columns.instruments, venue, symbol)?;
        let id = match trade.id {
            Some(id) => id,
            None => {
                let index = u16::try_from(self.begun.saturating_sub(1))
                    .map_err(|_| Fault::TradeIdForm("missing on a trade beyond the 65536th of a message"))?;
                TradeId::position(self.block.partition, self.message.position, index)
            }
        };
        let receive_time_ns = self.message.receive_time_ns.or(self.noted_receive_time_ns).or(trade.receive_time_ns);
        if receive_time_ns.is_some() || !columns.receive_time_ns.is_empty() {
            // Rows before the first with a receive time get to know that they have none.
            columns.receive_time_ns.resize(columns.len(), i64::MIN);
            columns.receive_time_ns.push(receive_time_ns.unwrap_or(i64::MIN));
        }
        let row = Trade {
            event_time_ns: trade.event_time_ns,
            id,
            price_e8: trade.price_e8,
            quantity_e8: trade.quantity_e8,
            count: trade.count,
            side: trade.side,
            kind: trade.kind,
        };
        columns.push(instrument, &row, self.message.position);
        self.has_ended = true;
        Ok(())
    }

    /// Adds a cancel or a correction.
    ///
    /// # Errors
    /// If venue and symbol do not name an instrument.
    pub(super) fn amendment(&mut self, venue: &[u8], symbol: &[u8], found: DecodedAmendment) -> Result<(), Fault> {
        let amendment = Amendment {
            instrument: instrument_of(venue, symbol)?,
            id: found.id,
            change: found.change,
            original_time_ns: found.original_time_ns,
            sequence: found.sequence,
            partition: self.block.partition,
            position: self.message.position,
            receive_time_ns: self.message.receive_time_ns.or(self.noted_receive_time_ns).or(found.receive_time_ns),
            raw: self.raw(),
        };
        self.chunk.amendments.push(amendment);
        self.has_ended = true;
        Ok(())
    }

    /// Adds a market record.
    ///
    /// # Errors
    /// If venue and symbol do not name an instrument, neither the message nor its source tells a time, or the message holds
    /// more records than can be told apart.
    pub(super) fn market(&mut self, venue: &[u8], symbol: &[u8], found: DecodedRecord) -> Result<(), Fault> {
        let instrument = self.instrument(venue, symbol)?;
        let receive_time_ns = self.message.receive_time_ns.or(self.noted_receive_time_ns).or(found.receive_time_ns);
        let event_time_ns = match found.event_time_ns {
            Some(time) => time,
            None => time::possible(receive_time_ns.ok_or(Fault::NoTime)?).ok_or(Fault::NoTime)?,
        };
        let index = self.next_index()?;
        self.chunk.market.push(MarketRecord {
            instrument,
            event_time_ns,
            is_timeless: found.is_timeless || found.event_time_ns.is_none(),
            partition: self.block.partition,
            position: self.message.position,
            index,
            receive_time_ns,
            content: found.content,
        });
        self.has_ended = true;
        Ok(())
    }

    /// Adds a record of an account.
    ///
    /// # Errors
    /// If nobody tells a time for it, or the message holds more records than can be told apart.
    pub(super) fn account(&mut self, found: DecodedAccount) -> Result<(), Fault> {
        let receive_time_ns = self.message.receive_time_ns.or(self.noted_receive_time_ns).or(found.receive_time_ns);
        let received_ns = receive_time_ns.and_then(time::possible);
        let event_time_ns = found.event_time_ns.or(received_ns).or(found.else_ns).ok_or(Fault::NoTime)?;
        let index = self.next_index()?;
        self.chunk.account.push(AccountRecord {
            event_time_ns,
            partition: self.block.partition,
            position: self.message.position,
            index,
            receive_time_ns,
            content: found.content,
        });
        self.has_ended = true;
        Ok(())
    }

    /// The instrument of a record that is no trade; each is named once.
    ///
    /// # Errors
    /// If venue and symbol do not name one.
    pub(super) fn instrument(&mut self, venue: &[u8], symbol: &[u8]) -> Result<Instrument, InstrumentError> {
        let (instruments, known) = &mut self.of_others;
        let index = instruments.index_of(known, venue, symbol)?;
        Ok(known[index as usize].clone())
    }

    fn next_index(&mut self) -> Result<u16, Fault> {
        let beyond = |_| Fault::Value("message", "holds more than 65536 records beside its trades");
        let index = u16::try_from(self.records).map_err(beyond)?;
        self.records += 1;
        Ok(index)
    }

    /// Counts the message at hand under `format:kind` unless it yields something after all.
    #[inline]
    pub(super) fn ignore(&mut self, format: &'static str, kind: &[u8]) {
        if self.ignored_as.is_some() {
            return;
        }
        let found = self.ignored.iter().position(|known| *known.kind == *kind && known.format == format);
        self.ignored_as = Some(found.unwrap_or_else(|| {
            self.ignored.push(Ignored { format, kind: kind.into(), count: 0 });
            self.ignored.len() - 1
        }));
    }

    /// Turns the message at hand into a dead letter.
    #[cold]
    pub(super) fn reject(&mut self, fault: &Fault) {
        self.dead_letter(fault.reason(), fault.to_string());
    }

    /// Turns one trade of the message at hand into a dead letter that names it. The others stand.
    #[cold]
    pub(super) fn reject_trade(&mut self, fault: &Fault) {
        self.dead_letter(fault.reason(), format!("trade {} of the message: {fault}", self.begun));
    }

    /// Turns one market record of the message at hand into a dead letter that names it, from 1. The others stand.
    #[cold]
    pub(super) fn reject_record(&mut self, number: usize, fault: &Fault) {
        self.dead_letter(fault.reason(), format!("record {number} of the message: {fault}"));
    }

    /// As [`Reject::gather`] would have it, of letters in the order of the message: it may hold a hundred thousand.
    fn dead_letter(&mut self, reason: RejectReason, detail: String) {
        self.has_ended = true;
        if self.own_letters == OWN_LETTERS {
            let rejects = &mut self.chunk.rejects;
            if let Some(&at) = self.shared_letters.iter().find(|&&at| rejects[at].reason == reason) {
                rejects[at].absorb(1);
                return;
            }
            self.shared_letters.push(rejects.len());
        } else {
            self.own_letters += 1;
        }
        let letter = Reject {
            partition: self.block.partition,
            position: self.message.position,
            reason,
            records: 1,
            detail,
            raw: self.raw(),
            receive_time_ns: self.message.receive_time_ns.or(self.noted_receive_time_ns),
        };
        self.chunk.rejects.push(letter);
    }

    /// The bytes of the message at hand, copied once.
    fn raw(&mut self) -> Arc<[u8]> {
        let (block, message) = (self.block, self.message);
        Arc::clone(self.raw.get_or_insert_with(|| block.payload(&message).into()))
    }

    /// The chunk, but for the raw messages.
    pub(super) fn finish(mut self) -> DecodedChunk {
        for Ignored { format, kind, count } in self.ignored.into_iter().filter(|ignored| ignored.count > 0) {
            *self.chunk.ignored.entry(format!("{format}:{}", type_name(&kind))).or_default() += count;
        }
        self.chunk
    }
}

/// What a venue calls a type, if it can be the label of a metric.
fn type_name(kind: &[u8]) -> &str {
    let is_label = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    match std::str::from_utf8(kind) {
        Ok(name) if (1..=32).contains(&name.len()) && kind.iter().all(is_label) => name,
        _ => "other",
    }
}

fn instrument_of(venue: &[u8], symbol: &[u8]) -> Result<Instrument, InstrumentError> {
    let text = |what, name| std::str::from_utf8(name).map_err(|_| InstrumentError::Character(what));
    Instrument::new(&text("venue", venue)?.to_ascii_lowercase(), text("symbol", symbol)?)
}

/// The instruments of a chunk by name.
#[derive(Default)]
struct Instruments {
    /// Index by `venue|symbol`, as spelled in the messages.
    by_name: HashMap<Vec<u8>, u32, foldhash::fast::FixedState>,
    /// The instrument of the last trade: mostly also that of the next.
    last: u32,
    name: Vec<u8>,
}

impl Instruments {
    #[inline]
    fn index_of(&mut self, known: &mut Vec<Instrument>, venue: &[u8], symbol: &[u8]) -> Result<u32, InstrumentError> {
        if let Some(last) = known.get(self.last as usize)
            && last.symbol.as_bytes() == symbol
            && last.venue.as_bytes() == venue
        {
            return Ok(self.last);
        }
        self.name.clear();
        self.name.extend_from_slice(venue);
        self.name.push(b'|');
        self.name.extend_from_slice(symbol);
        if let Some(index) = self.by_name.get(&self.name[..]) {
            self.last = *index;
            return Ok(*index);
        }
        let instrument = instrument_of(venue, symbol)?;
        // A venue in capitals may be known already by its proper name.
        let proper = format!("{}|{}", instrument.venue, instrument.symbol).into_bytes();
        let index = *self.by_name.entry(proper).or_insert_with(|| {
            known.push(instrument);
            known.len() as u32 - 1
        });
        self.last = index;
        self.by_name.insert(self.name.clone(), self.last);
        Ok(self.last)
    }
}
