//! The second highest print of a sliding window, and how far the last two are below it.

use super::Print;
use crate::breakers::Fault;
use crate::policy::Ratio;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// A fall inside the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fallen {
    /// The second highest print; of equal ones the latest.
    pub peak: Print,
    /// The higher of the last two prints.
    pub low: i128,
    /// The fall as a share of the peak, rounded down. Zero where the last two are not below the peak.
    pub fall: Ratio,
}

/// The prints of a window that can still be its highest or second highest, in two monotone queues.
///
/// `first` holds the prints that no later one reaches, `second` those that exactly one later one does. Both descend in value as they
/// ascend in time; what a new print reaches moves from `first` to `second`, and out of `second`. So a print is moved at most twice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peaks {
    first: VecDeque<Print>,
    second: VecDeque<Print>,
    /// The last two prints, the older one first.
    last: [Option<Print>; 2],
}

impl Peaks {
    /// Adds a print, not earlier than any before it, and says what the fall is. Nothing where the window has less than two prints.
    ///
    /// # Errors
    /// If the print is not above zero, or the share does not fit. It is not added then, and a fall is not said.
    pub fn push(&mut self, print: Print, window_ns: i64) -> Result<Option<Fallen>, Fault> {
        if print.value <= 0 {
            return Err(Fault::OutOfRange);
        }
        while self.second.back().is_some_and(|held| held.value <= print.value) {
            self.second.pop_back();
        }
        let reached = self.first.partition_point(|held| held.value > print.value);
        self.second.extend(self.first.drain(reached..));
        self.first.push_back(print);
        self.last = [self.last[1], Some(print)];
        self.fall_at(print.time_ns, window_ns)
    }

    /// What the fall is at a time not before the last print: the window is what is at most `window_ns` older.
    ///
    /// # Errors
    /// If the share does not fit.
    pub fn fall_at(&mut self, time_ns: i64, window_ns: i64) -> Result<Option<Fallen>, Fault> {
        let begin_ns = time_ns.saturating_sub(window_ns);
        for queue in [&mut self.first, &mut self.second] {
            while queue.front().is_some_and(|print| print.time_ns < begin_ns) {
                queue.pop_front();
            }
        }
        let [Some(before), Some(last)] = self.last else { return Ok(None) };
        if before.time_ns < begin_ns {
            return Ok(None);
        }
        // The highest is the head of `first`; the second highest is the next there, or one that only the highest reaches.
        let candidates = [self.first.get(1), self.second.front()];
        let Some(peak) = candidates.into_iter().flatten().max_by_key(|print| (print.value, print.time_ns, print.key))
        else {
            return Ok(None);
        };
        let low = before.value.max(last.value);
        let fallen = peak.value.saturating_sub(low).max(0);
        let share = fallen.checked_mul(1_000_000_000).ok_or(Fault::OutOfRange)? / peak.value;
        let fall = Ratio::from_e9(i64::try_from(share).map_err(|_| Fault::OutOfRange)?);
        Ok(Some(Fallen { peak: *peak, low, fall }))
    }

    /// How many prints are held.
    pub fn len(&self) -> usize {
        self.first.len() + self.second.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
