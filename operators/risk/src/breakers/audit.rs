//! What corrected numbers would have done. Trips are facts: a correction is published beside them, never instead of them.

use super::{Measure, Rule, trip_id};
use crate::levels::{Level, Scope};
use crate::policy::History;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A measure of a past tick that a correction changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorrectedReading {
    /// What was measured.
    pub measure: Measure,
    /// Of what.
    pub scope: Scope,
    /// At which tick it was read.
    pub tick: u64,
    /// What was known then.
    pub as_known: f64,
    /// What it is now.
    pub as_corrected: f64,
}

/// What the corrected value says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It asks for a higher level than what was known.
    WouldHaveTripped,
    /// It asks for a lower one.
    WouldNotHaveTripped,
    /// It asks for the same one again, after another correction said otherwise.
    AsItWas,
}

/// A correction's verdict on a rule at a tick.
///
/// The value alone is judged, by the policy of that tick: which level it asks for, not which level the rule would have come to
/// stand at by all that came before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// What it says.
    pub verdict: Verdict,
    /// Which rule.
    pub rule: Rule,
    /// Of what.
    pub scope: Scope,
    /// The tick that is judged again.
    pub tick: u64,
    /// The level that the known value asked for.
    pub known_level: Level,
    /// The level that the corrected value asks for.
    pub corrected_level: Level,
    /// What was known, and what it is now.
    pub values: [f64; 2],
    /// The name that the trip to the known level has if the rule rose at this tick.
    pub trip: Option<String>,
    /// The policy that judged.
    pub policy_version: u64,
}

/// What was said of past ticks. Bounded by the corrections inside the horizon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Audits {
    /// The corrected level last published, by tick first, so that old ones go first.
    #[serde(with = "crate::pairs")]
    published: BTreeMap<(u64, Rule, Scope), Level>,
}

impl Audits {
    /// Judges corrected values: says something where the level differs from what was last said of this rule, scope and tick, once.
    /// A value that is no number counts as a breach and acquits of nothing. Nothing is said of a tick whose policy is no longer known.
    pub fn judge(&mut self, policies: &History, corrections: &[CorrectedReading]) -> Vec<Audit> {
        let mut audits = Vec::new();
        for correction in corrections {
            let Some(in_force) = policies.at(correction.tick) else { continue };
            for rule in correction.measure.rules() {
                let policy = &in_force.policy;
                let rungs = policy.rungs(*rule, &correction.scope);
                let on_fault = policy.hysteresis.on_fault;
                let asked = |value: f64| if value.is_finite() { rungs.asked(value) } else { on_fault };
                let known = asked(correction.as_known);
                let is_number = correction.as_corrected.is_finite();
                let corrected = if is_number { asked(correction.as_corrected) } else { known.max(on_fault) };
                let key = (correction.tick, *rule, correction.scope.clone());
                let last = self.published.get(&key).copied().unwrap_or(known);
                if corrected == last {
                    continue;
                }
                let verdict = match corrected.cmp(&known) {
                    std::cmp::Ordering::Greater => Verdict::WouldHaveTripped,
                    std::cmp::Ordering::Less => Verdict::WouldNotHaveTripped,
                    std::cmp::Ordering::Equal => Verdict::AsItWas,
                };
                let is_risen = known > Level::Green;
                audits.push(Audit {
                    verdict,
                    rule: *rule,
                    scope: correction.scope.clone(),
                    tick: correction.tick,
                    known_level: known,
                    corrected_level: corrected,
                    values: [correction.as_known, correction.as_corrected],
                    trip: is_risen.then(|| trip_id(*rule, &correction.scope, known, correction.tick)),
                    policy_version: policy.version,
                });
                match verdict {
                    Verdict::AsItWas => self.published.remove(&key),
                    _ => self.published.insert(key, corrected),
                };
            }
        }
        audits
    }

    /// Forgets ticks before this one: no correction reaches them.
    pub fn forget_before(&mut self, tick: u64) {
        while self.published.first_key_value().is_some_and(|((oldest, ..), _)| *oldest < tick) {
            self.published.pop_first();
        }
    }

    /// How many verdicts are remembered.
    pub fn len(&self) -> usize {
        self.published.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.published.is_empty()
    }
}
