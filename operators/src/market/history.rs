//! The updates of one book over the correction horizon, and what they make of it minute by minute.
//!
//! ```text
//!   base --- update --- update --- checkpoint --- update --- update --- head
//!   frozen   |<------------------ held, by sequence ----------------->|
//! ```
//!
//! An update that comes out of order is put into its place, and what follows is folded again from the checkpoint before it, once
//! a tick. So books, minutes and gaps depend on the updates alone, not on when they came. A book's own time is the greatest event
//! time so far in its sequence: an update belongs to the minute of that time.

use super::book::{BookFold, Step, UpdateKey, key_of};
use super::leaf::BookFlow;
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
    pub event_time_ns: i64,
    pub update: BookUpdate,
}

impl HeldUpdate {
    const fn key(&self) -> UpdateKey {
        key_of(&self.update)
    }
}

/// Where a change is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Gap {
    /// Of the change that did not follow.
    pub key: UpdateKey,
    /// The book's time then, nanoseconds.
    pub time_ns: i64,
    /// The last update that the book had.
    pub last_id: u64,
    /// The first that came then.
    pub first_id: u64,
    /// The snapshot that ended it, and the book's time then.
    pub found: Option<(UpdateKey, i64)>,
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

/// What became of gaps since the last call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Lost(Gap),
    Found(Gap),
    /// What was missing came late: there is no gap.
    Mended(Gap),
}

/// The state after the frozen updates, as a snapshot has it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SavedBase {
    fold: BookFold,
    /// Of the last of them.
    key: Option<UpdateKey>,
    /// The gap that it is in.
    gaps: Vec<Gap>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct BookHistory {
    base: SavedBase,
    /// Ascending by key.
    held: VecDeque<HeldUpdate>,
    /// The fold over the first `folded` of them.
    head: BookFold,
    folded: usize,
    /// Folds over as many held updates, ascending.
    checkpoints: VecDeque<(usize, BookFold)>,
    /// The first held update that is not folded where it belongs.
    stale: Option<usize>,
    /// Those that ended; that of the head is in the head.
    minutes: BTreeMap<i64, BookFlow>,
    /// Those of held updates, and the one that the base is in.
    gaps: Vec<Gap>,
    /// What was told of gaps: whether they ended.
    told: BTreeMap<UpdateKey, Gap>,
}

impl BookHistory {
    /// Takes an update; `settle` folds it.
    pub fn put(&mut self, event_time_ns: i64, update: BookUpdate) -> Put {
        let key = key_of(&update);
        if self.base.key.is_some_and(|frozen| key <= frozen) {
            return Put::TooOld;
        }
        let at = match self.held.back() {
            Some(last) if last.key() >= key => self.held.partition_point(|held| held.key() < key),
            _ => self.held.len(),
        };
        match self.held.get(at).filter(|held| held.key() == key) {
            Some(held) if held.update == update => return Put::Duplicate,
            Some(_) => return Put::Conflict,
            None => {}
        }
        self.held.insert(at, HeldUpdate { event_time_ns, update });
        self.stale = Some(self.stale.map_or(at, |stale| stale.min(at)));
        Put::Taken
    }

    /// Folds what came, and adds the minutes that may have changed to `dirty`.
    pub fn settle(&mut self, dirty: &mut BTreeSet<i64>) {
        let Some(stale) = self.stale.take() else { return };
        if stale < self.folded {
            self.go_back(stale, dirty);
        }
        dirty.extend(self.head.minute());
        while let Some(held) = self.held.get(self.folded) {
            let (step, ended) = self.head.next(&held.update, held.event_time_ns);
            let (key, time_ns) = (held.key(), self.head.time_ns);
            self.folded += 1;
            dirty.extend(self.head.minute());
            self.minutes.extend(ended);
            match step {
                Step::Followed => {}
                Step::Lost { last_id, first_id } => {
                    self.gaps.push(Gap { key, time_ns, last_id, first_id, found: None });
                }
                Step::Found => {
                    let gap = self.gaps.last_mut().expect("a snapshot ends a gap that was noted");
                    gap.found = Some((key, time_ns));
                }
            }
            let since = self.folded - self.checkpoints.back().map_or(0, |(after, _)| *after);
            if since >= CHECKPOINT_EVERY.max(self.head.levels()) {
                self.checkpoints.push_back((self.folded, self.head.clone()));
            }
        }
    }

    /// Undoes the fold from a held update on, and what of it lies before that as far as the checkpoint.
    fn go_back(&mut self, stale: usize, dirty: &mut BTreeSet<i64>) {
        dirty.extend(self.head.minute());
        while self.checkpoints.back().is_some_and(|(after, _)| *after > stale) {
            self.checkpoints.pop_back();
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
        let is_before = |key: UpdateKey| before.is_some_and(|before| key <= before);
        self.gaps.retain(|gap| is_before(gap.key));
        for gap in &mut self.gaps {
            gap.found = gap.found.filter(|(key, _)| is_before(*key));
        }
    }

    /// Freezes the updates of minutes before one.
    pub fn freeze(&mut self, frozen_minute_ns: i64) {
        debug_assert!(self.stale.is_none(), "updates are folded before they are frozen");
        let mut time_ns = self.base.fold.time_ns;
        let times = self.held.iter().map(|held| {
            time_ns = time_ns.max(held.event_time_ns);
            time_ns
        });
        let frozen = times.take_while(|time_ns| *time_ns < frozen_minute_ns).count();
        if frozen > 0 {
            // From the last checkpoint among them, so that few updates are folded twice.
            let mut at = 0;
            if let Some((after, fold)) = self.checkpoints.iter().rfind(|(after, _)| *after <= frozen) {
                (at, self.base.fold) = (*after, fold.clone());
            }
            for held in self.held.range(at..frozen) {
                let _ = self.base.fold.next(&held.update, held.event_time_ns);
            }
            self.base.key = Some(self.held[frozen - 1].key());
            self.held.drain(..frozen);
            self.folded -= frozen;
            self.checkpoints.retain(|(after, _)| *after > frozen);
            self.checkpoints.iter_mut().for_each(|(after, _)| *after -= frozen);
            let frozen = self.base.key;
            let is_over = |gap: &Gap| gap.found.is_some_and(|(key, _)| Some(key) <= frozen);
            self.gaps.retain(|gap| !is_over(gap));
            self.told.retain(|_, gap| !is_over(gap));
        }
        self.minutes = self.minutes.split_off(&frozen_minute_ns);
    }

    /// What a minute came to, as far as it has come; none if it had no update.
    pub fn flow_of(&self, minute_ns: i64) -> Option<BookFlow> {
        let of_head = || self.head.flow().filter(|(open_time_ns, _)| *open_time_ns == minute_ns);
        self.minutes.get(&minute_ns).copied().or_else(|| of_head().map(|(_, flow)| flow))
    }

    /// What became of gaps since the last call, in the order of the sequence.
    pub fn take_changes(&mut self) -> Vec<Change> {
        if self.gaps.is_empty() && self.told.is_empty() {
            return Vec::new();
        }
        let mut changes = Vec::new();
        let mut told = std::mem::take(&mut self.told);
        for gap in &self.gaps {
            let before = told.remove(&gap.key);
            if before.is_none() {
                changes.push((gap.key, Change::Lost(gap.clone())));
            }
            if gap.found.is_some() && before.is_none_or(|before| before.found.is_none()) {
                changes.push((gap.key, Change::Found(gap.clone())));
            }
            self.told.insert(gap.key, gap.clone());
        }
        changes.extend(told.into_iter().map(|(key, gap)| (key, Change::Mended(gap))));
        changes.sort_by_key(|(key, _)| *key);
        changes.into_iter().map(|(_, change)| change).collect()
    }

    /// Updates held.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Levels of all books held: at the base, the head and the checkpoints.
    pub fn levels(&self) -> usize {
        let checkpoints = self.checkpoints.iter().map(|(_, fold)| fold.levels()).sum::<usize>();
        self.base.fold.levels() + self.head.levels() + checkpoints
    }

    /// The held updates, ascending.
    pub fn held(&self) -> impl Iterator<Item = &HeldUpdate> {
        self.held.iter()
    }

    /// The base as a snapshot has it.
    pub fn save(&self) -> SavedBase {
        let is_frozen = |gap: &&Gap| self.base.key.is_some_and(|frozen| gap.key <= frozen);
        let gaps = self.gaps.iter().filter(is_frozen).map(|gap| Gap { found: None, ..gap.clone() }).collect();
        SavedBase { gaps, ..self.base.clone() }
    }

    /// A history that begins with a saved base.
    pub fn restore(base: SavedBase) -> Self {
        Self { head: base.fold.clone(), gaps: base.gaps.clone(), base, ..Self::default() }
    }
}
