//! Returns over a number of bars.

use crate::features::{Family, FeatureBar, Scope};

/// Simple returns.
pub const SIMPLE: Family =
    Family { unit: "ratio", inputs: "close", formula: "C_t / C_(t-n) - 1", source: "TA-Lib ROCP", scope: Scope::Bars };

/// Logarithmic returns.
pub const LOG: Family = Family {
    unit: "ln ratio",
    inputs: "close",
    formula: "ln(C_t / C_(t-n))",
    source: "R TTR, ROC(type = \"continuous\")",
    scope: Scope::Bars,
};

/// From the first bar's close to the last one's.
pub fn simple(bars: &[FeatureBar]) -> f64 {
    let (first, last) = ends(bars);
    last / first - 1.0
}

/// Its logarithm.
pub fn log(bars: &[FeatureBar]) -> f64 {
    let (first, last) = ends(bars);
    (last / first).ln()
}

const fn ends(bars: &[FeatureBar]) -> (f64, f64) {
    match bars {
        [first, .., last] => (first.close, last.close),
        _ => (f64::NAN, f64::NAN),
    }
}
