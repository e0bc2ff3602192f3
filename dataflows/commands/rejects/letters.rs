//! Dead letters from a lake or from a topic, one after the other.

use crate::commands::CommandError;
use crate::commands::brokers::BrokerArgs;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use tidewheel_connectors::kafka::replay::to_end;
use tidewheel_connectors::kafka::source::KafkaSourceConfig;
use tidewheel_connectors::lake;
use tidewheel_connectors::source::Work;
use tidewheel_schemas::RejectReason;

/// A dead letter, from wherever it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// When it was rejected, milliseconds since the epoch.
    pub tick: u64,
    /// The source partition.
    pub source: String,
    /// Offset, line or row there.
    pub position: u64,
    /// The kind of trouble.
    pub reason: RejectReason,
    /// How many records of the message it speaks of.
    pub records: u64,
    /// What exactly.
    pub detail: String,
    /// The record as it was received.
    pub raw: Vec<u8>,
    /// Whether `raw` is only the beginning of it.
    pub is_cut: bool,
    /// When it was received, nanoseconds.
    pub receive_time_ns: Option<i64>,
}

/// Where dead letters are kept.
#[derive(Debug)]
pub enum Letters {
    /// A lake.
    Lake(PathBuf),
    /// A topic.
    Topic(Box<KafkaSourceConfig>),
}

impl Letters {
    /// Tells a lake from a topic: a lake is a folder with our own folder in it, a topic has brokers.
    ///
    /// # Errors
    /// If it can be neither.
    pub fn find(place: &str, cluster: &BrokerArgs) -> Result<Self, CommandError> {
        let path = Path::new(place);
        if path.join("_tidewheel").is_dir() {
            return Ok(Self::Lake(path.to_owned()));
        }
        if let Some(brokers) = &cluster.brokers {
            return Ok(Self::Topic(Box::new(KafkaSourceConfig {
                properties: cluster.properties(),
                connect_timeout: cluster.timeout.as_duration(),
                // A letter is as large as the message it is about, and its escapes.
                max_message_bytes: 64 << 20,
                ..KafkaSourceConfig::new(brokers, &[place])
            })));
        }
        let what = if path.exists() { "is no lake: it has no folder _tidewheel" } else { "does not exist" };
        Err(CommandError::Usage(format!(
            "{place} {what}; name the folder of a lake, or add --brokers host:port if it is a topic"
        )))
    }

    /// Hands every letter over, in the order in which they were kept, until `take` says that it is enough.
    ///
    /// # Errors
    /// If a letter cannot be read, or `take` fails.
    pub fn for_each(&self, take: &mut dyn FnMut(Letter) -> Result<bool, CommandError>) -> Result<(), CommandError> {
        match self {
            Self::Lake(root) => {
                for stored in lake::read::rejects(root)? {
                    if !take(of_lake(stored?))? {
                        break;
                    }
                }
                Ok(())
            }
            Self::Topic(config) => of_topic(config, take),
        }
    }
}

fn of_lake(stored: lake::StoredReject) -> Letter {
    Letter {
        tick: stored.tick,
        source: stored.source,
        position: stored.position,
        // Of a record that was too large or broken off, no more was kept.
        is_cut: matches!(stored.reason, RejectReason::Oversized | RejectReason::Truncated),
        reason: stored.reason,
        records: stored.records,
        detail: stored.detail,
        raw: stored.raw.to_vec(),
        receive_time_ns: stored.receive_time_ns,
    }
}

fn of_topic(
    config: &KafkaSourceConfig,
    take: &mut dyn FnMut(Letter) -> Result<bool, CommandError>,
) -> Result<(), CommandError> {
    for mut reader in to_end(config)? {
        while let Some(work) = reader.read()? {
            let Work::Messages(block) = work else { continue };
            for message in &block.messages {
                let letter = of_json(block.payload(message)).map_err(|detail| {
                    let partition = reader.name().to_owned();
                    CommandError::Letter { partition, offset: message.position, detail }
                })?;
                if !take(letter)? {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

/// A dead letter as it is written to Kafka.
#[derive(Deserialize)]
struct Written {
    source: String,
    position: u64,
    reason: RejectReason,
    #[serde(default = "one")]
    records: u64,
    detail: String,
    raw: Option<String>,
    raw_base64: Option<String>,
    raw_bytes_total: u64,
    tick: u64,
    receive_time_ns: Option<i64>,
}

/// Letters were once of a record each, and did not say so.
const fn one() -> u64 {
    1
}

fn of_json(text: &[u8]) -> Result<Letter, String> {
    let written: Written = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let raw = match (written.raw, written.raw_base64) {
        (Some(raw), _) => raw.into_bytes(),
        (None, Some(text)) => base64(text.as_bytes()).ok_or("raw_base64 is not base64")?,
        (None, None) => return Err("it has neither raw nor raw_base64".into()),
    };
    let is_cut = raw.len() as u64 != written.raw_bytes_total
        || matches!(written.reason, RejectReason::Oversized | RejectReason::Truncated);
    Ok(Letter {
        tick: written.tick,
        source: written.source,
        position: written.position,
        reason: written.reason,
        records: written.records,
        detail: written.detail,
        raw,
        is_cut,
        receive_time_ns: written.receive_time_ns,
    })
}

/// RFC 4648, section 4, with padding.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let sextet = |letter: u8| match letter {
        b'A'..=b'Z' => Some(letter - b'A'),
        b'a'..=b'z' => Some(letter - b'a' + 26),
        b'0'..=b'9' => Some(letter - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let padding = text.iter().rev().take(2).take_while(|&&letter| letter == b'=').count();
    let letters = &text[..text.len() - padding];
    for group in letters.chunks(4) {
        let bits = group.iter().try_fold(0u32, |bits, &letter| Some(bits << 6 | u32::from(sextet(letter)?)))?;
        let bits = bits << (6 * (4 - group.len()));
        // Three bytes of four letters, two of three, one of two.
        bytes.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        for (text, bytes) in
            [("", ""), ("Zg==", "f"), ("Zm8=", "fo"), ("Zm9v", "foo"), ("Zm9vYg==", "foob"), ("Zm9vYmFy", "foobar")]
        {
            assert_eq!(base64(text.as_bytes()).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(base64(b"//4=").as_deref(), Some(&[0xff, 0xfe][..]));
        for text in ["Z", "Zg=", "Z===", "Zm 9", "=Zm9", "Zm9v===="] {
            assert_eq!(base64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn letters_as_kafka_has_them() {
        let text = br#"{"source":"trades[3]","position":7,"reason":"number","detail":"price: not positive",
            "raw":"{\"p\":\"-1\"}","raw_bytes_total":10,"tick":100,"receive_time_ns":5}"#;
        let letter = of_json(text).expect("a letter");
        assert_eq!((letter.raw.as_slice(), letter.is_cut), (&br#"{"p":"-1"}"#[..], false));
        assert_eq!((letter.reason, letter.receive_time_ns, letter.records), (RejectReason::Number, Some(5), 1));
        let shared = String::from_utf8_lossy(text).replace(r#""detail""#, r#""records":40,"detail""#);
        assert!(of_json(shared.as_bytes()).is_ok_and(|letter| letter.records == 40));
        let cut = String::from_utf8_lossy(text).replace(":10,", ":11,");
        assert!(of_json(cut.as_bytes()).is_ok_and(|letter| letter.is_cut));
        assert!(of_json(br#"{"open":"1.0"}"#).is_err_and(|error| error.contains("missing field")));
    }
}
