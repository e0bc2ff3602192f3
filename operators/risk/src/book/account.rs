//! What a book keeps of an account beside its positions: cash, samples, and which sums are its own.

use super::samples::Folded;
use super::touched::Last;
use super::{AccountBook, MINUTE_NS, Refusal};
use crate::exact::ONE_E8;
use crate::positions::FillLog;
use crate::scenarios::PnlVector;
use crate::valuation::{Cell, Group};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tidewheel_schemas::{CashMovement, Instrument};

/// Lost fills of more instruments than this leave no further faults on an account: one is enough to stop it.
const LOST_LIMIT: usize = 100;

/// So many accounts a book has at most: names come from outside.
const ACCOUNTS_LIMIT: usize = 10_000;

/// Fills of so many instruments without reference data wait in an account at most, and so many of each.
const WAITING_LIMIT: usize = 100;
const WAITING_FILLS_LIMIT: usize = 1_000;
/// Ids of movements behind the horizon that are remembered.
const FORGOTTEN_LIMIT: usize = 1_000;

/// Amounts by currency.
pub(super) type Amounts = BTreeMap<Arc<str>, i128>;

/// What an account had at the end of a minute, by currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sample {
    /// Cash and unrealised.
    pub(super) sums: Amounts,
    /// Deposits less withdrawals since the sample before.
    pub(super) flows: Amounts,
    /// Positions that held something without a mark.
    pub(super) unmarked: i64,
}

/// What positions have in common, and the currency it is summed in.
pub(super) type CellKey = (Group, Arc<str>);

#[derive(Debug)]
pub(super) struct Account {
    pub(super) name: Arc<str>,
    pub(super) base_currency: Arc<str>,
    /// Deposits less withdrawals, all of them.
    pub(super) deposits: Amounts,
    /// Those behind the horizon.
    pub(super) deposits_base: Amounts,
    /// Those inside it, by id.
    pub(super) movements: BTreeMap<Arc<str>, CashMovement>,
    /// The ids of the newest behind it: what is sent once more is known by them.
    pub(super) forgotten_movements: VecDeque<Arc<str>>,
    /// Whether a movement of cash never counts: more or less is there than is known, until somebody has seen to it.
    pub(super) has_lost_cash: bool,
    /// Fees paid, by strategy and currency; the whole account's under none.
    pub(super) fees: BTreeMap<(Option<Arc<str>>, Arc<str>), i128>,
    pub(super) samples: BTreeMap<i64, Sample>,
    /// Samples behind the horizon.
    pub(super) folded: Folded,
    /// The fold through the last sample, while it is known.
    pub(super) last: Option<Last>,
    /// Instruments of fills that never count: more or less is held than is known, until somebody has seen to it.
    pub(super) lost: BTreeSet<Instrument>,
    /// Fills that wait for the reference data of their instruments, however long.
    pub(super) waiting: BTreeMap<Instrument, FillLog>,
    /// Numbers of its positions.
    pub(super) positions: Vec<usize>,
    pub(super) cells: BTreeMap<CellKey, usize>,
    pub(super) tops: BTreeMap<Arc<str>, usize>,
    /// By strategy and settlement currency.
    pub(super) vectors: BTreeMap<(Arc<str>, Arc<str>), usize>,
}

impl Account {
    /// Puts a fault on the account.
    pub(super) fn lose(&mut self, instrument: &Instrument) {
        if self.lost.len() < LOST_LIMIT {
            self.lost.insert(instrument.clone());
        }
    }

    /// The fills of an instrument that wait for its reference data; none if too many do.
    pub(super) fn waiting_log(&mut self, instrument: &Instrument) -> Option<&mut FillLog> {
        let is_known = self.waiting.contains_key(instrument);
        if !is_known && self.waiting.len() >= WAITING_LIMIT {
            return None;
        }
        let log = self.waiting.entry(instrument.clone()).or_default();
        (log.len() < WAITING_FILLS_LIMIT).then_some(log)
    }

    /// The same, of cash where there is no instrument.
    pub(super) fn lose_of(&mut self, instrument: Option<&Instrument>) {
        match instrument {
            Some(instrument) => self.lose(instrument),
            None => self.has_lost_cash = true,
        }
    }

    /// Lets go of the movements behind the horizon, whose sum stays.
    pub(super) fn freeze_movements(&mut self, frozen_ns: i64) {
        let gone: Vec<CashMovement> = self
            .movements
            .extract_if(.., |_, movement| movement.event_time_ns < frozen_ns)
            .map(|(_, gone)| gone)
            .collect();
        for movement in gone {
            add(&mut self.deposits_base, &movement.currency, i128::from(movement.amount_e8) * ONE_E8);
            self.forgotten_movements.push_back(movement.id);
        }
        let surplus = self.forgotten_movements.len().saturating_sub(FORGOTTEN_LIMIT);
        self.forgotten_movements.drain(..surplus);
    }

    /// Instruments of which more or less is held than the positions say.
    pub(super) fn uncertain(&self) -> impl Iterator<Item = &Instrument> {
        let waiting = self.waiting.iter().filter(|(_, log)| log.effective().next().is_some());
        self.lost.iter().chain(waiting.map(|(instrument, _)| instrument))
    }
}

/// Adds to a sum by currency and keeps no zeros: nothing needs a rate for nothing.
pub(super) fn add(amounts: &mut Amounts, currency: &Arc<str>, amount: i128) {
    if amount == 0 {
        return;
    }
    let sum = amounts.entry(currency.clone()).or_default();
    *sum += amount;
    if *sum == 0 {
        amounts.remove(currency);
    }
}

impl AccountBook {
    /// The number of an account, which is made if it is new and the book is not full.
    pub(super) fn admit(&mut self, name: &Arc<str>) -> Result<usize, Refusal> {
        let is_known = self.account_numbers.contains_key(name);
        if !is_known && self.accounts.len() >= ACCOUNTS_LIMIT {
            return Err(Refusal::TooManyAccounts);
        }
        Ok(self.account(name))
    }

    /// The number of an account, which is made if it is new and touched in any case. A new one had nothing in the minutes sampled so far.
    pub(super) fn account(&mut self, name: &Arc<str>) -> usize {
        if let Some(&number) = self.account_numbers.get(name) {
            self.touch(number);
            return number;
        }
        let base_currency = self.config.base_currencies.get(name).unwrap_or(&self.config.base_currency).clone();
        let samples = self.sample_times.iter().map(|time| (*time, Sample::default())).collect();
        self.accounts.push(Account {
            name: name.clone(),
            base_currency,
            deposits: Amounts::new(),
            deposits_base: Amounts::new(),
            movements: BTreeMap::new(),
            forgotten_movements: VecDeque::new(),
            has_lost_cash: false,
            fees: BTreeMap::new(),
            samples,
            folded: Folded::default(),
            last: None,
            lost: BTreeSet::new(),
            waiting: BTreeMap::new(),
            positions: Vec::new(),
            cells: BTreeMap::new(),
            tops: BTreeMap::new(),
            vectors: BTreeMap::new(),
        });
        let number = self.accounts.len() - 1;
        self.account_numbers.insert(name.clone(), number);
        self.touch(number);
        number
    }

    /// The place of a sum.
    pub(super) fn cell(&mut self, account: usize, scope: Group, currency: &Arc<str>) -> usize {
        *self.accounts[account].cells.entry((scope, currency.clone())).or_insert_with(|| {
            self.cells.push(Cell::default());
            self.cells.len() - 1
        })
    }

    /// The place of the set of gross exposures.
    pub(super) fn top(&mut self, account: usize, currency: &Arc<str>) -> usize {
        *self.accounts[account].tops.entry(currency.clone()).or_insert_with(|| {
            self.tops.push(BTreeSet::new());
            self.tops.len() - 1
        })
    }

    /// The place of a vector.
    pub(super) fn vector(&mut self, account: usize, strategy: &Arc<str>, currency: &Arc<str>) -> usize {
        let slots = self.grid.slots();
        *self.accounts[account].vectors.entry((strategy.clone(), currency.clone())).or_insert_with(|| {
            self.vectors.push(PnlVector::new(slots));
            self.vectors.len() - 1
        })
    }

    /// Samples that count an event of some time: those that end after it.
    pub(super) fn samples_after(&self, event_time_ns: i64) -> impl Iterator<Item = i64> {
        self.sample_times.range(event_time_ns.saturating_add(1)..).copied()
    }

    /// The last end of a minute at or before a time.
    pub(super) const fn minute_at(time_ns: i64) -> i64 {
        time_ns.div_euclid(MINUTE_NS) * MINUTE_NS
    }
}
