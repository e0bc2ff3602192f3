//! Which ticks of a live run need not be made: those at which nothing came, nothing can change and nothing is published.
//!
//! What a tick says is a function of its records, of which partitions were behind, and of the watermark before it. A tick that
//! has these in common with the one before it, both without records, says nothing new: what was to become final or frozen by
//! them has. Only provisional bars are due by time alone, and what was due is published at the first tick of a period, once. So a quiet
//! market costs the log of ticks a line a second, not a line each tick.
//!
//! With risk some things happen by time alone: a print has waited long enough for those before it, an order expires. By then there
//! is a tick.
//!
//! This never holds back a record: a tick that has one is made, at the time at which it would be made otherwise.

/// How long there is no tick at most, milliseconds: commits, snapshots and those who watch the run wait for ticks. Not counted in
/// ticks: a wall clock that was put back has ticks a millisecond apart until it is there again.
const TICK_AT_LEAST_EVERY_MS: u64 = 1_000;

/// What was known when the last tick was made.
#[derive(Debug, Default)]
pub struct Quiet {
    last: Option<LastTick>,
}

#[derive(Debug)]
struct LastTick {
    running_ms: u64,
    /// Whether it had nothing of the source.
    is_empty: bool,
    caught_up: Vec<bool>,
    /// The watermark before it.
    watermark_ns: i64,
    /// Whether provisional bars were published since the last record came.
    is_told: bool,
}

/// A tick that could be made.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// How long the run has gone on, milliseconds by a clock that nobody puts back.
    pub running_ms: u64,
    /// Whether the source has nothing for it: no message of any kind, no new partition.
    pub is_empty: bool,
    /// Of each partition, whether the source has nothing more of it.
    pub caught_up: &'a [bool],
    /// The watermark before it, nanoseconds.
    pub watermark_ns: i64,
    /// Whether provisional bars would be published at it.
    pub is_provisional: bool,
    /// Whether something of risk is due by it that was not at the last one.
    pub is_due: bool,
}

impl Quiet {
    /// Whether nobody would miss this tick.
    pub fn may_be_left_out(&self, candidate: &Candidate<'_>) -> bool {
        let Some(last) = &self.last else { return false };
        let is_same = candidate.is_empty
            && last.is_empty
            && candidate.caught_up == last.caught_up
            && candidate.watermark_ns == last.watermark_ns;
        let is_due = candidate.is_due || candidate.running_ms.saturating_sub(last.running_ms) >= TICK_AT_LEAST_EVERY_MS;
        is_same && !is_due && (last.is_told || !candidate.is_provisional)
    }

    /// Takes note of a tick that is made.
    pub fn made(&mut self, made: &Candidate<'_>) {
        let was_told = self.last.as_ref().is_some_and(|last| last.is_told);
        self.last = Some(LastTick {
            running_ms: made.running_ms,
            is_empty: made.is_empty,
            caught_up: made.caught_up.to_vec(),
            watermark_ns: made.watermark_ns,
            is_told: made.is_empty && (was_told || made.is_provisional),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ticks as time, records, flags of two partitions, and whether provisional bars are due; then whether the tick is made.
    /// The watermark is the time of the last record, known after its tick.
    fn check(ticks: &[(u64, &str, [bool; 2], bool, bool)]) {
        let (mut quiet, mut watermark_ns) = (Quiet::default(), i64::MIN);
        for &(tick, records, caught_up, is_provisional, is_made) in ticks {
            let is_empty = records.is_empty();
            let candidate = Candidate {
                running_ms: tick,
                is_empty,
                caught_up: &caught_up,
                watermark_ns,
                is_provisional,
                is_due: false,
            };
            assert_eq!(!quiet.may_be_left_out(&candidate), is_made, "{candidate:?}");
            if is_made {
                quiet.made(&candidate);
            }
            if records == "trade" {
                watermark_ns = tick.cast_signed();
            }
        }
    }

    #[test]
    fn ticks_at_which_nothing_changes_are_left_out_but_for_one_a_second() {
        const ALL: [bool; 2] = [true, true];
        const SOME: [bool; 2] = [true, false];
        check(&[
            (100, "", SOME, false, true),
            (200, "", SOME, false, false),
            // A partition is caught up now, which makes it idle.
            (300, "", ALL, false, true),
            (400, "", ALL, false, false),
            (1_200, "", ALL, false, false),
            (1_300, "", ALL, false, true),
            (1_400, "", ALL, false, false),
            // A record is never held back; after it partitions become idle.
            (1_500, "trade", ALL, false, true),
            (1_600, "", ALL, false, true),
            (1_700, "", ALL, false, false),
            (1_800, "trade", ALL, false, true),
            (1_900, "trade", ALL, false, true),
            (2_000, "", ALL, false, true),
            (2_100, "", SOME, false, true),
            (2_200, "", ALL, false, true),
            (2_300, "", ALL, false, false),
            // A reject moves no watermark, and is a record.
            (2_400, "reject", ALL, false, true),
            (2_500, "", ALL, false, true),
            (2_600, "", ALL, false, false),
        ]);
    }

    #[test]
    fn a_watermark_that_moved_at_a_tick_without_records_has_its_effect_at_the_next() {
        let mut quiet = Quiet::default();
        let made = |tick, watermark_ns, quiet: &mut Quiet| {
            let (running_ms, is_provisional) = (tick, false);
            let caught_up = &[true];
            let candidate =
                Candidate { running_ms, is_empty: true, caught_up, watermark_ns, is_provisional, is_due: false };
            let is_made = !quiet.may_be_left_out(&candidate);
            if is_made {
                quiet.made(&candidate);
            }
            is_made
        };
        assert_eq!([(100, 7), (200, 9), (300, 9)].map(|(tick, ns)| made(tick, ns, &mut quiet)), [true, true, false]);
    }

    #[test]
    fn a_tick_at_which_something_is_due_is_made() {
        let mut quiet = Quiet::default();
        let caught_up = &[true];
        let mut made = |running_ms, is_empty, is_due| {
            let is_provisional = false;
            let candidate = Candidate { running_ms, is_empty, caught_up, watermark_ns: 7, is_provisional, is_due };
            let is_made = !quiet.may_be_left_out(&candidate);
            if is_made {
                quiet.made(&candidate);
            }
            is_made
        };
        assert!(made(100, false, false) && made(200, true, false) && !made(300, true, false));
        assert!(made(400, true, true) && !made(500, true, false));
    }

    #[test]
    fn provisional_bars_are_published_once_after_the_last_record() {
        const ALL: [bool; 2] = [true, true];
        check(&[
            (500, "trade", ALL, false, true),
            (600, "", ALL, false, true),
            (700, "", ALL, false, false),
            (1_000, "", ALL, true, true),
            (1_100, "", ALL, false, false),
            // Due again, and nothing to tell.
            (1_500, "", ALL, true, false),
            (2_000, "", ALL, true, true),
            (2_100, "trade", ALL, true, true),
            (2_200, "", ALL, true, true),
            (2_300, "", ALL, true, false),
        ]);
    }
}
