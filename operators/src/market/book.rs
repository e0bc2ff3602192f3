//! A book of price levels, and the rule by which updates follow one another.

use super::GapKind;
use super::leaf::{BookClose, BookFlow, BookState, DEPTHS, Touch, TouchFlow};
use super::levels::OrderBook;
use serde::{Deserialize, Serialize};
use tidewheel_schemas::{BookUpdate, Interval};

/// Orders the updates of a book: when its numbering began, the number, and whether it is a snapshot. A change comes before a
/// snapshot of the same number, which has it in it.
pub(super) type UpdateKey = (i64, u64, bool);

/// How a book stands in the sequence of its updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Stand {
    /// No snapshot yet: changes that come before one are not missed.
    Waiting,
    /// At the last update of a snapshot; the first change after it may begin before it.
    AtSnapshot(u64),
    /// At the last update of a change.
    At(u64),
    /// What the book was is not known any more.
    Lost,
}

/// Why a book is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Break {
    /// Lost, restarted or overfull.
    pub kind: GapKind,
    /// The last update of the book.
    pub last_id: u64,
    /// The first update that came.
    pub first_id: u64,
}

/// What an update did to the sequence: first it broke, then it was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Step {
    /// Why the book is not known any more, where it was till then.
    pub broke: Option<Break>,
    /// Whether a snapshot ended that.
    pub is_found: bool,
}

/// The fold over updates in their order: the book, where it stands, and the minute it is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BookFold {
    book: OrderBook,
    stand: Stand,
    /// When the numbering of its last update began.
    pub epoch_ns: i64,
    /// The last of the venue's updates that its last update held.
    last_id: u64,
    /// To how many levels its snapshot went; none for all.
    depth: Option<u32>,
    /// The depth of a part that told of updates whose changes have not come yet.
    ahead: Option<u32>,
    /// The greatest time so far: the book's own, nanoseconds.
    pub time_ns: i64,
    /// Touches of the minute that it is in, if there was an update, and whether it was known all through it.
    minute: Option<(i64, TouchFlow, bool)>,
}

impl Default for BookFold {
    fn default() -> Self {
        Self {
            book: OrderBook::default(),
            stand: Stand::Waiting,
            epoch_ns: i64::MIN,
            last_id: 0,
            depth: None,
            ahead: None,
            time_ns: i64::MIN,
            minute: None,
        }
    }
}

impl BookFold {
    /// Takes the next update. Gives what it did, and the minute that ended before it, if one did.
    pub fn next(&mut self, update: &BookUpdate, epoch_ns: i64, time_ns: i64) -> (Step, Option<(i64, BookFlow)>) {
        self.time_ns = self.time_ns.max(time_ns);
        let open_time_ns = Interval::M1.open_of(self.time_ns);
        let is_new = self.minute().is_some_and(|minute| minute != open_time_ns);
        let ended = if is_new { self.flow() } else { None };
        let before = self.minute.filter(|_| !is_new);
        let was_known = before.map_or(self.is_known(), |(_, _, is_whole)| is_whole);
        let step = self.apply(update, epoch_ns);
        let touch = TouchFlow::of(self.touch());
        let touches = before.map_or(touch, |(_, touches, _)| touches.merge(&touch));
        self.minute = Some((open_time_ns, touches, was_known && step.broke.is_none() && self.is_known()));
        (step, ended)
    }

    const fn is_known(&self) -> bool {
        matches!(self.stand, Stand::At(_) | Stand::AtSnapshot(_))
    }

    fn apply(&mut self, update: &BookUpdate, epoch_ns: i64) -> Step {
        let mut step = Step::default();
        if epoch_ns != self.epoch_ns {
            step.broke = Some(self.lose(GapKind::Restarted, update));
            self.epoch_ns = epoch_ns;
        }
        if update.is_snapshot && self.is_fuller_than(update) {
            self.book.lay_over(update);
            self.ahead = update.depth;
        } else if update.is_snapshot {
            self.book = OrderBook::of(update);
            (self.depth, self.ahead) = (update.depth, None);
            let was = std::mem::replace(&mut self.stand, Stand::AtSnapshot(update.last_id));
            step.is_found = was == Stand::Lost;
        } else {
            step.broke = self.change(update).or(step.broke);
        }
        if self.book.is_overfull() {
            let broke = self.lose(GapKind::Overfull, update);
            // A snapshot that is too large for a book that was lost already leaves it so.
            step = Step { broke: if step.is_found { step.broke } else { Some(broke) }, is_found: false };
        }
        self.last_id = update.last_id;
        step
    }

    /// Whether a snapshot tells of less than the book has from its changes, so that it must not take its place.
    fn is_fuller_than(&self, snapshot: &BookUpdate) -> bool {
        let levels = |depth: Option<u32>| depth.unwrap_or(u32::MAX);
        self.is_known() && levels(self.depth) > levels(snapshot.depth)
    }

    fn change(&mut self, update: &BookUpdate) -> Option<Break> {
        let (last_id, follows) = match self.stand {
            Stand::Waiting | Stand::Lost => return None,
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
            return None;
        }
        if !follows {
            let broke = self.lose(GapKind::Lost, update);
            return Some(Break { last_id, ..broke });
        }
        self.book.apply(update);
        self.stand = Stand::At(update.last_id);
        self.ahead = None;
        None
    }

    fn lose(&mut self, kind: GapKind, update: &BookUpdate) -> Break {
        self.stand = Stand::Lost;
        self.book = OrderBook::default();
        (self.depth, self.ahead) = (None, None);
        Break { kind, last_id: self.last_id, first_id: update.first_id }
    }

    fn state(&self) -> BookState {
        let Touch { bid, ask, .. } = self.touch();
        match (self.stand, bid, ask) {
            (Stand::Waiting, _, _) => BookState::Unknown,
            (Stand::Lost, _, _) => BookState::Gap,
            (_, Some(bid), Some(ask)) if bid.price_e8 < ask.price_e8 => BookState::Valid,
            (_, Some(_), Some(_)) => BookState::Crossed,
            _ => BookState::OneSided,
        }
    }

    /// The best prices now. A book that is not whole has no levels.
    pub fn touch(&self) -> Touch {
        let [bid, ask] = self.book.best();
        Touch { time_ns: self.time_ns, bid, ask }
    }

    /// The minute that it is in, as if it ended now.
    pub fn flow(&self) -> Option<(i64, BookFlow)> {
        let (open_time_ns, touches, is_whole) = self.minute?;
        Some((open_time_ns, BookFlow { touches, is_whole, close: self.close() }))
    }

    /// The minute that it is in.
    pub fn minute(&self) -> Option<i64> {
        self.minute.map(|(open_time_ns, _, _)| open_time_ns)
    }

    fn close(&self) -> BookClose {
        let [bid_depth_e8, ask_depth_e8] = self.book.depths_e8(&DEPTHS);
        BookClose { state: self.state(), depth: self.ahead.or(self.depth), bid_depth_e8, ask_depth_e8 }
    }

    /// Levels held.
    pub fn levels(&self) -> usize {
        self.book.levels()
    }
}
