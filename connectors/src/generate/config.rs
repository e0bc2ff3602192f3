//! What a generated market is like, and which configurations make sense.

use super::streams::StreamKinds;
use crate::decode::Format;
use tidewheel_schemas::SECOND_NS;

pub(super) const DAY_NS: i64 = 86_400 * SECOND_NS;

/// What a market is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarketConfig {
    /// The same seed gives the same market.
    pub seed: u64,
    /// The venue of all instruments.
    pub venue: String,
    /// What stands between base and quote asset in a symbol: nothing, `-` or `/`.
    pub separator: String,
    /// How many symbols, of activity by Zipf's law.
    pub symbols: u32,
    /// How many trades; duplicates, conflicts, cancels and corrections come on top.
    pub trades: u64,
    /// When it opens, nanoseconds.
    pub start_time_ns: i64,
    /// Mean rate of trades of the whole market, in event time.
    pub trades_per_second: u64,
    /// Event times are multiples of this: 1,000,000 for venues that stamp milliseconds.
    pub time_step_ns: i64,
    /// How late trades out of order arrive at most, nanoseconds.
    pub disorder_ns: i64,
    /// The correction horizon that late trades must be beyond, nanoseconds.
    pub horizon_ns: i64,
    /// Whether one trade in four stands for several fills.
    pub has_counts: bool,
    /// How many orders in a million take the side that their symbol leans to at the time. A lean lasts 10 to 50 seconds, and
    /// without one nothing that comes can be told from what was.
    pub leaning_ppm: u32,
    /// The troubles.
    pub faults: Faults,
    /// Falls of single symbols at known moments.
    pub crashes: Vec<Crash>,
    /// What is sent.
    pub streams: StreamKinds,
}

/// A symbol's price falls within four seconds by a share of itself, stays down for three, and comes back within a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Crash {
    /// Which symbol, as the market names it.
    pub symbol: String,
    /// How long after the opening it begins, nanoseconds.
    pub after_ns: i64,
    /// How much of its price it loses, in millionths: above nothing, up to half.
    pub fall_ppm: u32,
}

/// How many trades in a million meet a trouble. A trade meets one at most, so together they may not exceed a million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Arrive behind younger trades, inside the disorder.
    pub out_of_order_ppm: u32,
    /// Are sent again as they were.
    pub duplicate_ppm: u32,
    /// Are sent again with another price and quantity.
    pub conflict_ppm: u32,
    /// Are dated back beyond the correction horizon. None among the first eighth of the trades.
    pub late_ppm: u32,
    /// Are dated a day ahead or more.
    pub future_ppm: u32,
    /// Cannot be decoded.
    pub malformed_ppm: u32,
    /// Are cancelled a little later.
    pub cancelled_ppm: u32,
    /// Are corrected a little later.
    pub corrected_ppm: u32,
}

impl Faults {
    /// A little of everything: what an ordinary bad day brings.
    pub const SOME: Self = Self {
        out_of_order_ppm: 20_000,
        duplicate_ppm: 5_000,
        conflict_ppm: 100,
        late_ppm: 200,
        future_ppm: 50,
        malformed_ppm: 500,
        cancelled_ppm: 300,
        corrected_ppm: 300,
    };

    /// In the order of the fields.
    pub(super) const fn all(&self) -> [u64; 8] {
        [
            self.out_of_order_ppm as u64,
            self.duplicate_ppm as u64,
            self.conflict_ppm as u64,
            self.late_ppm as u64,
            self.future_ppm as u64,
            self.malformed_ppm as u64,
            self.cancelled_ppm as u64,
            self.corrected_ppm as u64,
        ]
    }
}

impl Default for MarketConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            venue: "binance".into(),
            separator: String::new(),
            symbols: 20,
            trades: 1_000_000,
            // 2024-08-05 00:00 UTC.
            start_time_ns: 1_722_816_000 * SECOND_NS,
            trades_per_second: 1_000,
            time_step_ns: 1_000_000,
            disorder_ns: 2 * SECOND_NS,
            horizon_ns: 3_600 * SECOND_NS,
            has_counts: false,
            leaning_ppm: 0,
            faults: Faults::default(),
            crashes: Vec::new(),
            streams: StreamKinds::TRADES,
        }
    }
}

impl MarketConfig {
    /// The default market with the venue, the symbols and the resolution of time that a format is used with.
    pub fn for_format(format: Format) -> Self {
        let (venue, separator, time_step_ns) = match format {
            Format::Cryptofeed => ("binance", "-", 1_000_000),
            Format::Bybit => ("bybit", "", 1_000_000),
            Format::Coinbase => ("coinbase", "-", 1_000),
            Format::Kraken => ("kraken", "/", 1_000),
            _ => ("binance", "", 1_000_000),
        };
        Self { venue: venue.into(), separator: separator.into(), time_step_ns, ..Self::default() }
    }

    /// Why no market can be like that.
    pub(super) fn problem(&self) -> Option<String> {
        let per_million: u64 = self.faults.all().iter().sum();
        if self.symbols == 0 || self.trades_per_second == 0 || self.time_step_ns <= 0 {
            Some("a market needs at least one symbol, one trade a second, and a step of time above zero".into())
        } else if per_million > 1_000_000 {
            Some(format!("the faults are {per_million} in a million trades: a trade can meet only one"))
        } else if self.leaning_ppm > 1_000_000 {
            Some(format!("{} orders in a million cannot lean", self.leaning_ppm))
        } else if let Some(crash) = self.crashes.iter().find(|crash| !(1..=500_000).contains(&crash.fall_ppm)) {
            Some(format!(
                "{} cannot fall by {} millionths: a crash takes some of a price, at most half",
                crash.symbol, crash.fall_ppm
            ))
        } else if self.crashes.iter().any(|crash| crash.after_ns < 0) {
            Some("a crash cannot come before the market opens".into())
        } else if self.disorder_ns < 0 || self.horizon_ns < 0 {
            Some("disorder and horizon may not be below zero".into())
        } else {
            let span_ns = (u128::from(self.trades) * SECOND_NS as u128) / u128::from(self.trades_per_second);
            let is_long = span_ns > 100 * 365 * DAY_NS as u128;
            let horizon_is_long = self.horizon_ns > 365 * DAY_NS || self.disorder_ns > 365 * DAY_NS;
            let start_is_odd = !(1_300_000_000 * SECOND_NS..4_000_000_000 * SECOND_NS).contains(&self.start_time_ns);
            (is_long || horizon_is_long || start_is_odd).then(|| {
                "the market must open between 2012 and 2096, last less than a century, with horizons below a year"
                    .into()
            })
        }
    }
}
