//! The order in which the amendments of a tick were applied.
//!
//! One that came before its trade waited, and is archived with the tick of its trade: it was applied when the trade came,
//! before all amendments that came in that tick. Among corrections of one sequence the last to be applied wins, so that the
//! order must be that of then. The tape sorts a tick's amendments by partition and position; those of a tick in which some had
//! waited therefore get other numbers for their partitions, which ascend with the tick of their arrival. The numbers stand
//! for the same names.

use crate::bindings::{Binding, Opening};
use std::collections::VecDeque;
use tidewheel_schemas::Amendment;

/// When the records of each source partition arrived, as far back as an amendment can have waited.
#[derive(Debug)]
pub(super) struct Arrivals {
    partitions: Vec<Partition>,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    /// Where it stood after the last tick.
    end: u64,
    /// Ticks that moved it, with where it stood then, and with the watermark.
    ticks: VecDeque<(u64, u64, i64)>,
}

impl Arrivals {
    pub fn new(partitions: usize) -> Self {
        Self { partitions: vec![Partition::default(); partitions] }
    }

    /// The beginning of a file of the log.
    pub fn begin(&mut self, opening: &Opening, names: &[String]) {
        for (partition, name) in self.partitions.iter_mut().zip(names) {
            partition.end = partition.end.max(opening.ends.get(name).copied().unwrap_or_default());
        }
    }

    /// Takes note of where the partitions stand after a tick.
    pub fn advance(&mut self, binding: &Binding, names: &[String], horizon_ns: i64) {
        for (partition, name) in self.partitions.iter_mut().zip(names) {
            if let Some(&end) = binding.ends.get(name) {
                partition.end = end;
                partition.ticks.push_back((end, binding.tick, binding.watermark_ns));
            }
            // What arrived with an earlier watermark waits no longer.
            let is_over = |&(_, _, at_ns): &(u64, u64, i64)| at_ns.saturating_add(horizon_ns) < binding.watermark_ns;
            while partition.ticks.front().is_some_and(is_over) {
                partition.ticks.pop_front();
            }
        }
    }

    /// Numbers the partitions of a tick's amendments so that sorting by them gives the order of then. To be called before
    /// [`advance`](Self::advance).
    pub fn order(&self, amendments: &mut [Amendment]) {
        let arrived: Vec<Option<u64>> = amendments.iter().map(|amendment| self.arrived_before(amendment)).collect();
        let mut ticks: Vec<u64> = arrived.iter().flatten().copied().collect();
        if ticks.is_empty() {
            return;
        }
        ticks.sort_unstable();
        ticks.dedup();
        let round = |tick: Option<u64>| tick.map_or(ticks.len(), |tick| ticks.partition_point(|other| *other < tick));
        for (amendment, tick) in amendments.iter_mut().zip(arrived) {
            amendment.partition += (round(tick) * self.partitions.len()) as u32;
        }
    }

    /// The tick in which an amendment arrived, where that is not the present one; 0 where it was longer ago than is known.
    fn arrived_before(&self, amendment: &Amendment) -> Option<u64> {
        let partition = self.partitions.get(amendment.partition as usize)?;
        if amendment.position >= partition.end {
            return None;
        }
        let at = partition.ticks.partition_point(|(end, _, _)| *end <= amendment.position);
        Some(partition.ticks.get(at).map_or(0, |(_, tick, _)| *tick))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use tidewheel_schemas::{Change, Instrument, TradeId};

    fn amendment(partition: u32, position: u64) -> Amendment {
        Amendment {
            instrument: Instrument::new("v", "S").expect("a name"),
            id: TradeId::number(7),
            change: Change::Cancel,
            original_time_ns: None,
            sequence: 0,
            partition,
            position,
            receive_time_ns: None,
            raw: std::sync::Arc::default(),
        }
    }

    /// Ticks as the ends of two partitions; then amendments, in the order that sorting gives.
    fn check(ticks: &[(u64, [Option<u64>; 2])], amendments: &[(u32, u64)], expected: &[(u32, u64)]) {
        let names = ["a".to_owned(), "b".to_owned()];
        let mut arrivals = Arrivals::new(2);
        for (tick, ends) in ticks {
            let ends = names.iter().zip(ends).filter_map(|(name, end)| Some((name.clone(), (*end)?)));
            let ends: BTreeMap<String, u64> = ends.collect();
            arrivals.advance(&Binding { tick: *tick, ends, ..Binding::default() }, &names, i64::MAX);
        }
        let mut amendments: Vec<Amendment> = amendments.iter().map(|(of, at)| amendment(*of, *at)).collect();
        arrivals.order(&mut amendments);
        amendments.sort_by_key(|amendment| (amendment.partition, amendment.position));
        let found: Vec<_> = amendments.iter().map(|amendment| (amendment.partition % 2, amendment.position)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn those_that_waited_come_first_in_the_order_of_their_arrival() {
        let ticks = [(10, [Some(5), Some(5)]), (11, [None, Some(9)]), (12, [Some(8), Some(9)])];
        // All of the present tick: by partition and position.
        check(&ticks, &[(1, 9), (0, 8), (0, 9)], &[(0, 8), (0, 9), (1, 9)]);
        // b[2] came at 10, b[7] at 11, a[6] at 12, a[9] and b[9] now.
        check(
            &ticks,
            &[(0, 9), (1, 9), (1, 7), (0, 6), (1, 2), (0, 3)],
            &[(0, 3), (1, 2), (1, 7), (0, 6), (0, 9), (1, 9)],
        );
    }
}
