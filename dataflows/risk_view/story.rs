//! What happened, followed event by event: each policy and what became of it, each rule where it stands, each trip until its end.
//!
//! A standing is told by the events that a rule rose or came down, and the level of a scope by its own events.

use super::{RiskViewError, column, tick_of};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_risk::breakers::{BreakerEvent, Cause, Lowering, Rule, Trip};
use tidewheel_risk::desk::RiskEvent;
use tidewheel_risk::levels::{Level, LevelChange, Scope};
use tidewheel_risk::policy::{InForce, Policy};
use tidewheel_risk::switches::{ControlAnswer, ControlOutcome};
use tidewheel_schemas::{Row, TableSpec, Value};

/// A policy that was configured or ordered, and what became of it.
#[derive(Clone, Debug)]
pub struct PolicyChange {
    /// The tick that decided it.
    pub tick: u64,
    /// The order's name; none of the configured one.
    pub order: Option<String>,
    /// Who ordered it.
    pub who: String,
    /// Why.
    pub why: String,
    /// The version, where the order said one that can be told.
    pub version: Option<u64>,
    /// What became of it.
    pub outcome: ControlOutcome,
    /// The whole document, where it came into force.
    pub policy: Option<Policy>,
}

/// Where a rule stands at a scope.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The level.
    pub level: Level,
    /// Why.
    pub cause: Cause,
}

/// How a trip ended.
#[derive(Clone, Debug)]
pub enum Ending {
    /// A person reset it.
    Reset {
        /// The order's name.
        order: String,
        /// Who.
        who: String,
        /// Why.
        why: String,
    },
    /// It was not latched, and what it watches was well for long enough.
    ByItself,
}

/// A trip, and what became of it.
#[derive(Clone, Debug)]
pub struct TripState {
    /// The trip.
    pub trip: Trip,
    /// Who asked for a reset, and waits for a second person to do so: who, why, the tick.
    pub asked: Vec<(String, String, u64)>,
    /// The tick of its end, and how; none while it stands.
    pub ended: Option<(u64, Ending)>,
}

/// All that is known of rules and policies at a tick.
#[derive(Debug, Default)]
pub struct Story {
    policies: Vec<PolicyChange>,
    standings: BTreeMap<(Scope, Rule), Standing>,
    trips: Vec<TripState>,
    /// The places in `trips` of those that stand, by name.
    open: BTreeMap<String, usize>,
    levels: BTreeMap<Scope, Level>,
    /// The resets of a tick that were done, by trip: they are told before the rules come down.
    resets: BTreeMap<String, Ending>,
}

impl Story {
    /// All policies, as they came.
    pub fn policies(&self) -> &[PolicyChange] {
        &self.policies
    }

    /// The policy in force.
    pub fn in_force(&self) -> Option<(&PolicyChange, &Policy)> {
        self.policies.iter().rev().find_map(|change| Some((change, change.policy.as_ref()?)))
    }

    /// The rules above green, by scope.
    pub const fn standings(&self) -> &BTreeMap<(Scope, Rule), Standing> {
        &self.standings
    }

    /// All trips, as they came.
    pub fn trips(&self) -> &[TripState] {
        &self.trips
    }

    /// The trips that stand, as they came.
    pub fn standing_trips(&self) -> impl Iterator<Item = &TripState> {
        self.trips.iter().filter(|trip| trip.ended.is_none())
    }

    /// The level of one scope by itself.
    pub fn level(&self, scope: &Scope) -> Level {
        self.levels.get(scope).copied().unwrap_or_default()
    }

    /// The scopes above green.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.levels.keys()
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// If it is one of those that are followed, and cannot be understood.
    pub(super) fn take(&mut self, spec: &Arc<TableSpec>, row: &Row) -> Result<(), RiskViewError> {
        let text = |name: &str| match row.values.as_deref()?.get(column(spec, name)?)? {
            Value::Text(text) => Some(text.clone()),
            _ => None,
        };
        let kind = text("kind").unwrap_or_default();
        let is_followed =
            kind.starts_with("order_") || matches!(&*kind, "policy_in_force" | "tripped" | "lowered" | "level_changed");
        if !is_followed {
            return Ok(());
        }
        let tick = tick_of(row);
        let detail = text("detail").unwrap_or_default();
        let event = RiskEvent::deserialize(&mut serde_json::Deserializer::from_str(&detail)).map_err(|error| {
            RiskViewError::Event { number: row.qualifier.to_string(), tick, detail: error.to_string() }
        })?;
        match event {
            RiskEvent::Control(answer) => self.control(tick, answer),
            RiskEvent::Policy(set) => self.policy(tick, *set),
            RiskEvent::Breaker(BreakerEvent::Tripped(trip)) => self.tripped(trip),
            RiskEvent::Breaker(BreakerEvent::Lowered(lowering)) => self.lowered(tick, &lowering),
            RiskEvent::Level(LevelChange { scope, to: Level::Green, .. }) => drop(self.levels.remove(&scope)),
            RiskEvent::Level(LevelChange { scope, to, .. }) => drop(self.levels.insert(scope, to)),
            _ => {}
        }
        Ok(())
    }

    fn control(&mut self, tick: u64, answer: ControlAnswer) {
        let ControlAnswer { id, who, why, order, outcome, .. } = answer;
        if let Some(version) = order.strip_prefix("policy ") {
            let version = version.parse().ok();
            self.policies.push(PolicyChange { tick, order: Some(id), who, why, version, outcome, policy: None });
        } else if let Some(trip) = order.strip_prefix("reset ") {
            match outcome {
                ControlOutcome::Done => {
                    drop(self.resets.insert(trip.to_owned(), Ending::Reset { order: id, who, why }))
                }
                ControlOutcome::AwaitsSecond => {
                    let asked = self.open.get(trip).map(|at| &mut self.trips[*at].asked);
                    asked.into_iter().for_each(|asked| asked.push((who.clone(), why.clone(), tick)));
                }
                _ => {}
            }
        }
    }

    /// The order that brought it was answered before it in the same tick.
    fn policy(&mut self, tick: u64, set: InForce) {
        let version = Some(set.policy.version);
        let is_it = |change: &&mut PolicyChange| {
            change.tick == tick && change.version == version && change.outcome == ControlOutcome::Done
        };
        match self.policies.iter_mut().rev().find(is_it) {
            Some(change) => change.policy = Some(set.policy),
            None => {
                let InForce { policy, who, why, .. } = set;
                let (order, outcome) = (None, ControlOutcome::Done);
                self.policies.push(PolicyChange { tick, order, who, why, version, outcome, policy: Some(policy) });
            }
        }
    }

    fn tripped(&mut self, trip: Trip) {
        let key = (trip.scope.clone(), trip.rule);
        let standing =
            self.standings.entry(key).or_insert_with(|| Standing { level: Level::Green, cause: trip.cause.clone() });
        if trip.level >= standing.level {
            (standing.level, standing.cause) = (trip.level, trip.cause.clone());
        }
        self.open.insert(trip.id.clone(), self.trips.len());
        self.trips.push(TripState { trip, asked: Vec::new(), ended: None });
    }

    fn lowered(&mut self, tick: u64, lowering: &Lowering) {
        let Lowering { rule, scope, to, trip, .. } = lowering;
        if let Some(name) = trip {
            let ending = self.resets.remove(name).unwrap_or(Ending::ByItself);
            self.end(tick, &ending, |trip| trip.id == *name);
        }
        self.end(tick, &Ending::ByItself, |trip| {
            trip.rule == *rule && trip.scope == *scope && !trip.is_latched && trip.level > *to
        });
        let key = (scope.clone(), *rule);
        if *to == Level::Green {
            self.standings.remove(&key);
        } else if let Some(standing) = self.standings.get_mut(&key) {
            standing.level = *to;
        }
    }

    /// Ends the standing trips that are meant.
    fn end(&mut self, tick: u64, ending: &Ending, is_meant: impl Fn(&Trip) -> bool) {
        let trips = &mut self.trips;
        self.open.retain(|_, at| {
            let state = &mut trips[*at];
            let ends = is_meant(&state.trip);
            if ends {
                state.ended = Some((tick, ending.clone()));
            }
            !ends
        });
    }
}
