//! The tables beside the bars: which there are in a run, and how what the graph says becomes their rows.
//!
//! | family | rows | kind |
//! | --- | --- | --- |
//! | `features.VIEW` | a view's row for each final bar | view |
//! | `events` | ensembles that took effect, promotions that were refused; rows that are worse than a bound, where one is set | fact |
//! | `predictions` | what the ensemble that decides said of a row of features | fact |
//! | `shadow_predictions` | what a challenger said of it | fact |
//! | `signals` | what was made of a prediction, and why | fact |
//! | `control` | the records of the control topic that were understood | fact |

mod events;
mod facts;
mod features;

pub use events::EventKind;
pub use facts::{EventRow, FactTables, KeptRecord, event_text, signal_text};

use std::sync::Arc;
use tidewheel_operators::features::{QualityChange, View};
use tidewheel_schemas::{FeatureRow, Row, TableSpec};

/// The tables of a run, each at its number.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    specs: Vec<Arc<TableSpec>>,
    /// Views come first.
    views: Vec<View>,
}

impl Tables {
    /// The tables of a run with these views that scores nothing, and with events where a quality is asked for.
    pub fn new(views: &[View], min_quality: Option<f64>) -> Self {
        Self::of_run(views, min_quality, false)
    }

    /// As [`new`](Self::new), and those of scoring where there is any.
    pub fn of_run(views: &[View], min_quality: Option<f64>, is_scored: bool) -> Self {
        let mut specs: Vec<TableSpec> = views.iter().map(features::spec).collect();
        if is_scored || Self::events(views, min_quality).is_some() {
            specs.push(events::spec());
        }
        if is_scored {
            specs.extend(facts::specs());
        }
        Self { specs: specs.into_iter().map(Arc::new).collect(), views: views.to_vec() }
    }

    /// What they are, by number.
    pub fn specs(&self) -> &[Arc<TableSpec>] {
        &self.specs
    }

    /// The row of a view's row: views come first, in their order.
    pub(crate) fn of_feature(row: FeatureRow) -> Row {
        features::row(row)
    }

    /// The number of the table of events, where there is one: after the views.
    fn events(views: &[View], min_quality: Option<f64>) -> Option<u16> {
        min_quality.and_then(|_| u16::try_from(views.len()).ok()).filter(|views| *views > 0)
    }

    /// The row of a change of quality of rows of these views.
    pub(crate) fn of_quality(views: &[View], change: &QualityChange) -> Row {
        let table = Self::events(views, Some(change.bound)).expect("what was judged is the row of a view");
        events::of_quality(table, &views[usize::from(change.view)], change)
    }

    /// The view's row that a row was made of, published at a tick; none where its table is not that of a view, or it does not
    /// have that table's columns. A row that is taken back has lost where it was anchored: that reads as its bar's start.
    pub fn feature_of(&self, row: &Row, tick: u64) -> Option<FeatureRow> {
        features::feature_of(self.views.get(usize::from(row.table))?, row, tick)
    }
}
