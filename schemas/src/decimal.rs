//! Exact decimals: text to fixed-point integers and back, never through a float.

use std::fmt::Write;

/// One past the largest price, at eight decimals: what `DECIMAL(18,8)` holds in the lake.
pub const PRICE_LIMIT_E8: i64 = 1_000_000_000_000_000_000;

/// One past the largest price times quantity of one trade, at sixteen decimals: ten trillion of the quote asset. A bar of a
/// thousand million trades that large still fits the lake's `DECIMAL(38,16)`.
pub const NOTIONAL_LIMIT_E16: i128 = 10i128.pow(29);

/// Whether price times quantity of a trade stays below [`NOTIONAL_LIMIT_E16`].
#[inline]
pub const fn is_notional_in_range(price_e8: i64, quantity_e8: i64) -> bool {
    (price_e8 as i128) * (quantity_e8 as i128) < NOTIONAL_LIMIT_E16
}

/// Why a text is not a decimal with at most eight places that fits 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not a decimal number at all, `NaN` and `Infinity` included.
    #[error("not a decimal number")]
    NotANumber,
    /// More than eight places that are not zero.
    #[error("more than 8 decimal places")]
    TooManyDecimals,
    /// Does not fit 64 bits with eight places.
    #[error("out of range")]
    OutOfRange,
    /// Zero or below where a positive number is needed.
    #[error("not positive")]
    NotPositive,
}

/// Reads decimal text (`-12.5`, `0.00000001`, `1e-5`) as an integer with eight places. Exact, or an error.
///
/// # Errors
/// See [`DecimalError`]. Zeros beyond the eighth place are allowed.
#[inline]
pub fn parse_e8(text: &[u8]) -> Result<i64, DecimalError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    // The common case: at most 18 digits, a point, no exponent. Everything else takes the careful road.
    let mut value: u64 = 0;
    let mut places: i32 = -1;
    if digits.is_empty() || digits.len() > 19 {
        return parse_e8_slow(negative, digits);
    }
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            if value >= 1_000_000_000_000_000_000 {
                return parse_e8_slow(negative, digits);
            }
            value = value * 10 + u64::from(digit);
            if places >= 0 {
                places += 1;
            }
        } else if byte == b'.' && places < 0 {
            places = 0;
        } else {
            return parse_e8_slow(negative, digits);
        }
    }
    if digits[0] == b'.' || places == 0 || places > 8 {
        return parse_e8_slow(negative, digits);
    }
    let scale = POWERS_OF_TEN[(8 - places.max(0)) as usize];
    let value = i64::try_from(value).ok().and_then(|value| value.checked_mul(scale)).ok_or(DecimalError::OutOfRange)?;
    Ok(if negative { -value } else { value })
}

/// As [`parse_e8`], and above zero.
///
/// # Errors
/// See [`DecimalError`].
#[inline]
pub fn parse_positive_e8(text: &[u8]) -> Result<i64, DecimalError> {
    match parse_e8(text)? {
        value if value > 0 => Ok(value),
        _ => Err(DecimalError::NotPositive),
    }
}

const POWERS_OF_TEN: [i64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

#[cold]
fn parse_e8_slow(negative: bool, digits: &[u8]) -> Result<i64, DecimalError> {
    let (mantissa, exponent) = match digits.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => (&digits[..at], parse_exponent(&digits[at + 1..])?),
        None => (digits, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|&byte| byte == b'.') {
        Some(at) => (&mantissa[..at], &mantissa[at + 1..]),
        None => (mantissa, &[][..]),
    };
    let has_point = whole.len() != mantissa.len();
    let all_digits = whole.iter().chain(fraction).all(u8::is_ascii_digit);
    if !all_digits || whole.is_empty() || (has_point && fraction.is_empty()) {
        return Err(DecimalError::NotANumber);
    }
    // value = (whole and fraction as one integer) * 10^shift, in units of 1e-8
    let shift = exponent - fraction.len() as i64 + 8;
    let joined: Vec<u8> = whole.iter().chain(fraction).copied().collect();
    let kept = if shift < 0 {
        let cut = joined.len().saturating_sub(usize::try_from(-shift).unwrap_or(usize::MAX));
        if joined[cut..].iter().any(|&byte| byte != b'0') {
            return Err(DecimalError::TooManyDecimals);
        }
        &joined[..cut]
    } else {
        &joined[..]
    };
    let mut value: i64 = 0;
    for &byte in kept {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(i64::from(byte - b'0')))
            .ok_or(DecimalError::OutOfRange)?;
    }
    if value != 0 {
        for _ in 0..shift.max(0) {
            value = value.checked_mul(10).ok_or(DecimalError::OutOfRange)?;
        }
    }
    Ok(if negative { -value } else { value })
}

fn parse_exponent(text: &[u8]) -> Result<i64, DecimalError> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(DecimalError::NotANumber);
    }
    let value = digits.iter().fold(0i64, |value, byte| (value * 10 + i64::from(byte - b'0')).min(1_000_000));
    Ok(if negative { -value } else { value })
}

/// Writes an integer with eight places as decimal text without trailing zeros: `150000000` is `1.5`.
pub fn format_e8(value: i128) -> String {
    format_scaled(value, 8)
}

/// Writes an integer with sixteen places as decimal text without trailing zeros.
pub fn format_e16(value: i128) -> String {
    format_scaled(value, 16)
}

fn format_scaled(value: i128, places: u32) -> String {
    let unit = 10u128.pow(places);
    let magnitude = value.unsigned_abs();
    let (whole, fraction) = (magnitude / unit, magnitude % unit);
    let mut text = String::with_capacity(24);
    if value < 0 {
        text.push('-');
    }
    let _ = write!(text, "{whole}");
    if fraction != 0 {
        let _ = write!(text, ".{fraction:0width$}", width = places as usize);
        text.truncate(text.trim_end_matches('0').len());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_to_fixed_point() {
        use DecimalError::*;
        let cases: &[(&str, Result<i64, DecimalError>)] = &[
            ("1", Ok(100_000_000)),
            ("61837.63", Ok(6_183_763_000_000)),
            ("0.00000001", Ok(1)),
            ("-0.5", Ok(-50_000_000)),
            ("0", Ok(0)),
            ("1.500000000000", Ok(150_000_000)),
            ("1e-5", Ok(1_000)),
            ("1.5E+2", Ok(15_000_000_000)),
            ("0e999999999", Ok(0)),
            ("1e-9", Err(TooManyDecimals)),
            ("0.000000001", Err(TooManyDecimals)),
            ("92233720368.54775807", Ok(i64::MAX)),
            ("92233720368.54775808", Err(OutOfRange)),
            ("1e400", Err(OutOfRange)),
            ("99999999999999999999999", Err(OutOfRange)),
            ("000000000000000000000001", Ok(100_000_000)),
            ("", Err(NotANumber)),
            ("-", Err(NotANumber)),
            (".5", Err(NotANumber)),
            ("5.", Err(NotANumber)),
            ("+5", Err(NotANumber)),
            ("1.2.3", Err(NotANumber)),
            ("1e", Err(NotANumber)),
            ("NaN", Err(NotANumber)),
            ("Infinity", Err(NotANumber)),
            ("1,000", Err(NotANumber)),
            (" 1", Err(NotANumber)),
            ("0x10", Err(NotANumber)),
        ];
        for (text, expected) in cases {
            assert_eq!(parse_e8(text.as_bytes()), *expected, "{text:?}");
        }
        assert_eq!(parse_positive_e8(b"0.0"), Err(NotPositive));
        assert_eq!(parse_positive_e8(b"-1"), Err(NotPositive));
    }

    #[test]
    fn fixed_point_to_text_and_back() {
        for value in [0, 1, -1, 150_000_000, 6_183_763_000_000, i64::MAX, -i64::MAX] {
            assert_eq!(parse_e8(format_e8(value.into()).as_bytes()), Ok(value));
        }
        assert_eq!(format_e16(12_345_678_901_234_567_890), "1234.567890123456789");
        assert_eq!(format_e8(150_000_000), "1.5");
    }
}
