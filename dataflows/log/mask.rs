//! Keeps secrets out of what the process prints: values that were given for passwords, keys and tokens are replaced wherever
//! they would appear, whoever prints them.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::{PoisonError, RwLock};

/// What is printed for them.
const MASK: &str = "***";

/// A secret shorter than this is masked only where it stands as a word: replacing every `a` would tell more than it hides.
const SHORT: usize = 4;

/// Lines of a longer secret, such as a key in PEM, are secrets of their own from this length.
const LINE: usize = 16;

/// All forms that secrets may be printed in, the longest first.
static SECRETS: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// From now on, replaces a value wherever it would be printed: as it is, and as JSON and Rust quote it.
pub fn keep_secret(value: &str) {
    let lines = value.lines().map(str::trim).filter(|line| line.len() >= LINE);
    let mut secrets = SECRETS.write().unwrap_or_else(PoisonError::into_inner);
    for text in lines.chain([value, value.trim()]).filter(|text| !text.trim().is_empty()) {
        let json = serde_json::Value::String(text.to_owned()).to_string();
        let rust = format!("{text:?}");
        let unquoted = |quoted: &str| quoted[1..quoted.len() - 1].to_owned();
        for form in [text.to_owned(), unquoted(&json), unquoted(&rust), unquoted(&format!("{:?}", unquoted(&rust)))] {
            if !secrets.contains(&form) {
                secrets.push(form);
            }
        }
    }
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
}

/// A text without the secrets in it.
pub fn masked(text: &str) -> Cow<'_, str> {
    let secrets = SECRETS.read().unwrap_or_else(PoisonError::into_inner);
    mask(text, &secrets)
}

fn mask<'t>(text: &'t str, secrets: &[String]) -> Cow<'t, str> {
    let mut masked = Cow::Borrowed(text);
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        if !masked.contains(secret.as_str()) {
            continue;
        }
        masked = Cow::Owned(match secret.len() {
            SHORT.. => masked.replace(secret.as_str(), MASK),
            _ => replace_words(&masked, secret),
        });
    }
    masked
}

/// Replaces a text where no letter or digit stands beside it.
fn replace_words(text: &str, word: &str) -> String {
    let mut replaced = String::with_capacity(text.len());
    let mut from = 0;
    for (at, _) in text.match_indices(word) {
        let is_beside = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        let end = at + word.len();
        if is_beside(text[..at].chars().next_back()) || is_beside(text[end..].chars().next()) {
            continue;
        }
        replaced.push_str(&text[from..at]);
        replaced.push_str(MASK);
        from = end;
    }
    replaced.push_str(&text[from..]);
    replaced
}

/// Standard error behind the mask. The log hands over whole lines, so that no secret is cut in two.
pub struct MaskedStderr;

impl Write for MaskedStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(bytes);
        io::stderr().lock().write_all(masked(&text).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_replaced_in_every_form_that_they_are_printed_in() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0\n-----END KEY-----";
        for secret in ["hunter2hunter", "pass\"word\\ü", key, "p4s", " padded secret "] {
            keep_secret(secret);
        }
        for (text, expected) in [
            ("could not log in with hunter2hunter, sorry", "could not log in with ***, sorry"),
            ("hunter2hunter2hunter2hunter", "***2***"),
            (r#"{"message":"pass\"word\\ü"}"#, r#"{"message":"***"}"#),
            ("pass\"word\\ü", "***"),
            (&format!("{key:?}"), "\"***\""),
            (&format!("key: {key}"), "key: ***"),
            ("line MIIEvQIBADANBgkqhkiG9w0 of it", "line *** of it"),
            ("p4s p4ss (p4s)", "*** p4ss (***)"),
            ("a padded secret, trimmed", "a ***, trimmed"),
            ("nothing to hide", "nothing to hide"),
        ] {
            assert_eq!(masked(text), expected, "{text}");
        }
    }
}
