//! The watermark: how far event time has come, as an estimate made from the records themselves.
//!
//! It is computed from logged values only (the positions a tick ends at and whether each partition was caught up there),
//! so that a replay of the log decides the same.

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
pub struct Watermark(i64);

impl Default for Watermark {
    fn default() -> Self {
        Self(i64::MIN)
    }
}

impl Watermark {
    /// One that stands at a value already.
    pub const fn at(ns: i64) -> Self {
        Self(ns)
    }

    /// Its value, nanoseconds; `i64::MIN` before the first record.
    pub const fn ns(self) -> i64 {
        self.0
    }

    /// Moves it to the least of the greatest event times of the partitions that are not idle.
    ///
    /// A partition that is not caught up and has not yet given a record holds the watermark where it is.
    pub fn advance(&mut self, partitions: impl IntoIterator<Item = PartitionState>) {
        let mut least = None;
        for partition in partitions.into_iter().filter(|partition| !partition.is_idle()) {
            match partition.max_event_time_ns {
                Some(time) => least = Some(least.map_or(time, |least: i64| least.min(time))),
                None if partition.caught_up => {}
                None => return,
            }
        }
        self.0 = self.0.max(least.unwrap_or(i64::MIN));
    }

    /// Moves it past all time: the input has ended and nothing more will come.
    pub fn finish(&mut self) {
        self.0 = i64::MAX;
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
            // All idle: it stays.
            (&[(Some(91), "caught-up"), (Some(60), "caught-up")], 90),
        ]);
    }
}
