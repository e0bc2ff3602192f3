//! What a record of the control topic wants.

use super::orders;
use serde::{Deserialize, Serialize};
use std::fmt;
use tidewheel_models::{Alias, Change, Promotion, Withdrawal};
use tidewheel_operators::signals::SignalsConfig;
use tidewheel_risk::switches::{ControlEvent, Order};

/// Other thresholds of signals, from a tick on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalsPolicy {
    /// Its number among the policies of the run, from 1.
    pub number: u64,
    /// The confidence from which on a prediction is worth considering, 0.5 to 1.
    pub consider: f64,
    /// The confidence from which on it is worth acting on, not below `consider`.
    pub act: f64,
    /// How long after a signal to act the same instrument and target give none, milliseconds of event time.
    pub cool_down_ms: u64,
    /// How many instruments give signals.
    pub universe: u32,
}

impl SignalsPolicy {
    /// Holds it against what the configuration of signals may be.
    ///
    /// # Errors
    /// The first field that says what cannot be, and why not.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let complaints = crate::config::signals_complaints(self.consider, self.act, self.universe);
        complaints.into_iter().next().map_or(Ok(()), Err)
    }

    /// As the ledger of signals takes it.
    pub fn config(&self) -> SignalsConfig {
        let cool_down_ns = i64::try_from(self.cool_down_ms).unwrap_or(i64::MAX).saturating_mul(1_000_000);
        SignalsConfig { consider: self.consider, act: self.act, cool_down_ns, universe: self.universe as usize }
    }
}

impl fmt::Display for SignalsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { consider, act, cool_down_ms, universe, .. } = self;
        write!(f, "consider {consider}, act {act}, cool_down_ms {cool_down_ms}, universe {universe}")
    }
}

/// What a record wants.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// An ensemble for an alias of a target.
    Promotion(Promotion),
    /// None for it any more.
    Withdrawal(Withdrawal),
    /// Other thresholds of signals.
    SignalsPolicy(SignalsPolicy),
    /// An order to risk: a policy, a kill, a reset, lost fills seen to.
    Risk(Box<ControlEvent>),
}

impl Wanted {
    /// What may stand in the field `type`.
    pub const KINDS: [&'static str; 7] =
        ["promotion", "withdraw", "signals_policy", "risk_policy", "risk_kill", "risk_reset", "risk_clear"];

    /// The text in the field `type`.
    pub const fn kind(&self) -> &'static str {
        Self::KINDS[match self {
            Self::Promotion(_) => 0,
            Self::Withdrawal(_) => 1,
            Self::SignalsPolicy(_) => 2,
            Self::Risk(event) => match event.order {
                Order::SetPolicy(_) => 3,
                Order::Kill { .. } => 4,
                Order::Reset { .. } => 5,
                Order::Clear { .. } => 6,
            },
        }]
    }

    /// Its number: of promotions and withdrawals that in the registry, of a policy that among the policies. Orders to risk have names
    /// instead.
    pub const fn number(&self) -> u64 {
        match self {
            Self::Promotion(it) => it.number,
            Self::Withdrawal(it) => it.number,
            Self::SignalsPolicy(it) => it.number,
            Self::Risk(_) => 0,
        }
    }

    /// The alias, symbol and target that it is about, where it is about one.
    pub fn of(&self) -> Option<(Alias, &str, &str)> {
        match self {
            Self::Promotion(it) => Some((it.alias, &it.symbol, &it.target)),
            Self::Withdrawal(it) => Some((it.alias, &it.symbol, &it.target)),
            Self::SignalsPolicy(_) | Self::Risk(_) => None,
        }
    }

    /// The promotion, where it is one.
    pub const fn promotion(&self) -> Option<&Promotion> {
        if let Self::Promotion(promotion) = self { Some(promotion) } else { None }
    }

    /// What it is about, for people and in the table of events: an ensemble, an alias of a target, or the signals.
    pub fn subject(&self) -> String {
        match self {
            Self::Promotion(it) => it.ensemble.to_string(),
            Self::Withdrawal(it) => crate::models::who(it.alias, &it.symbol, &it.target),
            Self::SignalsPolicy(_) => "signals".to_owned(),
            Self::Risk(event) => event.id.clone(),
        }
    }

    /// As a record says it, without `who` and `why`.
    pub fn to_json(&self) -> serde_json::Value {
        let mut record = match self {
            Self::Promotion(it) => serde_json::json!(it),
            Self::Withdrawal(it) => serde_json::json!(it),
            Self::SignalsPolicy(it) => serde_json::json!(it),
            Self::Risk(event) => orders::to_json(event),
        };
        record["type"] = self.kind().into();
        record
    }
}

impl From<Change> for Wanted {
    fn from(change: Change) -> Self {
        match change {
            Change::Promotion(promotion) => Self::Promotion(promotion),
            Change::Withdrawal(withdrawal) => Self::Withdrawal(withdrawal),
        }
    }
}
