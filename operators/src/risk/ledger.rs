//! The engine with what it needs around it: what waits, how the feeds are, what is told when.

use super::aside::Aside;
use super::feed::Feed;
use super::records::{RefusedAccount, book_event, judge};
use super::told::{AccountReport, Told};
use super::{FeedCounts, MarketChange, RiskConfig};
use crate::TickHeader;
use crate::intake::tick_time_ns;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewheel_risk::book::{BookEvent, ExpiredChange, PositionNumbers};
use tidewheel_risk::decisions::Answer;
use tidewheel_risk::desk::RiskEvent;
use tidewheel_risk::engine::{
    Ended, EngineFacts, EngineSizes, EngineTick, MarketPrint, Refused, RiskEngine, SavedEngine,
};
use tidewheel_risk::levels::{Level, Scope};
use tidewheel_risk::policy::InForce;
use tidewheel_risk::switches::ControlEvent;
use tidewheel_schemas::{AccountContent, AccountRecord, BarVersion, Counters, FundingPayment, Instrument, OrderEnd};

/// At the first tick of each the numbers of all accounts are given, also of those that did not change.
const HOUR_MS: u64 = 3_600_000;

/// What comes for a tick, in any order.
#[derive(Clone, Debug, Default)]
pub struct RiskRecords {
    /// Orders of people.
    pub orders: Vec<ControlEvent>,
    /// What accounts did.
    pub account: Vec<AccountRecord>,
    /// What markets did.
    pub changes: Vec<MarketChange>,
    /// Final bars of the step.
    pub closes: Vec<BarVersion>,
    /// What became of records before they came to the workers, where there is a feed that can fail.
    pub feed: Option<FeedCounts>,
}

/// A fact that is no decision, with its number in the run, from 1.
#[derive(Clone, Debug, PartialEq)]
pub struct RiskEventRow {
    /// Its number.
    pub number: u64,
    /// What happened.
    pub fact: RiskFact,
}

/// What can happen.
#[derive(Clone, Debug, PartialEq)]
pub enum RiskFact {
    /// What the desk says.
    Desk(RiskEvent),
    /// A fill, or a change of one, that cannot count: nobody knows what was traded.
    NotCounted(AccountRecord, String),
    /// A change of a fill that never came.
    Expired(ExpiredChange),
    /// Funding that was paid nobody knows on which price so far: it is in no account yet.
    Unpriced(FundingPayment),
    /// Funding that nobody ever knew the price of: it is in no account.
    NeverPriced(FundingPayment),
    /// What a market did and the book did not take: the first of its instrument and kind in the tick, why, and how many they were.
    MarketRefused(BookEvent, String, u64),
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RiskSizes {
    /// By the engine.
    pub engine: EngineSizes,
    /// Instruments without reference data of which marks are kept.
    pub waiting: usize,
    /// When something happens next though nothing comes, nanoseconds of tick time: a print has waited long enough, an order expires.
    pub due_ns: Option<i64>,
}

/// Accounts by name, and where each stands.
pub type AccountLevels = Arc<[(Arc<str>, Level)]>;

/// What a tick came to.
#[derive(Clone, Debug, Default)]
pub struct RiskOutcome {
    /// Positions that were touched, and where they are due those whose mark is another one than they were given with last; by holder
    /// and instrument.
    pub positions: Vec<PositionNumbers>,
    /// Accounts whose numbers changed since they were given last, where they are due.
    pub accounts: Vec<AccountReport>,
    /// Facts that are no decisions, in the order in which they came to be.
    pub events: Vec<RiskEventRow>,
    /// What intents were told, in the order of judging.
    pub answers: Vec<Answer>,
    /// Records of accounts that were taken, by source.
    pub accepted: Vec<AccountRecord>,
    /// Those that were not, but for duplicates, by source.
    pub refused: Vec<RefusedAccount>,
    /// All counts since the worker began; `read` is counted at the source.
    pub counters: Counters,
    /// How much is held after the tick.
    pub sizes: RiskSizes,
    /// Where each account stands, everything included, by name; none where accounts are not due.
    pub levels: Option<AccountLevels>,
    /// For a snapshot, where the tick asks for one.
    pub saved: Option<Box<SavedRisk>>,
}

/// The state as a snapshot holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedRisk {
    engine: SavedEngine,
    aside: Aside,
    feed: Feed,
    events: u64,
    changed: BTreeSet<Arc<str>>,
    told: Told,
    last_tick: Option<u64>,
}

/// Risk, tick by tick. Pure state: ticks in, facts out.
///
/// **State**: that of the engine, and [`RiskSizes::waiting`].
#[derive(Debug)]
pub struct RiskLedger {
    engine: RiskEngine,
    aside: Aside,
    feed: Feed,
    publish_every_ms: u64,
    /// Events so far.
    events: u64,
    /// Accounts whose numbers are others than they were when they were given last.
    changed: BTreeSet<Arc<str>>,
    told: Told,
    last_tick: Option<u64>,
    counters: Counters,
}

impl RiskLedger {
    /// Begins with the configured policy.
    ///
    /// # Panics
    /// If the configuration contradicts itself: it is validated before.
    pub fn new(config: RiskConfig) -> Self {
        let RiskConfig { book, step, policy, publish_every_ms } = config;
        assert_eq!(book.scenario_step_ns, step.duration_ns(), "scenarios are made of the closes of the step");
        let engine = RiskEngine::new(book, policy, "configuration", "in force from the beginning");
        Self {
            engine: engine.expect("the policy was validated with the configuration"),
            aside: Aside::default(),
            feed: Feed::default(),
            publish_every_ms,
            events: 0,
            changed: BTreeSet::new(),
            told: Told::default(),
            last_tick: None,
            counters: Counters::default(),
        }
    }

    /// Goes on from what was saved.
    pub fn restore(config: &RiskConfig, saved: SavedRisk) -> Self {
        let SavedRisk { engine, aside, feed, events, changed, told, last_tick } = saved;
        Self {
            engine: RiskEngine::restore(engine),
            aside,
            feed,
            publish_every_ms: config.publish_every_ms,
            events,
            changed,
            told,
            last_tick,
            counters: Counters::default(),
        }
    }

    /// The engine.
    pub const fn engine(&self) -> &RiskEngine {
        &self.engine
    }

    /// Takes a tick. At that of a restore nothing happens.
    pub fn apply(&mut self, header: &TickHeader, records: RiskRecords) -> RiskOutcome {
        let mut outcome = RiskOutcome::default();
        if !header.is_restore {
            self.take(header, records, &mut outcome);
        }
        outcome.counters = self.counters.clone();
        let due_ns = self.engine.desk().due_ns();
        outcome.sizes = RiskSizes { engine: self.engine.sizes(), waiting: self.aside.len(), due_ns };
        outcome.saved = header.save.map(|_| Box::new(self.save()));
        outcome
    }

    fn take(&mut self, header: &TickHeader, records: RiskRecords, outcome: &mut RiskOutcome) {
        let RiskRecords { orders, account, changes, closes, feed } = records;
        let tick_ns = tick_time_ns(header.tick);
        let begins = self.last_tick.is_none().then(|| self.first_policy(header.tick));
        let policy = &self.engine.desk().policies().current().policy;
        let health = feed.and_then(|_| self.feed.health(policy, header.tick, header.watermark_ns));
        let mut tick = EngineTick {
            tick: header.tick,
            time_ns: tick_ns,
            // At the end of history all is final, and yet no time has passed.
            watermark_ns: header.watermark_ns.min(tick_ns),
            controls: orders,
            health,
            ..EngineTick::default()
        };
        let mut counts = feed.unwrap_or_default();
        self.market(changes, closes, &account, &mut tick, &mut counts);
        for record in &account {
            match &record.content {
                AccountContent::Intent(intent) => tick.intents.push(intent.clone()),
                AccountContent::OrderEnd(OrderEnd { account, intent_id }) => {
                    tick.ended.push(Ended { account: account.clone(), intent_id: intent_id.clone() });
                }
                _ => tick.records.extend(book_event(record)),
            }
        }
        let mut facts = self.engine.tick(tick);
        self.keep_aside(&facts);
        let not_taken = self.not_taken(&facts);
        let before = FeedCounts::of(&self.counters);
        let judged = judge(account, &mut facts, &mut self.counters);
        if feed.is_some() {
            counts.add(&FeedCounts::of(&self.counters).since(before));
            self.feed.count(header.tick, &counts);
        }
        (outcome.accepted, outcome.refused) = (judged.accepted, judged.refused);
        let before = begins.into_iter();
        let before =
            before.chain(judged.not_counted.into_iter().map(|(record, why)| RiskFact::NotCounted(record, why)));
        let before = before.chain(facts.unpriced.drain(..).map(RiskFact::Unpriced));
        let before = before.chain(facts.lost.drain(..).map(RiskFact::NeverPriced)).chain(not_taken);
        let before = before.chain(facts.expired.drain(..).map(RiskFact::Expired));
        let told: Vec<RiskFact> = before.chain(facts.events.drain(..).map(RiskFact::Desk)).collect();
        outcome.events = told.into_iter().map(|fact| self.number(fact)).collect();
        outcome.answers = std::mem::take(&mut facts.answers);
        let (book, numbers) = (self.engine.book(), self.engine.numbers());
        self.changed.extend(facts.accounts.iter().map(|numbers| numbers.account.clone()));
        outcome.positions = self.told.touched(book, std::mem::take(&mut facts.positions));
        let is_new_hour = self.last_tick.is_none_or(|last| last / HOUR_MS != header.tick / HOUR_MS);
        if is_new_hour {
            // Who asks for the newest numbers finds those of all accounts in any hour that has a tick.
            self.changed.extend(self.engine.numbers().keys().cloned());
        }
        if is_new_hour || self.is_due(header) {
            outcome.positions = self.told.marked(book, std::mem::take(&mut outcome.positions));
            let changed = std::mem::take(&mut self.changed);
            let numbers = changed.iter().filter_map(|account| numbers.get(account));
            outcome.accounts = numbers.map(|numbers| self.told.report(book, numbers)).collect();
            outcome.levels = Some(self.levels());
        }
        self.last_tick = Some(header.tick);
    }

    /// The configured policy, as the first of the policies: it is in force from the first tick on.
    fn first_policy(&self, tick: u64) -> RiskFact {
        let first = self.engine.desk().policies().current().clone();
        let first = InForce { from_tick: tick, from_ns: tick_time_ns(tick), ..first };
        RiskFact::Desk(RiskEvent::Policy(Box::new(first)))
    }

    fn levels(&self) -> AccountLevels {
        let levels = self.engine.desk().levels();
        let of_all = levels.of(&Scope::Everything);
        let level = |account: &Arc<str>| levels.of(&Scope::Account(account.clone())).max(of_all);
        self.engine.numbers().keys().map(|account| (account.clone(), level(account))).collect()
    }

    /// Whether numbers of accounts are given at a tick: at the first of each period, and where history ends. A run that stops is gone on
    /// with as if it had not been stopped.
    fn is_due(&self, header: &TickHeader) -> bool {
        let period = |tick: u64| tick / self.publish_every_ms.max(1);
        header.watermark_ns == i64::MAX || self.last_tick.is_none_or(|last| period(last) != period(header.tick))
    }

    fn number(&mut self, fact: RiskFact) -> RiskEventRow {
        self.events += 1;
        RiskEventRow { number: self.events, fact }
    }

    /// Puts into a tick what markets did, of the instruments that are known by it.
    fn market(
        &mut self,
        changes: Vec<MarketChange>,
        closes: Vec<BarVersion>,
        account: &[AccountRecord],
        tick: &mut EngineTick,
        counts: &mut FeedCounts,
    ) {
        let mut new: BTreeSet<&Instrument> = BTreeSet::new();
        for record in account {
            if let AccountContent::Reference(reference) = &record.content
                && self.engine.book().reference_of(&reference.instrument).is_none()
                && new.insert(&reference.instrument)
            {
                tick.records.extend(self.aside.take(&reference.instrument));
            }
        }
        let (engine, aside) = (&self.engine, &mut self.aside);
        let config = engine.book().config();
        let is_known =
            |instrument: &Instrument| new.contains(instrument) || engine.book().reference_of(instrument).is_some();
        for change in changes {
            match change {
                MarketChange::Mark { ref instrument, .. } if !is_known(instrument) => aside.keep_mark(&change, config),
                MarketChange::Mark { instrument, source, minute_end_ns, mark } => {
                    tick.records.push(BookEvent::MinuteMark { instrument, source, minute_end_ns, mark });
                }
                MarketChange::Print(MarketPrint { ref instrument, .. }) if !is_known(instrument) => {}
                MarketChange::Print(print) => tick.prints.push(print),
                MarketChange::Funding(funding) if is_known(&funding.instrument) => {
                    tick.records.push(BookEvent::Funding(funding.payment()));
                }
                MarketChange::Funding(funding) => aside.keep_funding(funding.payment(), config),
                MarketChange::Counts(more) => counts.add(&more),
            }
        }
        for BarVersion { instrument, open_time_ns, bar, .. } in closes {
            let close_e8 = bar.map(|bar| bar.close_e8);
            if is_known(&instrument) {
                tick.records.push(BookEvent::Close { instrument, bar_time_ns: open_time_ns, close_e8 });
            } else {
                aside.keep_close(&instrument, open_time_ns, close_e8, config);
            }
        }
    }

    /// What came for an instrument whose reference data was refused waits on.
    fn keep_aside(&mut self, facts: &EngineFacts) {
        let (book, aside) = (self.engine.book(), &mut self.aside);
        let config = book.config();
        let is_known = |instrument: &Instrument| book.reference_of(instrument).is_some();
        for Refused { record, .. } in &facts.refused {
            match record {
                BookEvent::MinuteMark { instrument, source, minute_end_ns, mark } if !is_known(instrument) => {
                    let (instrument, source) = (instrument.clone(), *source);
                    let (minute_end_ns, mark) = (*minute_end_ns, *mark);
                    aside.keep_mark(&MarketChange::Mark { instrument, source, minute_end_ns, mark }, config);
                }
                BookEvent::Funding(payment) if !is_known(&payment.instrument) => {
                    aside.keep_funding(payment.clone(), config);
                }
                BookEvent::Close { instrument, bar_time_ns, close_e8 } if !is_known(instrument) => {
                    aside.keep_close(instrument, *bar_time_ns, *close_e8, config);
                }
                _ => {}
            }
        }
    }

    /// What markets did that the book gave back, and that does not wait: payments one by one, of marks and closes the first of each
    /// instrument. Marks and closes that are too old are as they should be: what waited, or came of a trade, goes back further.
    fn not_taken(&self, facts: &EngineFacts) -> Vec<RiskFact> {
        let late = facts.late.iter().filter(|record| matches!(record, BookEvent::Funding(_)));
        let late = late.map(|record| (record, "it is before all that may still change".to_owned()));
        let refused = facts.refused.iter().map(|Refused { record, why }| (record, why.to_string()));
        let mut told: BTreeMap<(u8, &Instrument, i64), (&BookEvent, String, u64)> = BTreeMap::new();
        for (record, why) in late.chain(refused) {
            let key = match record {
                BookEvent::Funding(payment) => (0, &payment.instrument, payment.event_time_ns),
                BookEvent::MinuteMark { instrument, .. } => (1, instrument, 0),
                BookEvent::Close { instrument, .. } => (2, instrument, 0),
                _ => continue,
            };
            if self.engine.book().reference_of(key.1).is_some() {
                told.entry(key).or_insert((record, why, 0)).2 += 1;
            }
        }
        told.into_values().map(|(record, why, count)| RiskFact::MarketRefused(record.clone(), why, count)).collect()
    }

    fn save(&self) -> SavedRisk {
        SavedRisk {
            engine: self.engine.save(),
            aside: self.aside.clone(),
            feed: self.feed.clone(),
            events: self.events,
            changed: self.changed.clone(),
            told: self.told.clone(),
            last_tick: self.last_tick,
        }
    }
}
