//! The profit and loss of a portfolio in every scenario, kept by addition.

use crate::exact::POSITIONS_LIMIT;

/// One past the largest exposure of a position in scenarios: eight decimals of what [`crate::exact::WORTH_LIMIT_E16`] bounds with sixteen.
const EXPOSURE_LIMIT_E8: i128 = 10i128.pow(22);

/// The largest factor either way: a return of a thousand per cent, nine decimals. It can be reached.
pub(crate) const FACTOR_LIMIT_E9: i64 = 10_000_000_000;

// The proof that no sum of products leaves 128 bits.
const _: () = assert!(EXPOSURE_LIMIT_E8 * FACTOR_LIMIT_E9 as i128 * (POSITIONS_LIMIT as i128) < i128::MAX);

/// Sums over positions of exposure (eight decimals) times factor (nine), so seventeen decimals; and how many of the open positions
/// have no factor in each scenario.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PnlVector {
    /// By slot of the grid, seventeen decimals.
    pub sums_e17: Vec<i128>,
    /// By slot, open positions without a factor.
    pub missing: Vec<i32>,
}

impl PnlVector {
    /// Of nothing.
    pub fn new(slots: usize) -> Self {
        Self { sums_e17: vec![0; slots], missing: vec![0; slots] }
    }

    /// Adds a change of exposure to an instrument of these factors.
    pub fn add_exposure(&mut self, change_e8: i128, factors_e9: &[i64]) {
        debug_assert!(change_e8.abs() < 2 * EXPOSURE_LIMIT_E8, "exposure {change_e8} is beyond its limit");
        if let Ok(change) = i64::try_from(change_e8) {
            // The usual case: one multiplication of two machine words.
            for (sum, factor) in self.sums_e17.iter_mut().zip(factors_e9) {
                *sum = sum.wrapping_add(i128::from(change).wrapping_mul(i128::from(*factor)));
            }
        } else {
            for (sum, factor) in self.sums_e17.iter_mut().zip(factors_e9) {
                *sum += change_e8 * i128::from(*factor);
            }
        }
    }

    /// Counts positions of an instrument that were opened (or closed, below zero) where the instrument has no factor.
    pub fn add_positions(&mut self, positions: i32, is_missing: &[bool]) {
        for (count, is_missing) in self.missing.iter_mut().zip(is_missing) {
            *count += positions * i32::from(*is_missing);
        }
    }

    /// Adds another vector.
    pub fn add(&mut self, other: &Self) {
        for (sum, one) in self.sums_e17.iter_mut().zip(&other.sums_e17) {
            *sum += one;
        }
        for (count, one) in self.missing.iter_mut().zip(&other.missing) {
            *count += one;
        }
    }

    /// Whether nothing is left of anything that was added.
    pub fn is_zero(&self) -> bool {
        self.sums_e17.iter().all(|sum| *sum == 0) && self.missing.iter().all(|count| *count == 0)
    }
}
