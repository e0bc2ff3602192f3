//! Which policy was in force when.

use super::{Policy, Problem};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// How many versions are kept. The rest is in the control topic and the lake.
const KEPT: usize = 64;

/// So much greater than the one in force a version may be at most: a slip must not use up all numbers.
const FARTHEST: u64 = 1_000_000;

/// How many problems of a document are told where it is refused; a check of the document itself tells all.
const PROBLEMS_TOLD: usize = 32;

/// A version and what is known of its coming.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForce {
    /// The document.
    pub policy: Policy,
    /// The tick from which on it counts.
    pub from_tick: u64,
    /// That tick's time, nanoseconds.
    pub from_ns: i64,
    /// Who set it.
    pub who: String,
    /// Why.
    pub why: String,
}

/// What came of a document that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is in force now.
    InForce,
    /// It was already.
    Already,
}

/// Why a document was not taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum NotTaken {
    /// A newer one is in force.
    #[error("version {given} is not newer than {in_force}")]
    Older {
        /// Of the document.
        given: u64,
        /// What is in force.
        in_force: u64,
    },
    /// Another document has this version.
    #[error("version {0} is in force with other contents")]
    Conflict(u64),
    /// Its number is so much greater that few would be left.
    #[error("version {given} is more than a million above {in_force}")]
    TooFar {
        /// Of the document.
        given: u64,
        /// What is in force.
        in_force: u64,
    },
    /// It contradicts itself: the first problems.
    #[error("the policy has {} problems", .0.len())]
    Invalid(Vec<Problem>),
}

/// The policy in force, and those before it. Bounded: 64 versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    /// Ascending; the last is in force. Never empty.
    versions: VecDeque<InForce>,
}

impl History {
    /// Begins with a policy, from tick 0 on.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(policy: Policy, who: &str, why: &str) -> Result<Self, Vec<Problem>> {
        let problems = policy.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let first = InForce { policy, from_tick: 0, from_ns: 0, who: who.to_owned(), why: why.to_owned() };
        Ok(Self { versions: VecDeque::from([first]) })
    }

    /// What is in force.
    ///
    /// # Panics
    /// Never: there is always one.
    pub fn current(&self) -> &InForce {
        self.versions.back().expect("a history begins with a policy and keeps its last")
    }

    /// The versions that are kept, ascending.
    pub fn versions(&self) -> impl ExactSizeIterator<Item = &InForce> {
        self.versions.iter()
    }

    /// What was in force at a tick; none if it is no longer kept.
    pub fn at(&self, tick: u64) -> Option<&InForce> {
        self.versions.iter().rev().find(|version| version.from_tick <= tick)
    }

    /// Puts a newer version in force. The same one once more changes nothing.
    ///
    /// # Errors
    /// If it is older, much newer, another of the same version, or contradicts itself.
    pub fn apply(&mut self, next: InForce) -> Result<Taken, NotTaken> {
        let in_force = &self.current().policy;
        if next.policy == *in_force {
            return Ok(Taken::Already);
        }
        let (given, in_force) = (next.policy.version, in_force.version);
        if given == in_force {
            return Err(NotTaken::Conflict(given));
        }
        if given < in_force {
            return Err(NotTaken::Older { given, in_force });
        }
        if given - in_force > FARTHEST {
            return Err(NotTaken::TooFar { given, in_force });
        }
        let mut problems = next.policy.problems();
        if !problems.is_empty() {
            problems.truncate(PROBLEMS_TOLD);
            return Err(NotTaken::Invalid(problems));
        }
        self.versions.push_back(next);
        if self.versions.len() > KEPT {
            self.versions.pop_front();
        }
        Ok(Taken::InForce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Ratio;

    fn version(version: u64, gross: i64, from_tick: u64) -> InForce {
        let mut policy = Policy::with_version(version);
        policy.limits.gross = Ratio::thousandths(gross);
        policy.limits.strategy_gross = Ratio::thousandths(gross);
        InForce { policy, from_tick, from_ns: 0, who: "ann".into(), why: "test".into() }
    }

    #[test]
    fn only_newer_valid_versions_come_into_force() {
        let mut history = History::new(Policy::with_version(1), "ann", "begin").expect("the defaults are valid");
        let steps: [(InForce, Result<Taken, NotTaken>, u64); 6] = [
            (version(3, 1_500, 10), Ok(Taken::InForce), 3),
            (version(3, 1_500, 11), Ok(Taken::Already), 3),
            (version(3, 1_400, 12), Err(NotTaken::Conflict(3)), 3),
            (version(2, 1_400, 13), Err(NotTaken::Older { given: 2, in_force: 3 }), 3),
            (version(4, 1_200, 14), Ok(Taken::InForce), 4),
            (version(3, 1_500, 15), Err(NotTaken::Older { given: 3, in_force: 4 }), 4),
        ];
        for (next, expected, in_force) in steps {
            assert_eq!(history.apply(next), expected);
            assert_eq!(history.current().policy.version, in_force);
        }
        assert!(matches!(history.apply(version(5, 0, 16)), Err(NotTaken::Invalid(problems)) if !problems.is_empty()));
        // However much is wrong, what is told of it is bounded.
        let mut wrong = version(5, 1_500, 16);
        wrong.policy.universe = vec![String::new(); 1_000];
        let refused = history.apply(wrong);
        assert!(matches!(&refused, Err(NotTaken::Invalid(problems)) if problems.len() == PROBLEMS_TOLD), "{refused:?}");
        let at = |tick| history.at(tick).map(|version| version.policy.version);
        assert_eq!([at(0), at(9), at(10), at(13), at(14), at(99)], [1, 1, 3, 3, 4, 4].map(Some));
    }

    #[test]
    fn the_history_is_bounded_and_says_what_it_forgot() {
        let mut history = History::new(Policy::with_version(1), "ann", "begin").expect("the defaults are valid");
        for number in 2..=200 {
            history.apply(version(number, 1_000 + number as i64, number * 10)).expect("a newer one");
        }
        assert_eq!(history.versions().len(), KEPT);
        assert_eq!(history.at(20), None);
        assert_eq!(history.at(2_005).map(|version| version.policy.version), Some(200));
        let bytes = postcard::to_allocvec(&history).expect("bytes");
        assert_eq!(postcard::from_bytes::<History>(&bytes).expect("a history"), history);
    }
}
