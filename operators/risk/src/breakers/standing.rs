//! One rule at one scope: where it stands, since when it is well, what is latched.

use super::rule::{Cause, Rule, Said};
use super::trip_id;
use crate::levels::{Contribution, Level, Scope};
use crate::policy::{Policy, Rungs};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The tick that something is judged at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Now {
    /// Its number.
    pub tick: u64,
    /// Its time, nanoseconds.
    pub time_ns: i64,
}

/// A rule rose to a level.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trip {
    /// Its name: `rule@scope@level@tick`, or that of the control event that made it.
    pub id: String,
    /// Which rule.
    pub rule: Rule,
    /// Of what.
    pub scope: Scope,
    /// To where.
    pub level: Level,
    /// Why.
    pub cause: Cause,
    /// What was measured; none where nothing could be.
    pub value: Option<f64>,
    /// From which value on it stands there; none for a manual one and for a fault.
    pub trigger: Option<f64>,
    /// Whether it stays until it is reset.
    pub is_latched: bool,
    /// The policy that it was judged by.
    pub policy_version: u64,
    /// The tick.
    pub tick: u64,
    /// The tick's time, nanoseconds.
    pub time_ns: i64,
}

/// What a reading did.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing.
    Stays,
    /// It rose: one trip for each latched level on the way, and one for where it stands.
    Rose(Vec<Trip>),
    /// It sank by one rung.
    Sank {
        /// From here.
        from: Level,
        /// To here.
        to: Level,
    },
}

/// What a reset did.
#[derive(Clone, Debug, PartialEq)]
pub enum Reset {
    /// The trip is cleared.
    Cleared(super::Lowering),
    /// A second person must say so too.
    AwaitsSecond,
}

/// Why a trip is not reset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ResetRefusal {
    /// No latched trip has this name.
    #[error("there is no such trip")]
    UnknownTrip,
    /// It was reset before.
    #[error("the trip was cleared before")]
    AlreadyCleared,
    /// A higher level of the same rule must be reset first.
    #[error("trip {0} stands above it")]
    HigherStands(String),
    /// What was measured last is not below the clear threshold, or nothing could be measured.
    #[error("the value is not below its clear threshold")]
    StillBreached,
    /// Black needs another person than the one before.
    #[error("the second person must be another one")]
    SamePerson,
    /// The event is older than the trip that it names.
    #[error("the event is older than the trip")]
    BeforeTrip,
}

/// A latched trip, and who asked for it to be reset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Awaiting {
    who: String,
    since_ns: i64,
}

/// Where a rule stands at a scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    level: Level,
    cause: Cause,
    /// Since when the value is below the clear threshold of the level, nanoseconds.
    well_since_ns: Option<i64>,
    /// Nothing will be measured any more, so that only a reset is missing.
    is_retired: bool,
    /// The latched trips, ascending by level.
    latched: Vec<Trip>,
    /// By the trip's name.
    awaiting: BTreeMap<String, Awaiting>,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            level: Level::Green,
            cause: Cause::Value,
            well_since_ns: None,
            is_retired: false,
            latched: Vec::new(),
            awaiting: BTreeMap::new(),
        }
    }
}

impl Standing {
    /// Where it stands.
    pub const fn level(&self) -> Level {
        self.level
    }

    /// What is latched, ascending by level.
    pub fn trips(&self) -> &[Trip] {
        &self.latched
    }

    /// Takes what was measured at a tick.
    pub(super) fn step(&mut self, policy: &Policy, rule: Rule, scope: &Scope, now: Now, said: &Said) -> Step {
        self.is_retired = false;
        let rungs = policy.rungs(rule, scope);
        let by_value = said.value.map_or(Level::Green, |value| rungs.asked(value));
        let by_fault = said.fault.as_ref().map_or(Level::Green, |_| policy.hysteresis.on_fault);
        let asked = by_value.max(by_fault);
        if asked > self.level {
            let cause = match &said.fault {
                Some(fault) if by_fault > by_value => Cause::Fault(fault.clone()),
                _ => Cause::Value,
            };
            return Step::Rose(self.rise(policy, rule, scope, now, (cause, said.value), asked));
        }
        let is_well = said.good().is_some_and(|value| rungs.is_clear(self.level, value));
        if !is_well || self.level == Level::Green {
            self.well_since_ns = None;
            return Step::Stays;
        }
        let since_ns = *self.well_since_ns.get_or_insert(now.time_ns);
        let dwell_ns = i64::try_from(policy.hysteresis.dwell_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let is_held = self.latched.last().is_some_and(|trip| trip.level >= self.level);
        if is_held || now.time_ns.saturating_sub(since_ns) < dwell_ns {
            return Step::Stays;
        }
        let from = self.level;
        self.sink(&rungs);
        let is_well_here = said.good().is_some_and(|value| rungs.is_clear(self.level, value));
        self.well_since_ns = is_well_here.then_some(now.time_ns);
        Step::Sank { from, to: self.level }
    }

    fn rise(
        &mut self,
        policy: &Policy,
        rule: Rule,
        scope: &Scope,
        now: Now,
        (cause, value): (Cause, Option<f64>),
        asked: Level,
    ) -> Vec<Trip> {
        let rungs = policy.rungs(rule, scope);
        let is_passed = |level: &Level| {
            let is_stood_on = rungs.trigger(*level).is_some() && policy.latches(rule, *level);
            *level > self.level && (*level == asked || (*level < asked && is_stood_on))
        };
        let passed: Vec<_> = Level::ALL.into_iter().filter(is_passed).collect();
        let trips: Vec<_> = passed
            .into_iter()
            .map(|level| Trip {
                id: trip_id(rule, scope, level, now.tick),
                rule,
                scope: scope.clone(),
                level,
                cause: cause.clone(),
                value,
                trigger: if cause == Cause::Value { rungs.trigger(level) } else { None },
                is_latched: policy.latches(rule, level),
                policy_version: policy.version,
                tick: now.tick,
                time_ns: now.time_ns,
            })
            .collect();
        self.latched.extend(trips.iter().filter(|trip| trip.is_latched).cloned());
        (self.level, self.cause, self.well_since_ns) = (asked, cause, None);
        trips
    }

    /// Down by one rung, but not through what is latched.
    fn sink(&mut self, rungs: &Rungs) {
        let held = self.latched.iter().map(|trip| trip.level).max().unwrap_or_default();
        self.level = rungs.below(self.level).max(held);
    }

    /// Nothing will be measured any more.
    pub(super) const fn retire(&mut self) {
        self.is_retired = true;
    }

    /// Switched by a person.
    pub(super) fn kill(
        &mut self,
        policy: &Policy,
        scope: &Scope,
        level: Level,
        now: Now,
        id: String,
        why: &str,
    ) -> Option<Trip> {
        if self.latched.iter().any(|trip| trip.id == id) {
            return None;
        }
        let trip = Trip {
            id,
            rule: Rule::KillManual,
            scope: scope.clone(),
            level,
            cause: Cause::Manual(why.to_owned()),
            value: None,
            trigger: None,
            is_latched: true,
            policy_version: policy.version,
            tick: now.tick,
            time_ns: now.time_ns,
        };
        if level >= self.level {
            (self.level, self.cause) = (level, trip.cause.clone());
        }
        let at = self.latched.partition_point(|latched| latched.level <= level);
        self.latched.insert(at, trip.clone());
        Some(trip)
    }

    /// Takes a person's word that a trip may be cleared. Gives the levels before and after, or nothing where a second person must
    /// say so too.
    pub(super) fn reset(
        &mut self,
        policy: &Policy,
        rungs: &Rungs,
        now: Now,
        id: &str,
        who: &str,
        sent_ns: i64,
    ) -> Result<Option<(Level, Level)>, ResetRefusal> {
        let at = self.latched.iter().position(|trip| trip.id == id).ok_or(ResetRefusal::UnknownTrip)?;
        let trip = &self.latched[at];
        if sent_ns < trip.time_ns {
            return Err(ResetRefusal::BeforeTrip);
        }
        let is_manual = trip.rule == Rule::KillManual;
        if !is_manual {
            if let Some(higher) = self.latched[at + 1..].last() {
                return Err(ResetRefusal::HigherStands(higher.id.clone()));
            }
            if self.well_since_ns.is_none() && !self.is_retired {
                return Err(ResetRefusal::StillBreached);
            }
        }
        if trip.level == Level::Black && !self.is_confirmed(policy, now, id, who)? {
            self.awaiting.insert(id.to_owned(), Awaiting { who: who.trim().to_owned(), since_ns: now.time_ns });
            return Ok(None);
        }
        let from = self.level;
        self.latched.remove(at);
        self.awaiting.remove(id);
        if is_manual {
            let highest = self.latched.last();
            self.level = highest.map_or(Level::Green, |trip| trip.level);
            self.cause = highest.map_or(Cause::Value, |trip| trip.cause.clone());
        } else {
            self.sink(rungs);
            if self.is_retired && self.latched.is_empty() {
                // No dwell time will ever lead down.
                self.level = Level::Green;
            }
            // The value was well for the level that was left; for the next one it must be so anew.
            self.well_since_ns = None;
        }
        Ok(Some((from, self.level)))
    }

    /// Whether somebody else asked for the same reset, not too long ago.
    fn is_confirmed(&self, policy: &Policy, now: Now, id: &str, who: &str) -> Result<bool, ResetRefusal> {
        let waits_ns = i64::try_from(policy.hysteresis.confirmation_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let first = self.awaiting.get(id);
        match first.filter(|first| now.time_ns.saturating_sub(first.since_ns) <= waits_ns) {
            None => Ok(false),
            Some(first) if first.who == who.trim() => Err(ResetRefusal::SamePerson),
            Some(_) => Ok(true),
        }
    }

    pub(super) fn contribution(&self, rule: Rule) -> Contribution {
        let trips = self.latched.iter().rev().map(|trip| trip.id.clone()).collect();
        Contribution { rule, level: self.level, cause: self.cause.clone(), trips }
    }
}
