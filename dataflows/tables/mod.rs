//! The tables beside the bars: which there are in a run, and how what the graph says becomes their rows.
//!
//! | family | rows | kind |
//! | --- | --- | --- |
//! | `features.VIEW` | a view's row for each final bar | view |
//! | `hourly_volume` | what was traded in each hour, where asked for | view |
//! | `events` | ensembles that took effect, promotions that were refused; rows that are worse than a bound, where one is set; gaps in books, where features are made of them | fact |
//! | `predictions` | what the ensemble that decides said of a row of features | fact |
//! | `shadow_predictions` | what a challenger said of it | fact |
//! | `signals` | what was made of a prediction, and why | fact |
//! | `control` | the records of the control topic that were understood | fact |
//! | `positions`, `risk`, `risk_events`, `order_decisions` | what accounts hold, could lose, and may do, where risk is on: see [`risk`] | fact |

mod events;
mod facts;
mod features;
mod hourly;
pub mod risk;

pub use events::EventKind;
pub use facts::{EventRow, FactTables, KeptRecord, event_text, signal_text};

use risk::RiskTables;
use std::sync::Arc;
use tidewheel_operators::features::{QualityBounds, QualityChange, SilenceChange, View};
use tidewheel_operators::hourly::HourRow;
use tidewheel_operators::market::GapChange;
use tidewheel_schemas::{FeatureRow, Row, TableSpec};

/// The tables of a run, each at its number.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    specs: Vec<Arc<TableSpec>>,
    /// Views come first.
    views: Vec<View>,
    risk: Option<RiskTables>,
}

impl Tables {
    /// The tables of a run with these views that scores nothing, and with events where a quality is asked for.
    pub fn new(views: &[View], min_quality: Option<QualityBounds>) -> Self {
        Self::of_run(views, min_quality, false)
    }

    /// As [`new`](Self::new), and those of scoring where there is any.
    pub fn of_run(views: &[View], min_quality: Option<QualityBounds>, is_scored: bool) -> Self {
        let mut specs: Vec<TableSpec> = views.iter().map(features::spec).collect();
        if Self::events(views, min_quality, is_scored).is_some() {
            specs.push(events::spec());
        }
        if is_scored {
            specs.extend(facts::specs());
        }
        Self { specs: specs.into_iter().map(Arc::new).collect(), views: views.to_vec(), risk: None }
    }

    /// These and that of the volume of hours, which comes after them.
    #[must_use]
    pub fn with_hourly_volume(mut self, is_there: bool) -> Self {
        if is_there {
            self.specs.push(Arc::new(hourly::spec()));
        }
        self
    }

    /// These and those of risk, which come last.
    #[must_use]
    pub fn with_risk(mut self, is_there: bool, is_scored: bool) -> Self {
        if is_there {
            self.risk = Some(RiskTables::new(self.specs.len() as u16, is_scored));
            self.specs.extend(risk::specs(is_scored).into_iter().map(Arc::new));
        }
        self
    }

    /// Where the tables of risk stand, where there are any.
    pub const fn risk(&self) -> Option<RiskTables> {
        self.risk
    }

    /// The row of an hour in the table of a number.
    pub(crate) fn of_hour(table: u16, hour: HourRow) -> Row {
        hourly::row(table, hour)
    }

    /// What they are, by number.
    pub fn specs(&self) -> &[Arc<TableSpec>] {
        &self.specs
    }

    /// The row of a view's row: views come first, in their order.
    pub(crate) fn of_feature(row: FeatureRow) -> Row {
        features::row(row)
    }

    /// The number of the table of events, after the views. There is one where rows are scored, where a quality is asked for, and
    /// where rows have features of books, which gaps can take away.
    pub(crate) fn events(views: &[View], min_quality: Option<QualityBounds>, is_scored: bool) -> Option<u16> {
        let is_judged = min_quality.is_some() && !views.is_empty();
        let has_events = is_scored || is_judged || views.iter().any(View::has_market);
        has_events.then(|| u16::try_from(views.len()).expect("fewer than 2^16 views"))
    }

    /// The row of a gap in a book, or of its end.
    pub(crate) fn of_gap(table: u16, gap: &GapChange) -> Row {
        events::of_gap(table, gap)
    }

    /// The row of a change of quality of rows of these views.
    pub(crate) fn of_quality(views: &[View], change: &QualityChange) -> Row {
        events::of_quality(Self::judged(views), &views[usize::from(change.view)], change)
    }

    /// The row of a silence, or of its end.
    pub(crate) fn of_silence(views: &[View], change: &SilenceChange) -> Row {
        events::of_silence(Self::judged(views), &views[usize::from(change.view)], change)
    }

    /// The number of the table of events where rows are judged: it comes after the views.
    fn judged(views: &[View]) -> u16 {
        u16::try_from(views.len()).expect("fewer than 2^16 views")
    }

    /// The view's row that a row was made of, published at a tick; none where its table is not that of a view, or it does not
    /// have that table's columns. A row that is taken back has lost where it was anchored: that reads as its bar's start.
    pub fn feature_of(&self, row: &Row, tick: u64) -> Option<FeatureRow> {
        features::feature_of(self.views.get(usize::from(row.table))?, row, tick)
    }
}
