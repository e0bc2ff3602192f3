//! How good rows are, and when the newest row of an instrument falls below a bound and is back above it.
//!
//! What is said of it is said once, at the tick at which it was so: nothing takes it back, though a correction may later
//! make the row better.

use serde::{Deserialize, Serialize};
use tidewheel_schemas::{FeatureRow, Instrument};

/// How good a row is, from 0 to 1: the least of the share of its columns that are not null, the share that is warm, and how fresh
/// its joined bars are, `B / (B + S)` with the base bar's length `B` and the row's staleness `S`. A tombstone is 0.
///
/// # Example
/// ```
/// use tidewheel_operators::features::quality_of;
/// use tidewheel_schemas::{FeatureRow, Instrument};
///
/// let row = FeatureRow {
///     view: 0,
///     instrument: Instrument::new("binance", "BTCUSDT").expect("a name"),
///     open_time_ns: 0,
///     close_time_ns: 60_000_000_000,
///     tick: 60_100,
///     revision: 0,
///     is_ready: true,
///     null_share: 0.1,
///     warm_share: 0.8,
///     staleness_ns: 0,
///     anchor_time_ns: 0,
///     values: Some([Some(1.0)].into()),
/// };
/// assert_eq!(quality_of(&row), 0.8);
/// // Of a joined bar the newest is missing, as long as two base bars.
/// assert_eq!(quality_of(&FeatureRow { staleness_ns: 120_000_000_000, ..row }), 1.0 / 3.0);
/// ```
pub fn quality_of(row: &FeatureRow) -> f64 {
    if row.values.is_none() {
        return 0.0;
    }
    let base_ns = (row.close_time_ns - row.open_time_ns) as f64;
    let fresh = base_ns / (base_ns + row.staleness_ns as f64);
    (1.0 - row.null_share).min(row.warm_share).min(fresh)
}

/// The newest row of an instrument fell below the bound, or is back.
#[derive(Clone, Debug, PartialEq)]
pub struct QualityChange {
    /// The view's place among those of the configuration.
    pub view: u16,
    /// What was traded.
    pub instrument: Instrument,
    /// The row's event time, nanoseconds.
    pub close_time_ns: i64,
    /// Whether it fell below the bound.
    pub is_low: bool,
    /// How good the row is.
    pub quality: f64,
    /// The bound.
    pub bound: f64,
    /// As the row says.
    pub null_share: f64,
    /// As the row says.
    pub warm_share: f64,
    /// As the row says, nanoseconds.
    pub staleness_ns: i64,
}

/// What was last said of an instrument's rows in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QualityState {
    /// Event time of the newest row so far.
    newest_ns: i64,
    is_low: bool,
}

impl Default for QualityState {
    /// Good until a row says otherwise.
    fn default() -> Self {
        Self { newest_ns: i64::MIN, is_low: false }
    }
}

impl QualityState {
    /// Takes the newest row of a tick. Revisions of rows that are not the newest any more say nothing, and neither do
    /// tombstones.
    pub fn judge(&mut self, row: &FeatureRow, bound: f64) -> Option<QualityChange> {
        if row.close_time_ns < self.newest_ns || row.values.is_none() {
            return None;
        }
        self.newest_ns = row.close_time_ns;
        let quality = quality_of(row);
        let is_low = quality < bound;
        if std::mem::replace(&mut self.is_low, is_low) == is_low {
            return None;
        }
        Some(QualityChange {
            view: row.view,
            instrument: row.instrument.clone(),
            close_time_ns: row.close_time_ns,
            is_low,
            quality,
            bound,
            null_share: row.null_share,
            warm_share: row.warm_share,
            staleness_ns: row.staleness_ns,
        })
    }
}
