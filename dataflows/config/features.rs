//! The `[features]` section: which views are computed.

use super::TimeSpan;
use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};
use tidewheel_operators::features::{QualityBounds, View, ViewError};
use tidewheel_schemas::Interval;

/// Features: a row for each bar that becomes final, and a revision of it when something that it depends on is corrected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(default, deny_unknown_fields)]
pub struct FeaturesSection {
    /// The views to compute: `core_technical`, `core_microstructure`, and any defined here. Each has a topic `PREFIX.features.VIEW` and a folder of the
    /// lake. `tidewheel features list` shows what there is; none where the list is empty.
    pub views: Vec<String>,
    /// Views of your own: a name, a version to be counted up with each change, the interval whose bars make the rows, and
    /// columns, those over longer bars with their interval in front.
    /// Example: `[{ name = "mine", version = 1, base = "1m", columns = ["rsi_14@talib", "1h.atr_14@talib"] }]`
    pub define: Option<Vec<ViewDefinition>>,
    /// The quality, 0 to 1, below which the newest row of an instrument raises an event in the table `events`, and another when
    /// it is back. A row's quality is the least of the share of columns that are not null, the share that is warm, and
    /// B / (B + S) of the base bar's length B and the row's staleness S: how far the bars that it joins, and the quotes, books
    /// and marks that its columns look at, are behind. None where it is not set.
    /// Example: `0.8`
    pub min_quality: Option<Share>,
    /// How far event time may pass the end of the bar that is due before an instrument that has had rows counts as silent and
    /// raises an event in the table `events`, and another with its next row. None where it is not set.
    /// Example: `"15m"`
    pub silent_after: Option<TimeSpan>,
}

/// A number from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Share(f64);

/// It is never NaN.
impl Eq for Share {}

impl TryFrom<f64> for Share {
    type Error = &'static str;

    fn try_from(number: f64) -> Result<Self, Self::Error> {
        if (0.0..=1.0).contains(&number) { Ok(Self(number)) } else { Err("expected a number from 0 to 1") }
    }
}

impl From<Share> for f64 {
    fn from(share: Share) -> Self {
        share.0
    }
}

/// A view as it is configured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewDefinition {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// The interval whose bars make its rows.
    pub base: Interval,
    /// Its columns, in order.
    pub columns: Vec<String>,
}

impl Default for FeaturesSection {
    fn default() -> Self {
        Self { views: vec!["core_technical".to_owned()], define: None, min_quality: None, silent_after: None }
    }
}

impl FeaturesSection {
    /// What events tell of rows, if anything.
    pub fn bounds(&self) -> Option<QualityBounds> {
        QualityBounds::of(self.min_quality.map(f64::from), self.silent_after.map(TimeSpan::as_ns))
    }
}

impl ViewDefinition {
    /// The view.
    ///
    /// # Errors
    /// If it names what is not there.
    pub fn resolve(&self) -> Result<View, ViewError> {
        View::resolve(&self.name, self.version, self.base, &self.columns)
    }

    /// What defines a view.
    pub fn of(view: &View) -> Self {
        Self { name: view.name.clone(), version: view.version, base: view.base, columns: view.column_names() }
    }
}

impl FeaturesSection {
    /// All views that can be named: built in, and defined here.
    ///
    /// # Errors
    /// If a definition cannot be; the message names it.
    pub fn known(&self) -> Result<Vec<View>, String> {
        let mut known = View::built_in();
        for definition in self.define.iter().flatten() {
            if known.iter().any(|view| view.name == definition.name) {
                return Err(format!("view {:?} is defined twice, or comes with the program", definition.name));
            }
            known.push(definition.resolve().map_err(|error| format!("view {:?}: {error}", definition.name))?);
        }
        Ok(known)
    }

    /// The views to compute.
    ///
    /// # Errors
    /// If a definition cannot be, or a view is not known or named twice.
    pub fn resolve(&self) -> Result<Vec<View>, String> {
        let known = self.known()?;
        let mut views: Vec<View> = Vec::with_capacity(self.views.len());
        for name in &self.views {
            if views.iter().any(|view| view.name == *name) {
                return Err(format!("view {name:?} is named twice"));
            }
            let found = known.iter().find(|view| view.name == *name).cloned();
            let names = || known.iter().map(|view| view.name.as_str()).collect::<Vec<_>>().join(", ");
            views.push(found.ok_or_else(|| format!("there is no view {name:?}; there are {}", names()))?);
        }
        Ok(views)
    }
}
