//! How bad it is, and what may still be done: GREEN, YELLOW, ORANGE, RED, BLACK.
//!
//! A scope has the greatest level of its rules. An order lies under several scopes (everything, its account, its strategy, its
//! symbol), and the greatest of theirs counts. Each change of a scope's level is a fact, with the rules that cause it.

mod scope;

pub use scope::Scope;

use crate::breakers::{Cause, Rule};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Ascending in gravity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// Nothing is wrong.
    #[default]
    Green,
    /// No new positions.
    Yellow,
    /// Positions may only become smaller.
    Orange,
    /// Halted: open orders may be cancelled, and nothing else.
    Red,
    /// What is held is to be closed.
    Black,
}

impl Level {
    /// All, ascending.
    pub const ALL: [Self; 5] = [Self::Green, Self::Yellow, Self::Orange, Self::Red, Self::Black];

    /// As in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Green => "green",
            Self::Yellow => "yellow",
            Self::Orange => "orange",
            Self::Red => "red",
            Self::Black => "black",
        }
    }

    /// What it allows. The only place that says so.
    ///
    /// | level | open | increase | reduce | cancel | liquidate |
    /// | --- | --- | --- | --- | --- | --- |
    /// | green | yes | yes | yes | yes | no |
    /// | yellow | no | yes | yes | yes | no |
    /// | orange | no | no | yes | yes | no |
    /// | red | no | no | no | yes | no |
    /// | black | no | no | no | yes | yes |
    ///
    /// To *open* is to trade where nothing is held, to *increase* to hold more of what is held, to *reduce* to hold less; to
    /// *liquidate* is to reduce by an order that says of itself that it only reduces.
    pub const fn allows(self) -> Allowed {
        let [open, increase, reduce, liquidate] = match self {
            Self::Green => [true, true, true, false],
            Self::Yellow => [false, true, true, false],
            Self::Orange => [false, false, true, false],
            Self::Red => [false, false, false, false],
            Self::Black => [false, false, false, true],
        };
        Allowed { open, increase, reduce, cancel: true, liquidate }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a level allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Orders where nothing is held.
    pub open: bool,
    /// Orders that make a position larger.
    pub increase: bool,
    /// Orders that make a position smaller.
    pub reduce: bool,
    /// Cancels of open orders. Always.
    pub cancel: bool,
    /// Reduce-only orders that close what is held.
    pub liquidate: bool,
}

/// One rule's share in the level of a scope.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contribution {
    /// Which rule.
    pub rule: Rule,
    /// The level that it stands at.
    pub level: Level,
    /// Why it stands there.
    pub cause: Cause,
    /// The trips of it that are latched, worst first.
    pub trips: Vec<String>,
}

/// The level of a scope is another one now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelChange {
    /// Of what.
    pub scope: Scope,
    /// What it was.
    pub from: Level,
    /// What it is.
    pub to: Level,
    /// The rules that stand above green, worst first, then by rule. Empty when all is well again.
    pub causes: Vec<Contribution>,
}

/// The published level of every scope above green. Bounded by the scopes at which a rule stands above green.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Levels {
    #[serde(with = "crate::pairs")]
    published: BTreeMap<Scope, Level>,
}

impl Levels {
    /// Takes what each scope's rules say at the end of a tick and gives the changes since the last one, ascending by scope.
    pub fn publish(&mut self, now: &BTreeMap<Scope, Vec<Contribution>>) -> Vec<LevelChange> {
        let mut changes = Vec::new();
        for (scope, causes) in now {
            let (from, to) = (self.of(scope), greatest(causes));
            if from != to {
                changes.push(LevelChange { scope: scope.clone(), from, to, causes: worst_first(causes) });
            }
        }
        for (scope, from) in &self.published {
            if !now.contains_key(scope) {
                changes.push(LevelChange { scope: scope.clone(), from: *from, to: Level::Green, causes: Vec::new() });
            }
        }
        changes.sort_by(|one, other| one.scope.cmp(&other.scope));
        for change in &changes {
            match change.to {
                Level::Green => self.published.remove(&change.scope),
                level => self.published.insert(change.scope.clone(), level),
            };
        }
        changes
    }

    /// The published level of one scope by itself.
    pub fn of(&self, scope: &Scope) -> Level {
        self.published.get(scope).copied().unwrap_or_default()
    }

    /// All scopes above green.
    pub fn iter(&self) -> impl Iterator<Item = (&Scope, Level)> {
        self.published.iter().map(|(scope, level)| (scope, *level))
    }
}

fn greatest(causes: &[Contribution]) -> Level {
    causes.iter().map(|cause| cause.level).max().unwrap_or_default()
}

fn worst_first(causes: &[Contribution]) -> Vec<Contribution> {
    let mut causes: Vec<_> = causes.iter().filter(|cause| cause.level > Level::Green).cloned().collect();
    causes.sort_by_key(|cause| (std::cmp::Reverse(cause.level), cause.rule));
    causes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_level_allows_no_more_exposure_than_the_one_before() {
        let risk = |level: Level| [level.allows().open, level.allows().increase, level.allows().reduce];
        for pair in Level::ALL.windows(2) {
            assert!(pair[0] < pair[1]);
            for (before, after) in risk(pair[0]).into_iter().zip(risk(pair[1])) {
                assert!(before || !after, "{} allows what {} does not", pair[1], pair[0]);
            }
        }
        assert!(Level::ALL.iter().all(|level| level.allows().cancel));
        assert!(Level::Black.allows().liquidate && !Level::Red.allows().liquidate);
    }

    #[test]
    fn a_change_is_published_once_with_its_causes() {
        let scope = Scope::account("one");
        let cause = |rule, level| Contribution { rule, level, cause: Cause::Value, trips: Vec::new() };
        let both = vec![cause(Rule::Drawdown, Level::Yellow), cause(Rule::Leverage, Level::Orange)];
        let now = BTreeMap::from([(scope.clone(), both)]);
        let mut levels = Levels::default();
        let changes = levels.publish(&now);
        assert_eq!(changes.len(), 1);
        assert_eq!((changes[0].from, changes[0].to), (Level::Green, Level::Orange));
        let rules: Vec<_> = changes[0].causes.iter().map(|cause| cause.rule).collect();
        assert_eq!(rules, [Rule::Leverage, Rule::Drawdown]);
        assert_eq!(levels.publish(&now), []);
        assert_eq!(levels.publish(&BTreeMap::new())[0].to, Level::Green);
        assert_eq!(levels, Levels::default());
    }
}
