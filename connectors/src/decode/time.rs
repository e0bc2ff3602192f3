//! Times on the wire to nanoseconds since the epoch, exactly, from their decimal text.
//!
//! The years 2009 to 2200 in seconds, milliseconds, microseconds and nanoseconds do not overlap, so that a number tells its
//! unit; a number outside all of them is refused rather than guessed at.

use super::TimeUnit;

/// 2009-01-01T00:00:00Z: before it no venue here traded.
pub(super) const EARLIEST_NS: i64 = 1_230_768_000 * 1_000_000_000;
/// 2201-01-01T00:00:00Z, exclusive.
const LATEST_NS: i64 = 7_289_654_400 * 1_000_000_000;

/// Why a text is not a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TimeError {
    #[error("not a time: neither a number nor RFC 3339 with an offset")]
    NotATime,
    #[error("not a number")]
    NotANumber,
    #[error("before 2009 or after 2200 in every unit it may have")]
    OutOfRange,
    #[error("finer than a nanosecond")]
    TooFine,
}

/// Units, most likely first, that a field may have.
pub(super) type Units = &'static [TimeUnit];

/// Milliseconds, or microseconds where the subscriber asked for them.
pub(super) const MS_OR_US: Units = &[TimeUnit::Ms, TimeUnit::Us];
/// Milliseconds alone.
pub(super) const MS: Units = &[TimeUnit::Ms];
/// Seconds with decimals.
pub(super) const S: Units = &[TimeUnit::S];
/// Nanoseconds alone.
pub(super) const NS: Units = &[TimeUnit::Ns];
const ANY: Units = &[TimeUnit::Ms, TimeUnit::Us, TimeUnit::Ns, TimeUnit::S];

/// Reads a number in one of the units: the one in which it lies between 2009 and 2200.
///
/// # Errors
/// If it is no decimal number, lies outside in every unit, or has digits below the nanosecond.
#[inline]
pub(super) fn parse_number(text: &[u8], units: Units) -> Result<i64, TimeError> {
    // Whole numbers of up to 19 digits: all but Kraken and cryptofeed.
    if text.len() <= 19
        && let Some(value) = parse_digits(text)
    {
        let scaled = units.iter().filter_map(|unit| value.checked_mul(ns_per(*unit)));
        return scaled.into_iter().find(|ns| is_possible(*ns)).ok_or(TimeError::OutOfRange);
    }
    parse_decimal(text, units)
}

/// Reads a number in the unit, or for [`TimeUnit::Auto`] in the unit told by its magnitude, or RFC 3339 text.
///
/// # Errors
/// As [`parse_number`]; and if a text is neither a number nor RFC 3339 with an offset.
pub(super) fn parse(text: &[u8], unit: TimeUnit) -> Result<i64, TimeError> {
    match unit {
        TimeUnit::Auto if text.contains(&b':') => parse_rfc3339(text),
        TimeUnit::Auto => parse_number(text, ANY).map_err(|error| match error {
            TimeError::NotANumber => TimeError::NotATime,
            other => other,
        }),
        TimeUnit::S => parse_number(text, S),
        TimeUnit::Ms => parse_number(text, MS),
        TimeUnit::Us => parse_number(text, &[TimeUnit::Us]),
        TimeUnit::Ns => parse_number(text, NS),
    }
}

/// Reads RFC 3339 text, which must carry `Z` or an offset.
///
/// # Errors
/// If it is something else, or outside 2009 to 2200.
pub(super) fn parse_rfc3339(text: &[u8]) -> Result<i64, TimeError> {
    let text = std::str::from_utf8(text).map_err(|_| TimeError::NotATime)?;
    let timestamp: jiff::Timestamp = text.parse().map_err(|_| TimeError::NotATime)?;
    i64::try_from(timestamp.as_nanosecond()).ok().filter(|ns| is_possible(*ns)).ok_or(TimeError::OutOfRange)
}

const fn ns_per(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::S => 1_000_000_000,
        TimeUnit::Ms => 1_000_000,
        TimeUnit::Us => 1_000,
        TimeUnit::Ns | TimeUnit::Auto => 1,
    }
}

/// A time of another clock, if it lies between 2009 and 2200.
pub(crate) fn possible(ns: i64) -> Option<i64> {
    is_possible(ns).then_some(ns)
}

#[inline]
const fn is_possible(ns: i64) -> bool {
    ns >= EARLIEST_NS && ns < LATEST_NS
}

#[inline]
fn parse_digits(text: &[u8]) -> Option<i64> {
    let mut value = 0i64;
    for &byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
    }
    (!text.is_empty()).then_some(value)
}

/// A number with a point or an exponent, exactly.
fn parse_decimal(text: &[u8], units: Units) -> Result<i64, TimeError> {
    let (mantissa, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&text[..at], parse_exponent(&text[at + 1..]).ok_or(TimeError::NotANumber)?),
        None => (text, 0),
    };
    let mut parts = mantissa.splitn(2, |&byte| byte == b'.');
    let (whole, fraction) = (parts.next().unwrap_or(&[]), parts.next());
    let digits = || whole.iter().chain(fraction.unwrap_or(&[]));
    if whole.is_empty() || fraction.is_some_and(<[u8]>::is_empty) || !digits().all(u8::is_ascii_digit) {
        // A negative number is a number, only not a time.
        let negative = text.first() == Some(&b'-') && text.get(1).is_some_and(u8::is_ascii_digit);
        return Err(if negative { TimeError::OutOfRange } else { TimeError::NotANumber });
    }
    // The value is `number` times ten to the `power`. Zeros at the end say nothing and would only overflow.
    let significant = digits().count() - digits().rev().take_while(|byte| **byte == b'0').count();
    let mut number = 0i128;
    for byte in digits().take(significant) {
        number = number
            .checked_mul(10)
            .and_then(|number| number.checked_add(i128::from(byte - b'0')))
            .ok_or(TimeError::OutOfRange)?;
    }
    let power = exponent + whole.len() as i64 - significant as i64;
    let in_unit = |unit: TimeUnit| {
        let power = power + i64::from(ns_per(unit).ilog10());
        match u32::try_from(power) {
            Ok(up) => 10i128.checked_pow(up).and_then(|scale| number.checked_mul(scale)).map(|ns| (ns, true)),
            Err(_) => {
                let scale = 10i128.checked_pow(u32::try_from(-power).ok()?)?;
                Some((number / scale, number % scale == 0))
            }
        }
    };
    let possible = |ns: i128| i64::try_from(ns).is_ok_and(is_possible);
    match units.iter().filter_map(|unit| in_unit(*unit)).find(|(ns, _)| possible(*ns)) {
        Some((ns, true)) => i64::try_from(ns).map_err(|_| TimeError::OutOfRange),
        Some((_, false)) => Err(TimeError::TooFine),
        None => Err(TimeError::OutOfRange),
    }
}

fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        rest => (1, rest),
    };
    (digits.len() <= 6).then(|| parse_digits(digits)).flatten().map(|value| sign * value)
}

#[cfg(test)]
mod tests {
    use super::TimeError::*;
    use super::*;

    #[test]
    fn text_to_nanoseconds() {
        let cases: &[(&str, TimeUnit, Result<i64, TimeError>)] = &[
            ("1723161255342", TimeUnit::Auto, Ok(1_723_161_255_342_000_000)),
            ("1723161255342123", TimeUnit::Auto, Ok(1_723_161_255_342_123_000)),
            ("1723161255342123456", TimeUnit::Auto, Ok(1_723_161_255_342_123_456)),
            ("1723161255", TimeUnit::Auto, Ok(1_723_161_255_000_000_000)),
            ("1762795433.9717445", TimeUnit::Auto, Ok(1_762_795_433_971_744_500)),
            ("1762795433.9717445", TimeUnit::S, Ok(1_762_795_433_971_744_500)),
            ("1762795433971.7445", TimeUnit::Auto, Ok(1_762_795_433_971_744_500)),
            ("1.7627954339717445e9", TimeUnit::S, Ok(1_762_795_433_971_744_500)),
            ("17627954339717445E-7", TimeUnit::S, Ok(1_762_795_433_971_744_500)),
            ("1762795433.97174450000000000000000000000", TimeUnit::S, Ok(1_762_795_433_971_744_500)),
            ("1762795433.0000000001", TimeUnit::S, Err(TooFine)),
            ("2021-04-17T16:43:30.244075Z", TimeUnit::Auto, Ok(1_618_677_810_244_075_000)),
            ("2021-04-17T18:43:30.244075+02:00", TimeUnit::Auto, Ok(1_618_677_810_244_075_000)),
            ("2021-04-17T16:43:30", TimeUnit::Auto, Err(NotATime)),
            ("2008-12-31T23:59:59.999999999Z", TimeUnit::Auto, Err(OutOfRange)),
            ("2009-01-01T00:00:00Z", TimeUnit::Auto, Ok(EARLIEST_NS)),
            ("2200-12-31T23:59:59.999999999Z", TimeUnit::Auto, Ok(LATEST_NS - 1)),
            ("2201-01-01T00:00:00Z", TimeUnit::Auto, Err(OutOfRange)),
            ("1230767999", TimeUnit::Auto, Err(OutOfRange)),
            ("1230768000000", TimeUnit::Auto, Ok(EARLIEST_NS)),
            ("7289654400", TimeUnit::Auto, Err(OutOfRange)),
            ("17231612553", TimeUnit::Auto, Err(OutOfRange)),
            ("1723161255342", TimeUnit::Us, Err(OutOfRange)),
            ("1723161255", TimeUnit::Ms, Err(OutOfRange)),
            ("9223372036854775808", TimeUnit::Auto, Err(OutOfRange)),
            ("99999999999999999999999999999999999999999999", TimeUnit::Auto, Err(OutOfRange)),
            ("0", TimeUnit::Auto, Err(OutOfRange)),
            ("-1723161255342", TimeUnit::Auto, Err(OutOfRange)),
            ("1e999999", TimeUnit::Auto, Err(OutOfRange)),
            ("1e-999999", TimeUnit::Auto, Err(OutOfRange)),
            ("1e9999999", TimeUnit::Auto, Err(NotATime)),
            ("", TimeUnit::Auto, Err(NotATime)),
            ("", TimeUnit::Ms, Err(NotANumber)),
            ("12.", TimeUnit::Auto, Err(NotATime)),
            (".5", TimeUnit::Auto, Err(NotATime)),
            ("yesterday", TimeUnit::Auto, Err(NotATime)),
            ("NaN", TimeUnit::S, Err(NotANumber)),
            ("1723161255342 ", TimeUnit::Ms, Err(NotANumber)),
        ];
        for (text, unit, expected) in cases {
            assert_eq!(parse(text.as_bytes(), *unit), *expected, "{text:?} as {unit:?}");
        }
    }
}
