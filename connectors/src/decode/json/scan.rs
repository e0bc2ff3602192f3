//! The grammar of JSON: where a value that starts here ends, or why it does not.

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::decode) enum JsonError {
    /// Something else than the grammar allows stands there.
    #[error("not JSON at byte {0}")]
    Unexpected(usize),
    /// The text ends inside a value.
    #[error("JSON ends too early")]
    Truncated,
    /// More than 128 levels of arrays and objects.
    #[error("JSON is nested deeper than 128 levels")]
    TooDeep,
}

#[inline]
pub(super) fn expect(text: &[u8], at: usize, byte: u8) -> Result<usize, JsonError> {
    match text.get(at) {
        Some(&found) if found == byte => Ok(at + 1),
        Some(_) => Err(JsonError::Unexpected(at)),
        None => Err(JsonError::Truncated),
    }
}

pub(super) fn end_of_text(text: &[u8], at: usize) -> Result<(), JsonError> {
    let at = space_end(text, at);
    if at == text.len() { Ok(()) } else { Err(JsonError::Unexpected(at)) }
}

#[inline]
pub(super) fn space_end(text: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = text.get(at) {
        at += 1;
    }
    at
}

/// One past the value that starts at `at`.
#[inline]
pub(super) fn value_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match text.get(at) {
        Some(b'"') => string_end(text, at + 1),
        Some(b'-' | b'0'..=b'9') => number_end(text, at),
        Some(b'{' | b'[') => nested_end(text, at),
        Some(b't') => word_end(text, at, b"true"),
        Some(b'f') => word_end(text, at, b"false"),
        Some(b'n') => word_end(text, at, b"null"),
        Some(_) => Err(JsonError::Unexpected(at)),
        None => Err(JsonError::Truncated),
    }
}

#[inline]
fn word_end(text: &[u8], at: usize, word: &[u8]) -> Result<usize, JsonError> {
    match text[at..].starts_with(word) {
        true => Ok(at + word.len()),
        false if word.starts_with(&text[at..]) => Err(JsonError::Truncated),
        false => Err(JsonError::Unexpected(at)),
    }
}

#[inline]
fn number_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let digits_end = |mut at: usize| {
        while text.get(at).is_some_and(u8::is_ascii_digit) {
            at += 1;
        }
        at
    };
    let some_digits_end = |at: usize| match text.get(at) {
        Some(byte) if byte.is_ascii_digit() => Ok(digits_end(at + 1)),
        Some(_) => Err(JsonError::Unexpected(at)),
        None => Err(JsonError::Truncated),
    };
    let whole = if text[at] == b'-' { at + 1 } else { at };
    let mut at = if text.get(whole) == Some(&b'0') { whole + 1 } else { some_digits_end(whole)? };
    if text.get(at) == Some(&b'.') {
        at = some_digits_end(at + 1)?;
    }
    if let Some(b'e' | b'E') = text.get(at) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        at = some_digits_end(at + 1 + sign)?;
    }
    Ok(at)
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// One past the closing quote of the string whose content starts at `at`.
#[inline]
pub(super) fn string_end(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    loop {
        // Eight bytes at a time. The lowest bit set is exact; those above it may be carries.
        while let Some(bytes) = text.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*bytes);
            let zero_in = |word: u64| word.wrapping_sub(ONES) & !word;
            let quote = zero_in(word ^ (ONES * u64::from(b'"')));
            let backslash = zero_in(word ^ (ONES * u64::from(b'\\')));
            let control = word.wrapping_sub(ONES * 0x20) & !word;
            let special = (quote | backslash | control) & HIGHS;
            if special != 0 {
                at += (special.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match text.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at = escape_end(text, at + 1)?,
            Some(0..0x20) => return Err(JsonError::Unexpected(at)),
            Some(_) => at += 1,
            None => return Err(JsonError::Truncated),
        }
    }
}

fn escape_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match text.get(at) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 1),
        Some(b'u') => match text.get(at + 1..at + 5) {
            Some(digits) if digits.iter().all(u8::is_ascii_hexdigit) => Ok(at + 5),
            Some(_) => Err(JsonError::Unexpected(at)),
            None => Err(JsonError::Truncated),
        },
        Some(_) => Err(JsonError::Unexpected(at)),
        None => Err(JsonError::Truncated),
    }
}

/// One past the array or object that opens at `at`. Without recursion: a bit for each open level tells arrays from objects.
fn nested_end(text: &[u8], mut at: usize) -> Result<usize, JsonError> {
    let (mut objects, mut depth) = (0u128, 0u32);
    loop {
        // Here a value is due.
        match text.get(at) {
            Some(&open @ (b'{' | b'[')) => {
                if depth == 128 {
                    return Err(JsonError::TooDeep);
                }
                objects = objects << 1 | u128::from(open == b'{');
                depth += 1;
                at = space_end(text, at + 1);
                match (text.get(at), open) {
                    (Some(b'}'), b'{') | (Some(b']'), b'[') => {}
                    (_, b'{') => {
                        at = key_end(text, at)?;
                        continue;
                    }
                    _ => continue,
                }
            }
            _ => at = space_end(text, value_end(text, at)?),
        }
        // Here a value has ended, or an empty container is about to close.
        loop {
            let in_object = objects & 1 == 1;
            match text.get(at) {
                Some(b',') if in_object => {
                    at = key_end(text, space_end(text, at + 1))?;
                    break;
                }
                Some(b',') => {
                    at = space_end(text, at + 1);
                    break;
                }
                Some(&close) if close == if in_object { b'}' } else { b']' } => {
                    objects >>= 1;
                    depth -= 1;
                    at += 1;
                    if depth == 0 {
                        return Ok(at);
                    }
                    at = space_end(text, at);
                }
                Some(_) => return Err(JsonError::Unexpected(at)),
                None => return Err(JsonError::Truncated),
            }
        }
    }
}

/// From a key's opening quote to the value behind its colon.
fn key_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let end = string_end(text, expect(text, at, b'"')?)?;
    Ok(space_end(text, expect(text, space_end(text, end), b':')?))
}
