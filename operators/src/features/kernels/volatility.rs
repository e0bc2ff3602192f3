//! Volatilities, each for one bar: multiply by the root of the bars in a year for a yearly one (525,600 for minutes).

use super::{mean, squared_distances};
use crate::features::{Family, FeatureBar, Scope};
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;

/// What is the same for all of them.
const PER_BAR: Family = Family {
    unit: "ln ratio per root bar",
    inputs: "open, high, low, close",
    formula: "",
    source: "",
    scope: Scope::Bars,
};

/// Of closes, about their mean.
pub const CLOSE_TO_CLOSE: Family = Family {
    inputs: "close",
    formula: "sqrt(sum (r - mean r)^2 / (n - 2)) over the n - 1 returns r = ln(C_i / C_(i-1)) of n bars",
    source: "R TTR, volatility(calc = \"close\"), N = 1",
    ..PER_BAR
};

/// Of closes, about zero, and not divided: of all the bars together.
pub const REALISED: Family = Family {
    unit: "ln ratio over n bars",
    inputs: "close",
    formula: "sqrt(sum r^2) over n returns r = ln(C_i / C_(i-1))",
    source: "Andersen and Bollerslev 1998",
    scope: Scope::Bars,
};

/// Of ranges.
pub const PARKINSON: Family = Family {
    inputs: "high, low",
    formula: "sqrt(sum ln(H / L)^2 / (4 n ln 2))",
    source: "Parkinson 1980; R TTR, volatility(calc = \"parkinson\"), N = 1",
    ..PER_BAR
};

/// Of ranges and bodies.
pub const GARMAN_KLASS: Family = Family {
    formula: "sqrt(sum (0.5 ln(H / L)^2 - (2 ln 2 - 1) ln(C / O)^2) / n)",
    source: "Garman and Klass 1980; R TTR, volatility(calc = \"garman.klass\"), N = 1",
    ..PER_BAR
};

/// Of ranges, whatever the drift.
pub const ROGERS_SATCHELL: Family = Family {
    formula: "sqrt(sum (ln(H / C) ln(H / O) + ln(L / C) ln(L / O)) / n)",
    source: "Rogers and Satchell 1991; R TTR, volatility(calc = \"rogers.satchell\"), N = 1",
    ..PER_BAR
};

/// Of ranges and gaps.
pub const YANG_ZHANG: Family = Family {
    formula: "sqrt(var(ln(O_i / C_(i-1))) + k var(ln(C / O)) + (1 - k) RS^2) over n bars and the close before them; var over \
              n - 1, k = 0.34 / (1.34 + (n + 1) / (n - 1)), RS that of Rogers and Satchell",
    source: "Yang and Zhang 2000; R TTR, volatility(calc = \"yang.zhang\"), N = 1",
    ..PER_BAR
};

/// Of closes, the newest weighing most.
pub const EWMA: Family = Family {
    inputs: "close",
    formula: "sqrt(s_t), s_t = 0.94 s_(t-1) + 0.06 r_t^2, r_t = ln(C_t / C_(t-1)) included, seeded with the first r^2",
    source: "RiskMetrics 1996, lambda 0.94",
    ..PER_BAR
};

/// Over the bars' closes: one return less than bars.
pub fn close_to_close(bars: &[FeatureBar]) -> f64 {
    let returns: Vec<f64> = log_returns(bars).collect();
    (squared_distances(returns.iter().copied()) / (bars.len() as f64 - 2.0)).sqrt()
}

/// Over the bars' closes: one return less than bars.
pub fn realised(bars: &[FeatureBar]) -> f64 {
    log_returns(bars).map(square).sum::<f64>().sqrt()
}

/// Over the bars.
pub fn parkinson(bars: &[FeatureBar]) -> f64 {
    (mean(bars.iter().map(|bar| square(bar.log_range))) / (4.0 * LN_2)).sqrt()
}

/// Over the bars.
pub fn garman_klass(bars: &[FeatureBar]) -> f64 {
    let terms = bars.iter().map(|bar| 0.5 * square(bar.log_range) - (2.0 * LN_2 - 1.0) * square(bar.log_body));
    mean(terms).sqrt()
}

/// Over the bars.
pub fn rogers_satchell(bars: &[FeatureBar]) -> f64 {
    driftless_variance(bars).sqrt()
}

/// Over all bars but the first, of which only the close counts.
pub fn yang_zhang(bars: &[FeatureBar]) -> f64 {
    let count = bars.len() as f64 - 1.0;
    let gaps: Vec<f64> = bars.windows(2).map(|pair| (pair[1].open / pair[0].close).ln()).collect();
    let share = 0.34 / (1.34 + (count + 1.0) / (count - 1.0));
    let of_gaps = squared_distances(gaps.iter().copied()) / (count - 1.0);
    let of_bodies = squared_distances(bars[1..].iter().map(|bar| bar.log_body)) / (count - 1.0);
    (of_gaps + share * of_bodies + (1.0 - share) * driftless_variance(&bars[1..])).sqrt()
}

fn driftless_variance(bars: &[FeatureBar]) -> f64 {
    mean(bars.iter().map(|bar| bar.driftless_variance))
}

fn log_returns(bars: &[FeatureBar]) -> impl ExactSizeIterator<Item = f64> {
    bars.windows(2).map(|pair| (pair[1].close / pair[0].close).ln())
}

fn square(value: f64) -> f64 {
    value * value
}

/// The part of its value that the variance keeps at each step.
pub const LAMBDA: f64 = 0.94;

/// An exponentially weighted variance of log returns.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct EwmaVariance {
    variance: Option<f64>,
}

impl EwmaVariance {
    /// Takes the next bar and tells the root. NaN at the first.
    pub fn next(&mut self, previous: Option<&FeatureBar>, bar: &FeatureBar) -> f64 {
        let Some(previous) = previous else { return f64::NAN };
        let squared = square((bar.close / previous.close).ln());
        let variance = self.variance.map_or(squared, |variance| LAMBDA * variance + (1.0 - LAMBDA) * squared);
        self.variance = Some(variance);
        variance.sqrt()
    }
}
