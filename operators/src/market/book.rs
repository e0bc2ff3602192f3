//! A book of price levels, and the rule by which updates follow one another.

use super::leaf::{BookClose, BookFlow, BookState, DEPTHS, Touch, TouchFlow};
use serde::{Deserialize, Serialize};
use tidewheel_schemas::{BookUpdate, Interval, Level};

/// Orders the updates of a book. A change comes before a snapshot of the same number, which has it in it.
pub(super) type UpdateKey = (u64, bool);

/// The key of an update.
pub(super) const fn key_of(update: &BookUpdate) -> UpdateKey {
    (update.sequence, update.is_snapshot)
}

/// The levels of both sides, each with the best at the end: that is where most changes are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OrderBook {
    /// Ascending by price.
    bids: Vec<Level>,
    /// Descending by price.
    asks: Vec<Level>,
}

impl OrderBook {
    /// The whole of it. Of several levels of one price the last stands, as it does in changes.
    fn of(snapshot: &BookUpdate) -> Self {
        Self { bids: side_of(&snapshot.bids, bid_rank), asks: side_of(&snapshot.asks, ask_rank) }
    }

    fn apply(&mut self, update: &BookUpdate) {
        update.bids.iter().for_each(|level| set(&mut self.bids, *level, bid_rank));
        update.asks.iter().for_each(|level| set(&mut self.asks, *level, ask_rank));
    }

    fn depth_e8(side: &[Level]) -> [i128; DEPTHS.len()] {
        DEPTHS.map(|levels| side.iter().rev().take(levels).map(|level| i128::from(level.quantity_e8)).sum())
    }

    /// Levels of both sides.
    pub fn levels(&self) -> usize {
        self.bids.len() + self.asks.len()
    }
}

/// Grows towards the best bid.
const fn bid_rank(price_e8: i64) -> i64 {
    price_e8
}

/// Grows towards the best ask. Prices are above zero, so that each has a negative.
const fn ask_rank(price_e8: i64) -> i64 {
    -price_e8
}

fn side_of(levels: &[Level], rank: fn(i64) -> i64) -> Vec<Level> {
    let mut sorted = levels.to_vec();
    sorted.sort_by_key(|level| rank(level.price_e8));
    let mut side: Vec<Level> = Vec::with_capacity(sorted.len());
    for level in sorted {
        match side.last_mut() {
            Some(last) if last.price_e8 == level.price_e8 => *last = level,
            _ => side.push(level),
        }
    }
    side.retain(|level| level.quantity_e8 != 0);
    side
}

/// Sets a level, or takes it away; `rank` grows towards the best.
fn set(side: &mut Vec<Level>, level: Level, rank: fn(i64) -> i64) {
    let at = side.partition_point(|other| rank(other.price_e8) < rank(level.price_e8));
    let is_there = side.get(at).is_some_and(|other| other.price_e8 == level.price_e8);
    match (level.quantity_e8 == 0, is_there) {
        (true, true) => drop(side.remove(at)),
        // A level that is not known, or not any more.
        (true, false) => {}
        (false, true) => side[at] = level,
        (false, false) => side.insert(at, level),
    }
}

/// How a book stands in the sequence of its updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stand {
    /// No snapshot yet: changes that come before one are not missed.
    Waiting,
    /// At the last update of a snapshot; the first change after it may begin before it.
    AtSnapshot(u64),
    /// At the last update of a change.
    At(u64),
    /// A change is missing.
    Lost,
}

/// What an update did to the sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It followed, or was not needed.
    Followed,
    /// It did not follow what was there: the update that it should have followed, and the first that it has.
    Lost {
        /// The last update of the book.
        last_id: u64,
        /// The first update that came.
        first_id: u64,
    },
    /// A snapshot ended a gap.
    Found,
}

/// The fold over updates in their order: the book, where it stands, and the minute it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BookFold {
    book: OrderBook,
    stand: Stand,
    /// The greatest event time so far: the book's own, nanoseconds.
    pub time_ns: i64,
    /// Touches of the minute that it is in, if there was an update.
    minute: Option<(i64, TouchFlow)>,
}

impl Default for BookFold {
    fn default() -> Self {
        Self { book: OrderBook::default(), stand: Stand::Waiting, time_ns: i64::MIN, minute: None }
    }
}

impl BookFold {
    /// Takes the next update. Gives what it did, and the minute that ended before it, if one did.
    pub fn next(&mut self, update: &BookUpdate, event_time_ns: i64) -> (Step, Option<(i64, BookFlow)>) {
        self.time_ns = self.time_ns.max(event_time_ns);
        let open_time_ns = Interval::M1.open_of(self.time_ns);
        let is_new = self.minute().is_some_and(|minute| minute != open_time_ns);
        let ended = if is_new { self.flow() } else { None };
        let step = self.apply(update);
        let touch = TouchFlow::of(self.touch());
        let before = self.minute.filter(|_| !is_new);
        self.minute = Some((open_time_ns, before.map_or(touch, |(_, touches)| touches.merge(&touch))));
        (step, ended)
    }

    fn apply(&mut self, update: &BookUpdate) -> Step {
        if update.is_snapshot {
            self.book = OrderBook::of(update);
            let was = std::mem::replace(&mut self.stand, Stand::AtSnapshot(update.last_id));
            return if was == Stand::Lost { Step::Found } else { Step::Followed };
        }
        let (last_id, follows) = match self.stand {
            Stand::Waiting | Stand::Lost => return Step::Followed,
            Stand::AtSnapshot(last_id) => {
                let begins_in = update.first_id <= last_id.saturating_add(1);
                (last_id, begins_in || update.previous_id.is_some_and(|previous| previous <= last_id))
            }
            Stand::At(last_id) => {
                let is_next = update.first_id <= last_id.saturating_add(1);
                (last_id, update.previous_id.map_or(is_next, |previous| previous == last_id))
            }
        };
        if update.last_id <= last_id {
            // Part of it already.
            return Step::Followed;
        }
        if !follows {
            self.stand = Stand::Lost;
            self.book = OrderBook::default();
            return Step::Lost { last_id, first_id: update.first_id };
        }
        self.book.apply(update);
        self.stand = Stand::At(update.last_id);
        Step::Followed
    }

    fn state(&self) -> BookState {
        match (self.stand, self.book.bids.last(), self.book.asks.last()) {
            (Stand::Waiting, _, _) => BookState::Unknown,
            (Stand::Lost, _, _) => BookState::Gap,
            (_, Some(bid), Some(ask)) if bid.price_e8 < ask.price_e8 => BookState::Valid,
            (_, Some(_), Some(_)) => BookState::Crossed,
            _ => BookState::OneSided,
        }
    }

    /// The best prices now. A book that is not whole has no levels.
    pub fn touch(&self) -> Touch {
        let OrderBook { bids, asks } = &self.book;
        Touch { time_ns: self.time_ns, bid: bids.last().copied(), ask: asks.last().copied() }
    }

    /// The minute that it is in, as if it ended now.
    pub fn flow(&self) -> Option<(i64, BookFlow)> {
        let (open_time_ns, touches) = self.minute?;
        Some((open_time_ns, BookFlow { touches, close: self.close() }))
    }

    /// The minute that it is in.
    pub fn minute(&self) -> Option<i64> {
        self.minute.map(|(open_time_ns, _)| open_time_ns)
    }

    fn close(&self) -> BookClose {
        BookClose {
            state: self.state(),
            bid_depth_e8: OrderBook::depth_e8(&self.book.bids),
            ask_depth_e8: OrderBook::depth_e8(&self.book.asks),
        }
    }

    /// Levels held.
    pub fn levels(&self) -> usize {
        self.book.levels()
    }
}
