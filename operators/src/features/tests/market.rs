//! A random market that gives what lifecycles would: final versions of minutes, five minutes and quarters of an hour, with bars
//! that come late, change and are lost again until they are frozen.

use crate::TickHeader;
use rand::prelude::*;
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tidewheel_schemas::{Bar, BarVersion, Instrument, Interval, SECOND_NS, TradeId, TradeKey};

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
