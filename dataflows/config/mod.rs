//! What the pipeline computes, from one TOML file: read, held against the environment, checked, and made into what the
//! connectors and the graph are configured with.
//!
//! Each field is documented once, at its place in the structs of this module; the example file, the names of environment
//! variables and the list of known keys are read off those docs. How a process runs (log, files to replay) is no business
//! of this file but of the command line. Nothing is connected to and no folder is looked at: `tidewheel check` does that.

mod bars;
mod computed;
mod document;
mod error;
mod example;
mod features;
mod http;
mod outputs;
mod properties;
mod recovery;
mod risk;
mod schema;
mod scoring;
mod secrets;
mod source;
mod time_span;
mod validate;
mod wiring;

pub use bars::BarsSection;
pub use computed::ComputedSections;
pub use error::{ConfigError, Place, Problem, Problems};
pub use example::example;
pub use features::{FeaturesSection, Share, ViewDefinition};
pub use http::HttpSection;
pub use outputs::{KafkaSection, LakeSection};
pub use properties::{Properties, is_secret};
pub use recovery::{LogPlace, RecoverySection};
pub use risk::RiskSection;
pub use scoring::{ControlSection, ScoringSection, SignalsSection};
pub use source::{CsvSection, IsolationLevel, SourceSection, StartAt};
pub use time_span::{Cadence, TimeSpan, TimeSpanError};
pub(crate) use validate::signals_complaints;

use document::Document;
use documented::{Documented, DocumentedFields};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The whole configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Documented, DocumentedFields)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Threads that compute, 1 to 256; without it one a core.
    /// Example: `4`
    #[serde(default)]
    pub workers: Option<u16>,
    /// Where trades come from.
    #[serde(default)]
    pub source: SourceSection,
    /// What is computed.
    #[serde(default)]
    pub bars: BarsSection,
    /// What is made of the bars.
    #[serde(default)]
    pub features: FeaturesSection,
    /// What a run is told while it goes on.
    #[serde(default)]
    pub control: ControlSection,
    /// What is said of the features.
    #[serde(default)]
    pub scoring: ScoringSection,
    /// What is made of what was said.
    #[serde(default)]
    pub signals: SignalsSection,
    /// What accounts hold and may do, where there is such a section.
    #[serde(default)]
    pub risk: Option<RiskSection>,
    /// Bars out to Kafka, where there is such a section.
    #[serde(default)]
    pub kafka: Option<KafkaSection>,
    /// Bars out to a lake, where there is such a section.
    #[serde(default)]
    pub lake: Option<LakeSection>,
    /// What is kept to go on after a stop or a crash.
    #[serde(default)]
    pub recovery: RecoverySection,
    /// Questions about the run answered over HTTP, where there is such a section.
    #[serde(default)]
    pub http: Option<HttpSection>,
}

/// What the example file says: both outputs are on, and no server.
impl Default for Config {
    fn default() -> Self {
        Self {
            workers: None,
            source: SourceSection::default(),
            bars: BarsSection::default(),
            features: FeaturesSection::default(),
            control: ControlSection::default(),
            scoring: ScoringSection::default(),
            signals: SignalsSection::default(),
            risk: None,
            kafka: Some(KafkaSection::default()),
            lake: Some(LakeSection::default()),
            recovery: RecoverySection::default(),
            http: None,
        }
    }
}

impl Config {
    /// Reads a file and lays the variables of an environment over it; see [`environment`].
    ///
    /// # Errors
    /// If the file cannot be read, or it or a variable says something that cannot be. All contradictions are told at once.
    pub fn load(path: &Path, environment: &[(String, String)]) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        secrets::keep(&text, environment);
        Self::parse(&text, environment).map_err(|problems| ConfigError::Invalid { path: path.to_owned(), problems })
    }

    /// As [`Config::load`], from text.
    ///
    /// # Errors
    /// If the text or a variable says something that cannot be.
    pub fn parse(text: &str, environment: &[(String, String)]) -> Result<Self, Problems> {
        let document = Document::read(text, environment).map_err(Problems)?;
        let (config, document) = document.into_typed::<Self>().map_err(|problem| Problems(vec![problem]))?;
        let problems: Vec<Problem> = validate::complaints(&config)
            .into_iter()
            .map(|(field, detail)| Problem { place: document.place_of(field), field: Some(field.to_owned()), detail })
            .collect();
        if problems.is_empty() { Ok(config) } else { Err(Problems(problems)) }
    }

    /// The Kafka output, where it is on.
    pub fn kafka(&self) -> Option<&KafkaSection> {
        self.kafka.as_ref().filter(|kafka| kafka.enabled)
    }

    /// The lake, where it is on.
    pub fn lake(&self) -> Option<&LakeSection> {
        self.lake.as_ref().filter(|lake| lake.enabled)
    }

    /// The HTTP server, where it is on.
    pub fn http(&self) -> Option<&HttpSection> {
        self.http.as_ref().filter(|http| http.enabled)
    }
}

/// The variables of this process that the configuration is concerned with, by name.
pub fn environment() -> Vec<(String, String)> {
    let mut variables: Vec<(String, String)> = std::env::vars_os()
        .filter(|(name, _)| name.as_encoded_bytes().starts_with(b"TIDEWHEEL_"))
        .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
        .collect();
    variables.sort();
    variables
}
