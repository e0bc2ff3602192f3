//! The price levels of both sides of a book.

use serde::{Deserialize, Serialize};
use tidewheel_schemas::{BookUpdate, Level};

/// Levels of a side that are held at most. Venues' books have up to some ten thousand; features look at twenty. A book that
/// grows beyond is not known any more until a snapshot that fits.
pub(super) const MOST_LEVELS: usize = if cfg!(test) { 512 } else { 1 << 16 };

/// Levels of an update that are set one by one; more are merged into their side in one pass.
const FEW: usize = 32;

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
    pub fn of(snapshot: &BookUpdate) -> Self {
        Self { bids: side_of(&snapshot.bids, bid_rank), asks: side_of(&snapshot.asks, ask_rank) }
    }

    /// Changes levels.
    pub fn apply(&mut self, update: &BookUpdate) {
        set_all(&mut self.bids, &update.bids, bid_rank);
        set_all(&mut self.asks, &update.asks, ask_rank);
    }

    /// Takes the best levels of a snapshot that goes only so deep, and keeps what lies behind them.
    pub fn lay_over(&mut self, snapshot: &BookUpdate) {
        let depth = snapshot.depth.map_or(usize::MAX, |depth| depth as usize);
        lay_over(&mut self.bids, side_of(&snapshot.bids, bid_rank), depth, bid_rank);
        lay_over(&mut self.asks, side_of(&snapshot.asks, ask_rank), depth, ask_rank);
    }

    /// The last prices of the sides that have so many levels.
    pub fn worst_e8(&self, levels: usize) -> [Option<i64>; 2] {
        [&self.bids, &self.asks].map(|side| side.first().filter(|_| side.len() >= levels).map(|level| level.price_e8))
    }

    /// How many levels both sides have as far as some prices; a side without one has all. None where neither has one.
    pub fn levels_to(&self, worst_e8: [Option<i64>; 2]) -> Option<u32> {
        let known = |side: &[Level], worst_e8: Option<i64>, rank: fn(i64) -> i64| {
            let worst = rank(worst_e8?);
            let behind = side.partition_point(|level| rank(level.price_e8) < worst);
            Some(u32::try_from(side.len() - behind).unwrap_or(u32::MAX))
        };
        let bids = known(&self.bids, worst_e8[0], bid_rank);
        let asks = known(&self.asks, worst_e8[1], ask_rank);
        bids.into_iter().chain(asks).min()
    }

    /// The best bid and ask.
    pub fn best(&self) -> [Option<Level>; 2] {
        [self.bids.last().copied(), self.asks.last().copied()]
    }

    /// The quantities of so many of the best bids and asks, or of all there are.
    pub fn depths_e8<const N: usize>(&self, depths: &[usize; N]) -> [[i128; N]; 2] {
        [&self.bids, &self.asks].map(|side| {
            depths.map(|levels| side.iter().rev().take(levels).map(|level| i128::from(level.quantity_e8)).sum())
        })
    }

    /// Whether a side has more levels than are held of one.
    pub const fn is_overfull(&self) -> bool {
        self.bids.len() > MOST_LEVELS || self.asks.len() > MOST_LEVELS
    }

    /// Levels of both sides.
    pub const fn levels(&self) -> usize {
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

/// Ascending by rank, one of a price: the last that was told. Those of no quantity are in it.
fn in_order(levels: &[Level], rank: fn(i64) -> i64) -> Vec<Level> {
    let mut sorted = levels.to_vec();
    sorted.sort_by_key(|level| rank(level.price_e8));
    let mut side: Vec<Level> = Vec::with_capacity(sorted.len());
    for level in sorted {
        match side.last_mut() {
            Some(last) if last.price_e8 == level.price_e8 => *last = level,
            _ => side.push(level),
        }
    }
    side
}

fn side_of(levels: &[Level], rank: fn(i64) -> i64) -> Vec<Level> {
    let mut side = in_order(levels, rank);
    side.retain(|level| level.quantity_e8 != 0);
    side
}

/// Sets levels, or takes them away; `rank` grows towards the best.
fn set_all(side: &mut Vec<Level>, levels: &[Level], rank: fn(i64) -> i64) {
    if levels.len() <= FEW {
        return levels.iter().for_each(|level| set(side, *level, rank));
    }
    let mut old = std::mem::take(side).into_iter().peekable();
    for level in in_order(levels, rank) {
        while let Some(other) = old.next_if(|other| rank(other.price_e8) < rank(level.price_e8)) {
            side.push(other);
        }
        let _ = old.next_if(|other| other.price_e8 == level.price_e8);
        if level.quantity_e8 != 0 {
            side.push(level);
        }
    }
    side.extend(old);
}

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

fn lay_over(side: &mut Vec<Level>, best: Vec<Level>, depth: usize, rank: fn(i64) -> i64) {
    match best.first().filter(|_| best.len() >= depth) {
        // What lies behind the last of them stays as it was.
        Some(last) => side.truncate(side.partition_point(|level| rank(level.price_e8) < rank(last.price_e8))),
        // Fewer than there might be: that is all of the side.
        None => side.clear(),
    }
    side.extend(best);
}
