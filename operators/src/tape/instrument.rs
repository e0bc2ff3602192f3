//! The tape of one instrument: its open seconds, the trades behind each, and what amendments did to them.

use super::chunks::{Chunks, RowRef};
use super::ids::IdSet;
use super::saved::SavedInstrument;
use crate::hash::FixedMap;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use tidewheel_schemas::{
    Amendment, Bar, Change, Correction, Instrument, Interval, Trade, TradeId, is_notional_in_range,
};

/// One second of trades.
#[derive(Debug)]
pub(super) struct Leaf {
    pub open_time_ns: i64,
    pub bar: Option<Bar>,
    /// Every trade received for this second, amended ones included.
    rows: Vec<RowRef>,
    least_id: TradeId,
    greatest_id: TradeId,
    /// Trades that a correction moved here from another second. Their ids are in `amended`.
    moved_here: Vec<TradeId>,
    is_dirty: bool,
    /// Whether an amendment touched it, so that the bar must be folded anew from its trades.
    is_stale: bool,
    /// How many of `rows` the last snapshot holds.
    saved_rows: usize,
    /// Whether it has more, and is listed for the next snapshot. Always where nothing is saved.
    is_unsaved: bool,
}

/// What amendments made of a trade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Amended {
    original: Trade,
    /// As it is now; none after a cancel.
    current: Option<Trade>,
    is_cancelled: bool,
    /// The sequence of the correction that each of `current`'s time, price, quantity and side shows.
    sequences: [i64; 4],
    /// All corrections taken, to tell a repeated one.
    corrections: Vec<(i64, Change)>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Accepted,
    Duplicate,
    /// A trade id seen before with other content.
    Conflict,
    /// Belongs to a frozen bar.
    Late,
    /// An amendment whose trade has not come yet.
    Pending,
    /// A correction that would make price times quantity too large to be added up.
    TooLarge,
}

/// The state of one instrument.
///
/// **State** leaves, rows and amendments of the correction horizon; ids as [`IdSet`] bounds them; amendments without a
/// trade for one horizon.
#[derive(Debug, Default)]
pub(super) struct InstrumentTape {
    /// Ascending by open time.
    leaves: VecDeque<Leaf>,
    ids: IdSet,
    amended: FixedMap<TradeId, Amended>,
    /// Amendments that came before their trade, with the watermark at that moment, by the trade they wait for.
    pending: BTreeMap<TradeId, Vec<(Amendment, i64)>>,
    dirty: Vec<i64>,
    /// Whether snapshots are taken.
    is_saved: bool,
    /// Seconds with trades that the last snapshot does not hold.
    unsaved: Vec<i64>,
    /// Whether amendments changed since the last snapshot.
    is_amended: bool,
}

impl InstrumentTape {
    /// An empty tape; `is_saved` tells whether snapshots will be taken of it.
    pub fn new(is_saved: bool) -> Self {
        Self { is_saved, ..Self::default() }
    }

    /// Takes in a trade that is not before the frozen frontier.
    #[inline]
    pub fn insert(&mut self, trade: &Trade, at: RowRef, chunks: &Chunks) -> Outcome {
        let open_time_ns = Interval::S1.open_of(trade.event_time_ns);
        if !self.ids.insert(trade.id, open_time_ns)
            && let Some(outcome) = self.seen_before(trade, chunks)
        {
            return outcome;
        }
        let leaf_at = self.leaf_at(open_time_ns);
        let leaf = &mut self.leaves[leaf_at];
        leaf.push(at, trade.id);
        if !leaf.is_unsaved {
            leaf.is_unsaved = true;
            self.unsaved.push(open_time_ns);
        }
        if trade.kind.is_in_bars() {
            match &mut leaf.bar {
                Some(bar) => bar.add(trade),
                None => leaf.bar = Some(Bar::of(trade)),
            }
            if !leaf.is_dirty {
                leaf.is_dirty = true;
                self.dirty.push(leaf.open_time_ns);
            }
        }
        Outcome::Accepted
    }

    /// Amendments that were waiting for a trade that has just come.
    pub fn take_pending(&mut self, id: TradeId) -> Vec<Amendment> {
        if self.pending.is_empty() {
            return Vec::new();
        }
        self.is_amended = true;
        self.pending.remove(&id).into_iter().flatten().map(|(amendment, _)| amendment).collect()
    }

    /// Applies a cancel or a correction. `frozen_ns` tells a late one from one that is early.
    pub fn amend(&mut self, amendment: &Amendment, frozen_ns: i64, chunks: &Chunks) -> Outcome {
        if amendment.original_time_ns.is_some_and(|time| time < frozen_ns) {
            return Outcome::Late;
        }
        if !self.amended.contains_key(&amendment.id) {
            let Some(original) = self.find(amendment.id, amendment.original_time_ns, chunks) else {
                return if self.ids.contains(amendment.id) { Outcome::Late } else { Outcome::Pending };
            };
            let untouched = Amended {
                original,
                current: Some(original),
                is_cancelled: false,
                sequences: [i64::MIN; 4],
                corrections: Vec::new(),
            };
            self.amended.insert(amendment.id, untouched);
        }
        self.is_amended = true;
        let amended = self.amended.get_mut(&amendment.id).expect("looked up or inserted above");
        let before = amended.current;
        let outcome = amended.apply(amendment, frozen_ns);
        let after = amended.current;
        if before != after {
            let original_open_ns = Interval::S1.open_of(amended.original.event_time_ns);
            self.move_trade(original_open_ns, before, after);
        }
        // Nothing of it can change any more: a restored tape would not have it either.
        if frozen_ns != i64::MIN
            && self.amended.get(&amendment.id).is_some_and(|amended| amended.is_frozen(Interval::M1.open_of(frozen_ns)))
        {
            self.amended.remove(&amendment.id);
        }
        outcome
    }

    /// A trade that was received, as amendments made it; none after a cancel.
    pub fn as_amended(&self, trade: Trade) -> Option<Trade> {
        self.amended.get(&trade.id).map_or(Some(trade), |amended| amended.current)
    }

    /// Keeps an amendment until its trade comes.
    pub fn wait(&mut self, amendment: Amendment, watermark_ns: i64) {
        self.is_amended = true;
        self.pending.entry(amendment.id).or_default().push((amendment, watermark_ns));
    }

    /// Amendments whose trade has not come within the horizon.
    pub fn expire(&mut self, watermark_ns: i64, horizon_ns: i64, expired: &mut Vec<Amendment>) {
        if self.pending.is_empty() || watermark_ns == i64::MIN {
            return;
        }
        self.is_amended = true;
        self.pending.retain(|_, waiting| {
            waiting.retain_mut(|(amendment, since_ns)| {
                if *since_ns == i64::MIN {
                    *since_ns = watermark_ns;
                }
                let since_ns = (*since_ns).max(amendment.original_time_ns.unwrap_or(i64::MIN));
                let is_over = watermark_ns == i64::MAX || since_ns.saturating_add(horizon_ns) < watermark_ns;
                if is_over {
                    expired.push(amendment.clone());
                }
                !is_over
            });
            !waiting.is_empty()
        });
    }

    /// Forgets the seconds of minutes that are frozen.
    pub fn freeze(&mut self, frozen_ns: i64, chunks: &mut Chunks) {
        let frozen_minute = if frozen_ns == i64::MIN { return } else { Interval::M1.open_of(frozen_ns) };
        while let Some(leaf) = self.leaves.front()
            && leaf.open_time_ns < frozen_minute
        {
            let leaf = self.leaves.pop_front().expect("there is a front");
            if !self.ids.is_run_only() {
                for row in &leaf.rows {
                    self.ids.forget(chunks.trade(*row).id);
                }
            }
            if !self.amended.is_empty() {
                for row in &leaf.rows {
                    let id = chunks.trade(*row).id;
                    // A trade that was corrected into a later second is still needed there.
                    if self.amended.get(&id).is_some_and(|amended| amended.is_frozen(frozen_minute)) {
                        self.amended.remove(&id);
                    }
                }
                for id in &leaf.moved_here {
                    if self.amended.get(id).is_some_and(|amended| amended.is_frozen(frozen_minute)) {
                        self.amended.remove(id);
                    }
                }
            }
            chunks.release(&leaf.rows);
        }
    }

    /// Hands out the seconds that changed since the last call, ascending, and after the last of each minute, the minute.
    /// Seconds that amendments touched are folded anew now, once, however many amendments there were.
    pub fn take_changes(
        &mut self,
        chunks: &Chunks,
        mut second: impl FnMut(i64, Option<Bar>),
        mut minute: impl FnMut(i64, Option<Bar>),
    ) {
        let mut dirty = std::mem::take(&mut self.dirty);
        dirty.sort_unstable();
        let mut at = 0;
        for (number, open) in dirty.iter().enumerate() {
            // Changed seconds mostly lie side by side, at the end.
            if number == 0 || self.leaves.get(at).is_none_or(|leaf| leaf.open_time_ns != *open) {
                at = self.leaves.partition_point(|leaf| leaf.open_time_ns < *open);
            }
            if self.leaves[at].is_stale {
                self.leaves[at].bar = self.refold(&self.leaves[at], chunks);
            }
            let leaf = &mut self.leaves[at];
            (leaf.is_dirty, leaf.is_stale) = (false, false);
            second(*open, leaf.bar);
            at += 1;
            let open_minute = Interval::M1.open_of(*open);
            if dirty.get(number + 1).is_none_or(|next| Interval::M1.open_of(*next) != open_minute) {
                minute(open_minute, self.minute_bar(open_minute, at));
            }
        }
    }

    /// The bar of one minute, from its seconds; `inside` is the number of a leaf in it or just behind it.
    fn minute_bar(&self, open_time_ns: i64, inside: usize) -> Option<Bar> {
        let end_ns = open_time_ns + Interval::M1.duration_ns();
        let first = (0..inside).rev().take_while(|&at| self.leaves[at].open_time_ns >= open_time_ns).last();
        let leaves = self.leaves.range(first.unwrap_or(inside)..).take_while(|leaf| leaf.open_time_ns < end_ns);
        Bar::merge_all(leaves.filter_map(|leaf| leaf.bar.as_ref()))
    }

    /// Whether the instrument has anything to publish.
    pub fn has_changes(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Seconds, ids and amendments held.
    pub fn sizes(&self) -> (usize, usize, usize) {
        (self.leaves.len(), self.ids.len(), self.amended.len() + self.pending.len())
    }

    /// Takes what a snapshot must hold and counts it as saved: all, or what changed. Trades go to `rows`. Nothing where
    /// nothing changed.
    pub fn save(&mut self, name: &Instrument, is_whole: bool, rows: &mut Vec<RowRef>) -> Option<SavedInstrument> {
        if !is_whole && !self.is_amended && self.unsaved.is_empty() {
            return None;
        }
        let mut unsaved = std::mem::take(&mut self.unsaved);
        self.is_amended = false;
        if is_whole {
            self.leaves.iter_mut().for_each(|leaf| leaf.save(0, rows));
        } else {
            unsaved.sort_unstable();
            for open_time_ns in unsaved {
                // A second may have been frozen since.
                if let Some(at) = self.find_leaf(open_time_ns) {
                    let saved_rows = self.leaves[at].saved_rows;
                    self.leaves[at].save(saved_rows, rows);
                }
            }
        }
        let mut amended: Vec<_> = self.amended.iter().map(|(id, amended)| (*id, amended.clone())).collect();
        amended.sort_unstable_by_key(|(id, _)| *id);
        Some(SavedInstrument {
            instrument: name.clone(),
            runs: self.ids.runs().to_vec(),
            amended,
            pending: self.pending.values().flatten().cloned().collect(),
        })
    }

    /// What was saved, but for the trades; amendments of frozen trades are left out.
    pub fn restore(saved: SavedInstrument, frozen_minute: i64, is_saved: bool) -> Self {
        let mut tape = Self { ids: IdSet::of_runs(saved.runs), ..Self::new(is_saved) };
        tape.amended = saved.amended.into_iter().filter(|(_, amended)| !amended.is_frozen(frozen_minute)).collect();
        for (amendment, since_ns) in saved.pending {
            tape.pending.entry(amendment.id).or_default().push((amendment, since_ns));
        }
        tape
    }

    /// Puts a saved trade back into its second.
    pub fn restore_row(&mut self, trade: &Trade, at: RowRef) {
        let open_time_ns = Interval::S1.open_of(trade.event_time_ns);
        self.ids.restore(trade.id, open_time_ns);
        let leaf_at = self.leaf_at(open_time_ns);
        let leaf = &mut self.leaves[leaf_at];
        leaf.push(at, trade.id);
        leaf.saved_rows = leaf.rows.len();
    }

    /// Folds the seconds from the trades that were put back. Returns how many amendments wait.
    pub fn finish_restore(&mut self, frozen_minute: i64, chunks: &Chunks) -> u64 {
        let open_of = |trade: Trade| Interval::S1.open_of(trade.event_time_ns);
        let moved = self.amended.values().filter_map(|amended| {
            let now = amended.current.filter(|current| open_of(*current) != open_of(amended.original))?;
            Some((open_of(now), now.id))
        });
        let mut moved: Vec<(i64, TradeId)> = moved.filter(|(open, _)| *open >= frozen_minute).collect();
        moved.sort_unstable();
        for (open_time_ns, id) in moved {
            let at = self.leaf_at(open_time_ns);
            self.leaves[at].moved_here.push(id);
        }
        for at in 0..self.leaves.len() {
            self.leaves[at].bar = self.refold(&self.leaves[at], chunks);
        }
        self.pending.values().map(|waiting| waiting.len() as u64).sum()
    }

    /// What a trade is whose id is known; nothing if the id's trade is frozen: then it is forgotten, whatever its kind of id,
    /// and this is another trade (some venues count anew each day).
    #[cold]
    fn seen_before(&self, trade: &Trade, chunks: &Chunks) -> Option<Outcome> {
        let first = self.find(trade.id, Some(trade.event_time_ns), chunks)?;
        Some(if first == *trade { Outcome::Duplicate } else { Outcome::Conflict })
    }

    /// The trade as first received. The second it is said to be in is searched first.
    fn find(&self, id: TradeId, time_ns: Option<i64>, chunks: &Chunks) -> Option<Trade> {
        if let Some(time_ns) = time_ns
            && let Some(at) = self.find_leaf(Interval::S1.open_of(time_ns))
            && let Some(trade) = self.leaves[at].find(id, chunks)
        {
            return Some(trade);
        }
        if let Some(open_time_ns) = self.ids.second_of(id) {
            return self.leaves[self.find_leaf(open_time_ns)?].find(id, chunks);
        }
        if !id.is_dense() {
            return None;
        }
        // Trades are most often amended soon after they happened.
        self.leaves.iter().rev().find_map(|leaf| leaf.find(id, chunks))
    }

    fn find_leaf(&self, open_time_ns: i64) -> Option<usize> {
        let at = self.leaves.partition_point(|leaf| leaf.open_time_ns < open_time_ns);
        self.leaves.get(at).is_some_and(|leaf| leaf.open_time_ns == open_time_ns).then_some(at)
    }

    /// The leaf of a second, made where it is missing.
    #[inline]
    fn leaf_at(&mut self, open_time_ns: i64) -> usize {
        match self.leaves.back() {
            Some(last) if last.open_time_ns == open_time_ns => return self.leaves.len() - 1,
            Some(last) if last.open_time_ns > open_time_ns => {}
            _ => {
                self.leaves.push_back(Leaf::new(open_time_ns, !self.is_saved));
                return self.leaves.len() - 1;
            }
        }
        let at = self.leaves.partition_point(|leaf| leaf.open_time_ns < open_time_ns);
        if self.leaves[at].open_time_ns != open_time_ns {
            self.leaves.insert(at, Leaf::new(open_time_ns, !self.is_saved));
        }
        at
    }

    /// Takes a trade's old form out of its second and puts the new one into its own.
    fn move_trade(&mut self, original_open_ns: i64, before: Option<Trade>, after: Option<Trade>) {
        let open_of = |trade: Trade| Interval::S1.open_of(trade.event_time_ns);
        let (left, entered) = (before.map(open_of), after.map(open_of));
        if let (Some(open), Some(trade)) = (entered, after)
            && open != original_open_ns
        {
            let at = self.leaf_at(open);
            if !self.leaves[at].moved_here.contains(&trade.id) {
                self.leaves[at].moved_here.push(trade.id);
            }
        }
        for open in left.into_iter().chain(entered.filter(|_| entered != left)) {
            let at = self.leaf_at(open);
            let leaf = &mut self.leaves[at];
            leaf.is_stale = true;
            if !leaf.is_dirty {
                leaf.is_dirty = true;
                self.dirty.push(open);
            }
        }
    }

    /// Folds a second anew from its trades: minimum, maximum, first and last have no inverse.
    fn refold(&self, leaf: &Leaf, chunks: &Chunks) -> Option<Bar> {
        let mut bar: Option<Bar> = None;
        let mut add = |trade: &Trade| {
            if trade.kind.is_in_bars() {
                match &mut bar {
                    Some(bar) => bar.add(trade),
                    None => bar = Some(Bar::of(trade)),
                }
            }
        };
        let lies_here = |trade: &Trade| Interval::S1.open_of(trade.event_time_ns) == leaf.open_time_ns;
        for row in &leaf.rows {
            let trade = chunks.trade(*row);
            match self.amended.get(&trade.id) {
                None => add(&trade),
                Some(amended) => amended.current.iter().filter(|trade| lies_here(trade)).for_each(&mut add),
            }
        }
        for id in &leaf.moved_here {
            if let Some(amended) = self.amended.get(id) {
                amended.current.iter().filter(|trade| lies_here(trade)).for_each(&mut add);
            }
        }
        bar
    }
}

impl Leaf {
    fn new(open_time_ns: i64, is_unsaved: bool) -> Self {
        let nothing = (TradeId::number(u64::MAX), TradeId::number(0));
        Self {
            open_time_ns,
            bar: None,
            rows: Vec::new(),
            least_id: nothing.0,
            greatest_id: nothing.1,
            moved_here: Vec::new(),
            is_dirty: false,
            is_stale: false,
            saved_rows: 0,
            is_unsaved,
        }
    }

    #[inline]
    fn push(&mut self, at: RowRef, id: TradeId) {
        (self.least_id, self.greatest_id) =
            if self.rows.is_empty() { (id, id) } else { (self.least_id.min(id), self.greatest_id.max(id)) };
        self.rows.push(at);
    }

    /// Hands out the trades from a number on, and counts all as saved.
    fn save(&mut self, from: usize, rows: &mut Vec<RowRef>) {
        rows.extend_from_slice(&self.rows[from..]);
        self.saved_rows = self.rows.len();
        self.is_unsaved = false;
    }

    fn find(&self, id: TradeId, chunks: &Chunks) -> Option<Trade> {
        if self.rows.is_empty() || id < self.least_id || id > self.greatest_id {
            return None;
        }
        self.rows.iter().map(|row| chunks.trade(*row)).find(|trade| trade.id == id)
    }
}

impl Amended {
    fn apply(&mut self, amendment: &Amendment, frozen_ns: i64) -> Outcome {
        match amendment.change {
            Change::Cancel if self.is_cancelled => Outcome::Duplicate,
            // What the trade was corrected to may itself be frozen by now; so may the trade.
            _ if self.current.is_some_and(|trade| trade.event_time_ns < frozen_ns) => Outcome::Late,
            Change::Cancel => {
                (self.is_cancelled, self.current) = (true, None);
                Outcome::Accepted
            }
            Change::Correct(correction) => {
                if self.corrections.contains(&(amendment.sequence, amendment.change)) {
                    return Outcome::Duplicate;
                }
                if correction.event_time_ns.is_some_and(|time| time < frozen_ns) {
                    return Outcome::Late;
                }
                let (corrected, sequences) = self.corrected(&correction, amendment.sequence);
                if !is_notional_in_range(corrected.price_e8, corrected.quantity_e8) {
                    return Outcome::TooLarge;
                }
                self.corrections.push((amendment.sequence, amendment.change));
                if !self.is_cancelled {
                    (self.current, self.sequences) = (Some(corrected), sequences);
                }
                Outcome::Accepted
            }
        }
    }

    /// The trade with one more correction. Corrections may each tell a part: a field shows the one of the greatest sequence
    /// that names it, the last to arrive among equals.
    fn corrected(&self, correction: &Correction, sequence: i64) -> (Trade, [i64; 4]) {
        let mut trade = self.current.unwrap_or(self.original);
        let mut sequences = self.sequences;
        let mut is_news = |field: usize| {
            let is_news = sequence >= sequences[field];
            sequences[field] = sequences[field].max(sequence);
            is_news
        };
        if let Some(event_time_ns) = correction.event_time_ns.filter(|_| is_news(0)) {
            trade.event_time_ns = event_time_ns;
        }
        if let Some(price_e8) = correction.price_e8.filter(|_| is_news(1)) {
            trade.price_e8 = price_e8;
        }
        if let Some(quantity_e8) = correction.quantity_e8.filter(|_| is_news(2)) {
            trade.quantity_e8 = quantity_e8;
        }
        if let Some(side) = correction.side.filter(|_| is_news(3)) {
            trade.side = side;
        }
        (trade, sequences)
    }

    fn is_frozen(&self, frozen_ns: i64) -> bool {
        self.original.event_time_ns < frozen_ns && self.current.is_none_or(|trade| trade.event_time_ns < frozen_ns)
    }
}
