//! The book of all accounts: records in, numbers out.
//!
//! ```text
//!  reference   fill, change      funding        mark, minute mark      close of a bar     cash
//!      |            |               |                  |                    |              |
//!      |        fill log            |            mark history         scenario grid        |
//!      |            |               |                  |                    |              |
//!      +------> position (base + entries of the horizon)                    |              |
//!                   |                                  |                    |              |
//!                   +-----> what it shows now: cell, exposure <-------------+              |
//!                                      |                                                   |
//!             difference to what it showed before, into each sum and vector it is part of  |
//!                                      |                                                   |
//!                             numbers of an account, rates applied <-----------------------+
//! ```
//!
//! Everything that is summed is an integer in the settlement currency; rates between currencies are applied when numbers are read.
//! So a fill costs one position, a mark the positions of its instrument, a close one scenario of them, whatever else the book holds.
//! Once a minute of event time every position is looked at for the equity samples.
//!
//! What it says depends on the set of records inside the horizon, not on their order. Two things are by arrival, since nothing else
//! could be: which of two records of one identity is the conflict, and what is late. A fill that comes before the reference data of its
//! instrument waits for it; one that never counts leaves a fault on its account, since something else is held than is known.

mod account;
mod apply;
mod asked;
mod funding;
mod held;
mod market;
mod numbers;
mod parts;
mod records;
mod reports;
mod samples;
mod saved;
mod touched;

pub use funding::FundingNews;
pub use numbers::{AccountNumbers, Lines, StrategyNumbers};
pub use records::{BookConfig, BookEvent, BookFault, ExpiredChange, Outcome, Refusal};
pub use reports::{BookSize, Component, PositionNumbers};
pub use saved::SavedBook;

use crate::positions::FillLog;
use crate::scenarios::{FactorChange, PnlVector, ScenarioGrid};
use crate::valuation::{Cell, Mark, MarkHistory, MarkSource, Pairs};
use account::Account;
use funding::Funding;
use held::Held;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewheel_schemas::{Holder, Instrument, InstrumentReference};
use touched::Touched;

/// What is known of an instrument. Its number is its place, in the book and in the grid.
#[derive(Debug)]
struct Known {
    reference: InstrumentReference,
    marks: [MarkHistory; MarkSource::COUNT],
    /// Payments inside the horizon, by time.
    fundings: BTreeMap<i64, Funding>,
    /// Numbers of its positions.
    positions: Vec<usize>,
    /// How many of them hold something.
    open: usize,
    /// Whether its price is a rate between currencies.
    is_rate: bool,
}

impl Known {
    fn mark(&self, source: MarkSource) -> Option<&Mark> {
        self.marks[source as usize].current()
    }
}

/// All accounts, what they hold, and what that is worth.
///
/// **State**: a position for each holder and instrument that ever met, each with the fills of the horizon; a minute's mark and an
/// equity sample for each minute of the horizon; the scenarios of each instrument and a vector of them for each strategy.
#[derive(Debug)]
pub struct AccountBook {
    config: BookConfig,
    /// The event time reached.
    now_ns: i64,
    /// What is older does not change any more. On a minute.
    frozen_ns: i64,
    instruments: Vec<Known>,
    instrument_numbers: BTreeMap<Instrument, usize>,
    pairs: Pairs,
    accounts: Vec<Account>,
    account_numbers: BTreeMap<Arc<str>, usize>,
    positions: Vec<Held>,
    position_numbers: BTreeMap<(Holder, usize), usize>,
    /// By account and instrument.
    logs: BTreeMap<(usize, usize), FillLog>,
    grid: ScenarioGrid,
    /// Ends of the minutes sampled inside the horizon.
    sample_times: BTreeSet<i64>,
    /// Sums that positions are part of; who owns which is known to the accounts.
    cells: Vec<Cell>,
    /// Gross exposures of an account's instruments of one settlement currency, for the largest.
    tops: Vec<BTreeSet<(i128, usize)>>,
    vectors: Vec<PnlVector>,
    /// Held instruments by the event time of their mark, for the stale ones.
    ages: BTreeSet<(i64, usize)>,
    /// What became of funding, until somebody asks.
    news: FundingNews,
    /// Kept for its room.
    changes: Vec<FactorChange>,
    touched: Touched,
}

impl AccountBook {
    /// An empty book.
    ///
    /// # Panics
    /// If a step, a horizon or a number of scenarios makes no sense: configuration is validated before.
    pub fn new(config: BookConfig) -> Self {
        assert!(config.horizon_ns > 0 && config.horizon_ns % MINUTE_NS == 0, "the horizon is whole minutes");
        assert!(config.scenario_step_ns > 0, "bars have a step");
        assert!(
            config.scenarios_min >= 2 && config.scenarios >= config.scenarios_min,
            "scenarios enough for a deviation"
        );
        Self {
            grid: ScenarioGrid::new(config.scenario_step_ns, config.scenarios),
            config,
            now_ns: i64::MIN,
            frozen_ns: i64::MIN,
            instruments: Vec::new(),
            instrument_numbers: BTreeMap::new(),
            pairs: Pairs::default(),
            accounts: Vec::new(),
            account_numbers: BTreeMap::new(),
            positions: Vec::new(),
            position_numbers: BTreeMap::new(),
            logs: BTreeMap::new(),
            sample_times: BTreeSet::new(),
            cells: Vec::new(),
            tops: Vec::new(),
            vectors: Vec::new(),
            ages: BTreeSet::new(),
            news: FundingNews::default(),
            changes: Vec::new(),
            touched: Touched::default(),
        }
    }

    /// How it reckons.
    pub const fn config(&self) -> &BookConfig {
        &self.config
    }

    /// The event time reached.
    pub const fn now_ns(&self) -> i64 {
        self.now_ns
    }

    /// Records older than this are late.
    pub const fn frozen_ns(&self) -> i64 {
        self.frozen_ns
    }

    /// Takes a record.
    ///
    /// # Errors
    /// If it is refused; see [`Refusal`].
    pub fn apply(&mut self, event: BookEvent) -> Result<Outcome, Refusal> {
        match event {
            BookEvent::Reference(reference) => self.reference(reference),
            BookEvent::Fill(fill) => {
                let taken = self.fill(&fill);
                self.note_lost(&fill.holder.account, Some(&fill.instrument), taken)
            }
            BookEvent::FillChange { account, instrument, fill_id, change, original_time_ns, event_time_ns } => {
                let oldest_ns = original_time_ns.map_or(event_time_ns, |original| original.min(event_time_ns));
                let taken = self.fill_change(&account, &instrument, &fill_id, &change, event_time_ns, oldest_ns);
                self.note_lost(&account, Some(&instrument), taken)
            }
            BookEvent::Cash(movement) => {
                let account = movement.account.clone();
                let taken = self.cash(movement);
                self.note_lost(&account, None, taken)
            }
            BookEvent::Funding(funding) => self.funding(funding),
            BookEvent::Mark { instrument, source, mark } => self.mark(&instrument, source, mark),
            BookEvent::MinuteMark { instrument, source, minute_end_ns, mark } => {
                self.minute_mark(&instrument, source, minute_end_ns, mark)
            }
            BookEvent::Close { instrument, bar_time_ns, close_e8 } => self.close(&instrument, bar_time_ns, close_e8),
        }
    }

    /// Puts a fault on the account of a fill, a change of one, or cash, that cannot even be given to the book.
    pub fn lose(&mut self, event: &BookEvent) {
        let (account, instrument) = match event {
            BookEvent::Fill(fill) => (&fill.holder.account, Some(&fill.instrument)),
            BookEvent::FillChange { account, instrument, .. } => (account, Some(instrument)),
            BookEvent::Cash(movement) => (&movement.account, None),
            _ => return,
        };
        if let (false, Ok(number)) = (account.is_empty(), self.admit(account)) {
            self.accounts[number].lose_of(instrument);
        }
    }

    /// A fill, or cash where there is no instrument, that was not taken, and is not known, leaves a fault: something else is there than
    /// is known.
    fn note_lost(
        &mut self,
        account: &Arc<str>,
        instrument: Option<&Instrument>,
        taken: Result<Outcome, Refusal>,
    ) -> Result<Outcome, Refusal> {
        // What waits for reference data is a fault as long as it waits.
        let is_lost = match &taken {
            Ok(outcome) => *outcome == Outcome::Late,
            Err(Refusal::UnknownInstrument(_)) => false,
            Err(_) => !account.is_empty(),
        };
        if is_lost {
            let number = self.admit(account)?;
            self.accounts[number].lose_of(instrument);
        }
        taken
    }

    /// Accounts on which lost fills or lost cash left faults, by name.
    pub fn accounts_with_lost_fills(&self) -> impl Iterator<Item = &Arc<str>> {
        self.accounts
            .iter()
            .filter(|account| account.has_lost_cash || !account.lost.is_empty())
            .map(|account| &account.name)
    }

    /// Drops the faults that lost fills and cash left on an account, once somebody has seen to them. Gives how
    /// many there were.
    pub fn clear_lost(&mut self, account: &str) -> usize {
        let Some(&number) = self.account_numbers.get(account) else { return 0 };
        self.touch(number);
        let account = &mut self.accounts[number];
        std::mem::take(&mut account.lost).len() + usize::from(std::mem::take(&mut account.has_lost_cash))
    }

    /// The number of an instrument.
    fn known(&self, instrument: &Instrument) -> Result<usize, Refusal> {
        self.instrument_numbers.get(instrument).copied().ok_or_else(|| Refusal::UnknownInstrument(instrument.clone()))
    }
}

/// Nanoseconds in a minute.
const MINUTE_NS: i64 = 60_000_000_000;
