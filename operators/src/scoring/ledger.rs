//! What is remembered of rows, and which ensemble scores which.

use super::{Activation, Judge, KnownRow, Prediction, Window};
use crate::TickHeader;
use crate::hash::FixedMap;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tidewheel_schemas::{FeatureRow, Instrument};

/// How rows are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoringConfig {
    /// How many rows are remembered of each instrument and view: what the longest sequence may look back at.
    pub history_rows: usize,
    /// How many views there are.
    pub views: usize,
    /// Whether snapshots will be asked for, so that changes are kept track of.
    pub is_saved: bool,
}

/// What an ensemble is for, beside the symbol: whether it only scores in shadow, and its target.
pub(super) type Slot = (bool, Arc<str>);

/// An ensemble in its place.
struct Active {
    activation: Arc<Activation>,
    judge: Box<dyn Judge>,
}

/// One instrument.
#[derive(Debug)]
pub(super) struct Book {
    pub instrument: Instrument,
    /// By view, the newest rows, ascending by time.
    pub histories: Vec<VecDeque<KnownRow>>,
    /// The newest row that was scored, by what for.
    pub scored: BTreeMap<Slot, i64>,
    /// What the last snapshot does not show: by view and time, none for a row that is gone.
    pub unsaved: BTreeMap<(u16, i64), Option<KnownRow>>,
}

/// The scoring of a worker. Feed it the ticks in their order.
pub struct ScoringLedger {
    pub(super) config: ScoringConfig,
    active: BTreeMap<Slot, BTreeMap<Option<Arc<str>>, Active>>,
    pub(super) books: Vec<Book>,
    numbers: FixedMap<Instrument, u32>,
    superseded: u64,
}

impl ScoringLedger {
    /// An empty one.
    pub fn new(config: ScoringConfig) -> Self {
        Self { config, active: BTreeMap::new(), books: Vec::new(), numbers: FixedMap::default(), superseded: 0 }
    }

    /// Rows remembered.
    pub fn rows(&self) -> usize {
        self.books.iter().flat_map(|book| &book.histories).map(VecDeque::len).sum()
    }

    /// How often since the last call an ensemble passed over a row that was ready for the first time, because it had scored a
    /// newer one. Rows older than all that are remembered are not counted: whether they were ready before is not known.
    pub const fn take_superseded(&mut self) -> u64 {
        std::mem::replace(&mut self.superseded, 0)
    }

    /// Puts an ensemble into its place, or empties it, from the next rows on.
    pub fn activate(&mut self, activation: Arc<Activation>) {
        let judge = activation.candidate.as_ref().map(|candidate| candidate.judge());
        let slot = (activation.is_shadow, Arc::clone(&activation.target));
        let symbol = activation.symbol.clone();
        let by_symbol = self.active.entry(slot.clone()).or_default();
        match judge {
            Some(judge) => drop(by_symbol.insert(symbol, Active { activation, judge })),
            None => drop(by_symbol.remove(&symbol)),
        }
        if by_symbol.is_empty() {
            self.active.remove(&slot);
        }
    }

    /// Takes in the rows of a tick, those of an instrument and view ascending by time, and scores those that are ready and
    /// newer than what was scored before. What is looked back at is what is known after the whole tick.
    pub fn apply(&mut self, header: &TickHeader, rows: &[FeatureRow]) -> Vec<Prediction> {
        let mut predictions = Vec::new();
        if header.is_restore {
            return predictions;
        }
        let of_one =
            |left: &FeatureRow, right: &FeatureRow| (left.view, &left.instrument) == (right.view, &right.instrument);
        for rows in rows.chunk_by(of_one) {
            let number = self.number_of(&rows[0].instrument);
            let (book, view) = (&mut self.books[number], rows[0].view);
            let remember = |row| book.remember(row, self.config.is_saved);
            let were_ready: Vec<bool> = rows.iter().map(remember).collect();
            let is_ready = |(row, _): &(&FeatureRow, bool)| row.is_ready && row.values.is_some();
            for (row, was_ready) in rows.iter().zip(were_ready).filter(is_ready) {
                for (slot, by_symbol) in &self.active {
                    let own = by_symbol.get(&Some(Arc::clone(&book.instrument.symbol)));
                    let Some(active) = own.or_else(|| by_symbol.get(&None)) else { continue };
                    if active.activation.view != view {
                        continue;
                    }
                    let newest = book.scored.get(slot).copied().unwrap_or(i64::MIN);
                    if newest >= row.close_time_ns {
                        let is_first = newest > row.close_time_ns && !was_ready;
                        let is_known = book.is_among_newest(row, self.config.history_rows);
                        self.superseded += u64::from(is_first && is_known);
                        continue;
                    }
                    predictions.push(book.score(active, row));
                    book.scored.insert(slot.clone(), row.close_time_ns);
                }
            }
            book.trim(view, self.config.history_rows, self.config.is_saved);
        }
        predictions
    }

    fn number_of(&mut self, instrument: &Instrument) -> usize {
        match self.numbers.get(instrument) {
            Some(number) => *number as usize,
            None => self.add(instrument),
        }
    }

    pub(super) fn add(&mut self, instrument: &Instrument) -> usize {
        self.numbers.insert(instrument.clone(), self.books.len() as u32);
        self.books.push(Book {
            instrument: instrument.clone(),
            histories: vec![VecDeque::new(); self.config.views],
            scored: BTreeMap::new(),
            unsaved: BTreeMap::new(),
        });
        self.books.len() - 1
    }
}

impl Book {
    /// Puts a version of a row into its place. Whether the one before it was ready.
    fn remember(&mut self, row: &FeatureRow, is_saved: bool) -> bool {
        let known = row.values.as_ref().map(|values| KnownRow {
            event_time_ns: row.close_time_ns,
            is_ready: row.is_ready,
            warm_share: row.warm_share,
            staleness_ns: row.staleness_ns,
            values: values.clone(),
        });
        if is_saved {
            self.unsaved.insert((row.view, row.close_time_ns), known.clone());
        }
        let history = &mut self.histories[usize::from(row.view)];
        let at = history.partition_point(|known| known.event_time_ns < row.close_time_ns);
        let there = history.get(at).filter(|known| known.event_time_ns == row.close_time_ns);
        let (is_there, was_ready) = (there.is_some(), there.is_some_and(|known| known.is_ready));
        match (known, is_there) {
            (Some(known), true) => history[at] = known,
            (Some(known), false) => history.insert(at, known),
            (None, true) => drop(history.remove(at)),
            (None, false) => {}
        }
        was_ready
    }

    /// Whether a row is one of so many of its view that are newest.
    fn is_among_newest(&self, row: &FeatureRow, history_rows: usize) -> bool {
        let history = &self.histories[usize::from(row.view)];
        let before = history.partition_point(|known| known.event_time_ns < row.close_time_ns);
        history.len() - before <= history_rows
    }

    /// Forgets rows beyond those that are remembered. They count as changed: a restore must forget them too.
    fn trim(&mut self, view: u16, history_rows: usize, is_saved: bool) {
        let history = &mut self.histories[usize::from(view)];
        while history.len() > history_rows {
            let gone = history.pop_front().expect("there are more than none");
            if is_saved {
                self.unsaved.insert((view, gone.event_time_ns), None);
            }
        }
    }

    fn score(&mut self, active: &Active, row: &FeatureRow) -> Prediction {
        let history = &mut self.histories[usize::from(row.view)];
        let end = history.partition_point(|known| known.event_time_ns <= row.close_time_ns);
        let rows = &history.make_contiguous()[..end];
        let window = Window { symbol: &self.instrument.symbol, rows };
        Prediction {
            instrument: self.instrument.clone(),
            event_time_ns: row.close_time_ns,
            revision: row.revision,
            activation: Arc::clone(&active.activation),
            judgement: active.judge.judge(&window),
        }
    }
}
