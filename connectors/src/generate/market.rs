//! The market itself: an iterator of events in the order of their arrival.

use super::account::PaperAccount;
use super::config::{DAY_NS, MarketConfig};
use super::crash::Falling;
use super::event::{Cause, Damage, Event, Tally};
use super::instruments::{self, Symbol};
use super::random::{Random, Weighted};
use super::streams::Streams;
use crate::file::Op;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tidewheel_schemas::{AccountRecord, AggressorSide, Instrument, MarketRecord, SECOND_NS, Trade, TradeId, TradeKind};

/// Base trades over which the activity of the market stays the same.
const REGIME_TRADES: u64 = 1 << 13;
/// How busy a regime is: the gaps between trades in quarters of the mean; together they average one.
const REGIMES: [u64; 8] = [1, 1, 2, 3, 4, 5, 7, 9];
/// Time from the trade to its arrival.
const LATENCY_NS: i64 = 5_000_000;
/// Duplicates, conflicts, cancels and corrections follow their trade within this time.
const SEQUEL_NS: u64 = 3_000_000_000;
/// How long a symbol leans to one side: at least so long, and up to as much more as the second says.
const LEAN_NS: (i64, u64) = (10 * SECOND_NS, 40 * SECOND_NS as u64);
/// The share of the trades that pass before the first late one, so that the watermark has a past: one in eight.
const WARM_UP: u64 = 8;

/// Events in the order of their arrival.
pub struct Market {
    config: MarketConfig,
    instruments: Vec<Instrument>,
    symbols: Vec<Symbol>,
    random: Random,
    activity: Weighted,
    /// Base trades made.
    made: u64,
    /// Time of the market, nanoseconds.
    clock_ns: i64,
    /// Twice the mean gap between sweeps now.
    gap_bound_ns: u64,
    /// Whether a burst of volume is on.
    is_burst: bool,
    sweep: Sweep,
    /// The next event that comes in its time.
    upcoming: Option<Event>,
    /// Events that come later than they should, or because of one that came.
    held: BinaryHeap<Reverse<Held>>,
    /// Bounds of the faults' shares, ascending, once warm and before.
    warm: [u64; 8],
    cold: [u64; 8],
    tally: Tally,
    crashes: Vec<Falling>,
    /// What is sent beside the trades, where anything is.
    streams: Option<Streams>,
    account: Option<PaperAccount>,
}

/// One order that takes several others: trades of one symbol, side and time.
#[derive(Clone, Copy)]
struct Sweep {
    symbol: u32,
    left: u32,
    side: AggressorSide,
}

/// An event to come, ordered by arrival, then by when it was made.
struct Held {
    receive_time_ns: i64,
    number: u64,
    event: Event,
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.receive_time_ns, self.number).cmp(&(other.receive_time_ns, other.number))
    }
}

impl Market {
    /// Opens a market.
    ///
    /// # Errors
    /// If the configuration makes no sense; the message says why.
    pub fn new(config: MarketConfig) -> Result<Self, String> {
        if let Some(problem) = config.problem() {
            return Err(problem);
        }
        let mut random = Random::new(config.seed);
        let (instruments, symbols) =
            instruments::make(&config.venue, &config.separator, config.symbols, &mut random)
                .ok_or_else(|| format!("{:?} and {:?} make no instrument names", config.venue, config.separator))?;
        let falling = |crash| Falling::new(crash, config.start_time_ns, &instruments).ok_or(crash);
        let crashes = config.crashes.iter().map(falling).collect::<Result<_, _>>();
        let crashes =
            crashes.map_err(|crash| format!("nothing named {:?} is traded that could crash", crash.symbol))?;
        // No late trades while cold; later as many more, so that their share of all is as configured.
        let shares = config.faults.all();
        let late = shares[3];
        let mut cold = shares;
        cold[3] = 0;
        let mut warm = shares;
        warm[3] = late + late / (WARM_UP - 1);
        Ok(Self {
            activity: Weighted::zipf(config.symbols),
            instruments,
            symbols,
            random,
            made: 0,
            clock_ns: config.start_time_ns,
            gap_bound_ns: 1,
            is_burst: false,
            sweep: Sweep { symbol: 0, left: 0, side: AggressorSide::Buy },
            upcoming: None,
            held: BinaryHeap::new(),
            warm: running_sums(warm),
            cold: running_sums(cold),
            tally: Tally::default(),
            crashes,
            streams: config
                .streams
                .has_others()
                .then(|| Streams::new(config.seed, config.symbols as usize, config.streams)),
            account: config.streams.account.then(|| PaperAccount::new(config.seed, config.symbols as usize)),
            config,
        })
    }

    /// What is traded, most active first; events name them by index.
    pub fn instruments(&self) -> &[Instrument] {
        &self.instruments
    }

    /// What it is like.
    pub fn config(&self) -> &MarketConfig {
        &self.config
    }

    /// What has come out so far.
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Appends what is sent beside the trades because of an event. To be asked once for each, in their order.
    pub fn beside(&mut self, event: &Event, out: &mut Vec<MarketRecord>) {
        let at = event.instrument as usize;
        if let Some(streams) = &mut self.streams {
            streams.after(event, &self.instruments[at], &self.symbols[at], out);
        }
    }

    /// Appends what the paper account sends because of an event. To be asked once for each, in their order.
    pub fn account(&mut self, event: &Event, out: &mut Vec<AccountRecord>) {
        if let Some(account) = &mut self.account {
            account.after(event, &self.instruments, &self.symbols[event.instrument as usize], out);
        }
    }

    /// Makes base trades until one comes in its time.
    fn refill(&mut self) {
        while self.upcoming.is_none() && self.made < self.config.trades {
            let (instrument, trade) = self.trade();
            let event = Event {
                cause: Cause::Fresh,
                op: Op::Insert,
                instrument,
                trade,
                receive_time_ns: self.clock_ns + LATENCY_NS,
            };
            self.upcoming = self.meet_fate(event);
            self.made += 1;
        }
    }

    /// The next base trade.
    fn trade(&mut self) -> (u32, Trade) {
        if self.made.is_multiple_of(REGIME_TRADES) {
            let quarters = REGIMES[self.random.below(REGIMES.len() as u64) as usize];
            // Sweeps have two trades on average, so gaps are twice as long; drawn evenly, up to twice the mean.
            self.gap_bound_ns = (SECOND_NS as u64 * quarters / self.config.trades_per_second).max(1);
            self.is_burst = quarters == 1;
        }
        if self.sweep.left == 0 {
            self.clock_ns += self.random.below(self.gap_bound_ns + 1) as i64;
            self.start_sweep();
        }
        self.sweep.left -= 1;
        let bits = self.random.bits();
        let symbol = &mut self.symbols[self.sweep.symbol as usize];
        let direction = if self.sweep.side == AggressorSide::Buy { 1 } else { -1 };
        // One level further in one trade of four.
        let step = if bits & 3 == 0 { direction } else { 0 };
        symbol.price_ticks = (symbol.price_ticks + step).clamp(symbol.least_ticks, symbol.most_ticks);
        let share = ((bits >> 32) * symbol.typical_lots) >> 32;
        let multiple = match (bits >> 2) % 1024 {
            0 => 1_000,
            1..32 => 20,
            _ => 1,
        };
        let lots = (1 + share) * multiple * if self.is_burst { 4 } else { 1 };
        let id = symbol.next_id;
        symbol.next_id += 1;
        let trade = Trade {
            event_time_ns: self.clock_ns - self.clock_ns % self.config.time_step_ns,
            id: TradeId::number(id),
            price_e8: symbol.price_ticks * symbol.tick_e8,
            quantity_e8: lots as i64 * symbol.lot_e8,
            count: if self.config.has_counts && (bits >> 12) & 3 == 0 { 2 + (bits >> 14) as u32 % 9 } else { 1 },
            side: self.sweep.side,
            kind: TradeKind::Market,
        };
        (self.sweep.symbol, trade)
    }

    fn start_sweep(&mut self) {
        let symbol = self.activity.draw(&mut self.random);
        let bits = self.random.bits();
        // 1 with one half, 2 with one quarter, and so on: two on average.
        let left = 1 + (bits >> 32).trailing_ones().min(11);
        let side = if bits & 1 == 0 { AggressorSide::Buy } else { AggressorSide::Sell };
        let side = if self.config.leaning_ppm == 0 { side } else { self.lean(symbol).unwrap_or(side) };
        self.sweep = Sweep { symbol, left, side };
        let state = &mut self.symbols[symbol as usize];
        // Between orders the book moves by up to three ticks; once in a while it jumps by up to half a percent.
        let mut step = (bits >> 1) as i64 % 7;
        step -= 3;
        if (bits >> 8).is_multiple_of(8_192) {
            step = state.price_ticks * ((bits >> 21) as i64 % 101 - 50) / 10_000;
        }
        for crash in &mut self.crashes {
            step += crash.shift(symbol, self.clock_ns, state.price_ticks);
        }
        state.price_ticks = (state.price_ticks + step).clamp(state.least_ticks, state.most_ticks);
    }

    /// The side that the next order of a symbol takes because the symbol leans to it; none for an order of no such mind.
    fn lean(&mut self, symbol: u32) -> Option<AggressorSide> {
        let state = &mut self.symbols[symbol as usize];
        if state.leans_until_ns <= self.clock_ns {
            let is_up = self.random.bits() & 1 == 0;
            state.leans_to = if is_up { AggressorSide::Buy } else { AggressorSide::Sell };
            state.leans_until_ns = self.clock_ns + LEAN_NS.0 + self.random.below(LEAN_NS.1) as i64;
        }
        (self.random.below(1_000_000) < u64::from(self.config.leaning_ppm)).then_some(state.leans_to)
    }

    /// Decides what becomes of a base trade: the event to send in its time, if there is one. The rest is held.
    fn meet_fate(&mut self, mut event: Event) -> Option<Event> {
        let is_cold = self.made < self.config.trades / WARM_UP;
        let bounds = if is_cold { &self.cold } else { &self.warm };
        if bounds[7] == 0 {
            return Some(event);
        }
        let roll = self.random.below(1_000_000);
        let Some(fate) = bounds.iter().position(|&bound| roll < bound) else { return Some(event) };
        match fate {
            0 => {
                let late_ns = 1 + self.random.below(self.config.disorder_ns.max(1).unsigned_abs()) as i64;
                self.hold(Event { cause: Cause::OutOfOrder, ..event }, late_ns);
                return None;
            }
            1 => self.follow(Cause::Duplicate, Op::Insert, event, event.trade),
            2 => self.follow(Cause::Conflict, Op::Insert, event, self.altered(&event)),
            3 => {
                let back_ns = 2 * self.config.horizon_ns + DAY_NS / 24 + self.random.below(DAY_NS as u64) as i64;
                event.cause = Cause::Late;
                event.trade.event_time_ns = self.stamp(event.trade.event_time_ns - back_ns);
            }
            4 => {
                let ahead_ns = DAY_NS + self.random.below(DAY_NS as u64) as i64;
                event.cause = Cause::Future;
                event.trade.event_time_ns = self.stamp(event.trade.event_time_ns + ahead_ns + self.config.time_step_ns);
            }
            5 => {
                let damage = self.random.below(Damage::ALL.len() as u64) as usize;
                event.cause = Cause::Malformed(Damage::ALL[damage]);
            }
            6 => self.follow(Cause::Cancel, Op::Cancel, event, event.trade),
            _ => self.follow(Cause::Correct, Op::Correct, event, self.altered(&event)),
        }
        Some(event)
    }

    /// Sends something about a trade some time after it.
    fn follow(&mut self, cause: Cause, op: Op, event: Event, trade: Trade) {
        let later_ns = 1 + self.random.below(SEQUEL_NS) as i64;
        self.hold(Event { cause, op, trade, ..event }, later_ns);
    }

    fn hold(&mut self, mut event: Event, later_ns: i64) {
        event.receive_time_ns += later_ns;
        self.held.push(Reverse(Held { receive_time_ns: event.receive_time_ns, number: self.made, event }));
    }

    /// The trade one tick dearer and one lot larger.
    fn altered(&self, event: &Event) -> Trade {
        let symbol = &self.symbols[event.instrument as usize];
        let trade = event.trade;
        Trade { price_e8: trade.price_e8 + symbol.tick_e8, quantity_e8: trade.quantity_e8 + symbol.lot_e8, ..trade }
    }

    fn stamp(&self, time_ns: i64) -> i64 {
        time_ns - time_ns % self.config.time_step_ns
    }
}

impl Iterator for Market {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.refill();
        let held_first = match (self.held.peek(), &self.upcoming) {
            (Some(Reverse(held)), Some(upcoming)) => held.receive_time_ns < upcoming.receive_time_ns,
            (held, _) => held.is_some(),
        };
        let event = if held_first { self.held.pop().map(|Reverse(held)| held.event) } else { self.upcoming.take() };
        if let Some(event) = &event {
            self.tally.add(event.cause);
        }
        event
    }
}

fn running_sums(shares: [u64; 8]) -> [u64; 8] {
    let mut sum = 0;
    shares.map(|share| {
        sum += share;
        sum
    })
}
