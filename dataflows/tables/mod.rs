//! The tables beside the bars: which there are in a run, and how what the graph says becomes their rows.
//!
//! | family | rows | kind |
//! | --- | --- | --- |
//! | `features.VIEW` | a view's row for each final bar | view |

mod features;

use std::sync::Arc;
use tidewheel_operators::features::View;
use tidewheel_schemas::{FeatureRow, Row, TableSpec};

/// The tables of a run, each at its number.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    specs: Vec<Arc<TableSpec>>,
    /// Views come first.
    views: Vec<View>,
}

impl Tables {
    /// The tables of a run with these views.
    pub fn new(views: &[View]) -> Self {
        Self { specs: views.iter().map(|view| Arc::new(features::spec(view))).collect(), views: views.to_vec() }
    }

    /// What they are, by number.
    pub fn specs(&self) -> &[Arc<TableSpec>] {
        &self.specs
    }

    /// The row of a view's row: views come first, in their order.
    pub(crate) fn of_feature(row: FeatureRow) -> Row {
        features::row(row)
    }

    /// The view's row that a row was made of, published at a tick; none where its table is not that of a view, or it does not
    /// have that table's columns. A row that is taken back has lost where it was anchored: that reads as its bar's start.
    pub fn feature_of(&self, row: &Row, tick: u64) -> Option<FeatureRow> {
        features::feature_of(self.views.get(usize::from(row.table))?, row, tick)
    }
}
