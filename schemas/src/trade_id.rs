//! A trade's identity within its instrument, in 16 bytes: exact, ordered, and printable again.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The venue's id of a trade, or the position in its source where the venue gives none.
///
/// Numbers compare as numbers, texts as bytes. Kinds never compare equal: the top two bits, and where those are zero the
/// six below, tell the kind.
///
/// | top bits | kind | payload |
/// | --- | --- | --- |
/// | `00` `000000` | decimal number | 120 bits |
/// | `00` `000001` | source position | partition 32, offset 64, index in the message 16 |
/// | `00` `000010` | text up to 15 bytes | left-aligned bytes |
/// | `00` `000011` | lower-case hexadecimal of 16 to 28 digits | length 8, digits left-aligned 112 |
/// | `01` | UUID of the usual variant | 126 bits |
/// | `10` | UUID of another variant below 2^126 | 126 bits |
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TradeId(u128);

/// Why a text cannot be a trade id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TradeIdError {
    /// Nothing there.
    #[error("trade id is empty")]
    Empty,
    /// Neither a number, a UUID, hexadecimal of at most 28 digits, nor a text of at most 15 bytes.
    #[error("trade id is neither a number, a UUID, hexadecimal up to 28 digits, nor text up to 15 bytes")]
    Unsupported,
}

const PAYLOAD: u128 = (1 << 120) - 1;
const POSITION: u128 = 1 << 120;
const TEXT: u128 = 2 << 120;
const HEX: u128 = 3 << 120;
const UUID: u128 = 1 << 126;
const UUID_OTHER: u128 = 2 << 126;

impl TradeId {
    /// A numeric id.
    #[inline]
    pub const fn number(id: u64) -> Self {
        Self(id as u128)
    }

    /// The identity of a record without an id: where it stood. `index` counts the trades of one message.
    #[inline]
    pub const fn position(partition: u32, offset: u64, index: u16) -> Self {
        Self(POSITION | (partition as u128) << 80 | (offset as u128) << 16 | index as u128)
    }

    /// Reads an id as the venue wrote it.
    ///
    /// # Errors
    /// If it is empty or of no supported form.
    #[inline]
    pub fn parse(text: &[u8]) -> Result<Self, TradeIdError> {
        if text.is_empty() {
            return Err(TradeIdError::Empty);
        }
        // A leading zero is part of the name: "007" is not 7.
        if text.len() <= 19 && (text[0] != b'0' || text.len() == 1) && text.iter().all(u8::is_ascii_digit) {
            return Ok(Self::number(text.iter().fold(0, |value, byte| value * 10 + u64::from(byte - b'0'))));
        }
        parse_other(text)
    }

    /// Whether ids of this kind come in dense runs, so that a set of them is a few intervals.
    #[inline]
    pub const fn is_dense(self) -> bool {
        self.0 < TEXT
    }

    /// The id that follows in a dense run.
    #[inline]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The bits, for storage.
    pub const fn to_bits(self) -> u128 {
        self.0
    }
}

fn parse_other(text: &[u8]) -> Result<TradeId, TradeIdError> {
    let leading_zero = text[0] == b'0' && text.len() > 1;
    if !leading_zero && text.len() <= 36 && text.iter().all(u8::is_ascii_digit) {
        return Ok(TradeId(text.iter().fold(0, |value, byte| value * 10 + u128::from(byte - b'0'))));
    }
    if let Some(id) = parse_uuid(text) {
        return Ok(id);
    }
    if text.len() <= 15 {
        // Position ids print with colons; a text that reads like one must not print the same.
        if text.iter().any(|&byte| byte < 0x20 || byte == 0x7f) || std::str::from_utf8(text).is_err() {
            return Err(TradeIdError::Unsupported);
        }
        let bytes = (0..15).fold(0u128, |value, at| value << 8 | u128::from(text.get(at).copied().unwrap_or(0)));
        return Ok(TradeId(TEXT | bytes));
    }
    if (16..=28).contains(&text.len()) && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        let digits = text.iter().fold(0u128, |value, &byte| value << 4 | u128::from(hex_digit(byte)));
        return Ok(TradeId(HEX | (text.len() as u128) << 112 | digits << (4 * (28 - text.len()))));
    }
    Err(TradeIdError::Unsupported)
}

fn parse_uuid(text: &[u8]) -> Option<TradeId> {
    if text.len() != 36 {
        return None;
    }
    let mut bits = 0u128;
    for (at, &byte) in text.iter().enumerate() {
        match (at, byte) {
            (8 | 13 | 18 | 23, b'-') => {}
            (8 | 13 | 18 | 23, _) => return None,
            (_, b'0'..=b'9' | b'a'..=b'f') => bits = bits << 4 | u128::from(hex_digit(byte)),
            _ => return None,
        }
    }
    // The variant stands in the two bits below the 64th; dropping them where they are the usual `10` makes room for the tag.
    if bits >> 62 & 3 == 2 {
        let high = bits >> 64;
        return Some(TradeId(UUID | high << 62 | bits & ((1 << 62) - 1)));
    }
    (bits >> 126 == 0).then_some(TradeId(UUID_OTHER | bits))
}

const fn hex_digit(byte: u8) -> u8 {
    if byte <= b'9' { byte - b'0' } else { byte - b'a' + 10 }
}

impl fmt::Display for TradeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uuid = |f: &mut fmt::Formatter<'_>, bits: u128| {
            let hex = format!("{bits:032x}");
            write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
        };
        match self.0 >> 126 {
            1 => uuid(f, (self.0 & !UUID) >> 62 << 64 | 2 << 62 | self.0 & ((1 << 62) - 1)),
            2 => uuid(f, self.0 & !UUID_OTHER),
            _ => match self.0 >> 120 {
                0 => write!(f, "{}", self.0),
                1 => {
                    let (partition, offset, index) =
                        (self.0 >> 80 & 0xffff_ffff, self.0 >> 16 & u128::from(u64::MAX), self.0 & 0xffff);
                    write!(f, "@{partition}:{offset}")?;
                    if index > 0 { write!(f, ":{index}") } else { Ok(()) }
                }
                2 => {
                    let bytes = (self.0 & PAYLOAD).to_be_bytes();
                    let text = &bytes[1..];
                    let length = text.iter().position(|&byte| byte == 0).unwrap_or(15);
                    f.write_str(&String::from_utf8_lossy(&text[..length]))
                }
                _ => {
                    let length = (self.0 >> 112 & 0xff) as usize;
                    f.write_str(&format!("{:028x}", self.0 & ((1 << 112) - 1))[..length])
                }
            },
        }
    }
}

impl fmt::Debug for TradeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_prints_as_it_was_written() {
        for text in [
            "0",
            "123",
            "18446744073709551615",
            "123456789012345678901234567890123456",
            "007",
            "ETH-1234567",
            "abc",
            "5c35c02703aa673ceec2a168",
            "2100000000007764263",
            "c1e5a2e4-3b1a-4b6e-9e3e-6a5c2d7f8a90",
            "00000000-006d-1000-0000-0005e5d1f2a3",
        ] {
            assert_eq!(TradeId::parse(text.as_bytes()).map(|id| id.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn order_is_by_number_and_by_bytes() {
        let id = |text: &str| TradeId::parse(text.as_bytes()).expect("a supported id");
        assert!(id("9") < id("10"));
        assert!(id("abc") < id("abd"));
        assert!(id("ab") < id("abc"));
        assert!(id("0a5c35c02703aa673ceec2a1") < id("1a5c35c02703aa673ceec2a1"));
        assert!(id("0e5a2e43-3b1a-4b6e-9e3e-6a5c2d7f8a90") < id("c1e5a2e4-3b1a-4b6e-8e3e-6a5c2d7f8a90"));
        assert!(TradeId::position(0, 7, 0) < TradeId::position(0, 7, 1));
        assert!(TradeId::position(0, 7, 9) < TradeId::position(0, 8, 0));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "a trade id of many words", "ABCDEFABCDEFABCDEFABCDEF", "\u{0}"] {
            assert!(TradeId::parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
