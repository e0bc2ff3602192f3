//! A book as it is kept between runs: what came in, as far as it still counts. All sums and vectors are made anew.

use super::account::{Amounts, Sample};
use super::funding::Funding;
use super::samples::Folded;
use super::{AccountBook, BookConfig, Known};
use crate::positions::{FillLog, Position};
use crate::scenarios::ScenarioGrid;
use crate::valuation::{MarkHistory, MarkSource};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tidewheel_schemas::{CashMovement, Holder, Instrument, InstrumentReference};

/// The state of a book. Restoring it gives a book that says the same of all that comes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedBook {
    config: BookConfig,
    now_ns: i64,
    frozen_ns: i64,
    sample_times: BTreeSet<i64>,
    grid: ScenarioGrid,
    instruments: Vec<SavedInstrument>,
    accounts: Vec<SavedAccount>,
    positions: Vec<SavedPosition>,
    /// By the numbers of account and instrument.
    logs: Vec<(usize, usize, FillLog)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedInstrument {
    reference: InstrumentReference,
    marks: [MarkHistory; MarkSource::COUNT],
    fundings: Vec<Funding>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedAccount {
    name: Arc<str>,
    deposits_base: Amounts,
    movements: Vec<CashMovement>,
    forgotten_movements: VecDeque<Arc<str>>,
    has_lost_cash: bool,
    samples: Vec<(i64, Sample)>,
    folded: Folded,
    lost: BTreeSet<Instrument>,
    waiting: Vec<(Instrument, FillLog)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedPosition {
    holder: Holder,
    /// The instrument's number.
    instrument: usize,
    position: Position,
}

impl AccountBook {
    /// What is kept of the book.
    pub fn save(&self) -> SavedBook {
        let instrument = |known: &Known| SavedInstrument {
            reference: known.reference.clone(),
            marks: known.marks.clone(),
            fundings: known.fundings.values().cloned().collect(),
        };
        let logs = self.logs.iter().filter(|(_, log)| !log.is_empty());
        SavedBook {
            config: self.config.clone(),
            now_ns: self.now_ns,
            frozen_ns: self.frozen_ns,
            sample_times: self.sample_times.clone(),
            grid: self.grid.clone(),
            instruments: self.instruments.iter().map(instrument).collect(),
            accounts: (self.accounts.iter())
                .map(|account| SavedAccount {
                    name: account.name.clone(),
                    deposits_base: account.deposits_base.clone(),
                    movements: account.movements.values().cloned().collect(),
                    forgotten_movements: account.forgotten_movements.clone(),
                    has_lost_cash: account.has_lost_cash,
                    samples: account.samples.iter().map(|(time, sample)| (*time, sample.clone())).collect(),
                    folded: account.folded.clone(),
                    lost: account.lost.clone(),
                    waiting: account.waiting.iter().map(|(of, log)| (of.clone(), log.clone())).collect(),
                })
                .collect(),
            positions: (self.positions.iter())
                .map(|held| SavedPosition {
                    holder: held.holder.clone(),
                    instrument: held.instrument,
                    position: held.position.clone(),
                })
                .collect(),
            logs: logs.map(|((account, instrument), log)| (*account, *instrument, log.clone())).collect(),
        }
    }

    /// The book that was saved.
    ///
    /// # Panics
    /// If the state does not hold together: it was checked when it was read.
    pub fn restore(saved: SavedBook) -> Self {
        let mut book = Self::new(saved.config);
        (book.now_ns, book.frozen_ns, book.sample_times) = (saved.now_ns, saved.frozen_ns, saved.sample_times);
        book.grid = saved.grid;
        for (number, SavedInstrument { reference, marks, fundings }) in saved.instruments.into_iter().enumerate() {
            let is_rate = book.pairs.add(&reference);
            book.instrument_numbers.insert(reference.instrument.clone(), number);
            let fundings: BTreeMap<_, _> = fundings.into_iter().map(|one| (one.payment.event_time_ns, one)).collect();
            book.instruments.push(Known { reference, marks, fundings, positions: Vec::new(), open: 0, is_rate });
        }
        for saved in saved.accounts {
            let number = book.account(&saved.name);
            let account = &mut book.accounts[number];
            account.deposits = saved.deposits_base.clone();
            account.deposits_base = saved.deposits_base;
            for movement in saved.movements {
                let amount = i128::from(movement.amount_e8) * crate::exact::ONE_E8;
                super::account::add(&mut account.deposits, &movement.currency, amount);
                account.movements.insert(movement.id.clone(), movement);
            }
            (account.samples, account.folded) = (saved.samples.into_iter().collect(), saved.folded);
            (account.forgotten_movements, account.has_lost_cash) = (saved.forgotten_movements, saved.has_lost_cash);
            (account.lost, account.waiting) = (saved.lost, saved.waiting.into_iter().collect());
        }
        for SavedPosition { holder, instrument, position } in saved.positions {
            let number = book.add_position(holder, instrument, position);
            let position = &book.positions[number].position;
            let price = book.price_e8(instrument);
            let cell = super::held::shown_or_unmarked(position.current(), position, price);
            book.show(number, cell);
            book.show_fees(number);
        }
        for (account, instrument, log) in saved.logs {
            book.logs.insert((account, instrument), log);
        }
        book.touch_all();
        book
    }
}
