//! Flash crashes: a fall of some percent from the peak inside a few seconds of event time, of a price or of equity.
//!
//! What is compared is not "the price ten seconds ago" but the peak of the window. A single bad print must not trigger, so both ends of a
//! fall need two: the peak is the second highest print in the window (two prints were at or above it), and the low is the higher of the
//! last two prints (both are at or below it). The fall is complete with the second low print, which is the one that is reported. It is over
//! once the share `hysteresis.clear` of the fall that makes a crash is not reached any more; until then no other is reported.
//!
//! Prints are taken in the order of (event time, key), whatever their arrival: they wait `reorder_ms` of tick time for earlier ones. One
//! that comes later than that is counted and not looked at: the crash is a fact, and what it was judged by has gone.

mod window;

pub use window::{Fallen, Peaks};

use crate::breakers::{Fault, Measure, Now, Reading};
use crate::levels::Scope;
use crate::policy::{FlashCrashPolicy, Ratio};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A price or an amount of equity at a time. Prices have eight decimals, equity sixteen: what falls is a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Print {
    /// When, nanoseconds of event time.
    pub time_ns: i64,
    /// Orders prints of one time: of trades their place in the order of trade ids, of equity the tick.
    pub key: u128,
    /// What it was.
    pub value: i128,
}

/// A crash: a fact of its tick.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlashCrash {
    /// Of a symbol, or of an account's equity.
    pub scope: Scope,
    /// The print that completed the fall.
    pub completed_by: Print,
    /// The peak that it fell from.
    pub peak: Print,
    /// The low that it is confirmed to.
    pub low: i128,
    /// The fall as a share of the peak, rounded down.
    pub fall: Ratio,
}

/// One price or equity, watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Watched {
    /// What waits for earlier prints, ascending.
    waiting: Vec<Print>,
    peaks: Peaks,
    /// The newest print that was looked at; none that is not after it is.
    newest: Option<Print>,
    /// A fall was reported and is not over.
    is_fallen: bool,
    late: u64,
}

/// All that is watched. State by scope: the prints of the reorder time, and of the window those that no two later ones reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlashCrashes {
    #[serde(with = "crate::pairs")]
    watched: BTreeMap<Scope, Watched>,
}

/// What a tick's prints came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Falls {
    /// The crashes that were completed, by scope and time.
    pub crashes: Vec<FlashCrash>,
    /// The greatest confirmed fall of each scope that had prints to look at in this tick.
    pub readings: Vec<Reading>,
    /// Prints that came too late.
    pub late: u64,
}

impl FlashCrashes {
    /// Takes a tick's prints, and looks at all that have waited long enough by its time. `clear` is the policy's `hysteresis.clear`.
    pub fn take(
        &mut self,
        policy: &FlashCrashPolicy,
        clear: Ratio,
        now: Now,
        prints: impl IntoIterator<Item = (Scope, Print)>,
    ) -> Falls {
        let mut falls = Falls::default();
        for (scope, print) in prints {
            let watched = self.watched.entry(scope).or_default();
            if watched.newest.is_some_and(|newest| (print.time_ns, print.key) <= (newest.time_ns, newest.key)) {
                watched.late += 1;
                falls.late += 1;
                continue;
            }
            watched.waiting.push(print);
        }
        let until_ns = now.time_ns.saturating_sub(in_ns(policy.reorder_ms));
        for (scope, watched) in &mut self.watched {
            watched.waiting.sort_unstable();
            let ready = watched.waiting.partition_point(|print| print.time_ns <= until_ns);
            let ready: Vec<_> = watched.waiting.drain(..ready).collect();
            if let Some(value) = watched.look(policy, clear, scope, &ready, &mut falls.crashes) {
                let scope = scope.clone();
                falls.readings.push(Reading { measure: Measure::Fall, scope, value, as_of_ns: now.time_ns });
            }
        }
        falls
    }

    /// What the fall of a scope is by now where no print says so: its peak may have left the window. Says nothing of whether a crash
    /// is over, which prints alone tell, so that crashes do not depend on when ticks end.
    pub fn fall(&mut self, policy: &FlashCrashPolicy, now: Now, scope: &Scope) -> Option<Reading> {
        let until_ns = now.time_ns.saturating_sub(in_ns(policy.reorder_ms));
        let fallen = self.watched.get_mut(scope)?.peaks.fall_at(until_ns, in_ns(policy.window_ms));
        let value = fallen.map(|fallen| fallen.map_or(0.0, |fallen| fallen.fall.as_f64()));
        Some(Reading { measure: Measure::Fall, scope: scope.clone(), value, as_of_ns: now.time_ns })
    }

    /// When the first print that waits has waited long enough, nanoseconds.
    pub fn due_ns(&self, policy: &FlashCrashPolicy) -> Option<i64> {
        let waiting = self.watched.values().flat_map(|watched| watched.waiting.iter());
        let first = waiting.map(|print| print.time_ns).min();
        first.map(|time_ns| time_ns.saturating_add(in_ns(policy.reorder_ms)))
    }

    /// Watches a scope no more.
    pub fn retire(&mut self, scope: &Scope) {
        self.watched.remove(scope);
    }

    /// How much is held: scopes, prints.
    pub fn sizes(&self) -> [usize; 2] {
        let prints = self.watched.values().map(|watched| watched.waiting.len() + watched.peaks.len());
        [self.watched.len(), prints.sum()]
    }
}

impl Watched {
    /// Looks at prints in their order; gives the greatest fall, or nothing where nothing was to be said.
    fn look(
        &mut self,
        policy: &FlashCrashPolicy,
        clear: Ratio,
        scope: &Scope,
        prints: &[Print],
        crashes: &mut Vec<FlashCrash>,
    ) -> Option<Result<f64, Fault>> {
        let (window_ns, over) = (in_ns(policy.window_ms), policy.fall.times(clear));
        let mut greatest: Option<Result<Ratio, Fault>> = None;
        for print in prints {
            self.newest = Some(*print);
            let fallen = self.peaks.push(*print, window_ns);
            if let Ok(Some(fallen)) = &fallen {
                if fallen.fall >= policy.fall && !self.is_fallen {
                    let Fallen { peak, low, fall } = *fallen;
                    crashes.push(FlashCrash { scope: scope.clone(), completed_by: *print, peak, low, fall });
                }
                self.is_fallen = fallen.fall >= if self.is_fallen { over } else { policy.fall };
            }
            greatest = Some(match (greatest, fallen) {
                (Some(Err(fault)), _) | (_, Err(fault)) => Err(fault),
                (Some(Ok(before)), Ok(fallen)) => Ok(before.max(fallen.map_or(Ratio::ZERO, |fallen| fallen.fall))),
                (None, Ok(fallen)) => Ok(fallen.map_or(Ratio::ZERO, |fallen| fallen.fall)),
            });
        }
        greatest.map(|fall| fall.map(Ratio::as_f64))
    }
}

fn in_ns(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
