//! A random market that gives what lifecycles would: final versions of minutes, five minutes and quarters of an hour, with bars
//! that come late, change and are lost again until they are frozen.

use crate::TickHeader;
use crate::market::{
    BookClose, BookFlow, BookState, LastMark, LeafChange, LiquidationFlow, MarketLeaf, Touch, TouchFlow,
};
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tidewheel_schemas::{Bar, BarVersion, Instrument, Interval, Level, Mark, SECOND_NS, TradeId, TradeKey};

/// The intervals that it gives.
pub const INTERVALS: [Interval; 3] = [Interval::M1, Interval::M5, Interval::M15];

const MINUTE_NS: i64 = 60 * SECOND_NS;

/// A Tuesday, 20:00 UTC, so that a midnight comes.
const BEGIN_NS: i64 = 1_768_334_400 * SECOND_NS;

/// What was published of a bar.
type Published = BTreeMap<(Instrument, Interval, i64), (u32, Option<Bar>)>;

pub struct Market {
    pub rng: ChaCha8Rng,
    pub published: Published,
    /// Leaves as they were given last.
    pub leaves: BTreeMap<(Instrument, i64), MarketLeaf>,
    /// Through which leaves were given once.
    leaves_through_ns: i64,
    instruments: Vec<Instrument>,
    minutes: BTreeMap<(Instrument, i64), Bar>,
    tick: u64,
    clock_ns: i64,
    watermark_ns: i64,
    horizon_ns: i64,
}

impl Market {
    pub fn new(seed: u64, horizon_minutes: i64) -> Self {
        let instruments =
            ["BTCUSDT", "ETHUSDT", "XRPUSDT"].map(|symbol| Instrument::new("binance", symbol).expect("a name"));
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            published: Published::new(),
            leaves: BTreeMap::new(),
            leaves_through_ns: BEGIN_NS,
            instruments: instruments.into(),
            minutes: BTreeMap::new(),
            tick: 0,
            clock_ns: BEGIN_NS,
            watermark_ns: i64::MIN,
            horizon_ns: horizon_minutes * MINUTE_NS,
        }
    }

    /// The next tick: its header, and versions in any order, some of them not final.
    pub fn next(&mut self) -> (TickHeader, Vec<BarVersion>) {
        self.tick += 1;
        let frozen_ns = TickHeader::frozen_at(self.watermark_ns, self.horizon_ns);
        // Now and then nobody trades for so long that all is frozen.
        if self.rng.random_bool(0.02) {
            self.clock_ns += self.horizon_ns + 20 * MINUTE_NS;
        }
        let steps = if self.rng.random_bool(0.03) { 25 } else { self.rng.random_range(0..4) };
        for _ in 0..steps {
            for at in 0..self.instruments.len() {
                // One of them trades seldom.
                if self.rng.random_bool(if at == 2 { 0.3 } else { 0.95 }) {
                    self.put(at, self.clock_ns);
                }
            }
            self.clock_ns += MINUTE_NS;
        }
        if self.rng.random_bool(0.3) {
            for _ in 0..self.rng.random_range(1..4) {
                self.amend(frozen_ns);
            }
        }
        self.watermark_ns = self.clock_ns;
        let header = TickHeader {
            tick: self.tick,
            frozen_ns,
            watermark_ns: self.watermark_ns,
            publish_provisional: true,
            is_last: false,
            save: None,
            is_restore: false,
        };
        (header, self.versions(frozen_ns))
    }

    /// The leaves that change at the tick of a header: of most minutes that ended, whether they have a bar or not, and some that
    /// can still change; now and then one is gone.
    pub fn next_leaves(&mut self, header: &TickHeader) -> Vec<LeafChange> {
        let mut minutes: Vec<(Instrument, i64)> = Vec::new();
        for instrument in &self.instruments {
            let mut open_time_ns = self.leaves_through_ns;
            while open_time_ns < self.clock_ns {
                if open_time_ns + MINUTE_NS > header.frozen_ns && self.rng.random_bool(0.8) {
                    minutes.push((instrument.clone(), open_time_ns));
                }
                open_time_ns += MINUTE_NS;
            }
        }
        self.leaves_through_ns = self.clock_ns;
        let earliest = Interval::M1.open_of(header.frozen_ns.max(BEGIN_NS));
        let still = (self.clock_ns - earliest) / MINUTE_NS;
        if still > 0 && self.rng.random_bool(0.4) {
            let open_time_ns = earliest + MINUTE_NS * self.rng.random_range(0..still);
            let instrument = self.instruments[self.rng.random_range(0..self.instruments.len())].clone();
            minutes.push((instrument, open_time_ns));
        }
        let mut changes = Vec::new();
        for (instrument, open_time_ns) in minutes {
            let key = (instrument.clone(), open_time_ns);
            let leaf = (!self.rng.random_bool(0.05)).then(|| random_leaf(&mut self.rng, open_time_ns));
            match leaf {
                Some(leaf) => drop(self.leaves.insert(key, leaf)),
                None => drop(self.leaves.remove(&key)),
            }
            changes
                .retain(|change: &LeafChange| (&change.instrument, change.open_time_ns) != (&instrument, open_time_ns));
            changes.push(LeafChange { instrument, open_time_ns, leaf });
        }
        changes.shuffle(&mut self.rng);
        changes
    }

    /// A minute that was, could have been, or is to change: new, other, or gone.
    fn amend(&mut self, frozen_ns: i64) {
        let earliest = Interval::M1.open_of(frozen_ns.max(BEGIN_NS));
        let minutes = (self.clock_ns - earliest) / MINUTE_NS;
        if minutes < 1 {
            return;
        }
        let open_time_ns = earliest + MINUTE_NS * self.rng.random_range(0..minutes);
        let at = self.rng.random_range(0..self.instruments.len());
        if open_time_ns + MINUTE_NS <= frozen_ns {
            return;
        }
        if self.rng.random_bool(0.3) {
            self.minutes.remove(&(self.instruments[at].clone(), open_time_ns));
        } else {
            self.put(at, open_time_ns);
        }
    }

    fn put(&mut self, at: usize, open_time_ns: i64) {
        let mut price = || 10_000_000_000 + 10_000_000 * self.rng.random_range(-100i64..=100);
        // Now and then nothing moves.
        let prices = if open_time_ns / MINUTE_NS % 40 < 20 { [price(), price(), price()] } else { [price(); 3] };
        let volume = self.rng.random_range(1..1_000i64) * 10_000_000;
        let bought = self.rng.random_range(0..=volume);
        let key = |after_ns: i64| TradeKey { event_time_ns: open_time_ns + after_ns, id: TradeId::number(1) };
        let bar = Bar {
            volume_e8: volume.into(),
            quote_volume_e16: i128::from(volume) * i128::from(prices[1]),
            taker_buy_volume_e8: bought.into(),
            taker_buy_quote_volume_e16: i128::from(bought) * i128::from(prices[1]),
            first: key(0),
            last: key(SECOND_NS),
            open_e8: prices[0],
            high_e8: prices.into_iter().max().expect("three"),
            low_e8: prices.into_iter().min().expect("three"),
            close_e8: prices[2],
            trade_count: self.rng.random_range(1..50),
        };
        self.minutes.insert((self.instruments[at].clone(), open_time_ns), bar);
    }

    fn versions(&mut self, frozen_ns: i64) -> Vec<BarVersion> {
        let mut versions = Vec::new();
        for interval in INTERVALS {
            let length_ns = interval.duration_ns();
            for instrument in &self.instruments {
                let mut open_time_ns = interval.open_of(frozen_ns.max(BEGIN_NS));
                while open_time_ns < self.clock_ns {
                    let range = (instrument.clone(), open_time_ns)..(instrument.clone(), open_time_ns + length_ns);
                    let bar = Bar::merge_all(self.minutes.range(range).map(|(_, bar)| bar));
                    let close_time_ns = open_time_ns + length_ns;
                    let is_final = close_time_ns <= self.watermark_ns;
                    let key = (instrument.clone(), interval, open_time_ns);
                    open_time_ns = close_time_ns;
                    if close_time_ns <= frozen_ns {
                        continue;
                    }
                    let (revision, known) = match self.published.get(&key) {
                        Some((revision, known)) => (revision + 1, *known),
                        None => (0, None),
                    };
                    if is_final && bar != known {
                        self.published.insert(key.clone(), (revision, bar));
                    }
                    if bar != known {
                        let (instrument, interval, open_time_ns) = key;
                        let tick = self.tick;
                        versions.push(BarVersion { instrument, interval, open_time_ns, tick, revision, is_final, bar });
                    }
                }
            }
        }
        versions.shuffle(&mut self.rng);
        versions
    }
}

/// The leaf of a minute in which some streams said something.
fn random_leaf(rng: &mut ChaCha8Rng, open_time_ns: i64) -> MarketLeaf {
    let touches = |rng: &mut ChaCha8Rng| {
        let touch = |rng: &mut ChaCha8Rng, at: i64| {
            let mut level = |price: i64| {
                let is_there = rng.random_bool(0.95);
                let quantity_e8 = rng.random_range(1..1_000_000_000);
                is_there.then(|| Level { price_e8: price * 1_000_000, quantity_e8 })
            };
            let time_ns = open_time_ns + at * SECOND_NS;
            let (bid, ask) = (level(10_000 + at % 3), level(10_002 + at % 2));
            Touch { time_ns, bid, ask }
        };
        let count = rng.random_range(1..5);
        (0..count).map(|at| TouchFlow::of(touch(rng, at))).reduce(|flow, next| flow.merge(&next)).expect("one")
    };
    let quotes = rng.random_bool(0.6).then(|| touches(rng));
    let book = rng.random_bool(0.6).then(|| {
        let states = [BookState::Valid, BookState::Valid, BookState::Valid, BookState::Gap, BookState::Unknown];
        let state = states[rng.random_range(0..states.len())];
        let mut depth = || [1, 2, 3, 4].map(|levels| i128::from(rng.random_range(1..1_000_000_000_i64)) * levels);
        let (bid_depth_e8, ask_depth_e8) = (depth(), depth());
        let levels = [None, None, Some(5), Some(50)][rng.random_range(0..4)];
        let close = BookClose { state, depth: levels, bid_depth_e8, ask_depth_e8 };
        BookFlow { touches: touches(rng), is_whole: rng.random_bool(0.9), close }
    });
    let mut last_mark = LastMark::default();
    if rng.random_bool(0.5) {
        let mut some = |number: i64| rng.random_bool(0.6).then_some(number);
        let mark = Mark {
            mark_price_e8: some(10_000_000_000 + open_time_ns % 997),
            index_price_e8: some(10_000_000_000 - open_time_ns % 991),
            funding_rate_e8: some(open_time_ns / MINUTE_NS % 1_000 - 500),
            next_funding_time_ns: some(open_time_ns + 90 * MINUTE_NS),
        };
        last_mark = LastMark { mark, time_ns: Some(open_time_ns + 7) };
    }
    let settled_rate_e8 = rng.random_bool(0.1).then_some(open_time_ns / MINUTE_NS % 700);
    let liquidations = rng.random_bool(0.3).then(|| LiquidationFlow {
        bought_e8: rng.random_range(0..1_000_000_000),
        sold_e8: rng.random_range(0..1_000_000_000),
        bought_quote_e16: 0,
        sold_quote_e16: 0,
        count: 2,
    });
    MarketLeaf { quotes, book, mark: last_mark, settled_rate_e8, liquidations }
}
