//! One field of a JSON object to a typed value, or a fault that names the field in the words of the field.

use super::fault::Fault;
use super::json::{Elements, Kind, Object, Value};
use super::time::{self, TimeError, Units};
use std::borrow::Cow;
use tidewheel_schemas::{AggressorSide, DecimalError, PRICE_LIMIT_E8, TradeId, parse_positive_e8};

/// A field that may be absent or null.
#[inline(always)]
pub(super) fn optional<'a>(
    object: &Object<'a>,
    key: &'static str,
    name: &'static str,
) -> Result<Option<Value<'a>>, Fault> {
    match object.get(key.as_bytes()) {
        Ok(Some(value)) if value.raw() != b"null" => Ok(Some(value)),
        Ok(_) => Ok(None),
        Err(_) => Err(Fault::Repeated(name)),
    }
}

/// A field that must be there.
#[inline(always)]
pub(super) fn required<'a>(object: &Object<'a>, key: &'static str, name: &'static str) -> Result<Value<'a>, Fault> {
    optional(object, key, name)?.ok_or(Fault::Missing(name, key))
}

fn wrong_type(value: Value<'_>, name: &'static str, needed: &'static str) -> Fault {
    Fault::Type { name, found: value.kind().name(), needed }
}

/// The elements of an array.
pub(super) fn elements<'a>(value: Value<'a>, name: &'static str) -> Result<Elements<'a>, Fault> {
    match value.kind() {
        Kind::Array => Ok(value.elements()),
        _ => Err(wrong_type(value, name, "an array")),
    }
}

/// Reads a nested object, for example one trade of a list.
#[inline]
pub(super) fn read_object<'a>(object: &mut Object<'a>, value: Value<'a>) -> Result<(), Fault> {
    match value.kind() {
        Kind::Object => Ok(object.read(value.raw())?),
        _ => Err(wrong_type(value, "trade", "an object")),
    }
}

/// Text.
#[inline]
pub(super) fn text<'a>(value: Value<'a>, name: &'static str) -> Result<Cow<'a, [u8]>, Fault> {
    value.text().ok_or_else(|| wrong_type(value, name, "a text"))
}

/// A number as it was written, in quotes or not.
#[inline]
pub(super) fn number<'a>(value: Value<'a>, name: &'static str) -> Result<Cow<'a, [u8]>, Fault> {
    match value.kind() {
        Kind::Number => Ok(Cow::Borrowed(value.raw())),
        _ => value.text().ok_or_else(|| wrong_type(value, name, "a number")),
    }
}

/// A boolean.
#[inline]
pub(super) fn boolean(value: Value<'_>, name: &'static str) -> Result<bool, Fault> {
    value.bool().ok_or_else(|| wrong_type(value, name, "true or false"))
}

/// A whole number.
#[inline]
pub(super) fn integer(value: Value<'_>, name: &'static str) -> Result<i64, Fault> {
    let digits = number(value, name)?;
    let parsed = std::str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok());
    parsed.ok_or(Fault::Value(name, "not a whole number of 64 bits"))
}

/// A price: decimal text above zero and below the limit of the lake.
#[inline]
pub(super) fn price_e8(value: Value<'_>) -> Result<i64, Fault> {
    price_text_e8(&number(value, "price")?)
}

/// As [`price_e8`], from bare text.
#[inline]
pub(super) fn price_text_e8(text: &[u8]) -> Result<i64, Fault> {
    match parse_positive_e8(text) {
        Ok(price) if price < PRICE_LIMIT_E8 => Ok(price),
        Ok(_) => Err(Fault::Decimal("price", DecimalError::OutOfRange)),
        Err(error) => Err(Fault::Decimal("price", error)),
    }
}

/// A quantity: decimal text above zero.
#[inline]
pub(super) fn quantity_e8(value: Value<'_>) -> Result<i64, Fault> {
    quantity_text_e8(&number(value, "quantity")?)
}

/// As [`quantity_e8`], from bare text.
#[inline]
pub(super) fn quantity_text_e8(text: &[u8]) -> Result<i64, Fault> {
    parse_positive_e8(text).map_err(|error| Fault::Decimal("quantity", error))
}

/// A time as a number in one of the units.
#[inline]
pub(super) fn time_ns(value: Value<'_>, name: &'static str, units: Units) -> Result<i64, Fault> {
    time::parse_number(&number(value, name)?, units).map_err(|error| Fault::Time(name, error))
}

/// A time as RFC 3339 text.
pub(super) fn rfc3339_ns(value: Value<'_>, name: &'static str) -> Result<i64, Fault> {
    let text = text(value, name)?;
    time::parse_rfc3339(&text).map_err(|error| Fault::Time(name, error))
}

/// A time as nanoseconds or as RFC 3339 text.
pub(super) fn ns_or_rfc3339(value: Value<'_>, name: &'static str) -> Result<i64, Fault> {
    let text = number(value, name)?;
    let parsed = match time::parse_number(&text, time::NS) {
        Err(TimeError::NotANumber) => time::parse_rfc3339(&text),
        other => other,
    };
    parsed.map_err(|error| Fault::Time(name, error))
}

/// A trade id as the venue wrote it: a whole number, or text.
#[inline]
pub(super) fn trade_id(value: Value<'_>) -> Result<TradeId, Fault> {
    match value.kind() {
        Kind::Number if value.raw().iter().all(u8::is_ascii_digit) => Ok(TradeId::parse(value.raw())?),
        Kind::Number => Err(Fault::TradeIdForm("a number that is negative or not whole")),
        Kind::Text => trade_id_text(&text(value, "trade_id")?),
        _ => Err(wrong_type(value, "trade_id", "a whole number or a text")),
    }
}

/// As [`trade_id`], from bare text.
#[inline]
pub(super) fn trade_id_text(text: &[u8]) -> Result<TradeId, Fault> {
    // `@` begins the printed form of a source position; a venue's text must not print the same.
    if text.first() == Some(&b'@') {
        return Err(Fault::TradeIdForm("begins with @, which is kept for source positions"));
    }
    Ok(TradeId::parse(text)?)
}

/// Side of the taker in words or letters, in any case.
#[inline]
pub(super) fn side(text: &[u8]) -> Result<AggressorSide, Fault> {
    match text {
        b"buy" | b"Buy" | b"BUY" | b"b" | b"B" => Ok(AggressorSide::Buy),
        b"sell" | b"Sell" | b"SELL" | b"s" | b"S" => Ok(AggressorSide::Sell),
        _ => Err(Fault::Value("aggressor_side", "neither buy nor sell")),
    }
}

/// The other side.
pub(super) const fn opposite(side: AggressorSide) -> AggressorSide {
    match side {
        AggressorSide::Buy => AggressorSide::Sell,
        AggressorSide::Sell => AggressorSide::Buy,
        AggressorSide::Unknown => AggressorSide::Unknown,
    }
}
