//! The last message taken of a partition, in few bytes: a topic that was deleted and created anew under the same name has
//! another one at that offset, or none.

use rdkafka::Message;
use serde::{Deserialize, Serialize};

/// What a message is known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Its offset.
    pub offset: u64,
    /// The time the broker shows, milliseconds since the epoch; none where it has none.
    pub timestamp_ms: Option<i64>,
    /// Over key and value.
    pub crc32: u32,
}

impl Fingerprint {
    /// That of a message; an offset below 0 counts as 0.
    pub(super) fn of(message: &impl Message) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        for part in [message.key(), message.payload()] {
            // With its length, and with none told from empty: what is in the key cannot be taken for a part of the value.
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            hasher.update(&length.to_le_bytes());
            hasher.update(part.unwrap_or_default());
        }
        Self {
            offset: u64::try_from(message.offset()).unwrap_or(0),
            timestamp_ms: message.timestamp().to_millis(),
            crc32: hasher.finalize(),
        }
    }
}
