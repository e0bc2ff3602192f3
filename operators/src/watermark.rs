//! The watermark: how far event time has come, as an estimate made from the records themselves.
//!
//! It is computed from logged values only (the positions a tick ends at and whether each partition was caught up there),
//! so that a replay of the log decides the same.
//!
//! Bars follow the watermark of trades. What the markets hold beside them is bounded by a second one, over trades and market
//! records, so that a source whose trades stop, or that has none, does not hold its books for ever: see [`MarketClock`].

use crate::TickHeader;

/// One source partition as it stands at the end of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// The greatest event time of the records taken so far; nothing before the first.
    pub max_event_time_ns: Option<i64>,
    /// Whether everything the source had at the end of the tick was read.
    pub caught_up: bool,
    /// Whether this tick holds records of the partition.
    pub has_records: bool,
}

impl PartitionState {
    /// A partition without news holds nothing back, but only if it is known to have none.
    const fn is_idle(&self) -> bool {
        self.caught_up && !self.has_records
    }
}

/// The watermark over all partitions. Never moves back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watermark {
    ns: i64,
    held_ns: i64,
}

impl Default for Watermark {
    fn default() -> Self {
        Self::at(i64::MIN, i64::MIN)
    }
}

impl Watermark {
    /// One that stands at a value already, and what was held back, see [`held_ns`](Self::held_ns).
    pub const fn at(ns: i64, held_ns: i64) -> Self {
        Self { ns, held_ns }
    }

    /// Its value, nanoseconds; `i64::MIN` before the first record.
    pub const fn ns(self) -> i64 {
        self.ns
    }

    /// The greatest event time that came while a partition was behind, nanoseconds; `i64::MIN` if there was none. Once all are
    /// read and silent it counts as if it had come then, or the last record before a silence would never end its bars.
    pub const fn held_ns(self) -> i64 {
        self.held_ns
    }

    /// Moves it to the least of the greatest event times of the partitions that are not idle.
    ///
    /// A partition that is not caught up and has not yet given a record holds the watermark where it is.
    pub fn advance(&mut self, partitions: impl IntoIterator<Item = PartitionState>) {
        let (mut least, mut greatest_new, mut is_held) = (None, i64::MIN, false);
        let (mut is_behind, mut is_idle) = (false, true);
        for partition in partitions {
            is_behind |= !partition.caught_up;
            if partition.is_idle() {
                continue;
            }
            is_idle = false;
            match partition.max_event_time_ns {
                Some(time) => {
                    least = Some(least.map_or(time, |least: i64| least.min(time)));
                    greatest_new = greatest_new.max(if partition.has_records { time } else { i64::MIN });
                }
                None => is_held |= !partition.caught_up,
            }
        }
        if is_behind {
            self.held_ns = self.held_ns.max(greatest_new);
        }
        if is_idle {
            self.ns = self.ns.max(self.held_ns);
        } else if !is_held {
            self.ns = self.ns.max(least.unwrap_or(i64::MIN));
        }
    }

    /// Moves it past all time: the input has ended and nothing more will come.
    pub fn finish(&mut self) {
        self.ns = i64::MAX;
    }
}

/// What stands for frozen frontier and watermark where market records are held.
///
/// The watermark of records is over the greatest event times of trades and market records alike. Where it is more than the
/// horizon ahead of that of trades, their partitions are caught up with and silent, and the minutes between are as good as
/// over: their leaves are given, then they are dropped. So what a leaf says does not depend on how ticks were cut, as long as
/// no trade comes that is further behind the market records before it than the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarketClock {
    /// Records before it are too old, and what ended before it is dropped, nanoseconds.
    pub frozen_ns: i64,
    /// Leaves of minutes that ended by it are given, nanoseconds.
    pub watermark_ns: i64,
    /// Whether there is a watermark of trades. Until there is one no bar is final, and the features, too, let go what lies
    /// before `frozen_ns`.
    has_bars: bool,
}

impl MarketClock {
    /// That of a tick, by its header and the watermark of records before and after it.
    pub fn of(header: &TickHeader, before_ns: i64, after_ns: i64, horizon_ns: i64) -> Self {
        Self {
            frozen_ns: header.frozen_ns.max(TickHeader::frozen_at(before_ns, horizon_ns)),
            watermark_ns: header.watermark_ns.max(TickHeader::frozen_at(after_ns, horizon_ns)),
            has_bars: header.watermark_ns != i64::MIN,
        }
    }

    /// The header for those who hold market records.
    pub const fn of_markets(self, header: TickHeader) -> TickHeader {
        TickHeader { frozen_ns: self.frozen_ns, watermark_ns: self.watermark_ns, ..header }
    }

    /// The header for those who hold what is made of them.
    pub const fn of_features(self, header: TickHeader) -> TickHeader {
        if self.has_bars { header } else { TickHeader { frozen_ns: self.frozen_ns, ..header } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Partitions as greatest event time and flags; then the watermark.
    type Step<'a> = (&'a [(Option<i64>, &'a str)], i64);

    fn check(steps: &[Step<'_>]) {
        let mut watermark = Watermark::default();
        for (partitions, expected) in steps {
            watermark.advance(partitions.iter().map(|(time, flags)| PartitionState {
                max_event_time_ns: *time,
                caught_up: flags.contains("caught-up"),
                has_records: flags.contains("records"),
            }));
            assert_eq!(watermark.ns(), *expected, "{partitions:?}");
        }
    }

    #[test]
    fn it_is_the_least_of_the_partitions_that_are_not_idle() {
        const NONE: i64 = i64::MIN;
        check(&[
            (&[(None, ""), (None, "caught-up")], NONE),
            (&[(Some(50), "records"), (None, "")], NONE),
            (&[(Some(50), "records"), (Some(40), "records")], 40),
            // A slow partition holds it back, an idle one does not.
            (&[(Some(90), "records"), (Some(40), "")], 40),
            (&[(Some(90), "records"), (Some(40), "caught-up")], 90),
            // It never moves back.
            (&[(Some(91), "records"), (Some(60), "records caught-up")], 90),
            // All idle: what came while one was behind counts now, and then it stays.
            (&[(Some(91), "caught-up"), (Some(60), "caught-up")], 91),
            (&[(Some(91), "caught-up"), (Some(60), "caught-up")], 91),
        ]);
    }

    #[test]
    fn what_came_while_a_partition_was_behind_counts_once_all_are_silent() {
        check(&[
            (&[(Some(50), "records"), (Some(40), "")], 40),
            // The other has caught up, and has trades no more than it had.
            (&[(Some(50), "caught-up"), (Some(40), "caught-up")], 50),
            // What came while none was behind has had its say.
            (&[(Some(90), "records caught-up"), (Some(70), "records caught-up")], 70),
            (&[(Some(90), "caught-up"), (Some(70), "caught-up")], 70),
            // As long as something comes it goes by that.
            (&[(Some(99), "records"), (Some(70), "")], 70),
            (&[(Some(99), "caught-up"), (Some(80), "records caught-up")], 80),
            (&[(Some(99), "caught-up"), (Some(80), "caught-up")], 99),
            // A partition of which nothing is known yet holds it.
            (&[(Some(120), "records caught-up"), (Some(80), "caught-up"), (None, "")], 99),
            (&[(Some(120), "caught-up"), (Some(80), "caught-up"), (None, "")], 99),
            (&[(Some(120), "caught-up"), (Some(80), "caught-up"), (None, "caught-up")], 120),
        ]);
    }
}
