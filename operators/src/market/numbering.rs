//! When the numbers of a book's updates begin again: after a restart of the venue's service, or of who numbers them.
//!
//! A numbering begins with an update that has a time of the venue, more than [`SPAN_SECONDS`] later than another of a greater
//! number: numbers fell while time went on. All from its time on belong to the new numbering. That is told by pairs of records
//! and not by their arrival, so that it is the same in whatever order they come. The price: an update whose time is wrong by
//! more than the span against its neighbours begins a numbering too, and the book is not known until the next snapshot. A record
//! without a time of its own begins none, since nobody knows how old it is.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidewheel_schemas::SECOND_NS;

/// By how many whole seconds times may be out of the order of numbers.
pub(super) const SPAN_SECONDS: i64 = 30;

const fn second_of(time_ns: i64) -> i64 {
    time_ns.div_euclid(SECOND_NS)
}

/// Whether a time is later than another by more than the span.
pub(super) const fn is_much_later(time_ns: i64, than_ns: i64) -> bool {
    second_of(time_ns) > second_of(than_ns) + SPAN_SECONDS
}

/// Updates of one numbering, as far as it takes to see that it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Numbering {
    /// Event time of the update that it began with; the least of all times for the first one.
    pub begin_ns: i64,
    /// By second the greatest number up to then: those seconds in which it grew.
    greatest: BTreeMap<i64, u64>,
    /// By second the least number from then on, of updates that have a time: those seconds after which it is greater.
    least: BTreeMap<i64, u64>,
}

impl Numbering {
    /// One that begins at a time.
    pub const fn from(begin_ns: i64) -> Self {
        Self { begin_ns, greatest: BTreeMap::new(), least: BTreeMap::new() }
    }

    /// Takes an update of it. The time of one that has none is that of its receipt: it was made before.
    pub fn add(&mut self, time_ns: i64, is_timeless: bool, sequence: u64) {
        let second = second_of(time_ns);
        if self.greatest.range(..=second).next_back().is_none_or(|(_, greatest)| *greatest < sequence) {
            self.greatest.insert(second, sequence);
            while let Some((&later, _)) =
                self.greatest.range(second + 1..).next().filter(|(_, other)| **other <= sequence)
            {
                self.greatest.remove(&later);
            }
        }
        if !is_timeless && self.least.range(second..).next().is_none_or(|(_, least)| *least > sequence) {
            self.least.insert(second, sequence);
            while let Some((&earlier, _)) =
                self.least.range(..second).next_back().filter(|(_, other)| **other >= sequence)
            {
                self.least.remove(&earlier);
            }
        }
    }

    /// The greatest number of those much earlier than a time.
    pub fn greatest_before(&self, time_ns: i64) -> Option<u64> {
        let end = second_of(time_ns).saturating_sub(SPAN_SECONDS);
        self.greatest.range(..end).next_back().map(|(_, sequence)| *sequence)
    }

    /// The least number of those that are much later than a time and have one.
    pub fn least_after(&self, time_ns: i64) -> Option<u64> {
        let begin = second_of(time_ns).saturating_add(SPAN_SECONDS).saturating_add(1);
        self.least.range(begin..).next().map(|(_, sequence)| *sequence)
    }

    /// Forgets what no update from a time on can be told by.
    pub fn forget_before(&mut self, time_ns: i64) {
        let end = second_of(time_ns).saturating_sub(SPAN_SECONDS);
        if let Some((&last, _)) = self.greatest.range(..end).next_back() {
            self.greatest = self.greatest.split_off(&last);
        }
        self.least = self.least.split_off(&second_of(time_ns));
    }
}
