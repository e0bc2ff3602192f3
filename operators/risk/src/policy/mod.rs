//! What accounts may do: one document, validated, versioned, changed as a whole.
//!
//! A document has every setting, or its default; a field that it does not know is refused, so that a misspelt limit is never a missing
//! one. [`Policy::problems`] lists all that contradicts itself, [`History`] takes only newer versions. Nothing here reads files:
//! the document's form (TOML or JSON) is the caller's.

mod history;
mod limits;
mod ratio;
mod thresholds;
mod validate;

pub use history::{History, InForce, NotTaken, Taken};
pub use limits::{Limits, Override, PartialLimits};
pub use ratio::Ratio;
pub use thresholds::{BreakerLadders, KillSwitches, Ladder, Rung, Rungs, Switch};
pub use validate::Problem;

use crate::levels::Level;
use crate::valuation::MarkSource;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The whole document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its number, from 1. A document is only ever followed by one with a greater number.
    pub version: u64,
    /// The instruments that may be traded, as `venue|symbol`, ascending. Empty: all that have reference data.
    #[serde(default, deserialize_with = "crate::spelling::names")]
    pub universe: Vec<String>,
    /// When an account's day begins, minutes after midnight UTC, below 1440.
    #[serde(default)]
    pub day_boundary_minutes: u32,
    /// What positions are valued at.
    #[serde(default)]
    pub marks: MarkSource,
    /// What orders are held to.
    #[serde(default)]
    pub limits: Limits,
    /// Which part of an account's equity stands as margin.
    #[serde(default)]
    pub margin: Margin,
    /// Who or what is held to other limits.
    #[serde(default)]
    pub overrides: Vec<Override>,
    /// From when on the graded breakers stand where.
    #[serde(default)]
    pub breakers: BreakerLadders,
    /// When the kill switches trip.
    #[serde(default)]
    pub switches: KillSwitches,
    /// How levels come down again.
    #[serde(default)]
    pub hysteresis: Hysteresis,
    /// How old input may be.
    #[serde(default)]
    pub staleness: Staleness,
    /// What a flash crash is.
    #[serde(default)]
    pub flash_crash: FlashCrashPolicy,
    /// What the regimes of volatility are.
    #[serde(default)]
    pub regimes: RegimePolicy,
    /// How order intents are judged.
    #[serde(default)]
    pub decisions: DecisionPolicy,
    /// Who may give orders to the mill.
    #[serde(default)]
    pub people: People,
}

impl Policy {
    /// The defaults, as the given version.
    pub fn with_version(version: u64) -> Self {
        Self {
            version,
            universe: Vec::new(),
            day_boundary_minutes: 0,
            marks: MarkSource::default(),
            limits: Limits::default(),
            margin: Margin::default(),
            overrides: Vec::new(),
            breakers: BreakerLadders::default(),
            switches: KillSwitches::default(),
            hysteresis: Hysteresis::default(),
            staleness: Staleness::default(),
            flash_crash: FlashCrashPolicy::default(),
            regimes: RegimePolicy::default(),
            decisions: DecisionPolicy::default(),
            people: People::default(),
        }
    }
}

/// Which part of an account's equity stands as margin at a venue: the base of leverage there.
///
/// Records name no margin by venue, so that it is a share of the equity of the account. Exposure at one venue can be `leverage` times the
/// share of equity, and on all venues `gross` times equity; so leverage binds where that product is below `gross`, and gross binds over
/// several venues. By the defaults, 5 times 0.3, one venue is held to 150 % of equity and all to 200 %: from two venues on
/// each of the two can bind. With a share of 0.4 or more of the default limits leverage would never bind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Margin {
    /// The share at each venue that is not named. Above 0, up to 1.
    pub share: Ratio,
    /// Venues with a share of their own.
    #[serde(deserialize_with = "crate::spelling::by_venue")]
    pub venues: BTreeMap<String, Ratio>,
}

impl Default for Margin {
    fn default() -> Self {
        Self { share: Ratio::thousandths(300), venues: BTreeMap::new() }
    }
}

impl Margin {
    /// The share of equity that is margin at a venue.
    pub fn at(&self, venue: &str) -> Ratio {
        self.venues.get(venue).copied().unwrap_or(self.share)
    }
}

/// How levels come down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hysteresis {
    /// The share of a trigger that a value must be below to be well again, where the rung names none. Above 0, below 1.
    pub clear: Ratio,
    /// For how long it must be below before the level sinks by one, milliseconds.
    pub dwell_ms: u64,
    /// From which level on any rule latches. Not above red, which is where kill switches begin.
    pub latch_from: Level,
    /// Where a rule stands whose input is missing, stale or no number. Not below orange.
    pub on_fault: Level,
    /// For how long the first of two persons waits for the second, milliseconds.
    pub confirmation_ms: u64,
}

impl Default for Hysteresis {
    fn default() -> Self {
        Self {
            clear: Ratio::thousandths(800),
            dwell_ms: 60_000,
            latch_from: Level::Red,
            on_fault: Level::Orange,
            confirmation_ms: 3_600_000,
        }
    }
}

/// How old input may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Staleness {
    /// A mark, when an order is judged by it, milliseconds of event time before the tick.
    pub mark_ms: u64,
    /// A reading of a rule, milliseconds before the tick.
    pub reading_ms: u64,
    /// How far ahead of the tick a time may be, milliseconds.
    pub skew_ms: u64,
}

impl Default for Staleness {
    fn default() -> Self {
        Self { mark_ms: 10_000, reading_ms: 10_000, skew_ms: 1_000 }
    }
}

/// What a flash crash is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlashCrashPolicy {
    /// The fall from the peak inside the window that is one, as a share of the peak.
    pub fall: Ratio,
    /// Length of the window, event time, milliseconds.
    pub window_ms: u64,
    /// For how long prints wait for earlier ones, milliseconds. Below 1000, so that the event comes within a second.
    pub reorder_ms: u64,
    /// Where a symbol stands that crashed.
    pub symbol_level: Level,
    /// Where an account stands whose equity crashed.
    pub equity_level: Level,
}

impl Default for FlashCrashPolicy {
    fn default() -> Self {
        Self {
            fall: Ratio::thousandths(30),
            window_ms: 10_000,
            reorder_ms: 300,
            symbol_level: Level::Orange,
            equity_level: Level::Red,
        }
    }
}

/// What the regimes of volatility are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RegimePolicy {
    /// Weight of the past in the EWMA of squared returns. Above 0, below 1.
    pub decay: Ratio,
    /// How many bars' volatilities are the distribution.
    pub window_bars: u32,
    /// From how many on there is a regime.
    pub warm_bars: u32,
    /// From which share of the distribution on volatility is normal.
    pub normal_from: Ratio,
    /// From which on it is high.
    pub high_from: Ratio,
    /// From which on it is extreme.
    pub extreme_from: Ratio,
    /// By how much the share must be below to be well again.
    pub band: Ratio,
    /// For how many bars in a row.
    pub dwell_bars: u32,
    /// The volatility of a bar that spikes are measured against where the median is less: what hardly ever moves, such as a stablecoin,
    /// has none to speak of, and one tick of its price is no spike. Above 0, below 1.
    pub least_volatility: Ratio,
    /// What stop distances are multiplied by when it is high; below that it is 1.
    pub high_stop_multiplier: Ratio,
    /// And when it is extreme, or not known yet.
    pub extreme_stop_multiplier: Ratio,
}

impl Default for RegimePolicy {
    fn default() -> Self {
        Self {
            decay: Ratio::thousandths(940),
            window_bars: 720,
            warm_bars: 60,
            normal_from: Ratio::thousandths(500),
            high_from: Ratio::thousandths(850),
            extreme_from: Ratio::thousandths(970),
            band: Ratio::thousandths(50),
            dwell_bars: 3,
            // Two hundredths of a per cent: after a quiet past a switch at five times that trips by a move of 0.41 % in a bar.
            least_volatility: Ratio::from_e9(200_000),
            high_stop_multiplier: Ratio::thousandths(1_500),
            extreme_stop_multiplier: Ratio::thousandths(2_500),
        }
    }
}

/// How order intents are judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DecisionPolicy {
    /// How far from the mark, to its own harm, an order may be priced, as a share of the mark.
    pub price_band: Ratio,
    /// How far from the mark an order at the market is taken to be filled. Not above the band.
    pub market_slippage: Ratio,
    /// What a fill is taken to cost, as a share of its value.
    pub fee_allowance: Ratio,
    /// How far away the stop of an order without one is taken to be, as a share of its price; times the regime's multiplier.
    pub assumed_stop: Ratio,
    /// Below what value in units of the account's currency an order is not reduced but rejected.
    pub minimum_value: u64,
    /// For how long an approved order counts that does not say itself, milliseconds. After that it stops counting, whether or not
    /// anybody said what became of it: where fills or ends of orders come later than this, or not at all, the same part of a limit is
    /// approved again each time.
    pub reservation_ms: u64,
    /// For how long answers are remembered, and how old an intent may be, milliseconds. Not below `reservation_ms`.
    pub memory_ms: u64,
    /// How many approved orders of an account may be open at once; what reduces is approved beyond that.
    pub open_orders: u32,
}

impl Default for DecisionPolicy {
    fn default() -> Self {
        Self {
            price_band: Ratio::thousandths(50),
            market_slippage: Ratio::thousandths(5),
            fee_allowance: Ratio::thousandths(1),
            assumed_stop: Ratio::thousandths(50),
            minimum_value: 10,
            reservation_ms: 60_000,
            memory_ms: 600_000,
            open_orders: 10_000,
        }
    }
}

/// Who may send control events. An empty list is everybody who has a name; what keeps others from the topic is its access list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct People {
    /// Those who may stop things.
    pub kill: Vec<String>,
    /// Those who may clear trips. At least two where it is not empty: black needs two.
    pub reset: Vec<String>,
    /// Those who may change the policy.
    pub policy: Vec<String>,
}
