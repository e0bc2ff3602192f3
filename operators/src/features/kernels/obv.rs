//! On-balance volume.

use crate::features::{Family, FeatureBar, Scope};
use serde::{Deserialize, Serialize};

/// The volume that came with rises less that with falls.
pub const OBV: Family = Family {
    unit: "base",
    inputs: "close, volume",
    formula: "O_t = O_(t-1) + V_t where the close rose, - V_t where it fell; begins with the first bar's volume, so that its \
              level depends on the anchor and only its changes do not",
    source: "Granville 1963; TA-Lib OBV",
    scope: Scope::Bars,
};

/// The sum so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Obv {
    sum: f64,
}

impl Obv {
    /// Takes the next bar.
    pub fn next(&mut self, previous: Option<&FeatureBar>, bar: &FeatureBar) -> f64 {
        let change = previous.map_or(1.0, |previous| bar.close - previous.close);
        if change > 0.0 {
            self.sum += bar.volume;
        } else if change < 0.0 {
            self.sum -= bar.volume;
        }
        self.sum
    }
}
