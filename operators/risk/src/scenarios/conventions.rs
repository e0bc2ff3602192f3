//! Value at risk as other libraries reckon it, under their names: for reports that must agree with them.
//!
//! Returns in, in any order, none of them not a number; at least one, or the result is not a number. The sign is each library's own.

use super::tail::{Confidence, deviation, mean};

fn sorted(returns: &[f64]) -> Vec<f64> {
    let mut sorted = returns.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

/// `numpy.percentile(returns, 100 * part)` with its default, linear interpolation.
fn percentile_linear(returns: &[f64], part: f64) -> f64 {
    let sorted = sorted(returns);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let at = last as f64 * part;
    let (below, above) = (sorted[at.floor() as usize], sorted[(at.ceil() as usize).min(last)]);
    let share = at.fract();
    // As numpy does it, from the nearer end.
    if share < 0.5 { (above - below).mul_add(share, below) } else { above - (above - below) * (1.0 - share) }
}

/// The loss by NumPy's linear interpolation, above zero.
pub fn numpy_var(returns: &[f64], confidence: f64) -> f64 {
    -percentile_linear(returns, 1.0 - confidence)
}

/// `RiskStatistics::valueAtRisk` of QuantLib 1.44: the inverted distribution function, a gain being no loss. Confidence in [0.9, 1).
pub fn quantlib_var(returns: &[f64], confidence: f64) -> f64 {
    let sorted = sorted(returns);
    let target = (1.0 - confidence) * sorted.len() as f64;
    // The first whose share of the weights, with its own, reaches the target.
    let at = sorted.iter().enumerate().position(|(before, _)| (before + 1) as f64 >= target);
    at.map_or(f64::NAN, |at| -sorted[at].min(0.0))
}

/// `RiskStatistics::expectedShortfall` of QuantLib 1.44: the mean of what is strictly below the value at risk, a gain being no loss.
/// None where nothing is, which QuantLib answers with an error.
pub fn quantlib_shortfall(returns: &[f64], confidence: f64) -> Option<f64> {
    let bound = -quantlib_var(returns, confidence);
    let beyond: Vec<f64> = sorted(returns).into_iter().filter(|value| *value < bound).collect();
    (!beyond.is_empty()).then(|| -mean(&beyond).min(0.0))
}

/// `empyrical.value_at_risk`: below zero for a loss, linear interpolation.
pub fn empyrical_var(returns: &[f64], cutoff: f64) -> f64 {
    percentile_linear(returns, cutoff)
}

/// `empyrical.conditional_value_at_risk`: the mean of the `int((n - 1) * cutoff) + 1` lowest, below zero for a loss.
pub fn empyrical_cvar(returns: &[f64], cutoff: f64) -> f64 {
    let sorted = sorted(returns);
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    mean(&sorted[..=(last as f64 * cutoff) as usize])
}

/// `-mean + z * deviation` (ddof 1), above zero for a loss.
pub fn normal_var(returns: &[f64], confidence: Confidence) -> f64 {
    confidence.quantile().mul_add(deviation(returns), -mean(returns))
}

/// `-mean + deviation * density(z) / (1 - confidence)` (ddof 1).
pub fn normal_shortfall(returns: &[f64], confidence: Confidence) -> f64 {
    confidence.shortfall().mul_add(deviation(returns), -mean(returns))
}
