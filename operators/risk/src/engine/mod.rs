//! The whole of risk, tick by tick: what accounts hold, what that is worth and could lose, what they may do.
//!
//! ```text
//!  controls -> policy -> records -> event time -> numbers -> readings, prints, past -> desk: rules, levels, intents
//!     |                     |           |            |                                    |
//!  answers           refused, late   expired    positions, accounts                events, decisions
//! ```
//!
//! **Order.** All facts of a tick come to be in the order of the picture, whatever the arrival of what made them: records are sorted
//! (references, fills and their changes, money, funding, marks, closes; by time and name within each), accounts go by name. So a policy
//! or a kill switch counts from its own tick on, and an intent is judged by the fills and marks of its tick.
//! **Numbers** are reckoned once a tick for each account; with any fault the account may only reduce what it holds, and its rules stand
//! where `hysteresis.on_fault` says, or higher where the numbers that there are say so.
//! **Late.** What is older than the correction horizon at the watermark of the tick before is given back, not counted. What is further
//! ahead of the tick than the horizon is refused: one such mark would be the newest for ever.
//! **Corrections** change numbers, never what a tick decided: they are judged beside it, see [`Audit`](crate::breakers::Audit).
//!
//! One engine holds all accounts, since levels and feeds reach over them. State: [`EngineSizes`]; it survives by [`RiskEngine::save`].

mod order;
mod past;
mod readings;
mod records;
mod sure;
mod units;
mod view;

pub use records::{Ended, Refused, RefusedWhy};

use crate::book::{
    AccountBook, AccountNumbers, BookConfig, BookEvent, BookSize, ExpiredChange, FundingNews, PositionNumbers,
    SavedBook,
};
use crate::breakers::{Measure, Now, Reading};
use crate::decisions::Answer;
use crate::desk::{Desk, DeskSizes, RiskEvent, SavedDesk, TickInput};
use crate::flash_crash::Print;
use crate::levels::Scope;
use crate::policy::{Policy, Problem};
use crate::switches::{ControlEvent, ControlOutcome, Order};
use crate::valuation::MarkSource;
use past::Past;
use records::Taken;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use sure::Sure;
use tidewheel_schemas::{FundingPayment, Holder, Instrument, OrderIntent};
use units::Unit;
use view::BookView;

/// How the feeds are, at a tick. A feed that stops saying so is stale after `staleness.reading_ms`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedHealth {
    /// Age of the newest market data, seconds.
    pub data_age_s: f64,
    /// Rejected records as a share of all.
    pub rejected_share: f64,
    /// How far the frontier is behind, seconds.
    pub frontier_lag_s: f64,
}

/// A price of an instrument. It is watched where marks are made of its source, once there is reference data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketPrint {
    /// Of what.
    pub instrument: Instrument,
    /// What it is made of.
    pub source: MarkSource,
    /// The price, eight decimals.
    pub print: Print,
}

/// What comes in a tick. Lists may be in any order.
#[derive(Clone, Debug, Default)]
pub struct EngineTick {
    /// Its number.
    pub tick: u64,
    /// Its time, nanoseconds: what staleness and expiry are measured by.
    pub time_ns: i64,
    /// The event time reached, nanoseconds.
    pub watermark_ns: i64,
    /// References, fills and their changes, money, funding, marks, closes of final bars.
    pub records: Vec<BookEvent>,
    /// Prices that are looked at for falls and are no marks of their own, beside those of the marks in `records`.
    pub prints: Vec<MarketPrint>,
    /// Orders that the venue will not fill any more.
    pub ended: Vec<Ended>,
    /// Orders that somebody wants to send.
    pub intents: Vec<OrderIntent>,
    /// Orders of people.
    pub controls: Vec<ControlEvent>,
    /// How the feeds are; none where nothing is known.
    pub health: Option<FeedHealth>,
}

/// What came of a tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineFacts {
    /// Positions that fills, their changes or funding touched, as they are now; by holder and instrument. What marks alone did to a
    /// position is seen in its account.
    pub positions: Vec<PositionNumbers>,
    /// Accounts whose numbers are others than at the tick before, by name.
    pub accounts: Vec<AccountNumbers>,
    /// Answers to people, regimes, crashes, trips, audits, levels, in the order in which they came to be.
    pub events: Vec<RiskEvent>,
    /// One for each intent, in the order of judging.
    pub answers: Vec<Answer>,
    /// Records that do not count, with reasons.
    pub refused: Vec<Refused>,
    /// Records that came too late to count.
    pub late: Vec<BookEvent>,
    /// Of what accounts did, records that had come before.
    pub duplicates: Vec<BookEvent>,
    /// Changes of fills that never came.
    pub expired: Vec<ExpiredChange>,
    /// Funding that came and has no price so far, so that it is in no account yet.
    pub unpriced: Vec<FundingPayment>,
    /// Funding that never had a price: it is in no account.
    pub lost: Vec<FundingPayment>,
}

/// How much an engine holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineSizes {
    /// Of the book.
    pub book: BookSize,
    /// Of the desk.
    pub desk: DeskSizes,
    /// Last closes, one an instrument.
    pub closes: usize,
    /// Minutes of accounts that corrections may change.
    pub minutes: usize,
}

/// Book and desk of all accounts.
#[derive(Debug)]
pub struct RiskEngine {
    book: AccountBook,
    desk: Desk,
    /// By instrument: opening time and close of the newest final bar.
    closes: BTreeMap<Instrument, (i64, i64)>,
    units: BTreeMap<Arc<str>, Unit>,
    /// By instrument, which prices say how equity is.
    sure: BTreeMap<Instrument, Sure>,
    /// By account and currency: put in less taken out, where there was no rate yet; sixteen decimals.
    waiting: BTreeMap<(Arc<str>, Arc<str>), i128>,
    past: Past,
    /// Records that counted.
    version: u64,
    /// Numbers at the last tick. Not kept between runs: the book gives the same again.
    numbers: BTreeMap<Arc<str>, AccountNumbers>,
}

/// An engine as a snapshot holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedEngine {
    book: SavedBook,
    desk: SavedDesk,
    #[serde(with = "crate::pairs")]
    closes: BTreeMap<Instrument, (i64, i64)>,
    units: BTreeMap<Arc<str>, Unit>,
    #[serde(with = "crate::pairs")]
    sure: BTreeMap<Instrument, Sure>,
    #[serde(with = "crate::pairs")]
    waiting: BTreeMap<(Arc<str>, Arc<str>), i128>,
    past: Past,
    version: u64,
}

impl RiskEngine {
    /// Begins with a policy. Marks, their staleness and the beginning of days are the policy's, whatever the configuration says.
    ///
    /// # Errors
    /// All that is wrong with the policy.
    ///
    /// # Panics
    /// If a step, a horizon or a number of scenarios makes no sense: configuration is validated before.
    pub fn new(config: BookConfig, policy: Policy, who: &str, why: &str) -> Result<Self, Vec<Problem>> {
        let mut engine = Self {
            book: AccountBook::new(config),
            desk: Desk::new(policy, who, why)?,
            closes: BTreeMap::new(),
            units: BTreeMap::new(),
            sure: BTreeMap::new(),
            waiting: BTreeMap::new(),
            past: Past::default(),
            version: 0,
            numbers: BTreeMap::new(),
        };
        engine.follow_policy();
        Ok(engine)
    }

    /// Takes a tick.
    pub fn tick(&mut self, tick: EngineTick) -> EngineFacts {
        let now = Now { tick: tick.tick, time_ns: tick.time_ns };
        let unknown = self.kills_of_nobody(&tick.controls);
        let mut facts = EngineFacts { events: self.take_controls(now, tick.controls), ..EngineFacts::default() };
        note_unknown(&mut facts.events, &unknown);
        let is_of_other_policy = self.follow_policy();
        if is_of_other_policy {
            // What is reckoned otherwise now is no correction of what was known.
            self.past.rebase(&self.book);
        }

        let mut taken = self.take_records(now, tick.records, &mut facts);
        taken.is_of_other_policy = is_of_other_policy;
        self.take_prints(tick.prints, &mut taken);
        taken.progress.extend(tick.ended.into_iter().map(Ended::into_progress));
        let sampled_ns = self.book.last_sample_ns();
        facts.expired = self.book.advance(tick.watermark_ns);
        let FundingNews { unpriced, lost, repriced } = self.book.take_funding_news();
        (facts.unpriced, facts.lost) = (unpriced, lost);
        for instrument in repriced {
            let holders = self.book.holders(&instrument);
            taken.touched.extend(holders.map(|holder| (holder.clone(), instrument.clone())));
        }
        let corrections = if taken.is_correcting || self.book.last_sample_ns() != sampled_ns {
            self.past.take(&self.book, now.tick)
        } else {
            Vec::new()
        };

        let retired = self.reckon(&mut facts);
        facts.positions = self.touched(&taken);
        let policy = &self.desk.policies().current().policy;
        let mut readings = health(tick.health, now);
        for numbers in self.numbers.values() {
            readings.extend(readings::readings(policy, &self.book, numbers, now.time_ns));
        }
        self.print_equity(now, &mut taken);

        let margin = self.desk.policies().current().policy.margin.clone();
        let view = BookView { book: &self.book, numbers: &self.numbers, margin: &margin };
        let input = TickInput {
            tick: now.tick,
            time_ns: now.time_ns,
            state_version: self.version,
            controls: Vec::new(),
            progress: taken.progress,
            bars: taken.bars,
            // Of two steps the one that ended last may still be about to come.
            bars_since_ns: now.time_ns.saturating_sub(self.book.config().scenario_step_ns.saturating_mul(2)),
            prints: taken.prints,
            readings,
            corrections,
            retired,
            intents: tick.intents,
        };
        let decided = self.desk.tick(input, &view);
        facts.events.extend(decided.events);
        facts.answers = decided.answers;
        let oldest = self.past.forget_until(self.book.frozen_ns());
        self.desk.forget_before(oldest.unwrap_or(now.tick));
        facts
    }

    /// Takes the orders of people.
    fn take_controls(&mut self, now: Now, controls: Vec<ControlEvent>) -> Vec<RiskEvent> {
        let lost: BTreeSet<Arc<str>> = self.book.accounts_with_lost_fills().cloned().collect();
        let mut left = lost.clone();
        let events = self.desk.take_controls(now, controls, &mut left);
        for account in lost.difference(&left) {
            self.book.clear_lost(account);
        }
        events
    }

    /// The names of orders that kill what nobody has heard of so far: they stand, for it may come, but may be misspelled.
    fn kills_of_nobody(&self, controls: &[ControlEvent]) -> BTreeSet<String> {
        let kills = controls.iter().filter_map(|event| match &event.order {
            Order::Kill { scope, .. } => Some((&event.id, scope)),
            _ => None,
        });
        kills.filter(|(_, scope)| !self.is_known(scope)).map(|(id, _)| id.clone()).collect()
    }

    fn is_known(&self, scope: &Scope) -> bool {
        let account = |name: &str| self.numbers.get(name);
        let instrument = |instrument: &Instrument| self.book.reference_of(instrument).is_some();
        match scope {
            Scope::Everything => true,
            Scope::Account(name) => account(name).is_some(),
            Scope::Strategy(holder) => account(&holder.account)
                .is_some_and(|numbers| numbers.strategies.iter().any(|part| part.strategy == holder.strategy)),
            Scope::Symbol(of) => instrument(of),
            Scope::Position(name, of) => account(name).is_some() && instrument(of),
        }
    }

    /// Lets the book reckon as the policy in force says, and tells whether the past looks otherwise by it.
    fn follow_policy(&mut self) -> bool {
        let policy = &self.desk.policies().current().policy;
        let stale_after_ns = i64::try_from(policy.staleness.mark_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let day_offset_ns = i64::from(policy.day_boundary_minutes) * 60_000_000_000;
        let before = self.book.config();
        let is_other = before.mark_source != policy.marks || before.day_offset_ns != day_offset_ns;
        self.book.set_marks(policy.marks, stale_after_ns);
        self.book.set_day_offset(day_offset_ns);
        is_other
    }

    /// Reckons the numbers of the accounts that anything touched; gives the strategies that are no more.
    fn reckon(&mut self, facts: &mut EngineFacts) -> Vec<Scope> {
        let touched = self.book.take_touched();
        // Time alone is no change.
        for numbers in self.numbers.values_mut() {
            numbers.now_ns = self.book.now_ns();
        }
        let mut gone = Vec::new();
        for account in touched {
            let Some(numbers) = self.book.numbers(&account) else { continue };
            let before = self.numbers.get(&account);
            if before == Some(&numbers) {
                continue;
            }
            gone.extend(before.into_iter().flat_map(|before| strategies_gone(before, &numbers)));
            facts.accounts.push(numbers.clone());
            self.numbers.insert(account, numbers);
        }
        gone
    }

    fn touched(&self, taken: &Taken) -> Vec<PositionNumbers> {
        let touched = taken.touched.iter();
        touched.filter_map(|(holder, instrument)| self.book.position(holder, instrument)).collect()
    }

    /// Equity is watched for falls like a price, by unit, so that money that is taken out is no fall.
    fn print_equity(&mut self, now: Now, taken: &mut Taken) {
        for (account, flow_e16) in &taken.flows {
            self.units.entry(account.clone()).or_default().flow(*flow_e16);
        }
        let unsure = self.unsure_accounts(now, taken);
        for (account, numbers) in &self.numbers {
            let unit = self.units.entry(account.clone()).or_default();
            if taken.corrected.contains(account) || taken.is_of_other_policy {
                unit.rebase();
            }
            // With an old mark too: a fall is one, whatever else is not known.
            let Some(equity_e16) = numbers.equity_e16.filter(|_| !unsure.contains(account)) else { continue };
            let value = unit.step(equity_e16);
            let print = Print { time_ns: now.time_ns, key: now.tick.into(), value };
            taken.prints.push((Scope::Account(account.clone()), print));
        }
    }

    /// The book of all accounts.
    pub const fn book(&self) -> &AccountBook {
        &self.book
    }

    /// Rules, levels and decisions.
    pub const fn desk(&self) -> &Desk {
        &self.desk
    }

    /// The numbers of the last tick, by account.
    pub const fn numbers(&self) -> &BTreeMap<Arc<str>, AccountNumbers> {
        &self.numbers
    }

    /// How much is held.
    pub fn sizes(&self) -> EngineSizes {
        EngineSizes {
            book: self.book.size(),
            desk: self.desk.sizes(),
            closes: self.closes.len(),
            minutes: self.past.len(),
        }
    }

    /// All that must survive.
    pub fn save(&self) -> SavedEngine {
        SavedEngine {
            book: self.book.save(),
            desk: self.desk.save(),
            closes: self.closes.clone(),
            units: self.units.clone(),
            sure: self.sure.clone(),
            waiting: self.waiting.clone(),
            past: self.past.clone(),
            version: self.version,
        }
    }

    /// Goes on from what was saved.
    ///
    /// # Panics
    /// If the state does not hold together: it was checked when it was read.
    pub fn restore(saved: SavedEngine) -> Self {
        let SavedEngine { book, desk, closes, units, sure, waiting, past, version } = saved;
        let book = AccountBook::restore(book);
        let numbers = numbers_of(&book);
        Self { book, desk: Desk::restore(desk), closes, units, sure, waiting, past, version, numbers }
    }
}

fn note_unknown(events: &mut [RiskEvent], unknown: &BTreeSet<String>) {
    for event in events {
        if let RiskEvent::Control(answer) = event
            && answer.outcome == ControlOutcome::Done
            && unknown.contains(&answer.id)
        {
            answer.note =
                Some("its scope names an account, a strategy or an instrument that is not known yet".to_owned());
        }
    }
}

fn numbers_of(book: &AccountBook) -> BTreeMap<Arc<str>, AccountNumbers> {
    let numbers = book.accounts().filter_map(|account| Some((account.clone(), book.numbers(account)?)));
    numbers.collect()
}

/// A strategy of which nothing is left, since all its fills were cancelled, is read no more.
fn strategies_gone(before: &AccountNumbers, now: &AccountNumbers) -> Vec<Scope> {
    let is_gone = |strategy: &&Arc<str>| now.strategies.iter().all(|left| left.strategy != **strategy);
    let gone = before.strategies.iter().map(|strategy| &strategy.strategy).filter(is_gone);
    gone.map(|strategy| Scope::Strategy(Holder { account: now.account.clone(), strategy: strategy.clone() })).collect()
}

fn health(health: Option<FeedHealth>, now: Now) -> Vec<Reading> {
    let measures = health.map(|health| {
        [
            (Measure::DataAge, health.data_age_s),
            (Measure::RejectedShare, health.rejected_share),
            (Measure::FrontierLag, health.frontier_lag_s),
        ]
    });
    let reading =
        |(measure, value)| Reading { measure, scope: Scope::Everything, value: Ok(value), as_of_ns: now.time_ns };
    measures.into_iter().flatten().map(reading).collect()
}
