//! What becomes of order intents: each gets exactly one decision, approved, reduced or rejected, with all reasons.
//!
//! **Order.** The intents of a tick are judged by (event time, account, intent id), whatever their arrival; orders of people, trips and
//! fills of the tick come before them.
//! **Price.** An order is judged at the worst price it may be filled at: its limit, or for an order at the market its mark moved by
//! `market_slippage` to its harm. What is held in its instrument is taken at the greater of mark and price, since a fill may be the
//! next mark.
//! **What counts.** What is approved and not yet filled counts as if it were filled in whichever way is worst: a position is somewhere
//! between all of its open sales and all of its open purchases. The loss against the mark and the fees of all that is open are taken
//! from equity first. So whichever part of what is open is filled at its price, no limit that the order was held to is passed.
//! **Reducing.** What makes a position smaller, beyond what open orders already do, is held to no limit of exposure: it can be had
//! when a limit is passed already. It is held to levels, prices and times like the rest.
//! **Reduced.** An order that would pass a limit is cut to the greatest quantity that does not, to the eighth decimal. Lot sizes are the
//! sender's to round down to.
//! **Duplicates.** The same intent once more has the answer it had. Another one under its name is refused; the first one's answer stands.
//! One that is older than what is remembered is refused each time.
//! **Expiry.** An approval holds until `expires_ns`, and the order must be filled or cancelled by then: it stops counting.
//!
//! The risk score is the greatest share that the order, in the quantity asked for, would use of any limit: 0 to 1, and 1 where it
//! cannot be told.

mod book;
mod exact;
mod judge;
mod reason;
mod reserved;

pub use book::{Book, GroupRef, Market, Money};
pub(crate) use exact::multiply_divide_up;
pub use judge::Judging;
pub use reason::{LimitKind, LimitUse, Reason};
pub use reserved::{Ended, Progress, ProgressNote, Reservation};

use crate::levels::Level;
use crate::policy::Ratio;
use reserved::Reserved;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tidewheel_schemas::OrderIntent;

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// The whole quantity.
    Approved,
    /// Some of it.
    Reduced,
    /// Nothing.
    Rejected,
}

/// A decision: a fact of its tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What was asked.
    pub intent: OrderIntent,
    /// What was decided.
    pub ruling: Ruling,
    /// How much may be ordered, eight decimals; not above what was asked.
    pub quantity_e8: i64,
    /// The price that it was judged at, eight decimals; none where there was none.
    pub price_e8: Option<i64>,
    /// All that spoke against the whole quantity. Empty where it is approved.
    pub reasons: Vec<Reason>,
    /// The greatest share of a limit that the quantity asked for would use, 0 to 1.
    pub risk_score: Ratio,
    /// The greatest level that it lay under.
    pub level: Level,
    /// The policy that it was judged by.
    pub policy_version: u64,
    /// The version of the book that it was judged by.
    pub state_version: u64,
    /// Its number among all decisions, from 1: with the version of the book it names what it was judged by, open orders included.
    pub number: u64,
    /// The tick.
    pub tick: u64,
    /// The tick's time, nanoseconds.
    pub time_ns: i64,
    /// Until when what is approved counts, nanoseconds; none where nothing is.
    pub expires_ns: Option<i64>,
}

/// What an intent was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// A decision, the only one of this intent.
    Decided(Decision),
    /// The decision that it had: it came before.
    Repeated(Decision),
    /// Another intent has its name; that one's decision stands, and this one is not to be sent.
    NameReused {
        /// What was asked under the name.
        intent: OrderIntent,
        /// The number of the decision that stands.
        number: u64,
    },
}

/// All decisions that are remembered, and what is open of them.
///
/// State: the decisions of the last `memory_ms` of event time, and those still open, of which an account has at most `open_orders`.
#[derive(Clone, Debug, Default)]
pub struct Decisions {
    number: u64,
    remembered: BTreeMap<OrderName, Remembered>,
    /// When each is forgotten, unless it is still open.
    ages: BTreeSet<(i64, OrderName)>,
    /// When each that is open ends.
    ends: BTreeSet<(i64, OrderName)>,
    reserved: Reserved,
    /// The newest event time of what was forgotten: what is not newer may have come before.
    forgotten_ns: Option<i64>,
}

/// An account and an intent of it.
type OrderName = (Arc<str>, Arc<str>);

/// A decision with what became of its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    decision: Decision,
    filled_e8: i64,
    ended: Option<Ended>,
    /// From when on it is not needed, nanoseconds.
    forget_ns: i64,
}

impl Remembered {
    /// What may still be filled, eight decimals.
    fn open_e8(&self) -> i64 {
        if self.ended.is_some() { 0 } else { (self.decision.quantity_e8 - self.filled_e8).max(0) }
    }

    fn name(&self) -> OrderName {
        (self.decision.intent.holder.account.clone(), self.decision.intent.intent_id.clone())
    }
}

/// Decisions as a snapshot holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedDecisions {
    number: u64,
    forgotten_ns: Option<i64>,
    /// Ascending by account and intent.
    remembered: Vec<Remembered>,
}

impl Decisions {
    /// Judges a tick's intents.
    pub fn take(&mut self, judging: &Judging<'_>, book: &impl Book, mut intents: Vec<OrderIntent>) -> Vec<Answer> {
        self.reserved.forget_values();
        // The rest of the key orders different intents under one name.
        intents.sort_by_cached_key(|intent| {
            let name = (intent.event_time_ns, intent.holder.account.clone(), intent.intent_id.clone());
            let what = (intent.holder.strategy.clone(), intent.instrument.clone(), intent.side, intent.quantity_e8);
            let how = (intent.limit_price_e8, intent.stop_price_e8, intent.is_reduce_only, intent.expires_ns);
            (name, what, how)
        });
        intents.into_iter().map(|intent| self.answer(judging, book, intent)).collect()
    }

    fn answer(&mut self, judging: &Judging<'_>, book: &impl Book, intent: OrderIntent) -> Answer {
        let name = (intent.holder.account.clone(), intent.intent_id.clone());
        if let Some(remembered) = self.remembered.get(&name) {
            return if remembered.decision.intent == intent {
                Answer::Repeated(remembered.decision.clone())
            } else {
                Answer::NameReused { intent, number: remembered.decision.number }
            };
        }
        self.number += 1;
        let decision = judging.decide(book, &mut self.reserved, intent, self.number, self.forgotten_ns);
        let memory_ns = in_ns(judging.policy.decisions.memory_ms);
        // What is too old only grows older, so that it is refused each time it comes. What is of a time that is not to be remembered
        // yet does not take its name: memory is bounded.
        let is_remembered = decision.reasons.iter().all(|reason| match reason {
            Reason::TooOld { .. } => false,
            Reason::FromTheFuture { ahead_ns } => *ahead_ns <= memory_ns,
            _ => true,
        });
        if is_remembered {
            let forget_ns = decision.intent.event_time_ns.saturating_add(memory_ns);
            self.ages.insert((forget_ns, name.clone()));
            if let Some(expires_ns) = decision.expires_ns {
                self.ends.insert((expires_ns, name.clone()));
                self.reserved.add(&decision, decision.quantity_e8);
            }
            self.remembered
                .insert(name, Remembered { decision: decision.clone(), filled_e8: 0, ended: None, forget_ns });
        }
        Answer::Decided(decision)
    }

    /// Takes what became of orders, in any order: sums do not mind.
    pub fn progress(&mut self, steps: &[Progress]) -> Vec<ProgressNote> {
        let mut notes = Vec::new();
        for step in steps {
            let (account, intent_id) = step.name();
            let name = (account.clone(), intent_id.clone());
            let note = |kind: fn(OrderName) -> ProgressNote| kind(name.clone());
            let Some(remembered) = self.remembered.get_mut(&name) else {
                notes.push(note(ProgressNote::Unknown));
                continue;
            };
            let before = remembered.open_e8();
            match step {
                Progress::Filled { quantity_e8, .. } => {
                    let filled = remembered.filled_e8.saturating_add((*quantity_e8).max(0));
                    remembered.filled_e8 = filled;
                    if remembered.ended.is_some() {
                        notes.push(note(ProgressNote::FilledAfterEnd));
                    } else if filled > remembered.decision.quantity_e8 {
                        notes.push(note(ProgressNote::Overfilled));
                    }
                }
                Progress::Unfilled { quantity_e8, .. } => {
                    remembered.filled_e8 = remembered.filled_e8.saturating_sub((*quantity_e8).max(0)).max(0);
                }
                Progress::Cancelled { .. } => {
                    if remembered.ended.is_none() && remembered.decision.expires_ns.is_some() {
                        remembered.ended = Some(Ended::Cancelled);
                    }
                }
            }
            self.reserved.change(&remembered.decision, before, remembered.open_e8());
        }
        notes
    }

    /// Ends what has expired by a time, and forgets what is too old to come again. Gives what ended with something open.
    pub fn expire(&mut self, time_ns: i64) -> Vec<Reservation> {
        let mut ended = Vec::new();
        while self.ends.first().is_some_and(|(end_ns, _)| *end_ns <= time_ns) {
            let Some((_, name)) = self.ends.pop_first() else { break };
            let Some(remembered) = self.remembered.get_mut(&name).filter(|remembered| remembered.ended.is_none())
            else {
                continue;
            };
            let open_e8 = remembered.open_e8();
            remembered.ended = Some(Ended::Expired);
            if open_e8 > 0 {
                self.reserved.change(&remembered.decision, open_e8, 0);
                ended.push(Reservation::of(&remembered.decision, open_e8));
            }
        }
        while self.ages.first().is_some_and(|(forget_ns, _)| *forget_ns < time_ns) {
            let Some((_, name)) = self.ages.pop_first() else { break };
            let Some(remembered) = self.remembered.get_mut(&name) else { continue };
            match remembered.decision.expires_ns.filter(|end_ns| *end_ns >= time_ns) {
                Some(end_ns) => {
                    remembered.forget_ns = end_ns;
                    self.ages.insert((end_ns, name));
                }
                None => {
                    self.forgotten_ns = self.forgotten_ns.max(Some(remembered.decision.intent.event_time_ns));
                    self.remembered.remove(&name);
                }
            }
        }
        ended
    }

    /// When the next order may expire, nanoseconds.
    pub fn due_ns(&self) -> Option<i64> {
        self.ends.first().map(|(end_ns, _)| *end_ns)
    }

    /// What is open, by account and intent.
    pub fn open(&self) -> impl Iterator<Item = Reservation> {
        let open = self.remembered.values().filter(|remembered| remembered.open_e8() > 0);
        open.map(|remembered| Reservation::of(&remembered.decision, remembered.open_e8()))
    }

    /// How much is held: decisions remembered, orders open.
    pub fn sizes(&self) -> [usize; 2] {
        [self.remembered.len(), self.reserved.orders()]
    }

    /// All that must survive.
    pub fn save(&self) -> SavedDecisions {
        let remembered = self.remembered.values().cloned().collect();
        SavedDecisions { number: self.number, forgotten_ns: self.forgotten_ns, remembered }
    }

    /// Goes on from what was saved.
    pub fn restore(saved: SavedDecisions) -> Self {
        let SavedDecisions { number, forgotten_ns, .. } = saved;
        let mut decisions = Self { number, forgotten_ns, ..Self::default() };
        for remembered in saved.remembered {
            let name = remembered.name();
            decisions.ages.insert((remembered.forget_ns, name.clone()));
            if let Some(expires_ns) = remembered.decision.expires_ns {
                decisions.ends.insert((expires_ns, name.clone()));
            }
            decisions.reserved.add(&remembered.decision, remembered.open_e8());
            decisions.remembered.insert(name, remembered);
        }
        decisions
    }
}

fn in_ns(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

#[cfg(test)]
mod oracle;
#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;
