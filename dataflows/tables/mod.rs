//! The tables beside the bars: which there are in a run, and how what the graph says becomes their rows.
//!
//! | family | rows | kind |
//! | --- | --- | --- |
//! | `features.VIEW` | a view's row for each final bar | view |
//! | `events` | rows of an instrument that are worse than they should be; only where a bound is set | fact |

mod events;
mod features;

pub use events::EventKind;

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
    /// The tables of a run with these views, and with events where a quality is asked for.
    pub fn new(views: &[View], min_quality: Option<f64>) -> Self {
        let of_views = views.iter().map(features::spec);
        let events = Self::events(views, min_quality).map(|_| events::spec());
        Self { specs: of_views.chain(events).map(Arc::new).collect(), views: views.to_vec() }
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
