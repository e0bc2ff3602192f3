//! A small random market full of trouble, and the slow, obvious answer to it.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use tidewheel_schemas::{
    AggressorSide, Amendment, Bar, Change, Correction, Instrument, Interval, SECOND_NS, Trade, TradeId, TradeKind,
};

pub const HORIZON_NS: i64 = 1_800 * SECOND_NS;
pub const SKEW_NS: i64 = 5 * SECOND_NS;
/// 2024-08-08 22:30 UTC: the market crosses midnight.
const START_NS: i64 = 1_723_156_200 * SECOND_NS;
const LENGTH_NS: i64 = 3 * 3_600 * SECOND_NS;

/// What arrives.
#[derive(Clone, Debug)]
pub enum Record {
    Trade(Trade),
    Amend { id: TradeId, change: Change, original_time_ns: Option<i64>, sequence: i64 },
}

/// One arrival.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub instrument: Instrument,
    /// When it arrives, on the same clock as event time.
    pub time_ns: i64,
    pub record: Record,
    /// What must become of it.
    pub fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    Accepted,
    Duplicate,
    Late,
    Future,
    UnknownTrade,
}

pub struct Market {
    pub arrivals: Vec<Arrival>,
}

impl Market {
    /// A market of `trades` trades with every kind of trouble, in order of arrival.
    pub fn new(seed: u64, trades: usize) -> Self {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let names = ["BTCUSDT", "ETHUSDT", "XRP-USD", "DOGE", "A/B"];
        let instruments: Vec<Instrument> = names
            .iter()
            .enumerate()
            .map(|(number, symbol)| Instrument::new(["binance", "kraken"][number % 2], symbol).expect("valid names"))
            .collect();
        let mut arrivals = Vec::new();
        for number in 0..trades as u64 {
            // Activity falls off as one over the rank.
            let instrument = instruments[(random.random_range(1..=5) * random.random_range(1..=5) - 1) / 5].clone();
            let event_time_ns = START_NS + random.random_range(0..LENGTH_NS / 1_000_000) * 1_000_000;
            let trade = Trade {
                event_time_ns,
                id: Self::id(number, random),
                price_e8: random.random_range(1..2_000) * 50_000_000,
                quantity_e8: random.random_range(1..1_000_000_000),
                count: random.random_range(1..4),
                side: [AggressorSide::Buy, AggressorSide::Sell, AggressorSide::Unknown][random.random_range(0..3)],
                kind: if random.random_bool(0.02) { TradeKind::InsuranceFund } else { TradeKind::Market },
            };
            Self::trade_and_trouble(instrument, trade, random, &mut arrivals);
        }
        // The market goes on for a while, so that lateness is judged against a clock that has moved.
        arrivals.sort_by_key(|arrival| arrival.time_ns);
        Self { arrivals }
    }

    fn id(number: u64, random: &mut ChaCha8Rng) -> TradeId {
        match number % 10 {
            8 => TradeId::parse(format!("x{number}").as_bytes()).expect("short text"),
            9 => TradeId::number(random.random_range(1 << 40..1 << 50)),
            _ => TradeId::number(number),
        }
    }

    fn trade_and_trouble(instrument: Instrument, trade: Trade, random: &mut ChaCha8Rng, out: &mut Vec<Arrival>) {
        let mut arrive = |delay_ns: i64, record: Record, fate: Fate| {
            out.push(Arrival { instrument: instrument.clone(), time_ns: trade.event_time_ns + delay_ns, record, fate });
        };
        let inside = |random: &mut ChaCha8Rng| random.random_range(0..HORIZON_NS / 2);
        let delay = if random.random_bool(0.3) { inside(random) } else { random.random_range(0..SECOND_NS) };
        match random.random_range(0..100) {
            // The market has a history when a late trade comes, so that it is late wherever it arrives.
            0..3 if trade.event_time_ns < START_NS + LENGTH_NS / 3 => {
                arrive(3 * HORIZON_NS, Record::Trade(trade), Fate::Late);
                return;
            }
            3..6 => {
                let dated_ahead = Trade { event_time_ns: trade.event_time_ns + 86_400 * SECOND_NS, ..trade };
                arrive(0, Record::Trade(dated_ahead), Fate::Future);
                return;
            }
            _ => arrive(delay, Record::Trade(trade), Fate::Accepted),
        }
        let told = random.random_bool(0.5).then_some(trade.event_time_ns);
        let amend = |change, sequence| Record::Amend { id: trade.id, change, original_time_ns: told, sequence };
        if random.random_bool(0.05) {
            arrive(delay + random.random_range(0..60) * SECOND_NS, Record::Trade(trade), Fate::Duplicate);
        }
        if random.random_bool(0.1) {
            for sequence in 0..random.random_range(1..4) {
                let correction = Correction {
                    price_e8: random.random_bool(0.6).then(|| random.random_range(1..2_000) * 50_000_000),
                    quantity_e8: random.random_bool(0.3).then(|| random.random_range(1..1_000_000_000)),
                    event_time_ns: random
                        .random_bool(0.3)
                        .then(|| trade.event_time_ns - random.random_range(0..90) * SECOND_NS / 2),
                    side: random.random_bool(0.2).then_some(AggressorSide::Sell),
                };
                arrive(inside(random), amend(Change::Correct(correction), sequence), Fate::Accepted);
            }
        }
        if random.random_bool(0.1) {
            arrive(inside(random), amend(Change::Cancel, 0), Fate::Accepted);
            if random.random_bool(0.2) {
                arrive(inside(random), amend(Change::Cancel, 0), Fate::Duplicate);
            }
        }
        if random.random_bool(0.01) {
            let id =
                TradeId::parse(format!("never{}", trade.event_time_ns % 1_000_000_000).as_bytes()).expect("short text");
            let record = Record::Amend { id, change: Change::Cancel, original_time_ns: None, sequence: 0 };
            arrive(delay, record, Fate::UnknownTrade);
        }
    }

    /// The same records in another order: each arrives somewhere inside half the horizon after it could first arrive.
    pub fn permuted(&self, seed: u64) -> Self {
        let random = &mut ChaCha8Rng::seed_from_u64(seed);
        let mut arrivals = self.arrivals.clone();
        for arrival in &mut arrivals {
            match &arrival.record {
                Record::Trade(trade) if arrival.fate == Fate::Accepted => {
                    arrival.time_ns = trade.event_time_ns + random.random_range(0..HORIZON_NS / 2);
                }
                _ => arrival.time_ns += random.random_range(0..SECOND_NS),
            }
        }
        arrivals.shuffle(random);
        arrivals.sort_by_key(|arrival| arrival.time_ns / SECOND_NS);
        Self { arrivals }
    }

    /// How many records must meet each fate.
    pub fn fates(&self) -> BTreeMap<Fate, u64> {
        let mut fates = BTreeMap::new();
        self.arrivals.iter().for_each(|arrival| *fates.entry(arrival.fate).or_default() += 1);
        fates
    }
}

/// Identifies a bar.
pub type BarKey = (Interval, Instrument, i64);

/// The trades that count after these arrivals, told the slow way.
pub fn surviving_trades<'a>(arrivals: impl Iterator<Item = &'a Arrival> + Clone) -> Vec<(Instrument, Trade)> {
    let mut trades: BTreeMap<(Instrument, TradeId), Trade> = BTreeMap::new();
    for arrival in arrivals.clone().filter(|arrival| arrival.fate == Fate::Accepted) {
        if let Record::Trade(trade) = arrival.record {
            trades.entry((arrival.instrument.clone(), trade.id)).or_insert(trade);
        }
    }
    let is_amendment = |arrival: &&Arrival| matches!(arrival.record, Record::Amend { .. });
    let mut amendments: Vec<&Arrival> = arrivals.filter(is_amendment).collect();
    // Each field shows the correction of the greatest sequence that names it: applied in that order, the last one stays.
    amendments.sort_by_key(|arrival| match arrival.record {
        Record::Amend { sequence, .. } => sequence,
        Record::Trade(_) => 0,
    });
    let mut cancelled = BTreeSet::new();
    for arrival in amendments {
        let Record::Amend { id, change, .. } = &arrival.record else { continue };
        let key = (arrival.instrument.clone(), *id);
        match (change, trades.get_mut(&key)) {
            (_, None) => {}
            (Change::Cancel, Some(_)) => drop(cancelled.insert(key)),
            (Change::Correct(correction), Some(trade)) => {
                trade.price_e8 = correction.price_e8.unwrap_or(trade.price_e8);
                trade.quantity_e8 = correction.quantity_e8.unwrap_or(trade.quantity_e8);
                trade.event_time_ns = correction.event_time_ns.unwrap_or(trade.event_time_ns);
                trade.side = correction.side.unwrap_or(trade.side);
            }
        }
    }
    let counts =
        |key: &(Instrument, TradeId), trade: &Trade| trade.kind == TradeKind::Market && !cancelled.contains(key);
    trades
        .into_iter()
        .filter(|(key, trade)| counts(key, trade))
        .map(|((instrument, _), trade)| (instrument, trade))
        .collect()
}

/// Every bar of every interval, each folded directly from its trades.
pub fn bars_of(trades: &[(Instrument, Trade)]) -> BTreeMap<BarKey, Bar> {
    let mut of_bar: BTreeMap<BarKey, Vec<Trade>> = BTreeMap::new();
    for (instrument, trade) in trades {
        for interval in Interval::ALL {
            let key = (interval, instrument.clone(), interval.open_of(trade.event_time_ns));
            of_bar.entry(key).or_default().push(*trade);
        }
    }
    of_bar.into_iter().map(|(key, trades)| (key, slow_bar(trades))).collect()
}

/// A bar by the definitions, one field at a time.
fn slow_bar(mut trades: Vec<Trade>) -> Bar {
    trades.sort_by_key(Trade::key);
    let (first, last) = (trades[0], trades[trades.len() - 1]);
    let quote = |trade: &Trade| i128::from(trade.price_e8) * i128::from(trade.quantity_e8);
    let bought = || trades.iter().filter(|trade| trade.side == AggressorSide::Buy);
    Bar {
        volume_e8: trades.iter().map(|trade| i128::from(trade.quantity_e8)).sum(),
        quote_volume_e16: trades.iter().map(quote).sum(),
        taker_buy_volume_e8: bought().map(|trade| i128::from(trade.quantity_e8)).sum(),
        taker_buy_quote_volume_e16: bought().map(quote).sum(),
        first: first.key(),
        last: last.key(),
        open_e8: first.price_e8,
        high_e8: trades.iter().map(|trade| trade.price_e8).max().unwrap_or_default(),
        low_e8: trades.iter().map(|trade| trade.price_e8).min().unwrap_or_default(),
        close_e8: last.price_e8,
        trade_count: trades.iter().map(|trade| u64::from(trade.count)).sum(),
    }
}

/// An amendment as it travels.
pub fn amendment(instrument: &Instrument, record: &Record, partition: u32, position: u64) -> Option<Amendment> {
    let Record::Amend { id, change, original_time_ns, sequence } = record else { return None };
    Some(Amendment {
        instrument: instrument.clone(),
        id: *id,
        change: *change,
        original_time_ns: *original_time_ns,
        sequence: *sequence,
        partition,
        position,
        receive_time_ns: None,
        raw: std::sync::Arc::from(&b"amendment"[..]),
    })
}
