//! Event times from integers: which are possible, and in which unit they are.

/// 2009-01-01: no crypto trade is older.
pub const TIME_MIN_NS: i64 = 1_230_768_000_000_000_000;
/// 2200-01-01, exclusive.
pub const TIME_MAX_NS: i64 = 7_258_118_400_000_000_000;

/// The time in nanoseconds, unless it is before 2009 or after 2200.
#[inline]
pub fn checked_time(value: i64, unit_ns: i64) -> Option<i64> {
    value.checked_mul(unit_ns).filter(|time| (TIME_MIN_NS..TIME_MAX_NS).contains(time))
}

/// The unit that an integer time must be in; the ranges from 2009 to 2200 of seconds, milliseconds, microseconds and
/// nanoseconds do not meet.
#[inline]
pub fn time_by_magnitude(value: i64) -> Option<i64> {
    [1, 1_000, 1_000_000, 1_000_000_000].into_iter().find_map(|unit_ns| checked_time(value, unit_ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_to_nanoseconds() {
        let cases = [
            (1_723_161_253_937_085_768, Some(1_723_161_253_937_085_768)),
            (1_723_161_253_937_085, Some(1_723_161_253_937_085_000)),
            (1_723_161_253_937, Some(1_723_161_253_937_000_000)),
            (1_723_161_253, Some(1_723_161_253_000_000_000)),
            (1_230_767_999, None),
            (1_230_768_000, Some(TIME_MIN_NS)),
            (7_258_118_399, Some(TIME_MAX_NS - 1_000_000_000)),
            (7_258_118_400, None),
            (0, None),
            (-1, None),
            (i64::MAX, None),
            (i64::MIN, None),
        ];
        for (value, expected) in cases {
            assert_eq!(time_by_magnitude(value), expected, "{value}");
        }
    }
}
