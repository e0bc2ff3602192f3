//! What the decoders of market streams share: levels, rates and numbers of updates, with the bounds that the graph and the
//! lake rely on.
//!
//! Prices are above zero and below the lake's limit, quantities fit 64 bits, a funding rate is less than one. A quantity of
//! zero takes a level away and stands in changes only. Venues write "none" as null, as an empty text or as zero.

use super::fault::Fault;
use super::field;
use super::json::{Object, Value};
use super::time::Units;
use std::sync::Arc;
use tidewheel_schemas::{DecimalError, Level, parse_e8};

/// One side of a book: a list of `[price, quantity]`.
///
/// # Errors
/// If it is missing, no such list, or a number is out of bounds.
pub(super) fn levels(
    object: &Object<'_>,
    key: &'static str,
    name: &'static str,
    is_snapshot: bool,
) -> Result<Arc<[Level]>, Fault> {
    let list = field::elements(field::required(object, key, name)?, name)?;
    list.map(|element| {
        let mut parts = field::elements(element, name)?;
        let (Some(price), Some(quantity)) = (parts.next(), parts.next()) else {
            return Err(Fault::Value(name, "a level is not a price and a quantity"));
        };
        let quantity_e8 = if is_snapshot { field::quantity_e8(quantity)? } else { resting_e8(quantity)? };
        Ok(Level { price_e8: field::price_e8(price)?, quantity_e8 })
    })
    .collect()
}

/// A quantity that may be zero.
fn resting_e8(value: Value<'_>) -> Result<i64, Fault> {
    match parse_e8(&field::number(value, "quantity")?) {
        Ok(quantity) if quantity >= 0 => Ok(quantity),
        Ok(_) => Err(Fault::Decimal("quantity", DecimalError::NotPositive)),
        Err(error) => Err(Fault::Decimal("quantity", error)),
    }
}

/// The best level of a side; none where both numbers are missing or zero.
///
/// # Errors
/// If one of them is there without the other, or is out of bounds.
pub(super) fn touch(object: &Object<'_>, price: &'static str, quantity: &'static str) -> Result<Option<Level>, Fault> {
    match (some(object, price, "price")?, some(object, quantity, "quantity")?) {
        (None, None) => Ok(None),
        (Some(price), Some(quantity)) => {
            Ok(Some(Level { price_e8: field::price_e8(price)?, quantity_e8: field::quantity_e8(quantity)? }))
        }
        (None, Some(_)) => Err(Fault::Missing("price", price)),
        (Some(_), None) => Err(Fault::Missing("quantity", quantity)),
    }
}

/// A value that is not missing, null, an empty text or zero.
///
/// # Errors
/// If the key is written twice.
pub(super) fn some<'a>(object: &Object<'a>, key: &'static str, name: &'static str) -> Result<Option<Value<'a>>, Fault> {
    let is_none = |value: &Value<'_>| {
        let text = value.raw().trim_ascii_start();
        let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
        let is_zero = text.contains(&b'0') && text.iter().all(|byte| matches!(byte, b'0' | b'.'));
        text.is_empty() || is_zero
    };
    Ok(field::optional(object, key, name)?.filter(|value| !is_none(value)))
}

/// A price that may be missing.
///
/// # Errors
/// If it is there and no price.
pub(super) fn price_e8(object: &Object<'_>, key: &'static str, name: &'static str) -> Result<Option<i64>, Fault> {
    some(object, key, name)?.map(field::price_e8).transpose()
}

/// A time that may be missing.
///
/// # Errors
/// If it is there and no time.
pub(super) fn time_ns(
    object: &Object<'_>,
    key: &'static str,
    name: &'static str,
    units: Units,
) -> Result<Option<i64>, Fault> {
    some(object, key, name)?.map(|value| field::time_ns(value, name, units)).transpose()
}

/// A funding rate that may be missing: a ratio with eight decimals. Zero is a rate.
///
/// # Errors
/// If it is there and no number, or not between -1 and 1.
pub(super) fn rate_e8(object: &Object<'_>, key: &'static str) -> Result<Option<i64>, Fault> {
    const NAME: &str = "funding_rate";
    const ONE_E8: i64 = 100_000_000;
    let Some(value) = field::optional(object, key, NAME)? else { return Ok(None) };
    let text = field::number(value, NAME)?;
    if text.is_empty() {
        return Ok(None);
    }
    match parse_e8(&text) {
        Ok(rate) if rate.abs() < ONE_E8 => Ok(Some(rate)),
        Ok(_) => Err(Fault::Decimal(NAME, DecimalError::OutOfRange)),
        Err(error) => Err(Fault::Decimal(NAME, error)),
    }
}

/// The number of an update.
///
/// # Errors
/// If it is missing, not whole, or below zero.
pub(super) fn update_id(object: &Object<'_>, key: &'static str, name: &'static str) -> Result<u64, Fault> {
    whole(field::required(object, key, name)?, name)
}

/// The number of an update that may be missing.
///
/// # Errors
/// If it is there and not whole, or below zero.
pub(super) fn optional_update_id(
    object: &Object<'_>,
    key: &'static str,
    name: &'static str,
) -> Result<Option<u64>, Fault> {
    field::optional(object, key, name)?.map(|value| whole(value, name)).transpose()
}

fn whole(value: Value<'_>, name: &'static str) -> Result<u64, Fault> {
    u64::try_from(field::integer(value, name)?).map_err(|_| Fault::Value(name, "below zero"))
}

/// Levels a side that a stream or a question names: `5` in `btcusdt@depth5`, with what follows the digits; none where it names none.
pub(super) fn depth(text: &[u8]) -> Option<u32> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let depth = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
    (depth > 0).then_some(depth)
}

/// Refuses a range of updates that runs backwards.
///
/// # Errors
/// If the first comes after the last.
pub(super) const fn check_range(first_id: u64, last_id: u64) -> Result<(), Fault> {
    if first_id <= last_id { Ok(()) } else { Err(Fault::Value("first_id", "greater than last_id")) }
}
