//! Ensembles: the outputs of several models made one decision.
//!
//! A definition is configuration with a name and a version. Members are taken in the order of their ids whatever order
//! they are written in, and summed in that order, so that the same members always give the same bits.

use crate::manifest::{ModelId, OutputKind, is_word};
use crate::refusal::Refusal;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The most members an ensemble may have.
pub const MEMBERS_MAX: usize = 64;

/// One model of an ensemble.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberDefinition {
    /// Which model.
    pub model: ModelId,
    /// Which version of it.
    pub version: u32,
    /// How much it counts: a weight above 0, or, in stacking, its coefficient, of any sign.
    #[serde(default = "unit")]
    pub weight: f64,
}

const fn unit() -> f64 {
    1.0
}

/// How the outputs of the members become one value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Method {
    /// The sum of weight times output, by the sum of the weights.
    WeightedMean,
    /// The weighted median: the least output at which half of the weights is reached; where exactly half is reached, the
    /// mean of it and the next. With equal weights it is the ordinary median.
    Median,
    /// A linear model over the outputs, whose coefficients are the weights: `intercept` plus the sum of coefficient times
    /// output; for a probability the logistic function of that.
    Stacking {
        /// What the sum begins with.
        intercept: f64,
    },
}

/// What is done where members gave no number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum MissingPolicy {
    /// The ensemble gives none either, with the reason of the first such member.
    #[default]
    Refuse,
    /// The others are taken alone, as long as their weights make up this share of all. Not for stacking, whose
    /// coefficients mean nothing apart from each other.
    Renormalise {
        /// The share, above 0 and at most 1.
        minimum_weight: f64,
    },
}

/// An ensemble as configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnsembleDefinition {
    /// Its name: a-z, 0-9 and _.
    pub name: String,
    /// Its version, from 1.
    pub version: u32,
    /// What its value is. Members give the same, but in stacking.
    pub output: OutputKind,
    /// How outputs become one value.
    pub method: Method,
    /// What is done where members gave no number.
    #[serde(default)]
    pub missing: MissingPolicy,
    /// For expected returns: the scale of what is left unexplained, as a fraction. An expected return of this size has a
    /// confidence of 0.73. Not for probabilities, which are their own confidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_scale: Option<f64>,
    /// The models.
    pub members: Vec<MemberDefinition>,
}

impl EnsembleDefinition {
    /// Whether it says something else than another under the same name and version.
    pub fn redefines(&self, other: &Self) -> bool {
        (&self.name, self.version) == (&other.name, other.version) && self != other
    }
}

impl fmt::Display for EnsembleDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

/// Why a definition is no ensemble.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("could not take field {field} of the ensemble: {detail}")]
pub struct EnsembleError {
    /// Which field.
    pub field: &'static str,
    /// Why not, and what to write.
    pub detail: String,
}

/// Where the price is expected to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Down.
    Down,
    /// Exactly neither.
    Flat,
    /// Up.
    Up,
}

/// What an ensemble says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Expected return or probability, as the definition says.
    pub value: f64,
    /// The sign of the expected return, or of the probability less a half.
    pub direction: Direction,
    /// How probable `direction` is held to be, 0.5 to 1: the greater of a probability and its complement; for an expected
    /// return `1 / (1 + exp(-|value| / return_scale))`, which is so if what is left unexplained is logistic.
    pub confidence: f64,
    /// The weighted standard deviation of the members' outputs, in their unit. In stacking each counts the same.
    pub disagreement: f64,
    /// The share of the weights whose members gave a number, 0 to 1. In stacking the share of the members.
    pub present: f64,
}

/// A definition that was checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    definition: EnsembleDefinition,
}

impl Ensemble {
    /// Checks a definition and puts its members in order.
    ///
    /// # Errors
    /// If a field says what cannot be.
    pub fn new(mut definition: EnsembleDefinition) -> Result<Self, EnsembleError> {
        definition.members.sort_by(|one, other| one.model.cmp(&other.model));
        check(&definition)?;
        Ok(Self { definition })
    }

    /// The definition, its members in the order in which outputs are given to [`Ensemble::combine`].
    pub const fn definition(&self) -> &EnsembleDefinition {
        &self.definition
    }

    /// The definition alone.
    pub fn into_definition(self) -> EnsembleDefinition {
        self.definition
    }

    /// Makes one decision of the members' outputs, which stand in the order of the members.
    ///
    /// # Errors
    /// If there are not as many outputs as members, where the policy for missing members says so, or the value is no number.
    pub fn combine(&self, outputs: &[Result<f64, Refusal>]) -> Result<Decision, Refusal> {
        let definition = &self.definition;
        if outputs.len() != definition.members.len() {
            return Err(Refusal::MemberCount { expected: definition.members.len(), given: outputs.len() });
        }
        let is_stacking = matches!(definition.method, Method::Stacking { .. });
        let share = |member: &MemberDefinition| if is_stacking { 1.0 } else { member.weight };
        let whole: f64 = definition.members.iter().map(share).sum();
        let mut given = Vec::with_capacity(outputs.len());
        for (member, output) in definition.members.iter().zip(outputs) {
            match (output, definition.missing) {
                (Ok(value), _) => given.push((share(member), *value)),
                (Err(refusal), MissingPolicy::Refuse) => return Err(refusal.clone()),
                (Err(_), MissingPolicy::Renormalise { .. }) => {}
            }
        }
        let weights: f64 = given.iter().map(|(weight, _)| weight).sum();
        let present = if given.len() == outputs.len() { 1.0 } else { weights / whole };
        if let MissingPolicy::Renormalise { minimum_weight } = definition.missing
            && (given.is_empty() || present < minimum_weight)
        {
            return Err(Refusal::TooFewMembers { present, minimum: minimum_weight });
        }
        let mean = given.iter().map(|(weight, value)| weight * value).sum::<f64>() / weights;
        let value = match definition.method {
            Method::WeightedMean => mean,
            Method::Median => weighted_median(&given, weights),
            Method::Stacking { intercept } => {
                let pairs = definition.members.iter().zip(&given);
                let sum = pairs.fold(intercept, |sum, (member, (_, value))| sum + member.weight * value);
                if definition.output == OutputKind::Probability { logistic(sum) } else { sum }
            }
        };
        if !value.is_finite() {
            return Err(Refusal::OutputNotFinite);
        }
        let square = given.iter().map(|(weight, value)| weight * (value - mean) * (value - mean)).sum::<f64>();
        let (direction, confidence) = self.judge(value);
        Ok(Decision { value, direction, confidence, disagreement: (square / weights).sqrt(), present })
    }

    fn judge(&self, value: f64) -> (Direction, f64) {
        let (signed, confidence) = match self.definition.output {
            OutputKind::Probability => (value - 0.5, value.max(1.0 - value)),
            OutputKind::ExpectedReturn => {
                let scale = self.definition.return_scale.expect("an ensemble of returns was checked to have a scale");
                (value, logistic(value.abs() / scale))
            }
        };
        let direction = match signed.total_cmp(&0.0) {
            _ if signed == 0.0 => Direction::Flat,
            std::cmp::Ordering::Less => Direction::Down,
            _ => Direction::Up,
        };
        (direction, confidence)
    }
}

/// The logistic function.
pub(crate) fn logistic(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The weighted median of (weight, value) pairs, whose weights sum to `weights`.
fn weighted_median(given: &[(f64, f64)], weights: f64) -> f64 {
    let mut sorted = given.to_vec();
    // Stable: equal values stay in the order of the members.
    sorted.sort_by(|(_, one), (_, other)| one.total_cmp(other));
    let half = weights / 2.0;
    let mut reached = 0.0;
    for (at, (weight, value)) in sorted.iter().enumerate() {
        reached += weight;
        if reached > half {
            return *value;
        }
        if reached == half {
            return sorted.get(at + 1).map_or(*value, |(_, next)| (value + next) / 2.0);
        }
    }
    // Rounding alone can leave the sum below half of itself.
    sorted.last().map_or(f64::NAN, |(_, value)| *value)
}

fn check(definition: &EnsembleDefinition) -> Result<(), EnsembleError> {
    let fail = |field, detail: String| Err(EnsembleError { field, detail });
    let is_stacking = matches!(definition.method, Method::Stacking { .. });
    if !is_word(&definition.name) {
        return fail("name", format!("\"{}\" is not made of a-z, 0-9 and _", definition.name));
    }
    if definition.version == 0 {
        return fail("version", "0 is none; versions begin at 1".to_owned());
    }
    if definition.members.is_empty() || definition.members.len() > MEMBERS_MAX {
        return fail("members", format!("{} members; give 1 to {MEMBERS_MAX}", definition.members.len()));
    }
    if let Some(pair) = definition.members.windows(2).find(|pair| pair[0].model == pair[1].model) {
        return fail("members", format!("model {} stands there twice", pair[0].model));
    }
    for member in &definition.members {
        if member.version == 0 {
            return fail("members", format!("model {}: version 0 is none", member.model));
        }
        if !member.weight.is_finite() || (!is_stacking && member.weight <= 0.0) {
            return fail(
                "members",
                format!("model {}: {} is no weight; give one above 0", member.model, member.weight),
            );
        }
        let weight_max = 1e12;
        if member.weight.abs() > weight_max || (!is_stacking && member.weight < 1.0 / weight_max) {
            return fail("members", format!("model {}: a weight of {} is out of reason", member.model, member.weight));
        }
    }
    if let Method::Stacking { intercept } = definition.method {
        if !intercept.is_finite() {
            return fail("method", format!("an intercept of {intercept} is no number"));
        }
        if definition.missing != MissingPolicy::Refuse {
            return fail("missing", "stacking cannot do without a member; write refuse".to_owned());
        }
    }
    if let MissingPolicy::Renormalise { minimum_weight } = definition.missing
        && !(minimum_weight > 0.0 && minimum_weight <= 1.0)
    {
        return fail("missing", format!("a minimum_weight of {minimum_weight}; give one above 0, at most 1"));
    }
    match (definition.output, definition.return_scale) {
        (OutputKind::Probability, Some(_)) => fail("return_scale", "a probability has none; leave it out".to_owned()),
        (OutputKind::ExpectedReturn, None) => {
            fail("return_scale", "missing; an expected return has no confidence without it".to_owned())
        }
        (OutputKind::ExpectedReturn, Some(scale)) if !(scale.is_finite() && scale > 0.0) => {
            fail("return_scale", format!("{scale}; give a fraction above 0"))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
