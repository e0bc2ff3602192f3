//! The set of updates of one book that can still change it, and which of them count, in which order.
//!
//! All that came is held, each content with each of its times; that alone decides. [`UpdateSet::number`] goes through the set in
//! the order of time and gives each update its numbering. Where a new one surely leaves the others as they were, it is numbered
//! by itself: where it is the last in time, which is the next step of going through; and where it falls into the midst of a
//! numbering that has not fallen and does not by it ([`Numbering::put_in`]).

use super::numbering::{Least, Numbering};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use tidewheel_schemas::BookUpdate;

/// Orders the updates of a book: when its numbering began, the number, whether it is a snapshot, how deep that goes. A change
/// comes before a snapshot of the same number, which has it in it, and the deeper snapshot after the other.
pub(super) type UpdateKey = (i64, u64, bool, u32);

/// Tells updates apart, and orders them by time: time, number, whether it is a snapshot, how deep, whether the time is that of
/// a receipt.
pub(super) type Identity = (i64, u64, bool, u32, bool);

/// An update that can still change what it follows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HeldUpdate {
    /// When its numbering began.
    pub epoch_ns: i64,
    pub event_time_ns: i64,
    pub is_timeless: bool,
    /// The time that it was folded with.
    pub own_ns: i64,
    pub update: BookUpdate,
}

impl HeldUpdate {
    pub fn key(&self) -> UpdateKey {
        (self.epoch_ns, self.update.sequence, self.update.is_snapshot, depth_of(&self.update))
    }

    pub fn identity(&self) -> Identity {
        identity(self.event_time_ns, self.is_timeless, &self.update)
    }

    /// The venue's time goes before that of a receipt, and the earlier before the later.
    pub const fn time(&self) -> (bool, i64) {
        (self.is_timeless, self.event_time_ns)
    }
}

pub(super) fn identity(event_time_ns: i64, is_timeless: bool, update: &BookUpdate) -> Identity {
    (event_time_ns, update.sequence, update.is_snapshot, depth_of(update), is_timeless)
}

fn depth_of(update: &BookUpdate) -> u32 {
    if update.is_snapshot { update.depth.unwrap_or(u32::MAX) } else { 0 }
}

fn levels_of(update: &BookUpdate) -> usize {
    update.bids.len() + update.asks.len()
}

/// What became of an update that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// The same is held, with the same time.
    Duplicate,
    /// Another of the same number and time is held.
    Conflict,
    /// It is held, and its numbering began then.
    In(i64),
    /// It is held, and counts for nothing.
    Nowhere,
    /// It is held; all are to be numbered again.
    Unsure,
}

#[derive(Clone, Debug, Default)]
pub(super) struct UpdateSet {
    /// Those from the frozen minute on.
    all: BTreeMap<Identity, BookUpdate>,
    /// Levels in them.
    levels: usize,
    /// After all that are before the frozen minute.
    begin: Numbering,
    /// After all of them.
    end: Numbering,
    least: Least,
    is_unsure: bool,
}

impl UpdateSet {
    /// An empty one after what is frozen.
    pub fn after(begin: Numbering) -> Self {
        Self { end: begin.clone(), begin, ..Self::default() }
    }

    /// Takes an update.
    pub fn put(&mut self, event_time_ns: i64, is_timeless: bool, update: &BookUpdate) -> Arrival {
        let identity = identity(event_time_ns, is_timeless, update);
        let is_last = self.all.last_key_value().is_none_or(|(last, _)| *last < identity);
        match self.all.entry(identity) {
            Entry::Occupied(held) if held.get() == update => return Arrival::Duplicate,
            Entry::Occupied(_) => return Arrival::Conflict,
            Entry::Vacant(place) => drop(place.insert(update.clone())),
        }
        self.levels += levels_of(update);
        if self.is_unsure {
            return Arrival::Unsure;
        }
        let epoch_ns = if is_last {
            self.end.next(event_time_ns, is_timeless, update)
        } else if self.end.put_in((&self.begin, &self.least), event_time_ns, is_timeless, update) {
            Some(self.end.begin_ns)
        } else {
            self.is_unsure = true;
            return Arrival::Unsure;
        };
        self.least.add(event_time_ns, update.sequence);
        epoch_ns.map_or(Arrival::Nowhere, Arrival::In)
    }

    /// Whether all are to be numbered again.
    pub const fn is_unsure(&self) -> bool {
        self.is_unsure
    }

    /// Has all numbered again.
    pub const fn doubt(&mut self) {
        self.is_unsure = true;
    }

    /// Numbers all of them. Gives those that count in a numbering, in the order of time.
    pub fn number(&mut self) -> Vec<HeldUpdate> {
        (self.end, self.least, self.is_unsure) = (self.begin.clone(), Least::default(), false);
        let mut numbered = Vec::with_capacity(self.all.len());
        for (&(event_time_ns, sequence, _, _, is_timeless), update) in &self.all {
            let epoch_ns = self.end.next(event_time_ns, is_timeless, update);
            self.least.add(event_time_ns, sequence);
            let update = update.clone();
            numbered.extend(epoch_ns.map(|epoch_ns| HeldUpdate {
                epoch_ns,
                event_time_ns,
                is_timeless,
                own_ns: 0,
                update,
            }));
        }
        numbered
    }

    /// Takes one out.
    pub fn remove(&mut self, identity: &Identity) {
        if let Some(update) = self.all.remove(identity) {
            self.levels -= levels_of(&update);
        }
    }

    /// Numbers those before a time for good.
    pub fn begin_from(&mut self, frozen_ns: i64) {
        for (&(event_time_ns, _, _, _, is_timeless), update) in self.all.range(..first_at(frozen_ns)) {
            let _ = self.begin.next(event_time_ns, is_timeless, update);
        }
        self.begin.forget_before(frozen_ns);
        self.end.forget_before(frozen_ns);
        self.least.forget_before(frozen_ns);
    }

    /// Forgets those before a time. Gives whether there were any.
    pub fn forget_before(&mut self, frozen_ns: i64) -> bool {
        let kept = self.all.split_off(&first_at(frozen_ns));
        let gone = std::mem::replace(&mut self.all, kept);
        self.levels -= gone.values().map(levels_of).sum::<usize>();
        !gone.is_empty()
    }

    /// Those from the frozen minute on, in the order of time.
    pub fn iter(&self) -> impl Iterator<Item = (i64, bool, &BookUpdate)> {
        self.all.iter().map(|(&(event_time_ns, _, _, _, is_timeless), update)| (event_time_ns, is_timeless, update))
    }

    /// The numbering after all that are before the frozen minute.
    pub const fn begin(&self) -> &Numbering {
        &self.begin
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Levels in them.
    pub const fn levels(&self) -> usize {
        self.levels
    }
}

const fn first_at(time_ns: i64) -> Identity {
    (time_ns, 0, false, 0, false)
}

/// Those that count, in the order in which they do: each content once, with its best time. Of a number whose contents
/// contradict each other the first two stay, so that this is seen.
pub(super) fn in_order(mut numbered: Vec<HeldUpdate>) -> Vec<HeldUpdate> {
    numbered.sort_by_key(|held| (held.key(), held.time()));
    let mut ordered: Vec<HeldUpdate> = Vec::with_capacity(numbered.len());
    for held in numbered {
        let key = held.key();
        let of_key = ordered.iter().rev().take(2).filter(|other| other.key() == key);
        let (mut contents, mut is_copy) = (0, false);
        for other in of_key {
            contents += 1;
            is_copy |= other.update == held.update;
        }
        if !is_copy && contents < 2 {
            ordered.push(held);
        }
    }
    ordered
}
