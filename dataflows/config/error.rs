//! What can be wrong with a configuration, in words that name the field and the line.

use std::fmt;
use std::path::PathBuf;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("could not read config file {}: {source}; `tidewheel config` prints an example to start from", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file, or the environment, says something that cannot be.
    #[error("could not use config file {}: {problems}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// All that is wrong.
        problems: Problems,
    },
}

/// All that is wrong with a configuration; at least one thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it was said.
    pub place: Place,
    /// The field, as `bars.horizon`; none where the text is not TOML.
    pub field: Option<String>,
    /// What is wrong with it, and what to do.
    pub detail: String,
}

/// Where a value comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// The file, at a line counted from 1.
    Line(usize),
    /// An environment variable.
    Variable(String),
    /// Nowhere: the value is the default, or missing.
    #[default]
    Default,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Line(line) => write!(f, "line {line}: ")?,
            Place::Variable(name) => write!(f, "environment variable {name}: ")?,
            Place::Default => {}
        }
        if let Some(field) = &self.field {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.detail)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => one.fmt(f),
            many => many.iter().try_for_each(|problem| write!(f, "\n  {problem}")),
        }
    }
}
