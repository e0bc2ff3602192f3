//! What is computed of the bars, taken from a configuration alone: for replays and exports, which name their input and their
//! outputs themselves.

use super::document::Document;
use super::{
    ConfigError, FeaturesSection, Problem, Problems, RiskSection, ScoringSection, SignalsSection, TimeSpan, validate,
};
use crate::scoring::ScoringRules;
use serde::Deserialize;
use std::path::Path;
use tidewheel_operators::risk::RiskConfig;
use tidewheel_operators::signals::SignalsConfig;
use tidewheel_schemas::Interval;

/// The sections `[features]`, `[scoring]`, `[signals]` and `[risk]`. Whatever else the file has is not looked at.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ComputedSections {
    /// What is made of the bars.
    pub features: FeaturesSection,
    /// What is said of the features.
    pub scoring: ScoringSection,
    /// What is made of what was said.
    pub signals: SignalsSection,
    /// What accounts hold and may do, where there is such a section.
    pub risk: Option<RiskSection>,
}

impl ComputedSections {
    /// Reads them from a file.
    ///
    /// # Errors
    /// If the file cannot be read, or one of the sections says something that cannot be.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|problems| ConfigError::Invalid { path: path.to_owned(), problems })
    }

    fn parse(text: &str) -> Result<Self, Problems> {
        let document = Document::read(text, &[]).map_err(Problems)?;
        let (sections, document) = document.into_typed::<Self>().map_err(|problem| Problems(vec![problem]))?;
        let mut complaints = Vec::new();
        validate::features(&sections.features, &mut complaints);
        validate::models(&sections.scoring, &sections.signals, &mut complaints);
        // How far corrections reach is no part of the file here; see `risk`.
        complaints.extend(sections.risk.iter().flat_map(|risk| risk.complaints(TimeSpan::from_secs(60))));
        let problem = |(field, detail): validate::Complaint| Problem {
            place: document.place_of(field),
            field: Some(field.to_owned()),
            detail,
        };
        let problems: Vec<Problem> = complaints.into_iter().map(problem).collect();
        if problems.is_empty() { Ok(sections) } else { Err(Problems(problems)) }
    }

    /// What risk computes, with how far back corrections reach, nanoseconds.
    ///
    /// # Errors
    /// If that is not whole minutes.
    pub fn risk(&self, horizon_ns: i64) -> Result<Option<RiskConfig>, String> {
        match &self.risk {
            Some(_) if horizon_ns <= 0 || horizon_ns % Interval::M1.duration_ns() != 0 => {
                Err("is not whole minutes, by which risk keeps its samples".to_owned())
            }
            risk => Ok(risk.as_ref().map(|risk| risk.resolve(horizon_ns))),
        }
    }

    /// How rows are scored, told by what is named.
    pub fn scoring_rules(&self, told_by: &str) -> ScoringRules {
        scoring_rules(told_by, &self.scoring, &self.signals)
    }
}

/// How rows are scored, told by a topic.
pub(super) fn scoring_rules(topic: &str, scoring: &ScoringSection, signals: &SignalsSection) -> ScoringRules {
    ScoringRules {
        topic: topic.to_owned(),
        history_rows: scoring.history_rows as usize,
        signals: SignalsConfig {
            consider: signals.consider,
            act: signals.act,
            cool_down_ns: signals.cool_down.as_ns(),
            universe: signals.universe as usize,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_sections_are_not_looked_at() {
        let text = "[source]\nbrokers = 7\n[signals]\nact = 0.7\n[features]\nviews = [\"core_technical\"]\n";
        let sections = ComputedSections::parse(text).expect("sound where it is looked at");
        assert_eq!((sections.signals.act, sections.features.views.len()), (0.7, 1));
    }

    #[test]
    fn what_cannot_be_is_told_with_its_line() {
        let told = |text: &str| ComputedSections::parse(text).expect_err("a problem").to_string();
        let unsure = told("[signals]\nact = 0.51\n");
        assert!(unsure.contains("line 2") && unsure.contains("signals.act"), "{unsure}");
        let unknown = told("[features]\nviews = [\"nobody\"]\n");
        assert!(unknown.contains("features.views"), "{unknown}");
        let mistyped = told("[scoring]\nhistory = 3\n");
        assert!(mistyped.contains("history"), "{mistyped}");
    }
}
