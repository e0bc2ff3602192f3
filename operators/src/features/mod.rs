//! Features: what the bars of an instrument amount to, a row for each bar that becomes final.
//!
//! ```text
//!   versions of bars ---- series (1 m) --+
//!                  \----- series (5 m) --+-- rows of each view ---- rows
//!                   \---- series (1 h) --+
//!   leaves of minutes ----/
//! ```
//!
//! Only final bars count. A feature is computed once for each interval, however many views show it. Its value depends on the
//! sequence of final bars from the first one on, and on nothing else: when a bar in the middle changes, appears or is lost, all
//! that follow it are computed again from an anchor, and rows that come out with other bits are published as revisions.
//!
//! What the market says beside its trades comes as leaves of minutes, and is joined to the bars of the same time: a bar has what
//! was known when it began, and the leaves of its minutes, of which none holds anything that happened after its close. A leaf
//! that changes is a change of the bars that have it.
//!
//! Deliberately not here: how leaves are made, and whatever is to be done with a row.

mod bar;
mod document;
mod kernel;
mod kernels;
mod leaves;
mod ledger;
mod lookahead;
mod market_bar;
mod nearest;
mod operator;
mod plan;
mod quality;
mod row;
mod saved;
mod series;
mod table;
#[cfg(test)]
mod tests;
mod view;

pub use bar::FeatureBar;
pub use document::document;
pub use kernel::{Kernel, State};
pub use ledger::{FeatureLedger, FeatureSizes, FeaturesConfig};
pub use lookahead::{Finding, Leak, Lookahead, LookaheadCheck, check_lookahead};
pub use market_bar::{MarketAges, MarketBar};
pub use operator::{FeatureStreams, features};
pub use quality::{QualityBounds, QualityChange, SilenceChange, quality_of};
pub use saved::SavedFeatures;
pub use table::{FEATURES, Family, Feature, Scope};
pub use view::{Column, View, ViewError, nearest_name};
