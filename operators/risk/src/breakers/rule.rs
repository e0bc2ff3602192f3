//! What is measured, by which rules, and when a measurement is none.

use crate::levels::Scope;
use crate::policy::Policy;
use serde::{Deserialize, Serialize};

/// What is measured. Losses and falls are positive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Value at risk as a share of equity.
    ValueAtRisk,
    /// Loss from the running peak, as it is known at the tick, as a share of it. A correction that lowers the peak lowers later
    /// readings, and clears no trip.
    Drawdown,
    /// Loss of the day as a share of the equity that it began with; what is put in or taken out changes the share no more than it changes
    /// the drawdown.
    DailyLoss,
    /// Exposure as a multiple of margin equity.
    Leverage,
    /// The greatest exposure of a symbol, sector or class as a share of its limit.
    Concentration,
    /// Volatility as a multiple of the median of its past, or of the least that a policy counts.
    Volatility,
    /// Age of the newest market data, seconds.
    DataAge,
    /// Rejected records as a share of all.
    RejectedShare,
    /// How far the frontier is behind, seconds.
    FrontierLag,
    /// The confirmed fall from the peak inside the window, as a share of the peak.
    Fall,
}

impl Measure {
    /// Whether silence is a fault. Where nothing trades nothing falls, and volatility is told by bars, however long these are: that
    /// data stopped coming is for [`Measure::DataAge`] to say.
    pub const fn is_expected(self) -> bool {
        !matches!(self, Self::Fall | Self::Volatility)
    }

    /// The rules that watch it.
    pub const fn rules(self) -> &'static [Rule] {
        match self {
            Self::ValueAtRisk => &[Rule::ValueAtRisk, Rule::KillValueAtRisk],
            Self::Drawdown => &[Rule::Drawdown, Rule::KillDrawdown],
            Self::DailyLoss => &[Rule::DailyLoss, Rule::KillLoss],
            Self::Leverage => &[Rule::Leverage, Rule::KillLeverage],
            Self::Concentration => &[Rule::Concentration],
            Self::Volatility => &[Rule::KillVolatility],
            Self::DataAge => &[Rule::KillDataAge],
            Self::RejectedShare => &[Rule::KillRejects],
            Self::FrontierLag => &[Rule::KillFrontierLag],
            Self::Fall => &[Rule::FlashCrash],
        }
    }
}

/// What stands at a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Breaker of the value at risk.
    ValueAtRisk,
    /// Breaker of the loss from the peak.
    Drawdown,
    /// Breaker of the day's loss.
    DailyLoss,
    /// Breaker of the leverage.
    Leverage,
    /// Breaker of concentration.
    Concentration,
    /// A fall inside a few seconds.
    FlashCrash,
    /// Switched by a person.
    KillManual,
    /// Switched by the loss from the peak.
    KillDrawdown,
    /// Switched by a breach of the value at risk.
    KillValueAtRisk,
    /// Switched by a breach of the leverage.
    KillLeverage,
    /// Switched by the day's loss.
    KillLoss,
    /// Switched by a spike of volatility.
    KillVolatility,
    /// Switched by market data that does not come.
    KillDataAge,
    /// Switched by too many rejected records.
    KillRejects,
    /// Switched by a frontier that is behind.
    KillFrontierLag,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::ValueAtRisk,
        Self::Drawdown,
        Self::DailyLoss,
        Self::Leverage,
        Self::Concentration,
        Self::FlashCrash,
        Self::KillManual,
        Self::KillDrawdown,
        Self::KillValueAtRisk,
        Self::KillLeverage,
        Self::KillLoss,
        Self::KillVolatility,
        Self::KillDataAge,
        Self::KillRejects,
        Self::KillFrontierLag,
    ];

    /// As in records and trip ids.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ValueAtRisk => "value_at_risk",
            Self::Drawdown => "drawdown",
            Self::DailyLoss => "daily_loss",
            Self::Leverage => "leverage",
            Self::Concentration => "concentration",
            Self::FlashCrash => "flash_crash",
            Self::KillManual => "kill_manual",
            Self::KillDrawdown => "kill_drawdown",
            Self::KillValueAtRisk => "kill_value_at_risk",
            Self::KillLeverage => "kill_leverage",
            Self::KillLoss => "kill_loss",
            Self::KillVolatility => "kill_volatility",
            Self::KillDataAge => "kill_data_age",
            Self::KillRejects => "kill_rejects",
            Self::KillFrontierLag => "kill_frontier_lag",
        }
    }

    /// Whether it is a kill switch, which latches whatever the policy says.
    pub const fn is_switch(self) -> bool {
        match self {
            Self::ValueAtRisk
            | Self::Drawdown
            | Self::DailyLoss
            | Self::Leverage
            | Self::Concentration
            | Self::FlashCrash => false,
            Self::KillManual
            | Self::KillDrawdown
            | Self::KillValueAtRisk
            | Self::KillLeverage
            | Self::KillLoss
            | Self::KillVolatility
            | Self::KillDataAge
            | Self::KillRejects
            | Self::KillFrontierLag => true,
        }
    }
}

/// Why something could not be measured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The newest is too old.
    #[error("stale by {age_ns} ns")]
    Stale {
        /// Its age at the tick, nanoseconds.
        age_ns: i64,
    },
    /// It is of a time that has not come.
    #[error("{ahead_ns} ns ahead of the tick")]
    FromTheFuture {
        /// How far ahead, nanoseconds.
        ahead_ns: i64,
    },
    /// Not a number, or not finite.
    #[error("not a finite number")]
    NotANumber,
    /// A sum or product did not fit.
    #[error("out of range")]
    OutOfRange,
    /// It rests on something that there is none of: a mark, reference data, equity.
    #[error("{0} is missing")]
    Missing(String),
}

/// A measure at a tick.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// What was measured.
    pub measure: Measure,
    /// Of what.
    pub scope: Scope,
    /// What came of it.
    pub value: Result<f64, Fault>,
    /// When it was so, nanoseconds.
    pub as_of_ns: i64,
}

impl Reading {
    /// The value, or why there is none at this time.
    pub(super) fn judged(&self, policy: &Policy, time_ns: i64) -> Result<f64, Fault> {
        let value = self.value.clone()?;
        if !value.is_finite() {
            return Err(Fault::NotANumber);
        }
        let in_ns = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        let age_ns = time_ns.saturating_sub(self.as_of_ns);
        if age_ns > in_ns(policy.staleness.reading_ms) {
            return Err(Fault::Stale { age_ns });
        }
        let ahead_ns = age_ns.saturating_neg();
        if ahead_ns > in_ns(policy.staleness.skew_ms) { Err(Fault::FromTheFuture { ahead_ns }) } else { Ok(value) }
    }
}

/// All that the readings of a tick say of one measure and scope.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Said {
    /// The greatest value; none where nothing could be measured.
    pub(super) value: Option<f64>,
    /// Why something could not, or why the value is not to be trusted; of several the greatest.
    pub(super) fault: Option<Fault>,
}

impl Said {
    pub(super) fn add(&mut self, reading: Result<f64, Fault>) {
        match reading {
            Ok(value) => self.value = Some(self.value.map_or(value, |known| known.max(value))),
            Err(fault) => self.fault = self.fault.take().max(Some(fault)),
        }
    }

    /// The value, where nothing speaks against it.
    pub(super) const fn good(&self) -> Option<f64> {
        if self.fault.is_none() { self.value } else { None }
    }
}

/// Why a rule stands where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its value reached a trigger.
    Value,
    /// It could not be measured.
    Fault(Fault),
    /// A person said so, with this reason.
    Manual(String),
}
