//! Products of money with a wide intermediate, rounded up: exposure is never shown smaller than it is.

/// `a * b / divisor`, rounded up; none where it does not fit or the divisor is zero. The product has 256 bits.
pub(crate) fn multiply_divide_up(a: u128, b: u128, divisor: u64) -> Option<u128> {
    if divisor == 0 {
        return None;
    }
    let divisor = u128::from(divisor);
    if let Some(product) = a.checked_mul(b) {
        return Some(product.div_ceil(divisor));
    }
    let half = |value: u128| (value >> 64, value & u128::from(u64::MAX));
    let ((a_high, a_low), (b_high, b_low)) = (half(a), half(b));
    // Schoolbook, in digits of 64 bits; no column exceeds 128 bits.
    let low = a_low * b_low;
    let (cross_high, cross_low) = half(a_high * b_low);
    let middle = a_low * b_high + (low >> 64);
    let (middle_high, middle_low) = half(middle);
    let second = middle_low + cross_low;
    let high = a_high * b_high + middle_high + cross_high + (second >> 64);
    let digits = [high >> 64, half(high).1, half(second).1, half(low).1];
    let (mut quotient, mut remainder) = (0u128, 0u128);
    for (place, digit) in digits.into_iter().enumerate() {
        let dividend = (remainder << 64) | digit;
        let part = dividend / divisor;
        remainder = dividend % divisor;
        if place < 2 && part != 0 {
            return None;
        }
        quotient = (quotient << 64) | part;
    }
    if remainder == 0 { Some(quotient) } else { quotient.checked_add(1) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    /// Bit by bit: doubles and adds, keeping quotient and remainder of what was summed so far.
    fn oracle(a: u128, b: u128, divisor: u64) -> Option<u128> {
        let divisor = u128::from(divisor);
        let (mut quotient, mut remainder) = (0u128, 0u128);
        for bit in (0..128).rev() {
            quotient = quotient.checked_mul(2)?;
            remainder *= 2;
            if b >> bit & 1 == 1 {
                quotient = quotient.checked_add(a / divisor)?;
                remainder += a % divisor;
            }
            quotient = quotient.checked_add(remainder / divisor)?;
            remainder %= divisor;
        }
        quotient.checked_add(u128::from(remainder > 0))
    }

    #[test]
    fn products_are_those_of_long_multiplication() {
        for seed in 0..4 {
            println!("seed {seed}");
            let random = &mut ChaCha8Rng::seed_from_u64(seed);
            let mut wide = 0;
            for _ in 0..20_000 {
                let a = random.random::<u128>() >> random.random_range(0..128);
                let b = random.random::<u128>() >> random.random_range(0..128);
                let divisor = (random.random::<u64>() >> random.random_range(0..64)).max(1);
                let found = multiply_divide_up(a, b, divisor);
                assert_eq!(found, oracle(a, b, divisor), "{a} * {b} / {divisor}");
                wide += u32::from(a.checked_mul(b).is_none() && found.is_some());
            }
            assert!(wide > 500, "only {wide} products were wide and fitted");
        }
        assert_eq!(multiply_divide_up(1, 1, 0), None);
        assert_eq!(multiply_divide_up(u128::MAX, u128::from(u64::MAX), u64::MAX), Some(u128::MAX));
    }
}
