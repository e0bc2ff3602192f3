//! Properties handed through to librdkafka, with the values of secrets kept out of every print.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

/// Parts of names whose values are never printed.
const SECRET_WORDS: [&str; 6] = ["password", "secret", "token", "jaas", "key", "pem"];

/// What is printed for them.
const MASK: &str = "***";

/// librdkafka properties by name: `security.protocol`, `sasl.mechanism`. Values of secrets print as `***`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, String>);

impl Properties {
    /// All of them as they are, secrets included: for the client, not for a log.
    pub const fn reveal(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Names and values fit to print, by name. A secret stays one where it is given under another name too.
    pub fn masked(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let shown = |name, value| if is_secret(name) { MASK.into() } else { crate::log::masked(value) };
        self.0.iter().map(move |(name, value)| (name.as_str(), shown(name, value)))
    }
}

/// Whether the value of a property is to be kept to oneself.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.masked()).finish()
    }
}

impl Serialize for Properties {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.masked())
    }
}

/// A value as TOML gives it. A name with points and no quotes arrives as tables inside tables.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a property must be text, a whole number, true or false; put other values in quotes")]
enum Node {
    Text(String),
    Number(i64),
    Flag(bool),
    Branch(BTreeMap<String, Node>),
}

impl<'de> Deserialize<'de> for Properties {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut flat = BTreeMap::new();
        flatten("", BTreeMap::<String, Node>::deserialize(deserializer)?, &mut flat).map_err(de::Error::custom)?;
        Ok(Self(flat))
    }
}

fn flatten(prefix: &str, nodes: BTreeMap<String, Node>, flat: &mut BTreeMap<String, String>) -> Result<(), String> {
    for (name, node) in nodes {
        let name = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        let value = match node {
            Node::Text(text) => text,
            Node::Number(number) => number.to_string(),
            Node::Flag(flag) => flag.to_string(),
            Node::Branch(branch) => {
                flatten(&name, branch, flat)?;
                continue;
            }
        };
        if flat.insert(name.clone(), value).is_some() {
            return Err(format!("property {name} is given twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_quotes_are_the_same_and_secrets_stay_out_of_prints() {
        let text = r#"
            security.protocol = "SASL_SSL"
            "sasl.password" = "hunter2"
            ssl.key.location = "/etc/key.pem"
            "linger.ms" = 5
            "enable.ssl.certificate.verification" = true
        "#;
        let properties: Properties = toml::from_str(text).expect("properties");
        assert_eq!(properties.reveal()["sasl.password"], "hunter2");
        assert_eq!(properties.reveal()["linger.ms"], "5");
        assert_eq!(
            format!("{properties:?}"),
            r#"{"enable.ssl.certificate.verification": "true", "linger.ms": "5", "sasl.password": "***", "security.protocol": "SASL_SSL", "ssl.key.location": "***"}"#
        );
        assert!(!toml::to_string(&properties).expect("TOML").contains("hunter2"));
    }

    #[test]
    fn what_is_no_property_is_refused() {
        for (text, part) in [
            ("a = 0.5", "put other values in quotes"),
            ("a = [1]", "put other values in quotes"),
            ("a.b = 1\n\"a.b\" = 2", "property a.b is given twice"),
        ] {
            let error = toml::from_str::<Properties>(text).expect_err("no properties").message().to_owned();
            assert!(error.contains(part), "{error}");
        }
    }
}
