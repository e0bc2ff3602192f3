//! The time of day and of the week, as places on a circle.

use crate::features::{Family, FeatureBar, Scope};
use std::f64::consts::TAU;
use tidewheel_schemas::{Interval, SECOND_NS};

/// Of the day.
pub const TIME_OF_DAY: Family = Family {
    unit: "-1 to 1",
    inputs: "close time",
    formula: "sine and cosine of 2 pi times the part of the UTC day that has gone at the bar's close",
    source: "by definition",
    scope: Scope::Clock,
};

/// Of the week.
pub const TIME_OF_WEEK: Family = Family {
    unit: "-1 to 1",
    inputs: "close time",
    formula: "sine and cosine of 2 pi times the part of the week, from Monday 00:00 UTC, that has gone at the bar's close",
    source: "by definition",
    scope: Scope::Clock,
};

const DAY_NS: i64 = Interval::D1.duration_ns();
const WEEK_NS: i64 = 7 * DAY_NS;
/// The epoch was a Thursday.
const EPOCH_IN_WEEK_NS: i64 = 3 * DAY_NS;

/// Sine of the time of day.
pub fn day_sin(bars: &[FeatureBar]) -> f64 {
    angle(bars, DAY_NS, 0).sin()
}

/// Cosine of the time of day.
pub fn day_cos(bars: &[FeatureBar]) -> f64 {
    angle(bars, DAY_NS, 0).cos()
}

/// Sine of the time of the week.
pub fn week_sin(bars: &[FeatureBar]) -> f64 {
    angle(bars, WEEK_NS, EPOCH_IN_WEEK_NS).sin()
}

/// Cosine of the time of the week.
pub fn week_cos(bars: &[FeatureBar]) -> f64 {
    angle(bars, WEEK_NS, EPOCH_IN_WEEK_NS).cos()
}

fn angle(bars: &[FeatureBar], period_ns: i64, epoch_ns: i64) -> f64 {
    let Some(bar) = bars.last() else { return f64::NAN };
    let gone_ns = (bar.close_time_ns + epoch_ns).rem_euclid(period_ns);
    // Whole seconds, so that the ratio is rounded once.
    TAU * ((gone_ns / SECOND_NS) as f64 / (period_ns / SECOND_NS) as f64)
}
