//! Arguments of commands that talk to a Kafka cluster without a config file.

use super::CommandError;
use crate::config::{TimeSpan, is_secret};
use crate::log::keep_secret;
use std::collections::BTreeMap;
use std::fmt;

/// Which cluster, and how to talk to it.
#[derive(Clone, Debug, clap::Args)]
pub struct BrokerArgs {
    /// Brokers of the Kafka cluster, host:port with commas between
    #[arg(long, value_name = "HOST:PORT")]
    pub brokers: Option<String>,

    /// A further librdkafka property; may be given several times
    #[arg(long = "property", value_name = "NAME=VALUE")]
    properties: Vec<Property>,

    /// How long to wait for the cluster to answer
    #[arg(long, value_name = "TIME", default_value = "10s")]
    pub timeout: TimeSpan,
}

/// One property. Prints its name only: the value may be a secret.
#[derive(Clone, PartialEq, Eq)]
struct Property {
    name: String,
    value: String,
}

impl fmt::Debug for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=...", self.name)
    }
}

impl std::str::FromStr for Property {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                if is_secret(name) {
                    keep_secret(value);
                }
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("write it as name=value, as in sasl.mechanism=PLAIN"),
        }
    }
}

impl BrokerArgs {
    /// The brokers.
    ///
    /// # Errors
    /// If none were given.
    pub fn required(&self) -> Result<&str, CommandError> {
        let missing =
            || CommandError::Usage("a topic needs the brokers of its cluster: add --brokers host:port".into());
        self.brokers.as_deref().ok_or_else(missing)
    }

    /// The properties, the last of a name.
    pub fn properties(&self) -> BTreeMap<String, String> {
        self.properties.iter().map(|property| (property.name.clone(), property.value.clone())).collect()
    }
}
