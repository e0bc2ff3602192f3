//! A book of price levels, and the rule by which updates follow one another.

use super::GapKind;
use super::leaf::{BookClose, BookFlow, BookState, DEPTHS, Touch, TouchFlow};
use super::levels::OrderBook;
use serde::{Deserialize, Serialize};
use tidewheel_schemas::{BookUpdate, Interval};

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
    /// How far it is known.
    reach: Reach,
    /// How far, as a part says that told of updates whose changes have not come yet.
    ahead: Option<Reach>,
    /// The greatest time so far: the book's own, nanoseconds.
    pub time_ns: i64,
    /// The same before the last update.
    before_ns: i64,
    /// The minute that it is in, if there was an update.
    minute: Option<Minute>,
}

/// How far from its best prices a book is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reach {
    /// As far as these prices, bid and ask: the last of a snapshot that had as many as it can. None where a side is known whole.
    To([Option<i64>; 2]),
    /// So many levels, which the venue keeps known by its changes.
    Kept(u32),
}

impl Reach {
    const WHOLE: Self = Self::To([None, None]);
}

/// The touches of a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Minute {
    open_time_ns: i64,
    touches: TouchFlow,
    /// Whether the book was known all through it.
    is_known: bool,
    /// The last update before a snapshot that went on further, and that no change has followed yet: what lies between may be
    /// missing.
    behind: Option<u64>,
}

impl Default for BookFold {
    fn default() -> Self {
        Self {
            book: OrderBook::default(),
            stand: Stand::Waiting,
            epoch_ns: i64::MIN,
            last_id: 0,
            depth: None,
            reach: Reach::WHOLE,
            ahead: None,
            time_ns: i64::MIN,
            before_ns: i64::MIN,
            minute: None,
        }
    }
}

impl BookFold {
    /// Takes the next update. Gives what it did, and the minute that ended before it, if one did. One that contradicts the update
    /// before it has its place, but says something else.
    pub fn next(
        &mut self,
        update: &BookUpdate,
        epoch_ns: i64,
        time_ns: i64,
        is_contradiction: bool,
    ) -> (Step, Option<(i64, BookFlow)>) {
        self.before_ns = self.time_ns;
        self.time_ns = self.time_ns.max(time_ns);
        let open_time_ns = Interval::M1.open_of(self.time_ns);
        let is_new = self.minute().is_some_and(|minute| minute != open_time_ns);
        let ended = if is_new { self.flow() } else { None };
        let before = self.minute.filter(|_| !is_new);
        let was_known = before.map_or(self.is_known(), |minute| minute.is_known);
        let stand = self.stand;
        let step = self.apply(update, epoch_ns, is_contradiction);
        let touch = TouchFlow::of(self.touch());
        let touches = before.map_or(touch, |minute| minute.touches.merge(&touch));
        let mut is_known = was_known && step.broke.is_none() && self.is_known();
        let mut behind = before.and_then(|minute| minute.behind);
        match (stand, self.stand) {
            (Stand::At(last_id), Stand::AtSnapshot(at)) if at > last_id => behind = behind.or(Some(last_id)),
            (Stand::AtSnapshot(_), Stand::At(_)) => {
                is_known &= behind.is_none_or(|last_id| follows(update, last_id));
                behind = None;
            }
            _ => {}
        }
        self.minute = Some(Minute { open_time_ns, touches, is_known, behind });
        (step, ended)
    }

    /// Has the last update at an earlier time, where that is the same minute. Says no where it is not.
    pub fn time_again(&mut self, time_ns: i64) -> bool {
        let time_ns = self.before_ns.max(time_ns);
        let Some(minute) = self.minute.as_mut().filter(|minute| minute.open_time_ns == Interval::M1.open_of(time_ns))
        else {
            return false;
        };
        self.time_ns = time_ns;
        minute.touches.last.time_ns = time_ns;
        if minute.touches.count == 1 {
            minute.touches.first.time_ns = time_ns;
        }
        true
    }

    /// Whether what the book was is not known any more.
    pub fn is_lost(&self) -> bool {
        self.stand == Stand::Lost
    }

    const fn is_known(&self) -> bool {
        matches!(self.stand, Stand::At(_) | Stand::AtSnapshot(_))
    }

    fn apply(&mut self, update: &BookUpdate, epoch_ns: i64, is_contradiction: bool) -> Step {
        let mut step = Step::default();
        if epoch_ns != self.epoch_ns {
            step.broke = Some(self.lose(GapKind::Restarted, update));
            self.epoch_ns = epoch_ns;
        }
        if is_contradiction {
            // Nobody knows which is right.
            step.broke = if self.is_known() { Some(self.lose(GapKind::Lost, update)) } else { None };
        } else if update.is_snapshot && self.is_fuller_than(update) {
            self.book.lay_over(update);
            self.ahead = Some(reach_of(update));
        } else if update.is_snapshot {
            self.book = OrderBook::of(update);
            (self.depth, self.reach, self.ahead) = (update.depth, reach_of(update), None);
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
            Stand::At(last_id) => (last_id, follows(update, last_id)),
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
        self.reach = update.depth.map_or(self.reach, Reach::Kept);
        self.ahead = None;
        None
    }

    fn lose(&mut self, kind: GapKind, update: &BookUpdate) -> Break {
        self.stand = Stand::Lost;
        self.book = OrderBook::default();
        (self.depth, self.reach, self.ahead) = (None, Reach::WHOLE, None);
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
        let Minute { open_time_ns, touches, is_known, behind } = self.minute?;
        Some((open_time_ns, BookFlow { touches, is_whole: is_known && behind.is_none(), close: self.close() }))
    }

    /// The minute that it is in.
    pub fn minute(&self) -> Option<i64> {
        self.minute.map(|minute| minute.open_time_ns)
    }

    fn close(&self) -> BookClose {
        let [bid_depth_e8, ask_depth_e8] = self.book.depths_e8(&DEPTHS);
        BookClose { state: self.state(), depth: self.depth(), bid_depth_e8, ask_depth_e8 }
    }

    /// How many of the best levels of both sides are known; none for all.
    fn depth(&self) -> Option<u32> {
        match self.ahead.unwrap_or(self.reach) {
            Reach::Kept(levels) => Some(levels),
            Reach::To(worst_e8) => self.book.levels_to(worst_e8),
        }
    }

    /// Levels held.
    pub fn levels(&self) -> usize {
        self.book.levels()
    }
}

/// Whether a change follows the last update of another.
fn follows(change: &BookUpdate, last_id: u64) -> bool {
    let is_next = change.first_id <= last_id.saturating_add(1);
    change.previous_id.map_or(is_next, |previous| previous == last_id)
}

/// How far a snapshot tells: a side with as many levels as it can have may go on behind them.
fn reach_of(snapshot: &BookUpdate) -> Reach {
    let most = snapshot.depth.map_or(usize::MAX, |depth| depth as usize);
    Reach::To(OrderBook::of(snapshot).worst_e8(most))
}
