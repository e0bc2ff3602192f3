//! What a generated market says beside its trades: best quotes, changes of books, marks, funding and liquidations.
//!
//! Each trade that comes in its time moves the book of its symbol: what was taken stands at the touch, ten levels lie on each
//! side, and the numbers of updates go on without a hole. Once in a while an update is lost on the way, and a snapshot follows
//! after three more. The quote of an update has its number. Marks come every three seconds, funding is settled every eight
//! hours, and a trade in a thousand was a liquidation. All of it is drawn from a generator of its own, so that the trades of a
//! seed stay what they are.

use super::event::{Cause, Event};
use super::instruments::Symbol;
use super::random::Random;
use crate::file::Op;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidewheel_schemas::{
    AggressorSide, BookUpdate, Funding, Instrument, Level, Liquidation, Mark, MarketContent, MarketRecord, Quote,
    SECOND_NS,
};

/// Levels of a side.
const DEPTH: i64 = 10;
/// One update in so many is lost.
const UPDATES_PER_GAP: u64 = 512;
/// Updates from a lost one to the snapshot.
const UPDATES_TO_SNAPSHOT: u32 = 3;
const TRADES_PER_LIQUIDATION: u64 = 1_000;
const MARK_EVERY_NS: i64 = 3 * SECOND_NS;
const FUNDING_EVERY_NS: i64 = 8 * 3_600 * SECOND_NS;
/// Keeps its draws apart from those of the trades.
const SEED: u64 = 0x0062_6f6f_6b73;

/// Which streams a market sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamKinds {
    /// Trades.
    pub trades: bool,
    /// Best bids and asks.
    pub quotes: bool,
    /// Snapshots and changes of books.
    pub books: bool,
    /// Mark prices, and the settled funding rates.
    pub marks: bool,
    /// Liquidations.
    pub liquidations: bool,
    /// What a paper account does.
    pub account: bool,
}

impl StreamKinds {
    /// Trades alone.
    pub const TRADES: Self =
        Self { trades: true, quotes: false, books: false, marks: false, liquidations: false, account: false };
    /// All that a market says.
    pub const ALL: Self =
        Self { trades: true, quotes: true, books: true, marks: true, liquidations: true, account: false };

    /// Whether the market says anything beside the trades.
    pub const fn has_others(&self) -> bool {
        self.quotes || self.books || self.marks || self.liquidations
    }
}

/// The streams of all symbols.
pub struct Streams {
    kinds: StreamKinds,
    random: Random,
    symbols: Vec<State>,
}

/// What is known of one symbol.
#[derive(Default)]
struct State {
    /// Lots by price in ticks.
    bids: BTreeMap<i64, i64>,
    asks: BTreeMap<i64, i64>,
    last_id: u64,
    /// Updates to the next snapshot, where one is due.
    snapshot_in: Option<u32>,
    next_mark_ns: i64,
    /// When funding is paid next; 0 before the first trade.
    funding_time_ns: i64,
    rate_e8: i64,
}

impl Streams {
    /// The streams of a market before its first trade.
    pub fn new(seed: u64, symbols: usize, kinds: StreamKinds) -> Self {
        let mut random = Random::new(seed ^ SEED);
        let state = |random: &mut Random| State {
            last_id: 1_000_000 + random.below(1 << 40),
            snapshot_in: Some(0),
            ..State::default()
        };
        Self { kinds, symbols: (0..symbols).map(|_| state(&mut random)).collect(), random }
    }

    /// Appends what is sent because of an event, with its receive time.
    pub fn after(&mut self, event: &Event, instrument: &Instrument, symbol: &Symbol, out: &mut Vec<MarketRecord>) {
        if event.cause != Cause::Fresh || event.op != Op::Insert {
            return;
        }
        let Self { kinds, random, symbols } = self;
        let state = &mut symbols[event.instrument as usize];
        let mut send = |event_time_ns, content| {
            out.push(MarketRecord {
                instrument: instrument.clone(),
                event_time_ns,
                is_timeless: false,
                partition: 0,
                position: 0,
                index: 0,
                receive_time_ns: Some(event.receive_time_ns),
                content,
            });
        };
        let now_ns = event.trade.event_time_ns;
        let (touch, update) = state.follow(event, symbol, random);
        let (is_lost, snapshot) = state.lose_some(symbol, random);
        if let Some(update) = update.filter(|_| kinds.books && !is_lost) {
            send(now_ns, MarketContent::Book(update));
        }
        if let Some(snapshot) = snapshot.filter(|_| kinds.books) {
            send(now_ns, MarketContent::Book(snapshot));
        }
        if kinds.quotes {
            let [bid, ask] = touch.map(Some);
            send(now_ns, MarketContent::Quote(Quote { update_id: Some(state.last_id), bid, ask }));
        }
        let draws = [random.below(40_001), random.below(5), random.below(TRADES_PER_LIQUIDATION)];
        let mark_price_e8 = (touch[0].price_e8 + touch[1].price_e8) / 2;
        if kinds.marks {
            let next_ns = (now_ns.div_euclid(FUNDING_EVERY_NS) + 1) * FUNDING_EVERY_NS;
            if state.funding_time_ns != 0 && now_ns >= state.funding_time_ns {
                let funding = Funding { rate_e8: state.rate_e8, mark_price_e8: Some(mark_price_e8) };
                send(state.funding_time_ns, MarketContent::Funding(funding));
            }
            state.funding_time_ns = next_ns;
            if now_ns >= state.next_mark_ns {
                state.next_mark_ns = now_ns + MARK_EVERY_NS;
                state.rate_e8 = draws[0] as i64 - 10_000;
                let index_price_e8 = mark_price_e8 + (draws[1] as i64 - 2) * symbol.tick_e8;
                let mark = Mark {
                    mark_price_e8: Some(mark_price_e8),
                    index_price_e8: Some(index_price_e8.max(1)),
                    funding_rate_e8: Some(state.rate_e8),
                    next_funding_time_ns: Some(next_ns),
                };
                send(now_ns, MarketContent::Mark(mark));
            }
        }
        if kinds.liquidations && draws[2] == 0 {
            let trade = &event.trade;
            let (side, price_e8, quantity_e8) = (trade.side, trade.price_e8, trade.quantity_e8);
            send(now_ns, MarketContent::Liquidation(Liquidation { side, price_e8, quantity_e8, occurrence: 0 }));
        }
    }
}

impl State {
    /// Moves the book after a trade: the touch, best bid first, and the change, if there is one.
    fn follow(&mut self, event: &Event, symbol: &Symbol, random: &mut Random) -> ([Level; 2], Option<BookUpdate>) {
        let price_ticks = event.trade.price_e8 / symbol.tick_e8;
        let spread = 1 + random.below(3) as i64;
        // Who bought took from the asks: that is where the trade's price stands.
        let (bid, ask) = match event.trade.side {
            AggressorSide::Sell => (price_ticks, price_ticks + spread),
            _ => ((price_ticks - spread).max(1), price_ticks.max(2)),
        };
        let mut lots = || 1 + random.below(symbol.typical_lots.saturating_mul(4)) as i64;
        let bids = moved(&self.bids, (bid - DEPTH + 1).max(1)..=bid, price_ticks, &mut lots);
        let asks = moved(&self.asks, ask..=ask + DEPTH - 1, price_ticks, &mut lots);
        let (changed_bids, changed_asks) = (changes(&self.bids, &bids, symbol), changes(&self.asks, &asks, symbol));
        (self.bids, self.asks) = (bids, asks);
        let count = (changed_bids.len() + changed_asks.len()) as u64;
        let update = (count > 0).then(|| {
            let previous_id = self.last_id;
            self.last_id += count;
            BookUpdate {
                sequence: self.last_id,
                first_id: previous_id + 1,
                last_id: self.last_id,
                previous_id: Some(previous_id),
                is_snapshot: false,
                depth: None,
                bids: changed_bids,
                asks: changed_asks,
            }
        });
        ([level(bid, self.bids[&bid], symbol), level(ask, self.asks[&ask], symbol)], update)
    }

    /// Whether the present change is lost, and the snapshot that is due now: at first, and some time after a loss.
    fn lose_some(&mut self, symbol: &Symbol, random: &mut Random) -> (bool, Option<BookUpdate>) {
        let is_lost = random.below(UPDATES_PER_GAP) == 0 && self.snapshot_in.is_none();
        let is_due = self.snapshot_in == Some(0);
        self.snapshot_in = match self.snapshot_in {
            _ if is_lost => Some(UPDATES_TO_SNAPSHOT),
            Some(left) if left > 0 => Some(left - 1),
            _ => None,
        };
        let all = |side: &mut dyn Iterator<Item = (&i64, &i64)>| -> Arc<[Level]> {
            side.map(|(price, lots)| level(*price, *lots, symbol)).collect()
        };
        let snapshot = is_due.then(|| BookUpdate {
            sequence: self.last_id,
            first_id: self.last_id,
            last_id: self.last_id,
            previous_id: None,
            is_snapshot: true,
            depth: None,
            bids: all(&mut self.bids.iter().rev()),
            asks: all(&mut self.asks.iter()),
        });
        (is_lost, snapshot)
    }
}

/// A side that now holds these prices: what stood there stays, but for what was just traded at.
fn moved(
    side: &BTreeMap<i64, i64>,
    prices: std::ops::RangeInclusive<i64>,
    traded: i64,
    lots: &mut impl FnMut() -> i64,
) -> BTreeMap<i64, i64> {
    let kept = |price: &i64| side.get(price).copied().filter(|_| *price != traded);
    prices.map(|price| (price, kept(&price).unwrap_or_else(&mut *lots))).collect()
}

/// What turns one side into the other.
fn changes(before: &BTreeMap<i64, i64>, after: &BTreeMap<i64, i64>, symbol: &Symbol) -> Arc<[Level]> {
    let gone = before.keys().filter(|price| !after.contains_key(price)).map(|price| level(*price, 0, symbol));
    let new = after.iter().filter(|(price, lots)| before.get(price) != Some(lots));
    gone.chain(new.map(|(price, lots)| level(*price, *lots, symbol))).collect()
}

const fn level(price_ticks: i64, lots: i64, symbol: &Symbol) -> Level {
    Level { price_e8: price_ticks * symbol.tick_e8, quantity_e8: lots * symbol.lot_e8 }
}
