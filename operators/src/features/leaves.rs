//! The leaves of an instrument's market, from which its bars get what they know beside trades.

use super::MarketBar;
use crate::market::MarketLeaf;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::Interval;

/// Leaves that a bar which can still change may need, and what was known before them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Leaves {
    /// What was known when the held ones begin.
    before: Option<Box<MarketLeaf>>,
    /// By the start of the minute: the leaf, and what is known when it is over.
    held: BTreeMap<i64, Box<(MarketLeaf, MarketLeaf)>>,
}

impl Leaves {
    /// Sets leaves, or removes those that are none. Gives the first minute at which one changed.
    pub fn set(&mut self, changes: impl Iterator<Item = (i64, Option<MarketLeaf>)>) -> Option<i64> {
        let mut first: Option<i64> = None;
        for (open_time_ns, leaf) in changes {
            if self.held.get(&open_time_ns).map(|held| held.0) == leaf {
                continue;
            }
            match leaf {
                Some(leaf) => drop(self.held.insert(open_time_ns, Box::new((leaf, leaf.closing())))),
                None => drop(self.held.remove(&open_time_ns)),
            }
            first = Some(first.map_or(open_time_ns, |first| first.min(open_time_ns)));
        }
        let since = first?;
        let mut known = self.known_at(since).copied();
        for (_, held) in self.held.range_mut(since..) {
            let (leaf, closing) = held.as_mut();
            *closing = known.map_or_else(|| leaf.closing(), |known| known.merge(leaf).closing());
            known = Some(*closing);
        }
        first
    }

    /// What was known when a minute began.
    fn known_at(&self, open_time_ns: i64) -> Option<&MarketLeaf> {
        let held = self.held.range(..open_time_ns).next_back().map(|(_, held)| &held.1);
        held.or(self.before.as_deref())
    }

    /// The market of a bar: of its leaves, and what was known before it. None if nothing was.
    pub fn market_of(&self, interval: Interval, open_time_ns: i64) -> Option<Arc<MarketBar>> {
        let close_time_ns = open_time_ns + interval.duration_ns();
        let known = self.known_at(open_time_ns).copied();
        let mut leaves = self.held.range(open_time_ns..close_time_ns).map(|(_, held)| held.0);
        let all = match known {
            Some(known) => leaves.fold(known, |all, leaf| all.merge(&leaf)),
            None => leaves.next().map(|first| leaves.fold(first, |all, leaf| all.merge(&leaf)))?,
        };
        Some(Arc::new(MarketBar::of(&all, close_time_ns)))
    }

    /// Drops the leaves before a time, and keeps what they left behind.
    pub fn drop_before(&mut self, time_ns: i64) {
        if self.held.first_key_value().is_some_and(|(first, _)| *first < time_ns) {
            let kept = self.held.split_off(&time_ns);
            let dropped = std::mem::replace(&mut self.held, kept);
            self.before = dropped.into_values().next_back().map(|last| Box::new(last.1));
        }
    }

    /// Leaves held.
    pub fn len(&self) -> usize {
        self.held.len()
    }
}
