//! Regimes of volatility by symbol: low, normal, high, extreme, and what they make of stop distances.
//!
//! Volatility is the EWMA of squared returns, `v = decay * v + (1 - decay) * r^2`, this bar's return included, seeded with the first
//! one's square (RiskMetrics 1996, section 5.2, with the newest return). Its place among its own last values, this one included, gives
//! the regime: the share of them that are smaller. Up at once; down by one after `dwell_bars` bars in a row whose share is more than
//! `band` below where the regime begins. Only final bars are taken, in their order: a regime is a fact, not revised by corrections.

use crate::breakers::Fault;
use crate::policy::{Ratio, RegimePolicy};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use tidewheel_schemas::Instrument;

/// Ascending in volatility.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Regime {
    /// Quieter than usual.
    Low,
    /// As usual.
    Normal,
    /// Livelier than usual.
    High,
    /// As hardly ever.
    Extreme,
}

impl Regime {
    /// All, ascending.
    pub const ALL: [Self; 4] = [Self::Low, Self::Normal, Self::High, Self::Extreme];

    /// As in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Normal => "normal",
            Self::High => "high",
            Self::Extreme => "extreme",
        }
    }

    /// From which share of the distribution on.
    fn begins(self, policy: &RegimePolicy) -> Ratio {
        match self {
            Self::Low => Ratio::ZERO,
            Self::Normal => policy.normal_from,
            Self::High => policy.high_from,
            Self::Extreme => policy.extreme_from,
        }
    }
}

/// What stop distances are multiplied by. An unknown regime is taken for the worst.
pub fn stop_multiplier(regime: Option<Regime>, policy: &RegimePolicy) -> Ratio {
    match regime {
        Some(Regime::Low | Regime::Normal) => Ratio::ONE,
        Some(Regime::High) => policy.high_stop_multiplier,
        Some(Regime::Extreme) | None => policy.extreme_stop_multiplier,
    }
}

/// The return of a final bar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BarReturn {
    /// Of what.
    pub instrument: Instrument,
    /// When the bar ended, nanoseconds.
    pub end_ns: i64,
    /// Its close over the close before, less one.
    pub value: f64,
}

/// A symbol's regime is another one now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegimeChange {
    /// Of what.
    pub instrument: Instrument,
    /// What it was; none before it was known.
    pub from: Option<Regime>,
    /// What it is.
    pub to: Regime,
    /// Volatility of a bar.
    pub volatility: f64,
    /// The share of its past that is smaller.
    pub share: Ratio,
    /// What stop distances are multiplied by.
    pub stop_multiplier: Ratio,
    /// The end of the bar that did it, nanoseconds.
    pub end_ns: i64,
}

/// What a bar came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Regimed {
    /// A change, where there is one.
    pub change: Option<RegimeChange>,
    /// Volatility over the median of its last values, or over the policy's least where that is more; none while the symbol is not warm.
    pub spike: Option<f64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Symbol {
    end_ns: Option<i64>,
    variance: Option<f64>,
    /// The last volatilities in the order of their bars.
    past: VecDeque<f64>,
    /// The same, ascending. Made again from `past` after a restart would do, but a sort is dearer than its bytes.
    sorted: Vec<f64>,
    regime: Option<Regime>,
    /// Bars in a row that were well below where the regime begins.
    well_bars: u32,
}

/// The regimes of all symbols. State by symbol: `window_bars` volatilities, twice.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Regimes {
    #[serde(with = "crate::pairs")]
    symbols: BTreeMap<Instrument, Symbol>,
}

impl Regimes {
    /// Takes a final bar's return.
    ///
    /// # Errors
    /// If it is no finite number, or not after the bar before: nothing is changed then.
    pub fn take(&mut self, policy: &RegimePolicy, bar: &BarReturn) -> Result<Regimed, Fault> {
        let squared = bar.value * bar.value;
        if !squared.is_finite() {
            return Err(Fault::NotANumber);
        }
        let symbol = self.symbols.entry(bar.instrument.clone()).or_default();
        if let Some(newest_ns) = symbol.end_ns.filter(|newest_ns| bar.end_ns <= *newest_ns) {
            return Err(Fault::Stale { age_ns: newest_ns.saturating_sub(bar.end_ns) });
        }
        symbol.end_ns = Some(bar.end_ns);
        let decay = policy.decay.as_f64();
        let variance = symbol.variance.map_or(squared, |before| decay * before + (1.0 - decay) * squared);
        symbol.variance = Some(variance);
        let volatility = variance.sqrt();
        symbol.remember(volatility, policy.window_bars as usize);
        let count = symbol.sorted.len();
        if count < policy.warm_bars as usize {
            return Ok(Regimed::default());
        }
        let smaller = symbol.sorted.partition_point(|held| held.total_cmp(&volatility).is_lt());
        let share = Ratio::from_e9((smaller as i64).saturating_mul(Ratio::ONE.e9()) / count as i64);
        let median = symbol.sorted[(count - 1) / 2];
        // A median of nothing, or nearly so, would make a spike of any move.
        let spike = volatility / median.max(policy.least_volatility.as_f64());
        let change = symbol.move_to(policy, share).map(|(from, to)| RegimeChange {
            instrument: bar.instrument.clone(),
            from,
            to,
            volatility,
            share,
            stop_multiplier: stop_multiplier(Some(to), policy),
            end_ns: bar.end_ns,
        });
        Ok(Regimed { change, spike: Some(spike) })
    }

    /// The regime of a symbol; none while it is not known.
    pub fn of(&self, instrument: &Instrument) -> Option<Regime> {
        self.symbols.get(instrument)?.regime
    }

    /// How much is held: symbols, volatilities.
    pub fn sizes(&self) -> [usize; 2] {
        [self.symbols.len(), self.symbols.values().map(|symbol| symbol.past.len()).sum()]
    }
}

impl Symbol {
    fn remember(&mut self, volatility: f64, window: usize) {
        while self.past.len() >= window.max(1) {
            let Some(oldest) = self.past.pop_front() else { break };
            let at = self.sorted.partition_point(|held| held.total_cmp(&oldest).is_lt());
            self.sorted.remove(at);
        }
        self.past.push_back(volatility);
        let at = self.sorted.partition_point(|held| held.total_cmp(&volatility).is_lt());
        self.sorted.insert(at, volatility);
    }

    /// Goes where a share of the distribution leads; gives the change.
    fn move_to(&mut self, policy: &RegimePolicy, share: Ratio) -> Option<(Option<Regime>, Regime)> {
        let asked = Regime::ALL.into_iter().rev().find(|regime| share >= regime.begins(policy)).unwrap_or(Regime::Low);
        let Some(regime) = self.regime.filter(|regime| asked <= *regime) else {
            self.well_bars = 0;
            return Some((self.regime.replace(asked), asked));
        };
        let is_well = share.e9() < regime.begins(policy).e9() - policy.band.e9();
        self.well_bars = if is_well { self.well_bars + 1 } else { 0 };
        if self.well_bars < policy.dwell_bars {
            return None;
        }
        self.well_bars = 0;
        let below = Regime::ALL[(regime as usize).saturating_sub(1)];
        self.regime = Some(below);
        Some((Some(regime), below))
    }
}

#[cfg(test)]
mod tests;
