//! Products and quotients of money in integers, with one rounding that is named: half to even.
//!
//! Nothing here wraps: what does not fit 128 bits is `None`, and the caller names the number that did not fit.

/// One past the largest worth of one position or fill: a hundred trillion units of a currency, sixteen decimals.
///
/// With [`POSITIONS_LIMIT`] and [`TOTAL_LIMIT_E16`] it proves that no sum over a book leaves 128 bits, so that sums need no check.
pub const WORTH_LIMIT_E16: i128 = 10i128.pow(30);

/// One past the largest total that one position or account may add up (realised, fees, cash): ten quadrillion units, sixteen decimals.
pub const TOTAL_LIMIT_E16: i128 = 10i128.pow(32);

/// The most positions of a book: a hundred thousand of the largest add up to 10^37.
pub const POSITIONS_LIMIT: usize = 100_000;

/// One unit with eight decimals.
pub(crate) const ONE_E8: i128 = 100_000_000;

/// `value * factor / divisor`, rounded half to even, through 256 bits. `None` if the result does not fit or the divisor is zero.
pub fn mul_div(value: i128, factor: i128, divisor: i128) -> Option<i128> {
    if divisor == 0 {
        return None;
    }
    let is_negative = (value < 0) ^ (factor < 0) ^ (divisor < 0);
    let by = divisor.unsigned_abs();
    let (quotient, rest) = match value.unsigned_abs().checked_mul(factor.unsigned_abs()) {
        Some(product) => (product / by, product % by),
        None => long_division(wide_product(value.unsigned_abs(), factor.unsigned_abs()), by)?,
    };
    let above = by - rest;
    let is_up = rest > above || (rest == above && quotient % 2 == 1);
    let magnitude = i128::try_from(quotient.checked_add(u128::from(is_up))?).ok()?;
    Some(if is_negative { -magnitude } else { magnitude })
}

/// The high and the low half of a product of two 128-bit numbers.
const fn wide_product(one: u128, other: u128) -> (u128, u128) {
    const LOW: u128 = u64::MAX as u128;
    let (one_high, one_low) = (one >> 64, one & LOW);
    let (other_high, other_low) = (other >> 64, other & LOW);
    let low = one_low * other_low;
    // Each cross product is below 2^128 - 2^65, so adding a carry of 64 bits cannot overflow.
    let middle = one_high * other_low + (low >> 64);
    let cross = one_low * other_high + (middle & LOW);
    (one_high * other_high + (middle >> 64) + (cross >> 64), (cross << 64) | (low & LOW))
}

/// Schoolbook division in binary. `None` if the quotient does not fit 128 bits.
fn long_division((high, low): (u128, u128), by: u128) -> Option<(u128, u128)> {
    if high >= by {
        return None;
    }
    let (mut rest, mut quotient) = (high, 0u128);
    for bit in (0..128).rev() {
        let carried = rest >> 127 == 1;
        rest = (rest << 1) | ((low >> bit) & 1);
        quotient <<= 1;
        if carried || rest >= by {
            rest = rest.wrapping_sub(by);
            quotient |= 1;
        }
    }
    Some((quotient, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_go_to_the_even_neighbour_on_both_sides_of_zero() {
        for (value, factor, divisor, expected) in [
            (1, 1, 2, 0),
            (3, 1, 2, 2),
            (5, 1, 2, 2),
            (-1, 1, 2, 0),
            (-3, 1, 2, -2),
            (3, 1, -2, -2),
            (7, 1, 4, 2),
            (10, 10, 3, 33),
            (0, 5, 7, 0),
        ] {
            assert_eq!(mul_div(value, factor, divisor), Some(expected), "{value} * {factor} / {divisor}");
        }
        assert_eq!(mul_div(1, 1, 0), None);
    }

    #[test]
    fn products_beyond_128_bits_divide_exactly() {
        let large = 10i128.pow(37);
        assert_eq!(mul_div(large, large, large), Some(large));
        assert_eq!(mul_div(-large, 3 * large, 3 * large), Some(-large));
        assert_eq!(mul_div(i128::MAX, i128::MAX, i128::MAX), Some(i128::MAX));
        assert_eq!(mul_div(i128::MAX, 2, 1), None);
        assert_eq!(mul_div(i128::MAX, i128::MAX, 2), None);
        // (10^37 + 1)(10^37 - 1) = 10^74 - 1: one below a multiple of 10^37 rounds up to it.
        assert_eq!(mul_div(large + 1, large - 1, large), Some(large));
        // A half exactly, beyond 128 bits: 10^37 * 10^20 * 5 / (10^21) = 5 * 10^36; one and a half of it stays exact.
        assert_eq!(mul_div(3 * large, 5 * 10i128.pow(20), 10i128.pow(21)), Some(15 * 10i128.pow(36)));
    }
}
