//! The updates of one book over the correction horizon, and what they make of it minute by minute.
//!
//! ```text
//!   base --- update --- update --- checkpoint --- update --- update --- head
//!   frozen   |<------------------ held, by sequence ----------------->|
//! ```
//!
//! An update that comes out of order is put into its place, and what follows is folded again from the checkpoint before it, once
//! a tick. Which updates count, and where, is told by the set of them alone (`updates.rs`), so that books, minutes and gaps
//! depend on the updates and not on when they came.
//!
//! A book's own time is the greatest so far in its sequence: an update belongs to the minute of that time. One without a time of
//! the venue was made before its receipt and before the next update that has a time: it has the earlier of both, so that a
//! snapshot that was long on its way pulls nothing with it.

use super::GapKind;
use super::Source;
use super::book::{BookFold, Break, Step};
use super::leaf::BookFlow;
use super::numbering::Numbering;
use super::updates::{Arrival, HeldUpdate, Identity, UpdateKey, UpdateSet, identity, in_order};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tidewheel_schemas::BookUpdate;

/// Updates from one checkpoint to the next, at least. Where a book has more levels, as many as these: so checkpoints take no more
/// room than a level for each update.
/// Tests have small books, and want many.
const CHECKPOINT_EVERY: usize = if cfg!(test) { 16 } else { 256 };

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
    /// Taken. That its place in the sequence is frozen is told once it is settled.
    Taken,
    Duplicate,
    Conflict,
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
    /// On a whole minute.
    frozen_ns: i64,
    fold: BookFold,
    /// Of the last of them.
    key: Option<UpdateKey>,
    /// What those of that key say.
    last: Vec<BookUpdate>,
    /// The gap that it is in.
    gap: Option<(GapKey, Gap)>,
    /// After all updates before the frozen minute.
    numbering: Numbering,
    /// Those of them that are not frozen, since others go before them that are not.
    waiting: Vec<HeldUpdate>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct BookHistory {
    /// Set once something froze.
    frozen_ns: Option<i64>,
    /// The fold over the frozen updates.
    base: BookFold,
    /// Of the last of them.
    base_key: Option<UpdateKey>,
    /// What those of that key say: one that comes again is known by it, and one that contradicts it.
    base_last: Vec<BookUpdate>,
    /// All from the frozen minute on, also those that count for nothing.
    set: UpdateSet,
    /// Those that count, ascending by key.
    held: VecDeque<HeldUpdate>,
    /// How many of these are before the frozen minute, and their levels.
    waiting: (usize, usize),
    /// What came since it was settled.
    fresh: Vec<(Identity, Source)>,
    /// The fold over the first `folded` of the held.
    head: BookFold,
    folded: usize,
    /// Whether the last of them neither ended nor began a gap.
    is_plain: bool,
    /// Folds over as many held updates, ascending.
    checkpoints: VecDeque<(usize, BookFold)>,
    /// Levels of the checkpoints.
    checkpoint_levels: usize,
    /// The first held update that is not folded where it belongs.
    stale: Option<usize>,
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
    pub fn put(&mut self, event_time_ns: i64, is_timeless: bool, source: Source, update: &BookUpdate) -> Put {
        match self.set.put(event_time_ns, is_timeless, update) {
            Arrival::Duplicate => return Put::Duplicate,
            Arrival::Conflict => return Put::Conflict,
            Arrival::Unsure | Arrival::Nowhere => {}
            Arrival::In(epoch_ns) => {
                let update = update.clone();
                self.place(HeldUpdate { epoch_ns, event_time_ns, is_timeless, own_ns: 0, update });
            }
        }
        self.fresh.push((identity(event_time_ns, is_timeless, update), source));
        Put::Taken
    }

    /// Puts an update where it belongs, if it surely leaves the others as they are.
    fn place(&mut self, next: HeldUpdate) {
        let key = next.key();
        if self.base_key.is_some_and(|frozen| key <= frozen) {
            return self.set.doubt();
        }
        let at = match self.held.back() {
            Some(last) if last.key() >= key => self.held.partition_point(|held| held.key() < key),
            _ => self.held.len(),
        };
        let is_of_key = |at: usize| self.held.get(at).is_some_and(|other| other.key() == key);
        if !is_of_key(at) {
            self.stale = self.stale.map(|stale| if at <= stale { stale + 1 } else { stale });
            self.held.insert(at, next);
            self.mark_stale(at);
            return;
        }
        if is_of_key(at + 1) || self.held[at].update != next.update || self.is_waiting(&self.held[at]) {
            return self.set.doubt();
        }
        if next.time() < self.held[at].time() {
            self.held[at] = next;
            self.mark_stale(at);
        }
    }

    fn mark_stale(&mut self, at: usize) {
        self.stale = Some(self.stale.map_or(at, |stale| stale.min(at)));
    }

    fn is_waiting(&self, held: &HeldUpdate) -> bool {
        self.frozen_ns.is_some_and(|frozen_ns| held.event_time_ns < frozen_ns)
    }

    /// Finds anew which updates count and in which order. Gives those of the last that came whose place is frozen: they are not
    /// held any more.
    fn number_again(&mut self, fresh: &[(Identity, Source)]) -> Vec<Source> {
        let most = 2_usize.saturating_sub(self.base_last.len());
        let is_told = |held: &HeldUpdate| most == 0 || self.base_last.contains(&held.update);
        let is_at_base = |held: &HeldUpdate| self.base_key == Some(held.key());
        let is_frozen = |held: &HeldUpdate| {
            self.base_key.is_some_and(|frozen| held.key() < frozen) || (is_at_base(held) && is_told(held))
        };
        let mut numbered = self.set.number();
        let places: BTreeSet<Identity> =
            numbered.iter().filter(|held| is_frozen(held)).map(HeldUpdate::identity).collect();
        let too_old: Vec<&(Identity, Source)> =
            fresh.iter().filter(|(identity, _)| places.contains(identity)).collect();
        if !too_old.is_empty() {
            too_old.iter().for_each(|(identity, _)| self.set.remove(identity));
            numbered = self.set.number();
        }
        numbered.retain(|held| !is_frozen(held));
        numbered.extend(self.held.iter().filter(|held| self.is_waiting(held)).cloned());
        let mut ordered = in_order(numbered);
        let at_base = ordered.iter().take_while(|held| is_at_base(held)).count();
        ordered.drain(most.min(at_base)..at_base);
        let place = |held: &HeldUpdate| (held.epoch_ns, held.identity());
        let same = self.held.iter().zip(&ordered).take_while(|(old, new)| place(old) == place(new)).count();
        if same < self.held.len() || same < ordered.len() {
            self.held.truncate(same);
            self.held.extend(ordered.into_iter().skip(same));
            self.mark_stale(same);
        }
        self.count_waiting();
        too_old.into_iter().map(|(_, source)| *source).collect()
    }

    fn count_waiting(&mut self) {
        let waiting = self.held.iter().filter(|held| self.is_waiting(held));
        self.waiting = waiting.fold((0, 0), |(count, levels), held| {
            (count + 1, levels + held.update.bids.len() + held.update.asks.len())
        });
    }

    /// Folds what came, and adds the minutes that may have changed to `dirty`. Gives the sources of those that are not taken
    /// after all, since their place is frozen.
    pub fn settle(&mut self, dirty: &mut BTreeSet<i64>) -> Vec<Source> {
        let fresh = std::mem::take(&mut self.fresh);
        let too_old = if self.set.is_unsure() { self.number_again(&fresh) } else { Vec::new() };
        if let Some(stale) = self.stale.take() {
            dirty.extend(self.head.minute());
            let stale = self.time_again(stale);
            if stale < self.folded {
                self.go_back(stale, dirty);
            }
            self.fold(dirty);
        }
        #[cfg(test)]
        self.check();
        too_old
    }

    /// What was done step by step is as if all that is held had come at once.
    #[cfg(test)]
    fn check(&self) {
        let mut again = Self::restore(self.save());
        for (event_time_ns, is_timeless, update) in self.updates() {
            again.set.put(event_time_ns, is_timeless, update);
        }
        assert_eq!(again.number_again(&[]), []);
        again.stale = Some(0);
        again.fold(&mut BTreeSet::new());
        assert_eq!((&again.held, &again.gaps), (&self.held, &self.gaps));
    }

    /// Those without a time that go right before a changed place have theirs from what follows. Gives the first whose time is
    /// another.
    fn time_again(&mut self, stale: usize) -> usize {
        let timed = self.held.range(stale.min(self.held.len())..).find(|held| !held.is_timeless);
        let Some(next_ns) = timed.map(|held| held.event_time_ns) else { return stale };
        let mut first = stale;
        for at in (0..stale).rev().take_while(|at| self.held[*at].is_timeless) {
            let held = &self.held[at];
            if at < self.folded && held.own_ns != held.event_time_ns.min(next_ns) {
                first = at;
            }
        }
        // A partial book and its changes are told in turn: then only the last time is another.
        let is_last = first + 1 == stale && stale == self.folded && self.is_plain;
        if is_last && self.checkpoints.back().is_none_or(|(after, _)| *after < stale) {
            let own_ns = self.held[first].event_time_ns.min(next_ns);
            if self.head.time_again(own_ns) {
                self.held[first].own_ns = own_ns;
                return stale;
            }
        }
        first
    }

    fn fold(&mut self, dirty: &mut BTreeSet<i64>) {
        let mut next_timed = 0;
        while self.folded < self.held.len() {
            let own_ns = time_of(&self.held, self.folded, &mut next_timed);
            let is_contradiction = self.key_before(self.folded) == Some(self.held[self.folded].key());
            let held = &mut self.held[self.folded];
            held.own_ns = own_ns;
            let (step, ended) = self.head.next(&held.update, held.epoch_ns, own_ns, is_contradiction);
            let (key, time_ns) = (held.key(), self.head.time_ns);
            self.folded += 1;
            self.is_plain = step == Step::default();
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

    /// The key of what goes before a held update.
    fn key_before(&self, at: usize) -> Option<UpdateKey> {
        at.checked_sub(1).map_or(self.base_key, |before| Some(self.held[before].key()))
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
        // Not from right before it either: with what goes there it may have made a gap by contradicting it.
        while let Some((_, fold)) = self.checkpoints.pop_back_if(|(after, _)| *after >= stale) {
            self.checkpoint_levels -= fold.levels();
        }
        (self.folded, self.head) = match self.checkpoints.back() {
            Some((after, fold)) => (*after, fold.clone()),
            None => (0, self.base.clone()),
        };
        self.is_plain = false;
        // The minute that the head is in goes on; those from it on are made again.
        let again = self.minutes.split_off(&self.head.minute().unwrap_or(i64::MIN));
        dirty.extend(again.into_keys());
        let before = self.key_before(self.folded);
        let undone = match before {
            // What contradicts the last frozen update is not frozen, and its gap has the same place.
            Some(before) if self.folded == 0 && !self.base.is_lost() => self.gaps.split_off(&(before, GapKind::Mended)),
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
        debug_assert!(self.stale.is_none() && self.fresh.is_empty(), "updates are folded before they are frozen");
        // What came since may wait behind what goes before it: a restart freezes the same minute again.
        if self.frozen_ns.is_some_and(|frozen_ns| frozen_ns >= frozen_minute_ns) {
            return;
        }
        self.set.begin_from(frozen_minute_ns);
        let (mut time_ns, mut next_timed) = (self.base.time_ns, 0);
        let is_frozen = |at: &usize| {
            time_ns = time_ns.max(time_of(&self.held, *at, &mut next_timed));
            time_ns < frozen_minute_ns
        };
        let frozen = (0..self.held.len()).take_while(is_frozen).count();
        if frozen > 0 {
            self.freeze_first(frozen);
        }
        let is_any_left = self.set.forget_before(frozen_minute_ns);
        self.frozen_ns = Some(frozen_minute_ns);
        if is_any_left || self.waiting.0 > 0 {
            self.count_waiting();
        }
        self.minutes = self.minutes.split_off(&frozen_minute_ns);
    }

    fn freeze_first(&mut self, frozen: usize) {
        // From the last checkpoint among them, so that few updates are folded twice.
        let mut at = 0;
        if let Some((after, fold)) = self.checkpoints.iter().rfind(|(after, _)| *after <= frozen) {
            (at, self.base) = (*after, fold.clone());
        }
        for at in at..frozen {
            let is_contradiction = self.key_before(at) == Some(self.held[at].key());
            let held = &self.held[at];
            let _ = self.base.next(&held.update, held.epoch_ns, held.own_ns, is_contradiction);
        }
        let key = self.held[frozen - 1].key();
        if self.base_key.replace(key) != Some(key) {
            self.base_last.clear();
        }
        for held in self.held.drain(..frozen) {
            self.set.remove(&held.identity());
            if held.key() == key {
                self.base_last.push(held.update);
            }
        }
        self.folded -= frozen;
        while let Some((_, fold)) = self.checkpoints.pop_front_if(|(after, _)| *after <= frozen) {
            self.checkpoint_levels -= fold.levels();
        }
        self.checkpoints.iter_mut().for_each(|(after, _)| *after -= frozen);
        while let Some(first) = self.gaps.first_entry()
            && first.get().end.is_some_and(|end| Some(end.key) <= self.base_key)
        {
            self.told.remove(&first.remove_entry().0);
        }
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
        self.set.len() + self.waiting.0
    }

    /// Gaps held.
    pub fn gaps(&self) -> usize {
        self.gaps.len()
    }

    /// Levels held: of the books at the base, the head and the checkpoints, and of the updates.
    pub fn levels(&self) -> usize {
        let of_books = self.base.levels() + self.head.levels() + self.checkpoint_levels;
        of_books + self.set.levels() + self.waiting.1
    }

    /// The updates from the frozen minute on, in the order of time.
    pub fn updates(&self) -> impl Iterator<Item = (i64, bool, &BookUpdate)> {
        self.set.iter()
    }

    /// The base as a snapshot has it.
    pub fn save(&self) -> SavedBase {
        let first = self.gaps.first_key_value().filter(|((key, _), _)| Some(*key) <= self.base_key);
        SavedBase {
            frozen_ns: self.frozen_ns.unwrap_or(i64::MIN),
            fold: self.base.clone(),
            key: self.base_key,
            last: self.base_last.clone(),
            gap: first.map(|(key, gap)| (*key, Gap { end: None, ..*gap })),
            numbering: self.set.begin().clone(),
            waiting: self.held.iter().filter(|held| self.is_waiting(held)).cloned().collect(),
        }
    }

    /// What came was taken before: none of it is too old.
    pub fn forget_fresh(&mut self) {
        self.fresh.clear();
    }

    /// A history that begins with a saved base. The updates from its frozen minute on are to be put.
    pub fn restore(saved: SavedBase) -> Self {
        let SavedBase { frozen_ns, fold, key, last, gap, numbering, waiting } = saved;
        let gaps: BTreeMap<GapKey, Gap> = gap.into_iter().collect();
        let mut history = Self {
            frozen_ns: Some(frozen_ns),
            head: fold.clone(),
            base: fold,
            base_key: key,
            base_last: last,
            set: UpdateSet::after(numbering),
            stale: (!waiting.is_empty()).then_some(0),
            held: waiting.into(),
            told: gaps.clone(),
            gaps,
            ..Self::default()
        };
        history.count_waiting();
        history
    }
}

/// The time of a held update. `next_timed` says where the next one with a time was found last, and begins at zero.
fn time_of(held: &VecDeque<HeldUpdate>, at: usize, next_timed: &mut usize) -> i64 {
    let HeldUpdate { event_time_ns, is_timeless, .. } = &held[at];
    if !is_timeless {
        return *event_time_ns;
    }
    if *next_timed <= at {
        *next_timed = (at + 1..held.len()).find(|later| !held[*later].is_timeless).unwrap_or(held.len());
    }
    held.get(*next_timed).map_or(*event_time_ns, |next| next.event_time_ns.min(*event_time_ns))
}
