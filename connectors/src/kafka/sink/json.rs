//! JSON written straight into a reused buffer: objects of texts, exact decimals, integers and nulls.

/// An object being written. [`end`](Self::end) closes it.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    separator: u8,
}

impl<'a> Object<'a> {
    /// Empties the buffer and opens an object in it.
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.clear();
        Self { out, separator: b'{' }
    }

    /// A text, escaped where JSON wants it.
    pub(super) fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.name(name);
        push_text(self.out, value);
        self
    }

    /// A decimal in quotes, with `places` places and without trailing zeros.
    pub(super) fn decimal(&mut self, name: &str, value: i128, places: u32) -> &mut Self {
        self.name(name);
        self.out.push(b'"');
        push_decimal(self.out, value, places);
        self.out.push(b'"');
        self
    }

    /// An integer.
    pub(super) fn integer(&mut self, name: &str, value: impl Into<i128>) -> &mut Self {
        self.name(name);
        push_decimal(self.out, value.into(), 0);
        self
    }

    /// Something that prints as a JSON value.
    pub(super) fn display(&mut self, name: &str, value: impl std::fmt::Display) -> &mut Self {
        use std::io::Write;
        self.name(name);
        write!(self.out, "{value}").expect("writing to memory does not fail");
        self
    }

    /// A finite number in the fewest digits that read back to the same bits; null for any other.
    pub(super) fn double(&mut self, name: &str, value: f64) -> &mut Self {
        self.name(name);
        serde_json::to_writer(&mut *self.out, &value).expect("writing to memory does not fail");
        self
    }

    /// A null.
    pub(super) fn null(&mut self, name: &str) -> &mut Self {
        self.name(name);
        self.out.extend_from_slice(b"null");
        self
    }

    /// Closes the object.
    pub(super) fn end(&mut self) {
        if self.separator == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }

    /// Field names are ours and need no escaping.
    fn name(&mut self, name: &str) {
        self.out.push(std::mem::replace(&mut self.separator, b','));
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }
}

/// A text in quotes.
fn push_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut plain = text.as_bytes();
    while let Some(at) = plain.iter().position(|byte| matches!(byte, 0..=0x1f | b'"' | b'\\')) {
        out.extend_from_slice(&plain[..at]);
        match plain[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            byte => {
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
        }
        plain = &plain[at + 1..];
    }
    out.extend_from_slice(plain);
    out.push(b'"');
}

/// An integer of so many places, as decimal text without trailing zeros.
pub(super) fn push_decimal(out: &mut Vec<u8>, value: i128, places: u32) {
    if value < 0 {
        out.push(b'-');
    }
    let unit = 10u128.pow(places);
    let magnitude = value.unsigned_abs();
    // Division of 128 bits is slow, and nearly all values fit 64.
    let (whole, mut fraction) = match (u64::try_from(magnitude), u64::try_from(unit)) {
        (Ok(magnitude), Ok(unit)) => (u128::from(magnitude / unit), u128::from(magnitude % unit)),
        _ => (magnitude / unit, magnitude % unit),
    };
    push_digits(out, whole, 1);
    if fraction == 0 {
        return;
    }
    let mut width = places as usize;
    while fraction.is_multiple_of(10) {
        fraction /= 10;
        width -= 1;
    }
    out.push(b'.');
    push_digits(out, fraction, width);
}

/// The digits of a number, with zeros in front up to a width.
fn push_digits(out: &mut Vec<u8>, value: u128, width: usize) {
    let mut digits = [b'0'; 39];
    let mut at = digits.len();
    let mut wide = value;
    while wide > u128::from(u64::MAX) {
        at -= 1;
        digits[at] = b'0' + (wide % 10) as u8;
        wide /= 10;
    }
    let mut narrow = wide as u64;
    while narrow > 0 {
        at -= 1;
        digits[at] = b'0' + (narrow % 10) as u8;
        narrow /= 10;
    }
    out.extend_from_slice(&digits[at.min(digits.len() - width)..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewheel_schemas::{format_e8, format_e16};

    fn decimal(value: i128, places: u32) -> String {
        let mut out = Vec::new();
        push_decimal(&mut out, value, places);
        String::from_utf8(out).expect("digits")
    }

    #[test]
    fn decimals_read_as_the_reference_writes_them() {
        let mut state = 1u128;
        let mut values = vec![0, 1, -1, 10, 100_000_000, i128::MAX, i128::from(u64::MAX), i128::from(u64::MAX) + 1];
        values.extend((0..2_000).map(|step| {
            state = state.wrapping_mul(0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645).wrapping_add(1);
            (state as i128) >> (step % 127)
        }));
        for value in values {
            assert_eq!(decimal(value, 8), format_e8(value), "{value}");
            assert_eq!(decimal(value, 16), format_e16(value), "{value}");
            assert_eq!(decimal(value, 0), value.to_string());
        }
    }

    #[test]
    fn every_text_reads_back() {
        for text in ["", "BTC/USDT", "a\"b\\c", "line\nfeed\ttab\r", "\u{0}\u{1f}", "ü € 𝄞", "\u{7f}"] {
            let mut out = Vec::new();
            push_text(&mut out, text);
            assert_eq!(serde_json::from_slice::<String>(&out).expect("JSON"), text);
        }
    }

    #[test]
    fn an_object_of_nothing_and_of_everything() {
        let mut out = Vec::new();
        Object::begin(&mut out).end();
        assert_eq!(out, b"{}");
        let mut object = Object::begin(&mut out);
        object.text("a", "x").decimal("b", -150_000_000, 8).integer("c", 7).null("d").display("e", true).end();
        assert_eq!(String::from_utf8_lossy(&out), r#"{"a":"x","b":"-1.5","c":7,"d":null,"e":true}"#);
    }
}
