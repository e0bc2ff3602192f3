//! From decoded chunks to ticks: the one place where a record gets its tick, live and in replay.
//!
//! The sources differ in when a tick ends; what happens to the records of a tick is decided here, from the records and the
//! tick alone.

#[cfg(test)]
mod tests;

use crate::engine::{SourceState, TickInput};
use crate::refused::{self, Received, corrected_time_ns, future_amendment, future_detail, future_trade, market_record};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use tidewheel_connectors::source::{DecodedChunk, MessageBlock};
use tidewheel_operators::TickHeader;
use tidewheel_operators::intake::{Intake, IntakeLimits, Timely, tick_time_ns};
use tidewheel_operators::tape::RowSlice;
use tidewheel_operators::watermark::{MarketClock, PartitionState, Watermark};
use tidewheel_schemas::{
    AccountContent, AccountRecord, Amendment, Counters, FillAmendment, FillChange, LateRecord, MarketRecord, Reject,
    RejectReason, TradeColumns,
};

/// How ticks are judged.
#[derive(Clone, Copy, Debug)]
pub struct TickConfig {
    /// How far behind a trade may be, and how far ahead of the tick's time.
    pub limits: IntakeLimits,
    /// How often bars that are not final are published, milliseconds of tick time; never if absent.
    pub provisional_every_ms: Option<u64>,
}

/// A decoded chunk that gives its records to ticks piece by piece.
#[derive(Debug)]
pub struct Chunk {
    columns: Arc<TradeColumns>,
    raw: Option<Arc<MessageBlock>>,
    amendments: std::vec::IntoIter<Amendment>,
    market: std::vec::IntoIter<MarketRecord>,
    account: std::vec::IntoIter<AccountRecord>,
    /// Reference data: it holds at all times, and moves no clock.
    references: std::vec::IntoIter<AccountRecord>,
    rejects: std::vec::IntoIter<Reject>,
    ignored: BTreeMap<String, u64>,
    end_position: u64,
    has_receive_times: bool,
    /// The order of trades and the records beside them; without these it is that of the rows.
    timeline: Option<Timeline>,
    next_entry: usize,
    next_row: usize,
    next_account: usize,
}

/// Trades, market records and records of accounts of a chunk in one order: that of the source, of one message the trades first.
#[derive(Debug, Default)]
struct Timeline {
    times_ns: Vec<i64>,
    positions: Vec<u64>,
    /// Trades before each entry, and before the end.
    rows: Vec<u32>,
    /// Records of accounts before each entry, and before the end; empty where there are none at all.
    accounts: Vec<u32>,
}

impl Timeline {
    fn of(columns: &TradeColumns, market: &[MarketRecord], account: &[AccountRecord], has_receive_times: bool) -> Self {
        let mut timeline = Self::default();
        let trade_times = if has_receive_times { &columns.receive_time_ns } else { &columns.event_time_ns };
        let mut trades = trade_times.iter().zip(&columns.position).enumerate().peekable();
        let (mut market, mut account) = (market.iter().peekable(), account.iter().peekable());
        let (has_account, mut accounts) = (account.peek().is_some(), 0);
        loop {
            let of_market = market.peek().map(|record| (record.position, record.index));
            let of_account = account.peek().map(|record| (record.position, record.index));
            let is_of_market = of_market.is_some_and(|place| of_account.is_none_or(|other| place < other));
            let next = if is_of_market { of_market } else { of_account };
            while let Some((row, (&time_ns, &position))) =
                trades.next_if(|(_, (_, position))| next.is_none_or(|(next, _)| **position <= next))
            {
                timeline.push(time_ns, position, row);
                timeline.accounts.extend(has_account.then_some(accounts));
            }
            let row = trades.peek().map_or(columns.len(), |(row, _)| *row);
            let (times, position) = if is_of_market {
                market.next().map(|record| ((record.receive_time_ns, record.event_time_ns), record.position))
            } else {
                account.next().map(|record| ((record.receive_time_ns, record.event_time_ns), record.position))
            }
            .unzip();
            timeline.accounts.extend(has_account.then_some(accounts));
            let (Some((receive_time_ns, event_time_ns)), Some(position)) = (times, position) else { break };
            timeline.push(receive_time_ns.filter(|_| has_receive_times).unwrap_or(event_time_ns), position, row);
            accounts += u32::from(!is_of_market);
        }
        timeline.rows.push(columns.len() as u32);
        timeline
    }

    fn push(&mut self, time_ns: i64, position: u64, row: usize) {
        self.times_ns.push(time_ns);
        self.positions.push(position);
        self.rows.push(row as u32);
    }

    /// Trades and records of accounts before an entry.
    fn before(&self, entry: usize) -> (usize, usize) {
        (self.rows[entry] as usize, self.accounts.get(entry).map_or(0, |&accounts| accounts as usize))
    }
}

/// The records of a chunk that belong to a tick.
#[derive(Debug)]
pub struct Piece {
    columns: Arc<TradeColumns>,
    raw: Option<Arc<MessageBlock>>,
    rows: Range<usize>,
    amendments: Vec<Amendment>,
    market: Vec<MarketRecord>,
    account: Vec<AccountRecord>,
    rejects: Vec<Reject>,
    ignored: BTreeMap<String, u64>,
    /// One past the last position of the piece.
    pub end_position: u64,
}

impl Chunk {
    /// Prepares a chunk.
    pub fn new(chunk: DecodedChunk) -> Self {
        let (columns, market) = (&chunk.columns, &chunk.market);
        let is_reference = |record: &AccountRecord| matches!(record.content, AccountContent::Reference(_));
        let (references, account): (Vec<_>, Vec<_>) = chunk.account.into_iter().partition(is_reference);
        let has_others = !market.is_empty() || !account.is_empty();
        let has_receive_times = (!columns.is_empty() || has_others)
            && columns.receive_time_ns.len() == columns.len()
            && !columns.receive_time_ns.contains(&i64::MIN)
            && market.iter().all(|record| record.receive_time_ns.is_some())
            && account.iter().all(|record| record.receive_time_ns.is_some());
        let timeline = has_others.then(|| Timeline::of(columns, market, &account, has_receive_times));
        Self {
            has_receive_times,
            timeline,
            columns: Arc::new(chunk.columns),
            raw: chunk.raw.map(Arc::new),
            amendments: chunk.amendments.into_iter(),
            market: chunk.market.into_iter(),
            account: account.into_iter(),
            references: references.into_iter(),
            rejects: chunk.rejects.into_iter(),
            ignored: chunk.ignored,
            end_position: chunk.end_position,
            next_entry: 0,
            next_row: 0,
            next_account: 0,
        }
    }

    /// The times that drive a replay, of trades and the records beside them in the order of their source: receive times where it has
    /// them for all, else event times. Reference data has no part in it.
    pub fn clock_ns(&self) -> &[i64] {
        let columns = &self.columns;
        match &self.timeline {
            Some(timeline) => &timeline.times_ns,
            None if self.has_receive_times => &columns.receive_time_ns,
            None => &columns.event_time_ns,
        }
    }

    /// The first entry of the clock not yet taken.
    pub const fn next_entry(&self) -> usize {
        self.next_entry
    }

    /// Takes what stands before an entry of the clock, and the other records that stand before it in the source. The records
    /// of one message may fall into several ticks: an answer that holds an hour of trades is read at the pace of those
    /// trades, or most of them would lie in the future of its first tick.
    ///
    /// # Panics
    /// If there are fewer entries.
    pub fn take_until(&mut self, entry: usize) -> Piece {
        let positions = self.timeline.as_ref().map_or(&self.columns.position, |timeline| &timeline.positions);
        assert!(entry <= positions.len(), "entry {entry} of {}", positions.len());
        let end_position = positions.get(entry).copied().unwrap_or(self.end_position);
        let is_all = entry == positions.len();
        let before = self.timeline.as_ref().map(|timeline| timeline.before(entry));
        let (row, accounts) = before.unwrap_or((entry, 0));
        let (rows, of_account) = (self.next_row..row, accounts - self.next_account);
        let of_market = entry - self.next_entry - rows.len() - of_account;
        (self.next_entry, self.next_row, self.next_account) = (entry, row, accounts);
        let mut account = take_before(&mut self.references, end_position, |record| record.position);
        account.extend(self.account.by_ref().take(of_account));
        Piece {
            columns: Arc::clone(&self.columns),
            raw: self.raw.clone(),
            rows,
            amendments: take_before(&mut self.amendments, end_position, |amendment| amendment.position),
            market: self.market.by_ref().take(of_market).collect(),
            account,
            rejects: take_before(&mut self.rejects, end_position, |reject| reject.position),
            ignored: if is_all { std::mem::take(&mut self.ignored) } else { BTreeMap::new() },
            end_position,
        }
    }

    /// Takes all that is left.
    pub fn take_all(mut self) -> Piece {
        self.take_until(self.clock_ns().len())
    }
}

fn take_before<T>(items: &mut std::vec::IntoIter<T>, end: u64, position: impl Fn(&T) -> u64) -> Vec<T> {
    let count = items.as_slice().iter().take_while(|item| position(item) < end).count();
    items.by_ref().take(count).collect()
}

impl Piece {
    /// Trades, cancels, corrections, market records, records of accounts and dead letters in it.
    pub fn records(&self) -> usize {
        let refused: u64 = self.rejects.iter().map(|reject| reject.records).sum();
        let taken = self.rows.len() + self.amendments.len() + self.market.len() + self.account.len();
        taken + refused as usize
    }

    /// Its source partition.
    pub fn partition(&self) -> u32 {
        self.columns.partition
    }

    /// Whether it holds something beside trades that moves no watermark: market records, or records of accounts.
    pub const fn has_others(&self) -> bool {
        !self.market.is_empty() || !self.account.is_empty()
    }

    /// Adds counts of messages that were ignored beside those of the chunk.
    pub fn ignore(&mut self, ignored: BTreeMap<String, u64>) {
        for (kind, count) in ignored {
            *self.ignored.entry(kind).or_default() += count;
        }
    }
}

/// Makes ticks from pieces. Keeps the gates of the partitions, the watermark and the source's counts.
#[derive(Debug)]
pub struct Ticker {
    config: TickConfig,
    intakes: Vec<Intake>,
    watermark: Watermark,
    /// Over trades and market records.
    record_watermark: Watermark,
    counters: Counters,
    last_tick: Option<u64>,
    /// Whether risk tells what becomes of records of accounts, so that they are only counted as read here.
    has_risk: bool,
}

impl Ticker {
    /// A ticker before the first tick.
    pub fn new(config: TickConfig) -> Self {
        Self {
            config,
            intakes: Vec::new(),
            watermark: Watermark::default(),
            record_watermark: Watermark::default(),
            counters: Counters::default(),
            last_tick: None,
            has_risk: false,
        }
    }

    /// A ticker after the tick of a snapshot.
    pub fn restore(config: TickConfig, tick: u64, state: &SourceState) -> Self {
        let of_records = state.max_record_times_ns.iter().copied().chain(std::iter::repeat(None));
        let times = state.max_event_times_ns.iter().copied().zip(of_records);
        Self {
            config,
            intakes: times.map(|(of_trades, of_records)| Intake::after(of_trades, of_records)).collect(),
            watermark: Watermark::at(state.watermark_ns, state.held_ns[0].unwrap_or(i64::MIN)),
            record_watermark: Watermark::at(
                state.record_watermark_ns.unwrap_or(state.watermark_ns),
                state.held_ns[1].unwrap_or(i64::MIN),
            ),
            counters: state.counters.clone(),
            last_tick: Some(tick),
            has_risk: false,
        }
    }

    /// Leaves it to risk to count what becomes of records of accounts, where there is risk.
    #[must_use]
    pub fn with_risk(self, has_risk: bool) -> Self {
        Self { has_risk, ..self }
    }

    /// The greatest event time taken of each partition, by number, nanoseconds.
    pub fn max_event_times_ns(&self) -> Vec<Option<i64>> {
        self.intakes.iter().map(Intake::max_event_time_ns).collect()
    }

    /// The greatest event time of trades and market records taken of each partition, by number, nanoseconds.
    pub fn max_record_times_ns(&self) -> Vec<Option<i64>> {
        self.intakes.iter().map(Intake::max_record_time_ns).collect()
    }

    /// The tick last made.
    pub const fn last_tick(&self) -> Option<u64> {
        self.last_tick
    }

    /// The counts of the source so far.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The watermark after the last tick, nanoseconds.
    pub const fn watermark_ns(&self) -> i64 {
        self.watermark.ns()
    }

    /// The watermark of records after the last tick, nanoseconds.
    pub const fn record_watermark_ns(&self) -> i64 {
        self.record_watermark.ns()
    }

    /// What the watermarks of trades and of records hold back, nanoseconds.
    pub fn held_ns(&self) -> [Option<i64>; 2] {
        [self.watermark, self.record_watermark].map(|watermark| Some(watermark.held_ns()).filter(|ns| *ns != i64::MIN))
    }

    /// Counts records of the control topic that were understood. They are in no piece.
    pub const fn accept_control(&mut self, records: u64) {
        self.counters.read += records;
        self.counters.accepted += records;
    }

    /// Makes a tick. `caught_up` tells for each partition, by number, whether the tick holds all that the source had.
    ///
    /// # Panics
    /// If ticks do not ascend.
    pub fn tick(&mut self, tick: u64, pieces: Vec<Piece>, caught_up: &[bool]) -> TickInput {
        let (watermark_before_ns, record_watermark_before_ns) = (self.watermark.ns(), self.record_watermark.ns());
        let mut has_trades = vec![false; caught_up.len()];
        let mut has_records = vec![false; caught_up.len()];
        let mut input = self.open(tick, watermark_before_ns);
        for piece in pieces {
            let partition = piece.partition() as usize;
            let records_before = input.market.len();
            let has_taken = self.admit(piece, tick, &mut input);
            has_trades[partition] |= has_taken;
            has_records[partition] |= has_taken || input.market.len() > records_before;
        }
        if self.intakes.len() < caught_up.len() {
            self.intakes.resize(caught_up.len(), Intake::default());
        }
        let states = |time_of: fn(&Intake) -> Option<i64>, has_records| {
            let intakes = self.intakes.iter().map(time_of).zip(caught_up).zip(has_records);
            let state = |((max_event_time_ns, &caught_up), has_records)| PartitionState {
                max_event_time_ns,
                caught_up,
                has_records,
            };
            intakes.map(state)
        };
        self.watermark.advance(states(Intake::max_event_time_ns, has_trades));
        self.record_watermark.advance(states(Intake::max_record_time_ns, has_records));
        input.header.watermark_ns = self.watermark.ns();
        input.market_clock = self.market_clock(&input.header, record_watermark_before_ns);
        input.source.counters = self.counters.clone();
        input
    }

    /// Makes the last tick of a replay: its input has ended, so every bar is final.
    pub fn finish(&mut self) -> TickInput {
        let tick = self.last_tick.map_or(0, |last| last + 1);
        let mut input = self.open(tick, self.watermark.ns());
        self.watermark.finish();
        input.header.watermark_ns = self.watermark.ns();
        input.header.is_last = true;
        input.market_clock = self.market_clock(&input.header, self.record_watermark.ns());
        input.source.counters = self.counters.clone();
        input
    }

    fn market_clock(&self, header: &TickHeader, before_ns: i64) -> MarketClock {
        MarketClock::of(header, before_ns, self.record_watermark.ns(), self.config.limits.horizon_ns)
    }

    /// Makes the last tick of a live run: the input goes on, so bars that are open stay so.
    pub fn stop(&mut self) -> TickInput {
        let mut input = self.pass(self.last_tick.map_or(0, |last| last + 1));
        input.header.is_last = true;
        input
    }

    /// Makes a tick without records that tells nothing of the source.
    ///
    /// # Panics
    /// If ticks do not ascend.
    pub fn pass(&mut self, tick: u64) -> TickInput {
        let mut input = self.open(tick, self.watermark.ns());
        input.source.counters = self.counters.clone();
        input
    }

    /// Whether bars that are not final are published at the next tick, if this is it.
    pub fn is_provisional(&self, tick: u64) -> bool {
        self.config.provisional_every_ms.is_some_and(|every| {
            let period = |tick: u64| tick / every.max(1);
            self.last_tick.is_none_or(|last| period(last) != period(tick))
        })
    }

    fn open(&mut self, tick: u64, watermark_before_ns: i64) -> TickInput {
        assert!(self.last_tick.is_none_or(|last| last < tick), "tick {tick} follows {:?}", self.last_tick);
        let publish_provisional = self.is_provisional(tick);
        self.last_tick = Some(tick);
        let header = TickHeader {
            tick,
            frozen_ns: TickHeader::frozen_at(watermark_before_ns, self.config.limits.horizon_ns),
            watermark_ns: watermark_before_ns,
            publish_provisional,
            is_last: false,
            save: None,
            is_restore: false,
        };
        let market_clock = self.market_clock(&header, self.record_watermark.ns());
        TickInput { market_clock, ..TickInput::of(header) }
    }

    /// Puts the records of a piece where they belong. Tells whether a trade was taken: only those move the watermark, and a
    /// partition that sends nothing but refused ones must not hold it. Market records do not move it: bars become final by it,
    /// and a book that comes by a fast topic must not finish bars whose trades come by a slower one. Nor do records of accounts.
    fn admit(&mut self, piece: Piece, tick: u64, input: &mut TickInput) -> bool {
        let partition = piece.partition() as usize;
        if partition >= self.intakes.len() {
            self.intakes.resize(partition + 1, Intake::default());
        }
        self.counters.read += piece.records() as u64;
        let Piece { columns, raw, rows, amendments, market, account, rejects, ignored, .. } = piece;
        for (kind, count) in ignored {
            *self.counters.ignored.entry(kind).or_default() += count;
        }
        let intake = &mut self.intakes[partition];
        // First: what it has of trades now is what came before these.
        let timely = intake.admit_market(&columns, rows.clone(), &market, tick, &self.config.limits);
        let admission = intake.admit(&columns, rows, tick, &self.config.limits);
        let source = &mut input.source;
        for reject in rejects {
            self.counters.reject_all(reject.reason, reject.records);
            source.rejects.push(reject);
        }
        let mut received = Received::of(raw.as_slice());
        for row in admission.future {
            self.counters.reject(RejectReason::Future);
            source.rejects.push(future_trade(&columns, row as usize, tick, &mut received));
        }
        for row in admission.late {
            self.counters.late += 1;
            source.late.push(LateRecord::of_row(&columns, row as usize));
        }
        let latest_ns = tick_time_ns(tick).saturating_add(self.config.limits.skew_ns);
        for amendment in amendments {
            if corrected_time_ns(&amendment).is_some_and(|time| time > latest_ns) {
                self.counters.reject(RejectReason::Future);
                source.rejects.push(future_amendment(amendment, tick));
            } else {
                input.amendments.push(amendment);
            }
        }
        let frozen_ns = input.market_clock.frozen_ns;
        for (record, timely) in market.into_iter().zip(timely) {
            let time_ns = record.event_time_ns;
            let refused = match timely {
                Timely::Future => Some((RejectReason::Future, future_detail(time_ns, tick))),
                Timely::TooOld(oldest_ns) => Some((RejectReason::TooOld, too_old_detail(time_ns, oldest_ns))),
                Timely::Taken if time_ns < frozen_ns => {
                    Some((RejectReason::TooOld, too_old_detail(time_ns, frozen_ns)))
                }
                Timely::Taken => None,
            };
            match refused {
                Some((reason, detail)) => {
                    self.counters.reject(reason);
                    source.rejects.push(market_record(&record, reason, detail, &mut received));
                }
                None => input.market.push(record),
            }
        }
        for record in account {
            // Whoever asks for an order waits for a decision, even if his clock is wrong.
            let is_answered = self.has_risk && matches!(record.content, AccountContent::Intent(_));
            match latest_time_ns(&record).filter(|time| *time > latest_ns && !is_answered) {
                Some(time_ns) => {
                    self.counters.reject(RejectReason::Future);
                    let detail = format!("{}: {}", record.content.name(), future_detail(time_ns, tick));
                    source.rejects.push(refused::account(&record, RejectReason::Future, detail, &mut received));
                }
                None => {
                    self.counters.accepted += u64::from(!self.has_risk);
                    input.account.push(record);
                }
            }
        }
        let has_taken = !admission.taken.is_empty();
        if has_taken {
            input.slices.push(RowSlice { columns, ranges: admission.taken });
        }
        source.raw.extend(raw);
        has_taken
    }
}

/// The latest time that a record of an account tells. Of an order, when it is dropped is no such time; reference data holds at all times.
fn latest_time_ns(record: &AccountRecord) -> Option<i64> {
    match &record.content {
        AccountContent::Reference(_) => None,
        AccountContent::FillAmendment(FillAmendment { change: FillChange::Correct { fill, .. }, .. }) => {
            Some(record.event_time_ns.max(fill.event_time_ns))
        }
        _ => Some(record.event_time_ns),
    }
}

fn too_old_detail(time_ns: i64, oldest_ns: i64) -> String {
    let behind_ms = oldest_ns.saturating_sub(time_ns) / 1_000_000;
    format!("event time {time_ns} ns is {behind_ms} ms before all that may still change")
}
