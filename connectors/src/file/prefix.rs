//! The receive time that capture tools write before a message.
//!
//! Two forms: whole nanoseconds and a space (`1723161253937085768 {...}`), and decimal seconds, a colon and a space
//! (`1618678132.831468: {...}`). Read exactly from the digits.

use super::rows::time::{TIME_MAX_NS, TIME_MIN_NS};

/// Cuts the receive time off a line: the time in nanoseconds, if there is one, and the message.
///
/// What looks like a time outside 2009 to 2200 is left in the message, for the decoder to complain about.
#[inline]
pub fn cut_receive_time(line: &[u8]) -> (Option<i64>, &[u8]) {
    // Most messages start with a brace: one comparison.
    match line.first() {
        Some(b'0'..=b'9') => cut_digits(line).map_or((None, line), |(time, message)| (Some(time), message)),
        _ => (None, line),
    }
}

fn cut_digits(line: &[u8]) -> Option<(i64, &[u8])> {
    let (whole, rest) = digits(line, 19)?;
    let (time_ns, message) = match rest {
        [b' ', message @ ..] => (whole, message),
        [b':', b' ', message @ ..] => (whole.checked_mul(1_000_000_000)?, message),
        [b'.', fraction @ ..] => {
            let (value, rest) = digits(fraction, 9)?;
            let places = fraction.len() - rest.len();
            let nanoseconds = value * 10i64.pow(9 - places as u32);
            (whole.checked_mul(1_000_000_000)?.checked_add(nanoseconds)?, rest.strip_prefix(b": ")?)
        }
        _ => return None,
    };
    (TIME_MIN_NS..TIME_MAX_NS).contains(&time_ns).then_some((time_ns, message.trim_ascii_start()))
}

/// The number made of the leading digits, at least one and at most `limit`, and what follows.
fn digits(text: &[u8], limit: usize) -> Option<(i64, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if length == 0 || length > limit {
        return None;
    }
    let (digits, rest) = text.split_at(length);
    let value =
        digits.iter().try_fold(0i64, |value, byte| value.checked_mul(10)?.checked_add(i64::from(byte - b'0')))?;
    Some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_and_without_receive_time() {
        let cases: &[(&str, Option<i64>, &str)] = &[
            ("1723161253937085768 {}", Some(1_723_161_253_937_085_768), "{}"),
            ("1618678132.831468: {}", Some(1_618_678_132_831_468_000), "{}"),
            ("1633998512.0633569: [1]", Some(1_633_998_512_063_356_900), "[1]"),
            ("1633998512.123456789: x", Some(1_633_998_512_123_456_789), "x"),
            ("1633998512: {}", Some(1_633_998_512_000_000_000), "{}"),
            ("1633998512.1234567890: {}", None, "1633998512.1234567890: {}"),
            ("1633998512.: {}", None, "1633998512.: {}"),
            ("1633998512.5 {}", None, "1633998512.5 {}"),
            ("1633998512 {}", None, "1633998512 {}"),
            ("9999999999999999999 {}", None, "9999999999999999999 {}"),
            ("17231612539370857680 {}", None, "17231612539370857680 {}"),
            ("99999999999999: {}", None, "99999999999999: {}"),
            ("{\"a\":1}", None, "{\"a\":1}"),
            ("", None, ""),
            ("1", None, "1"),
        ];
        for (line, time, message) in cases {
            assert_eq!(cut_receive_time(line.as_bytes()), (*time, message.as_bytes()), "{line}");
        }
    }
}
