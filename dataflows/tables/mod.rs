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
}

impl Tables {
    /// The tables of a run with these views.
    pub fn new(views: &[View]) -> Self {
        Self { specs: views.iter().map(|view| Arc::new(features::spec(view))).collect() }
    }

    /// What they are, by number.
    pub fn specs(&self) -> &[Arc<TableSpec>] {
        &self.specs
    }

    /// The row of a view's row: views come first, in their order.
    pub(crate) fn of_feature(row: FeatureRow) -> Row {
        features::row(row)
    }
}
