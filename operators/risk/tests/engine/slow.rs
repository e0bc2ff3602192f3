//! Rules, regimes and numbers made anew from all closes so far, in floats: slow, and nothing shared with the engine but its thresholds.

use crate::candles::{Closes, HOUR_NS};

const DAY_NS: i64 = 24 * HOUR_NS;

/// What was bought when: prices and quantities by symbol.
pub struct Bought {
    pub at: usize,
    pub deposit: f64,
    pub quantities: Vec<f64>,
}

impl Bought {
    fn equity(&self, bars: &[Closes], at: usize) -> f64 {
        let price = |bar: usize, symbol: usize| bars[bar].prices_e8[symbol] as f64 / 1e8;
        let won = self.quantities.iter().enumerate().map(|(symbol, quantity)| {
            if at < self.at { 0.0 } else { quantity * (price(at, symbol) - price(self.at, symbol)) }
        });
        self.deposit + won.sum::<f64>()
    }

    /// Loss from the peak of all bars so far.
    pub fn drawdown(&self, bars: &[Closes], at: usize) -> f64 {
        let peak = (0..=at).map(|bar| self.equity(bars, bar)).fold(f64::MIN, f64::max);
        1.0 - self.equity(bars, at) / peak
    }

    /// Loss since the bar that ended with the day before.
    pub fn daily_loss(&self, bars: &[Closes], at: usize) -> f64 {
        let end = |bar: usize| bars[bar].time_ns + HOUR_NS;
        let day = (end(at) - 1).div_euclid(DAY_NS) * DAY_NS;
        let begun = (0..=at).rev().find(|bar| end(*bar) <= day);
        let begun = begun.map_or(self.deposit, |bar| self.equity(bars, bar));
        (begun - self.equity(bars, at)) / begun
    }

    /// The observation at the inverted distribution function of 5 %, over equity.
    pub fn value_at_risk(&self, bars: &[Closes], at: usize) -> f64 {
        if at < self.at {
            return 0.0;
        }
        let mut profits: Vec<f64> = (1..=at)
            .map(|bar| {
                let of = |(symbol, quantity): (usize, &f64)| {
                    let price = |bar: usize| bars[bar].prices_e8[symbol] as f64 / 1e8;
                    quantity * price(at) * (price(bar) / price(bar - 1) - 1.0)
                };
                self.quantities.iter().enumerate().map(of).sum()
            })
            .collect();
        profits.sort_by(f64::total_cmp);
        let worst = (profits.len() as f64 * 0.05).ceil() as usize;
        -profits[worst - 1] / self.equity(bars, at)
    }
}

/// A rule: its rungs by level (yellow 1, orange 2, red 3, black 4) and trigger, ascending.
pub struct SlowRule {
    pub name: &'static str,
    pub rungs: Vec<(usize, f64)>,
    level: usize,
    well_since: Option<usize>,
}

pub const LEVELS: [&str; 5] = ["green", "yellow", "orange", "red", "black"];

impl SlowRule {
    pub const fn new(name: &'static str, rungs: Vec<(usize, f64)>) -> Self {
        Self { name, rungs, level: 0, well_since: None }
    }

    /// Takes the value of a bar: `rule>level` for each level it rose to, `rule<level` where it sank. Two hours of dwell, clear at 80 %.
    pub fn take(&mut self, hour: usize, value: f64) -> Vec<String> {
        let asked =
            self.rungs.iter().filter(|(_, trigger)| value >= *trigger).map(|(level, _)| *level).max().unwrap_or(0);
        if asked > self.level {
            let rungs = self.rungs.iter().map(|(level, _)| *level);
            let rose =
                rungs.filter(|level| *level > self.level && (*level == asked || (*level < asked && *level >= 3)));
            let rose = rose.map(|level| format!("{}>{}", self.name, LEVELS[level])).collect();
            (self.level, self.well_since) = (asked, None);
            return rose;
        }
        // From red on it stays.
        if self.level == 0 || self.level >= 3 {
            return Vec::new();
        }
        let clear = |level: usize| self.rungs.iter().find(|rung| rung.0 == level).map_or(0.0, |rung| 0.8 * rung.1);
        if value >= clear(self.level) {
            self.well_since = None;
            return Vec::new();
        }
        let since = *self.well_since.get_or_insert(hour);
        if hour - since < 2 {
            return Vec::new();
        }
        let below = self.rungs.iter().map(|(level, _)| *level).filter(|level| *level < self.level).max();
        let below = below.unwrap_or(0);
        self.well_since = (below > 0 && value < clear(below)).then_some(hour);
        self.level = below;
        vec![format!("{}<{}", self.name, LEVELS[below])]
    }
}

/// The regime of a symbol after each bar, from all its closes so far: name, and volatility over its median.
#[derive(Default)]
pub struct SlowRegime {
    regime: Option<usize>,
    well: usize,
}

impl SlowRegime {
    /// Gives the change, if there is one, and the spike. Begins at 50, 85 and 97 %; 5 % of band for 3 bars; warm with 60.
    pub fn take(&mut self, closes: &[f64]) -> (Option<String>, Option<f64>) {
        const NAMES: [&str; 4] = ["low", "normal", "high", "extreme"];
        const BEGINS: [f64; 4] = [0.0, 0.5, 0.85, 0.97];
        let mut variance: Option<f64> = None;
        let mut all = Vec::new();
        for pair in closes.windows(2) {
            let squared = (pair[1] / pair[0] - 1.0).powi(2);
            let next = variance.map_or(squared, |before| 0.94 * before + (1.0 - 0.94) * squared);
            variance = Some(next);
            all.push(next.sqrt());
        }
        if all.len() < 60 {
            return (None, None);
        }
        let newest = all[all.len() - 1];
        let mut window: Vec<f64> = all[all.len().saturating_sub(720)..].to_vec();
        let share = window.iter().filter(|held| **held < newest).count() as f64 / window.len() as f64;
        window.sort_by(f64::total_cmp);
        let spike = newest / window[(window.len() - 1) / 2];
        let asked = (0..4).rev().find(|regime| share >= BEGINS[*regime]).expect("the lowest begins with nothing");
        let change = match self.regime {
            Some(regime) if asked <= regime => {
                self.well = if share < BEGINS[regime] - 0.05 { self.well + 1 } else { 0 };
                (self.well >= 3).then(|| regime.saturating_sub(1))
            }
            _ => Some(asked),
        };
        let text = change.map(|to| {
            self.well = 0;
            let from = self.regime.replace(to).map_or("unknown", |from| NAMES[from]);
            format!("{from}-{}", NAMES[to])
        });
        (text, Some(spike))
    }
}
