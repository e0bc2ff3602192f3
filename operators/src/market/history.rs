//! The updates of one book over the correction horizon, and what they make of it minute by minute.
//!
//! ```text
//!   base --- update --- update --- checkpoint --- update --- update --- head
//!   frozen   |<------------------ held, by sequence ----------------->|
//! ```
//!
//! An update that comes out of order is put into its place, and what follows is folded again from the checkpoint before it, once
//! a tick. So books, minutes and gaps depend on the updates alone, not on when they came.
//!
//! A book's own time is the greatest so far in its sequence: an update belongs to the minute of that time. One without a time of
//! the venue was made before its receipt and before the next update that has a time: it has the earlier of both, so that a
//! snapshot that was long on its way pulls nothing with it.

use super::GapKind;
use super::book::{BookFold, Break, UpdateKey};
use super::leaf::BookFlow;
use super::numbering::{Numbering, is_much_later};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tidewheel_schemas::BookUpdate;

/// Updates from one checkpoint to the next, at least. Where a book has more levels, as many as these: so checkpoints take no more
/// room than a level for each update.
/// Tests have small books, and want many.
const CHECKPOINT_EVERY: usize = if cfg!(test) { 16 } else { 256 };

/// An update that can still change what it follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HeldUpdate {
    /// When its numbering began.
    epoch_ns: i64,
    /// Whether the same is in its numbering, much earlier: then it counts for nothing. It may yet be of another numbering.
    is_again: bool,
    pub event_time_ns: i64,
    pub is_timeless: bool,
    pub update: BookUpdate,
}

impl HeldUpdate {
    const fn key(&self) -> UpdateKey {
        (self.epoch_ns, self.update.sequence, self.update.is_snapshot)
    }
}

/// Where a book is not known any more, and why.
pub(super) type GapKey = (UpdateKey, GapKind);

/// What is known of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gap {
    /// The book's time then, nanoseconds.
    pub time_ns: i64,
    /// The last update that the book had.
    pub last_id: u64,
    /// The first that came then.
    pub first_id: u64,
    /// What ended it.
    pub end: Option<GapEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GapEnd {
    key: UpdateKey,
    /// The book's time then, nanoseconds.
    pub time_ns: i64,
    /// Whether a snapshot ended it, and not another numbering.
    pub is_found: bool,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    Taken,
    Duplicate,
    Conflict,
    /// Its place in the sequence is frozen.
    TooOld,
}

/// What became of a gap since the last call.
pub(super) struct Change {
    pub key: GapKey,
    /// That it was lost, found or mended, or why it began.
    pub kind: GapKind,
    pub gap: Gap,
}

/// The state after the frozen updates, as a snapshot has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedBase {
    fold: BookFold,
    /// Of the last of them.
    key: Option<UpdateKey>,
    /// The gap that it is in.
    gap: Option<(GapKey, Gap)>,
    /// Numbers of the frozen updates of the last numbering.
    numbers: Numbering,
}

impl Default for SavedBase {
    fn default() -> Self {
        Self { fold: BookFold::default(), key: None, gap: None, numbers: Numbering::from(i64::MIN) }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct BookHistory {
    base: SavedBase,
    /// Ascending by key.
    held: VecDeque<HeldUpdate>,
    /// Those that held updates may belong to, the base's first; ascending.
    numberings: Vec<Numbering>,
    /// The fold over the first `folded` of the held.
    head: BookFold,
    folded: usize,
    /// Folds over as many held updates, ascending.
    checkpoints: VecDeque<(usize, BookFold)>,
    /// Levels of the checkpoints.
    checkpoint_levels: usize,
    /// The first held update that is not folded where it belongs.
    stale: Option<usize>,
    /// Likewise of those that have a time: they give one to those without before them.
    stale_timed: Option<usize>,
    /// Those that ended; that of the head is in the head.
    minutes: BTreeMap<i64, BookFlow>,
    /// Those of held updates, and the one that the base is in. Only the last may be open.
    gaps: BTreeMap<GapKey, Gap>,
    /// Those that may be others than were told.
    touched: BTreeSet<GapKey>,
    /// What was told of gaps.
    told: BTreeMap<GapKey, Gap>,
}

impl BookHistory {
    /// Takes an update; `settle` folds it.
    pub fn put(&mut self, event_time_ns: i64, is_timeless: bool, update: &BookUpdate) -> Put {
        if self.numberings.is_empty() {
            self.numberings.push(self.base.numbers.clone());
        }
        let numbering = &self.numberings[self.numbering_at(event_time_ns)];
        let sequence = update.sequence;
        let next = HeldUpdate {
            epoch_ns: numbering.begin_ns,
            is_again: false,
            event_time_ns,
            is_timeless,
            update: update.clone(),
        };
        let key = next.key();
        if let Some(at) = self.place_by_receipt(&next) {
            let is_frozen = self.base.key.is_some_and(|frozen| key <= frozen);
            return if is_frozen { Put::TooOld } else { self.date_back(at, event_time_ns, is_timeless) };
        }
        let at = self.place_of(key);
        let mut is_apart = false;
        for (held, at) in self.held.range(at..).take_while(|held| held.key() == key).zip(at..) {
            // One that is much earlier or later may be of another numbering. A receipt does not tell.
            let is_later = !is_timeless && is_much_later(event_time_ns, held.event_time_ns);
            let is_earlier = !held.is_timeless && is_much_later(held.event_time_ns, event_time_ns);
            match held.update == *update {
                true if !(is_later || is_earlier) => {
                    return self.date_back(at, event_time_ns, is_timeless);
                }
                false if !is_later && !is_earlier => return Put::Conflict,
                _ => is_apart = true,
            }
        }
        let has_fallen = !is_timeless && numbering.greatest_before(event_time_ns).is_some_and(|it| it > sequence);
        if !has_fallen && !is_apart && self.base.key.is_some_and(|frozen| key <= frozen) {
            return Put::TooOld;
        }
        let is_fall_seen = numbering.least_after(event_time_ns).is_some_and(|least| least <= sequence);
        self.insert(at, next);
        if has_fallen || is_apart || is_fall_seen {
            self.number_again();
        }
        Put::Taken
    }

    fn insert(&mut self, at: usize, next: HeldUpdate) {
        let numbering = self.numbering_at(next.event_time_ns);
        self.numberings[numbering].add(next.event_time_ns, next.is_timeless, next.update.sequence);
        self.stale_timed = self.stale_timed.map(|stale| if at <= stale { stale + 1 } else { stale });
        self.stale = self.stale.map(|stale| if at <= stale { stale + 1 } else { stale });
        let is_timeless = next.is_timeless;
        self.held.insert(at, next);
        self.mark_stale(at, is_timeless);
    }

    fn mark_stale(&mut self, at: usize, is_timeless: bool) {
        self.stale = Some(self.stale.map_or(at, |stale| stale.min(at)));
        if !is_timeless {
            self.stale_timed = Some(self.stale_timed.map_or(at, |stale| stale.min(at)));
        }
    }

    /// The same content came with another time: the venue's goes before that of a receipt, and the earlier before the later.
    fn date_back(&mut self, at: usize, event_time_ns: i64, is_timeless: bool) -> Put {
        let held = &mut self.held[at];
        let (was_timeless, was_ns) = (held.is_timeless, held.event_time_ns);
        if (is_timeless, event_time_ns) >= (was_timeless, was_ns) {
            return Put::Duplicate;
        }
        (held.is_timeless, held.event_time_ns) = (is_timeless, event_time_ns);
        let (epoch_ns, sequence) = (held.epoch_ns, held.update.sequence);
        self.mark_stale(at, is_timeless);
        let place = self.numbering_at(event_time_ns);
        let numbering = &mut self.numberings[place];
        let is_as_before = numbering.begin_ns == epoch_ns && was_ns != epoch_ns && event_time_ns <= was_ns;
        if is_as_before && numbering.least_after(event_time_ns).is_none_or(|least| least > sequence) {
            numbering.add(event_time_ns, is_timeless, sequence);
        } else {
            self.number_again();
        }
        Put::Taken
    }

    /// The same with a time, or the other way round. A receipt says nothing where the venue's time is known, not even of which
    /// numbering it is.
    fn place_by_receipt(&self, next: &HeldUpdate) -> Option<usize> {
        self.numberings.iter().find_map(|numbering| {
            let key = (numbering.begin_ns, next.update.sequence, next.update.is_snapshot);
            let begin = self.place_of(key);
            let same = self.held.range(begin..).take_while(|held| held.key() == key).zip(begin..);
            let mut by_receipt = same.filter(|(held, _)| held.is_timeless || next.is_timeless);
            by_receipt.find(|(held, _)| held.update == next.update).map(|(_, at)| at)
        })
    }

    fn place_of(&self, key: UpdateKey) -> usize {
        match self.held.back() {
            Some(last) if last.key() >= key => self.held.partition_point(|held| held.key() < key),
            _ => self.held.len(),
        }
    }

    /// The place of the numbering that a time falls into.
    fn numbering_at(&self, time_ns: i64) -> usize {
        self.numberings.partition_point(|numbering| numbering.begin_ns <= time_ns).saturating_sub(1)
    }

    /// Finds the numberings of the held updates anew. All is folded again where they are others.
    fn number_again(&mut self) {
        let mut order: Vec<usize> = (0..self.held.len()).collect();
        order.sort_by_key(|&at| {
            let HeldUpdate { event_time_ns, update, .. } = &self.held[at];
            (*event_time_ns, update.sequence, update.is_snapshot)
        });
        let mut numberings = vec![self.base.numbers.clone()];
        // Those of a number in the numbering at hand.
        let mut of_number: BTreeMap<(u64, bool), Vec<usize>> = BTreeMap::new();
        for at in order {
            let HeldUpdate { event_time_ns, is_timeless, update, .. } = &self.held[at];
            let (time_ns, is_timeless, sequence) = (*event_time_ns, *is_timeless, update.sequence);
            let number = (sequence, update.is_snapshot);
            let of_same = of_number.get(&number).map_or(&[][..], Vec::as_slice);
            let is_again = of_same.iter().any(|&other| self.held[other].update == *update);
            let mut numbering = numberings.last_mut().expect("it begins with one");
            let has_fallen = || {
                numbering.greatest_before(time_ns).is_some_and(|greatest| greatest > sequence)
                    || of_same.iter().any(|&other| is_much_later(time_ns, self.held[other].event_time_ns))
            };
            if !is_again && !is_timeless && has_fallen() {
                of_number.clear();
                numberings.push(Numbering::from(time_ns));
                numbering = numberings.last_mut().expect("it was put there just now");
            }
            if !is_again {
                numbering.add(time_ns, is_timeless, sequence);
                of_number.entry(number).or_default().push(at);
            }
            (self.held[at].epoch_ns, self.held[at].is_again) = (numbering.begin_ns, is_again);
        }
        self.numberings = numberings;
        let held = self.held.make_contiguous();
        // Of one number and numbering the earlier comes first.
        held.sort_by_key(|held| (held.key(), held.is_again, held.event_time_ns));
        (self.stale, self.stale_timed) = (Some(0), Some(0));
    }

    /// Folds what came, and adds the minutes that may have changed to `dirty`.
    pub fn settle(&mut self, dirty: &mut BTreeSet<i64>) {
        let Some(mut stale) = self.stale.take() else { return };
        if let Some(mut timed) = self.stale_timed.take() {
            // It may be what those without a time before it have theirs from.
            while timed > 0 && (self.held[timed - 1].is_timeless || self.held[timed - 1].is_again) {
                timed -= 1;
            }
            stale = stale.min(timed);
        }
        if stale < self.folded {
            self.go_back(stale, dirty);
        }
        dirty.extend(self.head.minute());
        let mut next_timed = 0;
        while let Some(held) = self.held.get(self.folded) {
            if held.is_again {
                self.folded += 1;
                continue;
            }
            let time_ns = time_of(&self.held, self.folded, &mut next_timed);
            let (step, ended) = self.head.next(&held.update, held.epoch_ns, time_ns);
            let (key, time_ns) = (held.key(), self.head.time_ns);
            self.folded += 1;
            dirty.extend(self.head.minute());
            self.minutes.extend(ended);
            if let Some(broke) = step.broke {
                self.end_gap(key, time_ns, false);
                self.begin_gap(key, time_ns, &broke);
            }
            if step.is_found {
                self.end_gap(key, time_ns, true);
            }
            let since = self.folded - self.checkpoints.back().map_or(0, |(after, _)| *after);
            if since >= CHECKPOINT_EVERY.max(self.head.levels()) {
                self.checkpoint_levels += self.head.levels();
                self.checkpoints.push_back((self.folded, self.head.clone()));
            }
        }
    }

    fn begin_gap(&mut self, key: UpdateKey, time_ns: i64, broke: &Break) {
        let gap_key = (key, broke.kind);
        self.gaps.insert(gap_key, Gap { time_ns, last_id: broke.last_id, first_id: broke.first_id, end: None });
        self.touched.insert(gap_key);
    }

    fn end_gap(&mut self, key: UpdateKey, time_ns: i64, is_found: bool) {
        if let Some(mut last) = self.gaps.last_entry()
            && last.get().end.is_none()
        {
            self.touched.insert(*last.key());
            last.get_mut().end = Some(GapEnd { key, time_ns, is_found });
        }
    }

    /// Undoes the fold from a held update on, and what of it lies before that as far as the checkpoint.
    fn go_back(&mut self, stale: usize, dirty: &mut BTreeSet<i64>) {
        dirty.extend(self.head.minute());
        while let Some((_, fold)) = self.checkpoints.pop_back_if(|(after, _)| *after > stale) {
            self.checkpoint_levels -= fold.levels();
        }
        (self.folded, self.head) = match self.checkpoints.back() {
            Some((after, fold)) => (*after, fold.clone()),
            None => (0, self.base.fold.clone()),
        };
        // The minute that the head is in goes on; those from it on are made again.
        let again = self.minutes.split_off(&self.head.minute().unwrap_or(i64::MIN));
        dirty.extend(again.into_keys());
        let before = match self.folded.checked_sub(1) {
            Some(last) => Some(self.held[last].key()),
            None => self.base.key,
        };
        let undone = match before {
            // No gap is of that kind, which comes after all that begin one.
            Some(before) => self.gaps.split_off(&(before, GapKind::Found)),
            None => std::mem::take(&mut self.gaps),
        };
        self.touched.extend(undone.into_keys());
        if let Some(mut last) = self.gaps.last_entry()
            && last.get().end.is_some_and(|end| before.is_none_or(|before| end.key > before))
        {
            self.touched.insert(*last.key());
            last.get_mut().end = None;
        }
    }

    /// Freezes the updates of minutes before one.
    pub fn freeze(&mut self, frozen_minute_ns: i64) {
        debug_assert!(self.stale.is_none(), "updates are folded before they are frozen");
        let (mut time_ns, mut next_timed) = (self.base.fold.time_ns, 0);
        let is_frozen = |at: &usize| {
            time_ns = time_ns.max(time_of(&self.held, *at, &mut next_timed));
            time_ns < frozen_minute_ns
        };
        let frozen = (0..self.held.len()).take_while(is_frozen).count();
        if frozen > 0 {
            // From the last checkpoint among them, so that few updates are folded twice.
            let mut at = 0;
            if let Some((after, fold)) = self.checkpoints.iter().rfind(|(after, _)| *after <= frozen) {
                (at, self.base.fold) = (*after, fold.clone());
            }
            let mut next_timed = 0;
            for at in at..frozen {
                let (held, time_ns) = (&self.held[at], time_of(&self.held, at, &mut next_timed));
                if !held.is_again {
                    let _ = self.base.fold.next(&held.update, held.epoch_ns, time_ns);
                }
            }
            self.base.key = Some(self.held[frozen - 1].key());
            for held in self.held.drain(..frozen).filter(|held| !held.is_again) {
                if held.epoch_ns != self.base.numbers.begin_ns {
                    self.base.numbers = Numbering::from(held.epoch_ns);
                }
                self.base.numbers.add(held.event_time_ns, held.is_timeless, held.update.sequence);
            }
            self.folded -= frozen;
            while let Some((_, fold)) = self.checkpoints.pop_front_if(|(after, _)| *after <= frozen) {
                self.checkpoint_levels -= fold.levels();
            }
            self.checkpoints.iter_mut().for_each(|(after, _)| *after -= frozen);
            let begun = self.base.numbers.begin_ns;
            self.numberings.retain(|numbering| numbering.begin_ns >= begun);
            if let Some(first) = self.numberings.first_mut() {
                first.forget_before(frozen_minute_ns);
            }
            while let Some(first) = self.gaps.first_entry()
                && first.get().end.is_some_and(|end| Some(end.key) <= self.base.key)
            {
                self.told.remove(&first.remove_entry().0);
            }
        }
        self.base.numbers.forget_before(frozen_minute_ns);
        self.minutes = self.minutes.split_off(&frozen_minute_ns);
    }

    /// What a minute came to, as far as it has come; none if it had no update.
    pub fn flow_of(&self, minute_ns: i64) -> Option<BookFlow> {
        let of_head = || self.head.flow().filter(|(open_time_ns, _)| *open_time_ns == minute_ns);
        self.minutes.get(&minute_ns).copied().or_else(|| of_head().map(|(_, flow)| flow))
    }

    /// What became of gaps since the last call, in the order of the sequence.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for key in std::mem::take(&mut self.touched) {
            let now = self.gaps.get(&key).copied();
            let before = match now {
                Some(gap) => self.told.insert(key, gap),
                None => self.told.remove(&key),
            };
            let is_found = |gap: &Gap| gap.end.is_some_and(|end| end.is_found);
            match (before, now) {
                (Some(gap), None) => changes.push(Change { key, kind: GapKind::Mended, gap }),
                (before, Some(gap)) => {
                    // What was found may be open again.
                    if before.is_none_or(|before| is_found(&before) && !is_found(&gap)) {
                        changes.push(Change { key, kind: key.1, gap });
                    }
                    if is_found(&gap) && before.is_none_or(|before| !is_found(&before)) {
                        changes.push(Change { key, kind: GapKind::Found, gap });
                    }
                }
                (None, None) => {}
            }
        }
        changes
    }

    /// Updates held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Gaps held.
    pub fn gaps(&self) -> usize {
        self.gaps.len()
    }

    /// Levels of all books held: at the base, the head and the checkpoints.
    pub fn levels(&self) -> usize {
        self.base.fold.levels() + self.head.levels() + self.checkpoint_levels
    }

    /// The held updates, ascending.
    pub fn held(&self) -> impl Iterator<Item = &HeldUpdate> {
        self.held.iter()
    }

    /// The base as a snapshot has it.
    pub fn save(&self) -> SavedBase {
        let first = self.gaps.first_key_value().filter(|((key, _), _)| Some(*key) <= self.base.key);
        let gap = first.map(|(key, gap)| (*key, Gap { end: None, ..*gap }));
        SavedBase { gap, ..self.base.clone() }
    }

    /// A history that begins with a saved base and its updates.
    pub fn restore(base: SavedBase, updates: impl Iterator<Item = (i64, bool, BookUpdate)>) -> Self {
        let held = updates.map(|(event_time_ns, is_timeless, update)| HeldUpdate {
            epoch_ns: 0,
            is_again: false,
            event_time_ns,
            is_timeless,
            update,
        });
        let gaps: BTreeMap<GapKey, Gap> = base.gap.into_iter().collect();
        let head = base.fold.clone();
        let mut history = Self { head, told: gaps.clone(), gaps, base, held: held.collect(), ..Self::default() };
        history.number_again();
        history
    }
}

/// The time of a held update; the least of all for one that counts for nothing. `next_timed` says where the next one with a time
/// was found last, and begins at zero.
fn time_of(held: &VecDeque<HeldUpdate>, at: usize, next_timed: &mut usize) -> i64 {
    let HeldUpdate { event_time_ns, is_timeless, is_again, .. } = &held[at];
    if *is_again {
        return i64::MIN;
    }
    if !is_timeless {
        return *event_time_ns;
    }
    if *next_timed <= at {
        let is_timed = |later: &usize| !held[*later].is_timeless && !held[*later].is_again;
        *next_timed = (at + 1..held.len()).find(is_timed).unwrap_or(held.len());
    }
    held.get(*next_timed).map_or(*event_time_ns, |next| next.event_time_ns.min(*event_time_ns))
}
