//! Random integers that are the same on every machine and in every version.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// A seeded stream of integers. Ranges are cut out here, by arithmetic that will not change: the `rand` crate keeps its
/// generators stable, but not its distributions.
pub struct Random(ChaCha8Rng);

impl Random {
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(ChaCha8Rng::from_seed(bytes))
    }

    /// 64 random bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound`, which is above zero.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }
}

/// Draws indexes by weight at the cost of one random number, whatever their number is (Vose, "A linear algorithm for
/// generating random numbers with a given distribution", 1991; here in integers).
pub struct Weighted {
    /// For each cell: up to which 32-bit number it stands for itself, and for whom beyond.
    cells: Vec<(u32, u32)>,
}

impl Weighted {
    /// Zipf's law: the index at rank `n` (from 1) is drawn in proportion to `1/n`.
    pub fn zipf(count: u32) -> Self {
        let count = count.max(1);
        let weights: Vec<u128> = (1..=u128::from(count)).map(|rank| (1 << 40) / rank).collect();
        let total: u128 = weights.iter().sum();
        // In units in which a full cell is `total`.
        let mut left: Vec<u128> = weights.iter().map(|weight| weight * u128::from(count)).collect();
        let (mut small, mut large): (Vec<u32>, Vec<u32>) = (0..count).partition(|&at| left[at as usize] < total);
        let mut cells: Vec<(u32, u32)> = (0..count).map(|at| (u32::MAX, at)).collect();
        while let (Some(poor), Some(&rich)) = (small.pop(), large.last()) {
            cells[poor as usize] = (((left[poor as usize] << 32) / total) as u32, rich);
            left[rich as usize] -= total - left[poor as usize];
            if left[rich as usize] < total {
                large.pop();
                small.push(rich);
            }
        }
        Self { cells }
    }

    /// Draws an index.
    #[inline]
    pub fn draw(&self, random: &mut Random) -> u32 {
        let bits = random.bits();
        let cell = ((bits >> 32) * self.cells.len() as u64) >> 32;
        let (threshold, other) = self.cells[cell as usize];
        if bits as u32 <= threshold { cell as u32 } else { other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zipf_draws_in_proportion_to_the_inverse_rank() {
        let (mut random, weighted) = (Random::new(7), Weighted::zipf(50));
        let mut drawn = [0u64; 50];
        (0..1_000_000).for_each(|_| drawn[weighted.draw(&mut random) as usize] += 1);
        // The 50th harmonic number is 4.4992.
        for (rank, expected) in [(1, 222_262), (2, 111_131), (10, 22_226), (50, 4_445)] {
            let got = drawn[rank - 1];
            assert!(got.abs_diff(expected) * 20 < expected, "rank {rank}: {got}, expected about {expected}");
        }
    }

    #[test]
    fn numbers_stay_below_their_bound() {
        let mut random = Random::new(1);
        assert!((0..1000).all(|_| random.below(3) < 3));
        assert_eq!(random.below(1), 0);
    }
}
