//! What becomes of order intents: each gets exactly one decision, approved, reduced or rejected, with all reasons.
//!
//! **Order.** The intents of a tick are judged by (event time, account, intent id), whatever their arrival; orders of people, trips and
//! fills of the tick come before them. What was filled of an intent in its own tick is in the book already: the intent is judged as it
//! would have been before, with the rest of it as what is open. What ended in it ends once it is judged.
//! **Price.** An order is judged at the worst price it may be filled at: its limit, or for an order at the market its mark moved by
//! `market_slippage` to its harm. What is held in its instrument is taken at whichever of mark and price makes it worth more (an inverse
//! contract is worth more the lower the price), since a fill may be the next mark. An order that only reduces, at a price better than the
//! mark, is no such price: before it is filled the market has gone there.
//! **What counts.** What is approved and not yet filled counts as if it were filled in whichever way is worst: a position is somewhere
//! between all of its open sales and all of its open purchases. The loss against the mark and the fees of all that is open are taken
//! from equity first. An order that grows is held to its own limits and to those of all open orders of its account that grow: it must not
//! pass them by what it adds to a common group, nor by what it costs. So when one is approved, whichever part of what is open is filled
//! at its price, no open order that grows passes a limit that it was held to, by the marks of that tick. While marks that have moved
//! make one of them pass, nothing of its account grows. The risk per trade is left out: it is a share of the equity that the order itself
//! was judged by.
//! **Reducing.** What makes a position smaller, beyond what open orders already do, is held to no limit, nor to the universe or the
//! number of open orders, and neither money nor exposure is asked for: it can be had when a limit is passed, and when the account or
//! what it is converted with cannot be valued. It is held to levels, prices and times like the rest. Its price is by the instrument's own
//! mark. Where that is stale or missing an order with a limit is taken, since the limit says what it may be sold for at worst, and
//! there is nothing that the band could be measured from; one at the market is refused, since nothing would say it. What grows and cannot
//! be judged is cut to what reduces. Since it must be had, it may make orders before it pass a limit when all is filled: by its own loss
//! against the mark and fee, and by what its price, as the next mark, makes the rest of its instrument worth. The next order that grows
//! is judged with that.
//! **Reduced.** An order that would pass a limit is cut to the greatest quantity that does not, to the eighth decimal. Lot sizes are the
//! sender's to round down to.
//! **Duplicates.** The same intent once more has the answer it had, be it approved, refused, too old or of a time that has not come.
//! Another one under its name is refused; the first one's answer stands. Each decision is remembered for `memory_ms` at least. One that
//! was forgotten is too old when it comes again, but for one that was further ahead than memory reaches: that is judged anew.
//! **Expiry.** An approval holds until `expires_ns`, and the order must be filled or cancelled by then: it stops counting, whether or not
//! anybody said what became of it. An intent that would hold for more than a year is refused.
//!
//! The risk score is the greatest share that the order, in the quantity asked for, would use of any limit: 0 to 1, 0 where it is held to
//! none, and 1 where it cannot be told.

mod book;
mod exact;
mod judge;
mod reason;
mod reserved;
mod sums;

pub use book::{Book, GroupRef, Market, Money};
pub(crate) use exact::multiply_divide_up;
pub use judge::Judging;
pub use reason::{LimitKind, LimitUse, Reason};
pub use reserved::{Ended, OrderFill, Progress, ProgressNote, Reservation};

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
/// State: the decisions of the last `memory_ms`, and those still open. Of these an account has at most `open_orders` that
/// grow; those that reduce are together no larger than what it holds.
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

/// What became of orders in the tick of their intents, before anything was decided of them.
#[derive(Clone, Debug, Default)]
pub struct Early(BTreeMap<OrderName, Vec<Progress>>);

/// How much of an intent was filled before it was judged.
fn already_filled_e8(intent: &OrderIntent, steps: &[Progress]) -> i64 {
    let sum = steps.iter().fold(0i128, |sum, step| match step {
        Progress::Filled(fill) if fill.is_of(intent) => sum + i128::from(fill.quantity_e8.max(0)),
        Progress::Unfilled(fill) if fill.is_of(intent) => sum - i128::from(fill.quantity_e8.max(0)),
        _ => sum,
    });
    i64::try_from(sum.max(0)).unwrap_or(i64::MAX)
}

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
    /// Parts what became of orders from what became of orders that this tick's intents first ask for.
    pub fn part(&self, steps: Vec<Progress>, intents: &[OrderIntent]) -> (Vec<Progress>, Early) {
        let asked: BTreeSet<_> = intents.iter().map(|intent| (&intent.holder.account, &intent.intent_id)).collect();
        let mut early = Early::default();
        let mut known = Vec::new();
        for step in steps {
            let (account, intent_id) = step.name();
            let name = (account.clone(), intent_id.clone());
            if asked.contains(&(account, intent_id)) && !self.remembered.contains_key(&name) {
                early.0.entry(name).or_default().push(step);
            } else {
                known.push(step);
            }
        }
        (known, early)
    }

    /// Judges a tick's intents. What became of them in this very tick counts once each is judged; gives what of that should not be.
    pub fn take(
        &mut self,
        judging: &Judging<'_>,
        book: &impl Book,
        mut intents: Vec<OrderIntent>,
        mut early: Early,
    ) -> (Vec<Answer>, Vec<ProgressNote>) {
        self.reserved.forget_values();
        // The rest of the key orders different intents under one name.
        intents.sort_by_cached_key(|intent| {
            let name = (intent.event_time_ns, intent.holder.account.clone(), intent.intent_id.clone());
            let what = (intent.holder.strategy.clone(), intent.instrument.clone(), intent.side, intent.quantity_e8);
            let how = (intent.limit_price_e8, intent.stop_price_e8, intent.is_reduce_only, intent.expires_ns);
            (name, what, how)
        });
        let mut notes = Vec::new();
        let answers = intents.into_iter().map(|intent| {
            let steps = early.0.remove(&(intent.holder.account.clone(), intent.intent_id.clone())).unwrap_or_default();
            let filled_e8 = already_filled_e8(&intent, &steps);
            let answer = self.answer(judging, book, intent, filled_e8);
            notes.extend(self.progress(&steps));
            answer
        });
        let answers = answers.collect();
        (answers, notes)
    }

    fn answer(&mut self, judging: &Judging<'_>, book: &impl Book, intent: OrderIntent, filled_e8: i64) -> Answer {
        let name = (intent.holder.account.clone(), intent.intent_id.clone());
        if let Some(remembered) = self.remembered.get(&name) {
            return if remembered.decision.intent == intent {
                Answer::Repeated(remembered.decision.clone())
            } else {
                Answer::NameReused { intent, number: remembered.decision.number }
            };
        }
        self.number += 1;
        let decision = judging.decide(book, &mut self.reserved, intent, filled_e8, self.number, self.forgotten_ns);
        let memory_ns = in_ns(judging.policy.decisions.memory_ms);
        // What is too old, or of a time that is further ahead than memory reaches, is remembered as long as if it were of now: it gets
        // the same answer while it is sent again and again, and memory is bounded.
        let (now_ns, event_time_ns) = (judging.now.time_ns, decision.intent.event_time_ns);
        let is_far = event_time_ns > now_ns.saturating_add(memory_ns);
        let from_ns = if is_far { now_ns } else { event_time_ns.max(now_ns) };
        let forget_ns = from_ns.saturating_add(memory_ns);
        self.ages.insert((forget_ns, name.clone()));
        if let Some(expires_ns) = decision.expires_ns {
            self.ends.insert((expires_ns, name.clone()));
            self.reserved.add(&decision, decision.quantity_e8);
        }
        let remembered = Remembered { decision: decision.clone(), filled_e8: 0, ended: None, forget_ns };
        self.remembered.insert(name, remembered);
        Answer::Decided(decision)
    }

    /// Takes what became of orders, in any order: sums do not mind. Gives what should not be, by account and intent.
    pub fn progress(&mut self, steps: &[Progress]) -> Vec<ProgressNote> {
        let mut by_name: BTreeMap<OrderName, Vec<&Progress>> = BTreeMap::new();
        for step in steps {
            let (account, intent_id) = step.name();
            by_name.entry((account.clone(), intent_id.clone())).or_default().push(step);
        }
        by_name.into_iter().flat_map(|(name, steps)| self.progress_of(&name, &steps)).collect()
    }

    /// What becomes of one order. A correction is a fill less and a fill more: what is noted is what is more in the end.
    fn progress_of(&mut self, name: &OrderName, steps: &[&Progress]) -> Vec<ProgressNote> {
        let Some(remembered) = self.remembered.get_mut(name) else { return vec![ProgressNote::Unknown(name.clone())] };
        let mut notes = Vec::new();
        let (before_e8, filled_e8, was_ended) =
            (remembered.open_e8(), remembered.filled_e8, remembered.ended.is_some());
        let mut sum_e8 = i128::from(filled_e8);
        for step in steps {
            match step {
                Progress::Filled(fill) | Progress::Unfilled(fill) if !fill.is_of(&remembered.decision.intent) => {
                    notes.push(ProgressNote::Mismatched(name.clone()));
                }
                Progress::Filled(fill) => sum_e8 += i128::from(fill.quantity_e8.max(0)),
                Progress::Unfilled(fill) => sum_e8 -= i128::from(fill.quantity_e8.max(0)),
                Progress::Cancelled { .. } => {
                    let is_approved = remembered.decision.expires_ns.is_some();
                    remembered.ended = remembered.ended.or(is_approved.then_some(Ended::Cancelled));
                }
            }
        }
        notes.dedup();
        remembered.filled_e8 = i64::try_from(sum_e8.max(0)).unwrap_or(i64::MAX);
        if remembered.filled_e8 > filled_e8 {
            if was_ended {
                notes.push(ProgressNote::FilledAfterEnd(name.clone()));
            } else if remembered.filled_e8 > remembered.decision.quantity_e8 {
                notes.push(ProgressNote::Overfilled(name.clone()));
            }
        }
        let open_e8 = remembered.open_e8();
        self.reserved.change(&remembered.decision, before_e8, open_e8);
        // One that was full when its time was over may be open again.
        if let Some(expires_ns) = remembered.decision.expires_ns.filter(|_| open_e8 > before_e8) {
            self.ends.insert((expires_ns, name.clone()));
        }
        notes
    }

    /// Ends what has expired by a time, and forgets what is too old to come again. Gives what ended with something open.
    ///
    /// What is open is remembered until it is filled, cancelled or expired, and `memory_ms` at most after that.
    pub fn expire(&mut self, time_ns: i64, memory_ms: u64) -> Vec<Reservation> {
        let mut ended = Vec::new();
        while self.ends.first().is_some_and(|(end_ns, _)| *end_ns <= time_ns) {
            let Some((_, name)) = self.ends.pop_first() else { break };
            let Some(remembered) = self.remembered.get_mut(&name) else { continue };
            let open_e8 = remembered.open_e8();
            // What is full has not expired: a correction of its fill is no fill after the end.
            if open_e8 > 0 {
                remembered.ended = Some(Ended::Expired);
                self.reserved.change(&remembered.decision, open_e8, 0);
                ended.push(Reservation::of(&remembered.decision, open_e8));
            }
        }
        while self.ages.first().is_some_and(|(forget_ns, _)| *forget_ns < time_ns) {
            let Some((_, name)) = self.ages.pop_first() else { break };
            let Some(remembered) = self.remembered.get_mut(&name) else { continue };
            if remembered.open_e8() > 0 {
                // Looked at again: when it is open no more, it is forgotten, however far off its expiry.
                remembered.forget_ns = time_ns.saturating_add(in_ns(memory_ms));
                self.ages.insert((remembered.forget_ns, name));
                continue;
            }
            let event_time_ns = remembered.decision.intent.event_time_ns;
            // What was of a time that was too far ahead may come again in its time.
            if event_time_ns <= remembered.forget_ns {
                self.forgotten_ns = self.forgotten_ns.max(Some(event_time_ns));
            }
            self.remembered.remove(&name);
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
mod early;
#[cfg(test)]
mod inverse;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod random;
#[cfg(test)]
mod reducing;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod together;
