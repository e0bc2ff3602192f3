//! The values from which on a breaker or a kill switch stands at a level, and below which it is well again.

use super::{Policy, Ratio};
use crate::breakers::Rule;
use crate::levels::{Level, Scope};
use serde::{Deserialize, Serialize};

/// One level's threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// From this value on, itself included.
    pub trigger: Ratio,
    /// Below this it is well again; where there is none, the share `hysteresis.clear` of the trigger.
    #[serde(default)]
    pub clear: Option<Ratio>,
}

/// A breaker's thresholds. A level without one is not stood on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ladder {
    /// No new positions.
    pub yellow: Option<Rung>,
    /// Only smaller ones.
    pub orange: Option<Rung>,
    /// Halted, latched.
    pub red: Option<Rung>,
    /// Liquidated, latched, cleared by two persons.
    pub black: Option<Rung>,
}

impl Ladder {
    const fn graded(yellow: i64, orange: i64, red: i64) -> Self {
        const fn rung(thousandths: i64) -> Option<Rung> {
            Some(Rung { trigger: Ratio::thousandths(thousandths), clear: None })
        }
        Self { yellow: rung(yellow), orange: rung(orange), red: rung(red), black: None }
    }

    /// Its rungs, ascending by level.
    pub fn rungs(&self) -> impl Iterator<Item = (Level, Rung)> {
        let all = [
            (Level::Yellow, self.yellow),
            (Level::Orange, self.orange),
            (Level::Red, self.red),
            (Level::Black, self.black),
        ];
        all.into_iter().filter_map(|(level, rung)| Some((level, rung?)))
    }
}

/// The breakers' thresholds. Losses are positive numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BreakerLadders {
    /// Value at risk as a share of equity.
    pub value_at_risk: Ladder,
    /// Loss from the peak as a share of it.
    pub drawdown: Ladder,
    /// Loss of the day as a share of the equity it began with.
    pub daily_loss: Ladder,
    /// Exposure as a multiple of margin equity.
    pub leverage: Ladder,
    /// The greatest exposure of a symbol, sector or class as a share of its own limit.
    pub concentration: Ladder,
}

impl Default for BreakerLadders {
    fn default() -> Self {
        Self {
            value_at_risk: Ladder::graded(20, 30, 40),
            drawdown: Ladder::graded(100, 150, 180),
            daily_loss: Ladder::graded(30, 40, 45),
            leverage: Ladder::graded(3_000, 4_000, 4_500),
            concentration: Ladder::graded(900, 1_000, 1_500),
        }
    }
}

/// A kill switch: one threshold, latched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// From this value on, itself included.
    pub trigger: Ratio,
    /// Where it stands then: red or black.
    pub level: Level,
    /// Below this it may be reset; where there is none, the share `hysteresis.clear` of the trigger.
    #[serde(default)]
    pub clear: Option<Ratio>,
}

/// The kill switches that trip by themselves. One that is not wanted is given a trigger that is never reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KillSwitches {
    /// Loss from the peak as a share of it.
    pub drawdown: Switch,
    /// Value at risk as a share of equity.
    pub value_at_risk: Switch,
    /// Exposure as a multiple of margin equity.
    pub leverage: Switch,
    /// Loss of the day as a share of the equity it began with.
    pub daily_loss: Switch,
    /// Volatility as a multiple of the median of its own past, or of `regimes.least_volatility` where that is more.
    pub volatility: Switch,
    /// Age of the newest market data, seconds.
    pub data_age_s: Switch,
    /// Rejected records as a share of all.
    pub rejected_share: Switch,
    /// How far the frontier is behind, seconds.
    pub frontier_lag_s: Switch,
}

impl Default for KillSwitches {
    fn default() -> Self {
        let red = |thousandths| Switch { trigger: Ratio::thousandths(thousandths), level: Level::Red, clear: None };
        Self {
            drawdown: Switch { level: Level::Black, ..red(200) },
            value_at_risk: red(50),
            leverage: red(5_000),
            daily_loss: red(50),
            volatility: red(5_000),
            data_age_s: red(30_000),
            rejected_share: red(100),
            frontier_lag_s: red(10_000),
        }
    }
}

/// A rule's thresholds as floats, by level; none where it has no rung.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rungs([Option<(f64, f64)>; 5]);

impl Rungs {
    /// The level that a value asks for: the highest whose trigger it has reached.
    pub fn asked(&self, value: f64) -> Level {
        let reached = |level: &Level| self.trigger(*level).is_some_and(|trigger| value >= trigger);
        Level::ALL.into_iter().rev().find(reached).unwrap_or_default()
    }

    /// From which value on the rule stands at a level.
    pub fn trigger(&self, level: Level) -> Option<f64> {
        self.0[level as usize].map(|(trigger, _)| trigger)
    }

    /// Whether a value is low enough to leave a level. One without a rung of its own, where only a fault leads to, is left by any
    /// value that asks for less.
    pub fn is_clear(&self, level: Level, value: f64) -> bool {
        match self.0[level as usize] {
            Some((_, clear)) => value < clear,
            None => self.asked(value) < level,
        }
    }

    /// The next rung below a level; green under the last.
    pub fn below(&self, level: Level) -> Level {
        let has_rung = |below: &Level| *below < level && self.trigger(*below).is_some();
        Level::ALL.into_iter().rev().find(has_rung).unwrap_or_default()
    }

    fn set(&mut self, level: Level, trigger: Ratio, clear: Option<Ratio>, share: Ratio) {
        let clear = clear.unwrap_or_else(|| trigger.times(share));
        self.0[level as usize] = Some((trigger.as_f64(), clear.as_f64()));
    }
}

impl Policy {
    /// The thresholds of a rule at a scope. A manual switch has none.
    pub fn rungs(&self, rule: Rule, scope: &Scope) -> Rungs {
        let ladder = |ladder: &Ladder| {
            let mut rungs = Rungs::default();
            for (level, rung) in ladder.rungs() {
                rungs.set(level, rung.trigger, rung.clear, self.hysteresis.clear);
            }
            rungs
        };
        let single = |level, trigger, clear| {
            let mut rungs = Rungs::default();
            rungs.set(level, trigger, clear, self.hysteresis.clear);
            rungs
        };
        let switch = |switch: &Switch| single(switch.level, switch.trigger, switch.clear);
        match rule {
            Rule::ValueAtRisk => ladder(&self.breakers.value_at_risk),
            Rule::Drawdown => ladder(&self.breakers.drawdown),
            Rule::DailyLoss => ladder(&self.breakers.daily_loss),
            Rule::Leverage => ladder(&self.breakers.leverage),
            Rule::Concentration => ladder(&self.breakers.concentration),
            Rule::FlashCrash => {
                let is_symbol = matches!(scope, Scope::Symbol(_));
                let level = if is_symbol { self.flash_crash.symbol_level } else { self.flash_crash.equity_level };
                single(level, self.flash_crash.fall, None)
            }
            Rule::KillManual => Rungs::default(),
            Rule::KillDrawdown => switch(&self.switches.drawdown),
            Rule::KillValueAtRisk => switch(&self.switches.value_at_risk),
            Rule::KillLeverage => switch(&self.switches.leverage),
            Rule::KillLoss => switch(&self.switches.daily_loss),
            Rule::KillVolatility => switch(&self.switches.volatility),
            Rule::KillDataAge => switch(&self.switches.data_age_s),
            Rule::KillRejects => switch(&self.switches.rejected_share),
            Rule::KillFrontierLag => switch(&self.switches.frontier_lag_s),
        }
    }

    /// Whether a rule that stands at a level stays there until it is reset. A kill switch trips to red or black, which latch in
    /// every valid policy; below that it stands only while it cannot be measured.
    pub fn latches(&self, rule: Rule, level: Level) -> bool {
        level >= self.hysteresis.latch_from || rule == Rule::KillManual
    }
}
