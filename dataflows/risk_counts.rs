//! What risk did, counted for those who watch a run: decisions by ruling, trips by rule, orders of people by what became of them.

use std::collections::BTreeMap;
use tidewheel_operators::risk::{AccountLevels, RiskFact, RiskOutcome};
use tidewheel_risk::breakers::BreakerEvent;
use tidewheel_risk::decisions::{Answer, Ruling};
use tidewheel_risk::desk::RiskEvent;
use tidewheel_risk::switches::ControlOutcome;

/// What intents can be told.
pub const ANSWERS: [&str; 5] = ["approved", "reduced", "rejected", "repeated", "name_reused"];

/// What can become of the order of a person.
pub const OUTCOMES: [&str; 5] = ["done", "already", "awaits_second", "repeated", "refused"];

/// Counts of some ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RiskCounts {
    /// Intents, by what they were told.
    pub answers: BTreeMap<&'static str, u64>,
    /// Trips, by rule.
    pub trips: BTreeMap<&'static str, u64>,
    /// Orders of people, by what became of them.
    pub orders: BTreeMap<&'static str, u64>,
    /// The newest levels of accounts, by name; none where they were not told.
    pub levels: Option<AccountLevels>,
}

impl RiskCounts {
    /// Of a tick.
    pub fn of(outcome: &RiskOutcome) -> Self {
        let mut counts = Self { levels: outcome.levels.clone(), ..Self::default() };
        for answer in &outcome.answers {
            let name = match answer {
                Answer::Decided(decision) => match decision.ruling {
                    Ruling::Approved => ANSWERS[0],
                    Ruling::Reduced => ANSWERS[1],
                    Ruling::Rejected => ANSWERS[2],
                },
                Answer::Repeated(_) => ANSWERS[3],
                Answer::NameReused { .. } => ANSWERS[4],
            };
            *counts.answers.entry(name).or_default() += 1;
        }
        for row in &outcome.events {
            match &row.fact {
                RiskFact::Desk(RiskEvent::Breaker(BreakerEvent::Tripped(trip))) => {
                    *counts.trips.entry(trip.rule.name()).or_default() += 1;
                }
                RiskFact::Desk(RiskEvent::Control(answer)) => {
                    let name = match &answer.outcome {
                        ControlOutcome::Done => OUTCOMES[0],
                        ControlOutcome::Already => OUTCOMES[1],
                        ControlOutcome::AwaitsSecond => OUTCOMES[2],
                        ControlOutcome::Repeated => OUTCOMES[3],
                        ControlOutcome::Refused(_) => OUTCOMES[4],
                    };
                    *counts.orders.entry(name).or_default() += 1;
                }
                _ => {}
            }
        }
        counts
    }

    /// Adds those of a later tick.
    pub fn add(&mut self, later: &Self) {
        let sums = [(&mut self.answers, &later.answers), (&mut self.trips, &later.trips)];
        for (sum, counts) in sums.into_iter().chain([(&mut self.orders, &later.orders)]) {
            for (name, count) in counts {
                *sum.entry(name).or_default() += count;
            }
        }
        if later.levels.is_some() {
            self.levels.clone_from(&later.levels);
        }
    }
}
