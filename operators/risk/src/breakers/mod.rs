//! Rules that watch a measure and stand at a level: graded breakers and kill switches, one state machine.
//!
//! Up at once, to whatever level the value asks for. Down only when the value has been below the clear threshold of its level for the
//! dwell time, one rung a dwell. From a latched level only a reset leads down, which names its trip, and each latched level that
//! was passed on the way up must be reset by itself. What cannot be measured counts as a breach, with its own cause; what was measured
//! beside it counts all the same, so that no fault hides a loss.
//!
//! A trip is a fact of its tick: a correction never takes it back (see [`Audit`]).

mod audit;
mod rule;
mod standing;

pub use audit::{Audit, Audits, CorrectedReading, Verdict};
pub use rule::{Cause, Fault, Measure, Reading, Rule};
pub use standing::{Now, Reset, ResetRefusal, Standing, Step, Trip};

use rule::Said;

use crate::levels::{Contribution, Level, Scope};
use crate::policy::Policy;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many cleared trips are remembered, so that a reset that comes again is told so.
const CLEARED_KEPT: usize = 4_096;

/// A rule came down by one rung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lowering {
    /// Which rule.
    pub rule: Rule,
    /// Of what.
    pub scope: Scope,
    /// Where it stood.
    pub from: Level,
    /// Where it stands.
    pub to: Level,
    /// The trip that was reset; none where the dwell time led down.
    pub trip: Option<String>,
}

/// What a rule did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum BreakerEvent {
    /// It rose.
    Tripped(Trip),
    /// It came down.
    Lowered(Lowering),
}

/// All rules at all scopes.
///
/// State: a standing for each rule and scope above green; the time of the newest reading of each measure and scope, until the scope is
/// retired; and 4,096 names of cleared trips.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Breakers {
    #[serde(with = "crate::pairs")]
    standings: BTreeMap<(Rule, Scope), Standing>,
    /// The time of the newest good reading, nanoseconds.
    #[serde(with = "crate::pairs")]
    read_ns: BTreeMap<(Measure, Scope), i64>,
    cleared: std::collections::VecDeque<String>,
}

impl Breakers {
    /// Takes a tick's readings. A measure that was read before and is missing now is as old as its last reading; once that is too
    /// old, it is stale; one that was never read is not expected yet. Of two readings of one measure and scope in a tick the worse counts,
    /// of a value and a fault the one that asks for the higher level.
    pub fn take(&mut self, policy: &Policy, now: Now, readings: &[Reading]) -> Vec<BreakerEvent> {
        let mut said: BTreeMap<(Measure, &Scope), Said> = BTreeMap::new();
        for reading in readings {
            let value = reading.judged(policy, now.time_ns);
            if !reading.measure.is_expected() {
                // Said when there is something to say.
            } else if value.is_ok() {
                let newest = self.read_ns.entry((reading.measure, reading.scope.clone())).or_insert(reading.as_of_ns);
                *newest = reading.as_of_ns.max(*newest);
            } else {
                // Known from now on, so that silence after a fault is a fault too.
                self.read_ns.entry((reading.measure, reading.scope.clone())).or_insert(i64::MIN);
            }
            said.entry((reading.measure, &reading.scope)).or_default().add(value);
        }
        let limit_ns = i64::try_from(policy.staleness.reading_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let mut silent = Vec::new();
        for ((measure, scope), read_ns) in &self.read_ns {
            let is_old = now.time_ns.saturating_sub(*read_ns) > limit_ns;
            if is_old && !said.contains_key(&(*measure, scope)) {
                let age_ns = now.time_ns.saturating_sub(*read_ns);
                silent.push((*measure, scope.clone(), Fault::Stale { age_ns }));
            }
        }
        let mut events = Vec::new();
        for ((measure, scope), said) in said {
            self.judge(policy, now, measure, scope, &said, &mut events);
        }
        for (measure, scope, fault) in silent {
            self.judge(policy, now, measure, &scope, &Said { value: None, fault: Some(fault) }, &mut events);
        }
        events
    }

    fn judge(
        &mut self,
        policy: &Policy,
        now: Now,
        measure: Measure,
        scope: &Scope,
        said: &Said,
        events: &mut Vec<BreakerEvent>,
    ) {
        for rule in measure.rules() {
            let rungs = policy.rungs(*rule, scope);
            let key = (*rule, scope.clone());
            let is_quiet = said.good().is_some_and(|value| rungs.asked(value) == Level::Green);
            if is_quiet && !self.standings.contains_key(&key) {
                continue;
            }
            let standing = self.standings.entry(key.clone()).or_default();
            match standing.step(policy, *rule, scope, now, said) {
                Step::Stays => {}
                Step::Rose(trips) => events.extend(trips.into_iter().map(BreakerEvent::Tripped)),
                Step::Sank { from, to } => {
                    let lowering = Lowering { rule: *rule, scope: scope.clone(), from, to, trip: None };
                    events.push(BreakerEvent::Lowered(lowering));
                }
            }
            if standing.level() == Level::Green {
                self.standings.remove(&key);
            }
        }
    }

    /// Trips the manual switch of a scope, as `id` says. Nothing where this trip stands already.
    pub fn kill(
        &mut self,
        policy: &Policy,
        now: Now,
        scope: &Scope,
        level: Level,
        id: String,
        why: &str,
    ) -> Option<Trip> {
        let standing = self.standings.entry((Rule::KillManual, scope.clone())).or_default();
        standing.kill(policy, scope, level, now, id, why)
    }

    /// Resets the trip of a name: the first of two persons at black only announces it.
    ///
    /// # Errors
    /// If there is no such trip, it was cleared, it must not be yet, or the second person is the first.
    pub fn reset(
        &mut self,
        policy: &Policy,
        now: Now,
        id: &str,
        who: &str,
        sent_ns: i64,
    ) -> Result<Reset, ResetRefusal> {
        let found = self.standings.iter_mut().find(|(_, standing)| standing.trips().iter().any(|trip| trip.id == id));
        let Some(((rule, scope), standing)) = found else {
            // One that stands may have the name of one that was cleared.
            return Err(if self.is_cleared(id) { ResetRefusal::AlreadyCleared } else { ResetRefusal::UnknownTrip });
        };
        let rungs = policy.rungs(*rule, scope);
        let (from, to) = match standing.reset(policy, &rungs, now, id, who, sent_ns)? {
            Some(levels) => levels,
            None => return Ok(Reset::AwaitsSecond),
        };
        let lowering = Lowering { rule: *rule, scope: scope.clone(), from, to, trip: Some(id.to_owned()) };
        if standing.level() == Level::Green {
            let key = (lowering.rule, lowering.scope.clone());
            self.standings.remove(&key);
        }
        self.cleared.push_back(id.to_owned());
        if self.cleared.len() > CLEARED_KEPT {
            self.cleared.pop_front();
        }
        Ok(Reset::Cleared(lowering))
    }

    /// Whether a trip of this name was reset, as far as is remembered.
    pub fn is_cleared(&self, id: &str) -> bool {
        self.cleared.iter().any(|cleared| cleared == id)
    }

    /// A scope that is no more, such as a closed position: no reading of it is expected, and its rules come down. What it latched stays, and
    /// can be reset, since nothing will ever say that it is well.
    pub fn retire(&mut self, scope: &Scope) -> Vec<BreakerEvent> {
        self.read_ns.retain(|(_, known), _| known != scope);
        let is_left = |key: &(Rule, Scope), standing: &mut Standing| key.1 == *scope && standing.trips().is_empty();
        let left = self.standings.extract_if(.., is_left);
        let lowered = |((rule, scope), standing): ((Rule, Scope), Standing)| {
            let (from, to) = (standing.level(), Level::Green);
            BreakerEvent::Lowered(Lowering { rule, scope, from, to, trip: None })
        };
        let lowered = left.map(lowered).collect();
        let latched = self.standings.iter_mut().filter(|((_, known), _)| known == scope);
        latched.for_each(|(_, standing)| standing.retire());
        lowered
    }

    /// What each rule above green adds to its scope's level.
    pub fn contributions(&self) -> BTreeMap<Scope, Vec<Contribution>> {
        let mut by_scope: BTreeMap<Scope, Vec<Contribution>> = BTreeMap::new();
        for ((rule, scope), standing) in &self.standings {
            by_scope.entry(scope.clone()).or_default().push(standing.contribution(*rule));
        }
        by_scope
    }

    /// The latched trips, by rule and scope, each from the lowest level up.
    pub fn trips(&self) -> impl Iterator<Item = &Trip> {
        self.standings.values().flat_map(Standing::trips)
    }

    /// The scopes at which a rule stands above green.
    pub fn scopes(&self, rule: Rule) -> impl Iterator<Item = &Scope> {
        self.standings.keys().filter(move |(standing, _)| *standing == rule).map(|(_, scope)| scope)
    }

    /// Where a rule stands at a scope.
    pub fn level(&self, rule: Rule, scope: &Scope) -> Level {
        // A key is a pair, and a pair of references is not a reference to a pair.
        self.standings.get(&(rule, scope.clone())).map_or(Level::Green, Standing::level)
    }

    /// How much is held: standings, measures that are expected, cleared trips.
    pub fn sizes(&self) -> [usize; 3] {
        [self.standings.len(), self.read_ns.len(), self.cleared.len()]
    }
}

/// The name of a trip: the same rule, scope, level and tick is the same trip.
fn trip_id(rule: Rule, scope: &Scope, level: Level, tick: u64) -> String {
    format!("{}@{scope}@{level}@{tick}", rule.name())
}

#[cfg(test)]
mod tests;
