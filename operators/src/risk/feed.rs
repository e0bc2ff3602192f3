//! How the feeds are, as ticks tell it: nothing here looks at a clock, so that a tick made again says the same.
//!
//! | measure | what it is |
//! | --- | --- |
//! | data age | the tick's time less the watermark |
//! | rejected share | rejected records of all that were taken, late or rejected in the minute of ticks before this one |
//! | frontier lag | how long there was no tick before this one: a mill that runs makes one a second at least |
//!
//! What is too old counts as late, not as rejected: one account that sends its old fills again must not stop the others, and history made
//! again does not hold them.
//! Duplicates are not counted: the lake does not keep them, and history made again from it must say the same. So the rejects of a tick
//! are known only once it is over, and count from the next one on. Of few records the share is taken of a hundred, so that one bad
//! record in a quiet minute stops nothing.
//! Data age is first told when the feed is current: history that is read up to now is old, and its marks are stale, but nothing has failed.

use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use tidewheel_risk::engine::FeedHealth;
use tidewheel_risk::policy::Policy;
use tidewheel_schemas::{Counters, RejectReason};

/// What became of records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedCounts {
    /// Taken, late or rejected.
    pub all: u64,
    /// Rejected.
    pub rejected: u64,
}

impl FeedCounts {
    /// Of counts that go on from tick to tick. Duplicates and what waits are no part of it.
    pub(crate) fn of(counters: &Counters) -> Self {
        let too_old = counters.rejected_by_reason.get(&RejectReason::TooOld).copied().unwrap_or(0);
        Self { all: counters.accepted + counters.late + counters.rejected, rejected: counters.rejected - too_old }
    }

    /// What was counted since these were counted.
    pub(crate) const fn since(self, before: Self) -> Self {
        Self { all: self.all - before.all, rejected: self.rejected - before.rejected }
    }

    /// Adds others.
    pub const fn add(&mut self, other: &Self) {
        self.all += other.all;
        self.rejected += other.rejected;
    }
}

/// Of what time rejected records are a share, milliseconds of ticks.
const WINDOW_MS: u64 = 60_000;
/// The fewest records that they are a share of.
const FEWEST: u64 = 100;

/// The feeds so far. State: the counts of a minute, by second.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Feed {
    /// By second of ticks, ascending.
    seconds: VecDeque<(u64, FeedCounts)>,
    last_tick: Option<u64>,
    was_current: bool,
}

impl Feed {
    /// How the feeds are at a tick.
    pub(super) fn health(&mut self, policy: &Policy, tick: u64, watermark_ns: i64) -> Option<FeedHealth> {
        let last_tick = self.last_tick.replace(tick);
        if watermark_ns == i64::MIN {
            return None;
        }
        let tick_ns = i64::try_from(tick).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let data_age_s = tick_ns.saturating_sub(watermark_ns).max(0) as f64 / 1e9;
        self.was_current |= data_age_s < policy.switches.data_age_s.trigger.as_f64();
        if !self.was_current {
            return None;
        }
        self.forget_before(tick);
        let mut counts = FeedCounts::default();
        self.seconds.iter().for_each(|(_, second)| counts.add(second));
        let rejected_share = counts.rejected as f64 / counts.all.max(FEWEST) as f64;
        let frontier_lag_s = last_tick.map_or(0.0, |last| tick.saturating_sub(last) as f64 / 1e3);
        Some(FeedHealth { data_age_s, rejected_share, frontier_lag_s })
    }

    fn forget_before(&mut self, tick: u64) {
        while self.seconds.front().is_some_and(|(second, _)| second * 1_000 + 1_000 + WINDOW_MS <= tick) {
            self.seconds.pop_front();
        }
    }

    /// Takes what became of the records of a tick.
    pub(super) fn count(&mut self, tick: u64, counts: &FeedCounts) {
        // Here too: a feed that is not current asks for no health.
        self.forget_before(tick);
        if counts.all == 0 {
            return;
        }
        let second = tick / 1_000;
        match self.seconds.back_mut().filter(|(last, _)| *last == second) {
            Some((_, held)) => held.add(counts),
            None => self.seconds.push_back((second, *counts)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_is_told_of_ticks_and_counts_alone() {
        let policy = Policy::with_version(1);
        let mut feed = Feed::default();
        let ns = |ms: i64| ms * 1_000_000;
        assert_eq!(feed.health(&policy, 100_000, i64::MIN), None);
        // An hour behind: history that is read up to now.
        assert_eq!(feed.health(&policy, 4_000_000, ns(400_000)), None);
        let health = feed.health(&policy, 4_000_100, ns(3_999_000)).expect("it is current");
        assert_eq!((health.data_age_s, health.rejected_share, health.frontier_lag_s), (1.1, 0.0, 0.1));
        feed.count(4_000_100, &FeedCounts { all: 40, rejected: 4 });
        let health = feed.health(&policy, 4_005_100, ns(4_005_000)).expect("it is current");
        assert_eq!((health.rejected_share, health.frontier_lag_s), (0.04, 5.0));
        feed.count(4_005_100, &FeedCounts { all: 360, rejected: 36 });
        let health = feed.health(&policy, 4_005_200, ns(4_005_000)).expect("it is current");
        assert_eq!(health.rejected_share, 0.1);
        // Once it was current, age is told whatever it is.
        let health = feed.health(&policy, 4_065_999, ns(4_005_000)).expect("it was current");
        assert_eq!((health.data_age_s, health.rejected_share), (60.999, 0.1));
        let health = feed.health(&policy, 4_066_000, ns(4_005_000)).expect("it was current");
        assert_eq!(health.rejected_share, 0.0);
    }

    #[test]
    fn what_is_too_old_is_late() {
        let mut counters = Counters { accepted: 5, late: 1, ..Counters::default() };
        counters.reject(RejectReason::Number);
        (0..100).for_each(|_| counters.reject(RejectReason::TooOld));
        assert_eq!(FeedCounts::of(&counters), FeedCounts { all: 107, rejected: 1 });
    }

    #[test]
    fn counts_of_a_feed_that_is_never_current_are_of_a_minute_too() {
        let mut feed = Feed::default();
        for second in 0..10_000 {
            feed.count(second * 1_000, &FeedCounts { all: 1, rejected: 0 });
        }
        assert!(feed.seconds.len() <= 62, "{}", feed.seconds.len());
    }
}
