//! The gate in front of the tape: which rows of a partition are taken, which come from the future, which are too late.
//!
//! Lateness is judged against the partition's own past, row by row, so that it does not depend on where a tick happened to
//! be cut. (The tape judges once more against the watermark over all partitions, which bounds its state.)
//!
//! Market records have a gate of the same kind: too old is what lies further behind the greatest event time of all that was
//! taken of the partition before it, trades or not, than the horizon. Where a partition holds both, they keep up with each
//! other, and what the gate lets pass is never before the frozen frontier. Where it holds market records alone, those that
//! are further behind the trades of other partitions than the horizon are refused by the frontier, which is a matter of ticks:
//! as are trades of a partition that was idle.

use std::ops::Range;
use tidewheel_schemas::{MarketRecord, TradeColumns};

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

/// What the gate says of a market record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timely {
    /// It is taken.
    Taken,
    /// It is dated beyond the tick's time plus the skew, and moves no clock.
    Future,
    /// It is before this time, nanoseconds: the greatest of its partition before it, less the horizon.
    TooOld(i64),
}

/// The gate of one source partition.
///
/// **Input** the rows and market records of the partition in its order. **Output** each as taken, future, or late or too old.
/// **Order** matters, and is the source's own; of one message the trades come first. **State** two numbers. **Late** see above.
#[derive(Clone, Copy, Debug, Default)]
pub struct Intake {
    max_event_time_ns: Option<i64>,
    /// Of trades and market records.
    max_record_time_ns: Option<i64>,
}

impl Intake {
    /// A gate that trades and market records passed before: the greatest event time of the trades, and of all.
    pub fn after(max_event_time_ns: Option<i64>, max_record_time_ns: Option<i64>) -> Self {
        Self { max_event_time_ns, max_record_time_ns: max_record_time_ns.max(max_event_time_ns) }
    }

    /// The greatest event time of the trades taken so far.
    pub const fn max_event_time_ns(&self) -> Option<i64> {
        self.max_event_time_ns
    }

    /// The greatest event time of the trades and market records taken so far.
    pub const fn max_record_time_ns(&self) -> Option<i64> {
        self.max_record_time_ns
    }

    /// Judges the market records that stand among the rows of a chunk that belong to a tick, which are judged by
    /// [`admit`](Self::admit).
    ///
    /// # Panics
    /// If the rows are not in the chunk.
    pub fn admit_market(
        &mut self,
        columns: &TradeColumns,
        rows: Range<usize>,
        records: &[MarketRecord],
        tick: u64,
        limits: &IntakeLimits,
    ) -> Vec<Timely> {
        let latest_ns = tick_time_ns(tick).saturating_add(limits.skew_ns);
        let mut max_ns = self.max_record_time_ns.unwrap_or(i64::MIN);
        // Those from the future are not taken; late ones are not the greatest.
        let times =
            columns.event_time_ns[rows.clone()].iter().map(|&time| Some(time).filter(|time| *time <= latest_ns));
        let mut trades = times.zip(&columns.position[rows]).peekable();
        let mut judge = |record: &MarketRecord| {
            while let Some((time, _)) = trades.next_if(|(_, position)| **position <= record.position) {
                max_ns = max_ns.max(time.unwrap_or(i64::MIN));
            }
            let oldest_ns = max_ns.saturating_sub(limits.horizon_ns);
            if record.event_time_ns > latest_ns {
                return Timely::Future;
            }
            if record.event_time_ns < oldest_ns {
                return Timely::TooOld(oldest_ns);
            }
            max_ns = max_ns.max(record.event_time_ns);
            Timely::Taken
        };
        let judged = records.iter().map(&mut judge).collect();
        let max_ns = trades.fold(max_ns, |max_ns, (time, _)| max_ns.max(time.unwrap_or(i64::MIN)));
        if max_ns != i64::MIN {
            self.max_record_time_ns = Some(max_ns);
        }
        judged
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
    fn market_records_are_judged_by_what_their_partition_had_before_them_wherever_the_tick_is_cut() {
        const MS: i64 = 1_000_000;
        // Position and time: trades, and market records among them.
        let trades = [(1, 1_000), (2, 9_000), (4, 1_050), (7, 1_200)];
        let market = [(0, 900), (1, 899), (3, 950), (4, 949), (5, 1_004), (6, 903), (7, 1_000), (7, 1_100), (8, 2_000)];
        let columns = TradeColumns {
            event_time_ns: trades.iter().map(|(_, time)| time * MS).collect(),
            position: trades.iter().map(|(position, _)| *position).collect(),
            ..TradeColumns::default()
        };
        let record = |&(position, time): &(u64, i64)| MarketRecord {
            instrument: tidewheel_schemas::Instrument::new("v", "S").expect("a name"),
            event_time_ns: time * MS,
            is_timeless: false,
            partition: 0,
            position,
            index: 0,
            receive_time_ns: None,
            content: tidewheel_schemas::MarketContent::Mark(tidewheel_schemas::Mark::default()),
        };
        let records: Vec<MarketRecord> = market.iter().map(record).collect();
        let limits = IntakeLimits { horizon_ns: 100 * MS, skew_ns: 100 * MS };
        let expected = [
            Timely::Taken,
            // The trade of its own message is 1,000; that of 9,000 is from the future and moves nothing.
            Timely::TooOld(900 * MS),
            Timely::Taken,
            Timely::TooOld(950 * MS),
            Timely::Taken,
            Timely::TooOld(950 * MS),
            Timely::TooOld(1_100 * MS),
            Timely::Taken,
            Timely::Future,
        ];
        for cut in 0..=9 {
            let mut intake = Intake::default();
            let (rows_before, records_before) = (
                trades.iter().filter(|(position, _)| *position < cut).count(),
                market.iter().filter(|(position, _)| *position < cut).count(),
            );
            let mut judged = Vec::new();
            for (rows, records) in
                [(0..rows_before, &records[..records_before]), (rows_before..4, &records[records_before..])]
            {
                judged.extend(intake.admit_market(&columns, rows.clone(), records, 1_100, &limits));
                intake.admit(&columns, rows, 1_100, &limits);
                // What a snapshot keeps is enough.
                intake = Intake::after(intake.max_event_time_ns(), intake.max_record_time_ns());
            }
            assert_eq!(judged, expected, "cut at {cut}");
            assert_eq!(intake.max_record_time_ns(), Some(1_200 * MS));
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
