//! Tells the log which values it must never print: before the configuration is judged, so that a complaint about it prints
//! none either.

use super::is_secret;
use crate::log::keep_secret;
use toml::Value;

/// The part of a field's path, or of a variable's name, under which properties of clients stand.
const PROPERTIES: &str = "properties";

/// Keeps the secrets of a config file and of an environment out of everything that is printed from now on.
pub fn keep(text: &str, environment: &[(String, String)]) {
    for secret in secrets(text, environment) {
        keep_secret(&secret);
    }
}

fn secrets(text: &str, environment: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    // What is no TOML at all is complained about without a word of its content.
    if let Ok(table) = text.parse::<toml::Table>() {
        walk(&Value::Table(table), "", &mut found);
    }
    let is_property = |name: &str| name.to_ascii_lowercase().contains(PROPERTIES);
    let variables = environment.iter().filter(|(name, _)| is_property(name) && is_secret(name));
    found.extend(variables.map(|(_, value)| value.clone()));
    found
}

fn walk(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Table(table) => table.iter().for_each(|(key, value)| walk(value, &format!("{path}.{key}"), found)),
        Value::Array(items) => items.iter().for_each(|item| walk(item, path, found)),
        Value::Boolean(_) => {}
        leaf => {
            let name = path.split_once(PROPERTIES).map(|(_, name)| name);
            if name.is_some_and(is_secret) {
                found.push(leaf.as_str().map_or_else(|| leaf.to_string(), str::to_owned));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_where_properties_are_given() {
        let text = r#"
            wrong = "not a secret"
            [source]
            topics = ["key"]
            properties = { "sasl.password" = "one", sasl.username = "me", ssl.key.password = ["two", 34] }
            [kafka.properties]
            sasl.oauthbearer.client.secret = 56
        "#;
        let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let environment =
            [variable("TIDEWHEEL_KAFKA__PROPERTIES__SASL_PASSWORD", "three"), variable("TIDEWHEEL_WORKERS", "4")];
        let mut found = secrets(text, &environment);
        found.sort();
        assert_eq!(found, ["34", "56", "one", "three", "two"]);
        assert!(secrets("not = TOML = \"x\"", &[]).is_empty());
    }
}
