//! Value at risk and expected shortfall of a vector of profits, and what each part of it contributes.

use crate::exact::mul_div;
use serde::{Deserialize, Serialize};

/// The decay of the weights of `ewma`, RiskMetrics 1996: the newest scenario weighs most.
pub const EWMA_DECAY: f64 = 0.94;

/// How sure one wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confidence {
    /// 95 %.
    P95,
    /// 99 %.
    P99,
}

impl Confidence {
    /// One less the confidence, in hundredths.
    const fn tail_percent(self) -> usize {
        match self {
            Self::P95 => 5,
            Self::P99 => 1,
        }
    }

    /// The quantile of the standard normal distribution.
    pub const fn quantile(self) -> f64 {
        match self {
            Self::P95 => 1.644_853_626_951_472_2,
            Self::P99 => 2.326_347_874_040_840_8,
        }
    }

    /// One less the confidence.
    pub const fn tail(self) -> f64 {
        match self {
            Self::P95 => 0.05,
            Self::P99 => 0.01,
        }
    }

    /// How many of so many observations are at or beyond the value at risk, at least one: `ceil(n * tail)`, without a float.
    pub const fn worst(self, observations: usize) -> usize {
        (observations * self.tail_percent()).div_ceil(100)
    }

    /// Mean of the normal distribution beyond its quantile, in deviations: the density there over the tail.
    pub fn shortfall(self) -> f64 {
        (-self.quantile().powi(2) / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() / self.tail()
    }
}

/// How much may be lost over one step of the bars. Losses are above zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail {
    /// How many scenarios it is of.
    pub scenarios: usize,
    /// The loss that the inverted distribution function gives, sixteen decimals: an observation. That of a sum can be more than the sum of
    /// those of its parts.
    pub historical_var_95_e16: i128,
    /// The same at 99 %.
    pub historical_var_99_e16: i128,
    /// The mean of the `ceil(n * 5 %)` worst, which are those at or beyond the value at risk, ties counted up to that number.
    ///
    /// The count is the same for every portfolio of the same scenarios, so that the shortfall of a sum is at most the sum of
    /// the shortfalls. Of the value at risk itself that is not true: losses that are rare in each part are less rare in the sum.
    pub historical_es_95_e16: i128,
    /// The same at 99 %.
    pub historical_es_99_e16: i128,
    /// `-mean + z * deviation`, ddof 1.
    pub parametric_var_95: f64,
    /// The same at 99 %.
    pub parametric_var_99: f64,
    /// `-mean + deviation * density(z) / tail`.
    pub parametric_es_95: f64,
    /// The same at 99 %.
    pub parametric_es_99: f64,
    /// `z * deviation` with mean zero and exponential weights.
    pub ewma_var_95: f64,
    /// The same at 99 %.
    pub ewma_var_99: f64,
}

impl Tail {
    /// Of profits with seventeen decimals, from the oldest scenario to the newest. None of fewer than two.
    pub fn of(profits_e17: &[i128]) -> Option<Self> {
        if profits_e17.len() < 2 {
            return None;
        }
        let mut sorted = profits_e17.to_vec();
        sorted.sort_unstable();
        let (var_95, es_95) = historical_tail(&sorted, Confidence::P95)?;
        let (var_99, es_99) = historical_tail(&sorted, Confidence::P99)?;
        let profits: Vec<f64> = profits_e17.iter().map(|profit| *profit as f64 / 1e17).collect();
        let (mean, deviation, ewma) = (mean(&profits), deviation(&profits), ewma_deviation(&profits));
        let parametric = |confidence: Confidence| confidence.quantile().mul_add(deviation, -mean);
        let shortfall = |confidence: Confidence| confidence.shortfall().mul_add(deviation, -mean);
        Some(Self {
            scenarios: sorted.len(),
            historical_var_95_e16: var_95,
            historical_var_99_e16: var_99,
            historical_es_95_e16: es_95,
            historical_es_99_e16: es_99,
            parametric_var_95: parametric(Confidence::P95),
            parametric_var_99: parametric(Confidence::P99),
            parametric_es_95: shortfall(Confidence::P95),
            parametric_es_99: shortfall(Confidence::P99),
            ewma_var_95: Confidence::P95.quantile() * ewma,
            ewma_var_99: Confidence::P99.quantile() * ewma,
        })
    }
}

/// Value at risk and expected shortfall, sixteen decimals rounded half to even, of ascending profits with seventeen. None of nothing.
pub fn historical_tail(sorted_e17: &[i128], confidence: Confidence) -> Option<(i128, i128)> {
    let worst = sorted_e17.get(..confidence.worst(sorted_e17.len()))?;
    let at = worst.last()?;
    // Of bounded profits the sum fits: a scenario's profit is below 10^37, and a tail has at most a few dozen.
    let sum = worst.iter().try_fold(0i128, |sum, profit| sum.checked_add(*profit))?;
    Some((-mul_div(*at, 1, 10)?, -mul_div(sum, 1, 10 * worst.len() as i128)?))
}

/// The mean, summed in order.
pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The standard deviation with ddof 1; not a number of fewer than two values.
pub fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / (values.len() as f64 - 1.0)).sqrt()
}

/// The deviation about zero with exponential weights, newest (last) first: weights `decay^k`, over their sum.
pub fn ewma_deviation(values: &[f64]) -> f64 {
    let (mut weight, mut weights, mut squares) = (1.0, 0.0, 0.0);
    for value in values.iter().rev() {
        squares += weight * value * value;
        weights += weight;
        weight *= EWMA_DECAY;
    }
    (squares / weights).sqrt()
}

/// What each part contributes to the parametric value at risk of their sum: `-mean_i + z * cov(part_i, sum) / deviation(sum)`.
///
/// The contributions add up to it (Euler, since it is homogeneous of degree one). A part may contribute less than nothing: it
/// hedges. Parts are profits by scenario, all of one length, two or more.
pub fn component_var(parts: &[Vec<f64>], confidence: Confidence) -> Vec<f64> {
    let scenarios = parts.first().map_or(0, Vec::len);
    let total: Vec<f64> = (0..scenarios).map(|at| parts.iter().map(|part| part[at]).sum()).collect();
    let (total_mean, total_deviation) = (mean(&total), deviation(&total));
    let contribution = |part: &Vec<f64>| {
        let part_mean = mean(part);
        let products = part.iter().zip(&total).map(|(one, other)| (one - part_mean) * (other - total_mean));
        let covariance = products.sum::<f64>() / (scenarios as f64 - 1.0);
        // Without any deviation there is none to share out.
        let share = if total_deviation > 0.0 { covariance / total_deviation } else { 0.0 };
        confidence.quantile().mul_add(share, -part_mean)
    };
    parts.iter().map(contribution).collect()
}
