//! When the numbers of a book's updates begin again: after a restart of the venue's service, or of who numbers them.
//!
//! Updates are gone through in the order of their time, whatever the order they came in, and each is judged by those before it
//! alone:
//!
//! - An update that has a time of the venue begins a numbering where its number is lower than one that was told more than
//!   [`SPAN_SECONDS`] before it; also where it is the last number, told so long before, and said something else then. All that is
//!   later belongs to the new numbering. A change begins one without a book: nothing is known until a snapshot.
//! - For as long after that, what goes on with the numbers of the old numbering is of the old one, which is over: it counts
//!   for nothing. It is what does not follow the new numbers, and is nearer to the last of the old than to the last of the new.
//! - A receipt says little: an update without a time of the venue begins nothing. For [`LONG_SECONDS`] after a numbering began it
//!   may have been on its way since before: it is of the old one by the same rule, and counts for nothing as well where its
//!   number is one of those that were told in as long before. Nor does it ever count where a greater number was told more than
//!   the span before it: it was longer on its way, or is the first of new numbers. Only until the first time of the venue receipts
//!   are what there is, and count as times.
//!
//! The price: a change whose time is wrong by more than the span against its neighbours makes the book unknown until a snapshot.
//! A restart within the span looks like updates that contradict each other, and the book is not known either.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidewheel_schemas::{BookUpdate, SECOND_NS};

/// By how many whole seconds times may be out of the order of numbers.
pub(super) const SPAN_SECONDS: i64 = 30;

/// For how many whole seconds a snapshot without a time may have been on its way.
pub(super) const LONG_SECONDS: i64 = 600;

const fn second_of(time_ns: i64) -> i64 {
    time_ns.div_euclid(SECOND_NS)
}

/// Whether a time is later than another by more than a span.
const fn is_later_by(span_seconds: i64, time_ns: i64, than_ns: i64) -> bool {
    second_of(time_ns) > second_of(than_ns).saturating_add(span_seconds)
}

/// What the updates up to a time say about the numbering at hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Numbering {
    /// Time of the update that it began with; the least of all times for the first one.
    pub begin_ns: i64,
    /// Since when there are times of the venue.
    timed_since_ns: Option<i64>,
    /// The greatest number of the numbering before, for as long as that matters.
    old: Option<u64>,
    /// The least and the greatest number that an update may have that has been on its way since before.
    past: [u64; 2],
    /// The greatest number so far.
    last: Option<u64>,
    /// The change and the snapshot of that number.
    top: [Option<BookUpdate>; 2],
    /// By second the greatest number up to then: those seconds in which it grew.
    greatest: BTreeMap<i64, u64>,
}

/// From the greatest to the least: none.
const NO_NUMBERS: [u64; 2] = [u64::MAX, 0];

impl Default for Numbering {
    fn default() -> Self {
        Self::from(i64::MIN)
    }
}

impl Numbering {
    const fn from(begin_ns: i64) -> Self {
        Self {
            begin_ns,
            timed_since_ns: None,
            old: None,
            past: NO_NUMBERS,
            last: None,
            top: [None, None],
            greatest: BTreeMap::new(),
        }
    }

    /// Takes the next update in the order of time. Gives when its numbering began; none if it counts for nothing.
    pub fn next(&mut self, time_ns: i64, is_timeless: bool, update: &BookUpdate) -> Option<i64> {
        let is_evidence = !is_timeless || self.timed_since_ns.is_none();
        if is_later_by(LONG_SECONDS, time_ns, self.begin_ns) {
            (self.old, self.past) = (None, NO_NUMBERS);
        }
        if self.is_of_old(time_ns, is_evidence, update) || (!is_evidence && self.is_past(time_ns, update)) {
            return None;
        }
        if is_evidence {
            if self.has_fallen(time_ns, update) {
                let (old, timed_since_ns) = (self.last, self.timed_since_ns);
                let least = self.greatest_before(LONG_SECONDS, time_ns).unwrap_or_default();
                let past = [self.past[0].min(least), self.past[1].max(old.unwrap_or_default())];
                *self = Self { old, past, timed_since_ns, ..Self::from(time_ns) };
            }
            if !is_timeless && self.timed_since_ns.is_none() {
                self.timed_since_ns = Some(time_ns);
            }
            self.add(time_ns, update);
        }
        Some(self.begin_ns)
    }

    /// Takes an update whose time is not the last, if it is sure that this is as if all had been gone through again: says no where
    /// it is not. `base` is what the updates began from, and `least` is of them.
    pub fn put_in(
        &mut self,
        (base, least): (&Self, &Least),
        time_ns: i64,
        is_timeless: bool,
        update: &BookUpdate,
    ) -> bool {
        let is_one = self.begin_ns == base.begin_ns && self.old.is_none() && base.old.is_none();
        if !is_one || self.timed_since_ns.is_none_or(|since_ns| since_ns >= time_ns) {
            return false;
        }
        if is_timeless {
            return !self.is_past(time_ns, update);
        }
        let sequence = update.sequence;
        let is_before = |other: u64| other < sequence;
        let follows = self.greatest_before(SPAN_SECONDS, time_ns).is_none_or(is_before);
        let is_followed = least.after(time_ns).is_none_or(|least| least > sequence);
        let is_top = self.last == Some(sequence);
        if follows && is_followed && !is_top {
            self.add(time_ns, update);
        }
        follows && is_followed && !is_top
    }

    fn add(&mut self, time_ns: i64, update: &BookUpdate) {
        let (second, sequence) = (second_of(time_ns), update.sequence);
        if self.last.is_none_or(|last| last < sequence) {
            (self.last, self.top) = (Some(sequence), [None, None]);
        }
        if self.last == Some(sequence) {
            self.top[usize::from(update.is_snapshot)] = Some(update.clone());
        }
        if self.greatest.range(..=second).next_back().is_none_or(|(_, greatest)| *greatest < sequence) {
            self.greatest.insert(second, sequence);
            while let Some((&later, _)) =
                self.greatest.range(second + 1..).next().filter(|(_, other)| **other <= sequence)
            {
                self.greatest.remove(&later);
            }
        }
    }

    fn is_of_old(&self, time_ns: i64, is_evidence: bool, update: &BookUpdate) -> bool {
        let span_seconds = if is_evidence { SPAN_SECONDS } else { LONG_SECONDS };
        if !is_evidence && (self.past[0]..=self.past[1]).contains(&update.sequence) {
            return true;
        }
        let (Some(old), Some(last)) = (self.old, self.last) else { return false };
        let follows = update.first_id <= last.saturating_add(1) || update.previous_id.is_some_and(|id| id <= last);
        let is_new = update.sequence <= last || (follows && !update.is_snapshot);
        !is_new
            && !is_later_by(span_seconds, time_ns, self.begin_ns)
            && update.sequence - last > update.sequence.abs_diff(old)
    }

    fn is_past(&self, time_ns: i64, update: &BookUpdate) -> bool {
        self.greatest_before(SPAN_SECONDS, time_ns) > Some(update.sequence)
    }

    fn has_fallen(&self, time_ns: i64, update: &BookUpdate) -> bool {
        let is_another = |top: &BookUpdate| top.depth == update.depth && top != update;
        match self.greatest_before(SPAN_SECONDS, time_ns) {
            Some(greatest) if greatest == update.sequence => {
                let top = &self.top[usize::from(update.is_snapshot)];
                self.last == Some(greatest) && top.as_ref().is_some_and(is_another)
            }
            greatest => greatest > Some(update.sequence),
        }
    }

    /// The greatest number of those earlier than a time by more than a span.
    fn greatest_before(&self, span_seconds: i64, time_ns: i64) -> Option<u64> {
        let end = second_of(time_ns).saturating_sub(span_seconds);
        self.greatest.range(..end).next_back().map(|(_, sequence)| *sequence)
    }

    /// Forgets what no update from a time on can be told by.
    pub fn forget_before(&mut self, time_ns: i64) {
        let end = second_of(time_ns).saturating_sub(LONG_SECONDS);
        if let Some((&last, _)) = self.greatest.range(..end).next_back() {
            self.greatest = self.greatest.split_off(&last);
        }
    }
}

/// By second the least number of updates from then on: those seconds after which it is greater.
#[derive(Clone, Debug, Default)]
pub(super) struct Least(BTreeMap<i64, u64>);

impl Least {
    /// Takes an update.
    pub fn add(&mut self, time_ns: i64, sequence: u64) {
        let second = second_of(time_ns);
        if self.0.range(second..).next().is_none_or(|(_, least)| *least > sequence) {
            self.0.insert(second, sequence);
            while let Some((&earlier, _)) = self.0.range(..second).next_back().filter(|(_, other)| **other >= sequence)
            {
                self.0.remove(&earlier);
            }
        }
    }

    /// The least number of those that are later than a time by more than the span.
    fn after(&self, time_ns: i64) -> Option<u64> {
        let begin = second_of(time_ns).saturating_add(SPAN_SECONDS).saturating_add(1);
        self.0.range(begin..).next().map(|(_, sequence)| *sequence)
    }

    /// Forgets those before a time.
    pub fn forget_before(&mut self, time_ns: i64) {
        self.0 = self.0.split_off(&second_of(time_ns));
    }
}
