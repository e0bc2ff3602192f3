//! How good rows are, when the newest row of an instrument falls below a bound and is back above it, and when there are none
//! any more.
//!
//! What is said of it is said once, at the tick at which it was so: nothing takes it back, though a correction may later
//! make the row better.

use serde::{Deserialize, Serialize};
use tidewheel_schemas::{FeatureRow, Instrument};

/// How good a row is, from 0 to 1: the least of the share of its columns that are not null, the share that is warm, and how fresh
/// its joined bars and what they know of quotes, books and marks are, `B / (B + S)` with the base bar's length `B` and the row's
/// staleness `S`. A tombstone is 0.
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

/// What events tell of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QualityBounds {
    /// The quality below which the newest row of an instrument is told of, 0 to 1; see [`quality_of`].
    pub least: Option<f64>,
    /// How far the watermark may pass the end of the bar that is due before the instrument counts as silent, nanoseconds.
    pub silent_after_ns: Option<i64>,
}

impl QualityBounds {
    /// Those that are given; none where none is.
    pub fn of(least: Option<f64>, silent_after_ns: Option<i64>) -> Option<Self> {
        (least.is_some() || silent_after_ns.is_some()).then_some(Self { least, silent_after_ns })
    }
}

/// An instrument has no rows any more while the others go on, or has one again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SilenceChange {
    /// The view's place among those of the configuration.
    pub view: u16,
    /// What was traded.
    pub instrument: Instrument,
    /// Whether it fell silent.
    pub is_silent: bool,
    /// Event time of the last row before the silence, nanoseconds.
    pub since_ns: i64,
    /// How far event time has come: the watermark, or the row that ended the silence, nanoseconds.
    pub until_ns: i64,
}

/// What was last said of an instrument's rows in a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct QualityState {
    /// Event time of the newest row so far.
    newest_ns: i64,
    is_low: bool,
    is_silent: bool,
}

impl Default for QualityState {
    /// Good until a row says otherwise.
    fn default() -> Self {
        Self { newest_ns: i64::MIN, is_low: false, is_silent: false }
    }
}

impl QualityState {
    /// Takes the newest row of a tick. Revisions of rows that are not the newest any more say nothing, and neither do
    /// tombstones. Tells of the end of a silence.
    pub fn take(&mut self, row: &FeatureRow) -> Option<SilenceChange> {
        if row.close_time_ns < self.newest_ns || row.values.is_none() {
            return None;
        }
        let since_ns = std::mem::replace(&mut self.newest_ns, row.close_time_ns);
        if !self.is_silent || row.close_time_ns == since_ns {
            return None;
        }
        self.is_silent = false;
        let (view, instrument, until_ns) = (row.view, row.instrument.clone(), row.close_time_ns);
        Some(SilenceChange { view, instrument, is_silent: false, since_ns, until_ns })
    }

    /// Whether the watermark has passed what is due, and this was not told yet.
    pub fn falls_silent(&mut self, watermark_ns: i64, due_after_ns: i64) -> Option<i64> {
        let is_due = self.newest_ns != i64::MIN && watermark_ns.saturating_sub(self.newest_ns) > due_after_ns;
        if !is_due || std::mem::replace(&mut self.is_silent, true) {
            return None;
        }
        Some(self.newest_ns)
    }

    /// Judges a row that was taken, if it is the newest.
    pub fn judge(&mut self, row: &FeatureRow, bound: f64) -> Option<QualityChange> {
        if row.close_time_ns < self.newest_ns || row.values.is_none() {
            return None;
        }
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
