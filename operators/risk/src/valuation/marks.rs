//! The marks of one instrument: one a minute of event time inside the correction horizon, the newest of which is the mark.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};

/// Nanoseconds in a minute, the grid of marks and of equity samples.
const MINUTE_NS: i64 = 60_000_000_000;

/// The end of the minute that an event time lies in. Minutes are half open: an event at the end belongs to the next one.
pub const fn minute_end_ns(event_time_ns: i64) -> i64 {
    (event_time_ns.div_euclid(MINUTE_NS) + 1) * MINUTE_NS
}

/// What a mark is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MarkSource {
    /// The last trade.
    #[default]
    Trade,
    /// The middle between bid and ask.
    Mid,
    /// The venue's own mark price.
    Venue,
}

impl MarkSource {
    /// How many there are.
    pub const COUNT: usize = 3;
}

/// A price at which positions are valued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// When it was so, nanoseconds.
    pub event_time_ns: i64,
    /// Orders marks of one time.
    pub sequence: i64,
    /// In the quote asset, eight decimals, above zero.
    pub price_e8: i64,
}

/// Marks of one instrument and source.
///
/// **Order**: within a minute the greatest (event time, sequence) stays; one of the same time and sequence takes the other's place.
/// **State**: a mark a minute of the horizon, and the last one before it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkHistory {
    #[serde(with = "crate::pairs")]
    minutes: BTreeMap<i64, Mark>,
}

impl MarkHistory {
    /// The newest mark.
    pub fn current(&self) -> Option<&Mark> {
        self.minutes.last_key_value().map(|(_, mark)| mark)
    }

    /// The mark at the end of a minute: the newest of that minute or of one before it.
    pub fn at(&self, minute_end_ns: i64) -> Option<&Mark> {
        self.minutes.range(..=minute_end_ns).next_back().map(|(_, mark)| mark)
    }

    /// The mark of just this minute.
    pub fn of_minute(&self, minute_end_ns: i64) -> Option<&Mark> {
        self.minutes.get(&minute_end_ns)
    }

    /// Whether a mark would stand against what its minute has.
    pub fn is_news(&self, mark: &Mark) -> bool {
        let order = |mark: &Mark| (mark.event_time_ns, mark.sequence);
        let known = self.minutes.get(&minute_end_ns(mark.event_time_ns));
        known.is_none_or(|known| order(known) <= order(mark) && known != mark)
    }

    /// The minute after this one that has a mark of its own: up to there this minute's mark is in force.
    pub fn next_minute_ns(&self, minute_end_ns: i64) -> Option<i64> {
        self.minutes.range((Excluded(minute_end_ns), Unbounded)).next().map(|(minute, _)| *minute)
    }

    /// Puts a mark, or none, in the place of the one of a minute.
    pub fn put(&mut self, minute_end_ns: i64, mark: Option<Mark>) {
        match mark {
            Some(mark) => self.minutes.insert(minute_end_ns, mark),
            None => self.minutes.remove(&minute_end_ns),
        };
    }

    /// The newest mark if the one of a minute were another, or none.
    pub fn current_with(&self, minute_end_ns: i64, mark: Option<&Mark>) -> Option<Mark> {
        let is_newest = self.next_minute_ns(minute_end_ns).is_none();
        let newest = if is_newest { mark.or_else(|| self.at(minute_end_ns - 1)) } else { self.current() };
        newest.copied()
    }

    /// Forgets what is older than the last mark at or before a time.
    pub fn freeze(&mut self, frozen_ns: i64) {
        if let Some((&carried, _)) = self.minutes.range(..=frozen_ns).next_back() {
            self.minutes = self.minutes.split_off(&carried);
        }
    }

    /// How many marks it keeps.
    pub fn len(&self) -> usize {
        self.minutes.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(event_time_ns: i64, sequence: i64, price_e8: i64) -> Mark {
        Mark { event_time_ns, sequence, price_e8 }
    }

    #[test]
    fn a_minute_ends_where_the_next_begins() {
        assert_eq!(minute_end_ns(0), MINUTE_NS);
        assert_eq!(minute_end_ns(MINUTE_NS - 1), MINUTE_NS);
        assert_eq!(minute_end_ns(MINUTE_NS), 2 * MINUTE_NS);
        assert_eq!(minute_end_ns(-1), 0);
    }

    #[test]
    fn the_newest_mark_of_a_minute_stays_and_is_carried() {
        let mut marks = MarkHistory::default();
        marks.put(MINUTE_NS, Some(mark(10, 0, 100)));
        assert!(!marks.is_news(&mark(9, 5, 101)) && !marks.is_news(&mark(10, 0, 100)));
        assert!(marks.is_news(&mark(10, 1, 101)) && marks.is_news(&mark(10, 0, 101)));
        marks.put(4 * MINUTE_NS, Some(mark(3 * MINUTE_NS, 0, 400)));
        assert_eq!(marks.at(3 * MINUTE_NS).map(|mark| mark.price_e8), Some(100));
        assert_eq!(marks.at(4 * MINUTE_NS).map(|mark| mark.price_e8), Some(400));
        assert_eq!(marks.at(0), None);
        assert_eq!(marks.next_minute_ns(MINUTE_NS), Some(4 * MINUTE_NS));
        marks.freeze(3 * MINUTE_NS);
        assert_eq!(marks.len(), 2);
        marks.freeze(5 * MINUTE_NS);
        assert_eq!((marks.len(), marks.current().map(|mark| mark.price_e8)), (1, Some(400)));
    }
}
