//! All facts of a tick in one order: what people ordered, what tripped, which level that makes, what orders are told.
//!
//! ```text
//!  controls -> fills of orders -> bars, prints, readings -> levels -> intents
//!     |              |                      |                  |         |
//!  answers         notes          trips, crashes, regimes   changes   decisions
//! ```
//!
//! A kill switch that comes in the tick of an intent wins, and so does a trip by the marks of that tick. The book has taken the tick's fills
//! and marks before the desk is asked. Nothing here is taken back: corrections are answered by [`Audit`]s.
//!
//! The desk's state is base state: [`Desk::save`] gives it, [`Desk::restore`] goes on from it as if nothing had happened. There is one
//! desk for all accounts, since scopes reach over them.

use crate::breakers::{Audit, Audits, BreakerEvent, Breakers, CorrectedReading, Measure, Now, Reading, Rule};
use crate::decisions::{Answer, Book, Decisions, Judging, Progress, ProgressNote, Reservation, SavedDecisions};
use crate::flash_crash::{FlashCrash, FlashCrashes, Print};
use crate::levels::{Level, LevelChange, Levels, Scope};
use crate::policy::{History, InForce, Policy, Problem};
use crate::regimes::{BarReturn, RegimeChange, Regimes};
use crate::switches::{ControlAnswer, ControlEvent, Controls};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;
use tidewheel_schemas::OrderIntent;

/// What comes in a tick. Lists may be in any order.
#[derive(Clone, Debug, Default)]
pub struct TickInput {
    /// Its number.
    pub tick: u64,
    /// Its time, nanoseconds.
    pub time_ns: i64,
    /// The version of the book, fills and marks of the tick included.
    pub state_version: u64,
    /// Orders of people.
    pub controls: Vec<ControlEvent>,
    /// What became of orders to the venue.
    pub progress: Vec<Progress>,
    /// Returns of final bars.
    pub bars: Vec<BarReturn>,
    /// Bars that ended before this say nothing of how volatile it is now, nanoseconds.
    pub bars_since_ns: i64,
    /// Prices of symbols and equity of accounts.
    pub prints: Vec<(Scope, Print)>,
    /// What was measured. Volatility and falls are measured by the desk itself.
    pub readings: Vec<Reading>,
    /// Measures of past ticks that corrections changed.
    pub corrections: Vec<CorrectedReading>,
    /// Scopes that are no more.
    pub retired: Vec<Scope>,
    /// Orders that somebody wants to send.
    pub intents: Vec<OrderIntent>,
}

/// A fact that is no decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RiskEvent {
    /// An order of a person was done or refused.
    Control(ControlAnswer),
    /// A policy is in force from this tick on, the whole of it.
    Policy(Box<InForce>),
    /// Something about an order to the venue should not be.
    Progress(ProgressNote),
    /// An approved order's time is over, and it was not all filled.
    Expired(Reservation),
    /// A symbol's regime is another one.
    Regime(RegimeChange),
    /// A flash crash.
    FlashCrash(FlashCrash),
    /// A rule rose or came down.
    Breaker(BreakerEvent),
    /// A correction would have changed what a rule did.
    Audit(Audit),
    /// A scope's level is another one.
    Level(LevelChange),
    /// Prints came too late to be looked at.
    LatePrints(u64),
}

/// All facts of a tick.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TickFacts {
    /// In the order in which they came to be.
    pub events: Vec<RiskEvent>,
    /// One for each intent, in the order of judging.
    pub answers: Vec<Answer>,
}

/// What accounts may do, tick by tick.
#[derive(Clone, Debug)]
pub struct Desk {
    policies: History,
    controls: Controls,
    breakers: Breakers,
    audits: Audits,
    levels: Levels,
    crashes: FlashCrashes,
    regimes: Regimes,
    decisions: Decisions,
}

/// A desk as a snapshot holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SavedDesk {
    policies: History,
    controls: Controls,
    breakers: Breakers,
    audits: Audits,
    levels: Levels,
    crashes: FlashCrashes,
    regimes: Regimes,
    decisions: SavedDecisions,
}

/// How much a desk holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeskSizes {
    /// Orders of people that are remembered.
    pub controls: usize,
    /// Rules that stand above green.
    pub standings: usize,
    /// Measures that are expected.
    pub measures: usize,
    /// Verdicts on past ticks.
    pub audits: usize,
    /// Prints inside windows, or waiting.
    pub prints: usize,
    /// Volatilities.
    pub volatilities: usize,
    /// Decisions that are remembered.
    pub decisions: usize,
    /// Orders that are open.
    pub open_orders: usize,
}

impl Desk {
    /// Begins with a policy.
    ///
    /// # Errors
    /// All that is wrong with the policy.
    pub fn new(policy: Policy, who: &str, why: &str) -> Result<Self, Vec<Problem>> {
        Ok(Self {
            policies: History::new(policy, who, why)?,
            controls: Controls::default(),
            breakers: Breakers::default(),
            audits: Audits::default(),
            levels: Levels::default(),
            crashes: FlashCrashes::default(),
            regimes: Regimes::default(),
            decisions: Decisions::default(),
        })
    }

    /// Takes the orders of people alone, before the rest of their tick: the policy that they set says how the tick's book is valued.
    pub fn take_controls(
        &mut self,
        now: Now,
        controls: Vec<ControlEvent>,
        lost: &mut BTreeSet<Arc<str>>,
    ) -> Vec<RiskEvent> {
        let before = self.policies.current().policy.version;
        let (answers, trips) = self.controls.take(controls, now, &mut self.policies, &mut self.breakers, lost);
        let answers = answers.into_iter().map(RiskEvent::Control);
        let set = self.policies.versions().filter(|version| version.policy.version > before);
        let set = set.map(|version| RiskEvent::Policy(Box::new(version.clone())));
        answers.chain(set).chain(trips.into_iter().map(RiskEvent::Breaker)).collect()
    }

    /// Takes a tick. The book holds what it came to.
    pub fn tick(&mut self, input: TickInput, book: &impl Book) -> TickFacts {
        let now = Now { tick: input.tick, time_ns: input.time_ns };
        let mut events = self.take_controls(now, input.controls, &mut BTreeSet::new());
        let policy = &self.policies.current().policy;

        let (progress, early) = self.decisions.part(input.progress, &input.intents);
        events.extend(self.decisions.progress(&progress).into_iter().map(RiskEvent::Progress));
        let memory_ms = policy.decisions.memory_ms;
        events.extend(self.decisions.expire(now.time_ns, memory_ms).into_iter().map(RiskEvent::Expired));

        for scope in &input.retired {
            events.extend(self.breakers.retire(scope).into_iter().map(RiskEvent::Breaker));
            self.crashes.retire(scope);
        }
        let mut readings = input.readings;
        readings.extend(take_bars(&mut self.regimes, policy, now, input.bars, input.bars_since_ns, &mut events));
        let falls = self.crashes.take(&policy.flash_crash, policy.hysteresis.clear, now, input.prints);
        events.extend(falls.crashes.into_iter().map(RiskEvent::FlashCrash));
        events.extend((falls.late > 0).then_some(RiskEvent::LatePrints(falls.late)));
        // Where a crash stands and nothing was printed, the window goes on by itself, so that the level can come down.
        let said: Vec<Scope> = falls.readings.iter().map(|reading| reading.scope.clone()).collect();
        let silent = self.breakers.scopes(Rule::FlashCrash).filter(|scope| said.binary_search(scope).is_err());
        for scope in silent {
            readings.extend(self.crashes.fall(&policy.flash_crash, now, scope));
        }
        readings.extend(falls.readings);
        events.extend(self.breakers.take(policy, now, &readings).into_iter().map(RiskEvent::Breaker));
        events.extend(self.audits.judge(&self.policies, &input.corrections).into_iter().map(RiskEvent::Audit));

        let contributions = self.breakers.contributions();
        events.extend(self.levels.publish(&contributions).into_iter().map(RiskEvent::Level));

        let (levels, regimes) = (&self.levels, &self.regimes);
        let level = |intent: &OrderIntent| {
            let scopes = Scope::over(&intent.holder, &intent.instrument);
            let level = scopes.iter().map(|scope| levels.of(scope)).max().unwrap_or_default();
            let causes = scopes.iter().filter_map(|scope| contributions.get(scope)).flatten();
            let trips =
                if level == Level::Green { Vec::new() } else { causes.flat_map(|cause| cause.trips.clone()).collect() };
            (level, trips)
        };
        let judging = Judging {
            policy,
            now,
            state_version: input.state_version,
            level: &level,
            regime: &|instrument| regimes.of(instrument),
        };
        let (answers, notes) = self.decisions.take(&judging, book, input.intents, early);
        events.extend(notes.into_iter().map(RiskEvent::Progress));
        TickFacts { events, answers }
    }

    /// Forgets verdicts on ticks before this one: corrections do not reach them.
    pub fn forget_before(&mut self, tick: u64) {
        self.audits.forget_before(tick);
    }

    /// The policies.
    pub const fn policies(&self) -> &History {
        &self.policies
    }

    /// The rules, with their trips.
    pub const fn breakers(&self) -> &Breakers {
        &self.breakers
    }

    /// The levels as published.
    pub const fn levels(&self) -> &Levels {
        &self.levels
    }

    /// The regimes.
    pub const fn regimes(&self) -> &Regimes {
        &self.regimes
    }

    /// The decisions, with what is open.
    pub const fn decisions(&self) -> &Decisions {
        &self.decisions
    }

    /// When prints have waited long enough or an order may expire, whichever is first, nanoseconds of tick time: a tick is needed by
    /// then, though nothing comes.
    pub fn due_ns(&self) -> Option<i64> {
        let crashes = self.crashes.due_ns(&self.policies.current().policy.flash_crash);
        crashes.into_iter().chain(self.decisions.due_ns()).min()
    }

    /// How much is held.
    pub fn sizes(&self) -> DeskSizes {
        let [standings, measures, _] = self.breakers.sizes();
        let [decisions, open_orders] = self.decisions.sizes();
        DeskSizes {
            controls: self.controls.len(),
            standings,
            measures,
            audits: self.audits.len(),
            prints: self.crashes.sizes()[1],
            volatilities: self.regimes.sizes()[1],
            decisions,
            open_orders,
        }
    }

    /// All that must survive.
    pub fn save(&self) -> SavedDesk {
        SavedDesk {
            policies: self.policies.clone(),
            controls: self.controls.clone(),
            breakers: self.breakers.clone(),
            audits: self.audits.clone(),
            levels: self.levels.clone(),
            crashes: self.crashes.clone(),
            regimes: self.regimes.clone(),
            decisions: self.decisions.save(),
        }
    }

    /// Goes on from what was saved.
    pub fn restore(saved: SavedDesk) -> Self {
        Self {
            policies: saved.policies,
            controls: saved.controls,
            breakers: saved.breakers,
            audits: saved.audits,
            levels: saved.levels,
            crashes: saved.crashes,
            regimes: saved.regimes,
            decisions: Decisions::restore(saved.decisions),
        }
    }
}

/// Takes bars by instrument and time; gives what the newest of each instrument says of volatility now. A bar that cannot be is a fault of
/// its symbol's.
///
/// Bars that waited, such as those before the reference data of their instrument, come all in one tick. They move its regime, of which
/// what they made of it together is told; a spike among them is over.
fn take_bars(
    regimes: &mut Regimes,
    policy: &Policy,
    now: Now,
    mut bars: Vec<BarReturn>,
    since_ns: i64,
    events: &mut Vec<RiskEvent>,
) -> Vec<Reading> {
    bars.sort_by(|one, other| {
        (&one.instrument, one.end_ns).cmp(&(&other.instrument, other.end_ns)).then(one.value.total_cmp(&other.value))
    });
    let mut readings = Vec::new();
    for bars in bars.chunk_by(|one, next| one.instrument == next.instrument) {
        let before = regimes.of(&bars[0].instrument);
        let (mut change, mut value, mut end_ns) = (None, None, i64::MIN);
        for bar in bars {
            value = match regimes.take(&policy.regimes, bar) {
                Ok(regimed) => {
                    change = regimed.change.or(change);
                    regimed.spike.map(Ok)
                }
                Err(fault) => Some(Err(fault)),
            };
            end_ns = bar.end_ns;
        }
        let change = change.filter(|change| Some(change.to) != before);
        events.extend(change.map(|change| RiskEvent::Regime(RegimeChange { from: before, ..change })));
        let value = value.filter(|_| end_ns >= since_ns);
        let scope = Scope::Symbol(bars[0].instrument.clone());
        readings.extend(value.map(|value| Reading {
            measure: Measure::Volatility,
            scope,
            value,
            as_of_ns: now.time_ns,
        }));
    }
    readings
}

#[cfg(test)]
mod tests;
