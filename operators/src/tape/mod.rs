//! The tape: every trade of the correction horizon, by instrument and second, and the bars these make.
//!
//! Appending a trade folds it into its second's bar; a cancel or a correction folds that one second anew from its trades.
//! The minutes are folded from their seconds here too, because that step has sixty inputs to one output: from the minute
//! up, `rollup` takes over.

mod chunks;
mod ids;
mod instrument;
mod operator;
mod route;
mod saved;
mod told;

pub use operator::{Directory, TapeConfig, TapeOutcome, TapeStreams, tape};
pub use route::{RoutedRows, RowSlice, route};
pub use saved::{SavedInstrument, SavedTape, TapePart};

use crate::hash::FixedMap;
use crate::risk::MarketChange;
use crate::{TickHeader, Upsert};
use chunks::{Chunks, RowRef};
use instrument::{InstrumentTape, Outcome};
use std::sync::Arc;
use tidewheel_schemas::{AcceptedRows, Amendment, Change, Counters, Instrument, LateRecord, Reject, RejectReason};
use told::Watched;

/// What a tick did to the tape.
#[derive(Debug, Default)]
pub struct TapeTick {
    /// Seconds that changed.
    pub seconds: Vec<Upsert>,
    /// Minutes that changed.
    pub minutes: Vec<Upsert>,
    /// What became of the records.
    pub outcome: TapeOutcome,
    /// What risk is told, where it is asked for.
    pub told: Vec<MarketChange>,
}

/// How much the tape holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapeSizes {
    /// Instruments ever seen.
    pub instruments: usize,
    /// Seconds not frozen.
    pub seconds: usize,
    /// Trades held in columns.
    pub trades: usize,
    /// Runs of ids and single ids.
    pub ids: usize,
    /// Amended trades, and trades that amendments wait for.
    pub amendments: usize,
}

/// The tape of the instruments that one worker owns. Pure state: ticks in, changes out.
#[derive(Debug)]
pub struct Tape {
    config: TapeConfig,
    numbers: FixedMap<Instrument, u32>,
    names: Vec<Instrument>,
    tapes: Vec<InstrumentTape>,
    chunks: Chunks,
    counters: Counters,
    changed: Vec<u32>,
    last_changes: usize,
    /// The trades of the tick, where risk is told of them.
    watched: Watched,
}

impl Tape {
    /// An empty tape.
    pub fn new(config: TapeConfig) -> Self {
        Self {
            config,
            numbers: FixedMap::default(),
            names: Vec::new(),
            tapes: Vec::new(),
            chunks: Chunks::default(),
            counters: Counters::default(),
            changed: Vec::new(),
            last_changes: 0,
            watched: Watched::default(),
        }
    }

    /// The instruments by the number that [`Upsert`]s carry.
    pub fn instruments(&self) -> &[Instrument] {
        &self.names
    }

    /// How much it holds.
    pub fn sizes(&self) -> TapeSizes {
        let mut sizes = TapeSizes { instruments: self.names.len(), trades: self.chunks.rows(), ..TapeSizes::default() };
        for tape in &self.tapes {
            let (seconds, ids, amendments) = tape.sizes();
            sizes.seconds += seconds;
            sizes.ids += ids;
            sizes.amendments += amendments;
        }
        sizes
    }

    /// Applies all records of a tick. Rows and amendments may come in any order: they are sorted by source position.
    pub fn apply(
        &mut self,
        header: &TickHeader,
        mut rows: Vec<RoutedRows>,
        mut amendments: Vec<Amendment>,
    ) -> TapeTick {
        for tape in &mut self.tapes {
            tape.freeze(header.frozen_ns, &mut self.chunks);
        }
        let mut outcome = TapeOutcome::default();
        rows.sort_by_key(RoutedRows::source);
        for routed in &rows {
            self.insert_rows(routed, header, &mut outcome);
        }
        amendments.sort_by_key(|amendment| (amendment.partition, amendment.position));
        for amendment in amendments {
            let number = self.number_of(&amendment.instrument);
            self.amend(number, amendment, header, &mut outcome);
        }
        self.expire(header, &mut outcome);
        let (seconds, minutes) = self.take_changes();
        let told = if self.config.tells { self.tell(&minutes) } else { Vec::new() };
        outcome.instruments = self.names.len();
        outcome.counters = self.counters.clone();
        outcome.sizes = self.sizes();
        outcome.saved = header.save.map(|saving| self.save(saving));
        TapeTick { seconds, minutes, outcome, told }
    }

    fn insert_rows(&mut self, routed: &RoutedRows, header: &TickHeader, outcome: &mut TapeOutcome) {
        let columns = &routed.columns;
        // Names are resolved once a chunk, not once a row.
        let mut numbers = vec![u32::MAX; columns.instruments.len()];
        let chunk = self.chunks.admit(Arc::clone(columns));
        let (mut held, mut accepted) = (0, Vec::new());
        for &row in &routed.rows {
            let index = row as usize;
            let local = columns.instrument[index] as usize;
            if numbers[local] == u32::MAX {
                numbers[local] = self.number_of(&columns.instruments[local]);
            }
            let number = numbers[local];
            let trade = columns.trade(index);
            if trade.event_time_ns < header.frozen_ns {
                self.counters.late += 1;
                outcome.late.push(LateRecord::of_row(columns, index));
                continue;
            }
            let tape = &mut self.tapes[number as usize];
            let was_clean = !tape.has_changes();
            match tape.insert(&trade, RowRef { chunk, row }, &self.chunks) {
                Outcome::Accepted => {
                    held += 1;
                    self.counters.accepted += 1;
                    self.counters.outside_bars += u64::from(!trade.kind.is_in_bars());
                    if was_clean && tape.has_changes() {
                        self.changed.push(number);
                    }
                    if self.config.tells && trade.kind.is_in_bars() {
                        self.watched.trades.push((number, trade));
                    }
                    let waiting = tape.take_pending(trade.id);
                    if !waiting.is_empty() {
                        self.counters.pending -= waiting.len() as u64;
                        // The chunk must count the row as its own before an amendment reads it.
                        for amendment in waiting {
                            self.amend(number, amendment, header, outcome);
                        }
                    }
                    if self.config.archive {
                        accepted.push(row);
                    }
                }
                Outcome::Conflict => {
                    self.counters.reject(RejectReason::Conflict);
                    outcome.conflicts.push(Conflict { columns_row: LateRecord::of_row(columns, index) });
                }
                _ => self.counters.duplicate += 1,
            }
        }
        self.chunks.retain(chunk, held);
        if !accepted.is_empty() {
            outcome.accepted.push(AcceptedRows { columns: Arc::clone(columns), rows: accepted });
        }
    }

    fn amend(&mut self, number: u32, amendment: Amendment, header: &TickHeader, outcome: &mut TapeOutcome) {
        let tape = &mut self.tapes[number as usize];
        let was_clean = !tape.has_changes();
        let result = tape.amend(&amendment, header.frozen_ns, &self.chunks);
        if was_clean && tape.has_changes() {
            self.changed.push(number);
        }
        match result {
            Outcome::Accepted => {
                self.counters.accepted += 1;
                self.counters.amended += 1;
                if self.config.archive {
                    outcome.amendments.push(amendment);
                }
            }
            Outcome::Duplicate | Outcome::Conflict => self.counters.duplicate += 1,
            Outcome::Late => {
                self.counters.late += 1;
                outcome.late.push(LateRecord::Amendment(amendment));
            }
            Outcome::Pending => {
                self.counters.pending += 1;
                tape.wait(amendment, header.watermark_ns);
            }
            Outcome::TooLarge => {
                let detail = "price times quantity: out of range once corrected".to_owned();
                self.reject(amendment, RejectReason::Number, detail, outcome);
            }
        }
    }

    fn expire(&mut self, header: &TickHeader, outcome: &mut TapeOutcome) {
        if self.counters.pending == 0 {
            return;
        }
        let mut expired = Vec::new();
        for tape in &mut self.tapes {
            tape.expire(header.watermark_ns, self.config.horizon_ns, &mut expired);
        }
        for amendment in expired {
            self.counters.pending -= 1;
            let what = match amendment.change {
                Change::Cancel => "cancel",
                Change::Correct(_) => "correction",
            };
            let detail = format!(
                "{what} of trade {} of {:?}, which did not come within the correction horizon",
                amendment.id, amendment.instrument
            );
            self.reject(amendment, RejectReason::UnknownTrade, detail, outcome);
        }
    }

    fn reject(
        &mut self,
        amendment: Amendment,
        reason: RejectReason,
        detail: String,
        TapeOutcome { rejects, .. }: &mut TapeOutcome,
    ) {
        let Amendment { partition, position, raw, receive_time_ns, .. } = amendment;
        self.counters.reject(reason);
        rejects.push(Reject { partition, position, reason, records: 1, detail, raw, receive_time_ns });
    }

    fn take_changes(&mut self) -> (Vec<Upsert>, Vec<Upsert>) {
        // As many as the tick before had: growing them anew each tick costs more than making what is in them.
        let (mut seconds, mut minutes) = (Vec::with_capacity(self.last_changes), Vec::new());
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        for instrument in changed {
            self.tapes[instrument as usize].take_changes(
                &self.chunks,
                |open_time_ns, bar| seconds.push(Upsert { instrument, open_time_ns, bar }),
                |open_time_ns, bar| minutes.push(Upsert { instrument, open_time_ns, bar }),
            );
        }
        self.last_changes = seconds.len();
        (seconds, minutes)
    }

    fn number_of(&mut self, instrument: &Instrument) -> u32 {
        if let Some(&number) = self.numbers.get(instrument) {
            return number;
        }
        let number = u32::try_from(self.names.len()).expect("fewer than 2^32 instruments");
        self.numbers.insert(instrument.clone(), number);
        self.names.push(instrument.clone());
        self.tapes.push(InstrumentTape::new(self.config.is_saved));
        number
    }
}

/// A trade whose id was seen before with other content. It becomes a reject where its raw bytes are still at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The trade, as a late record would carry it.
    pub columns_row: LateRecord,
}
