//! The `[risk]` section: what accounts are reckoned in, and what they are held to.

use super::TimeSpan;
use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidewheel_operators::risk::RiskConfig;
use tidewheel_risk::book::BookConfig;
use tidewheel_risk::policy::Policy;
use tidewheel_risk::positions::CostMethod;
use tidewheel_schemas::Interval;

/// Risk: what accounts hold, what that is worth and could lose, and what they may do. There is none where there is no such section.
/// Records of accounts are read from the source's topics; orders (policies, kills, resets) from the control topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct RiskSection {
    /// The currency that the numbers of an account are in.
    pub base_currency: String,
    /// Accounts of another one, by name.
    /// Example: `{ "desk-7" = "EUR" }`
    pub base_currencies: BTreeMap<String, String>,
    /// Currencies over which others are converted where no instrument trades the two against each other, in the order they are tried.
    pub hops: Vec<String>,
    /// Which cost leaves a position that becomes smaller: `average` or `fifo`.
    pub cost_method: CostMethod,
    /// The bars whose closes make the scenarios of value at risk, and the regimes of volatility: `1s` to `1d`. That is its horizon.
    pub step: Interval,
    /// How many of these bars make scenarios at most, the newest.
    pub scenarios: u32,
    /// How many there must be for a value at risk, at least 2. With fewer an account that holds something stands where the policy's
    /// `hysteresis.on_fault` says: by default it may only reduce.
    pub scenarios_min: u32,
    /// How often the numbers of accounts that changed are published at most. Positions, events and decisions are published at once.
    pub publish_every: TimeSpan,
    /// The policy in force until the control topic brings another: its version, and what differs from the defaults.
    /// One that contradicts itself is refused, with the field named.
    /// Example: `{ version = 1, limits = { single_position = 0.05 } }`
    pub policy: Option<Policy>,
}

impl Default for RiskSection {
    fn default() -> Self {
        let book = BookConfig::default();
        Self {
            base_currency: book.base_currency.to_string(),
            base_currencies: BTreeMap::new(),
            hops: book.hops.iter().map(ToString::to_string).collect(),
            cost_method: book.cost_method,
            step: Interval::H1,
            scenarios: book.scenarios as u32,
            scenarios_min: book.scenarios_min as u32,
            publish_every: TimeSpan::from_secs(1),
            policy: None,
        }
    }
}

impl RiskSection {
    /// What the graph is told, with how far back corrections reach, nanoseconds.
    pub fn resolve(&self, horizon_ns: i64) -> RiskConfig {
        let name = |text: &String| text.as_str().into();
        RiskConfig {
            book: BookConfig {
                base_currency: name(&self.base_currency),
                base_currencies: self.base_currencies.iter().map(|(of, into)| (name(of), name(into))).collect(),
                hops: self.hops.iter().map(name).collect(),
                cost_method: self.cost_method,
                horizon_ns,
                scenario_step_ns: self.step.duration_ns(),
                scenarios: self.scenarios as usize,
                scenarios_min: self.scenarios_min as usize,
                // Marks and days are the policy's.
                ..BookConfig::default()
            },
            step: self.step,
            policy: self.policy.clone().unwrap_or_else(|| Policy::with_version(1)),
            publish_every_ms: self.publish_every.as_ms(),
        }
    }

    /// What is wrong with it, where corrections reach back so far.
    pub(super) fn complaints(&self, horizon: TimeSpan) -> Vec<(&'static str, String)> {
        let mut out = Vec::new();
        if self.base_currency.is_empty() || self.base_currencies.values().any(String::is_empty) {
            out.push(("risk.base_currency", "is empty: name a currency, as USDT".to_owned()));
        }
        if !(2..=10_000).contains(&self.scenarios) {
            out.push(("risk.scenarios", format!("must be 2 to 10000, is {}", self.scenarios)));
        }
        if !(2..=self.scenarios.max(2)).contains(&self.scenarios_min) {
            let detail = format!("must be 2 to risk.scenarios, is {}", self.scenarios_min);
            out.push(("risk.scenarios_min", detail));
        }
        if self.publish_every.as_ms() == 0 || !self.publish_every.is_whole_ms() {
            let detail = format!("must be whole milliseconds, at least 1ms, is {}", self.publish_every);
            out.push(("risk.publish_every", detail));
        }
        if horizon.as_ns() == 0 || horizon.as_ns() % Interval::M1.duration_ns() != 0 {
            out.push(("bars.horizon", format!("{horizon} is not whole minutes, by which risk keeps its samples")));
        }
        let problems = self.policy.iter().flat_map(Policy::problems);
        out.extend(problems.map(|problem| ("risk.policy", problem.to_string())));
        out
    }
}
