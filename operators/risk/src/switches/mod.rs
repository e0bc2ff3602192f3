//! What people order the mill to do: set a policy, kill a scope, reset a trip, clear lost fills; and what becomes of each order.
//!
//! An order is a record on the control topic with a name, who and why; nothing acts beside it. It is taken or refused with a reason, at
//! its tick, before anything else of the tick. The orders of a tick go by (time, name), not by arrival. That the sender is who he says
//! is for the topic's access list to hold; here names are only compared with the policy's.
//!
//! A kill acts whatever its time says: a sender whose clock is wrong must be able to stop what goes wrong. One that comes again does nothing
//! again as long as its name is remembered; after that it acts again, since to stop once too often is the smaller harm.

use crate::breakers::{BreakerEvent, Breakers, Now, Reset, ResetRefusal, Rule};
use crate::levels::{Level, Scope};
use crate::policy::{History, InForce, NotTaken, Policy, Taken};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How many orders are remembered, so that one that comes again does nothing.
const REMEMBERED: usize = 4_096;

/// The longest reason of an order, bytes.
const TEXT_LIMIT: usize = 1_024;

/// The longest name of an order, a person, an account or a scope, bytes: trips are named by several of them.
const NAME_LIMIT: usize = 256;

/// An order to the mill.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlEvent {
    /// Its name, different for each order.
    pub id: String,
    /// Who gives it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When it was given, nanoseconds.
    pub time_ns: i64,
    /// What is to be done.
    pub order: Order,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Order {
    /// Puts a policy in force.
    SetPolicy(Box<Policy>),
    /// Trips the manual kill switch.
    Kill {
        /// Of what.
        scope: Scope,
        /// Red to halt, black to liquidate.
        level: Level,
    },
    /// Clears a trip.
    Reset {
        /// The trip's name.
        trip: String,
    },
    /// Says that somebody has seen to the fills of an account that were lost: its numbers are trusted again.
    Clear {
        /// The account.
        account: Arc<str>,
    },
}

impl Order {
    /// What it was, in few words: enough to tell another order under the same name.
    fn summary(&self) -> String {
        match self {
            Self::SetPolicy(policy) => format!("policy {}", policy.version),
            Self::Kill { scope, level } => format!("kill {scope} {level}"),
            Self::Reset { trip } => format!("reset {trip}"),
            Self::Clear { account } => format!("clear {account}"),
        }
    }
}

/// What became of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlOutcome {
    /// It was done.
    Done,
    /// It was so already.
    Already,
    /// A second person must say so too.
    AwaitsSecond,
    /// The same order came before. Nothing was done again.
    Repeated,
    /// It was not done.
    Refused(ControlRefusal),
}

/// Why an order was not done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ControlRefusal {
    /// A field is empty, too long, or names nothing.
    #[error("{0} is missing or cannot be")]
    Incomplete(String),
    /// The policy does not name this person for it.
    #[error("{0} may not do this")]
    NotAllowed(String),
    /// Another order had this name.
    #[error("another order had this name")]
    NameReused,
    /// It is of a time that has not come.
    #[error("it is of a time that has not come")]
    FromTheFuture,
    /// It is older than what is remembered, so it may have come before.
    #[error("it is older than what is remembered")]
    TooOld,
    /// The policy was not taken.
    #[error("could not set the policy")]
    Policy(#[source] NotTaken),
    /// The trip was not reset.
    #[error("could not reset the trip")]
    Reset(#[source] ResetRefusal),
}

/// What became of which order: a fact, for the audit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ControlAnswer {
    /// The order's name.
    pub id: String,
    /// Who gave it.
    pub who: String,
    /// Why.
    pub why: String,
    /// When it was given, nanoseconds.
    pub sent_ns: i64,
    /// What it was, in few words.
    pub order: String,
    /// What became of it.
    pub outcome: ControlOutcome,
    /// What whoever gave it should know of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// The policy in force afterwards.
    pub policy_version: u64,
    /// At which tick.
    pub tick: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    /// Its own time, or that of its tick where that is earlier: nothing from the future stays for ever.
    age_ns: i64,
    time_ns: i64,
    who: String,
    why: String,
    order: String,
    /// Two documents may have one version.
    policy: Option<Box<Policy>>,
}

/// The orders that came. State: the newest 4,096 by their time, each of at most some kilobytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controls {
    remembered: BTreeMap<String, Remembered>,
    /// What is not newer than this may have been forgotten.
    forgotten_ns: Option<i64>,
}

impl Controls {
    /// Takes a tick's orders. Accounts that are cleared are taken out of those with lost fills.
    pub fn take(
        &mut self,
        mut orders: Vec<ControlEvent>,
        now: Now,
        policies: &mut History,
        breakers: &mut Breakers,
        lost: &mut BTreeSet<Arc<str>>,
    ) -> (Vec<ControlAnswer>, Vec<BreakerEvent>) {
        // The rest of the key orders different orders under one name.
        orders.sort_by_cached_key(|order| {
            (order.time_ns, order.id.clone(), order.who.clone(), format!("{:?}", order.order), order.why.clone())
        });
        let (mut answers, mut events) = (Vec::new(), Vec::new());
        for order in orders {
            let outcome = self.outcome(&order, now, policies, breakers, lost, &mut events);
            answers.push(ControlAnswer {
                order: order.order.summary(),
                id: order.id,
                who: order.who,
                why: order.why,
                sent_ns: order.time_ns,
                outcome,
                note: None,
                policy_version: policies.current().policy.version,
                tick: now.tick,
            });
        }
        (answers, events)
    }

    fn outcome(
        &mut self,
        order: &ControlEvent,
        now: Now,
        policies: &mut History,
        breakers: &mut Breakers,
        lost: &mut BTreeSet<Arc<str>>,
        events: &mut Vec<BreakerEvent>,
    ) -> ControlOutcome {
        if let Err(refusal) = self.admit(order, now, &policies.current().policy) {
            return refusal.map_or(ControlOutcome::Repeated, ControlOutcome::Refused);
        }
        self.remember(order, now);
        let policy = &policies.current().policy;
        match &order.order {
            Order::SetPolicy(next) => {
                let (who, why) = (order.who.clone(), order.why.clone());
                let next = InForce { policy: (**next).clone(), from_tick: now.tick, from_ns: now.time_ns, who, why };
                match policies.apply(next) {
                    Ok(Taken::InForce) => ControlOutcome::Done,
                    Ok(Taken::Already) => ControlOutcome::Already,
                    Err(reason) => ControlOutcome::Refused(ControlRefusal::Policy(reason)),
                }
            }
            Order::Kill { scope, level } => {
                let id = format!("{}@{scope}@{level}@{}", Rule::KillManual.name(), order.id);
                let Some(trip) = breakers.kill(policy, now, scope, *level, id, &order.why) else {
                    return ControlOutcome::Already;
                };
                events.push(BreakerEvent::Tripped(trip));
                ControlOutcome::Done
            }
            Order::Reset { trip } => match breakers.reset(policy, now, trip, &order.who, order.time_ns) {
                Ok(Reset::Cleared(lowering)) => {
                    events.push(BreakerEvent::Lowered(lowering));
                    ControlOutcome::Done
                }
                Ok(Reset::AwaitsSecond) => ControlOutcome::AwaitsSecond,
                Err(reason) => ControlOutcome::Refused(ControlRefusal::Reset(reason)),
            },
            Order::Clear { account } if lost.remove(account) => ControlOutcome::Done,
            Order::Clear { .. } => ControlOutcome::Already,
        }
    }

    /// Whether an order may be looked at: an error without a reason says that it came before.
    fn admit(&self, order: &ControlEvent, now: Now, policy: &Policy) -> Result<(), Option<ControlRefusal>> {
        for (name, text, limit) in
            [("id", &order.id, NAME_LIMIT), ("who", &order.who, NAME_LIMIT), ("why", &order.why, TEXT_LIMIT)]
        {
            if text.trim().is_empty() || text.len() > limit {
                return Err(Some(ControlRefusal::Incomplete(name.to_owned())));
            }
        }
        let incomplete = |name: &str| Err(Some(ControlRefusal::Incomplete(name.to_owned())));
        let people = match &order.order {
            Order::SetPolicy(_) => &policy.people.policy,
            Order::Kill { scope, .. } if !scope.is_whole() || scope.to_string().len() > NAME_LIMIT => {
                return incomplete("scope");
            }
            Order::Kill { level, .. } if *level < Level::Red => return incomplete("level"),
            Order::Kill { .. } => &policy.people.kill,
            Order::Reset { trip } if trip.is_empty() || trip.len() > TEXT_LIMIT => return incomplete("trip"),
            Order::Clear { account } if account.is_empty() || account.len() > NAME_LIMIT => {
                return incomplete("account");
            }
            Order::Reset { .. } | Order::Clear { .. } => &policy.people.reset,
        };
        if let Some(remembered) = self.remembered.get(&order.id) {
            let is_same = remembered.is_of(order);
            return Err((!is_same).then_some(ControlRefusal::NameReused));
        }
        let is_kill = matches!(order.order, Order::Kill { .. });
        let skew_ns = i64::try_from(policy.staleness.skew_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        if !is_kill && order.time_ns > now.time_ns.saturating_add(skew_ns) {
            return Err(Some(ControlRefusal::FromTheFuture));
        }
        if !is_kill && self.forgotten_ns.is_some_and(|forgotten_ns| order.time_ns <= forgotten_ns) {
            return Err(Some(ControlRefusal::TooOld));
        }
        if !people.is_empty() && !people.contains(&order.who) {
            return Err(Some(ControlRefusal::NotAllowed(order.who.clone())));
        }
        Ok(())
    }

    fn remember(&mut self, order: &ControlEvent, now: Now) {
        self.remembered.insert(order.id.clone(), Remembered::of(order, now));
        if self.remembered.len() > REMEMBERED {
            let oldest = self.remembered.iter().min_by_key(|(id, order)| (order.age_ns, *id));
            let (id, age_ns) = oldest.map(|(id, order)| (id.clone(), order.age_ns)).expect("there are too many");
            self.remembered.remove(&id);
            self.forgotten_ns = self.forgotten_ns.max(Some(age_ns));
        }
    }

    /// How many orders are remembered.
    pub fn len(&self) -> usize {
        self.remembered.len()
    }

    /// Whether none came yet.
    pub fn is_empty(&self) -> bool {
        self.remembered.is_empty()
    }
}

fn policy_of(event: &ControlEvent) -> Option<Box<Policy>> {
    if let Order::SetPolicy(policy) = &event.order { Some(policy.clone()) } else { None }
}

impl Remembered {
    fn of(event: &ControlEvent, now: Now) -> Self {
        let (time_ns, order) = (event.time_ns, event.order.summary());
        let (who, why) = (event.who.clone(), event.why.clone());
        Self { age_ns: time_ns.min(now.time_ns), time_ns, who, why, order, policy: policy_of(event) }
    }

    fn is_of(&self, event: &ControlEvent) -> bool {
        let said = (event.time_ns, event.who.as_str(), event.why.as_str(), event.order.summary(), policy_of(event));
        (self.time_ns, self.who.as_str(), self.why.as_str(), self.order.clone(), self.policy.clone()) == said
    }
}

#[cfg(test)]
mod tests;
