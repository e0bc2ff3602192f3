//! A strict JSON scanner that hands out fields as the bytes they were written in.
//!
//! Prices must be read from their decimal text, the shape of a message must be told before its type is known, and a wrong
//! field must be named: a typed deserialiser gives none of the three in one pass. So this module splits an object into its
//! top-level fields and leaves the values as raw text. It accepts what RFC 8259 accepts, down to 128 levels; a test holds it
//! to `serde_json` on random input. It does not build a tree and does not look into nested values before it is asked.
//! A key written with escapes matches no name: no venue writes one.

mod scan;

pub(super) use scan::JsonError;

use scan::{end_of_text, expect, space_end, string_end, value_end};
use std::borrow::Cow;
use std::cell::Cell;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    Bool,
    Number,
    Text,
    Array,
    Object,
}

impl Kind {
    /// For messages to people.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Array => "an array",
            Self::Object => "an object",
        }
    }
}

/// One value of a scanned document, as raw text without surrounding space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Value<'a>(&'a [u8]);

impl<'a> Value<'a> {
    /// Scans a text that must be one value and nothing else.
    pub(super) fn scan(text: &'a [u8]) -> Result<Self, JsonError> {
        let start = space_end(text, 0);
        let end = value_end(text, start)?;
        match text.get(space_end(text, end)..) {
            Some([]) | None => Ok(Self(&text[start..end])),
            Some([_, ..]) => Err(JsonError::Unexpected(space_end(text, end))),
        }
    }

    /// The text as written.
    #[inline]
    pub(super) const fn raw(self) -> &'a [u8] {
        self.0
    }

    /// What it is, told by its first byte.
    #[inline]
    pub(super) fn kind(self) -> Kind {
        match self.0.first() {
            Some(b'"') => Kind::Text,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') | None => Kind::Null,
            Some(_) => Kind::Number,
        }
    }

    /// The content of a string, escapes resolved. Nothing for other kinds, and for escapes that name no character.
    #[inline]
    pub(super) fn text(self) -> Option<Cow<'a, [u8]>> {
        let [b'"', content @ .., b'"'] = self.0 else { return None };
        if content.contains(&b'\\') {
            return self.unescape(content).map(Cow::Owned);
        }
        Some(Cow::Borrowed(content))
    }

    #[cold]
    fn unescape(self, content: &[u8]) -> Option<Vec<u8>> {
        let mut text = Vec::with_capacity(content.len());
        let mut rest = content;
        while let Some(at) = rest.iter().position(|&byte| byte == b'\\') {
            match rest.get(at + 1) {
                Some(&byte @ (b'"' | b'\\' | b'/')) => {
                    text.extend_from_slice(&rest[..at]);
                    text.push(byte);
                    rest = &rest[at + 2..];
                }
                // The rarer escapes are somebody else's business.
                _ => return serde_json::from_slice::<String>(self.0).ok().map(String::into_bytes),
            }
        }
        text.extend_from_slice(rest);
        Some(text)
    }

    /// The boolean.
    #[inline]
    pub(super) fn bool(self) -> Option<bool> {
        match self.0 {
            b"true" => Some(true),
            b"false" => Some(false),
            _ => None,
        }
    }

    /// Whether it is a string of exactly these bytes.
    #[inline]
    pub(super) fn is_text(self, expected: &[u8]) -> bool {
        self.text().is_some_and(|text| *text == *expected)
    }

    /// The elements of an array; none for other kinds.
    pub(super) fn elements(self) -> Elements<'a> {
        let inside = if self.kind() == Kind::Array { &self.0[1..] } else { &[] };
        Elements { rest: inside }
    }
}

/// Walks over the elements of an array that has been scanned before.
#[derive(Clone, Debug)]
pub(super) struct Elements<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Elements<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let start = space_end(self.rest, 0);
        // The closing bracket is no value, which ends the walk.
        let end = value_end(self.rest, start).ok()?;
        let value = Value(&self.rest[start..end]);
        let after = space_end(self.rest, end);
        self.rest = self.rest.get(after + 1..).unwrap_or(&[]);
        Some(value)
    }
}

/// The top-level fields of one object, in the order in which they stand. Meant to be reused: reading allocates nothing once
/// it has grown.
#[derive(Debug, Default)]
pub(super) struct Object<'a> {
    fields: Vec<(&'a [u8], Value<'a>)>,
    /// What the fields were read from; nothing after a failure.
    text: &'a [u8],
    /// One bit for each `key_bit` met: tells at once that a key is not there.
    met: u64,
    /// The bits met more than once: only there can a key be written twice.
    met_again: u64,
    /// Where to look first: fields are mostly asked for in the order in which they stand.
    next: Cell<usize>,
}

/// A key that stands in an object twice: which of the two holds is anybody's guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated;

impl<'a> Object<'a> {
    /// Reads a text that must be one object and nothing else. What was read before is forgotten.
    #[inline]
    pub(super) fn read(&mut self, text: &'a [u8]) -> Result<(), JsonError> {
        if std::ptr::eq(self.text, text) && !text.is_empty() {
            return Ok(());
        }
        let end = self.read_from(text, space_end(text, 0), None)?;
        end_of_text(text, end)?;
        self.text = text;
        Ok(())
    }

    /// As [`Object::read`], and if the field `data` is an object reads that as well, in the same pass: reading it again from
    /// the value of the field then costs nothing.
    #[inline]
    pub(super) fn read_with_data(&mut self, text: &'a [u8], data: &mut Self) -> Result<(), JsonError> {
        let end = self.read_from(text, space_end(text, 0), Some(data))?;
        end_of_text(text, end)?;
        self.text = text;
        Ok(())
    }

    /// Reads the object that opens at `at` and returns where it ends.
    fn read_from(&mut self, text: &'a [u8], at: usize, mut data: Option<&mut Self>) -> Result<usize, JsonError> {
        self.fields.clear();
        self.text = &[];
        (self.met, self.met_again) = (0, 0);
        self.next.set(0);
        let mut at = space_end(text, expect(text, at, b'{')?);
        if text.get(at) == Some(&b'}') {
            return Ok(at + 1);
        }
        loop {
            let key_start = expect(text, at, b'"')?;
            let (key_end, colon_end) = match text.get(key_start..) {
                // Binance names its fields by letters.
                Some([b'a'..=b'z' | b'A'..=b'Z', b'"', b':', ..]) => (key_start + 1, key_start + 3),
                _ => {
                    let end = string_end(text, key_start)?;
                    (end - 1, expect(text, space_end(text, end), b':')?)
                }
            };
            let key = &text[key_start..key_end];
            let start = space_end(text, colon_end);
            let end = match &mut data {
                Some(data) if key == b"data" && text.get(start) == Some(&b'{') => {
                    let end = data.read_from(text, start, None)?;
                    data.text = &text[start..end];
                    end
                }
                _ => value_end(text, start)?,
            };
            self.push(key, Value(&text[start..end]));
            let after = space_end(text, end);
            match text.get(after) {
                Some(b',') => at = space_end(text, after + 1),
                Some(b'}') => return Ok(after + 1),
                Some(_) => return Err(JsonError::Unexpected(after)),
                None => return Err(JsonError::Truncated),
            }
        }
    }

    #[inline]
    fn push(&mut self, key: &'a [u8], value: Value<'a>) {
        let bit = key_bit(key);
        self.met_again |= self.met & bit;
        self.met |= bit;
        self.fields.push((key, value));
    }

    /// The value of a key; nothing where it is absent.
    #[inline(always)]
    pub(super) fn get(&self, key: &[u8]) -> Result<Option<Value<'a>>, Repeated> {
        let bit = key_bit(key);
        if self.met & bit == 0 {
            return Ok(None);
        }
        if self.met_again & bit != 0 {
            return self.get_carefully(key);
        }
        let next = self.next.get();
        if let Some((name, value)) = self.fields.get(next)
            && same(name, key)
        {
            self.next.set(next + 1);
            return Ok(Some(*value));
        }
        let found = self.fields.iter().position(|(name, _)| same(name, key));
        Ok(found.map(|at| {
            self.next.set(at + 1);
            self.fields[at].1
        }))
    }

    #[cold]
    fn get_carefully(&self, key: &[u8]) -> Result<Option<Value<'a>>, Repeated> {
        let mut found = self.fields.iter().filter(|(name, _)| *name == key).map(|(_, value)| *value);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(Repeated),
            (value, None) => Ok(value),
        }
    }

    /// Whether a key is there, `null` included.
    #[inline(always)]
    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.met & key_bit(key) != 0 && self.fields.iter().any(|(name, _)| same(name, key))
    }

    /// Whether all these keys are there.
    pub(super) fn has_all(&self, keys: &[&[u8]]) -> bool {
        keys.iter().all(|key| self.has(key))
    }

    /// Whether a key is there and holds exactly this string.
    pub(super) fn is(&self, key: &[u8], text: &[u8]) -> bool {
        self.first(key).is_some_and(|value| value.is_text(text))
    }

    /// The first value of a key, for telling shapes apart.
    #[inline(always)]
    pub(super) fn first(&self, key: &[u8]) -> Option<Value<'a>> {
        if self.met & key_bit(key) == 0 {
            return None;
        }
        self.fields.iter().find(|(name, _)| same(name, key)).map(|(_, value)| *value)
    }

    /// All fields in the order in which they stand.
    pub(super) fn fields(&self) -> impl Iterator<Item = (&'a [u8], Value<'a>)> {
        self.fields.iter().copied()
    }
}

/// A bit for a key, different for all one-letter keys.
#[inline(always)]
fn key_bit(key: &[u8]) -> u64 {
    match key {
        [] => 1,
        [first, .., last] => 1 << ((usize::from(first ^ (last << 1)) + key.len()) & 63),
        [only] => 1 << (usize::from(only ^ (only << 1)) & 63),
    }
}

/// Equality that does not call a function for one letter.
#[inline(always)]
fn same(left: &[u8], right: &[u8]) -> bool {
    match (left, right) {
        ([left], [right]) => left == right,
        ([_], _) | (_, [_]) => false,
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};

    fn is_json(text: &str) -> bool {
        serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok()
    }

    #[test]
    fn accepts_exactly_what_serde_json_accepts() {
        let seed: u64 = 0x7469_6465;
        println!("seed {seed}");
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let pieces = r#"{ } [ ] : , "a" "\u00e9\n" "\x" 0 - 1.5 1e9 1e 01 .5 true tru null " \ é "key": "data": [] {} "a":1 NaN 1,2 {"a":[1,{}]}"#;
        let pieces: Vec<&str> = pieces.split(' ').chain([" ", "\n", "\u{1}"]).collect();
        let mut accepted = 0;
        for _ in 0..300_000 {
            let text: String =
                (0..random.random_range(1..8)).map(|_| pieces[random.random_range(0..pieces.len())]).collect();
            assert_eq!(Value::scan(text.as_bytes()).is_ok(), is_json(&text), "{text:?}");
            let is_object = is_json(&text) && text.trim_start().starts_with('{');
            assert_eq!(Object::default().read(text.as_bytes()).is_ok(), is_object, "{text:?}");
            let (mut object, mut data) = (Object::default(), Object::default());
            assert_eq!(object.read_with_data(text.as_bytes(), &mut data).is_ok(), is_object, "{text:?}");
            accepted += u32::from(is_json(&text));
        }
        assert!(accepted > 1_000, "only {accepted} texts were JSON");
    }

    #[test]
    fn fields_are_raw_text() {
        let text = br#" { "p" : 1.50 , "q":"x\/y" ,"nested":{"p":[1,{"a":"}"}]},"no":null , "yes":true } "#;
        let mut object = Object::default();
        object.read(text).expect("JSON");
        let raw = |key: &str| object.get(key.as_bytes()).ok().flatten().map(|value| value.raw());
        assert_eq!(raw("yes"), Some(&b"true"[..]));
        assert_eq!(raw("p"), Some(&b"1.50"[..]));
        assert_eq!(raw("nested"), Some(&br#"{"p":[1,{"a":"}"}]}"#[..]));
        assert_eq!(raw("absent"), None);
        assert_eq!(object.first(b"q").and_then(Value::text).as_deref(), Some(&b"x/y"[..]));
    }

    #[test]
    fn escapes_are_resolved() {
        let table = [
            (r#""""#, Some("")),
            (r#""a\"b\\\/c""#, Some("a\"b\\/c")),
            (r#""\u00e9\n""#, Some("é\n")),
            (r#""\u0041\/""#, Some("A/")),
            (r#""\ud83d""#, None),
            ("1", None),
        ];
        for (text, expected) in table {
            let value = Value::scan(text.as_bytes()).expect("JSON");
            assert_eq!(value.text().as_deref(), expected.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn data_is_read_along() {
        let text = br#"{"stream":"x","data":{"p":1,"q":{"r":2}},"more":[]}"#;
        let (mut object, mut data) = (Object::default(), Object::default());
        object.read_with_data(text, &mut data).expect("JSON");
        let value = object.first(b"data").expect("it is there");
        assert_eq!(value.raw(), br#"{"p":1,"q":{"r":2}}"#);
        assert!(std::ptr::eq(data.text, value.raw()));
        assert_eq!(data.first(b"q").map(Value::raw), Some(&br#"{"r":2}"#[..]));
        data.read(b"{}").expect("JSON");
        assert_eq!((data.fields().count(), object.fields().count()), (0, 3));
    }

    #[test]
    fn a_key_written_twice_is_noticed() {
        let mut object = Object::default();
        object.read(br#"{"p":1,"q":2,"p":3}"#).expect("JSON");
        assert_eq!(object.get(b"p"), Err(Repeated));
        assert_eq!(object.get(b"q").map(|value| value.map(Value::raw)), Ok(Some(&b"2"[..])));
    }

    #[test]
    fn elements_of_arrays() {
        let list = |text: &'static str| -> Vec<&'static [u8]> {
            Value::scan(text.as_bytes()).expect("JSON").elements().map(Value::raw).collect()
        };
        assert_eq!(list(" [ 1 ,[2,3], {\"a\":4} ] "), [&b"1"[..], b"[2,3]", b"{\"a\":4}"]);
        assert!(list("[]").is_empty());
        assert!(list("{}").is_empty());
    }

    #[test]
    fn depth_is_limited() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(Value::scan(nested(128).as_bytes()).is_ok());
        assert_eq!(Value::scan(nested(129).as_bytes()), Err(JsonError::TooDeep));
    }
}
