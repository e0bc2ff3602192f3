//! The settings that answers depend on. They are written into every log of ticks and every snapshot, and compared before
//! either is used again: state computed under others would give answers that no run gives.

use crate::config::{Cadence, Config, Share, TimeSpan, ViewDefinition};
use crate::scoring::ScoringRules;
use serde::{Deserialize, Serialize};
use tidewheel_operators::features::{QualityBounds, View};
use tidewheel_operators::risk::RiskConfig;
use tidewheel_schemas::Interval;

/// Counts the changes of the program after which the same ticks give other answers, or state is written in another form.
pub const ANSWERS: u32 = 5;

/// What the answers of a run depend on, by the names of the configuration's fields.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// [`ANSWERS`] of the program.
    #[serde(rename = "program's form of answers")]
    pub answers: u32,
    /// Intervals published.
    #[serde(rename = "bars.intervals")]
    pub intervals: Vec<Interval>,
    /// Allowed lateness.
    #[serde(rename = "bars.lateness")]
    pub lateness: TimeSpan,
    /// Correction horizon.
    #[serde(rename = "bars.horizon")]
    pub horizon: TimeSpan,
    /// Allowed skew.
    #[serde(rename = "bars.skew")]
    pub skew: TimeSpan,
    /// Cadence of provisional bars.
    #[serde(rename = "bars.provisional_every")]
    pub provisional_every: Cadence,
    /// The views that are computed.
    #[serde(rename = "features.views")]
    pub views: Vec<ViewDefinition>,
    /// What their columns mean: view and features with their versions.
    #[serde(rename = "versions of features")]
    pub contracts: Vec<Vec<String>>,
    /// How rows are scored, where they are.
    #[serde(rename = "control, scoring and signals", default)]
    pub scoring: Option<ScoringRules>,
    /// The quality below which rows raise events.
    #[serde(rename = "features.min_quality", default)]
    pub min_quality: Option<Share>,
    /// How long after its due bar an instrument counts as silent.
    #[serde(rename = "features.silent_after", default)]
    pub silent_after: Option<TimeSpan>,
    /// Whether the volume of hours has a table.
    #[serde(rename = "bars.hourly_volume", default)]
    pub hourly_volume: bool,
    /// What risk computes, where it does.
    #[serde(rename = "risk", default)]
    pub risk: Option<RiskRules>,
    /// How messages are read.
    #[serde(rename = "source")]
    pub source: serde_json::Value,
}

/// What risk depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RiskRules {
    /// Where orders come from, if any come.
    pub topic: Option<String>,
    /// What it computes.
    pub config: RiskConfig,
}

impl RiskRules {
    fn of(config: &Config) -> Option<Self> {
        Some(Self { topic: config.control.topic.clone(), config: config.risk_config()? })
    }
}

impl Settings {
    /// Those of a configuration.
    pub fn of(config: &Config) -> Self {
        let bars = &config.bars;
        let mut intervals = bars.intervals.clone();
        intervals.sort_unstable();
        let source = &config.source;
        let source = serde_json::json!({
            "format": source.format,
            "venue": source.venue,
            "symbol": source.symbol,
            "isolation": source.isolation,
            "max_message_bytes": source.max_message_bytes,
            "coinbase_advanced_maker_side": source.coinbase_advanced_maker_side,
            "market": source.market,
            "csv": source.csv,
        });
        Self {
            answers: ANSWERS,
            intervals,
            lateness: bars.lateness,
            horizon: bars.horizon,
            skew: bars.skew,
            provisional_every: bars.provisional_every,
            views: config.views().iter().map(ViewDefinition::of).collect(),
            contracts: config.views().iter().map(View::contract).collect(),
            scoring: config.scoring_rules(),
            min_quality: config.features.min_quality,
            silent_after: config.features.silent_after,
            hourly_volume: bars.hourly_volume,
            risk: RiskRules::of(config),
            source,
        }
    }

    /// What events tell of rows, if anything.
    pub fn quality(&self) -> Option<QualityBounds> {
        QualityBounds::of(self.min_quality.map(f64::from), self.silent_after.map(TimeSpan::as_ns))
    }

    /// What differs, as `bars.lateness was "5s" and is "10s"`.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let (mut was, mut is) = (Vec::new(), Vec::new());
        flatten(String::new(), &serde_json::json!(self), &mut was);
        flatten(String::new(), &serde_json::json!(now), &mut is);
        let pairs = was.into_iter().zip(is).filter(|(was, is)| was != is);
        pairs.map(|((field, was), (_, is))| format!("{field} was {was} and is {is}")).collect()
    }
}

/// Fields by their full name. The two sides come from one type, so that their fields are the same.
fn flatten(name: String, value: &serde_json::Value, out: &mut Vec<(String, String)>) {
    let is_section = name.is_empty() || name == "source";
    match value {
        serde_json::Value::Object(fields) if is_section => {
            for (field, value) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}.{field}") };
                flatten(name, value, out);
            }
        }
        value => out.push((name, value.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_the_fields_of_the_configuration() {
        let config = Config::default();
        let mut other = config.clone();
        other.bars.lateness = TimeSpan::from_secs(9);
        other.source.venue = Some("kraken".to_owned());
        // How long a tick is and where the lake lies changes no answer.
        other.bars.tick = TimeSpan::from_ms(7);
        other.lake = None;
        let differences = Settings::of(&config).differences(&Settings::of(&other));
        assert_eq!(differences, ["bars.lateness was \"5s\" and is \"9s\"", "source.venue was null and is \"kraken\""]);
        let text = serde_json::to_string(&Settings::of(&config)).expect("settings encode");
        assert_eq!(serde_json::from_str::<Settings>(&text).expect("settings decode"), Settings::of(&config));
    }
}
