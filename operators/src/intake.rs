//! The gate in front of the tape: which rows of a partition are taken, which come from the future, which are too late.
//!
//! Lateness is judged against the partition's own past, row by row, so that it does not depend on where a tick happened to
//! be cut. (The tape judges once more against the watermark over all partitions, which bounds its state.)

use std::ops::Range;
use tidewheel_schemas::TradeColumns;

/// How far from the clock a trade may be dated.
#[derive(Clone, Copy, Debug)]
pub struct IntakeLimits {
    /// How far behind the greatest event time of its partition a trade may be, nanoseconds.
    pub horizon_ns: i64,
    /// How far beyond the tick's own time a trade may be dated, nanoseconds.
    pub skew_ns: i64,
}

/// What became of a run of rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Rows taken.
    pub taken: Vec<Range<u32>>,
    /// Rows dated beyond the tick's time plus the skew. They move no clock.
    pub future: Vec<u32>,
    /// Rows further behind their partition's greatest event time than the horizon.
    pub late: Vec<u32>,
}

/// The gate of one source partition.
///
/// **Input** the rows of the partition in its order. **Output** each row as taken, future or late. **Order** matters, and is
/// the source's own. **State** one number. **Late** see above.
#[derive(Clone, Copy, Debug, Default)]
pub struct Intake {
    max_event_time_ns: Option<i64>,
}

impl Intake {
    /// A gate that rows passed before.
    pub const fn after(max_event_time_ns: Option<i64>) -> Self {
        Self { max_event_time_ns }
    }

    /// The greatest event time of the rows taken so far.
    pub const fn max_event_time_ns(&self) -> Option<i64> {
        self.max_event_time_ns
    }

    /// Sorts the rows of a chunk that belong to a tick.
    ///
    /// # Panics
    /// If the rows are not in the chunk.
    pub fn admit(&mut self, columns: &TradeColumns, rows: Range<usize>, tick: u64, limits: &IntakeLimits) -> Admission {
        let latest = tick_time_ns(tick).saturating_add(limits.skew_ns);
        let mut max = self.max_event_time_ns.unwrap_or(i64::MIN);
        let mut admission = Admission::default();
        let mut run_start = rows.start;
        for (row, &time) in rows.clone().zip(&columns.event_time_ns[rows.clone()]) {
            if time > latest || time < max.saturating_sub(limits.horizon_ns) {
                let refused = if time > latest { &mut admission.future } else { &mut admission.late };
                refused.push(row as u32);
                if run_start < row {
                    admission.taken.push(run_start as u32..row as u32);
                }
                run_start = row + 1;
            } else {
                max = max.max(time);
            }
        }
        if run_start < rows.end {
            admission.taken.push(run_start as u32..rows.end as u32);
        }
        if max != i64::MIN {
            self.max_event_time_ns = Some(max);
        }
        admission
    }
}

/// The time a tick stands for, nanoseconds.
pub fn tick_time_ns(tick: u64) -> i64 {
    i64::try_from(tick).unwrap_or(i64::MAX).saturating_mul(1_000_000)
}

/// Reads the time that drives a replay off the rows of one partition, where no log of ticks exists.
///
/// It is the running maximum of the rows' receive times, or of their event times where the source has no receive time.
/// A jump ahead by more than the skew is believed only if the rows that follow confirm it: one trade dated next year must
/// not carry the clock there.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReplayClock {
    now_ns: Option<i64>,
}

/// How many following rows vote on a jump.
const JURY: usize = 15;
/// A jump with nobody left to confirm it is believed up to here.
const UNCONFIRMED_JUMP_NS: i64 = 86_400 * tidewheel_schemas::SECOND_NS;

impl ReplayClock {
    /// The clock after the rows passed so far.
    pub const fn now_ns(&self) -> Option<i64> {
        self.now_ns
    }

    /// Passes rows until the clock would reach `end_ns`; returns the first row not passed.
    ///
    /// `times` are the rows of a chunk from `start` on, `next` the beginning of the chunk after it (for the jury).
    pub fn pass(&mut self, times: &[i64], start: usize, next: &[i64], end_ns: i64, skew_ns: i64) -> usize {
        for (row, &time) in times.iter().enumerate().skip(start) {
            match self.now_ns {
                Some(now) if time <= now => {}
                Some(now) if time - now <= skew_ns => {
                    if time >= end_ns {
                        return row;
                    }
                    self.now_ns = Some(time);
                }
                now => {
                    let rest = times[row + 1..].iter().chain(next).copied().take(JURY);
                    if is_confirmed(time, now, rest, skew_ns) {
                        if time >= end_ns {
                            return row;
                        }
                        self.now_ns = Some(time);
                    }
                }
            }
        }
        times.len()
    }

    /// The time of the next row that will move the clock, if one of these does: where the next tick must begin.
    pub fn next_time_ns(&self, times: &[i64], start: usize, next: &[i64], skew_ns: i64) -> Option<i64> {
        let mut probe = *self;
        let row = probe.pass(times, start, next, i64::MIN, skew_ns);
        times.get(row).copied()
    }
}

fn is_confirmed(time: i64, now: Option<i64>, jury: impl Iterator<Item = i64>, skew_ns: i64) -> bool {
    let (mut for_it, mut against) = (0, 0);
    for other in jury {
        if other >= time.saturating_sub(skew_ns) {
            for_it += 1;
        } else {
            against += 1;
        }
    }
    if for_it + against == 0 {
        return now.is_none_or(|now| time - now <= UNCONFIRMED_JUMP_NS);
    }
    for_it >= against
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(times: &[i64]) -> TradeColumns {
        TradeColumns { event_time_ns: times.to_vec(), ..TradeColumns::default() }
    }

    const LIMITS: IntakeLimits = IntakeLimits { horizon_ns: 100_000_000, skew_ns: 5_000_000 };

    #[test]
    fn rows_from_the_future_and_beyond_the_horizon_are_set_apart_wherever_the_tick_is_cut() {
        let ms = |times: &[i64]| columns(&times.iter().map(|time| time * 1_000_000).collect::<Vec<_>>());
        let chunk = ms(&[1_000, 1_006, 1_003, 899, 900, 1_005, 905, 904]);
        let mut intake = Intake::default();
        let whole = intake.admit(&chunk, 0..8, 1_000, &LIMITS);
        assert_eq!(whole, Admission { taken: vec![0..1, 2..3, 5..7], future: vec![1], late: vec![3, 4, 7] });
        for cut in 0..=8 {
            let mut intake = Intake::default();
            let (left, right) =
                (intake.admit(&chunk, 0..cut, 1_000, &LIMITS), intake.admit(&chunk, cut..8, 1_000, &LIMITS));
            let rows = |admissions: &[&Admission]| -> Vec<u32> {
                admissions.iter().flat_map(|admission| admission.taken.iter().cloned().flatten()).collect()
            };
            assert_eq!(rows(&[&left, &right]), rows(&[&whole]), "cut at {cut}");
            assert_eq!([left.late, right.late].concat(), whole.late, "cut at {cut}");
        }
    }

    #[test]
    fn a_lone_trade_dated_ahead_does_not_carry_the_clock_but_a_gap_does() {
        let mut clock = ReplayClock::default();
        let lone = [10, 11, 9_000_000_000_000_000, 12, 13, 14];
        assert_eq!(clock.pass(&lone, 0, &[], 100, 5), 6);
        assert_eq!(clock.now_ns(), Some(14));
        // The same time followed by its like is a gap in the data, and ends the tick.
        let gap = [15, 9_000_000_000_000_000, 9_000_000_000_000_001];
        assert_eq!(clock.pass(&gap, 0, &[], 100, 5), 1);
        assert_eq!(clock.next_time_ns(&gap, 1, &[], 5), Some(9_000_000_000_000_000));
        // The jury may sit in the next chunk.
        assert_eq!(clock.pass(&[9_000_000_000_000_000], 0, &[16, 17, 18], 100, 5), 1);
        assert_eq!(clock.now_ns(), Some(15));
    }

    #[test]
    fn the_first_row_may_be_the_one_that_is_wrong() {
        let mut clock = ReplayClock::default();
        assert_eq!(clock.next_time_ns(&[9_000_000, 10, 11, 12], 0, &[], 5), Some(10));
        assert_eq!(clock.pass(&[9_000_000, 10, 11, 12], 0, &[], 100, 5), 4);
        assert_eq!(clock.now_ns(), Some(12));
    }
}
