//! Cumulative volume delta, from each midnight.

use crate::features::{Family, FeatureBar, Scope};
use serde::{Deserialize, Serialize};
use tidewheel_schemas::Interval;

/// The signed volume of the day so far.
pub const CVD: Family = Family {
    unit: "base",
    inputs: "volume, taker buy volume",
    formula: "sum of signed volume since midnight UTC; null on the day of the first bar, unless that opened at midnight; volume \
              of unknown side counts as sold",
    source: "by definition",
    scope: Scope::Day,
};

/// The sum of the day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cvd {
    /// The midnight it began at; none until a day was seen from its beginning.
    day_ns: Option<i64>,
    sum: f64,
}

impl Cvd {
    /// Takes the next bar. NaN on a day whose beginning was not seen.
    pub fn next(&mut self, previous: Option<&FeatureBar>, bar: &FeatureBar) -> f64 {
        let day = Interval::D1.open_of(bar.open_time_ns);
        let was_another = previous.is_some_and(|previous| Interval::D1.open_of(previous.open_time_ns) != day);
        if was_another || bar.open_time_ns == day {
            *self = Self { day_ns: Some(day), sum: 0.0 };
        }
        self.sum += bar.signed_volume;
        if self.day_ns.is_some() { self.sum } else { f64::NAN }
    }
}
