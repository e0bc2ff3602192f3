//! The trade ids an instrument has seen.

use crate::hash::FixedMap;
use tidewheel_schemas::TradeId;

/// More runs than this, and an id that extends none of them is kept singly.
const RUN_LIMIT: usize = 4_096;

/// A set of ids: dense ids as runs, the others one by one.
///
/// **State** Runs are never forgotten and number at most 4,096: most venues count their trades, which makes one run for
/// ever. Single ids are forgotten when their trade's bar is frozen. That an id lies in a run does not make a record a
/// repetition: the tape looks for the trade among those not frozen, so that all ids are remembered equally long.
#[derive(Clone, Debug, Default)]
pub(super) struct IdSet {
    /// Disjoint half-open runs, ascending, not touching.
    runs: Vec<(TradeId, TradeId)>,
    /// With the second of their trade, so that the trade is found without a search.
    singles: FixedMap<TradeId, i64>,
}

impl IdSet {
    /// Adds an id with the second of its trade; whether it was new.
    #[inline]
    pub fn insert(&mut self, id: TradeId, open_time_ns: i64) -> bool {
        if id.is_dense() {
            if let Some((_, end)) = self.runs.last_mut()
                && *end == id
                && (self.singles.is_empty() || !self.singles.contains_key(&id))
            {
                *end = id.next();
                return true;
            }
            return self.insert_dense(id, open_time_ns);
        }
        self.add_single(id, open_time_ns)
    }

    fn insert_dense(&mut self, id: TradeId, open_time_ns: i64) -> bool {
        let at = self.runs.partition_point(|run| run.0 <= id);
        if at > 0 && id < self.runs[at - 1].1 {
            return false;
        }
        if !self.singles.is_empty() && self.singles.contains_key(&id) {
            return false;
        }
        let joins_left = at > 0 && self.runs[at - 1].1 == id;
        let joins_right = at < self.runs.len() && self.runs[at].0 == id.next();
        match (joins_left, joins_right) {
            (true, true) => {
                self.runs[at - 1].1 = self.runs[at].1;
                self.runs.remove(at);
            }
            (true, false) => self.runs[at - 1].1 = id.next(),
            (false, true) => self.runs[at].0 = id,
            (false, false) if self.runs.len() < RUN_LIMIT => self.runs.insert(at, (id, id.next())),
            (false, false) => {
                self.singles.insert(id, open_time_ns);
            }
        }
        true
    }

    fn add_single(&mut self, id: TradeId, open_time_ns: i64) -> bool {
        match self.singles.entry(id) {
            std::collections::hash_map::Entry::Occupied(_) => false,
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(open_time_ns);
                true
            }
        }
    }

    /// The second of the trade of an id that is kept singly.
    pub fn second_of(&self, id: TradeId) -> Option<i64> {
        self.singles.get(&id).copied()
    }

    /// Whether an id was added and not forgotten.
    pub fn contains(&self, id: TradeId) -> bool {
        let at = self.runs.partition_point(|run| run.0 <= id);
        (at > 0 && id < self.runs[at - 1].1) || self.singles.contains_key(&id)
    }

    /// Whether no id is kept singly, so that there is nothing to forget.
    pub fn is_run_only(&self) -> bool {
        self.singles.is_empty()
    }

    /// Forgets an id that is kept singly.
    #[inline]
    pub fn forget(&mut self, id: TradeId) {
        if !self.singles.is_empty() {
            self.singles.remove(&id);
        }
    }

    /// The runs, for a snapshot.
    pub fn runs(&self) -> &[(TradeId, TradeId)] {
        &self.runs
    }

    /// A set of these runs; ids outside of them are added by [`restore`](Self::restore).
    pub fn of_runs(runs: Vec<(TradeId, TradeId)>) -> Self {
        Self { runs, singles: FixedMap::default() }
    }

    /// Adds an id singly unless a run has it.
    pub fn restore(&mut self, id: TradeId, open_time_ns: i64) {
        let at = self.runs.partition_point(|run| run.0 <= id);
        if !id.is_dense() || at == 0 || id >= self.runs[at - 1].1 {
            self.singles.insert(id, open_time_ns);
        }
    }

    /// How many runs and single ids it holds.
    pub fn len(&self) -> usize {
        self.runs.len() + self.singles.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use std::collections::BTreeSet;

    #[test]
    fn at_the_limit_of_runs_an_id_kept_singly_is_still_known_when_a_run_reaches_it() {
        let mut ids = IdSet::default();
        for run in 0..RUN_LIMIT as u64 {
            assert!(ids.insert(TradeId::number(run * 10), 0));
        }
        let last = (RUN_LIMIT as u64 - 1) * 10;
        assert!(ids.insert(TradeId::number(last + 2), 0));
        assert!(ids.insert(TradeId::number(last + 1), 0));
        assert!(!ids.insert(TradeId::number(last + 2), 0));
    }

    #[test]
    fn it_agrees_with_a_plain_set_on_dense_sparse_and_shuffled_ids() {
        for seed in 0..20 {
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            let (mut ids, mut plain) = (IdSet::default(), BTreeSet::new());
            for step in 0..5_000u64 {
                let id = match random.random_range(0..4) {
                    0 => TradeId::number(step),
                    1 => TradeId::number(step.saturating_sub(random.random_range(0..50))),
                    2 => TradeId::number(random.random_range(0..1 << 40)),
                    _ => TradeId::parse(format!("x{}", random.random_range(0..500)).as_bytes()).expect("short text"),
                };
                assert_eq!(ids.contains(id), plain.contains(&id), "seed {seed} step {step} id {id}");
                assert_eq!(ids.insert(id, 0), plain.insert(id), "seed {seed} step {step} id {id}");
            }
            assert!(ids.runs.len() <= RUN_LIMIT);
            assert!(ids.runs.windows(2).all(|pair| pair[0].1 < pair[1].0), "seed {seed}");
        }
    }
}
