//! The tables beside the bars: which there are in a run, and how what the graph says becomes their rows.
//!
//! | family | rows | kind |
//! | --- | --- | --- |
//! | `features.VIEW` | a view's row for each final bar | view |
//! | `predictions` | what the ensemble that decides said of a row of features | fact |
//! | `shadow_predictions` | what a challenger said of it | fact |
//! | `signals` | what was made of a prediction, and why | fact |
//! | `events` | ensembles that took effect, promotions that were refused | fact |
//! | `control` | the records of the control topic that were understood | fact |

mod facts;
mod features;

pub use facts::{EventRow, FactTables, KeptRecord, event_text};

use std::sync::Arc;
use tidewheel_operators::features::View;
use tidewheel_schemas::{FeatureRow, Row, TableSpec};

/// The tables of a run, each at its number.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    specs: Vec<Arc<TableSpec>>,
}

impl Tables {
    /// The tables of a run with these views, and those of scoring where there is any.
    pub fn new(views: &[View], is_scored: bool) -> Self {
        let mut specs: Vec<_> = views.iter().map(|view| Arc::new(features::spec(view))).collect();
        if is_scored {
            specs.extend(facts::specs().map(Arc::new));
        }
        Self { specs }
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
